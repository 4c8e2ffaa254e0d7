"""DeblurGAN keeps the contract of every system."""

import numpy as np
import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract, noise_batch
from tfdeblur import systems


class TestDeblurGan(SystemContract):
    system = "deblurgan"
    parameters = {"generator": 11_378_179, "discriminator": 2_764_737}
    arguments = {"width": 6, "num_res_blocks": 1}
    clips_itself = True
    overfit = {
        "width": 24,
        "num_res_blocks": 2,
        "learning_rate": 2e-3,
        "constant_steps": 60,
        "lambda_content": 1e4,
        "vgg_layer": "block1_conv1",
    }
    overfit_steps = 120
    search_steps = 8
    idle = ("conv5/conv/bias:0",)  # moves D(fake) and D(real) alike

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        config = load_experiment("deblurgan/smoke")
        config.update(width=4, num_res_blocks=1, critic_updates=2, discriminator_width=4, batch_size=1)
        return config

    def test_both_players_learn_at_one_rate_to_the_end(self, small_config):
        """An optimiser's schedule counts its own updates, of which the critic has several a step."""
        config = small_config.copy_and_resolve_references()
        config.update(steps=10, constant_steps=5, critic_updates=2)
        trainer = systems.system(self.system).make_trainer(config)
        batch = noise_batch(self.system, config)
        expected = [1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4]
        for step, share in enumerate(expected, start=1):
            before = trainer.discriminator.get_weights()
            trainer.train_step(batch)
            for optimizer in (trainer.generator_optimizer, trainer.discriminator_optimizer):
                rate = optimizer.inner_optimizer._learning_rate(optimizer.iterations)  # of its next update
                assert float(rate) == pytest.approx(share * config.learning_rate), step
            moved = [np.any(a != b) for a, b in zip(before, trainer.discriminator.get_weights(), strict=True)]
            assert sum(moved) >= len(moved) - 1, step

"""The structures-guided GAN keeps the contract of every system."""

import numpy as np
import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract, noise_batch
from tfdeblur import systems
from tfdeblur.errors import DeblurError
from tfdeblur.layers import vgg


class TestStructuresGuided(SystemContract):
    system = "structures_guided"
    parameters = {"generator": 5_013_907, "gradient_net": 4_321_488, "discriminator": 2_764_737}
    arguments = {
        "enc_widths": (4, 6, 10),
        "grad_channels": 12,
        "num_blocks": 2,
        "recurrences": 2,
        "mbrb_mode": "chain",
        "learn_residual": True,
        "without": "mbrbs",
    }
    clips_itself = True
    overfit = {
        "enc_widths": (32, 64, 128),
        "grad_channels": 64,
        "learning_rate": 5e-4,
        "constant_steps": 100,
        "alpha": 1e3,
        "beta": 10.0,
        "vgg_layer": "block1_conv1",
    }
    overfit_steps = 200
    search_steps = 8
    idle = (
        "conv5/conv/bias:0",  # moves D(fake) and D(real) alike
        # In so narrow a network a channel attention has one hidden unit, dead from the start in about half of them:
        # the means of sigmoids, which it sees, hardly vary.
        *("attention/squeeze/kernel:0", "attention/squeeze/bias:0", "attention/excite/kernel:0"),
    )

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        config = load_experiment("structures_guided/smoke")
        config.update(enc_widths=(4, 6, 8), grad_channels=8, num_blocks=1, critic_updates=2)
        config.update(discriminator_width=4, batch_size=1)
        return config

    def test_without_an_adversarial_loss_there_is_no_critic_and_no_batches_for_one(self, small_config):
        config = small_config.copy_and_resolve_references()
        config.update(gamma=0.0, critic_batches="fresh")
        system = systems.system(self.system)
        assert system.samples_per_step(config) == config.batch_size
        trainer = system.make_trainer(config)
        assert not hasattr(trainer, "discriminator")
        before = trainer.generator.get_weights()
        logs = trainer.train_step(noise_batch(self.system, config))
        assert logs.keys() == {f"generator/{name}" for name in ("content", "gradient", "loss", "gradient_norm")}
        assert any(np.any(a != b) for a, b in zip(before, trainer.generator.get_weights(), strict=True))

    def test_without_a_content_loss_nobody_asks_for_vggs_weights(self, small_config, monkeypatch):
        def asked():
            raise DeblurError("somebody asked")

        monkeypatch.setattr(vgg, "_weights_file", asked)
        config = small_config.copy_and_resolve_references()
        config.update(vgg_weights="imagenet")
        with pytest.raises(DeblurError, match="somebody asked"):
            systems.system(self.system).make_trainer(config)
        config.crop += 1
        with pytest.raises(DeblurError, match="--config.crop="):  # what is wrong besides is said first
            systems.system(self.system).make_trainer(config)
        config.update(alpha=0.0, crop=config.crop - 1)
        logs = systems.system(self.system).make_trainer(config).train_step(noise_batch(self.system, config))
        assert "generator/content" not in logs and "generator/adversarial" in logs

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"beta": -1.0}, "--config.beta=-1.0"),
            ({"gamma": float("nan")}, "--config.gamma=nan"),
            ({"alpha": 0.0, "beta": 0.0, "gamma": 0.0}, "nothing would be learnt"),
        ],
    )
    def test_weights_that_mean_nothing_are_refused(self, small_config, change, words):
        config = small_config.copy_and_resolve_references()
        config.update(change)
        with pytest.raises(DeblurError, match=words):
            systems.system(self.system).make_trainer(config)

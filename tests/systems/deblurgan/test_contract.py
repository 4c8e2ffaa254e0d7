"""DeblurGAN keeps the contract of every system."""

import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract


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

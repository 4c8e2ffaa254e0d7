"""Improved DeblurGAN keeps the contract of every system."""

import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract


class TestImprovedDeblurGan(SystemContract):
    system = "improved_deblurgan"
    parameters = {"generator": 528_163, "dense_block": 141_984, "discriminator": 2_764_737}
    arguments = {"width": 6, "growth": 5, "up_kind": "sep", "skip": "concat", "head": "separable"}
    clips_itself = True
    overfit = {
        "width": 32,
        "growth": 16,
        "learning_rate": 1e-3,
        "constant_steps": 180,
        "lambda_content": 1e4,
        "vgg_layer": "block1_conv1",
    }
    overfit_steps = 360
    search_steps = 8
    idle = ("conv5/conv/bias:0",)  # moves D(fake) and D(real) alike

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        config = load_experiment("improved_deblurgan/smoke")
        config.update(width=4, growth=3, critic_updates=2, discriminator_width=4, batch_size=1)
        return config

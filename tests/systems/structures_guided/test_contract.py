"""The structures-guided GAN keeps the contract of every system."""

import numpy as np
import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract, noise_batch
from tfdeblur import systems
from tfdeblur.errors import DeblurError


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
        "enc_widths": (16, 32, 64),
        "grad_channels": 32,
        "learn_residual": True,
        "learning_rate": 2e-3,
        "constant_steps": 100,
        "alpha": 1e3,
        "beta": 10.0,
        "vgg_layer": "block1_conv1",
    }
    overfit_steps = 200
    search_steps = 8
    idle = ("conv5/conv/bias:0",)  # moves D(fake) and D(real) alike

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        config = load_experiment("structures_guided/smoke")
        config.update(enc_widths=(4, 6, 8), grad_channels=8, num_blocks=1, critic_updates=2)
        config.update(discriminator_width=4, batch_size=1)
        return config

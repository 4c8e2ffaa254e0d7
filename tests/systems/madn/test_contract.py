"""MADN keeps the contract of every system."""

import pytest

from tests.contracts import SystemContract


class TestMadn(SystemContract):
    system = "madn"
    parameters = {  # the counts that systems/madn/README.md states
        "generator": 29_055_305,
        "scale_network": 13_458_691,
        "gradient_network": 14_341_955,
        "fusion": 1_254_659,
        "discriminator": 4_827_332,
    }
    arguments = {
        "widths": (4, 6, 8),
        "num_res_blocks": 1,
        "global_residual": True,
        "stop_gradient_between_scales": True,
    }
    outputs = {"restored": 1, "gradient": 1, "scale_1": 1, "scale_2": 2, "scale_3": 4}
    overfit = {
        "widths": (16, 24, 32),
        "global_residual": True,
        "generator_learning_rate": 3e-3,
        "decay_power": 1.0,
    }
    overfit_steps = 120

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls, tiny_madn):
        return tiny_madn()

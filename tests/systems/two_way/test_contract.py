"""The Two-Way network keeps the contract of every system."""

import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract


class TestTwoWay(SystemContract):
    system = "two_way"
    parameters = {"generator": 3_911_398, "up": 1_327_363, "down": 1_327_363}
    arguments = {
        "widths": (4, 6, 8),
        "num_res_blocks": 1,
        "decoder_order": "deconv_first",
        "down_branch": False,
        "stop_gradient_between_scales": False,
        "global_residual": True,
        "num_egms": 1,
        "half_resolution": True,
    }
    outputs = {
        **{"restored": 1, "up": 1},
        **{"restored_2": 2, "up_2": 2},
        **{"restored_3": 4, "up_3": 4},
    }
    overfit = {"widths": (16, 24, 32), "learning_rate": 3e-3, "decay_power": 1.0}
    overfit_steps = 150

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        config = load_experiment("two_way/smoke")
        config.update(widths=(4, 6, 8), num_res_blocks=1)
        return config

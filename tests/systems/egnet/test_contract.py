"""EGNet keeps the contract of every system."""

import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract


class TestEgNet(SystemContract):
    system = "egnet"
    parameters = {"generator": 26_596_441, "base": 20_127_073, "egn1": 3_234_684, "egn2": 3_234_684}
    arguments = {
        **{"width": 8, "width_step": 4, "orsnet_step": 3, "num_cabs": 2, "reduction": 3},
        **{"egn_width": 8, "num_egms": 1, "egn_input": "mul", "input_std": 0.3},
        **{"attention": False, "pa_residual": False},
    }
    outputs = {"restored": 1, "stage_2": 1, "stage_1": 1}
    overfit = {"width": 16, "width_step": 8, "orsnet_step": 8, "learning_rate": 4e-3, "ms_ssim_levels": 3}
    overfit_steps = 400
    idle = ("key/bias:0",)  # adds the same to a query's products with all keys, which the softmax takes away again

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        config = load_experiment("egnet/smoke")
        # More hidden units in each channel attention than can all be dead from the start.
        config.update(num_cabs=1, reduction=1, num_egms=1, egn_width=32)
        return config

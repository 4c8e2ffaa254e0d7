"""MPRNet keeps the contract of every system."""

import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract
from tfdeblur import systems
from tfdeblur.errors import DeblurError


class TestMprNet(SystemContract):
    system = "mprnet"
    parameters = {"generator": 20_127_073}
    arguments = {"width": 8, "width_step": 4, "orsnet_step": 3, "num_cabs": 2, "reduction": 3}
    outputs = {"restored": 1, "stage_2": 1, "stage_1": 1}
    overfit = {"width": 24, "width_step": 8, "orsnet_step": 8, "learning_rate": 2e-3}
    overfit_steps = 300

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        config = load_experiment("mprnet/smoke")
        config.update(num_cabs=1, reduction=1)  # more hidden units than can all be dead from the start
        return config

    @pytest.mark.parametrize("change", [{"crop": 36}, {"warm_up_steps": -1}, {"warm_up_steps": 20}])
    def test_settings_that_cannot_work_are_refused(self, small_config, change):
        config = small_config.copy_and_resolve_references()
        config.update(change)
        with pytest.raises(DeblurError, match=f"--config.{next(iter(change))}="):
            systems.system(self.system).make_trainer(config)

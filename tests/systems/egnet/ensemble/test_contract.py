"""The self-ensemble keeps the contract of every system, but for what a frozen base cannot do."""

import pytest

from tests.conftest import load_experiment
from tests.contracts import SystemContract
from tests.systems.mprnet.test_networks import SMALL


class TestSelfEnsemble(SystemContract):
    system = "egnet_ensemble"
    parameters = {"generator": 26_612_741, "base": 26_596_441, "fusing": 16_300}
    arguments = {"base": "mprnet", "base_arguments": {**SMALL, "num_cabs": 1}, "fuse": "mean", "fuse_width": 4}
    outputs = {"restored": 1, "from_half": 1, "from_whole": 1, "from_quadrants": 1}
    overfit = {"learning_rate": 1e-2}
    overfit_steps = 80
    clips_itself = True

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        config = load_experiment("egnet/ensemble_embedded")
        config.update(width=8, width_step=4, orsnet_step=4, num_cabs=1, fuse_width=8)
        config.update(base_system="mprnet", base="random", crop=32, batch_size=2, ms_ssim_levels=2, steps=20)
        return config

    def small_network(self):
        arguments, self.arguments = self.arguments, {**self.arguments, "fuse": "network"}  # what has more to go wrong
        try:
            return super().small_network()
        finally:
            self.arguments = arguments

    @pytest.mark.slow
    def test_overfits_one_pair_to_6_db_above_its_input(self, one_pair):
        """A mixture is no better than what is mixed: better than the plain mean, as which it starts, is what it can."""
        assert one_pair(self.overfit_steps) > one_pair(1) + 0.3

    test_overfitting_notices_swapped_targets = None  # a base that is frozen and random learns to blur as little

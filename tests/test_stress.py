"""A training that is killed thirty times changes nothing; any number by hand: `python -m tests.stress --kills 300`."""

import pytest

from tests.stress import stress


@pytest.mark.slow
def test_thirty_kills_change_nothing(tmp_path):
    assert stress("two_way/smoke", kills=30, seed=0, folder=str(tmp_path)) == []

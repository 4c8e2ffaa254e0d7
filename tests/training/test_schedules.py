"""Learning rates by hand."""

import pytest

from tfdeblur.training.schedules import ConstantThenLinear


@pytest.mark.parametrize(
    "step, rate", [(0, 2.0), (99, 2.0), (100, 2.0), (150, 1.0), (199, 0.02), (200, 0.0), (300, 0.0)]
)
def test_constant_then_linear(step, rate):
    schedule = ConstantThenLinear(2.0, constant_steps=100, steps=200)
    assert float(schedule(step)) == pytest.approx(rate, abs=1e-6)
    assert float(type(schedule).from_config(schedule.get_config())(step)) == pytest.approx(rate, abs=1e-6)


def test_constant_to_the_end():
    assert float(ConstantThenLinear(2.0, constant_steps=200, steps=200)(199)) == 2.0

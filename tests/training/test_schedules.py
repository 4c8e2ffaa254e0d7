"""Learning rates by hand."""

import pytest

from tfdeblur.training.schedules import ConstantThenLinear, WarmUpThenCosine


@pytest.mark.parametrize(
    "step, rate", [(0, 2.0), (99, 2.0), (100, 2.0), (150, 1.0), (199, 0.02), (200, 0.0), (300, 0.0)]
)
def test_constant_then_linear(step, rate):
    schedule = ConstantThenLinear(2.0, constant_steps=100, steps=200)
    assert float(schedule(step)) == pytest.approx(rate, abs=1e-6)
    assert float(type(schedule).from_config(schedule.get_config())(step)) == pytest.approx(rate, abs=1e-6)


def test_constant_to_the_end():
    assert float(ConstantThenLinear(2.0, constant_steps=200, steps=200)(199)) == 2.0


@pytest.mark.parametrize(
    "step, rate",
    # the cosine falls from 3 to 1 between 100 and 300
    [
        (0, 0.0),
        (50, 1.5),
        (99, 2.97),
        (100, 3.0),
        (150, 2 + 0.5**0.5),
        (200, 2.0),
        (299, 1.000123),
        (300, 1.0),
        (999, 1.0),
    ],
)
def test_warm_up_then_cosine(step, rate):
    schedule = WarmUpThenCosine(3.0, warm_up_steps=100, steps=300, end_learning_rate=1.0)
    assert float(schedule(step)) == pytest.approx(rate, abs=1e-5)
    assert float(type(schedule).from_config(schedule.get_config())(step)) == pytest.approx(rate, abs=1e-5)


def test_without_a_warm_up_the_cosine_starts_at_once():
    schedule = WarmUpThenCosine(3.0, warm_up_steps=0, steps=10, end_learning_rate=0.0)
    assert float(schedule(0)) == 3.0 and float(schedule(5)) == pytest.approx(1.5)

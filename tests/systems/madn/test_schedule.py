"""The optimisers of the paper's configuration: Adam and its polynomial decay."""

import pathlib
import runpy

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.systems.madn.system import make_trainer

GOPRO = pathlib.Path(__file__).parents[3] / "experiments" / "madn" / "gopro.py"
RATES = {"generator_optimizer": 1e-4, "discriminator_optimizer": 4e-4}


def small_trainer(**changes):
    config = runpy.run_path(str(GOPRO))["get_config"]()
    small = {
        "widths": (2, 2, 2),
        "num_res_blocks": 1,
        "crop": 32,
        "discriminator_widths": (2, 2, 2, 2, 2),
        "discriminator_dense_units": 2,
    }
    config.update({**small, **changes})
    return make_trainer(config)


@pytest.fixture(scope="module")
def trainer():
    return small_trainer()


def rate_at(optimizer, step):
    # `optimizer.learning_rate` is the last update's; that updates follow the schedule is a test of its own below.
    schedule = tf.keras.optimizers.schedules.deserialize(optimizer.inner_optimizer.get_config()["learning_rate"])
    return float(schedule(step))


@pytest.mark.parametrize("player", RATES)
@pytest.mark.parametrize(
    "step, factor",
    [(0, 1.0), (131_000, 0.5**0.3), (196_500, 0.25**0.3), (262_000, 0.0), (262_001, 0.0), (300_000, 0.0)],
)
def test_learning_rate_decays_to_zero_with_power_0_3(trainer, player, step, factor):
    rate = rate_at(getattr(trainer, player), step)
    assert rate == pytest.approx(RATES[player] * factor, rel=1e-5, abs=1e-12)


def test_learning_rate_never_rises(trainer):
    rates = [rate_at(trainer.generator_optimizer, step) for step in range(0, 262_001, 13_100)]
    assert np.all(np.diff(rates) < 0)


@pytest.mark.parametrize("player", RATES)
def test_adam_has_the_papers_constants(trainer, player):
    optimizer = getattr(trainer, player).inner_optimizer
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.999, 1e-8)
    assert not optimizer.amsgrad and not optimizer.weight_decay and not optimizer.use_ema
    assert optimizer.clipnorm is None and optimizer.global_clipnorm is None and optimizer.clipvalue is None


def test_linear_decay_is_a_setting():
    optimizer = small_trainer(decay_power=1.0, steps=100).generator_optimizer
    assert rate_at(optimizer, 25) == pytest.approx(0.75e-4, rel=1e-5)


@pytest.mark.parametrize("player", RATES)
def test_updates_are_standard_adam_by_hand(player):
    steps = 4
    trainer = small_trainer(steps=steps)
    optimizer, network = getattr(trainer, player), getattr(trainer, player.removesuffix("_optimizer"))
    variables = network.trainable_variables
    before = variables[0].numpy().astype(np.float64)
    m = v = moved = 0.0
    for t, slope in enumerate((1.0, -0.5, 2.0, 0.25)):
        optimizer.apply_gradients([(slope + 0 * variable, variable) for variable in variables])
        m = 0.9 * m + 0.1 * slope
        v = 0.999 * v + 0.001 * slope**2
        rate = RATES[player] * (1 - t / steps) ** 0.3
        moved -= rate * (m / (1 - 0.9 ** (t + 1))) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
        if t == 0:
            assert moved == pytest.approx(-RATES[player], rel=1e-6), "the first step is one learning rate"
        np.testing.assert_allclose(variables[0] - before, np.full(before.shape, moved), rtol=0, atol=2e-7)


@pytest.mark.parametrize("switches, exists", [(("use_adv", "use_grad_adv"), False), (("use_adv",), True)])
def test_without_adversarial_terms_there_is_no_discriminator(switches, exists):
    trainer = small_trainer(**dict.fromkeys(switches, False))
    assert (trainer.discriminator is not None) == exists
    assert (trainer.discriminator_optimizer is not None) == exists

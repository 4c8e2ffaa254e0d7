"""DeblurGAN's losses by hand, on flat images, with features and a critic that are linear."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.systems.deblurgan.objective import DeblurGanObjective

SLOPE = np.array([3.0, 0.0, 4.0], np.float32)  # its norm is 5
SIDE = 2
RESTORED, SHARP = 0.6, 0.9  # 0.2 and 0.8 in [-1, 1]


def critic(images):
    """[B, 2, 2, 3] -> [B, 2, 2, 1]: 3 red + 4 blue; D is their mean."""
    return tf.reduce_sum(images * SLOPE, axis=-1, keepdims=True)


@pytest.fixture
def pair():
    flat = [tf.fill([2, SIDE, SIDE, 3], value) for value in (RESTORED, SHARP)]
    return {"restored": flat[0]}, {"sharp": flat[1]}


def test_the_generators_terms(pair):
    objective = DeblurGanObjective(features=lambda images: 10.0 * images, lambda_content=100.0)
    terms = objective.generator_losses(*pair, critic)
    assert terms.keys() == {"content", "adversarial"}
    np.testing.assert_allclose(terms["content"], 2 * [100 * (10 * (0.2 - 0.8)) ** 2], rtol=1e-5)
    np.testing.assert_allclose(terms["adversarial"], 2 * [-7 * 0.2], rtol=1e-5)  # -D(restored)


@pytest.mark.parametrize(
    "gp_mode, slope",
    [
        ("standard", 5 / SIDE),  # D's slope at each of 4 pixels is a quarter of (3, 0, 4)
        ("deblurgan", 5),  # the sum's slope at each pixel is (3, 0, 4)
    ],
)
def test_the_critics_terms(pair, gp_mode, slope):
    outputs, batch = pair
    objective = DeblurGanObjective(features=None, lambda_gp=10.0, gp_mode=gp_mode)
    terms = objective.critic_losses(outputs["restored"], batch, critic, tf.constant([0.1, 0.7]))
    assert terms.keys() == {"fake", "real", "penalty"}
    np.testing.assert_allclose(terms["fake"], 2 * [7 * 0.2], rtol=1e-5)  # D(restored) - D(sharp)
    np.testing.assert_allclose(terms["real"], 2 * [-7 * 0.8], rtol=1e-5)
    np.testing.assert_allclose(terms["penalty"], 2 * [10 * (slope - 1) ** 2], rtol=1e-5)


def test_each_player_wants_what_it_should(pair):
    """The generator's loss falls as D(restored) rises, the critic's falls as D(sharp) does."""
    objective = DeblurGanObjective(features=lambda images: images)
    scale = tf.Variable(1.0)
    with tf.GradientTape(persistent=True) as tape:
        scaled = lambda images: scale * critic(images)  # noqa: E731
        generator = tf.reduce_sum(objective.generator_losses(*pair, scaled)["adversarial"])
        terms = objective.critic_losses(pair[0]["restored"], pair[1], scaled, tf.constant([0.5, 0.5]))
        player = tf.reduce_sum(terms["fake"] + terms["real"])
    # D(sharp) > D(restored) > 0: a steeper critic pleases both
    assert float(tape.gradient(generator, scale)) < 0 and float(tape.gradient(player, scale)) < 0

"""Binary cross entropy on logits: against -log(sigmoid) in float64, and stable far out."""

import math

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.losses.adversarial import binary_cross_entropy, gradient_penalty, wasserstein


def log_of_probability(logits, is_real):
    """-log D or -log(1 - D) with D = sigmoid, as the paper writes it."""
    probability = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return -np.log(probability if is_real else 1 - probability)


def test_by_hand():
    np.testing.assert_allclose(binary_cross_entropy([[0.0]], True), [math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(binary_cross_entropy([[0.0]], False), [math.log(2)], rtol=1e-6)
    logit = [[math.log(3)]]  # D = 3/4
    np.testing.assert_allclose(binary_cross_entropy(logit, True), [math.log(4 / 3)], rtol=1e-6)
    np.testing.assert_allclose(binary_cross_entropy(logit, False), [math.log(4)], rtol=1e-6)


@pytest.mark.parametrize("is_real", [True, False])
def test_against_the_papers_logarithms(is_real):
    logits = np.linspace(-12, 12, 49)[:, None]
    result = binary_cross_entropy(tf.constant(logits, tf.float32), is_real)
    assert result.shape == (49,) and result.dtype == tf.float32
    # Beyond 12 the reference's 1 - D cancels even in float64, not the loss.
    np.testing.assert_allclose(result, log_of_probability(logits, is_real)[:, 0], rtol=1e-5)


@pytest.mark.parametrize("is_real", [True, False])
def test_a_map_of_logits_is_averaged_per_sample(is_real):
    logits = np.random.default_rng(0).normal(size=(3, 4, 5, 1)).astype(np.float32)
    expected = [log_of_probability(sample, is_real).mean() for sample in logits]
    np.testing.assert_allclose(binary_cross_entropy(tf.constant(logits), is_real), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "logit, is_real, value, slope",
    [
        (1e4, True, 0, 0),
        (-1e4, True, 1e4, -1),
        (1e4, False, 1e4, 1),
        (-1e4, False, 0, 0),
    ],
)
def test_stable_far_out(logit, is_real, value, slope):
    logits = tf.constant([[logit]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = binary_cross_entropy(logits, is_real)
    np.testing.assert_allclose(loss, [value], rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, logits), [[slope]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_logits_are_lifted(dtype):
    logits = tf.cast([[-3.0], [0.5]], dtype)
    result = binary_cross_entropy(logits, True)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, log_of_probability([-3, 0.5], True), rtol=1e-5)


# ------------------------------------------------------------------------------------------- Wasserstein


def test_the_critics_value_is_the_mean_of_its_patches():
    values = tf.constant(np.arange(12.0).reshape(2, 2, 3, 1), tf.bfloat16)
    result = wasserstein(values)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, [2.5, 8.5])


def linear_critic(slope):
    """D(x) = sum of slope * x, as a map of one patch: its gradient is `slope` everywhere."""
    return lambda images: tf.reduce_sum(images * slope, axis=(1, 2, 3))[:, None, None, None]


def test_the_penalty_of_a_linear_critic_by_hand():
    """The gradient of 0.5 over 2 x 2 x 3 values has the norm sqrt(12 * 0.25) = 1.7321."""
    real, fake = (tf.constant(np.random.default_rng(n).uniform(-1, 1, (2, 2, 2, 3)), tf.float32) for n in range(2))
    mix = tf.constant([0.2, 0.7])
    result = gradient_penalty(linear_critic(0.5), real, fake, mix)
    np.testing.assert_allclose(result, [(np.sqrt(3) - 1) ** 2] * 2, rtol=1e-5)
    # Per pixel over its channels: sqrt(3 * 0.25) = 0.8660
    result = gradient_penalty(linear_critic(0.5), real, fake, mix, mode="deblurgan")
    np.testing.assert_allclose(result, [(np.sqrt(0.75) - 1) ** 2] * 2, rtol=1e-5)


def square_critic(images):
    """D(x) = mean of x^2 / 2 over a map of four patches, each the sum of its quarter: the gradient is x / 4."""
    return tf.nn.pool(0.5 * tf.reduce_sum(images**2, axis=3, keepdims=True), [2, 2], "AVG", [2, 2]) * 4.0


@pytest.mark.parametrize("mode", ["standard", "deblurgan"])
def test_the_penalty_is_taken_between_the_images_where_the_mix_says(mode):
    rng = np.random.default_rng(0)
    real, fake = (rng.uniform(-1, 1, (2, 4, 4, 3)).astype(np.float32) for _ in range(2))
    mix = np.array([0.2, 0.9], np.float32)
    result = gradient_penalty(square_critic, tf.constant(real), tf.constant(fake), tf.constant(mix), mode)
    x = mix[:, None, None, None] * real + (1 - mix)[:, None, None, None] * fake
    if mode == "standard":
        expected = (np.sqrt(((x / 4) ** 2).sum(axis=(1, 2, 3))) - 1) ** 2
    else:
        expected = ((np.sqrt((x**2).sum(axis=3)) - 1) ** 2).mean(axis=(1, 2))
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_a_flat_critic_has_a_finite_gradient():
    """Its slope is 0, where the root's own slope is infinite."""
    weight = tf.Variable(0.0)
    images = tf.ones([1, 2, 2, 3])
    with tf.GradientTape() as tape:
        loss = gradient_penalty(
            lambda x: weight * tf.reduce_sum(x, axis=(1, 2, 3))[:, None, None, None], images, -images, [0.5]
        )
    np.testing.assert_allclose(loss, [1.0], rtol=1e-5)
    assert np.isfinite(tape.gradient(loss, weight))

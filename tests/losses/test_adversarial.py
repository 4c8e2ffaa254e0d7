"""Binary cross entropy on logits: against -log(sigmoid) in float64, and stable far out."""

import math

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.losses.adversarial import binary_cross_entropy


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

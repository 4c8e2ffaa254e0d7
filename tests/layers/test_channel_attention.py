"""Squeeze and excitation: by hand, then a slow NumPy version."""

import numpy as np
import pytest

from tfdeblur.compat import precision, tf
from tfdeblur.layers.channel_attention import ChannelAttention


def slow(x, weights):
    """Image by image, gate by gate; weights: of the two matrices, with or without biases."""
    (w1, b1, w2, b2) = weights if len(weights) == 4 else (weights[0], 0, weights[1], 0)
    out = np.zeros(x.shape)
    for n, image in enumerate(x.astype(np.float64)):
        means = np.array([image[..., c].sum() / image[..., c].size for c in range(image.shape[-1])])
        hidden = np.maximum(means @ w1 + b1, 0)
        gates = 1 / (1 + np.exp(-(hidden @ w2 + b2)))
        for c, gate in enumerate(gates):
            out[n, ..., c] = gate * image[..., c]
    return out


def lively(layer, x):
    layer(x)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def test_by_hand():
    x = np.zeros((1, 2, 2, 2), np.float32)
    x[0, ..., 0] = [[1, 3], [5, 7]]  # mean 4
    x[0, ..., 1] = [[-2, 0], [0, -2]]  # mean -1
    layer = ChannelAttention(reduction=2)
    layer(x)
    # hidden = relu(4 - (-1) - 3) = 2; gates = sigmoid(2 * 0.5 - 1) = 0.5 and sigmoid(0 + log 3) = 0.75
    layer.set_weights([np.array([[1], [-1]]), np.array([-3]), np.array([[0.5, 0]]), np.array([-1, np.log(3)])])
    expected = x * np.float32([0.5, 0.75])
    np.testing.assert_allclose(layer(x), expected, rtol=1e-6)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("channels, reduction, hidden", [(12, 4, 3), (13, 4, 3), (3, 16, 1)])
def test_against_a_slow_reference(channels, reduction, hidden, use_bias):
    x = np.random.default_rng(0).normal(1, 2, (2, 4, 6, channels)).astype(np.float32)
    layer = lively(ChannelAttention(reduction, use_bias), x)
    shapes = [w.shape for w in layer.get_weights()]
    biases = [(hidden,), (channels,)] if use_bias else []
    assert sorted(shapes) == sorted([(channels, hidden), (hidden, channels), *biases])
    np.testing.assert_allclose(layer(x), slow(x, layer.get_weights()), rtol=1e-5, atol=1e-6)


def test_every_weight_learns():
    """Where its ReLU is alive, as the one hidden unit of a narrow layer may not be: so no contract can ask this."""
    x = np.random.default_rng(0).normal(1, 2, (2, 4, 6, 12)).astype(np.float32)
    layer = ChannelAttention(4)
    layer(x)
    layer.set_weights([np.abs(w) + 0.1 for w in layer.get_weights()])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert len(gradients) == 4 and all(np.abs(gradient).min() > 0 for gradient in gradients)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_means_are_taken_in_float32(policy):
    """600 x 128 x 128 is beyond float16, and bfloat16 stops counting at 256."""
    x = np.random.default_rng(0).uniform(500, 700, (1, 128, 128, 4)).astype(np.float32)
    with precision(policy):
        layer = ChannelAttention(4)
    layer(x)
    weights = [np.full((4, 1), 1e-3), np.array([-2.4]), np.full((1, 4), 2.0), np.zeros(4)]
    layer.set_weights(weights)
    out = layer(x)
    assert out.dtype == layer.compute_dtype
    np.testing.assert_allclose(tf.cast(out, tf.float32), slow(x, weights), rtol=0.03)


def test_double_precision_is_kept():
    x = np.random.default_rng(0).normal(1, 2, (2, 4, 6, 12))
    with precision("float64"):
        layer = lively(ChannelAttention(4), x)
    np.testing.assert_allclose(layer(x), slow(x, layer.get_weights()), rtol=1e-13)

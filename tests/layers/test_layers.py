"""Instance normalisation and PyTorch's padding against slow NumPy versions."""

import numpy as np
import pytest

from tfdeblur.compat import precision, tf
from tfdeblur.layers.instance_norm import InstanceNorm
from tfdeblur.layers.patch_critic import PatchCritic
from tfdeblur.layers.torch_conv import DoublingDeconv, ReflectConv, ZeroPadConv
from tfdeblur.systems.improved_deblurgan.networks import DepthwiseDoubling


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def with_lively_weights(layer, images):
    layer(images)
    layer.set_weights([values(*w.shape, seed=n + 1) for n, w in enumerate(layer.get_weights())])
    return layer


def correlate(padded, kernel, stride):
    """Valid correlation of [H, W, C] with [k, l, C, F], pixel by pixel."""
    k, el = kernel.shape[:2]
    rows, columns = (padded.shape[0] - k) // stride + 1, (padded.shape[1] - el) // stride + 1
    out = np.zeros((rows, columns, kernel.shape[3]))
    for row in range(rows):
        for column in range(columns):
            window = padded[row * stride : row * stride + k, column * stride : column * stride + el]
            out[row, column] = np.tensordot(window, kernel, 3)
    return out


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_instance_norm(policy):
    x = 5 + 3 * values(2, 4, 6, 3)
    with precision(policy):
        layer = InstanceNorm(epsilon=0.1)
    out = layer(x)
    mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    tolerance = 1e-5 if policy == "float32" else 0.05
    np.testing.assert_allclose(tf.cast(out, tf.float32), (x - mean) / np.sqrt(variance + 0.1), atol=tolerance)
    assert out.dtype == layer.compute_dtype


def test_instance_norm_of_large_values_in_half_precision_does_not_overflow():
    """300^2 is beyond float16."""
    with precision("mixed_float16"):
        out = InstanceNorm()(300 * values(1, 8, 8, 2))
    assert np.isfinite(out).all() and 0.9 < np.std(out.numpy().astype(np.float32)) < 1.1


def test_reflect_conv():
    x = values(1, 6, 7, 2)
    layer = with_lively_weights(ReflectConv(3, 5), x)
    kernel, bias = layer.get_weights()
    padded = np.pad(x[0], [(2, 2), (2, 2), (0, 0)], mode="reflect")
    np.testing.assert_allclose(layer(x)[0], correlate(padded, kernel, 1) + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel_size, strides, padding", [(3, 2, 1), (4, 2, 2), (4, 1, 2)])
def test_zero_pad_conv(kernel_size, strides, padding):
    x = values(1, 8, 6, 2)
    layer = with_lively_weights(ZeroPadConv(3, kernel_size, strides, padding), x)
    kernel, bias = layer.get_weights()
    padded = np.pad(x[0], [(padding, padding), (padding, padding), (0, 0)])
    np.testing.assert_allclose(layer(x)[0], correlate(padded, kernel, strides) + bias, rtol=1e-4, atol=1e-4)


def test_separable_is_depthwise_then_pointwise():
    x = values(1, 8, 6, 2)
    layer = with_lively_weights(ZeroPadConv(3, 3, 2, 1, separable=True), x)
    depthwise, pointwise, bias = layer.get_weights()
    padded = np.pad(x[0], [(1, 1), (1, 1), (0, 0)])
    middle = np.concatenate(
        [correlate(padded[..., c : c + 1], depthwise[:, :, c : c + 1], 2) for c in range(2)], axis=-1
    )
    np.testing.assert_allclose(layer(x)[0], middle @ pointwise[0, 0] + bias, rtol=1e-4, atol=1e-4)


def test_separable_reflect_conv_is_depthwise_then_pointwise():
    x = values(1, 9, 8, 2)
    layer = with_lively_weights(ReflectConv(3, 7, separable=True), x)
    depthwise, pointwise, bias = layer.get_weights()
    padded = np.pad(x[0], [(3, 3), (3, 3), (0, 0)], mode="reflect")
    middle = [correlate(padded[..., c : c + 1], depthwise[:, :, c : c + 1], 1) for c in range(2)]
    expected = np.concatenate(middle, axis=-1) @ pointwise[0, 0] + bias
    np.testing.assert_allclose(layer(x)[0], expected, rtol=1e-4, atol=1e-4)


def scatter(x, kernel, strides):
    """torch's ConvTranspose2d(padding=1, output_padding=1) where the stride is 2: every pixel paints the kernel."""
    k, el = kernel.shape[:2]
    down, right = strides
    out = np.zeros((x.shape[0] * down + k, x.shape[1] * right + el, kernel.shape[2]))
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            painted = np.einsum("klfc,c->klf", kernel, x[row, column])
            out[row * down : row * down + k, column * right : column * right + el] += painted
    top, left = int(down == 2), int(right == 2)
    return out[top : top + down * x.shape[0], left : left + right * x.shape[1]]


@pytest.mark.parametrize("kernel_size, strides", [((3, 3), (2, 2)), ((3, 1), (2, 1)), ((1, 3), (1, 2))])
def test_doubling_deconv(kernel_size, strides):
    x = values(1, 4, 5, 2)
    layer = with_lively_weights(DoublingDeconv(3, kernel_size, strides), x)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(layer(x)[0], scatter(x[0], kernel, strides) + bias, rtol=1e-4, atol=1e-4)


def test_depthwise_doubling():
    x = values(1, 4, 5, 2)
    layer = with_lively_weights(DepthwiseDoubling(), x)
    kernel, bias = layer.get_weights()
    for channel in range(2):
        expected = scatter(x[0, ..., channel : channel + 1], kernel[:, :, channel : channel + 1], (2, 2))
        np.testing.assert_allclose(layer(x)[0, ..., channel], expected[..., 0] + bias[channel], rtol=1e-4, atol=1e-4)


def test_the_critic_is_float32_under_every_policy():
    with precision("mixed_float16"):
        critic = PatchCritic(4)
    assert critic(tf.cast(values(1, 32, 32, 3), tf.float16)).dtype == tf.float32
    parts = [part for part in critic.submodules if isinstance(part, tf.keras.layers.Layer)]
    assert {part.compute_dtype for part in [critic, *parts]} == {"float32"}


def test_the_critic_sees_256_pixels_as_35_patches():
    assert PatchCritic(2)(tf.zeros([1, 256, 256, 3])).shape == (1, 35, 35, 1)

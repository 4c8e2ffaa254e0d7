"""SRN's blocks against slow convolutions, pixel by pixel."""

import numpy as np
import pytest

from tests.layers.slow import randomised, slow_conv, slow_deconv
from tfdeblur.compat import tf
from tfdeblur.layers.codec import DecodingBlock, EncodingBlock, ResidualBlocks


def random_images(shape, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(size=shape).astype(np.float32))


def test_residual_blocks_are_equation_9_of_madn():
    p = random_images((2, 6, 5, 3))
    nested = randomised(ResidualBlocks(3, num_blocks=2), p)
    (conv1, conv2), (conv3, conv4) = nested.residuals

    def r1(x):
        return conv2(conv1(x))

    def r2(x):
        return conv4(conv3(x))

    np.testing.assert_allclose(nested(p), p + r1(p) + r2(p + r1(p)), atol=1e-5)


def test_residual_blocks_against_slow_convolutions():
    x = random_images((1, 4, 3, 2)).numpy() - 0.5
    nested = randomised(ResidualBlocks(2, num_blocks=2), x)
    total = x.astype(np.float64)
    for conv1, conv2 in nested.residuals:
        total = total + slow_conv(np.maximum(slow_conv(total, conv1), 0), conv2)
    assert total.min() < 0, "no ReLU behind the sum"
    np.testing.assert_allclose(nested(x), total, atol=1e-5)


@pytest.mark.parametrize("strides", [1, 2])
def test_encoding_block_against_a_slow_convolution(strides):
    x = random_images((1, 6, 8, 3)).numpy() - 0.5
    block = randomised(EncodingBlock(4, strides, num_res_blocks=1), x)
    encoded = np.maximum(slow_conv(x, block.conv, strides), 0)
    ((conv1, conv2),) = block.residuals.residuals
    expected = encoded + slow_conv(np.maximum(slow_conv(encoded, conv1), 0), conv2)
    result = block(x)
    assert result.shape == (1, 6 // strides, 8 // strides, 4)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("strides, kernel_size", [(1, 3), (2, 4)])
def test_decoding_block_against_a_slow_deconvolution(strides, kernel_size):
    x = random_images((1, 3, 4, 3)).numpy() - 0.5
    block = randomised(DecodingBlock(3, 2, strides, num_res_blocks=1), x)
    ((conv1, conv2),) = block.residuals.residuals
    decoded = x + slow_conv(np.maximum(slow_conv(x, conv1), 0), conv2)
    expected = np.maximum(slow_deconv(decoded, block.deconv, strides), 0)
    result = block(x)
    assert result.shape == (1, 3 * strides, 4 * strides, 2)
    assert block.deconv.kernel.shape == (kernel_size, kernel_size, 2, 3)
    np.testing.assert_allclose(result, expected, atol=1e-5)

"""The generator of Improved DeblurGAN: counts of its readings, and what flows where, normalised in NumPy."""

import numpy as np
import pytest

from tests.layers.slow import randomised
from tfdeblur import info
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.systems import build
from tfdeblur.systems.improved_deblurgan.networks import DenseBlock, ImprovedDeblurGan, SeparableBlock, UpBlock


@pytest.mark.parametrize(
    "arguments, parameters, gmacs",
    [
        ({}, 528_163, 60.15),
        ({"growth": 12}, 397_663, 52.6),
        ({"growth": 64}, 796_867, 75.6),
        ({"up_kind": "sep"}, 388_451, 53.0),
        ({"skip": "concat"}, 562_147, 74.5),
        ({"head": "separable"}, 513_014, 46.2),
    ],
)
def test_counts_of_the_readings(arguments, parameters, gmacs):
    net = build("improved_deblurgan", **arguments)
    assert net.count_params() == parameters
    assert info.multiply_accumulates(net, (720, 1280)) / 1e9 == pytest.approx(gmacs, abs=0.05)


def images(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(size=shape).astype(np.float32))


def normalised(x):
    """relu of x with each channel of each image at mean 0 and variance 1."""
    x = np.asarray(x, np.float64)
    x = (x - x.mean(axis=(1, 2), keepdims=True)) / np.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-5)
    return np.maximum(x, 0).astype(np.float32)


def test_blocks_are_convolutions_normalised_and_cut_at_zero():
    x = images(2, 8, 6, 5)
    block = randomised(SeparableBlock(4, strides=2), x)
    np.testing.assert_allclose(block(x), normalised(block.conv(x)), atol=1e-4)
    for kind in ("asym", "sep"):
        block = randomised(UpBlock(4, kind), x)
        first, second = block.up
        np.testing.assert_allclose(block(x), normalised(second(first(x))), atol=1e-4)
        assert block(x).shape == (2, 16, 12, 4)


def test_each_dense_layer_sees_all_before():
    x = images(1, 6, 6, 4)
    dense = randomised(DenseBlock(3), x)
    seen = x
    for number, block in enumerate(dense.blocks):
        assert seen.shape[-1] == 4 + 3 * number
        seen = tf.concat([seen, normalised(block.conv(seen))], axis=-1)
    assert number == 8
    np.testing.assert_allclose(dense(x), seen, atol=1e-3)


@pytest.mark.parametrize("skip", ["add", "concat"])
def test_whole_generator(skip):
    blurred = images(1, 16, 24, 3)
    net = randomised(ImprovedDeblurGan(width=6, growth=3, skip=skip), blurred, scale=0.2)
    centred = 2 * blurred - 1
    e0 = normalised(net.first(centred))
    e1 = net.down1(e0)
    x = normalised(net.transition(net.dense(net.down2(e1))))
    for up, encoded in ((net.up1, e1), (net.up2, e0)):
        x = up(x)
        x = x + encoded if skip == "add" else tf.concat([x, encoded], axis=-1)
    expected = np.clip(centred + np.tanh(net.last(x)), -1, 1) / 2 + 0.5
    restored = net(blurred)["restored"]
    np.testing.assert_allclose(restored, expected, atol=1e-4)
    assert np.std(restored - blurred) > 0.01, "a test of the input would show nothing"


@pytest.mark.parametrize("arguments", [{"width": 0}, {"growth": 0}, {"up_kind": "x"}, {"skip": "x"}, {"head": "x"}])
def test_what_cannot_be_built_is_refused(arguments):
    with pytest.raises(DeblurError, match=next(iter(arguments))):
        ImprovedDeblurGan(**arguments)

"""MS-SSIM: the golden pair, TensorFlow, and values by hand."""

import numpy as np
import pytest
from scipy import ndimage

from tfdeblur.errors import DeblurError
from tfdeblur.metrics import ms_ssim
from tfdeblur.metrics.ms_ssim import _halve, _multi_scale

C1 = (0.01 * 255) ** 2


def random_pair(height, width, seed=0):
    """Noise, and the same noise with more noise on it."""
    rng = np.random.default_rng(seed)
    sharp = rng.integers(0, 256, (height, width, 3))
    return np.clip(sharp + rng.normal(0, 30, sharp.shape), 0, 255).astype(np.uint8), sharp.astype(np.uint8)


def natural_pair():
    """A photograph, and the same after a horizontal motion of 9 pixels; uint8 [300, 451, 3]."""
    data = pytest.importorskip("skimage.data")
    sharp = data.chelsea()
    blurred = ndimage.uniform_filter1d(sharp.astype(np.float64), 9, axis=1, mode="nearest")
    return np.round(blurred).astype(np.uint8), sharp


def test_golden_value():
    row, column, channel = np.ogrid[:192, :192, :3]
    first, second = (0.5 + 0.5 * np.sin(0.3 * row + 0.2 * column * (channel + 1) + phase) for phase in (0.0, 0.2))
    # The golden is of unrounded images in 0 to 1; with the constants for 255 they count in 0 to 255.
    assert _multi_scale(255 * first, 255 * second) == pytest.approx(0.9810169062094243, abs=1e-9)


# TensorFlow computes in float32 on 0 to 1, as in test_ssim.py; measured 2e-5 at most.
@pytest.mark.parametrize("channel", range(3))
def test_equals_tensorflow_on_each_channel_of_a_photograph(channel):
    tf = pytest.importorskip("tensorflow")
    restored, sharp = (image[..., channel : channel + 1].repeat(3, axis=2) for image in natural_pair())
    expected = tf.image.ssim_multiscale(tf.constant(restored[..., :1]), tf.constant(sharp[..., :1]), max_val=255)
    assert ms_ssim(restored, sharp) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize("pair", [natural_pair, lambda: random_pair(161, 161), lambda: random_pair(181, 230)])
def test_equals_tensorflow(pair):
    tf = pytest.importorskip("tensorflow")
    restored, sharp = pair()
    expected = float(tf.image.ssim_multiscale(tf.constant(restored), tf.constant(sharp), max_val=255))
    assert ms_ssim(restored, sharp) == pytest.approx(expected, abs=1e-4)
    assert expected < 0.99


def test_the_smallest_size_is_tensorflows():
    tf = pytest.importorskip("tensorflow")
    restored, sharp = random_pair(160, 200)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.image.ssim_multiscale(tf.constant(restored), tf.constant(sharp), max_val=255)
    with pytest.raises(DeblurError, match="protocol ms_ssim .*161x161.*160x200") as caught:
        ms_ssim(restored, sharp)
    assert "\n" not in str(caught.value)
    assert 0 < ms_ssim(*random_pair(161, 161)) < 1


def test_halving_by_hand():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)  # 0 1 2 / 3 4 5
    np.testing.assert_array_equal(_halve(image)[..., 0], [[2.0, 3.5]])
    np.testing.assert_array_equal(_halve(image[:1])[..., 0], [[0.5, 2.0]])


def test_identical_images_score_exactly_one():
    image, _ = random_pair(170, 165)
    assert ms_ssim(image, image.copy()) == 1.0
    assert type(ms_ssim(image, image)) is float


@pytest.mark.parametrize("low, high", [(100, 110), (0, 255)])
def test_two_constants_by_hand(low, high):
    # Luminance counts at the last level alone.
    expected = ((2 * low * high + C1) / (low**2 + high**2 + C1)) ** 0.1333
    images = (np.full((161, 170, 3), value, np.uint8) for value in (low, high))
    assert ms_ssim(*images) == pytest.approx(expected, abs=1e-9)


def test_a_negative_counts_as_nothing():
    # Contrast and structure of an image and its negative are below 0, where a fractional power is not real.
    _, sharp = natural_pair()
    assert ms_ssim(255 - sharp, sharp) == 0.0


def test_refusals():
    restored, sharp = random_pair(170, 170)
    with pytest.raises(ValueError, match="uint8"):
        ms_ssim(restored / 255, sharp)
    with pytest.raises(ValueError, match="one shape"):
        ms_ssim(restored, sharp[1:])

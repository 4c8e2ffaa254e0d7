"""THE Sobel, forward differences and EGNet's gradient map: by hand, then TensorFlow's and slow versions."""

import itertools
import math

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.ops.gradients import (
    box_mean,
    enhanced_gradient,
    forward_differences,
    laplacian,
    sobel_components,
    sobel_magnitude,
)


def along_width(values, height=5):
    return np.broadcast_to(np.float32(values)[None, None, :, None], (1, height, len(values), 1)).copy()


@pytest.mark.parametrize(
    "values, slope",
    [
        ([0, 0, 1, 1], [0, 4, 4, 0]),
        ([1, 1, 0, 0], [0, -4, -4, 0]),
        ([0, 0.1, 0.2, 0.3, 0.4], [0, 0.8, 0.8, 0.8, 0]),
        ([0, 0, 1, 0, 0], [0, 4, 0, -4, 0]),
    ],
)
def test_step_ramp_and_line_by_hand(values, slope):
    image = along_width(values)
    horizontal, vertical = sobel_components(tf.constant(image))
    np.testing.assert_allclose(horizontal, along_width(slope), atol=1e-6)
    np.testing.assert_allclose(vertical, 0 * image, atol=1e-6)
    np.testing.assert_allclose(sobel_magnitude(tf.constant(image)), np.sqrt(along_width(slope) ** 2 + 1e-6), atol=1e-6)

    upright = image.transpose(0, 2, 1, 3)
    horizontal, vertical = sobel_components(tf.constant(upright))
    np.testing.assert_allclose(horizontal, 0 * upright, atol=1e-6)
    np.testing.assert_allclose(vertical, along_width(slope).transpose(0, 2, 1, 3), atol=1e-6)


def test_an_impulse_shows_the_mask_by_hand():
    image = np.zeros((1, 5, 5, 1), np.float32)
    image[0, 2, 2] = 1
    horizontal, vertical = sobel_components(tf.constant(image))
    mask = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])  # left of the impulse it gets brighter to the right
    np.testing.assert_array_equal(horizontal[0, 1:4, 1:4, 0], mask)
    np.testing.assert_array_equal(vertical[0, 1:4, 1:4, 0], mask.T)


@pytest.mark.parametrize("height, width", [(2, 2), (2, 5), (3, 3), (7, 12)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_tensorflows_sobel_borders_included(height, width, dtype):
    images = np.random.default_rng(0).uniform(size=(2, height, width, 3)).astype(dtype)
    edges = tf.image.sobel_edges(tf.constant(images)).numpy()  # [..., (vertical, horizontal)]
    horizontal, vertical = sobel_components(tf.constant(images))
    np.testing.assert_allclose(vertical, edges[..., 0], atol=1e-5)
    np.testing.assert_allclose(horizontal, edges[..., 1], atol=1e-5)
    magnitude = sobel_magnitude(tf.constant(images))
    np.testing.assert_allclose(magnitude, np.sqrt(np.sum(edges**2, axis=-1) + 1e-6), atol=1e-5)
    assert magnitude.dtype == dtype and magnitude.shape == images.shape


def test_the_largest_value_is_the_root_of_20():
    # The square is convex in the nine pixels, so its maximum over [0, 1] lies at one of the black-white patterns.
    patterns = np.array(list(itertools.product([0, 1], repeat=9)), np.float32).reshape(512, 3, 3, 1)
    largest = sobel_magnitude(tf.constant(patterns)).numpy()[:, 1, 1].max()
    assert largest == pytest.approx(math.sqrt(20), abs=1e-6)
    corner = np.float32([[0, 0, 1], [0, 0, 1], [0, 1, 1]])[None, :, :, None]  # horizontal 4, vertical 2
    assert float(sobel_magnitude(tf.constant(corner))[0, 1, 1, 0]) == pytest.approx(math.sqrt(20), abs=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_flat_regions_have_value_1e_3_and_a_finite_slope(level):
    image = tf.fill([1, 4, 6, 3], level)
    with tf.GradientTape() as tape:
        tape.watch(image)
        magnitude = sobel_magnitude(image)
    np.testing.assert_allclose(magnitude, 1e-3, rtol=1e-3)
    np.testing.assert_allclose(tape.gradient(magnitude, image), 0, atol=1e-2)


def test_channels_do_not_mix():
    image = np.full((1, 5, 4, 3), 0.5, np.float32)
    image[..., 1] = along_width([0, 0, 1, 1])[..., 0]
    magnitude = sobel_magnitude(tf.constant(image)).numpy()
    np.testing.assert_allclose(magnitude[..., [0, 2]], 1e-3, rtol=1e-3)
    np.testing.assert_allclose(magnitude[:, :, 1:3, 1], 4, atol=1e-6)


def test_forward_differences_by_hand():
    image = np.float32([[1, 4, 2], [7, 7, -1]])[None, :, :, None]
    horizontal, vertical = forward_differences(tf.constant(image))
    np.testing.assert_array_equal(horizontal[0, :, :, 0], [[3, -2], [0, -8]])
    np.testing.assert_array_equal(vertical[0, :, :, 0], [[6, 3, -3]])


# ------------------------------------------------------------------------------------------------ EGNet's Eq. 15


def test_laplacian_and_box_of_an_impulse_by_hand():
    image = np.zeros((1, 5, 5, 2), np.float32)
    image[0, 2, 2] = [1, 9]
    result = laplacian(tf.constant(image)).numpy()[0]
    np.testing.assert_array_equal(result[1:4, 1:4, 0], [[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    np.testing.assert_array_equal(result[..., 1], 9 * result[..., 0])
    assert np.count_nonzero(result) == 10
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = 1
    np.testing.assert_allclose(box_mean(tf.constant(image))[0, ..., 1], expected, atol=1e-6)


def test_borders_are_mirrored():
    ramp = along_width([0, 1, 2, 3])
    np.testing.assert_allclose(laplacian(tf.constant(ramp)), along_width([2, 0, 0, -2]), atol=1e-6)
    np.testing.assert_allclose(box_mean(tf.constant(ramp)), along_width([2 / 3, 1, 2, 7 / 3]), atol=1e-6)


def slow_enhanced_gradient(image):
    """Eq. 15 of one image [H, W, C], pixel by pixel."""

    def window(x, row, column):
        return np.pad(x, [(1, 1), (1, 1), (0, 0)], mode="reflect")[row : row + 3, column : column + 3]

    def everywhere(x, function):
        height, width = x.shape[:2]
        return np.array([[function(window(x, row, column)) for column in range(width)] for row in range(height)])

    def normalised_laplacian(x):
        cross = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[..., None]
        x = abs(everywhere(x, lambda pixels: (cross * pixels).sum(axis=(0, 1))))
        return (x - x.min()) / (x.max() - x.min())

    return normalised_laplacian(everywhere(image, lambda pixels: pixels.mean(axis=(0, 1)))) * normalised_laplacian(
        image
    )


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-4), (np.float64, 1e-5)])
def test_enhanced_gradient_against_a_slow_version(dtype, tolerance):
    images = np.random.default_rng(0).uniform(size=(2, 7, 9, 3)).astype(dtype)
    images[1] *= 0.01  # each image has its own range
    result = enhanced_gradient(tf.constant(images))
    assert result.dtype == dtype
    for found, image in zip(result.numpy(), images, strict=True):
        # 1e-6 in the denominator is a ten-thousandth of the range of the second image
        np.testing.assert_allclose(found, slow_enhanced_gradient(image.astype(np.float64)), atol=1e-3)
    np.testing.assert_allclose(result[0], slow_enhanced_gradient(images[0].astype(np.float64)), atol=tolerance)


def test_enhanced_gradient_of_a_flat_image_is_0_with_a_finite_slope():
    image = tf.fill([1, 4, 6, 3], 0.3)
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = enhanced_gradient(image)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    assert np.isfinite(tape.gradient(value, image)).all()


def test_no_gradient_flows_through_the_least_and_the_largest_value():
    """Along a direction that changes them alone, the map moves and its gradient does not show it."""
    images = tf.constant(np.random.default_rng(0).uniform(size=(1, 8, 8, 1)))
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(enhanced_gradient(images))
    slope = tape.gradient(total, images)
    # Scaling the image scales both Laplacians and their ranges: the map stays. With the ranges held, its derivative
    # is that of (a^2) times the map at a = 1, but for the least values, which are next to 0.
    along = float(tf.reduce_sum(slope * images))
    assert float(tf.reduce_sum(enhanced_gradient(1.01 * images))) == pytest.approx(float(total), rel=1e-4)
    assert along == pytest.approx(2 * float(total), rel=0.1)

"""The targets that OpenCV makes are those of the definitions in tfdeblur.ops, border included."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.data import targets
from tfdeblur.data.photographs import photograph
from tfdeblur.ops import geometry, gradients

IMAGES = {
    "noise": np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8),
    "photograph": photograph("chelsea.png")[:128, :200],
    "flat": np.full((16, 16, 3), 77, np.uint8),
    "black and white": np.kron(np.indices((6, 8)).sum(axis=0) % 2 * 255, np.ones((1, 1)))[..., None]
    .repeat(3, 2)
    .astype(np.uint8),
    "smallest": np.array([[[0, 9, 255], [255, 8, 1]], [[30, 7, 2], [4, 6, 250]]], np.uint8),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("resize", targets.HALVES)
def test_halves_are_those_of_ops(resize, name):
    image = IMAGES[name].astype(np.float32) / 255
    height, width = image.shape[:2]
    out = np.full((height // 2, width // 2, 3), np.nan, np.float32)
    targets.HALVES[resize](image, out=out)
    expected = getattr(geometry, f"half_{resize}")(tf.constant(image[None]))[0]
    np.testing.assert_allclose(out, expected, atol=1e-6, rtol=0)


def test_half_bicubic_by_hand():
    """One bright pixel at column 3 of a row: output 1 has it at its weight 9/16, output 2 at -1/16."""
    image = np.zeros((4, 8, 3), np.float32)
    image[:, 3] = 1
    out = np.empty((2, 4, 3), np.float32)
    targets.half_bicubic(image, out=out)
    # Output 0 has lost the pixel left of the image, whose weight is -1/16: the others add up to 17/16.
    expected = [0, 9 / 16, -1 / 16, 0]
    np.testing.assert_allclose(out, np.tile(np.array(expected)[None, :, None], (2, 1, 3)), atol=1e-7)
    image = np.zeros((4, 8, 3), np.float32)
    image[:, 0] = 1
    targets.half_bicubic(image, out=out)
    np.testing.assert_allclose(out[0, :, 0], [9 / 17, 0, 0, 0], atol=1e-7)


@pytest.mark.parametrize("name", IMAGES)
def test_sobel_magnitude_is_that_of_ops(name):
    image = IMAGES[name]
    out = np.full(image.shape, np.nan, np.float32)
    targets.sobel_magnitude(image, out=out)
    expected = gradients.sobel_magnitude(tf.constant(image[None].astype(np.float32) / 255))[0]
    np.testing.assert_allclose(out, expected, atol=2e-6, rtol=0)


def test_sobel_magnitude_by_hand():
    """A step of 255 beside a column: 4 * 1 in slope, and the floor of 1e-3 where nothing changes."""
    image = np.zeros((5, 6, 3), np.uint8)
    image[:, 3:] = 255
    out = np.empty(image.shape, np.float32)
    targets.sobel_magnitude(image, out=out)
    np.testing.assert_allclose(out[:, [2, 3]], np.sqrt(16 + 1e-6), rtol=1e-6)
    np.testing.assert_allclose(out[:, [0, 1, 4, 5]], 1e-3, rtol=1e-6)

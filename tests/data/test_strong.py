"""Strong augmentation: places with detail, scales, noise and JPEG."""

import numpy as np
import pytest

from tfdeblur.data import strong
from tfdeblur.data.shake import generator

GREY = np.full((64, 64, 3), 128, np.uint8)


def places(sharp, crop, count=200):
    return np.array([strong.place(sharp, crop, generator(0, n)) for n in range(count)])


def test_squares_are_one_to_two_crops_wide_and_inside():
    found = places(np.zeros((200, 300, 3), np.uint8), 40)
    tops, lefts, sides = found.T
    assert sides.min() == 40 and sides.max() in (79, 80)
    assert np.mean(sides) == pytest.approx(40 * 2 * np.log(2), rel=0.05), "crop / scale, scale uniform in 0.5 .. 1"
    assert tops.min() >= 0 and lefts.min() >= 0
    assert (tops + sides).max() <= 200 and (lefts + sides).max() <= 300
    assert (tops + sides).max() > 190 and (lefts + sides).max() > 285, "up to the border"


def test_a_square_that_does_not_fit_is_as_large_as_the_image_allows():
    assert places(np.zeros((50, 300, 3), np.uint8), 40)[:, 2].max() == 50
    np.testing.assert_array_equal(places(np.zeros((40, 40, 3), np.uint8), 40), [[0, 0, 40]] * 200)


def test_places_with_detail_are_preferred():
    """Detail in the right half, plain the left: the best of three random places is on the left once in eight times."""
    image = np.random.default_rng(0).integers(0, 256, (100, 400, 3), np.uint8)
    image[:, :200] = 128
    found = places(image, 20, 400)
    plain = np.mean(found[:, 1] + found[:, 2] <= 200)
    assert 0.03 < plain < 0.2


def test_shrinking_takes_means_of_blocks():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    means = image.reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(strong.shrink(image, 4), means, atol=0.51)
    np.testing.assert_array_equal(strong.shrink(image, 8), image)


def test_a_third_has_noise_and_a_third_is_compressed():
    """On grey, JPEG alone changes nothing, so what changed had noise; on a ramp of reds what changed had either."""
    ramp = np.zeros((64, 64, 3), np.uint8)
    ramp[..., 0] = np.arange(0, 256, 4)
    noisy = [np.any(strong.degrade(GREY, generator(0, n)) != GREY) for n in range(600)]
    either = [np.any(strong.degrade(ramp, generator(0, n)) != ramp) for n in range(600)]
    assert np.mean(noisy) == pytest.approx(1 / 3, abs=0.06)
    assert np.mean(either) == pytest.approx(1 - (2 / 3) ** 2, abs=0.06)


def test_noise_is_up_to_six_levels_and_centred():
    spreads = []
    for n in range(300):
        change = strong.degrade(GREY, generator(1, n)).astype(int) - 128
        assert abs(change.mean()) < 0.5
        spreads.append(change.std())
    assert 5 < max(spreads) < 6.5


def test_jpeg_keeps_the_colours():
    """Red stays red: an image handed to OpenCV in the wrong order would still come back in its own colours, but with
    the chroma quantised by another's weights; a swap on one way only would make it blue."""
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    for n in range(60):
        result = strong.degrade(red, generator(2, n)).astype(float).mean(axis=(0, 1))
        np.testing.assert_allclose(result, [200, 0, 0], atol=6)


def test_the_image_itself_is_not_changed():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    before = image.copy()
    for n in range(20):
        strong.degrade(image, generator(3, n))
    np.testing.assert_array_equal(image, before)

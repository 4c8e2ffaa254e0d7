"""Measurements on pairs whose shift, tone curve and kind of averaging are known, as they were made here."""

import math

import cv2
import numpy as np
import pytest

from tfdeblur.data.alignment import Shift, averaging, shift, tones, undo_shift
from tfdeblur.data.photographs import photograph
from tfdeblur.data.shake import Shake, generator, random_kernel

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "astronaut.png")


def blurred(sharp, kernel, power=1.0, rounding=np.rint):
    """The average of sharp ** power under a kernel (convolution orientation)."""
    values = cv2.filter2D(sharp.astype(np.float64) ** power, -1, kernel[::-1, ::-1].astype(np.float64))
    return np.clip(rounding(np.maximum(values, 0) ** (1 / power) + 1e-6), 0, 255).astype(np.uint8)


def shake(number, length=16.0):
    return random_kernel(generator(number), Shake(length=(length, length), anxiety=0.02))


def moved(image, dx, dy, margin=24):
    """Two crops: of the scene, and of the same scene with its content moved right and down."""
    height, width = image.shape[:2]
    inner = image[margin : height - margin, margin : width - margin]
    return image[margin - dy : height - margin - dy, margin - dx : width - margin - dx], inner


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("way", [(0, 0), (1, 0), (0, -1), (5, -3), (-24, 17)])
def test_a_known_move_is_found(name, way):
    found = shift(*moved(photograph(name), *way))
    assert found[:2] == pytest.approx(way, abs=0.05) and found.likeness > 0.999


def test_half_a_pixel_is_found():
    image = photograph("chelsea.png").astype(np.float32)
    half = np.rint((image[:, 1:] + image[:, :-1]) / 2).astype(np.uint8)  # content lies half a pixel further left
    found = shift(half, photograph("chelsea.png")[:, :-1])
    assert found[:2] == pytest.approx((-0.5, 0), abs=0.05)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("number", range(3))
def test_blur_by_a_centred_kernel_is_no_shift(name, number):
    sharp = photograph(name)
    found = shift(blurred(sharp, shake(number), power=2.2), sharp)
    assert math.hypot(*found[:2]) < 0.6, found  # the kernel is up to 16 px long


def test_a_kernel_off_its_middle_is_a_shift_by_its_centre_of_gravity():
    kernel = np.zeros((13, 21), np.float32)
    kernel[6, 10:] = 1 / 11  # the light moved 0 .. 10 px to the right
    found = shift(blurred(photograph("coffee.png"), kernel), photograph("coffee.png"))
    assert found[:2] == pytest.approx((5, 0), abs=0.3)


def test_a_shift_is_found_under_another_brightness_and_beside_something_that_moves():
    first, second = moved(photograph("astronaut.png"), 3, -2)
    first = np.rint(40 + 0.6 * first).astype(np.uint8)
    first[100:200, 50:150] = first[100:200, 70:170].copy()  # 20 px to the left on a twentieth of the picture
    assert shift(first, second)[:2] == pytest.approx((3, -2), abs=0.3)


def test_large_pictures_are_measured_in_their_own_pixels():
    large = np.repeat(np.repeat(photograph("coffee.png"), 3, axis=0), 3, axis=1)  # 1200x1800
    assert shift(*moved(large, 9, 6))[:2] == pytest.approx((9, 6), abs=0.15)


def test_where_nothing_can_be_seen_the_shift_is_unknown():
    flat = np.full((120, 160, 3), 90, np.uint8)
    columns = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 160, 3), np.uint8), 120, axis=0)
    for image in (flat, columns, flat[:1, :1], photograph("coffee.png")[:6, :9]):
        assert math.isnan(shift(image, image).dx)


def test_different_pictures_are_not_alike():
    coffee, chelsea = photograph("coffee.png")[:300, :451], photograph("chelsea.png")
    assert shift(coffee, chelsea).likeness < 0.8
    assert shift(chelsea, chelsea).likeness == pytest.approx(1)


def test_undoing_a_shift_leaves_what_both_show():
    image = np.arange(6 * 7 * 3, dtype=np.uint8).reshape(6, 7, 3)
    for dx, dy in ((2, 1), (-2, 1), (0, -3), (0, 0)):
        whole = np.zeros((20, 20, 3), np.uint8)
        whole[7:13, 7:14] = image
        left = whole[7 - dy : 13 - dy, 7 - dx : 14 - dx]  # content to the right by dx, down by dy
        first, second = undo_shift(left, image, Shift(dx + 0.3, dy - 0.3, 1.0))
        np.testing.assert_array_equal(first, second)
        assert first.shape == (6 - abs(dy), 7 - abs(dx), 3)
    first, second = undo_shift(image, image, Shift(math.nan, math.nan, 1.0))
    assert first.shape == second.shape == image.shape


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_tone_curve_is_found(name):
    sharp = photograph(name)
    soft = blurred(sharp, shake(1))
    assert tones(sharp, sharp) == pytest.approx((1, 1))
    assert tones(soft, sharp) == pytest.approx((1, 1), abs=0.05)
    assert tones(np.rint(0.7 * soft).astype(np.uint8), sharp) == pytest.approx((1, 0.72), abs=0.05)
    # Local means of sharp ** p are not those of sharp, to the power p: hence the margins.
    bright, dark = (np.rint(255 * (soft / 255) ** p).astype(np.uint8) for p in (1 / 2.2, 2.2))
    assert tones(bright, sharp)[0] == pytest.approx(1 / 2.2, abs=0.1)
    assert tones(dark, sharp)[0] > 1.6  # 2.2, less what the mean of a power differs from the power of a mean


def test_the_tone_curve_of_a_flat_picture_is_a_gain():
    flat = np.full((80, 120, 3), 100, np.uint8)
    exponent, gain = tones(flat // 2, flat)
    assert (exponent, gain) == pytest.approx((1, 58 / 108))  # 8 is added to both


def test_a_level_more_or_less_in_the_dark_is_no_other_tone_curve():
    dark = (photograph("coffee.png") // 40).astype(np.uint8)  # 0 .. 6
    assert tones(dark, dark + np.uint8(1)) == pytest.approx((1, 1), abs=0.15)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("power", [1.0, 1.6, 2.2, 3.0])
@pytest.mark.parametrize("rounding", [np.rint, np.floor])
def test_the_power_that_was_averaged_is_found(name, power, rounding):
    sharp = photograph(name)
    found = averaging(blurred(sharp, shake(2), power, rounding), sharp)
    assert found == pytest.approx(power, abs=0.35), found


def test_averaged_frames_of_a_moving_camera_tell_how_they_were_averaged():
    whole = photograph("astronaut.png").astype(np.float64)
    frames = [whole[20:-20, 20 + 3 * n : 430 + 3 * n] for n in range(7)]
    for power in (1.0, 2.2):
        mean = np.floor(np.mean([frame**power for frame in frames], axis=0) ** (1 / power) + 1e-6).astype(np.uint8)
        assert averaging(mean, frames[3].astype(np.uint8)) == pytest.approx(power, abs=0.2)


def test_what_cannot_be_told_is_not_said():
    flat = np.full((200, 300, 3), 90, np.uint8)
    sharp = photograph("chelsea.png")
    noise = np.random.default_rng(0).normal(0, 6, sharp.shape)
    noisy = np.clip(sharp + noise, 0, 255).astype(np.uint8)
    for pair in (
        (flat, flat),
        (sharp, sharp),
        (sharp[:30, :40], sharp[:30, :40]),
        (sharp[:, ::-1], sharp),
        (noisy, sharp),
    ):
        assert math.isnan(averaging(*pair))

"""PSNR: values by hand, the golden pair, and what it refuses."""

import math

import numpy as np
import pytest

from tfdeblur.errors import DeblurError
from tfdeblur.metrics import psnr, psnr_float
from tfdeblur.metrics.psnr import check_pair, check_size


def constant(value, size=(16, 20)):
    return np.full((*size, 3), value, np.uint8)


def golden_image(phase):
    """The goldens' `img(32, 40, phase)`, rounded to uint8 [32, 40, 3].

    goldens.json leaves size and phases unsaid. 32x40 with 0.0 and 0.7 is the one pair of those tried that
    gives `psnr_float01` to the last digit, and rounding (not truncation) then gives `psnr_uint8_255`.
    """
    row, column, channel = np.ogrid[:32, :40, :3]
    return 0.5 + 0.5 * np.sin(0.3 * row + 0.2 * column * (channel + 1) + phase)


@pytest.mark.parametrize("low, high, difference", [(100, 110, 10), (0, 255, 255), (7, 8, 1)])
def test_constants_by_hand(low, high, difference):
    expected = 20 * math.log10(255 / difference)
    assert psnr(constant(low), constant(high)) == pytest.approx(expected, abs=1e-12)
    assert psnr(constant(high), constant(low)) == pytest.approx(expected, abs=1e-12), "uint8 wrapped around"


def test_mean_runs_over_pixels_and_channels():
    sharp = constant(50, (4, 5))
    restored = sharp.copy()
    restored[1, 2, 0] += 30  # one of 60 numbers is off by 30: mean square 900 / 60 = 15
    assert psnr(restored, sharp) == pytest.approx(10 * math.log10(255**2 / 15), abs=1e-12)


def test_identical_images_are_infinite():
    value = psnr(constant(3), constant(3))
    assert value == math.inf
    assert float(str(value)) == value, 'the spelling "inf" reads back'


def test_returns_a_python_float():
    assert type(psnr(constant(1), constant(2))) is float


def test_matches_a_slow_float_reference():
    generator = np.random.default_rng(0)
    restored, sharp = generator.integers(0, 256, (2, 37, 23, 3), dtype=np.uint8)
    total = sum((float(a) - float(b)) ** 2 for a, b in zip(restored.flat, sharp.flat, strict=True))
    assert psnr(restored, sharp) == pytest.approx(10 * math.log10(255**2 * sharp.size / total), abs=1e-12)


def test_golden_values():
    first, second = golden_image(0.0), golden_image(0.7)
    # The float entry shows that the pair is the right one: no integer image gives it.
    psnr_float = -10 * math.log10(np.mean(np.square(first - second)))
    # Both are one mean of float64 squares; 1e-12 leaves room for the order of summation alone.
    assert psnr_float == pytest.approx(12.308649871730443, abs=1e-12)
    restored, sharp = (np.round(image * 255).astype(np.uint8) for image in (first, second))
    assert psnr(restored, sharp) == pytest.approx(12.312741192589392, abs=1e-12)


def test_takes_views_and_leaves_the_images_alone():
    generator = np.random.default_rng(1)
    restored, sharp = generator.integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    restored.flags.writeable = sharp.flags.writeable = False
    view, other = restored[3:33:2, ::-1], sharp[3:33:2, ::-1]
    assert psnr(view, other) == psnr(view.copy(), other.copy())


@pytest.mark.parametrize(
    "restored, sharp, message",
    [
        (constant(1).astype(np.float32), constant(1), "restored must be uint8"),
        (constant(1), constant(1).astype(np.int64), "sharp must be uint8"),
        (constant(1)[..., 0], constant(1)[..., 0], r"restored must be .*RGB.*\(16, 20\)"),
        (constant(1)[None], constant(1)[None], "restored must be .*RGB"),
        (constant(1)[..., :1], constant(1)[..., :1], "restored must be .*RGB"),
        (constant(1)[:0], constant(1)[:0], "non-empty"),
        (constant(1), constant(1)[:-1], r"one shape, got \(16, 20, 3\) and \(15, 20, 3\)"),
    ],
)
def test_refusals_are_one_line(restored, sharp, message):
    with pytest.raises(ValueError, match=message) as caught:
        psnr(restored, sharp)
    assert "\n" not in str(caught.value)


def test_check_pair_copies_nothing():
    restored, sharp = constant(1), constant(2)
    assert check_pair(restored, sharp)[0] is restored
    assert check_pair(restored, sharp)[1] is sharp


# --------------------------------------------------------------------------------------------- not rounded


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_constants_by_hand(dtype):
    # 100.25 / 255 against 100 / 255 rounds to a perfect 100, and is a quarter of a grey level off.
    restored = np.full((16, 20, 3), 100.25 / 255, dtype)
    expected = 20 * math.log10(255 / 0.25)
    assert psnr_float(restored, constant(100)) == pytest.approx(expected, abs=1e-3 if dtype is np.float32 else 1e-9)
    assert type(psnr_float(restored, constant(100))) is float


def test_float_is_clipped():
    assert psnr_float(np.full((4, 4, 3), 7.0), constant(255, (4, 4))) == math.inf
    assert psnr_float(np.full((4, 4, 3), -7.0), constant(0, (4, 4))) == math.inf


def test_float_matches_a_slow_reference():
    generator = np.random.default_rng(0)
    sharp = generator.integers(0, 256, (19, 23, 3), dtype=np.uint8)
    restored = (sharp / 255 + generator.normal(0, 0.1, sharp.shape)).astype(np.float32)
    pairs = zip(restored.flat, sharp.flat, strict=True)
    total = sum((min(max(float(a), 0), 1) - float(b) / 255) ** 2 for a, b in pairs)
    # float32 truth: relative 6e-8 of the values.
    assert psnr_float(restored, sharp) == pytest.approx(-10 * math.log10(total / sharp.size), abs=1e-5)


def test_float_of_a_uint8_image_is_psnr():
    restored, sharp = np.random.default_rng(2).integers(0, 256, (2, 30, 20, 3), dtype=np.uint8)
    assert psnr_float(restored / 255, sharp) == pytest.approx(psnr(restored, sharp), abs=1e-9)
    assert psnr_float(sharp / np.float32(255), sharp) == math.inf
    assert psnr_float(sharp / 255, sharp) == math.inf


def test_rounding_costs_a_twelfth_of_a_squared_grey_level():
    generator = np.random.default_rng(3)
    sharp = generator.integers(60, 200, (100, 100, 3), dtype=np.uint8)
    restored = np.clip((sharp + generator.normal(0, 2, sharp.shape)) / 255, 0, 1)
    rounded = psnr(np.rint(255 * restored).astype(np.uint8), sharp)
    expected = 10 * math.log10((4 + 1 / 12) / 4)
    assert psnr_float(restored, sharp) - rounded == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    "restored, sharp, message",
    [
        (constant(1), constant(1), "restored must be float32 or float64"),
        (constant(1).astype(np.float16), constant(1), "restored must be float32 or float64"),
        (constant(1) / 255, constant(1) / 255, "sharp must be uint8"),
        ((constant(1) / 255)[1:], constant(1), "one shape"),
        ((constant(1) / 255)[..., 0], constant(1), "restored must be .*RGB"),
    ],
)
def test_float_refusals(restored, sharp, message):
    with pytest.raises(ValueError, match=message):
        psnr_float(restored, sharp)


def test_check_size():
    check_size("some", 11, 11, 12)
    with pytest.raises(DeblurError, match="protocol some needs images of at least 11x11, got 12x10"):
        check_size("some", 11, 12, 10)

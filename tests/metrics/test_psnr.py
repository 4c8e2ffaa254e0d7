"""PSNR: values by hand, the golden pair, and what it refuses."""

import math

import numpy as np
import pytest

from tfdeblur.metrics import psnr
from tfdeblur.metrics.psnr import check_pair


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

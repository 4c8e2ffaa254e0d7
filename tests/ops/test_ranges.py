"""The two conversions between stored values and [0, 1]."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.ops.ranges import to_uint8, uint8_to_01


def test_uint8_to_01_by_hand():
    result = uint8_to_01(tf.constant([0, 51, 255], tf.uint8))
    np.testing.assert_allclose(result, [0, 0.2, 1], atol=1e-7)
    assert result.dtype == tf.float32 and result[-1] == 1.0


@pytest.mark.parametrize(
    "value, expected",
    [
        (0.0, 0),
        (1.0, 255),
        (0.2, 51),
        (0.4 / 255, 0),
        (0.6 / 255, 1),  # truncation gives 0
        (254.6 / 255, 255),
        (-0.001, 0),  # without clipping it wraps to 255
        (-7.0, 0),
        (1.004, 255),  # without clipping it wraps to 0
        (300.0, 255),
        (np.inf, 255),
        (-np.inf, 0),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_to_uint8_clips_and_rounds(value, expected, dtype):
    result = to_uint8(tf.constant([value], dtype))
    assert result.dtype == tf.uint8 and result.numpy().tolist() == [expected]


def test_all_256_values_come_back():
    values = np.arange(256, dtype=np.uint8).reshape(1, 8, 32, 1)
    np.testing.assert_array_equal(to_uint8(uint8_to_01(tf.constant(values))), values)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_floats_are_scaled_in_float32(dtype):
    # In bfloat16 itself 255 * x would be a multiple of 1 at best; every stored value must round on its own.
    short = tf.cast(np.linspace(0, 1, 1001), dtype)
    expected = np.rint(tf.cast(short, tf.float64).numpy() * 255)
    np.testing.assert_array_equal(to_uint8(short), expected)

"""Pixel losses: by hand, then sums over single elements."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.losses.pixel import (
    directional_gradient_error,
    log_squared_error,
    mean_absolute_error,
    mean_squared_error,
    multi_scale_squared_error,
)


def pair(shape=(3, 4, 5, 3), seed=0):
    return np.random.default_rng(seed).uniform(-0.2, 1.2, (2, *shape)).astype(np.float32)


def slow_mean(prediction, target, power):
    result = []
    for one, other in zip(prediction, target, strict=True):
        values = [abs(float(a) - float(b)) ** power for a, b in zip(one.flat, other.flat, strict=True)]
        result.append(sum(values) / len(values))
    return result


@pytest.mark.parametrize("loss, expected", [(mean_absolute_error, [1.5, 0.25]), (mean_squared_error, [3, 0.25])])
def test_by_hand(loss, expected):
    prediction = np.zeros((2, 2, 2, 1), np.float32)
    target = np.zeros_like(prediction)
    prediction[0, ..., 0] = [[1, -1], [1, 3]]
    target[0, ..., 0] = [[0, 0], [2, 0]]  # differences 1, 1, 1, 3: mean 1.5, mean square 3
    prediction[1, 0, 0, 0] = -1  # one of four
    np.testing.assert_allclose(loss(prediction, target), expected, rtol=1e-6)
    np.testing.assert_allclose(loss(target, prediction), expected, rtol=1e-6)


def test_the_logarithm_is_psnr_in_other_units_and_ends_at_50_db():
    target = np.full((3, 2, 2, 3), 0.5, np.float32)
    prediction = target + np.array([0.1, 0.2, 0.0], np.float32).reshape(3, 1, 1, 1)
    errors = log_squared_error(prediction, target).numpy()
    np.testing.assert_allclose(errors, np.log([0.01001, 0.04001, 1e-5]), rtol=1e-5)
    np.testing.assert_allclose(-10 / np.log(10) * errors, [20.0, 13.98, 50.0], atol=0.01)


def test_the_logarithms_slope_is_finite_where_nothing_is_wrong():
    x = tf.Variable(np.full((1, 2, 2, 3), 0.5, np.float32))
    with tf.GradientTape() as tape:
        loss = log_squared_error(x, tf.constant(x))
    np.testing.assert_array_equal(tape.gradient(loss, x), np.zeros_like(x))


@pytest.mark.parametrize("loss, power", [(mean_absolute_error, 1), (mean_squared_error, 2)])
def test_one_value_per_sample_against_a_slow_reference(loss, power):
    prediction, target = pair()
    result = loss(tf.constant(prediction), tf.constant(target))
    assert result.shape == (3,) and result.dtype == tf.float32
    np.testing.assert_allclose(result, slow_mean(prediction, target, power), rtol=1e-6)
    alone = loss(prediction[1:2], target[1:2])
    np.testing.assert_allclose(alone[0], result[1], rtol=1e-6, err_msg="other samples must not matter")


@pytest.mark.parametrize("loss, expected", [(mean_absolute_error, 300.0), (mean_squared_error, 90_000.0)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_lifted_before_the_arithmetic(loss, expected, dtype):
    prediction = tf.fill([1, 8, 8, 3], tf.cast(300.0, dtype))  # the square overflows in float16
    result = loss(prediction, tf.zeros_like(prediction))
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, [expected], rtol=1e-6)


def test_multi_scale_by_hand():
    predictions = [tf.fill([2, 4, 4, 3], 2.0), tf.fill([2, 2, 2, 3], 5.0)]
    targets = [tf.zeros([2, 4, 4, 3]), tf.fill([2, 2, 2, 3], 2.0)]
    # 1 * 2^2 + 10 * 3^2: each scale has its own number of elements
    np.testing.assert_allclose(multi_scale_squared_error(predictions, targets, (1, 10)), [94, 94])


def test_multi_scale_against_a_slow_reference():
    scales = [pair((2, size, size, 3), seed=size) for size in (8, 4, 2)]
    weights = (0.5, 2.0, 7.0)
    result = multi_scale_squared_error(
        [tf.constant(prediction) for prediction, _ in scales], [target for _, target in scales], weights
    )
    expected = sum(weight * np.array(slow_mean(*scale, 2)) for scale, weight in zip(scales, weights, strict=True))
    assert result.shape == (2,) and result.dtype == tf.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_multi_scale_refuses_lists_of_different_lengths():
    image = tf.zeros([1, 2, 2, 3])
    with pytest.raises(ValueError):
        multi_scale_squared_error([image, image], [image], (1.0, 1.0))
    with pytest.raises(ValueError):
        multi_scale_squared_error([image, image], [image, image], (1.0,))


def test_directional_gradient_by_hand():
    target = np.zeros((2, 2, 3, 1), np.float32)
    prediction = target.copy()
    prediction[0, ..., 0] = [[1, 4, 2], [7, 7, -1]]
    # horizontal 3, -2 / 0, -8: mean 13/4; vertical 6, 3, -3: mean 4
    prediction[1] = 5  # the same everywhere: no gradient
    np.testing.assert_allclose(directional_gradient_error(prediction, target), [7.25, 0], rtol=1e-6)
    np.testing.assert_allclose(directional_gradient_error(target, prediction), [7.25, 0], rtol=1e-6)
    np.testing.assert_allclose(directional_gradient_error(prediction + 1, prediction), [0, 0], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_directional_gradient_against_a_slow_reference(dtype):
    """Eq. 9: the gradient of each image first, then their difference."""
    prediction, target = (image.astype(dtype) for image in pair())
    expected = []
    for one, other in zip(prediction.astype(float), target.astype(float), strict=True):
        height, width, channels = one.shape
        horizontal, vertical = [], []
        for y, x, c in np.ndindex(height, width, channels):
            if x + 1 < width:
                horizontal.append(abs((other[y, x + 1, c] - other[y, x, c]) - (one[y, x + 1, c] - one[y, x, c])))
            if y + 1 < height:
                vertical.append(abs((other[y + 1, x, c] - other[y, x, c]) - (one[y + 1, x, c] - one[y, x, c])))
        expected.append(sum(horizontal) / len(horizontal) + sum(vertical) / len(vertical))
    result = directional_gradient_error(tf.constant(prediction), tf.constant(target))
    assert result.shape == (3,) and result.dtype == tf.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [mean_absolute_error, mean_squared_error, directional_gradient_error])
def test_slope_is_zero_and_finite_where_both_are_equal(loss):
    image = tf.fill([1, 3, 3, 3], 0.5)
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = loss(image, tf.fill([1, 3, 3, 3], 0.5))
    np.testing.assert_array_equal(tape.gradient(value, image), np.zeros((1, 3, 3, 3)))

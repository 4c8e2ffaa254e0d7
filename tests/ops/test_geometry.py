"""Resizing stencils, mirrored padding and the eight symmetries: by hand, then against slow references."""

import math

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.ops.geometry import (
    double_bicubic,
    double_bilinear,
    flip_and_rotate,
    from_patches,
    half_bicubic,
    half_bilinear,
    mirror_index,
    pad_to_multiple,
    pyramid,
    to_patches,
)

FACTOR = {half_bicubic: 0.5, double_bicubic: 2}
both_resizes = pytest.mark.parametrize("resize", FACTOR, ids=lambda function: function.__name__)


def random_images(shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def columns(values):
    """A [1, 4, n, 1] image whose rows are all `values`."""
    return tf.constant(np.broadcast_to(np.float32(values)[None, None, :, None], (1, 4, len(values), 1)))


def bicubic_matrix(count, factor):
    """[factor * count, count]: Keys' kernel (a = -0.5) at half-pixel centres, inner taps only, rows of sum 1."""
    matrix = np.zeros((round(factor * count), count))
    for out in range(len(matrix)):
        centre = (out + 0.5) / factor - 0.5
        for tap in range(max(math.floor(centre) - 1, 0), min(math.floor(centre) + 3, count)):
            d, a = abs(centre - tap), -0.5
            if d <= 1:
                matrix[out, tap] = (a + 2) * d**3 - (a + 3) * d**2 + 1
            else:
                matrix[out, tap] = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return matrix / matrix.sum(axis=1, keepdims=True)


def slow_bicubic(images, factor):
    rows, cols = (bicubic_matrix(count, factor) for count in images.shape[1:3])
    return np.einsum("yh,bhwc,xw->byxc", rows, images.astype(np.float64), cols)


# ------------------------------------------------------------------------------------------------ resizing


@pytest.mark.parametrize(
    "position, expected",
    [
        (4, [0, -1 / 16, 9 / 16, 0, 0, 0]),
        (5, [0, 0, 9 / 16, -1 / 16, 0, 0]),
        (0, [9 / 17, 0, 0, 0, 0, 0]),  # the tap at -1 is left out: 17/16 remain
        (2, [-1 / 17, 9 / 16, 0, 0, 0, 0]),
    ],
)
def test_half_of_an_impulse_by_hand(position, expected):
    for axis in (1, 2):
        image = columns(np.eye(12)[position])
        if axis == 1:
            image = tf.transpose(image, [0, 2, 1, 3])
        result = half_bicubic(image).numpy()
        result = result[0, :, 1, 0] if axis == 1 else result[0, 1, :, 0]
        np.testing.assert_allclose(result, expected, atol=1e-7)


def test_double_of_an_impulse_by_hand():
    # Keys' kernel at 0.25, 0.75, 1.25 and 1.75 is 111, 29, -9 and -3 in 128ths.
    result = double_bicubic(columns(np.eye(9)[4])).numpy()[0, 3, :, 0] * 128
    expected = np.zeros(18)
    expected[4:14] = [0, -3, -9, 29, 111, 111, 29, -9, -3, 0]
    np.testing.assert_allclose(result, expected, atol=1e-5)


@both_resizes
@pytest.mark.parametrize("height, width", [(2, 2), (2, 6), (4, 4), (6, 10), (16, 8), (34, 22)])
def test_resize_is_tensorflows_bicubic_borders_included(resize, height, width):
    images = random_images((2, height, width, 3))
    size = [round(FACTOR[resize] * height), round(FACTOR[resize] * width)]
    result = resize(tf.constant(images)).numpy()
    assert result.shape == (2, *size, 3) and result.dtype == np.float32
    expected = tf.image.resize(images, size, method="bicubic", antialias=False)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    np.testing.assert_allclose(result, slow_bicubic(images, FACTOR[resize]), atol=1e-6)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 2), (3, 1), (5, 7)])
def test_double_of_odd_and_tiny_sizes(height, width):
    images = random_images((1, height, width, 2))
    result = double_bicubic(tf.constant(images)).numpy()
    expected = tf.image.resize(images, [2 * height, 2 * width], method="bicubic", antialias=False)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    if height == width == 1:
        np.testing.assert_allclose(result, np.broadcast_to(images, (1, 2, 2, 2)), atol=1e-7)


@both_resizes
def test_a_constant_stays_constant_and_a_contrast_overshoots(resize):
    np.testing.assert_allclose(resize(tf.fill([1, 6, 6, 3], 0.7)), 0.7, atol=1e-6)
    step = resize(columns([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])).numpy()
    assert step.min() < -0.01 and step.max() > 1.01, "values are not clipped"


@both_resizes
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-6), ("bfloat16", 0.03), ("float16", 4e-3)])
def test_resize_keeps_the_dtype(resize, dtype, tolerance):
    images = tf.cast(random_images((1, 8, 12, 3)), dtype)
    result = resize(images)
    assert result.dtype == images.dtype
    expected = slow_bicubic(tf.cast(images, tf.float64).numpy(), FACTOR[resize])
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, atol=tolerance)


@both_resizes
def test_resize_in_a_graph_with_unknown_sizes(resize):
    graph = tf.function(resize, input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    for shape in ((1, 4, 6, 3), (2, 2, 10, 3)):
        images = random_images(shape)
        np.testing.assert_allclose(graph(images), slow_bicubic(images, FACTOR[resize]), atol=1e-6)


@both_resizes
def test_resize_keeps_known_sizes_known(resize):
    graph = tf.function(resize, input_signature=[tf.TensorSpec([None, 8, None, 3], tf.float32)])
    shape = graph.get_concrete_function().output_shapes
    assert shape.as_list() == [None, 8 * FACTOR[resize], None, 3]


@both_resizes
def test_resize_trains_through_its_adjoint(resize):
    images = tf.constant(random_images((1, 4, 6, 1)))
    upstream = random_images(resize(images).shape, 1)
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(resize(images) * upstream)
    rows, cols = (bicubic_matrix(count, FACTOR[resize]) for count in (4, 6))
    expected = np.einsum("yh,byxc,xw->bhwc", rows, upstream, cols)
    np.testing.assert_allclose(tape.gradient(value, images), expected, atol=1e-6)


# ------------------------------------------------------------------------------------------------ bilinear


def bilinear_matrix(count, factor):
    """[factor * count, count]: straight lines between half-pixel centres, the border's value beyond the border."""
    matrix = np.zeros((round(factor * count), count))
    for out in range(len(matrix)):
        centre = (out + 0.5) / factor - 0.5
        for tap in (math.floor(centre), math.floor(centre) + 1):
            matrix[out, min(max(tap, 0), count - 1)] += 1 - abs(centre - tap)
    return matrix


BILINEAR = {half_bilinear: 0.5, double_bilinear: 2}
both_bilinear = pytest.mark.parametrize("resize", BILINEAR, ids=lambda function: function.__name__)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bilinear_by_hand(dtype):
    image = np.array([[0, 4, 8], [16, 20, 8]], dtype)[None, :, :, None]
    wide = np.array([[0, 1, 3, 5, 7, 8], [16, 17, 19, 17, 11, 8]])
    expected = [wide[0], 0.75 * wide[0] + 0.25 * wide[1], 0.25 * wide[0] + 0.75 * wide[1], wide[1]]
    np.testing.assert_array_equal(double_bilinear(tf.constant(image))[0, ..., 0], expected)
    np.testing.assert_array_equal(half_bilinear(tf.constant(image[:, :, :2]))[0, ..., 0], [[10]])


@both_bilinear
@pytest.mark.parametrize("height, width", [(2, 2), (2, 6), (4, 10), (16, 8)])
@pytest.mark.parametrize(
    "dtype, tolerance", [("float32", 1e-6), ("float64", 1e-14), ("bfloat16", 0.01), ("float16", 1e-3)]
)
def test_bilinear_is_tensorflows_and_keeps_the_dtype(resize, height, width, dtype, tolerance):
    images = tf.cast(tf.constant(random_images((2, height, width, 3))), dtype)
    result = resize(images)
    assert result.dtype == images.dtype
    rows, columns = (bilinear_matrix(count, BILINEAR[resize]) for count in (height, width))
    expected = np.einsum("yh,bhwc,xw->byxc", rows, tf.cast(images, tf.float64).numpy(), columns)
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, atol=tolerance)
    size = [round(BILINEAR[resize] * side) for side in (height, width)]
    reference = tf.image.resize(tf.cast(images, tf.float32), size, antialias=False)
    np.testing.assert_allclose(tf.cast(result, tf.float32), reference, atol=max(tolerance, 1e-6))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_double_bilinear_of_odd_sizes_in_a_graph(dtype):
    graph = tf.function(double_bilinear, input_signature=[tf.TensorSpec([None, None, None, 2], dtype)])
    for height, width in ((1, 1), (1, 5), (3, 2)):
        images = random_images((1, height, width, 2))
        expected = tf.image.resize(images, [2 * height, 2 * width])
        np.testing.assert_allclose(graph(tf.cast(images, dtype)), expected, atol=1e-6)


@both_bilinear
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_bilinear_trains_through_its_adjoint(resize, dtype):
    images = tf.cast(random_images((1, 4, 6, 1)), dtype)
    upstream = random_images(resize(images).shape, 1)
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(resize(images) * tf.cast(upstream, dtype))
    rows, columns = (bilinear_matrix(count, BILINEAR[resize]) for count in (4, 6))
    expected = np.einsum("yh,byxc,xw->bhwc", rows, upstream, columns)
    np.testing.assert_allclose(tape.gradient(value, images), expected, atol=1e-6)


@both_bilinear
def test_bilinear_keeps_known_sizes_known(resize):
    graph = tf.function(resize, input_signature=[tf.TensorSpec([None, 8, None, 3], tf.float32)])
    shape = graph.get_concrete_function().output_shapes
    assert shape.as_list() == [None, 8 * BILINEAR[resize], None, 3]


def test_pyramid_is_finest_first_and_halves_the_level_before():
    images = random_images((2, 16, 24, 3))
    full, half, quarter = pyramid(tf.constant(images), 3)
    np.testing.assert_array_equal(full, images)
    np.testing.assert_allclose(half, slow_bicubic(images, 0.5), atol=1e-6)
    np.testing.assert_allclose(quarter, slow_bicubic(slow_bicubic(images, 0.5), 0.5), atol=1e-6)
    assert len(pyramid(tf.constant(images), 1)) == 1


def test_a_bilinear_pyramid():
    levels = pyramid(columns([1, 3, 0, 8]), 3, half_bilinear)
    assert [level.shape[2] for level in levels] == [4, 2, 1] and float(levels[2][0, 0, 0, 0]) == 3


# ------------------------------------------------------------------------------------------------- padding


@pytest.mark.parametrize(
    "count, expected",
    [
        (1, [0, 0, 0, 0, 0, 0, 0]),
        (2, [0, 1, 0, 1, 0, 1, 0]),
        (3, [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]),
        (5, [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3]),
        (5, [0, 1, 2]),
    ],
)
def test_mirror_index_by_hand(count, expected):
    np.testing.assert_array_equal(mirror_index(count, len(expected)), expected)
    result = mirror_index(tf.constant(count), tf.constant(len(expected)))
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == tf.int32


@pytest.mark.parametrize("count", [1, 2, 3, 5, 17])
def test_mirror_index_far_beyond_the_size(count):
    expected = np.pad(np.arange(count), (0, 200), mode="reflect")
    np.testing.assert_array_equal(mirror_index(count, count + 200), expected)


def test_pad_to_multiple_by_hand():
    image = tf.reshape(tf.range(1, 7), [1, 2, 3, 1])  # 1 2 3 / 4 5 6
    expected = [[1, 2, 3, 2], [4, 5, 6, 5], [1, 2, 3, 2], [4, 5, 6, 5]]
    np.testing.assert_array_equal(pad_to_multiple(image, 4)[0, ..., 0], expected)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize(
    "height, width, padded", [(1, 1, (16, 16)), (17, 33, (32, 48)), (16, 1, (16, 16)), (32, 48, (32, 48))]
)
def test_pad_to_multiple(height, width, padded, dtype, dynamic):
    images = (random_images((2, height, width, 3)) * 255).astype(dtype)
    pad = lambda x: pad_to_multiple(x, 16)  # noqa: E731
    if dynamic:
        pad = tf.function(pad, input_signature=[tf.TensorSpec([None, None, None, 3], dtype)])
    result = pad(tf.constant(images)).numpy()
    beyond = ((0, 0), (0, padded[0] - height), (0, padded[1] - width), (0, 0))
    np.testing.assert_array_equal(result, np.pad(images, beyond, mode="reflect"))
    np.testing.assert_array_equal(result[:, :height, :width], images)
    assert result.dtype == dtype


# ------------------------------------------------------------------------------------------------- patches


def test_patches_by_hand():
    images = tf.reshape(tf.range(16), [2, 2, 4, 1])  # 0 1 2 3 / 4 5 6 7 and 8 .. 15
    upper_and_lower = to_patches(images, 1)[..., 0]
    np.testing.assert_array_equal(
        upper_and_lower, [[[0, 1, 2, 3]], [[8, 9, 10, 11]], [[4, 5, 6, 7]], [[12, 13, 14, 15]]]
    )
    left_and_right = to_patches(images, 2)[..., 0]
    np.testing.assert_array_equal(left_and_right[1], [[8, 9], [12, 13]])
    np.testing.assert_array_equal(left_and_right[2], [[2, 3], [6, 7]])


@pytest.mark.parametrize("axis", [1, 2])
def test_patches_are_joined_again_in_a_graph_with_unknown_sizes(axis):
    join = tf.function(
        lambda x: from_patches(to_patches(x, axis), axis), input_signature=[tf.TensorSpec([None] * 4, tf.float32)]
    )
    for shape in ((1, 2, 4, 3), (3, 6, 2, 1)):
        images = random_images(shape)
        np.testing.assert_array_equal(join(images), images)


# ---------------------------------------------------------------------------------------------- symmetries

SYMMETRIES = {
    0: [[1, 2], [3, 4]],
    1: [[2, 1], [4, 3]],
    2: [[3, 4], [1, 2]],
    3: [[4, 3], [2, 1]],
    4: [[1, 3], [2, 4]],
    5: [[2, 4], [1, 3]],
    6: [[3, 1], [4, 2]],
    7: [[4, 2], [3, 1]],
}


@pytest.mark.parametrize("code", SYMMETRIES)
def test_each_symmetry_by_hand_on_both_members(code):
    blurred = np.array([[1, 2], [3, 4]], np.float32)[None, :, :, None]
    out = flip_and_rotate([tf.constant(blurred), tf.constant(blurred + 100)], [code])
    assert len(out) == 2
    np.testing.assert_array_equal(out[0][0, ..., 0], SYMMETRIES[code])
    np.testing.assert_array_equal(out[1][0, ..., 0], np.array(SYMMETRIES[code]) + 100)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_sample_has_its_own_symmetry_and_members_share_it(dtype):
    codes = [7, 0, 3, 1, 4, 6, 2, 5, 5]
    blurred = (random_images((len(codes), 5, 5, 3)) * 255).astype(dtype)
    sharp = (random_images((len(codes), 5, 5, 3), 1) * 255).astype(dtype)
    out = flip_and_rotate([tf.constant(blurred), tf.constant(sharp)], tf.constant(codes))
    for images, result in zip((blurred, sharp), out, strict=True):
        assert result.dtype == dtype
        for image, code, symmetric in zip(images, codes, result, strict=True):
            if code & 1:
                image = np.fliplr(image)
            if code & 2:
                image = np.flipud(image)
            if code & 4:
                image = np.swapaxes(image, 0, 1)
            np.testing.assert_array_equal(symmetric, image)

"""Camera shake: paths and kernels by hand, and blurring in linear light against a slow convolution."""

import itertools
import math

import numpy as np
import pytest

from tfdeblur.data.shake import Shake, blur, generator, kernel_from_trajectory, random_kernel, trajectory
from tfdeblur.errors import DeblurError

ARROW = np.float32([[0.1, 0, 0], [0, 0.2, 0.3], [0, 0, 0.4]])  # differs from all its flips and rotations


def rng(seed=0):
    return np.random.default_rng(seed)


def random_image(height, width, seed=0):
    return rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def slow_blur(image, kernel):
    """A convolution in linear light, one kernel element after another, in float64."""
    linear = (image / 255.0) ** 2.2
    height, width, _ = image.shape
    radius = len(kernel) // 2
    padded = np.pad(linear, ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    out = np.zeros(linear.shape)
    for i, j in itertools.product(range(len(kernel)), repeat=2):
        top, left = 2 * radius - i, 2 * radius - j  # what lies at +1 in the kernel comes from -1 in the image
        out += float(kernel[i, j]) * padded[top : top + height, left : left + width]
    return np.rint(255 * out ** (1 / 2.2)).astype(np.uint8)


def assert_equal_but_for_ties(result, expected):
    """float32 against float64 may round the rare value beside .5 to the other side."""
    different = np.abs(result.astype(int) - expected.astype(int))
    assert different.max() <= 1 and np.mean(different > 0) < 0.005


# --------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize("angle, direction", [(0, 1), (90, 1j), (180, -1), (270, -1j), (45, (1 + 1j) / math.sqrt(2))])
def test_without_anxiety_the_path_is_a_straight_line(angle, direction):
    path = trajectory(rng(), length=12.0, angle=angle, anxiety=0, samples=100)
    # Real is to the right, imaginary is down.
    np.testing.assert_allclose(path, direction * np.linspace(-6, 6, 100), atol=1e-9)


@pytest.mark.parametrize("length", [0.0, 0.3, 5.0, 28.0, 300.0])
@pytest.mark.parametrize("anxiety", [0, 0.005, 0.05, 1.0])
def test_path_has_the_length_asked_for_and_is_centred(length, anxiety):
    for seed in range(5):
        path = trajectory(rng(seed), length, 30.0, anxiety)
        assert path.shape == (256,) and path.dtype == np.complex128
        assert np.abs(np.diff(path)).sum() == pytest.approx(length, rel=1e-9, abs=1e-12)
        assert abs(path.mean()) < 1e-9


def test_anxiety_bends_the_path():
    def straightness(anxiety):
        paths = [trajectory(rng(seed), 20.0, 0.0, anxiety) for seed in range(20)]
        return np.mean([abs(path[-1] - path[0]) / 20 for path in paths])

    assert straightness(0) == pytest.approx(1)
    assert 1 > straightness(0.005) > straightness(0.05)


def test_path_starts_in_the_direction_asked_for():
    for angle in (0, 90, 200):
        path = trajectory(rng(1), 20.0, angle, 0.001)
        expected = complex(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
        assert abs((path[4] - path[0]) / abs(path[4] - path[0]) - expected) < 0.2


# -------------------------------------------------------------------------------------------------- kernels


@pytest.mark.parametrize(
    "points, expected",
    [
        ([0], [[1]]),
        ([-1, -1, 2], [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 2 / 3, 0, 0, 1 / 3], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]),
        ([1j, 0, -1j], [[0, 1 / 3, 0], [0, 1 / 3, 0], [0, 1 / 3, 0]]),
        ([-0.25, 0.25], [[0, 0, 0], [1 / 8, 6 / 8, 1 / 8], [0, 0, 0]]),
        ([0.5 + 0.5j, -0.5 - 0.5j], [[1 / 8, 1 / 8, 0], [1 / 8, 2 / 8, 1 / 8], [0, 1 / 8, 1 / 8]]),
        ([1 + 1j, -1j, -1], [[0, 1 / 3, 0], [1 / 3, 0, 0], [0, 0, 1 / 3]]),  # right and down is bottom right
    ],
)
def test_kernel_by_hand(points, expected):
    kernel = kernel_from_trajectory(np.array(points, np.complex128))
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(kernel, expected, atol=1e-7)


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_kernel_of_a_straight_line_by_hand(angle):
    # A motion of 4 pixels stays a quarter of the time on each inner pixel and half as long on the ends.
    kernel = kernel_from_trajectory(trajectory(rng(), 4.0, angle, 0, samples=4001))
    expected = np.zeros((5, 5))
    expected[2] = [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8]
    np.testing.assert_allclose(kernel, expected if angle in (0, 180) else expected.T, atol=1e-3)


def test_kernel_shares_every_point_among_its_neighbours():
    path = trajectory(rng(3), 9.0, 20.0, 0.05)
    kernel = kernel_from_trajectory(path)
    radius = len(kernel) // 2
    for row, column in np.ndindex(kernel.shape):
        near = np.maximum(0, 1 - np.abs(path.real - (column - radius)))
        near *= np.maximum(0, 1 - np.abs(path.imag - (row - radius)))
        assert kernel[row, column] == pytest.approx(near.mean(), abs=1e-6)


@pytest.mark.parametrize("anxiety", [0, 0.005, 0.05, 0.5])
@pytest.mark.parametrize("length", [(0.0, 0.0), (0.0, 2.0), (8.0, 28.0), (60.0, 100.0)])
def test_kernels_are_fit_for_blurring(length, anxiety):
    for seed in range(10):
        kernel = random_kernel(rng(seed), Shake(length, anxiety=anxiety))
        k, width = kernel.shape
        assert k == width and k % 2 == 1 and kernel.dtype == np.float32
        assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1, abs=1e-5)
        offsets = np.arange(k) - k // 2
        centre = (offsets @ kernel.sum(axis=1), offsets @ kernel.sum(axis=0))
        np.testing.assert_allclose(centre, 0, atol=1e-4)
        assert k // 2 <= math.ceil(length[1])


def test_length_and_angle_are_drawn_from_their_ranges():
    spreads = []
    for seed in range(40):
        kernel = random_kernel(rng(seed), Shake((10.0, 20.0), (0.0, 0.0), anxiety=0))
        assert (np.delete(kernel, len(kernel) // 2, axis=0) < 1e-6).all(), "angle 0 is horizontal"
        spreads.append(1 / kernel.max())
    assert min(spreads) < 12.5 and max(spreads) > 17.5 and 9.9 < min(spreads) and max(spreads) < 20.2
    kernel = random_kernel(rng(), Shake((10.0, 10.0), (90.0, 90.0), anxiety=0))
    assert (np.delete(kernel, len(kernel) // 2, axis=1) < 1e-6).all(), "angle 90 is vertical"


def test_generator_is_a_function_of_its_keys():
    shake = Shake()
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (7, 262_000, 15)]
    kernels = [random_kernel(generator(*key), shake) for key in keys]
    for key, kernel in zip(keys, kernels, strict=True):
        np.testing.assert_array_equal(random_kernel(generator(*np.array(key, np.int64)), shake), kernel)
    for one, other in itertools.combinations(kernels, 2):
        assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    "arguments",
    [{"length": (5, 4)}, {"length": (-1, 4)}, {"length": (1, 513)}, {"anxiety": -0.1}, {"noise": -1}],
)
def test_a_family_that_means_nothing_is_refused(arguments):
    with pytest.raises(DeblurError, match="shake") as caught:
        Shake(**arguments)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------- blurring


@pytest.mark.parametrize("size", [1, 3, 31])
def test_the_delta_kernel_changes_none_of_the_256_values(size):
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    delta = np.zeros((size, size), np.float32)
    delta[size // 2, size // 2] = 1
    result = blur(image, delta)
    assert result.dtype == np.uint8
    # 31 goes through a DFT: its rounding may show where the gamma curve is steepest, one level at most.
    if size < 31:
        np.testing.assert_array_equal(result, image)
    else:
        np.testing.assert_allclose(result.astype(int), image, atol=1)


def test_a_bright_point_shows_the_kernel_as_it_stands():
    image = np.zeros((7, 9, 3), np.uint8)
    image[3, 4] = 255
    expected = np.zeros((7, 9))
    for row, column in np.ndindex(3, 3):
        expected[2 + row, 3 + column] = round(255 * float(ARROW[row, column]) ** (1 / 2.2))
    result = blur(image, ARROW)
    for channel in range(3):
        np.testing.assert_array_equal(result[..., channel], expected)
    assert expected[2, 3] == 90 and expected[4, 5] == 168  # 0.1 and 0.4 in linear light


def test_light_adds_up_before_the_gamma_curve():
    image = np.zeros((1, 41, 3), np.uint8)
    image[:, 20:] = 255
    half = blur(image, np.float32([[0, 0, 0], [0.5, 0, 0.5], [0, 0, 0]]))[0, 19:22, 0]
    np.testing.assert_array_equal(half, [186, 186, 255])  # 255 * 0.5 ** (1 / 2.2), not 128


def test_channels_stay_apart_and_in_order():
    image = np.zeros((9, 9, 3), np.uint8)
    image[4, 4] = (255, 0, 100)
    result = blur(image, ARROW)
    assert result[5, 5, 0] == 168 and not result[..., 1].any()
    assert result[5, 5, 2] == round(100 * 0.4 ** (1 / 2.2))


def test_the_border_is_mirrored_without_repeating_it():
    image = np.zeros((1, 5, 3), np.uint8)
    image[:, 1] = 255
    shift = np.zeros((3, 3), np.float32)
    shift[1, 2] = 1  # the image moves to the right: the pixel at -1, mirrored from 1, comes in
    np.testing.assert_array_equal(blur(image, shift)[0, :, 0], [255, 0, 255, 0, 0])


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
@pytest.mark.parametrize("length", [5.0, 60.0])
def test_a_constant_image_stays(level, length):
    kernel = random_kernel(rng(), Shake((length, length)))
    image = np.full((40, 50, 3), level, np.uint8)
    with np.errstate(invalid="raise"):
        np.testing.assert_array_equal(blur(image, kernel), image)


@pytest.mark.parametrize("length", [3.0, 9.0, 40.0])
def test_blur_against_a_slow_convolution(length):
    kernel = random_kernel(rng(1), Shake((length, length), anxiety=0.02))
    image = random_image(45, 60)
    result = blur(image, kernel)
    assert result.shape == image.shape and result.dtype == np.uint8
    assert_equal_but_for_ties(result, slow_blur(image, kernel))


@pytest.mark.parametrize("height, width", [(1, 1), (1, 20), (2, 3), (5, 5)])
def test_images_smaller_than_the_kernel(height, width):
    kernel = random_kernel(rng(2), Shake((40.0, 40.0)))
    assert len(kernel) > 2 * 5
    image = random_image(height, width)
    assert_equal_but_for_ties(blur(image, kernel), slow_blur(image, kernel))


def test_black_stays_black_beside_white_under_a_large_kernel():
    # A DFT leaves tiny negative values there, whose fractional power is NaN.
    kernel = random_kernel(rng(4), Shake((40.0, 40.0)))
    image = np.zeros((128, 160, 3), np.uint8)
    image[:, 80:] = 255
    with np.errstate(invalid="raise"):
        result = blur(image, kernel)
    reach = len(kernel) // 2
    assert reach > 6, "11x11 is where OpenCV turns to the DFT"
    np.testing.assert_array_equal(result[:, : 80 - reach], 0)
    np.testing.assert_array_equal(result[:, 80 + reach :], 255)


@pytest.mark.parametrize("level, low, high", [(0, 0, 150), (255, 105, 255), (128, 20, 236)])
def test_noise_saturates_and_does_not_wrap(level, low, high):
    image = np.full((64, 64, 3), level, np.uint8)
    result = blur(image, np.ones((1, 1), np.float32), rng(), noise=20.0).astype(int)
    assert low <= result.min() and result.max() <= high and result.std() > 5
    if level == 128:
        assert result.std() == pytest.approx(20, rel=0.05) and result.mean() == pytest.approx(128, abs=1)


def test_noise_comes_from_the_generator_alone():
    image, kernel = random_image(20, 20), random_kernel(rng(), Shake())
    first, again, other = (blur(image, kernel, rng(seed), noise=3.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    untouched = rng(5)
    np.testing.assert_array_equal(blur(image, kernel, untouched), blur(image, kernel))
    assert untouched.uniform() == rng(5).uniform(), "without noise nothing is drawn"


def test_the_arguments_are_left_alone():
    image, kernel = random_image(20, 20), ARROW.copy()
    image.flags.writeable = kernel.flags.writeable = False
    view = image[2:18, ::-1]
    np.testing.assert_array_equal(blur(view, kernel), blur(view.copy(), kernel))

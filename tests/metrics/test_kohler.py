"""The Köhler evaluator: shifts and gains with known answers, and a slow version of the whole."""

import time
import weakref

import numpy as np
import pytest
from scipy import ndimage

from tfdeblur.errors import DeblurError
from tfdeblur.metrics import kohler, kohler_plain, psnr
from tfdeblur.metrics.kohler import _peak, mssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2


def photograph(height=200, width=240):
    """A photograph, uint8 [height, width, 3] in multiples of 5, so that 0.8 of it is whole too."""
    data = pytest.importorskip("skimage.data")
    return data.chelsea()[40 : 40 + height, 100 : 100 + width] // 5 * 5


def moved(image, down, right):
    """The image moved by whole pixels, black where nothing came in: np.roll, and the wrapped part blackened."""
    result = np.roll(image, (down, right), axis=(0, 1))
    rows, columns = np.indices(image.shape[:2])
    height, width = image.shape[:2]
    outside = (rows < down) | (rows >= height + down) | (columns < right) | (columns >= width + right)
    result[outside] = 0
    return result


def luma(image):
    return 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]


def slow_mssim(x, y):
    """From the definition: 2-D windows and filters as a whole, with SciPy's borders."""
    axis = np.arange(-5, 6)
    window = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 1.5**2))
    window /= window.sum()
    taps = np.array([0.03782846, -0.02384947, -0.11062440, 0.37740286, 0.85269868])
    taps = np.concatenate([taps, taps[-2::-1]])
    low_pass = np.outer(taps, taps) / taps.sum() ** 2

    def mean(image):
        views = np.lib.stride_tricks.sliding_window_view(image, (11, 11))
        return np.einsum("hwij,ij->hw", views, window)

    score = 1.0
    for level in range(5):
        if level:
            x, y = (ndimage.correlate(image, low_pass, mode="reflect")[::2, ::2] for image in (x, y))
        mean_x, mean_y = mean(x), mean(y)
        sigma_x, sigma_y = np.sqrt(mean(x * x) - mean_x**2), np.sqrt(mean(y * y) - mean_y**2)
        covariance = mean(x * y) - mean_x * mean_y
        contrast = np.mean((2 * sigma_x * sigma_y + C2) / (sigma_x**2 + sigma_y**2 + C2))
        structure = np.mean((covariance + C2 / 2) / (sigma_x * sigma_y + C2 / 2))
        score *= contrast ** WEIGHTS[level] * structure ** WEIGHTS[level]
    return score * np.mean((2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)) ** 0.1333


def slow_kohler(restored, references):
    """The evaluator step by step, every shift up to 9 pixels tried out, the gain first as in its code."""
    z = restored.astype(float)
    scores = []
    for reference in references:
        x = reference.astype(float)
        zs = (x * z).sum() / (z * z).sum() * z
        shifts = [(down, right) for down in range(-9, 10) for right in range(-9, 10)]
        shift = max(shifts, key=lambda by: np.vdot(x.mean(axis=2), np.roll(zs.mean(axis=2), by, axis=(0, 1))))
        xr = luma(x * moved(np.ones_like(x), *shift))
        zr = luma(moved(zs, *shift))
        scores.append((10 * np.log10(255**2 / np.mean((xr - zr) ** 2)), slow_mssim(xr, zr)))
    return tuple(max(column) for column in zip(*scores, strict=True))


# --------------------------------------------------------------------------------------------- known answers


def test_a_gain_costs_nothing():
    truth = photograph()
    restored = truth // 5 * 4  # exactly 0.8 of it
    score, similarity = kohler(restored, [truth])
    assert score > 250  # 1.25 is not rounded by much; unaligned it is:
    assert similarity == pytest.approx(1, abs=1e-12)
    expected = 10 * np.log10(255**2 / np.mean((0.2 * truth.astype(float)) ** 2))
    assert kohler_plain(restored, truth)[0] == pytest.approx(expected, abs=1e-9)
    assert expected < 25


@pytest.mark.parametrize("down, right", [(3, -5), (-4, -2), (0, 7), (6, 0), (-1, 8)])
def test_a_shift_with_a_gain_by_hand(down, right):
    truth = photograph()
    restored = moved(truth // 5 * 4, down, right)
    # The gain is taken before the registration, so it is not quite 1 / 0.8. After it, inside, all that is left
    # is (1 - 0.8 gain) of the truth's luma; the border is 0 in both, and counted.
    x, z = truth.astype(float), restored.astype(float)
    remaining = 1 - 0.8 * (x * z).sum() / (z * z).sum()
    inside = luma(moved(moved(x, down, right), -down, -right))
    expected = 10 * np.log10(255**2 / np.mean((remaining * inside) ** 2))
    score, similarity = kohler(restored, [truth])
    assert score == pytest.approx(expected, abs=1e-6)
    assert score > 30 and similarity > 0.99
    plain_score, plain_similarity = kohler_plain(restored, truth)
    assert plain_score < 22 and plain_similarity < 0.85


def test_the_best_reference_is_found_for_each_number():
    truth = photograph()
    rng = np.random.default_rng(0)
    noisy = np.clip(truth + rng.normal(0, 8, truth.shape), 0, 255).astype(np.uint8)
    lighter = np.clip(truth.astype(int) + 20, 0, 255).astype(np.uint8)
    other = truth[::-1, ::-1]
    noisy_scores, lighter_scores = kohler(truth, [noisy]), kohler(truth, [lighter])
    # An offset ruins the PSNR and not the structure; noise the other way about.
    assert noisy_scores[0] > lighter_scores[0] + 0.5 and lighter_scores[1] > noisy_scores[1] + 0.001
    best = (noisy_scores[0], lighter_scores[1])
    assert kohler(truth, [other, noisy, lighter]) == best
    assert kohler(truth, iter([lighter, other, noisy])) == best


def test_references_are_read_one_at_a_time():
    truth = photograph()
    alive = []

    def references():
        for shift in range(4):
            assert sum(reference() is not None for reference in alive) == 0
            image = np.roll(truth, shift, axis=0)
            alive.append(weakref.ref(image))
            yield image
            del image

    assert kohler(truth, references())[1] == pytest.approx(1, abs=1e-12)
    assert len(alive) == 4


def test_the_whole_matches_the_slow_version():
    sharp = photograph(163, 178)  # odd sizes on the way down: 82, 41, 21, 11
    rng = np.random.default_rng(1)
    restored = np.clip(0.9 * ndimage.gaussian_filter(moved(sharp, 2, -7), (1, 1, 0)) + 9, 0, 255).astype(np.uint8)
    noise = rng.normal(0, 6, sharp.shape)
    references = [np.clip(sharp + noise, 0, 255).astype(np.uint8), moved(sharp, -1, -1)]
    for chosen in ([references[0]], [references[1]], references):
        # 1e-7: the slow version's filter taps have eight digits.
        assert kohler(restored, chosen) == pytest.approx(slow_kohler(restored, chosen), abs=1e-7)


def test_a_correlation_is_read_as_the_evaluator_reads_it():
    # dftregistration counts from 1 and takes what lies beyond floor(size / 2) for negative.
    for size, shifts in ((4, [0, 1, -2, -1]), (5, [0, 1, -3, -2, -1])):
        for index, shift in enumerate(shifts):
            correlation = np.zeros((size, 6))
            correlation[index, 2] = 1
            assert _peak(correlation) == (shift, 2)
            assert _peak(correlation.T) == (2, shift)


def test_plain_is_psnr_and_mssim_of_lumas():
    truth = photograph()
    restored = np.roll(truth, 3, axis=1)
    x, y = luma(truth.astype(float)), luma(restored.astype(float))
    assert kohler_plain(restored, truth) == pytest.approx((psnr(restored, truth), slow_mssim(x, y)), abs=1e-7)


# --------------------------------------------------------------------------------------------- MSSIM


@pytest.mark.parametrize("low, high", [(100, 110), (0, 255)])
def test_mssim_of_constants_by_hand(low, high):
    # Without variance contrast and structure are 1, and luminance counts once, with the last weight.
    x, y = (np.full((161, 170), value, float) for value in (low, high))
    expected = ((2 * low * high + C1) / (low**2 + high**2 + C1)) ** 0.1333
    assert mssim(x, y) == pytest.approx(expected, abs=1e-9)


def test_mssim_of_images_is_symmetric_and_one_for_identical_ones():
    x, y = (luma(image.astype(float)) for image in (photograph(), np.roll(photograph(), 2, axis=0)))
    assert mssim(x, x) == pytest.approx(1, abs=1e-12)
    assert mssim(x, y) == pytest.approx(mssim(y, x), abs=1e-12)
    assert mssim(x, y) < 0.99


def test_mssim_averages_contrast_and_structure_apart():
    # Half of the image has lost its contrast, the other half has another structure: the mean of the products
    # is not the product of the means.
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 255, (176, 176))
    y = x.copy()
    y[:88] = 127 + 0.05 * (x[:88] - 127)
    y[88:] = rng.uniform(0, 255, (88, 176))
    assert mssim(x, y) == pytest.approx(slow_mssim(x, y), abs=1e-7)


def test_a_negative_structure_gives_a_number():
    x = luma(photograph().astype(float))
    value = mssim(x, 255 - x)
    # The benchmark takes the absolute value of MATLAB's complex power.
    assert 0 < value < 1 and type(value) is float


# --------------------------------------------------------------------------------------------- limits


def test_black_images_give_numbers():
    truth = photograph()
    black = np.zeros_like(truth)
    expected = 10 * np.log10(255**2 / np.mean(luma(truth.astype(float)) ** 2))
    score, similarity = kohler(black, [truth])
    assert score == pytest.approx(expected, abs=1e-9) and 0 <= similarity < 0.5
    assert kohler(black, [black]) == (np.inf, pytest.approx(1, abs=1e-12))


@pytest.mark.parametrize("score, name", [(lambda x, y: kohler(x, [y]), "kohler"), (kohler_plain, "kohler_plain")])
@pytest.mark.parametrize("height, width", [(160, 200), (200, 160), (1, 1)])
def test_too_small_is_one_clear_line(score, name, height, width):
    image = np.zeros((height, width, 3), np.uint8)
    with pytest.raises(DeblurError, match=f"protocol {name} .*161x161.*{height}x{width}") as caught:
        score(image, image)
    assert "\n" not in str(caught.value)


def test_mistakes_of_a_caller():
    image = photograph()
    with pytest.raises(ValueError, match="at least one reference"):
        kohler(image, [])
    with pytest.raises(ValueError, match="one shape"):
        kohler(image, [image, image[1:]])
    with pytest.raises(ValueError, match="restored must be uint8"):
        kohler(image / 255, [image])
    with pytest.raises(ValueError, match="RGB"):
        kohler(image, image)  # an image instead of a list of images


def test_a_reference_takes_a_fraction_of_a_second():
    restored, *references = np.random.default_rng(0).integers(0, 256, (4, 800, 800, 3), dtype=np.uint8)
    times = []
    for reference in references:
        start = time.perf_counter()
        kohler(restored, [reference])
        times.append(time.perf_counter() - start)
    # Measured at 0.1 s on two cores; the best of three, so that a busy machine does not fail it.
    assert min(times) < 0.7

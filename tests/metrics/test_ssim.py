"""Both SSIMs: values by hand, slow references, TensorFlow, scikit-image, and the golden pair."""

import itertools
import time

import numpy as np
import pytest
from scipy import ndimage

from tfdeblur.errors import DeblurError
from tfdeblur.metrics import psnr, ssim, ssim_matlab
from tfdeblur.metrics.ssim import _STRIP_ROWS, _blur_volume, _channel_mixing, _mean_ssim, blur_plane

C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2


def random_pair(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def natural_pair():
    """A photograph, and the same after a horizontal motion of 9 pixels; uint8 [300, 451, 3]."""
    data = pytest.importorskip("skimage.data")
    sharp = data.chelsea()
    blurred = ndimage.uniform_filter1d(sharp.astype(np.float64), 9, axis=1, mode="nearest")
    return np.round(blurred).astype(np.uint8), sharp


def gaussian(*lengths):
    """A Gaussian of σ = 1.5 on a grid of any number of axes, from its formula; sums to 1."""
    axes = np.meshgrid(*(np.arange(length) - length // 2 for length in lengths), indexing="ij")
    window = np.exp(-sum(axis.astype(np.float64) ** 2 for axis in axes) / (2 * 1.5**2))
    return window / window.sum()


def slow_map(x, y, mean):
    """Eq. 13 as it stands in the paper, five means."""
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    return ((2 * mean_x * mean_y + C1) * (2 * covariance + C2)) / (
        (mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2)
    )


def slow_ssim(restored, sharp):
    """2-D window, position by position, with weighted means and centred second moments."""
    window = gaussian(11, 11)
    height, width, channels = sharp.shape
    values = []
    for top, left, channel in itertools.product(range(height - 10), range(width - 10), range(channels)):
        x, y = (image[top : top + 11, left : left + 11, channel].astype(float) for image in (restored, sharp))
        mean_x, mean_y = (window * x).sum(), (window * y).sum()
        variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
        covariance = (window * (x - mean_x) * (y - mean_y)).sum()
        luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
        values.append(luminance * (2 * covariance + C2) / (variance_x + variance_y + C2))
    return np.mean(values)


def slow_ssim_matlab(restored, sharp):
    """The full 11x11x11 window over the volume, 1331 taps a place."""
    window = gaussian(11, 11, 11)
    volume = slow_map(
        restored.astype(np.float64),
        sharp.astype(np.float64),
        lambda image: ndimage.correlate(image, window, mode="nearest"),
    )
    assert volume.shape == sharp.shape
    return volume.mean()


@pytest.mark.parametrize("score", [ssim, ssim_matlab])
def test_identical_images_score_exactly_one(score):
    image, _ = random_pair(20, 31)
    assert score(image, image.copy()) == 1.0
    assert type(score(image, image)) is float


@pytest.mark.parametrize("score", [ssim, ssim_matlab])
@pytest.mark.parametrize("low, high", [(100, 110), (0, 255), (0, 1)])
def test_two_constants_by_hand(score, low, high):
    # No variance: what is left is the luminance term. 1e-9: variances that should be 0 are differences of
    # numbers up to 130050 with 16 digits, 1e-11 against C2 = 58.
    expected = (2 * low * high + C1) / (low**2 + high**2 + C1)
    images = (np.full((15, 17, 3), value, np.uint8) for value in (low, high))
    assert score(*images) == pytest.approx(expected, abs=1e-9)


def test_negative_image_by_hand():
    # A checkerboard of 0 and 255 against its negative. Where the window covers a place its mean is
    # 127.5 ± 127.5 e with e = (alternating sum of the taps)², and covariance = -variance = -127.5² (1 - e²).
    taps = gaussian(11)
    e = np.sum(taps * (-1.0) ** np.arange(11)) ** 2
    board = (np.indices((11, 11)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    variance = 127.5**2 * (1 - e**2)
    luminance = (2 * 127.5**2 * (1 - e**2) + C1) / (2 * 127.5**2 * (1 + e**2) + C1)
    expected = luminance * (C2 - 2 * variance) / (C2 + 2 * variance)
    assert ssim(board, 255 - board) == pytest.approx(expected, abs=1e-9)
    assert expected < -0.99


@pytest.mark.parametrize("score", [ssim, ssim_matlab])
def test_symmetric(score):
    restored, sharp = random_pair(24, 19)
    assert score(restored, sharp) == pytest.approx(score(sharp, restored), abs=1e-12)


def test_channel_mixing_by_hand():
    # Centre tap g0, neighbours g1 = g0 exp(-1/4.5), all on one side from tap 1: (1 - g0) / 2.
    mixing = _channel_mixing()
    g0, g1 = gaussian(11)[5:7]
    one_side = (1 - g0) / 2
    assert g1 == pytest.approx(g0 * np.exp(-1 / 4.5), abs=1e-15)
    expected = [
        [g0 + one_side, g1, one_side - g1],
        [one_side, g0, one_side],
        [one_side - g1, g1, g0 + one_side],
    ]
    np.testing.assert_allclose(mixing, expected, atol=1e-15)


@pytest.mark.parametrize("height, width", [(11, 11), (11, 20), (17, 13)])
def test_ssim_matches_the_slow_reference(height, width):
    restored, sharp = random_pair(height, width)
    assert ssim(restored, sharp) == pytest.approx(slow_ssim(restored, sharp), abs=1e-10)


@pytest.mark.parametrize("height, width", [(24, 19), (11, 11), (5, 9), (1, 7), (1, 1)])
def test_ssim_matlab_matches_the_slow_reference(height, width):
    restored, sharp = random_pair(height, width)
    assert ssim_matlab(restored, sharp) == pytest.approx(slow_ssim_matlab(restored, sharp), abs=1e-10)


@pytest.mark.parametrize("extra", [-1, 0, 1, 4, 6, 12, _STRIP_ROWS + 3])
def test_strips_leave_no_trace(extra):
    # Heights around one strip and past two; the slow references know of no strips.
    restored, sharp = random_pair(_STRIP_ROWS + extra, 12)
    assert ssim(restored, sharp) == pytest.approx(slow_ssim(restored, sharp), abs=1e-10)
    assert ssim_matlab(restored, sharp) == pytest.approx(slow_ssim_matlab(restored, sharp), abs=1e-10)


def test_both_match_slow_references_on_a_photograph():
    restored, sharp = (np.ascontiguousarray(image[100:140, 200:248]) for image in natural_pair())
    assert ssim(restored, sharp) == pytest.approx(slow_ssim(restored, sharp), abs=1e-10)
    assert ssim_matlab(restored, sharp) == pytest.approx(slow_ssim_matlab(restored, sharp), abs=1e-10)


def test_ssim_matlab_mixes_channels_and_ssim_does_not():
    restored, sharp = random_pair(16, 16)
    rotated = (restored[..., [1, 2, 0]], sharp[..., [1, 2, 0]])
    assert ssim(*rotated) == pytest.approx(ssim(restored, sharp), abs=1e-12)
    assert abs(ssim_matlab(*rotated) - ssim_matlab(restored, sharp)) > 1e-6


# tf.image.ssim converts to float32 on [0, 1], where it takes variances as differences of numbers near 1 and
# C2 is 9e-4. The error in smooth areas does not cancel: 2.8e-5 on the photograph (measured). Noise has no
# smooth areas. On the photograph the same formula agrees in float64 (the test below this one).
@pytest.mark.parametrize(
    "pair, tolerance",
    [(random_pair(64, 80), 1e-5), (random_pair(11, 11, seed=3), 1e-5), (natural_pair, 1e-4)],
    ids=["noise", "smallest", "photograph"],
)
def test_ssim_equals_tensorflow(pair, tolerance):
    tf = pytest.importorskip("tensorflow")
    restored, sharp = pair() if callable(pair) else pair
    expected = float(tf.image.ssim(tf.constant(restored), tf.constant(sharp), max_val=255))
    assert ssim(restored, sharp) == pytest.approx(expected, abs=tolerance)


def test_ssim_equals_tensorflow_in_float64():
    tf = pytest.importorskip("tensorflow")
    restored, sharp = natural_pair()
    window = np.tile(gaussian(11, 11)[..., None, None], (1, 1, 3, 1))

    def mean(image):
        return tf.nn.depthwise_conv2d(image[None], window, strides=[1, 1, 1, 1], padding="VALID").numpy()

    expected = slow_map(restored.astype(np.float64), sharp.astype(np.float64), mean).mean()
    assert ssim(restored, sharp) == pytest.approx(expected, abs=1e-10)


def test_ssim_equals_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    restored, sharp = natural_pair()
    expected = metrics.structural_similarity(
        restored,
        sharp,
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(restored, sharp) == pytest.approx(expected, abs=1e-10)


def test_golden_values():
    # The pair is found and explained in test_psnr.py: img(32, 40, 0.0) against img(32, 40, 0.7).
    row, column, channel = np.ogrid[:32, :40, :3]
    first, second = (0.5 + 0.5 * np.sin(0.3 * row + 0.2 * column * (channel + 1) + phase) for phase in (0.0, 0.7))
    restored, sharp = (np.round(image * 255).astype(np.uint8) for image in (first, second))
    # float64 on both sides, so what differs is rounding: 1e-9 is far above it, and far below what another
    # window, border or covariance would change.
    assert ssim_matlab(restored, sharp) == pytest.approx(0.7126043901847137, abs=1e-9)
    # This golden is of the unrounded images; SSIM with L = 1 on [0, 1] is SSIM with L = 255 on [0, 255].
    unrounded = _mean_ssim(255 * first, 255 * second, blur_plane, border=5)
    assert unrounded == pytest.approx(0.6207991688106176, abs=1e-9)
    # Rounding to 256 levels moves it in the fourth decimal.
    assert ssim(restored, sharp) == pytest.approx(0.6211002322152803, abs=1e-9)


def test_flat_bright_areas_keep_their_digits():
    # Two nearly flat bright images: variances below 1 out of squares near 65025. The reference takes the
    # variances of the images less 254, so that nothing cancels, and the offset back for the luminance alone.
    x, y = np.random.default_rng(5).integers(0, 2, (2, 40, 40, 3)).astype(np.float64)
    for blur, window, border in (
        (blur_plane, gaussian(11, 11, 1), 5),
        (_blur_volume, gaussian(11, 11, 11), 0),
    ):
        mean_x, mean_y, square, product = (
            ndimage.correlate(image, window, mode="nearest") for image in (x, y, x * x + y * y, x * y)
        )
        structure = 2 * (product - mean_x * mean_y) + C2
        structure /= square - mean_x**2 - mean_y**2 + C2
        mean_x, mean_y = mean_x + 254, mean_y + 254
        reference = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1) * structure
        reference = reference[border : 40 - border, border : 40 - border]
        assert _mean_ssim(x + 254, y + 254, blur, border) == pytest.approx(reference.mean(), abs=1e-11)


def test_takes_views_and_leaves_the_images_alone():
    restored, sharp = random_pair(40, 50)
    restored.flags.writeable = sharp.flags.writeable = False
    view, other = restored[3:33:2, ::-1], sharp[3:33:2, ::-1]
    for score in (ssim, ssim_matlab):
        assert score(view, other) == score(view.copy(), other.copy())


@pytest.mark.parametrize("height, width", [(10, 11), (11, 10), (1, 1)])
def test_ssim_of_a_small_image_is_one_clear_line(height, width):
    restored, sharp = random_pair(height, width)
    with pytest.raises(DeblurError, match=rf"protocol ssim .*11x11.*{height}x{width}") as caught:
        ssim(restored, sharp)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("score", [ssim, ssim_matlab])
def test_refusals(score):
    restored, sharp = random_pair(20, 20)
    with pytest.raises(ValueError, match="uint8"):
        score(restored / 255, sharp)
    with pytest.raises(ValueError, match="one shape"):
        score(restored, sharp[1:])
    with pytest.raises(ValueError, match="RGB"):
        score(restored[..., 0], sharp[..., 0])


@pytest.mark.parametrize("score", [psnr, ssim, ssim_matlab])
def test_a_frame_takes_well_under_a_second(score):
    restored, sharp = random_pair(720, 1280)
    score(restored, sharp)
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        score(restored, sharp)
        best = min(best, time.perf_counter() - start)
    # Measured at 0.01 to 0.2 s on two cores; the best of three, so that a busy machine does not fail it.
    assert best < 1.0

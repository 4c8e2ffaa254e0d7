"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004, "Image quality assessment: from error
visibility to structural similarity", Eq. 13), in the two variants that deblurring papers report.

    SSIM = (2 μx μy + C1) (2 σxy + C2) / ((μx² + μy² + C1) (σx² + σy² + C2)),  C1 = (K1 L)², C2 = (K2 L)²

with K1 = 0.01, K2 = 0.03, L = 255 and means, variances and covariance weighted by a Gaussian window of 11
taps a side, σ = 1.5. The weights sum to 1, so σx² = E[x²] - μx²: the population, not the sample, covariance.

The variants differ in the window alone, yet by far more than papers differ from one another:

- `ssim` slides a 2-D window over each channel and keeps the positions where it lies inside the image;
- `ssim_matlab` hands MATLAB an RGB array, which MATLAB takes for a volume: a 3-D window that mixes the
  channels, over the whole frame with replicated borders.

cv2 is imported on first use, so that listing the protocols costs nothing.
"""

import numpy as np

from tfdeblur.metrics.psnr import PEAK, check_pair, check_size

WINDOW_SIZE = 11
WINDOW_SIGMA = 1.5
K1 = 0.01
K2 = 0.03

RADIUS = WINDOW_SIZE // 2
_STRIP_ROWS = 64


def gaussian_window() -> np.ndarray:
    """The 1-D window, float64 [11], summing to 1; the 2-D and 3-D windows are its outer products."""
    offsets = np.arange(WINDOW_SIZE) - RADIUS
    window = np.exp(-0.5 * np.square(offsets / WINDOW_SIGMA))
    return window / window.sum()


def _channel_mixing() -> np.ndarray:
    """What the window's third axis does to RGB, float64 [3, 3]: output channels in rows, each summing to 1.

    Replicated borders make every tap that falls outside fall on the first or last channel, so an 11-tap
    filter over three channels is a 3x3 matrix, which saves the 11 taps at every pixel.
    """
    mixing = np.zeros((3, 3))
    for output in range(3):
        for offset, weight in zip(range(-RADIUS, RADIUS + 1), gaussian_window(), strict=True):
            mixing[output, np.clip(output + offset, 0, 2)] += weight
    return mixing


def blur_plane(image: np.ndarray) -> np.ndarray:
    """Window mean over (height, width), borders replicated; float64 [H, W, 3] to the same shape."""
    import cv2

    window = gaussian_window()
    return cv2.sepFilter2D(image, cv2.CV_64F, window, window, borderType=cv2.BORDER_REPLICATE)


def _blur_volume(image: np.ndarray) -> np.ndarray:
    """Window mean over (height, width, channel), borders replicated; float64 [H, W, 3] to the same shape."""
    import cv2

    return cv2.transform(blur_plane(image), _channel_mixing())


def ssim_maps(x: np.ndarray, y: np.ndarray, blur) -> tuple[np.ndarray, np.ndarray]:
    """The two fractions of Eq. 13 at each place and channel: luminance, and contrast times structure.

    x, y and the maps float64 [H, W, 3], x and y in 0 to 255; the product of the maps is SSIM.

    float64 throughout: σ² is a small difference of large numbers, and float32 would lose it in smooth bright
    areas, where C2 = 58.5 stands against squares up to 65025.
    """
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    # The formula needs only μx² + μy², 2 μx μy and the same two of σ. With s = x + y and d = x - y these are
    # half the sum and half the difference of s's and d's moments: four blurs instead of five. And for
    # identical images d is 0, numerator and denominator are the same numbers, and the score is exactly 1.
    total, difference = x + y, x - y
    total_mean_squared = np.square(blur(total))
    total_variance = blur(np.square(total)) - total_mean_squared
    difference_mean_squared = np.square(blur(difference))
    difference_variance = blur(np.square(difference)) - difference_mean_squared

    luminance = (total_mean_squared - difference_mean_squared) / 2 + c1
    luminance /= (total_mean_squared + difference_mean_squared) / 2 + c1
    structure = (total_variance - difference_variance) / 2 + c2
    structure /= (total_variance + difference_variance) / 2 + c2
    return luminance, structure


def channel_means(x: np.ndarray, y: np.ndarray, blur, border: int) -> tuple[np.ndarray, np.ndarray]:
    """Means, less `border` rows and columns on each side, of SSIM and of contrast times structure.

    x, y [H, W, 3] in 0 to 255, any dtype; the two results float64 [3], one number for each channel.
    """
    import cv2

    height, width = x.shape[:2]
    columns = slice(border, width - border)
    sums = np.zeros((2, 3))
    # Strip by strip, each with the rows around it that its windows reach: the dozen float64 maps of a strip
    # stay in the processor's cache, and those of a large photograph would take gigabytes.
    for first in range(border, height - border, _STRIP_ROWS):
        last = min(first + _STRIP_ROWS, height - border)
        top, bottom = max(first - RADIUS, 0), min(last + RADIUS, height)
        inner = (slice(first - top, last - top), columns)
        luminance, structure = ssim_maps(x[top:bottom].astype(np.float64), y[top:bottom].astype(np.float64), blur)
        for total, strip_map in zip(sums, (luminance * structure, structure), strict=True):
            total += cv2.sumElems(strip_map[inner])[:3]
    return tuple(sums / ((height - 2 * border) * (width - 2 * border)))


def _mean_ssim(x: np.ndarray, y: np.ndarray, blur, border: int) -> float:
    """Mean of the map over places and channels; arguments as for `channel_means`."""
    return float(np.mean(channel_means(x, y, blur, border)[0]))


def ssim(restored, sharp) -> float:
    """SSIM per channel, 2-D 11x11 Gaussian window, valid positions; mean over positions and channels.

    The definition that tf.image.ssim and scikit-image (`gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False`) share, and DeepDeblur-PyTorch reports. This is float64; tf.image.ssim is
    float32, and 3e-5 lower on a slightly blurred photograph.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255, at least 11 in height and width.
        sharp: the truth, same dtype and shape.

    Returns:
        -1 to 1; identical images score exactly 1.

    Raises:
        ValueError: see `tfdeblur.metrics.psnr.check_pair`.
        DeblurError: the window does not fit into the image.
    """
    restored, sharp = check_pair(restored, sharp)
    check_size("ssim", WINDOW_SIZE, *sharp.shape[:2])
    return _mean_ssim(restored, sharp, blur_plane, border=RADIUS)


def ssim_matlab(restored, sharp) -> float:
    """SSIM as MATLAB's `ssim(restored, sharp)` computes it for uint8 RGB arrays.

    MATLAB takes height x width x 3 for a volume: an 11x11x11 Gaussian window with replicated borders on all
    three axes, mean over the whole height x width x 3 map. Mixing the channels is no sensible measure of
    colour images, but it is the number in the tables of MPRNet, Restormer, SRN and NAFNet.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255, any size from 1x1.
        sharp: the truth, same dtype and shape.

    Returns:
        -1 to 1; identical images score exactly 1.

    Raises:
        ValueError: see `tfdeblur.metrics.psnr.check_pair`.
    """
    restored, sharp = check_pair(restored, sharp)
    return _mean_ssim(restored, sharp, _blur_volume, border=0)

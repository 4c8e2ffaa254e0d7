"""The Hilbert-Schmidt independence criterion (HSIC) between samples of two quantities.

EGNet's Table 5 measures by it how much the features in front of a network's last convolution tell of the sharp image,
as a multiple of what they tell of the blurred one (which the table calls 1):

    HSIC(features, sharp) / HSIC(features, blurred)

The paper names neither what is a sample, nor how many there are, nor the kernels' width. Here a sample is a pixel: its
features (all channels) and its colour (R, G, B). `PIXELS` of each image are drawn (`sample_pixels`). sigma is the
median distance between two samples, for features and colours apart, so that neither contrast nor the scale of the
features changes the number. Over a data set the ratio is that of the two means.
"""

import numpy as np

PIXELS = 1024
"""How many pixels of an image are taken."""

_WORD = 2**64


def sample_pixels(height: int, width: int, *, seed: int = 0, index: int = 0) -> np.ndarray:
    """Which pixels of an image are taken: `PIXELS` different ones, uniformly drawn, or all where there are fewer.

    Args:
        height: the image's, in pixels.
        width: the image's, in pixels.
        seed: which draw; any integer, taken modulo 2^64.
        index: the image's number in its data set, likewise.

    Returns:
        int64 [min(PIXELS, height * width)]: row * width + column.
    """
    # Raw words of a counter-based generator, as in `regions`: numpy fixes them for good.
    key = np.array([int(seed) % _WORD, int(index) % _WORD], dtype=np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(height * width), kind="stable")[:PIXELS]


def hsic(x, y) -> float:
    """tr(K H L H) / (m - 1)^2 (Gretton, Bousquet, Smola and Schoelkopf 2005).

    K_ij = exp(-|x_i - x_j|^2 / (2 sigma^2)), L likewise of y, H = 1 - 1/m takes the mean off rows and columns. sigma is
    the median of the distances above 0 (above a millionth of the largest, where rounding ends). Independent samples
    score about 0.16/m (Gaussian ones), not 0: the estimate is biased by as much.

    Args:
        x: float [m, p], m at least 2.
        y: float [m, q], of the same m things.

    Returns:
        0, where x or y is the same m times, to below 1; symmetric in x and y, the same for other units and origins of
        either and for any order of the samples.

    Raises:
        ValueError: not two matrices of the same m from 2.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 2:
        raise ValueError(f"x and y must be [m, p] and [m, q] with one m from 2, got {x.shape} and {y.shape}")
    # tr(K H L H) = sum of H K H times L, element by element; H L H instead of L is the same and rounds less.
    return float(np.sum(_centred(_kernel(x)) * _centred(_kernel(y))) / (len(x) - 1) ** 2)


def _kernel(samples: np.ndarray) -> np.ndarray:
    """exp(-|a - b|^2 / (2 sigma^2)) of all pairs, [m, m]; all 1 where all samples are the same."""
    samples = samples - samples[0]  # the origin does not matter, and near it less is lost to rounding
    products = samples @ samples.T
    squares = np.diag(products)
    squared = squares[:, None] + squares - 2.0 * products
    above_0 = squared > 1e-12 * squared.max()
    if not above_0.any():
        return np.ones_like(squared)
    return np.exp(-0.5 * np.where(above_0, squared, 0.0) / np.median(squared[above_0]))


def _centred(kernel: np.ndarray) -> np.ndarray:
    """H kernel H."""
    return kernel - kernel.mean(axis=0) - kernel.mean(axis=1, keepdims=True) + kernel.mean()

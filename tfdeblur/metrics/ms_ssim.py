"""Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003, "Multi-scale structural similarity for
image quality assessment", Eq. 7), as tf.image.ssim_multiscale computes it.

    MS-SSIM = SSIM_5^0.1333 · CS_4^0.2363 · CS_3^0.3001 · CS_2^0.2856 · CS_1^0.0448

CS_m is the mean of contrast times structure at level m, the second fraction of SSIM, and SSIM_5 the mean of
SSIM at the last level; each level is the one before, halved in height and width. The window is that of `ssim`.

The Köhler benchmark's MSSIM goes by the same name and is another number: see `tfdeblur.metrics.kohler.mssim`.
"""

import numpy as np

from tfdeblur.metrics.psnr import check_pair, check_size
from tfdeblur.metrics.ssim import RADIUS, WINDOW_SIZE, blur_plane, channel_means

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# Four times halved, odd sizes rounded up, the window must still fit: 11 = ceil(161 / 16), 10 = ceil(160 / 16).
MINIMUM_SIZE = (WINDOW_SIZE - 1) * 2 ** (len(WEIGHTS) - 1) + 1


def ms_ssim(restored, sharp) -> float:
    """MS-SSIM per RGB channel on five levels, mean over the channels; equal to tf.image.ssim_multiscale.

    What the paper leaves open is as TensorFlow has it: a level is halved by the mean of 2x2 pixels, after an
    odd side has got its last row or column twice; the means are taken before the powers; and a negative mean
    counts as 0, for a fractional power of it would not be real.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255, at least 161 in height and width.
        sharp: the truth, same dtype and shape.

    Returns:
        0 to 1; identical images score exactly 1.

    Raises:
        ValueError: see `tfdeblur.metrics.psnr.check_pair`.
        DeblurError: the image is too small for five levels.
    """
    restored, sharp = check_pair(restored, sharp)
    check_size("ms_ssim", MINIMUM_SIZE, *sharp.shape[:2])
    return _multi_scale(restored, sharp)


def _multi_scale(x: np.ndarray, y: np.ndarray) -> float:
    """MS-SSIM of two images [H, W, 3] in 0 to 255 of any dtype."""
    factors = []
    for level in range(len(WEIGHTS)):
        if level:
            x, y = _halve(x), _halve(y)
        ssim, contrast_structure = channel_means(x, y, blur_plane, border=RADIUS)
        factors.append(contrast_structure)
    factors[-1] = ssim
    powers = np.maximum(factors, 0) ** np.array(WEIGHTS)[:, None]
    return float(np.mean(np.prod(powers, axis=0)))


def _halve(image: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels, float64; an odd last row or column is repeated first."""
    height, width = image.shape[:2]
    image = np.pad(image.astype(np.float64), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    rows = image[0::2] + image[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) / 4

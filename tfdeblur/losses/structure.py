"""Losses on edges and structure; each returns float32 [B]."""

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.losses.pixel import charbonnier, mean_squared_error
from tfdeblur.ops.gradients import enhanced_gradient

# Burt and Adelson's generating kernel with a = 0.4, the smoothing of the Laplacian pyramid.
_PYRAMID_TAPS = (0.05, 0.25, 0.4, 0.25, 0.05)

# MS-SSIM's exponents, finest level first, its window, and its constants for images in [0, 1].
LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW_SIZE, _WINDOW_SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def laplacian_residual(images):
    """x - g(4 g(x) at even rows and columns, 0 elsewhere): what the next level of a Laplacian pyramid leaves out.

    g smooths by 5x5, the border's value going on beyond it.

    Args:
      images: float [B, H, W, C].

    Returns:
      The same shape and dtype.
    """
    rows, columns = (tf.range(tf.shape(images)[axis]) % 2 == 0 for axis in (1, 2))
    kept = tf.cast(rows[:, None, None] & columns[:, None], images.dtype)
    return images - _smooth(4.0 * kept * _smooth(images))


def _smooth(images):
    for axis in (1, 2):
        border = [[int(n == axis)] * 2 for n in range(4)]
        for _ in range(2):  # mirrored with the border's own value, one by one, it goes on
            images = tf.pad(images, border, "SYMMETRIC")
        size = tf.shape(images)[axis] - 4
        shifted = (images[:, k : k + size] if axis == 1 else images[:, :, k : k + size] for k in range(5))
        images = tf.add_n([tap * x for tap, x in zip(_PYRAMID_TAPS, shifted, strict=True)])
    return images


def edge_loss(prediction, target, epsilon=1e-3):
    """mean sqrt((L(prediction) - L(target))^2 + epsilon^2), L = `laplacian_residual` (MPRNet's edge loss).

    Args:
      prediction, target: float [B, H, W, C].
    """
    # L is linear.
    difference = laplacian_residual(tf.cast(prediction, tf.float32) - tf.cast(target, tf.float32))
    return charbonnier(difference, tf.zeros_like(difference), epsilon)


def enhanced_gradient_loss(prediction, target):
    """Mean squared difference of the maps of `ops.gradients.enhanced_gradient` (EGNet Eqs. 14 and 15).

    Args:
      prediction, target: float [B, H, W, C], H and W at least 2.
    """
    maps = [enhanced_gradient(tf.cast(images, tf.float32)) for images in (prediction, target)]
    return mean_squared_error(*maps)


def ms_ssim_loss(prediction, target, levels=5, eq16_literal=False):
    """1 - MS-SSIM, the mean over the channels (Wang et al. 2003, Eq. 7; EGNet Eq. 16).

        MS-SSIM = SSIM_M^w_M product of CS_m^w_m over m < M

    CS_m is the mean of contrast times structure at level m, SSIM_M that of their product with the luminance at the
    last one; each level is the one before, halved by the mean of 2x2 pixels. The metric is `metrics.ms_ssim`.

    Args:
      prediction, target: float [B, H, W, C] in [0, 1], H and W known, at least `smallest_side(levels)`: 161.
      levels: with fewer than five the first exponents, scaled to a sum of 1, for smaller crops.
      eq16_literal: SSIM_m at every level, as the equation is printed.
    """
    smallest = smallest_side(levels)
    if min(prediction.shape[1:3]) < smallest:
        raise ValueError(f"MS-SSIM of images of {prediction.shape[1:3]}: {levels} levels need {smallest} pixels a side")
    prediction, target = tf.cast(prediction, tf.float32), tf.cast(target, tf.float32)
    weights = np.array(LEVEL_WEIGHTS[:levels]) / sum(LEVEL_WEIGHTS[:levels])
    product = 1.0
    for level, weight in enumerate(weights):
        if level:
            prediction, target = _halve(prediction), _halve(target)
        luminance, structure = _ssim_maps(prediction, target)
        if eq16_literal or level == levels - 1:
            structure = luminance * structure
        factor = tf.reduce_mean(structure, axis=(1, 2))
        # A negative has no real power, and at 0 the power's slope is infinite.
        product *= tf.maximum(factor, 1e-6) ** weight
    return 1.0 - tf.reduce_mean(product, axis=-1)


def smallest_side(levels):
    """Pixels that images need for so many levels of `ms_ssim_loss`."""
    return (_WINDOW_SIZE - 1) * 2 ** (levels - 1) + 1


def _halve(images):
    """Means of 2x2 pixels; an odd last row or column is repeated first."""
    odd = [size % 2 for size in (images.shape[1], images.shape[2])]
    images = tf.pad(images, [[0, 0], [0, odd[0]], [0, odd[1]], [0, 0]], "SYMMETRIC")
    return tf.nn.avg_pool2d(images, 2, 2, "VALID")


def _ssim_maps(x, y):
    """Luminance, and contrast times structure, where the window fits: [B, H - 10, W - 10, C] each.

    From the moments of s = x + y and d = x - y, as in metrics.ssim: two windows fewer, and exactly 1 for identical
    images.
    """
    total, difference = x + y, x - y
    moments = _window_means(tf.concat([total, difference, total**2, difference**2], axis=-1))
    total_mean, difference_mean, total_square, difference_square = tf.split(moments, 4, axis=-1)
    total_mean, difference_mean = total_mean**2, difference_mean**2
    total_variance, difference_variance = total_square - total_mean, difference_square - difference_mean

    def fraction(of_total, of_difference, constant):
        return ((of_total - of_difference) / 2 + constant) / ((of_total + of_difference) / 2 + constant)

    return fraction(total_mean, difference_mean, _C1), fraction(total_variance, difference_variance, _C2)


def _window_means(images):
    """Gaussian means of 11x11 pixels of each channel, where the window fits."""
    offsets = np.arange(_WINDOW_SIZE) - _WINDOW_SIZE // 2
    window = np.exp(-0.5 * (offsets / _WINDOW_SIGMA) ** 2)
    window = tf.constant(window / window.sum(), images.dtype)
    channels = images.shape[-1]
    for shape in ([_WINDOW_SIZE, 1, 1, 1], [1, _WINDOW_SIZE, 1, 1]):
        kernel = tf.tile(tf.reshape(window, shape), [1, 1, channels, 1])
        images = tf.nn.depthwise_conv2d(images, kernel, [1, 1, 1, 1], "VALID")
    return images

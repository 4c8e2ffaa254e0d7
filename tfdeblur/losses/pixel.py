"""Pixel losses; each returns float32 [B]."""

from tfdeblur.compat import tf
from tfdeblur.ops.gradients import forward_differences


def _mean_per_sample(values):
    return tf.reduce_mean(values, axis=tuple(range(1, values.shape.rank)))


def mean_absolute_error(prediction, target):
    """mean |prediction - target| over the elements of each sample (MADN Eq. 13's norms, read as means).

    Args:
      prediction, target: float [B, H, W, C].
    """
    difference = tf.cast(prediction, tf.float32) - tf.cast(target, tf.float32)
    return _mean_per_sample(tf.abs(difference))


def mean_squared_error(prediction, target):
    """mean (prediction - target)^2 over the elements of each sample.

    Args:
      prediction, target: float [B, H, W, C].
    """
    difference = tf.cast(prediction, tf.float32) - tf.cast(target, tf.float32)
    return _mean_per_sample(tf.square(difference))


def log_squared_error(prediction, target, epsilon=1e-5):
    """ln(epsilon + mean (prediction - target)^2), the mean over the elements of each sample.

    PSNR in other units: a decibel counts as much on a sample that is nearly right as on one that is far off, up to
    50 dB, where epsilon, which keeps the slope finite, takes over.

    Args:
      prediction, target: float [B, H, W, C] in [0, 1].
    """
    return tf.math.log(epsilon + mean_squared_error(prediction, target))


def charbonnier(prediction, target, epsilon=1e-3):
    """mean sqrt((prediction - target)^2 + epsilon^2) over the elements of each sample (MPRNet Eq. 2).

    A mean absolute error whose slope is finite at 0.

    Args:
      prediction, target: float [B, H, W, C].
    """
    difference = tf.cast(prediction, tf.float32) - tf.cast(target, tf.float32)
    return _mean_per_sample(tf.sqrt(tf.square(difference) + epsilon**2))


def multi_scale_squared_error(predictions, targets, weights):
    """sum_i w_i / N_i ||prediction_i - target_i||^2, N_i = number of elements (MADN Eq. 12, Two-Way Eq. 2).

    Args:
      predictions, targets: lists of float [B, h_i, w_i, C], one per scale.
      weights: one number per scale.
    """
    return tf.add_n(
        [
            weight * mean_squared_error(prediction, target)
            for prediction, target, weight in zip(predictions, targets, weights, strict=True)
        ]
    )


def directional_gradient_error(prediction, target):
    """mean |d_h target - d_h prediction| + mean |d_v target - d_v prediction|, d = forward differences.

    The gradient loss of the structures-guided GAN (its Eq. 9), averaged over channels, too. Each mean is over the
    differences that exist: one column fewer, one row fewer than the image has.

    Args:
      prediction, target: float [B, H, W, C], H and W from 2.
    """
    difference = tf.cast(prediction, tf.float32) - tf.cast(target, tf.float32)
    horizontal, vertical = forward_differences(difference)  # they are linear
    return _mean_per_sample(tf.abs(horizontal)) + _mean_per_sample(tf.abs(vertical))

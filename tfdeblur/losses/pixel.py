"""Pixel losses; each returns float32 [B]."""

from tfdeblur.compat import tf


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

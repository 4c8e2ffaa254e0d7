"""Adversarial losses on a discriminator's logits; each returns float32 [B]."""

from tfdeblur.compat import tf


def binary_cross_entropy(logits, is_real):
    """-log sigmoid(z) where `is_real`, else -log(1 - sigmoid(z)); from logits, so that it stays finite.

    With D(x) = sigmoid(logits) these are the terms of MADN Eqs. 15, 16, 19 and 20.

    Args:
      logits: [B, 1] (or any [B, ...]: averaged over the other axes).
      is_real: bool.
    """
    logits = tf.cast(logits, tf.float32)
    values = tf.nn.softplus(-logits if is_real else logits)
    return tf.reduce_mean(values, axis=tuple(range(1, values.shape.rank)))

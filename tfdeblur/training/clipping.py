"""The three readings of "gradient clipping, minimum 1e-5, maximum 2" (MADN section 5.1; spec section 3.4)."""

from tfdeblur.compat import tf


def _norm_range(gradients, low, high):
    norm = tf.linalg.global_norm(gradients)
    target = tf.clip_by_value(norm, low, high)
    # A norm of exactly 0 has no direction to scale; x / x = 1 leaves the zeros as they are.
    scale = tf.where(norm > 0, target / tf.where(norm > 0, norm, 1.0), 1.0)
    return [g * scale for g in gradients]


def _magnitude_range(gradients, low, high):
    return [tf.where(g < 0, -1.0, 1.0) * tf.clip_by_value(tf.abs(g), low, high) for g in gradients]


def _value(gradients, low, high):
    del low
    return [tf.clip_by_value(g, -high, high) for g in gradients]


_MODES = {"norm": _norm_range, "magnitude": _magnitude_range, "value": _value, "none": lambda g, low, high: g}


def clip_gradients(gradients, mode, low=1e-5, high=2.0):
    """Clips a list of dense gradients.

    Args:
      gradients: list of float tensors.
      mode: "norm" scales all so that low <= global norm <= high; "magnitude" is sign(g) clip(|g|, low, high)
        element by element (a zero counts as positive); "value" is clip(g, -high, high); "none".
      low, high: the paper's 1e-5 and 2.

    Returns:
      A list like `gradients`. What is not finite stays so: clipped to `high`, an overflow in float16 would be taken
      for a gradient instead of lowering the loss scale.
    """
    clipped = _MODES[mode](gradients, low, high)
    return [tf.where(tf.math.is_finite(g), c, g) for g, c in zip(gradients, clipped, strict=True)]


CLIP_MODES = tuple(_MODES)

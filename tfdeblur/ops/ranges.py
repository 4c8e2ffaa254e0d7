"""The only place where value ranges are converted. Names end in the range they give."""

from tfdeblur.compat import tf


def uint8_to_01(images):
    """uint8 [..] in [0, 255] -> float32 [..] in [0, 1]."""
    return tf.cast(images, tf.float32) / 255.0


def uint16_to_01(images):
    """uint16 [..] in [0, 65535] -> float32 [..] in [0, 1]."""
    return tf.cast(images, tf.float32) / 65535.0


def to_uint16(images_01):
    """float [..] in [0, 1] -> uint16 [..]: clipped, scaled by 65535, rounded to nearest."""
    return tf.cast(tf.round(tf.clip_by_value(tf.cast(images_01, tf.float32), 0.0, 1.0) * 65535.0), tf.uint16)


def to_uint8(images_01):
    """float [..] in [0, 1] -> uint8 [..]: clipped, scaled by 255, rounded to nearest (never truncated)."""
    return tf.cast(tf.round(tf.clip_by_value(tf.cast(images_01, tf.float32), 0.0, 1.0) * 255.0), tf.uint8)


def to_m11(images_01):
    """float [..] in [0, 1] -> [..] in [-1, 1], the range of DeblurGAN's networks."""
    return 2.0 * images_01 - 1.0


def to_01(images_m11):
    """float [..] in [-1, 1] -> [..] in [0, 1]."""
    return 0.5 * (images_m11 + 1.0)

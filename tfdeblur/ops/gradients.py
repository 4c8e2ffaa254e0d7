"""Image gradients: THE Sobel of the package, and forward differences."""

from tfdeblur.compat import tf


def sobel_components(images):
    """Sobel derivatives, reflect padding as in `tf.image.sobel_edges`, not normalised.

    Args:
      images: float [B, H, W, C], H and W at least 2.

    Returns:
      (horizontal, vertical): float [B, H, W, C] each, the derivative along the width and along the height;
      for images in [0, 1] each lies in [-4, 4].
    """
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")
    smooth_rows = padded[:, :-2] + 2.0 * padded[:, 1:-1] + padded[:, 2:]
    slope_rows = padded[:, 2:] - padded[:, :-2]
    horizontal = smooth_rows[:, :, 2:] - smooth_rows[:, :, :-2]
    vertical = slope_rows[:, :, :-2] + 2.0 * slope_rows[:, :, 1:-1] + slope_rows[:, :, 2:]
    return horizontal, vertical


def sobel_magnitude(images):
    """Per-channel Sobel magnitude M(x) = sqrt(gx^2 + gy^2 + 1e-6) (MADN section 3.1, Eq. 13).

    The largest value for images in [0, 1] is sqrt(20) = 4.472: the map is left unnormalised. The epsilon
    stands under the root because the root's slope at 0 is infinite, and flat regions are exactly 0.

    Args:
      images: float [B, H, W, C] in [0, 1], H and W at least 2.

    Returns:
      float [B, H, W, C], at least 1e-3.
    """
    horizontal, vertical = sobel_components(images)
    return tf.sqrt(tf.square(horizontal) + tf.square(vertical) + 1e-6)


def forward_differences(images):
    """(horizontal, vertical): x[.., w + 1] - x[.., w] along the width, x[h + 1, ..] - x[h, ..] along the height.

    Args:
      images: float [B, H, W, C].

    Returns:
      float [B, H, W - 1, C] and [B, H - 1, W, C]: no difference reaches over the border.
    """
    return images[:, :, 1:] - images[:, :, :-1], images[:, 1:] - images[:, :-1]

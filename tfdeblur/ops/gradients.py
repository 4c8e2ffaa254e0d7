"""Image gradients: THE Sobel of the package, forward differences, and the gradient map of EGNet."""

from tfdeblur.compat import tf


def _mirror(images):
    return tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")


def sobel_components(images):
    """Sobel derivatives, reflect padding as in `tf.image.sobel_edges`, not normalised.

    Args:
      images: float [B, H, W, C], H and W at least 2.

    Returns:
      (horizontal, vertical): float [B, H, W, C] each, the derivative along the width and along the height;
      for images in [0, 1] each lies in [-4, 4].
    """
    padded = _mirror(images)
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


def laplacian(images):
    """The four neighbours minus four times the pixel, of each channel, reflect padding.

    Args:
      images: float [B, H, W, C], H and W at least 2.

    Returns:
      float [B, H, W, C]; for images in [0, 1] in [-4, 4].
    """
    padded = _mirror(images)
    neighbours = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return neighbours - 4.0 * images


def box_mean(images):
    """Means of 3x3 pixels, of each channel, reflect padding; shapes as in `laplacian`."""
    padded = _mirror(images)
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9.0


def enhanced_gradient(images):
    """G(F(Ave(I))) G(F(I)) (EGNet Eq. 15): the Laplacian, weighted by that of the smoothed image.

    Ave is `box_mean`, F the absolute value of `laplacian`, G scales each image's least value to 0 and its largest to 1.
    The paper names no sizes and says "normalisation" of G. No gradient flows through the least and the largest value:
    else every pixel would pull at two.

    Args:
      images: float [B, H, W, C], H and W at least 2.

    Returns:
      float [B, H, W, C] in [0, 1]; 0 for a flat image.
    """
    return _normalise(tf.abs(laplacian(box_mean(images)))) * _normalise(tf.abs(laplacian(images)))


def _normalise(maps):
    least = tf.stop_gradient(tf.reduce_min(maps, axis=(1, 2, 3), keepdims=True))
    largest = tf.stop_gradient(tf.reduce_max(maps, axis=(1, 2, 3), keepdims=True))
    return (maps - least) / (largest - least + 1e-6)  # a flat image has no range

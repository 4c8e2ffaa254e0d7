"""Padding, cropping, flips and the fixed x0.5 and x2 resizing stencils.

TensorFlow's bicubic resize has no GPU or XLA kernel, and its resizes always return float32; the factors 0.5 and 2
are short fixed stencils, so they are written here and keep the dtype.
"""

from tfdeblur.compat import tf


def _cubic(distance):
    """Keys' cubic convolution kernel with a = -0.5 at |distance|, the one of TensorFlow and MATLAB."""
    d = abs(distance)
    if d <= 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    if d < 2:
        return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return 0.0


# Taps at i-2 .. i+2 that give output 2i (which lies at i - 0.25) and output 2i+1 (at i + 0.25).
_UP_EVEN = tuple(_cubic(tap + 0.25) for tap in range(-2, 3))
_UP_ODD = tuple(_cubic(tap - 0.25) for tap in range(-2, 3))
_BILINEAR_EVEN, _BILINEAR_ODD = (0.0, 0.25, 0.75, 0.0, 0.0), (0.0, 0.0, 0.75, 0.25, 0.0)
# Taps at 2i-1 .. 2i+2 that give output i (at 2i + 0.5).
_DOWN = tuple(_cubic(tap - 0.5) for tap in range(-1, 3))


def _size(x, axis):
    return x.shape[axis] if x.shape[axis] is not None else tf.shape(x)[axis]


def _zero_pad(x, axis, before, after):
    paddings = [[0, 0]] * 4
    paddings[axis] = [before, after]
    return tf.pad(x, paddings)


def _take(x, axis, start, stop, step=1):
    slices = [slice(None)] * 4
    slices[axis] = slice(start, stop, step)
    return x[tuple(slices)]


def _normaliser(positions, taps, count, dtype, axis):
    """1 / (sum of the taps that fall inside 0 .. count-1), shaped to scale `axis` of a [B, H, W, C] tensor."""
    total = tf.zeros([], dtype)
    for tap, weight in taps:
        source = positions + tap
        inside = tf.logical_and(source >= 0, source < count)
        total += tf.where(inside, tf.constant(weight, dtype), tf.zeros([], dtype))
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    return tf.reshape(1.0 / total, shape)


def _half_axis(x, axis):
    n = _size(x, axis)
    padded = _zero_pad(x, axis, 1, 1)
    out = sum(_DOWN[k] * _take(padded, axis, k, k + n - 1, 2) for k in range(4))
    positions = tf.range(0, n, 2)
    return out * _normaliser(positions, zip(range(-1, 3), _DOWN, strict=True), n, x.dtype, axis)


def half_bicubic(images):
    """x0.5 bicubic (a = -0.5, half-pixel centres, no antialiasing), as tf.image.resize gives it.

    Taps outside the image are left out and the others renormalised.

    Args:
      images: float [B, H, W, C], H and W even.

    Returns:
      float [B, H/2, W/2, C] of the same dtype; bicubic overshoots, so values may leave the input's range.
    """
    return _half_axis(_half_axis(images, 1), 2)


def _double_axis(x, axis, even=_UP_EVEN, odd=_UP_ODD):
    n = _size(x, axis)
    padded = _zero_pad(x, axis, 2, 2)
    phases = []
    for taps in (even, odd):
        out = sum(w * _take(padded, axis, k, k + n) for k, w in enumerate(taps) if w)
        weights = [(k - 2, w) for k, w in enumerate(taps) if w]
        phases.append(out * _normaliser(tf.range(n), weights, n, x.dtype, axis))
    interleaved = tf.stack(phases, axis=axis + 1)
    shape = tf.concat([tf.shape(x)[:axis], [2 * n], tf.shape(x)[axis + 1 :]], axis=0)
    result = tf.reshape(interleaved, shape)
    static = x.shape.as_list()
    static[axis] = None if static[axis] is None else 2 * static[axis]
    result.set_shape(static)
    return result


def double_bicubic(images):
    """x2 bicubic (a = -0.5, half-pixel centres), as tf.image.resize gives it.

    Args:
      images: float [B, H, W, C].

    Returns:
      float [B, 2H, 2W, C] of the same dtype; values may leave the input's range.
    """
    return _double_axis(_double_axis(images, 1), 2)


def half_bilinear(images):
    """x0.5 bilinear (half-pixel centres), which is the mean of each 2x2 block; arguments as `half_bicubic`."""
    return tf.nn.avg_pool2d(images, 2, 2, "VALID")


def double_bilinear(images):
    """x2 bilinear (half-pixel centres), as tf.image.resize gives it; arguments as `double_bicubic`."""
    if images.dtype != tf.float64:
        # The same numbers in a third of the time; it gives float32 whatever it is given.
        size = [2 * _size(images, 1), 2 * _size(images, 2)]
        return tf.cast(tf.image.resize(images, size), images.dtype)
    return _double_axis(_double_axis(images, 1, _BILINEAR_EVEN, _BILINEAR_ODD), 2, _BILINEAR_EVEN, _BILINEAR_ODD)


def pyramid(images, levels, half=half_bicubic):
    """[images, images x0.5, ...]: `levels` tensors, finest first; H and W divisible by 2**(levels - 1)."""
    scales = [images]
    for _ in range(levels - 1):
        scales.append(half(scales[-1]))
    return scales


def mirror_index(count, size):
    """Indices 0 .. size-1 folded into 0 .. count-1 by mirroring without repeating the border.

    Works for any size, also where `tf.pad`'s REFLECT refuses (more than count - 1 extra, count = 1).

    Args:
      count: int or int32 scalar, at least 1, the length that exists.
      size: int or int32 scalar, the length that is wanted.

    Returns:
      int32 [size].
    """
    period = tf.maximum(2 * (count - 1), 1)
    folded = tf.range(size) % period
    return tf.minimum(folded, period - folded)


def require_multiple(images, multiple):
    """ValueError where a side of [B, H, W, C], as far as it is known, does not divide by `multiple`."""
    for side in images.shape[1:3]:
        if side is not None and side % multiple:
            raise ValueError(
                f"an image of {images.shape[1:3]}: both sides must be multiples of {multiple}; "
                "ops.geometry.pad_to_multiple pads, a Deblurrer takes any size"
            )


def pad_to_multiple(images, multiple):
    """Mirrors images at the bottom and right up to the next multiple of `multiple`.

    Args:
      images: [B, H, W, C], any H and W from 1 (may be unknown in a graph).
      multiple: int.

    Returns:
      [B, ceil(H/m)*m, ceil(W/m)*m, C]; crop the result back with `[:, :H, :W]`.
    """
    for axis in (1, 2):
        count = _size(images, axis)
        size = (count + multiple - 1) // multiple * multiple  # -(-count // multiple) would be 0 in ONNX
        if isinstance(count, int) and count == size:
            continue
        images = tf.gather(images, mirror_index(count, size), axis=axis)
    return images


def to_patches(images, axis):
    """The two halves of images along an axis, one after the other in the batch.

    Args:
      images: [B, H, W, C], even along `axis`.
      axis: 1 for the upper and the lower half, 2 for the left and the right one.

    Returns:
      [2B, H/2, W, C] or [2B, H, W/2, C]: first the B upper (left) halves, then the B lower (right) ones.
    """
    return tf.concat(tf.split(images, 2, axis), 0)


def from_patches(patches, axis):
    """The images that `to_patches` took apart: [2B, H, W, C] -> [B, 2H, W, C] or [B, H, 2W, C]."""
    return tf.concat(tf.split(patches, 2, 0), axis)


def flip_and_rotate(images, code):
    """One of the eight symmetries of the square, the same for every image in the list.

    Args:
      images: list of [B, H, W, C] tensors that belong together (blurred and sharp), H = W.
      code: int32 [B] in 0 .. 7: bit 0 mirrors left-right, bit 1 up-down, bit 2 transposes.

    Returns:
      A list of tensors of the same shapes.
    """
    code = tf.convert_to_tensor(code)

    def on(bit):
        return tf.reshape(tf.bitwise.bitwise_and(code, bit) > 0, [-1, 1, 1, 1])

    out = []
    for x in images:
        x = tf.where(on(1), x[:, :, ::-1], x)
        x = tf.where(on(2), x[:, ::-1], x)
        out.append(tf.where(on(4), tf.transpose(x, [0, 2, 1, 3]), x))
    return out

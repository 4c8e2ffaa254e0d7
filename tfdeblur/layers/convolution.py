"""A convolution whose kernel's gradient is taken by matrix products, for processors."""

import contextlib
import contextvars

from tfdeblur.compat import tf

_for_inference = contextvars.ContextVar("for_inference", default=False)


@contextlib.contextmanager
def for_inference():
    """What is called inside takes TensorFlow's own gradient.

    An export would hold another one for every layer, and be written and read three times as slowly.
    """
    token = _for_inference.set(True)
    try:
        yield
    finally:
        _for_inference.reset(token)


@tf.keras.utils.register_keras_serializable("tfdeblur")
class MatrixGradientConv2D(tf.keras.layers.Conv2D):
    """Keras' Conv2D with stride 1 and "same" padding; only the time of a training step differs.

    TensorFlow's gradient by a 3x3 kernel of 96 channels reaches 40 % of the forward convolution's speed on images of
    128x128 and 19 % on 256x256 (two AVX2 cores, oneDNN; without it a third). One product of the shifted image with the
    result's gradient for each place in the kernel, the same sums, reaches 60 to 80 %. GPUs and half precision keep
    TensorFlow's own.
    """

    def convolution_op(self, inputs, kernel):
        ours = inputs.dtype in (tf.float32, tf.float64) and not _for_inference.get()
        if not ours or tf.config.list_logical_devices("GPU"):
            return super().convolution_op(inputs, kernel)
        return _convolution(inputs, tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _convolution(images, kernel):
    def gradients(upstream):
        by_images = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(images), 1, "SAME")
        return by_images, _kernel_gradient(images, kernel.shape, upstream)

    return tf.nn.conv2d(images, kernel, 1, "SAME"), gradients


def _kernel_gradient(images, kernel_shape, upstream):
    """images [B, H, W, C], upstream [B, H, W, D] -> kernel_shape [h, w, C, D]; the borders as "SAME" pads them."""
    rows, columns, channels, filters = kernel_shape
    height, width = tf.unstack(tf.shape(images)[1:3])
    above, left = (rows - 1) // 2, (columns - 1) // 2
    # A graph starts with all that it can, and would lay the shifted images of all layers by: each waits for its turn.
    with tf.control_dependencies([upstream]):
        padded = tf.pad(images, [[0, 0], [above, rows - 1 - above], [left, columns - 1 - left], [0, 0]])
    upstream, products = tf.reshape(upstream, [-1, filters]), []
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        with tf.control_dependencies(products[-1:]):
            shifted = tf.reshape(padded[:, row : row + height, column : column + width], [-1, channels])
        products.append(tf.matmul(shifted, upstream, transpose_a=True))
    return tf.reshape(tf.stack(products), kernel_shape)

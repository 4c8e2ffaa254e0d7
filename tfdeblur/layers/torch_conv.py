"""PyTorch's convolutions: its padding where Keras' "same" differs from it, as at every stride above 1; its start."""

from tfdeblur.compat import tf
from tfdeblur.layers.convolution import MatrixGradientConv2D

# A convolution with so few output channels leaves most of a processor's lanes empty: of 64 channels at 256x256 one of
# 7x7 to 3 took three times as long as one of 1x7 to 21 with the seven sums after it, which is the same arithmetic.
_FEW = 4


def normal_initializer():
    """DeblurGAN's initial weights, N(0, 0.02); an instance of its own for each layer."""
    return tf.keras.initializers.RandomNormal(stddev=0.02)


def plain_conv(filters, kernel_size, name=None, dtype=None, zero=False):
    """torch's Conv2d of stride 1 and "same" zero padding, without bias, at its initial weights: uniform below
    1 / sqrt(fan in); or at zero."""
    initializer = "zeros" if zero else tf.keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return MatrixGradientConv2D(
        filters,
        kernel_size,
        padding="same",
        use_bias=False,
        kernel_initializer=initializer,
        dtype=dtype,
        name=name,
    )


def _convolution(filters, kernel_size, strides, separable, policy):
    if separable:
        return tf.keras.layers.SeparableConv2D(
            filters,
            kernel_size,
            strides,
            depthwise_initializer=normal_initializer(),
            pointwise_initializer=normal_initializer(),
            dtype=policy,
            name="conv",
        )
    return tf.keras.layers.Conv2D(
        filters, kernel_size, strides, kernel_initializer=normal_initializer(), dtype=policy, name="conv"
    )


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ReflectConv(tf.keras.layers.Layer):
    """[B, H, W, C] -> [B, H, W, filters]: mirrored by (kernel_size - 1) / 2, then a valid convolution.

    H and W must exceed the mirrored border. separable: depthwise, then pointwise.
    """

    def __init__(self, filters, kernel_size, separable=False, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.separable = separable
        self.conv = _convolution(filters, kernel_size, 1, separable, self.dtype_policy)

    def build(self, shape):
        self.conv.build([None, None, None, shape[-1]])
        super().build(shape)

    def call(self, inputs):
        border = [self.kernel_size // 2] * 2
        if self.filters <= _FEW and not self.separable:
            return self._by_rows(tf.pad(inputs, [[0, 0], [0, 0], border, [0, 0]], mode="REFLECT"), border)
        return self.conv(tf.pad(inputs, [[0, 0], border, border, [0, 0]], mode="REFLECT"))

    def _by_rows(self, inputs, border):
        """The same convolution as one along the rows, with the kernel's k rows as channels, and k shifted sums."""
        k = self.kernel_size
        kernel = tf.transpose(self.conv.kernel, [1, 2, 0, 3])
        rows = tf.reshape(kernel, [1, k, inputs.shape[-1], k * self.filters])
        partial = tf.nn.conv2d(inputs, rows, 1, "VALID")
        # What is the same for a row wherever it stands can be mirrored afterwards.
        partial = tf.pad(partial, [[0, 0], border, [0, 0], [0, 0]], mode="REFLECT")
        height = tf.shape(inputs)[1]
        shifted = [partial[:, n : n + height, :, n * self.filters : (n + 1) * self.filters] for n in range(k)]
        return tf.nn.bias_add(tf.add_n(shifted), self.conv.bias)

    def get_config(self):
        config = {"filters": self.filters, "kernel_size": self.kernel_size, "separable": self.separable}
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ZeroPadConv(tf.keras.layers.Layer):
    """[B, H, W, C] -> [B, (H + 2 padding - kernel_size) // strides + 1, ..., filters]: torch's Conv2d(padding=...).

    separable: depthwise, then pointwise.
    """

    def __init__(self, filters, kernel_size, strides, padding, separable=False, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.separable = separable
        self.conv = _convolution(filters, kernel_size, strides, separable, self.dtype_policy)

    def call(self, inputs):
        border = [self.padding] * 2
        return self.conv(tf.pad(inputs, [[0, 0], border, border, [0, 0]]))

    def get_config(self):
        config = {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "separable": self.separable,
        }
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class DoublingDeconv(tf.keras.layers.Layer):
    """Transposed convolution with padding 1 and output padding 1 along each axis that it doubles, as torch's.

    kernel_size 3 and strides 2: [B, H, W, C] -> [B, 2H, 2W, filters]. Either may be a pair: (3, 1) and (2, 1) double
    the height alone. Where torch's output starts one pixel after that of Keras' "valid", "same" starts at its first
    pixel: the two differ.
    """

    def __init__(self, filters, kernel_size=3, strides=2, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.deconv = tf.keras.layers.Conv2DTranspose(
            filters,
            kernel_size,
            strides,
            kernel_initializer=normal_initializer(),
            dtype=self.dtype_policy,
            name="deconv",
        )

    def call(self, inputs):
        output = self.deconv(inputs)
        top, left = (int(stride == 2) for stride in self.deconv.strides)
        return output[:, top:, left:]

    def get_config(self):
        config = {"filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides}
        return {**super().get_config(), **config}

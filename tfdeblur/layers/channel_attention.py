"""Squeeze and excitation (Hu et al. 2018): every channel is scaled by a gate that sees the means of all channels."""

from tfdeblur.compat import tf


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ChannelAttention(tf.keras.layers.Layer):
    """[B, H, W, C] -> the same: each channel times sigmoid(W2 relu(W1 m)), m = its image's C channel means.

    The means of half-precision features are taken in float32.

    Args:
      reduction: W1 leads to max(C // reduction, 1) values.
      use_bias: whether W1 and W2 have biases.
    """

    def __init__(self, reduction=16, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.use_bias = use_bias

    def build(self, shape):
        channels = shape[-1]
        hidden = max(channels // self.reduction, 1)
        # On one pixel a 1x1 convolution is a matrix.
        self.squeeze = self._matrix(channels, hidden, "relu", "squeeze")
        self.excite = self._matrix(hidden, channels, "sigmoid", "excite")
        super().build(shape)

    def _matrix(self, inputs, outputs, activation, name):
        dense = tf.keras.layers.Dense(outputs, activation, use_bias=self.use_bias, dtype=self.dtype_policy, name=name)
        with tf.name_scope(name):  # or the variables of both have one name
            dense.build([None, inputs])
        return dense

    def call(self, inputs):
        features = inputs if inputs.dtype == tf.float64 else tf.cast(inputs, tf.float32)
        gates = self.excite(self.squeeze(tf.reduce_mean(features, axis=(1, 2))))
        return inputs * gates[:, None, None, :]

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction, "use_bias": self.use_bias}

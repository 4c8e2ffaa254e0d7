"""Instance normalisation without learnt parameters, as PyTorch's InstanceNorm2d has it by default."""

from tfdeblur.compat import tf


@tf.keras.utils.register_keras_serializable("tfdeblur")
class InstanceNorm(tf.keras.layers.Layer):
    """[B, H, W, C] -> the same: (x - mean) / sqrt(variance + epsilon) over each image's and channel's H x W.

    The statistics of the image at hand, in training and at inference alike; the variance is the biased one. Computed in
    float32 under every policy, given back in the layer's compute dtype.
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs):
        x = tf.cast(inputs, tf.float32)
        mean = tf.reduce_mean(x, axis=(1, 2), keepdims=True)
        centred = x - mean
        variance = tf.reduce_mean(tf.square(centred), axis=(1, 2), keepdims=True)
        return tf.cast(centred * tf.math.rsqrt(variance + self.epsilon), inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}

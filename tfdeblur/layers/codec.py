"""The encoding and decoding blocks of scale-recurrent networks (SRN, Tao et al. 2018), as MADN and Two-Way use them.

Convolutions are 3x3 with bias, "same" padding, ReLU and Glorot (Xavier) uniform weights unless said; there is no
normalisation.
"""

from tfdeblur.compat import tf


def conv(filters, strides=1, kernel_size=3, activation="relu", name=None):
    """A convolution of the kind that this module is about."""
    return tf.keras.layers.Conv2D(filters, kernel_size, strides, "same", activation=activation, name=name)


def image_head(zero, name, kernel_size=1, filters=3):
    """Features -> a 3-channel image in float32, whatever the policy: bfloat16 has 8 bits for 256 grey levels.

    filters: 12 for an image of twice the size, to be taken apart by depth_to_space.
    """
    initializer = "zeros" if zero else "glorot_uniform"
    return tf.keras.layers.Conv2D(
        filters, kernel_size, 1, "same", kernel_initializer=initializer, dtype="float32", name=name
    )


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ResidualBlocks(tf.keras.layers.Layer):
    """[B, H, W, filters] -> the same: P_{n+1} = P_n + R(P_n) with R = conv - ReLU - conv.

    Every block's input is the sum of all that came before: P + R1(P) + R2(P + R1(P)) + ..., which is what MADN's Eq. 9
    (its "nested" connections, Figs. 3 and 4b) unrolls.
    """

    def __init__(self, filters, num_blocks=4, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.num_blocks = num_blocks
        self.residuals = [
            (conv(filters, name=f"res{n}_conv1"), conv(filters, activation=None, name=f"res{n}_conv2"))
            for n in range(1, num_blocks + 1)
        ]

    def call(self, inputs):
        total = inputs
        for conv1, conv2 in self.residuals:
            total = total + conv2(conv1(total))
        return total

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "num_blocks": self.num_blocks}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class EncodingBlock(tf.keras.layers.Layer):
    """[B, H, W, C] -> [B, H/strides, W/strides, filters]: InBlock (strides 1) and EBlock (strides 2)."""

    def __init__(self, filters, strides, num_res_blocks=4, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.num_res_blocks = num_res_blocks
        self.conv = conv(filters, strides, name="conv")
        self.residuals = ResidualBlocks(filters, num_res_blocks, name="residuals")

    def call(self, inputs):
        return self.residuals(self.conv(inputs))

    def get_config(self):
        config = {"filters": self.filters, "strides": self.strides, "num_res_blocks": self.num_res_blocks}
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class DecodingBlock(tf.keras.layers.Layer):
    """[B, H, W, in_filters] -> [B, H*strides, W*strides, filters]: DBlock (strides 2), OutBlock (strides 1).

    The transposed convolution is 4x4 where it doubles the size and 3x3 where it keeps it.
    """

    def __init__(self, in_filters, filters, strides, num_res_blocks=4, **kwargs):
        super().__init__(**kwargs)
        self.in_filters = in_filters
        self.filters = filters
        self.strides = strides
        self.num_res_blocks = num_res_blocks
        self.residuals = ResidualBlocks(in_filters, num_res_blocks, name="residuals")
        kernel_size = 4 if strides == 2 else 3
        self.deconv = tf.keras.layers.Conv2DTranspose(
            filters, kernel_size, strides, "same", activation="relu", name="deconv"
        )

    def call(self, inputs):
        return self.deconv(self.residuals(inputs))

    def get_config(self):
        config = {
            "in_filters": self.in_filters,
            "filters": self.filters,
            "strides": self.strides,
            "num_res_blocks": self.num_res_blocks,
        }
        return {**super().get_config(), **config}

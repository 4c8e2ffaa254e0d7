"""The generator of Improved DeblurGAN, top to bottom as in the paper's Figs. 2 to 4.

Images are float32 RGB in [0, 1] at the boundary, [-1, 1] inside, as in DeblurGAN, whose head, tail, global residual,
instance normalisation, initial weights and padding are kept. See README.md for every reading of the paper.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.instance_norm import InstanceNorm
from tfdeblur.layers.torch_conv import DoublingDeconv, ReflectConv, ZeroPadConv, normal_initializer
from tfdeblur.ops.ranges import to_m11
from tfdeblur.systems.deblurgan.networks import add_residual

NUM_LAYERS = 9  # of the dense block
UP_KINDS, SKIPS, HEADS = ("asym", "sep"), ("add", "concat"), ("conv", "separable")


@tf.keras.utils.register_keras_serializable("tfdeblur")
class SeparableBlock(tf.keras.layers.Layer):
    """[B, H, W, C] -> [B, H/strides, W/strides, filters]: depthwise 3x3, pointwise 1x1, norm, ReLU."""

    def __init__(self, filters, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.conv = ZeroPadConv(filters, 3, strides, 1, separable=True, name="conv")
        self.norm = InstanceNorm(name="norm")

    def call(self, inputs):
        return tf.nn.relu(self.norm(self.conv(inputs)))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class DenseBlock(tf.keras.layers.Layer):
    """[B, H, W, C] -> [B, H, W, C + 9 growth]: nine separable layers, each seeing all outputs before."""

    def __init__(self, growth, **kwargs):
        super().__init__(**kwargs)
        self.growth = growth
        self.blocks = [SeparableBlock(growth, name=f"layer{n}") for n in range(1, NUM_LAYERS + 1)]

    def call(self, inputs):
        x = inputs
        for block in self.blocks:
            x = tf.concat([x, block(x)], axis=-1)
        return x

    def get_config(self):
        return {**super().get_config(), "growth": self.growth}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class UpBlock(tf.keras.layers.Layer):
    """[B, H, W, C] -> [B, 2H, 2W, filters], instance norm, ReLU.

    kind "asym": a transposed convolution 3x1 that doubles the height, then 1x3 that doubles the width, as printed.
    kind "sep": depthwise transposed 3x3 and pointwise 1x1, if "3x1 and 1x3" is a slip for "3x3 and 1x1".
    """

    def __init__(self, filters, kind="asym", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kind = kind
        if kind == "asym":
            self.up = [
                DoublingDeconv(filters, (3, 1), (2, 1), name="rows"),
                DoublingDeconv(filters, (1, 3), (1, 2), name="columns"),
            ]
        else:
            pointwise = tf.keras.layers.Conv2D(filters, 1, kernel_initializer=normal_initializer(), name="pointwise")
            self.up = [DepthwiseDoubling(name="depthwise"), pointwise]
        self.norm = InstanceNorm(name="norm")

    def call(self, inputs):
        first, second = self.up
        return tf.nn.relu(self.norm(second(first(inputs))))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "kind": self.kind}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class DepthwiseDoubling(tf.keras.layers.Layer):
    """[B, H, W, C] -> [B, 2H, 2W, C]: each channel's own transposed 3x3 convolution, padded as `DoublingDeconv`."""

    def build(self, shape):
        self.kernel = self.add_weight("kernel", [3, 3, shape[-1], 1], initializer=normal_initializer())
        self.bias = self.add_weight("bias", [shape[-1]], initializer="zeros")
        super().build(shape)

    def call(self, inputs):
        batch, height, width = tf.unstack(tf.shape(inputs)[:3])
        # The gradient of a convolution is a transposed one.
        doubled = tf.nn.depthwise_conv2d_backprop_input(
            [batch, 2 * height, 2 * width, inputs.shape[3]],
            tf.cast(self.kernel, inputs.dtype),
            inputs,
            [1, 2, 2, 1],
            [[0, 0], [1, 0], [1, 0], [0, 0]],
        )
        doubled.set_shape(
            [inputs.shape[0], *(2 * side if side else None for side in inputs.shape[1:3]), inputs.shape[3]]
        )
        return doubled + tf.cast(self.bias, inputs.dtype)


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ImprovedDeblurGan(tf.keras.Model):
    """[B, H, W, 3] in [0, 1] -> {"restored": the same}, H and W multiples of 4.

    Args:
      width: channels at full size; 2 and 4 times as many at a half and a quarter.
      growth: channels that each of the nine dense layers adds.
      up_kind: "asym" or "sep", see `UpBlock`.
      skip: "add" or "concat", how the features of the encoder join those of the decoder.
      head: "conv" or "separable", the two 7x7 convolutions at the ends.
    """

    size_multiple = 4

    def __init__(self, width=64, growth=32, up_kind="asym", skip="add", head="conv", **kwargs):
        # No autocast: in half precision the image would lose grey levels before the residual is added.
        super().__init__(**{"autocast": False, **kwargs})
        for name, value, valid in (("up_kind", up_kind, UP_KINDS), ("skip", skip, SKIPS), ("head", head, HEADS)):
            if value not in valid:
                raise DeblurError(f"{name}={value}: choose {', '.join(valid)}")
        for name, value in (("width", width), ("growth", growth)):
            if value < 1:
                raise DeblurError(f"{name}={value}: must be at least 1")
        self.width = width
        self.growth = growth
        self.up_kind = up_kind
        self.skip = skip
        self.head = head
        separable = head == "separable"
        self.first = ReflectConv(width, 7, separable=separable, name="first")
        self.first_norm = InstanceNorm(name="first_norm")
        self.down1 = SeparableBlock(2 * width, strides=2, name="down1")
        self.down2 = SeparableBlock(4 * width, strides=2, name="down2")
        self.dense = DenseBlock(growth, name="dense")
        self.transition = tf.keras.layers.Conv2D(
            4 * width, 1, kernel_initializer=normal_initializer(), name="transition"
        )
        self.transition_norm = InstanceNorm(name="transition_norm")
        self.up1 = UpBlock(2 * width, up_kind, name="up1")
        self.up2 = UpBlock(width, up_kind, name="up2")
        self.last = ReflectConv(3, 7, separable=separable, dtype="float32", name="last")

    def call(self, blurred):
        blurred = to_m11(blurred)
        e0 = tf.nn.relu(self.first_norm(self.first(blurred)))
        e1 = self.down1(e0)
        x = self.dense(self.down2(e1))
        x = tf.nn.relu(self.transition_norm(self.transition(x)))
        x = self._join(self.up1(x), e1)
        x = self._join(self.up2(x), e0)
        return {"restored": add_residual(blurred, self.last(x))}

    def _join(self, decoded, encoded):
        return decoded + encoded if self.skip == "add" else tf.concat([decoded, encoded], axis=-1)

    def get_config(self):
        names = ("width", "growth", "up_kind", "skip", "head", "name")
        return {name: getattr(self, name) for name in names}

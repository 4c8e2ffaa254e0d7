"""DeblurGAN's generator (Kupyn et al., CVPR 2018, Fig. 3), top to bottom.

Images are float32 RGB in [0, 1] at the boundary, [-1, 1] inside. Convolutions have biases and weights from N(0, 0.02);
padding is PyTorch's. See README.md for every reading of the paper.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.instance_norm import InstanceNorm
from tfdeblur.layers.torch_conv import DoublingDeconv, ReflectConv, ZeroPadConv
from tfdeblur.ops.ranges import to_01, to_m11


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ResBlock(tf.keras.layers.Layer):
    """[B, H, W, filters] -> the same: x + norm(conv(relu(norm(conv(x))))), 3x3, mirrored borders; H and W from 2."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv1 = ReflectConv(filters, 3, name="conv1")
        self.norm1 = InstanceNorm(name="norm1")
        self.conv2 = ReflectConv(filters, 3, name="conv2")
        self.norm2 = InstanceNorm(name="norm2")

    def call(self, inputs):
        x = tf.nn.relu(self.norm1(self.conv1(inputs)))
        return inputs + self.norm2(self.conv2(x))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def add_residual(blurred_m11, residual):
    """The blurred image plus tanh(residual), clipped to [-1, 1] (`learn_residual`), as [0, 1] float32."""
    corrected = tf.cast(blurred_m11, tf.float32) + tf.tanh(tf.cast(residual, tf.float32))
    return to_01(tf.clip_by_value(corrected, -1.0, 1.0))


@tf.keras.utils.register_keras_serializable("tfdeblur")
class DeblurGan(tf.keras.Model):
    """[B, H, W, 3] in [0, 1] -> {"restored": the same}, H and W multiples of 8.

    A 7x7 convolution, two that halve, `num_res_blocks` residual blocks, two transposed ones that double, a 7x7 to
    the residual; instance normalisation and ReLU after all but the last.

    Args:
      width: channels at full size; 2 and 4 times as many at a half and a quarter.
      num_res_blocks: how many residual blocks.
    """

    # A quarter of it must be 2 pixels at least, to be mirrored by one.
    size_multiple = 8

    def __init__(self, width=64, num_res_blocks=9, **kwargs):
        # No autocast: in half precision the image would lose grey levels before the residual is added.
        super().__init__(**{"autocast": False, **kwargs})
        if width < 1 or num_res_blocks < 0:
            raise DeblurError(f"width={width}, num_res_blocks={num_res_blocks}: need a width from 1, blocks from 0")
        self.width = width
        self.num_res_blocks = num_res_blocks
        self.head = ReflectConv(width, 7, name="head")
        self.downs = [ZeroPadConv(factor * width, 3, 2, 1, name=f"down{factor}") for factor in (2, 4)]
        self.blocks = [ResBlock(4 * width, name=f"block{n}") for n in range(1, num_res_blocks + 1)]
        self.ups = [DoublingDeconv(factor * width, name=f"up{factor}") for factor in (2, 1)]
        self.norms = [InstanceNorm(name=f"norm{n}") for n in range(1, 6)]
        self.tail = ReflectConv(3, 7, dtype="float32", name="tail")

    def call(self, blurred):
        blurred = to_m11(blurred)
        head_norm, *down_norms = self.norms[:3]
        x = tf.nn.relu(head_norm(self.head(blurred)))
        for down, norm in zip(self.downs, down_norms, strict=True):
            x = tf.nn.relu(norm(down(x)))
        for block in self.blocks:
            x = block(x)
        for up, norm in zip(self.ups, self.norms[3:], strict=True):
            x = tf.nn.relu(norm(up(x)))
        return {"restored": add_residual(blurred, self.tail(x))}

    def get_config(self):
        return {"width": self.width, "num_res_blocks": self.num_res_blocks, "name": self.name}

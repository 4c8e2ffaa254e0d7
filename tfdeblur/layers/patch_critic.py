"""DeblurGAN's critic: the PatchGAN of 70x70 pixels."""

from tfdeblur.compat import tf
from tfdeblur.layers.instance_norm import InstanceNorm
from tfdeblur.layers.torch_conv import ZeroPadConv


@tf.keras.utils.register_keras_serializable("tfdeblur")
class PatchCritic(tf.keras.Model):
    """[B, H, W, 3] in [-1, 1] -> one value for each patch, [B, h, w, 1]; 256x256 gives 35x35.

    Five 4x4 convolutions, zero-padded by 2, with strides 2, 2, 2, 1, 1; instance normalisation on the middle three;
    leaky ReLU 0.2; no sigmoid. float32 whole under every policy: its gradient penalty differentiates it twice, and a
    layer casts its own inputs.

    Args:
      width: channels of the first convolution; the others have 2, 4 and 8 times as many.
    """

    def __init__(self, width=64, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.width = width
        self.convs = [
            ZeroPadConv(filters, 4, strides, 2, dtype="float32", name=f"conv{n}")
            for n, (filters, strides) in enumerate(
                [(width, 2), (2 * width, 2), (4 * width, 2), (8 * width, 1), (1, 1)], start=1
            )
        ]
        self.norms = [InstanceNorm(dtype="float32", name=f"norm{n}") for n in (2, 3, 4)]

    def call(self, images):
        x = tf.nn.leaky_relu(self.convs[0](images), 0.2)
        for conv, norm in zip(self.convs[1:4], self.norms, strict=True):
            x = tf.nn.leaky_relu(norm(conv(x)), 0.2)
        return self.convs[4](x)

    def get_config(self):
        return {"width": self.width, "name": self.name}

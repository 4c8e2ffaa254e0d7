"""The self-ensemble network (EGNet, Fig. 6), top to bottom. Images are float32 RGB in [0, 1]."""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.ops.geometry import double_bilinear, from_patches, half_bilinear
from tfdeblur.systems.egnet.networks import EgNet
from tfdeblur.systems.mprnet.networks import MprNet, quadrants

BASES = {"egnet": EgNet, "mprnet": MprNet}
FUSIONS = ("network", "mean")
INPUTS = ("from_half", "from_whole", "from_quadrants")


@tf.keras.utils.register_keras_serializable("tfdeblur")
class FusingNetwork(tf.keras.layers.Layer):
    """n images [B, H, W, 3] -> a weight of each at each pixel [B, H, W, n], above 0, their sum 1 (Eqs. 10 to 12).

    Convolutions are 3x3, with bias and "same" padding. The last starts at zero: until it is trained, all
    weights are 1/n.

    Args:
      num_images: n.
      width: channels inside.
    """

    def __init__(self, num_images=3, width=32, **kwargs):
        super().__init__(**kwargs)
        self.num_images = num_images
        self.width = width

        def conv(filters, name, **arguments):
            return tf.keras.layers.Conv2D(filters, 3, padding="same", name=name, **arguments)

        self.branches = [
            (conv(width, f"branch{n}_conv1", activation="relu"), conv(3, f"branch{n}_conv2"))
            for n in range(1, num_images + 1)
        ]
        self.conv3 = conv(width, "conv3", activation="relu")
        self.conv4 = conv(width, "conv4", activation="relu")
        self.conv5 = conv(num_images, "conv5", kernel_initializer="zeros", dtype=self.variable_dtype)

    def call(self, images):
        features = [image + conv2(conv1(image)) for image, (conv1, conv2) in zip(images, self.branches, strict=True)]
        return tf.nn.softmax(self.conv5(self.conv4(self.conv3(tf.add_n(features)))))

    def get_config(self):
        return {**super().get_config(), "num_images": self.num_images, "width": self.width}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class SelfEnsemble(tf.keras.Model):
    """What a trained network makes of the halved image, of the image and of its quadrants, fused into one.

    Args:
      base: "egnet" or "mprnet", the network; no gradient flows into it.
      base_arguments: dict, its arguments.
      fuse: "network": sum of the three times the weights that `FusingNetwork` gives them; "mean": their plain mean.
      fuse_width: channels in that network.

    Call:
      blurred: float32 [B, H, W, 3] in [0, 1], H and W divisible by 16: twice what the base needs.
      -> {"restored": the fused image, "from_half": restored at half size and doubled, "from_whole": what the base gives
        by itself, "from_quadrants": restored one by one and put together}, [B, H, W, 3] in [0, 1].
    """

    size_multiple = 2 * MprNet.size_multiple

    def __init__(self, base="egnet", base_arguments=None, fuse="network", fuse_width=32, **kwargs):
        for name, value, choices in (("base", base, BASES), ("fuse", fuse, FUSIONS)):
            if value not in choices:
                raise DeblurError(f"{name}={value}: choose {', '.join(choices)}")
        if fuse_width < 1:
            raise DeblurError(f"fuse_width={fuse_width}: must be at least 1")
        super().__init__(**{"name": "self_ensemble", "autocast": False, **kwargs})
        self.base_system = base
        self.base_arguments = base_arguments or {}
        self.fuse = fuse
        self.fuse_width = fuse_width
        self.base = BASES[base](**self.base_arguments, name="base")
        self.fusing = FusingNetwork(len(INPUTS), fuse_width, name="fusing") if fuse == "network" else None

    def call(self, blurred):
        blurred = tf.cast(blurred, self.variable_dtype)
        from_half = double_bilinear(self._restore(half_bilinear(blurred)))
        # One after the other: each takes a network's worth of memory.
        from_quadrants = self._restore(_after(quadrants(blurred), from_half))
        from_quadrants = from_patches(from_patches(from_quadrants, 2), 1)
        from_whole = self._restore(_after(blurred, from_quadrants))
        images = [from_half, from_whole, from_quadrants]
        if self.fusing is None:
            restored = tf.add_n(images) / len(images)
        else:
            weights = tf.split(self.fusing(images), len(images), axis=-1)
            # The weights go to the images, not to the branches' features: section 3.2's last sentence.
            restored = tf.add_n([weight * image for weight, image in zip(weights, images, strict=True)])
        return {"restored": restored, **dict(zip(INPUTS, images, strict=True))}

    def _restore(self, images):
        restored = self.base(images, training=False)["restored"]
        return tf.stop_gradient(tf.clip_by_value(restored, 0.0, 1.0))

    def get_config(self):
        return {
            "name": self.name,
            "base": self.base_system,
            "base_arguments": dict(self.base_arguments),  # Keras wraps an attribute, and JSON cannot tell
            "fuse": self.fuse,
            "fuse_width": self.fuse_width,
        }


def _after(x, earlier):
    """x, but nothing is made of it before `earlier` is there."""
    with tf.control_dependencies([earlier]):
        return tf.identity(x)

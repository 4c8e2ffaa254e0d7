"""The networks of MADN, top to bottom as in the paper's Figures 1 to 5.

Images are float32 RGB in [0, 1] at every boundary. Convolutions are 3x3 with bias, "same" padding and Glorot
(Xavier) uniform weights unless said; there is no normalisation. See README.md for every reading of the paper.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.codec import DecodingBlock, EncodingBlock, conv, image_head
from tfdeblur.ops.geometry import double_bicubic, pyramid, require_multiple
from tfdeblur.ops.gradients import sobel_magnitude

NUM_SCALES = 3


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ScaleNetwork(tf.keras.layers.Layer):
    """One level of SN (Fig. 2): [B, H, W, 6] -> (scale feature F_i [B, H, W, widths[0]], image [B, H, W, 3])."""

    def __init__(self, widths=(64, 128, 256), num_res_blocks=4, zero_head=False, **kwargs):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.num_res_blocks = num_res_blocks
        self.zero_head = zero_head
        a, b, c = self.widths
        self.in_block = EncodingBlock(a, 1, num_res_blocks, name="in_block")
        self.e_block1 = EncodingBlock(b, 2, num_res_blocks, name="e_block1")
        self.e_block2 = EncodingBlock(c, 2, num_res_blocks, name="e_block2")
        self.d_block1 = DecodingBlock(c, b, 2, num_res_blocks, name="d_block1")
        self.d_block2 = DecodingBlock(b, a, 2, num_res_blocks, name="d_block2")
        self.out_block = DecodingBlock(a, a, 1, num_res_blocks, name="out_block")
        self.head = image_head(zero_head, "head")

    def call(self, inputs):
        full = self.in_block(inputs)
        half = self.e_block1(full)
        quarter = self.e_block2(half)
        x = self.d_block1(quarter) + half
        x = self.d_block2(x) + full
        feature = self.out_block(x)
        return feature, self.head(feature)

    def get_config(self):
        config = {
            "widths": self.widths,
            "num_res_blocks": self.num_res_blocks,
            "zero_head": self.zero_head,
        }
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class GradientNetwork(tf.keras.layers.Layer):
    """GN (Fig. 2): gradient map [B, H, W, 3] -> (feature [B, H, W, widths[0]], sharp gradient map [B, H, W, 3]).

    The scale features of SN at half and quarter size join behind the encoding blocks of the same size.
    """

    def __init__(self, widths=(64, 128, 256), num_res_blocks=4, zero_head=False, **kwargs):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.num_res_blocks = num_res_blocks
        self.zero_head = zero_head
        a, b, c = self.widths
        self.in_block = EncodingBlock(a, 1, num_res_blocks, name="in_block")
        self.e_block1 = EncodingBlock(b, 2, num_res_blocks, name="e_block1")
        self.e_block2 = EncodingBlock(c, 2, num_res_blocks, name="e_block2")
        self.fuse = conv(c, name="fuse")
        self.d_block1 = DecodingBlock(c, b, 2, num_res_blocks, name="d_block1")
        self.d_block2 = DecodingBlock(b, a, 2, num_res_blocks, name="d_block2")
        self.out_block = DecodingBlock(a, a, 1, num_res_blocks, name="out_block")
        self.head = image_head(zero_head, "head")

    def call(self, gradient, half_feature, quarter_feature):
        full = self.in_block(gradient)
        half = self.e_block1(full)
        quarter = self.e_block2(tf.concat([half, tf.cast(half_feature, half.dtype)], axis=-1))
        quarter = tf.concat([quarter, tf.cast(quarter_feature, quarter.dtype)], axis=-1)
        x = self.d_block1(self.fuse(quarter)) + half
        x = self.d_block2(x) + full
        feature = self.out_block(x)
        return feature, self.head(feature)

    def get_config(self):
        config = {
            "widths": self.widths,
            "num_res_blocks": self.num_res_blocks,
            "zero_head": self.zero_head,
        }
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class Fusion(tf.keras.layers.Layer):
    """The up-sampling block of Fig. 2: concat(Fg, F_1) [B, H, W, 2*filters] -> image [B, H, W, 3]."""

    def __init__(self, filters=64, num_res_blocks=4, zero_head=False, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.num_res_blocks = num_res_blocks
        self.zero_head = zero_head
        self.block = DecodingBlock(2 * filters, filters, 1, num_res_blocks, name="block")
        self.head = image_head(zero_head, "head")

    def call(self, inputs):
        return self.head(self.block(inputs))

    def get_config(self):
        config = {
            "filters": self.filters,
            "num_res_blocks": self.num_res_blocks,
            "zero_head": self.zero_head,
        }
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class Madn(tf.keras.Model):
    """MADN's generator G = SN over three scales, GN, and the fusion of both (Figs. 1 and 2).

    Args:
      widths: channels at full, half and quarter size of every codec; the paper's 29 M are (64, 128, 256).
      num_res_blocks: residual blocks in every encoding and decoding block; the paper has 4.
      global_residual: the three image heads predict what is added to their own input (the blurred image of the
        scale, its gradient map) and start at zero. Not in the paper: for short trainings.
      stop_gradient_between_scales: do not train through the image handed to the next scale (SRN's code does
        not; MADN motivates its clipping by this recurrence, so False is its default).

    Call:
      blurred: float32 [B, H, W, 3] in [0, 1], H and W divisible by 16.
      -> {"restored": X_b hat, "gradient": X_g hat, "scale_1": I_1, "scale_2": I_2 (half size),
      "scale_3": I_3 (quarter size)}, float32 [B, h, w, 3] each, about [0, 1] but not clipped ("gradient":
      about [0, 4.47]).
    """

    size_multiple = 4 * 2 ** (NUM_SCALES - 1)

    def __init__(
        self,
        widths=(64, 128, 256),
        num_res_blocks=4,
        global_residual=False,
        stop_gradient_between_scales=False,
        **kwargs,
    ):
        if len(widths) != 3 or min(widths) < 1 or num_res_blocks < 0:
            raise DeblurError(
                f"widths={tuple(widths)}, num_res_blocks={num_res_blocks}: need three widths from 1, blocks from 0"
            )
        # The pyramid, the Sobel map and the sums with the input stay in float32; the layers cast for themselves.
        super().__init__(**{"name": "madn", "autocast": False, **kwargs})
        self.widths = tuple(widths)
        self.num_res_blocks = num_res_blocks
        self.global_residual = global_residual
        self.stop_gradient_between_scales = stop_gradient_between_scales
        common = {"num_res_blocks": num_res_blocks, "zero_head": global_residual}
        self.scale_network = ScaleNetwork(self.widths, **common, name="scale_network")
        self.gradient_network = GradientNetwork(self.widths, **common, name="gradient_network")
        self.fusion = Fusion(self.widths[0], **common, name="fusion")

    def call(self, blurred):
        require_multiple(blurred, self.size_multiple)
        blurred = tf.cast(blurred, tf.float32)
        scales = pyramid(blurred, NUM_SCALES)

        images, features = [], []  # I_3, I_2, I_1 and F_3, F_2, F_1
        previous = scales[-1]  # at the coarsest scale the blurred image stands in for the coarser result
        for scale in reversed(scales):
            if images:
                previous = double_bicubic(images[-1])
                if self.stop_gradient_between_scales:
                    previous = tf.stop_gradient(previous)
            feature, image = self.scale_network(tf.concat([scale, previous], axis=-1))
            images.append(self._residual(image, scale))
            features.append(feature)

        blurred_gradient = sobel_magnitude(blurred)
        gradient_feature, gradient = self.gradient_network(blurred_gradient, features[1], features[0])
        restored = self.fusion(tf.concat([gradient_feature, features[2]], axis=-1))
        return {
            "restored": self._residual(restored, blurred),
            "gradient": self._residual(gradient, blurred_gradient),
            "scale_1": images[2],
            "scale_2": images[1],
            "scale_3": images[0],
        }

    def _residual(self, image, base):
        return base + image if self.global_residual else image

    def get_config(self):
        return {
            "name": self.name,
            "widths": self.widths,
            "num_res_blocks": self.num_res_blocks,
            "global_residual": self.global_residual,
            "stop_gradient_between_scales": self.stop_gradient_between_scales,
        }


@tf.keras.utils.register_keras_serializable("tfdeblur")
class Discriminator(tf.keras.Model):
    """D (Fig. 5, Table 1): image or gradient map [B, crop, crop, 3] -> logits [B, 1] in float32.

    Five pairs of 3x3 convolutions (strides 1 and 2), two 1x1 convolutions to one channel, Flatten, Dense(1024),
    Dense(1). Logits: the sigmoid belongs to the loss, where it is stable.

    Args:
      crop: side of the square input, a multiple of 32; Flatten ties the number of parameters to it.
      widths: channels of the five pairs.
      dense_units: units of the first dense layer.
    """

    crop_multiple = 32  # it is halved five times

    def __init__(self, crop=256, widths=(64, 64, 128, 256, 512), dense_units=1024, **kwargs):
        super().__init__(**{"name": "discriminator", **kwargs})
        if crop < 1 or crop % self.crop_multiple:
            raise DeblurError(f"crop={crop}: the discriminator halves it five times; use a multiple of 32")
        if len(widths) != 5 or min(widths) < 1 or dense_units < 1:
            raise DeblurError(f"discriminator widths={tuple(widths)}, dense_units={dense_units}: need five, all from 1")
        self.crop = crop
        self.widths = tuple(widths)
        self.dense_units = dense_units
        self.convs = []
        for n, filters in enumerate(self.widths):
            self.convs += [
                self._conv(filters, 3, 1, f"conv{2 * n + 1}"),
                self._conv(filters, 3, 2, f"conv{2 * n + 2}"),
            ]
        # Deviation: Table 1 says 3x3 with stride 2 here, the text says 1x1 that keeps the size; see README.md.
        last = 2 * len(self.widths)
        self.convs += [self._conv(1, 1, 1, f"conv{last + 1}"), self._conv(1, 1, 1, f"conv{last + 2}")]
        self.flatten = tf.keras.layers.Flatten()
        self.dense1 = tf.keras.layers.Dense(dense_units, name="dense1")
        self.dense2 = tf.keras.layers.Dense(1, dtype="float32", name="dense2")

    @staticmethod
    def _conv(filters, kernel_size, strides, name):
        return conv(filters, strides, kernel_size, activation=None, name=name)

    def call(self, images):
        x = images
        for layer in self.convs:
            x = tf.nn.leaky_relu(layer(x), 0.2)
        x = tf.nn.leaky_relu(self.dense1(self.flatten(x)), 0.2)
        return self.dense2(x)

    def get_config(self):
        return {
            "name": self.name,
            "crop": self.crop,
            "widths": self.widths,
            "dense_units": self.dense_units,
        }

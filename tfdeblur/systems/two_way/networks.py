"""The Two-Way network, top to bottom as in the paper's Fig. 1 (section 3.1).

Images are float32 RGB in [0, 1] at every boundary. Convolutions are 3x3 with bias, "same" padding, ReLU and Glorot
(Xavier) uniform weights unless said; there is no normalisation. See README.md for every reading of the paper.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.codec import DecodingBlock, EncodingBlock, ResidualBlocks, image_head
from tfdeblur.layers.enhanced_gradient import EnhancedGradientNetwork
from tfdeblur.ops.geometry import double_bilinear, half_bilinear, pyramid, require_multiple
from tfdeblur.ops.gradients import enhanced_gradient

NUM_SCALES = 3
DECODER_ORDERS = ("residuals_first", "deconv_first")


def _space_to_depth(images):
    """[B, 2H, 2W, C] -> [B, H, W, 4C], 2x2 pixels become one, as by tf.nn.space_to_depth.

    Not by that: OpenVINO takes the greatest size that a number can hold, halved by it, for a limit of the sizes, and
    cannot run the transposed convolutions behind it.
    """
    return tf.concat([images[:, row::2, column::2] for row in (0, 1) for column in (0, 1)], axis=-1)


def size_multiple(half_resolution):
    """What the sides of the blurred image must divide by: the coarsest scale is halved twice in the encoder."""
    return 4 * 2 ** (NUM_SCALES - 1) * (2 if half_resolution else 1)


@tf.keras.utils.register_keras_serializable("tfdeblur")
class Decoder(tf.keras.layers.Layer):
    """[B, H/4, W/4, widths[2]] -> image [B, H, W, 3], linear, float32; with `half_resolution` [B, 2H, 2W, 3].

    Args:
      widths: channels at full, half and quarter size.
      num_res_blocks: residual blocks at each size.
      order: "residuals_first": residual blocks at all three sizes, each but the last before its transposed
        convolution (4x4, doubles the size); "deconv_first": none at the quarter size.
      zero_head: the last convolution starts at zero.
      half_resolution: the last convolution gives 12 channels, 2x2 pixels each (depth to space).

    Call:
      quarter: the encoder's last feature.
      skips: (feature at half size [B, H/2, W/2, widths[1]], at full size [B, H, W, widths[0]]), added behind the
        transposed convolution of their size; None for none.
    """

    def __init__(
        self, widths, num_res_blocks=3, order="residuals_first", zero_head=False, half_resolution=False, **kwargs
    ):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.num_res_blocks = num_res_blocks
        self.order = order
        self.zero_head = zero_head
        self.half_resolution = half_resolution
        a, b, c = self.widths
        at_quarter = num_res_blocks if order == "residuals_first" else 0
        self.to_half = DecodingBlock(c, b, 2, at_quarter, name="to_half")
        self.to_full = DecodingBlock(b, a, 2, num_res_blocks, name="to_full")
        self.residuals = ResidualBlocks(a, num_res_blocks, name="residuals")
        self.head = image_head(zero_head, "head", kernel_size=3, filters=12 if half_resolution else 3)

    def call(self, quarter, skips=None):
        x = self.to_half(quarter)
        if skips is not None:
            x += skips[0]
        x = self.to_full(x)
        if skips is not None:
            x += skips[1]
        image = self.head(self.residuals(x))
        return tf.nn.depth_to_space(image, 2) if self.half_resolution else image

    def get_config(self):
        config = {
            "widths": self.widths,
            "num_res_blocks": self.num_res_blocks,
            "order": self.order,
            "zero_head": self.zero_head,
            "half_resolution": self.half_resolution,
        }
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class TwoWay(tf.keras.Model):
    """The Two-Way network: encoders E1 to E3 and both decoders, one set of weights for all three scales.

    Args:
      widths: channels of E1, E2 and E3, at full, half and quarter size of their scale.
      num_res_blocks: residual blocks in each encoder and at each size of the decoders.
      decoder_order: "residuals_first" or "deconv_first", see `Decoder`.
      down_branch: whether the lower decoder is there; without it is the paper's "w/o TWNNet".
      stop_gradient_between_scales: do not train through the image handed to the next scale, as SRN's code.
      global_residual: the upper decoder predicts what is added to the blurred image of its scale, and the last
        convolutions start at zero. Not in the paper: for short trainings.
      num_egms: modules of an enhanced gradient network of widths[2] channels behind E3, which both decoders then see;
        0 for none. Not in the paper: EGNet's, see layers.enhanced_gradient.
      half_resolution: 2x2 pixels become one of four times the channels before the encoder (space to depth), and are
        taken apart behind the decoders: all features at half size, a quarter of the arithmetic. Not in the paper: for
        small processors.

    Call:
      blurred: float32 [B, H, W, 3] in [0, 1], H and W divisible by `size_multiple`: 16, or 32 at half resolution.
      -> I, I_up and I_down of Eq. 1 for each scale, I = I_up + I_down: {"restored", "up", "down"} at full size,
      {"restored_2", "up_2", "down_2"} at half, {"restored_3", "up_3", "down_3"} at quarter size, float32
      [B, h, w, 3] each; "restored" is about [0, 1] but not clipped. Without the lower branch there is no "down", and
      "restored" is "up".
    """

    def __init__(
        self,
        widths=(32, 64, 128),
        num_res_blocks=3,
        decoder_order="residuals_first",
        down_branch=True,
        stop_gradient_between_scales=True,
        global_residual=False,
        num_egms=0,
        half_resolution=False,
        **kwargs,
    ):
        if len(widths) != 3 or min(widths) < 1 or min(num_res_blocks, num_egms) < 0:
            raise DeblurError(
                f"widths={tuple(widths)}, num_res_blocks={num_res_blocks}, num_egms={num_egms}: need three widths from "
                "1, blocks and modules from 0"
            )
        if decoder_order not in DECODER_ORDERS:
            raise DeblurError(f"decoder_order={decoder_order}: choose {', '.join(DECODER_ORDERS)}")
        # The pyramid and the sums of images stay in float32; the layers cast for themselves.
        super().__init__(**{"name": "two_way", "autocast": False, **kwargs})
        self.widths = tuple(widths)
        self.num_res_blocks = num_res_blocks
        self.decoder_order = decoder_order
        self.down_branch = down_branch
        self.stop_gradient_between_scales = stop_gradient_between_scales
        self.global_residual = global_residual
        self.num_egms = num_egms
        self.half_resolution = half_resolution
        self.size_multiple = size_multiple(half_resolution)
        a, b, c = self.widths
        self.e1 = EncodingBlock(a, 1, num_res_blocks, name="e1")
        self.e2 = EncodingBlock(b, 2, num_res_blocks, name="e2")
        self.e3 = EncodingBlock(c, 2, num_res_blocks, name="e3")
        smaller = 8 if half_resolution else 4  # what E3 gives, than the image
        self.egn = EnhancedGradientNetwork(c, num_egms, smaller, name="egn") if num_egms else None
        common = (self.widths, num_res_blocks, decoder_order, global_residual, half_resolution)
        self.up = Decoder(*common, name="up")
        self.down = Decoder(*common, name="down") if down_branch else None

    def call(self, blurred):
        require_multiple(blurred, self.size_multiple)
        scales = pyramid(tf.cast(blurred, tf.float32), NUM_SCALES, half_bilinear)
        outputs = {}
        coarser = scales[-1]  # at the coarsest scale the blurred image stands in for the coarser result
        for number in reversed(range(NUM_SCALES)):
            images = self._restore(scales[number], coarser)
            suffix = f"_{number + 1}" if number else ""
            outputs |= {name + suffix: image for name, image in images.items()}
            if number:
                coarser = double_bilinear(images["restored"])
                if self.stop_gradient_between_scales:
                    coarser = tf.stop_gradient(coarser)
        return outputs

    def _restore(self, blurred, coarser):
        """One scale, Eq. 1: {"restored", "up", "down"}."""
        images = tf.concat([blurred, coarser], axis=-1)
        full = self.e1(_space_to_depth(images) if self.half_resolution else images)
        half = self.e2(full)
        quarter = self.e3(half)
        if self.egn is not None:
            quarter = self.egn(quarter, enhanced_gradient(blurred))
        up = self.up(quarter, (half, full))
        if self.global_residual:
            up += blurred
        if not self.down_branch:
            return {"restored": up, "up": up}
        down = self.down(quarter)
        return {"restored": up + down, "up": up, "down": down}

    def get_config(self):
        return {
            "name": self.name,
            "widths": self.widths,
            "num_res_blocks": self.num_res_blocks,
            "decoder_order": self.decoder_order,
            "down_branch": self.down_branch,
            "stop_gradient_between_scales": self.stop_gradient_between_scales,
            "global_residual": self.global_residual,
            "num_egms": self.num_egms,
            "half_resolution": self.half_resolution,
        }

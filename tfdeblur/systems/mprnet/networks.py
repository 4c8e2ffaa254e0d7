"""MPRNet (Zamir et al., CVPR 2021, Figs. 2 to 4), top to bottom.

Images are float32 RGB in [0, 1]. Convolutions are "same" with zeros beyond the border, without biases and with
PyTorch's initial weights. See README.md for every reading of the paper.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.channel_attention import ChannelAttention
from tfdeblur.layers.torch_conv import plain_conv
from tfdeblur.ops.geometry import double_bilinear, from_patches, half_bilinear, require_multiple, to_patches


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ChannelAttentionBlock(tf.keras.layers.Layer):
    """CAB: [B, H, W, C] -> the same: x + attention(conv2(PReLU(conv1(x)))), 3x3.

    Call:
      inputs, slope: features, and the PReLU's slope below 0, a scalar that the whole network shares.
    """

    def __init__(self, reduction=4, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.attention = ChannelAttention(reduction, use_bias=False, name="attention")

    def build(self, shape):
        self.conv1 = plain_conv(shape[-1], 3, dtype=self.dtype_policy, name="conv1")
        self.conv2 = plain_conv(shape[-1], 3, dtype=self.dtype_policy, name="conv2")
        super().build(shape)

    def call(self, inputs, slope):
        x = self.conv1(inputs)
        # The PReLU, with one buffer beside x; tf.where takes three, each 472 MB of a 1280x720 image in stage 3.
        x = x + (tf.cast(slope, x.dtype) - 1.0) * tf.minimum(x, 0.0)
        return inputs + self.attention(self.conv2(x))

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


def _after(x, earlier):
    """x, but nothing is made of it before `earlier` is there.

    A graph starts with all that it can: the shallow features of every stage at once, and in stage 3 all six additions
    to come, each as large as the features that it waits for. In float32 that is 1 GB of a 1280x720 image's 6.
    """
    with tf.control_dependencies([earlier]):
        return tf.identity(x)


def _cabs(count, reduction, prefix):
    return [ChannelAttentionBlock(reduction, name=f"{prefix}{n}") for n in range(1, count + 1)]


def _chain(cabs, x, slope):
    for cab in cabs:
        x = cab(x, slope)
    return x


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ShallowFeatures(tf.keras.layers.Layer):
    """[B, H, W, 3] -> [B, H, W, filters]: a 3x3 convolution and a CAB."""

    def __init__(self, filters, reduction=4, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.reduction = reduction
        self.conv = plain_conv(filters, 3, name="conv")
        self.cab = ChannelAttentionBlock(reduction, name="cab")

    def call(self, images, slope):
        return self.cab(self.conv(images), slope)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "reduction": self.reduction}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class Encoder(tf.keras.layers.Layer):
    """[B, H, W, widths[0]] -> [[B, H, W, widths[0]], [B, H/2, W/2, widths[1]], [B, H/4, W/4, widths[2]]].

    Two CABs at each size; between the sizes bilinear halving and a 1x1 convolution.

    Args:
      widths: channels at the three sizes.
      reduction: of the channel attentions.
      fuses: whether features of an earlier stage are added at each size, through 1x1 convolutions of their own
        (cross-stage feature fusion, CSFF).

    Call:
      inputs, slope; earlier: (encoder's three, decoder's three) of the stage before, where the layer fuses.
    """

    def __init__(self, widths, reduction=4, fuses=False, **kwargs):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.reduction = reduction
        self.fuses = fuses
        self.levels = [_cabs(2, reduction, f"level{n}_cab") for n in (1, 2, 3)]
        self.downs = [plain_conv(width, 1, name=f"down{n}{n + 1}") for n, width in enumerate(self.widths[1:], start=1)]
        if fuses:
            self.csff_encoder = [plain_conv(w, 1, name=f"csff_encoder{n}") for n, w in enumerate(self.widths, start=1)]
            self.csff_decoder = [plain_conv(w, 1, name=f"csff_decoder{n}") for n, w in enumerate(self.widths, start=1)]

    def call(self, inputs, slope, earlier=None):
        features, x = [], inputs
        for level, cabs in enumerate(self.levels):
            if level:
                x = self.downs[level - 1](half_bilinear(x))
            x = _chain(cabs, x, slope)
            if self.fuses:
                encoded, decoded = earlier
                x = x + self.csff_encoder[level](_after(encoded[level], x))
                x = x + self.csff_decoder[level](_after(decoded[level], x))
            features.append(x)
        return features

    def get_config(self):
        config = {"widths": self.widths, "reduction": self.reduction, "fuses": self.fuses}
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class Decoder(tf.keras.layers.Layer):
    """The three outputs of an encoder -> features of the same three shapes, the full size first.

    Two CABs at each size; going up, bilinear doubling and a 1x1 convolution, plus the encoder's features of that size
    through a CAB of their own.
    """

    def __init__(self, widths, reduction=4, **kwargs):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.reduction = reduction
        self.levels = [_cabs(2, reduction, f"level{n}_cab") for n in (1, 2, 3)]
        self.skips = _cabs(2, reduction, "skip")
        self.ups = [plain_conv(width, 1, name=f"up{n + 1}{n}") for n, width in enumerate(self.widths[:2], start=1)]

    def call(self, features, slope):
        x = _chain(self.levels[2], features[2], slope)
        decoded = [x]
        for level in (1, 0):
            x = self.ups[level](double_bilinear(x))
            x = x + self.skips[level](_after(features[level], x), slope)
            x = _chain(self.levels[level], x, slope)
            decoded.insert(0, x)
        return decoded

    def get_config(self):
        return {**super().get_config(), "widths": self.widths, "reduction": self.reduction}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class SupervisedAttention(tf.keras.layers.Layer):
    """SAM: features [B, H, W, filters] and image [B, H, W, 3] -> (features for the next stage, this stage's image)."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.features = plain_conv(filters, 1, name="features")
        self.to_image = plain_conv(3, 1, dtype=self.variable_dtype, name="to_image")
        self.from_image = plain_conv(filters, 1, name="from_image")

    def call(self, inputs, image):
        restored = image + self.to_image(inputs)
        return inputs + self.features(inputs) * tf.sigmoid(self.from_image(restored)), restored

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class OriginalResolutionBlock(tf.keras.layers.Layer):
    """ORB: [B, H, W, C] -> the same: x + conv(CABs(x))."""

    def __init__(self, num_cabs=8, reduction=4, **kwargs):
        super().__init__(**kwargs)
        self.num_cabs = num_cabs
        self.reduction = reduction
        self.cabs = _cabs(num_cabs, reduction, "cab")

    def build(self, shape):
        self.conv = plain_conv(shape[-1], 3, dtype=self.dtype_policy, name="conv")
        super().build(shape)

    def call(self, inputs, slope):
        return inputs + self.conv(_chain(self.cabs, inputs, slope))

    def get_config(self):
        return {**super().get_config(), "num_cabs": self.num_cabs, "reduction": self.reduction}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class OriginalResolutionNetwork(tf.keras.layers.Layer):
    """ORSNet: [B, H, W, filters] -> the same: three ORBs, after each of which one size of stage 2 is added.

    Features of half and quarter size are doubled, with a 1x1 convolution to the next larger size's channels each time.

    Args:
      widths: channels of stage 2 at the three sizes.
      filters: channels of this network.
      num_cabs, reduction: see `OriginalResolutionBlock`.
    """

    def __init__(self, widths, filters, num_cabs=8, reduction=4, **kwargs):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.filters = filters
        self.num_cabs = num_cabs
        self.reduction = reduction
        self.orbs = [OriginalResolutionBlock(num_cabs, reduction, name=f"orb{n}") for n in (1, 2, 3)]
        a, b = self.widths[:2]
        for side in ("encoder", "decoder"):
            ups = [[], [plain_conv(a, 1, name=f"{side}_up21")]]
            ups.append([plain_conv(width, 1, name=f"{side}_up3{n}") for n, width in ((2, b), (1, a))])
            setattr(self, f"{side}_ups", ups)
            setattr(self, f"{side}_convs", [plain_conv(filters, 1, name=f"{side}_conv{n}") for n in (1, 2, 3)])

    def call(self, inputs, slope, encoded, decoded):
        x = inputs
        for level, orb in enumerate(self.orbs):
            x = orb(x, slope)
            x = x + self._full_size(_after(encoded[level], x), self.encoder_ups[level], self.encoder_convs[level])
            x = x + self._full_size(_after(decoded[level], x), self.decoder_ups[level], self.decoder_convs[level])
        return x

    @staticmethod
    def _full_size(x, ups, conv):
        for up in ups:
            x = up(double_bilinear(x))
        return conv(x)

    def get_config(self):
        config = {
            "widths": self.widths,
            "filters": self.filters,
            "num_cabs": self.num_cabs,
            "reduction": self.reduction,
        }
        return {**super().get_config(), **config}


def quadrants(images):
    """[B, H, W, C] -> [4B, H/2, W/2, C], the patches of stage 1; `from_patches(_, 2)` gives those of stage 2."""
    return to_patches(halves(images), 2)


def halves(images):
    """[B, H, W, C] -> [2B, H/2, W, C], the patches of stage 2: the upper halves, then the lower ones."""
    return to_patches(images, 1)


@tf.keras.utils.register_keras_serializable("tfdeblur")
class MprNet(tf.keras.Model):
    """MPRNet: three stages, on quadrants, halves and the whole image, each a residual on its own input.

    Args:
      width: channels at full size.
      width_step: how many more there are at half size, and again at quarter size.
      orsnet_step: how many more than `width` the third stage has.
      num_cabs: CABs in each block of the third stage.
      reduction: of the channel attentions.

    Call:
      blurred: float32 [B, H, W, 3] in [0, 1], H and W divisible by 8: a quadrant is halved twice.
      enhance: None, or (stage 1 or 2, quarter-size features of its encoder [4B or 2B, h, w, width + 2 width_step]) ->
        the same shape, in place of those features from there on.
      -> {"restored": stage 3's image, "stage_2", "stage_1"}, float32 [B, H, W, 3] each, about [0, 1], not clipped.
    """

    size_multiple = 8

    def __init__(self, width=96, width_step=48, orsnet_step=32, num_cabs=8, reduction=4, **kwargs):
        if min(width, num_cabs, reduction) < 1 or min(width_step, orsnet_step) < 0:
            raise DeblurError(
                f"width={width}, num_cabs={num_cabs}, reduction={reduction}: need 1 or more; "
                f"width_step={width_step}, orsnet_step={orsnet_step}: need 0 or more"
            )
        # The images and the sums with them stay in float32; the layers cast for themselves.
        super().__init__(**{"name": "mprnet", "autocast": False, **kwargs})
        self.width = width
        self.width_step = width_step
        self.orsnet_step = orsnet_step
        self.num_cabs = num_cabs
        self.reduction = reduction
        widths = tuple(width + level * width_step for level in range(3))
        wide = width + orsnet_step
        self.slope = self.add_weight("slope", shape=[], initializer=tf.keras.initializers.Constant(0.25))
        self.shallow1, self.shallow2, self.shallow3 = (
            ShallowFeatures(width, reduction, name=f"shallow{stage}") for stage in (1, 2, 3)
        )
        self.encoder1 = Encoder(widths, reduction, name="encoder1")
        self.decoder1 = Decoder(widths, reduction, name="decoder1")
        self.sam12 = SupervisedAttention(width, name="sam12")
        self.merge12 = plain_conv(width, 3, name="merge12")
        self.encoder2 = Encoder(widths, reduction, fuses=True, name="encoder2")
        self.decoder2 = Decoder(widths, reduction, name="decoder2")
        self.sam23 = SupervisedAttention(width, name="sam23")
        self.merge23 = plain_conv(wide, 3, name="merge23")
        self.orsnet = OriginalResolutionNetwork(widths, wide, num_cabs, reduction, name="orsnet")
        self.tail = plain_conv(3, 3, dtype=self.variable_dtype, name="tail")

    def call(self, blurred, enhance=None):
        features, images = self._stages(blurred, enhance)
        return {"restored": tf.cast(blurred, self.variable_dtype) + self.tail(features), **images}

    def last_features(self, blurred, enhance=None):
        """What the last convolution takes: [B, H, W, width + orsnet_step]; arguments as in `call`."""
        return self._stages(blurred, enhance)[0]

    def _stages(self, blurred, enhance):
        require_multiple(blurred, self.size_multiple)
        blurred = tf.cast(blurred, self.variable_dtype)
        slope = self.slope

        # Stage 1: the encoder sees quadrants, the decoder halves.
        encoded = self.encoder1(self.shallow1(quadrants(blurred), slope), slope)
        if enhance:
            encoded = [*encoded[:2], enhance(1, encoded[2])]
        encoded = [from_patches(x, 2) for x in encoded]
        decoded = self.decoder1(encoded, slope)
        features, restored = self.sam12(decoded[0], halves(blurred))
        stage_1 = from_patches(restored, 1)

        # Stage 2: the encoder sees halves, the decoder the whole image.
        shallow = self.shallow2(_after(halves(blurred), features), slope)
        x = self.merge12(tf.concat([shallow, features], axis=-1))
        encoded = self.encoder2(x, slope, earlier=(encoded, decoded))
        if enhance:
            encoded = [*encoded[:2], enhance(2, encoded[2])]
        encoded = [from_patches(x, 1) for x in encoded]
        decoded = self.decoder2(encoded, slope)
        features, stage_2 = self.sam23(decoded[0], blurred)

        # Stage 3: the whole image at its own resolution.
        shallow = self.shallow3(_after(blurred, features), slope)
        x = self.merge23(tf.concat([shallow, features], axis=-1))
        x = self.orsnet(x, slope, encoded=encoded, decoded=decoded)
        return x, {"stage_2": stage_2, "stage_1": stage_1}

    def get_config(self):
        names = ("name", "width", "width_step", "orsnet_step", "num_cabs", "reduction")
        return {name: getattr(self, name) for name in names}

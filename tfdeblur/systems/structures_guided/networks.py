"""The generator of the structures-guided GAN, top to bottom as in the paper's Figs. 2 and 3.

Images are float32 RGB in [0, 1] at the boundary, [-1, 1] inside. Encoder and decoder are DeblurGAN's, whose instance
normalisation, initial weights and padding are kept. See README.md for every reading of the paper.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.channel_attention import ChannelAttention
from tfdeblur.layers.instance_norm import InstanceNorm
from tfdeblur.layers.torch_conv import DoublingDeconv, ReflectConv, ZeroPadConv, normal_initializer
from tfdeblur.ops.ranges import to_01, to_m11
from tfdeblur.systems.deblurgan.networks import add_residual

REDUCTION = 16  # of every channel attention
PATHS = 3  # RGCLs in an MBRB
MBRB_MODES = ("split", "parallel", "chain")
WITHOUT = ("nothing", "rgcl", "mbrbs", "gradient_net")  # Table 5


def _conv(filters, kernel_size, name):
    return tf.keras.layers.Conv2D(
        filters, kernel_size, padding="same", kernel_initializer=normal_initializer(), name=name
    )


@tf.keras.utils.register_keras_serializable("tfdeblur")
class Rgcl(tf.keras.layers.Layer):
    """Recurrent gradient convolutional layer (Fig. 3, Eq. 7): [B, H, W, channels] -> the same.

    y <- leaky_relu(k_1x3 * y + k_3x1 * y), `recurrences` times with the same weights; then
    input + attention(sigmoid(depthwise 3x3(y))).
    """

    def __init__(self, channels, recurrences, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.recurrences = recurrences
        self.horizontal = _conv(channels, (1, 3), "horizontal")
        self.vertical = _conv(channels, (3, 1), "vertical")
        self.refine = tf.keras.layers.DepthwiseConv2D(
            3, padding="same", depthwise_initializer=normal_initializer(), name="refine"
        )
        self.attention = ChannelAttention(REDUCTION, name="attention")

    def call(self, inputs):
        *_, structures = self.responses(inputs)
        return inputs + structures

    def responses(self, inputs):
        """(horizontal, vertical, structures): what the two strips give in the last recurrence, and what is added."""
        y = inputs
        for _ in range(self.recurrences):
            horizontal, vertical = self.horizontal(y), self.vertical(y)
            y = tf.nn.leaky_relu(horizontal + vertical, 0.01)
        return horizontal, vertical, self.attention(tf.sigmoid(self.refine(y)))

    def get_config(self):
        return {**super().get_config(), "channels": self.channels, "recurrences": self.recurrences}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class PlainConv(tf.keras.layers.Layer):
    """What stands in an RGCL's place without it: [B, H, W, channels] -> the same, 3x3 and leaky ReLU."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.conv = _conv(channels, 3, "conv")

    def call(self, inputs):
        return tf.nn.leaky_relu(self.conv(inputs), 0.01)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class Mbrb(tf.keras.layers.Layer):
    """Multi-branch reuse block (Eqs. 5 and 6): x + conv(relu(conv(attention(paths(x))))), 3x3; H, W and C stay.

    Args:
      channels: C; a multiple of 4 for "split".
      recurrences: of each RGCL.
      mode: "split": three RGCLs in a row see 3/4, 2/4 and 1/4 of the channels; before each a quarter leaves, and the
        four quarters are joined. "parallel": three RGCLs of all channels side by side, joined to 3 C (Eq. 5 as
        printed). "chain": the same three in a row, the output of each joined. "single": one RGCL of all channels.
      plain: `PlainConv` instead of each RGCL.
    """

    def __init__(self, channels, recurrences, mode="split", plain=False, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.recurrences = recurrences
        self.mode = mode
        self.plain = plain
        if mode == "split":
            widths = [channels * quarters // 4 for quarters in (3, 2, 1)]
        else:
            widths = [channels] * (1 if mode == "single" else PATHS)
        self.paths = [
            PlainConv(width, name=f"plain{n}") if plain else Rgcl(width, recurrences, name=f"rgcl{n}")
            for n, width in enumerate(widths, start=1)
        ]
        self.attention = ChannelAttention(REDUCTION, name="attention")
        self.conv1 = _conv(channels, 3, "conv1")
        self.conv2 = _conv(channels, 3, "conv2")

    def call(self, inputs):
        _, joined = self.follow_paths(inputs)
        return inputs + self.conv2(tf.nn.relu(self.conv1(self.attention(joined))))

    def follow_paths(self, inputs):
        """([what each path sees], the parts joined)."""
        x, seen, parts = inputs, [], []
        for path in self.paths:
            if self.mode == "split":
                leaving, x = tf.split(x, [self.channels // 4, x.shape[-1] - self.channels // 4], axis=-1)
                parts.append(leaving)
            seen.append(x)
            y = path(x)
            if self.mode != "parallel":
                x = y
            if self.mode != "split":
                parts.append(y)
        if self.mode == "split":
            parts.append(x)
        return seen, tf.concat(parts, axis=-1)

    def get_config(self):
        names = ("channels", "recurrences", "mode", "plain")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class GradientNet(tf.keras.layers.Layer):
    """PRFTM and MBRU (Eqs. 2 to 4): [B, H, W, C] -> [B, H, W, channels].

    Two 3x3 convolutions, `num_blocks` MBRBs, a channel attention. Arguments: see `Mbrb`.
    """

    def __init__(self, channels, num_blocks, recurrences, mode="split", plain=False, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.num_blocks = num_blocks
        self.recurrences = recurrences
        self.mode = mode
        self.plain = plain
        self.prftm = [_conv(channels, 3, f"prftm{n}") for n in (1, 2)]
        self.blocks = [Mbrb(channels, recurrences, mode, plain, name=f"mbrb{n}") for n in range(1, num_blocks + 1)]
        self.attention = ChannelAttention(REDUCTION, name="attention")

    def call(self, inputs):
        x = self.before_block(inputs, self.num_blocks)
        return self.attention(x)

    def before_block(self, inputs, index):
        """What block `index`, counted from 0, sees."""
        first, second = self.prftm
        x = second(first(inputs))
        for block in self.blocks[:index]:
            x = block(x)
        return x

    def get_config(self):
        names = ("channels", "num_blocks", "recurrences", "mode", "plain")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class StructuresGuided(tf.keras.Model):
    """[B, H, W, 3] in [0, 1] -> {"restored": the same}, H and W multiples of 4.

    Args:
      enc_widths: channels of the encoder at full, half and quarter size.
      grad_channels: channels of GradientNet, a multiple of 4 in every mode.
      num_blocks: how many MBRBs.
      recurrences: of each RGCL.
      mbrb_mode: "split", "parallel" or "chain", see `Mbrb`; means nothing without MBRBs.
      learn_residual: the blurred image plus tanh(..), clipped, instead of tanh(..) alone.
      without: what is left out, as in Table 5. "rgcl": each RGCL becomes a 3x3 convolution; "mbrbs": each MBRB has a
        single path; "gradient_net": the decoder sees the encoder's output; "nothing".
    """

    size_multiple = 4

    def __init__(
        self,
        enc_widths=(64, 128, 256),
        grad_channels=128,
        num_blocks=10,
        recurrences=3,
        mbrb_mode="split",
        learn_residual=False,
        without="nothing",
        **kwargs,
    ):
        # No autocast: in half precision the image would lose grey levels before it is made [-1, 1].
        super().__init__(**{"autocast": False, **kwargs})
        for name, value, valid in (("mbrb_mode", mbrb_mode, MBRB_MODES), ("without", without, WITHOUT)):
            if value not in valid:
                raise DeblurError(f"{name}={value}: choose {', '.join(valid)}")
        if len(enc_widths) != 3 or min(enc_widths) < 1:
            raise DeblurError(
                f"enc_widths={tuple(enc_widths)}: need three numbers of channels, for example (64, 128, 256)"
            )
        if grad_channels < 4 or grad_channels % 4:
            raise DeblurError(f"grad_channels={grad_channels}: must be a multiple of 4, from 4")
        if num_blocks < 1 or recurrences < 1:
            raise DeblurError(f"num_blocks={num_blocks}, recurrences={recurrences}: each must be at least 1")
        self.enc_widths = tuple(enc_widths)
        self.grad_channels = grad_channels
        self.num_blocks = num_blocks
        self.recurrences = recurrences
        self.mbrb_mode = mbrb_mode
        self.learn_residual = learn_residual
        self.without = without
        full, half, quarter = enc_widths
        self.head = ReflectConv(full, 7, name="head")
        self.downs = [ZeroPadConv(width, 3, 2, 1, name=f"down{n}") for n, width in ((1, half), (2, quarter))]
        self.gradient_net = None
        if without != "gradient_net":
            mode = "single" if without == "mbrbs" else mbrb_mode
            self.gradient_net = GradientNet(
                grad_channels, num_blocks, recurrences, mode, without == "rgcl", name="gradient_net"
            )
        self.ups = [DoublingDeconv(width, name=f"up{n}") for n, width in ((1, half), (2, full))]
        self.norms = [InstanceNorm(name=f"norm{n}") for n in range(1, 6)]
        self.tail = ReflectConv(3, 7, dtype="float32", name="tail")

    def call(self, blurred):
        blurred = to_m11(blurred)
        e0, e1, e2 = self._encode(blurred)
        x = e2 if self.gradient_net is None else self.gradient_net(e2)
        x = tf.concat([tf.nn.relu(self.norms[3](self.ups[0](x))), e1], axis=-1)
        x = tf.concat([tf.nn.relu(self.norms[4](self.ups[1](x))), e0], axis=-1)
        residual = self.tail(x)
        if self.learn_residual:
            return {"restored": add_residual(blurred, residual)}
        return {"restored": to_01(tf.tanh(residual))}

    def _encode(self, blurred_m11):
        e0 = tf.nn.relu(self.norms[0](self.head(blurred_m11)))
        e1 = tf.nn.relu(self.norms[1](self.downs[0](e0)))
        e2 = tf.nn.relu(self.norms[2](self.downs[1](e1)))
        return e0, e1, e2

    def rgcl_responses(self, blurred, block, path):
        """(horizontal, vertical, structures) of one RGCL, [B, H/4, W/4, c] each: see `Rgcl.responses`.

        Args:
          blurred: float32 [B, H, W, 3] in [0, 1], H and W multiples of 4.
          block, path: which MBRB and which of its RGCLs, counted from 0.
        """
        *_, e2 = self._encode(to_m11(blurred))
        seen, _ = self.gradient_net.blocks[block].follow_paths(self.gradient_net.before_block(e2, block))
        return self.gradient_net.blocks[block].paths[path].responses(seen[path])

    def get_config(self):
        names = ("enc_widths", "grad_channels", "num_blocks", "recurrences", "mbrb_mode", "learn_residual", "without")
        return {**{name: getattr(self, name) for name in names}, "name": self.name}

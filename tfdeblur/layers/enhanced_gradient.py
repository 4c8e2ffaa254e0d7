"""EGNet's enhanced gradient network (Zhao, Di, Gao, section 3.1, Figs. 2 to 5), for any encoder and decoder.

Convolutions are bias-free with zeros beyond the border; the linear layers of the position attention have biases.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.channel_attention import ChannelAttention
from tfdeblur.layers.torch_conv import plain_conv
from tfdeblur.ops.attention import attend

EGN_INPUTS = ("gradient", "add", "mul", "random")


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ConvPair(tf.keras.layers.Layer):
    """[B, H, W, C] -> the same: conv2(ReLU(conv1(x))), 3x3; plus x where `residual` is set."""

    def __init__(self, residual=False, **kwargs):
        super().__init__(**kwargs)
        self.residual = residual

    def build(self, shape):
        self.conv1 = plain_conv(shape[-1], 3, dtype=self.dtype_policy, name="conv1")
        self.conv2 = plain_conv(shape[-1], 3, dtype=self.dtype_policy, name="conv2")
        super().build(shape)

    def call(self, inputs):
        x = self.conv2(tf.nn.relu(self.conv1(inputs)))
        return inputs + x if self.residual else x

    def get_config(self):
        return {**super().get_config(), "residual": self.residual}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ResidualChannelAttention(tf.keras.layers.Layer):
    """RCA: [B, H, W, C] -> the same: x + t gate(mean of t), t = convs(x) (Eqs. 2 and 3, Fig. 3)."""

    def __init__(self, reduction=4, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.convs = ConvPair(name="convs")
        # Deviation: Eq. 3 prints no sigmoid; without one a gate may have any size and sign.
        self.attention = ChannelAttention(reduction, use_bias=False, name="attention")

    def call(self, inputs):
        return inputs + self.attention(self.convs(inputs))

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ResidualSpatialAttention(tf.keras.layers.Layer):
    """RSA: [B, H, W, C] -> the same: x + t gate(mean and maximum of t's channels), t = convs(x) (Eq. 4, Fig. 4).

    The gate is the sigmoid of a 7x7 convolution to one channel.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convs = ConvPair(name="convs")
        self.gate = plain_conv(1, 7, name="gate")

    def call(self, inputs):
        t = self.convs(inputs)
        wide = t if t.dtype == tf.float64 else tf.cast(t, tf.float32)
        mean = tf.cast(tf.reduce_mean(wide, axis=-1, keepdims=True), t.dtype)
        largest = tf.reduce_max(t, axis=-1, keepdims=True)
        return inputs + t * tf.sigmoid(self.gate(tf.concat([mean, largest], axis=-1)))


@tf.keras.utils.register_keras_serializable("tfdeblur")
class PositionAttention(tf.keras.layers.Layer):
    """PA: [B, H, W, C] -> the same: x + L4(softmax(L1(u) L2(u)^T) L3(u)), u = C_p3(convs(x)) (Eqs. 5 to 9, Fig. 5).

    Every place looks at all H W places of its image or patch.

    Args:
      reduction: L1 and L2 lead to max(C // reduction, 1) values.
      residual: whether x is added. Eq. 9 does not; but a softmax starts as a near-uniform mean, and a stack of such
        modules without it forgets where anything was.
    """

    def __init__(self, reduction=8, residual=True, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.residual = residual
        self.convs = ConvPair(name="convs")

    def build(self, shape):
        channels = shape[-1]
        self.conv3 = plain_conv(channels, 1, dtype=self.dtype_policy, name="conv3")
        few = max(channels // self.reduction, 1)
        self.query, self.key, self.value, self.exit = (
            tf.keras.layers.Dense(units, dtype=self.dtype_policy, name=name)
            for name, units in (("query", few), ("key", few), ("value", channels), ("exit", channels))
        )
        super().build(shape)

    def call(self, inputs):
        shape = tf.shape(inputs)
        u = self.conv3(self.convs(inputs))
        # Sizes that are known stay known.
        places = [u.shape[n] if u.shape[n] is not None else shape[n] for n in range(3)]
        u = tf.reshape(u, [places[0], places[1] * places[2], u.shape[-1]])
        x = self.exit(attend(self.query(u), self.key(u), self.value(u)))
        x = tf.reshape(x, shape)
        return inputs + x if self.residual else x

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction, "residual": self.residual}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class EnhancedGradientModule(tf.keras.layers.Layer):
    """EGM: [B, H, W, C] -> the same: RCA, RSA and PA one after the other (Fig. 2).

    Args:
      reduction: of the channel attention.
      attention: False: their pairs of convolutions alone, each with its residual (section 4.4.2).
      pa_residual: see `PositionAttention`.
    """

    def __init__(self, reduction=4, attention=True, pa_residual=True, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.attention = attention
        self.pa_residual = pa_residual
        if attention:
            self.parts = [
                ResidualChannelAttention(reduction, name="rca"),
                ResidualSpatialAttention(name="rsa"),
                PositionAttention(residual=pa_residual, name="pa"),
            ]
        else:
            self.parts = [ConvPair(residual=True, name=f"convs{n}") for n in (1, 2, 3)]

    def call(self, inputs):
        x = inputs
        for part in self.parts:
            x = part(x)
        return x

    def get_config(self):
        config = {"reduction": self.reduction, "attention": self.attention, "pa_residual": self.pa_residual}
        return {**super().get_config(), **config}


@tf.keras.utils.register_keras_serializable("tfdeblur")
class EnhancedGradientNetwork(tf.keras.layers.Layer):
    """EGN: features of an encoder [B, h, w, C] -> the same, enhanced: features + exit(EGMs(entry(features) + input)).

    The exit starts at zero: put into a trained network it changes nothing until it is trained. The layer knows nothing
    of that network but its features, and the gradient map of the image that they belong to.

    Args:
      width: channels inside.
      num_modules: how many EGMs.
      scale: how many times larger the gradient map is than the features; its means over scale x scale pixels are
        taken, and a 3x3 convolution.
      egn_input: "gradient"; or, for Table 3, "add" or "mul": a learned vector of one value a channel instead, added to
        the features or multiplied with them, from N(0, input_std) or N(1, input_std) (YOLOR's, which the paper cites);
        or "random": N(0, input_std) for each value, new at each call in training, and always the same outside of it,
        so that an image has one result.
      input_std: of the three that are not a gradient map.
      reduction, attention, pa_residual: see `EnhancedGradientModule`.

    Call:
      inputs; gradient: [B, scale h, scale w, 3], used by "gradient" alone; patches: how many of each image the batch
      holds, the first of every image before the second ones.
    """

    def __init__(
        self,
        width=96,
        num_modules=6,
        scale=4,
        egn_input="gradient",
        input_std=0.02,
        reduction=4,
        attention=True,
        pa_residual=True,
        **kwargs,
    ):
        if egn_input not in EGN_INPUTS:
            raise DeblurError(f"egn_input={egn_input}: choose {', '.join(EGN_INPUTS)}")
        if min(width, num_modules, scale, reduction) < 1 or input_std < 0:
            raise DeblurError(
                f"egn width={width}, num_modules={num_modules}, scale={scale}, reduction={reduction}: need 1 or more; "
                f"input_std={input_std}: needs 0 or more"
            )
        super().__init__(**kwargs)
        self.width = width
        self.num_modules = num_modules
        self.scale = scale
        self.egn_input = egn_input
        self.input_std = input_std
        self.reduction = reduction
        self.attention = attention
        self.pa_residual = pa_residual
        self.entry = plain_conv(width, 1, name="entry")
        if egn_input == "gradient":
            self.gradient_conv = plain_conv(width, 3, name="gradient_conv")
        self.egms = [
            EnhancedGradientModule(reduction, attention, pa_residual, name=f"egm{n}") for n in range(1, num_modules + 1)
        ]

    def build(self, shape):
        if self.egn_input in ("add", "mul"):
            mean = 1.0 if self.egn_input == "mul" else 0.0
            start = tf.keras.initializers.RandomNormal(mean, self.input_std)
            self.vector = self.add_weight("vector", [self.width], initializer=start)
        elif self.egn_input == "random":
            # (drawn once, calls in training so far): saved with the weights, so that a resumed training draws what an
            # uninterrupted one would.
            self.noise_seed = self.add_weight(
                "noise_seed",
                [2],
                tf.int64,
                tf.keras.initializers.RandomUniform(0, 2**31 - 1),
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
        self.exit = plain_conv(shape[-1], 1, zero=True, dtype=self.dtype_policy, name="exit")
        super().build(shape)

    def call(self, inputs, gradient=None, patches=1, training=None):
        x = self.entry(inputs)
        if self.egn_input == "gradient":
            x = x + self.gradient_conv(tf.nn.avg_pool2d(gradient, self.scale, self.scale, "VALID"))
        elif self.egn_input == "add":
            x = x + self.vector
        elif self.egn_input == "mul":
            x = x * self.vector
        elif training:
            # Each image has its own noise, whichever replica it is on: drawn for all of them, and the own ones taken.
            replicas = tf.distribute.get_replica_context()
            batch, *image = tf.unstack(tf.shape(x))
            shape = tf.stack([patches, replicas.num_replicas_in_sync, batch // patches, *image])
            noise = tf.random.stateless_normal(shape, self.noise_seed, stddev=self.input_std, dtype=x.dtype)
            x = x + tf.reshape(noise[:, replicas.replica_id_in_sync_group], tf.shape(x))
            self.noise_seed.assign_add(tf.constant([0, 1], tf.int64))
        else:
            x = x + tf.random.stateless_normal(tf.shape(x)[1:], [0, 0], stddev=self.input_std, dtype=x.dtype)
        for egm in self.egms:
            x = egm(x)
        return inputs + self.exit(x)

    def get_config(self):
        names = ("width", "num_modules", "scale", "egn_input", "input_std", "reduction", "attention", "pa_residual")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

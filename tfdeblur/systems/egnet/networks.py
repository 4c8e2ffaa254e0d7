"""EGNet's network (Zhao, Di, Gao, Fig. 1): MPRNet, and an EGN between encoder and decoder of stages 1 and 2."""

from tfdeblur.compat import tf
from tfdeblur.layers.enhanced_gradient import EnhancedGradientNetwork
from tfdeblur.ops.gradients import enhanced_gradient
from tfdeblur.systems.mprnet.networks import MprNet, halves, quadrants


@tf.keras.utils.register_keras_serializable("tfdeblur")
class EgNet(tf.keras.Model):
    """MPRNet whose quarter-size features, of each quadrant in stage 1 and of each half in stage 2, pass an EGN.

    The enhanced features take the place of the encoder's from there on: in the decoder, in the fusion of stage 2 and in
    stage 3. A new EGN changes nothing, so that EGNet starts as the MPRNet that it is given.

    Args:
      width, width_step, orsnet_step, num_cabs, reduction: see `MprNet`.
      egn_width: channels inside each EGN.
      num_egms: modules in each.
      egn_input, input_std, attention, pa_residual: see `EnhancedGradientNetwork`.

    Call:
      blurred: float32 [B, H, W, 3] in [0, 1], H and W divisible by 8 -> the images of `MprNet`.
    """

    size_multiple = MprNet.size_multiple

    def __init__(
        self,
        width=96,
        width_step=48,
        orsnet_step=32,
        num_cabs=8,
        reduction=4,
        egn_width=96,
        num_egms=6,
        egn_input="gradient",
        input_std=0.02,
        attention=True,
        pa_residual=True,
        **kwargs,
    ):
        super().__init__(**{"name": "egnet", "autocast": False, **kwargs})
        self.width = width
        self.width_step = width_step
        self.orsnet_step = orsnet_step
        self.num_cabs = num_cabs
        self.reduction = reduction
        self.egn_width = egn_width
        self.num_egms = num_egms
        self.egn_input = egn_input
        self.input_std = input_std
        self.attention = attention
        self.pa_residual = pa_residual
        self.base = MprNet(width, width_step, orsnet_step, num_cabs, reduction, name="base")
        self.egn1, self.egn2 = (
            EnhancedGradientNetwork(
                width=egn_width,
                num_modules=num_egms,
                egn_input=egn_input,
                input_std=input_std,
                attention=attention,
                pa_residual=pa_residual,
                name=f"egn{stage}",
            )
            for stage in (1, 2)
        )

    def call(self, blurred, training=None):
        return self.base(blurred, enhance=self._enhance(blurred, training))

    def last_features(self, blurred):
        """What the last convolution takes: [B, H, W, width + orsnet_step]; `blurred` as in `call`."""
        return self.base.last_features(blurred, self._enhance(blurred))

    def _enhance(self, blurred, training=None):
        """The argument `enhance` of `MprNet` for these images."""
        gradient = enhanced_gradient(tf.cast(blurred, self.variable_dtype))

        def enhance(stage, features):
            if stage == 1:
                return self.egn1(features, quadrants(gradient), patches=4, training=training)
            return self.egn2(features, halves(gradient), patches=2, training=training)

        return enhance

    def get_config(self):
        names = ("name", "width", "width_step", "orsnet_step", "num_cabs", "reduction")
        names += ("egn_width", "num_egms", "egn_input", "input_std", "attention", "pa_residual")
        return {name: getattr(self, name) for name in names}

"""The Two-Way network's loss (Eq. 2)."""

import dataclasses

from tfdeblur.losses.pixel import multi_scale_squared_error


@dataclasses.dataclass(frozen=True)
class TwoWayObjective:
    """L = sum_i alpha_i / T_i ||I_i - S_i||^2 over the scales, S_i the sharp image.

    Attributes:
      scale_weights: alpha_i, finest scale first. The text gives 5 to alpha_3 and the reason that the largest scale is
        the result, while Eq. 1 counts scales the other way: it goes by the size.
    """

    scale_weights: tuple = (5.0, 1.0, 1.0)

    def generator_losses(self, outputs, batch):
        """{"pixel": float32 [B]}.

        Args:
          outputs: what `TwoWay` returns.
          batch: {"sharp_scales": [full, half, quarter]}, halved bilinearly.
        """
        scales = [outputs[name] for name in ("restored", "restored_2", "restored_3")]
        return {"pixel": multi_scale_squared_error(scales, batch["sharp_scales"], self.scale_weights)}

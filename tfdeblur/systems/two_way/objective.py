"""The Two-Way network's loss (Eq. 2)."""

import dataclasses

from tfdeblur.losses.pixel import log_squared_error, mean_absolute_error, mean_squared_error

PIXEL_ERRORS = {"squared": mean_squared_error, "absolute": mean_absolute_error, "logarithmic": log_squared_error}


@dataclasses.dataclass(frozen=True)
class TwoWayObjective:
    """L = sum_i alpha_i / T_i ||I_i - S_i||^2 over the scales, S_i the sharp image.

    Attributes:
      scale_weights: alpha_i, finest scale first. The text gives 5 to alpha_3 and the reason that the largest scale is
        the result, while Eq. 1 counts scales the other way: it goes by the size.
      pixel_error: a key of PIXEL_ERRORS: "squared" is Eq. 2; "absolute", not in the paper, has the norm without the
        square, so that few strongly blurred crops do not outweigh the others; "logarithmic", not in the paper either,
        the logarithm of the square, so that a crop that was sharp already weighs as much as any.
    """

    scale_weights: tuple = (5.0, 1.0, 1.0)
    pixel_error: str = "squared"

    def generator_losses(self, outputs, batch):
        """{"pixel": float32 [B]}.

        Args:
          outputs: what `TwoWay` returns.
          batch: {"sharp_scales": [full, half, quarter]}, halved bilinearly.
        """
        scales = [outputs[name] for name in ("restored", "restored_2", "restored_3")]
        terms = zip(self.scale_weights, scales, batch["sharp_scales"], strict=True)
        error = PIXEL_ERRORS[self.pixel_error]
        return {"pixel": sum(weight * error(restored, sharp) for weight, restored, sharp in terms)}

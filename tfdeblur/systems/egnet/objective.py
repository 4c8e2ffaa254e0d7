"""EGNet's loss (section 3.3)."""

import dataclasses

from tfdeblur.compat import tf
from tfdeblur.losses.pixel import mean_squared_error
from tfdeblur.losses.structure import enhanced_gradient_loss, ms_ssim_loss
from tfdeblur.systems.mprnet.objective import STAGES


@dataclasses.dataclass(frozen=True)
class EgNetObjective:
    """L = sum over the three stages of alpha L_cont + beta L_grad + gamma L_ssim (Eq. 17).

    Attributes:
      alpha, beta, gamma: the paper's weights; a term of weight 0 is not computed (Table 6: beta).
      ms_ssim_levels: of L_ssim; five need crops of 161 pixels.
      eq16_literal: the luminance at every level, as Eq. 16 is printed.
      results: names of the outputs that the sum is over.
    """

    alpha: float = 1.0
    beta: float = 0.05
    gamma: float = 0.1
    ms_ssim_levels: int = 5
    eq16_literal: bool = False
    results: tuple = STAGES

    def generator_losses(self, outputs, batch):
        """Terms of L; arguments and result as in `MprNetObjective.generator_losses`."""
        terms = {
            "content": (self.alpha, mean_squared_error),  # Eq. 13
            "gradient": (self.beta, enhanced_gradient_loss),  # Eqs. 14 and 15
            "ssim": (self.gamma, self._ssim),  # Eq. 16
        }
        return {
            name: weight * tf.add_n([loss(outputs[stage], batch["sharp"]) for stage in self.results])
            for name, (weight, loss) in terms.items()
            if weight
        }

    def _ssim(self, restored, sharp):
        return ms_ssim_loss(restored, sharp, self.ms_ssim_levels, self.eq16_literal)

"""The losses of the structures-guided GAN (Eqs. 8 to 11)."""

import dataclasses
from collections.abc import Callable

from tfdeblur.losses.adversarial import wasserstein
from tfdeblur.losses.pixel import directional_gradient_error, mean_squared_error
from tfdeblur.ops.ranges import to_m11
from tfdeblur.systems.deblurgan.objective import critic_losses


@dataclasses.dataclass(frozen=True)
class StructuresGuidedObjective:
    """L_G = alpha L_content + beta L_gradient + gamma L_adv (Eq. 11), all on images in [-1, 1].

    A term of weight 0 is left out and not computed.

    Attributes:
      features: images in [-1, 1] -> VGG features, of which L_content is the mean squared difference; unused without
        alpha.
      alpha, beta, gamma: weights.
      lambda_gp: weight of the critic's penalty.
      gp_mode: see `gradient_penalty`.
    """

    features: Callable | None
    alpha: float = 10.0
    beta: float = 1.0
    gamma: float = 1.0
    lambda_gp: float = 10.0
    gp_mode: str = "standard"

    def generator_losses(self, outputs, batch, critic=None):
        """Terms of L_G; arguments and result as in `DeblurGanObjective`; no critic is needed without gamma."""
        restored, sharp = to_m11(outputs["restored"]), to_m11(batch["sharp"])
        terms = {}
        if self.alpha:
            # Deviation: the square is missing in Eq. 8; Johnson et al., whom it follows, have it.
            terms["content"] = self.alpha * mean_squared_error(self.features(restored), self.features(sharp))
        if self.beta:
            terms["gradient"] = self.beta * directional_gradient_error(restored, sharp)  # Eq. 9
        if self.gamma:
            terms["adversarial"] = -self.gamma * wasserstein(critic(restored))
        return terms

    def critic_losses(self, restored, batch, critic, mix):
        """Terms of the critic's loss (Eq. 10); see `DeblurGanObjective`."""
        return critic_losses(restored, batch, critic, mix, self.lambda_gp, self.gp_mode)

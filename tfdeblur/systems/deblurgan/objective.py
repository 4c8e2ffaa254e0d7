"""DeblurGAN's losses (Kupyn et al., CVPR 2018, Eqs. 2 to 4), which Improved DeblurGAN keeps (its Eqs. 1 to 4)."""

import dataclasses
from collections.abc import Callable

from tfdeblur.losses.adversarial import gradient_penalty, wasserstein
from tfdeblur.losses.pixel import mean_squared_error
from tfdeblur.ops.ranges import to_m11


@dataclasses.dataclass(frozen=True)
class DeblurGanObjective:
    """L_G = L_adv + lambda L_content; the critic's is Wasserstein with a gradient penalty.

    Attributes:
      features: images in [-1, 1] -> VGG features, of which L_content is the mean squared difference.
      lambda_content: lambda.
      lambda_gp: weight of the penalty.
      gp_mode: see `gradient_penalty`.
    """

    features: Callable
    lambda_content: float = 100.0
    lambda_gp: float = 10.0
    gp_mode: str = "standard"

    def generator_losses(self, outputs, batch, critic):
        """Terms of L_G.

        Args:
          outputs: {"restored": [B, H, W, 3] in [0, 1]}.
          batch: {"sharp": [B, H, W, 3] in [0, 1]}.
          critic: images in [-1, 1] -> patch map.

        Returns:
          dict of name -> float32 [B].
        """
        restored, sharp = to_m11(outputs["restored"]), to_m11(batch["sharp"])
        content = mean_squared_error(self.features(restored), self.features(sharp))
        return {
            "content": self.lambda_content * content,  # Eq. 4
            "adversarial": -wasserstein(critic(restored)),  # Eq. 3
        }

    def critic_losses(self, restored, batch, critic, mix):
        """Terms of the critic's loss; arguments as in `generator_losses`; mix: float32 [B] in [0, 1)."""
        return critic_losses(restored, batch, critic, mix, self.lambda_gp, self.gp_mode)


def critic_losses(restored, batch, critic, mix, lambda_gp, gp_mode):
    """Terms of a critic's loss, D(fake) - D(real) + lambda_gp penalty; an heir's critic, too.

    Args:
      restored: [B, H, W, 3] in [0, 1].
      batch: {"sharp": [B, H, W, 3] in [0, 1]}.
      critic: images in [-1, 1] -> patch map.
      mix: float32 [B] in [0, 1).
      lambda_gp, gp_mode: weight of the penalty, and see `gradient_penalty`.

    Returns:
      dict of name -> float32 [B].
    """
    fake, real = to_m11(restored), to_m11(batch["sharp"])
    return {
        "fake": wasserstein(critic(fake)),
        "real": -wasserstein(critic(real)),
        "penalty": lambda_gp * gradient_penalty(critic, real, fake, mix, gp_mode),
    }

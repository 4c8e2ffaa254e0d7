"""MADN's equations with their weights (section 4 of the paper; Eq. 17 repaired from 10, 11, 13 and 14)."""

import dataclasses

from tfdeblur.losses.adversarial import binary_cross_entropy
from tfdeblur.losses.pixel import mean_absolute_error, multi_scale_squared_error
from tfdeblur.ops.gradients import sobel_magnitude


@dataclasses.dataclass(frozen=True)
class MadnObjective:
    """Both players' losses; weights and switches as in section 5.1 and Fig. 9.

    L_G = alpha L_pixel + phi1 L_content^GB + phi2 L_content^G + lambda L_adv (Eqs. 10, 11, 13, 14)
    L_d = L_d^G + L_d^GB                                                     (Eqs. 18 to 20)

    Attributes:
      lambda_adv, alpha, phi1, phi2, beta1, beta2: the paper's weights.
      scale_weights: w^i of Eq. 12, finest scale first; the paper does not say, SRN has 1.
      use_adv: the adversarial loss in the image domain (Eqs. 15, 19).
      use_grad_content: the content losses between gradient maps (phi1 and beta1 terms of Eq. 13).
      use_grad_adv: the adversarial loss in the gradient domain (Eqs. 16, 20).
    """

    lambda_adv: float = 0.05
    alpha: float = 0.01
    phi1: float = 0.5
    phi2: float = 1.0
    beta1: float = 0.01
    beta2: float = 1.0
    scale_weights: tuple = (1.0, 1.0, 1.0)
    use_adv: bool = True
    use_grad_content: bool = True
    use_grad_adv: bool = True

    @property
    def uses_discriminator(self):
        return self.use_adv or self.use_grad_adv

    def losses(self, outputs, batch, discriminator):
        """Every term of both losses, weighted, so that each player's loss is the sum of its terms.

        Args:
          outputs: what `Madn` returns.
          batch: {"sharp": [B, H, W, 3], "sharp_scales": [full, half, quarter], "sharp_gradient": M(X_t)}.
          discriminator: images -> logits, or None where neither adversarial switch is on.

        Returns:
          (generator terms, discriminator terms): dicts of name -> float32 [B].
        """
        restored, gradient = outputs["restored"], outputs["gradient"]
        sharp, sharp_gradient = batch["sharp"], batch["sharp_gradient"]

        scales = [outputs["scale_1"], outputs["scale_2"], outputs["scale_3"]]
        generator = {
            # Eq. 12, which halves the squares
            "pixel": 0.5 * self.alpha * multi_scale_squared_error(scales, batch["sharp_scales"], self.scale_weights),
            # Eq. 13, the beta2 term
            "content": self.phi2 * self.beta2 * mean_absolute_error(restored, sharp),
        }
        if self.use_grad_content:
            # Eq. 13: the phi1 term, on GN's own map, and the beta1 term, on the map of the restored image
            generator["gradient_content_gn"] = self.phi1 * mean_absolute_error(gradient, sharp_gradient)
            generator["gradient_content"] = (
                self.phi2 * self.beta1 * mean_absolute_error(sobel_magnitude(restored), sharp_gradient)
            )

        critic = {}
        if self.use_adv:
            logits = discriminator(restored)
            generator["adversarial"] = self.lambda_adv * binary_cross_entropy(logits, True)  # Eq. 15
            critic["image_real"] = binary_cross_entropy(discriminator(sharp), True)  # Eq. 19
            critic["image_fake"] = binary_cross_entropy(logits, False)
        if self.use_grad_adv:
            logits = discriminator(gradient)
            generator["gradient_adversarial"] = self.lambda_adv * binary_cross_entropy(logits, True)  # Eq. 16
            critic["gradient_real"] = binary_cross_entropy(discriminator(sharp_gradient), True)  # Eq. 20
            critic["gradient_fake"] = binary_cross_entropy(logits, False)
        return generator, critic

"""MPRNet's loss."""

import dataclasses

from tfdeblur.compat import tf
from tfdeblur.losses.pixel import charbonnier
from tfdeblur.losses.structure import edge_loss

STAGES = ("restored", "stage_2", "stage_1")


@dataclasses.dataclass(frozen=True)
class MprNetObjective:
    """L = sum over the three stages of L_char + lambda_edge L_edge, each stage against the same sharp image.

    Attributes:
      lambda_edge: weight of the edges.
      epsilon: of both square roots.
    """

    lambda_edge: float = 0.05
    epsilon: float = 1e-3

    def generator_losses(self, outputs, batch):
        """Terms of L.

        Args:
          outputs: what `MprNet` returns.
          batch: {"sharp": [B, H, W, 3]}.

        Returns:
          dict of name -> float32 [B].
        """
        sharp = batch["sharp"]
        images = [outputs[stage] for stage in STAGES]
        return {
            "charbonnier": tf.add_n([charbonnier(image, sharp, self.epsilon) for image in images]),
            "edge": self.lambda_edge * tf.add_n([edge_loss(image, sharp, self.epsilon) for image in images]),
        }

"""MPRNet's loss on images of known differences."""

import numpy as np

from tests import goldens
from tfdeblur.compat import tf
from tfdeblur.losses.pixel import charbonnier
from tfdeblur.losses.structure import edge_loss
from tfdeblur.systems.mprnet.objective import MprNetObjective


def test_every_stage_counts_once_against_the_same_image():
    """The reference's values of one pair, three times."""
    image, sharp = goldens.image(32, 40), goldens.image(32, 40, 0.7)
    outputs = {name: tf.constant(image) for name in ("restored", "stage_2", "stage_1")}
    terms = MprNetObjective().generator_losses(outputs, {"sharp": tf.constant(sharp)})
    np.testing.assert_allclose(terms["charbonnier"], [3 * 0.21819207161536572], rtol=1e-6)
    np.testing.assert_allclose(terms["edge"], [3 * 0.05 * 0.05287106564444833], rtol=1e-6)
    assert terms.keys() == {"charbonnier", "edge"}


def test_stages_of_two_samples_and_the_weights():
    rng = np.random.default_rng(0)
    sharp, *stages = rng.uniform(size=(4, 2, 8, 8, 3)).astype(np.float32)
    outputs = dict(zip(("restored", "stage_2", "stage_1"), stages, strict=True))
    terms = MprNetObjective(lambda_edge=2.0, epsilon=0.5).generator_losses(outputs, {"sharp": sharp})
    np.testing.assert_allclose(terms["charbonnier"], sum(charbonnier(x, sharp, 0.5) for x in stages), rtol=1e-6)
    np.testing.assert_allclose(terms["edge"], 2 * sum(edge_loss(x, sharp, 0.5) for x in stages), rtol=1e-6)

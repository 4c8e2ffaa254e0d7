"""EGNet's loss: Eq. 17 over the stages, with the paper's weights and its switches."""

import numpy as np
import pytest

from tfdeblur.losses.pixel import mean_squared_error
from tfdeblur.losses.structure import enhanced_gradient_loss, ms_ssim_loss
from tfdeblur.systems.egnet.objective import EgNetObjective

SHARP, *STAGES = np.random.default_rng(0).uniform(size=(4, 2, 48, 48, 3)).astype(np.float32)
OUTPUTS = dict(zip(("restored", "stage_2", "stage_1"), STAGES, strict=True))


@pytest.mark.parametrize("literal", [False, True])
def test_equation_17(literal):
    terms = EgNetObjective(ms_ssim_levels=3, eq16_literal=literal).generator_losses(OUTPUTS, {"sharp": SHARP})
    assert terms.keys() == {"content", "gradient", "ssim"}
    expected = {
        "content": sum(mean_squared_error(x, SHARP) for x in STAGES),
        "gradient": 0.05 * sum(enhanced_gradient_loss(x, SHARP) for x in STAGES),
        "ssim": 0.1 * sum(ms_ssim_loss(x, SHARP, 3, literal) for x in STAGES),
    }
    for name, value in expected.items():
        assert terms[name].shape == (2,)
        np.testing.assert_allclose(terms[name], value, rtol=1e-6, err_msg=name)


def test_five_levels_are_the_default_and_need_a_large_crop():
    with pytest.raises(ValueError, match="5 levels need 161"):
        EgNetObjective().generator_losses(OUTPUTS, {"sharp": SHARP})


@pytest.mark.parametrize("weight, name", [("alpha", "content"), ("beta", "gradient"), ("gamma", "ssim")])
def test_a_term_of_weight_0_is_left_out(weight, name):
    terms = EgNetObjective(ms_ssim_levels=3, **{weight: 0.0}).generator_losses(OUTPUTS, {"sharp": SHARP})
    assert terms.keys() == {"content", "gradient", "ssim"} - {name}

"""The table of protocols, and how a user's list of names is read."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest

from tfdeblur import metrics
from tfdeblur.errors import DeblurError
from tfdeblur.metrics import PROTOCOLS, REGIONS, get_protocols, region_box

SCORES = {"psnr": metrics.psnr, "ssim": metrics.ssim, "ssim_matlab": metrics.ssim_matlab}


def names(protocols):
    return [protocol.name for protocol in protocols]


def test_every_score_on_every_region():
    suffixes = {"full": "", "crop256": "_crop256", "randomcrop256": "_randomcrop256"}
    expected = {
        score + suffixes[region]: (SCORES[score], region) for score, region in itertools.product(SCORES, REGIONS)
    }
    assert {name: (protocol.score, protocol.region) for name, protocol in PROTOCOLS.items()} == expected
    assert names(PROTOCOLS.values()) == list(PROTOCOLS)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=names(PROTOCOLS.values()))
def test_a_protocol_scores_its_region(protocol):
    restored, sharp = np.random.default_rng(0).integers(0, 256, (2, 260, 270, 3), dtype=np.uint8)
    top, left, height, width = region_box(protocol.region, 260, 270, seed=1, index=2)
    window = np.s_[top : top + height, left : left + width]
    assert np.isfinite(protocol.score(restored[window], sharp[window]))


def test_descriptions_are_one_sentence_that_names_its_peers():
    for protocol in PROTOCOLS.values():
        assert "\n" not in protocol.description
        assert protocol.description.endswith(".") and protocol.description.count(". ") == 0
        assert "uint8" in protocol.description and "RGB" in protocol.description
    for peer in ("MPRNet", "Restormer", "SRN"):
        assert peer in PROTOCOLS["psnr"].description
        assert peer in PROTOCOLS["ssim_matlab"].description
    assert "NAFNet" in PROTOCOLS["ssim_matlab"].description
    assert "DeepDeblur-PyTorch" in PROTOCOLS["ssim"].description
    for name in SCORES:
        assert "MADN" in PROTOCOLS[f"{name}_randomcrop256"].description
        assert "no published number" in PROTOCOLS[f"{name}_crop256"].description
    assert len({protocol.description for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


def test_protocols_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROTOCOLS["psnr"].region = "crop256"


def test_lists_keep_their_order_and_lose_duplicates():
    assert names(get_protocols("ssim,psnr")) == ["ssim", "psnr"]
    assert names(get_protocols(" psnr , ssim,psnr,,")) == ["psnr", "ssim"]
    assert get_protocols("psnr") == [PROTOCOLS["psnr"]]


@pytest.mark.parametrize("typed, suggestion", [("psrn", "psnr"), ("SSIM", "ssim"), ("ssim_matlb", "ssim_matlab")])
def test_an_unknown_name_gets_the_closest_one(typed, suggestion):
    with pytest.raises(DeblurError, match=f"'{typed}', did you mean '{suggestion}'") as caught:
        get_protocols(f"psnr,{typed}")
    assert "\n" not in str(caught.value)
    assert ", ".join(PROTOCOLS) in str(caught.value)


@pytest.mark.parametrize("typed", ["", " , ", "koehler"])
def test_no_suggestion_where_nothing_is_close(typed):
    with pytest.raises(DeblurError, match="valid names: psnr, ssim") as caught:
        get_protocols(typed)
    assert "did you mean" not in str(caught.value)


def test_listing_protocols_imports_neither_tensorflow_nor_opencv():
    program = (
        "import sys, tfdeblur.metrics; "
        "print([name for name in ('tensorflow', 'cv2', 'scipy', 'skimage') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"

"""The table of protocols, and how a user's list of names is read."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest

from tfdeblur import metrics
from tfdeblur.errors import DeblurError
from tfdeblur.metrics import PROTOCOLS, REGIONS, get_protocols

SCORES = {"psnr": metrics.psnr, "ssim": metrics.ssim, "ssim_matlab": metrics.ssim_matlab}
FIRST_NINE = [score + region for region in ("", "_crop256", "_randomcrop256") for score in SCORES]


def names(protocols):
    return [protocol.name for protocol in protocols]


def random_pair(height, width):
    """(uint8 noise with more noise on it, uint8 noise)."""
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (height, width, 3))
    return np.clip(sharp + rng.normal(0, 20, sharp.shape), 0, 255).astype(np.uint8), sharp.astype(np.uint8)


def test_every_score_on_every_region():
    suffixes = {"full": "", "crop256": "_crop256", "randomcrop256": "_randomcrop256"}
    restored, sharp = random_pair(20, 30)
    for score, region in itertools.product(SCORES, REGIONS):
        protocol = PROTOCOLS[score + suffixes[region]]
        assert (protocol.region, protocol.columns) == (region, (protocol.name,))
        assert protocol.score(restored, [sharp]) == (SCORES[score](restored, sharp),)
    assert names(PROTOCOLS.values()) == list(PROTOCOLS)
    assert list(PROTOCOLS)[:9] == FIRST_NINE
    assert list(PROTOCOLS)[9:] == ["psnr_float", "ms_ssim", "kohler", "kohler_plain", "realblur_ecc"]


def test_the_other_scores_are_the_functions_and_their_columns_name_them():
    restored, sharp = random_pair(170, 180)
    other = np.roll(sharp, 2, axis=0)
    expected = {
        "ms_ssim": (metrics.ms_ssim(restored, sharp),),
        "kohler": metrics.kohler(restored, [sharp, other]),
        "kohler_plain": metrics.kohler_plain(restored, sharp),
        "realblur_ecc": metrics.realblur_ecc(restored, sharp),
    }
    for name, scores in expected.items():
        assert PROTOCOLS[name].score(restored, [sharp, other]) == scores
    unrounded = restored / np.float32(255)
    assert PROTOCOLS["psnr_float"].score(unrounded, [sharp, other]) == (metrics.psnr_float(unrounded, sharp),)
    for name, suffixes in (("kohler", "psnr mssim"), ("kohler_plain", "psnr mssim"), ("realblur_ecc", "psnr ssim")):
        assert PROTOCOLS[name].columns == tuple(f"{name}_{suffix}" for suffix in suffixes.split())
    columns = [column for protocol in PROTOCOLS.values() for column in protocol.columns]
    assert len(set(columns)) == len(columns)


def test_truths_are_read_as_far_as_a_protocol_says():
    restored, sharp = random_pair(256, 256)
    for protocol in PROTOCOLS.values():
        truths = iter([sharp, sharp, sharp])
        image = restored / 255 if protocol.dtype == "float" else restored
        assert len(protocol.score(image, truths)) == len(protocol.columns)
        assert len(list(truths)) == {"first": 2, "all": 0}[protocol.references]


def test_the_blurred_input_is_scored_as_the_benchmarks_do():
    blurred, sharp = random_pair(170, 180)
    special = {protocol.name: protocol.blurred_score for protocol in PROTOCOLS.values() if protocol.blurred_score}
    assert special.keys() == {"psnr_float", "realblur_ecc"}
    assert special["psnr_float"](blurred, [sharp]) == (metrics.psnr(blurred, sharp),)
    # RealBlur's baseline is not aligned.
    assert special["realblur_ecc"](blurred, [sharp]) == (metrics.psnr(blurred, sharp), metrics.ssim(blurred, sharp))


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=names(PROTOCOLS.values()))
def test_the_smallest_size_can_be_scored_and_no_smaller(protocol):
    side = 256 if protocol.region != "full" else protocol.minimum_size
    restored, sharp = random_pair(side, side + 3)
    protocol.check_size(side, side + 3)
    scores = protocol.score(restored / 255 if protocol.dtype == "float" else restored, [sharp])
    assert np.isfinite(scores).all()
    if side > 1:
        for size in ((side - 1, side), (side, side - 1)):
            with pytest.raises(DeblurError, match=f"{protocol.region if side == 256 else protocol.name} ") as caught:
                protocol.check_size(*size)
            assert "\n" not in str(caught.value)


def test_the_smallest_sizes_by_hand():
    smallest = {name: protocol.minimum_size for name, protocol in PROTOCOLS.items() if protocol.minimum_size > 1}
    assert smallest == {
        **{"ssim": 11, "realblur_ecc": 11},
        **{"ms_ssim": 161, "kohler": 161, "kohler_plain": 161},
    }


def test_descriptions_are_one_sentence_that_names_its_peers():
    for protocol in PROTOCOLS.values():
        assert "\n" not in protocol.description
        assert protocol.description.endswith(".") and protocol.description.count(". ") == 0
        assert "uint8" in protocol.description and "RGB" in protocol.description
        for part in (protocol.definition, protocol.compare_with, protocol.not_with):
            assert part and part in protocol.description and not part.endswith(".")
    for peer in ("MPRNet", "Restormer", "SRN"):
        assert peer in PROTOCOLS["psnr"].compare_with
        assert peer in PROTOCOLS["ssim_matlab"].compare_with
        assert peer in PROTOCOLS["ssim"].not_with
        assert peer in PROTOCOLS["psnr_float"].not_with
    assert "NAFNet" in PROTOCOLS["ssim_matlab"].compare_with
    assert "DeepDeblur-PyTorch" in PROTOCOLS["ssim"].compare_with
    assert "MIMO-UNet" in PROTOCOLS["psnr_float"].compare_with and "MIMO-UNet" in PROTOCOLS["psnr"].not_with
    assert "Two-Way" in PROTOCOLS["kohler"].compare_with and "Two-Way" in PROTOCOLS["kohler_plain"].not_with
    assert "Structures-Guided" in PROTOCOLS["kohler"].not_with
    assert "Structures-Guided" in PROTOCOLS["kohler_plain"].compare_with
    assert "RealBlur" in PROTOCOLS["realblur_ecc"].compare_with and "EGNet" in PROTOCOLS["realblur_ecc"].not_with
    for name in ("psnr", "ssim", "ssim_matlab", "psnr_float"):
        assert "DeblurGAN-v2" in PROTOCOLS[name].not_with
    for name in SCORES:
        assert "MADN" in PROTOCOLS[f"{name}_randomcrop256"].compare_with
        assert "no published number" in PROTOCOLS[f"{name}_crop256"].compare_with
    assert len({protocol.description for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


def test_the_listing_holds_all_that_there_is_to_know():
    text = metrics.listing()
    assert max(len(line) for line in text.splitlines()) <= 110
    words = " ".join(text.split())
    for protocol in PROTOCOLS.values():
        for part in (protocol.name, *protocol.columns, protocol.definition, protocol.compare_with, protocol.not_with):
            assert part in words
    assert [line.split()[0] for line in text.splitlines() if line[0] != " "] == list(PROTOCOLS)


def test_protocols_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROTOCOLS["psnr"].region = "crop256"


def test_lists_keep_their_order_and_lose_duplicates():
    assert names(get_protocols("ssim,psnr")) == ["ssim", "psnr"]
    assert names(get_protocols(" psnr , ssim,psnr,,")) == ["psnr", "ssim"]
    assert get_protocols("psnr") == [PROTOCOLS["psnr"]]


@pytest.mark.parametrize("typed, suggestion", [("psrn", "psnr"), ("SSIM", "ssim"), ("koehler", "kohler")])
def test_an_unknown_name_gets_the_closest_one(typed, suggestion):
    with pytest.raises(DeblurError, match=f"'{typed}', did you mean '{suggestion}'") as caught:
        get_protocols(f"psnr,{typed}")
    assert "\n" not in str(caught.value)
    assert ", ".join(PROTOCOLS) in str(caught.value)


@pytest.mark.parametrize("typed", ["", " , ", "lpips"])
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

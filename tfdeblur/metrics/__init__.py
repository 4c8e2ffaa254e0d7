"""Named evaluation protocols: a score, the region that it is taken on, and what it can be compared with.

"PSNR" and "SSIM" in two papers are often two different numbers, so every score of this package carries the
name of its protocol. All protocols take uint8 RGB images, `psnr_float` alone takes a restored image that was
not rounded; per-image values are averaged over the images. Nothing here imports TensorFlow, and listing the
protocols imports neither OpenCV nor scipy.
"""

import difflib
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from tfdeblur.errors import DeblurError

# From here on `tfdeblur.metrics.psnr`, `.ssim` and so on are the functions, not the modules of the same name,
# which `from tfdeblur.metrics.psnr import ...` still finds.
from tfdeblur.metrics.hsic import hsic
from tfdeblur.metrics.kohler import kohler, kohler_plain
from tfdeblur.metrics.ms_ssim import MINIMUM_SIZE as FIVE_LEVELS
from tfdeblur.metrics.ms_ssim import ms_ssim
from tfdeblur.metrics.psnr import check_size, psnr, psnr_float
from tfdeblur.metrics.realblur_ecc import NotScored, realblur_ecc
from tfdeblur.metrics.regions import REGIONS, region_box
from tfdeblur.metrics.ssim import WINDOW_SIZE, ssim, ssim_matlab

__all__ = [
    "PROTOCOLS",
    "REGIONS",
    "NotScored",
    "Protocol",
    "get_protocols",
    "hsic",
    "kohler",
    "kohler_plain",
    "listing",
    "ms_ssim",
    "psnr",
    "psnr_float",
    "realblur_ecc",
    "region_box",
    "ssim",
    "ssim_matlab",
]

LISTING_WIDTH = 108


@dataclass(frozen=True)
class Protocol:
    """One way of scoring a restored image.

    Attributes:
        name: what the user types.
        columns: names of the numbers that it gives, in the order of `score`; higher is better for all.
        score: `score(restored, truths) -> tuple of float`. `restored` is an RGB image of `dtype`; `truths` is an
            iterable of uint8 RGB images of its shape, of which those that `references` names are looked at,
            each once and one at a time. Raises `NotScored` where there is no number for this image.
        definition: what is computed, and whose paper or code that follows.
        compare_with: the published numbers that it may be compared with.
        not_with: those that it must not be compared with.
        region: a name for `region_box`, cut from the blurred input and the truth before the network runs.
        minimum_size: the shortest side in pixels that can be scored; see `check_size`.
        dtype: "uint8", or "float" for a restored image of float32 or float64 in 0 to 1, not rounded.
        references: "first" or "all", where an image has several truths.
        blurred_score: like `score`, for the blurred input (uint8 whatever `dtype` says) where that is scored in
            another way; None where `score` does it.
    """

    name: str
    columns: tuple[str, ...]
    score: Callable[..., tuple[float, ...]]
    definition: str
    compare_with: str
    not_with: str
    region: str = "full"
    minimum_size: int = 1
    dtype: str = "uint8"
    references: str = "first"
    blurred_score: Callable[..., tuple[float, ...]] | None = None

    @property
    def description(self) -> str:
        """One sentence: the definition, and which published numbers it can be compared with."""
        return f"{self.definition}: comparable with {self.compare_with}; not comparable with {self.not_with}."

    def check_size(self, height: int, width: int):
        """DeblurError where frames of height x width pixels are too small to be scored."""
        *_, height, width = region_box(self.region, height, width)
        check_size(self.name, self.minimum_size, height, width)


def _on_first(*functions) -> Callable[..., tuple[float, ...]]:
    """A protocol's score out of functions of (restored, truth) that give a float or a tuple of floats each."""

    def score(restored, truths):
        sharp = next(iter(truths))
        values = []
        for function in functions:
            value = function(restored, sharp)
            values += value if isinstance(value, tuple) else (value,)
        return tuple(values)

    return score


_PSNR = "PSNR in dB as MATLAB's psnr(), mean square over all pixels and RGB channels, peak 255"
_SSIM = (
    "SSIM (Wang et al 2004) per RGB channel, 2-D 11x11 Gaussian window (sigma 1.5), valid positions, population "
    "covariance (= tf.image.ssim)"
)
_SSIM_MATLAB = (
    "SSIM as MATLAB's ssim() computes it for an RGB array, 3-D 11x11x11 Gaussian window (sigma 1.5), replicated borders"
)
_FULL = "on rounded uint8 full frames"
_CENTRE = "on rounded uint8, input and truth cut to the centre 256x256 before the network runs"
_RANDOM = "on rounded uint8, input and truth cut to one seeded random 256x256 crop before the network runs"
_NO_NUMBER = "no published number (repeatable without a seed, which is its use)"
_ANY_NUMBER = "scores of full frames or of other crops"
# MADN's paper: random 256x256 crops "for training and testing"; not which, nor which implementation of SSIM.
_NEAR_MADN_PSNR = "MADN's numbers, as the nearest there is, but not to the digit, for its crops are not known"
_NEAR_MADN_SSIM = "perhaps MADN's numbers, whose crops and SSIM variant are not stated"
_FULL_NUMBERS = "scores of full frames, which are all others"


def _table(*protocols: Protocol) -> dict[str, Protocol]:
    return {protocol.name: protocol for protocol in protocols}


def _cropped(name, function, region, definition, compare_with, not_with) -> Protocol:
    return Protocol(name, (name,), _on_first(function), definition, compare_with, not_with, region)


PROTOCOLS: dict[str, Protocol] = _table(
    Protocol(
        "psnr",
        ("psnr",),
        _on_first(psnr),
        f"{_PSNR}, {_FULL}",
        "MPRNet, Restormer, SRN and DMPHN on the same GoPro folder (`blur` or `blur_gamma`)",
        "results truncated to uint8 (DeblurGAN-v2), not rounded (MIMO-UNet: see psnr_float) or aligned first "
        "(RealBlur: realblur_ecc, Köhler: kohler)",
    ),
    Protocol(
        "ssim",
        ("ssim",),
        _on_first(ssim),
        f"{_SSIM}, {_FULL}",
        "DeepDeblur-PyTorch",
        "MATLAB's SSIM of RGB arrays (MPRNet, Restormer, SRN, NAFNet: see ssim_matlab) and DeblurGAN-v2, whose test "
        "script computes CW-SSIM and whose training log a 7x7 uniform window",
        minimum_size=WINDOW_SIZE,
    ),
    Protocol(
        "ssim_matlab",
        ("ssim_matlab",),
        _on_first(ssim_matlab),
        f"{_SSIM_MATLAB}, {_FULL}",
        "MPRNet, Restormer, SRN, DMPHN and NAFNet on the same GoPro folder",
        "DeepDeblur-PyTorch (see ssim) and DeblurGAN-v2 (CW-SSIM in its test script)",
    ),
    _cropped("psnr_crop256", psnr, "crop256", f"{_PSNR}, {_CENTRE}", _NO_NUMBER, _ANY_NUMBER),
    _cropped("ssim_crop256", ssim, "crop256", f"{_SSIM}, {_CENTRE}", _NO_NUMBER, _ANY_NUMBER),
    _cropped("ssim_matlab_crop256", ssim_matlab, "crop256", f"{_SSIM_MATLAB}, {_CENTRE}", _NO_NUMBER, _ANY_NUMBER),
    _cropped("psnr_randomcrop256", psnr, "randomcrop256", f"{_PSNR}, {_RANDOM}", _NEAR_MADN_PSNR, _FULL_NUMBERS),
    _cropped("ssim_randomcrop256", ssim, "randomcrop256", f"{_SSIM}, {_RANDOM}", _NEAR_MADN_SSIM, _FULL_NUMBERS),
    _cropped(
        "ssim_matlab_randomcrop256",
        ssim_matlab,
        "randomcrop256",
        f"{_SSIM_MATLAB}, {_RANDOM}",
        _NEAR_MADN_SSIM,
        _FULL_NUMBERS,
    ),
    Protocol(
        "psnr_float",
        ("psnr_float",),
        _on_first(psnr_float),
        "PSNR in dB as MIMO-UNet's eval.py, mean square over all pixels and RGB channels of full frames, the "
        "network's float output clipped to 0 to 1 but not rounded to uint8, peak 1",
        "MIMO-UNet",
        "results rounded to uint8 (MPRNet, Restormer, SRN: see psnr) or truncated (DeblurGAN-v2)",
        dtype="float",
        # Of an image that is uint8 to begin with it is the same number.
        blurred_score=_on_first(psnr),
    ),
    Protocol(
        "ms_ssim",
        ("ms_ssim",),
        _on_first(ms_ssim),
        "multi-scale SSIM (Wang, Simoncelli and Bovik 2003) per RGB channel on five levels of 2x2 means, 11x11 "
        f"Gaussian window (= tf.image.ssim_multiscale), {_FULL}",
        "no table of a deblurring paper that is known to us",
        "single-scale SSIM of any kind, and the MSSIM of Köhler tables (see kohler), which filters, averages and "
        "takes luma in its own way",
        minimum_size=FIVE_LEVELS,
    ),
    Protocol(
        "kohler",
        ("kohler_psnr", "kohler_mssim"),
        kohler,
        "the Köhler benchmark's evaluator (ECCV 2012): gain and whole-pixel registration to each of about 200 (all, "
        "frame 30 of image 1, trajectory 3, too, which the evaluator skips) "
        "reference frames, PSNR and five-level MSSIM of uint8 RGB results on luma, the best frame for each",
        "the benchmark's own tables, and Two-Way's Köhler table (Nah 26.48, SRN 26.75, DeblurGAN 26.10, DeblurGAN-v2 "
        "26.36 dB), which does not state its protocol but has numbers of this size; its SSIM is taken for this MSSIM",
        "Structures-Guided's Köhler table (Nah 20.85, DeblurGAN 19.08 dB), and scores against fewer frames than all",
        references="all",
        minimum_size=FIVE_LEVELS,
    ),
    Protocol(
        "kohler_plain",
        ("kohler_plain_psnr", "kohler_plain_mssim"),
        _on_first(kohler_plain),
        "PSNR over all pixels and RGB channels (= psnr) and the Köhler benchmark's MSSIM on luma, against the first "
        f"reference frame alone, without gain or registration, {_FULL}",
        "perhaps the PSNR of Structures-Guided's Köhler table, whose protocol is not stated and whose Nah row lies "
        "5.6 dB below the benchmark's (20.85 dB)",
        "the Köhler benchmark, Two-Way's Köhler table and the SSIM of Structures-Guided's, whose kind is not stated",
        minimum_size=FIVE_LEVELS,
    ),
    Protocol(
        "realblur_ecc",
        ("realblur_ecc_psnr", "realblur_ecc_ssim"),
        _on_first(realblur_ecc),
        "the RealBlur benchmark's evaluator (ECCV 2020): gain, ECC homography, PSNR and Gaussian SSIM of uint8 RGB "
        "results inside the warped mask, and the blurred input unaligned",
        "RealBlur's own tables and the RealBlur rows of MPRNet and MIMO-UNet, to the digit with OpenCV 4.2.0 only",
        "unaligned scores of RealBlur (1.8 dB lower in one report) and EGNet's RealBlur columns, whose protocol is not "
        "stated",
        minimum_size=WINDOW_SIZE,
        blurred_score=_on_first(psnr, ssim),
    ),
)
"""Every protocol by its name, in the order in which they are listed to a user."""


def get_protocols(names: str) -> list[Protocol]:
    """The protocols of a comma-separated list.

    Args:
        names: such as "psnr,ssim"; spaces around a name do not matter.

    Returns:
        The protocols in the order given, each once.

    Raises:
        DeblurError: a name is unknown, or there is none.
    """
    valid = f"valid names: {', '.join(PROTOCOLS)}"
    # A dict, not a set: it keeps the order.
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not wanted:
        raise DeblurError(f"no protocol was named; {valid}")
    for name in wanted:
        if name not in PROTOCOLS:
            closest = difflib.get_close_matches(name.lower(), PROTOCOLS, n=1)
            suggestion = f", did you mean {closest[0]!r}?" if closest else ";"
            raise DeblurError(f"unknown protocol {name!r}{suggestion} {valid}")
    return [PROTOCOLS[name] for name in wanted]


def listing() -> str:
    """All protocols as text: name, numbers, definition, and what may and what must not be compared with it."""
    lines = []
    for protocol in PROTOCOLS.values():
        columns = "" if protocol.columns == (protocol.name,) else f" -> {', '.join(protocol.columns)}"
        lines.append(f"{protocol.name}{columns}")
        for label, text in (
            ("is", protocol.definition),
            ("compare with", protocol.compare_with),
            ("not with", protocol.not_with),
        ):
            indent = f"  {label:14}"
            lines += textwrap.wrap(text, LISTING_WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))
    return "\n".join(lines)

"""Named evaluation protocols: a score, the region that it is taken on, and what it can be compared with.

"PSNR" and "SSIM" in two papers are often two different numbers, so every score of this package carries the
name of its protocol. All protocols take uint8 RGB images; per-image values are averaged over the images.
Nothing here imports TensorFlow, and listing the protocols imports no OpenCV either.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from tfdeblur.errors import DeblurError

# From here on `tfdeblur.metrics.psnr` and `.ssim` are the functions, not the modules of the same name, which
# `from tfdeblur.metrics.psnr import ...` still finds.
from tfdeblur.metrics.psnr import psnr
from tfdeblur.metrics.regions import REGIONS, region_box
from tfdeblur.metrics.ssim import ssim, ssim_matlab

__all__ = [
    "PROTOCOLS",
    "REGIONS",
    "Protocol",
    "get_protocols",
    "psnr",
    "region_box",
    "ssim",
    "ssim_matlab",
]


@dataclass(frozen=True)
class Protocol:
    """One way of scoring a restored image.

    Attributes:
        name: what the user types and what stands beside the number.
        score: `score(restored, sharp) -> float` on two uint8 RGB images of one shape, higher is better.
        region: a name for `region_box`, cut from the blurred input and the truth before the network runs.
        description: one sentence: the definition, and which published numbers it can be compared with.
    """

    name: str
    score: Callable[..., float]
    region: str
    description: str


_PSNR = "PSNR in dB, mean square over all pixels and RGB channels, peak 255"
_SSIM = (
    "SSIM per RGB channel, 2-D 11x11 Gaussian window (sigma 1.5), valid positions, population covariance "
    "(= tf.image.ssim)"
)
_SSIM_MATLAB = (
    "SSIM as MATLAB's ssim() computes it for an RGB array, 3-D 11x11x11 Gaussian window (sigma 1.5), replicated borders"
)
_FULL = "on rounded uint8 full frames"
_CENTRE = "on rounded uint8, input and truth cut to the centre 256x256 before the network runs"
_RANDOM = "on rounded uint8, input and truth cut to one seeded random 256x256 crop before the network runs"
_CENTRE_COMPARABLE = "repeatable without a seed, comparable with no published number"
# MADN's paper: random 256x256 crops "for training and testing"; not which, nor which implementation of SSIM.
_RANDOM_PSNR_COMPARABLE = "the nearest to MADN's numbers, whose crops are unknown, so not to the digit"
_RANDOM_SSIM_COMPARABLE = "perhaps MADN's kind of number, but its crops and SSIM variant are not stated"


def _table(*protocols: Protocol) -> dict[str, Protocol]:
    return {protocol.name: protocol for protocol in protocols}


PROTOCOLS: dict[str, Protocol] = _table(
    Protocol(
        "psnr",
        psnr,
        "full",
        f"{_PSNR}, {_FULL}: comparable with MPRNet, Restormer and SRN, but not with those truncated to uint8 "
        f"(DeblurGAN-v2) or not rounded (MIMO-UNet).",
    ),
    Protocol(
        "ssim",
        ssim,
        "full",
        f"{_SSIM}, {_FULL}: comparable with DeepDeblur-PyTorch, but not with MATLAB's SSIM of RGB arrays.",
    ),
    Protocol(
        "ssim_matlab",
        ssim_matlab,
        "full",
        f"{_SSIM_MATLAB}, {_FULL}: comparable with MPRNet, Restormer, SRN and NAFNet.",
    ),
    Protocol("psnr_crop256", psnr, "crop256", f"{_PSNR}, {_CENTRE}: {_CENTRE_COMPARABLE}."),
    Protocol("ssim_crop256", ssim, "crop256", f"{_SSIM}, {_CENTRE}: {_CENTRE_COMPARABLE}."),
    Protocol(
        "ssim_matlab_crop256",
        ssim_matlab,
        "crop256",
        f"{_SSIM_MATLAB}, {_CENTRE}: {_CENTRE_COMPARABLE}.",
    ),
    Protocol("psnr_randomcrop256", psnr, "randomcrop256", f"{_PSNR}, {_RANDOM}: {_RANDOM_PSNR_COMPARABLE}."),
    Protocol("ssim_randomcrop256", ssim, "randomcrop256", f"{_SSIM}, {_RANDOM}: {_RANDOM_SSIM_COMPARABLE}."),
    Protocol(
        "ssim_matlab_randomcrop256",
        ssim_matlab,
        "randomcrop256",
        f"{_SSIM_MATLAB}, {_RANDOM}: {_RANDOM_SSIM_COMPARABLE}.",
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

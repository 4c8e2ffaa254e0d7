"""Peak signal-to-noise ratio of a restored frame, and the checks that every score starts with.

A score compares what a user would open: uint8 RGB frames, rounded (not truncated) from the network's
float output. On those, the numbers here do not depend on how a network represents its images. The one
exception is `psnr_float`, for papers that did not round.
"""

import math

import numpy as np

from tfdeblur.errors import DeblurError

PEAK = 255.0
"""The largest value of a uint8 channel: MATLAB's and everyone else's dynamic range of a uint8 image."""


def check_pair(restored, sharp, floating: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Both images as arrays, once they are known to be comparable.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255.
        sharp: the truth, same dtype and shape.
        floating: `restored` is float32 or float64, 0 to 1, instead; the truth stays uint8.

    Returns:
        The two images as numpy arrays (no copy where they are arrays already).

    Raises:
        ValueError: an image has another dtype, is not [height, width, 3], is empty, or the shapes differ.
    """
    restored, sharp = np.asarray(restored), np.asarray(sharp)
    for name, image, floats in (("restored", restored, floating), ("sharp", sharp, False)):
        if floats and image.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name} must be float32 or float64 (0 to 1, not rounded), got {image.dtype}")
        if not floats and image.dtype != np.uint8:
            raise ValueError(f"{name} must be uint8 (rounded, 0 to 255), got {image.dtype}")
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"{name} must be a non-empty RGB image [height, width, 3], got {image.shape}")
    if restored.shape != sharp.shape:
        raise ValueError(f"restored and sharp must have one shape, got {restored.shape} and {sharp.shape}")
    return restored, sharp


def check_size(protocol: str, minimum: int, height: int, width: int):
    """DeblurError where an image of height x width pixels is smaller than a protocol's `minimum` a side."""
    if min(height, width) < minimum:
        raise DeblurError(
            f"protocol {protocol} needs images of at least {minimum}x{minimum}, got {height}x{width} "
            f"(height x width): use psnr or ssim_matlab, or leave the image out"
        )


def decibels(mean_square: float, peak: float = PEAK) -> float:
    """`10 log10(peak^2 / mean_square)`, infinite at 0."""
    return 10.0 * math.log10(peak**2 / mean_square) if mean_square else math.inf


def psnr(restored, sharp) -> float:
    """Peak signal-to-noise ratio: `20 log10(255 / sqrt(mean((restored - sharp)^2)))`.

    One mean over all pixels and all three channels. Equals MATLAB's `psnr(restored, sharp)` on uint8 RGB
    arrays. It is not a luma PSNR, and not the mean of three PSNRs.

    Identical images score `float("inf")`, which is what the formula says. No cap is put in its place: the
    arithmetic mean over a data set that holds such an image is infinite too. JSON has no infinity, so
    whoever writes a result must choose a spelling; the string "inf" reads back with `float()`.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255.
        sharp: the truth, same dtype and shape.

    Returns:
        Decibels, 0 (black against white) to infinity.

    Raises:
        ValueError: see `check_pair`.
    """
    restored, sharp = check_pair(restored, sharp)
    # int32, because uint8 differences wrap around and int16 is too small for 255^2. The float64 sum of
    # integers is exact, so the value depends on no order of summation.
    squared = np.square(np.subtract(restored, sharp, dtype=np.int32))
    return decibels(float(np.mean(squared, dtype=np.float64)))


def psnr_float(restored, sharp) -> float:
    """PSNR of the network's output before it is rounded: clipped to [0, 1], peak 1.

    What MIMO-UNet's eval.py reports. Rounding adds an error of 1/12 of a squared grey level on average, so
    at 32 dB this is 0.01 dB above `psnr`, at 40 dB 0.05 dB.

    Args:
        restored: float32 or float64 [height, width, 3], RGB; what lies outside 0 to 1 is clipped.
        sharp: the truth, uint8 of the same shape; divided by 255.

    Returns:
        Decibels, 0 to infinity.

    Raises:
        ValueError: `restored` is not float32 or float64, or else see `check_pair`.
    """
    restored, sharp = check_pair(restored, sharp, floating=True)
    # The truth in the same precision, so that uint8 / 255 scores infinity; the rest in float64.
    truth = sharp / restored.dtype.type(255)
    difference = np.subtract(np.clip(restored, 0, 1), truth, dtype=np.float64)
    return decibels(float(np.mean(np.square(difference))), peak=1.0)

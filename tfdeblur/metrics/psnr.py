"""Peak signal-to-noise ratio of a restored frame, and the check that every score starts with.

A score compares what a user would open: uint8 RGB frames, rounded (not truncated) from the network's
float output. On those, the numbers here do not depend on how a network represents its images.
"""

import math

import numpy as np

PEAK = 255.0
"""The largest value of a uint8 channel: MATLAB's and everyone else's dynamic range of a uint8 image."""


def check_pair(restored, sharp) -> tuple[np.ndarray, np.ndarray]:
    """Both images as arrays, once they are known to be comparable.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255.
        sharp: the truth, same dtype and shape.

    Returns:
        The two images as numpy arrays (no copy where they are arrays already).

    Raises:
        ValueError: an image is not uint8, is not [height, width, 3], is empty, or the shapes differ.
    """
    restored, sharp = np.asarray(restored), np.asarray(sharp)
    for name, image in (("restored", restored), ("sharp", sharp)):
        if image.dtype != np.uint8:
            raise ValueError(f"{name} must be uint8 (rounded, 0 to 255), got {image.dtype}")
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"{name} must be a non-empty RGB image [height, width, 3], got {image.shape}")
    if restored.shape != sharp.shape:
        raise ValueError(f"restored and sharp must have one shape, got {restored.shape} and {sharp.shape}")
    return restored, sharp


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
    mean_square = float(np.mean(squared, dtype=np.float64))
    if mean_square == 0.0:
        return math.inf
    return 10.0 * math.log10(PEAK**2 / mean_square)

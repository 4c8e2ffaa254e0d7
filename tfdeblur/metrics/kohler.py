"""The score of the Köhler benchmark (Köhler, Hirsch, Mohler, Schölkopf and Harmeling 2012, "Recording and
playback of camera shake: benchmarking blind deconvolution with a real-world database").

The benchmark photographed a still scene while a robot replayed a hand's shake, and then again, sharp, from
about 200 positions on the way. No single one of these is the truth, so a restored image is compared with all
of them, each after a gain and a shift by whole pixels, and the best match counts.

Written from what the benchmark's MATLAB evaluator computes (`eval_image`, its `dftregistration` with a factor
of 1, and MSE, PSNR and MSSIM of its MeTriX MuX package). scipy and cv2 are imported on first use.
"""

import numpy as np

from tfdeblur.metrics.ms_ssim import MINIMUM_SIZE, WEIGHTS
from tfdeblur.metrics.psnr import PEAK, check_pair, check_size, decibels, psnr
from tfdeblur.metrics.ssim import K1, K2, RADIUS, blur_plane

LUMA = (0.299, 0.587, 0.114)

# The analysis low-pass filter of the 9/7 biorthogonal wavelet, centre first; normalised to a sum of 1 below.
_HALF_LOW_PASS = (0.85269867900889, 0.37740285561283, -0.11062440441844, -0.02384946501956, 0.03782845550726)


def kohler(restored, references) -> tuple[float, float]:
    """PSNR and MSSIM of the Köhler benchmark: the best over its reference frames, each for itself.

    For each reference x and the restored image z:

    1. gain: z times `sum(x z) / sum(z z)`, over all pixels and channels (a black z stays black);
    2. registration: the whole-pixel shift at the maximum of the circular cross-correlation of the two means
       over RGB. The image is moved by it and what comes in is 0; there, x is set to 0, too;
    3. luma `0.299 R + 0.587 G + 0.114 B` of both, neither rounded nor clipped;
    4. PSNR with peak 255, its mean square over all pixels, those that were set to 0 included; and `mssim`.

    So neither a gain nor a shift costs anything: both images are 0 in the border, which is counted as perfect.
    The mean over the 48 images is what is published (inferred, no source says it). The benchmark leaves out
    frame 30 of image 1, trajectory 3, which is counted here like all others.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255, at least 161 in height and width.
        references: the truths, an iterable of images of the same dtype and shape; gone through once, and only
            one of them is held at a time.

    Returns:
        (PSNR in decibels, MSSIM). A multiple of a reference scores infinity, or hundreds of decibels where the
        gain is rounded, and 1.

    Raises:
        ValueError: there is no reference, or else see `tfdeblur.metrics.psnr.check_pair`.
        DeblurError: the image is too small for the five levels of MSSIM.
    """
    from scipy import fft

    image = None
    scores = []
    for reference in references:
        restored, reference = check_pair(restored, reference)
        if image is None:
            check_size("kohler", MINIMUM_SIZE, *restored.shape[:2])
            image = restored.astype(np.float64)
            luma, mean = _luma_and_mean(image)
            energy = np.vdot(image, image)
            # The gain is positive and scales the correlation as a whole: it does not move the maximum, so one
            # transform of the restored image serves all references.
            spectrum = np.conj(fft.rfft2(mean))
        reference = reference.astype(np.float64)
        gain = np.vdot(reference, image) / energy if energy else 1.0
        reference_luma, reference_mean = _luma_and_mean(reference)
        correlation = fft.irfft2(fft.rfft2(reference_mean) * spectrum, s=mean.shape)
        shift = _peak(correlation)
        x = _shifted(np.ones_like(luma), shift) * reference_luma
        z = gain * _shifted(luma, shift)
        scores.append((decibels(float(np.mean(np.square(x - z)))), mssim(x, z)))
    if not scores:
        raise ValueError("kohler needs at least one reference")
    best_psnr, best_mssim = (max(column) for column in zip(*scores, strict=True))
    return best_psnr, best_mssim


def kohler_plain(restored, sharp) -> tuple[float, float]:
    """`psnr` and the benchmark's MSSIM against one reference as they are: no gain, no registration.

    What one gets by scoring the Köhler images like any other data set. Blurred image and reference lie up to
    dozens of pixels apart there, so these numbers say more about that shift than about a restoration. Measured
    on 14 of the 48 blurred images with one reference each: 21.0 dB here, 25.2 dB by `kohler`.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255, at least 161 in height and width.
        sharp: the first reference, same dtype and shape.

    Returns:
        (PSNR in decibels over all pixels and RGB channels, MSSIM of the lumas).

    Raises:
        ValueError: see `tfdeblur.metrics.psnr.check_pair`.
        DeblurError: the image is too small for the five levels of MSSIM.
    """
    restored, sharp = check_pair(restored, sharp)
    check_size("kohler_plain", MINIMUM_SIZE, *sharp.shape[:2])
    lumas = (_luma_and_mean(image.astype(np.float64))[0] for image in (sharp, restored))
    return psnr(restored, sharp), mssim(*lumas)


def mssim(x: np.ndarray, y: np.ndarray) -> float:
    """The multi-scale SSIM of the MeTriX MuX package, which differs from `ms_ssim` in three ways.

    - One channel.
    - A level is halved with the 9/7 biorthogonal low-pass filter, borders mirrored with the edge pixel twice,
      of which the pixels 0, 2, 4, ... are kept.
    - Contrast and structure are averaged each for itself: with σ the standard deviations in the window,
      C = (2 σx σy + C2) / (σx² + σy² + C2) and S = (σxy + C2/2) / (σx σy + C2/2),

          MSSIM = mean(L_5)^0.1333 · Π mean(C_m)^w_m · Π mean(S_m)^w_m,  m = 1 to 5

      where luminance L counts at the last level alone.

    Window (11x11 Gaussian, valid positions), K1, K2 and weights w are the same. Where a mean structure is
    negative (images that are each other's negative, say), MATLAB's power is complex and the benchmark takes
    the absolute value of its best score at the end; so the absolute value is taken here.

    Args:
        x: float64 [height, width], 0 to 255, at least 161 in height and width.
        y: likewise.

    Returns:
        0 to 1.
    """
    score = 1.0
    for level, weight in enumerate(WEIGHTS):
        if level:
            x, y = _halve(x), _halve(y)
        luminance, contrast, structure = _comparisons(x, y)
        score *= (contrast * abs(structure)) ** weight
    return score * luminance**weight


def _comparisons(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Means of luminance, contrast and structure over the window's valid positions."""
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    inner = (slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    mean_x, mean_y, square_x, square_y, product = (blur_plane(image)[inner] for image in (x, y, x * x, y * y, x * y))
    # A variance is a difference of large numbers and may end up below 0 by rounding.
    variance_x = np.maximum(square_x - mean_x**2, 0)
    variance_y = np.maximum(square_y - mean_y**2, 0)
    deviations = np.sqrt(variance_x * variance_y)
    means = mean_x * mean_y
    luminance = (2 * means + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast = (2 * deviations + c2) / (variance_x + variance_y + c2)
    structure = (product - means + c2 / 2) / (deviations + c2 / 2)
    return float(luminance.mean()), float(contrast.mean()), float(structure.mean())


def _halve(image: np.ndarray) -> np.ndarray:
    """Low-pass and every second pixel, from the first on; float64 [H, W] to [ceil(H / 2), ceil(W / 2)]."""
    import cv2

    taps = np.array((*_HALF_LOW_PASS[:0:-1], *_HALF_LOW_PASS))
    taps /= taps.sum()
    return cv2.sepFilter2D(image, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_REFLECT)[::2, ::2]


def _luma_and_mean(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luma and the mean over RGB, float64 [H, W] each, of float64 [H, W, 3]."""
    both = image @ np.array([LUMA, (1 / 3, 1 / 3, 1 / 3)]).T
    return np.ascontiguousarray(both[..., 0]), np.ascontiguousarray(both[..., 1])


def _peak(correlation: np.ndarray) -> tuple[int, int]:
    """(rows, columns) of the maximum of a circular correlation, from the middle on as negative shifts."""
    position = np.unravel_index(np.argmax(correlation), correlation.shape)
    pairs = zip(position, correlation.shape, strict=True)
    return tuple(int(at) - size if at >= size // 2 else int(at) for at, size in pairs)


def _shifted(image: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """`image` [H, W] moved by (rows down, columns to the right); what comes in is 0."""
    moved = np.zeros_like(image)
    rows, columns = (_overlap(by) for by in shift)
    moved[rows[1], columns[1]] = image[rows[0], columns[0]]
    return moved


def _overlap(by: int) -> tuple[slice, slice]:
    """Where the part of an axis that stays inside comes from, and where it goes to."""
    if by >= 0:
        return slice(None, -by or None), slice(by, None)
    return slice(-by, None), slice(None, by)

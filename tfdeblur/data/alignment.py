"""Measurements on a pair of a blurred and a sharp image: are they where they should be, and as bright?

All take two uint8 RGB [H, W, 3] of one size; what cannot be told from a pair is NaN. Together they take about 30 ms for
a pair of 1280x720.
"""

import math
from typing import NamedTuple

import numpy as np

_LONGEST = 400  # pixels that the longer side of the reduced images has at most


class Shift(NamedTuple):
    """What `shift` finds.

    Attributes:
      dx, dy: how far the content of the blurred image lies to the right of and below that of the sharp one, in pixels.
        NaN where there is too little to see, and where no shift of up to half of a side fits.
      likeness: correlation of what both show at low frequencies, after the shift; 1 = the same. NaN without contrast.
    """

    dx: float
    dy: float
    likeness: float


def shift(blurred, sharp):
    """How far the content of `blurred` lies from that of `sharp`: a `Shift`.

    Low frequencies see of a blur kernel its centre of gravity alone, whatever its shape, so the shift is fitted by
    least squares between low-passed images (Lucas and Kanade, IJCAI 1981), together with a gain and an offset of
    brightness and with less weight for what moves by itself. A kernel whose centre of gravity is off its middle is a
    shift, and so is a camera that speeds up during the exposure.
    """
    # Measured on 24 photographs (768x512) under random shakes of 8 to 28 px: 90 % of the errors below 0.5 px, none
    # above 0.8; for 30 to 60 px 1.6 and 1.9. Moves of (60, 40) px are found as well as none. Phase correlation
    # (cv2.phaseCorrelate) errs by 5 px in the middle, as motion blur turns the sign of whole bands of frequencies.
    import cv2

    factor = math.ceil(max(sharp.shape) / _LONGEST)
    blurred, sharp = (_reduced_luma(image, factor) for image in (blurred, sharp))
    height, width = sharp.shape
    sigma = max(height, width) / 60
    start = _whole_pixels(blurred, sharp, sigma)
    blurred, sharp = (cv2.GaussianBlur(image, (0, 0), sigma) for image in (blurred, sharp))
    if min(blurred.std(), sharp.std()) < 0.5:
        return Shift(math.nan, math.nan, math.nan)
    nowhere = Shift(math.nan, math.nan, float(np.corrcoef(blurred.ravel(), sharp.ravel())[0, 1]))
    x, y = start
    gain = blurred.std() / sharp.std()
    offset = blurred.mean() - gain * sharp.mean()
    margin, every = round(2 * sigma), max(round(sigma / 2), 1)  # every so many pixels are looked at
    for _ in range(10):
        # Where both images show the same scene, away from borders that were filled in.
        top, bottom = margin + math.ceil(max(y, 0)), height - margin - math.ceil(max(-y, 0))
        left, right = margin + math.ceil(max(x, 0)), width - margin - math.ceil(max(-x, 0))
        if bottom - top < 8 or right - left < 8:
            return nowhere
        part = (slice(top, bottom, every), slice(left, right, every))
        moved = cv2.warpAffine(sharp, np.float64([[1, 0, x], [0, 1, y]]), (width, height))
        along_x = cv2.Sobel(moved, cv2.CV_32F, 1, 0, scale=1 / 8)[part].ravel()
        along_y = cv2.Sobel(moved, cv2.CV_32F, 0, 1, scale=1 / 8)[part].ravel()
        moved = moved[part].ravel()
        residual = blurred[part].ravel() - (gain * moved + offset)
        slopes = np.stack([-gain * along_x, -gain * along_y, moved, np.ones_like(moved)], axis=1).astype(np.float64)
        # Grey levels per pixel, squared, in the direction of the least contrast: below, noise would decide.
        if np.linalg.eigvalsh(slopes[:, :2].T @ slopes[:, :2])[0] < 1e-3 * len(slopes):
            return nowhere
        step = _robust_fit(slopes, residual, rounds=3)
        x, y, gain, offset = np.array([x, y, gain, offset]) + step
        if max(abs(x) / width, abs(y) / height) > 0.5:
            return nowhere
        if np.abs(step[:2]).max() < 0.01:
            break
    likeness = np.corrcoef(moved, blurred[part].ravel())[0, 1]
    return Shift(float(x * factor), float(y * factor), float(likeness))


def undo_shift(blurred, sharp, found):
    """Both images cut to what they share after the `Shift`, rounded to whole pixels, is undone; views."""
    dx, dy = (0 if math.isnan(way) else round(way) for way in found[:2])
    height, width = sharp.shape[:2]
    top, bottom, left, right = max(dy, 0), height + min(dy, 0), max(dx, 0), width + min(dx, 0)
    return blurred[top:bottom, left:right], sharp[top - dy : bottom - dy, left - dx : right - dx]


def tones(blurred, sharp):
    """The tone curve between aligned images: local means of blurred = gain * (those of sharp) ** exponent.

    Returns:
      (exponent, gain), the gain at the picture's own mean tone. An exponent near 2 or 0.5 says that one of the images
      holds linear light. Blur alone leaves 0.8 to 1.0 and 0.9 to 1.1.
    """
    # 8 grey levels more everywhere, so that a level or two in the dark do not look like a gain.
    blurred, sharp = (np.log(_local_means(image, 1.0) + 8) for image in (blurred, sharp))
    weight = np.exp(sharp - sharp.max())  # a grey level counts the same everywhere, so its logarithm does not
    from_mean = sharp - np.average(sharp, weights=weight)
    slopes = np.stack([from_mean, np.ones_like(sharp)], axis=1)
    exponent, gain = _robust_fit(slopes, blurred - sharp, weight)
    return float(1 + exponent), float(np.exp(gain))


def averaging(blurred, sharp):
    """The power p of which the aligned `blurred` is an average: of value ** p, of the stored values in `sharp`.

    1 is an average of the stored values ("blur"), 2.2 one of linear light at gamma 2.2 ("blur_gamma"); what was
    averaged under a camera's measured response may come out above 3. An average of value ** p keeps the local means of
    value ** p and lifts those of lower powers, most where there was contrast to lose. So the means of value and of
    value ** 2.2, over soft blocks that are large against the blur, are compared. A difference that is the same
    everywhere, as from truncation to uint8, does not count.

    Returns:
      The power; NaN where the picture lost too little contrast, or differs in too much else.
    """
    # Measured on real pairs, on sequences averaged both ways and truncated, and on photographs under shakes of 8 to 60
    # px with noise of up to 6 grey levels: 217 of 268 pairs can be told; 0.9 to 1.3 for 1, 1.9 to 2.5 for 2.2.
    size = _block(sharp)
    if (sharp.shape[0] // size) * (sharp.shape[1] // size) < 24:
        return math.nan
    difference = _local_means(blurred, 1.0) - _local_means(sharp, 1.0)
    in_light = _local_means(blurred, _LIGHT) - _local_means(sharp, _LIGHT)
    # difference = share * (difference - in_light) + offset: 0 if the stored values were averaged, 1 if the light was.
    expected = difference - in_light
    slopes = np.stack([expected, np.ones_like(expected)], axis=1)
    share, offset = _robust_fit(slopes, difference)
    spread = expected.std()
    rest = np.abs(difference - share * expected - offset).mean()
    if spread < 0.1 or rest > _TELLING * spread * max(share, 1):
        return math.nan
    return float(1 + (_LIGHT - 1) * share)


_LIGHT = 2.2
_TELLING = 0.5  # of what the two hypotheses differ by; above, what is unexplained is too much


def _reduced_luma(image, factor):
    import cv2

    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    height, width = (max(side // factor, 1) for side in luma.shape)
    return cv2.resize(luma[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)


def _whole_pixels(blurred, sharp, sigma):
    """(x, y): the largest correlation of details between 1 and `sigma` pixels, away from the border."""
    import cv2

    height, width = sharp.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    spectra = []
    for image in (blurred, sharp):
        details = cv2.GaussianBlur(image, (0, 0), 1.5) - cv2.GaussianBlur(image, (0, 0), 1.5 * sigma)
        spectra.append(cv2.dft(details * window))
    correlation = cv2.idft(cv2.mulSpectrums(*spectra, 0, conjB=True))
    _, _, _, (x, y) = cv2.minMaxLoc(correlation)
    return (x - width if x > width // 2 else x), (y - height if y > height // 2 else y)


def _block(image):
    return max(max(image.shape) // 40, 8)


def _local_means(image, power):
    """float64 [n]: (mean of value ** power) ** (1 / power), 0 .. 255, in soft blocks of an image and each channel."""
    import cv2

    size = min(_block(image), *image.shape[:2])
    height, width = image.shape[0] // size, image.shape[1] // size
    table = (np.arange(256) ** power).astype(np.float32)
    values = cv2.LUT(np.ascontiguousarray(image[: height * size, : width * size]), table)
    means = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    means = cv2.GaussianBlur(means, (0, 0), 1)
    return means.astype(np.float64).ravel() ** (1 / power)


def _robust_fit(slopes, values, weight=1.0, rounds=5):
    """Coefficients [k] of least squares with Huber's weights; slopes [n, k], values [n]."""
    robust = np.ones_like(values)
    for _ in range(rounds):
        weighted = slopes * (weight**2 * robust)[:, None]
        coefficients = np.linalg.lstsq(weighted.T @ slopes, weighted.T @ values, rcond=1e-9)[0]
        rest = weight * np.abs(values - slopes @ coefficients)
        usual = max(1.5 * np.median(rest), 1e-6)
        robust = usual / np.maximum(rest, usual)
    return coefficients

"""The score of the RealBlur benchmark (Rim, Lee, Won and Cho 2020, "Real-world blur dataset for learning and
benchmarking deblurring algorithms"), whose photographs differ a little in brightness and view from their truths.

The restored image gets a gain and is warped onto the truth by the homography that the ECC algorithm finds
(Evangelidis and Psarakis 2008), and what lies inside both is scored. Written from what the benchmark's
evaluation_RealBlur_ecc.py computes; that script insists on OpenCV 4.2.0 and scikit-image 0.17.2, and another
OpenCV may move the last digits. cv2 is imported on first use.
"""

import numpy as np

from tfdeblur.errors import DeblurError
from tfdeblur.metrics.psnr import PEAK, check_pair, check_size, decibels
from tfdeblur.metrics.ssim import RADIUS, WINDOW_SIZE, blur_plane, ssim_maps

ITERATIONS = 100
SMOOTHING = 5  # taps of the Gaussian that ECC applies to both images first


class NotScored(DeblurError):
    """A protocol has no number for this image; the message says why. To be counted and reported, not dropped."""


def realblur_ecc(restored, sharp) -> tuple[float, float]:
    """PSNR and SSIM of the RealBlur benchmark, after gain and ECC alignment.

    For the truth x and the restored image z, both as float32 in 0 to 1:

    1. gain: z times `sum(x z) / sum(z z)`, over all pixels and channels;
    2. ECC on grey images (luma), x the template and z the input: a homography from the identity on, 100
       iterations however little each gains (epsilon 0), smoothing with 5 taps;
    3. z warped by it, bicubic, borders mirrored; a mask of ones warped likewise, nearest neighbour, 0 outside.
       Both images times the mask;
    4. PSNR: squared errors summed over the mask, divided by its sum, peak 1, neither rounded nor clipped;
    5. SSIM: the map of `tfdeblur.metrics.ssim.ssim` on the masked images, times the mask, less 5 pixels on each
       side; its sum divided by the mask's for each channel, and the mean of the three. Windows across the
       mask's border see the zeros outside of it.

    Args:
        restored: uint8 [height, width, 3], RGB, 0 to 255, at least 11 in height and width.
        sharp: the truth, same dtype and shape.

    Returns:
        (PSNR in decibels, SSIM).

    Raises:
        ValueError: see `tfdeblur.metrics.psnr.check_pair`.
        DeblurError: the SSIM window does not fit into the image.
        NotScored: ECC did not converge: OpenCV gave up (the correlation would get worse, or is not a number:
            a flat image), or the image is warped out of the frame.
    """
    restored, sharp = check_pair(restored, sharp)
    check_size("realblur_ecc", WINDOW_SIZE, *sharp.shape[:2])
    if not restored.any():
        raise NotScored("protocol realblur_ecc: the restored image is black, so there is nothing to align")
    x, z = sharp.astype(np.float32) / 255, restored.astype(np.float32) / 255
    z *= np.sum(x * z, dtype=np.float64) / np.sum(z * z, dtype=np.float64)
    z, mask = _warp(z, _homography(x, z))
    inner = (slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    if not mask[inner].any():
        raise NotScored("protocol realblur_ecc: ECC did not converge (it warps the image out of the frame)")

    # SSIM's constants are those of 0 to 255, and with them it is the same as with peak 1 on 0 to 1.
    x, z = (PEAK * (image * mask).astype(np.float64) for image in (x, z))
    squared_error = float(np.sum(np.square(x - z)))
    luminance, contrast_structure = ssim_maps(x, z, blur_plane)
    ssim_map = luminance * contrast_structure * mask
    ssim = np.mean(ssim_map[inner].sum(axis=(0, 1)) / mask[inner].sum(axis=(0, 1)))
    return decibels(squared_error / float(mask.sum())), float(ssim)


def _homography(template: np.ndarray, image: np.ndarray) -> np.ndarray:
    """float32 [3, 3] from places in the template to places in the image, both float32 RGB; NotScored if none."""
    import cv2

    grey_template, grey_image = (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in (template, image))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, ITERATIONS, 0)
    try:
        _, homography = cv2.findTransformECC(
            grey_template,
            grey_image,
            np.eye(3, dtype=np.float32),
            cv2.MOTION_HOMOGRAPHY,
            criteria,
            inputMask=None,
            gaussFiltSize=SMOOTHING,
        )
    except cv2.error as error:
        if error.code != cv2.Error.StsNoConv:
            raise
        reason = error.err.split(".")[0]
        raise NotScored(f"protocol realblur_ecc: ECC did not converge (OpenCV: {reason})") from error
    return homography


def _warp(image: np.ndarray, homography: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the image warped onto the template, its mask of ones), both float [H, W, 3]."""
    import cv2

    height, width = image.shape[:2]
    warped = cv2.warpPerspective(
        image,
        homography,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    mask = cv2.warpPerspective(
        np.ones_like(image),
        homography,
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return warped, mask

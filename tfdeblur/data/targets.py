"""What a batch of training holds beside the pair, by OpenCV on the processor: the same numbers as `tfdeblur.ops`.

The definitions are those of `ops.geometry` and `ops.gradients.sobel_magnitude`, which networks and losses use; these
are four to five times as fast on a processor, and the tests hold one against the other.
"""

import functools

import numpy as np

# Bicubic (Keys, a = -0.5) at the middle between two pixels: the weights of the pixels 2i - 1 .. 2i + 2 for output i.
_HALF = np.array([-0.0625, 0.5625, 0.5625, -0.0625], np.float32)


def half_bicubic(image, out):
    """x0.5 bicubic of float32 [H, W, 3], H and W even, into `out` [H/2, W/2, 3]; as ops.geometry.half_bicubic."""
    import cv2

    height, width = image.shape[:2]
    filtered = cv2.sepFilter2D(image, -1, _HALF, _HALF, anchor=(1, 1), borderType=cv2.BORDER_CONSTANT)
    halved = cv2.resize(filtered, (width // 2, height // 2), interpolation=cv2.INTER_NEAREST)
    np.multiply(halved, _normaliser(height, width), out=out)


@functools.lru_cache(maxsize=16)
def _normaliser(height, width):
    """1 / (sum of the weights inside the image), float32 [H/2, W/2, 1]."""

    def inside(count):
        places = np.arange(0, count, 2)[:, None] + np.arange(-1, 3)
        return (_HALF * ((places >= 0) & (places < count))).sum(axis=1)

    return (1 / np.outer(inside(height), inside(width)))[..., None].astype(np.float32)


def half_bilinear(image, out):
    """The mean of each 2x2 block, arguments as `half_bicubic`; as ops.geometry.half_bilinear."""
    import cv2

    cv2.resize(image, out.shape[1::-1], dst=out, interpolation=cv2.INTER_AREA)


HALVES = {"bicubic": half_bicubic, "bilinear": half_bilinear}


def sobel_magnitude(image, out):
    """Sobel magnitude of uint8 [H, W, 3] taken as [0, 1], into `out` float32; as ops.gradients.sobel_magnitude."""
    import cv2

    # Integers up to 1020, whose squares add up exactly in float32: only the root rounds.
    horizontal = cv2.Sobel(image, cv2.CV_16S, 1, 0).astype(np.float32)
    vertical = cv2.Sobel(image, cv2.CV_16S, 0, 1).astype(np.float32)
    np.multiply(horizontal, horizontal, out=out)
    out += np.multiply(vertical, vertical, out=vertical)
    out += np.float32(1e-6 * 255**2)
    np.sqrt(out, out=out)
    out *= np.float32(1 / 255)

"""Strong augmentation: where crops are taken, how much they are shrunk, and what a camera adds to the blurred one."""

import numpy as np

from tfdeblur.data.images import sharpness

SMALLEST_SCALE = 0.5
PLACES = 3  # of which the crop with the most detail is taken: floors and skies teach nothing
NOISE = (0.0, 6.0)  # standard deviation in grey levels, for a third of the crops
QUALITY = (60, 98)  # of JPEG, for a third of the crops


def place(sharp, crop, rng):
    """Where to crop: (top, left, side) of the square that is shrunk to `crop` x `crop`.

    The side is crop / scale, scale uniform in SMALLEST_SCALE .. 1, or what the image allows.

    Args:
      sharp: uint8 [H, W, 3], H and W from `crop`.
      rng: numpy.random.Generator.
    """
    height, width = sharp.shape[:2]
    side = min(round(crop / rng.uniform(SMALLEST_SCALE, 1)), height, width)
    tops = rng.integers(height - side, size=PLACES, endpoint=True)
    lefts = rng.integers(width - side, size=PLACES, endpoint=True)
    detail = [sharpness(sharp[top : top + side, left : left + side]) for top, left in zip(tops, lefts, strict=True)]
    best = int(np.argmax(detail))
    return int(tops[best]), int(lefts[best]), side


def shrink(image, side):
    """uint8 [H, W, 3], a square, -> [side, side, 3] by area average."""
    import cv2

    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def degrade(blurred, rng):
    """Noise on a third of the images, and JPEG on a third, whether noisy or not.

    Args:
      blurred: uint8 RGB [H, W, 3].
      rng: numpy.random.Generator.

    Returns:
      uint8 RGB [H, W, 3].
    """
    import cv2

    noisy, compressed = rng.random(2) < 1 / 3
    if noisy:
        noise = rng.standard_normal(blurred.shape, dtype=np.float32) * np.float32(rng.uniform(*NOISE))
        blurred = np.clip(np.rint(blurred + noise), 0, 255).astype(np.uint8)
    if compressed:
        quality = int(rng.integers(*QUALITY, endpoint=True))
        # OpenCV takes images for BGR, and JPEG weighs red and blue differently.
        swapped = cv2.cvtColor(blurred, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])
        blurred = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return blurred

"""Which part of a frame a protocol looks at.

A region is cut out of the blurred input and out of the truth BEFORE the network runs: MADN's paper speaks of
random 256x256 crops for training and testing. That is not the same as restoring the frame and scoring a
part of it, for a network sees nothing outside its crop. So the region is apart from the score.
"""

import numpy as np

from tfdeblur.errors import DeblurError

CROP_SIZE = 256
REGIONS = ("full", "crop256", "randomcrop256")

_WORD = 2**64


def region_box(region: str, height: int, width: int, *, seed: int = 0, index: int = 0) -> tuple[int, int, int, int]:
    """The box that a region takes out of a frame.

    - `full`: everything.
    - `crop256`: the centre 256x256; where a margin is odd, the smaller half lies above or to the left.
    - `randomcrop256`: a 256x256 crop, uniform over all positions: a function of (seed, index) and the frame's
      size alone, so neither the order of evaluation nor the number of workers changes it.

    Args:
        region: one of `REGIONS`.
        height: the frame's, in pixels.
        width: the frame's, in pixels.
        seed: which draw of random crops; any integer, taken modulo 2^64. Used by `randomcrop256` alone.
        index: the image's number in its data set, likewise.

    Returns:
        (top, left, height, width) in pixels: `image[top : top + height, left : left + width]`.

    Raises:
        ValueError: the region's name is unknown, or the frame is empty.
        DeblurError: a 256x256 crop does not fit.
    """
    if region not in REGIONS:
        raise ValueError(f"unknown region {region!r}, expected one of {', '.join(REGIONS)}")
    height, width = int(height), int(width)
    if height < 1 or width < 1:
        raise ValueError(f"a frame needs at least one pixel, got {height}x{width}")
    if region == "full":
        return 0, 0, height, width
    if min(height, width) < CROP_SIZE:
        raise DeblurError(
            f"region {region} needs images of at least {CROP_SIZE}x{CROP_SIZE}, got {height}x{width} "
            f"(height x width): use a protocol of the full frame"
        )
    free_rows, free_columns = height - CROP_SIZE, width - CROP_SIZE
    if region == "crop256":
        top, left = free_rows // 2, free_columns // 2
    else:
        # Philox is counter based: the key gives the numbers at once, with no stream to advance per image.
        # Its raw words are fixed by numpy for good, unlike Generator.integers, so a published score stays.
        key = np.array([int(seed) % _WORD, int(index) % _WORD], dtype=np.uint64)
        row_word, column_word = (int(word) for word in np.random.Philox(key=key).random_raw(2))
        # word / 2^64 is uniform in [0, 1); in Python's integers nothing rounds up to the number of positions.
        top = row_word * (free_rows + 1) // _WORD
        left = column_word * (free_columns + 1) // _WORD
    return top, left, CROP_SIZE, CROP_SIZE

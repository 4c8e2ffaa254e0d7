"""The embedded sample: photographs inside scikit-image's wheel whose terms are CC0 or public domain.

scikit-image's own docstrings state the terms (skimage/data/_fetchers.py); pictures whose terms are merely "no
known copyright restrictions" or not stated, `motorcycle` and `lfw` are not used.
"""

import functools

import numpy as np

# name in skimage/data -> (terms, what the wheel holds)
TRAIN = {
    "astronaut.png": "public domain (NASA), colour",
    "rocket.jpg": "public domain (SpaceX), colour",
    "hubble_deep_field.jpg": "public domain (NASA), colour",
    "retina.jpg": "CC0, colour",
    "camera.png": "CC0 (Lav Varshney), grey",
    "brick.png": "CC0 (CC0Textures), grey texture",
    "grass.png": "CC0 (linolafett), grey texture",
    "gravel.png": "CC0 (CC0Textures), grey texture",
}
TEST = {
    "chelsea.png": "CC0 (Stefan van der Walt), colour",
    "coffee.png": "CC0 (Rachel Michetti), colour",
}
# A real motion-blurred photograph without a truth, for looking at.
REAL_BLUR = {"clock_motion.png": "public domain (Stefan van der Walt), grey"}


@functools.cache
def photograph(name):
    """One embedded photograph by file name: uint8 RGB [H, W, 3]; grey ones as three equal channels."""
    import skimage.io

    image = skimage.io.imread(_folder() / name)
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _folder():
    import pathlib

    import skimage

    return pathlib.Path(skimage.__file__).parent / "data"

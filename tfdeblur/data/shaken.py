"""Sharp photographs whose blurred partner is synthesised: the embedded sample, or a folder of one's own."""

import dataclasses
import os
import pathlib

import numpy as np

from tfdeblur.data import photographs
from tfdeblur.data.images import image_size, read_image, some_of
from tfdeblur.data.shake import FIXED_SHAKE, blur, generator, random_kernel
from tfdeblur.data.sources import file_stamp, read_sharp_folder, silent
from tfdeblur.errors import DeblurError


class ShakenSource:
    """Sharp images, by index, blurred on demand by the camera shake of the family `shake`.

    `pair` always gives the same blurred image (a function of seed and index); `crop` blurs afresh with the
    generator that it is told to make. With `repeats` > 1 every image appears that often, each time with a kernel of
    its own, as "<name>/shake_<n>".
    """

    def __init__(self, names, read, sizes, description, shake, seed=0, repeats=1, files=()):
        """names: one per image; read: index -> uint8 [H, W, 3]; sizes: () -> [(height, width)]; files: if any."""
        self._read, self._sizes, self._files = read, sizes, files
        self.shake, self.seed, self.repeats = shake, seed, repeats
        if repeats > 1:
            names = [f"{name}/shake_{n + 1}" for name in names for n in range(repeats)]
        self.names = tuple(names)
        self.description = {
            **description,
            "blur_kind": "synthesized",
            "shake": dataclasses.asdict(shake),
            "seed": seed,
            "pairs": len(names),
        }

    def __len__(self):
        return len(self.names)

    def sharp(self, index):
        """uint8 RGB [H, W, 3]."""
        return self._read(index // self.repeats)

    def pair(self, index):
        """(blurred, sharp), each uint8 RGB [H, W, 3]."""
        sharp = self.sharp(index)
        rng = generator(self.seed, index, 0, FIXED_SHAKE)
        return blur(sharp, random_kernel(rng, self.shake), rng, self.shake.noise), sharp

    def truths(self, index):
        """Iterator over the one sharp image."""
        return iter((self.sharp(index),))

    def check(self, crop=None, log=silent):
        """Sizes [(height, width)] of all images; DeblurError for unreadable ones and ones below the crop."""
        del log
        sizes = self._sizes()
        small = [
            f"{name} ({w}x{h})"
            for name, (h, w) in zip(self.names[:: self.repeats], sizes, strict=True)
            if crop and min(h, w) < crop
        ]
        if small:
            raise DeblurError(f"{some_of(small)}: smaller than the crop of {crop}; lower the crop or remove them")
        return [size for size in sizes for _ in range(self.repeats)]

    def odd_ones(self, indices=None):
        """No lines: photographs of any kind are blurred alike."""
        del indices
        return []

    # What training needs: the images to keep decoded, what tells that they changed, and a crop of them.

    def stamp(self, index):
        """JSON-able, changes when an image does; not with the shake, as only sharp images are kept."""
        return [file_stamp(self._files[index // self.repeats])] if self._files else []

    def image_count(self, index):
        """How many images `stored` gives."""
        del index
        return 1

    def stored(self, index):
        """The decoded images to keep: (sharp,)."""
        return (self.sharp(index),)

    def crop(self, stored, top, left, size, rng):
        """A sharp crop and its freshly blurred partner: (blurred, sharp), uint8 [size, size, 3] each.

        rng: () -> numpy.random.Generator. The kernel sees the photograph around the crop, so the crop's border is
        as good as its middle.
        """
        (image,) = stored
        rng = rng()
        kernel = random_kernel(rng, self.shake)
        margin = kernel.shape[0] // 2
        y0, x0 = max(top - margin, 0), max(left - margin, 0)
        region = np.asarray(image[y0 : top + size + margin, x0 : left + size + margin])
        blurred = blur(region, kernel, rng, self.shake.noise)
        y, x = top - y0, left - x0
        return blurred[y : y + size, x : x + size], region[y : y + size, x : x + size]


def embedded(split, shake, seed=0, repeats=1):
    """The photographs of scikit-image's wheel, `split` "train" or "test" (named in photographs.py)."""
    files = list(photographs.TRAIN if split == "train" else photographs.TEST)
    return ShakenSource(
        [pathlib.PurePath(name).stem for name in files],
        lambda index: photographs.photograph(files[index]),
        lambda: [photographs.photograph(name).shape[:2] for name in files],
        {"source": "embedded", "split": split},
        shake,
        seed,
        repeats,
    )


def sharp_folder(sharp_dir, shake, seed=0, repeats=1):
    """A folder of sharp photographs."""
    names, paths = read_sharp_folder(sharp_dir)

    def sizes():
        found, unreadable = [], []
        for path in paths:
            try:
                found.append(image_size(path))
            except DeblurError as error:
                unreadable.append(error)
        if unreadable:
            raise DeblurError(some_of(unreadable))
        return found

    description = {"source": "sharp_folder", "sharp_dir": os.path.abspath(sharp_dir)}
    return ShakenSource(names, lambda i: read_image(paths[i]), sizes, description, shake, seed, repeats, files=paths)

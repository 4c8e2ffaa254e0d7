"""Pairs of a blurred and a sharp image on disk, by index: two folders or a GOPRO tree, one kind of source."""

import os

import numpy as np

from tfdeblur.data import layouts
from tfdeblur.data.images import image_size, images_by_name, read_image, sharpness, some_of
from tfdeblur.errors import DeblurError

_SWAP_SAMPLE = 16  # pairs that are decoded to find out whether the sides are swapped


def file_stamps(paths):
    """[(path, bytes, time of the last change)]: JSON-able, different after a file was replaced."""
    stamps = []
    for path in paths:
        status = os.stat(path)
        stamps.append((os.fsdecode(os.path.abspath(path)), status.st_size, status.st_mtime_ns))
    return stamps


class PairSource:
    """Pairs of images, by index.

    names: the unique key of each pair, the relative name without suffix ("<sequence>/<frame>" for GOPRO).
    description: what this is, for JSON: "source", the paths, "blur_kind", "pairs" and more.
    """

    def __init__(self, pairs, description):
        """pairs: [(name, blurred path, sharp path)], as from tfdeblur.data.layouts."""
        self.names = tuple(name for name, _, _ in pairs)
        self.description = {**description, "pairs": len(pairs)}
        self._paths = [(blurred, sharp) for _, blurred, sharp in pairs]

    def __len__(self):
        return len(self.names)

    def pair(self, index):
        """(blurred, sharp), each uint8 RGB [H, W, 3]; DeblurError if unreadable or of different sizes."""
        blurred, sharp = (read_image(path) for path in self._paths[index])
        self._refuse_different_sizes([self._paths[index]], [(blurred.shape[:2], sharp.shape[:2])])
        return blurred, sharp

    # What training needs: the images to keep decoded, what tells that they changed, and a crop of them.

    def fingerprint(self):
        """Changes when a file does."""
        return file_stamps([path for pair in self._paths for path in pair])

    def stored(self, index):
        """The decoded images to keep: (blurred, sharp)."""
        return self.pair(index)

    def crop(self, stored, top, left, size, rng):
        """The same crop of both: (blurred, sharp), uint8 [size, size, 3] each; nothing is random here."""
        del rng
        return tuple(image[top : top + size, left : left + size] for image in stored)

    def check(self, crop=None):
        """Look at every file, mostly at its header, before hours are spent on them.

        Raises DeblurError where files are unreadable, the two of a pair differ in size, an image is smaller
        than `crop` x `crop`, or the sides are swapped or equal (from the decoded images of a few pairs).
        Returns [(height, width)] of the pairs.
        """
        sizes, unreadable = [], []
        for paths in self._paths:
            sizes.append([])
            for path in paths:
                try:
                    sizes[-1].append(image_size(path))
                except DeblurError as error:
                    unreadable.append(error)
        if unreadable:
            raise DeblurError(some_of(unreadable))
        self._refuse_different_sizes(self._paths, sizes)
        small = [
            f"{blurred} ({width}x{height})"
            for (blurred, _), ((height, width), _) in zip(self._paths, sizes, strict=True)
            if crop and min(height, width) < crop
        ]
        if small:
            raise DeblurError(f"{some_of(small)}: smaller than the crop of {crop}; lower the crop or remove them")
        self._refuse_swapped_sides()
        return [size for size, _ in sizes]

    @staticmethod
    def _refuse_different_sizes(paths, sizes):
        different = [
            f"{blurred} is {w1}x{h1} but {sharp} is {w2}x{h2}"
            for (blurred, sharp), ((h1, w1), (h2, w2)) in zip(paths, sizes, strict=True)
            if (h1, w1) != (h2, w2)
        ]
        if different:
            raise DeblurError(f"{some_of(different)}; the two images of a pair must have one size")

    def _refuse_swapped_sides(self):
        sample = np.linspace(0, len(self) - 1, min(_SWAP_SAMPLE, len(self))).round().astype(int)
        swapped, equal = [], 0
        for index in sample:
            blurred, sharp = self.pair(index)
            equal += np.array_equal(blurred, sharp)
            if sharpness(blurred) > sharpness(sharp):
                swapped.append(index)
        if equal == len(sample):
            blurred, sharp = self._paths[0]
            raise DeblurError(f"{blurred} and {sharp}: the same picture, as in all sampled pairs; nothing to learn")
        if len(swapped) > len(sample) / 2:
            blurred, sharp = self._paths[swapped[0]]
            raise DeblurError(
                f"{len(swapped)} of {len(sample)} sampled pairs are sharper on the blurred side, such as "
                f"{blurred} against {sharp}: blurred and sharp are swapped; exchange the two folders"
            )


def folder_pairs(blur_dir, sharp_dir, blur_kind="blur"):
    """PairSource of two folders, paired by relative name without suffix (seq1/0001.png with seq1/0001.jpg).

    Raises DeblurError as layouts.match_folders does, and for an unknown blur_kind.
    """
    layouts.check_blur_kind(blur_kind)
    description = {
        "source": "folders",
        "blur_dir": os.path.abspath(blur_dir),
        "sharp_dir": os.path.abspath(sharp_dir),
        "blur_kind": blur_kind,
    }
    return PairSource(layouts.match_folders(blur_dir, sharp_dir), description)


def gopro_pairs(root, split, blur_kind="blur"):
    """PairSource of one split ("train" or "test") of a GOPRO tree; DeblurError as layouts.gopro_pairs.

    A tree with some of the pairs is accepted: description["pairs"] of description["pairs_in_full"] are there.
    """
    pairs = layouts.gopro_pairs(root, split, blur_kind)
    description = {
        "source": "gopro",
        "root": os.path.abspath(root),
        "split": split,
        "blur_kind": blur_kind,
        "pairs_in_full": layouts.GOPRO_PAIRS[split],
    }
    return PairSource(pairs, description)


def read_sharp_folder(sharp_dir):
    """(names, paths) of a folder of sharp photographs, sorted by name; DeblurError as images_by_name."""
    images = images_by_name(sharp_dir)
    return tuple(images), tuple(images.values())

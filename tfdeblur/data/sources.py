"""Pairs of a blurred and a sharp image, by index: out of files here, out of prepared storage and of TFDS records in
modules beside this one.
"""

import os
import pathlib

import numpy as np

from tfdeblur.data import layouts
from tfdeblur.data.images import image_header, images_by_name, odd_ones, read_image, sharpness, some_of
from tfdeblur.errors import DeblurError

_SWAP_SAMPLE = 16  # pairs that are decoded to find out whether the sides are swapped


def silent(line):
    """A `log` that says nothing."""


class PairSource:
    """Pairs of images, by index. With several truths (Köhler) the first one stands for all in a pair.

    names: the unique key of each pair, the relative name without suffix ("<sequence>/<frame>" for GOPRO).
    description: what this is, for JSON: "source", the paths, "blur_kind", "pairs" and more.
    """

    def __init__(self, names, images, description):
        """images: has, for (index, position) with position 0 = blurred, 1.. = sharp: `read` -> uint8 [H, W, 3],
        `header` -> Header and `label` -> text; for an index `count` (of all its images) and `stamp`."""
        self.names = tuple(names)
        self.description = {**description, "pairs": len(self.names)}
        self._images = images

    def __len__(self):
        return len(self.names)

    def pair(self, index):
        """(blurred, sharp), each uint8 RGB [H, W, 3]; DeblurError if unreadable or of different sizes."""
        blurred, sharp = (self._images.read(index, position) for position in (0, 1))
        self._refuse_different_sizes([(index, {0: blurred.shape, 1: sharp.shape})])
        return blurred, sharp

    def truths(self, index):
        """Iterator over all sharp images of a pair, each read when it is asked for."""
        return (self._images.read(index, position) for position in range(1, self._images.count(index)))

    # What training needs: the images to keep decoded, what tells that they changed, and a crop of them.

    def stamp(self, index):
        """JSON-able, changes when a file does."""
        return self._images.stamp(index)

    def image_count(self, index):
        """How many images `stored` gives."""
        return self._images.count(index)

    def stored(self, index):
        """The decoded images to keep: (blurred, sharp, further truths...)."""
        images = tuple(self._images.read(index, position) for position in range(self._images.count(index)))
        self._refuse_different_sizes([(index, {position: image.shape for position, image in enumerate(images)})])
        return images

    def crop(self, stored, top, left, size, rng):
        """The same crop of both: (blurred, sharp), uint8 [size, size, 3] each; nothing is random here."""
        del rng
        return tuple(image[top : top + size, left : left + size] for image in stored[:2])

    def check(self, crop=None, log=silent):
        """Look at every file, mostly at its header, before hours are spent on them.

        Args:
          crop: side in pixels that every image must have.
          log: called with a line on grey and 16-bit images among others, which are read all the same.

        Raises DeblurError where files are unreadable, the images of a pair differ in size, an image is smaller
        than `crop` x `crop`, or the sides are swapped or equal (from the decoded images of a few pairs).
        Returns [(height, width)] of the pairs.
        """
        headers, unreadable = self._headers()
        if unreadable:
            raise DeblurError(some_of(unreadable))
        self._refuse_different_sizes(enumerate(headers))
        sizes = [found[0][:2] for found in headers]
        small = [
            f"{self._images.label(index, 0)} ({width}x{height})"
            for index, (height, width) in enumerate(sizes)
            if crop and min(height, width) < crop
        ]
        if small:
            raise DeblurError(f"{some_of(small)}: smaller than the crop of {crop}; lower the crop or remove them")
        for line in self._odd_ones(headers):
            log(f"warning: {line}")
        if len(headers[0]) > 1:
            self._refuse_swapped_sides()
        return sizes

    def subset(self, indices):
        """The source of some of the pairs."""
        names = [self.names[index] for index in indices]
        return PairSource(names, _Chosen(self._images, indices), self.description)

    def unreadable(self):
        """{index: DeblurError} of the pairs whose files are unreadable or differ in size, mostly by their headers."""
        found = {}
        for index in range(len(self)):
            headers, errors = self._headers([index])
            try:
                if errors:
                    raise DeblurError(some_of(errors))
                self._refuse_different_sizes([(index, headers[0])])
            except DeblurError as error:
                found[index] = error
        return found

    def decoded_bytes(self, index):
        """What the decoded images of a pair take; 0 where they cannot be read."""
        try:
            headers = [self._images.header(index, position) for position in range(self._images.count(index))]
        except DeblurError:
            return 0
        return sum(3 * header.height * header.width for header in headers)

    def odd_ones(self, indices=None):
        """Lines on grey and 16-bit images among others, as `images.odd_ones`; unreadable files are passed over.

        indices: of the pairs to look at; None: all.
        """
        return self._odd_ones(self._headers(indices)[0], indices)

    def _odd_ones(self, headers, indices=None):
        found = {}
        for index, row in zip(range(len(self)) if indices is None else indices, headers, strict=True):
            found |= {self._images.label(index, position): header for position, header in row.items()}
        return odd_ones(found)

    def _headers(self, indices=None):
        """([{position: Header} of each pair], [DeblurError of each unreadable file])."""
        headers, unreadable = [], []
        for index in range(len(self)) if indices is None else indices:
            headers.append({})
            for position in range(self._images.count(index)):
                try:
                    headers[-1][position] = self._images.header(index, position)
                except DeblurError as error:
                    unreadable.append(error)
        return headers, unreadable

    def _refuse_different_sizes(self, sizes):
        """sizes: iterable of (index, {position: (height, width, ...)})."""
        different = []
        for index, found in sizes:
            h1, w1 = found[0][:2]
            for position, (h2, w2, *_) in found.items():
                if (h1, w1) != (h2, w2):
                    both = self._images.label(index, 0), self._images.label(index, position)
                    different.append(f"{both[0]} is {w1}x{h1} but {both[1]} is {w2}x{h2}")
        if different:
            raise DeblurError(f"{some_of(different)}; the two images of a pair must have one size")

    def _refuse_swapped_sides(self):
        sample = np.linspace(0, len(self) - 1, min(_SWAP_SAMPLE, len(self))).round().astype(int)
        swapped, equal = [], 0
        for index in sample:
            try:
                blurred, sharp = self.pair(index)
            except DeblurError:  # damaged inside: told where it is read for good
                continue
            equal += np.array_equal(blurred, sharp)
            if sharpness(blurred) > sharpness(sharp):
                swapped.append(index)
        if equal == len(sample):
            blurred, sharp = (self._images.label(0, position) for position in (0, 1))
            raise DeblurError(f"{blurred} and {sharp}: the same picture, as in all sampled pairs; nothing to learn")
        if len(swapped) > len(sample) / 2:
            blurred, sharp = (self._images.label(swapped[0], position) for position in (0, 1))
            raise DeblurError(
                f"{len(swapped)} of {len(sample)} sampled pairs are sharper on the blurred side, such as "
                f"{blurred} against {sharp}: blurred and sharp are swapped; exchange the two folders"
            )


class _Chosen:
    """Some of the images of a `PairSource`, by their own indices."""

    def __init__(self, images, indices):
        self._images, self._indices = images, list(indices)

    def __getattr__(self, name):
        method = getattr(self._images, name)
        return lambda index, *position: method(self._indices[index], *position)


class FileImages:
    """The images of a `PairSource` that lie in files."""

    def __init__(self, files):
        """files: per index (blurred, sharp, further truths...), paths or members of archives."""
        self._files = files
        self._headers = {}  # what was asked once; a look at thousands of files is a matter of seconds or minutes

    def files(self, index):
        return self._files[index]

    def count(self, index):
        return len(self.files(index))

    def read(self, index, position):
        return read_image(self.files(index)[position])

    def header(self, index, position):
        if (index, position) not in self._headers:
            self._headers[index, position] = image_header(self.files(index)[position])
        return self._headers[index, position]

    def label(self, index, position):
        return str(self.files(index)[position])

    def stamp(self, index):
        return [file_stamp(file) for file in self.files(index)]


def file_stamp(file):
    """JSON-able, different after a file was replaced: path, bytes, and time of the last change or checksum."""
    if isinstance(file, (str, os.PathLike)):
        status = os.stat(file)
        return [os.path.abspath(file), status.st_size, status.st_mtime_ns]
    member = file.root.getinfo(file.at)  # a zipfile.Path
    return [os.path.abspath(file.root.filename), file.at, member.file_size, member.CRC]


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
    return _of_triples(layouts.match_folders(blur_dir, sharp_dir), description)


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
    return _of_triples(pairs, description)


def _of_triples(pairs, description):
    files = [(blurred, sharp) for _, blurred, sharp in pairs]
    return PairSource([name for name, _, _ in pairs], FileImages(files), description)


def blur_kind_of(name, config):
    """What a public dataset's blur is called: of GoPro the config, elsewhere the dataset is a kind of its own."""
    if config in layouts.BLUR_KINDS:
        return config
    return f"{name}/{config}" if config and config != "default" else name


def dataset_splits(dataset, manual_dir, log=silent):
    """{split: PairSource} of a public dataset, whole and in its splits.

    Args:
      dataset: "<name>" or "<name>/<config>" of layouts.DATASETS, such as "gopro/blur_gamma".
      manual_dir: the archive, its folder, or a re-pack.
      log: called with a line where an archive is extracted, or a split is not there.

    Raises:
      DeblurError: as layouts.examples does, and for a dataset without truths.
    """
    name, _, config = dataset.partition("/")
    found = layouts.examples(name, config or None, manual_dir, log)
    config = config or layouts.DATASETS[name].configs[0]
    sources = {}
    for split, examples in found.items():
        blind = [example.key for example in examples if not example.sharp]
        if blind:
            raise DeblurError(
                f"{manual_dir}: {name}/{config} has no sharp images to learn from or to compare with; look at what "
                "tfdeblur deblur makes of it"
            )
        description = {
            "source": name,
            "config": config,
            "root": os.path.abspath(manual_dir),
            "split": split,
            "blur_kind": blur_kind_of(name, config),
        }
        files = [(example.blurred, *example.sharp) for example in examples]
        sources[split] = PairSource([example.key for example in examples], FileImages(files), description)
    return sources


def read_sharp_folder(sharp_dir):
    """(names, paths) of a folder of sharp photographs, sorted by name; DeblurError as images_by_name."""
    images = images_by_name(sharp_dir)
    return tuple(images), tuple(images.values())


def sharp_photographs(sharp_dir):
    """Photographs without blur, to be prepared and blurred later: a PairSource of one image an index."""
    names, paths = read_sharp_folder(sharp_dir)
    description = {"source": "sharp_folder", "sharp_dir": os.path.abspath(sharp_dir), "blur_kind": "synthesized"}
    return PairSource(names, FileImages([(path,) for path in paths]), description)


def find_folders(folder):
    """(blurred, sharp) sub-folders of a folder of pairs, or None: blur and sharp, or input and target."""
    for names in (("blur", "sharp"), ("blurred", "sharp"), ("input", "target")):
        both = [pathlib.Path(folder, name) for name in names]
        if all(path.is_dir() for path in both):
            return both
    return None

"""Pairs out of what TensorFlow Datasets has built: its TFRecord files, read at random by index."""

import functools
import io
import os
import pathlib
import struct

from tfdeblur.compat import tf
from tfdeblur.data.sources import FileImages, PairSource, blur_kind_of
from tfdeblur.errors import DeblurError


def built_datasets(folder):
    """Folders of data sets that TFDS built in or below `folder`: <name>/[<config>/]<version>/dataset_info.json."""
    found = [path.parent for depth in range(4) for path in pathlib.Path(folder).glob("*/" * depth + _INFO)]
    return sorted(set(found))


_INFO = "dataset_info.json"


def open_records(folder, split, blur_kind=None):
    """PairSource of one split of a built data set.

    Args:
      folder: the data set's own folder, with dataset_info.json, or one above it that holds no other.
      split: "train" or "test".
      blur_kind: chooses between data sets that were built side by side (gopro/blur and gopro/blur_gamma).

    Raises:
      DeblurError: nothing or several data sets there, no such split, no pairs in it.
    """
    found = built_datasets(folder)
    if len(found) > 1 and blur_kind:
        found = [path for path in found if blur_kind in path.parts] or found
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found) or "none"
        raise DeblurError(f"{folder}: need one data set that TFDS built, found {names}; name its own folder")

    import tensorflow_datasets as tfds

    info = tfds.builder_from_directory(str(found[0])).info
    if split not in info.splits:
        raise DeblurError(f"{found[0]}: no split {split}, but {', '.join(info.splits)}")
    if not {"blurred", "sharp", "key"} <= set(info.features):
        raise DeblurError(f"{found[0]}: holds {', '.join(sorted(info.features))}; pairs have blurred, sharp and key")
    records = [place for path in info.splits[split].filepaths for place in _places(os.fspath(path))]
    if len(records) != info.splits[split].num_examples:
        raise DeblurError(
            f"{found[0]}: {len(records)} records, {info.splits[split].num_examples} expected; build again"
        )
    images = _RecordImages(records)
    names = [images.key(index) for index in range(len(records))]
    order = sorted(range(len(names)), key=names.__getitem__)
    description = {
        "source": info.name,
        "config": info.config_name,
        "root": str(found[0].resolve()),
        "split": split,
        "blur_kind": blur_kind_of(info.name, info.config_name),
    }
    images.places = [records[index] for index in order]
    return PairSource([names[index] for index in order], images, description)


def _places(path):
    """[(path, offset, bytes)] of the records of a TFRecord file, by going from length to length."""
    found = []
    try:
        with open(path, "rb") as file:
            end = os.fstat(file.fileno()).st_size
            while header := file.read(12):  # a length and its checksum; a checksum follows the record, too
                (length,) = struct.unpack("<Q", header[:8])
                found.append((path, file.tell(), length))
                file.seek(length + 4, os.SEEK_CUR)
                if file.tell() > end:
                    raise DeblurError(f"{path}: the file is cut off before its end; build the data set again")
    except (OSError, struct.error) as error:
        raise DeblurError(f"{path}: cannot be read ({error}); was it built as tfrecord, TFDS's default?") from error
    return found


class _RecordImages(FileImages):
    """The images of a `PairSource` that lie in TFRecord files, still encoded."""

    def __init__(self, places):
        self.places = places
        self._read_place = functools.lru_cache(maxsize=4)(_read_record)  # all images of a pair come from one record

    def key(self, index):
        return self._read_place(self.places[index])["key"].bytes_list.value[0].decode()

    def files(self, index):
        features = self._read_place(self.places[index])
        encoded = [*features["blurred"].bytes_list.value, *features["sharp"].bytes_list.value]
        name = self.key(index)
        return [_Encoded(data, f"{name} ({'sharp' if n else 'blurred'})") for n, data in enumerate(encoded)]

    def stamp(self, index):
        path, offset, length = self.places[index]
        return [path, offset, length, os.stat(path).st_mtime_ns]


def _read_record(place):
    """The features of one tf.train.Example."""
    from google.protobuf.message import DecodeError

    path, offset, length = place
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return tf.train.Example.FromString(file.read(length)).features.feature
    except (OSError, DecodeError) as error:
        raise DeblurError(f"{path}: the record at byte {offset} cannot be read ({error}); build again") from error


class _Encoded:
    """An image file in memory, as `images.read_image` takes it."""

    def __init__(self, data, label):
        self._data, self._label = data, label

    def __str__(self):
        return self._label

    def read_bytes(self):
        return self._data

    def open(self, mode):
        del mode
        return io.BytesIO(self._data)

"""Pairs out of what TensorFlow Datasets has built: its TFRecord files, read at random by index."""

import functools
import io
import os
import pathlib
import struct
from typing import NamedTuple

from tfdeblur.compat import tf
from tfdeblur.data.images import image_header, read_image
from tfdeblur.data.sources import PairSource, blur_kind_of
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
    if len({path.parts[:-2] for path in found}) == 1 < len(found) and blur_kind:  # configs of one data set
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
    # Once through all of it, for what is in every record but at no known place: keys, sizes, numbers of truths.
    known = sorted((_look(place) for place in records), key=lambda record: record.key)
    description = {
        "source": info.name,
        "config": info.config_name,
        "root": str(found[0].resolve()),
        "split": split,
        "blur_kind": blur_kind_of(info.name, info.config_name),
    }
    return PairSource([record.key for record in known], _RecordImages(known), description)


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


class _Record(NamedTuple):
    """A record's place, see `_places`, its key, and the `Header` of each of its images or the DeblurError."""

    place: tuple
    key: str
    headers: list


def _look(place):
    features = _read_record(place)
    key = features["key"].bytes_list.value[0].decode()
    headers = []
    for position in range(1 + len(features["sharp"].bytes_list.value)):
        try:
            headers.append(image_header(_image(features, key, position)))
        except DeblurError as error:
            headers.append(error)
    return _Record(place, key, headers)


def _image(features, key, position):
    encoded = features["sharp"].bytes_list.value[position - 1] if position else features["blurred"].bytes_list.value[0]
    return _Encoded(encoded, f"{key} ({'sharp' if position else 'blurred'})")


class _RecordImages:
    """The images of a `PairSource` that lie in TFRecord files, still encoded."""

    def __init__(self, records):
        self._records = records
        self._read_place = functools.lru_cache(maxsize=2)(_read_record)  # all images of a pair come from one record

    def count(self, index):
        return len(self._records[index].headers)

    def read(self, index, position):
        place, key, _ = self._records[index]
        return read_image(_image(self._read_place(place), key, position))

    def header(self, index, position):
        header = self._records[index].headers[position]
        if isinstance(header, DeblurError):
            raise header
        return header

    def label(self, index, position):
        return f"{self._records[index].key} ({'sharp' if position else 'blurred'})"

    def stamp(self, index):
        path, offset, length = self._records[index].place
        return [os.path.abspath(path), offset, length, os.stat(path).st_mtime_ns]


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

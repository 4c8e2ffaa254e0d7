"""Prepared data: a source decoded once into a folder that stands for itself, and read from there ever after.

    <folder>/<split>/{pixels.u8, index.jsonl}    the store, see store.py
    <folder>/<split>/prepared.json               what it is, the names in their order, and whether it is complete

A source without splits, such as two folders, is the split "all", which serves training and evaluation alike.
"""

import json
import os
import pathlib
import secrets

import numpy as np

from tfdeblur.data import store as images_store
from tfdeblur.data.images import Header, some_of
from tfdeblur.data.shaken import ShakenSource
from tfdeblur.data.sources import PairSource, silent
from tfdeblur.data.store import ImageStore, open_store, read_entries
from tfdeblur.errors import DeblurError

ALL = "all"
_DESCRIPTION = "prepared.json"


def refuse_small_disk(found, folder):
    """DeblurError before anything is decoded where the images of {split: source} do not fit into the folder's disk."""
    needed = 0
    for split, source in found.items():
        there = read_entries(os.path.join(folder, split))
        missing = [index for index, name in enumerate(source.names) if name not in there]
        needed += sum(source.decoded_bytes(index) for index in missing)
    images_store.refuse_small_disk(folder, needed, "--out", f"images of {' and '.join(found)}")


def prepare(source, split, folder, progress=iter, log=silent):
    """Decodes a source into `<folder>/<split>`; call again after an interruption or for files that were mended.

    Files that cannot be read, and pairs of different sizes, are named at the end and do not stop the others.

    Args:
      source: PairSource; `sources.sharp_photographs`, too.
      split: "train", "test" or ALL.
      progress, log: see `open_store`.

    Raises:
      DeblurError: as the source's `check` and `open_store`, and where the folder holds other data.
    """
    target = os.path.join(folder, split)
    _refuse_other_splits(folder, split)
    _refuse_other_data(target, source.description)
    bad = source.unreadable()
    good = source.subset([index for index in range(len(source)) if index not in bad])
    if not good:
        raise DeblurError(some_of(bad.values()))
    sizes = good.check(log=log)
    content = {"description": source.description, "names": source.names}
    _write(target, {"complete": False, **content})
    open_store(good, sizes, target, progress, log, room="--out")
    if bad:
        kept = f"{len(good)} of {len(source)} are decoded and kept"
        raise DeblurError(f"{some_of(bad.values())}; {kept}: mend or remove the files and start again")
    _write(target, {"complete": True, **content})


def _refuse_other_splits(folder, split):
    """DeblurError where data without splits would lie beside data with splits: which of them would be meant?"""
    there = {path.parent.name for path in pathlib.Path(folder).glob(f"*/{_DESCRIPTION}")} - {split}
    if there and ALL in {*there, split}:
        raise DeblurError(
            f"{folder}: holds other data (split {', '.join(sorted(there))}); name another folder with --out"
        )


def _refuse_other_data(target, description):
    """DeblurError where preparing something else was begun: its images would be thrown away."""
    there = _read(target)
    if not there:
        return
    # The shake of sharp photographs is none of the preparation's, and the number of pairs may grow.
    begun, wanted = (
        {key: value for key, value in json.loads(json.dumps(what)).items() if key not in ("pairs", "shake", "seed")}
        for what in (there["description"], description)
    )
    if begun != wanted:
        other = ", ".join(f"{key} {value}" for key, value in begun.items() if wanted.get(key) != value)
        raise DeblurError(f"{target}: holds other data ({other}); name another folder with --out, or remove this one")


def _write(target, content):
    path = os.path.join(target, _DESCRIPTION)
    try:
        os.makedirs(target, exist_ok=True)
        partial = f"{path}.{secrets.token_hex(8)}.tmp"
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)  # ASCII: a folder's name need not be UTF-8
        os.replace(partial, path)
    except OSError as error:
        raise DeblurError(f"{path}: cannot be written ({error.strerror})") from error


def _read(target):
    """What `_write` wrote; None where it wrote nothing."""
    path = os.path.join(target, _DESCRIPTION)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if not {"complete", "description", "names"} <= set(content):
            raise ValueError("incomplete")
        return content
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DeblurError(f"{path}: damaged; remove {target} and prepare it again") from error


def is_prepared(folder):
    """Whether a folder was made by `prepare`, wholly or in part."""
    return any(pathlib.Path(folder).glob(f"*/{_DESCRIPTION}"))


def open_prepared(folder, split, shake=None, seed=0):
    """The source that `prepare` made: a PairSource, or of sharp photographs a ShakenSource; `source.store` is open.

    Args:
      folder: as for `prepare`.
      split: "train" or "test"; data without splits serve both.
      shake: `Shake`, the family that blurs sharp photographs; None refuses them.
      seed: of the shakes that `pair` shows.

    Raises:
      DeblurError: the split is not there or its preparation was not finished.
    """
    there = {path.parent.name for path in pathlib.Path(folder).glob(f"*/{_DESCRIPTION}")}
    found = ALL if ALL in there else split
    if found not in there:
        raise DeblurError(f"{folder}: no split {split} there, but {', '.join(sorted(there)) or 'nothing prepared'}")
    target = os.path.join(folder, found)
    stored = _read(target)
    if not stored["complete"]:
        raise DeblurError(f"{target}: its preparation was not finished; run tfdeblur prepare again")
    names, description = stored["names"], stored["description"]
    try:
        entries = read_entries(target)
        store = ImageStore(target, [entries[name] for name in names])
    except (OSError, KeyError, ValueError) as error:
        raise DeblurError(f"{target}: damaged, images are missing; run tfdeblur prepare again") from error
    description = {**description, "prepared": os.path.abspath(folder)}
    if description["blur_kind"] != "synthesized":
        source = PairSource(names, _StoredImages(names, store), description)
    elif shake:
        sizes = [store.size(index) for index in range(len(store))]
        source = ShakenSource(names, lambda i: np.array(store.images(i)[0]), lambda: sizes, description, shake, seed)
    else:
        raise DeblurError(f"{folder}: holds sharp photographs without blur; add --synthesize to blur them")
    source.store = store
    return source


class _StoredImages:
    """The images of a `PairSource` that are decoded already."""

    def __init__(self, names, store):
        self._names, self._store = names, store

    def count(self, index):
        return len(self._store.images(index))

    def read(self, index, position):
        return np.array(self._store.images(index)[position])

    def header(self, index, position):
        height, width = self._store.images(index)[position].shape[:2]
        return Header(height, width, grey=False, bits=8)

    def label(self, index, position):
        return f"{self._names[index]} ({'sharp' if position else 'blurred'})"

    def stamp(self, index):
        return [self._names[index]]

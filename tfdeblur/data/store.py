"""Decoded images on disk with random access by index: decode once, crop for days."""

import json
import os
import shutil

import numpy as np

from tfdeblur.errors import DeblurError


class ImageStore:
    """All images of a source as raw uint8 in one memory-mapped file; the system's page cache is the cache.

    Files: `pixels.u8` (images one after the other) and `index.json`, written last: a store without it is
    incomplete and is made again.
    """

    def __init__(self, folder):
        with open(os.path.join(folder, "index.json"), encoding="utf-8") as file:
            self._entries = json.load(file)["images"]
        self._pixels = np.memmap(os.path.join(folder, "pixels.u8"), np.uint8, "r")

    def __len__(self):
        return len(self._entries)

    def images(self, index):
        """The images stored for one index: tuple of uint8 [H, W, 3] views (read-only)."""
        found = []
        for offset, height, width in self._entries[index]:
            flat = self._pixels[offset : offset + height * width * 3]
            found.append(flat.reshape(height, width, 3))
        return tuple(found)

    def size(self, index):
        """(height, width) of the images of one index."""
        _, height, width = self._entries[index][0]
        return height, width


def open_store(source, sizes, folder, progress=iter, log=print):
    """The store of `source` in `folder`, made now unless one of the same source is there.

    Args:
      source: has `stored(index)`, `names`, `description`.
      sizes: [(height, width)] as the source's `check` returns it.
      folder: directory; created.
      progress: wraps the iterable over the images (a progress bar).
      log: called with one line about what is going to be written.

    Raises:
      DeblurError where the disk is too small, or an image cannot be read.
    """
    fingerprint = {"description": source.description, "names": list(source.names), "sizes": sizes}
    fingerprint = json.loads(json.dumps(fingerprint))  # tuples become lists, as in the file
    index_path = os.path.join(folder, "index.json")
    if os.path.exists(index_path):
        with open(index_path, encoding="utf-8") as file:
            if json.load(file)["fingerprint"] == fingerprint:
                return ImageStore(folder)
        os.remove(index_path)

    os.makedirs(folder, exist_ok=True)
    per_index = len(source.stored(0))
    needed = sum(h * w * 3 for h, w in sizes) * per_index
    pixels_path = os.path.join(folder, "pixels.u8")
    if os.path.exists(pixels_path):
        os.remove(pixels_path)
    free = shutil.disk_usage(folder).free
    log(f"decoding {len(source)} x {per_index} images into {folder}: {needed / 1e6:,.0f} of {free / 1e6:,.0f} MB free")
    if needed > 0.98 * free:
        raise DeblurError(
            f"{folder}: the decoded images need {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free; "
            "free some space or name another folder with --cache_dir"
        )
    entries, offset = [], 0
    try:
        with open(pixels_path, "wb") as pixels:
            for index in progress(range(len(source))):
                entry = []
                for image in source.stored(index):
                    pixels.write(np.ascontiguousarray(image).data)
                    entry.append((offset, *image.shape[:2]))
                    offset += image.size
                entries.append(entry)
        with open(index_path + ".tmp", "w", encoding="utf-8") as file:
            json.dump({"fingerprint": fingerprint, "images": entries}, file)
        os.replace(index_path + ".tmp", index_path)
    except OSError as error:
        raise DeblurError(f"{folder}: cannot write the decoded images ({error.strerror})") from error
    return ImageStore(folder)

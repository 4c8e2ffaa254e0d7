"""2,000 damaged image files through `runner.deblur_files`, in a process of its own, as the command runs it."""

import io
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfdeblur.data import images
from tfdeblur.data.images import Photograph, read_photograph, write_photograph

FILES = 2000
GOOD_EVERY = 20  # an undamaged file after so many damaged ones

# Restores by a look at each pixel, so that what is decoded is also read; prints a JSON line.
CODE = """
import json, resource, sys
import numpy as np
from tfdeblur import runner

class Negative:
    def restore(self, image):
        return np.iinfo(image.dtype).max - image

jobs = [tuple(job) for job in json.load(sys.stdin)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
failures = runner.deblur_files(Negative(), jobs)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"failures": failures, "before": before, "peak": peak}))
"""


def originals():
    """{suffix: [bytes]}: every kind of file that the decoder tells apart, small enough that a flipped bit matters."""
    rng = np.random.default_rng(0)
    deep = (rng.integers(0, 65536, (6, 8, 3)).repeat(4, 0).repeat(4, 1)).astype(np.uint16)
    flat = (deep // 257).astype(np.uint8)
    alpha = deep[..., 1]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = 6, "Maker", {0x829A: 0.01, 0xA002: 32}
    block = exif.tobytes()[6:]
    exif.load(block)  # PIL writes a directory in a TIFF only if it has read it
    profile = bytes(16) + b"RGB " + bytes(300)
    found = {"png": [], "jpg": [], "tif": [], "webp": []}

    def add(suffix, image, **options):
        kinds = {"jpg": "jpeg", "tif": "tiff"}
        file = io.BytesIO()
        image.save(file, kinds.get(suffix, suffix), **options)
        found[suffix].append(file.getvalue())

    colour = Image.fromarray(flat)
    clear = Image.fromarray(np.concatenate([flat, flat[..., :1]], axis=2))
    for image in (colour, clear, colour.convert("L"), clear.convert("LA"), colour.convert("1"), colour.quantize(16)):
        add("png", image)
        add("tif", image)
    add("png", colour, save_all=True, append_images=[colour.rotate(90)], exif=exif, icc_profile=profile)
    for options in ({}, {"progressive": True}, {"subsampling": 0, "exif": exif, "icc_profile": profile}):
        add("jpg", colour, **options)
    add("jpg", colour.convert("L"))
    add("jpg", colour.convert("CMYK"))
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        add("tif", colour, compression=compression, icc_profile=profile)
    add("tif", clear, exif=exif)
    add("tif", colour, save_all=True, append_images=[colour])
    for options in ({}, {"lossless": True}, {"exif": exif, "icc_profile": profile}):
        add("webp", clear if options else colour, **options)
    add("webp", colour, save_all=True, append_images=[colour.rotate(90)])
    for suffix in ("png", "tif"):
        for photograph in (
            Photograph(deep, alpha, icc_profile=profile, exif=block),
            Photograph(deep, exif=block),
            Photograph(np.repeat(deep[..., :1], 3, 2), grey=True),
        ):
            encoded, _ = images._ENCODERS[f".{suffix}"](photograph)
            found[suffix].append(encoded)
    return found


def flip(data, rng):
    """A few bits, or bytes, of the whole file or of its first hundred bytes."""
    changed = bytearray(data)
    reach = len(data) if rng.random() < 0.5 else min(100, len(data))
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        place = rng.randrange(reach)
        changed[place] = changed[place] ^ (1 << rng.randrange(8)) if rng.random() < 0.7 else rng.choice([0, 255])
    return bytes(changed)


def cut(data, rng):
    """Cut off, a piece missing, a piece twice, or zeros in place of one."""
    start, end = sorted(rng.sample(range(len(data) + 1), 2))
    pieces = [data[:start], data[:start] + data[end:], data[:end] + data[start:]]
    return rng.choice([*pieces, data[:start] + bytes(end - start) + data[end:]])


def parts_of(data, suffix):
    """[start, end) of the chunks, segments, directory entries or RIFF chunks of an undamaged file."""
    parts = []
    if suffix == "png":
        place = 8
        while place < len(data):
            end = place + 12 + struct.unpack_from(">I", data, place)[0]
            parts.append((place, end))
            place = end
    elif suffix == "jpg":
        place = 2
        while data[place + 1] != 0xDA:
            end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
            parts.append((place, end))
            place = end
        parts.append((place, len(data)))
    elif suffix == "tif":
        order = "<" if data[:2] == b"II" else ">"
        (first,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, first)
        parts = [(first + 2 + 12 * number, first + 14 + 12 * number) for number in range(count)]
    else:
        place = 12
        while place < len(data):
            size = struct.unpack_from("<I", data, place + 4)[0]
            end = place + 8 + size + size % 2
            parts.append((place, end))
            place = end
    return parts


def operate(data, rng, suffix):
    """A part lost, doubled, swapped with another, or with other content under a right checksum."""
    parts = parts_of(data, suffix)
    start, end = rng.choice(parts)
    other_start, other_end = rng.choice(parts)
    kind = rng.randrange(4)
    if kind == 0 and suffix != "tif":
        return data[:start] + data[end:]
    if kind == 1 and suffix != "tif":
        return data[:other_end] + data[start:end] + data[other_end:]
    if kind == 2:
        changed = bytearray(data)
        length = min(end - start, other_end - other_start)
        changed[start : start + length], changed[other_start : other_start + length] = (
            data[other_start : other_start + length],
            data[start : start + length],
        )
        return bytes(changed)
    changed = bytearray(data)
    first = start + (8 if suffix in ("png", "webp") else 2)
    for _ in range(rng.choice([1, 3])):
        changed[rng.randrange(first, max(end - 4, first + 1))] = rng.randrange(256)
    if suffix == "png":
        struct.pack_into(">I", changed, end - 4, zlib.crc32(changed[start + 4 : end - 4]))
    return bytes(changed)


def lie(data, rng, suffix):
    """Another size in the header, small, or large, or absurd."""
    width, height = (rng.choice([0, 1, 7, 33, 100, 5000, 16383, 20000, 65535, 2**24 - 1, 2**31 - 1]) for _ in range(2))
    changed = bytearray(data)
    if suffix == "png":
        struct.pack_into(">II", changed, 16, width, height)
        struct.pack_into(">I", changed, 29, zlib.crc32(changed[12:29]))
    elif suffix == "jpg":
        for start, _ in parts_of(data, suffix):
            if data[start + 1] in (0xC0, 0xC2):
                struct.pack_into(">HH", changed, start + 5, height & 65535, width & 65535)
    elif suffix == "tif":
        order = "<" if data[:2] == b"II" else ">"
        for start, _ in parts_of(data, suffix):
            tag = struct.unpack_from(order + "H", data, start)[0]
            if tag in (256, 257, rng.choice([258, 277, 278, 279])):
                struct.pack_into(order + "HII", changed, start + 2, 4, 1, height if tag == 257 else width)
    elif data[12:16] == b"VP8X":
        changed[24:30] = (width % 2**24).to_bytes(3, "little") + (height % 2**24).to_bytes(3, "little")
    elif data[12:16] == b"VP8 ":
        struct.pack_into("<HH", changed, 26, width & 65535, height & 65535)
    else:
        struct.pack_into("<I", changed, 21, (width & 0x3FFF) | (height & 0x3FFF) << 14)
    return bytes(changed)


def damaged(count, seed):
    """[(suffix, bytes)]: every format and every kind of damage equally often."""
    rng = random.Random(seed)
    kinds = originals()
    made = []
    for number in range(count):
        suffix = list(kinds)[number % len(kinds)]
        data = rng.choice(kinds[suffix])
        operation = (number // len(kinds)) % 4
        for _ in range(rng.choice([1, 1, 2])):
            try:
                data = [
                    lambda d: flip(d, rng),
                    lambda d: cut(d, rng),
                    lambda d, s=suffix: operate(d, rng, s),
                    lambda d, s=suffix: lie(d, rng, s),
                ][operation](data)
            except (IndexError, struct.error, ValueError):  # damaged beyond a second blow
                break
        made.append((suffix, data))
    return made


@pytest.mark.slow
def test_damaged_files_are_named_and_the_good_ones_done(tmp_path):
    good = Photograph(np.random.default_rng(1).integers(0, 65536, (9, 7, 3), np.uint16))
    jobs, whole = [], set()
    (tmp_path / "in").mkdir()
    for number, (suffix, data) in enumerate(damaged(FILES, seed=7)):
        name = f"{number:04d}.{suffix}"
        (tmp_path / "in" / name).write_bytes(data)
        # half of them in their own format, to see the writers with odd metadata, too
        jobs.append((str(tmp_path / "in" / name), str(tmp_path / "out" / (name if number % 8 < 4 else f"{name}.png"))))
        if number % GOOD_EVERY == 0:
            name = f"{number:04d}good.png"
            write_photograph(tmp_path / "in" / name, good)
            jobs.append((str(tmp_path / "in" / name), str(tmp_path / "out" / name)))
            whole.add(name)

    environment = {**os.environ, "PYTHONPATH": str(Path(images.__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CODE],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, f"exit {done.returncode} (below 0: killed by that signal)\n{done.stderr[-4000:]}"
    told = json.loads(done.stdout)

    failures = told["failures"]
    assert all("\n" not in line and len(line) < 500 for line in failures)
    blamed = {line.split(":")[0] for line in failures}
    assert len(blamed) == len(failures)
    for source, target in jobs:
        assert (source in blamed) != os.path.exists(target), source
        if source not in blamed and os.path.getsize(target) < 10**6:
            assert read_photograph(target).pixels.dtype in (np.uint8, np.uint16)
    assert not {os.path.basename(path) for path in blamed} & whole
    for name in whole:
        np.testing.assert_array_equal(read_photograph(tmp_path / "out" / name).pixels, 65535 - good.pixels)
    # Neither did the damage miss nor the decoder refuse everything.
    assert 0.4 * FILES < len(failures) < 0.95 * FILES
    assert any("claims to have" in line for line in failures)
    # A line that claims 2**29 pixels of 3 bytes may cost PIL 2 GiB of address space, but no memory worth the name.
    print(f"{len(failures)} of {FILES} refused, {told['before']} KiB before, {told['peak']} KiB at most")
    assert told["peak"] - told["before"] < 2 * 2**20  # KiB

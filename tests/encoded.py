"""Image files for tests, as bytes: good ones of every kind, bad ones, and random damage."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG_START = b"\x89PNG\r\n\x1a\n"


def encode(array, kind="PNG", **options):
    """The bytes of an image file that PIL writes; `array` may also be a PIL image."""
    file = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind, data, crc=None):
    """One chunk of a PNG."""
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


def header(width, height, bits=8, colour=2):
    """A PNG's IHDR; colour 0: grey, 2: RGB, 3: palette, 4: grey and alpha, 6: RGBA."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def png(width, height, rows, bits=8, colour=2, before=b"", after=b""):
    """A PNG of the bytes `rows` (each row without its filter byte), and chunks around its image."""
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    start = PNG_START + header(width, height, bits, colour)
    return start + before + chunk(b"IDAT", data) + after + chunk(b"IEND", b"")


def deep_png(array):
    """A 16-bit PNG of uint16 [H, W, C], C: 1 to 4."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2]]
    rows = [row.astype(">u2").tobytes() for row in array]
    return png(array.shape[1], array.shape[0], rows, 16, colour)


def chunks(data):
    """[(kind, data)] of a PNG."""
    found, position = [], len(PNG_START)
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        found.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    return found


def jpeg_bomb():
    """A JPEG of 65500x65500 pixels by its header, 1 kB long."""
    data = bytearray(encode(np.zeros((16, 16, 3), np.uint8), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
    return bytes(data)


def many_scans(size, scans):
    """A progressive grey JPEG whose last scan comes `scans` times more."""
    data = encode(np.zeros((size, size), np.uint8), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + data[-2:]


def mutated(data, rng):
    """`data` with one to three random pieces of damage; half of the PNGs get their checksums right again."""
    was_png = data.startswith(PNG_START)
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        # Headers are short, and what goes wrong there goes far: half of the damage is done behind the first bytes.
        place = int(rng.integers(0, len(data) + 1) if rng.random() < 0.5 else rng.integers(2, 200))
        length = int(rng.integers(1, 33))
        way = rng.integers(0, 7)
        if way == 0:
            data[place : place + 1] = rng.bytes(1)
        elif way == 1:
            data[place : place + length] = rng.bytes(length)
        elif way == 2:
            del data[place : place + length]
        elif way == 3:
            data[place:place] = rng.bytes(length)
        elif way == 4:
            data[place : place + 4] = struct.pack(
                ">I", int(rng.choice([0, 1, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1]))
            )
        elif way == 5:
            data[place:place] = data[place : place + 16 * length]
        else:
            del data[place:]
    data = bytes(data)
    if was_png and data.startswith(PNG_START) and rng.random() < 0.5:
        data = PNG_START + b"".join(chunk(kind, body) for kind, body in chunks(data))
    return data

"""Image files: find them, read them with all that they hold, write them whole or not at all.

There is one decoder, `decode_photograph`, and one encoder, `write_photograph`; `read_image` and `write_image` are the
same for whoever wants 8-bit RGB alone. No TensorFlow here, and cv2 and PIL are imported where they are used, so that
this module is cheap to import.
"""

import contextlib
import dataclasses
import io
import os
import re
import secrets
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfdeblur.errors import DeblurError
from tfdeblur.native import stderr_kept

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp")
# The largest image that is decoded: above what cameras give (400 megapixels by pixel shift), and 2 GB while PIL
# decodes it. What claims to be larger is refused from its header. PIL itself refuses 8-bit TIFF from 179 megapixels on
# (and WebP since version 13), by a limit for the whole process, which is not ours to change.
MAX_PIXELS = 2**29

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
# In compressed JPEG data, ff 00 stands for the byte ff and ff d0 to ff d7 are restarts; all else is a marker.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
# How libjpeg tells of damage, which it fills up with grey: on stderr alone. Its other remarks spoil no pixel.
_JPEG_DAMAGE = re.compile(
    "premature end of data segment|bad Huffman code|bad arithmetic code|found marker .* instead of RST|"
    r"Premature end of JPEG file|\d{4,} extraneous bytes"
)
# The most pixels that a byte can stand for, so that a false header does not cost the memory that it claims: a block
# of 8x8 takes a bit at least, a byte of deflate makes 1032 at most, of eight pixels each. TIFF and WebP have no such
# bound, and stop at the first byte that is missing.
_PIXELS_A_BYTE = {"JPEG": 8 * 64, "MPO": 8 * 64, "PNG": 8 * 1032}

_GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B")  # PIL's
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
# EXIF orientation: whether the axes are swapped, then the steps through rows and columns.
_TURNS = {
    **{2: (False, 1, -1), 3: (False, -1, -1), 4: (False, -1, 1)},
    **{5: (True, 1, 1), 6: (True, 1, -1), 7: (True, -1, -1), 8: (True, -1, 1)},
}

_ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x0112, 0x8769, 0x8825
_EXIF_WIDTH, _EXIF_HEIGHT, _MAKER_NOTE, _INTEROPERABILITY = 0xA002, 0xA003, 0x927C, 0xA005
# The tags of a TIFF's directory that tell of the photograph rather than of the file's layout: description, make,
# model, resolution (3), software, date, artist, host, white point, primaries, copyright.
_DESCRIPTIVE = (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 318, 319, 33432)


def some_of(names, shown=3):
    """The first names of a list for a message of one line, like "a, b, c and 4 more"."""
    names = [str(name) for name in names]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def list_images(folder):
    """Sorted relative posix paths (str) of all images under a folder, sub-folders included.

    Hidden files and folders, and files without a suffix of IMAGE_SUFFIXES (any case), are left out; linked
    sub-folders are followed. Raises DeblurError where the folder is missing, unreadable or without images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DeblurError(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}")

    names = walk_files(folder, skip=lambda name: name.startswith("."))
    found = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
    if not found:
        raise DeblurError(f"{folder}: no images in this folder (looked for {' '.join(IMAGE_SUFFIXES)})")
    return found


def walk_files(folder, skip):
    """Sorted relative posix names of all files below a folder but those that `skip` (name -> bool) leaves out, folders
    too; linked sub-folders are followed. Raises DeblurError for a folder that cannot be listed."""

    def stop(error):
        raise DeblurError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    found = []
    for parent, folders, files in os.walk(folder, onerror=stop, followlinks=True):
        # A link to a folder that it lies in would go round for ever.
        here = os.path.realpath(parent) + os.sep
        folders[:] = [
            name
            for name in folders
            if not skip(name) and not here.startswith(os.path.realpath(os.path.join(parent, name)) + os.sep)
        ]
        relative = Path(parent).relative_to(folder)
        found += [(relative / name).as_posix() for name in files if not skip(name)]
    return sorted(found)


def refuse_undecodable(name, folder):
    """DeblurError for a file name that is not UTF-8: it could be written into no JSON, table or log."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = os.fsencode(name)
        raise DeblurError(f"{folder}: the name {shown!r} is not UTF-8; rename that file") from error


def images_by_name(folder):
    """{relative name without suffix: Path} of all images under a folder, sorted by name.

    Raises DeblurError as list_images does, for two images of one name (a.jpg beside a.png), a folder that is named
    like an image, and a name that is not UTF-8.
    """
    folder = Path(folder)
    images, doubles = {}, []
    found = list_images(folder)
    folders = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_dir()]
    if folders:
        raise DeblurError(f"{some_of(sorted(folders))}: a folder that is named like an image; rename or remove it")
    for relative in found:
        refuse_undecodable(relative, folder)
        name = os.path.splitext(relative)[0]
        if name in images:
            doubles.append(f"{images[name].relative_to(folder).as_posix()} beside {relative}")
        images[name] = folder / relative
    if doubles:
        raise DeblurError(f"{folder}: {some_of(doubles)}: one name twice; keep one file of each")
    return dict(sorted(images.items()))


@dataclasses.dataclass(frozen=True)
class Photograph:
    """What an image file holds, upright.

    Attributes:
      pixels: uint8 or uint16 RGB [H, W, 3]; grey is repeated to three channels.
      alpha: the same dtype [H, W], not premultiplied, or None.
      grey: whether the file has one channel of colour.
      icc_profile: bytes or None. The pixels are in its colour space: nothing here converts them.
      exif: bytes or None: a TIFF structure, without "Exif\0\0" before it, of an upright image.
      notes: what was left out in reading, a few words each.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc_profile: bytes | None = None
    exif: bytes | None = None
    notes: tuple = ()

    def as_8_bit(self):
        """The pixels as uint8 RGB [H, W, 3], 16 bit reduced with rounding (65535 -> 255)."""
        return _to_8_bit(self.pixels)


def read_image(path):
    """The image in a file as uint8 RGB [H, W, 3]: `read_photograph` with alpha dropped and 16 bit reduced to 8."""
    return read_photograph(path).as_8_bit()


def read_photograph(path):
    """The `Photograph` in a PNG, JPEG, TIFF, WebP or BMP file: a path, or what has `read_bytes`.

    EXIF orientation is applied, to alpha too. Palette and CMYK become RGB, 1 bit becomes 8; of several pages or
    frames the first is taken. Raises DeblurError where the file is missing, empty, cut off, damaged, not an image,
    of another depth or of more than MAX_PIXELS.
    """
    return decode_photograph(read_file(path), path)


def read_file(path):
    """The bytes of a file: a path, or anything that has `read_bytes` (a zipfile.Path).

    Raises DeblurError where it is missing, no file, or cannot be read.
    """
    if isinstance(path, (str, os.PathLike)):
        if os.path.exists(path) and not os.path.isfile(path):
            raise DeblurError(f"{path}: is not a file; give an image")
        path = Path(path)
    try:
        return path.read_bytes()
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # RuntimeError: encrypted
        raise DeblurError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def decode_photograph(data, name):
    """The `Photograph` in the bytes `data`, see `read_photograph`; `name` is what errors call it."""
    if not data:
        raise DeblurError(f"{name}: the file is empty (0 bytes); copy it again")
    if not _is_complete(data):
        raise DeblurError(f"{name}: the file is cut off before its end; copy it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, name)
    except DeblurError:
        raise
    except MemoryError as error:
        raise DeblurError(f"{name}: too large for the memory") from error
    except Exception as error:  # PIL and OpenCV have many kinds
        reason = " ".join(str(error).split())
        reason = reason if " " in reason else repr(error)
        raise DeblurError(f"{name}: damaged, or of a kind that cannot be read ({reason})") from error


def _open(file, name):
    """PIL's image in an open file with its header read and nothing decoded; DeblurError if that is no image for us."""
    from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    del BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # they are in Image.OPEN now
    file.seek(0)
    start = file.read(32)
    file.seek(0)
    # Not Image.open, which warns of 89 megapixels and refuses 179.
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP"):
        factory, accept = Image.OPEN[kind]
        if accept(start):
            break
    else:
        raise DeblurError(f"{name}: not an image that can be read (PNG, JPEG, TIFF, WebP or BMP), or damaged")
    if start[12:16] == b"VP8X":  # PIL makes room for a WebP when it opens it
        _refuse_size([1 + int.from_bytes(start[at : at + 3], "little") for at in (24, 27)], name)
    image = factory(file, "")
    _refuse_size(image.size, name)
    # Where EXIF has no orientation PIL would take XMP's, which OpenCV and browsers do not look at.
    for xmp in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(xmp, None)
    return image


def _refuse_size(size, name):
    width, height = size
    if width * height > MAX_PIXELS:
        most = f"more than {MAX_PIXELS // 10**6} megapixels are not read"
        raise DeblurError(f"{name}: claims to have {width}x{height} pixels, and {most}; cut or reduce it")


def _decode(data, name):
    image = _open(io.BytesIO(data), name)
    kind = image.format
    width, height = image.size
    if width * height > _PIXELS_A_BYTE.get(kind, MAX_PIXELS) * len(data):
        raise DeblurError(f"{name}: damaged: its {len(data)} bytes cannot hold the {width}x{height} pixels it claims")
    if kind == "PNG":
        image.verify()  # the checksums, as OpenCV says on stderr what it finds
        image = _open(io.BytesIO(data), name)
    notes = ["holds several pictures: the first was taken"] if getattr(image, "is_animated", False) else []
    exif, orientation = _found_exif(image, data)
    if image.mode == "CMYK":
        notes.append("CMYK: made 8-bit RGB without its colour profile, colours may shift")
    elif image.mode not in _GREY_MODES + _COLOUR_MODES:
        held = {"I": "32-bit integers", "F": "floating-point numbers"}.get(image.mode, image.mode)
        raise DeblurError(f"{name}: holds {held}; convert it to RGB or grey of 8 or 16 bit")

    bits = data[24] if kind == "PNG" else max(image.tag_v2.get(258, (1,))) if kind == "TIFF" else 8
    if image.mode != "CMYK" and (kind in ("PNG", "JPEG", "MPO") or bits > 8):
        samples, grey = _decode_by_opencv(data, image, bits, name)
    else:
        grey = image.mode in _GREY_MODES
        wanted = ("L" if grey else "RGB") + ("A" if image.has_transparency_data else "")
        with stderr_kept():  # libtiff's remarks
            samples = np.array(image.convert(wanted))
    if kind != "TIFF" and orientation in _TURNS:  # both decoders turn TIFF by themselves
        swap, rows, columns = _TURNS[orientation]
        samples = (np.swapaxes(samples, 0, 1) if swap else samples)[::rows, ::columns]
    samples = samples.reshape(*samples.shape[:2], -1)
    height, width, channels = samples.shape
    alpha = np.ascontiguousarray(samples[..., -1]) if channels in (2, 4) else None
    pixels = np.repeat(samples[..., :1], 3, axis=2) if grey else np.ascontiguousarray(samples[..., :3])

    profile = image.info.get("icc_profile") or None
    if profile and (image.mode == "CMYK" or profile[16:20] != (b"GRAY" if grey else b"RGB ")):
        if image.mode != "CMYK":
            notes.append("its colour profile is damaged, or of another colour space: left out")
        profile = None
    if exif is not None:
        try:
            exif = _upright(exif, width, height)
        except (struct.error, KeyError):
            notes.append("its EXIF is damaged: left out")
            exif = None
    return Photograph(pixels, alpha, grey, profile, exif, tuple(notes))


def _decode_by_opencv(data, image, bits, name):
    """(uint8 or uint16 [H, W] or [H, W, 2, 3 or 4], whether that is grey) of a PNG, a JPEG or a 16-bit TIFF.

    PIL would reduce 16-bit colour to 8 bit, leave black what a PNG does not hold, and take twice as long for a JPEG.
    """
    tags = image.tag_v2 if image.format == "TIFF" else {}
    if tags.get(284) == 2 and image.mode not in _GREY_MODES:
        raise DeblurError(f"{name}: holds {bits}-bit values in separate planes; save it interleaved")
    cv2 = _cv2()
    encoded = _png_of_pixels(data) if image.format == "PNG" else data
    # Not of a PNG, which is silent: only one thread at a time can listen.
    with contextlib.nullcontext([""]) if image.format == "PNG" else stderr_kept() as said:
        samples = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    damage = _JPEG_DAMAGE.search(said[0])
    if damage:
        raise DeblurError(f"{name}: damaged ({damage[0]}); copy it again")
    if samples is None:
        raise DeblurError(f"{name}: damaged, cannot be decoded; copy it again")
    if bits not in (1, 2, 4, 8, 16) or samples.dtype != (np.uint16 if bits == 16 else np.uint8):
        raise DeblurError(f"{name}: holds {bits}-bit values; convert it to 8 or 16 bit")
    if samples.ndim == 2:
        samples = 65535 - samples if tags.get(262) == 0 else samples  # white is 0
        if (clear := image.info.get("transparency")) is not None:
            most = np.iinfo(samples.dtype).max
            alpha = np.where(samples == clear * (most // (2**bits - 1)), 0, most).astype(samples.dtype)
            samples = np.stack([samples, alpha], axis=2)
        return samples, True
    if samples.shape[2] == 3:
        return cv2.cvtColor(samples, cv2.COLOR_BGR2RGB), False
    samples = cv2.cvtColor(samples, cv2.COLOR_BGRA2RGBA)
    if image.format == "PNG" and data[25] == 4:
        return samples[..., [0, 3]], True
    if not image.has_transparency_data:  # a fourth channel of no stated meaning
        return samples[..., :3], False
    if tags.get(338) == (1,):  # premultiplied
        wide = samples.astype(np.uint32)
        alpha = np.maximum(wide[..., 3:], 1)
        samples[..., :3] = np.minimum((wide[..., :3] * 65535 + alpha // 2) // alpha, 65535)
    return samples, False


def _png_of_pixels(data):
    """A PNG without what its pixels do not need, such as profiles and animations, on which OpenCV would remark."""
    kept, position = [data[:8]], 8
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


def _found_exif(image, data):
    """(the EXIF of a PIL image as bytes or None, its orientation); b"" where PIL cannot make sense of it."""
    from PIL import Image

    if image.format == "PNG" and b"eXIf" not in data and "Raw profile type exif" not in image.info:
        return None, 1  # PIL would decode the pixels to look behind them
    try:
        found = image.getexif()
        block, orientation = image.info.get("exif"), found.get(_ORIENTATION, 1)
        if block is None and (kept := _descriptive(found)):
            made = Image.Exif()
            made.update(kept)
            block = made.tobytes()
    except Exception:  # of many kinds: a photograph is worth more than a damaged remark on it
        return b"", 1
    return block and block.removeprefix(b"Exif\0\0"), orientation


def _descriptive(exif):
    """{tag: value} of PIL's Exif that tells of the photograph, to be written elsewhere.

    Without the camera maker's note and the interoperability directory: their offsets would point elsewhere.
    """
    kept = {tag: exif[tag] for tag in _DESCRIPTIVE if tag in exif}
    for directory in (_EXIF_IFD, _GPS_IFD):
        inner = {t: v for t, v in exif.get_ifd(directory).items() if t not in (_MAKER_NOTE, _INTEROPERABILITY)}
        if inner:
            kept[directory] = inner
    return kept


def _upright(exif, width, height):
    """EXIF for upright pixels of that size: orientation 1 and no thumbnail, all else byte for byte where it was.

    Raises struct.error or KeyError where it is damaged.
    """
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    values = {_ORIENTATION: 1, _EXIF_WIDTH: width, _EXIF_HEIGHT: height}
    changed = bytearray(exif)
    (first,) = struct.unpack_from(f"{order}I", exif, 4)
    directories = [first]
    for directory in directories:
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        end = directory + 2 + 12 * count
        for entry in range(directory + 2, end, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHII", exif, entry)
            if tag == _EXIF_IFD and directory == first:
                directories.append(value)
            elif tag in values and kind in (3, 4):  # 16 and 32 bits
                struct.pack_into(order + {3: "H", 4: "I"}[kind], changed, entry + 8, values[tag])
        if directory == first and end + 4 <= len(exif):
            struct.pack_into(f"{order}I", changed, end, 0)  # the next directory would be the thumbnail's
    return bytes(changed)


def _to_8_bit(samples):
    return samples if samples.dtype == np.uint8 else ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


class Header(NamedTuple):
    """What a file says of its image: the size that read_image returns, and what it reduces to 8-bit RGB."""

    height: int
    width: int
    grey: bool
    bits: int


def image_header(path):
    """`Header` of an image, without decoding PNG and JPEG, the usual formats.

    Notices a file that was cut off, but not damage inside it. Raises DeblurError as read_image does.
    """
    is_file = isinstance(path, (str, os.PathLike))
    path = Path(path) if is_file else path
    # PIL has many kinds of errors: whatever is out of the ordinary goes to the decoder, which knows what to say.
    with contextlib.suppress(Exception), warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        start = file.read(32)
        image = _open(file, path)
        (width, height), kind = image.size, image.format
        grey = start[25] in (0, 4) if kind == "PNG" else image.mode in _GREY_MODES
        # Asking a PNG without an early eXIf chunk for its EXIF would decode the whole image.
        exif = image.getexif() if kind != "PNG" or "exif" in image.info else {}
        if kind == "PNG" and is_file:
            file.seek(-len(_PNG_END), os.SEEK_END)
            complete = file.read() == _PNG_END
        elif kind == "PNG":
            complete = True  # an archive has a checksum, and no cheap way to a member's end
        else:
            file.seek(0)
            complete = kind in ("JPEG", "MPO") and _is_complete(file.read())
        if complete:
            if exif.get(_ORIENTATION, 1) in (5, 6, 7, 8):
                width, height = height, width
            return Header(height, width, grey, max(start[24], 8) if kind == "PNG" else 8)
    photograph = read_photograph(path)
    height, width = photograph.pixels.shape[:2]
    return Header(height, width, photograph.grey, 8 * photograph.pixels.itemsize)


def image_size(path):
    """(height, width) that read_image would return; see `image_header`."""
    return image_header(path)[:2]


def odd_ones(headers):
    """A line on grey images among colour ones, and one on images of more than 8 bits, which are read all the same.

    headers: {name for the message: Header}. Returns the lines, [] where there is nothing to tell.
    """
    grey = [name for name, header in headers.items() if header.grey]
    deep = [name for name, header in headers.items() if header.bits > 8]
    lines = []
    if grey and len(grey) < len(headers):
        lines.append(f"{len(grey)} of {len(headers)} images are grey among colour ones: {some_of(grey)}")
    if deep:
        lines.append(f"{len(deep)} of {len(headers)} images have 16 bits a channel, reduced to 8: {some_of(deep)}")
    return lines


def write_image(path, image):
    """Write uint8 RGB [H, W, 3], see `write_photograph`."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"write_image takes uint8 [H, W, 3], not {image.dtype} {image.shape}")
    write_photograph(path, Photograph(image))


def write_photograph(path, photograph):
    """Write a `Photograph` in the format of the path's suffix (IMAGE_SUFFIXES), whole or not at all.

    Grey becomes one channel, the mean of three. PNG and TIFF hold all of a photograph, without loss; WebP 8 bits
    without loss; JPEG 8 bits without alpha at quality 95, all channels at full resolution; BMP 8 bits alone.

    Returns:
      What the format could not hold, a few words each.

    Raises:
      DeblurError: it cannot be encoded or written; what was at `path` before is then still there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _ENCODERS:
        raise DeblurError(f"{path}: no image format has the suffix {suffix!r}; use .png or .jpg")
    try:
        data, lost = _ENCODERS[suffix](photograph)
    except (OSError, ValueError, MemoryError) as error:
        height, width = photograph.pixels.shape[:2]
        reason = str(error) or "too large for the memory"
        raise DeblurError(
            f"{path}: {width}x{height} pixels cannot be written as {suffix} ({reason}); use .png"
        ) from error

    # A short name of its own in the same folder: renaming is atomic only within one file system.
    partial = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(partial, "xb") as file:
            file.write(data)
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DeblurError(f"{path}: cannot be written ({error.strerror})") from error
        raise
    return lost


def _samples(photograph):
    """[H, W, 1 to 4]: grey or RGB, with alpha if there is one."""
    pixels, alpha = photograph.pixels, photograph.alpha
    if photograph.grey:
        # The mean, as the three are equally good guesses of one value: it has the smallest variance, where luma would
        # rest on green. Equal ones stay what they are.
        pixels = ((pixels.sum(axis=2, dtype=np.uint32, keepdims=True) + 1) // 3).astype(pixels.dtype)
    return pixels if alpha is None else np.concatenate([pixels, alpha[..., None]], axis=2)


def _encode_png(photograph):
    # By hand: PIL has no 16-bit colour, OpenCV no grey with alpha and, in version 4, no colour profile and no EXIF.
    samples = _samples(photograph)
    height, width, channels = samples.shape
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    # Each row as its difference from the one above (filter 2). With zlib's level 1, that is smaller and quicker than
    # what OpenCV writes.
    filtered = np.full((height, 1 + rows.shape[1]), 2, np.uint8)
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    packed = zlib.compress(filtered, 1)
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * samples.itemsize, colour_type, 0, 0, 0))]
    if photograph.icc_profile:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(photograph.icc_profile)))
    if photograph.exif:
        chunks.append((b"eXIf", photograph.exif))
    chunks += [(b"IDAT", packed[start : start + 2**30]) for start in range(0, len(packed), 2**30)]
    encoded = [_PNG_START]
    for kind, content in chunks:
        encoded += [
            struct.pack(">I", len(content)),
            kind,
            content,
            struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))),
        ]
    return b"".join([*encoded, _PNG_END]), []


def _encode_tiff(photograph):
    # PIL's directory around strips of our own: PIL has no 16-bit colour, OpenCV and tifffile no EXIF.
    from PIL import Image, TiffImagePlugin

    samples = _samples(photograph)
    height, width, channels = samples.shape
    directory, lost = TiffImagePlugin.ImageFileDirectory_v2(), []
    if photograph.exif:
        try:
            exif = Image.Exif()
            exif.load(photograph.exif)
            for tag, value in _descriptive(exif).items():
                directory[tag] = value
            directory.tobytes()
        except Exception:  # of many kinds
            directory, lost = TiffImagePlugin.ImageFileDirectory_v2(), ["its EXIF is damaged: left out"]
    differences = np.diff(samples, axis=1, prepend=samples.dtype.type(0))
    differences = differences.astype(samples.dtype.newbyteorder("<"), copy=False)
    rows = max(2**20 // (width * channels * samples.itemsize), 1)  # a strip of a megabyte
    strips = [zlib.compress(differences[start : start + rows], 1) for start in range(0, height, rows)]
    sizes = tuple(map(len, strips))
    layout = {
        256: width,
        257: height,
        258: (8 * samples.itemsize,) * channels,
        259: 8,  # deflate
        262: 1 if channels < 3 else 2,  # grey or RGB
        273: tuple(sum(sizes[:number]) for number in range(len(sizes))),  # PIL adds where they begin
        277: channels,
        278: rows,
        279: sizes,
        317: 2,  # differences from the pixel on the left
    }
    if channels in (2, 4):
        layout[338] = 2  # alpha that is not premultiplied
    if photograph.icc_profile:
        layout[34675] = photograph.icc_profile
    for tag in (273, 279):
        directory.tagtype[tag] = 4  # 32 bits
    for tag, value in layout.items():
        directory[tag] = value
    file = io.BytesIO()
    directory.save(file)
    for strip in strips:
        file.write(strip)
    return file.getvalue(), lost


def _encode_8_bit(photograph, kind, holds, **options):
    """JPEG, WebP or BMP by PIL. holds: which of "alpha", "grey", "colour profile" and "EXIF" the format has."""
    from PIL import Image

    profile, exif = photograph.icc_profile, photograph.exif
    if kind == "JPEG" and exif and len(exif) > 65527:
        holds = holds - {"EXIF"}
    there = {
        "16 bits": photograph.pixels.dtype != np.uint8,
        "alpha": photograph.alpha is not None,
        "grey": photograph.grey,
        "colour profile": bool(profile),
        "EXIF": bool(exif),
    }
    lost = [part for part, is_there in there.items() if is_there and part not in holds]
    samples = _samples(photograph)
    if "alpha" in lost:
        samples = samples[..., :-1]
    if "grey" in lost:
        samples = np.concatenate([samples[..., :1]] * 3 + [samples[..., 1:]], axis=2)
        if profile:
            lost.append("colour profile")
    kept = {"icc_profile": profile} if profile and "colour profile" not in lost else {}
    kept |= {"exif": b"Exif\0\0" + exif} if exif and "EXIF" not in lost else {}
    samples = np.ascontiguousarray(_to_8_bit(samples))
    file = io.BytesIO()
    Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples).save(file, kind, **options, **kept)
    return file.getvalue(), [f"{kind} cannot hold its {', '.join(lost)}: left out; PNG can"] if lost else []


def _encode_jpeg(photograph):
    holds = {"grey", "colour profile", "EXIF"}
    return _encode_8_bit(photograph, "JPEG", holds, quality=95, subsampling="4:4:4")


def _encode_webp(photograph):
    # Lossless, as its lossy kind halves the resolution of colour; at this effort files are a tenth larger than at
    # PIL's own and take half the time. exact: the colour under what is clear stays.
    holds = {"alpha", "colour profile", "EXIF"}
    return _encode_8_bit(photograph, "WEBP", holds, lossless=True, exact=True, quality=20, method=2)


def _encode_bmp(photograph):
    return _encode_8_bit(photograph, "BMP", {"grey"})


_ENCODERS = {
    ".png": _encode_png,
    ".jpg": _encode_jpeg,
    ".jpeg": _encode_jpeg,
    ".jfif": _encode_jpeg,
    ".bmp": _encode_bmp,
    ".tif": _encode_tiff,
    ".tiff": _encode_tiff,
    ".webp": _encode_webp,
}


def sharpness(image):
    """How much fine detail uint8 RGB [H, W, 3] holds; only to compare two images of one scene.

    The variance of the luma's Laplacian after a Gaussian of sigma 1.
    """
    # Measured on 140 real and synthetic pairs (GoPro, REDS, Lai, Levin, Kohler): without smoothing the
    # Laplacian is right on all of them, but noise of sigma 6 on the blurred side, as at night, makes it wrong
    # on all GoPro pairs, and the mean gradient too. Smoothed it is right on all pairs at sigma 0, 3 and 6;
    # so is the mean squared Sobel gradient, with narrower margins.
    cv2 = _cv2()
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(cv2.GaussianBlur(luma, (0, 0), 1), cv2.CV_32F).var())


def _cv2():
    """OpenCV without its own remarks on stderr: every failure becomes a DeblurError here."""
    import cv2

    silence = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, OpenCV 5
    silence(0)
    return cv2


def _is_complete(data):
    """Whether a PNG or JPEG has its end marker; True for other formats, whose decoders refuse a part."""
    if data.startswith(_PNG_START):
        return data.rfind(_PNG_END) > 0
    if not data.startswith(b"\xff\xd8"):
        return True
    # From marker to marker: a thumbnail inside has an end marker too, and phones write data after the end.
    position = 2
    while match := _JPEG_MARKER.search(data, position):
        if match[1] == b"\xd9":
            return True
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    return False

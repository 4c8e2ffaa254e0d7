"""Image files: find them, read them as uint8 RGB, write them whole or not at all.

No TensorFlow here, and cv2 and PIL are imported where they are used, so that this module is cheap to import.
"""

import contextlib
import io
import os
import re
import secrets
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfdeblur.errors import DeblurError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
# In compressed JPEG data, ff 00 stands for the byte ff and ff d0 to ff d7 are restarts; all else is a marker.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")


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


def read_image(path):
    """The image in a file as uint8 RGB [H, W, 3].

    EXIF orientation is applied, grey repeated to three channels, alpha dropped, and 16 bit reduced to 8 with
    rounding (65535 -> 255). Raises DeblurError where the file is missing, empty, cut off, not an image or of
    another depth.
    """
    # Not cv2.imread: it cannot say what is wrong, and it returns half of a JPEG that was cut off.
    return decode_image(read_file(path), path)


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


def decode_image(data, path):
    """The image in the bytes `data` as `read_image` gives it; `path` is only named in errors."""
    if not data:
        raise DeblurError(f"{path}: the file is empty (0 bytes); copy it again")
    if not _is_complete(data):
        raise DeblurError(f"{path}: the file is cut off before its end; copy it again")

    cv2 = _cv2()
    try:
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _decode_webp(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if image is not None:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    except Exception as error:  # cv2.error, MemoryError, and PIL has many kinds
        raise DeblurError(f"{path}: cannot be decoded (damaged, or too large for OpenCV or memory)") from error
    if image is None:
        raise DeblurError(f"{path}: not an image that can be read, or damaged")
    if image.dtype == np.uint16:
        return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.dtype != np.uint8:
        raise DeblurError(f"{path}: holds {image.dtype} values; convert it to 8 or 16 bit")
    return image


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
    from PIL import Image

    is_file = isinstance(path, (str, os.PathLike))
    path = Path(path) if is_file else path
    # PIL only warns of 89 megapixels and refuses twice that, and has many kinds of errors: whatever is out of
    # the ordinary goes to read_image, which knows what to say.
    with contextlib.suppress(Exception), warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        start = file.read(32)
        with Image.open(file) as image:
            (width, height), kind, grey = image.size, image.format, image.mode in ("1", "L", "LA", "I", "I;16", "F")
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
            if exif.get(0x0112, 1) >= 5:
                width, height = height, width
            return Header(height, width, grey, max(start[24], 8) if kind == "PNG" else 8)
    height, width = read_image(path).shape[:2]
    return Header(height, width, grey=False, bits=8)


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
    """Write uint8 RGB [H, W, 3] in the format of the path's suffix (IMAGE_SUFFIXES), whole or not at all.

    Raises DeblurError where it cannot be encoded or written; what was at `path` before is then still there.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"write_image takes uint8 [H, W, 3], not {image.dtype} {image.shape}")
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise DeblurError(f"{path}: no image format has the suffix {suffix!r}; use .png or .jpg")
    cv2 = _cv2()
    try:
        encoded, data = cv2.imencode(suffix, cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR))
    except (cv2.error, MemoryError):
        encoded = False
    if not encoded:
        height, width = image.shape[:2]
        raise DeblurError(f"{path}: {width}x{height} pixels cannot be written as {suffix}; use .png")

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


def _decode_webp(data):
    # OpenCV 4 ignores the EXIF orientation of WebP, OpenCV 5 applies it; PIL does, and WebP has no 16 bit.
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


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

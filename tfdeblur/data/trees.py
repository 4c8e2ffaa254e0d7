"""The files of a dataset as they lie on disk: in folders, in zip archives, or in a tar archive."""

import bz2
import fcntl
import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tfdeblur.data.images import walk_files
from tfdeblur.errors import DeblurError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def read_tree(place):
    """All files below a folder, and those inside the zip archives that lie there.

    Args:
      place: a folder, or one .zip or tar archive.

    Returns:
      files: {posix name: pathlib.Path or zipfile.Path}. Names start with the folder's own name; what is in a.zip is
        named as if it had been extracted into a folder `a` beside it. Plain files come first, so that a reader that
        keeps the first of two finds prefers them. Hidden files and what macOS adds to archives are left out.
      tars: the paths of the tar archives, which have no random access: see `extract`.

    Raises:
      DeblurError: the place is missing, cannot be listed, or a zip archive is damaged.
    """
    place = Path(place)
    if not place.exists():
        raise DeblurError(f"{place}: no such folder or archive")
    root = place.resolve()  # of ".", too, the name is known then
    if place.is_dir():
        plain = {f"{root.name}/{name}": place / name for name in walk_files(place, skip=_is_litter)}
    else:
        plain = {root.name: place}
    zips = {name: path for name, path in plain.items() if name.lower().endswith(".zip")}
    tars = [path for name, path in plain.items() if name.lower().endswith(TAR_SUFFIXES)]
    if not place.is_dir() and not zips and not tars:
        raise DeblurError(f"{place}: neither a folder nor an archive (.zip {' '.join(TAR_SUFFIXES)}); extract it first")
    files = {name: path for name, path in plain.items() if name not in zips and path not in tars}
    for name, path in zips.items():
        for member, file in _zip_members(path):
            files.setdefault(f"{name[: -len('.zip')]}/{member}", file)
    return files, tars


def extract(archive, log=print):
    """The folder `<archive>.extracted` beside a tar archive; made now, whole or not at all, unless it is there.

    Args:
      archive: path; only plain files are taken out of it.
      log: called with one line before the extraction.

    Raises:
      DeblurError: the archive is damaged, or there is no room or no permission beside it.
    """
    archive = Path(archive)
    folder = archive.with_name(archive.name + ".extracted")
    partial = archive.with_name(f".{archive.name}.partial")
    try:
        with open(archive, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # builds of two configurations may start together
            # Another archive under this name, such as the whole one after a part, is another set of files.
            stamp = f"{os.fstat(file.fileno()).st_size} {os.fstat(file.fileno()).st_mtime_ns}"
            if folder.is_dir() and _text(folder / _STAMP) == stamp:
                return folder
            shutil.rmtree(folder, ignore_errors=True)
            # Images hardly shrink in an archive: what comes out is about as large.
            needed, free = os.path.getsize(archive), shutil.disk_usage(archive.parent).free
            log(f"extracting {archive} ({needed / 1e6:,.0f} MB) once into {folder}: {free / 1e6:,.0f} MB are free")
            if needed > 0.98 * free:
                raise DeblurError(
                    f"{archive}: {needed / 1e6:,.0f} MB are needed beside it and {free / 1e6:,.0f} MB are free; "
                    "move it to a larger disk"
                )
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
            try:
                _unpack(file, partial)
                (partial / _STAMP).write_text(stamp, encoding="ascii")
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DeblurError(f"{archive}: damaged or cut off ({error}); download it again") from error
    except OSError as error:
        if error.strerror is None:  # bz2 and gzip say so of bad data
            raise DeblurError(f"{archive}: damaged or cut off ({error}); download it again") from error
        raise DeblurError(
            f"{archive}: cannot be extracted into {folder} ({error.strerror}); extract it elsewhere with "
            f"tar xf {archive} -C FOLDER, and give that folder"
        ) from error
    return folder


def _is_litter(name):
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _zip_members(path):
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DeblurError(
            f"{path}: not a whole zip archive ({error}); download it again, or move it away if it is not needed"
        ) from error
    except OSError as error:
        raise DeblurError(f"{path}: cannot be read ({error.strerror})") from error
    names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    return [(name, zipfile.Path(archive, name)) for name in names if not _is_litter(name)]


_STAMP = ".extracted_from"


def _text(path):
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None


def _decompressed(file):
    """The tar stream inside a file; unlike tarfile's own, these readers refuse a part of an archive."""
    start = file.read(6)
    file.seek(0)
    for magic, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ", lzma)):
        if start.startswith(magic):
            return module.open(file)
    return file


def _unpack(file, folder):
    # As a stream, and member by member: one pass, and no name can lead out of the folder.
    folder.mkdir()
    stream = _decompressed(file)
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            if not member.isfile() or ".." in parts or parts[0] == "/" or _is_litter("/".join(parts)):
                continue
            path = folder.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.extractfile(member) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 2**20)
    while stream.read(2**20):  # to its end: what was cut off shows there
        pass

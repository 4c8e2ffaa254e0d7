"""Listing folders and archives, and extracting tar archives."""

import collections
import concurrent.futures
import os
import zipfile
from pathlib import Path

import pytest

from tests.datasets.dummy import write, write_tar, write_zip
from tfdeblur.data import trees
from tfdeblur.errors import DeblurError


def error_of(function, *arguments):
    with pytest.raises(DeblurError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def contents(files):
    return {name: file.read_bytes() for name, file in files.items()}


TREE = {"a/1.png": b"one", "a/b/2.png": b"two", "list.txt": b"lines"}
LITTER = {".hidden": b"", "a/.DS_Store": b"", "__MACOSX/a/._1.png": b"", ".git/x.png": b""}


def test_a_folder_and_an_archive_of_it_are_the_same_tree(tmp_path):
    plain, tars = trees.read_tree(write(TREE | LITTER, tmp_path / "set"))
    assert tars == []
    archived, _ = trees.read_tree(write_zip(TREE | LITTER, tmp_path / "other" / "set.zip"))
    expected = {f"set/{name}": data for name, data in TREE.items()}
    assert contents(plain) == contents(archived) == expected
    inside, _ = trees.read_tree(tmp_path / "other")
    assert contents(inside) == {f"other/{name}": data for name, data in expected.items()}
    assert str(inside["other/set/a/1.png"]) == f"{tmp_path}/other/set.zip/a/1.png"  # good in a message


def test_plain_files_come_before_archives_and_win(tmp_path):
    write({"set/a/1.png": b"extracted"}, tmp_path)
    write_zip(TREE, tmp_path / "set.zip")
    files, _ = trees.read_tree(tmp_path)
    assert files[f"{tmp_path.name}/set/a/1.png"].read_bytes() == b"extracted"
    assert files[f"{tmp_path.name}/set/a/b/2.png"].read_bytes() == b"two"
    kinds = [isinstance(file, Path) for file in files.values()]
    assert kinds == sorted(kinds, reverse=True)


def test_the_name_of_the_current_folder_is_known(tmp_path, monkeypatch):
    write(TREE, tmp_path / "RealBlur_J")
    monkeypatch.chdir(tmp_path / "RealBlur_J")
    assert set(trees.read_tree(".")[0]) == {f"RealBlur_J/{name}" for name in TREE}


def test_links_are_followed_and_a_loop_ends(tmp_path):
    write(TREE, tmp_path / "store")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "a" / "up").symlink_to(tmp_path / "store")
    files, _ = trees.read_tree(tmp_path / "set")
    assert contents(files)["set/linked/a/b/2.png"] == b"two"


def test_what_is_no_folder_and_no_archive_is_refused(tmp_path):
    assert "no such folder" in error_of(trees.read_tree, tmp_path / "missing")
    (tmp_path / "set.rar").write_bytes(b"Rar!")
    assert "set.rar: neither a folder nor an archive" in error_of(trees.read_tree, tmp_path / "set.rar")
    (tmp_path / "GOPRO_Large.zip").write_text("<html>Google Drive - Quota exceeded")
    message = error_of(trees.read_tree, tmp_path)
    assert "GOPRO_Large.zip: not a whole zip archive" in message and "download it again" in message


def test_an_archive_is_read_by_several_threads(tmp_path):
    data = {f"{number}.png": os.urandom(20_000) for number in range(200)}
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in data.items():
            archive.writestr(name, part)
    files, _ = trees.read_tree(path)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            read = dict(zip(files, pool.map(lambda file: file.read_bytes(), files.values()), strict=True))
            assert read == {f"set/{name}": part for name, part in data.items()}


@pytest.mark.parametrize("suffix, mode", [("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar.xz", "w:xz")])
def test_a_tar_archive_is_extracted_once(tmp_path, suffix, mode):
    archive = write_tar(TREE | LITTER, tmp_path / f"set.{suffix}", mode)
    assert trees.read_tree(tmp_path) == ({}, [archive]) and trees.read_tree(archive) == ({}, [archive])
    lines = []
    folder = trees.extract(archive, lines.append)
    assert folder == tmp_path / f"set.{suffix}.extracted"
    (line,) = lines
    assert str(archive) in line and str(folder) in line and "MB are free" in line
    assert contents(trees.read_tree(folder)[0]) == {f"{folder.name}/{name}": data for name, data in TREE.items()}
    before = os.stat(folder / "list.txt")
    assert trees.extract(archive, lines.append) == folder and len(lines) == 1
    assert os.stat(folder / "list.txt") == before
    assert sorted(os.listdir(tmp_path)) == [archive.name, folder.name]  # nothing half done is left


def test_nothing_in_a_tar_archive_leads_out_of_the_folder(tmp_path):
    archive = write_tar(
        {"../evil.png": b"", "/tmp/evil.png": b"", "a/../../evil.png": b"", "./a/1.png": b"one"},
        tmp_path / "in" / "s.tar",
        "w",
    )
    folder = trees.extract(archive, lambda line: None)
    assert contents(trees.read_tree(folder)[0]) == {"s.tar.extracted/a/1.png": b"one"}
    assert os.listdir(tmp_path) == ["in"]


def test_a_damaged_tar_archive_leaves_nothing_behind(tmp_path):
    whole = write_tar({"a.png": os.urandom(300_000)}, tmp_path / "RealBlur.tar.gz")
    whole.write_bytes(whole.read_bytes()[:200_000])
    message = error_of(trees.extract, whole, lambda line: None)
    assert "RealBlur.tar.gz: damaged or cut off" in message and "download it again" in message
    (tmp_path / "page.tar").write_text("<html>" * 1000)
    assert "page.tar: damaged" in error_of(trees.extract, tmp_path / "page.tar", lambda line: None)
    assert sorted(os.listdir(tmp_path)) == ["RealBlur.tar.gz", "page.tar"]


def test_a_disk_that_is_too_small_is_said_before(tmp_path, monkeypatch):
    archive = write_tar({"a.png": os.urandom(100_000)}, tmp_path / "set.tar", "w")
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(trees.shutil, "disk_usage", lambda folder: usage(50_000))
    message = error_of(trees.extract, archive, lambda line: None)
    assert "0 MB are needed" in message and "free" in message
    assert os.listdir(tmp_path) == ["set.tar"]


def test_what_a_killed_extraction_left_is_replaced(tmp_path):
    archive = write_tar(TREE, tmp_path / "set.tar", "w")
    write({"a/1.png": b"half", "stray.png": b""}, tmp_path / ".set.tar.partial")
    assert trees.read_tree(tmp_path) == ({}, [archive])
    folder = trees.extract(archive, lambda line: None)
    assert contents(trees.read_tree(folder)[0]) == {f"set.tar.extracted/{name}": data for name, data in TREE.items()}
    assert not (tmp_path / ".set.tar.partial").exists()


def test_a_folder_that_cannot_be_written_is_said_with_the_command_to_type(tmp_path, monkeypatch):
    archive = write_tar(TREE, tmp_path / "set.tar", "w")

    def refuse(path, *arguments, **keywords):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(trees.Path, "mkdir", refuse)  # root may write everywhere
    message = error_of(trees.extract, archive, lambda line: None)
    assert "Permission denied" in message and f"tar xf {archive} -C" in message

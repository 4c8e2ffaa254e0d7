"""Prepared folders: the same images out of storage, resumed, finished or refused."""

import json
import os
import shutil

import numpy as np
import pytest

from tfdeblur.data import prepared, sources
from tfdeblur.data.images import write_image
from tfdeblur.data.shake import Shake
from tfdeblur.data.shaken import sharp_folder
from tfdeblur.errors import DeblurError


def error_of(function, *arguments, **options):
    with pytest.raises(DeblurError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folders(tmp_path, make_pairs):
    make_pairs(tmp_path / "in", ["s/1", "s/2", "t/1"])
    return tmp_path / "in" / "blur", tmp_path / "in" / "sharp"


def test_pairs_come_back_as_they_were(tmp_path, folders):
    source = sources.folder_pairs(*folders, blur_kind="blur_gamma")
    prepared.prepare(source, "test", tmp_path / "out")
    shutil.rmtree(tmp_path / "in")  # it stands for itself
    assert prepared.is_prepared(tmp_path / "out") and not prepared.is_prepared(tmp_path)
    found = prepared.open_prepared(tmp_path / "out", "test")
    assert found.names == source.names == ("s/1", "s/2", "t/1")
    for index in range(3):
        blurred, sharp = found.pair(index)
        assert sharp.std() > blurred.std() and sharp.flags.writeable
        np.testing.assert_array_equal(found.store.images(index), (blurred, sharp))
        np.testing.assert_array_equal([*found.truths(index)], [sharp])
    assert found.check(crop=40) == [(40, 48)] * 3
    assert "s/1 (blurred) (48x40)" in error_of(found.check, crop=41)
    expected = {**source.description, "prepared": str(tmp_path / "out")}
    assert found.description == json.loads(json.dumps(expected)) and found.description["blur_kind"] == "blur_gamma"


def test_several_truths_come_back(tmp_path, folders):
    blurred, sharp = (sorted(folder.rglob("*.png")) for folder in folders)
    source = sources.PairSource(
        ["a"], sources.FileImages([(blurred[0], *sharp)]), {"source": "x", "blur_kind": "shake"}
    )
    prepared.prepare(source, "test", tmp_path / "out")
    found = prepared.open_prepared(tmp_path / "out", "test")
    np.testing.assert_array_equal([*found.truths(0)], [*source.truths(0)])
    np.testing.assert_array_equal(found.pair(0)[1], [*source.truths(0)][0])


def test_sharp_photographs_take_the_shake_of_who_asks(tmp_path, folders):
    source = sharp_folder(folders[1], Shake())
    prepared.prepare(source, prepared.ALL, tmp_path / "out")
    for split in ("train", "test"):
        found = prepared.open_prepared(tmp_path / "out", split, Shake(length=(5.0, 6.0)), seed=4)
        expected = sharp_folder(folders[1], Shake(length=(5.0, 6.0)), seed=4)
        for index in range(3):
            np.testing.assert_array_equal(found.pair(index), expected.pair(index))
        assert found.description["shake"]["length"] == (5.0, 6.0) and found.description["seed"] == 4
    assert "--synthesize" in error_of(prepared.open_prepared, tmp_path / "out", "train")


def test_a_bad_file_costs_nothing_but_itself_and_can_be_mended(tmp_path, folders, monkeypatch):
    damaged = folders[0] / "s" / "2.png"
    whole = damaged.read_bytes()
    middle = len(whole) // 2
    damaged.write_bytes(whole[:middle] + bytes(20) + whole[middle + 20 :])  # its header and its end are well
    read, decoded = sources.read_image, []

    def watched(path):
        decoded.append(os.path.basename(path))
        return read(path)

    source = sources.folder_pairs(*folders)
    monkeypatch.setattr(source, "_refuse_swapped_sides", lambda: None)  # it decodes samples, and would find it now
    message = error_of(prepared.prepare, source, "train", tmp_path / "out")
    assert str(damaged) in message and "2 of 3 are decoded and kept" in message
    assert "not finished" in error_of(prepared.open_prepared, tmp_path / "out", "train")

    damaged.write_bytes(whole)
    source = sources.folder_pairs(*folders)
    monkeypatch.setattr(source, "_refuse_swapped_sides", lambda: None)
    monkeypatch.setattr(sources, "read_image", watched)
    prepared.prepare(source, "train", tmp_path / "out")
    assert decoded == ["2.png", "2.png"], "blurred and sharp of that pair alone"
    assert len(prepared.open_prepared(tmp_path / "out", "train")) == 3


def test_another_source_does_not_wipe_out_what_is_there(tmp_path, folders, make_pairs):
    prepared.prepare(sources.folder_pairs(*folders), "train", tmp_path / "out")
    make_pairs(tmp_path / "other", ["x"])
    other = sources.folder_pairs(tmp_path / "other" / "blur", tmp_path / "other" / "sharp")
    message = error_of(prepared.prepare, other, "train", tmp_path / "out")
    assert "holds other data" in message and "--out" in message and str(folders[0]) in message
    assert len(prepared.open_prepared(tmp_path / "out", "train")) == 3
    prepared.prepare(other, "test", tmp_path / "out")  # another split is another matter


def test_further_pairs_are_added(tmp_path, folders):
    prepared.prepare(sources.folder_pairs(*folders), "train", tmp_path / "out")
    for folder, level in zip(folders, (100, 10), strict=True):
        image = np.random.default_rng(0).integers(0, level, (4, 4, 3), np.uint8)
        write_image(folder / "s" / "0.png", image // 2 if folder == folders[0] else image)
    prepared.prepare(sources.folder_pairs(*folders), "train", tmp_path / "out")
    assert prepared.open_prepared(tmp_path / "out", "train").names == ("s/0", "s/1", "s/2", "t/1")


def test_what_is_missing_or_damaged_is_one_line(tmp_path, folders):
    prepared.prepare(sources.folder_pairs(*folders), "train", tmp_path / "out")
    assert "no split test there, but train" in error_of(prepared.open_prepared, tmp_path / "out", "test")
    pixels = tmp_path / "out" / "train" / "pixels.u8"
    pixels.write_bytes(pixels.read_bytes()[:-1])
    assert "images are missing" in error_of(prepared.open_prepared, tmp_path / "out", "train")
    (tmp_path / "out" / "train" / "prepared.json").write_text("[")
    assert "damaged" in error_of(prepared.open_prepared, tmp_path / "out", "train")

"""Prepared folders: the same images out of storage, resumed, finished or refused."""

import json
import shutil

import numpy as np
import pytest

from tfdeblur.data import prepared, sources, store
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.shake import Shake
from tfdeblur.data.shaken import sharp_folder
from tfdeblur.data.sources import sharp_photographs
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
    prepared.prepare(sharp_photographs(folders[1]), prepared.ALL, tmp_path / "out")
    for split in ("train", "test"):
        found = prepared.open_prepared(tmp_path / "out", split, Shake(length=(5.0, 6.0)), seed=4)
        expected = sharp_folder(folders[1], Shake(length=(5.0, 6.0)), seed=4)
        for index in range(3):
            np.testing.assert_array_equal(found.pair(index), expected.pair(index))
        assert found.description["shake"]["length"] == (5.0, 6.0) and found.description["seed"] == 4
    assert "--synthesize" in error_of(prepared.open_prepared, tmp_path / "out", "train")


def cut_off(data):
    return data[:-30]


def damaged_inside(data):
    """Its header and its end are well."""
    middle = len(data) // 2
    return data[:middle] + bytes(20) + data[middle + 20 :]


@pytest.mark.parametrize("damage", [cut_off, damaged_inside, lambda data: b""])
@pytest.mark.parametrize("name", ["s/1", "s/2", "t/1"])
def test_a_bad_file_costs_nothing_but_itself_and_can_be_mended(tmp_path, folders, monkeypatch, damage, name):
    bad = folders[0] / f"{name}.png"
    whole = bad.read_bytes()
    bad.write_bytes(damage(whole))
    message = error_of(prepared.prepare, sources.folder_pairs(*folders), "train", tmp_path / "out")
    assert str(bad) in message and "2 of 3 are decoded and kept" in message
    assert "not finished" in error_of(prepared.open_prepared, tmp_path / "out", "train")

    bad.write_bytes(whole)
    read, decoded = store.open_store, []

    def watched(source, *arguments, **options):
        stored = source.stored
        source.stored = lambda index: decoded.append(source.names[index]) or stored(index)
        return read(source, *arguments, **options)

    monkeypatch.setattr(prepared, "open_store", watched)
    prepared.prepare(sources.folder_pairs(*folders), "train", tmp_path / "out")
    assert decoded == [name]
    found = prepared.open_prepared(tmp_path / "out", "train")
    for index in range(3):
        np.testing.assert_array_equal(found.pair(index), sources.folder_pairs(*folders).pair(index))


def test_pairs_of_different_sizes_cost_nothing_but_themselves(tmp_path, folders):
    write_image(folders[1] / "s" / "2.png", np.zeros((41, 48, 3), np.uint8))
    message = error_of(prepared.prepare, sources.folder_pairs(*folders), "train", tmp_path / "out")
    assert "is 48x40 but" in message and "2 of 3 are decoded and kept" in message


def test_a_file_that_comes_back_is_not_taken_for_what_replaced_it(tmp_path, folders):
    """Its old line in the index would hold again, and after it stands that of the file between."""
    path, out = folders[1] / "s" / "2.png", tmp_path / "out"
    first = read_image(path)
    prepared.prepare(sources.folder_pairs(*folders), "train", out)
    shutil.copy2(path, tmp_path / "kept.png")
    write_image(path, 255 - first)
    prepared.prepare(sources.folder_pairs(*folders), "train", out)
    np.testing.assert_array_equal(prepared.open_prepared(out, "train").pair(1)[1], 255 - first)
    shutil.copy2(tmp_path / "kept.png", path)
    prepared.prepare(sources.folder_pairs(*folders), "train", out)
    np.testing.assert_array_equal(prepared.open_prepared(out, "train").pair(1)[1], first)


def test_data_with_and_without_splits_do_not_mix(tmp_path, folders):
    source = sources.folder_pairs(*folders)
    prepared.prepare(source, "train", tmp_path / "a")
    assert "holds other data" in error_of(prepared.prepare, source, prepared.ALL, tmp_path / "a")
    prepared.prepare(source, prepared.ALL, tmp_path / "b")
    assert "holds other data" in error_of(prepared.prepare, source, "test", tmp_path / "b")


def test_the_room_for_all_splits_is_looked_at_first(tmp_path, folders, monkeypatch):
    source = sources.folder_pairs(*folders)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=50_000))
    found = {"train": source, "test": source}  # 3 pairs of 48x40: 34,560 bytes each
    message = error_of(prepared.refuse_small_disk, found, tmp_path / "new" / "out")
    assert "train and test" in message and "--out" in message
    prepared.refuse_small_disk({"train": source}, tmp_path / "new" / "out")
    prepared.prepare(source, "train", tmp_path / "out")
    prepared.refuse_small_disk(found, tmp_path / "out")  # the first is there already


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

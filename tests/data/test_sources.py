"""Pairs from two folders and from a GOPRO tree; every file here is made by the test."""

import json
import os
import shutil

import numpy as np
import pytest

from tfdeblur.data import layouts
from tfdeblur.data.images import write_image
from tfdeblur.data.sources import FileImages, PairSource, folder_pairs, gopro_pairs, read_sharp_folder
from tfdeblur.errors import DeblurError


def sharp_image(seed=0, height=40, width=48):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def blurred_image(seed=0, **size):
    image = sharp_image(seed, **size).astype(float)
    return (sum(np.roll(image, shift, 1) for shift in range(-2, 3)) / 5).astype(np.uint8)


def add_pair(blur_dir, sharp_dir, name, seed=0, **size):
    for folder, image in ((blur_dir, blurred_image(seed, **size)), (sharp_dir, sharp_image(seed, **size))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, image)


@pytest.fixture
def folders(tmp_path):
    """Folders blur and sharp with four pairs: a0, a1, a2 and seq1/0001."""
    blur_dir, sharp_dir = tmp_path / "blur", tmp_path / "sharp"
    for seed, name in enumerate(("a0.png", "a1.png", "a2.png", "seq1/0001.png")):
        add_pair(blur_dir, sharp_dir, name, seed)
    return blur_dir, sharp_dir


@pytest.fixture
def gopro(tmp_path):
    """A GOPRO tree with 2 + 1 pairs to train and 1 to test; the frame number 000001 is in two sequences."""
    keys = ("train/GOPR2/000001", "train/GOPR1/000002", "train/GOPR1/000001", "test/GOPR3/000007")
    for seed, key in enumerate(keys):
        split, sequence, frame = key.split("/")
        folder = tmp_path / "tree" / split / sequence
        add_pair(folder / "blur", folder / "sharp", f"{frame}.png", seed)
    return tmp_path / "tree"


def error_of(function, *arguments, **options):
    with pytest.raises(DeblurError) as caught:
        function(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_folder_pairs_gives_blurred_first_then_sharp(folders):
    source = folder_pairs(*folders)
    assert source.names == ("a0", "a1", "a2", "seq1/0001") and len(source) == 4
    for index in range(4):
        blurred, sharp = source.pair(index)
        np.testing.assert_array_equal(blurred, blurred_image(index))
        np.testing.assert_array_equal(sharp, sharp_image(index))
    assert source.check(crop=40) == [(40, 48)] * 4
    assert json.loads(json.dumps(source.description)) == {
        "source": "folders",
        "blur_dir": str(folders[0]),
        "sharp_dir": str(folders[1]),
        "blur_kind": "blur",
        "pairs": 4,
    }


def test_suffixes_may_differ_between_the_sides(folders):
    (folders[1] / "a0.png").unlink()
    write_image(folders[1] / "a0.JPG", sharp_image())
    source = folder_pairs(*folders, blur_kind="blur_gamma")
    assert source.names[0] == "a0" and source.description["blur_kind"] == "blur_gamma"
    source.check()


def test_pairs_are_sorted_by_name(folders):
    add_pair(*folders, "a0-b.png", 9)  # as a file name it sorts before a0.png, as a name after a0
    assert folder_pairs(*folders).names[:2] == ("a0", "a0-b")
    names, paths = read_sharp_folder(folders[1])
    assert names == ("a0", "a0-b", "a1", "a2", "seq1/0001") and paths[1] == folders[1] / "a0-b.png"


def test_equal_folders_are_refused(folders, tmp_path, monkeypatch):
    blur_dir, _ = folders
    (tmp_path / "link").symlink_to(blur_dir)
    monkeypatch.chdir(tmp_path)
    for other in (blur_dir, "blur", "blur/../blur/", tmp_path / "link"):
        assert "the same folder twice" in error_of(folder_pairs, blur_dir, other)
    for pair in ((blur_dir, blur_dir / "seq1"), (tmp_path, blur_dir)):
        message = error_of(folder_pairs, *pair)
        assert "inside the other" in message and str(pair[0]) in message and str(pair[1]) in message


def test_a_file_that_is_its_own_partner_is_refused(folders):
    (folders[1] / "a1.png").unlink()
    (folders[1] / "a1.png").symlink_to(folders[0] / "a1.png")
    assert "a1" in error_of(folder_pairs, *folders)


def test_a_copy_of_the_folder_is_refused(folders, tmp_path):
    shutil.copytree(folders[0], tmp_path / "copy")
    assert "same picture" in error_of(folder_pairs(folders[0], tmp_path / "copy").check)


def test_missing_partners_are_named_on_both_sides(folders):
    blur_dir, sharp_dir = folders
    (blur_dir / "a1.png").unlink()
    (sharp_dir / "seq1" / "0001.png").unlink()
    message = error_of(folder_pairs, blur_dir, sharp_dir)
    assert f"no partner in {sharp_dir} for seq1/0001" in message
    assert f"no partner in {blur_dir} for a1" in message
    assert "3 blurred and 3 sharp" in message


def test_one_name_twice_is_refused(folders):
    write_image(folders[1] / "a1.jpg", sharp_image())
    message = error_of(folder_pairs, *folders)
    assert "a1.jpg beside a1.png" in message and str(folders[1]) in message
    assert "a1.jpg beside a1.png" in error_of(read_sharp_folder, folders[1])


def test_different_sizes_are_refused(folders):
    write_image(folders[1] / "a1.png", sharp_image(height=39))
    source = folder_pairs(*folders)
    for message in (error_of(source.check), error_of(source.pair, 1)):
        assert f"{folders[0] / 'a1.png'} is 48x40 but {folders[1] / 'a1.png'} is 48x39" in message
    source.pair(0)


def test_all_unreadable_files_are_named(folders):
    first, second, third = folders[0] / "a0.png", folders[1] / "a0.png", folders[1] / "seq1" / "0001.png"
    first.write_bytes(first.read_bytes()[:-5])
    second.write_bytes(b"")
    third.write_text("not an image")
    source = folder_pairs(*folders)
    message = error_of(source.check)
    assert str(first) in message and str(second) in message and str(third) in message
    assert str(first) in error_of(source.pair, 0)
    source.pair(1)


def test_images_smaller_than_the_crop_are_refused(folders):
    source = folder_pairs(*folders)
    source.check(crop=40)
    message = error_of(source.check, crop=41)
    assert f"{folders[0] / 'a0.png'} (48x40)" in message and "and 1 more" in message and "41" in message


def test_swapped_sides_are_refused(folders):
    blur_dir, sharp_dir = folders
    message = error_of(folder_pairs(sharp_dir, blur_dir).check)
    assert "4 of 4" in message and "swapped" in message and "exchange" in message
    assert str(sharp_dir / "a0.png") in message and str(blur_dir / "a0.png") in message


def test_half_of_the_pairs_the_other_way_round_is_not_called_swapped(folders):
    for name in ("a0.png", "a1.png"):
        os.rename(folders[0] / name, folders[0] / "kept")
        os.rename(folders[1] / name, folders[0] / name)
        os.rename(folders[0] / "kept", folders[1] / name)
    folder_pairs(*folders).check()
    add_pair(folders[1], folders[0], "a3.png", 9)
    assert "3 of 5" in error_of(folder_pairs(*folders).check)


def test_swapped_sides_are_found_from_sixteen_pairs(folders):
    for number in range(30):
        add_pair(folders[1], folders[0], f"b{number}.png", number)
    assert "of 16 sampled" in error_of(folder_pairs(*folders).check)


def test_folders_without_images_and_unknown_kinds_are_refused(folders, tmp_path):
    assert "no such folder" in error_of(folder_pairs, tmp_path / "missing", folders[1])
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in error_of(folder_pairs, folders[0], tmp_path / "empty")
    assert "'gamma'" in error_of(folder_pairs, *folders, blur_kind="gamma")


def test_gopro_counts_are_those_of_the_paper():
    assert {split: len(counts) for split, counts in layouts.GOPRO_SEQUENCES.items()} == {
        "train": 22,
        "test": 11,
    }
    assert layouts.GOPRO_PAIRS == {"train": 2103, "test": 1111}
    assert not set(layouts.GOPRO_SEQUENCES["train"]) & set(layouts.GOPRO_SEQUENCES["test"])


def test_gopro_pairs_keep_the_sequence_in_the_key(gopro):
    source = gopro_pairs(gopro, "train")
    assert source.names == ("GOPR1/000001", "GOPR1/000002", "GOPR2/000001")
    for index, seed in enumerate((2, 1, 0)):
        np.testing.assert_array_equal(source.pair(index)[0], blurred_image(seed))
        np.testing.assert_array_equal(source.pair(index)[1], sharp_image(seed))
    assert source.check() == [(40, 48)] * 3
    assert source.description == {
        "source": "gopro",
        "root": str(gopro),
        "split": "train",
        "blur_kind": "blur",
        "pairs": 3,
        "pairs_in_full": 2103,
    }
    assert gopro_pairs(gopro, "test").names == ("GOPR3/000007",)


def test_gopro_tree_one_level_below(gopro):
    gopro.rename(gopro.with_name("GOPRO_Large"))
    assert len(gopro_pairs(gopro.parent, "train")) == 3


def test_gopro_blur_gamma_is_another_folder(gopro):
    message = error_of(gopro_pairs, gopro, "train", "blur_gamma")
    assert "no folder blur_gamma in GOPR1, GOPR2" in message
    for sequence in ("GOPR1", "GOPR2"):
        folder = gopro / "train" / sequence
        (folder / "blur_gamma").mkdir()
        for path in (folder / "sharp").iterdir():
            write_image(folder / "blur_gamma" / path.name, np.full((40, 48, 3), 9, np.uint8))
    source = gopro_pairs(gopro, "train", "blur_gamma")
    assert source.pair(0)[0].max() == 9 and source.description["blur_kind"] == "blur_gamma"


def test_gopro_refusals_name_what_is_missing(gopro):
    assert "'valid'" in error_of(gopro_pairs, gopro, "valid")
    assert "'linear'" in error_of(gopro_pairs, gopro, "train", "linear")
    message = error_of(gopro_pairs, gopro / "train", "train")
    assert str(gopro / "train") in message and "no folder train" in message
    (gopro / "train" / "GOPR1" / "sharp" / "000002.png").unlink()
    message = error_of(gopro_pairs, gopro, "train")
    assert "000002" in message and str(gopro / "train" / "GOPR1" / "sharp") in message
    shutil.rmtree(gopro / "train" / "GOPR1" / "sharp")
    assert "no folder sharp in GOPR1" in error_of(gopro_pairs, gopro, "train")
    shutil.rmtree(gopro / "test" / "GOPR3")
    assert "no sequences" in error_of(gopro_pairs, gopro, "test")


def test_grey_and_deep_images_among_others_are_told(folders):
    import cv2

    lines = []
    folder_pairs(*folders).check(log=lines.append)
    assert lines == []
    grey = blurred_image()[..., 0]
    cv2.imwrite(str(folders[0] / "a0.png"), grey)
    cv2.imwrite(str(folders[1] / "a1.png"), sharp_image(1)[..., ::-1].astype(np.uint16) * 257)
    source = folder_pairs(*folders)
    source.check(log=lines.append)
    assert len(lines) == 2
    assert "1 of 8 images are grey among colour ones: " in lines[0] and str(folders[0] / "a0.png") in lines[0]
    assert "1 of 8 images have 16 bits" in lines[1] and str(folders[1] / "a1.png") in lines[1]
    np.testing.assert_array_equal(source.pair(1)[1], sharp_image(1))


def test_grey_images_alone_are_nothing_odd(tmp_path):
    import cv2

    for side, image in (("blur", blurred_image()), ("sharp", sharp_image())):
        (tmp_path / side).mkdir()
        cv2.imwrite(str(tmp_path / side / "a.png"), image[..., 0])
    lines = []
    folder_pairs(tmp_path / "blur", tmp_path / "sharp").check(log=lines.append)
    assert lines == []


def test_further_truths_must_have_the_size_too(folders):
    write_image(folders[1] / "odd.png", sharp_image(height=41))
    files = [(folders[0] / "a0.png", folders[1] / "a0.png", folders[1] / "odd.png")]
    source = PairSource(["a0"], FileImages(files), {"source": "x", "blur_kind": "shake"})
    for look in (source.check, lambda: source.stored(0)):
        message = error_of(look)
        assert "odd.png is 48x41" in message and "a0.png is 48x40" in message

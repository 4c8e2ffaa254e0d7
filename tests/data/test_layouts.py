"""Finding the examples of the public datasets in archives, trees and re-packs of the real names and counts."""

import collections
import shutil

import pytest

from tests.datasets import dummy
from tfdeblur.data import layouts
from tfdeblur.errors import DeblurError


def error_of(function, *arguments):
    with pytest.raises(DeblurError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def zipped(tree, tmp_path, name="set.zip"):
    return dummy.write_zip(tree, tmp_path / "in" / name).parent


def refusal(dataset, config, tree, tmp_path):
    """The message for a tree in an archive."""
    return error_of(layouts.examples, dataset, config, zipped(tree, tmp_path))


def keys(found):
    return {split: [example.key for example in examples] for split, examples in found.items()}


# --- all datasets


@pytest.mark.parametrize("name", layouts.DATASETS)
def test_what_is_known_of_a_dataset(name):
    known = layouts.DATASETS[name]
    assert tuple(known.counts(known.configs[0])) == known.splits
    assert "\n" not in known.description and known.homepage.startswith("http")
    assert known.instructions.count("  - ") == len(known.sources) + len(known.trees) >= 4


def test_names_that_do_not_exist_are_refused_with_those_that_do(tmp_path):
    message = error_of(layouts.examples, "gorpo", "blur", tmp_path)
    assert "'gorpo'" in message and "gopro, kohler, lai, realblur, hide" in message
    assert "'gamma': use one of blur, blur_gamma" in error_of(layouts.examples, "gopro", "gamma", tmp_path)
    assert "'blur': use one of default" in error_of(layouts.examples, "hide", "blur", tmp_path)


@pytest.mark.parametrize("name", layouts.DATASETS)
def test_where_nothing_is_found_it_says_what_was_looked_for(name, tmp_path):
    assert "no such folder" in error_of(layouts.examples, name, None, tmp_path / "missing")
    dummy.write({"holiday.png": b"", "notes.txt": b"", "clips/blur/1.png": b""}, tmp_path / "in")
    message = error_of(layouts.examples, name, None, tmp_path / "in")
    assert f"{tmp_path / 'in'}: {name}" in message and "nothing found; looked for" in message
    assert all(tree in message for tree in layouts.DATASETS[name].trees)


def test_several_datasets_in_one_folder_are_told_apart(tmp_path):
    """What people have under one roof: the re-packs of all test sets as Restormer names them, and originals."""
    tree = {
        f"test/GoPro/{name.split('/', 2)[2]}": data for name, data in dummy.gopro_repack().items() if "test" in name
    }
    tree |= dummy.hide_repack("test/HIDE/{side}/{name}.png")
    tree |= dummy.realblur_repack("test/RealBlur_{kind}/{side}/{name}.png", splits=("test",))
    tree |= dummy.lai()
    folder = zipped(tree, tmp_path)
    assert {split: len(examples) for split, examples in layouts.examples("gopro", "blur", folder).items()} == {
        "test": 1111
    }
    assert len(layouts.examples("hide", None, folder)["test"]) == 2025
    for config in ("real", "uniform", "nonuniform"):
        assert len(layouts.examples("lai", config, folder)["test"]) == 100
    for kind in "jr":
        (example, *others) = layouts.examples("realblur", kind, folder)["test"]
        assert len(others) == 979 and f"RealBlur_{kind.upper()}/input" in str(example.blurred)


def test_a_tar_archive_is_extracted_and_others_beside_it_are_not(tmp_path):
    tree = {name: data for name, data in dummy.lai().items() if "real" in name}
    dummy.write_tar(tree, tmp_path / "cvpr16_deblur_study_real_dataset.tar.gz")
    (tmp_path / "something.tar.gz").write_bytes(b"not even looked at")
    lines = []
    assert len(layouts.examples("lai", "real", tmp_path, lines.append)["test"]) == 100
    assert len(lines) == 1 and "extracting" in lines[0]
    # Named itself it may have any name; and the second time it is there.
    archive = dummy.write_tar(tree, tmp_path / "x.tgz")
    for _ in range(2):
        assert len(layouts.examples("lai", "real", archive, lines.append)["test"]) == 100
    assert len(lines) == 2


# --- GoPro


@pytest.fixture(scope="module")
def gopro_folder(tmp_path_factory):
    """An extracted GOPRO_Large, not to be changed."""
    return dummy.write(dummy.gopro(), tmp_path_factory.mktemp("gopro"))


def test_gopro_extracted(gopro_folder):
    for manual_dir in (gopro_folder, gopro_folder / "GOPRO_Large"):
        found = layouts.examples("gopro", "blur", manual_dir)
        for split, sequences in layouts.GOPRO_SEQUENCES.items():
            counted = collections.Counter(example.key.split("/")[0] for example in found[split])
            assert counted == sequences
            assert found[split] == sorted(found[split], key=lambda example: example.key)
    first = found["train"][0]
    sequence = gopro_folder / "GOPRO_Large" / "train" / "GOPR0372_07_00"
    assert first == ("GOPR0372_07_00/000001", sequence / "blur/000001.png", (sequence / "sharp/000001.png",))
    gamma = layouts.examples("gopro", "blur_gamma", gopro_folder)
    assert keys(gamma) == keys(found)
    assert gamma["train"][0].blurred == sequence / "blur_gamma/000001.png"
    assert layouts.examples("gopro", None, gopro_folder) == layouts.examples("gopro", "blur", gopro_folder)


def test_gopro_archived(gopro_folder, tmp_path):
    expected = keys(layouts.examples("gopro", "blur", gopro_folder))
    folder = zipped(dummy.gopro(), tmp_path, "GOPRO_Large.zip")
    for manual_dir in (folder, folder / "GOPRO_Large.zip"):
        found = layouts.examples("gopro", "blur_gamma", manual_dir)
        assert keys(found) == expected
        blurred, sharp = found["test"][-1].encoded()
        assert (blurred, sharp) == (dummy.BLURRED_GAMMA, [dummy.SHARP])


def test_gopro_archive_beside_what_came_out_of_it(gopro_folder, tmp_path):
    folder = zipped(dummy.gopro(), tmp_path, "GOPRO_Large.zip")
    (folder / "GOPRO_Large").symlink_to(gopro_folder / "GOPRO_Large")
    found = layouts.examples("gopro", "blur", folder)
    assert {str(example.blurred)[len(str(folder)) :].split("/")[1] for example in found["test"]} == {"GOPRO_Large"}


@pytest.mark.parametrize(
    "pattern, sides",
    [
        ("GoPro/{split}/{side}/{sequence}-{frame}.png", ("input", "target")),
        ("{split}/GoPro/{side}/{sequence}_{frame}.png", ("input", "target")),
        ("{split}/{side}/{sequence}_{frame}.png", ("blur", "sharp")),
        ("GoPro/{split}/{side}/{sequence}/{frame}.png", ("blur", "sharp")),
    ],
)
def test_gopro_re_packs(pattern, sides, tmp_path):
    folder = zipped(dummy.gopro_repack(pattern, sides), tmp_path)
    found = layouts.examples("gopro", "blur", folder)
    assert {split: len(examples) for split, examples in found.items()} == {"train": 2103, "test": 1111}
    example = found["test"][0]
    assert example.key == "GOPR0384_11_00/000001"
    assert example.encoded() == (dummy.BLURRED, [dummy.SHARP])
    assert "linear blur only; use config blur" in error_of(layouts.examples, "gopro", "blur_gamma", folder)


def test_a_re_pack_of_one_split_gives_that_split(tmp_path):
    tree = {name: data for name, data in dummy.gopro_repack().items() if "/test/" in name}
    lines = []
    found = layouts.examples("gopro", "blur", zipped(tree, tmp_path), lines.append)
    assert {split: len(examples) for split, examples in found.items()} == {"test": 1111}
    assert len(lines) == 1 and "no train images here" in lines[0]


def test_gopro_counts_are_those_of_every_sequence(tmp_path):
    tree = dummy.gopro()
    del tree["GOPRO_Large/train/GOPR0374_11_03/sharp/000007.png"]
    message = refusal("gopro", "blur", tree, tmp_path)
    assert "train: found 2103 blurred, 2102 sharp; 2103 expected" in message
    assert "GOPR0374_11_03 has 48 blurred, 47 sharp of 48" in message
    assert "no sharp image for GOPR0374_11_03/000007" in message and "test:" not in message
    # The sum is right, the sequences are not.
    tree = dummy.gopro()
    for kind in ("blur", "sharp"):
        moved = tree.pop(f"GOPRO_Large/test/GOPR0862_11_00/{kind}/000077.png")
        tree[f"GOPRO_Large/test/GOPR0410_11_00/{kind}/000135.png"] = moved
    message = refusal("gopro", "blur", tree, tmp_path)
    assert "GOPR0410_11_00 has 135 blurred, 135 sharp of 134" in message
    assert "GOPR0862_11_00 has 76 blurred, 76 sharp of 77" in message


def test_gopro_original_with_one_split_or_one_blur_is_refused(tmp_path):
    tree = {name: data for name, data in dummy.gopro().items() if "/train/" in name and "/blur_gamma/" not in name}
    assert "| " not in refusal("gopro", "blur", tree, tmp_path)
    assert "test: found 0 blurred, 0 sharp; 1111 expected" in refusal("gopro", "blur", tree, tmp_path)
    assert "train: found 0 blurred, 2103 sharp; 2103 expected" in refusal("gopro", "blur_gamma", tree, tmp_path)


def test_pairs_are_not_made_by_order(tmp_path):
    """As many files on both sides, sorted alike, but of other frames."""
    tree = dummy.gopro()
    tree["GOPRO_Large/test/GOPR0862_11_00/sharp/000078.png"] = tree.pop(
        "GOPRO_Large/test/GOPR0862_11_00/sharp/000001.png"
    )
    message = refusal("gopro", "blur", tree, tmp_path)
    assert (
        "no sharp image for GOPR0862_11_00/000001" in message
        and "no blurred image for GOPR0862_11_00/000078" in message
    )


# --- Köhler


def test_kohler_has_48_images_and_all_their_frames_in_order(tmp_path):
    found = layouts.examples("kohler", None, zipped(dummy.kohler(), tmp_path))
    examples = {example.key: example for example in found["test"]}
    assert examples.keys() == {f"Blurry{image}_{k}" for image in range(1, 5) for k in range(1, 13)}
    for image in range(1, 5):
        for k in range(1, 13):
            names = [file.name for file in examples[f"Blurry{image}_{k}"].sharp]
            count = dummy.KOHLER_FRAMES.get((image, k), 199)
            assert names == [f"GroundTruth{image}_{k}_{frame}.png" for frame in range(1, count + 1)]


def test_kohler_in_its_five_archives_as_downloaded(tmp_path):
    tree = dummy.kohler()
    for start, archive in (
        ("Blurry", "BlurryImages"),
        *((f"Image{n}", f"GroundTruth_pngs_Image{n}") for n in range(1, 5)),
    ):
        part = {name: data for name, data in tree.items() if name.startswith(start)}
        dummy.write_zip(part, tmp_path / "in" / f"{archive}.zip")
    assert len(layouts.examples("kohler", None, tmp_path / "in")["test"]) == 48


def test_kohler_without_some_frames_is_refused(tmp_path):
    tree = dummy.kohler()
    for frame in range(58, 200):
        del tree[f"Image3/Kernel5/GroundTruth3_5_{frame}.png"]
    message = refusal("kohler", None, tree, tmp_path)
    assert "not 198 to 200 reference frames for Blurry3_5 (57)" in message
    tree = {name: data for name, data in tree.items() if not name.startswith("Image3/Kernel5/")}
    message = refusal("kohler", None, tree, tmp_path)
    assert "found 48 blurred, 47 sharp; 48 expected" in message and "no sharp image for Blurry3_5" in message
    only = {name: data for name, data in tree.items() if name.startswith("Blurry")}
    assert "found 48 blurred, 0 sharp; 48 expected" in refusal("kohler", None, only, tmp_path)


# --- Lai


def test_lai_by_names_wherever_they_lie(tmp_path):
    tree = {f"{index % 7}/deep/{name.split('/')[-1]}": data for index, (name, data) in enumerate(dummy.lai().items())}
    folder = zipped(tree, tmp_path)
    for config, kind in (("uniform", "kernel"), ("nonuniform", "gyro")):
        found = layouts.examples("lai", config, folder)["test"]
        assert len(found) == 100 and found[0].key == f"manmade_01_{kind}_01"
        for example in found:
            assert example.blurred.name == f"{example.key}.png"
            assert [file.name for file in example.sharp] == [example.key.split(f"_{kind}")[0] + ".png"]
    real = layouts.examples("lai", None, folder)["test"]
    assert len(real) == 100 and {example.sharp for example in real} == {()}
    assert {example.key for example in real} >= {"bird", "boat1", "coke", "wheel"}


def test_lai_gyro_recordings_may_have_other_numbers(tmp_path):
    folder = zipped(dummy.lai(gyros=("07", "16", "23", "24")), tmp_path)
    assert layouts.examples("lai", "nonuniform", folder)["test"][3].key == "manmade_01_gyro_24"


def test_lai_says_what_is_missing(tmp_path):
    tree = dummy.lai()
    del tree["real_dataset/coke.jpg"]
    del tree["synthetic_dataset/uniform/text_02_kernel_03.png"]
    del tree["synthetic_dataset/ground_truth/people_04.png"]
    message = refusal("lai", "real", tree, tmp_path)
    assert "test: found 99 blurred; 100 expected; no coke" in message
    message = refusal("lai", "uniform", tree, tmp_path)
    assert "found 99 blurred, 95 sharp; 100 expected" in message and "text_02 has 3 of 4" in message
    assert "no sharp image for people_04_kernel_01, people_04_kernel_02" in message


def test_two_files_of_one_key_are_refused_unless_they_are_one(tmp_path):
    folder = dummy.write(dummy.lai(), tmp_path / "in")
    shutil.copytree(folder / "synthetic_dataset" / "uniform", folder / "old")
    message = error_of(layouts.examples, "lai", "uniform", folder)
    assert "one image twice" in message and f"{folder}/old/manmade_01_kernel_01.png" in message
    assert f"{folder}/synthetic_dataset/uniform/manmade_01_kernel_01.png" in message and "97 more" in message
    shutil.rmtree(folder / "old")
    (folder / "old").symlink_to(folder / "synthetic_dataset" / "uniform")
    assert len(layouts.examples("lai", "uniform", folder)["test"]) == 100


# --- RealBlur


@pytest.fixture(scope="module")
def realblur_folder(tmp_path_factory):
    """An archive of both kinds with their lists, not to be changed."""
    return dummy.write_zip(dummy.realblur(), tmp_path_factory.mktemp("realblur") / "RealBlur.zip").parent


@pytest.mark.parametrize("config", ["j", "r"])
def test_realblur_splits_are_those_of_the_lists(realblur_folder, config):
    found = layouts.examples("realblur", config, realblur_folder)
    expected = {"train": set(), "test": set()}
    for split, scene, number in dummy.realblur_images():
        expected[split].add(f"{scene}/{number}")
    assert {split: {example.key for example in examples} for split, examples in found.items()} == expected
    assert {split: len(examples) for split, examples in found.items()} == {"train": 3758, "test": 980}
    first = found["test"][0]
    folder = dummy.REALBLUR_FOLDERS[config.upper()]
    assert first.key == "scene183/1"
    assert str(first.blurred).endswith(f"{folder}/scene183/blur/blur_1.png")
    assert [str(file).split(folder)[1] for file in first.sharp] == ["/scene183/gt/gt_1.png"]


LIST = "RealBlur/RealBlur_J_test_list.txt"


def test_realblur_with_the_lists_of_the_other_kind_is_refused(tmp_path):
    tree = dummy.realblur()
    tree[LIST], tree[LIST.replace("J", "R")] = tree[LIST.replace("J", "R")], tree[LIST]
    for config, other in (("j", "R"), ("r", "J")):
        message = refusal("realblur", config, tree, tmp_path)
        assert f"RealBlur_{config.upper()}_test_list.txt, line 1: names images of RealBlur-{other}" in message
        assert "J and R are swapped" in message


def test_realblur_lists_are_checked(tmp_path):
    tree = dummy.realblur("J")
    lines = tree[LIST].decode().splitlines()

    def message(*new):
        return refusal("realblur", "j", {**tree, LIST: "\n".join(new).encode()}, tmp_path)

    assert "line 2: expected the path of a truth, then" in message(lines[0], " ".join(lines[1].split()[::-1]))
    assert "line 1: expected" in message("a.png b.png", *lines[1:])
    assert "line 1: expected" in message(lines[0].split()[0], *lines[1:])
    assert "are not one pair" in message(f"{lines[0].split()[0]} {lines[1].split()[1]}")
    assert "test: found 979 blurred, 979 sharp; 980 expected" in message(*lines[1:])
    folder = zipped({**tree, LIST: "\r\n".join(lines + [""]).encode()}, tmp_path)  # as Windows writes it
    assert len(layouts.examples("realblur", "j", folder)["test"]) == 980
    del tree[LIST]
    message = refusal("realblur", "j", tree, tmp_path)
    assert "no RealBlur_J_test_list.txt" in message and "rimchang" in message


def test_realblur_images_that_are_listed_but_missing(tmp_path):
    tree = dummy.realblur("R")
    del tree[f"RealBlur/{dummy.REALBLUR_FOLDERS['R']}/scene200/gt/gt_3.png"]
    message = refusal("realblur", "r", tree, tmp_path)
    assert "test: found 980 blurred, 979 sharp; 980 expected; no sharp image for scene200/3" in message
    assert "nothing found" in refusal("realblur", "j", tree, tmp_path)


@pytest.mark.parametrize(
    "pattern",
    [
        "RealBlur_{kind}/{split}/{side}/{name}.png",
        "{split}/RealBlur_{kind}/{side}/{name}.png",
        "RealBlur/{split}/RealBlur_{kind}/{side}/{name}.png",
        "Realblur_{kind}/{split}/{side}/{name}.png",
    ],
)
def test_realblur_re_packs(pattern, tmp_path):
    folder = zipped(dummy.realblur_repack(pattern), tmp_path)
    found = layouts.examples("realblur", "r", folder)
    assert {split: len(examples) for split, examples in found.items()} == {"train": 3758, "test": 980}
    assert found["test"][0].key == "scene183_1"
    assert found["test"][0].encoded() == (dummy.png(10), [dummy.png(11)])


def test_realblur_re_packs_of_the_test_pairs(tmp_path):
    tree = dummy.realblur_repack("RealBlur_J/{side}/{name}.png", "J", ("test",))
    assert keys(layouts.examples("realblur", "j", zipped(tree, tmp_path))).keys() == {"test"}
    # In a folder that tells the kind itself, and with names that differ from side to side as Stripformer's do.
    renamed = {}
    for name, data in tree.items():
        side, scene, number = name.replace("/", "_").removesuffix(".png").split("_")[2:]
        renamed[f"{side}/{scene}/{'blur' if side == 'input' else 'gt'}_{number}.png"] = data
    folder = dummy.write(renamed, tmp_path / "RealBlur_J" / "test").parent
    found = layouts.examples("realblur", "j", folder)["test"]
    assert len(found) == 980 and found[0].key == "scene183/1"
    assert str(found[0].sharp[0]).endswith("target/scene183/gt_1.png")


@pytest.mark.parametrize("config", ["j", "r"])
def test_realblur_folders_that_are_swapped_are_known_by_their_brightness(config, tmp_path, monkeypatch):
    monkeypatch.setattr(dummy, "REALBLUR_VALUES", {"J": (10, 11), "R": (60, 61)})
    for tree in (dummy.realblur_repack(splits=("test",)), dummy.realblur()):
        message = refusal("realblur", config, tree, tmp_path)
        assert "in 9 of 9 sampled images RealBlur-R is brighter than RealBlur-J (mean 61 against 11)" in message
        assert "J and R are swapped" in message and "exchange the two folders" in message


def test_realblur_with_a_few_bright_images_in_r_is_accepted(tmp_path):
    tree = dummy.realblur_repack(splits=("test",))
    names = sorted(name for name in tree if name.startswith("RealBlur_R/test/target"))
    for name in names[:400]:
        tree[name] = dummy.png(250)
    assert len(layouts.examples("realblur", "j", zipped(tree, tmp_path))["test"]) == 980


# --- HIDE


def test_hide_takes_the_test_images_and_their_truths_only(tmp_path):
    found = layouts.examples("hide", None, dummy.write(dummy.hide(), tmp_path))["test"]
    assert [example.key for example in found] == sorted(dummy.hide_names())
    example = found[0]
    assert example.blurred.parent.name in ("test-close-ups", "test-long-shot")
    assert example.sharp == (tmp_path / "HIDE_dataset" / "GT" / example.blurred.name,)


@pytest.mark.parametrize(
    "pattern",
    ["HIDE/test/{side}/{name}.png", "test/HIDE/{side}/{name}.png", "test/{side}/{name}.png", "{side}/{name}.png"],
)
def test_hide_re_packs(pattern, tmp_path):
    tree = dummy.hide_repack(pattern)
    folder = dummy.write(tree, tmp_path / "in") if pattern.startswith("{side}") else zipped(tree, tmp_path)
    found = layouts.examples("hide", None, folder)["test"]
    assert [example.key for example in found] == sorted(dummy.hide_names())
    assert found[0].encoded() == (dummy.BLURRED, [dummy.SHARP])


def test_the_partial_hide_that_was_handed_round_is_refused_with_its_counts(tmp_path):
    names = sorted(dummy.hide_names())
    tree = {f"HIDE/test/input/{name}.png": dummy.BLURRED for name in names[:1079]}
    tree |= {f"HIDE/test/target/{name}.png": dummy.SHARP for name in names[137:1079]}
    message = refusal("hide", None, tree, tmp_path)
    assert "test: found 1079 blurred, 942 sharp; 2025 expected" in message
    assert f"no sharp image for {names[0]}, {names[1]}, {names[2]} and 134 more" in message

"""Joining data, systems and metrics: what evaluation says, which flags mean something, what a training leaves."""

import csv
import errno
import json
import os
import pathlib
import runpy
import shutil

import ml_collections
import numpy as np
import pytest

import tfdeblur
from tests.conftest import load_experiment
from tfdeblur import metrics, report, runner, systems
from tfdeblur.compat import ROW, tf
from tfdeblur.data.images import Photograph, read_image, read_photograph, write_image, write_photograph
from tfdeblur.data.sources import folder_pairs, gopro_pairs
from tfdeblur.errors import DeblurError
from tfdeblur.inference import Deblurrer
from tfdeblur.metrics.hsic import hsic, sample_pixels

IDENTITY = Deblurrer(lambda images: images, {"config": {"system": "nothing"}}, "some/model")


class Perfect:
    """Knows the truth of every blurred image."""

    metadata, path = {}, None

    def __init__(self, pairs):
        self.truths = {blurred.tobytes(): sharp for blurred, sharp in pairs.values()}
        self.asked = []

    def restore(self, blurred):
        self.asked.append(blurred.shape)
        return self.truths[blurred.tobytes()]


# ----------------------------------------------------------------------------------------- evaluate


def test_doing_nothing_scores_what_the_blurred_images_score(tmp_path, make_pairs):
    pairs = make_pairs(tmp_path, ["a", "b", "c"])
    source = folder_pairs(tmp_path / "blur", tmp_path / "sharp")
    protocols = metrics.get_protocols("psnr,ssim")
    results, rows = runner.evaluate(IDENTITY, source, protocols)

    scores = {name: [metrics.psnr(*pair), metrics.ssim(*pair)] for name, pair in pairs.items()}
    assert rows == [
        {"image": name, "psnr": psnr, "blurred_psnr": psnr, "ssim": ssim, "blurred_ssim": ssim}
        for name, (psnr, ssim) in scores.items()
    ]
    means = dict(zip(("psnr", "ssim"), np.mean(list(scores.values()), axis=0), strict=True))
    assert results["metrics"] == results["blurred"] == pytest.approx(means)
    assert 5 < means["psnr"] < 20
    assert results["images"] == 3
    assert results["model"] == "some/model" and results["system"] == "nothing"
    assert results["data"] == source.description
    assert results["sequences"] == {}
    assert results["protocols"] == {p.name: p.description for p in protocols}
    assert results["warnings"] == []


def test_the_blurred_images_are_scored_beside_a_better_model(tmp_path, make_pairs):
    pairs = make_pairs(tmp_path, ["a", "b"])
    perfect = Perfect(pairs)
    source = folder_pairs(tmp_path / "blur", tmp_path / "sharp")
    results, rows = runner.evaluate(perfect, source, metrics.get_protocols("psnr,ssim"))
    assert results["metrics"] == {"psnr": float("inf"), "ssim": pytest.approx(1.0)}
    expected = np.mean([metrics.psnr(*pair) for pair in pairs.values()])
    assert results["blurred"]["psnr"] == pytest.approx(expected)
    assert [row["psnr"] for row in rows] == [float("inf")] * 2
    # Once for each image, however many protocols look at it.
    assert perfect.asked == [(40, 48, 3)] * 2


class FeatureNet:
    """Its last features are the red of each pixel and of the one to its left."""

    size_multiple = 7

    def last_features(self, images):
        assert not images.shape[1] or images.shape[1] % 7 == 0
        return tf.stack([images[..., 0], tf.roll(images[..., 0], 1, axis=2)], axis=-1)


def test_hsic_of_the_last_features(tmp_path, make_pairs):
    pairs = make_pairs(tmp_path, ["a", "b"])  # 40x48: 1920 pixels, of which 1024 are drawn, to be padded for 7
    source = folder_pairs(tmp_path / "blur", tmp_path / "sharp")
    deblurrer = Deblurrer(None, {}, "runs/one")
    deblurrer.net = FeatureNet()
    expected = {"sharp": [], "blurred": []}
    for index, (blurred, sharp) in enumerate(pairs.values()):
        taken = np.unravel_index(sample_pixels(40, 48, seed=3, index=index), (40, 48))
        padded = np.pad(blurred[..., 0], [(0, 2), (0, 1)], "reflect")
        features = np.stack([padded, np.roll(padded, 1, axis=1)], axis=-1)[taken]
        expected["sharp"].append(hsic(features, sharp[taken]))
        expected["blurred"].append(hsic(features, blurred[taken]))
    result = runner.feature_hsic(deblurrer, source, seed=3)
    for name, values in expected.items():
        assert result[name] == pytest.approx(np.mean(values), rel=1e-4)
    assert result["sharp_over_blurred"] == result["sharp"] / result["blurred"] < 0.9
    assert result["pixels"] == 1024
    assert runner.feature_hsic(deblurrer, source, seed=4)["sharp"] != result["sharp"]
    results, _ = runner.evaluate(IDENTITY, source, metrics.get_protocols("psnr"))
    assert f"sharp / blurred {result['sharp_over_blurred']:.4f}" in runner.table({**results, "hsic": result})


def test_hsic_needs_a_network_that_tells_its_features(tmp_path, make_pairs):
    make_pairs(tmp_path, ["a"])
    source = folder_pairs(tmp_path / "blur", tmp_path / "sharp")
    with pytest.raises(DeblurError, match="--hsic: some/model is an export"):
        runner.feature_hsic(IDENTITY, source)
    other = Deblurrer(None, {}, "runs/one")
    other.net = object()
    with pytest.raises(DeblurError, match="--hsic: only egnet and mprnet"):
        runner.feature_hsic(other, source)


def test_infinity_is_a_string_in_the_files(tmp_path, make_pairs):
    pairs = make_pairs(tmp_path, ["a", "b"])
    source = folder_pairs(tmp_path / "blur", tmp_path / "sharp")
    results, rows = runner.evaluate(Perfect(pairs), source, metrics.get_protocols("psnr"))
    out, table = tmp_path / "new" / "results.json", tmp_path / "new" / "rows.csv"
    runner.write_results(results, rows, str(out), str(table))

    def no_constants(name):
        raise AssertionError(f"{name} is no JSON")

    written = json.loads(out.read_text(), parse_constant=no_constants)
    assert written["metrics"] == {"psnr": "inf"}
    assert written["blurred"]["psnr"] == pytest.approx(results["blurred"]["psnr"])
    with open(table, newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["image"] for row in found] == ["a", "b"]
    assert [float(row["psnr"]) for row in found] == [float("inf")] * 2
    assert [float(row["blurred_psnr"]) for row in found] == [row["blurred_psnr"] for row in rows]
    assert sorted(path.name for path in out.parent.iterdir()) == ["results.json", "rows.csv"]


def test_results_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeblurError, match="cannot write it") as caught:
        runner.write_results({}, [], str(tmp_path / "file" / "results.json"))
    assert "\n" not in str(caught.value)


class Source:
    """Pairs made for a test: names -> grey level of the blurred image; the sharp one is black."""

    def __init__(self, levels, blur_kind="blur"):
        self.names = tuple(levels)
        self.description = {"source": "made up", "blur_kind": blur_kind, "pairs": len(levels)}
        self._levels = list(levels.values())

    def __len__(self):
        return len(self.names)

    def check(self, crop=None, log=None):
        return [(2, 2)] * len(self)

    def pair(self, index):
        return np.full((2, 2, 3), self._levels[index], np.uint8), np.zeros((2, 2, 3), np.uint8)


def level_protocol(name="level", region="full"):
    """Scores an image by its mean grey level."""

    def score(image, truths):
        return (float(image.mean()),)

    return metrics.Protocol(name, (name,), score, "the mean grey level", "nothing", "all else", region)


def test_means_by_sequence_are_those_of_the_images_in_it():
    levels = {"city/0001": 10, "city/0002": 20, "city/0003": 60, "park/left/0001": 5, "park/right/0001": 100}
    double = Deblurrer(lambda images: 2.0 * images)
    results, rows = runner.evaluate(double, Source(levels), [level_protocol()])
    assert results["sequences"] == {
        "city": {"images": 3, "level": 2 * (10 + 20 + 60) / 3, "blurred_level": (10 + 20 + 60) / 3},
        "park/left": {"images": 1, "level": 10, "blurred_level": 5},
        "park/right": {"images": 1, "level": 200, "blurred_level": 100},
    }
    # The mean over images, not over sequences.
    assert results["metrics"] == {"level": 2 * (10 + 20 + 60 + 5 + 100) / 5}
    assert results["blurred"] == {"level": (10 + 20 + 60 + 5 + 100) / 5}
    assert rows[2] == {"image": "city/0003", "level": 120.0, "blurred_level": 60.0}


def test_gopro_scores_by_sequence(tmp_path, make_pairs):
    pairs = make_pairs(tmp_path / "one", ["000001", "000002"])
    make_pairs(tmp_path / "two", ["000001"])  # the same frame number
    for name in ("one", "two"):
        (tmp_path / "gopro" / "test").mkdir(parents=True, exist_ok=True)
        shutil.move(tmp_path / name, tmp_path / "gopro" / "test" / name)
    source = gopro_pairs(tmp_path / "gopro", "test")
    results, rows = runner.evaluate(IDENTITY, source, metrics.get_protocols("psnr"))
    assert [row["image"] for row in rows] == ["one/000001", "one/000002", "two/000001"]
    first, second = (metrics.psnr(*pairs[name]) for name in ("000001", "000002"))
    assert results["sequences"] == {
        name: {"images": count, "psnr": pytest.approx(mean), "blurred_psnr": pytest.approx(mean)}
        for name, count, mean in (("one", 2, (first + second) / 2), ("two", 1, first))
    }


def test_a_region_is_cut_before_the_network_runs(tmp_path, make_pairs):
    pairs = make_pairs(tmp_path, ["a"], size=(260, 270))
    blurred, sharp = pairs["a"]
    source = folder_pairs(tmp_path / "blur", tmp_path / "sharp")
    seen = []
    watching = Deblurrer(lambda images: seen.append(images.numpy()) or images)
    protocols = metrics.get_protocols("psnr_crop256,ssim_crop256,psnr_randomcrop256")
    results, _ = runner.evaluate(watching, source, protocols, seed=7)
    assert [images.shape for images in seen] == [(1, 256, 256, 3)] * 2  # once for each region
    np.testing.assert_allclose(seen[0][0], blurred[2:258, 7:263] / 255.0, atol=1e-6)
    expected = metrics.psnr(blurred[2:258, 7:263], sharp[2:258, 7:263])
    assert results["metrics"]["psnr_crop256"] == results["blurred"]["psnr_crop256"] == pytest.approx(expected)
    top, left, *_ = metrics.region_box("randomcrop256", 260, 270, seed=7, index=0)
    np.testing.assert_allclose(seen[1][0], blurred[top : top + 256, left : left + 256] / 255.0, atol=1e-6)


def test_an_image_too_small_for_a_protocol_is_refused_before_anything_is_restored(tmp_path, make_pairs):
    pairs = make_pairs(tmp_path, ["a", "b"], size=(256, 256)) | make_pairs(tmp_path, ["c"], size=(255, 256))
    perfect = Perfect(pairs)
    source = folder_pairs(tmp_path / "blur", tmp_path / "sharp")
    with pytest.raises(DeblurError, match="^c: .*at least 256x256, got 255x256"):
        runner.evaluate(perfect, source, metrics.get_protocols("psnr,psnr_crop256"))
    assert perfect.asked == []


def test_results_that_could_not_be_written_are_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    runner.check_targets(str(tmp_path / "new" / "results.json"), None, picture=str(tmp_path / "bars.png"))
    assert (tmp_path / "new").is_dir()
    for paths, picture, words in (
        ([str(tmp_path / "file" / "out.json")], None, "cannot make its folder"),
        ([None, str(tmp_path / "new")], None, "is a folder"),
        ([], str(tmp_path / "bars.txt"), "name a picture"),
    ):
        with pytest.raises(DeblurError, match=words) as caught:
            runner.check_targets(*paths, picture=picture)
        assert "\n" not in str(caught.value)


def test_swapped_folders_are_refused_before_anything_is_restored(pair_folders):
    perfect = Perfect({})
    with pytest.raises(DeblurError, match="swapped"):
        runner.evaluate(perfect, folder_pairs(*pair_folders[::-1]), metrics.get_protocols("psnr"))
    assert perfect.asked == []


@pytest.mark.parametrize(
    "trained, scored, warned",
    [
        ("blur", "blur", False),
        ("blur_gamma", "blur_gamma", False),
        (None, "blur", False),
        ("blur", "blur_gamma", True),
        ("blur_gamma", "blur", True),
        ("synthesized", "blur", True),
    ],
)
def test_the_other_blur_kind_warns(trained, scored, warned, capfd):
    model = Deblurrer(lambda images: images, {"data": {"blur_kind": trained}} if trained else {})
    results, _ = runner.evaluate(model, Source({"a": 1}, scored), [level_protocol()])
    said = capfd.readouterr().err
    assert ("warning: " in said) is warned and len(results["warnings"]) == int(warned)
    for warning in results["warnings"]:
        assert f"trained on blur kind '{trained}' and is scored on '{scored}'" in warning
        assert ("3 dB" in warning) is ("synthesized" not in (trained, scored))
        assert f"warning: {warning}\n" in said


def test_part_of_a_data_set_is_said(capfd):
    source = Source({"a": 1})
    source.description |= {"pairs": 1, "pairs_in_full": 1111}
    runner.evaluate(IDENTITY, source, [level_protocol()])
    assert "1 of the 1111 pairs of the full set" in capfd.readouterr().err


def test_the_table_shows_every_number_with_its_protocol():
    levels = {"city/0001": 10, "city/0002": 20}
    double = Deblurrer(lambda images: 2.0 * images)
    results, _ = runner.evaluate(double, Source(levels), [level_protocol(), level_protocol("other")])
    lines = runner.table(results).splitlines()
    assert lines[0] == "2 images, made up, blur kind blur"
    assert [line.split() for line in lines[2:4]] == [
        ["level", "30.0000", "15.0000"],
        ["other", "30.0000", "15.0000"],
    ]
    of_city = "level 30.0000 (blurred 15.0000) other 30.0000 (blurred 15.0000)"
    assert lines[4].split() == ["city", "(2):", *of_city.split()]
    assert lines[5:] == [
        f"{name}: the mean grey level: comparable with nothing; not comparable with all else."
        for name in ("level", "other")
    ]


def test_an_image_without_a_score_is_counted_and_named(tmp_path, capfd):
    """As where ECC does not converge: never dropped silently, never a NaN for the whole set."""

    def score(image, truths):
        if image.mean() == 20:
            raise metrics.NotScored("did not converge")
        return float(image.mean()), 1.0

    protocol = metrics.Protocol("fussy", ("fussy_a", "fussy_b"), score, "a test", "nothing", "all else")
    results, rows = runner.evaluate(IDENTITY, Source({"a": 10, "b": 20, "c": 60}), [protocol])
    assert results["metrics"] == results["blurred"] == {"fussy_a": 35.0, "fussy_b": 1.0}
    assert results["not_scored"] == {
        "fussy": {"b": "did not converge"},
        "blurred_fussy": {"b": "did not converge"},
    }
    assert "fussy: 1 of 3 images have no score: b" in results["warnings"]
    assert "warning: fussy: 1 of 3 images have no score: b\n" in capfd.readouterr().err
    assert np.isnan(rows[1]["fussy_a"]) and rows[2]["fussy_a"] == 60
    runner.write_results(results, rows, str(tmp_path / "r.json"), str(tmp_path / "r.csv"))
    assert "b,nan,nan,nan,nan" in (tmp_path / "r.csv").read_text()

    results, _ = runner.evaluate(IDENTITY, Source({"b": 20}), [protocol])
    runner.write_results(results, rows, str(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text())["metrics"] == {"fussy_a": "nan", "fussy_b": "nan"}


def test_all_truths_go_to_a_protocol_that_asks_for_them():
    def count(image, truths):
        return (float(sum(int(truth[0, 0, 0]) for truth in truths)),)

    source = Source({"a": 10})
    source.truths = lambda index: (np.full((4, 4, 3), level, np.uint8) for level in (1, 2, 4))
    source.pair = lambda index: (np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 1, np.uint8))
    every = metrics.Protocol("every", ("every",), count, "a test", "nothing", "all else", references="all")
    one = metrics.Protocol("one", ("one",), count, "a test", "nothing", "all else")
    results, _ = runner.evaluate(IDENTITY, source, [every, one])
    assert results["metrics"] == {"every": 7.0, "one": 1.0}


def test_a_float_protocol_sees_what_is_not_rounded_and_the_network_runs_once():
    asked = []

    def brighter(images):
        asked.append(images.shape)
        return images + 0.3 / 255

    def level(image, truths):
        return (float(image.mean()),)

    exact = metrics.Protocol("exact", ("exact",), level, "a test", "nothing", "all else", dtype="float")
    results, _ = runner.evaluate(Deblurrer(brighter), Source({"a": 10}), [exact, level_protocol()])
    assert results["metrics"] == {"exact": pytest.approx(10.3 / 255, rel=1e-6), "level": 10.0}
    assert len(asked) == 1


# ----------------------------------------------------------------------------------------- files


def test_files_are_restored_and_a_bad_one_does_not_stop_the_others(tmp_path):
    image = np.random.default_rng(0).integers(0, 100, (5, 7, 3), np.uint8)
    for name in ("a.png", "c.png"):
        write_image(tmp_path / name, image)
    (tmp_path / "b.png").write_bytes(b"no image")
    names = ["a.png", "b.png", "missing.png", "c.png"]
    jobs = [(str(tmp_path / name), str(tmp_path / "out" / "deep" / name)) for name in names]
    failures = runner.deblur_files(Deblurrer(lambda images: 2.0 * images), jobs)
    assert len(failures) == 2
    assert str(tmp_path / "b.png") in failures[0] and str(tmp_path / "missing.png") in failures[1]
    out = tmp_path / "out" / "deep"
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "c.png"]
    np.testing.assert_array_equal(read_image(out / "c.png"), 2 * image)


def test_a_full_disk_stops_what_cannot_be_written(tmp_path, monkeypatch):
    for name in "abcd":
        write_image(str(tmp_path / f"{name}.png"), np.zeros((4, 4, 3), np.uint8))
    jobs = [(str(tmp_path / f"{name}.png"), str(tmp_path / "out" / f"{name}.png")) for name in "abcd"]
    replace = os.replace

    def full(source, target):
        if os.path.basename(target) == "b.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    failures = runner.deblur_files(Deblurrer(lambda images: images), jobs)
    assert failures == [
        f"{jobs[1][1]}: cannot be written (No space left on device)",
        f"{jobs[2][0]}: not tried, as the disk is full",
        f"{jobs[3][0]}: not tried, as the disk is full",
    ]
    assert os.listdir(tmp_path / "out") == ["a.png"]


def test_what_cannot_be_restored_is_named(tmp_path):
    def fail(images):
        raise MemoryError

    write_image(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    (line,) = runner.deblur_files(Deblurrer(fail), [(str(tmp_path / "a.png"), str(tmp_path / "out" / "a.png"))])
    assert line.startswith(f"{tmp_path / 'a.png'}: 4x4: too large for the memory")


def test_side_by_side_is_before_and_after(tmp_path):
    image = np.random.default_rng(0).integers(0, 100, (5, 7, 3), np.uint8)
    write_image(tmp_path / "a.png", image)
    jobs = [(str(tmp_path / "a.png"), str(tmp_path / "out.png"))]
    assert runner.deblur_files(Deblurrer(lambda images: 2.0 * images), jobs, side_by_side=True) == []
    picture = read_image(tmp_path / "out.png")
    np.testing.assert_array_equal(picture, np.concatenate([image, 2 * image], axis=1))


class Darker:
    """Halves what it is given, and adds 0 to red, 1 to green and 2 to blue."""

    def restore(self, image):
        return (image // 2 + np.arange(3)).astype(image.dtype)


def test_what_a_photograph_holds_beside_its_pixels_stays(tmp_path, capsys):
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 65536, (5, 7), np.uint16)
    grey = np.repeat(rng.integers(0, 65536, (5, 7, 1), np.uint16), 3, 2)
    profile = bytes(16) + b"GRAY" + bytes(200)
    exif = b"II*\0\x08\0\0\0" + bytes(6)  # an empty directory
    write_photograph(tmp_path / "a.png", Photograph(grey, alpha, True, profile, exif))
    colour = rng.integers(0, 65536, (5, 7, 3), np.uint16)
    for name in ("b.png", "c.png"):
        write_photograph(tmp_path / name, Photograph(colour, alpha))
    names = {"a.png": "a.png", "b.png": "b.jpg", "c.png": "c.jpg"}
    jobs = [(str(tmp_path / source), str(tmp_path / "o" / target)) for source, target in names.items()]
    assert runner.deblur_files(Darker(), jobs) == []
    restored = read_photograph(tmp_path / "o" / "a.png")
    np.testing.assert_array_equal(restored.pixels, grey // 2 + 1)
    np.testing.assert_array_equal(restored.alpha, alpha)
    assert (restored.grey, restored.icc_profile, restored.exif) == (True, profile, exif)
    said = [line for line in capsys.readouterr().err.splitlines() if "cannot hold" in line]
    b, c = (str(tmp_path / name) for name in ("b.png", "c.png"))
    assert said == [f"{b}, {c}: JPEG cannot hold its 16 bits, alpha: left out; PNG can"]


def test_pictures_of_grey_alpha_and_16_bit(tmp_path):
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 65536, (5, 7), np.uint16)
    grey = np.repeat(rng.integers(0, 65536, (5, 7, 1), np.uint16), 3, 2)
    write_photograph(tmp_path / "a.png", Photograph(grey, alpha, True))
    drawn = []

    def draw(image):
        drawn.append(image)
        return image, "a line"

    job = tuple(str(tmp_path / name) for name in ("a.png", "both.png", "picture.png"))
    assert runner.deblur_files(Darker(), [job], side_by_side=True, draw=draw) == []
    both = read_photograph(tmp_path / "both.png")
    np.testing.assert_array_equal(both.pixels, np.concatenate([grey, grey // 2 + 1], axis=1))
    np.testing.assert_array_equal(both.alpha, np.concatenate([alpha, alpha], axis=1))
    np.testing.assert_array_equal(drawn[0], np.round(grey / 257))
    assert drawn[0].dtype == np.uint8
    np.testing.assert_array_equal(read_image(tmp_path / "picture.png"), drawn[0])


# ----------------------------------------------------------------------------------------- make_source


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"gopro_dir": "G", "blur_dir": "B"}, "--gopro_dir and --blur_dir exclude each other"),
        ({"gopro_dir": "G", "sharp_dir": "S"}, "--gopro_dir and --sharp_dir exclude each other"),
        ({"data_dir": "D", "blur_dir": "B", "sharp_dir": "S"}, "--data_dir and --blur_dir and --sharp_dir exclude"),
        ({"gopro_dir": "G", "synthesize": True}, "--synthesize blurs sharp photographs"),
        ({"synthesize": True}, "--synthesize blurs sharp photographs"),
        ({"blur_kind": "blur"}, "--blur_kind says which blur real pairs hold"),
        ({"sharp_dir": "S", "synthesize": True, "blur_kind": "blur"}, "--blur_kind says which blur real pairs hold"),
        ({"blur_dir": "B"}, "--blur_dir=B needs --sharp_dir"),
        ({"sharp_dir": "S"}, "--sharp_dir=S needs --blur_dir beside it, or --synthesize"),
        ({"blur_dir": "B", "synthesize": True}, "--synthesize blurs sharp photographs"),
        ({"blur_dir": "B", "sharp_dir": "S", "synthesize": True}, "--synthesize blurs sharp photographs"),
        ({"dataset": "gopro"}, "--dataset and --manual_dir belong together"),
        ({"manual_dir": "M"}, "--dataset and --manual_dir belong together"),
        ({"seed": -1}, "--seed=-1"),
        ({"data_dir": "/nowhere"}, "--data_dir=/nowhere: no such folder"),
    ],
)
def test_flags_that_mean_nothing_together_are_refused(tiny_config, flags, words):
    with pytest.raises(DeblurError) as caught:
        runner.make_source(tiny_config, "train", **flags)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_two_folders(tiny_config, pair_folders):
    blur_dir, sharp_dir = pair_folders
    source = runner.make_source(tiny_config, "train", blur_dir=str(blur_dir), sharp_dir=str(sharp_dir))
    assert source.names == ("a", "b", "c")
    np.testing.assert_array_equal(source.pair(1)[0], read_image(blur_dir / "b.png"))
    np.testing.assert_array_equal(source.pair(1)[1], read_image(sharp_dir / "b.png"))
    assert source.description["blur_kind"] == "blur"


def test_the_blur_kind_is_the_configurations_unless_the_flag_says(tiny_config, tmp_path, make_pairs):
    for kind, names in (("blur", ["000001"]), ("blur_gamma", ["000001"])):
        made = make_pairs(tmp_path / kind, names)
        folder = tmp_path / "gopro" / "train" / "seq"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(tmp_path / kind / "blur", folder / kind)
        shutil.copytree(tmp_path / kind / "sharp", folder / "sharp", dirs_exist_ok=True)
    write_image(folder / "blur_gamma" / "000001.png", made["000001"][0] // 2)
    root = str(tmp_path / "gopro")
    linear = runner.make_source(tiny_config, "train", gopro_dir=root)
    gamma = runner.make_source(tiny_config, "train", gopro_dir=root, blur_kind="blur_gamma")
    np.testing.assert_array_equal(linear.pair(0)[0] // 2, gamma.pair(0)[0])
    assert [s.description["blur_kind"] for s in (linear, gamma)] == ["blur", "blur_gamma"]
    tiny_config.blur_kind = "blur_gamma"
    assert runner.make_source(tiny_config, "train", gopro_dir=root).description["blur_kind"] == "blur_gamma"


def test_sharp_photographs_take_the_configurations_shake(tiny_config, pair_folders):
    tiny_config.shake_length = (5.0, 5.0)
    tiny_config.shake_noise = 2.0
    source = runner.make_source(tiny_config, "train", sharp_dir=str(pair_folders[1]), synthesize=True)
    assert source.names == ("a", "b", "c")
    assert source.shake.length == (5.0, 5.0) and source.shake.noise == 2.0
    assert source.description["blur_kind"] == "synthesized"


def test_nothing_is_the_embedded_photographs(tiny_config):
    train = runner.make_source(tiny_config, "train")
    test = runner.make_source(tiny_config, "test")
    assert train.description["source"] == test.description["source"] == "embedded"
    assert "astronaut" in train.names and len(set(train.names)) == len(train)
    # each test photograph under several shakes, and none of them trained on
    assert len(test) == runner.EMBEDDED_SHAKES * len({name.split("/")[0] for name in test.names})
    assert not {name.split("/")[0] for name in test.names} & set(train.names)


# ----------------------------------------------------------------------------------------- train


@pytest.mark.parametrize(
    "override, words",
    [
        (
            {"augmentation": "flip"},
            "--config.augmentation=flip: choose none, horizontal_flips, flips, flips_and_rotations",
        ),
        ({"grad_clip_mode": "l2"}, "--config.grad_clip_mode=l2: choose norm, magnitude, value, none"),
        ({"steps": 0}, "--config.steps=0: must be at least 1"),
        ({"batch_size": 0}, "--config.batch_size=0"),
        ({"crop": -16}, "--config.crop=-16"),
        ({"checkpoint_every": 0}, "--config.checkpoint_every=0"),
        ({"log_every": 0}, "--config.log_every=0"),
        ({"seed": -1}, "--config.seed=-1"),
        ({"seed": 2**32}, "--config.seed=4294967296"),
        ({"blur_kind": "gamma"}, "--config.blur_kind=gamma: choose blur, blur_gamma"),
        ({"generator_learning_rate": 0.0}, "--config.generator_learning_rate=0.0"),
        ({"discriminator_learning_rate": -1e-4}, "--config.discriminator_learning_rate=-0.0001"),
        ({"generator_learning_rate": float("nan")}, "--config.generator_learning_rate=nan"),
        ({"decay_power": 0.0}, "--config.decay_power=0.0"),
        ({"ema_decay": 1.0}, "--config.ema_decay=1.0: must lie in 0 .. 1, below 1"),
        ({"ema_decay": -0.1}, "--config.ema_decay=-0.1"),
        ({"widths": (4, 6, 0)}, "--config.widths=(4, 6, 0): must be whole numbers from 1"),
        ({"shake_length": (9.0, 3.0)}, "shake length (9.0, 3.0)"),
        ({"shake_noise": -1.0}, "noise -1.0"),
        (
            {"system": "madm"},
            f"unknown system 'madm': choose from {', '.join(systems.MODULES)}; did you mean madn?",
        ),
        ({"widht": (4, 6, 8)}, "--config.widht: madn has no such setting"),
    ],
)
def test_values_that_cannot_work_are_refused_at_once(tiny_config, tmp_path, override, words):
    source = runner.make_source(tiny_config, "train")
    tiny_config.update(override)
    with pytest.raises(DeblurError) as caught:
        runner.train(tiny_config, str(tmp_path / "run"), source)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name, override, words",
    [
        ("deblurgan/smoke", {"lambda_gp": -1.0}, "--config.lambda_gp=-1.0: must be a number from 0"),
        ("deblurgan/smoke", {"adam_beta1": 1.5}, "--config.adam_beta1=1.5"),
        ("deblurgan/smoke", {"constant_steps": -5}, "--config.constant_steps=-5"),
        ("deblurgan/smoke", {"vgg_feature_scale": 0.0}, "--config.vgg_feature_scale=0.0: must be a number above 0"),
        ("deblurgan/smoke", {"discriminator_width": 0}, "--config.discriminator_width=0"),
        ("two_way/smoke", {"widths": (8, 12, 16.5)}, "--config.widths=(8, 12, 16.5): must be whole numbers"),
    ],
)
def test_settings_of_other_systems_are_checked_too(name, override, words):
    config = load_experiment(name)
    with config.ignore_type():
        config.update(override)
    with pytest.raises(DeblurError) as caught:
        runner.check_config(config)
    assert words in str(caught.value)


def test_a_rate_may_stay_constant_beyond_the_end():
    config = load_experiment("deblurgan/smoke")
    config.steps = 1
    assert config.constant_steps > config.steps
    runner.check_config(config)


@pytest.mark.parametrize("key", ["system", "crop", "shake_noise", "widths", "lambda_adv", "grad_clip_mode"])
def test_a_configuration_that_lacks_a_setting_is_refused(tiny_config, key):
    del tiny_config[key]
    with pytest.raises(DeblurError, match=f"the configuration lacks '{key}'"):
        runner.check_config(tiny_config)


EXPERIMENTS = pathlib.Path(__file__).parents[1] / "experiments"


@pytest.mark.parametrize(
    "name", sorted(path.relative_to(EXPERIMENTS).as_posix() for path in EXPERIMENTS.glob("*/*.py"))
)
def test_the_configurations_that_ship_pass_the_check(name):
    runner.check_config(runpy.run_path(str(EXPERIMENTS / name))["get_config"]())


@pytest.mark.parametrize("preset, rate", [("paper", 1e-3), ("stable", 1e-4)])
def test_the_presets_of_improved_deblurgan(preset, rate):
    make = runpy.run_path(str(EXPERIMENTS / "improved_deblurgan" / "gopro.py"))["get_config"]
    assert make(preset).learning_rate == rate and make(preset).vgg_weights == "imagenet"
    with pytest.raises(ValueError, match="choose paper, stable"):
        make("other")


def test_the_variants_of_structures_guided_change_one_thing_each():
    expected = {
        "full": {},
        "no_content": {"alpha": (10.0, 0.0)},
        "no_gradient": {"beta": (1.0, 0.0)},
        "no_rgcl": {"without": ("nothing", "rgcl")},
        "no_mbrbs": {"without": ("nothing", "mbrbs")},
        "no_gradient_net": {"without": ("nothing", "gradient_net")},
    }
    for name in ("gopro", "embedded"):
        make = runpy.run_path(str(EXPERIMENTS / "structures_guided" / f"{name}.py"))["get_config"]
        whole = make().to_dict()
        for variant, changes in expected.items():
            config = make(variant).to_dict()
            assert {key: (whole[key], config[key]) for key in whole if whole[key] != config[key]} == changes, variant
        with pytest.raises(ValueError, match="choose full, no_content"):
            make("other")


@pytest.mark.parametrize("name", ["gopro", "embedded"])
def test_the_self_ensembles_configurations_fit_the_egnet_they_build_on(name):
    folder = EXPERIMENTS / "egnet"
    make = runpy.run_path(str(folder / f"ensemble_{name}.py"))["get_config"]
    egnet = runpy.run_path(str(folder / f"{name}.py"))["get_config"]().to_dict()
    ensemble = make().to_dict()
    own = {"system", "base_system", "fuse", "fuse_width"}
    rate = {"steps", "learning_rate", "warm_up_steps", "checkpoint_every", "log_every", "image_every"}
    assert {key for key in ensemble if ensemble[key] != egnet.get(key)} <= own | rate
    assert ensemble.keys() - own == egnet.keys() - {"system", "stage"}
    mean = make("mean").to_dict()
    assert {key: mean[key] for key in mean if mean[key] != ensemble[key]} == {"fuse": "mean", "steps": 1}
    with pytest.raises(ValueError, match="choose network, mean"):
        make("other")


def test_an_unknown_precision_is_refused(tiny_config, tmp_path):
    source = runner.make_source(tiny_config, "train")
    with pytest.raises(DeblurError, match="--precision=float8: choose auto, float32, mixed_bfloat16"):
        runner.train(tiny_config, str(tmp_path / "run"), source, "float8")


def test_images_below_the_crop_are_refused_with_their_names(tiny_config, pair_folders, tmp_path):
    tiny_config.crop = 64
    source = folder_pairs(*pair_folders)
    with pytest.raises(DeblurError, match=r"a\.png \(48x40\).*smaller than the crop of 64"):
        runner.train(tiny_config, str(tmp_path / "run"), source, "float32")


@pytest.mark.parametrize(
    "override, words",
    [
        ({"crop": 40}, "crop=40: must be a multiple of 32"),
        ({"crop": 48}, "crop=48: must be a multiple of 32"),  # the generator would take it, the critic not
        ({"crop": 40, "use_adv": False, "use_grad_adv": False}, "crop=40: must be a multiple of 16"),
        ({"widths": (4, 6)}, "widths=(4, 6)"),
        ({"num_res_blocks": -1}, "num_res_blocks=-1"),
        ({"discriminator_widths": (4, 4)}, "widths=(4, 4)"),
        ({"discriminator_dense_units": 0}, "dense_units=0"),
    ],
)
def test_networks_that_cannot_be_built_are_one_line(tiny_config, tmp_path, override, words):
    tiny_config.update(override)
    source = runner.make_source(tiny_config, "train")
    with pytest.raises(DeblurError) as caught:
        runner.train(tiny_config, str(tmp_path / "run"), source, "float32")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {"lock"}


def test_a_work_directory_that_cannot_be_made_is_one_line(tiny_config, tmp_path):
    (tmp_path / "file").write_text("")
    source = runner.make_source(tiny_config, "train")
    with pytest.raises(DeblurError, match="--workdir=.*file/run: cannot make that folder"):
        runner.train(tiny_config, str(tmp_path / "file" / "run"), source, "float32")


def test_what_a_training_leaves(trained_run, deterministic_madn):
    left = {path.name for path in trained_run.iterdir()} - {"lock"}
    assert left == {"checkpoints", "config.json", "events", "samples"}
    metadata = json.loads((trained_run / "config.json").read_text())
    assert ml_collections.ConfigDict(metadata["config"]).to_json() == deterministic_madn.to_json()
    assert metadata["precision"] == "float32" and metadata["stack_row"] == ROW
    source = runner.make_source(deterministic_madn, "train")
    assert metadata["data"] == json.loads(json.dumps(source.description))

    # before | after | truth of the first training pair's middle, as nothing was held out
    assert [path.name for path in (trained_run / "samples").iterdir()] == ["step_0000006.png"]
    picture = read_image(trained_run / "samples" / "step_0000006.png")
    blurred, sharp = (middle(image, 4 * 32) for image in source.pair(0))
    width = blurred.shape[1]
    np.testing.assert_array_equal(picture[:, :width], blurred)
    np.testing.assert_array_equal(picture[:, 2 * width :], sharp)
    assert picture.shape == (blurred.shape[0], 3 * width, 3)

    tags = {}
    for file in pathlib.Path(trained_run / "events").iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                tags.setdefault(value.tag, []).append(event.step)
    assert tags["generator/loss"] == [2, 4, 6] and tags["discriminator/loss"] == [2, 4, 6]
    assert tags["before_after_truth"] == [6] and "held_out/psnr" not in tags


def middle(image, side):
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


@pytest.mark.parametrize("ema_decay, weights", [(0.0, "last"), (0.5, "average")])
def test_held_out_pairs_are_scored_shown_and_choose_the_best_weights(
    toy_config, tmp_path, make_pairs, capfd, ema_decay, weights
):
    make_pairs(tmp_path / "train", ["a", "b"])
    pairs = list(make_pairs(tmp_path / "test", [f"{n:02}" for n in range(9)], size=(70, 91)).values())
    source, held_out = (folder_pairs(tmp_path / side / "blur", tmp_path / side / "sharp") for side in ("train", "test"))
    with toy_config.unlocked():
        toy_config.update(crop=8, ema_decay=ema_decay, steps=3, image_every=2, log_every=3)
    runner.train(toy_config, str(tmp_path / "run"), source, "float32", held_out=held_out)

    chosen = [0, 1, 2, 3, 5, 6, 7, 8]  # eight of nine, evenly spaced
    crops = [[middle(image, 32) for image in pairs[index]] for index in chosen]
    blurred_psnr = np.mean([metrics.psnr(*crop) for crop in crops])
    said = capfd.readouterr().err
    assert (
        f"held out: 8 pairs of folders, the 32x32 in their middle; PSNR of the blurred images {blurred_psnr:.2f} dB\n"
        in said
    )
    deblurrer = tfdeblur.load(tmp_path / "run", weights=weights)
    restored = [deblurrer.restore(blurred) for blurred, _ in crops]
    psnr = np.mean([metrics.psnr(after, sharp) for after, (_, sharp) in zip(restored, crops, strict=True)])
    scores = dict(report.read_scalar(tmp_path / "run", "held_out/psnr"))
    assert scores.keys() == {2, 3} and scores[3] == pytest.approx(psnr, abs=1e-3) and scores[2] != scores[3]
    assert report.read_scalar(tmp_path / "run", "held_out/blurred_psnr")[1] == (3, pytest.approx(blurred_psnr))
    picture = read_image(tmp_path / "run" / "samples" / "step_0000003.png")
    row = np.concatenate([crops[0][0], restored[0], crops[0][1]], axis=1)
    # Restored in a batch there and alone here: half a level can be rounded either way.
    assert np.abs(picture.astype(int) - row).max() <= 1
    best = tfdeblur.load(tmp_path / "run", weights="best")
    assert best.path.endswith(f"best/ckpt-{max(scores, key=scores.get)}")
    assert best.metadata["held_out_psnr"] == pytest.approx(max(scores.values()))


def gopro_tree(folder, make_pairs, splits=("train", "test")):
    for split in splits:
        make_pairs(folder / split / "seq", [f"{split}1", f"{split}2"])
    return str(folder)


def test_the_test_split_of_a_trainings_data_is_held_out(tiny_config, tmp_path, make_pairs):
    tree = gopro_tree(tmp_path / "gopro", make_pairs)
    prepared = str(tmp_path / "prepared")
    runner.prepare(runner.sources_to_prepare(tree), prepared)
    for data in ({}, {"gopro_dir": tree}, {"data_dir": prepared}):
        source = runner.make_source(tiny_config, "train", **data)
        held_out = runner.held_out_source(tiny_config, source, **data)
        assert held_out.names == runner.make_source(tiny_config, "test", **data).names
        assert held_out.names and not set(held_out.names) & set(source.names)


def test_training_pairs_are_never_held_out(tiny_config, tmp_path, make_pairs, capfd):
    tree = gopro_tree(tmp_path / "gopro", make_pairs, ["train"])
    folders = {side: str(tmp_path / "gopro" / "train" / "seq" / side) for side in ("blur", "sharp")}
    prepared = str(tmp_path / "prepared")
    runner.prepare(runner.sources_to_prepare(str(tmp_path / "gopro" / "train" / "seq")), prepared)
    sharp = {"sharp_dir": folders["sharp"]}
    for data, words in (
        ({"gopro_dir": tree}, "no held-out PSNR, no best checkpoint: "),
        ({"data_dir": prepared}, "the data have no test split of their own"),
        ({"blur_dir": folders["blur"], **sharp}, "the data have no test split of their own"),
        ({**sharp, "synthesize": True}, "the data have no test split of their own"),
    ):
        source = runner.make_source(tiny_config, "train", **data)
        capfd.readouterr()
        assert runner.held_out_source(tiny_config, source, **data) is None
        said = capfd.readouterr().err
        assert said.startswith("no held-out PSNR, no best checkpoint: ") and words in said and said.count("\n") == 1


def test_scores_of_weights_that_were_chosen_by_them_are_warned_about():
    for weights, trained_on, warned in (("best", "made up", 1), ("last", "made up", 0), ("best", "gopro", 0)):
        metadata = {"data": {"source": trained_on, "blur_kind": "blur"}, "weights": weights}
        results, _ = runner.evaluate(Deblurrer(lambda x: x, metadata), Source({"a": 1}), [level_protocol()])
        assert len(results["warnings"]) == warned and results["weights"] == weights


def test_a_complete_training_says_so(trained_run, deterministic_madn, tmp_path, capfd):
    shutil.copytree(trained_run, tmp_path / "run")
    source = runner.make_source(deterministic_madn, "train")
    cache = str(trained_run.parent / "cache")
    assert runner.train(deterministic_madn, str(tmp_path / "run"), source, "float32", cache) == {}
    assert f"complete: {tmp_path}/run/checkpoints/ckpt-6 is at step 6 of 6\n" in capfd.readouterr().err


def test_resuming_with_other_settings_is_refused_and_changes_nothing(
    trained_run, deterministic_madn, tiny_madn, tmp_path
):
    shutil.copytree(trained_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    same = json.loads(deterministic_madn.to_json())
    other = tiny_madn(**same | {"generator_learning_rate": 3e-4, "steps": 8, "log_every": 1})
    source = runner.make_source(other, "train")
    with pytest.raises(DeblurError) as caught:
        runner.train(other, str(tmp_path / "run"), source, "float32")
    message = str(caught.value)
    assert "generator_learning_rate=0.0001 (now 0.0003), steps=6 (now 8): " in message
    assert "log_every" not in message and "\n" not in message
    with pytest.raises(DeblurError, match=r"precision=float32 \(now mixed_bfloat16\)"):
        runner.train(deterministic_madn, str(tmp_path / "run"), source, "mixed_bfloat16")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before

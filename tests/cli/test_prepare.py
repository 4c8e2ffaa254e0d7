"""`tfdeblur prepare` and `--data_dir`, and what `benchmark input` prints."""

import json

import numpy as np
import pytest

from tests.conftest import QUICK_TRAINING
from tfdeblur.cli.main import main
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.photographs import photograph
from tfdeblur.data.prepared import open_prepared
from tfdeblur.data.shake import Shake


def fails(capsys, argv, *words):
    capsys.readouterr()
    assert main([str(a) for a in argv]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tfdeblur: error: ")]
    assert len(lines) == 1
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def tree(tmp_path):
    """A GOPRO tree: 3 pairs to train, 2 to test, of a photograph and its horizontal mean."""
    for split, count in (("train", 3), ("test", 2)):
        for n in range(count):
            sharp = photograph("chelsea.png")[60 + 10 * n : 100 + 10 * n, 100:148]
            blurred = np.mean([np.roll(sharp, shift, axis=1) for shift in range(-3, 4)], axis=0).astype(np.uint8)
            for kind, image in (("blur", blurred), ("sharp", sharp)):
                path = tmp_path / "gopro" / split / "GOPR0001" / kind / f"{n:06}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_image(path, image)
    return tmp_path / "gopro"


def test_a_tree_is_prepared_once_trained_on_and_scored(tree, tmp_path, capsys):
    out = tmp_path / "prepared"
    assert main(["prepare", str(tree), "--out", str(out)]) == 0
    assert "train 3, test 2" in capsys.readouterr().out
    source = open_prepared(out, "test")
    assert source.names == ("GOPR0001/000000", "GOPR0001/000001")
    np.testing.assert_array_equal(source.pair(1)[1], read_image(tree / "test/GOPR0001/sharp/000001.png"))

    run = str(tmp_path / "run")
    assert main([*QUICK_TRAINING, "--workdir", run, "--data_dir", str(out)]) == 0
    assert not (tmp_path / "run" / "cache").exists(), "nothing is decoded a second time"
    results = tmp_path / "results.json"
    scored = [
        "evaluate",
        "--model",
        run,
        "--data_dir",
        str(out),
        "--protocol",
        "psnr,psnr_float",
        "--out",
        str(results),
    ]
    assert main(scored) == 0
    found = json.loads(results.read_text())
    assert found["images"] == 2 and found["data"]["split"] == "test"
    assert found["metrics"]["psnr"] == pytest.approx(found["metrics"]["psnr_float"], abs=0.1)
    assert found["blurred"]["psnr"] == found["blurred"]["psnr_float"]


def test_the_other_kind_of_blur_is_refused_in_training(tree, tmp_path, capsys):
    for sequence in tree.glob("*/*"):
        (sequence / "blur").rename(sequence / "blur_gamma")
    assert main(["prepare", str(tree), "--out", str(tmp_path / "p"), "--blur_kind", "blur_gamma"]) == 0
    train = [*QUICK_TRAINING, "--workdir", tmp_path / "run", "--data_dir", tmp_path / "p"]
    fails(capsys, train, "hold blur kind 'blur_gamma'", "--blur_kind=blur_gamma")
    assert main([str(a) for a in train] + ["--blur_kind", "blur_gamma"]) == 0


@pytest.mark.slow
def test_sharp_photographs_are_prepared_for_blurring(tree, tmp_path, capsys):
    sharp = tree / "train" / "GOPR0001" / "sharp"
    assert main(["prepare", str(sharp), "--out", str(tmp_path / "p")]) == 0
    train = [*QUICK_TRAINING, "--workdir", tmp_path / "run", "--data_dir", tmp_path / "p"]
    fails(capsys, train, "--synthesize")
    assert main([str(a) for a in train] + ["--synthesize", "--config.shake_length=(3.0,9.0)"]) == 0
    assert len(open_prepared(tmp_path / "p", "train", Shake())) == 3


@pytest.mark.parametrize("names", [("blur", "sharp"), ("input", "target")])
def test_two_folders_in_a_folder_are_pairs(tree, tmp_path, names):
    sequence = tree / "train" / "GOPR0001"
    for old, new in zip(("blur", "sharp"), names, strict=True):
        (sequence / old).rename(sequence / new)
    assert main(["prepare", str(sequence), "--out", str(tmp_path / "p")]) == 0
    assert open_prepared(tmp_path / "p", "test").names == ("000000", "000001", "000002")


def test_one_bad_split_does_not_cost_the_other(tree, tmp_path, capsys):
    bad = tree / "train" / "GOPR0001" / "blur" / "000001.png"
    bad.write_bytes(b"")
    fails(capsys, ["prepare", tree, "--out", tmp_path / "p"], str(bad), "0 bytes")
    assert len(open_prepared(tmp_path / "p", "test")) == 2


@pytest.mark.parametrize("kind", ["blur", "blur_gamma"])
def test_a_folder_around_the_tree_is_the_tree(tree, tmp_path, capsys, kind):
    for sequence in tree.glob("*/*"):
        (sequence / "blur").rename(sequence / kind)
    (tmp_path / "root").mkdir()
    tree.rename(tmp_path / "root" / "GOPRO_Large")
    assert main(["prepare", str(tmp_path / "root"), "--out", str(tmp_path / "p"), "--blur_kind", kind]) == 0
    assert len(open_prepared(tmp_path / "p", "train")) == 3
    if kind == "blur_gamma":  # which is beside sharp no folder of pairs, and no photographs either
        sequence = tmp_path / "root" / "GOPRO_Large" / "train" / "GOPR0001"
        fails(capsys, ["prepare", sequence.parent, "--out", tmp_path / "q"], "holds blur_gamma")


def test_what_cannot_be_prepared_is_one_line(tmp_path, capsys):
    fails(capsys, ["prepare", "nothing", "--out", tmp_path / "p"], "nothing: neither a data set (gopro, ")
    fails(capsys, ["prepare", "--out", tmp_path / "p"], "one SOURCE")
    fails(capsys, ["prepare", "gopro", "--out", tmp_path / "p"], "add --manual_dir")
    fails(capsys, ["prepare", "gopr", "--manual_dir", tmp_path, "--out", tmp_path / "p"], "no such data set", "gopro")


def test_the_input_is_timed_beside_png_decoding(capsys, monkeypatch):
    monkeypatch.setattr("tfdeblur.benchmark._SECONDS", 0.05)
    assert main(["benchmark", "input", "--rounds", "1", "--batch_size", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["batch_size"] == 4 and result["crop"] == 256
    assert set(result["pairs_per_second"]) == {"crops", "crops and targets", "png decoding"}
    assert all(speed > 0 for speed in result["pairs_per_second"].values())

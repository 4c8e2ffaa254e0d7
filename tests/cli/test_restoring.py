"""The flags of tiles and test-time options, as `deblur`, `evaluate` and `benchmark` take them."""

import json

import numpy as np
import pytest

import tfdeblur
from tfdeblur.cli.main import main
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.photographs import photograph


@pytest.fixture
def picture(tmp_path):
    image = photograph("chelsea.png")[60:148, 100:244]
    write_image(str(tmp_path / "a.png"), image)
    return tmp_path / "a.png", image


def refused(capsys, argv, *words):
    assert main([str(argument) for argument in argv]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tfdeblur: error: ")]
    assert all(word in line for word in words), line


@pytest.mark.slow
def test_deblur_in_tiles_and_with_the_options(trained_run, picture, tmp_path, capsys):
    path, image = picture
    for flags, options in (
        (["--tile=64", "--overlap=32"], {"tile": 64, "overlap": 32}),
        (["--tile=0"], {"tile": 0}),
        (["--self_ensemble"], {"self_ensemble": True}),
        (["--scales=1,0.75"], {"scales": (1, 0.75)}),
    ):
        argv = ["deblur", str(path), "--model", str(trained_run), "--out", str(tmp_path / "o"), "--precision=float32"]
        assert main([*argv, *flags]) == 0
        expected = tfdeblur.load(trained_run).configure(**options).restore(image)
        np.testing.assert_array_equal(read_image(str(tmp_path / "o" / "a.png")), expected)


def test_flags_that_make_no_sense(trained_run, picture, tmp_path, capsys):
    argv = ["deblur", picture[0], "--model", trained_run, "--out", tmp_path / "o"]
    refused(capsys, [*argv, "--tile=64", "--overlap=64"], "--tile=64", "128", "--overlap")
    refused(capsys, [*argv, "--scales=1,half"], "--scales=1,half", "numbers")
    refused(capsys, [*argv, "--scales=0"], "--scales=0")
    assert main([*map(str, argv), "--tile=-1"]) == 2


def test_evaluate_says_how_it_restored(trained_run, pair_folders, tmp_path, capsys):
    blurred, sharp = pair_folders
    data = ["--blur_dir", str(blurred), "--sharp_dir", str(sharp), "--blur_kind", "blur", "--protocol", "psnr"]
    scores = {}
    for flags in ([], ["--self_ensemble", "--scales=1,0.5"]):
        argv = ["evaluate", "--model", str(trained_run), *data, "--out", str(tmp_path / "results.json"), *flags]
        assert main(argv) == 0
        results = json.loads((tmp_path / "results.json").read_text())
        scores[len(flags)] = results["metrics"]["psnr"]
    assert results["restoring"] == {
        "tile": None,
        "overlap": tfdeblur.load(trained_run).overlap,
        "self_ensemble": True,
        "scales": [1.0, 0.5],
    }
    assert scores[0] != scores[2]


@pytest.mark.slow
def test_benchmark_of_tiles(trained_run, picture, capsys):
    tiny = ["--config", "madn/smoke", "--config.widths=(4,6,8)", "--config.num_res_blocks=0"]
    argv = ["benchmark", "restoring", *tiny, "--size", "96x160", "--tile=96", "--overlap=32", "--precision=float32"]
    assert main([*argv, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["tiles"] == 2 and result["tile"] == [96, 96] and result["overlap"] == 32
    assert result["seconds"] > 0 and result["most_bytes"] >= result["start_bytes"] > 10**8
    assert main(argv) == 0
    assert "160x96 in float32, 2 tiles of 96x96, overlap 32" in capsys.readouterr().out

    argv = ["benchmark", "seams", str(picture[0]), "--model", str(trained_run), "--precision=float32"]
    assert main([*argv, "--tile=64", "--overlaps=0,32", "--json"]) == 0
    levels = json.loads(capsys.readouterr().out)["levels"]
    assert levels["0"]["largest"] > levels["32"]["largest"]
    refused(capsys, [*argv, "--overlaps=a"], "--overlaps=a")
    refused(capsys, [*argv, "--tile=512"], "name a larger one or a smaller --tile")
    refused(capsys, ["benchmark", "restoring", "--model", str(trained_run)], "--model: only with exports and seams")

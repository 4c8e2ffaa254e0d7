"""`tfdeblur synthesize` as a user meets it: which way was asked for, one line for what is wrong, and the exit code."""

import json
import os

import numpy as np
import pytest

from tfdeblur.cli.synthesize import main
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.photographs import photograph


@pytest.fixture
def folder(tmp_path):
    """16 frames that move by a pixel, 60x40; as good for photographs."""
    image = photograph("coffee.png")
    (tmp_path / "in").mkdir()
    for n in range(16):
        write_image(tmp_path / "in" / f"{n:06d}.png", image[100:140, 200 + n : 260 + n])
    return tmp_path / "in"


def fails(capsys, argv, *words, code=1):
    """`argv` ends with this code and one error line that holds `words`; no traceback."""
    capsys.readouterr()
    assert main([str(a) for a in argv]) == code
    err = capsys.readouterr().err
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("tfdeblur: error: ")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in lines[0], lines[0]


def test_help_tells_the_two_ways(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "tfdeblur synthesize IN --out OUT [FLAGS]" in out
    for flag in ("--frames", "--crf", "--rounding", "--split", "--interpolate", "--kernels", "--gyro", "--exposure"):
        assert flag in out


def test_frames_become_a_gopro_tree(folder, tmp_path, capsys):
    argv = [str(folder), "--out", str(tmp_path / "tree"), "--frames", "8", "--crf", "linear", "--rounding", "truncate"]
    assert main([*argv, "--split", "test", "--sequence", "s1"]) == 0
    sequence = tmp_path / "tree" / "test" / "s1"
    out = capsys.readouterr().out
    assert f"2 pairs in {sequence}" in out and f"look at {sequence / 'contact_blur.jpg'}" in out
    frames = [read_image(folder / f"{n:06d}.png").astype(int) for n in range(8, 16)]
    np.testing.assert_array_equal(read_image(sequence / "blur" / "000002.png"), sum(frames) // 8)
    np.testing.assert_array_equal(read_image(sequence / "sharp" / "000002.png"), frames[4])
    parameters = json.loads((sequence / "synthesis_blur.json").read_text(encoding="utf-8"))["parameters"]
    assert parameters["rounding"] == "truncate" and parameters["frames"] == [8, 8]
    assert main([*argv, "--split", "test", "--sequence", "s1"]) == 0
    assert "2 of them from before" in capsys.readouterr().out


def test_ranges_and_seeds_arrive(folder, tmp_path):
    argv = [str(folder), "--frames", "3..5", "--max_pairs", "3"]
    for seed in ("1", "2"):
        assert main([*argv, "--out", str(tmp_path / seed), "--seed", seed]) == 0
    found = []
    for seed in ("1", "2"):
        path = tmp_path / seed / "train" / "in" / "synthesis_blur_gamma.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["parameters"]["frames"] == [3, 5] and content["parameters"]["seed"] == int(seed)
        found.append([pair["n"] for pair in content["pairs"].values()])
    assert len(found[0]) == len(found[1]) == 3 and found[0] != found[1]


@pytest.mark.parametrize(
    "way, expected",
    [
        (
            ["--shake", "--shake_length=4..6", "--shake_angle=90", "--shake_anxiety=0", "--noise=1.5", "--count=2"],
            {"shake": {"length": [4.0, 6.0], "angle": [90.0, 90.0], "anxiety": 0.0, "noise": 0.0}, "noise": 1.5},
        ),
        (["--kernels", "{k.npz}"], {"noise": 0.0}),
        (
            ["--gyro", "{g.txt}", "--exposure=0.05", "--focal_length=90"],
            {"exposure": [0.05, 0.05], "focal_length": 90.0},
        ),
    ],
)
def test_photographs(way, expected, folder, tmp_path):
    np.savez(tmp_path / "k.npz", k=np.ones((1, 7)))
    lines = [f"{n * 5_000_000} 0.1 {np.sin(n / 9):.6f} 0.2" for n in range(100)]
    (tmp_path / "g.txt").write_text("\n".join(lines))
    way = [str(tmp_path / argument[1:-1]) if argument.startswith("{") else argument for argument in way]
    assert main([str(folder), "--out", str(tmp_path / "out"), *way]) == 0
    parameters = json.loads((tmp_path / "out" / "synthesis.json").read_text(encoding="utf-8"))["parameters"]
    assert {name: parameters[name] for name in expected} == expected
    names = sorted(os.listdir(tmp_path / "out" / "blur"))
    assert names == sorted(os.listdir(tmp_path / "out" / "sharp"))
    assert len(names) == 16 * parameters["count"]
    blurred, sharp = (read_image(tmp_path / "out" / side / names[3]) for side in ("blur", "sharp"))
    assert 0.5 < np.abs(blurred.astype(int) - sharp).mean() < 30


def test_exactly_one_way_must_be_asked_for(folder, tmp_path, capsys):
    argv = [folder, "--out", tmp_path / "out"]
    fails(capsys, argv, "--frames 7..13", "--shake", "--kernels", "--gyro", "none is there")
    fails(capsys, [*argv, "--frames", "8", "--shake"], "--frames and --shake are there")
    fails(capsys, [*argv, "--frames", "8", "--noise", "2"], "--noise", "belongs to --shake")
    fails(capsys, [*argv, "--shake", "--exposure", "1"], "--exposure", "belongs to --gyro")
    fails(capsys, [*argv, "--shake", "--rounding", "truncate"], "--rounding", "belongs to --frames")
    fails(capsys, [*argv, "--kernels", "k.npz", "--shake_length", "4"], "--shake_length", "belongs to --shake")
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_told_in_one_line(folder, tmp_path, capsys):
    out = ["--out", tmp_path / "out"]
    fails(capsys, [folder, "--frames", "8"], "--out must be given", code=2)
    fails(capsys, [folder, *out, "--frames", "8", "--max_pairs", "0"], "max_pairs", code=2)
    fails(capsys, [*out, "--frames", "8"], "one IN is needed, 0")
    fails(capsys, [folder, folder, *out, "--frames", "8"], "one IN is needed, 2")
    fails(capsys, [tmp_path / "none", *out, "--frames", "8"], "none", "no such file or folder")
    for text in ("7-13", "7..", "7.5", "1..2..3", "x"):
        fails(capsys, [folder, *out, f"--frames={text}"], f"--frames={text}", "7..13")
    fails(capsys, [folder, *out, "--shake", "--shake_length=a..b"], "--shake_length=a..b")
    fails(capsys, [folder, *out, "--shake", "--shake_length=9..3"], "shake length")
    fails(capsys, [folder, *out, "--frames", "8", "--crf", "sqrt"], "--crf=sqrt", "gamma2.2")
    fails(capsys, [folder, *out, "--kernels", tmp_path / "none.mat"], "none.mat")
    fails(capsys, [folder, *out, "--gyro", tmp_path / "none.txt"], "none.txt")
    fails(capsys, [folder, *out, "--frames", "8", "--interpolate", "nowhere:f"], "nowhere:f", "package.module:function")
    fails(capsys, [folder / "000001.png", *out, "--frames", "8"], "one picture")
    assert not list((tmp_path / "out").rglob("*.png"))


def test_one_bad_frame_is_told_and_the_exit_code_is_1(folder, tmp_path, capsys):
    (folder / "000003.png").write_bytes(b"")
    fails(capsys, [folder, "--out", tmp_path / "out", "--frames", "4"], "pair 000001", "000003.png", "empty")
    assert len(list((tmp_path / "out").rglob("sharp/*.png"))) == 3


def test_an_out_that_is_a_file(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    fails(capsys, [folder, "--out", tmp_path / "file", "--frames", "4"], "file")
    fails(capsys, [folder, "--out", tmp_path / "file", "--shake"], "file")

"""`tfdeblur inspect` on folders: exit codes, one line for each bad file, the sheet and the JSON."""

import json

import cv2
import numpy as np
import pytest

from tfdeblur.cli.inspect import main
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.photographs import photograph


def soft(image):
    return cv2.blur(image, (9, 1))


@pytest.fixture
def folders(tmp_path):
    """blur and sharp with the pairs a, b and c, 200x150."""
    for folder in ("blur", "sharp"):
        (tmp_path / folder).mkdir()
    for n, name in enumerate("abc"):
        sharp = photograph("coffee.png")[100:250, 60 * n : 60 * n + 200]
        write_image(tmp_path / "sharp" / f"{name}.png", sharp)
        write_image(tmp_path / "blur" / f"{name}.png", soft(sharp))
    return tmp_path


def run(folders, capsys, *more):
    """(exit code, stdout, lines on stderr that start with "warning: " or "tfdeblur: error: ")."""
    capsys.readouterr()
    data = ["--blur_dir", str(folders / "blur"), "--sharp_dir", str(folders / "sharp")]
    code = main([*data, "--out", str(folders / "out" / "sheet.png"), *more])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    lines = captured.err.replace("\r", "\n").splitlines()
    return code, captured.out, [line for line in lines if line.startswith(("warning: ", "tfdeblur: error: "))]


def test_good_pairs(folders, capsys):
    code, out, lines = run(folders, capsys, "--json", str(folders / "out" / "report.json"), "--blur_kind", "blur")
    assert code == 0 and lines == []
    assert "3 pairs" in out and "sheet.png" in out and "report.json" in out
    report = json.loads((folders / "out" / "report.json").read_text())
    assert [row["image"] for row in report["images"]] == ["a", "b", "c"]
    sheet = read_image(folders / "out" / "sheet.png")
    # three rows of three 200x150 pictures in places of 320
    assert sheet.shape == (3 * (24 + 150) + 6, 3 * 326 + 6, 3)
    np.testing.assert_array_equal(sheet[24:174, 332:532], read_image(folders / "sharp" / "a.png"))


def test_grey_and_deep_files_among_others_are_named(folders, capsys):
    grey, deep = folders / "blur" / "a.png", folders / "sharp" / "b.png"
    cv2.imwrite(str(grey), cv2.cvtColor(cv2.imread(str(grey)), cv2.COLOR_BGR2GRAY))
    cv2.imwrite(str(deep), cv2.imread(str(deep)).astype(np.uint16) * 257)
    code, _, lines = run(folders, capsys)
    assert code == 0
    assert f"warning: 1 of 6 images are grey among colour ones: {grey}" in lines
    assert f"warning: 1 of 6 images have 16 bits a channel, reduced to 8: {deep}" in lines


def test_bad_files_are_named_in_a_line_each_and_the_rest_is_shown(folders, capsys):
    blur, sharp = folders / "blur", folders / "sharp"
    (blur / "a.png").write_bytes((blur / "a.png").read_bytes()[:-50])
    (sharp / "b.png").write_bytes(b"")
    for number, name in enumerate(("d", "e")):
        write_image(sharp / f"{name}.png", photograph("chelsea.png")[: 150 + number, :200])
        write_image(blur / f"{name}.png", soft(photograph("chelsea.png")[:150, :200]))
    code, out, lines = run(folders, capsys)
    assert code == 1
    assert len(lines) == 3 and all(line.startswith("tfdeblur: error: ") for line in lines)
    assert str(blur / "a.png") in lines[0] and "cut off" in lines[0]
    assert str(sharp / "b.png") in lines[1] and "empty" in lines[1]
    assert "200x150" in lines[2] and "200x151" in lines[2]
    assert "5 pairs" in out
    assert read_image(folders / "out" / "sheet.png").shape[0] == 3 * 42 + 2 * 174 + 6


def test_suspicious_pairs_are_warnings_and_no_failure(folders, capsys):
    image = read_image(folders / "sharp" / "b.png")
    write_image(folders / "blur" / "b.png", image)
    write_image(folders / "blur" / "c.png", read_image(folders / "sharp" / "c.png"))
    write_image(folders / "sharp" / "c.png", soft(read_image(folders / "blur" / "c.png")))
    code, _, lines = run(folders, capsys)
    assert code == 0 and len(lines) == 2
    assert "same picture" in lines[0] and "pairs: b" in lines[0] and "exchanged" in lines[1] and "pairs: c" in lines[1]


@pytest.mark.parametrize("trouble", ["folder", "twice", "lonely", "not UTF-8"])
def test_names_that_make_no_pairs_are_one_line(folders, capsys, trouble):
    if trouble == "folder":
        (folders / "blur" / "z.png").mkdir()
    elif trouble == "twice":
        write_image(folders / "blur" / "a.jpg", photograph("coffee.png"))
    elif trouble == "lonely":
        (folders / "sharp" / "b.png").unlink()
    else:
        for folder in ("blur", "sharp"):
            try:
                (folders / folder / b"\xff.png".decode("utf-8", "surrogateescape")).write_bytes(b"x")
            except OSError:
                pytest.skip("this file system has UTF-8 names only")
    code, _, lines = run(folders, capsys)
    words = {"folder": "z.png", "twice": "a.jpg beside a.png", "lonely": "no partner", "not UTF-8": "not UTF-8"}
    assert code == 1 and len(lines) == 1 and words[trouble] in lines[0]
    assert not (folders / "out" / "sheet.png").exists()


def test_sample_and_count(folders, capsys):
    code, out, _ = run(folders, capsys, "--sample", "2", "--count", "1")
    assert code == 0 and "2 of 3 pairs" in out
    assert read_image(folders / "out" / "sheet.png").shape[0] == 24 + 150 + 6


def test_refusals_before_anything_is_read(folders, capsys):
    (folders / "sharp" / "a.png").write_bytes(b"")
    code, _, (line,) = run(folders, capsys, "--out", str(folders / "sheet.txt"))
    assert code == 1 and "sheet.txt" in line
    assert main(["--sample", "0"]) == 2
    assert main([]) == 2
    assert "--out" in capsys.readouterr().err

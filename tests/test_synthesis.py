"""Pairs made from frames and photographs: what is written, what resuming does, and what stops it."""

import errno
import json
import os

import numpy as np
import pytest

from tfdeblur import synthesis
from tfdeblur.data import gyro
from tfdeblur.data.frames import average, windows
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.layouts import gopro_pairs, match_folders
from tfdeblur.data.photographs import photograph
from tfdeblur.data.response import GAMMA_2_2, LINEAR
from tfdeblur.data.shake import NOISE, Shake, blur, generator
from tfdeblur.errors import DeblurError
from tfdeblur.synthesis import GivenKernels, GyroShake, Shaken, from_frames, from_photographs

SHAKE = Shaken(Shake(length=(3.0, 9.0)))


@pytest.fixture(scope="module")
def frames():
    """30 frames of a photograph that moves by a pixel from one to the next, 64x48."""
    image = photograph("coffee.png")
    return [np.ascontiguousarray(image[100:148, 200 + n : 264 + n]) for n in range(30)]


@pytest.fixture
def folder(frames, tmp_path):
    """A folder scene of these frames, 0001.png to 0030.png."""
    (tmp_path / "scene").mkdir()
    for number, frame in enumerate(frames, 1):
        write_image(tmp_path / "scene" / f"{number:04d}.png", frame)
    return tmp_path / "scene"


@pytest.fixture
def photographs(tmp_path):
    """A folder of a.png, b.jpg and sub/c.png."""
    image = photograph("chelsea.png")
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.jpg", "sub/c.png")):
        write_image(tmp_path / "photos" / name, image[40 * number : 40 * number + 50, 100:160])
    return tmp_path / "photos"


def refusal(function, *arguments, **settings):
    with pytest.raises(DeblurError) as caught:
        function(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def recorded(folder, name="synthesis.json"):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def contents(folder):
    """{relative path: bytes} of all files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------------------------------------- frames


def test_a_gopro_tree_with_its_json_and_contact_sheet(folder, frames, tmp_path):
    made = from_frames(folder, tmp_path / "tree", lengths=(5, 9), split="test", seed=3)
    sequence = tmp_path / "tree" / "test" / "scene"
    assert made.folder == str(sequence) and made.failures == [] and made.before == 0
    # every window that fits, and nothing else
    expected = []
    for start, length in windows(5, 9, seed=3):
        if start + length > len(frames):
            break
        expected.append((start, length))
    pairs = gopro_pairs(tmp_path / "tree", "test", "blur_gamma")
    assert [name for name, _, _ in pairs] == [f"scene/{n + 1:06d}" for n in range(len(expected))]
    assert made.pairs == len(pairs) >= 3
    content = recorded(sequence, "synthesis_blur_gamma.json")
    for (name, blurred, sharp), (start, length) in zip(pairs, expected, strict=True):
        slow_blurred, slow_sharp = average(frames[start : start + length], GAMMA_2_2)
        np.testing.assert_array_equal(read_image(blurred), slow_blurred)
        np.testing.assert_array_equal(read_image(sharp), slow_sharp)
        assert content["pairs"][name.split("/")[1]] == {
            "n": length,
            "first": f"{start + 1:04d}.png",
            "sharp": f"{start + length // 2 + 1:04d}.png",
            "last": f"{start + length:04d}.png",
        }
    assert content["parameters"] == {
        "source": str(folder),
        "frames": [5, 9],
        "truth": "frame n // 2 of n, counted from 0",
        "rounding": "round",
        "interpolate": None,
        "between": 0,
        "seed": 3,
        "crf": {"name": "gamma2.2"},
    }
    assert content["complete"] and content["left_out"] == [] and content["fps"] is None
    assert made.sheet == str(sequence / "contact_blur_gamma.jpg")
    assert read_image(made.sheet).shape[1] > 2 * 64


def test_both_kinds_of_blur_share_their_truths(folder, frames, tmp_path):
    for crf in ("gamma2.2", "linear"):
        from_frames(folder, tmp_path, lengths=(6, 6), crf=crf, rounding="truncate", sequence="s")
    for kind, curve in (("blur", LINEAR), ("blur_gamma", GAMMA_2_2)):
        pairs = gopro_pairs(tmp_path, "train", kind)
        assert len(pairs) == 5
        np.testing.assert_array_equal(read_image(pairs[1][1]), average(frames[6:12], curve, "truncate")[0])
    np.testing.assert_array_equal(read_image(pairs[1][2]), frames[9])
    # not with other windows or another rounding: the truths would differ
    other = {"lengths": (6, 6), "crf": "linear", "sequence": "s"}
    assert "rounding=truncate (now round)" in refusal(from_frames, folder, tmp_path, **other)
    from_frames(folder, tmp_path, lengths=(6, 6), sequence="t")
    message = refusal(from_frames, folder, tmp_path, lengths=(6, 6), crf="linear", seed=1, sequence="t")
    assert "synthesis_blur_gamma.json" in message and "seed=0 (now 1)" in message


def test_the_same_again_does_nothing_and_completes_what_is_missing(folder, tmp_path):
    from_frames(folder, tmp_path / "whole", lengths=(4, 7))
    whole = contents(tmp_path / "whole" / "train" / "scene")
    part = tmp_path / "part" / "train" / "scene"
    assert from_frames(folder, tmp_path / "part", lengths=(4, 7), max_pairs=2).pairs == 2
    stamps = {path: path.stat().st_mtime_ns for path in part.rglob("*.png")}
    made = from_frames(folder, tmp_path / "part", lengths=(4, 7))
    assert made.before == 2 and contents(part) == whole
    (part / "sharp" / "000003.png").unlink()
    (part / "synthesis_blur_gamma.json").write_text(
        json.dumps({**recorded(part, "synthesis_blur_gamma.json"), "pairs": {}}), encoding="utf-8"
    )  # as after a kill
    made = from_frames(folder, tmp_path / "part", lengths=(4, 7))
    assert made.before == made.pairs - 1 and contents(part) == whole
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()), "finished pairs are left alone"


def test_other_parameters_are_refused_unless_nothing_is_there(folder, tmp_path):
    from_frames(folder, tmp_path, lengths=(5, 5))
    before = contents(tmp_path / "train")
    for change, words in (
        ({"lengths": (5, 6)}, "frames=[5, 5] (now [5, 6])"),
        ({"rounding": "truncate"}, "rounding=round (now truncate)"),
        ({"seed": 9}, "seed=0 (now 9)"),
    ):
        assert words in refusal(from_frames, folder, tmp_path, **{"lengths": (5, 5), **change})
    assert contents(tmp_path / "train") == before
    for image in (tmp_path / "train" / "scene" / "blur_gamma").iterdir():
        image.unlink()
    assert from_frames(folder, tmp_path, lengths=(5, 5), rounding="truncate").pairs == 6


def test_no_blur_gets_the_truth_of_another_window(folder, tmp_path):
    """Truths of an earlier run lie there, under the same numbers."""
    from_frames(folder, tmp_path, lengths=(5, 5))
    scene = tmp_path / "train" / "scene"
    for image in (scene / "blur_gamma").iterdir():
        image.unlink()
    from_frames(folder, tmp_path, lengths=(3, 3), crf="linear")
    for name, entry in recorded(scene, "synthesis_blur.json")["pairs"].items():
        truth = read_image(scene / "sharp" / f"{name}.png")
        np.testing.assert_array_equal(truth, read_image(folder / entry["sharp"]))


def test_the_other_kind_of_blur_of_other_frames_is_refused(folder, tmp_path):
    from_frames(folder, tmp_path, lengths=(5, 5))
    for frame in sorted(folder.iterdir())[:2]:
        frame.unlink()
    before = contents(tmp_path / "train")
    assert "has changed" in refusal(from_frames, folder, tmp_path, **{"lengths": (5, 5), "crf": "linear"})
    assert {name: data for name, data in contents(tmp_path / "train").items() if name in before} == before


def test_folders_of_somebody_else_are_left_alone(folder, tmp_path):
    foreign = tmp_path / "out" / "train" / "scene" / "sharp"
    foreign.mkdir(parents=True)
    write_image(foreign / "000001.png", np.zeros((4, 4, 3), np.uint8))
    before = contents(tmp_path / "out")
    assert "not made here" in refusal(from_frames, folder, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    (tmp_path / "out" / "train" / "scene" / "synthesis_blur_gamma.json").write_text("{", encoding="utf-8")
    assert "damaged" in refusal(from_frames, folder, tmp_path / "out")


def test_bad_frames_spoil_their_windows_alone_and_can_be_mended(folder, frames, tmp_path):
    whole = (folder / "0008.png").read_bytes()
    (folder / "0008.png").write_bytes(whole[:-30])
    (folder / "0022.png").write_bytes(b"")
    made = from_frames(folder, tmp_path / "out", lengths=(5, 5))
    sequence = tmp_path / "out" / "train" / "scene"
    assert sorted(os.listdir(sequence / "sharp")) == [f"{n:06d}.png" for n in (1, 3, 4, 6)]
    assert sorted(os.listdir(sequence / "blur_gamma")) == sorted(os.listdir(sequence / "sharp"))
    assert len(made.failures) == 2
    assert "pair 000002" in made.failures[0] and "0008.png" in made.failures[0] and "cut off" in made.failures[0]
    assert "pair 000005" in made.failures[1] and "0022.png" in made.failures[1] and "empty" in made.failures[1]
    content = recorded(sequence, "synthesis_blur_gamma.json")
    assert content["left_out"] == made.failures and not content["complete"]

    (folder / "0008.png").write_bytes(whole)
    write_image(folder / "0022.png", frames[21])
    made = from_frames(folder, tmp_path / "out", lengths=(5, 5))
    assert made.pairs == 6 and made.before == 4 and made.failures == []


def test_frames_that_changed_their_places_are_noticed_before_anything_is_made(folder, tmp_path):
    from_frames(folder, tmp_path / "out", lengths=(5, 5), max_pairs=3)
    before = contents(tmp_path / "out")
    (folder / "0002.png").unlink()
    message = refusal(from_frames, folder, tmp_path / "out", lengths=(5, 5))
    assert "pair 000001" in message and "the input has changed" in message
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    "stop", [DeblurError("x.png: cannot be written (No space left on device)"), KeyboardInterrupt()]
)
def test_what_is_made_survives_a_full_disk_and_ctrl_c(folder, tmp_path, monkeypatch, stop, capsys):
    from_frames(folder, tmp_path / "whole", lengths=(5, 5))

    def write(path, image):
        if path.name == "000003.png" and path.parent.name == "sharp":
            raise stop
        write_image(path, image)

    monkeypatch.setattr(synthesis, "write_image", write)
    with pytest.raises(type(stop)) as caught:
        from_frames(folder, tmp_path / "out", lengths=(5, 5))
    told = str(caught.value) if isinstance(stop, DeblurError) else capsys.readouterr().err
    assert "holds 2 pairs; the same command goes on" in told
    sequence = tmp_path / "out" / "train" / "scene"
    assert list(recorded(sequence, "synthesis_blur_gamma.json")["pairs"]) == ["000001", "000002"]
    monkeypatch.undo()
    assert from_frames(folder, tmp_path / "out", lengths=(5, 5)).before == 2
    assert contents(sequence) == contents(tmp_path / "whole" / "train" / "scene")


def test_no_json_is_half_written(folder, tmp_path, monkeypatch):
    from_frames(folder, tmp_path, lengths=(5, 5), max_pairs=2)
    sequence = tmp_path / "train" / "scene"
    before = (sequence / "synthesis_blur_gamma.json").read_bytes()

    def replace(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(synthesis.os, "replace", replace)
    assert "No space left" in refusal(from_frames, folder, tmp_path, lengths=(5, 5))
    assert (sequence / "synthesis_blur_gamma.json").read_bytes() == before
    assert not list(sequence.glob(".*"))


def test_a_disk_that_is_too_small_is_told_before(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 20_000})())
    message = refusal(from_frames, folder, tmp_path, lengths=(5, 5))
    assert "MB are needed" in message and "--max_pairs" in message and not (tmp_path / "train").exists()
    assert from_frames(folder, tmp_path, lengths=(5, 5), max_pairs=1).pairs == 1  # 2 * 3 * 64 * 48 / 2 bytes


def test_frames_between_go_into_the_average(folder, frames, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "held_frames.py").write_text("def held(first, second, count): return [second] * count\n")
    from_frames(folder, tmp_path, lengths=(3, 3), crf="linear", interpolate="held_frames:held", between=2, max_pairs=1)
    expected = np.rint((frames[0] + 3.0 * frames[1] + 3.0 * frames[2]) / 7)
    np.testing.assert_array_equal(read_image(tmp_path / "train" / "scene" / "blur" / "000001.png"), expected)
    parameters = recorded(tmp_path / "train" / "scene", "synthesis_blur.json")["parameters"]
    assert parameters["interpolate"] == "held_frames:held" and parameters["between"] == 2


def test_ghosts_odd_frames_and_short_folders_are_told(folder, tmp_path, capsys):
    image = photograph("coffee.png")
    for number in range(1, 31):  # 12 pixels a frame: what a slow camera films
        write_image(folder / f"{number:04d}.png", np.roll(image, -12 * number, axis=1)[100:300, 200:400])
    from PIL import Image

    Image.open(folder / "0004.png").convert("L").save(folder / "0004.png")
    from_frames(folder, tmp_path, lengths=(10, 10))
    err = capsys.readouterr().err
    assert "in 3 of 3 pairs" in err and "--interpolate" in err and "MB are free" in err
    assert "1 of 30 images are grey" in err and "0004.png" in err
    assert "30 frames, the first pair takes 31" in refusal(from_frames, folder, tmp_path / "new", lengths=(31, 31))


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"lengths": (1, 4)}, "--frames=1..4"),
        ({"lengths": (5, 4)}, "--frames=5..4"),
        ({"seed": -1}, "--seed=-1"),
        ({"between": 0}, "--between=0"),
        ({"crf": "gama"}, "--crf=gama"),
        ({"sequence": "a/b"}, "--sequence=a/b"),
        ({"sequence": ".a"}, "--sequence=.a"),
    ],
)
def test_settings_that_mean_nothing(settings, words, folder, tmp_path):
    assert words in refusal(from_frames, folder, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_results_never_land_among_the_inputs(folder, photographs, tmp_path):
    assert "away from the input" in refusal(from_frames, folder, folder)
    assert "away from the input" in refusal(from_photographs, photographs, photographs, SHAKE)
    from_photographs(photographs, tmp_path / "out", SHAKE)
    assert "away from the input" in refusal(from_photographs, tmp_path / "out" / "sharp", tmp_path / "out", SHAKE)
    assert "away from the input" in refusal(
        from_photographs, tmp_path / "out" / "sharp" / "a.png", tmp_path / "out", SHAKE
    )


def test_a_video(frames, tmp_path, capsys):
    import cv2

    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 240, (64, 48))
    for frame in frames:
        writer.write(frame[..., ::-1].copy())
    writer.release()
    made = from_frames(path, tmp_path / "out", lengths=(7, 7))
    sequence = tmp_path / "out" / "train" / "clip"
    assert made.pairs == 4 and made.failures == []
    for number, (_, blurred, sharp) in enumerate(gopro_pairs(tmp_path / "out", "train", "blur_gamma")):
        exact_blurred, exact_sharp = average(frames[7 * number : 7 * number + 7], GAMMA_2_2)
        assert np.abs(read_image(blurred).astype(int) - exact_blurred).mean() < 6  # JPEG
        assert np.abs(read_image(sharp).astype(int) - exact_sharp).mean() < 6
    content = recorded(sequence, "synthesis_blur_gamma.json")
    assert content["fps"] == 240 and content["pairs"]["000002"] == {"n": 7, "first": 7, "sharp": 10, "last": 13}
    assert content["parameters"]["bytes"] == os.path.getsize(path)
    capsys.readouterr()
    assert from_frames(path, tmp_path / "out", lengths=(7, 7)).before == 4
    assert "complete" in capsys.readouterr().err

    with open(path, "rb") as file:
        data = file.read()
    with open(tmp_path / "cut.avi", "wb") as file:
        file.write(data[: len(data) // 2])
    made = from_frames(str(tmp_path / "cut.avi"), tmp_path / "out", lengths=(4, 4))
    assert 1 <= made.pairs <= 5 and "of the 30 frames" in made.failures[0]
    made = from_frames(str(tmp_path / "cut.avi"), tmp_path / "out", lengths=(29, 29), sequence="none")
    assert made.pairs == 0 and made.sheet is None and "of the 30 frames" in made.failures[0]


# ----------------------------------------------------------------------------------------------- photographs


def test_shaken_photographs(photographs, tmp_path):
    made = from_photographs(photographs, tmp_path / "out", SHAKE, noise=2.0, seed=4)
    assert made.pairs == 3 and made.failures == []
    pairs = match_folders(tmp_path / "out" / "blur", tmp_path / "out" / "sharp")
    assert [name for name, _, _ in pairs] == ["a", "b", "sub/c"]
    content = recorded(tmp_path / "out")
    with np.load(tmp_path / "out" / "kernels.npz") as kernels:
        for (name, blurred, sharp), source in zip(pairs, ("a.png", "b.jpg", "sub/c.png"), strict=True):
            np.testing.assert_array_equal(read_image(sharp), read_image(photographs / source))
            rng = generator(4, synthesis._key(name), 0, NOISE)
            np.testing.assert_array_equal(read_image(blurred), blur(read_image(sharp), kernels[name], rng, 2.0))
            entry = content["pairs"][name]
            assert entry["kernel"] == name and entry["kernel_size"] == list(kernels[name].shape)
            assert entry["size"] == [50, 60] and entry["photograph"] == os.path.basename(source)
        assert len({kernel.tobytes() for kernel in kernels.values()}) == 3
    parameters = content["parameters"]
    assert parameters["shake"]["length"] == [3.0, 9.0] and parameters["noise"] == 2.0 and parameters["seed"] == 4
    assert parameters["crf"] == {"name": "gamma2.2"} and parameters["rounding"] == "round"
    assert made.sheet == str(tmp_path / "out" / "contact_blur.jpg")


def test_a_pair_depends_on_seed_name_and_number_alone(photographs, tmp_path):
    from_photographs(photographs, tmp_path / "all", SHAKE, count=2, noise=1.0)
    assert sorted(os.listdir(tmp_path / "all" / "blur")) == ["a_1.png", "a_2.png", "b_1.png", "b_2.png", "sub"]
    from_photographs(photographs, tmp_path / "other", SHAKE, count=2, noise=1.0, seed=1)
    (photographs / "a.png").unlink()
    from_photographs(photographs, tmp_path / "rest", SHAKE, count=2, noise=1.0)
    every, rest, other = (contents(tmp_path / name / "blur") for name in ("all", "rest", "other"))
    assert rest == {name: data for name, data in every.items() if not name.startswith("a")}
    assert every["b_1.png"] != every["b_2.png"] != other["b_2.png"]
    # A photograph that has gone keeps its pairs, its entry and its kernels.
    made = from_photographs(photographs, tmp_path / "all", SHAKE, count=2, noise=1.0)
    assert made.pairs == 6 and made.before == 4 and contents(tmp_path / "all" / "blur") == every
    with np.load(tmp_path / "all" / "kernels.npz") as kernels:
        assert {"a_1", "a_2", "sub/c_2"} < set(kernels)


def test_given_kernels_take_turns(photographs, tmp_path, capsys):
    path = str(tmp_path / "k.npz")
    arrow = np.float32([[1, 0, 0], [0, 2, 3], [0, 0, 4]])
    cross = np.float32([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    np.savez(path, arrow=arrow, cross=cross, row=np.ones((1, 5)))
    blurrer = GivenKernels(path)
    warned = capsys.readouterr().err
    assert "arrow by 0.6" in warned and "cross" not in warned
    from_photographs(photographs, tmp_path / "out", blurrer, crf="linear", count=3)
    content = recorded(tmp_path / "out")
    for name in ("a", "b", "sub/c"):
        used = [content["pairs"][f"{name}_{n}"]["kernel"] for n in (1, 2, 3)]
        assert sorted(used) == ["arrow", "cross", "row"]
    assert len({content["pairs"][f"{name}_{1}"]["kernel"] for name in ("a", "b", "sub/c")}) > 1, "not all start alike"
    assert content["parameters"]["normalised"]["arrow"] == {"size": [3, 3], "moves_right_and_down": [0.6, 0.3]}
    assert content["parameters"]["kernels"]["name"] == "k.npz"
    sharp = read_image(tmp_path / "out" / "sharp" / "a_2.png")
    with np.load(tmp_path / "out" / "kernels.npz") as kernels:
        assert sorted(kernels) == ["arrow", "cross", "row"]
        np.testing.assert_allclose(kernels["arrow"], arrow / 10, rtol=1e-6)
        expected = blur(sharp, kernels[content["pairs"]["a_2"]["kernel"]], response=LINEAR)
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "blur" / "a_2.png"), expected)


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "gyro.txt"
    times = np.arange(1000) * 4_757_000 + 250_000_000_000_000
    rates = np.sin(np.arange(1000)[:, None] / [7, 11, 13])
    path.write_text("".join(f"{t} {x:.9f} {y:.9f} {z:.9f}\n" for t, (x, y, z) in zip(times, rates, strict=True)))
    return str(path)


def test_a_gyroscope_trace(photographs, trace, tmp_path):
    made = from_photographs(photographs, tmp_path / "out", GyroShake(trace, (0.05, 0.1), 200.0))
    assert made.pairs == 3 and not (tmp_path / "out" / "kernels.npz").exists()
    content = recorded(tmp_path / "out")
    entry = content["pairs"]["b"]
    assert 0.05 <= entry["exposure"] <= 0.1 and entry["focal_length"] == 200.0
    # From what the JSON says the blurred image can be made again.
    recording = gyro.read_trace(trace)
    start = (entry["start_ns"] - recording.start) / 1e9
    homographies = recording.homographies(start, entry["exposure"], *entry["size"], entry["focal_length"])
    assert len(homographies) == entry["samples"]
    sharp = read_image(tmp_path / "out" / "sharp" / "b.png")
    again = gyro.blur_by_homographies(sharp, homographies)
    assert np.abs(read_image(tmp_path / "out" / "blur" / "b.png").astype(int) - again).max() <= 1
    assert [entry["blur_pixels"]["centre"], *entry["blur_pixels"]["corners"]] == pytest.approx(
        gyro.extents(homographies, *entry["size"]), abs=0.01
    )
    assert content["parameters"]["truth"].startswith("mean pose")
    assert len({pair["start_ns"] for pair in content["pairs"].values()}) == 3

    from_photographs(photographs, tmp_path / "phone", GyroShake(trace, (0.03, 0.03)))
    entry = recorded(tmp_path / "phone")["pairs"]["a"]
    assert entry["focal_length"] == pytest.approx(26 / 43.27 * np.hypot(50, 60)) and entry["exposure"] == 0.03


@pytest.mark.parametrize(
    "exposure, focal_length, words",
    [
        ((0.0, 0.1), None, "--exposure"),
        ((0.2, 0.1), None, "--exposure"),
        ((0.1, float("nan")), None, "--exposure"),
        ((0.1, 60.0), None, "--exposure=60"),
        ((0.1, 0.1), 0.0, "--focal_length=0"),
    ],
)
def test_exposures_that_mean_nothing(trace, exposure, focal_length, words):
    assert words in refusal(GyroShake, trace, exposure, focal_length)


def test_stopped_photographs_go_on(photographs, trace, tmp_path, monkeypatch):
    def blurrer():
        return GyroShake(trace, (0.05, 0.1), 200.0)

    from_photographs(photographs, tmp_path / "whole", blurrer())

    def write(path, image):
        if path.name == "b.png" and path.parent.name == "blur":
            raise DeblurError(f"{path}: cannot be written (No space left on device)")
        write_image(path, image)

    monkeypatch.setattr(synthesis, "write_image", write)
    assert "No space" in refusal(from_photographs, photographs, tmp_path / "out", blurrer())
    monkeypatch.undo()
    content = {**recorded(tmp_path / "out"), "pairs": {}}  # not even the JSON could be written
    (tmp_path / "out" / "synthesis.json").write_text(json.dumps(content), encoding="utf-8")
    made = from_photographs(photographs, tmp_path / "out", blurrer())
    assert made.before == 1 and contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert "count=1 (now 2)" in refusal(from_photographs, photographs, tmp_path / "out", blurrer(), count=2)


def test_photographs_that_cannot_be_read_are_left_out(photographs, tmp_path):
    whole = (photographs / "a.png").read_bytes()
    (photographs / "a.png").write_bytes(whole[: len(whole) // 2])
    (photographs / "z.png").write_bytes(b"")
    made = from_photographs(photographs, tmp_path / "out", SHAKE)
    assert made.pairs == 2 and len(made.failures) == 2
    assert "a is left out" in made.failures[0] and "cut off" in made.failures[0] and "empty" in made.failures[1]
    (photographs / "b.png").mkdir()
    assert "b.png: a folder" in refusal(from_photographs, photographs, tmp_path / "out", SHAKE)
    (photographs / "b.png").rmdir()
    write_image(photographs / "b.png", np.zeros((4, 4, 3), np.uint8))
    assert "b.jpg beside b.png" in refusal(from_photographs, photographs, tmp_path / "out", SHAKE)


def test_names_that_are_not_utf8_are_refused(photographs, folder, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        write_image(photographs / name, np.zeros((4, 4, 3), np.uint8))
    except DeblurError:
        pytest.skip("this file system takes UTF-8 names only")
    assert "not UTF-8" in refusal(from_photographs, photographs, tmp_path / "out", SHAKE)
    assert "not UTF-8" in refusal(from_photographs, photographs / name, tmp_path / "out", SHAKE)
    write_image(folder / name, np.zeros((4, 4, 3), np.uint8))
    assert "not UTF-8" in refusal(from_frames, folder, tmp_path / "out")


@pytest.mark.parametrize("make", ["shake", "kernels", "gyro"])
def test_one_photograph_of_one_pixel(make, trace, tmp_path):
    write_image(tmp_path / "dot.png", np.full((1, 1, 3), 77, np.uint8))
    np.savez(tmp_path / "k.npz", k=np.ones((3, 3)))
    blurrer = {
        "shake": lambda: SHAKE,
        "kernels": lambda: GivenKernels(str(tmp_path / "k.npz")),
        "gyro": lambda: GyroShake(trace, (0.1, 0.1)),
    }[make]()
    made = from_photographs(tmp_path / "dot.png", tmp_path / "out", blurrer)
    assert made.pairs == 1 and read_image(made.sheet).shape[2] == 3
    assert read_image(tmp_path / "out" / "blur" / "dot.png").tolist() == [[[77] * 3]]


@pytest.mark.parametrize(
    "settings, words",
    [({"count": 0}, "--count=0"), ({"noise": -1.0}, "--noise=-1"), ({"noise": float("nan")}, "--noise=nan")],
)
def test_settings_of_photographs_that_mean_nothing(settings, words, photographs, tmp_path):
    assert words in refusal(from_photographs, photographs, tmp_path / "out", SHAKE, **settings)

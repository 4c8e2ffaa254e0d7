"""deblur --runner: what `deblur` writes, resumed, locked, reported, on this machine and on another file system."""

import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tfdeblur
from tfdeblur.cli.main import main
from tfdeblur.compat import tf
from tfdeblur.data.images import read_image, write_image
from tfdeblur.errors import DeblurError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def many():
    pytest.importorskip("apache_beam")
    from tfdeblur import many

    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # whatever others left the root at
    yield many
    logging.getLogger("apache_beam").setLevel(logging.NOTSET)


def export_of(function, folder):
    """An export whose results are a function of its inputs."""
    module = tf.Module()
    signature = [tf.TensorSpec([None, None, None, 3])]
    module.restore = tf.function(lambda images: {"restored": function(images)}, input_signature=signature)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.restore})
    (folder / "tfdeblur.json").write_text('{"config": {}, "precision": "float32"}')
    return folder


@pytest.fixture(scope="session")
def negative(tmp_path_factory):
    return export_of(lambda images: 1.0 - images, tmp_path_factory.mktemp("negative") / "model")


@pytest.fixture
def photographs(tmp_path):
    """A folder of four photographs, two of them of one name but for the suffix, and two files that are none."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.png", "b.jpg", "b.png", "sub/a.png"]):
        write_image(folder / name, np.random.default_rng(number).integers(0, 256, (5 + number, 7, 3), np.uint8))
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:60])
    return folder


def results(folder):
    """{path below the folder: bytes} of all that lies there but the dead-letter list."""
    files = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != "failed.jsonl"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def letters(folder):
    return [json.loads(line) for line in (Path(folder) / "failed.jsonl").read_text().splitlines()]


def arguments(source, out, model, *more):
    return ["deblur", str(source), "--out", str(out), "--model", str(model), "--runner", "DirectRunner", *more]


def test_the_files_are_those_of_deblur_and_the_rest_is_listed(many, photographs, negative, tmp_path, capsys):
    plain, out = tmp_path / "plain", tmp_path / "out"
    assert main(["deblur", str(photographs), "--out", str(plain), "--model", str(negative)]) == 1
    assert main(arguments(photographs, out, negative)) == 1
    assert sorted(results(plain)) == ["a.png", "b.jpg.png", "b.png.png", "sub/a.png"]
    assert results(out) == results(plain)
    np.testing.assert_array_equal(read_image(out / "sub/a.png"), 255 - read_image(photographs / "sub/a.png"))
    cut, empty = str(photographs / "cut.png"), str(photographs / "empty.png")
    assert [letter["input"] for letter in letters(out)] == [cut, empty]
    assert letters(out)[1]["reason"] == f"{empty}: the file is empty (0 bytes); copy it again"
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].startswith("4 restored, 0 were there already, 2 failed, listed in ")
    assert f"tfdeblur: error: {cut}: " in captured.err and "Traceback" not in captured.err
    assert not (out / many.WORK).exists()


def test_the_weights_that_come_along_also_beside_a_folder_of_their_name(
    many, photographs, negative, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(negative, "two_way_half")
    image = str(photographs / "a.png")
    assert main(["deblur", image, "--out", "plain", "--precision=float32"]) == 0
    assert main(["deblur", image, "--out", "out", "--precision=float32", "--runner", "DirectRunner"]) == 0
    assert list(results("out")) == ["a.png"] and results("out") == results("plain")


def test_a_second_call_does_what_is_left(many, photographs, negative, tmp_path, capsys):
    out = tmp_path / "out"
    main(arguments(photographs, out, negative))
    before = {name: os.stat(out / name).st_mtime_ns for name in results(out)}
    shutil.copy(photographs / "a.png", photographs / "empty.png")
    (photographs / "cut.png").unlink()
    (out / "b.png.png").unlink()
    assert main(arguments(photographs, out, negative)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 restored, 3 were there already, 0 failed"
    assert letters(out) == []
    for name in ("a.png", "b.jpg.png", "sub/a.png"):
        assert os.stat(out / name).st_mtime_ns == before[name]
    assert results(out)["empty.png"] == results(out)["a.png"]


def test_what_killed_calls_left_is_no_result_and_goes(many, photographs, negative, tmp_path, monkeypatch):
    out, seen = tmp_path / "out", []
    left = out / many.WORK / "0a1b2c3d" / "tmp1"
    left.mkdir(parents=True)
    (left / "a.png").write_bytes(b"half of a result")
    load = many.load
    monkeypatch.setattr(many, "load", lambda *given: seen.append(left.exists()) or load(*given))
    main(arguments(photographs, out, negative))
    assert seen == [False]  # gone before the work began
    assert len(results(out)) == 4 and b"half of a result" not in results(out).values()
    assert not (out / many.WORK).exists()


def test_a_result_that_cannot_be_put_in_its_place_is_not_there(many, photographs, negative, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "sub").write_text("in the way")
    assert main(arguments(photographs / "sub", out / "sub2", negative)) == 0
    assert main(arguments(photographs, out, negative)) == 1
    failed = {os.path.basename(os.path.dirname(letter["input"])): letter["reason"] for letter in letters(out)}
    assert str(out / "sub") in failed["sub"] and many.WORK not in failed["sub"]


def test_one_photograph_never_stops_the_others(many, photographs, negative, tmp_path, monkeypatch):
    def deblur_file(deblurrer, source, targets, side_by_side):
        if source.endswith("b.jpg"):
            raise ZeroDivisionError("of a kind\nthat nobody foresaw")
        return original(deblurrer, source, targets, side_by_side)

    original = many.runner.deblur_file
    monkeypatch.setattr(many.runner, "deblur_file", deblur_file)
    out = tmp_path / "out"
    assert main(arguments(photographs, out, negative)) == 1
    assert {Path(letter["input"]).name: letter["reason"] for letter in letters(out)}["b.jpg"] == (
        "of a kind that nobody foresaw"
    )
    assert sorted(results(out)) == ["a.png", "b.png.png", "sub/a.png"]


def test_the_model_is_loaded_once_and_prism_is_not_asked(many, photographs, negative, tmp_path, monkeypatch):
    from apache_beam.runners.portability import prism_runner

    calls = []
    load, run = many.load, prism_runner.PrismRunner.run_pipeline
    monkeypatch.setattr(many, "load", lambda *given: calls.append(given) or load(*given))
    monkeypatch.setattr(
        prism_runner.PrismRunner, "run_pipeline", lambda *given: calls.append("prism") or run(*given), raising=True
    )
    main(arguments(photographs, tmp_path / "out", negative, "--precision", "float32"))
    assert calls == [(str(negative), "float32", "last")]


def test_keep_format_and_side_by_side_are_those_of_deblur(many, photographs, negative, tmp_path, capsys):
    more = ["--keep_format", "--side_by_side"]
    main(["deblur", str(photographs), "--out", str(tmp_path / "plain"), "--model", str(negative), *more])
    main(arguments(photographs, tmp_path / "out", negative, *more))
    assert "b.jpg" in results(tmp_path / "out")
    assert results(tmp_path / "out") == results(tmp_path / "plain")


def test_the_options_of_restoring_reach_the_workers(many, tmp_path, capsys):
    """A model that sees the whole image, which tiles therefore change."""
    mean = export_of(lambda x: tf.ones_like(x) * tf.reduce_mean(x, [1, 2], keepdims=True), tmp_path / "model")
    image = np.random.default_rng(0).integers(0, 256, (40, 96, 3), np.uint8)
    image[:, :48] //= 4
    write_image(tmp_path / "a.png", image)
    for name, flags in (("whole", []), ("tiles", ["--tile=64", "--overlap=0"])):
        given = [str(tmp_path / "a.png"), "--model", str(mean), *flags, "--out", str(tmp_path / name)]
        assert main(["deblur", *given]) == 0
        assert main(["deblur", *given[:-1], str(tmp_path / f"{name} many"), "--runner=DirectRunner"]) == 0
        assert results(tmp_path / f"{name} many") == results(tmp_path / name)
    assert results(tmp_path / "tiles") != results(tmp_path / "whole")


def test_videos_are_refused_and_photographs_done(many, photographs, negative, tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"moving pictures")
    argv = ["deblur", str(photographs / "a.png"), *arguments(clip, tmp_path / "out", negative)[1:]]
    assert main(argv) == 1
    assert f"{clip}: a video; restore it without --runner" in capsys.readouterr().err
    assert letters(tmp_path / "out") == [
        {"input": str(clip), "reason": f"{clip}: a video; restore it without --runner"}
    ]
    assert list(results(tmp_path / "out")) == ["a.png"]


def test_what_a_format_cannot_hold_is_told_with_a_count(many, tmp_path, negative, capsys):
    from PIL import Image

    for name in ("a.webp", "b.webp"):
        Image.new("LA", (4, 4)).save(tmp_path / name, lossless=True)
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 255)]
    frames[0].save(tmp_path / "film.webp", save_all=True, append_images=frames[1:])
    main(arguments(tmp_path / "*.webp", tmp_path / "out", negative))
    assert "1 photograph: holds several pictures: the first was taken" in capsys.readouterr().err


def test_one_call_at_a_time(many, photographs, negative, tmp_path, capsys):
    folder = tmp_path / "out" / many.WORK
    folder.mkdir(parents=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(arguments(photographs, tmp_path / "out", negative)) == 1
        assert "another deblur is running there" in capsys.readouterr().err
        assert folder.exists()
    assert main(arguments(photographs / "a.png", tmp_path / "out", negative)) == 0


def test_refusals(many, photographs, negative, tmp_path, capsys):
    def fails(argv, *texts):
        assert main(argv) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tfdeblur: error: ")]
        assert len(lines) == 1 and all(text in lines[0] for text in texts), lines

    good = arguments(photographs, tmp_path / "out", negative)
    fails([*good, "--branches"], "--branches", "leave out --runner")
    fails([*good[:-1], "NoSuchRunner"], "--runner=NoSuchRunner", "FlinkRunner")
    fails([*good[:-2], "--out", "gs://bucket/out"], "gs://bucket/out", "--runner")
    fails(arguments(photographs, tmp_path / "out", tmp_path), "no checkpoint")
    assert not (tmp_path / "out" / "a.png").exists()


def test_a_pipeline_that_fails_is_one_line(many, photographs, negative, tmp_path, monkeypatch, capsys):
    def load(*given):
        raise DeblurError("gone\nmeanwhile")

    monkeypatch.setattr(many, "load", load)
    assert main(arguments(photographs, tmp_path / "out", negative)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("tfdeblur: error: --runner=DirectRunner: the pipeline failed: ") and "meanwhile" in line
    assert not (tmp_path / "out" / many.WORK).exists()


def test_a_pipeline_that_is_cancelled_has_failed(many, photographs, negative, tmp_path, monkeypatch, capsys):
    from apache_beam.runners.portability.fn_api_runner.fn_runner import RunnerResult

    monkeypatch.setattr(RunnerResult, "state", property(lambda self: "CANCELLED"))
    assert main(arguments(photographs / "a.png", tmp_path / "out", negative)) == 1
    assert "the pipeline failed: it ended as CANCELLED" in capsys.readouterr().err


def test_beams_options_are_no_inputs(many, photographs, negative, tmp_path, monkeypatch):
    seen = []
    options = many.PipelineOptions
    monkeypatch.setattr(many, "PipelineOptions", lambda given: seen.extend(given) or options(given))
    beam_options = ["--direct_num_workers", "1", "--direct_running_mode=in_memory"]
    assert main(arguments(photographs / "a.png", tmp_path / "out", negative, "--", *beam_options)) == 0
    assert seen[-3:] == beam_options
    assert letters(tmp_path / "out") == []


def test_beam_tells_of_options_that_it_does_not_take(many, photographs, negative, tmp_path, caplog, capsys):
    main(arguments(photographs / "a.png", tmp_path / "out", negative, "--", "--direct_nun_workers=2"))
    assert "Discarding unparseable args: ['--direct_nun_workers=2']" in caplog.text
    assert main(arguments(photographs, tmp_path / "out", negative, "--", "--direct_num_workers=x")) == 1
    line = "tfdeblur: error: behind --, argument --direct_num_workers: invalid int value: 'x'"
    assert capsys.readouterr().err.splitlines()[-1] == line


def test_more_inputs_than_are_read_at_once(many, negative, tmp_path, monkeypatch):
    monkeypatch.setattr(many, "_LINES_AT_ONCE", 3)
    (tmp_path / "in").mkdir()
    for number in range(7):
        write_image(tmp_path / "in" / f"ä [{number}].png", np.full((2, 3, 3), number, np.uint8))
    assert main(arguments(tmp_path / "in", tmp_path / "o[1]", negative)) == 0
    for number in range(7):
        assert (read_image(tmp_path / "o[1]" / f"ä [{number}].png") == 255 - number).all()


def test_another_file_system(many, photographs, negative, tmp_path, capsys):
    """Through apache_beam.io.filesystems, as gs:// and s3:// are; this one, box://, lies in a folder."""
    from apache_beam.io.filesystem import FileMetadata
    from apache_beam.io.localfilesystem import LocalFileSystem

    box, renamed = tmp_path / "box", []

    class Box(LocalFileSystem):
        @classmethod
        def scheme(cls):
            return "box"

        def _here(self, path):
            assert path.startswith("box://"), path
            return str(box / path.removeprefix("box://"))

        def join(self, basepath, *paths):
            return "/".join([basepath.rstrip("/"), *paths])

        def split(self, path):
            return tuple(path.rsplit("/", 1))

        def has_dirs(self):
            return False

        def _list(self, dir_or_prefix):
            for path in sorted(box.rglob("*")):
                name = "box://" + path.relative_to(box).as_posix()
                if path.is_file() and name.startswith(dir_or_prefix):
                    yield FileMetadata(name, path.stat().st_size)

        def metadata(self, path):
            return FileMetadata(path, os.path.getsize(self._here(path)))

        def open(self, path, *more, **options):
            return super().open(self._here(path), *more, **options)

        def create(self, path, *more, **options):
            return super().create(self._here(path), *more, **options)

        def exists(self, path):
            return super().exists(self._here(path))

        def delete(self, paths):
            for path in map(self._here, paths):
                if not os.path.exists(path):
                    raise many.BeamIOError(f"{path} is not there")
                (shutil.rmtree if os.path.isdir(path) else os.remove)(path)

        def rename(self, sources, targets):
            renamed.extend(zip(sources, targets, strict=True))
            for source, target in zip(sources, targets, strict=True):
                assert not os.path.exists(self._here(target))  # as HDFS has it
                os.makedirs(os.path.dirname(self._here(target)), exist_ok=True)
                os.rename(self._here(source), self._here(target))

    shutil.copytree(photographs, box / "bucket/in")
    main(["deblur", str(photographs), "--out", str(tmp_path / "plain"), "--model", str(negative)])
    assert main(arguments("box://bucket/in", "box://bucket/out/", negative)) == 1
    assert results(box / "bucket/out") == results(tmp_path / "plain")
    assert [letter["input"] for letter in letters(box / "bucket/out")] == [
        "box://bucket/in/cut.png",
        "box://bucket/in/empty.png",
    ]
    assert all("box://bucket/in/" in letter["reason"] for letter in letters(box / "bucket/out"))
    assert len(renamed) == 5 and all(source.startswith("box://bucket/out/.tfdeblur/") for source, _ in renamed)
    assert not (box / "bucket/out/.tfdeblur").exists()
    capsys.readouterr()
    assert main(arguments("box://bucket/in/*.png", "box://bucket/out", negative)) == 1
    assert capsys.readouterr().out.startswith(
        "1 restored, 1 were there already, 2 failed"
    )  # b.png, no longer b.png.png
    assert main(arguments("box://bucket/none", "box://bucket/out", negative)) == 1
    assert "box://bucket/none: no image there" in capsys.readouterr().err


def test_without_beam_the_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "tfdeblur.many", raising=False)
    monkeypatch.delattr(tfdeblur, "many", raising=False)
    assert main(arguments(tmp_path, tmp_path / "out", tmp_path)) == 1
    assert "pip install 'tfdeblur[beam]'" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------- processes


def start(arguments_, folder):
    """A process group of its own that runs a command; its output is kept in <folder>/log."""
    command = [sys.executable, "-m", "tfdeblur.cli.main", *arguments_]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with open(folder / "log", "w") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)


@pytest.fixture
def hundreds(tmp_path):
    """A folder of 600 small photographs, all different."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(600):
        image = np.zeros((96, 96, 3), np.uint8)
        image[:4, :4] = number % 256, number // 256, 9
        write_image(folder / f"{number:03}.png", image)
    return folder


TWO_PROCESSES = ("--", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), TWO_PROCESSES], ids=["one process", "two processes"])
def test_a_killed_call_started_again_does_the_rest(many, hundreds, negative, tmp_path, options):
    out = tmp_path / "out"
    killed = start(arguments(hundreds, out, negative, *options), tmp_path)
    deadline = time.monotonic() + 240
    while len(list(out.glob("*.png"))) < 20 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    there = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert 20 <= len(there) < 600, (tmp_path / "log").read_text()
    assert (out / many.WORK).exists()

    again = start(arguments(hundreds, out, negative, *options), tmp_path)
    assert again.wait(240) == 0, (tmp_path / "log").read_text()
    said = (tmp_path / "log").read_text().splitlines()[-1]
    assert said == f"{600 - len(there)} restored, {len(there)} were there already, 0 failed"
    assert {name: (out / name).stat().st_mtime_ns for name in there} == there
    assert not (out / many.WORK).exists()
    main(["deblur", str(hundreds), "--out", str(tmp_path / "plain"), "--model", str(negative)])
    assert results(out) == results(tmp_path / "plain")


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_the_rest_can_be_done(many, hundreds, negative, tmp_path):
    psutil = pytest.importorskip("psutil")
    out = tmp_path / "out"
    running = start(arguments(hundreds, out, negative, *TWO_PROCESSES), tmp_path)
    deadline = time.monotonic() + 240
    while len(list(out.glob("*.png"))) < 10 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = [
        process
        for process in psutil.Process(running.pid).children(recursive=True)
        if "sdk_worker_main" in " ".join(process.cmdline()) and "sh" not in process.name()
    ]
    assert len(workers) == 2
    workers[0].kill()
    assert running.wait(120) == 1
    log = (tmp_path / "log").read_text()
    assert "a worker process died" in log and "the same command again restores the rest" in log
    again = start(arguments(hundreds, out, negative), tmp_path)
    assert again.wait(240) == 0
    assert len(results(out)) == 600

"""The command line as a user meets it: exit codes, one line on stderr, files where they should be."""

import csv
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import tfdeblur
from tests.conftest import QUICK_TRAINING
from tfdeblur.cli import deblur
from tfdeblur.cli.common import config_path
from tfdeblur.cli.main import COMMANDS, main
from tfdeblur.data.images import Photograph, read_image, read_photograph, write_image, write_photograph
from tfdeblur.data.photographs import photograph
from tfdeblur.data.shake import blur
from tfdeblur.errors import DeblurError
from tfdeblur.training import checkpoints

TINY = [
    "--config.steps=2",
    "--config.crop=32",
    "--config.batch_size=2",
    "--config.widths=(4,6,8)",
    "--config.checkpoint_every=1",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A work directory after two steps on the embedded photographs."""
    workdir = str(tmp_path_factory.mktemp("trained") / "model")
    assert main(["train", "--config", "madn/smoke", "--workdir", workdir, *TINY]) == 0
    return workdir


@pytest.fixture
def pairs(tmp_path):
    """Two folders of three pairs, 48x40."""
    kernel = np.full((1, 9), 1 / 9, np.float32)
    kernel = np.pad(kernel, ((4, 4), (0, 0)))
    for n in range(3):
        sharp = photograph("chelsea.png")[60 + 10 * n : 100 + 10 * n, 100:148]
        for side, image in (("sharp", sharp), ("blur", blur(sharp, kernel))):
            (tmp_path / side).mkdir(exist_ok=True)
            write_image(str(tmp_path / side / f"{n}.png"), image)
    return tmp_path


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


def test_help_lists_every_command_and_is_quick_because_tensorflow_stays_out(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)
    code = "import sys; from tfdeblur.cli.main import main; main(['--help']); assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("length", [100, 100_000])  # within Python's buffer, and beyond it
def test_a_reader_that_leaves_early_is_no_error(length):
    program = (
        f"import sys; from tfdeblur.cli import main; main.usage = lambda: 'x' * {length}; sys.exit(main.main(['help']))"
    )
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run([sys.executable, "-c", program], stdout=writes, stderr=subprocess.PIPE, text=True)
    os.close(writes)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"tfdeblur {command}" in out and "--" in out


@pytest.mark.parametrize(
    "argv, words",
    [
        (["trian"], ["unknown command 'trian'", "train"]),
        (["train", "--config", "madn/smoke"], ["--workdir must be given"]),
        (["train", "--config", "madn/nonsense", "--workdir", "x"], ["madn/nonsense", "madn/gopro"]),
        (["train", "--config", "madn/fig9:nonsense", "--workdir", "x"], ["nonsense", "adversarial"]),
        (["train", "--config", "madn/smoke", "--workdir", "x", "--config.bach_size=3"], ["bach_size", "batch_size"]),
        (["train", "--config", "madn/smoke", "--workdir", "x", "--config.batch_size=a"], ["batch_size", "a"]),
        (["train", "--config", "madn/smoke", "--wrokdir", "x"], ["wrokdir", "workdir"]),
        (["train", "--config", "madn/smoke", "--workdir", "x", "more"], ["more"]),
        (["train", "--config", "madn/smoke", "--workdir", "x", "--precision", "half"], ["precision", "half"]),
    ],
)
def test_flags_that_do_not_parse(argv, words, capsys):
    fails(capsys, argv, *words, code=2)


@pytest.mark.parametrize(
    "override, words",
    [
        ("--config.augmentation=mirror", ["augmentation", "mirror", "flips"]),
        ("--config.grad_clip_mode=x", ["grad_clip_mode", "x", "norm"]),
        ("--config.crop=80", ["80", "32"]),
        ("--config.crop=250", ["crop=250", "32"]),
        ("--config.widths=(8,16)", ["widths=(8, 16)"]),
        ("--config.widths=(0,4,4)", ["widths=(0, 4, 4)"]),
        ("--config.num_res_blocks=-1", ["num_res_blocks=-1"]),
        ("--config.generator_learning_rate=nan", ["generator_learning_rate=nan"]),
        ("--config.decay_power=-1.0", ["decay_power=-1"]),
        ("--config.shake_anxiety=nan", ["anxiety"]),
        ("--config.shake_length=(5.0,)", ["length"]),
        ("--config.steps=0", ["steps=0"]),
        ("--config.seed=-1", ["seed=-1"]),
        ("--config.system=man", ["man", "madn"]),
        ("--config.shake_length=(9.0,3.0)", ["shake length"]),
        ("--config.crop=1024", ["astronaut", "1024"]),
    ],
)
def test_settings_that_cannot_work(override, words, capsys, tmp_path):
    fails(capsys, ["train", "--config", "madn/smoke", "--workdir", tmp_path / "w", override], *words)


@pytest.mark.parametrize(
    "text, words",
    [
        ("x = (", ["own.py", "line 1"]),
        ("import nonsense", ["own.py", "line 1", "nonsense"]),
        ("def get_config():\n    return undefined", ["own.py", "line 2", "undefined"]),
    ],
)
def test_a_configuration_file_that_is_broken(text, words, tmp_path, capsys):
    (tmp_path / "own.py").write_text(text)
    fails(capsys, ["train", "--config", tmp_path / "own.py", "--workdir", tmp_path / "w"], *words, code=2)


@pytest.mark.parametrize("lacks, adds, words", [("crop", None, ["lacks 'crop'"]), (None, "corp", ["corp", "no such"])])
def test_a_configuration_file_with_other_settings(lacks, adds, words, tmp_path, capsys):
    text = open(config_path("madn/smoke"), encoding="utf-8").read()
    text = "\n".join(line for line in text.splitlines() if not lacks or f"config.{lacks} " not in line)
    text = text.replace("    return config", f"    config.{adds} = 1\n    return config") if adds else text
    (tmp_path / "own.py").write_text(text)
    fails(capsys, ["train", "--config", tmp_path / "own.py", "--workdir", tmp_path / "w"], *words)


def test_one_training_at_a_time_in_a_workdir(trained, capsys):
    import fcntl

    with open(os.path.join(trained, "lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fails(capsys, ["train", "--config", "madn/smoke", "--workdir", trained, *TINY], "another training")


def test_evaluate_looks_before_it_scores(trained, pairs, capsys):
    evaluate = ["evaluate", "--model", trained, "--protocol", "psnr_crop256"]
    fails(capsys, [*evaluate, "--csv", pairs], "is a folder")
    fails(capsys, [*evaluate, "--bars", pairs / "bars.txt"], "bars.txt", "picture")
    data = ["--blur_dir", pairs / "blur", "--sharp_dir", pairs / "sharp"]
    fails(capsys, [*evaluate, *data], "256", "0")
    fails(capsys, [*evaluate, "--blur_kind", "blur"], "--blur_kind")
    fails(capsys, [*evaluate, "--seed", "-1"], "--seed=-1")


def test_links_of_the_readmes_resolve():
    root = pathlib.Path(__file__).parents[2]
    for readme in [
        root / "README.md",
        *root.glob("experiments/*/README.md"),
        *root.glob("tfdeblur/systems/*/README.md"),
    ]:
        for link in re.findall(r"\]\(([^)#]+)\)", readme.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (readme.parent / link).exists(), f"{readme}: {link}"


def test_train_leaves_checkpoints_pictures_and_events(trained):
    assert {"checkpoints", "samples", "events", "config.json", "cache"} <= set(os.listdir(trained))
    with open(os.path.join(trained, "config.json"), encoding="utf-8") as file:
        metadata = json.load(file)
    assert metadata["config"]["blur_kind"] == "blur" and metadata["data"]["blur_kind"] == "synthesized"
    assert os.listdir(os.path.join(trained, "samples")) == ["step_0000002.png"]


def test_train_again_says_that_it_is_complete(trained, capsys):
    assert main(["train", "--config", "madn/smoke", "--workdir", trained, *TINY]) == 0
    assert "complete" in capsys.readouterr().err


def test_train_refuses_another_setting_in_the_same_workdir(trained, capsys):
    argv = ["train", "--config", "madn/smoke", "--workdir", trained, *TINY, "--config.alpha=0.5"]
    fails(capsys, argv, "alpha=0.01", "(now 0.5)")


def test_train_on_two_folders_and_evaluate_warns_of_the_other_blur_kind(pairs, capsys):
    data = ["--blur_dir", str(pairs / "blur"), "--sharp_dir", str(pairs / "sharp")]
    workdir = str(pairs / "w")
    argv = [*QUICK_TRAINING, "--workdir", workdir, *data, "--blur_kind", "blur_gamma"]
    assert main(argv) == 0
    capsys.readouterr()
    out = str(pairs / "results" / "r.json")
    assert main(["evaluate", "--model", workdir, *data, "--blur_kind", "blur", "--out", out]) == 0
    assert "3 dB" in capsys.readouterr().err
    with open(out, encoding="utf-8") as file:
        results = json.load(file)
    assert "blur_gamma" in results["warnings"][0]
    # without --blur_kind the model's own is taken, and nothing warns
    assert main(["evaluate", "--model", workdir, *data]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.slow
def test_train_on_pairs_mixed_with_photographs(pairs, tmp_path, capsys):
    data = ["--blur_dir", str(pairs / "blur"), "--sharp_dir", str(pairs / "sharp")]
    photographs_dir = ["--photographs_dir", str(pairs / "sharp")]
    workdir = str(tmp_path / "w")
    train = [*QUICK_TRAINING, "--workdir", workdir, "--config.augmentation=strong"]
    assert main([*train, *data, *photographs_dir]) == 0
    count = len(os.listdir(pairs / "sharp"))
    said = capsys.readouterr().err
    assert f"{count} pairs and {count} photographs" in said
    assert "no held-out PSNR, no best checkpoint: the data have no test split of their own\n" in said
    fails(capsys, [*train, *data], "was trained with", "data.photographs=")
    fails(capsys, [*train, *photographs_dir], "--photographs_dir is mixed with real pairs")


def test_training_data_that_is_refused(pairs, capsys):
    train = [*QUICK_TRAINING, "--workdir", pairs / "w"]
    blurred, sharp = pairs / "blur", pairs / "sharp"
    fails(capsys, [*train, "--blur_dir", sharp, "--sharp_dir", blurred], "swapped")
    fails(capsys, [*train, "--blur_dir", blurred, "--sharp_dir", blurred], "same folder")
    fails(capsys, [*train, "--blur_dir", blurred], "--sharp_dir")
    fails(capsys, [*train, "--sharp_dir", sharp], "--synthesize")
    fails(
        capsys, [*train, "--gopro_dir", pairs, "--blur_dir", blurred], "--gopro_dir and --blur_dir exclude each other"
    )
    (sharp / "1.png").unlink()
    fails(capsys, [*train, "--blur_dir", blurred, "--sharp_dir", sharp], "no partner", "1")
    assert not (pairs / "w").exists()


def test_evaluate_writes_json_csv_and_bars(trained, tmp_path, capsys):
    paths = {name: str(tmp_path / f"r.{suffix}") for name, suffix in (("out", "json"), ("csv", "csv"), ("bars", "png"))}
    argv = ["evaluate", "--model", trained, "--protocol", "psnr_crop256"]
    assert main(argv + [f"--{name}={path}" for name, path in paths.items()]) == 0
    out = capsys.readouterr().out
    with open(paths["out"], encoding="utf-8") as file:
        results = json.load(file)
    with open(paths["csv"], encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert results["images"] == len(rows) == 6
    assert rows[0]["image"] == "chelsea/shake_1"
    scores = [float(row["psnr_crop256"]) for row in rows]
    assert results["metrics"]["psnr_crop256"] == pytest.approx(np.mean(scores))
    assert results["sequences"]["coffee"]["psnr_crop256"] == pytest.approx(np.mean(scores[3:]))
    assert f"{np.mean(scores):.4f}" in out and "psnr_crop256" in out
    assert read_image(paths["bars"]).shape[2] == 3


def test_evaluate_refuses_an_unknown_protocol(trained, capsys):
    fails(capsys, ["evaluate", "--model", trained, "--protocol", "pnsr"], "pnsr", "psnr")


def test_deblur_keeps_names_and_sizes_and_outlives_bad_files(trained, tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    image = photograph("coffee.png")
    for name, part in (("one", image[:1, :1]), ("sub/odd", image[:33, :50]), ("wide", image[:1, :90])):
        write_image(str(folder / f"{name}.png"), part)
    whole = (folder / "wide.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    out = tmp_path / "out"
    assert main(["deblur", str(folder), "--out", str(out), "--model", trained]) == 1
    err = capsys.readouterr().err
    assert "broken.png" in err and "empty.jpg" in err and "CPU" in err
    found = {p.relative_to(out).as_posix(): read_image(str(p)).shape[:2] for p in out.rglob("*.png")}
    assert found == {"one.png": (1, 1), "sub/odd.png": (33, 50), "wide.png": (1, 90)}


def test_deblur_refusals(trained, tmp_path, capsys):
    write_image(str(tmp_path / "a.png"), photograph("coffee.png")[:20, :20])
    write_image(str(tmp_path / "a.jpg"), photograph("coffee.png")[:20, :20])
    model = ["--model", trained, "--out", tmp_path / "out"]
    fails(capsys, ["deblur", *model], "no input")
    fails(capsys, ["deblur", tmp_path / "none.png", *model], "none.png")
    fails(capsys, ["deblur", tmp_path / "a.png", "--model", trained, "--out", tmp_path], "--out", "beside the input")
    fails(capsys, ["deblur", tmp_path / "a.png", "--model", tmp_path, "--out", tmp_path / "out"], "no checkpoint")
    fails(capsys, ["deblur", tmp_path / "a.png", "--model", trained, "--out", tmp_path / "a.jpg"], "is a file")
    below_a_file = ["--out", tmp_path / "a.jpg/x"]
    fails(capsys, ["deblur", tmp_path / "a.png", "--model", trained, *below_a_file], "is a file")
    too_long = ["--out", tmp_path / ("a" * 300)]
    fails(capsys, ["deblur", tmp_path / "a.png", "--model", trained, *too_long], "File name too long")
    assert not (tmp_path / "out").exists()
    # what can be done is done
    fails(capsys, ["deblur", tmp_path / "a.png", tmp_path / "none.png", *model], "none.png")
    assert os.listdir(tmp_path / "out") == ["a.png"]


def planned(folder, names, **options):
    """{input: [its results below --out]} of empty files with these names, and the lines of what is left out."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    jobs, failures = deblur.plan([str(folder / name) for name in names], str(folder / "out"), **options)
    below = {source: [os.path.relpath(target, folder / "out") for target in targets] for source, *targets in jobs}
    assert all(line.startswith(f"{path}: ") for path, line in failures)
    lines = [line for _, line in failures]
    return {os.path.relpath(source, folder): targets for source, targets in below.items()}, lines


def test_results_of_one_name_keep_their_inputs_suffix(tmp_path):
    expected = {"a.jpg": ["a.jpg.png"], "a.png": ["a.png.png"], "b.jpg": ["b.png"]}
    for names in itertools.permutations(expected):
        assert planned(tmp_path, names) == (expected, [])
    # a.jpg.webp would take the name that a.jpg was given
    names = ["a.jpg.webp", "a.jpg", "a.png"]
    assert planned(tmp_path, names) == ({name: [f"{name}.png"] for name in names}, [])


def test_results_keep_their_inputs_format(tmp_path):
    names = ["a.JPG", "a.png", "b.tif", "c.jfif", "d.jp"]
    expected = {"a.JPG": ["a.JPG"], "a.png": ["a.png"], "b.tif": ["b.tif"], "c.jfif": ["c.jfif"], "d.jp": ["d.png"]}
    assert planned(tmp_path, names, keep_format=True) == (expected, [])
    expected = {"a.JPG": ["a.JPG", "a.JPG_x.png"], "a.png": ["a.png", "a.png_x.png"], "b.tif": ["b.tif", "b_x.png"]}
    assert planned(tmp_path, names[:3], keep_format=True, figure="x") == (expected, [])


def test_pictures_of_one_name_keep_their_inputs_suffix(tmp_path):
    both = {"a.png": ["a.png.png", "a.png_x.png"], "a_x.png": ["a_x.png.png", "a_x.png_x.png"]}
    assert planned(tmp_path, list(both), figure="x") == (both, [])
    # what no suffix tells apart is left out, both of them
    jobs, failures = planned(tmp_path, ["a.jpg", "a.png", "a.jpg_x"], figure="x")
    assert list(jobs) == ["a.png"] and len(failures) == 2 and "a.jpg_x.png" in failures[0]


def test_one_name_in_two_folders_is_left_out_once(tmp_path):
    jobs, (line,) = planned(tmp_path, ["x/a.png", "y/a.png", "x/a.png"])
    assert jobs == {"x/a.png": ["a.png"]}
    assert str(tmp_path / "y/a.png") in line and str(tmp_path / "x/a.png") in line and "another folder" in line


@pytest.mark.parametrize(
    "inputs, out",
    [
        (["in/a.jpg"], "in"),
        (["in/a.jpg"], "linked"),
        (["in/*.jpg"], "in/."),
        (["in", "out/sub/b.png"], "out"),  # in/sub/b.jpg would become out/sub/b.png
    ],
)
def test_no_result_lies_beside_an_input(tmp_path, inputs, out):
    for name in ("in/a.jpg", "in/sub/b.jpg", "out/sub/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "linked").symlink_to(tmp_path / "in")
    with pytest.raises(DeblurError, match=f"--out={tmp_path / out}: .* beside the input .*; name another folder"):
        deblur.plan([str(tmp_path / name) for name in inputs], str(tmp_path / out))


def test_no_result_lies_inside_an_input_folder(tmp_path):
    """in/a.png would become in/sub/a.png, which may be another photograph."""
    for name in ("in/a.jpg", "in/sub/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "linked").symlink_to(tmp_path / "in" / "sub")
    for out in ("in", "in/sub", "in/sub/new", "linked", "linked/new", "inside/../in"):
        with pytest.raises(DeblurError, match=f"--out={tmp_path / out}: lies inside the input {tmp_path / 'in'};"):
            deblur.plan([str(tmp_path / "in")], str(tmp_path / out))
    # a folder whose name begins alike is another, and so is the one above
    jobs = [(str(tmp_path / "in/sub/a.png"), str(tmp_path / "in 2/a.png"))]
    assert deblur.plan([str(tmp_path / "in/sub")], str(tmp_path / "in 2")) == (jobs, [])
    assert deblur.plan([str(tmp_path / "in/sub")], str(tmp_path))[0] == [(jobs[0][0], str(tmp_path / "a.png"))]


def test_a_folder_that_takes_no_files_is_refused_at_once(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.png").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    fails(capsys, ["deblur", tmp_path / "a.png", "--model", "nothing", "--out", tmp_path / "x/y"], "x/y", "written to")
    assert not (tmp_path / "x").exists()


def test_deblur_keeps_the_format(trained, tmp_path, capsys):
    write_image(str(tmp_path / "a.jpg"), photograph("coffee.png")[:20, :30])
    alpha = np.arange(600, dtype=np.uint16).reshape(20, 30)
    deep = photograph("coffee.png")[:20, :30] * np.uint16(257)
    write_photograph(tmp_path / "b.tif", Photograph(deep, alpha))
    out = tmp_path / "out"
    argv = ["deblur", str(tmp_path / "*.*"), "--out", str(out), "--model", trained]
    assert main([*argv, "--keep_format"]) == 0
    assert sorted(os.listdir(out)) == ["a.jpg", "b.tif"] and (out / "a.jpg").read_bytes()[:2] == b"\xff\xd8"
    written = read_photograph(out / "b.tif")
    assert written.pixels.dtype == np.uint16
    np.testing.assert_array_equal(written.alpha, alpha)


def test_deblur_side_by_side_shows_the_input_first(trained, tmp_path):
    image = photograph("coffee.png")[:20, :30]
    write_image(str(tmp_path / "a.png"), image)
    argv = ["deblur", str(tmp_path / "*.png"), "--out", str(tmp_path / "o"), "--model", trained, "--side_by_side"]
    assert main(argv) == 0
    both = read_image(str(tmp_path / "o" / "a.png"))
    assert both.shape == (20, 60, 3)
    np.testing.assert_array_equal(both[:, :30], image)


@pytest.mark.slow
def test_deblur_branches(trained, tmp_path, capsys):
    model, out = str(tmp_path / "model"), tmp_path / "o"
    assert main([*QUICK_TRAINING, "--workdir", model]) == 0
    write_image(str(tmp_path / "a.png"), photograph("coffee.png")[:20, :30])
    argv = ["deblur", tmp_path / "a.png", "--out", out, "--branches", "--model", model]
    assert main([str(a) for a in argv]) == 0
    assert "times that elsewhere" in capsys.readouterr().err
    assert sorted(os.listdir(out)) == ["a.png", "a_branches.png"]
    assert read_image(str(out / "a_branches.png")).shape[1] > 4 * 30
    fails(capsys, [*argv[:-1], trained], "madn has no such picture")


@pytest.mark.slow
def test_deblur_rgcl(trained, tmp_path, capsys):
    model, out = str(tmp_path / "model"), tmp_path / "o"
    short = ["--config.steps=1", "--config.alpha=0", "--config.gamma=0"]
    assert main(["train", "--config", "structures_guided/smoke", "--workdir", model, *short]) == 0
    write_image(str(tmp_path / "a.png"), photograph("coffee.png")[:20, :30])
    argv = [str(a) for a in ["deblur", tmp_path / "a.png", "--out", out, "--model", model]]
    assert main([*argv, "--rgcl", "2.3"]) == 0
    assert "correlation of RGCL 2.3 with Sobel's" in capsys.readouterr().err
    assert sorted(os.listdir(out)) == ["a.png", "a_rgcl.png"]
    fails(capsys, [*argv, "--rgcl", "3.1"], "--rgcl=3.1", "1.1 to 2.3")
    fails(capsys, [*argv, "--rgcl", ""], "--rgcl=: no such RGCL")
    fails(capsys, [*argv, "--rgcl", "2.3", "--branches"], "exclude each other")
    fails(capsys, [*argv[:-1], trained, "--rgcl", "1.1"], "madn has no such picture")


@pytest.fixture(scope="module")
def egnet_run(tmp_path_factory):
    """A work directory of a narrow EGNet that was not trained."""
    narrow = {"width": 8, "width_step": 4, "orsnet_step": 4, "num_cabs": 1, "egn_width": 8, "num_egms": 1}
    net = tfdeblur.build("egnet", **narrow)
    shake = {"length": (3.0, 9.0), "angle": (0.0, 360.0), "anxiety": 0.005, "noise": 0.0}
    config = {"system": "egnet", "stage": "egn", **net.get_config()}
    config |= {"blur_kind": "blur", **{f"shake_{k}": v for k, v in shake.items()}}
    folder = str(tmp_path_factory.mktemp("egnet"))
    metadata = {"config": config, "data": {"blur_kind": "synthesized"}, "precision": "float32"}
    checkpoints.save_generator(net, folder, metadata)
    return folder


@pytest.mark.slow
def test_deblur_enhanced_gradient(egnet_run, trained, tmp_path, capsys):
    write_image(str(tmp_path / "a.png"), photograph("coffee.png")[:20, :30])
    argv = ["deblur", str(tmp_path / "a.png"), "--out", str(tmp_path / "o"), "--enhanced_gradient"]
    assert main([*argv, "--model", egnet_run]) == 0
    assert "of the enhanced gradient" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path / "o")) == ["a.png", "a_enhanced_gradient.png"]
    fails(capsys, [*argv, "--model", trained], "madn has no such picture")
    fails(capsys, [*argv, "--model", trained, "--rgcl", "1.1"], "--rgcl and --enhanced_gradient exclude each other")


@pytest.mark.slow
def test_evaluate_hsic(egnet_run, trained, pairs, tmp_path, capsys):
    out = str(tmp_path / "r.json")
    argv = ["evaluate", "--hsic", "--protocol", "psnr", "--out", out]
    argv += ["--blur_dir", str(pairs / "blur"), "--sharp_dir", str(pairs / "sharp")]
    assert main([*argv, "--model", egnet_run]) == 0
    with open(out, encoding="utf-8") as file:
        hsic = json.load(file)["hsic"]
    assert f"sharp / blurred {hsic['sharp_over_blurred']:.4f}" in capsys.readouterr().out
    assert hsic["sharp_over_blurred"] == pytest.approx(hsic["sharp"] / hsic["blurred"]) and hsic["blurred"] > 0
    fails(capsys, [*argv, "--model", trained], "only egnet and mprnet")


def test_deblur_with_an_export_gives_the_same_picture(trained, tmp_path, capsys):
    write_image(str(tmp_path / "a.png"), photograph("coffee.png")[:45, :61])
    exact = ["--precision=float32"]  # an export's
    assert main(["export", "--model", trained, "--out", str(tmp_path / "saved")]) == 0
    for model, out in ((trained, "by_checkpoint"), (str(tmp_path / "saved"), "by_export")):
        assert main(["deblur", str(tmp_path / "a.png"), "--out", str(tmp_path / out), "--model", model, *exact]) == 0
    first, second = (read_image(str(tmp_path / out / "a.png")) for out in ("by_checkpoint", "by_export"))
    np.testing.assert_array_equal(first, second)
    fails(capsys, ["export", "--model", tmp_path / "saved", "--out", tmp_path / "again"], "export")


def test_report_draws_all_curves_of_a_run_or_one_scalar_of_several(trained, tmp_path, capsys):
    assert main(["report", "--workdir", trained]) == 0
    path = os.path.join(trained, "curves.png")
    assert capsys.readouterr().out == f"written: {path}\n"
    every = read_image(path)
    os.remove(path)
    assert main(["report", trained, trained, "--out", str(tmp_path / "two.png")]) == 0
    assert main(["report", trained, "--out", str(tmp_path / "one.png")]) == 0
    one = read_image(tmp_path / "one.png")
    assert every.shape[0] > 2 * one.shape[0] and every.shape[1] == 2 * one.shape[1]
    argv = ["report", "--workdir", trained, "--scalar", "generator/loss", "--out", str(tmp_path / "same.png")]
    assert main(argv) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "same.png"), one)
    for argv, words in (
        (["report"], "name WORKDIR... or --workdir DIR, one of the two, or say --study or --departures"),
        (
            ["report", trained, "--workdir", trained],
            "name WORKDIR... or --workdir DIR, one of the two, or say --study or --departures",
        ),
        (["report", trained], "--out must be given"),
        (["report", "--workdir", tmp_path / "nothing"], "no such work directory"),
        (["report", "--workdir", trained, "--scalar", "loss", "--out", tmp_path / "x.png"], "but discriminator/"),
    ):
        fails(capsys, argv, words)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.slow
def test_the_best_weights_of_a_training_are_scored_restored_with_and_exported(trained, tmp_path, capsys):
    (best,) = {name.split(".")[0] for name in os.listdir(os.path.join(trained, "best"))}
    out = str(tmp_path / "r.json")
    weights = ["--model", trained, "--weights", "best"]
    assert main(["evaluate", *weights, "--protocol", "psnr_crop256", "--out", out]) == 0
    with open(out, encoding="utf-8") as file:
        results = json.load(file)
    assert results["weights"] == "best" and results["model"] == os.path.join(trained, "best", best)
    assert "flatter" in results["warnings"][0]
    write_image(str(tmp_path / "a.png"), photograph("coffee.png")[:45, :61])
    exact = ["--precision=float32"]  # an export's
    assert main(["export", *weights, "--out", str(tmp_path / "saved")]) == 0
    for name, model in (("best", weights), ("export", ["--model", str(tmp_path / "saved")])):
        assert main(["deblur", str(tmp_path / "a.png"), "--out", str(tmp_path / name), *model, *exact]) == 0
    first, second = (read_image(str(tmp_path / name / "a.png")) for name in ("best", "export"))
    np.testing.assert_array_equal(first, second)
    for command in (["evaluate"], ["export", "--out", tmp_path / "x"], ["deblur", tmp_path / "a.png", "--out", "x"]):
        fails(capsys, [*command, "--model", trained, "--weights", "average"], "--weights=average", "ema_decay")


def test_info_prints_the_papers_figures(capsys):
    assert main(["info", "--system", "madn", "--size", "256x256", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["size"] == [256, 256]
    assert described["parameters"]["generator"] == 29_055_305
    assert described["macs"] == 375_490_084_864
    assert described["paper"]["gopro_psnr"] == 30.18


def test_info_refuses_nonsense(capsys):
    fails(capsys, ["info", "--system", "man"], "man", "madn")
    fails(capsys, ["info", "--size", "256"], "256", "HEIGHTxWIDTH")


@pytest.mark.parametrize("what", [pytest.param("training", marks=pytest.mark.slow), "inference"])
def test_benchmark_prints_a_fraction_of_the_peak(what, capsys):
    argv = ["benchmark", what, "--config", "madn/smoke", "--rounds", "1", "--size", "32x32", "--json", *TINY]
    assert main(argv) == 0
    result = json.loads(capsys.readouterr().out)
    assert 0 < result["fraction_of_peak"] < 2
    assert result["gmacs_per_second"] == pytest.approx(result["macs"] / 1e9 / result["seconds"])


def test_benchmark_tells_which_operations_take_the_time(capsys):
    argv = ["benchmark", "inference", "--config", "madn/smoke", "--rounds", "1", "--size", "32x32", "--json", *TINY]
    assert main([*argv, "--profile"]) == 0
    operations = json.loads(capsys.readouterr().out)["operations"]
    assert sum(operations.values()) == pytest.approx(1.0)
    assert any("Conv2D" in kind for kind in operations) and "Process" not in operations
    assert list(operations.values()) == sorted(operations.values(), reverse=True)


def test_benchmark_needs_to_know_what(capsys):
    fails(capsys, ["benchmark"], "training, inference, input, restoring, exports or seams")


def test_the_papers_crop_fits_the_embedded_photographs():
    from tfdeblur.data.shake import Shake
    from tfdeblur.data.shaken import embedded

    assert all(len(embedded(split, Shake()).check(crop=256)) for split in ("train", "test"))

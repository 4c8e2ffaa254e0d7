"""Weights in one small file, the ones that come with the package, and trainings that start from them."""

import hashlib
import json
import pathlib
import shutil

import numpy as np
import pytest

import tfdeblur
from tests.conftest import load_experiment
from tfdeblur import pretrained, runner, systems
from tfdeblur.cli.main import main
from tfdeblur.compat import tf
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.photographs import photograph
from tfdeblur.data.shake import Shake, blur, generator, random_kernel
from tfdeblur.errors import DeblurError
from tfdeblur.export import export_weights
from tfdeblur.inference import restore_batch
from tfdeblur.metrics.psnr import psnr

CARD = pathlib.Path(pretrained.folder(pretrained.DEFAULT))


@pytest.fixture(scope="module")
def folder(trained_run, tmp_path_factory):
    """The weights of `trained_run` in a folder of --format weights. Not to be written to."""
    out = tmp_path_factory.mktemp("weights") / "small"
    assert main(["export", f"--model={trained_run}", "--format=weights", f"--out={out}"]) == 0
    return out


@pytest.fixture
def damaged(folder, tmp_path):
    return pathlib.Path(shutil.copytree(folder, tmp_path / "damaged"))


def fails(*arguments, **keywords):
    with pytest.raises(DeblurError) as error:
        tfdeblur.load(*arguments, **keywords)
    return str(error.value)


# ------------------------------------------------------------------------------------------------- the format


def test_a_folder_holds_the_weights_rounded_to_float16(folder, trained_run):
    before, after = tfdeblur.load(trained_run).net, tfdeblur.load(folder).net
    assert len(before.weights) == len(after.weights)
    for weight, rounded in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(weight.astype(np.float16).astype(np.float32), rounded)


def test_it_says_what_it_holds_and_no_place_of_the_training(trained_run, tmp_path):
    workdir = pathlib.Path(shutil.copytree(trained_run, tmp_path / "run"))
    deblurrer = tfdeblur.load(workdir)
    deblurrer.metadata["data"] |= {"blur_dir": "/home/someone/blurred"}
    deblurrer.metadata["start_from"] = "/home/someone/run"
    decibels = export_weights(deblurrer, tmp_path / "out")
    told = json.loads((tmp_path / "out/tfdeblur.json").read_text())
    assert told["config"] == deblurrer.metadata["config"] and told["psnr_to_float32"] == decibels > 60
    assert "someone" not in json.dumps(told)


def test_what_was_loaded_from_it_can_be_exported_and_the_export_loads(folder, tmp_path):
    assert main(["export", f"--model={folder}", f"--out={tmp_path / 'saved'}"]) == 0
    image = np.random.default_rng(0).uniform(size=(20, 30, 3)).astype(np.float32)
    expected = tfdeblur.load(folder).restore(image)
    np.testing.assert_array_equal(tfdeblur.load(tmp_path / "saved").restore(image), expected)


def test_an_export_tells_its_own_numbers(folder, tmp_path):
    told = json.loads((folder / "tfdeblur.json").read_text())
    again, saved = tmp_path / "again", tmp_path / "saved"
    assert main(["export", f"--model={folder}", "--format=weights", f"--out={again}"]) == 0
    assert json.loads((again / "tfdeblur.json").read_text()) == told
    assert main(["export", f"--model={folder}", f"--out={saved}"]) == 0
    assert not {"sha256", "psnr_to_float32"} & set(json.loads((saved / "tfdeblur.json").read_text()))


def test_another_file_than_was_written_is_refused(damaged):
    content = bytearray((damaged / "weights.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "weights.npz").write_bytes(content)
    assert "SHA-256" in fails(damaged)


def test_a_file_that_is_missing_or_cut_off_is_one_line(damaged):
    whole = (damaged / "weights.npz").read_bytes()
    (damaged / "weights.npz").write_bytes(whole[: len(whole) // 2])
    assert "weights.npz" in fails(damaged)
    (damaged / "weights.npz").unlink()
    assert "weights.npz" in fails(damaged)


def test_weights_of_other_shapes_are_refused(folder, trained_run, tmp_path):
    net = tfdeblur.load(trained_run).net
    arrays = net.get_weights()
    other = tmp_path / "other.npz"
    np.savez(other, *arrays[1:])
    with pytest.raises(DeblurError, match="weights of another network"):
        pretrained.read(net, other, hashlib.sha256(other.read_bytes()).hexdigest())


@pytest.mark.parametrize("value", [np.nan, 1e5])
def test_weights_that_float16_cannot_hold_are_not_written(value, tmp_path):
    net = tf.keras.Sequential([tf.keras.layers.Dense(1, name="dense")])
    net.build([None, 1])
    net.set_weights([np.array([[value]]), np.array([0.0])])
    with pytest.raises(DeblurError, match="dense"):
        pretrained.write(net, tmp_path / "weights.npz")
    assert not (tmp_path / "weights.npz").exists()


def test_only_the_weights_that_it_holds_can_be_asked_for(folder):
    assert "is an export of the weights 'last'" in fails(folder, weights="best")


@pytest.mark.parametrize("flag", ["--size=64x64", "--float16", "--int8=x"])
def test_flags_of_other_formats_are_refused(folder, tmp_path, flag, capsys):
    assert main(["export", f"--model={folder}", "--format=weights", flag, f"--out={tmp_path / 'out'}"]) == 1
    assert "not with --format=weights" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------- by name


def test_a_name_stands_for_the_folder_also_beside_one_of_that_name(folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(pretrained, "_FOLDER", folder.parent)
    monkeypatch.chdir(tmp_path)
    assert pretrained.names() == sorted(["small", pretrained.DEFAULT])
    assert tfdeblur.load("small").path == "small" and not capsys.readouterr().err
    (tmp_path / "small/checkpoints").mkdir(parents=True)
    tfdeblur.load("small")
    assert "write ./small" in capsys.readouterr().err
    assert "no checkpoint" in fails("./small")


def test_a_folder_is_never_taken_for_weights_whose_files_are_gone(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "_FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "install tfdeblur again" in fails(pretrained.DEFAULT)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere / pretrained.DEFAULT)
    monkeypatch.chdir(elsewhere)
    assert "install tfdeblur again" in fails(pretrained.DEFAULT)


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "--config=madn/smoke", f"--workdir={pretrained.DEFAULT}"],
        ["export", f"--out={pretrained.DEFAULT}"],
        ["import-weights", "--system=mprnet", "--checkpoint=m.pth", f"--out={pretrained.DEFAULT}"],
    ],
)
def test_nothing_is_written_under_their_name(argv, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 1
    assert f"write ./{pretrained.DEFAULT}" in capsys.readouterr().err and not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["deblur", "evaluate", "export", "web"])
def test_none_lists_what_there_is_and_asks_for_nothing_else(command, capsys):
    assert main([command, "--model=none"]) == 0
    told = capsys.readouterr().out
    assert f"{pretrained.DEFAULT} (the default)" in told and "README.md" in told and "import-weights" in told


# ------------------------------------------------------------------------------------------------ the shipped


def test_the_shipped_files_are_small_and_name_no_place():
    assert (CARD / "weights.npz").stat().st_size < 12e6
    told = json.loads((CARD / "tfdeblur.json").read_text())
    assert not {"root", "blur_dir", "sharp_dir", "photographs_dir"} & set(told["data"])
    assert "/" not in json.dumps(told)


def shaken(name, seed):
    """A photograph that the shipped weights have not seen, under a shake, and without it."""
    sharp = photograph(name)
    rng = generator(seed)
    return blur(sharp, random_kernel(rng, Shake(length=(8.0, 14.0)))), sharp


def test_deblur_without_a_model_makes_a_blurred_photograph_sharper(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blurred, sharp = shaken("coffee.png", 0)
    write_image("photo.png", blurred)
    assert main(["deblur", "photo.png", "--precision=float32"]) == 0
    restored = read_image("restored/photo.png")
    assert psnr(restored, sharp) > psnr(blurred, sharp) + 0.5


def test_the_shipped_network_leaves_a_sharp_photograph_alone():
    sharp = photograph("coffee.png")
    assert psnr(tfdeblur.load(pretrained.DEFAULT).restore(sharp), sharp) > 40


# -------------------------------------------------------------------------------------------- starting from it


@pytest.fixture
def start(deterministic_madn, trained_run, tmp_path):
    """Function: one step of training from a model, at next to no learning rate, in tmp_path / "run"."""

    def train(model, **overrides):
        config = deterministic_madn.copy_and_resolve_references()
        config.update(steps=1, generator_learning_rate=1e-12, **overrides)
        source = runner.make_source(config, "train")
        cache = str(trained_run.parent / "cache")
        runner.train(config, str(tmp_path / "run"), source, "float32", cache_dir=cache, start_from=model)

    return train


def test_a_training_starts_from_the_weights(start, folder, tmp_path):
    start(str(folder))
    before, after = tfdeblur.load(folder).net, tfdeblur.load(tmp_path / "run").net
    for weight, trained in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_allclose(trained, weight, atol=1e-9)


@pytest.mark.slow
def test_it_goes_on_with_the_same_start_only_and_without_its_folder(start, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    start(str(copy))
    shutil.rmtree(copy)
    start(str(copy))  # there is a checkpoint: the first weights are not needed again
    with pytest.raises(DeblurError, match="start_from"):
        start(None)


def test_another_network_or_an_export_is_refused_before_the_first_step(start, folder, exported_run, tmp_path):
    with pytest.raises(DeblurError, match=r"give the same --config"):
        start(str(folder), widths=(4, 6, 10))
    with pytest.raises(DeblurError, match=r"num_res_blocks=0 \(here 1\)"):
        start(str(folder), num_res_blocks=1)
    with pytest.raises(DeblurError, match="global_residual"):
        start(str(folder), global_residual=True)  # of the same shapes
    with pytest.raises(DeblurError, match="names nothing"):
        start("")
    with pytest.raises(DeblurError, match="is an export"):
        start(str(exported_run))
    with pytest.raises(DeblurError, match="no checkpoint"):
        start(str(tmp_path / "nothing"))
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.parametrize("variant", ["train", "finish", "fine_tune"])
def test_the_shipped_weights_fit_their_configurations(variant):
    net = systems.build_from(load_experiment("weights/two_way_half", variant))
    shapes = [weight.shape for weight in tfdeblur.load(pretrained.DEFAULT).net.weights]
    assert [weight.shape for weight in net.weights] == shapes


@pytest.mark.slow
def test_the_demonstration_scores_and_draws_before_and_after_fine_tuning(tmp_path, capsys):
    out = tmp_path / "demo"
    small = ["--config.steps=3", "--config.crop=32", "--config.batch_size=2", "--config.learning_rate=1e-3"]
    assert main(["demo", f"--out={out}", *small]) == 0
    table = capsys.readouterr().out
    means = {name: json.loads((out / f"{name}.json").read_text()) for name in ("shipped", "fine_tuned")}
    for results in means.values():
        assert results["images"] == 6 and f"{results['metrics']['psnr']:.2f}" in table
    assert means["shipped"]["metrics"]["psnr"] > means["shipped"]["blurred"]["psnr"] + 1.0
    assert means["shipped"]["metrics"] != means["fine_tuned"]["metrics"]
    assert read_image(out / "before_after_truth.png").shape[:2] == (6 * (256 + 22), 4 * 256)
    clock = photograph("clock_motion.png")
    assert read_image(out / "clock_before_after.png").shape == (clock.shape[0], 3 * clock.shape[1], 3)
    assert (out / "saved_model/saved_model.pb").exists()


def test_restoring_in_float32_gives_the_same_everywhere():
    """A golden of the shipped weights, the same on both stack rows."""
    image = tf.constant(photograph("chelsea.png")[None, 100:164, 100:164] / np.float32(255))
    restored = restore_batch(tfdeblur.load(pretrained.DEFAULT).net, image)[0, 16::32, 16::32].numpy()
    golden = [
        [[0.53559, 0.36223, 0.20916], [0.56833, 0.46241, 0.25444]],
        [[0.64880, 0.49597, 0.34237], [0.51046, 0.34097, 0.17223]],
    ]
    np.testing.assert_allclose(restored, golden, atol=5e-5)

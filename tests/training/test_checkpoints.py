"""Stop, start again, and get to the bit what an uninterrupted run gets; and checkpoints that explain themselves."""

import glob
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfdeblur import runner
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.training import checkpoints as checkpoints_module
from tfdeblur.training.checkpoints import Checkpoints
from tfdeblur.training.loop import Interrupted

# ----------------------------------------------------------------------------------------- resuming


def train(config, workdir, policy, cache, held_out=None):
    source = runner.make_source(config, "train")
    return runner.train(config, str(workdir), source, policy, cache_dir=str(cache), held_out=held_out)


def checkpoint_values(path):
    """name -> bytes of every variable; what only counts savings and describes the Python objects is left out."""
    reader = tf.train.load_checkpoint(str(path).removesuffix(".index"))
    left_out = ("save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH", "metadata")
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith(left_out)]
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}


def count(values, part):
    return sum(part in name for name in values)


class Disturbance:
    """The loop with its real batches, and `event()` before it takes the batch of step `at`."""

    def __init__(self, monkeypatch):
        self.at, self.event, self.starts = None, None, []
        real = runner.loop.run

        def disturbed(trainer, make_batches, *arguments, **options):
            def make_disturbed(start):
                self.starts.append(start)
                for step, batch in enumerate(make_batches(start), start + 1):
                    if step == self.at:
                        self.event()
                    yield batch

            return real(trainer, make_disturbed, *arguments, **options)

        monkeypatch.setattr(runner.loop, "run", disturbed)

    def before_step(self, at, event):
        self.at, self.event = at, event


class PowerCut(Exception):
    pass


def power_cut():
    raise PowerCut


@pytest.fixture
def disturbance(monkeypatch):
    return Disturbance(monkeypatch)


def stop_and_break_and_finish(disturbance, config, run, policy, cache, held_out=None):
    """Trains 6 steps in three parts: SIGTERM in step 2, an exception before step 5, and the rest."""
    disturbance.before_step(2, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted, match=r"stopped at step 2 of 6: .*ckpt-2; start again to resume"):
        train(config, run, policy, cache, held_out)
    assert [path.name for path in (run / "checkpoints").glob("*.index")] == ["ckpt-2.index"]

    disturbance.before_step(5, power_cut)
    with pytest.raises(PowerCut):
        train(config, run, policy, cache, held_out)
    assert not (run / "checkpoints" / "ckpt-4.index").exists()  # so step 4 is to be done again
    disturbance.before_step(None, None)

    train(config, run, policy, cache, held_out)
    assert disturbance.starts[-3:] == [0, 2, 3]
    return checkpoint_values(run / "checkpoints" / "ckpt-6")


@pytest.mark.slow
def test_a_stopped_and_broken_run_ends_with_the_uninterrupted_runs_bits(
    deterministic_madn, trained_run, tmp_path, disturbance, capfd
):
    run, cache = tmp_path / "run", trained_run.parent / "cache"
    actual = stop_and_break_and_finish(disturbance, deterministic_madn, run, "float32", cache)
    said = capfd.readouterr().err
    assert f"resuming from {run}/checkpoints/ckpt-2\n" in said
    assert f"resuming from {run}/checkpoints/ckpt-3\n" in said
    assert_same_training(checkpoint_values(trained_run / "checkpoints" / "ckpt-6"), actual)
    assert actual != checkpoint_values(run / "checkpoints" / "ckpt-3")


def test_float16_resumes_to_the_bit_with_its_loss_scale(toy_config, tmp_path, disturbance):
    check_float16(toy_config, tmp_path, disturbance)


@pytest.mark.slow
def test_float16_of_madn_resumes_to_the_bit(tiny_madn, tmp_path, disturbance):
    check_float16(tiny_madn(), tmp_path, disturbance)


def test_the_average_and_the_best_weights_resume_to_the_bit(toy_config, tmp_path, disturbance):
    toy_config.update(ema_decay=0.9, deterministic=True, image_every=2)
    held_out = runner.make_source(toy_config, "test")
    train(toy_config, tmp_path / "uninterrupted", "float32", tmp_path / "cache", held_out)
    expected = {
        folder: checkpoint_values(*(tmp_path / "uninterrupted" / folder).glob("ckpt-6.index"))
        for folder in ("checkpoints", "best")  # the toy gets better with every step
    }
    assert count(expected["checkpoints"], "trainer/average/") == count(expected["checkpoints"], "trainer/generator/")
    run = tmp_path / "run"
    actual = stop_and_break_and_finish(disturbance, toy_config, run, "float32", tmp_path / "cache", held_out)
    assert_same_training(expected["checkpoints"], actual)
    assert [path.name for path in (run / "best").glob("*.index")] == ["ckpt-6.index"]
    assert checkpoint_values(run / "best" / "ckpt-6") == expected["best"]


def check_float16(config, tmp_path, disturbance):
    config.deterministic = True
    train(config, tmp_path / "uninterrupted", "mixed_float16", tmp_path / "cache")
    expected = checkpoint_values(tmp_path / "uninterrupted" / "checkpoints" / "ckpt-6")
    for player in ("generator", "discriminator"):
        state = {name: value for name, value in expected.items() if f"{player}_optimizer/loss_scale" in name}
        (scale,) = (np.frombuffer(value, np.float32) for name, value in state.items() if "current" in name)
        (good,) = (np.frombuffer(value, np.int64) for name, value in state.items() if "good_steps" in name)
        # 6 steps without overflow at Keras' first scale: a resumed run that had forgotten would say 3.
        assert scale == [2.0**15] and good == [6]
    arguments = (config, tmp_path / "run", "mixed_float16", tmp_path / "cache")
    assert_same_training(expected, stop_and_break_and_finish(disturbance, *arguments))


def assert_same_training(expected, actual):
    """Both are what `checkpoint_values` gives, and hold all that a training is made of."""
    for player in ("generator", "discriminator"):
        weights = count(expected, f"trainer/{player}/")
        assert weights and count(expected, f"trainer/{player}_optimizer/_variables/") == 2 * weights
        assert count(expected, f"trainer/{player}_optimizer/_iterations/") == 1
    assert count(expected, "trainer/step/") == 1
    assert actual.keys() == expected.keys()
    assert [name for name in expected if actual[name] != expected[name]] == []


@pytest.mark.slow
def test_a_process_that_is_told_to_stop_leaves_a_checkpoint_to_resume_from(tiny_madn, trained_run, tmp_path):
    config = tiny_madn(num_res_blocks=0, steps=100_000)
    program = (
        "import sys, json, ml_collections\n"
        "from tfdeblur import runner\n"
        "config = ml_collections.ConfigDict(json.loads(sys.argv[1]))\n"
        "runner.train(config, sys.argv[2], runner.make_source(config, 'train'), 'float32', cache_dir=sys.argv[3])\n"
    )
    arguments = [config.to_json(), str(tmp_path / "run"), str(trained_run.parent / "cache")]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        index = tmp_path / "run" / "checkpoints" / "ckpt-3.index"
        for _ in range(1200):
            if index.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        process.terminate()
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "Interrupted: stopped at step" in said
    metadata, path = checkpoints_module.read(str(tmp_path / "run"))
    step = int(path.rsplit("-", 1)[1])
    assert f"stopped at step {step} of 100000: {path}" in said
    assert int(tf.train.load_checkpoint(path).get_tensor("trainer/step/.ATTRIBUTES/VARIABLE_VALUE")) == step
    assert metadata["config"]["steps"] == 100_000


# ----------------------------------------------------------------------------------------- metadata


class Counter(tf.Module):
    """The least that Checkpoints needs of a trainer."""

    def __init__(self, step=0):
        super().__init__()
        self.step = tf.Variable(step, dtype=tf.int64)
        self.weight = tf.Variable([1.0, 2.0])


def metadata_of(**config):
    return {
        "config": {"learning_rate": 0.1, "widths": (4, 6), "log_every": 5, **config},
        "precision": "float32",
        "data": {"blur_kind": "blur", "pairs": 3},
        "version": "0.1.0",
    }


def test_checkpoint_explains_itself(tmp_path):
    saved = Checkpoints(str(tmp_path), Counter(7), metadata_of()).save()
    assert saved == str(tmp_path / "checkpoints" / "ckpt-7")
    metadata, path = checkpoints_module.read(str(tmp_path))
    assert path == saved
    assert metadata == json.loads(json.dumps(metadata_of()))
    assert checkpoints_module.read(saved) == (metadata, saved)


def test_restores_the_latest_and_keeps_three(tmp_path):
    trainer = Counter()
    checkpoints = Checkpoints(str(tmp_path), trainer, metadata_of())
    checkpoints.restore()  # nothing there: nothing happens
    for step in range(1, 6):
        trainer.step.assign(step)
        trainer.weight.assign([step, -step])
        checkpoints.save()
    files = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    suffixes = ("data-00000-of-00001", "index")
    assert files == [f"ckpt-{step}.{suffix}" for step in (3, 4, 5) for suffix in suffixes]

    fresh = Counter()
    resumed = Checkpoints(str(tmp_path), fresh, metadata_of())
    assert resumed.latest == str(tmp_path / "checkpoints" / "ckpt-5")
    resumed.restore()
    assert int(fresh.step) == 5
    np.testing.assert_array_equal(fresh.weight, [5, -5])


@pytest.mark.parametrize(
    "change, words",
    [
        ({"config": {"learning_rate": 0.2}}, ["learning_rate=0.1 (now 0.2)"]),
        ({"config": {"widths": (4, 8)}}, ["widths=[4, 6] (now [4, 8])"]),
        (
            {"config": {"learning_rate": 0.2, "widths": (4, 8)}},
            ["learning_rate=0.1 (now 0.2), widths=[4, 6] (now [4, 8])"],
        ),
        ({"config": {"new": 1}}, ["new=None (now 1)"]),
        ({"precision": "mixed_bfloat16"}, ["precision=float32 (now mixed_bfloat16)"]),
        ({"data": {"blur_kind": "blur_gamma", "pairs": 3}}, ["data.blur_kind=blur (now blur_gamma)"]),
        ({"data": {"blur_kind": "blur", "pairs": 4}}, ["data.pairs=3 (now 4)"]),
    ],
)
def test_other_settings_are_refused_with_the_keys_named(tmp_path, change, words):
    Checkpoints(str(tmp_path), Counter(2), metadata_of()).save()
    wanted = {**metadata_of(), **change, "config": metadata_of(**change.get("config", {}))["config"]}
    other = Checkpoints(str(tmp_path), Counter(), wanted)
    for attempt in (other.refuse_other_training, other.restore):
        with pytest.raises(DeblurError) as caught:
            attempt()
        message = str(caught.value)
        assert "\n" not in message and str(tmp_path / "checkpoints" / "ckpt-2") in message
        assert [word for word in words if word not in message] == []
        assert "log_every" not in message


def test_another_system_is_told_before_all_its_settings(tmp_path):
    Checkpoints(str(tmp_path), Counter(2), metadata_of(system="madn")).save()
    with pytest.raises(DeblurError, match="ckpt-2 is a training of madn, not of two_way: name another folder"):
        Checkpoints(str(tmp_path), Counter(), metadata_of(system="two_way", learning_rate=3)).refuse_other_training()


def test_how_often_to_write_where_the_data_lie_and_the_version_may_differ(tmp_path):
    here = {"blur_kind": "blur", "pairs": 3, "root": "/here", "blur_dir": "/here", "sharp_dir": "/here"}
    before = metadata_of(checkpoint_every=3, image_every=4, deterministic=True)
    Checkpoints(str(tmp_path), Counter(2), {**before, "data": here}).save()
    wanted = metadata_of(checkpoint_every=30, image_every=40, log_every=50, deterministic=False)
    there = {key: value.replace("/here", "/there") if key != "pairs" else value for key, value in here.items()}
    wanted |= {"version": "0.2.0", "data": there}
    trainer = Counter()
    Checkpoints(str(tmp_path), trainer, wanted).restore()
    assert int(trainer.step) == 2


def test_a_trainer_with_more_than_the_checkpoint_holds_is_refused(tmp_path):
    Checkpoints(str(tmp_path), Counter(2), metadata_of()).save()
    trainer = Counter()
    trainer.forgotten = tf.Variable(0.0)
    with pytest.raises(DeblurError, match="ckpt-2: the checkpoint is damaged or of another version"):
        Checkpoints(str(tmp_path), trainer, metadata_of()).restore()


def test_a_full_disk_is_one_line_that_names_the_last_good_checkpoint(tmp_path, monkeypatch):
    trainer = Counter(1)
    checkpoints = Checkpoints(str(tmp_path), trainer, metadata_of())
    good = checkpoints.save()

    def no_space(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nmore words")

    monkeypatch.setattr(tf.train.Checkpoint, "write", no_space)
    trainer.step.assign(2)
    with pytest.raises(DeblurError) as caught:
        checkpoints.save()
    message = str(caught.value)
    assert message.startswith("step 2: cannot write a checkpoint (No space left on device)")
    assert good in message and "\n" not in message
    assert checkpoints.latest == good


# ----------------------------------------------------------------------------------------- the best


def test_the_best_is_kept_however_many_checkpoints_follow(tmp_path):
    trainer = Counter()
    checkpoints = Checkpoints(str(tmp_path), trainer, metadata_of())
    assert checkpoints.best is None
    for step, psnr in enumerate([20.0, 27.5, 27.5, 26.0, float("-inf")], 1):
        trainer.step.assign(step)
        trainer.weight.assign([step, -step])
        checkpoints.keep_best(psnr)
        checkpoints.save()
    best = str(tmp_path / "best" / "ckpt-2")  # of two that are as good the earlier
    assert checkpoints.best == Checkpoints(str(tmp_path), Counter(), metadata_of()).best == (best, 27.5)
    files = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert files == ["ckpt-2.data-00000-of-00001", "ckpt-2.index"]
    metadata, path = checkpoints_module.read(str(tmp_path), best=True)
    assert path == best and metadata == json.loads(json.dumps({**metadata_of(), "held_out_psnr": 27.5}))
    weight = tf.train.load_checkpoint(best).get_tensor("trainer/weight/.ATTRIBUTES/VARIABLE_VALUE")
    np.testing.assert_array_equal(weight, [2, -2])


def test_of_two_that_a_killed_process_left_the_better_one_is_the_best(tmp_path):
    """It writes the new one first."""
    better, worse = tmp_path / "better", tmp_path / "worse"
    for folder, step, psnr in ((better, 10, 30.0), (worse, 12, 29.0)):
        Checkpoints(str(folder), Counter(step), metadata_of()).keep_best(psnr)
    for file in (worse / "best").iterdir():
        file.rename(better / "best" / file.name)
    trainer = Counter(14)
    checkpoints = Checkpoints(str(better), trainer, metadata_of())
    assert checkpoints.best == (str(better / "best" / "ckpt-10"), 30.0)
    checkpoints.keep_best(float("inf"))  # restored = truth
    assert checkpoints.best == (str(better / "best" / "ckpt-14"), float("inf"))
    assert len(list((better / "best").iterdir())) == 2


def test_a_best_checkpoint_of_other_settings_is_refused(tmp_path):
    """Where the others were removed by hand: the new training's would be measured by it."""
    Checkpoints(str(tmp_path), Counter(2), metadata_of()).keep_best(20.0)
    other = Checkpoints(str(tmp_path), Counter(), metadata_of(learning_rate=0.2))
    with pytest.raises(DeblurError, match=r"best/ckpt-2 was trained with learning_rate=0.1 \(now 0.2\)"):
        other.refuse_other_training()


def test_no_best_checkpoint_is_one_line(tmp_path):
    path = Checkpoints(str(tmp_path), Counter(2), metadata_of()).save()
    for asked in (str(tmp_path), path):
        with pytest.raises(DeblurError, match="no best checkpoint there") as caught:
            checkpoints_module.read(asked, best=True)
        assert str(caught.value).startswith(asked) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "setting, before, other",
    [
        ("ema_decay", 0.0, 0.9),
        ("num_egms", 0, 2),
        ("half_resolution", False, True),
        ("pixel_error", "squared", "absolute"),
    ],
)
def test_checkpoints_from_before_there_was_a_setting_are_those_without_it(tmp_path, setting, before, other):
    Checkpoints(str(tmp_path), Counter(2), metadata_of()).save()
    Checkpoints(str(tmp_path), Counter(), metadata_of(**{setting: before})).refuse_other_training()
    with pytest.raises(DeblurError, match=rf"{setting}={before} \(now {other}\)"):
        Checkpoints(str(tmp_path), Counter(), metadata_of(**{setting: other})).refuse_other_training()


# ----------------------------------------------------------------------------------------- damage


def two_checkpoints(folder):
    """ckpt-2 and ckpt-4 of a Counter; returns the prefix of the later one."""
    trainer = Counter()
    checkpoints = Checkpoints(str(folder), trainer, metadata_of())
    for step in (2, 4):
        trainer.step.assign(step)
        trainer.weight.assign([step, step])
        checkpoints.save()
    return checkpoints.latest


def truncate(path, share):
    os.truncate(path, int(os.path.getsize(path) * share))


DAMAGES = {
    "no data": lambda prefix: os.remove(f"{prefix}.data-00000-of-00001"),
    "empty data": lambda prefix: truncate(f"{prefix}.data-00000-of-00001", 0),
    "half of the data": lambda prefix: truncate(f"{prefix}.data-00000-of-00001", 0.5),
    "most of the data": lambda prefix: truncate(f"{prefix}.data-00000-of-00001", 0.99),
    "empty index": lambda prefix: truncate(f"{prefix}.index", 0),
    "half of the index": lambda prefix: truncate(f"{prefix}.index", 0.5),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_is_one_line_whose_remedy_works(tmp_path, damage):
    prefix = two_checkpoints(tmp_path)
    DAMAGES[damage](prefix)
    with pytest.raises(DeblurError) as caught:
        Checkpoints(str(tmp_path), Counter(), metadata_of()).restore()
    message = str(caught.value)
    assert message.startswith(f"{prefix}: the checkpoint is damaged") and "\n" not in message
    assert f"delete its files ({prefix}.*) to go on from the one before" in message

    for file in glob.glob(f"{prefix}.*"):  # what the message says
        os.remove(file)
    assert_resumes_at_2_and_saves(tmp_path)


def test_a_checkpoint_that_was_not_finished_does_not_count(tmp_path):
    # The index is written last.
    prefix = two_checkpoints(tmp_path)
    os.remove(f"{prefix}.index")
    assert_resumes_at_2_and_saves(tmp_path)


def assert_resumes_at_2_and_saves(folder):
    trainer = Counter()
    checkpoints = Checkpoints(str(folder), trainer, metadata_of())
    checkpoints.restore()
    assert int(trainer.step) == 2
    np.testing.assert_array_equal(trainer.weight, [2, 2])
    trainer.step.assign(4)
    trainer.weight.assign([8, 8])
    checkpoints.save()
    again = Counter()
    Checkpoints(str(folder), again, metadata_of()).restore()
    assert int(again.step) == 4
    np.testing.assert_array_equal(again.weight, [8, 8])


def test_the_newest_is_the_highest_step_not_the_last_in_the_alphabet(tmp_path):
    trainer = Counter()
    checkpoints = Checkpoints(str(tmp_path), trainer, metadata_of())
    for step in (9, 10, 100):
        trainer.step.assign(step)
        checkpoints.save()
    assert checkpoints.latest.endswith("ckpt-100")
    assert checkpoints_module.read(str(tmp_path))[1].endswith("ckpt-100")
    for name in ("ckpt-101.index.tmp", "ckpt-x.index", "ckpt-200.data-00000-of-00001", "notes.index"):
        (tmp_path / "checkpoints" / name).write_text("of no account")
    assert checkpoints.latest.endswith("ckpt-100")


def test_a_work_directory_with_wildcards_in_its_name_is_refused_before_it_is_trained(tmp_path):
    folder = tmp_path / "run [1]"
    with pytest.raises(DeblurError, match="rename the folder"):
        Checkpoints(str(folder), Counter(7), metadata_of())
    with pytest.raises(DeblurError, match="rename the folder"):
        checkpoints_module.read(str(folder))


def test_a_second_training_in_the_same_work_directory_is_refused(toy_config, tmp_path, disturbance):
    refused = []

    def train_again():
        with pytest.raises(DeblurError, match="another training is running there") as caught:
            train(toy_config, tmp_path / "run", "float32", tmp_path / "cache")
        refused.append(str(caught.value))

    disturbance.before_step(2, train_again)
    train(toy_config, tmp_path / "run", "float32", tmp_path / "cache")
    assert len(refused) == 1 and str(tmp_path / "run") in refused[0]
    # Its end frees the folder.
    assert train(toy_config, tmp_path / "run", "float32", tmp_path / "cache") == {}


def test_a_work_directory_that_cannot_be_written_to_is_one_line(toy_config, tmp_path):
    (tmp_path / "run" / "lock").mkdir(parents=True)  # no permission stops root
    with pytest.raises(DeblurError, match=r"--workdir=.*run: cannot be written to \(Is a directory\)"):
        train(toy_config, tmp_path / "run", "float32", tmp_path / "cache")


def test_nothing_to_read_is_one_line(tmp_path):
    with pytest.raises(DeblurError, match="no checkpoint and no export there") as caught:
        checkpoints_module.read(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_a_damaged_best_checkpoint_is_replaced_and_does_not_stop_the_training(tmp_path):
    Checkpoints(str(tmp_path), Counter(2), metadata_of()).save()
    Checkpoints(str(tmp_path), Counter(2), metadata_of()).keep_best(20.0)
    (tmp_path / "best" / "ckpt-2.index").write_bytes(b"nonsense")
    with pytest.raises(DeblurError, match="best/ckpt-2: the checkpoint is damaged"):
        checkpoints_module.read(str(tmp_path), best=True)
    checkpoints = Checkpoints(str(tmp_path), Counter(4), metadata_of())
    checkpoints.restore()
    assert checkpoints.best is None
    checkpoints.trainer.step.assign(4)
    checkpoints.keep_best(-1.0)
    assert checkpoints.best == (str(tmp_path / "best" / "ckpt-4"), -1.0)
    assert len(list((tmp_path / "best").iterdir())) == 2  # the damaged one is gone

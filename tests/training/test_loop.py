"""The loop around train_step, run on a trainer whose every number is known."""

import shutil
import signal
import threading

import numpy as np
import pytest

from tfdeblur.compat import precision, tf
from tfdeblur.errors import DeblurError
from tfdeblur.training import loop
from tfdeblur.training.checkpoints import Checkpoints
from tfdeblur.training.schedules import ConstantThenLinear
from tfdeblur.training.supervised import SupervisedTrainer


class Adder(tf.keras.Model):
    """weight += batch; its losses are the batch, and twice the batch."""

    def __init__(self):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.skipped = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.weight = tf.Variable(0.0)

    def train_step(self, batch):
        self.weight.assign_add(batch)
        self.step.assign_add(1)
        return {"generator/pixel": batch, "generator/loss": 2.0 * batch}

    def update_average(self):
        pass


METADATA = {"config": {}, "precision": "float32", "data": {}}


def checkpoints_in(folder, trainer):
    return Checkpoints(str(folder), trainer, METADATA)


def numbers_from(start, bad=None):
    """The batch of step n is n; that of step `bad` is not a number."""
    for step in range(start + 1, 1000):
        yield tf.constant(float("nan") if step == bad else float(step))


def run(folder, trainer=None, make_batches=numbers_from, steps=6, checkpoint_every=2, **options):
    trainer = trainer or Adder()
    options = {"log_every": 2, **options}
    checkpoints = checkpoints_in(folder, trainer)
    logs = loop.run(trainer, make_batches, checkpoints, steps=steps, checkpoint_every=checkpoint_every, **options)
    return trainer, logs


def saved_steps(folder, kind="checkpoints"):
    return sorted(int(path.stem.split("-")[1]) for path in (folder / kind).glob("*.index"))


def weight_in(folder, step, kind="checkpoints"):
    reader = tf.train.load_checkpoint(str(folder / kind / f"ckpt-{step}"))
    return reader.get_tensor("trainer/weight/.ATTRIBUTES/VARIABLE_VALUE")


# ----------------------------------------------------------------------------------------- the whole way


def test_runs_every_step_once_and_saves_when_due(tmp_path):
    trainer, logs = run(tmp_path, steps=7, checkpoint_every=3)
    assert int(trainer.step) == 7 and float(trainer.weight) == 1 + 2 + 3 + 4 + 5 + 6 + 7
    assert logs == {"generator/pixel": 7.0, "generator/loss": 14.0}
    assert saved_steps(tmp_path) == [3, 6, 7]
    assert [weight_in(tmp_path, step) for step in (3, 6, 7)] == [6, 21, 28]


def test_goes_on_where_it_stopped_with_the_batches_from_there(tmp_path, capfd):
    run(tmp_path, steps=4)
    asked = []

    def make_batches(start):
        asked.append(start)
        return numbers_from(start)

    trainer, _ = run(tmp_path, make_batches=make_batches, steps=6)
    assert asked == [4]
    assert float(trainer.weight) == 21
    assert f"resuming from {tmp_path}/checkpoints/ckpt-4\n" in capfd.readouterr().err


def test_a_complete_run_says_so_and_does_nothing(tmp_path, capfd):
    run(tmp_path, steps=4)
    capfd.readouterr()

    def never(start):
        raise AssertionError("no batch is needed")

    trainer, logs = run(tmp_path, make_batches=never, steps=4)
    said = capfd.readouterr().err
    assert said == f"complete: {tmp_path}/checkpoints/ckpt-4 is at step 4 of 4\n"
    assert logs == {} and float(trainer.weight) == 10
    assert saved_steps(tmp_path) == [2, 4]


def test_writes_scalars_every_log_every_steps_and_at_the_end(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path / "events"))
    run(tmp_path, steps=5, writer=writer, log_every=2)
    writer.close()
    found = scalars_in(tmp_path)
    waited = found.pop("input/share_of_time_waited")
    assert found == {
        "generator/pixel": {2: 2.0, 4: 4.0, 5: 5.0},
        "generator/loss": {2: 4.0, 4: 8.0, 5: 10.0},
        "skipped_updates": {2: 0.0, 4: 0.0, 5: 0.0},
    }
    assert waited.keys() == {2, 4, 5} and all(0 <= share <= 1 for share in waited.values())


def scalars_in(folder):
    """{tag: {step: value}} of the events there."""
    (events,) = (folder / "events").iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(events)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return found


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("replicas", [1, 2])
def test_the_learning_rate_of_a_step_is_the_one_it_was_made_with(tmp_path, policy, replicas, two_cpus):
    """Under Keras' loss scale, too, on either stack, and after a resumption. The line: 1, 0.9, 0.8, ..."""

    def go_on_to(steps, strategy):
        with precision(policy), strategy.scope():
            generator = Scale()
            generator(tf.ones([1, 3]))
            adam = tf.keras.optimizers.Adam(ConstantThenLinear(1.0, constant_steps=0, steps=10), jit_compile=False)
            trainer = SupervisedTrainer(
                generator=generator, objective=Squares(), generator_optimizer=adam, global_batch_size=2
            )
        pair = {"blurred": tf.ones([1, 3]), "sharp": 0.5 * tf.ones([1, 3])}
        writer = tf.summary.create_file_writer(str(tmp_path / "events"))
        run(tmp_path, trainer, lambda start: iter([pair] * 9), steps, writer=writer, log_every=1)
        writer.close()

    strategy = two_cpus if replicas == 2 else tf.distribute.OneDeviceStrategy("CPU:0")
    go_on_to(2, strategy)
    shutil.rmtree(tmp_path / "events")
    go_on_to(4, strategy)
    assert scalars_in(tmp_path)["generator/learning_rate"] == {3: pytest.approx(0.8), 4: pytest.approx(0.7)}


@pytest.mark.parametrize("image_every, expected", [(0, [5]), (2, [2, 4, 5]), (5, [5])])
def test_pictures_every_image_every_steps_and_at_the_end(tmp_path, image_every, expected):
    seen = []
    run(tmp_path, steps=5, on_images=seen.append, image_every=image_every)
    assert seen == expected


def test_the_best_held_out_psnr_is_kept_logged_and_shown(tmp_path, capfd):
    psnrs = {2: 20.0, 4: 25.0, 6: 24.0, 7: 24.5}
    writer = tf.summary.create_file_writer(str(tmp_path / "events"))
    run(tmp_path, steps=7, checkpoint_every=1, on_images=psnrs.get, image_every=2, writer=writer)
    writer.close()
    assert scalars_in(tmp_path)["held_out/psnr"] == psnrs
    assert capfd.readouterr().err.rstrip().endswith("held-out PSNR 24.50 dB]")
    # What three checkpoints in a row do not hold any more.
    assert saved_steps(tmp_path) == [5, 6, 7] and saved_steps(tmp_path, "best") == [4]
    assert weight_in(tmp_path, 4, "best") == 1 + 2 + 3 + 4


def test_who_is_killed_while_looking_looks_again(tmp_path):
    """A resumed run ends with the best weights of the uninterrupted one."""

    class Killed(Exception):
        pass

    def look(step):
        if step == 4 and not killed:
            killed.append(step)
            raise Killed
        return {2: 20.0, 4: 25.0, 6: 24.0}[step]

    killed = []
    with pytest.raises(Killed):
        run(tmp_path, on_images=look, image_every=2)
    assert saved_steps(tmp_path) == [2] and saved_steps(tmp_path, "best") == [2]
    run(tmp_path, on_images=look, image_every=2)
    assert saved_steps(tmp_path, "best") == [4]


# ----------------------------------------------------------------------------------------- progress


def test_progress_on_a_file_is_short_and_ends_with_the_total(tmp_path, capfd):
    run(tmp_path, steps=300, checkpoint_every=1000)
    said = capfd.readouterr().err
    # 300 fast steps: a live bar would have written a dozen updates
    assert said.count("\r") <= 3
    last = said.split("\r")[-1]
    assert "train: 100%" in last and "300/300" in last and "loss 600.0000" in last and "data " in last


def test_progress_of_a_resumed_run_starts_where_it_stopped(tmp_path, capfd):
    run(tmp_path, steps=4)
    capfd.readouterr()
    run(tmp_path, steps=8)
    bar = capfd.readouterr().err.split("\r")[1]
    assert "50%" in bar and "4/8" in bar


# ----------------------------------------------------------------------------------------- bad numbers


@pytest.mark.parametrize("bad, saved", [(5, [2, 4]), (4, [2]), (6, [2, 4]), (1, [])])
def test_a_non_finite_loss_stops_before_anything_bad_is_saved(tmp_path, bad, saved):
    with pytest.raises(DeblurError) as caught:
        run(tmp_path, make_batches=lambda start: numbers_from(start, bad))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"step {bad}: generator/pixel=nan, generator/loss=nan: ")
    last = f"{tmp_path}/checkpoints/ckpt-{saved[-1]}" if saved else "none"
    assert f"the last good checkpoint is {last};" in message
    assert saved_steps(tmp_path) == saved
    for step in saved:
        assert weight_in(tmp_path, step) == step * (step + 1) / 2


def test_only_the_term_that_went_wrong_is_named(tmp_path):
    class Infinite(Adder):
        def train_step(self, batch):
            return {**super().train_step(batch), "discriminator/loss": 1.0 / (3.0 - batch)}

    with pytest.raises(DeblurError, match=r"^step 3: discriminator/loss=-?inf: training stopped"):
        run(tmp_path, Infinite())


class Scale(tf.keras.layers.Layer):
    """x -> w x with w = 1; its gradient is not a number where the root's slope is infinite."""

    def build(self, shape):
        self.w = self.add_weight(name="w", shape=(), initializer="ones")

    def call(self, x):
        return {"restored": self.w * x}


class Squares:
    def generator_losses(self, outputs, batch):
        return {"content": tf.reduce_mean((tf.cast(outputs["restored"], tf.float32) - batch["sharp"]) ** 2, axis=1)}


class RootObjective:
    def generator_losses(self, outputs, batch):
        # At restored = sharp: sqrt(0) = 0, a good loss, whose derivative is inf * 0.
        return {"content": tf.sqrt(tf.reduce_mean((outputs["restored"] - batch["sharp"]) ** 2, axis=1))}


def test_a_bad_gradient_behind_a_good_loss_stops_before_the_weights_are_saved(tmp_path):
    generator = Scale()
    generator(tf.ones([1, 3]))
    adam = tf.keras.optimizers.Adam(1e-3)
    trainer = SupervisedTrainer(
        generator=generator, objective=RootObjective(), generator_optimizer=adam, global_batch_size=2
    )

    def make_batches(start):
        for step in range(start + 1, 10):
            blurred = tf.ones([2, 3])
            if step == 3:  # what the generator makes of it is exactly the truth
                yield {"blurred": blurred, "sharp": generator(blurred)["restored"]}
            else:
                yield {"blurred": blurred, "sharp": 0.5 * blurred}

    with pytest.raises(DeblurError, match=r"^step 3: generator/gradient_norm=nan: "):
        run(tmp_path, trainer, make_batches, checkpoint_every=1)
    assert saved_steps(tmp_path) == [1, 2]
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / "ckpt-2"))
    assert np.isfinite(reader.get_tensor("trainer/generator/w/.ATTRIBUTES/VARIABLE_VALUE"))


# ----------------------------------------------------------------------------------------- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_it_and_can_be_resumed(tmp_path, number, capfd):
    before = signal.getsignal(number)

    def make_batches(start):
        for step, batch in enumerate(numbers_from(start), start + 1):
            if step == 3:
                signal.raise_signal(number)
            yield batch

    with pytest.raises(loop.Interrupted) as caught:
        run(tmp_path, make_batches=make_batches, steps=6, checkpoint_every=5)
    assert str(caught.value) == f"stopped at step 3 of 6: {tmp_path}/checkpoints/ckpt-3; start again to resume"
    assert "stopping after this step; once more to stop at once" in capfd.readouterr().err
    assert saved_steps(tmp_path) == [3] and weight_in(tmp_path, 3) == 6
    assert signal.getsignal(number) is before
    trainer, _ = run(tmp_path, checkpoint_every=5)
    assert float(trainer.weight) == 21


def test_a_signal_during_the_last_step_is_a_complete_run(tmp_path):
    def make_batches(start):
        for step, batch in enumerate(numbers_from(start), start + 1):
            if step == 6:
                signal.raise_signal(signal.SIGTERM)
            yield batch

    trainer, logs = run(tmp_path, make_batches=make_batches)
    assert int(trainer.step) == 6 and logs["generator/loss"] == 12.0


def test_a_second_signal_stops_at_once(tmp_path):
    # Where the shell started pytest in the background, Python has left SIGINT ignored.
    default = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        check_second_signal(tmp_path)
    finally:
        signal.signal(signal.SIGINT, default)


def check_second_signal(tmp_path):
    def make_batches(start):
        for step, batch in enumerate(numbers_from(start), start + 1):
            if step == 3:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            yield batch

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, make_batches=make_batches)
    assert saved_steps(tmp_path) == [2]
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_as_before_after_an_error(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(DeblurError):
        run(tmp_path, make_batches=lambda start: numbers_from(start, bad=1))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_runs_outside_the_main_thread_too(tmp_path):
    result = []
    thread = threading.Thread(target=lambda: result.append(run(tmp_path)[1]))
    thread.start()
    thread.join(60)
    assert result == [{"generator/pixel": 6.0, "generator/loss": 12.0}]


# ----------------------------------------------------------------------------------------- numbers that go wrong


class CarefulAdder(Adder):
    """As the trainers do: a step whose number is not finite changes no weight, and is counted."""

    def train_step(self, batch):
        finite = tf.math.is_finite(batch)
        self.weight.assign_add(tf.where(finite, batch, 0.0))
        self.skipped.assign_add(tf.cast(~finite, tf.int64))
        self.step.assign_add(1)
        return {"generator/pixel": batch, "generator/loss": 2.0 * batch}


def bad_at(*steps):
    def make_batches(start):
        for step in range(start + 1, 1000):
            yield tf.constant(float("inf") if step in steps else float(step))

    return make_batches


def test_skip_goes_on_without_the_bad_step_and_counts_it(tmp_path, capfd):
    trainer, _ = run(tmp_path, CarefulAdder(), bad_at(3, 5), steps=7, on_nonfinite="skip")
    assert float(trainer.weight) == 1 + 2 + 4 + 6 + 7
    assert int(trainer.step) == 7 and int(trainer.skipped) == 2
    said = capfd.readouterr().err
    assert "step 3: generator/pixel=inf, generator/loss=inf: update left out" in said


def test_restore_goes_back_to_the_last_checkpoints_weights_and_on_with_the_next_batch(tmp_path, capfd):
    trainer, _ = run(tmp_path, CarefulAdder(), bad_at(6), steps=8, checkpoint_every=4, on_nonfinite="restore")
    assert float(trainer.weight) == 1 + 2 + 3 + 4 + 7 + 8  # what step 5 brought is gone, too
    assert int(trainer.step) == 8 and int(trainer.skipped) == 1
    assert (
        f"step 6: generator/pixel=inf, generator/loss=inf: back to the weights of {tmp_path}" in capfd.readouterr().err
    )


def test_before_the_first_checkpoint_restore_leaves_the_update_out(tmp_path):
    trainer, _ = run(tmp_path, CarefulAdder(), bad_at(2), steps=4, checkpoint_every=4, on_nonfinite="restore")
    assert float(trainer.weight) == 1 + 3 + 4


@pytest.mark.parametrize("mode", ["skip", "restore"])
def test_nothing_but_bad_steps_ends_the_training(tmp_path, mode):
    with pytest.raises(DeblurError, match="step 23: .* so were 20 before; training stopped"):
        run(tmp_path, CarefulAdder(), bad_at(*range(3, 999)), steps=90, checkpoint_every=2000, on_nonfinite=mode)


def test_bad_steps_that_are_far_apart_do_not_end_it(tmp_path):
    trainer, _ = run(tmp_path, CarefulAdder(), bad_at(*range(2, 90, 2)), steps=90, on_nonfinite="skip")
    assert int(trainer.skipped) == 44


@pytest.mark.parametrize(
    "error, gone",
    [
        (tf.errors.UnavailableError(None, None, "Socket closed"), True),
        (tf.errors.InternalError(None, None, "Collective ops is aborted by: worker 1"), True),
        (tf.errors.UnknownError(None, None, "Connection reset by peer"), True),
        (tf.errors.InternalError(None, None, "Failed to launch CUDA kernel"), False),
    ],
)
def test_a_failing_device_is_no_lost_worker(monkeypatch, error, gone):
    monkeypatch.setattr(loop, "is_multi_worker", lambda strategy: True)
    expected = (loop.WorkerLost, "another worker is gone") if gone else (tf.errors.InternalError, "CUDA")
    with pytest.raises(expected[0], match=expected[1]), loop.outside_the_loop(None):
        raise error
    monkeypatch.setattr(loop, "is_multi_worker", lambda strategy: False)
    with pytest.raises(type(error)), loop.outside_the_loop(None):
        raise error

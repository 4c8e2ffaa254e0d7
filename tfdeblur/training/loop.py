"""The loop around `train_step`: resume, progress, scalars, checkpoints, and stopping when it must."""

import contextlib
import math
import signal
import sys
import time

import tqdm

from tfdeblur.compat import graph_function, tf
from tfdeblur.errors import DeblurError
from tfdeblur.training.strategy import is_chief, is_multi_worker

ON_NONFINITE = ("stop", "skip", "restore")
_MOST_IN_A_ROW = 20  # steps that "skip" leaves out, and restorations without a checkpoint between them

# What collective operations raise when a worker that takes part in them is gone. The last three stand for much else,
# a failing GPU among it: there the message must speak of the others.
_CONNECTION_ERRORS = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError),
    *(tf.errors.InternalError, tf.errors.FailedPreconditionError, tf.errors.UnknownError),
)
_AMBIGUOUS = (tf.errors.InternalError, tf.errors.FailedPreconditionError, tf.errors.UnknownError)
_ABOUT_OTHERS = ("collective", "peer", "rpc", "connect", "coordination", "heartbeat", "remote", "socket")


class Interrupted(Exception):
    """The user or the system asked to stop; what was done is in a checkpoint."""


class WorkerLost(Exception):
    """Another worker is gone: this one cannot go on, and starting all again resumes from the last checkpoint."""


def run(
    trainer,
    make_batches,
    checkpoints,
    *,
    steps,
    checkpoint_every,
    log_every,
    writer=None,
    on_images=None,
    image_every=0,
    on_nonfinite="stop",
):
    """Trains from the trainer's step to `steps`.

    Args:
      trainer: a model with `train_step(batch) -> logs`, `update_average()`, `step` and `skipped`; runs under the
        strategy in whose scope it was made.
      make_batches: step -> iterable of batches from that step on; under a strategy of several replicas, of batches
        that are distributed already (each replica trains on what it is handed).
      checkpoints: `Checkpoints`; restored before anything else, saved every `checkpoint_every` steps and at
        the end. Of several workers the first writes them.
      steps: the step at which training is complete.
      log_every: steps between two TensorBoard points.
      writer: tf.summary writer, or None.
      on_images: step -> held-out PSNR in dB or None, called every `image_every` steps (0: never) and at the end; the
        best weights are kept by it.
      on_nonfinite: what to do when a loss or a gradient is not finite; the update itself is left out always. "stop":
        raise DeblurError; "skip": go on; "restore": go on with the weights and optimisers of the last checkpoint, and
        the next batch. A learning rate's schedule counts the updates that the weights have had, in all three.

    Returns:
      The last logs: dict of name -> float.

    Raises:
      DeblurError: a loss is not finite (the step, the term and the last good checkpoint are named).
      Interrupted: SIGINT or SIGTERM arrived, at any worker; a checkpoint of the last whole step has been written.
      WorkerLost: another worker is gone.
    """
    strategy = trainer.distribute_strategy
    chief, several = is_chief(strategy), is_multi_worker(strategy)
    checkpoints.restore()
    start = int(trainer.step.numpy())
    if several:
        _refuse_disagreement(strategy, start)
    if start >= steps:
        _tell(chief, f"complete: {checkpoints.latest} is at step {start} of {steps}")
        return {}
    if start:
        _tell(chief, f"resuming from {checkpoints.latest}")

    @graph_function
    def train_step(batch, asked_to_stop):
        names = []

        def replica_step(batch, asked_to_stop):
            logs = {**trainer.train_step(batch), "asked_to_stop": asked_to_stop}
            names[:] = logs
            return tf.stack(list(logs.values()))  # one sum over the replicas instead of one for each

        values = strategy.reduce("SUM", strategy.run(replica_step, args=(batch, asked_to_stop)), axis=None)
        trainer.update_average()
        return dict(zip(names, tf.unstack(values), strict=True))

    stop = _StopSignals()
    alarms = _Alarms(trainer, checkpoints, on_nonfinite)
    batches = iter(make_batches(start))
    waited, began, logs, saved, held_out = 0.0, time.monotonic(), {}, start, ""
    # A terminal gets a live bar, a log file a line now and then.
    interval = 0.5 if sys.stderr.isatty() else 20.0
    bar = tqdm.tqdm(
        total=steps,
        initial=start,
        unit="step",
        mininterval=interval,
        dynamic_ncols=True,
        desc="train",
        disable=not chief,
    )
    with stop, bar:
        for step in range(start + 1, steps + 1):
            try:
                asked = time.monotonic()
                batch = next(batches)
                waited += time.monotonic() - asked
                values = train_step(batch, tf.constant(float(stop.requested)))
                logs = {name: float(value) for name, value in values.items()}
            except _CONNECTION_ERRORS as error:
                if not _worker_is_gone(error, strategy):
                    raise
                raise WorkerLost(
                    f"step {step}: another worker is gone ({type(error).__name__}); start all workers "
                    f"again to resume from {checkpoints.latest or 'the beginning'}"
                ) from error
            # All workers have to leave after the same step: what one was asked, all know one step later.
            stopping = bool(logs.pop("asked_to_stop")) or (stop.requested and not several)
            alarms.look_at(logs, step)
            last = step == steps
            # Before the step's checkpoint: who resumes there has this behind him.
            if chief and on_images and ((image_every and step % image_every == 0) or last):
                psnr = on_images(step)
                if psnr is not None:
                    held_out = f", held-out PSNR {psnr:.2f} dB"
                    checkpoints.keep_best(psnr)
                    if writer:
                        with writer.as_default(step=step):
                            tf.summary.scalar("held_out/psnr", psnr)
            elapsed = time.monotonic() - began
            loss = f"loss {logs['generator/loss']:.4f}, data {waited / elapsed:.0%}"
            bar.set_postfix_str(loss + held_out, refresh=False)
            bar.update()

            if writer and chief and (step % log_every == 0 or last):
                with writer.as_default(step=step):
                    for name, value in {**logs, **_learning_rates(trainer)}.items():
                        tf.summary.scalar(name, value)
                    tf.summary.scalar("skipped_updates", trainer.skipped)
                    tf.summary.scalar("input/share_of_time_waited", waited / elapsed)
            if step % checkpoint_every == 0 or last or stopping:
                if chief:
                    checkpoints.save()
                saved = step
                alarms.saved()
            if several and (last or stopping):
                _sum_over_workers(strategy, 0)  # nobody leaves before the first one has written
            if stopping and not last:
                raise Interrupted(f"stopped at step {saved} of {steps}: {checkpoints.latest}; start again to resume")
    return logs


def _worker_is_gone(error, strategy):
    if not is_multi_worker(strategy):
        return False
    return not isinstance(error, _AMBIGUOUS) or any(word in error.message.lower() for word in _ABOUT_OTHERS)


def _tell(chief, line):
    if chief:
        print(line, file=sys.stderr)


def _sum_over_workers(strategy, number):
    @graph_function
    def total():
        return strategy.reduce("SUM", strategy.run(lambda: tf.constant(float(number))), axis=None)

    return float(total())


def _refuse_disagreement(strategy, step):
    mean = _sum_over_workers(strategy, step) / strategy.num_replicas_in_sync
    if mean != step:
        raise DeblurError(
            f"this worker found the checkpoint of step {step}, all together of {mean:g} in the mean: --workdir must be "
            "one folder that all workers see"
        )


def _learning_rates(trainer):
    """The rates with which the last updates were made; of a schedule, Keras counts the updates before that one."""
    rates = {}
    for player in ("generator", "discriminator"):
        optimizer = getattr(trainer, f"{player}_optimizer", None)
        if optimizer is not None:
            rates[f"{player}/learning_rate"] = optimizer.learning_rate
    return rates


class _Alarms:
    """What becomes of a step whose losses or gradients are not finite."""

    def __init__(self, trainer, checkpoints, mode):
        self._trainer = trainer
        self._checkpoints = checkpoints
        self._mode = mode
        self._in_a_row = 0

    def look_at(self, logs, step):
        """Acts on the logs of a step that was taken."""
        bad = [f"{name}={value}" for name, value in logs.items() if not math.isfinite(value)]
        if not bad:
            if self._mode == "skip":
                self._in_a_row = 0
            return
        self._in_a_row += 1
        what = f"step {step}: {', '.join(bad[:3])}"
        last_good = self._checkpoints.latest or "none"
        if self._mode == "stop":
            raise DeblurError(
                f"{what}: training stopped; the last good checkpoint is {last_good}; start again in another --workdir "
                "with a lower learning rate or --precision float32, or here with --on_nonfinite=skip or restore"
            )
        if self._in_a_row > _MOST_IN_A_ROW:
            raise DeblurError(
                f"{what}: so were {_MOST_IN_A_ROW} before; training stopped; the last good checkpoint is {last_good}"
            )
        if self._mode == "restore" and self._checkpoints.latest:
            print(f"\n{what}: back to the weights of {last_good}", file=sys.stderr)
            counters = [(counter, counter.numpy()) for counter in (self._trainer.step, self._trainer.skipped)]
            self._checkpoints.restore()
            if is_multi_worker(self._trainer.distribute_strategy):
                _refuse_disagreement(self._trainer.distribute_strategy, int(self._trainer.step.numpy()))
            for counter, value in counters:  # the batches go on, or the same would happen again
                counter.assign(value)
        else:
            print(f"\n{what}: update left out", file=sys.stderr)

    def saved(self):
        """A checkpoint was written."""
        if self._mode == "restore":
            self._in_a_row = 0


@contextlib.contextmanager
def outside_the_loop(strategy):
    """What may happen to a training before its first step and after its last one.

    SIGTERM raises Interrupted instead of killing, so that a supervisor does not start the training again; that another
    worker is gone raises WorkerLost.
    """

    def stop(number, frame):
        raise Interrupted("stopped outside the steps of the training; start again to go on from the last checkpoint")

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        before = None
    try:
        yield
    except _CONNECTION_ERRORS as error:
        if not _worker_is_gone(error, strategy):
            raise
        raise WorkerLost(
            f"another worker is gone ({type(error).__name__}); start all again to go on from the last checkpoint"
        ) from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


class _StopSignals:
    """Turns SIGINT and SIGTERM into a flag, so that a step is finished and saved; a second one kills."""

    def __init__(self):
        self.requested = False
        self._before = {}

    def _handle(self, number, frame):
        del frame
        self.requested = True
        signal.signal(number, self._before[number])
        print("\nstopping after this step; once more to stop at once", file=sys.stderr)

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._handle)
            except ValueError:  # not in the main thread: leave the signals to whoever is
                pass

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

"""The loop around `train_step`: resume, progress, scalars, checkpoints, and stopping when it must."""

import math
import signal
import sys
import time

import tqdm

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError


class Interrupted(Exception):
    """The user or the system asked to stop; what was done is in a checkpoint."""


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
):
    """Trains from the trainer's step to `steps`.

    Args:
      trainer: a model with `train_step(batch) -> logs` and `step`; runs under the strategy in whose scope it
        was made.
      make_batches: step -> iterable of batches from that step on; under a strategy of several replicas, of batches
        that are distributed already (each replica trains on what it is handed).
      checkpoints: `Checkpoints`; restored before anything else, saved every `checkpoint_every` steps and at
        the end.
      steps: the step at which training is complete.
      log_every: steps between two TensorBoard points.
      writer: tf.summary writer, or None.
      on_images: step -> None, called every `image_every` steps (0: never) and at the end.

    Returns:
      The last logs: dict of name -> float.

    Raises:
      DeblurError: a loss is not finite (the step, the term and the last good checkpoint are named).
      Interrupted: SIGINT or SIGTERM arrived; a checkpoint of the last whole step has been written.
    """
    checkpoints.restore()
    start = int(trainer.step.numpy())
    if start >= steps:
        print(f"complete: {checkpoints.latest} is at step {start} of {steps}", file=sys.stderr)
        return {}
    if start:
        print(f"resuming from {checkpoints.latest}", file=sys.stderr)

    strategy = trainer.distribute_strategy

    @tf.function
    def train_step(batch):
        logs = strategy.run(trainer.train_step, args=(batch,))
        return {name: strategy.reduce("SUM", value, axis=None) for name, value in logs.items()}

    stop = _StopSignals()
    batches = iter(make_batches(start))
    waited, began, logs, saved = 0.0, time.monotonic(), {}, start
    # A terminal gets a live bar, a log file a line now and then.
    interval = 0.5 if sys.stderr.isatty() else 20.0
    bar = tqdm.tqdm(total=steps, initial=start, unit="step", mininterval=interval, dynamic_ncols=True, desc="train")
    with stop, bar:
        for step in range(start + 1, steps + 1):
            asked = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - asked
            logs = {name: float(value) for name, value in train_step(batch).items()}
            _refuse_non_finite(logs, step, checkpoints)
            elapsed = time.monotonic() - began
            bar.set_postfix_str(f"loss {logs['generator/loss']:.4f}, data {waited / elapsed:.0%}", refresh=False)
            bar.update()

            last = step == steps
            if writer and (step % log_every == 0 or last):
                with writer.as_default(step=step):
                    for name, value in logs.items():
                        tf.summary.scalar(name, value)
                    tf.summary.scalar("input/share_of_time_waited", waited / elapsed)
            if step % checkpoint_every == 0 or last or stop.requested:
                checkpoints.save()
                saved = step
            if on_images and ((image_every and step % image_every == 0) or last):
                on_images(step)
            if stop.requested and not last:
                raise Interrupted(f"stopped at step {saved} of {steps}: {checkpoints.latest}; start again to resume")
    return logs


def _refuse_non_finite(logs, step, checkpoints):
    bad = [f"{name}={value}" for name, value in logs.items() if not math.isfinite(value)]
    if bad:
        raise DeblurError(
            f"step {step}: {', '.join(bad[:3])}: training stopped; the last good checkpoint is "
            f"{checkpoints.latest or 'none'}; start again in another --workdir with a lower learning rate or "
            "--precision float32"
        )


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

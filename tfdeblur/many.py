"""Restores many photographs on many processes or machines, with Apache Beam.

One pipeline: the list of inputs -> those whose result is not there yet -> RunInference -> the dead-letter list. Only
names travel between its steps: a worker reads, restores and writes a photograph in one go. Paths may lie in whatever
apache_beam.io.filesystems knows (gs://, s3://, hdfs://).
"""

import atexit
import collections
import contextlib
import fcntl
import io
import json
import logging
import os
import random
import secrets
import shutil
import tempfile
import threading

from tfdeblur import pretrained, runner
from tfdeblur.data.images import IMAGE_SUFFIXES
from tfdeblur.errors import DeblurError
from tfdeblur.inference import load

# Beam's remarks on libraries that nothing here needs.
logging.getLogger().addFilter(lambda record: not str(record.msg).startswith(("apitools not", "Resource module is not")))
try:
    import apache_beam as beam
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.metrics import Metrics, MetricsFilter
    from apache_beam.ml.inference.base import ModelHandler, RunInference
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineState
except ImportError as missing:
    raise DeblurError(f"--runner needs Apache Beam ({missing}): pip install 'tfdeblur[beam]'") from missing

FAILED = "failed.jsonl"  # the dead-letter list, below --out: {"input": .., "reason": ..} on each line
WORK = ".tfdeblur"  # below --out: the list of inputs, and what is being written
_INPUTS = "inputs.jsonl"
_LINES_AT_ONCE = 1000  # of the list of inputs
# Beam's DirectRunner first looks for Prism, a program that it fetches from the internet and that knows no
# --direct_running_mode; it does not do so where a pipeline might have unsafe triggers (this one has none). And its
# workers warn of what concerns clusters.
_DIRECT_OPTIONS = ("--allow_unsafe_triggers", "--default_sdk_harness_log_level=ERROR")
_NAMESPACE = "tfdeblur"  # of the counters
_NOTE = "note: "  # begins the name of a counter of photographs of which something was left out
_LOOKED_AT, _LOOK_EVERY = 1000, 2.0  # results at most, and seconds, to tell how far it is


class DeblurHandler(ModelHandler):
    """Restores files: an example is (input path, output path), a result (input path, [note], why it failed or None).

    Args:
      work: a folder on the file system of the outputs, for what is being written.
      model, policy, weights: see `inference.load`.
      restoring: keyword arguments of `Deblurrer.configure`.
      side_by_side: write before and after beside one another.
    """

    def __init__(self, work, model, policy="float32", weights="last", restoring=None, side_by_side=False):
        super().__init__(min_batch_size=1, max_batch_size=1)  # photographs have sizes of their own
        self._work = work
        self._model = (model, policy, weights)
        self._restoring = restoring
        self._side_by_side = side_by_side

    def load_model(self):
        """The Deblurrer; Beam loads it once in a process, for all its threads."""
        deblurrer = load(*self._model)
        atexit.register(vars(deblurrer).clear)  # Beam would hold it until TensorFlow is gone, which then complains
        return deblurrer.configure(**self._restoring) if self._restoring else deblurrer

    def run_inference(self, batch, model, inference_args=None):
        del inference_args
        for source, target in batch:
            try:
                yield source, self._restore(model, source, target), None
            except Exception as error:  # whatever it is: one photograph never stops a million
                yield source, [], " ".join(str(error).split()) or type(error).__name__

    def _restore(self, deblurrer, source, target):
        """What was left out. The result is written aside and then renamed, so that it is never there by half."""
        remote = _is_remote(target)
        with tempfile.TemporaryDirectory(dir=None if remote else self._work) as aside:
            near, made = source, os.path.join(aside, os.path.basename(target))
            if _is_remote(source):
                near = os.path.join(aside, "input")
                with FileSystems.open(source) as there, open(near, "wb") as here:
                    shutil.copyfileobj(there, here)
            try:
                notes = runner.deblur_file(deblurrer, near, [made], self._side_by_side)
            except DeblurError as error:
                raise DeblurError(str(error).replace(near, source).replace(made, target)) from error
            if remote:
                with open(made, "rb") as file:
                    _write(target, file, self._work)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.replace(made, target)
        return notes


class _ReadLines(beam.DoFn):
    """Position in the list of inputs -> the jobs from there on."""

    def process(self, position, path):
        with FileSystems.open(path) as file:
            file.seek(position)
            for _, line in zip(range(_LINES_AT_ONCE), file, strict=False):
                yield json.loads(line)


class _LeaveOutDone(beam.DoFn):
    """Jobs whose result is not there."""

    def __init__(self):
        self._skipped = Metrics.counter(_NAMESPACE, "skipped")

    def process(self, job):
        if FileSystems.exists(job[1]):
            self._skipped.inc()
        else:
            yield job


class _Tally(beam.DoFn):
    """Counts what `DeblurHandler` gives; hands on what belongs into the dead-letter list."""

    def process(self, outcome):
        source, notes, reason = outcome
        Metrics.counter(_NAMESPACE, "failed" if reason else "restored").inc()
        for note in notes:
            Metrics.counter(_NAMESPACE, _NOTE + note).inc()
        if reason:
            yield {"input": source, "reason": reason}


def deblur_many(jobs, failures, out, model, runner_name, options, **settings):
    """Restores what is not restored yet.

    Args:
      jobs: [(input path, output path)].
      failures: [(input, why it has no job)]; they come into the dead-letter list, too.
      out: the folder of the outputs; one call at a time works there.
      runner_name: Beam's name of a runner.
      options: Beam's own options, as on a command line.
      model, **settings: see `DeblurHandler`.

    Returns:
      ({"restored": n, "skipped": n, "failed": n}, the dead-letter list).

    Raises:
      DeblurError: another call works in `out`, or the pipeline failed as a whole.
    """
    pipeline = _pipeline(runner_name, options)
    out, model = _absolute(out), model if model in pretrained.names() else _absolute(model)
    letters = [{"input": path, "reason": line} for path, line in failures]
    with _workspace(out) as work:
        # Through a file: a cluster takes a pipeline of a few megabytes, not a list of a million names.
        positions = _write_inputs(jobs, work)
        try:
            (
                pipeline
                | "Positions" >> beam.Create(positions)
                | "Inputs" >> beam.ParDo(_ReadLines(), f"{work}/{_INPUTS}")
                | "Spread" >> beam.Reshuffle()
                | "LeaveOutDone" >> beam.ParDo(_LeaveOutDone())
                | "Restore" >> RunInference(DeblurHandler(work, model, **settings))
                | "Tally" >> beam.ParDo(_Tally())
                | "Failures" >> beam.combiners.ToList()
                | "DeadLetters" >> beam.Map(_write_letters, letters, out, work)
            )
            with _progress([job[1] for job in jobs]):
                result = pipeline.run()
                result.wait_until_finish()
            if result.state != PipelineState.DONE:
                raise RuntimeError(f"it ended as {result.state}")
        except Exception as error:  # each runner has its own
            *_, line = ["", *filter(None, map(str.strip, str(error).splitlines()))]
            if "KeyboardInterrupt" in line:
                raise KeyboardInterrupt from error
            if "Channel closed prematurely" in line:
                line = "a worker process died, as when there is too little memory for several"
            raise DeblurError(
                f"--runner={runner_name}: the pipeline failed: {line or repr(error)}; the same command again restores "
                "the rest"
            ) from error
    found = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    counts = collections.Counter({counter.key.metric.name: counter.result for counter in found})
    for name, count in sorted(counts.items()):
        if name.startswith(_NOTE):
            runner.say(f"{count} photograph{'s' if count > 1 else ''}: {name.removeprefix(_NOTE)}")
    letters = _read_letters(out)
    return {"restored": counts["restored"], "skipped": counts["skipped"], "failed": len(letters)}, letters


def _pipeline(runner_name, options):
    direct = runner_name.lower() in ("direct", "directrunner")
    parsed = PipelineOptions([*(_DIRECT_OPTIONS if direct else ()), *options])
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            parsed.get_all_options()  # Beam warns of options that it does not know, and exits where a value is wrong
    except SystemExit as error:
        *_, line = said.getvalue().strip().splitlines()
        raise DeblurError(f"behind --, {line.partition('error: ')[2]}") from error
    if direct:
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # or tracebacks stand above the line that tells
    try:
        return beam.Pipeline(runner_name, parsed)
    except ValueError as error:
        raise DeblurError(f"--runner={runner_name}: {error}") from error


# ----------------------------------------------------------------------------------------------- files


def list_remote(pattern):
    """[(path, name below --out)] of a file, a glob or a folder with "://" in its name, as for local ones."""
    folder = not (pattern.lower().endswith(IMAGE_SUFFIXES) or set("*?[") & set(pattern))
    start = pattern.rstrip("/") + "/"
    try:
        found = [entry.path for entry in FileSystems.match([start + "**" if folder else pattern])[0].metadata_list]
    except (BeamIOError, ValueError) as error:
        raise DeblurError(f"{pattern}: cannot be listed ({' '.join(str(error).split())})") from error
    if not folder:
        return [(path, path.rsplit("/", 1)[1]) for path in sorted(found)]
    below = [(path, path.removeprefix(start)) for path in sorted(found) if path.lower().endswith(IMAGE_SUFFIXES)]
    return [(path, name) for path, name in below if not any(part.startswith(".") for part in name.split("/"))]


def _is_remote(path):
    return "://" in path


def _absolute(path):
    """The path for workers, which have working directories of their own."""
    return path.rstrip("/") if _is_remote(path) else os.path.abspath(path)


@contextlib.contextmanager
def _workspace(out):
    """A folder on the file system of `out` for one call at a time; what a killed call left there is removed."""
    folder = f"{out}/{WORK}"
    work = f"{folder}/{secrets.token_hex(4)}"  # of its own: a killed call's workers live on for some seconds
    if _is_remote(out):
        _remove_remote(folder)
        try:
            yield work
        finally:
            _remove_remote(folder)
        return
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w") as lock:  # the system frees it however the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name))  # or it has been removed meanwhile
        except (BlockingIOError, FileNotFoundError):
            alone = False
        except OSError:  # a file system without locks
            alone = True
        if not alone:
            raise DeblurError(f"--out={out}: another deblur is running there; wait, or name another folder")
        for left in set(os.listdir(folder)) - {"lock"}:
            shutil.rmtree(os.path.join(folder, left), ignore_errors=True)
        os.mkdir(work)
        try:
            yield work
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_remote(folder):
    with contextlib.suppress(BeamIOError):  # nothing there
        FileSystems.delete([folder + "/"])


def _write(path, file, work):
    """Writes what is left of a binary file, whole or not at all."""
    aside = f"{work}/{secrets.token_hex(8)}"
    with FileSystems.create(aside) as there:
        shutil.copyfileobj(file, there)
    if _is_remote(path) and FileSystems.exists(path):  # not all of them rename onto what is there
        FileSystems.delete([path])
    FileSystems.rename([aside], [path])


def _write_inputs(jobs, work):
    """Writes the list of inputs; the positions in it from which workers read."""
    positions, position = [], 0
    with FileSystems.create(f"{work}/{_INPUTS}") as file:
        for number, job in enumerate(jobs):
            if number % _LINES_AT_ONCE == 0:
                positions.append(position)
            line = json.dumps([_absolute(path) for path in job]).encode() + b"\n"
            file.write(line)
            position += len(line)
    return positions


# ----------------------------------------------------------------------------------------------- dead letters, progress


def _write_letters(found, more, out, work):
    """Writes the dead-letter list in place of an earlier call's; empty where nothing failed."""
    letters = sorted(found, key=lambda letter: letter["input"]) + more
    text = "".join(json.dumps(letter) + "\n" for letter in letters)
    _write(f"{out}/{FAILED}", io.BytesIO(text.encode()), work)


def _read_letters(out):
    with FileSystems.open(f"{out}/{FAILED}") as file:
        return [json.loads(line) for line in file]


@contextlib.contextmanager
def _progress(targets):
    """A progress bar with ETA, from how many of some local results are there: a runner tells nothing meanwhile."""
    if not targets or _is_remote(targets[0]):
        yield
        return
    looked_at = targets if len(targets) <= _LOOKED_AT else random.Random(0).sample(targets, _LOOKED_AT)
    missing, over = looked_at, threading.Event()

    def there():
        nonlocal missing
        missing = [target for target in missing if not os.path.exists(target)]
        return round(len(targets) * (1 - len(missing) / len(looked_at)))

    def watch():
        while not over.wait(_LOOK_EVERY):
            bar.update(there() - bar.n)

    with runner.progress(range(len(targets)), "deblur") as bar:
        bar.initial = bar.n = there()  # those of an earlier call tell nothing of the speed
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            bar.update(there() - bar.n)

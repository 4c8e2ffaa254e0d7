"""What a work directory holds, and how it is written and read.

    <workdir>/config.json              the configuration and the data, for people
    <workdir>/checkpoints/ckpt-<step>  tf.train.Checkpoint: networks, optimisers, step, and the same metadata
    <workdir>/best/ckpt-<step>         the same of the step with the highest held-out PSNR, which the metadata tell

The newest checkpoint is the one with the highest step among the files that are there, the best one that with the
highest PSNR: no list of them is kept, so none can be lost or wrong.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import sys

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError

_METADATA_KEY = "metadata/.ATTRIBUTES/py_state"
_PSNR_KEY = "held_out_psnr"

# What TensorFlow raises for files that are cut off, overwritten or of other variables.
UNREADABLE = (tf.errors.OpError, AssertionError, IndexError, RuntimeError, TypeError, ValueError)


class _Metadata(tf.train.experimental.PythonState):
    """A dict that travels inside a checkpoint as JSON, so that a checkpoint explains itself."""

    def __init__(self, value):
        self.value = value

    def serialize(self):
        return json.dumps(self.value, sort_keys=True)

    def deserialize(self, string):
        # What this run was asked for stays: `_refuse_other_training` has seen what the checkpoint says.
        del string


class Checkpoints:
    """The checkpoints of a running training.

    Args:
      workdir: the work directory.
      trainer: everything that changes during training hangs on it; it has `step`.
      metadata: JSON-able dict: {"config": {..}, "precision": .., "data": {..}, "version": ..}.
      keep: how many of the latest checkpoints stay on disk.
    """

    def __init__(self, workdir, trainer, metadata, keep=3):
        refuse_wildcards(workdir)
        self.trainer = trainer
        self.metadata = metadata
        self._workdir = workdir
        self._keep = keep
        self._checkpoint = tf.train.Checkpoint(trainer=trainer, metadata=_Metadata(metadata))

    @property
    def latest(self):
        """Path prefix of the newest checkpoint, or None."""
        return next(iter(_newest_first(self._workdir)), None)

    @property
    def best(self):
        """(path prefix, held-out PSNR in dB) of the best checkpoint that can be read, or None."""
        return next((found for found in _best_first(self._workdir) if found[1] is not None), None)

    def refuse_other_training(self):
        """DeblurError where the newest or the best checkpoint was written with other settings or data than these."""
        for path in filter(None, (self.latest, self.best and self.best[0])):
            _refuse_other_training(path, _read_metadata(path), self.metadata)

    def restore(self):
        """Restores the newest checkpoint, if there is one, into the trainer.

        Raises:
          DeblurError: it was written with other settings or data, or cannot be read.
        """
        path = self.latest
        if path is None:
            return
        self.refuse_other_training()
        self._warn_of_another_stack(path)
        try:
            # "Partial" only silences TensorFlow's line for each variable that a damaged file lacks.
            self._checkpoint.read(path).expect_partial().assert_existing_objects_matched()
        except UNREADABLE as error:
            raise _damaged(path) from error

    def _warn_of_another_stack(self, path):
        before, now = _read_metadata(path).get("stack_row"), self.metadata.get("stack_row")
        if before != now:
            print(
                f"{path} was written on stack row {before}, this is row {now}: the training goes on, and its numbers "
                "will differ in the last digits from one that stayed on one row",
                file=sys.stderr,
            )

    def save(self):
        """Writes a checkpoint named after the step and removes the oldest; returns its path prefix."""
        path = self._write(self._checkpoint, "checkpoints")
        _remove(_newest_first(self._workdir)[self._keep :])
        return path

    def keep_best(self, psnr):
        """Writes the trainer as it is to `best` and removes what was there, unless that had as high a held-out PSNR."""
        if self.best and psnr <= self.best[1]:
            return
        metadata = _Metadata({**self.metadata, _PSNR_KEY: psnr})
        path = self._write(tf.train.Checkpoint(trainer=self.trainer, metadata=metadata), "best")
        _remove([other for other, _ in _best_first(self._workdir) if other != path])

    def _write(self, checkpoint, folder):
        step = int(self.trainer.step.numpy())
        path = _prefix(self._workdir, step, folder)
        try:
            _write_whole(checkpoint, path)
        except (tf.errors.OpError, OSError) as error:
            good = f"the last good one is {self.latest}" if self.latest else "there is none yet"
            raise DeblurError(
                f"step {step}: cannot write a checkpoint ({_reason(error)}); {good}; free some space and start again"
            ) from error
        return path


def save_generator(net, workdir, metadata):
    """Writes a network that was not trained here as the checkpoint of step 0 in a work directory.

    Args:
      net: a network of `tfdeblur.build`.
      workdir: folder.
      metadata: see `Checkpoints`.
    """
    refuse_wildcards(workdir)
    stand_in = tf.train.Checkpoint(generator=net)  # for the trainer: only the names along the path matter
    try:
        _write_whole(tf.train.Checkpoint(trainer=stand_in, metadata=_Metadata(metadata)), _prefix(workdir, 0))
    except (tf.errors.OpError, OSError) as error:
        raise DeblurError(f"{workdir}: cannot write the weights ({_reason(error)})") from error


def _prefix(workdir, step, folder="checkpoints"):
    return os.path.join(workdir, folder, f"ckpt-{step}")


def step_of(path):
    """The step in a checkpoint's name, or None where it was renamed."""
    match = re.fullmatch(r"ckpt-(\d+)", os.path.basename(path))
    return int(match[1]) if match else None


def _reason(error):
    # TensorFlow puts device and temporary names before the reason, and the operation's behind it
    reason = (getattr(error, "message", None) or str(error)).splitlines()[0].rsplit("; ", 1)[-1]
    return reason.split(" [Op:")[0]


def _remove(paths):
    for path in paths:
        for file in (path + ".index", *glob.glob(glob.escape(path) + ".data-*")):  # without its index it is none
            os.remove(file)


def _write_whole(checkpoint, path):
    """Writes a checkpoint aside and moves it into its place, its index last: without one it is none.

    TensorFlow writes the index where it stays, and a process killed in the middle would leave half of it.
    """
    folder, name = os.path.split(path)
    aside = os.path.join(folder, "unfinished")
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
    try:
        checkpoint.write(os.path.join(aside, name))
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)  # what fitted on the disk must not stay in the way
        raise
    # The new data file beside the index of an older checkpoint of the same step would be a mixture of both.
    with contextlib.suppress(FileNotFoundError):
        os.remove(path + ".index")
    for file in sorted(os.listdir(aside), key=lambda file: file.endswith(".index")):
        with open(os.path.join(aside, file), "rb") as written:
            os.fsync(written.fileno())
        os.replace(os.path.join(aside, file), os.path.join(folder, file))
    os.rmdir(aside)
    with contextlib.suppress(OSError):  # some file systems cannot; that the names are there, too, after a power cut
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def refuse_wildcards(path):
    """DeblurError for a folder of checkpoints or a SavedModel that TensorFlow would write and not find again."""
    if set("*?[]") & set(str(path)):
        raise DeblurError(f"{path}: TensorFlow reads nothing below a name with *, ?, [ or ]; rename the folder")


def _newest_first(workdir, folder="checkpoints"):
    """Path prefixes of the checkpoints of a work directory, the highest step first."""
    found = {}
    for index in glob.glob(os.path.join(glob.escape(str(workdir)), folder, "ckpt-*.index")):
        path = index.removesuffix(".index")
        if step_of(path) is not None:
            found[step_of(path)] = path
    return [found[step] for step in sorted(found, reverse=True)]


def _best_first(workdir):
    """[(path prefix, held-out PSNR)], the highest PSNR first, damaged ones last with None; several only after a process
    was killed."""

    def psnr(path):
        try:
            return _read_metadata(path).get(_PSNR_KEY, float("-inf"))
        except DeblurError:
            return None

    found = [(path, psnr(path)) for path in _newest_first(workdir, "best")]
    return sorted(found, key=lambda item: (item[1] is not None, item[1] or 0.0), reverse=True)


def read(path, best=False):
    """Metadata and path prefix of the newest checkpoint of a work directory, or of its best one.

    Args:
      path: a work directory, or one checkpoint of it (`.../ckpt-1000`, with or without `.index`).

    Returns:
      (metadata dict, path prefix).
    """
    refuse_wildcards(path)
    path = path.removesuffix(".index")
    is_checkpoint = os.path.exists(path + ".index")
    if best:
        found = None if is_checkpoint else next(iter(_best_first(path)), None)
        if found is None:
            raise DeblurError(
                f"{path}: no best checkpoint there; it is kept in the work directory of a training whose data have a "
                "test split; take the last weights, or name another"
            )
        path = found[0]
    elif not is_checkpoint:
        workdir, path = path, next(iter(_newest_first(path)), None)
        if path is None:
            raise DeblurError(f"{workdir}: no checkpoint and no export there; --model none lists what can be named")
    return _read_metadata(path), path


def _read_metadata(path):
    try:
        metadata = json.loads(tf.train.load_checkpoint(path).get_tensor(_METADATA_KEY))
        return {key: metadata[key] for key in ("config", "data", "precision")} | metadata
    except (*UNREADABLE, KeyError) as error:
        raise _damaged(path) from error


def restore_generator(net, path, part=None, average=False):
    """Fills the weights of `net` from a training's checkpoint (its discriminator and optimisers stay there).

    Args:
      net: the generator; with `part` the attribute of that name of the generator that was trained.
      path: a checkpoint's path prefix.
      part: see `net`.
      average: take the average of the weights instead of the last ones.
    """
    # Bare Checkpoints stand in for what holds it: only the names along the path matter.
    generator = tf.train.Checkpoint(**{part: net}) if part else net
    trainer = tf.train.Checkpoint(**{"average" if average else "generator": generator})
    stand_in = tf.train.Checkpoint(trainer=trainer)
    try:
        stand_in.read(path).expect_partial().assert_existing_objects_matched()
    except UNREADABLE as error:
        raise _damaged(path) from error


def _damaged(path):
    return DeblurError(
        f"{path}: the checkpoint is damaged or of another version; delete its files ({path}.*) to go on from the one "
        "before, if there is one"
    )


# What does not change what a step computes: how often things are written, and where the data lie.
_MAY_DIFFER = {"checkpoint_every", "log_every", "image_every", "deterministic"}
PLACES = {"root", "blur_dir", "sharp_dir", "photographs_dir", "prepared"}
# Settings that came later, with what trainings did before.
_ADDED = {"ema_decay": 0.0, "num_egms": 0, "half_resolution": False, "pixel_error": "squared"}


def _refuse_other_training(path, stored, wanted):
    """One line that names every setting in which the checkpoint differs from what is asked for now."""
    before, now = _settings(stored), _settings(json.loads(json.dumps(wanted)))
    if before.get("system") != now.get("system"):  # hardly any setting would be the same
        raise DeblurError(
            f"{path} is a training of {before['system']}, not of {now['system']}: name another folder with --workdir"
        )
    keys = sorted(key for key in before.keys() | now.keys() if key not in _MAY_DIFFER)
    different = [f"{key}={before.get(key)} (now {now.get(key)})" for key in keys if before.get(key) != now.get(key)]
    if different:
        raise DeblurError(
            f"{path} was trained with {', '.join(different)}: use the same settings to resume, or another folder"
        )


def _settings(metadata):
    data = {f"data.{key}": value for key, value in metadata["data"].items() if key not in PLACES}
    others = {"precision": metadata["precision"], "start_from": metadata.get("start_from")}
    return {**_ADDED, **metadata["config"], **data, **others}

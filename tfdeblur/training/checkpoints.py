"""What a work directory holds, and how it is written and read.

    <workdir>/config.json              the configuration and the data, for people
    <workdir>/checkpoints/ckpt-<step>  tf.train.Checkpoint: networks, optimisers, step, and the same metadata

The newest checkpoint is the one with the highest step among the files that are there: no list of them is kept, so none
can be lost or wrong.
"""

import glob
import json
import os
import re

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError

_METADATA_KEY = "metadata/.ATTRIBUTES/py_state"

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
        _refuse_wildcards(workdir)
        self.trainer = trainer
        self.metadata = metadata
        self._workdir = workdir
        self._keep = keep
        self._checkpoint = tf.train.Checkpoint(trainer=trainer, metadata=_Metadata(metadata))

    @property
    def latest(self):
        """Path prefix of the newest checkpoint, or None."""
        return next(iter(_newest_first(self._workdir)), None)

    def refuse_other_training(self):
        """DeblurError where the newest checkpoint was written with other settings or data than these."""
        if self.latest:
            _refuse_other_training(self.latest, _read_metadata(self.latest), self.metadata)

    def restore(self):
        """Restores the newest checkpoint, if there is one, into the trainer.

        Raises:
          DeblurError: it was written with other settings or data, or cannot be read.
        """
        path = self.latest
        if path is None:
            return
        self.refuse_other_training()
        try:
            self._checkpoint.read(path).assert_existing_objects_matched()
        except UNREADABLE as error:
            raise _damaged(path) from error

    def save(self):
        """Writes a checkpoint named after the step and removes the oldest; returns its path prefix."""
        step = int(self.trainer.step.numpy())
        path = os.path.join(self._workdir, "checkpoints", f"ckpt-{step}")
        try:
            self._checkpoint.write(path)
        except (tf.errors.OpError, OSError) as error:
            # TensorFlow puts device and temporary names before the reason
            reason = (getattr(error, "message", None) or str(error)).splitlines()[0].rsplit("; ", 1)[-1]
            raise DeblurError(
                f"step {step}: cannot write a checkpoint ({reason}); "
                f"the last good one is {self.latest or 'none'}; free some space and start again to resume there"
            ) from error
        for old in _newest_first(self._workdir)[self._keep :]:
            for file in (old + ".index", *glob.glob(glob.escape(old) + ".data-*")):  # without its index it is none
                os.remove(file)
        return path


def _refuse_wildcards(path):
    if set("*?[]") & set(str(path)):
        raise DeblurError(f"{path}: TensorFlow reads no checkpoint below a name with *, ?, [ or ]; rename the folder")


def _newest_first(workdir):
    """Path prefixes of the checkpoints of a work directory, the highest step first."""
    found = {}
    for index in glob.glob(os.path.join(glob.escape(str(workdir)), "checkpoints", "ckpt-*.index")):
        match = re.fullmatch(r"ckpt-(\d+)\.index", os.path.basename(index))
        if match:
            found[int(match[1])] = index.removesuffix(".index")
    return [found[step] for step in sorted(found, reverse=True)]


def read(path):
    """Metadata and path prefix of the newest checkpoint of a work directory.

    Args:
      path: a work directory, or one checkpoint of it (`.../ckpt-1000`, with or without `.index`).

    Returns:
      (metadata dict, path prefix).
    """
    _refuse_wildcards(path)
    path = path.removesuffix(".index")
    if not os.path.exists(path + ".index"):
        workdir, path = path, next(iter(_newest_first(path)), None)
        if path is None:
            raise DeblurError(f"{workdir}: no checkpoint and no export there; train with --workdir, or name another")
    return _read_metadata(path), path


def _read_metadata(path):
    try:
        metadata = json.loads(tf.train.load_checkpoint(path).get_tensor(_METADATA_KEY))
        return {key: metadata[key] for key in ("config", "data", "precision")} | metadata
    except (*UNREADABLE, KeyError) as error:
        raise _damaged(path) from error


def restore_generator(net, path):
    """Fills the weights of `net` from a training's checkpoint (its discriminator and optimisers stay there)."""
    # A bare Checkpoint stands in for the trainer: only the names along the path matter.
    stand_in = tf.train.Checkpoint(trainer=tf.train.Checkpoint(generator=net))
    try:
        status = stand_in.read(path)
        status.assert_existing_objects_matched()
        status.expect_partial()
    except UNREADABLE as error:
        raise _damaged(path) from error


def _damaged(path):
    return DeblurError(
        f"{path}: the checkpoint is damaged or of another version; delete its files ({path}.*) to go on from the one "
        "before, if there is one"
    )


# What does not change what a step computes: how often things are written, and where the data lie.
_MAY_DIFFER = {"checkpoint_every", "log_every", "image_every", "deterministic"}
_PLACES = {"root", "blur_dir", "sharp_dir", "photographs_dir", "prepared"}


def _refuse_other_training(path, stored, wanted):
    """One line that names every setting in which the checkpoint differs from what is asked for now."""
    before, now = _settings(stored), _settings(json.loads(json.dumps(wanted)))
    keys = sorted(key for key in before.keys() | now.keys() if key not in _MAY_DIFFER)
    different = [f"{key}={before.get(key)} (now {now.get(key)})" for key in keys if before.get(key) != now.get(key)]
    if different:
        raise DeblurError(
            f"{path} was trained with {', '.join(different)}: use the same settings to resume, or another folder"
        )


def _settings(metadata):
    data = {f"data.{key}": value for key, value in metadata["data"].items() if key not in _PLACES}
    return {**metadata["config"], **data, "precision": metadata["precision"]}

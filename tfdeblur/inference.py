"""Any RGB image in, the same size and dtype out."""

import json
import os

import numpy as np

from tfdeblur import runtimes, systems
from tfdeblur.compat import precision, tf
from tfdeblur.errors import DeblurError
from tfdeblur.ops.geometry import pad_to_multiple
from tfdeblur.ops.ranges import to_uint8, uint8_to_01
from tfdeblur.training import checkpoints

WEIGHTS = ("last", "average", "best")
EXPORT_METADATA = "tfdeblur.json"  # beside saved_model.pb: what an export was made from


def restore_batch(net, blurred):
    """Runs a network on images of any size; works in a graph with unknown sizes too.

    Args:
      net: a network of `tfdeblur.build`.
      blurred: float32 [B, H, W, 3] in [0, 1], H and W from 1.

    Returns:
      float32 [B, H, W, 3] clipped to [0, 1]: mirrored at the bottom and right to the network's multiple,
      restored, cropped back.
    """
    shape = tf.shape(blurred)
    restored = net(pad_to_multiple(blurred, net.size_multiple))["restored"]
    restored = tf.clip_by_value(tf.cast(restored, tf.float32), 0.0, 1.0)[:, : shape[1], : shape[2]]
    restored.set_shape(blurred.shape)
    return restored


class Deblurrer:
    """A trained network, ready for images.

    Args:
      restore_batch: float32 [B, H, W, 3] in [0, 1] -> the same shape and range.
      metadata: what the checkpoint says of itself: {"config": {..}, "data": {..}, "precision": .., ..}.
      path: where it was loaded from.

    Attributes:
      fixed_size: None; or (height, width), which an image's sides must not exceed: see `runtimes.load`.
    """

    fixed_size = None

    def __init__(self, restore_batch, metadata=None, path=None):
        self._restore_batch = restore_batch
        self.metadata = metadata or {}
        self.path = path

    @classmethod
    def of_network(cls, net, metadata=None, path=None):
        """The Deblurrer of a network of `tfdeblur.build`; keeps it as the attribute `net`."""
        # One trace serves every size: the shape is unknown in the graph.
        signature = [tf.TensorSpec([None, None, None, 3], tf.float32)]
        deblurrer = cls(tf.function(lambda x: restore_batch(net, x), input_signature=signature), metadata, path)
        deblurrer.net = net
        return deblurrer

    def restore(self, image):
        """Restores one image.

        Args:
          image: uint8 [H, W, 3] in 0 .. 255 or float [H, W, 3] in [0, 1], RGB, any size from 1x1.

        Returns:
          An array of the same shape and dtype, clipped to the range; uint8 is rounded.

        Raises:
          DeblurError: another shape or dtype, or float values that are not finite or outside [0, 1].
        """
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise DeblurError(f"an image of shape {image.shape}: need [height, width, 3], RGB")
        if image.dtype == np.uint8:
            return to_uint8(self._run(uint8_to_01(image))).numpy()
        if not np.issubdtype(image.dtype, np.floating):
            raise DeblurError(f"an image of dtype {image.dtype}: need uint8, or float in [0, 1]")
        if not np.isfinite(image).all():
            raise DeblurError("a float image with NaN or infinite values: need [0, 1]")
        low, high = image.min(), image.max()
        if low < 0.0 or high > 1.0:
            remedy = "divide 8-bit values by 255" if high > 2.0 else "clip it"
            raise DeblurError(f"a float image with values from {low:g} to {high:g}: need [0, 1]; {remedy}")
        return self._run(image).numpy().astype(image.dtype)

    def _run(self, image_01):
        try:
            return self._restore_batch(tf.cast(image_01, tf.float32)[None])[0]
        except tf.errors.ResourceExhaustedError as error:
            height, width = image_01.shape[:2]
            raise DeblurError(f"{width}x{height}: too large for the memory; make the image smaller") from error


def load(path, policy="float32", weights="last"):
    """The Deblurrer of a work directory, of one checkpoint, or of an export.

    Args:
      path: a folder that `tfdeblur train` or `tfdeblur export` wrote, or a checkpoint's path prefix.
      policy: Keras policy of the layers' arithmetic; an export has float32 built in.
      weights: "last": those after the last step of a work directory's newest checkpoint; "average": their exponential
        moving average there, which a training with `ema_decay` keeps; "best": those with the highest held-out PSNR of
        the training (of the average where it kept one). An export has the ones that it was made with.

    Raises:
      DeblurError: nothing there, or damaged, or from another version; no such weights.
    """
    path = os.fspath(path)
    if weights not in WEIGHTS:
        raise DeblurError(f"--weights={weights}: choose {', '.join(WEIGHTS)}")
    if os.path.exists(os.path.join(path, EXPORT_METADATA)):
        return _load_export(path, weights)
    metadata, checkpoint = checkpoints.read(path, best=weights == "best")
    has_average = bool((metadata["config"] or {}).get("ema_decay"))
    if weights == "average" and not has_average:
        raise DeblurError(
            f"--weights=average: {checkpoint} holds none; training keeps one with --config.ema_decay=0.999 or the like"
        )
    try:
        with precision(policy):
            net = systems.build_from(metadata["config"])
    except (AttributeError, KeyError, TypeError) as error:
        raise DeblurError(f"{checkpoint}: written by another version of tfdeblur ({error}); train again") from error
    average = weights == "average" or (weights == "best" and has_average)
    checkpoints.restore_generator(net, checkpoint, average=average)
    return Deblurrer.of_network(net, {**metadata, "weights": weights}, checkpoint)


def _load_export(path, weights):
    try:
        with open(os.path.join(path, EXPORT_METADATA), encoding="utf-8") as file:
            metadata = json.load(file)
        runtime = metadata.get("format")
        restore_batch = runtimes.load(runtime, path) if runtime else _load_saved_model(path)
    except (OSError, KeyError, *checkpoints.UNREADABLE) as error:
        raise DeblurError(f"{path}: the export is damaged or incomplete; export it again") from error
    held = metadata.get("weights", "last")
    if weights not in ("last", held):
        raise DeblurError(
            f"--weights={weights}: {path} is an export of the weights '{held}'; name the work directory of its training"
        )
    deblurrer = Deblurrer(restore_batch, metadata, path)
    deblurrer.fixed_size = tuple(metadata["size"]) if metadata.get("size") else None
    return deblurrer


def _load_saved_model(path):
    model = tf.saved_model.load(path)  # kept by the function: the signature holds its variables only weakly
    model.signatures["serving_default"]  # a KeyError now rather than at the first image
    return lambda images: model.signatures["serving_default"](images)["restored"]

"""Exports: a SavedModel, which serves where tfdeblur is not installed, and files of other runtimes."""

import contextlib
import json
import os
import tempfile

import numpy as np

from tfdeblur import pretrained, runtimes, systems
from tfdeblur.compat import graph_function, tf
from tfdeblur.data.images import list_images, read_image
from tfdeblur.errors import DeblurError
from tfdeblur.inference import EXPORT_METADATA, restore_batch
from tfdeblur.serving import MAX_PIXELS, serve_bytes
from tfdeblur.training.checkpoints import PLACES, refuse_wildcards

_SAVED_MODEL = {"saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables", "assets"}
_WRITTEN = _SAVED_MODEL.union([EXPORT_METADATA, pretrained.FILE], *runtimes.FILES.values())
# Float32 results of another runtime differ by 1e-5 or so; more than this is a conversion that went wrong.
_MOST_DIFFERENCE = 1e-3


class _Serving(tf.Module):
    """A signature and the variables that it needs.

    Not the network itself: Keras would trace every layer of it several times over, which takes minutes for MPRNet.
    """

    def __init__(self, net, shape=(None, None, None, 3)):
        super().__init__()
        self.weights = net.variables
        blurred = tf.TensorSpec(shape, tf.float32, name="blurred")
        self.serve = graph_function(
            lambda blurred: {"restored": restore_batch(net, blurred)}, input_signature=[blurred]
        )


def export_saved_model(deblurrer, out, max_pixels=MAX_PIXELS):
    """Writes a SavedModel with the signatures `serving_default` and `serve_bytes`.

    serving_default, blurred: float32 [B, H, W, 3] in [0, 1], any size from 1x1 -> {"restored": the same shape and
    range}. Padding to the network's multiple and cropping back are in the graph; the result equals
    `deblurrer.restore`.

    serve_bytes, image_bytes: string [B], PNG or JPEG files -> {"restored_bytes": PNG files, "error": what is wrong
    or ""}, see `tfdeblur.serving`. TensorFlow Serving's REST takes names in _bytes for base64.

    Args:
      deblurrer: a Deblurrer with a network (one that was loaded from an export cannot be exported again).
      out: folder to make; an earlier export there is replaced, one that holds anything else is refused.
      max_pixels: serve_bytes refuses larger images by their header.
    """
    if max_pixels < 1:
        raise DeblurError(f"--max_pixels={max_pixels}: must be 1 or more, for example {MAX_PIXELS}")
    refuse_wildcards(out)
    with _written(deblurrer, out) as (folder, _):
        module = _Serving(deblurrer.net)
        # It calls the other one, so that the network is in the file once.
        images = serve_bytes(lambda blurred: module.serve(blurred)["restored"], max_pixels)
        encoded = tf.TensorSpec([None], tf.string, name="image_bytes")
        module.serve_bytes = graph_function(images, input_signature=[encoded])
        signatures = {"serving_default": module.serve, "serve_bytes": module.serve_bytes}
        tf.saved_model.save(module, folder, signatures=signatures)


def export_for_runtime(deblurrer, out, runtime, size=None, float16=False, calibration=None):
    """Writes a network for another runtime; nothing is written where its results there are not those of `restore`.

    The model takes "blurred", float32 [B, H, W, 3] in [0, 1], to "restored", the same: padding and cropping are in it.
    B, H and W are free for onnx and openvino; for tflite they are 1 and `size`.

    Args:
      deblurrer, out: as of `export_saved_model`.
      runtime: "tflite", "onnx" or "openvino".
      size: (height, width) for tflite.
      float16: tflite and openvino: store weights in float16, in half the space.
      calibration: openvino: float32 [1, H, W, 3] images for int8 arithmetic, see `calibration_crops`; None: float32.

    Returns:
      None; or, with float16 or int8, the PSNR in dB of the results to those in float32.
    """
    if runtime == "tflite" and size is None:
        raise DeblurError("--format=tflite needs a fixed size: add --size, for example --size=256x256")
    if runtime != "tflite" and size is not None:
        raise DeblurError(f"--size: {runtime} takes images of any size; leave it out")
    if runtime == "onnx" and float16:
        raise DeblurError("--float16: only with --format=tflite or openvino")
    if runtime != "openvino" and calibration is not None:
        raise DeblurError("--int8: only with --format=openvino")
    with _written(deblurrer, out) as (folder, metadata):
        shape = (1, *size, 3) if size else (None, None, None, 3)
        runtimes.write(runtime, _Serving(deblurrer.net, shape), folder, float16, calibration)
        metadata |= {"format": runtime, "size": size, "float16": float16, "int8": calibration is not None}
        exact = not float16 and calibration is None
        rng = np.random.default_rng(0)
        images = calibration[:8] if calibration else [rng.uniform(size=(1, *(size or (37, 52)), 3)).astype(np.float32)]
        run = runtimes.load(runtime, folder)
        differences = [(run(x) - restore_batch(deblurrer.net, tf.constant(x))).numpy() for x in images]
        if exact and not np.max(np.abs(differences)) < _MOST_DIFFERENCE:
            raise DeblurError(
                f"{runtime}: the converted network's results differ from its own by {np.max(np.abs(differences)):g}; "
                "choose another format"
            )
        if exact:
            return None
        metadata["psnr_to_float32"] = _psnr(differences)
        return metadata["psnr_to_float32"]


def _psnr(differences):
    """Of arrays' mean square, in dB; 120 at most: JSON has no infinity."""
    error = np.mean([np.mean(difference**2) for difference in differences])
    return float(-10 * np.log10(max(error, 1e-12)))


def export_weights(deblurrer, out):
    """Writes a network's weights in float16, for tfdeblur itself; see `tfdeblur.pretrained`.

    Where the training's data and first weights lay is left out of what they say of themselves: they are handed on.

    Args:
      deblurrer, out: as of `export_saved_model`.

    Returns:
      The PSNR in dB of the results of these weights to those of the network's own.
    """
    with _written(deblurrer, out) as (folder, metadata):
        path = os.path.join(folder, pretrained.FILE)
        data = {key: value for key, value in (metadata.get("data") or {}).items() if key not in PLACES}
        if metadata.get("start_from") not in pretrained.names():
            metadata.pop("start_from", None)
        metadata |= {"format": pretrained.FORMAT, "data": data, "sha256": pretrained.write(deblurrer.net, path)}
        rounded = systems.build_from(metadata["config"])
        pretrained.read(rounded, path, metadata["sha256"])
        image = np.random.default_rng(0).uniform(size=(1, 37, 52, 3)).astype(np.float32)
        difference = restore_batch(rounded, tf.constant(image)) - restore_batch(deblurrer.net, tf.constant(image))
        # Weights that were rounded before are what they were.
        metadata["psnr_to_float32"] = deblurrer.metadata.get("psnr_to_float32", _psnr([difference.numpy()]))
        return metadata["psnr_to_float32"]


def calibration_crops(folder, count=32, side=256):
    """Crops of the images in a folder, for int8: float32 [1, h, w, 3] each, h and w at most `side`.

    The same at every call; from each image equally many, from `count` images spread over the folder if it has more.
    """
    names = list_images(folder)
    names = [names[n] for n in np.linspace(0, len(names) - 1, min(count, len(names))).astype(int)]
    rng = np.random.default_rng(0)
    crops = []
    for name in names:
        image = read_image(os.path.join(folder, name)).astype(np.float32) / 255
        for _ in range(-(-count // len(names))):
            top, left = (rng.integers(max(length - side, 0) + 1) for length in image.shape[:2])
            crops.append(image[None, top : top + side, left : left + side])
    return crops[:count]


@contextlib.contextmanager
def _written(deblurrer, out):
    """(an empty folder, the metadata) to fill; when the block ends they become `out`, in place of an earlier export."""
    if deblurrer.net is None:
        raise DeblurError("the model is an export itself: copy its folder, or export from the work directory")
    out = os.path.abspath(out)
    if os.path.isfile(out):
        raise DeblurError(f"{out}: is a file; name a folder with --out")
    there = set(os.listdir(out)) if os.path.isdir(out) else set()
    foreign = sorted(there - _WRITTEN if EXPORT_METADATA in there else there)
    if foreign:
        raise DeblurError(f"{out}: holds {foreign[0]}, which no export wrote; name a new folder with --out")
    # Of the export that it was loaded from; each tells its own.
    metadata = {key: value for key, value in deblurrer.metadata.items() if key not in ("sha256", "psnr_to_float32")}
    try:
        os.makedirs(os.path.dirname(out), exist_ok=True)
        # Written beside and renamed, the earlier export moved away first: at no moment is a half one at `out`.
        with tempfile.TemporaryDirectory(dir=os.path.dirname(out), prefix=".export-") as folder:
            target = os.path.join(folder, "model")
            os.mkdir(target)
            yield target, metadata
            with open(os.path.join(target, EXPORT_METADATA), "w", encoding="utf-8") as file:
                json.dump(metadata, file, indent=2)
            before = os.path.join(folder, "before")
            if there:
                os.replace(out, before)
            try:
                os.replace(target, out)
            except OSError:
                if there:
                    os.replace(before, out)
                raise
    except (OSError, tf.errors.OpError) as error:
        raise DeblurError(f"{out}: cannot write the export ({error})".splitlines()[0]) from error

"""SavedModel export: serves where tfdeblur is not installed."""

import json
import os
import tempfile

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.inference import EXPORT_METADATA, restore_batch
from tfdeblur.serving import MAX_PIXELS, serve_bytes

_WRITTEN = {EXPORT_METADATA, "saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables", "assets"}


class _Serving(tf.Module):
    """The signatures and the variables that they need.

    Not the network itself: Keras would trace every layer of it several times over, which takes minutes for MPRNet.
    """

    def __init__(self, net, max_pixels):
        super().__init__()
        self.weights = net.variables
        blurred = tf.TensorSpec([None, None, None, 3], tf.float32, name="blurred")
        self.serve = tf.function(lambda blurred: {"restored": restore_batch(net, blurred)}, input_signature=[blurred])
        # It calls the other one, so that the network is in the file once.
        images = serve_bytes(lambda blurred: self.serve(blurred)["restored"], max_pixels)
        encoded = tf.TensorSpec([None], tf.string, name="image_bytes")
        self.serve_bytes = tf.function(images, input_signature=[encoded], autograph=False)


def export_saved_model(deblurrer, out, max_pixels=MAX_PIXELS):
    """Writes a SavedModel with the signatures `serving_default` and `serve_bytes`.

    serving_default, blurred: float32 [B, H, W, 3] in [0, 1], any size from 1x1 -> {"restored": the same shape and
    range}. Padding to the network's multiple and cropping back are in the graph; the result equals
    `deblurrer.restore`.

    serve_bytes, image_bytes: string [B], PNG or JPEG files -> {"restored_bytes": PNG files, "error": ""}, see
    `tfdeblur.serving`. Names that end in _bytes are base64 in TensorFlow Serving's REST answers.

    Args:
      deblurrer: a Deblurrer with a network (one that was loaded from an export cannot be exported again).
      out: folder to make; an earlier export there is replaced, one that holds anything else is refused.
      max_pixels: serve_bytes refuses larger images by their header.
    """
    if max_pixels < 1:
        raise DeblurError(f"--max_pixels={max_pixels}: must be 1 or more, for example {MAX_PIXELS}")
    if not hasattr(deblurrer, "net"):
        raise DeblurError("the model is an export itself: copy its folder, or export from the work directory")
    out = os.path.abspath(out)
    if os.path.isfile(out):
        raise DeblurError(f"{out}: is a file; name a folder with --out")
    there = set(os.listdir(out)) if os.path.isdir(out) else set()
    foreign = sorted(there - _WRITTEN if EXPORT_METADATA in there else there)
    if foreign:
        raise DeblurError(f"{out}: holds {foreign[0]}, which no export wrote; name a new folder with --out")
    module = _Serving(deblurrer.net, max_pixels)
    signatures = {"serving_default": module.serve, "serve_bytes": module.serve_bytes}
    try:
        os.makedirs(os.path.dirname(out), exist_ok=True)
        # Written beside and renamed, the earlier export moved away first: at no moment is a half one at `out`.
        with tempfile.TemporaryDirectory(dir=os.path.dirname(out), prefix=".export-") as folder:
            target = os.path.join(folder, "model")
            tf.saved_model.save(module, target, signatures=signatures)
            with open(os.path.join(target, EXPORT_METADATA), "w", encoding="utf-8") as file:
                json.dump(deblurrer.metadata, file, indent=2)
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

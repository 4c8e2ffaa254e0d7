"""SavedModel export: serves where tfdeblur is not installed."""

import json
import os
import shutil
import tempfile

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.inference import EXPORT_METADATA, restore_batch


class _Serving(tf.Module):
    """Holds the network, so that its variables travel with the signature."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="blurred")])
    def serve(self, blurred):
        return {"restored": restore_batch(self.net, blurred)}


def export_saved_model(deblurrer, out):
    """Writes a SavedModel with the signature `serving_default`.

    blurred: float32 [B, H, W, 3] in [0, 1], any size from 1x1 -> {"restored": the same shape and range}. Padding
    to the network's multiple and cropping back are in the graph; the result equals `deblurrer.restore`.

    Args:
      deblurrer: a Deblurrer with a network (one that was loaded from an export cannot be exported again).
      out: folder to make; refused if it holds anything but an earlier export.
    """
    if not hasattr(deblurrer, "net"):
        raise DeblurError("the model is an export itself: copy its folder, or export from the work directory")
    out = os.path.abspath(out)
    if os.path.isdir(out) and os.listdir(out) and not os.path.exists(os.path.join(out, EXPORT_METADATA)):
        raise DeblurError(f"{out}: exists and is no export of tfdeblur; name a new folder with --out")
    module = _Serving(deblurrer.net)
    try:
        os.makedirs(os.path.dirname(out), exist_ok=True)
        # Written beside and renamed: an interrupted export leaves the earlier one as it was.
        with tempfile.TemporaryDirectory(dir=os.path.dirname(out), prefix=".export-") as folder:
            target = os.path.join(folder, "model")
            tf.saved_model.save(module, target, signatures={"serving_default": module.serve})
            with open(os.path.join(target, EXPORT_METADATA), "w", encoding="utf-8") as file:
                json.dump(deblurrer.metadata, file, indent=2)
            if os.path.isdir(out):
                shutil.rmtree(out)
            os.replace(target, out)
    except (OSError, tf.errors.OpError) as error:
        raise DeblurError(f"{out}: cannot write the export ({error})".splitlines()[0]) from error

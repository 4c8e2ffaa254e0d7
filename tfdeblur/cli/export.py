"""`tfdeblur export`: see SUMMARY."""

import math
import sys

from absl import flags

from tfdeblur import pretrained
from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Writes a network for whoever runs it without tfdeblur: float32 [B, H, W, 3] in [0, 1] to one output,
"restored". saved_model: signature serving_default, any size, plain tf.saved_model.load; also serve_bytes, PNG or JPEG
files to PNG files and an error for each, for TensorFlow Serving (experiments/serving). tflite: one fixed size. onnx and
openvino: any size. weights: float16, for tfdeblur itself, a tenth of a work directory. `deblur --model` and `evaluate
--model` take each of them, too."""


def _define(values, argv):
    del argv
    common.define_model(values)
    flags.DEFINE_string("out", None, "Folder to make.", flag_values=values)
    flags.DEFINE_enum(
        "format",
        "saved_model",
        ["saved_model", "tflite", "onnx", "openvino", "weights"],
        "For TensorFlow, TensorFlow Lite, ONNX Runtime (extra [onnx]) or OpenVINO (extra [openvino]); weights: for "
        "tfdeblur.",
        flag_values=values,
    )
    flags.DEFINE_string("size", None, "tflite: HEIGHTxWIDTH of the images that it takes.", flag_values=values)
    flags.DEFINE_bool("float16", False, "tflite, openvino: store weights in float16.", flag_values=values)
    flags.DEFINE_string(
        "int8",
        None,
        "openvino: compute convolutions in int8, in the ranges that they have on the images of this folder; take "
        "blurred ones, like those to come.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "max_pixels",
        2**21,
        "saved_model: serve_bytes refuses images with more by their header, before they are decoded.",
        lower_bound=1,
        flag_values=values,
    )


def _run(values, arguments):
    del arguments
    pretrained.refuse_name("out", values.out)
    from tfdeblur import export
    from tfdeblur.inference import load

    asked = [f"--{name}" for name in ("size", "float16", "int8") if values[name].value]
    if values.format == "saved_model":
        if asked:
            raise DeblurError(f"{asked[0]}: not with --format=saved_model")
        export.export_saved_model(load(values.model, weights=values.weights), values.out, values.max_pixels)
        print(f"SavedModel: {values.out}")
        return 0
    if values["max_pixels"].present:
        raise DeblurError("--max_pixels: only with --format=saved_model")
    if values.format == "weights":
        if asked:
            raise DeblurError(f"{asked[0]}: not with --format=weights")
        psnr = export.export_weights(load(values.model, weights=values.weights), values.out)
        print(f"weights: {values.out}, whose results are {psnr:.1f} dB from those of the float32 ones")
        return 0
    size = values.size and common.parse_size(values.size)
    calibration = values.int8 and export.calibration_crops(values.int8)
    deblurrer = load(values.model, weights=values.weights)
    psnr = export.export_for_runtime(deblurrer, values.out, values.format, size, values.float16, calibration)
    print(f"{values.format}: {values.out}")
    if psnr is not None:
        loss = 10 * math.log10(1 + 10 ** ((30 - psnr) / 10))
        advice = "; rather export without --int8" if values.int8 and loss > 0.1 else ""
        print(f"its results are {psnr:.1f} dB from those in float32: 30 dB become {30 - loss:.2f} dB{advice}")
    return 0


def main(argv=None):
    return common.execute("export", SUMMARY, _define, _run, argv, required=("out",))


if __name__ == "__main__":
    sys.exit(main())

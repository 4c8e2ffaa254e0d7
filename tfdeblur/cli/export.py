"""`tfdeblur export`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Writes a SavedModel with two signatures. serving_default: float32 [B, H, W, 3] in [0, 1], any size, to
one output, "restored". serve_bytes: PNG or JPEG files to PNG files, "restored_bytes", and an "error" for each. It is
served by plain tf.saved_model.load or TensorFlow Serving (experiments/serving), without tfdeblur."""


def _define(values, argv):
    del argv
    common.define_model(values)
    flags.DEFINE_string("out", None, "Folder to make.", flag_values=values)
    flags.DEFINE_integer(
        "max_pixels",
        2**21,
        "serve_bytes refuses images with more by their header, before they are decoded.",
        lower_bound=1,
        flag_values=values,
    )


def _run(values, arguments):
    del arguments
    from tfdeblur.export import export_saved_model
    from tfdeblur.inference import load

    export_saved_model(load(values.model, weights=values.weights), values.out, values.max_pixels)
    print(f"SavedModel: {values.out}")
    return 0


def main(argv=None):
    return common.execute("export", SUMMARY, _define, _run, argv, required=("model", "out"))


if __name__ == "__main__":
    sys.exit(main())

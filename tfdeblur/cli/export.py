"""`tfdeblur export`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Writes a SavedModel with the signature serving_default: float32 [B, H, W, 3] in [0, 1], any size, to
one output, "restored". It is served by plain tf.saved_model.load, without tfdeblur."""


def _define(values, argv):
    del argv
    common.define_model(values)
    flags.DEFINE_string("out", None, "Folder to make.", flag_values=values)


def _run(values, arguments):
    del arguments
    from tfdeblur.export import export_saved_model
    from tfdeblur.inference import load

    export_saved_model(load(values.model, weights=values.weights), values.out)
    print(f"SavedModel: {values.out}")
    return 0


def main(argv=None):
    return common.execute("export", SUMMARY, _define, _run, argv, required=("model", "out"))


if __name__ == "__main__":
    sys.exit(main())

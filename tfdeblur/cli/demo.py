"""`tfdeblur demo`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Trains a small MADN for a few minutes on the photographs inside scikit-image, blurred by made-up
camera shake; scores it on photographs and shakes that it has not seen; restores a real blurred photograph; writes
pictures, a table and a SavedModel. A demonstration: these are not GoPro weights."""


def _define(values, argv):
    common.define_config(values, argv, default="madn/demo")
    flags.DEFINE_string("out", "runs/demo", "Folder for everything that it writes.", flag_values=values)


def _run(values, arguments):
    del arguments
    from tfdeblur import demo
    from tfdeblur.training.loop import Interrupted

    try:
        demo.run(values.config, values.out)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return common.INTERRUPTED
    return 0


def main(argv=None):
    return common.execute("demo", SUMMARY, _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())

"""`tfdeblur demo`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Restores photographs that the weights which come with tfdeblur have not seen, and a real one; trains
them further for a few minutes on the photographs inside scikit-image, blurred by one narrow family of made-up shakes;
shows what that changed; writes pictures, a table and a SavedModel. The fine-tuning is a demonstration."""


def _define(values, argv):
    common.define_config(values, argv, default="weights/two_way_half:fine_tune")
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

"""`tfdeblur report`: see SUMMARY."""

import os
import re
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Draws a scalar of training over the steps for one or several work directories. Runs whose names differ
only in a number after the last "-", their seed, share a colour."""


def _define(values, argv):
    del argv
    flags.DEFINE_string("out", None, "Picture (.png) to write.", flag_values=values)
    flags.DEFINE_string("scalar", "generator/loss", "What to draw, as TensorBoard calls it.", flag_values=values)


def _run(values, arguments):
    if not arguments:
        raise DeblurError("no WORKDIR: name one or several")
    from tfdeblur import report, runner
    from tfdeblur.data.images import write_image

    runner.check_targets(picture=values.out)
    series = {}
    for workdir in arguments:
        name = os.path.basename(os.path.abspath(workdir))
        series.setdefault(re.sub(r"-\d+$", "", name) or name, []).append(report.read_scalar(workdir, values.scalar))
    write_image(values.out, report.curves(series, values.scalar))
    print(f"written: {values.out}")
    return 0


def main(argv=None):
    return common.execute("report", SUMMARY, _define, _run, argv, required=("out",), positional="WORKDIR...")


if __name__ == "__main__":
    sys.exit(main())

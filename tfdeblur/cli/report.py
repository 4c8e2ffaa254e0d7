"""`tfdeblur report`: see SUMMARY."""

import os
import re
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Draws training over its steps. --workdir: all curves of one run in one picture (losses, gradient norms,
learning rates, held-out PSNR). WORKDIR...: one scalar of one or several runs; those whose names differ only in a number
after the last "-", their seed, share a colour."""


def _define(values, argv):
    del argv
    flags.DEFINE_string("workdir", None, "The work directory of one run.", flag_values=values)
    flags.DEFINE_string(
        "out", None, "Picture (.png) to write; with --workdir by default curves.png in it.", flag_values=values
    )
    flags.DEFINE_string(
        "scalar", None, "What to draw, as TensorBoard calls it; of WORKDIR... generator/loss.", flag_values=values
    )


def _run(values, arguments):
    if bool(values.workdir) == bool(arguments):
        raise DeblurError("name either --workdir DIR, or one or several WORKDIR...")
    if arguments and not values.out:
        raise DeblurError("--out must be given")
    from tfdeblur import report, runner
    from tfdeblur.data.images import write_image

    scalar, series = values.scalar or "generator/loss", {}
    out = values.out or os.path.join(values.workdir, "curves.png")
    if values.workdir and not values.scalar:
        picture = report.curves_of_run(values.workdir)
    else:
        for workdir in arguments or [values.workdir]:
            name = os.path.basename(os.path.abspath(workdir))
            series.setdefault(re.sub(r"-\d+$", "", name) or name, []).append(report.read_scalar(workdir, scalar))
        picture = report.curves(series, scalar)
    runner.check_targets(picture=out)
    write_image(out, picture)
    print(f"written: {out}")
    return 0


def main(argv=None):
    return common.execute("report", SUMMARY, _define, _run, argv, positional="WORKDIR...")


if __name__ == "__main__":
    sys.exit(main())

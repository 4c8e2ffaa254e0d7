"""`tfdeblur report`: see SUMMARY."""

import os
import re
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.data.images import IMAGE_SUFFIXES
from tfdeblur.errors import DeblurError

SUMMARY = """What came out of trainings. WORKDIR... and a folder as --out: README.md and report.html with what each run
costs and scores on DATA, pictures of all side by side, curves, and what the papers print. --workdir, or a picture as
--out, draws training over its steps: all curves of one run in one picture, or of WORKDIR... one scalar; runs whose
names differ only in a number after the last "-", their seed, share a colour."""


def _define(values, argv):
    del argv
    flags.DEFINE_string("workdir", None, "The work directory of one run.", flag_values=values)
    flags.DEFINE_string(
        "out",
        None,
        "Picture (.png) or folder to write; with --workdir by default curves.png in it.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "scalar", None, "What to draw, as TensorBoard calls it; of WORKDIR... generator/loss.", flag_values=values
    )

    common.define_data(values)
    common.define_weights(values)
    flags.DEFINE_string("protocol", "psnr,ssim", "Of the folder's table, see `tfdeblur evaluate`.", flag_values=values)
    flags.DEFINE_string(
        "photographs",
        None,
        "Folder of blurred photographs without truth to show there, too; default: one inside scikit-image.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "departures", False, "Write all departures from the papers as one Markdown page to --out.", flag_values=values
    )


def _run(values, arguments):
    if values.departures:
        return _departures(values)
    picture = values.out is None or values.out.lower().endswith(IMAGE_SUFFIXES)
    if arguments and not picture and not values.workdir:
        return _compare(values, arguments)
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


def _departures(values):
    from tfdeblur import comparison, runner

    if not values.out:
        raise DeblurError("--out must be given")
    runner.write_text(values.out, comparison.departures())
    print(f"written: {values.out}")
    return 0


def _compare(values, runs):
    from tfdeblur import comparison, metrics, runner
    from tfdeblur.inference import load

    protocols = metrics.get_protocols(values.protocol)
    config = runner.config_of(load(runs[0], weights=values.weights))
    source = runner.make_source(config, "test", **common.data_arguments(values))
    for path in comparison.build(runs, source, protocols, values.out, values.photographs, values.weights):
        print(f"written: {path}")
    return 0


def main(argv=None):
    return common.execute("report", SUMMARY, _define, _run, argv, positional="WORKDIR...")


if __name__ == "__main__":
    sys.exit(main())

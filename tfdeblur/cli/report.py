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
names differ only in a number after the last "-", their seed, share a colour. --study: a page for a blinded user study
of the --results of several systems for the pictures in --blurred; or, with --scores and --key, the summary of what its
participants scored. --departures: one page of where this package departs from the papers, and why."""


def _define(values, argv):
    del argv
    flags.DEFINE_string("workdir", None, "The work directory of one run.", flag_values=values)
    flags.DEFINE_string(
        "out",
        None,
        "What to write: a folder (the report), a picture (.png; with --workdir by default curves.png in it), the page "
        "of --study (.html) or its summary (.md; default: printed), the page of --departures (.md).",
        flag_values=values,
    )
    flags.DEFINE_string(
        "scalar", None, "What to draw, as TensorBoard calls it; of WORKDIR... generator/loss.", flag_values=values
    )
    _define_study(values)
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
    if values.study or any(values[name].present for name in STUDY_FLAGS):
        return _run_study(values, arguments)
    if values.departures:
        return _departures(values)
    picture = values.out is None or values.out.lower().endswith(IMAGE_SUFFIXES)
    if arguments and not picture and not values.workdir:
        return _compare(values, arguments)
    if bool(values.workdir) == bool(arguments):
        raise DeblurError("name WORKDIR... or --workdir DIR, one of the two, or say --study or --departures")
    if arguments and not values.out:
        raise DeblurError("--out must be given: a folder for the report, or a picture for the curves alone")
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
        raise DeblurError("--out must be given: the page to write, for example departures.md")
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


STUDY_FLAGS = ("blurred", "results", "pictures", "longest_side", "scores", "key")


def _define_study(values):
    define = {"flag_values": values}
    flags.DEFINE_bool("study", False, "A blinded user study: its page (.html), or the summary of its scores.", **define)
    flags.DEFINE_string("blurred", None, "--study: folder of the blurred pictures.", **define)
    flags.DEFINE_multi_string(
        "results",
        [],
        "--study: NAME=DIR [NAME2=DIR2 ...], each system's folder of results as deblur writes it.",
        **define,
    )
    flags.DEFINE_integer("pictures", None, "--study: so many pictures, drawn at random.", lower_bound=1, **define)
    flags.DEFINE_integer(
        "longest_side", 1280, "--study: pixels to which larger pictures are reduced.", lower_bound=1, **define
    )
    flags.DEFINE_multi_string(
        "scores", [], "--study: the participants' CSV files, or folders of them: a.csv [b.csv ...].", **define
    )
    flags.DEFINE_string("key", None, "--study: the key that was written beside the page.", **define)


def _run_study(values, arguments):
    if not values.study:
        given = [f"--{name}" for name in STUDY_FLAGS if values[name].present]
        raise DeblurError(f"{given[0]} goes with --study")
    if values.workdir or values.scalar:
        raise DeblurError("--workdir and --scalar do not go with --study")
    from tfdeblur import study

    if values.scores:
        if values.results or values.blurred or not values.key:
            raise DeblurError(
                "--study --scores a.csv [b.csv ...] takes --key study_key.json, and perhaps --out summary.md"
            )
        key = study.read_key(values.key)
        scores, left_out, notes = study.read_scores([*values.scores, *arguments], key)
        for line in left_out:
            print(f"tfdeblur: error: {line}", file=sys.stderr)
        for line in notes:
            print(f"note: {line}", file=sys.stderr)
        text = study.summary(scores, key, [*left_out, *notes])
        if values.out:
            study.write_text(values.out, text)
        print(f"written: {values.out}" if values.out else text)
        return 1 if left_out else 0
    if not (values.blurred and values.results and values.out):
        raise DeblurError("--study takes --blurred DIR, --results NAME=DIR [NAME2=DIR2 ...] and --out study.html")
    results = {}
    for argument in [*values.results, *arguments]:
        name, equals, folder = argument.partition("=")
        if not (name and equals and folder) or name in results:
            raise DeblurError(f"--results {argument}: {'this name is taken' if name in results else 'write NAME=DIR'}")
        results[name] = folder
    for line in study.write_page(values.blurred, results, values.out, values.longest_side, values.pictures):
        print(f"warning: {line}", file=sys.stderr)
    size = (
        f"{os.path.getsize(values.out) / 1e6:.1f} MB, pictures as JPEG of quality 95 and at most {values.longest_side}"
    )
    print(f"written: {values.out} ({size} pixels long), which participants open in a browser")
    print(f"written: {study.key_path(values.out)}, which tells whose results they are: keep it to yourself")
    return 0


def main(argv=None):
    return common.execute("report", SUMMARY, _define, _run, argv, positional="WORKDIR...")


if __name__ == "__main__":
    sys.exit(main())

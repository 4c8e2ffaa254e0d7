"""`tfdeblur inspect`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Looks at every pair of DATA (as for train) and tells what is unreadable and what looks wrong: shifted,
identical or swapped pairs, different pictures, tone curves that differ, an average that is not what --blur_kind says.
--out is a contact sheet, suspicious pairs first: blurred | sharp | twice their difference (grey = none). Exit code 0,
warnings included; 1 if files cannot be read or the two of a pair differ in size."""


def _define(values, argv):
    common.define_config(values, argv, default="madn/gopro")
    common.define_data(values)
    flags.DEFINE_string("out", None, "Contact sheet (.png) to write.", flag_values=values)
    flags.DEFINE_string("json", None, "File for all numbers of every pair.", flag_values=values)
    flags.DEFINE_integer("count", 16, "Rows on the contact sheet.", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("sample", None, "Look at so many evenly spaced pairs only.", lower_bound=1, flag_values=values)
    flags.DEFINE_enum("split", "train", ["train", "test"], "Of data that have splits.", flag_values=values)


def _run(values, arguments):
    del arguments
    from tfdeblur import inspection, report, runner
    from tfdeblur.data.images import write_image

    runner.check_targets(values.json, picture=values.out)
    source = runner.make_source(values.config, values.split, **common.data_arguments(values))
    found = inspection.inspect(source, values.sample)
    text, warnings, errors = inspection.lines(found)
    print(text, flush=True)
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)
    for line in errors:
        print(f"tfdeblur: error: {line}", file=sys.stderr)
    if values.json:
        runner.write_results(found, [], values.json)
    write_image(values.out, report.contact_sheet(inspection.sheet_rows(source, found, values.count)))
    for path in filter(None, (values.out, values.json)):
        print(f"written: {path}")
    return 1 if errors else 0


def main(argv=None):
    return common.execute("inspect", SUMMARY, _define, _run, argv, required=("out",))


if __name__ == "__main__":
    sys.exit(main())

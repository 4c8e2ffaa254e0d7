"""`tfdeblur prepare`: see SUMMARY."""

import shlex
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Decodes data once into a folder that --data_dir then takes, so that trainings start at once and read crops
at full speed. SOURCE is the name of a data set (gopro, kohler, lai, realblur, hide, with /config where there are
several), whose archives or files lie in --manual_dir; or a folder: a GOPRO tree, one that holds blur and sharp (or
input and target), data that TFDS built, or sharp photographs to be blurred later with --synthesize. May be interrupted
and started again: only what is missing is decoded. Without --manual_dir a name tells where to get the files."""


def _define(values, argv):
    del argv
    flags.DEFINE_string("out", None, "Folder for the decoded images, three bytes a pixel.", flag_values=values)
    flags.DEFINE_string("manual_dir", None, "The data set's archive, or the folder that holds it.", flag_values=values)
    flags.DEFINE_enum(
        "blur_kind",
        None,
        ["blur", "blur_gamma"],
        "Which blur a folder's pairs hold; default: blur.",
        flag_values=values,
    )


def _run(values, arguments):
    if len(arguments) != 1:
        raise DeblurError("one SOURCE is needed: the name of a data set, or a folder")

    from tfdeblur import runner

    found = runner.sources_to_prepare(arguments[0], values.manual_dir, values.blur_kind)
    runner.prepare(found, values.out)
    counts = ", ".join(f"{split} {len(source)}" for split, source in found.items())
    sharp_only = next(iter(found.values())).image_count(0) == 1
    use = f"tfdeblur {'train' if set(found) != {'test'} else 'evaluate'} --data_dir {shlex.quote(values.out)}"
    print(f"prepared: {values.out} ({counts})    use it: {use}{' --synthesize' if sharp_only else ''} ...")
    return 0


def main(argv=None):
    return common.execute("prepare", SUMMARY, _define, _run, argv, required=("out",), positional="SOURCE")


if __name__ == "__main__":
    sys.exit(main())

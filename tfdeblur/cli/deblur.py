"""`tfdeblur deblur`: see SUMMARY."""

import glob
import os
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Restores photographs. IN is a file, a glob in quotes, or a folder (taken with all below it, names
kept). Writes <name>.png into --out, each of its input's size; never over an input. A file that cannot be read is
reported, the others are done, and the exit code is 1."""


def _define(values, argv):
    del argv
    common.define_model(values)
    flags.DEFINE_string("out", None, "Folder for the results.", flag_values=values)
    common.define_precision(values, default="float32")
    flags.DEFINE_bool("side_by_side", False, "Write before and after in one picture.", flag_values=values)


def _run(values, arguments):
    jobs = plan(arguments, values.out)

    from tfdeblur import runner
    from tfdeblur.inference import load

    deblurrer = load(values.model, runner.resolve_precision(values.precision, training=False))
    runner.say(f"restoring {len(jobs)} image{'s' if len(jobs) > 1 else ''} on {runner.device()}")
    failures = runner.deblur_files(deblurrer, jobs, values.side_by_side)
    for line in failures:
        print(f"tfdeblur: error: {line}", file=sys.stderr)
    print(f"{len(jobs) - len(failures)} of {len(jobs)} images written to {values.out}")
    return 1 if failures else 0


def plan(arguments, out):
    """[(input path, output path)] for the positional arguments; output names are unique and never an input."""
    from tfdeblur.data.images import list_images

    if not arguments:
        raise DeblurError("no input: name files, globs or folders")
    found = []  # (path, name below --out without suffix)
    for argument in arguments:
        if os.path.isdir(argument):
            # Results of an earlier call are no inputs.
            below_out = os.path.realpath(out) + os.sep
            out_is_inside = below_out != os.path.realpath(argument) + os.sep
            for relative in list_images(argument):
                path = os.path.join(argument, relative)
                if out_is_inside and os.path.realpath(path).startswith(below_out):
                    continue
                found.append((path, os.path.splitext(relative)[0]))
            continue
        paths = [argument] if os.path.exists(argument) else sorted(glob.glob(argument, recursive=True))
        if not paths:
            raise DeblurError(f"{argument}: no such file, folder or matching glob")
        found += [(path, os.path.splitext(os.path.basename(path))[0]) for path in paths if not os.path.isdir(path)]
    # A file that two arguments name is restored once.
    found = list({os.path.realpath(path): (path, name) for path, name in found}.values())
    jobs, taken = [], {}
    inputs = {os.path.realpath(path) for path, _ in found}
    for path, name in found:
        target = os.path.join(out, name + ".png")
        if os.path.realpath(target) in inputs:
            raise DeblurError(f"{target} would overwrite an input; name another folder with --out")
        if target in taken:
            raise DeblurError(f"{taken[target]} and {path} would both become {target}; restore them one by one")
        taken[target] = path
        jobs.append((path, target))
    if not jobs:
        raise DeblurError(f"{', '.join(arguments)}: no images there")
    return jobs


def main(argv=None):
    return common.execute("deblur", SUMMARY, _define, _run, argv, required=("model", "out"), positional="IN...")


if __name__ == "__main__":
    sys.exit(main())

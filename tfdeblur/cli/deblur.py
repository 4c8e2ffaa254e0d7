"""`tfdeblur deblur`: see SUMMARY."""

import glob
import os
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Restores photographs and videos. IN is a file, a glob in quotes, or a folder (taken with all photographs
below it, names kept). Writes <name>.png into --out, each of its input's size, and a video under its own name; never
over an input. A file that cannot be read or is damaged is reported, the others are done, and the exit code is 1."""


def _define(values, argv):
    del argv
    common.define_model(values)
    flags.DEFINE_string("out", None, "Folder for the results.", flag_values=values)
    common.define_precision(values, default="float32")
    flags.DEFINE_bool("side_by_side", False, "Write before and after in one picture.", flag_values=values)
    flags.DEFINE_bool(
        "branches",
        False,
        "two_way: also write <name>_branches.png, the upper, the lower and the summed result side by side.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "rgcl",
        None,
        "structures_guided: also write <name>_rgcl.png, what one RGCL answers beside Sobel; BLOCK.PATH, as in 10.3.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "enhanced_gradient",
        False,
        "egnet: also write <name>_enhanced_gradient.png, the gradient map that its EGN takes beside the Laplacian.",
        flag_values=values,
    )


def _run(values, arguments):
    figures = [name for name in ("branches", "rgcl", "enhanced_gradient") if values[name].value not in (None, False)]
    if len(figures) > 1:
        asked = " and ".join(f"--{name}" for name in figures)
        raise DeblurError(f"{asked} exclude each other: they are pictures of different systems")
    figure = figures[0] if figures else None
    which = [values.rgcl] if figure == "rgcl" else []
    jobs, failures = plan(arguments, values.out, figure)
    asked, damaged = len(jobs) + len(failures), []
    videos = [job for job in jobs if _video_suffix(job[0])]
    photographs = [job for job in jobs if job not in videos]
    noun = ("file" if videos else "image") + ("s" if asked > 1 else "")
    if jobs:
        from tfdeblur import report, runner
        from tfdeblur.inference import load

        policy = runner.resolve_precision(values.precision, training=False)
        deblurrer = load(values.model, policy, values.weights)
        runner.say(f"restoring {len(jobs)} of {asked} {noun} on {runner.device()}")
        if photographs:
            draw = figure and report.figure_of(deblurrer, figure, *which)
            failures += runner.deblur_files(deblurrer, photographs, values.side_by_side, draw)
        if videos:
            from tfdeblur import video

            settings = {name: value for name, value in values.flag_values_dict().items() if name != "out"}
            failed, damaged = video.deblur_videos(deblurrer, videos, values.side_by_side, settings)
            failures += failed
    for line in failures + damaged:
        print(f"tfdeblur: error: {line}", file=sys.stderr)
    if jobs:
        print(f"{asked - len(failures)} of {asked} {noun} written to {values.out}")
    return 1 if failures or damaged else 0


def plan(arguments, out, figure=None):
    """What to restore, and what cannot be.

    Args:
      arguments: files, globs, folders.
      out: folder of the results.
      figure: name of a picture that is written beside each result, as <result>_<name>.png.

    Returns:
      ([(input path, output path, the picture's path if there is one)], [one line for each argument or file that is
      left out]); no output is an input or another's output.
    """
    if not arguments:
        raise DeblurError("no input: name files, globs or folders")
    if os.path.exists(out) and not os.path.isdir(out):
        raise DeblurError(f"--out={out}: is a file; name a folder")
    found, failures = [], []  # found: (path, name below --out without suffix)
    for argument in arguments:
        try:
            found += _expand(argument, out)
        except DeblurError as error:
            failures.append(str(error))
    # A file that two arguments name is restored once.
    found = list({os.path.realpath(path): (path, name) for path, name in found}.values())
    inputs = {os.path.realpath(path) for path, _ in found}
    taken = {}
    jobs = []
    for path, name in found:
        target = os.path.join(out, name + (_video_suffix(path) or ".png"))
        written = [target, *([os.path.join(out, f"{name}_{figure}.png")] if figure else [])]
        if figure and _video_suffix(path):
            failures.append(f"{path}: --{figure} draws pictures of photographs, not of videos")
            continue
        over = [file for file in written if os.path.realpath(file) in inputs]
        double = [file for file in written if file in taken]
        if over:
            failures.append(f"{path}: {over[0]} would overwrite an input; name another folder with --out")
        elif double:
            failures.append(f"{path}: {taken[double[0]]} becomes {double[0]} already; restore it into another folder")
        else:
            taken |= dict.fromkeys(written, path)
            jobs.append((path, *written))
    return jobs, failures


def _expand(argument, out):
    """[(path, name below --out without suffix)] of one argument; DeblurError if there is nothing."""
    from tfdeblur.data.images import list_images, some_of, walk_files

    if os.path.isdir(argument):
        videos = [name for name in walk_files(argument, lambda name: name.startswith(".")) if _video_suffix(name)]
        if videos:  # hours of work that nobody may have asked for: the short films beside a phone's photographs
            print(f"{argument}: videos are left out ({some_of(videos)}); name them to restore them", file=sys.stderr)
        found = [(os.path.join(argument, name), os.path.splitext(name)[0]) for name in list_images(argument)]
        # Results of an earlier call are no inputs, where --out lies inside the folder.
        below_out = os.path.realpath(out) + os.sep
        if below_out != os.path.realpath(argument) + os.sep:
            found = [(path, name) for path, name in found if not os.path.realpath(path).startswith(below_out)]
    else:
        paths = [argument] if os.path.exists(argument) else sorted(glob.glob(argument, recursive=True))
        found = [(path, os.path.splitext(os.path.basename(path))[0]) for path in paths if not os.path.isdir(path)]
    if not found:
        raise DeblurError(f"{argument}: no image there")
    return found


def _video_suffix(path):
    """The suffix of its result where `path` is named like a video, or None."""
    from tfdeblur.data.frames import VIDEO_SUFFIXES

    return VIDEO_SUFFIXES.get(os.path.splitext(path)[1].lower())


def main(argv=None):
    return common.execute("deblur", SUMMARY, _define, _run, argv, required=("model", "out"), positional="IN...")


if __name__ == "__main__":
    sys.exit(main())

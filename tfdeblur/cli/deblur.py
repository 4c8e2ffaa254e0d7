"""`tfdeblur deblur`: see SUMMARY."""

import collections
import functools
import glob
import os
import pathlib
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Restores photographs and videos. IN is a file, a glob in quotes, or a folder (taken with all photographs
below it, names kept). Writes <name>.png into --out, each of its input's size and depth, with its alpha, colour profile
and EXIF, and a video under its own name; over an earlier result, never over an input. A file that cannot be read or is
damaged is reported, the others are done, and the exit code is 1."""

_SHOWN = 10  # failures of --runner


def _define(values, argv):
    del argv
    common.define_model(values)
    flags.DEFINE_string("out", "restored", "Folder for the results.", flag_values=values)
    common.define_precision(values)
    common.define_restoring(values)
    flags.DEFINE_bool(
        "keep_format",
        False,
        "Write each input's own name and format in place of PNG; JPEG at quality 95, WebP lossless.",
        flag_values=values,
    )
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
    flags.DEFINE_string(
        "runner",
        None,
        "Apache Beam's runner, for very many photographs: DirectRunner is this machine. Beam's own options follow "
        "behind --. Results that are there already are kept, and failures are listed in failed.jsonl in --out.",
        flag_values=values,
    )


def _run(values, arguments, beam_options=()):
    figures = [name for name in ("branches", "rgcl", "enhanced_gradient") if values[name].value not in (None, False)]
    if len(figures) > 1:
        asked = " and ".join(f"--{name}" for name in figures)
        raise DeblurError(f"{asked} exclude each other: they are pictures of different systems")
    figure = figures[0] if figures else None
    which = [values.rgcl] if figure == "rgcl" else []
    if values.runner:
        from tfdeblur import many

        if figure:
            raise DeblurError(f"--{figure} draws pictures for a look at some photographs; leave out --runner")
        arguments = arguments[: len(arguments) - len(beam_options)]  # what follows behind -- is Beam's
    elif remote := [path for path in (*arguments, values.out) if "://" in path]:
        raise DeblurError(f"{remote[0]}: is read and written with --runner only")
    else:
        _refuse_unwritable(values.out)
    options = common.restoring(values)
    jobs, failures = plan(arguments, values.out, figure, values.keep_format)
    asked, lines, damaged = len(jobs) + len(failures), [line for _, line in failures], []
    videos = [job for job in jobs if _video_suffix(job[0])]
    photographs = [job for job in jobs if not _video_suffix(job[0])]
    noun = ("file" if videos else "image") + ("s" if asked > 1 else "")
    if jobs:
        from tfdeblur import report, runner
        from tfdeblur.inference import load

        policy = runner.resolve_precision(values.precision, training=False)
        deblurrer = load(values.model, policy, values.weights).configure(**options)
        if values.runner:
            del deblurrer  # the workers load their own; now it is known that they can
            runner.say(f"restoring {len(photographs)} image{'s' if len(photographs) > 1 else ''} with {values.runner}")
            failures += [(path, f"{path}: a video; restore it without --runner") for path, *_ in videos]
            settings = {
                "policy": policy,
                "weights": values.weights,
                "restoring": options,
                "side_by_side": values.side_by_side,
            }
            counts, letters = many.deblur_many(
                photographs, failures, values.out, values.model, values.runner, beam_options, **settings
            )
            return _tell(counts, letters, os.path.join(values.out, many.FAILED))
        runner.say(f"restoring {len(jobs)} of {asked} {noun} on {runner.device()}")
        if photographs:
            draw = figure and report.figure_of(deblurrer, figure, *which)
            lines += runner.deblur_files(deblurrer, photographs, values.side_by_side, draw)
        if videos:
            from tfdeblur import video

            settings = {name: value for name, value in values.flag_values_dict().items() if name != "out"}
            failed, damaged = video.deblur_videos(deblurrer, videos, values.side_by_side, settings)
            lines += failed
    for line in lines + damaged:
        print(f"tfdeblur: error: {line}", file=sys.stderr)
    if jobs:
        print(f"{asked - len(lines)} of {asked} {noun} written to {values.out}")
    return 1 if lines or damaged else 0


def _refuse_unwritable(out):
    """Before hours are spent; the nearest folder that is there already must take files."""
    there = os.path.abspath(out)
    while not os.path.isdir(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    if not os.access(there, os.W_OK | os.X_OK):
        raise DeblurError(f"--out={out}: cannot be written to; choose another folder")


def _tell(counts, letters, path):
    """Prints what --runner did, and the first of its failures; the exit code."""
    for letter in letters[:_SHOWN]:
        print(f"tfdeblur: error: {letter['reason']}", file=sys.stderr)
    if len(letters) > _SHOWN:
        print(f"tfdeblur: error: and {len(letters) - _SHOWN} more: see {path}", file=sys.stderr)
    listed = f", listed in {path}" if letters else ""
    print(f"{counts['restored']} restored, {counts['skipped']} were there already, {counts['failed']} failed{listed}")
    return 1 if letters else 0


def plan(arguments, out, figure=None, keep_format=False):
    """What to restore, and what cannot be.

    A result is called <name>.png, or with `keep_format` as its input. Where two results would be called the same, as
    those of a.jpg and a.png, each keeps its input's suffix: a.jpg.png and a.png.png, whichever is named first.

    Args:
      arguments: files, globs, folders.
      out: folder of the results.
      figure: name of a picture that is written beside each result, as <result>_<name>.png.
      keep_format: whether a result has its input's suffix; another than IMAGE_SUFFIXES becomes .png all the same.

    Returns:
      ([(input path, output path, the picture's path if there is one)], [(argument or file that is left out, one line
      that says why)]); no output is another's.

    Raises:
      DeblurError: nothing is named; `out` is a file, lies below one or inside an input, or a result would lie in the
        folder of one.
    """
    if not arguments:
        raise DeblurError("no input: name files, globs or folders")
    # os.path: pathlib raises where a folder may not be searched or a name is too long.
    files = [path for path in (out, *pathlib.Path(out).parents) if os.path.exists(path) and not os.path.isdir(path)]
    if files:
        raise DeblurError(f"--out={out}: {files[0]} is a file; name a folder")
    inside = [folder for folder in arguments if os.path.isdir(folder) and _lies_inside(out, folder)]
    if inside:  # what lies there already may be originals
        raise DeblurError(f"--out={out}: lies inside the input {inside[0]}; name a folder outside it")
    found, failures = [], []  # found: (path, name below --out)
    for argument in arguments:
        try:
            found += _expand(argument)
        except DeblurError as error:
            failures.append((argument, str(error)))
    # A file that two arguments name is restored once.
    inputs = {os.path.realpath(path): (path, name) for path, name in found}
    named = {}
    for path, name in inputs.values():
        if figure and _video_suffix(path):
            failures.append((path, f"{path}: --{figure} draws pictures of photographs, not of videos"))
        elif name in named:
            line = f"{path}: {named[name]} has its name below {out}; restore it into another folder"
            failures.append((path, line))
        else:
            named[name] = path

    whole = set()  # whose results keep the input's suffix
    while True:
        results = {name: _results(name, figure, keep_format, name in whole) for name in named}
        taken = collections.Counter(result for names in results.values() for result in names)
        clashing = {name for name, names in results.items() if any(taken[result] > 1 for result in names)}
        if clashing <= whole:
            break
        whole |= clashing

    folders = {os.path.dirname(real): path for real, (path, _) in inputs.items()}
    jobs = []
    for name, path in named.items():
        targets = [os.path.join(out, result) for result in results[name]]
        beside = folders.get(os.path.realpath(os.path.dirname(targets[0])))
        if beside:
            raise DeblurError(f"--out={out}: {targets[0]} would lie beside the input {beside}; name another folder")
        if name in clashing:
            failures.append((path, f"{path}: {targets[-1]} would be another's, too; restore it into another folder"))
        else:
            jobs.append((path, *targets))
    return jobs, failures


def _results(name, figure, keep_format, whole):
    """What is written for the input `name`, below --out; `whole`: its suffix stays, before the result's own."""
    from tfdeblur.data.images import IMAGE_SUFFIXES

    stem, suffix = os.path.splitext(name)
    kept = name if whole else stem
    if _video_suffix(name):
        return [kept + _video_suffix(name)]
    result = name if keep_format and suffix.lower() in IMAGE_SUFFIXES else f"{kept}.png"
    return [result, *([f"{kept}_{figure}.png"] if figure else [])]


def _lies_inside(path, folder):
    """Whether a path is a folder or would lie in it, at any depth."""
    return os.path.join(os.path.realpath(path), "").startswith(os.path.join(os.path.realpath(folder), ""))


def _expand(argument):
    """[(path, name below --out)] of one argument; DeblurError if there is nothing."""
    from tfdeblur.data.images import list_images, some_of, walk_files

    if "://" in argument:
        from tfdeblur.many import list_remote

        found = list_remote(argument)
    elif os.path.isdir(argument):
        videos = [name for name in walk_files(argument, lambda name: name.startswith(".")) if _video_suffix(name)]
        if videos:  # hours of work that nobody may have asked for: the short films beside a phone's photographs
            print(f"{argument}: videos are left out ({some_of(videos)}); name them to restore them", file=sys.stderr)
        found = [(os.path.join(argument, name), name) for name in list_images(argument)]
    else:
        paths = [argument] if os.path.exists(argument) else sorted(glob.glob(argument, recursive=True))
        found = [(path, os.path.basename(path)) for path in paths if not os.path.isdir(path)]
    if not found:
        raise DeblurError(f"{argument}: no image there")
    return found


def _video_suffix(path):
    """The suffix of its result where `path` is named like a video, or None."""
    from tfdeblur.data.frames import VIDEO_SUFFIXES

    return VIDEO_SUFFIXES.get(os.path.splitext(path)[1].lower())


def main(argv=None):
    argv = list(sys.argv[1:] if argv is None else argv)
    run = functools.partial(_run, beam_options=argv[argv.index("--") + 1 :] if "--" in argv else ())
    return common.execute("deblur", SUMMARY, _define, run, argv, positional="IN...")


if __name__ == "__main__":
    sys.exit(main())

"""What all commands share: flags that are defined once, how they are parsed, and how errors end."""

import os
import pathlib
import re
import sys
import traceback

from absl import flags

import tfdeblur
from tfdeblur import pretrained
from tfdeblur.errors import DeblurError

INTERRUPTED = 130  # what shells give for SIGINT
WORKER_LOST = 75  # "temporary failure; try again" of sysexits.h


def execute(command, summary, define, action, argv=None, required=(), positional=None):
    """Parses `argv`, runs `action`, and turns what the user can mend into one line and an exit code.

    Args:
      command: its name.
      summary: one or two sentences for --help.
      define: flag values -> None, defines the command's flags there.
      action: (flag values, positional arguments) -> exit code or None.
      argv: arguments after the command's name; None: the process's.
      required: names of the flags that must be given.
      positional: what the positional arguments are called, or None if there are none.

    Returns:
      The exit code: 0, what `action` returns, 1 for a DeblurError, 2 for flags that do not parse.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    values = flags.FlagValues()
    try:
        if {"--help", "-help", "-h"} & set(argv):
            define(values, [])
            needed = "".join(f" --{name} {name.upper()}" for name in required)
            print(f"tfdeblur {command}{' ' + positional if positional else ''}{needed} [FLAGS]\n\n{summary}\n")
            print(_help(values))
            return 0
        argv = _resolve_configs(argv)
        define(values, argv)
        arguments = _parse(values, [command, *argv])
        if "model" in values and values.model in ("none", ["none"]):
            print(pretrained.listing())
            return 0
        missing = [f"--{name}" for name in required if values[name].value is None]
        if missing:
            raise DeblurError(f"{' and '.join(missing)} must be given")
        if arguments and not positional:
            raise DeblurError(f"unexpected argument '{arguments[0]}': flags start with --")
    except DeblurError as error:
        _print_error(f"{error} (tfdeblur {command} --help)")
        return 2
    try:
        return action(values, arguments) or 0
    except DeblurError as error:
        _print_error(error)
        return 1
    except KeyboardInterrupt:
        _print_error("interrupted")
        return INTERRUPTED
    except OSError as error:  # a full disk or a missing permission that nobody expected there
        _print_error(_one_line(error))
        return 1


def _parse(values, argv):
    """The positional arguments; runs the configuration file, so anything can go wrong that its author did wrong."""
    try:
        return values(argv)[1:]
    except Exception as error:
        libraries = ("absl", "ml_collections", "importlib", __file__)
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(x in f.filename for x in libraries)]
        place = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
        raise DeblurError(place + _one_line(error)) from error


def _print_error(message):
    print(f"tfdeblur: error: {message}", file=sys.stderr)


def _one_line(error):
    text = str(error) or type(error).__name__
    if "Traceback" in text:  # config_flags hands on the whole traceback of a configuration that raises
        place = re.findall(r'File "(.+)", line (\d+)', text)[-1]
        text = f"{place[0]}, line {place[1]}: {text.strip().splitlines()[-1]}"
    # and shows an unknown setting as the repr of its message, quotes and escapes included
    text = " ".join(text.replace("\\n", " ").replace("\\'", "").split())
    if text.startswith("'") and text.endswith("'"):
        text = text[1:-1]
    # absl shows what Python says of a value
    text = re.sub(r"\('Non-boolean argument to boolean flag', .*\)", "takes no value, or true or false", text)
    text = re.sub(r"invalid literal for int\(\) with base 10: .*", "write a whole number", text)
    text = re.sub(r"could not convert string to float: .*", "write a number", text)
    unknown = re.match(r'(\w+) Did you mean "(\w+)"', text)
    return f"--config.{unknown[1]}: no such setting; did you mean {unknown[2]}?" if unknown else text


def _help(values):
    """The command's flags with their defaults, without absl's own."""
    lines = []
    for name in sorted({flag.name for group in values.flags_by_module_dict().values() for flag in group}):
        flag = values[name]
        default = "" if flag.default in (None, False, "") or name == "config" else f" (default: {flag.default})"
        lines.append(f"  --{name}\n      {flag.help}{default}")
    return "\n".join(lines)


# ---------------------------------------------------------------------------------- flags in several commands


def define_model(values, several=False, default=pretrained.DEFAULT):
    define = flags.DEFINE_multi_string if several else flags.DEFINE_string
    define(
        "model",
        default,
        "Weights that come with tfdeblur, a work directory of `tfdeblur train`, one of its checkpoints, or an export; "
        "none lists what there is.",
        flag_values=values,
    )
    define_weights(values)


def define_weights(values):
    flags.DEFINE_enum(
        "weights",
        "last",
        ["last", "average", "best"],
        "Which ones of a work directory: after its last step, their moving average (see --config.ema_decay), or those "
        "with the highest held-out PSNR of the training.",
        flag_values=values,
    )


def define_data(values):
    define = {"flag_values": values}
    flags.DEFINE_string("data_dir", None, "A folder made by `tfdeblur prepare` or built by TFDS.", **define)
    flags.DEFINE_string(
        "dataset", None, "gopro, kohler, lai, realblur or hide, with /config: gopro/blur_gamma, realblur/j.", **define
    )
    flags.DEFINE_string("manual_dir", None, "For --dataset: the folder of its archives or files.", **define)
    flags.DEFINE_string("gopro_dir", None, "A GOPRO_Large tree: {train,test}/<sequence>/{blur,sharp}.", **define)
    flags.DEFINE_enum(
        "blur_kind",
        None,
        ["blur", "blur_gamma"],
        "Which blur the pairs hold; of a GOPRO tree, which folder. Default: the configuration's.",
        **define,
    )
    flags.DEFINE_string("blur_dir", None, "Folder of blurred images, paired with --sharp_dir by name.", **define)
    flags.DEFINE_string("sharp_dir", None, "Folder of sharp images.", **define)
    flags.DEFINE_bool(
        "synthesize", False, "Blur --sharp_dir, or prepared sharp photographs, by made-up camera shake.", **define
    )


def data_arguments(values):
    """The DATA flags as keyword arguments of `runner.make_source`; the embedded photographs where none is set."""
    names = ("data_dir", "dataset", "manual_dir", "gopro_dir", "blur_kind", "blur_dir", "sharp_dir", "synthesize")
    return {name: values[name].value for name in names}


def define_config(values, argv, default=None):
    from ml_collections import config_flags

    said = f" Default: {default}." if default else ""
    config_flags.DEFINE_config_file(
        "config",
        default and config_path(default),
        "A configuration: a file, or the name of one that tfdeblur brings (madn/gopro, madn/smoke, ...). Its values "
        f"are overridden by --config.<name>=<value>.{said}",
        lock_config=True,
        flag_values=values,
        sys_argv=["tfdeblur", *argv],
    )


def define_precision(values, default="auto"):
    flags.DEFINE_enum(
        "precision",
        default,
        ["auto", "float32", "mixed_bfloat16", "mixed_float16"],
        "Arithmetic of the layers; auto decides by TensorFlow version and processor.",
        flag_values=values,
    )


def define_restoring(values):
    flags.DEFINE_integer(
        "tile",
        None,
        "Restore in overlapping square tiles of this many pixels; 0 never tiles. Default: whole images where the "
        "memory allows, else tiles as large as it does.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "overlap", None, "What two tiles share, in pixels. Default: the system's.", lower_bound=0, flag_values=values
    )
    flags.DEFINE_bool(
        "self_ensemble",
        False,
        "Restore the eight mirrored and turned forms of an image and take their mean: eight times the time.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "scales",
        "1",
        "Sizes at which to restore an image, whose changes are averaged: 1,0.75 for its own and three quarters of it.",
        flag_values=values,
    )


def restoring(values):
    """The flags of `define_restoring` as keyword arguments of `Deblurrer.configure`."""
    try:
        scales = [float(scale) for scale in values.scales]
    except ValueError as error:
        raise DeblurError(f"--scales={','.join(values.scales)}: write numbers, for example 1,0.75") from error
    return {
        "tile": values.tile,
        "overlap": values.overlap,
        "self_ensemble": values.self_ensemble,
        "scales": scales,
    }


def parse_size(text):
    """ "720x1280" -> (720, 1280), height first."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or 0 in (int(match[1]), int(match[2])):
        raise DeblurError(f"--size={text}: write HEIGHTxWIDTH, for example 720x1280")
    return int(match[1]), int(match[2])


# ---------------------------------------------------------------------------------- configurations by name


def _experiments():
    """experiments/ of the installed wheel, or of the checkout."""
    package = pathlib.Path(tfdeblur.__file__).parent
    for folder in (package / "experiments", package.parent / "experiments"):
        if folder.is_dir():
            return folder
    raise DeblurError("the experiments folder is missing from this installation; install tfdeblur again")


def config_path(name):
    """Path of a configuration given as a path or by name ("madn/gopro"), with its ":argument" kept."""
    stem, colon, argument = name.partition(":")
    if os.path.isfile(stem):
        return name
    named = _experiments() / (stem.removesuffix(".py") + ".py")
    if named.is_file():
        return f"{named}{colon}{argument}"
    known = sorted(p.relative_to(_experiments()).with_suffix("").as_posix() for p in _experiments().glob("*/*.py"))
    known = [n for n in known if not n.endswith("__init__")]
    raise DeblurError(f"--config={name}: no such file, and tfdeblur brings {', '.join(known)}")


def _resolve_configs(argv):
    resolved, expected = [], False
    for argument in argv:
        if expected:
            resolved.append(config_path(argument))
            expected = False
        elif argument in ("--config", "-config"):
            resolved.append(argument)
            expected = True
        elif argument.startswith("--config="):
            resolved.append("--config=" + config_path(argument.split("=", 1)[1]))
        else:
            resolved.append(argument)
    return resolved

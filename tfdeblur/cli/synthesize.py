"""`tfdeblur synthesize`: see SUMMARY."""

import os
import shlex
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Makes pairs of a blurred and a sharp image. Exactly one flag says how:
--frames  IN is a video or a folder of consecutive sharp frames; 7..13 (or another range, or one number) of them are
          averaged into a pair whose truth is the middle one. --out becomes a GOPRO tree.
--shake, --kernels FILE or --gyro FILE
          IN is a folder of sharp photographs, or one; they are blurred into --out/blur beside --out/sharp.
A JSON beside the images tells every parameter, a contact sheet shows what was made. The same command again goes on
where it stopped. What cannot be read is reported, the rest is done, and the exit code is 1."""

# Which flags mean something with which way.
_FOR_PHOTOGRAPHS = ("noise", "count")
_WAYS = {
    "frames": ("rounding", "split", "sequence", "interpolate", "between", "max_pairs"),
    "shake": ("shake_length", "shake_angle", "shake_anxiety", *_FOR_PHOTOGRAPHS),
    "kernels": _FOR_PHOTOGRAPHS,
    "gyro": ("exposure", "focal_length", *_FOR_PHOTOGRAPHS),
}


def _define(values, argv):
    del argv
    define = {"flag_values": values}
    flags.DEFINE_string("out", None, "Folder for the pairs.", **define)
    flags.DEFINE_string(
        "crf", "gamma2.2", "Camera response: linear, gamma2.2, or a .npy file of the light of the 256 values.", **define
    )
    flags.DEFINE_integer("seed", 0, "Of all that is drawn.", **define)

    flags.DEFINE_string("frames", None, "How many consecutive frames make a pair: 7..13, or 8.", **define)
    flags.DEFINE_enum(
        "rounding", "round", ["round", "truncate"], "To 8 bits. GoPro's makers truncated. With --frames.", **define
    )
    flags.DEFINE_enum("split", "train", ["train", "test"], "Part of the tree to write. With --frames.", **define)
    flags.DEFINE_string("sequence", None, "Its name in the tree; default: that of IN. With --frames.", **define)
    flags.DEFINE_string(
        "interpolate",
        None,
        "package.module:function, called with two neighbouring frames and a count, returns that many frames between. "
        "With --frames.",
        **define,
    )
    flags.DEFINE_integer("between", 7, "That count. With --interpolate.", **define)
    flags.DEFINE_integer("max_pairs", None, "Make no more pairs than that. With --frames.", lower_bound=1, **define)

    flags.DEFINE_bool("shake", False, "Blur photographs by random camera shake.", **define)
    flags.DEFINE_string("shake_length", "8..28", "Pixels of its path. With --shake.", **define)
    flags.DEFINE_string("shake_angle", "0..360", "Degrees of its first direction. With --shake.", **define)
    flags.DEFINE_float("shake_anxiety", 0.005, "0 is a straight line, 0.05 a nervous hand. With --shake.", **define)
    flags.DEFINE_string("kernels", None, "Blur photographs by the kernels of an .npz or .mat file.", **define)
    flags.DEFINE_string(
        "gyro",
        None,
        "Blur photographs as a recorded gyroscope trace turns: lines of 't[ns] wx wy wz[rad/s]'.",
        **define,
    )
    flags.DEFINE_string("exposure", "0.02..0.05", "Seconds. With --gyro.", **define)
    flags.DEFINE_float("focal_length", None, "Pixels; default: a phone's, 26 mm on 35 mm film. With --gyro.", **define)
    flags.DEFINE_float("noise", 0.0, "Standard deviation in grey levels. For photographs.", **define)
    flags.DEFINE_integer("count", 1, "Pairs for each photograph.", **define)


def _run(values, arguments):
    if len(arguments) != 1:
        raise DeblurError(f"one IN is needed, {len(arguments)} are there: name a video, a folder or a photograph")
    (source,) = arguments
    way = _way(values)
    if not os.path.exists(source):
        raise DeblurError(f"{source}: no such file or folder")

    settings = {name: values[name].value for name in ("crf", "seed")}
    if way == "frames":
        lengths = _range("frames", values.frames, int)
        from tfdeblur import synthesis

        settings.update({name: values[name].value for name in _WAYS["frames"]})
        made = synthesis.from_frames(source, values.out, lengths, **settings)
    else:
        length, angle, exposure = (
            _range(name, values[name].value) for name in ("shake_length", "shake_angle", "exposure")
        )
        from tfdeblur import synthesis
        from tfdeblur.data.shake import Shake

        if way == "shake":
            blurrer = synthesis.Shaken(Shake(length, angle, values.shake_anxiety))
        elif way == "kernels":
            blurrer = synthesis.GivenKernels(values.kernels)
        else:
            blurrer = synthesis.GyroShake(values.gyro, exposure, values.focal_length)
        settings.update({name: values[name].value for name in _FOR_PHOTOGRAPHS})
        made = synthesis.from_photographs(source, values.out, blurrer, **settings)

    for line in made.failures:
        print(f"tfdeblur: error: {line}", file=sys.stderr)
    before = f", {made.before} of them from before" if made.before else ""
    print(f"{made.pairs} pair{'s' * (made.pairs != 1)} in {made.folder}{before}")
    if made.sheet:
        print(f"look at {made.sheet}")
    # Of photographs the folder is called blur whatever the response.
    kind = "blur" if values.crf == "linear" else "blur_gamma"
    out = shlex.quote(values.out)
    data = f"--gopro_dir {out}" if way == "frames" else f"--blur_dir {out}/blur --sharp_dir {out}/sharp"
    print(f"train on them with {data} --blur_kind {kind}")
    return 1 if made.failures else 0


def _way(values):
    """Which of _WAYS was asked for; DeblurError for none or two, and for a flag that means nothing there."""
    asked = [way for way in _WAYS if values[way].value]
    if len(asked) != 1:
        found = "none is there" if not asked else f"{' and '.join(f'--{way}' for way in asked)} are there"
        raise DeblurError(
            "say what IN is by one of --frames 7..13 (a video or consecutive frames), --shake, --kernels FILE or "
            f"--gyro FILE (photographs): {found}"
        )
    (way,) = asked
    for flag in sorted({flag for flags_of_way in _WAYS.values() for flag in flags_of_way}):
        if values[flag].present and flag not in _WAYS[way]:
            owners = " and ".join(f"--{other}" for other in _WAYS if flag in _WAYS[other])
            raise DeblurError(f"--{flag} means nothing with --{way}: it belongs to {owners}")
    return way


def _range(name, text, number=float):
    """ "7..13" -> (7, 13), "8" -> (8, 8)."""
    try:
        ends = [number(end) for end in text.split("..")]
        if len(ends) in (1, 2):
            return ends[0], ends[-1]
    except ValueError:
        pass
    raise DeblurError(f"--{name}={text}: write one number, or two like 7..13")


def main(argv=None):
    return common.execute("synthesize", SUMMARY, _define, _run, argv, required=("out",), positional="IN")


if __name__ == "__main__":
    sys.exit(main())

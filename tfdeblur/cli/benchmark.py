"""`tfdeblur benchmark`: see SUMMARY."""

import json
import sys

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """WHAT is training, inference, input, restoring, seams or exports. The first two print seconds, megapixels
per second and the fraction of the machine's convolution peak: one large 3x3 convolution with bias and ReLU, timed in
turn with it. Training takes crop and batch from the configuration and leaves the data pipeline out. Input prints how
many pairs of crops a second the data pipeline gives, with and without the configuration's targets (pyramid, gradient
maps), beside plain PNG decoding in the same run; on made-up frames of 1280x720, or on --data_dir. Restoring restores
one image of --size as deblur does, in tiles where it does not fit, and prints time and memory. Seams compares what
--model makes of images (files behind WHAT) in tiles of --tile with what it makes of them whole. Exports times --model,
or a network of --config with initial weights, in each runtime that `tfdeblur export --format` writes for and that is
installed."""

_MOST_OPERATIONS = 12  # lines of --profile


def _define(values, argv):
    common.define_config(values, argv, default="madn/gopro")
    common.define_precision(values)
    flags.DEFINE_string("size", "256x256", "HEIGHTxWIDTH, for inference, restoring and exports.", flag_values=values)
    common.define_restoring(values)
    common.define_model(values, default=None)
    flags.DEFINE_list(
        "overlaps",
        None,
        "For seams: what tiles of --tile share. Default: three, the system's last.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "batch_size",
        None,
        "Images in a call, for inference; pairs in a batch, for input (default there: 16).",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer("rounds", 5, "Timed calls; medians are printed.", lower_bound=1, flag_values=values)
    flags.DEFINE_string("data_dir", None, "For input: a prepared folder instead of made-up frames.", flag_values=values)
    flags.DEFINE_bool("xla", False, "For training and inference: compile by XLA.", flag_values=values)
    flags.DEFINE_bool(
        "profile",
        False,
        "For training and inference on a CPU: also print which operations take the time.",
        flag_values=values,
    )
    flags.DEFINE_bool("json", False, "Print JSON.", flag_values=values)


def _run(values, arguments):
    if arguments[:1] == ["seams"] and len(arguments) > 1:
        return _seams(values, arguments[1:])
    if arguments not in (["training"], ["inference"], ["input"], ["restoring"], ["exports"]):
        said = " ".join(arguments) or "nothing"
        raise DeblurError(
            f"{said} to benchmark: write training, inference, input, restoring, exports or seams IMAGE..."
        )
    if values.model and arguments != ["exports"]:
        raise DeblurError("--model: only with exports and seams; name a --config")
    size = common.parse_size(values.size)

    from tfdeblur import benchmark, runner

    runner.check_config(values.config)
    if arguments == ["input"]:
        result = benchmark.input_pipeline(values.config, values.batch_size or 16, values.rounds, values.data_dir)
        print(json.dumps(result, indent=2) if values.json else benchmark.input_table(result))
        return 0
    if arguments == ["exports"]:
        result = benchmark.exports(_deblurrer(values), size, values.rounds)
        print(json.dumps(result, indent=2) if values.json else benchmark.exports_table(result))
        return 0
    policy = runner.resolve_precision(values.precision, training=arguments == ["training"])
    runner.say(f"{values.config.system} on {runner.device()}")
    if arguments == ["restoring"]:
        result = benchmark.restoring(values.config, size, policy, **common.restoring(values))
        print(json.dumps(result, indent=2) if values.json else benchmark.restoring_table(result))
        return 0
    if arguments == ["training"]:
        result = benchmark.training(values.config, policy, values.rounds, values.xla, values.profile)
    else:
        batch_size = values.batch_size or 1
        result = benchmark.inference(values.config, size, batch_size, policy, values.rounds, values.xla, values.profile)
    if values.json:
        print(json.dumps(result, indent=2))
        return 0
    print(
        f"{result['what']} in {result['precision']}{', XLA' if result['xla'] else ''}: {result['seconds']:.3f} s, "
        f"{result['images_per_second']:.3g} images/s, "
        f"{result['megapixels_per_second']:.3f} megapixels/s, {result['gmacs_per_second']:.1f} G multiply-accumulates/s"
    )
    print(
        f"{result['fraction_of_peak']:.0%} of the convolution peak "
        f"({result['peak_gmacs_per_second']:.1f} G multiply-accumulates/s in the same run)"
    )
    for kind, share in list(result.get("operations", {}).items())[:_MOST_OPERATIONS]:
        print(f"{share:6.1%}  {kind}")
    return 0


def _deblurrer(values):
    """--model; without one the network of --config with initial weights."""
    from tfdeblur import inference, runner, systems

    if values.model:
        deblurrer = inference.load(values.model, weights=values.weights)
        deblurrer.need_net("--model")
        return deblurrer
    runner.check_config(values.config)
    return inference.Deblurrer.of_network(systems.build_from(values.config), {"config": values.config.to_dict()})


def _seams(values, paths):
    from tfdeblur import benchmark, pretrained, runner
    from tfdeblur.data.images import read_image
    from tfdeblur.inference import load

    if values.overlaps and not all(overlap.isdecimal() for overlap in values.overlaps):
        raise DeblurError(f"--overlaps={','.join(values.overlaps)}: write whole numbers, for example 64,96")
    policy = runner.resolve_precision(values.precision, training=False)
    deblurrer = load(values.model or pretrained.DEFAULT, policy, values.weights)
    images = {path: read_image(path) for path in paths}
    overlaps = [int(overlap) for overlap in values.overlaps or ()]
    overlaps = overlaps or [deblurrer.overlap // 3, deblurrer.overlap * 2 // 3, deblurrer.overlap]
    result = benchmark.seams(deblurrer, images, values.tile or 512, overlaps)
    print(json.dumps(result, indent=2) if values.json else benchmark.seams_table(result))
    return 0


def main(argv=None):
    return common.execute("benchmark", SUMMARY, _define, _run, argv, positional="WHAT")


if __name__ == "__main__":
    sys.exit(main())

"""`tfdeblur train`: see SUMMARY."""

import os
import shlex
import sys

from absl import flags

from tfdeblur import pretrained
from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Trains the system of a configuration. Resumes where the work directory stands.
DATA is one of: --data_dir D (made by tfdeblur prepare, or built by TFDS), --dataset NAME[/CONFIG] --manual_dir D,
--gopro_dir G [--blur_kind blur|blur_gamma], --blur_dir B --sharp_dir S, --sharp_dir S --synthesize, or nothing: the
photographs inside scikit-image. Pairs may be mixed with sharp photographs under made-up shakes, --photographs_dir P."""


def _define(values, argv):
    common.define_config(values, argv)
    flags.DEFINE_string("workdir", None, "Folder for checkpoints, events and pictures.", flag_values=values)
    common.define_data(values)
    flags.DEFINE_string(
        "photographs_dir",
        None,
        "Folder of sharp photographs. Blurred by made-up camera shake they are half of the samples, the pairs the "
        "other half.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "start_from",
        None,
        "Weights that the network starts from, in place of random ones: a name, a work directory, a checkpoint, or an "
        "export of --format weights, of the same network. Optimisers, critic and schedule start anew.",
        flag_values=values,
    )
    common.define_precision(values)
    flags.DEFINE_enum(
        "strategy",
        "auto",
        ["auto", "one_device", "mirrored", "multi_worker"],
        "Who takes part: one device, all GPUs of this machine, or the workers of TF_CONFIG; auto takes what is there. "
        "--config.batch_size is the global batch under all of them.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "on_nonfinite",
        "stop",
        ["stop", "skip", "restore"],
        "When a loss or gradient is not finite (its update is left out always): stop, go on, or go on with the weights "
        "of the last checkpoint.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "vgg_weights",
        None,
        "VGG19's ImageNet weights (.h5), for systems with a perceptual loss where they cannot be downloaded: checked "
        "by hash and kept with Keras' other weights, so that it is given once.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "cache_dir", None, "Folder for the decoded images; default: <workdir>/cache.", flag_values=values
    )


def _run(values, arguments):
    del arguments
    from tfdeblur import runner
    from tfdeblur.training.loop import Interrupted, WorkerLost

    config = values.config
    pretrained.refuse_name("workdir", values.workdir)
    runner.check_config(config)
    if values.vgg_weights and config.get("vgg_weights") != "imagenet":
        raise DeblurError(
            "--vgg_weights: this configuration uses none; add --config.vgg_weights=imagenet, if it has VGG"
        )
    if values.vgg_weights:
        from tfdeblur.layers.vgg import install_weights

        runner.say(f"VGG19's ImageNet weights: {install_weights(values.vgg_weights)}")
    data = common.data_arguments(values)
    if data["blur_kind"]:
        config.blur_kind = data["blur_kind"]
    pairs = runner.make_source(config, "train", **data)
    source = runner.with_photographs(pairs, values.photographs_dir, config) if values.photographs_dir else pairs
    try:
        logs = runner.train(
            config,
            values.workdir,
            source,
            values.precision,
            values.cache_dir,
            values.strategy,
            values.on_nonfinite,
            held_out=runner.held_out_source(config, pairs, **data),
            start_from=values.start_from,
        )
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return common.INTERRUPTED
    except WorkerLost as lost:
        print(lost, file=sys.stderr, flush=True)
        # Threads of TensorFlow still wait for the worker that is gone, and an orderly exit would wait for them.
        os._exit(common.WORKER_LOST)
    if logs:
        print(f"generator loss {logs['generator/loss']:.5f}")
    print(f"model: {values.workdir}    score it: tfdeblur evaluate --model {shlex.quote(values.workdir)} DATA")
    return 0


def main(argv=None):
    return common.execute("train", SUMMARY, _define, _run, argv, required=("config", "workdir"))


if __name__ == "__main__":
    sys.exit(main())

"""`tfdeblur evaluate`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Scores a model on DATA (as for train; of a GOPRO tree and of the embedded photographs the test
split) under named protocols, beside the score of the blurred input itself."""


def _define(values, argv):
    del argv
    common.define_model(values)
    common.define_data(values)
    flags.DEFINE_string(
        "protocol",
        "psnr,ssim",
        "Comma-separated: psnr, ssim, ssim_matlab, and each with _crop256 or _randomcrop256.",
        flag_values=values,
    )
    flags.DEFINE_string("out", None, "results.json to write.", flag_values=values)
    flags.DEFINE_string("csv", None, "Per-image CSV to write.", flag_values=values)
    flags.DEFINE_string(
        "bars", None, "Picture (.png) to write: per-image bars, blurred and restored.", flag_values=values
    )
    flags.DEFINE_enum(
        "split", "test", ["train", "test"], "Of a GOPRO tree or the embedded photographs.", flag_values=values
    )
    flags.DEFINE_integer("seed", 0, "Of made-up shakes and of the crops of *_randomcrop256.", flag_values=values)


def _run(values, arguments):
    del arguments
    from tfdeblur import metrics, report, runner
    from tfdeblur.data.images import write_image
    from tfdeblur.inference import load

    protocols = metrics.get_protocols(values.protocol)
    runner.check_targets(values.out, values.csv, picture=values.bars)
    deblurrer = load(values.model)
    config = runner.config_of(deblurrer)
    source = runner.make_source(config, values.split, **common.data_arguments(values), seed=values.seed)
    results, rows = runner.evaluate(deblurrer, source, protocols, values.seed)
    print(runner.table(results), flush=True)
    runner.write_results(results, rows, values.out, values.csv)
    if values.bars:
        write_image(values.bars, report.per_image_bars(rows, list(results["metrics"])))
    for path in filter(None, (values.out, values.csv, values.bars)):
        print(f"written: {path}")
    return 0


def main(argv=None):
    return common.execute("evaluate", SUMMARY, _define, _run, argv, required=("model",))


if __name__ == "__main__":
    sys.exit(main())

"""`tfdeblur evaluate`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Scores a model on DATA (as for train; of data with splits the test split) under named protocols, beside
the score of the blurred input itself. --protocol list tells all protocols, what each computes, and which published
numbers it may be compared with."""


def _define(values, argv):
    del argv
    common.define_model(values)
    common.define_data(values)
    common.define_restoring(values)
    flags.DEFINE_string(
        "protocol",
        "psnr,ssim",
        "Comma-separated, such as psnr,ssim_matlab or kohler or realblur_ecc; 'list' tells them all.",
        flag_values=values,
    )
    flags.DEFINE_string("out", None, "results.json to write.", flag_values=values)
    flags.DEFINE_string("csv", None, "Per-image CSV to write.", flag_values=values)
    flags.DEFINE_string(
        "bars", None, "Picture (.png) to write: per-image bars, blurred and restored.", flag_values=values
    )
    flags.DEFINE_enum("split", "test", ["train", "test"], "Of data that have splits.", flag_values=values)
    flags.DEFINE_bool(
        "hsic",
        False,
        "egnet and mprnet: also tell how much the last features depend on the sharp and on the blurred image (EGNet's "
        "Table 5).",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Of made-up shakes, of the crops of *_randomcrop256 and of --hsic's pixels.", flag_values=values
    )


def _run(values, arguments):
    del arguments
    from tfdeblur import metrics

    if values.protocol == "list":
        print(metrics.listing())
        return 0

    from tfdeblur import report, runner
    from tfdeblur.data.images import write_image
    from tfdeblur.inference import load

    protocols = metrics.get_protocols(values.protocol)
    runner.check_targets(values.out, values.csv, picture=values.bars)
    options = common.restoring(values)
    deblurrer = load(values.model, weights=values.weights).configure(**options)
    config = runner.config_of(deblurrer)
    source = runner.make_source(config, values.split, **common.data_arguments(values), seed=values.seed)
    # Before what takes longer: not every model can.
    hsic = {"hsic": runner.feature_hsic(deblurrer, source, values.seed)} if values.hsic else {}
    results, rows = runner.evaluate(deblurrer, source, protocols, values.seed)
    results |= hsic | {"restoring": options | {"overlap": deblurrer.overlap}}
    print(runner.table(results), flush=True)
    runner.write_results(results, rows, values.out, values.csv)
    if values.bars:
        write_image(values.bars, report.per_image_bars(rows, list(results["metrics"])))
    for path in filter(None, (values.out, values.csv, values.bars)):
        print(f"written: {path}")
    return 0


def main(argv=None):
    return common.execute("evaluate", SUMMARY, _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())

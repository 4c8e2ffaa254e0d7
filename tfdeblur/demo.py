"""The demonstration: restore with the weights that ship, fine-tune them for minutes, restore again, leave pictures."""

import os

import numpy as np

from tfdeblur import metrics, pretrained, runner
from tfdeblur.data import photographs
from tfdeblur.data.images import write_image
from tfdeblur.export import export_saved_model
from tfdeblur.inference import load

_SIDE = 256  # pixels of each picture's centre that the comparison shows


def run(config, out):
    """Everything that `make demo` does; see cli/demo.py.

    Args:
      config: ConfigDict of the fine-tuning, experiments/weights/two_way_half.py, variant fine_tune.
      out: folder; a training that was interrupted there goes on.
    """
    shipped = load(pretrained.DEFAULT)
    test = runner.make_source(config, "test")
    clock = photographs.photograph(next(iter(photographs.REAL_BLUR)))
    runner.say(f"the weights that come with tfdeblur, {pretrained.DEFAULT}, on photographs that they have not seen")
    scores = {"shipped": _scores(shipped, test, out, "shipped")}
    clocks = [clock, shipped.restore(clock)]

    workdir = os.path.join(out, "model")
    source = runner.make_source(config, "train")
    runner.say(f"fine-tuning on {', '.join(source.names)} (scikit-image, CC0 or public domain)")
    runner.train(config, workdir, source, start_from=pretrained.DEFAULT)
    tuned = load(workdir)
    scores["fine-tuned"] = _scores(tuned, test, out, "fine_tuned")

    comparison = os.path.join(out, "before_after_truth.png")
    write_image(comparison, _comparison({"shipped": shipped, "fine-tuned": tuned}, test, scores))
    real = os.path.join(out, "clock_before_after.png")
    write_image(real, np.concatenate([*clocks, tuned.restore(clock)], axis=1))
    exported = os.path.join(out, "saved_model")
    export_saved_model(tuned, exported)

    print(_table(scores))
    shakes = f"{config.shake_length} pixels within {config.shake_angle} degrees"
    print(
        f"""
blurred | shipped | fine-tuned | truth    {comparison}
blurred | shipped | fine-tuned            {real}   (clock_motion: real blur, and not the fine-tuning's)
scores                                    {os.path.join(out, "shipped.json")}, {os.path.join(out, "fine_tuned.json")}
fine-tuned model                          {workdir}   (tfdeblur deblur photo.jpg --model {workdir})
SavedModel                                {exported}

The fine-tuning is a demonstration: a few minutes, {len(photographs.TRAIN)} photographs and one narrow family of shakes,
{shakes}. It gains on such shakes and may lose on others. Without
--model, `deblur` takes the weights that ship: {pretrained.folder(pretrained.DEFAULT)}/README.md"""
    )
    return {name: results for name, (results, _) in scores.items()}


def _scores(deblurrer, source, out, name):
    """(results, rows) of the held-out pictures, also written to <out>/<name>.json and .csv."""
    results, rows = runner.evaluate(deblurrer, source, metrics.get_protocols("psnr,ssim"))
    runner.write_results(results, rows, os.path.join(out, f"{name}.json"), os.path.join(out, f"{name}.csv"))
    return results, rows


def _table(scores):
    """Every held-out picture with its own numbers, losses included."""
    lines = ["held-out photographs and shakes, protocols psnr and ssim (full frame):"]
    lines.append(
        f"{'image':18} {'blurred psnr':>12}"
        + "".join(f"{name:>11} {'gain':>6}" for name in scores)
        + f" {'blurred ssim':>13}"
        + "".join(f"{name:>11}" for name in scores)
    )
    tables = [
        [*rows, {"image": "mean", **results["metrics"], **{f"blurred_{k}": v for k, v in results["blurred"].items()}}]
        for results, rows in scores.values()
    ]
    for rows in zip(*tables, strict=True):
        before = rows[0]["blurred_psnr"]
        lines.append(
            f"{rows[0]['image']:18} {before:12.2f}"
            + "".join(f"{row['psnr']:11.2f} {row['psnr'] - before:+6.2f}" for row in rows)
            + f" {rows[0]['blurred_ssim']:13.4f}"
            + "".join(f"{row['ssim']:11.4f}" for row in rows)
        )
    return "\n".join(lines)


def _comparison(deblurrers, source, scores):
    """uint8 RGB picture: a row for each held-out image, captioned blurred | each model's | truth."""
    strips = []
    tables = {name: rows for name, (_, rows) in scores.items()}
    for index, row in enumerate(next(iter(tables.values()))):
        blurred, sharp = source.pair(index)
        top, left = (max((side - _SIDE) // 2, 0) for side in sharp.shape[:2])
        captions = [
            (blurred, f"{row['image']}  {row['blurred_psnr']:.2f} dB"),
            *(
                (net.restore(blurred), f"{name}  {tables[name][index]['psnr']:.2f} dB")
                for name, net in deblurrers.items()
            ),
            (sharp, "truth"),
        ]
        strips.append(
            np.concatenate(
                [_captioned(image[top : top + _SIDE, left : left + _SIDE], text) for image, text in captions], axis=1
            )
        )
    return np.concatenate(strips, axis=0)


def _captioned(image, text):
    import cv2

    bar = np.full((22, image.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, text, (5, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([bar, image], axis=0)

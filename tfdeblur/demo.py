"""The demonstration: train for minutes, score on what was not seen, restore a real photograph, leave pictures."""

import os

import numpy as np

from tfdeblur import metrics, runner
from tfdeblur.data import photographs
from tfdeblur.data.images import write_image
from tfdeblur.export import export_saved_model
from tfdeblur.inference import load

_SIDE = 300  # pixels of each picture's centre that the comparison shows


def run(config, out):
    """Everything that `make demo` does; see cli/demo.py.

    Args:
      config: ConfigDict, experiments/madn/demo.py.
      out: folder; a training that was interrupted there goes on.
    """
    workdir = os.path.join(out, "model")
    source = runner.make_source(config, "train")
    runner.say(f"training on {', '.join(source.names)} (scikit-image, CC0 or public domain)")
    runner.train(config, workdir, source)

    deblurrer = load(workdir)
    test = runner.make_source(config, "test")
    results, rows = runner.evaluate(deblurrer, test, metrics.get_protocols("psnr,ssim"))
    runner.write_results(results, rows, os.path.join(out, "results.json"), os.path.join(out, "per_image.csv"))

    comparison = os.path.join(out, "before_after_truth.png")
    write_image(comparison, _comparison(deblurrer, test, rows))
    clock = photographs.photograph(next(iter(photographs.REAL_BLUR)))
    real = os.path.join(out, "clock_before_after.png")
    write_image(real, np.concatenate([clock, deblurrer.restore(clock)], axis=1))
    exported = os.path.join(out, "saved_model")
    export_saved_model(deblurrer, exported)

    print(_table(rows, results))
    print(
        f"""
before | after | truth       {comparison}
a real blurred photograph    {real}   (clock_motion: its blur is outside what this model was trained on)
scores                       {os.path.join(out, "results.json")}, {os.path.join(out, "per_image.csv")}
model                        {workdir}   (tfdeblur deblur photo.jpg --model {workdir} --out restored)
SavedModel                   {exported}

A demonstration: a small network, a few minutes, {len(photographs.TRAIN)} photographs and one narrow family of shakes,
{config.shake_length} pixels within {config.shake_angle} degrees.
These are not GoPro weights: expect nothing of them on other blur."""
    )
    return results


def _table(rows, results):
    """Every held-out picture with its own numbers, losses included."""
    lines = [
        "held-out photographs and shakes, protocols psnr and ssim (full frame):",
        f"{'image':20} {'blurred psnr':>12} {'restored':>9} {'gain dB':>8} {'blurred ssim':>13} {'restored':>9}",
    ]
    mean = {"image": "mean"}
    for name in ("psnr", "ssim"):
        mean[name], mean[f"blurred_{name}"] = results["metrics"][name], results["blurred"][name]
    for row in [*rows, mean]:
        lines.append(
            f"{row['image']:20} {row['blurred_psnr']:12.2f} {row['psnr']:9.2f} "
            f"{row['psnr'] - row['blurred_psnr']:+8.2f} {row['blurred_ssim']:13.4f} {row['ssim']:9.4f}"
        )
    return "\n".join(lines)


def _comparison(deblurrer, source, rows):
    """uint8 RGB picture: a row for each held-out image, captioned blurred | restored | truth."""
    strips = []
    for index, row in enumerate(rows):
        blurred, sharp = source.pair(index)
        top, left = (max((side - _SIDE) // 2, 0) for side in sharp.shape[:2])
        restored = deblurrer.restore(blurred)
        captions = [
            (blurred, f"{row['image']}  {row['blurred_psnr']:.2f} dB"),
            (restored, f"restored  {row['psnr']:.2f} dB"),
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

"""Pictures of results."""

import glob
import math
import os
import re

import numpy as np

from tfdeblur import systems
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.ops.ranges import uint8_to_01
from tfdeblur.runner import say

_MOST = 16  # images in one chart
_BLURRED, _RESTORED = (170, 170, 170), (31, 119, 180)  # RGB
_FIGURE_WIDTH, _FIGURE_COLUMNS = 640, 4  # most pixels of each image in a figure, images in a row
_GAP, _LINE, _LETTERS = 6, 18, 0.45  # pixels between images, pixels of a line of text, its scale in OpenCV


def per_image_bars(rows, protocols):
    """Bars per image, blurred input beside the restored one, a panel for each protocol (as MADN's Figs. 7 and 8).

    Args:
      rows: per-image dicts of `runner.evaluate`; of more than 16, 16 evenly spaced ones are drawn.
      protocols: names of the columns.

    Returns:
      uint8 RGB [H, W, 3].
    """
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(_MOST, len(rows))).round().astype(int))]
    return np.concatenate([_panel(chosen, name) for name in protocols], axis=0)


def _panel(rows, protocol):
    import cv2

    def write(text, x, y, size=0.4):
        cv2.putText(picture, text, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)

    slot, height, base = 150, 300, 250  # pixels: width of an image's place, the panel's height, the bars' ground line
    picture = np.full((height, max(slot * len(rows), 450), 3), 255, np.uint8)
    write(f"{protocol}: grey = blurred, blue = restored", 8, 18, 0.5)
    pairs = [(row[f"blurred_{protocol}"], row[protocol]) for row in rows]
    finite = [value for pair in pairs for value in pair if np.isfinite(value)]
    top = max(finite, default=1.0)
    # Bars from zero would all look alike: the axis starts below the smallest, and says where.
    lowest = min(finite, default=0.0)
    bottom = max(lowest - 0.25 * (top - lowest), 0.0) - 1e-9
    for place, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
        for side, (value, colour) in enumerate(zip(pair, (_BLURRED, _RESTORED), strict=True)):
            x = place * slot + 15 + side * 60
            if np.isnan(value):  # a protocol has no score for it
                write("none", x, base - 5)
                continue
            share = (min(value, top) - bottom) / (top - bottom)
            y = int(base - share * (base - 60))
            cv2.rectangle(picture, (x, y), (x + 50, base), colour, -1)
            write(f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}", x, y - 5)
        write(row["image"][-17:], place * slot + 8, base + 18)
    write(f"axis starts at {max(bottom, 0):.3g}", 8, base + 40)
    return picture


def contact_sheet(rows, width=320):
    """Rows of captioned images on one white sheet.

    Args:
      rows: [(caption, [uint8 RGB [h, w, 3], ...])]. "\\n" starts a new line of a caption; a line that is longer than
        the sheet is wide is shortened in its middle, and "?" stands for what OpenCV's fonts lack (all but ASCII).
      width: pixels of a square that each image is fitted into. Its aspect is kept; a large one is reduced by area
        resampling, a small one enlarged by a whole factor with its pixels left square.

    Returns:
      uint8 RGB [H, W, 3]: the rows below one another, images side by side, each caption above its images.
    """
    fitted = [(caption.split("\n"), [_fit(image, width) for image in images]) for caption, images in rows]
    columns = max((len(images) for _, images in fitted), default=0)
    across = max(columns, 2) * (width + _GAP) + _GAP  # two, so that captions alone have room
    strips = [_strip(lines, images, width, across) for lines, images in fitted]
    return np.concatenate([*strips, np.full((_GAP, across, 3), 255, np.uint8)], axis=0)


def _fit(image, width):
    import cv2

    scale = width / max(image.shape[:2])
    if scale >= 1:
        return np.repeat(np.repeat(image, int(scale), axis=0), int(scale), axis=1)
    size = [max(round(side * scale), 1) for side in (image.shape[1], image.shape[0])]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _strip(lines, images, width, across):
    import cv2

    text_height = _LINE * len(lines) + _GAP
    height = text_height + max((image.shape[0] for image in images), default=0)
    strip = np.full((height, across, 3), 255, np.uint8)
    for number, line in enumerate(lines):
        place = (_GAP, _LINE * (number + 1))
        line = shorten(line, across - 2 * _GAP)
        cv2.putText(strip, line, place, cv2.FONT_HERSHEY_SIMPLEX, _LETTERS, (0, 0, 0), 1, cv2.LINE_AA)
    for number, image in enumerate(images):
        left = _GAP + number * (width + _GAP)
        strip[text_height : text_height + image.shape[0], left : left + image.shape[1]] = image
    return strip


def shorten(line, across):
    """A line of printable ASCII that is at most `across` pixels wide: the middle of a longer one becomes "..."."""
    import cv2

    def fits(text):
        return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _LETTERS, 1)[0][0] <= across

    line = "".join(letter if " " <= letter <= "~" else "?" for letter in line)
    if fits(line):
        return line
    # Bisection for how many letters stay: long lines would take long letter by letter.
    kept, too_many = 0, len(line)
    while too_many - kept > 1:
        middle = (kept + too_many) // 2
        kept, too_many = (middle, too_many) if fits(_without_middle(line, middle)) else (kept, middle)
    return _without_middle(line, kept)


def _without_middle(line, kept):
    return line[: (kept + 1) // 2] + "..." + line[len(line) - kept // 2 :]


def figure_of(deblurrer, name, *which):
    """The function that draws a picture of the network's inside, such as the Two-Way network's "branches".

    Args:
      deblurrer: of a training's work directory; an export has one output only.
      name: a key of FIGURES in its system's module.
      *which: what else that function takes, such as which layer.

    Returns:
      uint8 [H, W, 3] -> (uint8 RGB picture, a line of what was measured).
    """
    system = deblurrer.metadata.get("config", {}).get("system")
    net = deblurrer.need_net(f"--{name}")
    figures = getattr(systems.system(system), "FIGURES", {})
    if name not in figures:
        raise DeblurError(f"--{name}: {system} has no such picture")
    # What this network cannot show is said now, and not once for each photograph.
    figures[name](net, np.zeros((8, 8, 3), np.float32), *which)

    def draw(image):
        pictures, line = figures[name](net, uint8_to_01(image).numpy(), *which)
        rows = [pictures[first : first + _FIGURE_COLUMNS] for first in range(0, len(pictures), _FIGURE_COLUMNS)]
        rows = [(" | ".join(caption for caption, _ in row), [image for _, image in row]) for row in rows]
        width = min(max(*image.shape[:2], _FIGURE_WIDTH // 2), _FIGURE_WIDTH)
        return contact_sheet(rows, width), line

    return draw


def read_scalar(workdir, tag):
    """[(step, value)] of a scalar, such as "generator/loss", see `read_scalars`.

    Raises DeblurError where there is no such scalar, and tells which there are.
    """
    known = read_scalars(workdir)
    if tag not in known:
        raise DeblurError(
            f"{workdir}: no scalar {tag!r} in its events, but {', '.join(sorted(known)) or 'none at all'}"
        )
    return known[tag]


def read_scalars(workdir):
    """{tag: [(step, value)]} of all scalars in the TensorBoard events of a work directory, in the order of the steps.

    A run that was resumed has several files; of a step that is in two of them the later counts.
    """
    if not os.path.isdir(workdir):
        raise DeblurError(f"{workdir}: no such work directory")
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(str(workdir)), "events", "events.*")), key=_numbers):
        last = None
        try:
            for record in tf.data.TFRecordDataset(path):
                event = tf.compat.v1.Event.FromString(record.numpy())
                last = event.step
                for value in event.summary.value:
                    if value.metadata.plugin_data.plugin_name == "scalars":
                        found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
        except tf.errors.OpError:  # a run that was killed, or writes just now
            say(f"warning: {path}: cut off or damaged; what it tells ends at step {last}")
    return {tag: sorted(values.items()) for tag, values in found.items()}


def _numbers(path):
    """The numbers in a file's name, in order: an events file's begin with the second and end with a count."""
    return [int(number) for number in re.findall(r"\d+", os.path.basename(path))]


_COLOURS = (  # RGB
    *((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (100, 100, 100)),
    *((140, 86, 75), (227, 119, 194), (150, 150, 20), (23, 190, 207)),
)


def curves(series, title, smooth=True):
    """Curves over the steps of training; on a logarithmic axis where the values are above 0 and span a factor of 20.

    Args:
      series: {label: [[(step, value)] of one run, ...]}; the runs of a label share its colour. What is not finite is
        left out.
      title: what the values are.
      smooth: whether each is shown as its running mean over a twentieth of the run.

    Returns:
      uint8 RGB [H, W, 3].
    """
    import cv2

    left, top, width, height = 70, 30 + 20 * -(-len(series) // 3), 760, 320
    picture = np.full((top + height + 40, left + width + 20, 3), 255, np.uint8)

    def write(text, x, y, colour=(0, 0, 0)):
        cv2.putText(picture, text, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)

    shown = {label: [_finite(run, smooth) for run in runs] for label, runs in series.items()}
    every = np.concatenate([run for runs in shown.values() for run in runs])
    if len(every) == 0:
        write(f"{title}: nothing finite", 5, 24)
        return picture
    (first, lowest), (last, highest) = every.min(axis=0), every.max(axis=0)
    logarithmic = lowest > 0 and highest > 20 * lowest
    scale = np.log10 if logarithmic else np.asarray
    span, bottom, rise = max(last - first, 1), scale(lowest), max(scale(highest) - scale(lowest), 1e-12)

    def place(points):
        """(step, value) -> pixels."""
        points = np.stack([points[:, 0], scale(points[:, 1])], axis=1)
        places = [left, top + height] + (points - [first, bottom]) / [span, rise] * [width, -height]
        return places.round().astype(np.int32)

    for value in _ticks(lowest, highest, logarithmic):
        y = int(place(np.array([[first, value]]))[0, 1])
        cv2.line(picture, (left, y), (left + width, y), _GRID, 1)
        write(f"{value:.6g}", 5, y + 4)
    for step in _ticks(first, last):
        x = int(place(np.array([[step, lowest]]))[0, 0])
        cv2.line(picture, (x, top), (x, top + height), _GRID, 1)
        write(f"{step:.0f}", x - 4 * len(f"{step:.0f}"), top + height + 16)
    cv2.rectangle(picture, (left, top), (left + width, top + height), (180, 180, 180), 1)
    write("step", left + width / 2 - 15, top + height + 34)
    for number, (label, runs) in enumerate(shown.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        write(shorten(label, 190), left + 150 + 200 * (number % 3), 24 + 20 * (number // 3), colour)
        for run in runs:
            places = place(run)
            cv2.polylines(picture, [places], False, colour, 1, cv2.LINE_AA)
            for x, y in places if len(places) <= _FEW else ():
                cv2.circle(picture, (int(x), int(y)), 2, colour, -1, cv2.LINE_AA)
    write(f"{title}{', log' if logarithmic else ''}", 5, 24)
    return picture


_GRID = (228, 228, 228)
_FEW = 30  # points of a run up to which each is marked


def _ticks(low, high, logarithmic=False):
    """Round numbers from `low` to `high`: about five of them, or 1, 2 and 5 of each decade, or powers of ten alone."""
    if logarithmic:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [digit * 10.0**decade for decade in decades for digit in ((1, 2, 5) if len(decades) < 5 else (1,))]
    else:
        rough = (high - low) / 5
        unit = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
        width = next(digit * unit for digit in (1, 2, 5, 10) if digit * unit >= rough)
        found = [number * width for number in range(math.floor(low / width), math.ceil(high / width) + 1)]
    return [value for value in found if low <= value <= high] or [low]


def _finite(run, smooth):
    """float [n, 2]: step and value of the points that are finite, or the running mean of these."""
    run = np.array(run, float).reshape(-1, 2)
    run = run[np.isfinite(run[:, 1])]
    return _running_mean(run) if smooth else run


def curves_of_run(workdir):
    """All curves of a training in one picture: each player's loss terms, gradient norms, learning rates, held-out PSNR,
    and what else is in its events.

    Returns:
      uint8 RGB [H, W, 3], the panels in two columns. DeblurError where there is nothing to draw.
    """
    import cv2

    scalars = read_scalars(workdir)
    pictures = [curves(series, title, smooth) for title, series, smooth in _panels(scalars)]
    if not pictures:
        raise DeblurError(f"{workdir}: no scalars in its events yet")
    panels = in_columns(pictures)
    header = np.full((30, panels.shape[1], 3), 255, np.uint8)
    last = max(run[-1][0] for run in scalars.values())
    name = os.path.basename(os.path.abspath(workdir))
    text = f"{name}, step {last}; all but rates, PSNR and counts are running means over a twentieth of the run"
    text = shorten(text, header.shape[1] - 2 * _GAP)
    cv2.putText(header, text, (5, 20), cv2.FONT_HERSHEY_SIMPLEX, _LETTERS, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([header, panels], axis=0)


def in_columns(pictures):
    """Pictures of one width, uint8 [H, W, 3], in two columns on white."""
    rows = []
    for number in range(0, len(pictures), 2):
        row = pictures[number : number + 2]
        tallest = max(picture.shape[0] for picture in row)
        row += [np.full((tallest, row[0].shape[1], 3), 255, np.uint8)] * (2 - len(row))
        padded = [np.pad(one, [(0, tallest - len(one)), (0, 0), (0, 0)], constant_values=255) for one in row]
        rows.append(np.concatenate(padded, axis=1))
    return np.concatenate(rows, axis=0)


def _panels(scalars):
    """[(title, {label: [run]}, whether to smooth)] of {tag: run}; each tag is in one of them."""
    left = dict(scalars)

    def take(tags):
        """tags: {tag: label}."""
        return {label: [left.pop(tag)] for tag, label in tags.items() if tag in left}

    players = ("generator", "discriminator")
    norms = take({f"{player}/gradient_norm": player for player in players})
    rates = take({f"{player}/learning_rate": player for player in players})
    panels = []
    for player in players:
        terms = take({tag: tag.split("/", 1)[1] for tag in sorted(left) if tag.startswith(f"{player}/")})
        if len(terms) == 2:  # the loss is the sum of its one term, and would lie on it
            terms.pop("loss", None)
        panels.append((f"{player}: losses", terms, True))
    panels += [("gradient norms", norms, True), ("learning rates", rates, False)]
    psnr = take({"held_out/psnr": "restored", "held_out/blurred_psnr": "blurred"})
    panels.append(("held-out PSNR in dB", psnr, False))
    if not any(value for _, value in left.get("skipped_updates", ())):
        left.pop("skipped_updates", None)
    panels += [(tag, {"": [run]}, tag != "skipped_updates") for tag, run in sorted(left.items())]
    return [panel for panel in panels if panel[1]]


def _running_mean(run):
    """float [n, 2]: step and mean of the values up to there over a twentieth of the run."""
    window = max(len(run) // 20, 1)
    sums = np.cumsum(np.concatenate([[0.0], run[:, 1]]))
    starts = np.maximum(np.arange(len(run)) + 1 - window, 0)
    means = (sums[1:] - sums[starts]) / (np.arange(len(run)) + 1 - starts)
    return np.stack([run[:, 0], means], axis=1)

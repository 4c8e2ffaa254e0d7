"""Looks at every pair of a data set before a training does: what is unreadable, and what looks wrong."""

import concurrent.futures
import math

import numpy as np

from tfdeblur import runner
from tfdeblur.data import alignment
from tfdeblur.data.images import sharpness, some_of
from tfdeblur.errors import DeblurError
from tfdeblur.metrics.psnr import psnr

# What a pair can be suspected of, and what is said of those that are. The limits were set on 82 exactly aligned real
# pairs (GoPro, REDS) and 48 photographs under random shakes, and on the same 130 moved, exchanged, and with other tones
# on one side. None of the 130 is suspected of anything. All are found where they were exchanged, or where gamma 2.2 was
# applied or undone on one side; 119 where one side was darkened to 0.8.
KINDS = {
    "unlike": "different pictures (is each file beside its own partner?)",
    "identical": "the same picture or nearly, above 50 dB (there is no blur to learn from)",
    "swapped": "sharper on the blurred side (are the two exchanged?)",
    "shifted": "shifted by more than a pixel (align them, or expect soft results)",
    "tones": "another tone curve on one side (linear light? another exposure?)",
    "averaging": "not averaged as their blur kind says (blur: stored values, blur_gamma: linear light)",
}
_SAME_PSNR = 50.0  # dB; the least blurred real pair measured has 33
_LIKE = 0.8  # likeness; real pairs of the same picture have 0.94 and more, Kodak's different ones up to 0.64
# Uneven motion moves the centre of gravity by up to 3.5 px in aligned pairs, but there undoing it brings 0.0 dB at most
# (0.2 under shakes of 30 to 60 px). Of pairs moved by (2, 1) px this finds 60 of 60 (REDS), 17 of 22 (GoPro), 23 of 24
# (shakes of 8 to 28 px) and 13 of 24 (30 to 60 px); by (4, -3) px all but 7 of the last; by (10, 6) px all.
_SHIFT, _SHIFT_GAIN = 1.0, 0.3  # pixels, dB
_EXPONENT, _GAIN = 1.35, 1.17  # or below the inverse; the 130 have 0.79 to 1.0 and 0.98 to 1.12
AVERAGING = {"blur": (0.0, 1.7), "blur_gamma": (1.5, math.inf)}  # measured: see `alignment.averaging`
_SET_SHIFT, _SET_LEAST = 0.5, 8  # pixels of the median, pairs; a median is steadier than one pair
_WORKERS = 2


def inspect(source, sample=None):
    """Measures the pairs of a source one by one; what cannot be read does not stop it.

    Args:
      source: see `runner.make_source`.
      sample: how many evenly spaced pairs to look at; None: all.

    Returns:
      The report, a dict for JSON:
      "data": the source's description; "pairs": how many were looked at;
      "errors": one line for each pair that cannot be used; "warnings": lines on the set as a whole;
      "suspicious": {kind of KINDS: [names]};
      "statistics": {"psnr", "shift" (its length), "averaging": {"median", "min", "max", "pairs" that tell it}};
      "images": [{"image", "index"} and {"error"} or
        "psnr": dB; "shift": [dx, dy] pixels and "likeness", see `alignment.Shift`; "undone": dB that undoing it brings;
        "sharpness": [blurred, sharp]; "exponent" and "gain", see `alignment.tones`; "averaging", see there;
        "suspicious": [kinds]}, with None where something cannot be told.
    """
    count = len(source) if sample is None else min(sample, len(source))
    indices = _spaced(range(len(source)), count)
    blur_kind = source.description["blur_kind"]
    with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
        try:
            futures = [pool.submit(_row, source, index, blur_kind) for index in indices]
            rows = [future.result() for future in runner.progress(futures, "inspect", "pair")]
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for thousands of pairs
    good = [row for row in rows if "error" not in row]
    warnings = source.odd_ones(indices) + _common_shift(good) + _common_averaging(good, blur_kind)
    return {
        "data": source.description,
        "pairs": len(rows),
        "errors": [row["error"] for row in rows if "error" in row],
        "warnings": warnings,
        "suspicious": {
            kind: names for kind in KINDS if (names := [row["image"] for row in good if kind in row["suspicious"]])
        },
        "statistics": {name: _statistics(good, read) for name, read in _MEASURES.items()},
        "images": rows,
    }


def _row(source, index, blur_kind):
    row = {"image": source.names[index], "index": index}
    try:
        measured = measure(*source.pair(index))
    except DeblurError as error:
        return {**row, "error": str(error)}
    row |= {name: _json(value) for name, value in measured.items()}
    return {**row, "suspicious": suspicions(measured, blur_kind)}


def measure(blurred, sharp):
    """Numbers of a pair, as in `inspect`'s report; NaN where something cannot be told."""
    found = alignment.shift(blurred, sharp)
    before = psnr(blurred, sharp)
    aligned = alignment.undo_shift(blurred, sharp, found)
    shifted = math.hypot(found.dx, found.dy) > _SHIFT and math.isfinite(before)
    exponent, gain = alignment.tones(*aligned)
    return {
        "psnr": before,
        "shift": [found.dx, found.dy],
        "undone": psnr(*aligned) - before if shifted else 0.0,
        "likeness": found.likeness,
        "sharpness": [sharpness(image) for image in aligned],
        "exponent": exponent,
        "gain": gain,
        "averaging": alignment.averaging(*aligned) if _alike(exponent, gain) else math.nan,
    }


def suspicions(measured, blur_kind):
    """The kinds of KINDS that the numbers of `measure` speak for, given what the pair should be."""
    if measured["psnr"] >= _SAME_PSNR:
        return ["identical"]
    if measured["likeness"] < _LIKE:
        return ["unlike"]  # nothing else can be told of it
    found = []
    alike = _alike(measured["exponent"], measured["gain"])
    if alike and measured["sharpness"][0] > measured["sharpness"][1]:  # brightness alone changes it, too
        found.append("swapped")
    if math.hypot(*measured["shift"]) > _SHIFT and measured["undone"] > _SHIFT_GAIN:
        found.append("shifted")
    if not alike:
        found.append("tones")
    lowest, highest = AVERAGING.get(blur_kind, (-math.inf, math.inf))
    if measured["averaging"] < lowest or measured["averaging"] > highest:
        found.append("averaging")
    return found


def _alike(exponent, gain):
    return 1 / _EXPONENT < exponent < _EXPONENT and 1 / _GAIN < gain < _GAIN


def _json(value):
    if isinstance(value, list):
        return [_json(item) for item in value]
    return None if math.isnan(value) else value


# ----------------------------------------------------------------------------------------------- the set as a whole

_MEASURES = {
    "psnr": lambda row: row["psnr"],
    "shift": lambda row: None if None in row["shift"] else math.hypot(*row["shift"]),
    "averaging": lambda row: row["averaging"],
}


def _statistics(rows, read):
    values = [value for value in map(read, rows) if value is not None]
    if not values:
        return {"median": None, "min": None, "max": None, "pairs": 0}
    return {"median": float(np.median(values)), "min": min(values), "max": max(values), "pairs": len(values)}


def _common_shift(rows):
    """A warning where most pairs are off by the same shift, which may be too small to be seen in one of them."""
    shifts = np.array([row["shift"] for row in rows if None not in row["shift"] and "unlike" not in row["suspicious"]])
    if len(shifts) < _SET_LEAST:
        return []
    median = np.median(shifts, axis=0)
    deviation = np.median(np.abs(shifts - median), axis=0)
    # Of a normal distribution: deviation * 1.48 is sigma, and a median's error sigma * 1.25 / sqrt(n).
    error = 1.25 * 1.48 * math.hypot(*deviation) / math.sqrt(len(shifts))
    if math.hypot(*median) < max(_SET_SHIFT, 5 * error):
        return []
    return [f"the set as a whole is shifted by about ({median[0]:+.1f}, {median[1]:+.1f}) pixels (right, down)"]


def _common_averaging(rows, blur_kind):
    """Turns what nearly all pairs are suspected of into one warning on the declared blur kind."""
    telling = [row for row in rows if row["averaging"] is not None]
    other = [row for row in telling if "averaging" in row["suspicious"]]
    if len(telling) < 3 or len(other) < 0.9 * len(telling):
        return []
    for row in other:
        row["suspicious"].remove("averaging")
    power = np.median([row["averaging"] for row in telling])
    return [
        f"declared is --blur_kind={blur_kind}, but {len(other)} of the {len(telling)} pairs that tell it are averages "
        f"of value ** {power:.1f} (1: blur, 2.2: blur_gamma, up to 4: another camera response)"
    ]


# ----------------------------------------------------------------------------------------------- for people


def lines(report):
    """The report as text: (what was found, [one line for each warning], [one line for each error])."""
    data, statistics = report["data"], report["statistics"]
    of = f" of {data['pairs']}" if report["pairs"] != data["pairs"] else ""
    found = [
        f"{report['pairs']}{of} pairs inspected, {data['source']}, blur kind {data['blur_kind']}",
        f"{'':30} {'median':>8} {'min':>8} {'max':>8} {'pairs':>8}",
    ]
    titles = {"psnr": "PSNR against sharp [dB]", "shift": "shift [pixels]", "averaging": "average of value ** this"}
    for name, title in titles.items():
        numbers = " ".join(_cell(statistics[name][column]) for column in ("median", "min", "max"))
        found.append(f"{title:30} {numbers} {statistics[name]['pairs']:>8}")
    warnings = list(report["warnings"])
    for kind, names in report["suspicious"].items():
        warnings.append(f"{KINDS[kind]}: {len(names)} of {report['pairs']} pairs: {some_of(names)}")
    return "\n".join(found), warnings, report["errors"]


def _cell(value):
    return f"{'-' if value is None else format(value, '.2f'):>8}"


def sheet_rows(source, report, count):
    """Rows for `report.contact_sheet`: blurred, sharp and their difference of at most `count` pairs of the report.

    Pairs that cannot be used come first, without pictures, then suspicious ones, every kind in turn, then evenly spaced
    others.
    """
    rows = report["images"]
    good = [row for row in rows if "error" not in row]
    queues = [[row for row in rows if "error" in row]]
    queues += [[row for row in good if kind in row["suspicious"]] for kind in KINDS]
    queues = [_spaced(queue, count) for queue in queues if queue]
    chosen = {}
    # A quarter of the rows is kept for pairs that look good.
    while queues and len(chosen) < max(count * 3 // 4, 1):
        queue = queues.pop(0)
        row = queue.pop(0)
        chosen[row["index"]] = row
        if queue:
            queues.append(queue)
    others = _spaced([row for row in good if not row["suspicious"]], count - len(chosen))
    order = sorted(chosen.values(), key=lambda row: ("error" not in row, row["index"])) + others
    return [_sheet_row(source, row) for row in order]


def _spaced(items, count):
    """At most `count` evenly spaced items."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def _sheet_row(source, row):
    if "error" in row:
        return f"{row['image']}\n{row['error']}", []
    blurred, sharp = source.pair(row["index"])
    # Grey is no difference; a shift shows as a relief, another tone curve as a tint of whole areas.
    difference = np.clip(128 + 2 * (blurred.astype(np.int16) - sharp), 0, 255).astype(np.uint8)
    return caption(row), [blurred, sharp, difference]


def caption(row):
    """What the contact sheet says above a pair: a line of numbers, and one of suspicions if there are any."""
    dx, dy = row["shift"]
    shift = "shift unknown" if dx is None else f"shift ({dx:+.1f}, {dy:+.1f}) px"
    power = "" if row["averaging"] is None else f"   average of value^{row['averaging']:.1f}"
    says = {
        "unlike": "different pictures?",
        "identical": "identical" if math.isinf(row["psnr"]) else "almost identical",
        "swapped": "sharper on the left: swapped?",
        "shifted": f"shifted: {row['undone']:+.1f} dB without the shift",
        "tones": f"tone curve: exponent {row['exponent']:.2f}, gain {row['gain']:.2f}",
        "averaging": "not averaged as its blur kind says",
    }
    numbers = f"{row['image']}   {row['psnr']:.2f} dB   {shift}{power}"
    suspicions = ["SUSPICIOUS   " + "   ".join(says[kind] for kind in row["suspicious"])] if row["suspicious"] else []
    return "\n".join([numbers, *suspicions])

"""One report of several trained systems: what they cost and score here, and what the papers print, side by side."""

import base64
import csv
import html
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import numpy as np

import tfdeblur
from tfdeblur import metrics, report, runner, systems
from tfdeblur.data.images import images_by_name, read_image, write_image
from tfdeblur.data.photographs import REAL_BLUR, photograph
from tfdeblur.errors import DeblurError
from tfdeblur.inference import load
from tfdeblur.info import multiply_accumulates

SIZE = (720, 1280)  # of the image whose cost is told
_CROP = 256  # pixels a side of what the rows of pictures show
_PAIRS = 3  # rows of held-out pairs
_NARROWEST = 200  # pixels of a picture's place: its caption must be legible
_PACKAGE = pathlib.Path(tfdeblur.__file__).parent


def build(runs, source, protocols, out, photographs=None, weights="last", seed=0):
    """Scores and measures trained networks and writes README.md, report.html (self-contained) and results.json.

    Args:
      runs: work directories of trainings, their checkpoints, or weights (see `pretrained`).
      source: held-out pairs, see `runner.make_source`.
      protocols: list of `metrics.Protocol`.
      out: folder to make.
      photographs: folder of blurred photographs without truth; None: those inside scikit-image.
      weights: see `inference.load`.
      seed: of the crops of protocols that cut them at random.

    Returns:
      The written paths of the two reports.
    """
    if os.path.isfile(out):
        raise DeblurError(f"--out={out}: is a file; name a folder")
    labels = _labels(runs)
    shown = images_by_name(photographs) if photographs else dict.fromkeys(REAL_BLUR)
    deblurrers = {label: load(run, weights=weights) for label, run in zip(labels, runs, strict=True)}
    for deblurrer in deblurrers.values():
        deblurrer.need_net("the report")
    # What could fail later is looked at before minutes are spent.
    for path in filter(None, shown.values()):
        read_image(path)
    elsewhere = _scored_elsewhere(dict(zip(labels, runs, strict=True)), deblurrers)
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise DeblurError(f"--out={out}: cannot be made ({error.strerror}); name another folder") from error
    found = {}
    for label, deblurrer in deblurrers.items():
        runner.say(f"{label}: seconds and memory of a {SIZE[1]}x{SIZE[0]} image, in a process of its own")
        cost = _measure_alone(deblurrer.path, weights)
        padded = [-(-side // deblurrer.net.size_multiple) * deblurrer.net.size_multiple for side in SIZE]
        scores, rows = runner.evaluate(deblurrer, source, protocols, seed)
        found[label] = {
            "system": deblurrer.metadata["config"]["system"],
            "step": deblurrer.metadata.get("step"),
            "parameters": deblurrer.net.count_params(),
            "macs": multiply_accumulates(deblurrer.net, padded),
            **cost,
            "scores": scores,
            "rows": rows,
        }
    document = _Document(out, "Deblurring networks side by side")
    document.text(f"Systems: {'; '.join(f'`{name}` is {what}' for name, what in systems.SYSTEMS.items())}.")
    _cost_and_scores(document, found, source)
    _pictures(document, deblurrers, found, source)
    _photographs(document, deblurrers, shown)
    _training(document, dict(zip(labels, runs, strict=True)))
    published(document, elsewhere)
    _ablations(document, {one["system"] for one in found.values()})
    runner.write_json(os.path.join(out, "results.json"), found)
    return document.write()


# ------------------------------------------------------------------------------------------------ cost and scores


def _labels(runs):
    labels = [os.path.basename(os.path.abspath(run)) for run in runs]
    double = sorted({label for label in labels if labels.count(label) > 1})
    if double:
        raise DeblurError(f"two runs are called {double[0]}: rename a folder, or they could not be told apart")
    return labels


def measure(path, weights):
    """{"seconds", "peak_memory"}: of restoring one image of SIZE, once the graph is there; bytes of the whole process's
    largest resident memory up to then, or None where the system does not tell it. For a fresh process."""
    deblurrer = load(path, weights=weights)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    deblurrer.restore(image[:64, :64])  # traces
    began = time.perf_counter()
    deblurrer.restore(image)
    seconds = time.perf_counter() - began
    try:
        status = pathlib.Path("/proc/self/status").read_text()  # getrusage would tell the parent's, if that is larger
        memory = 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])
    except (OSError, TypeError):
        memory = None
    return {"seconds": seconds, "peak_memory": memory}


def _measure_alone(path, weights):
    program = (
        f"import json; from tfdeblur import comparison; print(json.dumps(comparison.measure({path!r}, {weights!r})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
        raise DeblurError(f"{path}: cannot be measured ({reason[0]})")
    return json.loads(done.stdout.splitlines()[-1])


def _cost_and_scores(document, found, source):
    document.heading("What they cost and score here")
    data = source.description
    where, kind = data["source"], data["blur_kind"]
    if where == "embedded":
        where += ", photographs inside scikit-image"
    if "shake" in data:  # those of the first run's configuration
        ranges = ("{:g} to {:g}".format(*data["shake"][name]) for name in ("length", "angle"))
        kind += ", shakes of {} pixels at {} degrees, whatever each run was trained on".format(*ranges)
    document.text(
        f"Scored on {len(source)} held-out pairs of {where} (blur kind {kind}), each protocol as `tfdeblur evaluate "
        f"--protocol list` defines it. Multiply-accumulates, seconds and memory: one {SIZE[1]}x{SIZE[0]} image on "
        f"{runner.device()}, float32, the largest resident memory of a process of its own, TensorFlow included. "
        "Networks and trainings are those of the runs: where parameters or steps are fewer than a paper's, the scores "
        "say nothing about it."
    )
    columns = list(next(iter(found.values()))["scores"]["metrics"])
    header = [
        "run",
        "system",
        "steps",
        "parameters",
        "the paper's parameters",
        "G multiply-accumulates",
        "seconds",
        "memory",
    ]
    rows, blurred = [], next(iter(found.values()))["scores"]["blurred"]
    for label, one in found.items():
        memory = f"{one['peak_memory'] / 2**30:.2f} GiB" if one["peak_memory"] else "not told"
        rows.append(
            [label, one["system"], "" if one["step"] is None else one["step"], f"{one['parameters']:,}"]
            + [systems.system(one["system"]).PAPER["parameters"], f"{one['macs'] / 1e9:.1f}", f"{one['seconds']:.2f}"]
            + [memory, *(_number(one["scores"]["metrics"][name]) for name in columns)]
        )
    rows.append(["the blurred image", *[""] * 7, *(_number(blurred[name]) for name in columns)])
    document.table([*header, *columns], rows)
    for label, one in found.items():
        for warning in one["scores"]["warnings"]:
            document.text(f"{label}: {warning}")


def _number(value):
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}"


# ------------------------------------------------------------------------------------------------ pictures


def _pictures(document, deblurrers, found, source):
    document.heading("The same held-out pictures")
    document.text(
        f"The {_CROP}x{_CROP} pixels (or all) in which blurred and sharp differ most, of evenly spaced pairs; the "
        "numbers are the PSNR (protocol `psnr`) of the whole picture."
    )
    for index in np.unique(np.linspace(0, len(source) - 1, min(_PAIRS, len(source))).round().astype(int)):
        blurred, sharp = source.pair(int(index))
        box = _busiest(np.abs(blurred.astype(np.float32) - sharp).mean(axis=2))
        row = [("blurred", metrics.psnr(blurred, sharp), blurred)]
        for label, deblurrer in deblurrers.items():
            restored = deblurrer.restore(blurred)
            row.append((label, metrics.psnr(restored, sharp), restored))
        cells = [(f"{label} {psnr:.2f} dB", image[box]) for label, psnr, image in row] + [("sharp", sharp[box])]
        document.row(f"pair_{index}", source.names[index], cells)


def _photographs(document, deblurrers, shown):
    document.heading("Photographs without a truth")
    document.text(f"The {_CROP}x{_CROP} pixels (or all) with the strongest edges. Nothing can be scored here: look.")
    for number, (name, path) in enumerate(shown.items()):
        blurred = read_image(path) if path else photograph(name)
        grey = blurred.astype(np.float32).mean(axis=2)
        box = _busiest(np.hypot(*np.gradient(grey)) if min(grey.shape) > 1 else grey)
        cells = [("blurred", blurred[box])]
        cells += [(label, deblurrer.restore(blurred)[box]) for label, deblurrer in deblurrers.items()]
        document.row(f"photograph_{number}", name, cells)


def _busiest(values):
    """The box (slices) of at most _CROP x _CROP places with the largest sum of float [H, W]."""
    height, width = (min(_CROP, side) for side in values.shape)
    sums = np.pad(values.astype(np.float64).cumsum(0).cumsum(1), [(1, 0), (1, 0)])
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(np.argmax(inside), inside.shape)
    return slice(top, top + height), slice(left, left + width)


def _training(document, runs):
    document.heading("Training")
    series, blurred = {"held_out/psnr": {}, "generator/loss": {}}, {}
    for label, run in runs.items():
        scalars = report.read_scalars(run) if os.path.isdir(run) else {}
        for tag, curves in series.items():
            if tag in scalars:
                curves[label] = [scalars[tag]]
        if curve := scalars.get("held_out/blurred_psnr"):
            # Other held-out pictures, or another part of them, have another value.
            blurred.setdefault(round(curve[-1][1], 4), {})[label] = curve
    if series["held_out/psnr"]:
        for same in blurred.values():
            name = "blurred" if len(blurred) == 1 else f"blurred, {', '.join(same)}"
            series["held_out/psnr"][name] = [max(same.values(), key=len)]
        document.text(
            "The PSNR in dB that each training looked at: of the middle of held-out pictures, at most four training "
            "crops a side, so not the numbers of the table above; the blurred ones as they are for comparison. "
            + ("" if len(blurred) < 2 else "These trainings looked at different ones, so compare each with its own. ")
            + "A training that began with another one's weights, as EGNet's second does, begins where those were."
        )
        picture = report.curves(series["held_out/psnr"], "held-out PSNR")
        document.picture("held_out_psnr", "held-out PSNR over the steps", picture)
    if series["generator/loss"]:  # each system's own: no two share a scale
        pictures = [report.curves({"": run}, f"{label}: loss") for label, run in series["generator/loss"].items()]
        document.picture("generator_loss", "loss of each generator over the steps", report.in_columns(pictures))
    document.text("Losses are each system's own and cannot be compared with one another.")


# ------------------------------------------------------------------------------------------------ what is published


def published(document, ours):
    """A table for each data set: a column for each paper, as each has a protocol of its own.

    What stands in published.tsv: every method of every table in which one of the five papers scores methods over a
    whole test set, as that table prints it; no ablations, but for EGNet's Table 4, which alone has EGNet by itself.

    ours: {(system, data set): "PSNR / SSIM, protocols"} of what was scored here.
    """
    document.heading("Published, and scored here on the same data")
    document.text(
        "PSNR (dB) and SSIM as the papers print them, a column for each paper's protocol: every method of the tables "
        "in which they score whole test sets. Protocols differ from paper to paper, so compare within a column only: "
        "DeblurGAN stands as 28.70, 26.38 and 25.24 dB in three of them. Where a paper does not state its protocol, "
        "the one named is that of which others publish the numbers that it gives for other methods. EGNet's 33.00 dB "
        "on GoPro are with the self-ensemble, as its Table 4 has 32.92 dB without; whether its RealBlur numbers are is "
        "not stated. The last column is what `tfdeblur evaluate --out RUN/results.json` scored of the runs in this "
        'report on the whole test set; "not run": nothing; empty: a method that this package does not have.'
    )
    with open(_PACKAGE / "published.tsv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    for data in dict.fromkeys(line["data"] for line in lines):
        here = [line for line in lines if line["data"] == data]
        columns = dict.fromkeys((line["paper"], line["place"], line["protocol"]) for line in here)
        methods = sorted({line["method"] for line in here}, key=lambda name: (name not in systems.SYSTEMS, name))
        rows = []
        for method in methods:
            cells = []
            for column in columns:
                values = {
                    line["metric"]: line["value"]
                    for line in here
                    if line["method"] == method and (line["paper"], line["place"], line["protocol"]) == column
                }
                cells.append(f"{values['psnr']} / {values['ssim']}" if values else "")
            ours_here = ours.get((method, data), "not run" if method in systems.SYSTEMS else "")
            rows.append([method, *cells, ours_here])
        document.heading(f"{data}", level=3)
        header = [f"{paper}'s paper, {place}: {protocol}" for paper, place, protocol in columns]
        document.table(["method", *header, "here"], rows)


def _scored_elsewhere(runs, deblurrers):
    """{(system, data set): text} from the results.json that `tfdeblur evaluate --out` left in a run's folder.

    A data set is called as in published.tsv: gopro, realblur/j. GoPro's gamma kind is told with the numbers.
    """
    ours = {}
    for label, run in runs.items():
        path = os.path.join(run, "results.json")
        if not os.path.isfile(path):
            continue
        try:
            with open(path, encoding="utf-8") as file:
                results = json.load(file)
            data, scores = results["data"], results["metrics"]
            in_full = data["pairs"] == data.get("pairs_in_full", data["pairs"])
            text = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DeblurError(f"{path}: not what `tfdeblur evaluate --out` writes; remove it") from error
        if in_full:
            system = deblurrers[label].metadata["config"]["system"]
            place = (system, f"{data['source']}/{data['config']}" if data["source"] == "realblur" else data["source"])
            text += " (blur_gamma)" if data.get("blur_kind") == "blur_gamma" and data["source"] == "gopro" else ""
            ours[place] = f"{ours[place]}; {label}: {text}" if place in ours else f"{label}: {text}"
    return ours


def _ablations(document, names):
    """The tables of the systems' experiments that hold a paper's numbers, ours beside them, with what is said there."""
    folder = _PACKAGE / "experiments"
    folder = folder if folder.is_dir() else _PACKAGE.parent / "experiments"
    document.heading("The papers' tables")
    document.text(
        "Of the runs' systems: what their papers print, and what was measured here, in the words of their experiments' "
        "READMEs. Seconds are each machine's own: a paper's cannot be compared with ours, nor with another paper's."
    )
    for name in sorted(names):
        path = folder / name / "README.md"
        if not path.is_file():
            continue
        for heading, header, rows, before, after in _tables_and_texts(path.read_text(encoding="utf-8")):
            if any("paper" in cell.lower() for cell in [*header, *(cell for row in rows for cell in row)]):
                document.heading(f"{name}: {heading}", level=3)
                for text in before:
                    document.text(text)
                document.table(header, rows)
                if after:
                    document.text(after)


def tables(markdown):
    """[(the heading above, header, rows)] of the tables of a Markdown text; cells as they stand there."""
    return [found[:3] for found in _tables_and_texts(markdown)]


def _tables_and_texts(markdown):
    """[(heading, header, rows, paragraphs above, the paragraph below or "")], see `tables`.

    Paragraphs have one line each and no links, which would lead nowhere from another folder. One that ends in a colon
    leads to a command, and is left out.
    """
    found = []
    markdown = re.sub(r"^```.*?^```$", "```", markdown, flags=re.M | re.S)  # comments in commands are no headings
    for section in re.split(r"^#+ +", f"# \n{markdown}", flags=re.M):
        heading, _, rest = section.partition("\n")
        blocks = [block.splitlines() for block in re.split(r"\n\s*\n", rest.strip("\n"))]
        texts = [
            ""
            if lines[-1].endswith(":") or lines[0].startswith(("|", "!", "-", "```"))
            else _INLINE_LINK.sub(r"\1", " ".join(lines))
            for lines in blocks
            if lines
        ]
        above = []
        for lines, text, below in zip(blocks, texts, [*texts[1:], ""], strict=False):
            if len(lines) > 2 and lines[0].startswith("|"):
                header, _, *rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines]
                found.append((heading, header, rows, above, below))
                above = []
            elif text:
                above.append(text)
    return found


_INLINE_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


# ------------------------------------------------------------------------------------------------ departures


def departures():
    """One Markdown page of every system's counts and departures from its paper, out of the systems' READMEs."""
    lines = [
        "# Where this package departs from the papers, and why",
        "",
        "Gathered from the systems' READMEs by `tfdeblur report --departures --out FILE`: change it there. What a",
        "paper leaves open had to be chosen; widths were chosen by their totals, which stand in the first table of",
        "each system beside the published ones. What no paper has and every training can do, an average of the weights",
        "(`ema_decay`), is off in the configurations that follow a paper.",
    ]
    for readme in sorted((_PACKAGE / "systems").glob("*/README.md")):
        text = readme.read_text(encoding="utf-8")
        title = text.splitlines()[0].lstrip("# ")
        chosen = [
            found
            for found in tables(text)
            if found[1][0] in ("", "Point", "point") or "departure" in found[0].lower() or "widths" in found[0].lower()
        ]
        lines += ["", f"## {title} (`{readme.parent.name}`)", ""]
        lines.append(f"[{title}'s README](../tfdeblur/systems/{readme.parent.name}/README.md)")
        for heading, header, rows in chosen:
            first = heading == title
            name = heading if not first else "Readings and departures" if header[0] else "Counts"
            table = "\n".join(_markdown_table(header, rows))
            # The page lies two folders higher, and what is linked within a README is not on it.
            table = re.sub(r"\]\((?:\.\./){3}", "](../", table)
            table = table.replace("](#", f"](../tfdeblur/systems/{readme.parent.name}/README.md#")
            lines += ["", f"{name}:", "", table]
    return "\n".join(lines) + "\n"


def _markdown_table(header, rows):
    return [f"| {' | '.join(map(str, row))} |" for row in (header, ["---"] * len(header), *rows)]


# ------------------------------------------------------------------------------------------------ Markdown and HTML


class _Document:
    """Headings, texts, tables and pictures in order, written as Markdown with picture files and as one HTML file."""

    def __init__(self, folder, title):
        self._folder = folder
        self._markdown = [f"# {title}"]
        self._html = [f"<h1>{html.escape(title)}</h1>"]
        self._title = title

    def heading(self, text, level=2):
        self._markdown.append(f"{'#' * level} {text}")
        self._html.append(f"<h{level}>{_inline(text)}</h{level}>")

    def text(self, text):
        self._markdown.append(text)
        self._html.append(f"<p>{_inline(text)}</p>")

    def table(self, header, rows):
        self._markdown.append("\n".join(_markdown_table(header, rows)))
        parts = ["<tr>" + "".join(f"<th>{_inline(cell)}</th>" for cell in header) + "</tr>"]
        parts += ["<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows]
        self._html.append(f"<div class=wide><table>{''.join(parts)}</table></div>")

    def picture(self, name, caption, image):
        path = os.path.join(self._folder, f"{name}.jpg")
        write_image(path, image)
        encoded = base64.b64encode(pathlib.Path(path).read_bytes()).decode()
        self._markdown.append(f"![{caption}]({name}.jpg)\n\n{caption}")
        self._html.append(
            f'<figure class=wide><img src="data:image/jpeg;base64,{encoded}" alt="{html.escape(caption)}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def row(self, name, caption, cells):
        """cells: [(caption, uint8 RGB)] side by side, each caption above its image."""
        width = max(_NARROWEST, *(image.shape[1] for _, image in cells))
        # A sheet is wider than one image, so that its captions are shortened here.
        columns = [report.contact_sheet([(report.shorten(text, width), [image])], width) for text, image in cells]
        columns = [column[:, : width + 12] for column in columns]
        self.picture(name, caption, np.concatenate(columns, axis=1))

    def write(self):
        paths = [os.path.join(self._folder, name) for name in ("README.md", "report.html")]
        page = (
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width, initial-scale=1"><title>{html.escape(self._title)}</title>'
            f"<style>{_STYLE}</style></head><body>{''.join(self._html)}</body></html>\n"
        )
        for path, text in zip(paths, ("\n\n".join(self._markdown) + "\n", page), strict=True):
            runner.write_text(path, text)
        return paths


def _inline(cell):
    """A Markdown cell as HTML: code, links and emphasis."""
    text = html.escape(str(cell), quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = _INLINE_LINK.sub(r"\1", text)
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)


_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;font-size:13px}td,th{border:1px solid #ccc;padding:3px 8px;text-align:left;"
    "vertical-align:top}th{background:#f2f2f2}.wide{overflow-x:auto}img{max-width:100%}.wide img{min-width:760px}"
    # On a phone tables and pictures scroll sideways; what is text stays in sight.
    "figure{margin:1em 0}figcaption{color:#666;font-size:13px;position:sticky;left:0}"
    "h1,h2,h3,p,figcaption{overflow-wrap:anywhere}"
)

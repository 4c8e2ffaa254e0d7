"""A blinded user study: a page that shows results of systems without their names, and the summary of its scores.

The study is that of Q. Qi: "Structures Guided Dynamic Scene Deblurring Method", 2022, section 4.5 and Table 2: scores
from 1 to 10 for results in random order beside the blurred picture, which counts as 5.
"""

import base64
import codecs
import contextlib
import csv
import html
import io
import itertools
import json
import os
import pathlib
import random
import secrets

import numpy as np
import tqdm

from tfdeblur.data.images import image_size, images_by_name, read_image, some_of
from tfdeblur.errors import DeblurError

LONGEST_SIDE = 1280  # pixels of the longer side of a picture on the page
_ENCODING = {"format": "JPEG", "quality": 95, "subsampling": 0}  # subsampling 0: colours in full resolution
_MOST_BYTES = 100_000_000  # of a page
_MOST_RESULTS = 26  # one letter each
_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz"  # letters alone: spreadsheets take 12e4567 for a number
_SCORES = {str(score): score for score in range(1, 11)}
_COLUMNS = ("study", "participant", "result", "score", "picture_place", "place")  # what is read of a participant's CSV
_REFERENCE = 5  # the score of the blurred picture

# The means that the paper's text gives, which are those of Table 2's columns I1 to I5: (its name, ours) -> score.
PUBLISHED = {
    ("Qi et al. (EGAN)", None): 6.3,
    ("Gong et al.", None): 5.3,
    ("Nah et al. (DeepDeblur)", None): 6.4,
    ("Kupyn et al. (DeblurGAN)", "deblurgan"): 5.4,
    ("Mustaniemi et al.", None): 6.0,
    ("Kupyn et al. (DeblurGAN-v2)", None): 5.6,
    ("the structures-guided network", "structures_guided"): 7.2,
}


# ------------------------------------------------------------------------------------------------------- the page


def key_path(page):
    """Where the key of a page lies: study_key.json beside study.html."""
    return os.path.splitext(page)[0] + "_key.json"


def write_page(blurred, results, out, longest_side=LONGEST_SIDE, count=None):
    """Writes the page of a study, one HTML file with all its pictures, and beside it the key that tells whose they are.

    Every result has an identifier that is drawn at random; the page has nothing but these, in alphabetical order, and
    all its pictures are encoded anew in the same way (JPEG of quality 95, colours in full resolution).

    Args:
      blurred: folder of blurred pictures.
      results: {name of a system: folder of its results, by the names and of the sizes of the blurred pictures}.
      out: the page; its key is `key_path(out)`.
      longest_side: pixels; larger pictures are reduced to it by area resampling, smaller ones stay as they are.
      count: how many pictures, drawn at random; None: all.

    Returns:
      [a line on what was left out]. DeblurError for pictures that are missing or of another size, a page above 100 MB,
      and where there is a key already: without it nobody could read the scores of its study any more.
    """
    if not 1 <= len(results) <= _MOST_RESULTS:
        raise DeblurError(f"{len(results)} systems: a study shows 1 to {_MOST_RESULTS}")
    if not out.lower().endswith((".html", ".htm")):
        raise DeblurError(f"{out}: name a page, for example study.html")
    key_file = key_path(out)
    if os.path.exists(key_file):
        raise DeblurError(
            f"{key_file}: is the key of a study, whose scores cannot be read without it; name another page with --out"
        )
    pictures = images_by_name(blurred)
    shown = {system: images_by_name(folder) for system, folder in results.items()}
    lines = []
    for system, found in shown.items():
        missing, extra = pictures.keys() - found.keys(), found.keys() - pictures.keys()
        if missing:
            raise DeblurError(f"{results[system]}: no result of {some_of(sorted(missing))}; restore {blurred} into it")
        if extra:
            lines.append(f"{results[system]}: not shown, as no blurred picture has its name: {some_of(sorted(extra))}")
        for name in pictures:
            _check_size(found[name], pictures[name])

    chosen = list(pictures)
    if count is not None and count < len(chosen):
        chosen = sorted(random.SystemRandom().sample(chosen, count))
    study, identifiers = secrets.token_hex(8), _identifiers(len(chosen) * len(shown))
    entries, key, size = [], {}, 0
    for name in tqdm.tqdm(chosen, unit="picture", dynamic_ncols=True):
        of_picture = {next(identifiers): system for system in shown}
        key |= {identifier: {"picture": name, "system": system} for identifier, system in of_picture.items()}
        encoded = {identifier: _encode(shown[of_picture[identifier]][name], longest_side) for identifier in of_picture}
        # Sorted, so that their order tells nothing: that of `of_picture` is the order of the systems.
        entry = {
            "name": name,
            "blurred": _encode(pictures[name], longest_side),
            "results": dict(sorted(encoded.items())),
        }
        entries.append(entry)
        size += len(entry["blurred"]) + sum(map(len, encoded.values()))
        if size > _MOST_BYTES:
            raise DeblurError(
                f"{out}: above {_MOST_BYTES // 10**6} MB with {len(entries)} of {len(chosen)} pictures; "
                "take fewer (--pictures) or smaller ones (--longest_side)"
            )

    template = pathlib.Path(__file__).with_name("study.html").read_text(encoding="utf-8")
    data = json.dumps({"study": study, "pictures": entries}).replace("<", "\\u003c")  # "</script>" in a name
    description = {
        "study": study,
        "page": os.path.basename(out),
        "longest_side": longest_side,
        "encoding": _ENCODING,
        "blurred": str(blurred),
        "systems": {system: str(folder) for system, folder in results.items()},
        "results": dict(sorted(key.items())),
    }
    # First the key: a page without one could be scored for nothing.
    write_text(key_file, json.dumps(description, indent=1) + "\n")
    write_text(out, template.replace("{{DATA}}", data))
    return lines


def _check_size(result, blurred):
    (height, width), (wanted_height, wanted_width) = image_size(result), image_size(blurred)
    if (height, width) != (wanted_height, wanted_width):
        raise DeblurError(
            f"{result}: {width}x{height} pixels, but {blurred} has {wanted_width}x{wanted_height}; "
            "a result has its input's size"
        )


def _identifiers(count):
    """An iterator over `count` different random words of letters."""
    drawn = set()
    while len(drawn) < count:
        drawn.add("".join(secrets.choice(_ID_LETTERS) for _ in range(8)))
    return iter(drawn)


def _encode(path, longest_side):
    """The picture in a file as a data URI; encoded from its pixels, so nothing of the file's own metadata is in it."""
    import cv2
    from PIL import Image

    image = read_image(path)
    scale = longest_side / max(image.shape[:2])
    if scale < 1:
        size = [max(round(side * scale), 1) for side in (image.shape[1], image.shape[0])]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(image).save(file, **_ENCODING)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def write_text(path, text):
    """Writes a whole file or none."""
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".tmp", path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(path + ".tmp")
        raise DeblurError(f"{path}: cannot be written ({error.strerror})") from error


# ------------------------------------------------------------------------------------------------------- the scores


def read_key(path):
    """The key of a study, as `write_page` wrote it."""
    try:
        with open(path, encoding="utf-8") as file:
            key = json.load(file)
        key["study"], key["systems"], key["results"]
    except OSError as error:
        raise DeblurError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DeblurError(f"{path}: is no key of `tfdeblur report --study`") from error
    return key


def read_scores(paths, key):
    """The scores of all participants.

    Counted are pictures of which a participant scored every result, so that all systems are compared on the same ones:
    of a participant who stopped early, those that are complete. Where two files have the same participant, the later
    score of each result counts; but where they tell different orders, which were drawn at random, they are two people
    with one code, and the second is left out.

    Args:
      paths: the participants' CSV files, and folders of them.
      key: of `read_key`.

    Returns:
      ({participant: {picture: {system: score}}}, [a line for each file or participant with something left out],
      [a line for each participant who is in two files or scored some pictures only]).
    """
    files, left_out, notes = [], [], []
    for path in map(pathlib.Path, paths):
        found = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not found:
            left_out.append(f"{path}: no .csv file in this folder")
        files += found
    rows, origin = {}, {}  # {participant: {result: row}}, {participant: the file that has it}
    for path in dict.fromkeys(files):
        found, bad = _read_file(path, key)
        if bad:
            left_out.append(f"{path}: {bad}")
        for participant, new in found.items():
            old = rows.get(participant, {})
            shared = old.keys() & new.keys()
            if any(_places(old[result]) != _places(new[result]) for result in shared):
                left_out.append(
                    f"{path}: left out {participant}, who is in {origin[participant]} with another order of results; "
                    "if these are two people, write another code into one of the files"
                )
                continue
            if old:
                changed = sum(old[result]["score"] != new[result]["score"] for result in shared)
                notes.append(
                    f"{path}: {participant} is in {origin[participant]}, too: the later score of each result counts "
                    f"({changed} differ)"
                )
            rows[participant] = {
                result: max((source[result] for source in (old, new) if result in source), key=lambda row: row["time"])
                for result in old | new
            }
            origin[participant] = path

    pictures = {}
    for entry in key["results"].values():
        pictures.setdefault(entry["picture"], set()).add(entry["system"])
    scores = {}
    for participant, of_participant in sorted(rows.items()):
        given = {}
        for result, row in of_participant.items():
            entry = key["results"][result]
            given.setdefault(entry["picture"], {})[entry["system"]] = _SCORES[row["score"]]
        whole = {picture: given[picture] for picture in sorted(given) if given[picture].keys() == pictures[picture]}
        if parts := sorted(given.keys() - whole.keys()):
            left_out.append(f"{participant}: left out pictures without a score for every result: {some_of(parts)}")
        if whole:
            scores[participant] = whole
            if len(whole) < len(pictures):
                notes.append(f"{participant}: scored {len(whole)} of {len(pictures)} pictures, which count")
    return scores, left_out, notes


def _places(row):
    return row["picture_place"], row["place"]


def _read_file(path, key):
    """({participant: {result: row}}, what is bad in it or "") of one CSV."""
    try:
        data = path.read_bytes()
        # Spreadsheets write a byte order mark; and UTF-16 and tabs as what they call text.
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if wide else "utf-8-sig")
        first = text.partition("\n")[0]
        marks = [mark for mark in ";\t" if mark in first]
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter=marks[0] if marks else ",")
        rows = [(table.line_num, row) for row in table]
    except OSError as error:
        return {}, f"left out, cannot be read ({error.strerror})"
    except (UnicodeDecodeError, csv.Error):
        return {}, "left out, is no CSV of a study in UTF-8; give the file as the page saved it, or save it as UTF-8"
    if missing := [column for column in _COLUMNS if column not in (table.fieldnames or ())]:
        return {}, f"left out, has no column {' and '.join(missing)}; give the file as the page saved it"
    if rows and all(row["study"] != key["study"] for _, row in rows):
        return {}, f"left out, is of another study than the key ({rows[0][1]['study']}, not {key['study']})"
    found, bad = {}, []
    for line, row in rows:
        row = {column: (row.get(column) or "").strip() for column in (*_COLUMNS, "time")}
        known = found.setdefault(row["participant"], {})
        if row["study"] != key["study"]:
            bad.append(f"line {line}: of another study")
        elif not row["participant"]:
            bad.append(f"line {line}: no participant")
        elif row["result"] not in key["results"]:
            bad.append(f"line {line}: no result {row['result']!r} in the key")
        elif row["score"] not in _SCORES:
            bad.append(f"line {line}: score {row['score']!r} is not a whole number from 1 to 10")
        elif row["result"] in known and known[row["result"]] != row:
            bad.append(f"line {line}: a second row for {row['result']}; the first counts")
        else:
            known[row["result"]] = row
    found = {participant: known for participant, known in found.items() if known}
    if not found and not bad:
        return {}, "left out, has no scores"
    return found, f"left out {len(bad)} of {len(rows)} rows: {some_of(bad)}" if bad else ""


# ------------------------------------------------------------------------------------------------------- the summary


def interval(values):
    """(mean, low, high): Student's 95 % confidence interval of independent values; NaN bounds for one value."""
    from scipy.special import stdtrit

    values = np.asarray(values, np.float64)
    mean = values.mean()
    if len(values) < 2:
        return float(mean), float("nan"), float("nan")
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return float(mean), float(mean - half), float(mean + half)


def means(scores, systems):
    """float64 [participants, systems]: each participant's mean score of each system, over the pictures that count."""
    return np.array(
        [[np.mean([of[system] for of in pictures.values()]) for system in systems] for pictures in scores.values()]
    )


def summary(scores, key, lines=()):
    """The summary of a study in Markdown.

    Args:
      scores: of `read_scores`.
      key: of `read_key`.
      lines: what else has to be told, such as what was left out.

    Returns:
      str. DeblurError where there is not one participant.
    """
    if not scores:
        raise DeblurError("no participant scored all results of one picture: nothing to summarise")
    systems = list(key["systems"])
    values = means(scores, systems)
    given = sum(len(of) for pictures in scores.values() for of in pictures.values())
    counted = sorted({picture for pictures in scores.values() for picture in pictures})

    published = {ours: score for (_, ours), score in PUBLISHED.items() if ours}
    rows = [["blurred input (fixed)", f"{_REFERENCE}", "", "", f"{_REFERENCE}"]]
    for place, system in enumerate(systems):
        mean, *bounds = interval(values[:, place])
        rows.append([_cell(system), f"{mean:.2f}", *_bounds(bounds), f"{published.get(system, '')}"])
    rows += [[name, "", "", "", f"{score}"] for (name, ours), score in PUBLISHED.items() if ours not in systems]
    text = [
        "# User study",
        "",
        f"{_count(len(scores), 'participant')}, {_count(len(counted), 'picture')}, {_count(len(systems), 'system')}, "
        f"{_count(given, 'score')} (study {key['study']}).",
        "",
        *_table(["", "mean score", "95 % interval", "against the input's 5", "theirs (Qi 2022, Table 2)"], rows),
        "",
        "Scores are whole numbers from 1 (worst) to 10 (best), given beside the blurred input, which counts as 5. A "
        "mean is that of the participants' own means. Scores of one participant depend on each other, so the interval "
        "is Student's t over the participants' means: it speaks of other participants and these same pictures. Theirs "
        "are other pictures, participants and trainings, not to be compared number by number, without intervals.",
    ]
    if len(systems) > 1:
        pairs = itertools.combinations(range(len(systems)), 2)
        rows = []
        for first, second in pairs:
            mean, *bounds = interval(values[:, first] - values[:, second])
            rows.append(
                [f"{_cell(systems[first])} - {_cell(systems[second])}", f"{mean:+.2f}", *_bounds(bounds, 0, "+")]
            )
        text += [
            "",
            "## Differences",
            "",
            *_table(["", "mean difference", "95 % interval", "against 0"], rows),
            "",
            "Means of each participant's own difference, so that strict and mild ones count alike. Each interval is "
            "for its pair alone: of many pairs, some miss by chance.",
        ]
    rows = []
    for picture in counted:
        of_picture = [pictures[picture] for pictures in scores.values() if picture in pictures]
        averages = [f"{np.mean([of[system] for of in of_picture]):.2f}" for system in systems]
        rows.append([_cell(picture), *averages, f"{len(of_picture)}"])
    text += ["", "## Pictures", "", *_table(["", *map(_cell, systems), "participants"], rows)]
    if lines:
        text += ["", "## Left out, and notes", "", *(f"- {_cell(line)}" for line in lines)]
    return "\n".join(text) + "\n"


def _bounds(bounds, reference=_REFERENCE, sign=""):
    """The cells of an interval: its bounds, and on which side of a reference it lies."""
    low, high = bounds
    if np.isnan(low):
        return ["one participant: none", ""]
    side = "above" if low > reference else "below" if high < reference else "not told apart"
    return [f"{low:{sign}.2f} to {high:{sign}.2f}", side]


def _count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _cell(text):
    return html.escape(text, quote=False).replace("|", "\\|")


def _table(header, rows):
    """Lines of a Markdown table; numbers stand on the right."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] + ["---:"] * (len(header) - 1), *rows)]

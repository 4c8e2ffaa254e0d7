"""What `inspect` says of pairs that are made here with one thing wrong each."""

import json
import math

import cv2
import numpy as np
import pytest

from tfdeblur import inspection
from tfdeblur.data.photographs import photograph
from tfdeblur.data.shake import Shake, generator, random_kernel
from tfdeblur.errors import DeblurError

NAMES = ("chelsea.png", "coffee.png", "astronaut.png")


def blurred(sharp, power=1.0, number=0):
    kernel = random_kernel(generator(number), Shake(length=(14.0, 14.0)))
    values = cv2.filter2D(sharp.astype(np.float64) ** power, -1, kernel[::-1, ::-1].astype(np.float64))
    return np.rint(np.maximum(values, 0) ** (1 / power)).astype(np.uint8)


def good_pair(number=0, power=1.0):
    sharp = photograph(NAMES[number % 3])[:280, :400]
    return blurred(sharp, power, number), sharp


def curve(image, power):
    return np.rint(255 * (image / 255) ** power).astype(np.uint8)


def shifted(dx, dy, number=0):
    soft, sharp = good_pair(number)
    return soft[8 - dy : -8 - dy, 8 - dx : -8 - dx], sharp[8:-8, 8:-8]


class Source:
    """Pairs by name; a string instead of a pair is the error that reading it raises."""

    def __init__(self, pairs, blur_kind="blur"):
        self.names, self._pairs = tuple(pairs), list(pairs.values())
        self.description = {"source": "made", "blur_kind": blur_kind, "pairs": len(pairs)}
        self.read = []

    def __len__(self):
        return len(self.names)

    def odd_ones(self, indices):
        return []

    def pair(self, index):
        self.read.append(index)
        if isinstance(self._pairs[index], str):
            raise DeblurError(self._pairs[index])
        return self._pairs[index]


@pytest.mark.parametrize("number", range(6))
def test_a_good_pair_is_not_suspected(number):
    pair = good_pair(number)
    assert inspection.suspicions(inspection.measure(*pair), "blur") == []
    in_light = good_pair(number, power=2.2)
    assert inspection.suspicions(inspection.measure(*in_light), "blur_gamma") == []


@pytest.mark.parametrize(
    "kind, make",
    [
        ("shifted", lambda soft, sharp: (soft[:-4, 6:], sharp[4:, :-6])),
        ("identical", lambda soft, sharp: (sharp, sharp)),
        ("identical", lambda soft, sharp: (sharp - (sharp == 128), sharp)),
        ("swapped", lambda soft, sharp: (sharp, soft)),
        ("tones", lambda soft, sharp: (curve(soft, 1 / 2.2), sharp)),
        ("tones", lambda soft, sharp: (soft, curve(sharp, 1 / 2.2))),
        ("tones", lambda soft, sharp: ((0.7 * soft).astype(np.uint8), sharp)),
        ("averaging", lambda soft, sharp: (blurred(sharp, 2.2), sharp)),
        ("unlike", lambda soft, sharp: (soft, np.ascontiguousarray(sharp[::-1, ::-1]))),
    ],
)
@pytest.mark.parametrize("number", range(3))
def test_a_bad_pair_is_suspected_of_what_is_wrong_with_it(kind, make, number):
    measured = inspection.measure(*make(*good_pair(number)))
    assert inspection.suspicions(measured, "blur") == [kind], measured


def test_an_average_of_stored_values_is_no_blur_gamma_and_other_kinds_are_not_judged():
    measured = inspection.measure(*good_pair())
    assert inspection.suspicions(measured, "blur_gamma") == ["averaging"]
    assert inspection.suspicions(measured, "kohler/kohler") == []


def test_the_numbers_of_a_pair():
    soft, sharp = shifted(6, -4)
    measured = inspection.measure(soft, sharp)
    mean_square = np.mean((soft.astype(float) - sharp) ** 2)
    assert measured["psnr"] == pytest.approx(10 * math.log10(255**2 / mean_square))
    assert measured["shift"] == pytest.approx([6, -4], abs=0.5)
    x, y = (round(way) for way in measured["shift"])
    first, second = soft[: y or None, x:].astype(float), sharp[-y:, :-x]
    undone = 10 * math.log10(255**2 / np.mean((first - second) ** 2)) - measured["psnr"]
    assert measured["undone"] == pytest.approx(undone) and undone > 1


def test_every_pair_is_reported_and_bad_files_do_not_stop_it():
    source = Source(
        {
            "a": good_pair(0),
            "b": "blur/b.png: the file is empty (0 bytes)",
            "c": good_pair(1)[::-1],
            "d": (np.full((1, 1, 3), 100, np.uint8), np.full((1, 1, 3), 102, np.uint8)),
            "e": shifted(6, -4, 2),
        }
    )
    report = inspection.inspect(source)
    assert [row["image"] for row in report["images"]] == list("abcde")
    assert report["errors"] == ["blur/b.png: the file is empty (0 bytes)"]
    assert report["suspicious"] == {"swapped": ["c"], "shifted": ["e"]}
    assert report["images"][3]["shift"] == [None, None] and report["images"][3]["averaging"] is None
    values = [row["psnr"] for row in report["images"] if "psnr" in row]
    assert report["statistics"]["psnr"] == {
        "median": pytest.approx(np.median(values)),
        "min": min(values),
        "max": max(values),
        "pairs": 4,
    }
    assert report["statistics"]["shift"]["pairs"] == 3
    json.dumps(report, allow_nan=False)
    text, warnings, errors = inspection.lines(report)
    assert "5 pairs" in text and f"{np.median(values):.2f}" in text and errors == report["errors"]
    assert (
        len(warnings) == 2
        and "1 of 5 pairs: c" in warnings[0]
        and "exchanged" in warnings[0]
        and "pairs: e" in warnings[1]
    )


def test_a_sample_is_evenly_spaced():
    source = Source({str(number): f"{number}" for number in range(21)})
    report = inspection.inspect(source, sample=3)
    assert sorted(source.read) == [0, 10, 20] and report["errors"] == ["0", "10", "20"]
    assert "3 of 21 pairs" in inspection.lines(report)[0]
    assert report["statistics"]["psnr"] == {"median": None, "min": None, "max": None, "pairs": 0}
    assert inspection.inspect(source, sample=100)["pairs"] == 21


@pytest.mark.slow
def test_a_small_shift_of_all_pairs_is_told_once():
    same = {str(number): shifted(1, 0, number) for number in range(9)}
    (warning,) = inspection.inspect(Source(same))["warnings"]
    assert "as a whole" in warning and "(+1.0, " in warning
    different = {str(number): shifted(*((2, 0), (-2, 0), (0, 2), (0, -2))[number % 4], number) for number in range(9)}
    assert inspection.inspect(Source(different))["warnings"] == []
    few = dict(list(same.items())[:3])
    assert inspection.inspect(Source(few))["warnings"] == []


@pytest.mark.slow
def test_a_set_of_the_other_blur_kind_is_told_once():
    pairs = {str(number): good_pair(number, power=2.2) for number in range(4)}
    report = inspection.inspect(Source(pairs))
    assert report["suspicious"] == {} and len(report["warnings"]) == 1
    assert "--blur_kind=blur," in report["warnings"][0] and "value ** 2." in report["warnings"][0]
    assert inspection.inspect(Source(pairs, "blur_gamma"))["warnings"] == []
    mixed = {**pairs, "4": good_pair(0), "5": good_pair(1)}
    report = inspection.inspect(Source(mixed))
    assert report["warnings"] == [] and report["suspicious"] == {"averaging": ["0", "1", "2", "3"]}


def test_what_the_source_says_of_its_files_is_a_warning():
    source = Source({"a": good_pair()})
    source.odd_ones = lambda indices: ["1 of 2 images are grey among colour ones: a.png"]
    assert inspection.inspect(source)["warnings"] == ["1 of 2 images are grey among colour ones: a.png"]


@pytest.mark.slow
def test_the_sheet_shows_every_kind_of_trouble_first():
    pairs = {f"good{number}": good_pair(number) for number in range(4)}
    pairs |= {f"swapped{number}": good_pair(number)[::-1] for number in range(9)}
    pairs |= {"broken": "broken.png: is empty", "same": (good_pair()[1],) * 2, "good9": good_pair(2)}
    source = Source(pairs)
    report = inspection.inspect(source)
    rows = inspection.sheet_rows(source, report, 8)
    names = [caption.split()[0] for caption, _ in rows]
    assert names[0] == "broken" and "is empty" in rows[0][0] and rows[0][1] == []
    assert sorted(names[1:6]) == sorted(["same", *(name for name in names if name.startswith("swapped"))])
    assert names[6:] == ["good0", "good9"], "evenly spaced ones that look good"
    assert "SUSPICIOUS" in rows[1][0] and "SUSPICIOUS" not in rows[7][0]
    soft, sharp = good_pair()
    shown = rows[6][1]
    np.testing.assert_array_equal(shown[0], soft)
    np.testing.assert_array_equal(shown[1], sharp)
    np.testing.assert_array_equal(shown[2], np.clip(128.0 + 2 * (soft.astype(float) - sharp), 0, 255))
    assert len(inspection.sheet_rows(source, report, 1)) == 1
    everything = inspection.sheet_rows(source, report, 100)
    assert sorted(caption.split()[0] for caption, _ in everything) == sorted(source.names)


def test_captions_hold_the_numbers():
    row = {"image": "a/1", "psnr": 23.456, "shift": [1.26, -0.04], "averaging": 2.21, "suspicious": []}
    row |= {"likeness": 1.0, "undone": 1.5, "gain": 1.44, "exponent": 0.46}
    assert inspection.caption(row) == "a/1   23.46 dB   shift (+1.3, -0.0) px   average of value^2.2"
    row |= {"shift": [None, None], "averaging": None, "psnr": math.inf, "suspicious": ["identical", "tones"]}
    first, second = inspection.caption(row).split("\n")
    assert first == "a/1   inf dB   shift unknown" and "identical" in second and "exponent 0.46, gain 1.44" in second
    assert all(inspection.caption({**row, "suspicious": [kind]}) for kind in inspection.KINDS)

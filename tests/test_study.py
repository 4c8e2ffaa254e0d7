"""The user study: what its page gives away, what is read of its participants' files, and the numbers of the summary.

The test in a browser is marked slow. It needs Chromium (Debian: apt-get install chromium) and playwright (pip install
playwright; its own browsers are not needed): make test-slow, or python -m pytest -m slow tests/test_study.py.
"""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tfdeblur import study
from tfdeblur.cli.main import main
from tfdeblur.data.images import write_image
from tfdeblur.errors import DeblurError

SYSTEMS = {"structures_guided": 60, "secret_net": 180}  # and the grey value of all their pictures


def flat(value, size=(20, 30)):
    return np.full((*size, 3), value, np.uint8)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, image)


@pytest.fixture
def folders(tmp_path):
    """(folder of 12 blurred pictures, {system: folder of its results})."""
    names = [f"scene{number:02}" for number in range(12)]
    for name in names:
        save(tmp_path / "in" / f"{name}.png", flat(120))
        for system, value in SYSTEMS.items():
            save(tmp_path / f"of_{system}" / f"{name}.png", flat(value))
    return tmp_path / "in", {system: tmp_path / f"of_{system}" for system in SYSTEMS}


def page_data(path):
    """What the page holds: {"study", "pictures": [{"name", "blurred", "results": {identifier: data URI}}]}."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', path.read_text(encoding="utf-8"))
    return json.loads(found[1])


def picture(uri):
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


# ------------------------------------------------------------------------------------------------------- the page


def test_the_key_tells_whose_results_are_on_the_page(folders, tmp_path):
    page = tmp_path / "made" / "study.html"
    assert study.write_page(*folders, str(page)) == []
    key = study.read_key(tmp_path / "made" / "study_key.json")
    data = page_data(page)
    assert data["study"] == key["study"] and list(key["systems"]) == list(SYSTEMS)
    assert [entry["name"] for entry in data["pictures"]] == [f"scene{number:02}" for number in range(12)]
    seen = set()
    for entry in data["pictures"]:
        assert abs(int(np.array(picture(entry["blurred"]))[5, 5, 0]) - 120) <= 1
        of_picture = [key["results"][identifier] for identifier in entry["results"]]
        assert {told["picture"] for told in of_picture} == {entry["name"]}
        assert sorted(told["system"] for told in of_picture) == sorted(SYSTEMS)
        for (identifier, uri), told in zip(entry["results"].items(), of_picture, strict=True):
            assert abs(int(np.array(picture(uri))[5, 5, 0]) - SYSTEMS[told["system"]]) <= 1
            seen.add(identifier)
    assert len(seen) == 24 == len(key["results"])


def test_the_page_gives_no_system_away(folders, tmp_path):
    blurred, results = folders
    told = Image.Exif()
    told[0x010E] = "made by secret_net"  # ImageDescription
    for path in results["secret_net"].iterdir():
        Image.open(path).save(path.with_suffix(".jpg"), exif=told, quality=60)
        path.unlink()
    page = tmp_path / "study.html"
    study.write_page(blurred, results, str(page))
    text = page.read_text(encoding="utf-8")
    assert not any(name in text for name in ("secret", "structures", "tmp", "of_", ".png", ".jpg"))
    entries = page_data(page)["pictures"]
    assert all(list(entry["results"]) == sorted(entry["results"]) for entry in entries)
    # Neither the place on the page nor the file tells the system.
    key = study.read_key(study.key_path(str(page)))
    assert {key["results"][min(entry["results"])]["system"] for entry in entries} == set(SYSTEMS)
    pictures = [picture(uri) for entry in entries for uri in (entry["blurred"], *entry["results"].values())]
    assert not any(one.getexif() for one in pictures)
    assert all(one.quantization == pictures[0].quantization and one.layer == pictures[0].layer for one in pictures)
    assert [(across, down) for _, across, down, _ in pictures[0].layer] == [(1, 1)] * 3  # 4:4:4


def test_two_pages_share_no_identifier(folders, tmp_path):
    keys = []
    for name in ("a", "b"):
        study.write_page(*folders, str(tmp_path / f"{name}.html"))
        keys.append(study.read_key(tmp_path / f"{name}_key.json"))
    assert keys[0]["study"] != keys[1]["study"] and not keys[0]["results"].keys() & keys[1]["results"].keys()


def test_the_page_may_load_nothing(folders, tmp_path):
    study.write_page(*folders, str(tmp_path / "study.html"))
    text = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:" in text and "http://" not in text and "https://" not in text


def test_large_pictures_are_reduced_by_area_and_small_ones_stay(tmp_path):
    halves = np.zeros((8, 16, 3), np.uint8)
    halves[:, 1::2] = 200  # columns of 0 and 200: their area's mean is 100
    deep = np.full((3, 2), 51400, np.uint16)  # 200 in 8 bits
    for folder in ("in", "out"):
        save(tmp_path / folder / "large.png", halves)
        save(tmp_path / folder / "one.png", flat(7, (1, 1)))
        Image.fromarray(np.full((3, 2, 4), (200, 200, 200, 9), np.uint8)).save(tmp_path / folder / "alpha.png")
        Image.fromarray(np.full((3, 2), 200, np.uint8)).save(tmp_path / folder / "grey.png")
        Image.fromarray(deep).save(tmp_path / folder / "deep.png")
    study.write_page(tmp_path / "in", {"x": tmp_path / "out"}, str(tmp_path / "study.html"), longest_side=8)
    entries = {entry["name"]: entry for entry in page_data(tmp_path / "study.html")["pictures"]}
    for name, size, value in [
        ("large", (8, 4), 100),
        ("one", (1, 1), 7),
        *((name, (2, 3), 200) for name in ("alpha", "grey", "deep")),
    ]:
        for uri in (entries[name]["blurred"], *entries[name]["results"].values()):
            shown = picture(uri)
            assert shown.size == size and shown.mode == "RGB"
            np.testing.assert_allclose(np.array(shown).astype(int), value, atol=2)


def test_a_name_cannot_end_the_data(folders, tmp_path):
    blurred, results = folders
    for folder in (blurred, *results.values()):
        save(folder / "<" / "script>ü.png", flat(1))
    study.write_page(blurred, results, str(tmp_path / "study.html"))
    assert "</script>ü" in [entry["name"] for entry in page_data(tmp_path / "study.html")["pictures"]]


def test_a_count_of_pictures_is_drawn_and_extra_results_are_told(folders, tmp_path):
    blurred, results = folders
    save(results["secret_net"] / "scene03_rgcl.png", flat(1))
    (line,) = study.write_page(blurred, results, str(tmp_path / "study.html"), count=5)
    assert "scene03_rgcl" in line and "secret_net" in line
    names = [entry["name"] for entry in page_data(tmp_path / "study.html")["pictures"]]
    assert len(set(names)) == 5 and len(study.read_key(tmp_path / "study_key.json")["results"]) == 10


def test_what_makes_no_page(folders, tmp_path, monkeypatch):
    blurred, results = folders
    out = str(tmp_path / "study.html")

    def refused(words, out=out, **changed):
        with pytest.raises(DeblurError, match=words):
            study.write_page(blurred, {**results, **changed}, out)
        assert not (tmp_path / "study.html").exists() and not (tmp_path / "study_key.json").exists()

    save(tmp_path / "part" / "scene00.png", flat(1))
    refused("part: no result of scene01, scene02, scene03 and 8 more", more=tmp_path / "part")
    refused("no such folder", more=tmp_path / "nothing")
    shutil.copytree(blurred, tmp_path / "other")
    save(tmp_path / "other" / "scene04.png", flat(1, (20, 31)))
    refused("scene04.png: 31x20 pixels, but .*scene04.png has 30x20", more=tmp_path / "other")
    (tmp_path / "other" / "scene04.png").write_bytes((blurred / "scene04.png").read_bytes()[:60])
    refused("scene04.png: the file is cut off", more=tmp_path / "other")
    refused("1 to 26", **{str(number): blurred for number in range(25)})
    refused("study.html", out=str(tmp_path / "study.png"))
    monkeypatch.setattr(study, "_MOST_BYTES", 5000)
    refused(r"above 0 MB with [1-9] of 12 pictures; take fewer \(--pictures\)")


def test_a_key_is_never_overwritten(folders, tmp_path):
    out = tmp_path / "study.html"
    study.write_page(*folders, str(out))
    before = (tmp_path / "study_key.json").read_bytes(), out.read_bytes()
    with pytest.raises(DeblurError, match="study_key.json: is the key of a study"):
        study.write_page(*folders, str(out))
    assert before == ((tmp_path / "study_key.json").read_bytes(), out.read_bytes())


# ------------------------------------------------------------------------------------------------------- the scores

KEY = {
    "study": "s1",
    "systems": {"structures_guided": "x", "mine|2": "y"},
    "results": {
        "aa": {"picture": "boat", "system": "structures_guided"},
        "ab": {"picture": "boat", "system": "mine|2"},
        "ba": {"picture": "coke", "system": "structures_guided"},
        "bb": {"picture": "coke", "system": "mine|2"},
    },
}
PLACES = {"aa": (1, 1), "ab": (1, 2), "ba": (2, 1), "bb": (2, 2)}
SWAPPED = {"aa": (1, 2), "ab": (1, 1), "ba": (2, 1), "bb": (2, 2)}
# Means of P1, P2, P3: structures_guided 7, 7.5, 8; mine 6, 5, 4.
SCORES = {
    "P1": {"aa": 6, "ab": 7, "ba": 8, "bb": 5},
    "P2": {"aa": 7, "ab": 4, "ba": 8, "bb": 6},
    "P3": {"aa": 9, "ab": 1, "ba": 7, "bb": 7},
}
HEADER = "study,participant,picture,result,score,picture_place,place,time"


def rows(participant, scores, places=PLACES, time="2024-01-01T00:00:00.000Z", number="s1"):
    return [
        f"{number},{participant},{KEY['results'][result]['picture']},{result},{score},"
        f"{places[result][0]},{places[result][1]},{time}"
        for result, score in scores.items()
    ]


@pytest.fixture
def write(tmp_path):
    """Function (name, lines below the header) -> path of the CSV."""

    def write(name, lines, header=HEADER):
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def three(write):
    return [write(f"{participant}.csv", rows(participant, scores)) for participant, scores in SCORES.items()]


def test_the_scores_of_three(three, tmp_path):
    expected = {
        participant: {
            "boat": {"structures_guided": scores["aa"], "mine|2": scores["ab"]},
            "coke": {"structures_guided": scores["ba"], "mine|2": scores["bb"]},
        }
        for participant, scores in SCORES.items()
    }
    assert study.read_scores(three, KEY) == (expected, [], [])
    assert study.read_scores([tmp_path], KEY) == (expected, [], [])  # a folder of them
    assert study.read_scores([*three, three[0]], KEY) == (expected, [], [])  # the same file again


def test_files_that_a_spreadsheet_wrote(write, tmp_path):
    lines = [HEADER, *rows("P1", SCORES["P1"])]
    (tmp_path / "a.csv").write_bytes(("\r\n".join(line.replace(",", ";") for line in lines)).encode("utf-8-sig"))
    (tmp_path / "b.csv").write_text("\n".join('"' + line.replace(",", '","') + '"' for line in lines))
    expected = study.read_scores([write("c.csv", lines[1:])], KEY)
    assert expected[0]["P1"]["boat"] == {"structures_guided": 6, "mine|2": 7}
    assert study.read_scores([tmp_path / "a.csv"], KEY) == expected == study.read_scores([tmp_path / "b.csv"], KEY)


def test_bad_rows_are_left_out_with_their_picture(write):
    lines = rows("P1", SCORES["P1"])
    for bad, words in [
        (lines[1].replace(",7,", ",11,"), "line 3: score '11' is not a whole number from 1 to 10"),
        (lines[1].replace(",7,", ",0,"), "line 3: score '0' is not"),
        (lines[1].replace(",7,", ",6.5,"), "line 3: score '6.5' is not"),
        (lines[1].replace(",7,", ",,"), "line 3: score '' is not"),
        (lines[1].replace("ab", "zz"), "line 3: no result 'zz' in the key"),
        (lines[1].replace("s1", "s2"), "line 3: of another study"),
        (lines[1].replace("P1", " "), "line 3: no participant"),
        ("s1,P1", "line 3: no result '' in the key"),
    ]:
        path = write("bad.csv", [lines[0], bad, *lines[2:]])
        scores, left_out, notes = study.read_scores([path], KEY)
        assert scores == {"P1": {"coke": {"structures_guided": 8, "mine|2": 5}}}
        assert left_out == [f"{path}: left out 1 of 4 rows: {left_out[0].split('rows: ')[1]}", left_out[1]]
        assert words in left_out[0] and left_out[1].endswith("without a score for every result: boat")
        assert notes == ["P1: scored 1 of 2 pictures, which count"]


def test_a_row_that_comes_twice(write):
    lines = rows("P1", SCORES["P1"])
    assert study.read_scores([write("a.csv", [*lines, lines[0]])], KEY)[1] == []
    scores, (line,), _ = study.read_scores([write("a.csv", [*lines, lines[0].replace(",6,", ",9,")])], KEY)
    assert "line 6: a second row for aa; the first counts" in line
    assert scores["P1"]["boat"]["structures_guided"] == 6


def test_files_that_are_none(write, tmp_path, three):
    (tmp_path / "binary.csv").write_bytes(b"\x89PNG\x00picture")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    other = write("other.csv", rows("P9", SCORES["P1"], number="s2"))
    bare = write("bare.csv", [])
    less = write("less.csv", ["s1,P9,aa,5"], header="study,participant,result,score")
    paths = [tmp_path / "binary.csv", tmp_path / "empty.csv", tmp_path / "folder", other, bare, less, "nothing.csv"]
    scores, left_out, notes = study.read_scores([*paths, *three], KEY)
    assert list(scores) == ["P1", "P2", "P3"] and notes == []
    expected = {
        "folder": "no .csv file in this folder",
        "binary.csv": "is no CSV of a study in UTF-8; give the file as the page saved it",
        "empty.csv": "has no column study",
        "other.csv": "is of another study than the key (s2, not s1)",
        "bare.csv": "has no scores",
        "less.csv": "has no column picture_place and place",
        "nothing.csv": "cannot be read (No such file",
    }
    assert len(left_out) == len(expected)
    for line, (name, words) in zip(left_out, expected.items(), strict=True):
        assert name in line and words in line


def test_a_participant_who_saved_twice_counts_once_with_the_later_scores(write):
    early = write("early.csv", rows("P1", {"aa": 1, "ab": 7}))
    late = write("late.csv", rows("P1", SCORES["P1"], time="2024-01-02T00:00:00.000Z"))
    for files in ([early, late], [late, early]):
        scores, left_out, (note,) = study.read_scores(files, KEY)
        assert scores["P1"]["boat"] == {"structures_guided": 6, "mine|2": 7} and len(scores["P1"]) == 2
        assert left_out == [] and "P1 is in" in note and "(1 differ)" in note


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", ",;\t")
def test_what_a_spreadsheet_saved_is_read(encoding, mark, tmp_path):
    lines = "\r\n".join([HEADER, *rows("P1", SCORES["P1"])]).replace(",", mark)
    (tmp_path / "P1.csv").write_bytes(lines.encode(encoding))
    scores, left_out, notes = study.read_scores([tmp_path / "P1.csv"], KEY)
    assert scores["P1"]["boat"] == {"structures_guided": 6, "mine|2": 7} and left_out == notes == []


def test_two_people_with_one_code_are_not_mixed(write):
    first = write("first.csv", rows("P1", SCORES["P1"]))
    second = write("second.csv", rows("P1", SCORES["P3"], SWAPPED))
    scores, (line,), notes = study.read_scores([first, second], KEY)
    assert scores["P1"]["boat"] == {"structures_guided": 6, "mine|2": 7} and notes == []
    assert line.startswith(f"{second}: left out P1, who is in {first} with another order") and "another code" in line


def test_a_broken_key(tmp_path):
    for text, words in [("{", "is no key"), ("[]", "is no key"), ('{"study": "x"}', "is no key"), (None, "cannot be")]:
        if text is not None:
            (tmp_path / "key.json").write_text(text)
        with pytest.raises(DeblurError, match=f"key.json: {words}"):
            study.read_key(tmp_path / "key.json")
        (tmp_path / "key.json").unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------------- the summary


def test_interval_by_hand():
    # Student's t of 2 degrees of freedom at 97.5 %: 4.302653; of 1: 12.706205.
    assert study.interval([6, 7, 8]) == pytest.approx((7, 7 - 4.302653 / 3**0.5, 7 + 4.302653 / 3**0.5), abs=1e-6)
    assert study.interval([4, 6]) == pytest.approx((5, 5 - 12.706205, 5 + 12.706205), abs=1e-5)
    assert study.interval([6, 6, 6]) == (6, 6, 6)
    mean, low, high = study.interval([6])
    assert mean == 6 and np.isnan(low) and np.isnan(high)


def test_the_summary_by_hand(three):
    scores, _, _ = study.read_scores(three, KEY)
    np.testing.assert_array_equal(study.means(scores, KEY["systems"]), [[7, 6], [7.5, 5], [8, 4]])
    lines = study.summary(scores, KEY, ["a file <b>"]).splitlines()
    assert "3 participants, 2 pictures, 2 systems, 12 scores (study s1)." in lines
    # 4.302653 / sqrt(3) = 2.4841 times a standard deviation of 0.5, and of 1
    assert "| structures_guided | 7.50 | 6.26 to 8.74 | above | 7.2 |" in lines
    assert "| mine\\|2 | 5.00 | 2.52 to 7.48 | not told apart |  |" in lines
    assert "| blurred input (fixed) | 5 |  |  | 5 |" in lines
    assert "| Kupyn et al. (DeblurGAN) |  |  |  | 5.4 |" in lines
    assert not any("the structures-guided network" in line for line in lines)
    # differences 1, 2.5, 4: mean 2.5, standard deviation 1.5, half the interval 3.73
    assert "| structures_guided - mine\\|2 | +2.50 | -1.23 to +6.23 | not told apart |" in lines
    assert "| boat | 7.33 | 4.00 | 3 |" in lines and "| coke | 7.67 | 6.00 | 3 |" in lines
    assert lines[-1] == "- a file &lt;b&gt;"


def test_more_pictures_of_the_same_people_do_not_narrow_the_interval():
    # As if the scores were independent, four times as many of them would halve it.
    few = {person: {"1": {"x": 5 + person}} for person in range(3)}
    many = {person: {str(number): {"x": 5 + person} for number in range(4)} for person in range(3)}
    intervals = [study.interval(study.means(scores, ["x"])[:, 0]) for scores in (few, many)]
    assert intervals[0] == intervals[1] == pytest.approx((6, 3.515862, 8.484138), abs=1e-6)


def test_one_participant_and_one_system_have_no_interval_and_no_differences():
    key = {**KEY, "systems": {"mine|2": "y"}}
    text = study.summary({"P1": {"boat": {"mine|2": 3}}}, key)
    assert "| mine\\|2 | 3.00 | one participant: none |  |  |" in text and "## Differences" not in text
    assert "1 participant, 1 picture, 1 system, 1 score (" in text
    with pytest.raises(DeblurError, match="no participant scored"):
        study.summary({}, KEY)


def test_the_published_means_are_those_of_table_2():
    columns = {  # I1 to I5
        "Qi": (6.3, 6.5, 6.9, 6.0, 6.0),
        "Gong": (5.0, 5.2, 5.6, 5.9, 5.0),
        "Nah": (6.8, 6.9, 6.3, 5.5, 6.5),
        "(DeblurGAN)": (5.1, 5.5, 5.3, 5.4, 5.6),
        "Mustaniemi": (5.5, 6.1, 6.3, 5.5, 6.5),
        "v2": (5.4, 5.7, 5.3, 6.5, 5.0),
        "structures-guided": (7.5, 7.7, 7.2, 6.9, 6.8),
    }
    for (name, _), mean in study.PUBLISHED.items():
        (values,) = [values for part, values in columns.items() if part in name]
        assert mean == round(np.mean(values), 1)


# ------------------------------------------------------------------------------------------------------- the command


def test_the_command_makes_a_page_and_summarises_its_scores(folders, tmp_path, capsys):
    blurred, results = folders
    named = [f"{system}={folder}" for system, folder in results.items()]
    argv = ["report", "--study", "--blurred", str(blurred), "--pictures", "2", "--longest_side=10"]
    assert main([*argv, "--results", *named, "--out", str(tmp_path / "study.html")]) == 0
    out = capsys.readouterr().out
    assert "MB, pictures as JPEG of quality 95 and at most 10 pixels" in out and "study_key.json" in out
    data = page_data(tmp_path / "study.html")
    assert picture(data["pictures"][0]["blurred"]).size == (10, 7)
    key = study.read_key(tmp_path / "study_key.json")
    value = {"structures_guided": 8, "secret_net": 2}
    for person in "ab":
        lines = [
            f"{key['study']},{person},-,{identifier},{value[told['system']]},1,1,-"
            for identifier, told in key["results"].items()
        ]
        (tmp_path / f"{person}.csv").write_text("\n".join([HEADER, *lines]))
    files = [str(tmp_path / f"{person}.csv") for person in "ab"]
    argv = ["report", "--study", "--key", str(tmp_path / "study_key.json"), "--scores", *files]
    assert main(argv) == 0
    assert "| structures_guided | 8.00 | 8.00 to 8.00 | above | 7.2 |" in capsys.readouterr().out
    assert main([*argv, "nothing.csv", "--out", str(tmp_path / "summary.md")]) == 1
    said, text = capsys.readouterr(), (tmp_path / "summary.md").read_text()
    assert "tfdeblur: error: nothing.csv: left out" in said.err and "- nothing.csv: left out" in text
    assert "| secret_net | 2.00 | 2.00 to 2.00 | below |  |" in text and "summary.md" in said.out


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--study"], "--study takes --blurred DIR"),
        (["--study", "--blurred", "x", "--results", "a=b"], "--study takes --blurred DIR"),
        (["--study", "--blurred", "x", "--results", "folder", "--out", "s.html"], "--results folder: write NAME=DIR"),
        (["--study", "--blurred", "x", "--results", "a=b", "a=c", "--out", "s.html"], "a=c: this name is taken"),
        (["--study", "--scores", "a.csv"], "takes --key study_key.json"),
        (["--study", "--scores", "a.csv", "--key", "k", "--blurred", "x"], "takes --key study_key.json"),
        (["--study", "--workdir", "x"], "do not go with --study"),
        (["--blurred", "x"], "--blurred goes with --study"),
    ],
)
def test_the_command_says_in_one_line_what_it_wants(argv, words, capsys):
    assert main(["report", *argv]) == 1
    err = capsys.readouterr().err
    assert words in err and len(err.splitlines()) == 1


# ------------------------------------------------------------------------------------------------------- a browser

CHROMIUM = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
CHROMIUM += " --disable-component-update --disable-sync"


@pytest.fixture
def browser(tmp_path):
    """A headless Chromium with a fresh profile, and the list of all addresses that its pages ask for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            tmp_path / "profile", executable_path=chromium, args=CHROMIUM.split(), accept_downloads=True
        )
        context.asked = []
        context.on("request", lambda request: context.asked.append(request.url))
        context.set_default_timeout(20_000)
        yield context
        context.close()


def begin(page, code):
    page.fill("#code", code)
    page.click("text=Begin")


def orders(page):
    """[[identifier as shown] of each picture as shown] of the participant who is here."""
    return page.evaluate("state.order.map(({results}) => results)")


def score_picture(page, key, value):
    """Scores what is shown by mouse, {system: score}."""
    for box in page.locator(".card .scores").all()[1:]:
        identifier = box.locator("input").first.get_attribute("name")
        box.locator("input").nth(value[key["results"][identifier]["system"]] - 1).check()


@pytest.mark.slow
def test_a_study_in_chromium(folders, tmp_path, browser):
    blurred, results = folders
    results = results | {"as_it_was": blurred}
    save(blurred / "scene00.png", flat(120, (900, 1100)))
    for system, value in SYSTEMS.items():
        save(results[system] / "scene00.png", flat(value, (900, 1100)))
    study.write_page(blurred, results, str(tmp_path / "study.html"))
    key = study.read_key(tmp_path / "study_key.json")
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(error))  # playwright cannot take a builtin
    page.set_viewport_size({"width": 1000, "height": 700})
    page.goto((tmp_path / "study.html").as_uri())

    # The first participant: by mouse, with a reload in the middle.
    begin(page, "P1")
    first = orders(page)
    value = {"structures_guided": 8, "secret_net": 3, "as_it_was": 5}
    assert page.locator(".card").first.locator("h2").inner_text().startswith("Blurred input")
    assert page.locator(".card").first.locator("input:checked").get_attribute("value") == "5"
    assert page.locator(".card").first.locator("input:enabled").count() == 0
    page.click("#next")  # refused: nothing is scored
    assert page.locator("#where").inner_text() == "Picture 1 of 12, 0 of 36 scores"
    for _ in range(5):
        score_picture(page, key, value)
        page.click("#next")
    score_picture(page, key, value)
    page.reload()
    assert page.locator("#where").inner_text() == "Picture 6 of 12, 18 of 36 scores" and orders(page) == first
    assert page.locator(".card.scored").count() == 3
    page.click("#back")
    page.locator(".card .scores").nth(1).locator("input").nth(9).check()  # changes the first result's score to 10
    changed = first[4][0]
    for _ in range(7):
        page.click("#next")
        score_picture(page, key, value)
    with page.expect_download() as download:
        page.click("#next")
    assert download.value.suggested_filename == "scores-P1.csv" and page.locator("#thanks").is_visible()
    download.value.save_as(tmp_path / "P1.csv")

    # The second: by keyboard alone; stops after one picture, after a look at full size.
    page.click("#other")
    begin(page, "P2")
    second = orders(page)
    assert second != first and [sorted(results) for results in second] != [sorted(results) for results in first]
    assert {tuple(sorted(results)) for results in second} == {tuple(sorted(results)) for results in first}
    place = next(place for place, (result, *_) in enumerate(second) if key["results"][result]["picture"] == "scene00")
    page.evaluate(f"state.order.unshift(...state.order.splice({place}, 1)); go(0)")  # begins with the large picture
    press = page.keyboard.press
    press("Tab")  # the blurred picture
    press("Enter")
    image = page.locator("#zoom-view img")
    assert image.evaluate("image => [image.width, image.naturalWidth]") == [1100, 1100]
    press("b")
    assert image.get_attribute("alt") == "B"
    press("Space")
    assert image.get_attribute("alt") == "Blurred"
    press("Space")
    assert image.get_attribute("alt") == "B"
    press("Escape")
    assert not page.locator("#zoom").is_visible()
    for digit in "074":
        press("Tab")  # the picture of the result
        press("Tab")  # its scores
        press(digit)
    press("Enter")
    assert page.locator("#where").inner_text() == "Picture 2 of 12, 3 of 36 scores"
    with page.expect_download() as download:
        page.click("#stop")
    download.value.save_as(tmp_path / "P2.csv")

    # A code that was here before finds its scores again.
    page.click("#other")
    begin(page, "P1")
    assert page.locator("#thanks").inner_text() == "Thank you, that is all."

    assert errors == [] and [url for url in browser.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    scores, left_out, notes = study.read_scores([tmp_path / "P1.csv", tmp_path / "P2.csv"], key)
    assert left_out == [] and notes == ["P2: scored 1 of 12 pictures, which count"]
    expected = {f"scene{number:02}": dict(value) for number in range(12)}
    told = key["results"][changed]
    expected[told["picture"]][told["system"]] = 10
    assert scores["P1"] == expected
    by_keys = {key["results"][result]["system"]: score for result, score in zip(second[place], (10, 7, 4), strict=True)}
    assert scores["P2"] == {"scene00": by_keys}
    lines = study.summary(scores, key).splitlines()
    assert "2 participants, 12 pictures, 3 systems, 39 scores" in lines[2]

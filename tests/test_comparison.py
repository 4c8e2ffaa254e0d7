"""The report of several systems: its numbers are those of the runs, its page is whole, and so is what it gathers."""

import base64
import csv
import json
import pathlib
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from tfdeblur import comparison, metrics, runner, systems
from tfdeblur.cli.main import main
from tfdeblur.data.images import read_image
from tfdeblur.errors import DeblurError
from tfdeblur.inference import load

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(trained_run, tmp_path_factory, make_pairs):
    """(folder of a report of two runs of one training, the runs' scores)."""
    folder = tmp_path_factory.mktemp("comparison")
    runs = [folder / "first", folder / "second <b>"]
    for run in runs:
        shutil.copytree(trained_run, run)
    pairs = folder / "pairs"
    make_pairs(pairs, ["a", "b"])
    (folder / "photographs").mkdir()
    shutil.copy(pairs / "blur" / "a.png", folder / "photographs" / "mine.png")
    results = {"data": {"source": "gopro", "pairs": 1111, "pairs_in_full": 1111}, "metrics": {"psnr": 12.5}}
    (runs[0] / "results.json").write_text(json.dumps(results))
    data = ["--blur_dir", str(pairs / "blur"), "--sharp_dir", str(pairs / "sharp"), "--blur_kind", "blur"]
    arguments = [*map(str, runs), "--out", str(folder / "out"), "--photographs", str(folder / "photographs"), *data]
    assert main(["report", *arguments]) == 0
    deblurrer = load(trained_run)
    source = runner.make_source(
        runner.config_of(deblurrer), "test", blur_dir=data[1], sharp_dir=data[3], blur_kind="blur"
    )
    scores, _ = runner.evaluate(deblurrer, source, metrics.get_protocols("psnr,ssim"))
    return folder / "out", scores


def test_each_run_has_its_own_numbers(built):
    folder, scores = built
    (_, header, rows), *_ = comparison.tables((folder / "README.md").read_text())
    assert [row[0] for row in rows] == ["first", "second <b>", "the blurred image"]
    column = header.index("psnr")
    assert (
        rows[0][column:] == rows[1][column:] == [f"{scores['metrics']['psnr']:.2f}", f"{scores['metrics']['ssim']:.4f}"]
    )
    assert rows[2][column] == f"{scores['blurred']['psnr']:.2f}"
    found = json.loads((folder / "results.json").read_text())["first"]
    assert found["parameters"] == int(rows[0][header.index("parameters")].replace(",", "")) > 1000
    assert found["macs"] > 1e8 and found["seconds"] > 0 and found["step"] == 6
    assert 2e8 < found["peak_memory"] < 2e10  # bytes: TensorFlow alone takes more than the first


def test_the_page_needs_nothing_but_itself(built):
    folder, _ = built
    page = (folder / "report.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,)', page) == [] and "http" not in page
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert sorted(map(base64.b64decode, pictures)) == sorted(path.read_bytes() for path in folder.glob("*.jpg"))
    assert len(pictures) == 2 + 1 + 1  # the pairs, the photograph, the loss
    assert "second &lt;b&gt;" in page and "second <b>" not in page


def test_what_evaluate_left_in_a_run_stands_beside_the_papers(built):
    folder, _ = built
    tables = comparison.tables((folder / "README.md").read_text())
    gopro = next(rows for heading, _, rows in tables if heading == "gopro")
    here = {row[0]: row[-1] for row in gopro}
    assert here["madn"] == "first: psnr 12.5000" and here["egnet"] == "not run" and here["DeblurGAN-v2"] == ""


def test_what_was_scored_elsewhere_is_called_as_in_the_published_table(tmp_path):
    system = SimpleNamespace(metadata={"config": {"system": "madn"}})
    data = {
        "a": {"source": "realblur", "config": "j", "blur_kind": "blur", "pairs": 980},
        "b": {"source": "gopro", "blur_kind": "blur_gamma", "pairs": 1111},
        "c": {"source": "gopro", "blur_kind": "blur", "pairs": 1111},
        "part": {"source": "kohler", "pairs": 3, "pairs_in_full": 48},
    }
    for name, what in data.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps({"data": what, "metrics": {"psnr": 30.0}}))
    found = comparison._scored_elsewhere({name: str(tmp_path / name) for name in data}, dict.fromkeys(data, system))
    assert found == {
        ("madn", "realblur/j"): "a: psnr 30.0000",
        ("madn", "gopro"): "b: psnr 30.0000 (blur_gamma); c: psnr 30.0000",
    }
    with open(ROOT / "tfdeblur" / "published.tsv", encoding="utf-8") as file:
        assert {name for _, name in found} <= {line["data"] for line in csv.DictReader(file, delimiter="\t")}


def test_what_would_fail_at_the_end_is_refused_at_the_beginning(trained_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(comparison, "_measure_alone", None)  # not reached
    argv = ["report", str(trained_run), "--out", str(tmp_path / "out")]
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main([*argv, "--photographs", str(tmp_path / "photographs")]) == 1
    assert "cut.png" in capsys.readouterr().err
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "results.json").write_text('{"x": 1}')
    assert main(["report", str(run), "--out", str(tmp_path / "out")]) == 1
    assert "results.json: not what `tfdeblur evaluate --out` writes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_papers_own_tables_are_there_with_all_their_cells(built):
    folder, _ = built
    found = comparison.tables((folder / "README.md").read_text())
    own = comparison.tables((ROOT / "experiments" / "madn" / "README.md").read_text())
    wanted = [(header, rows) for _, header, rows in own if "paper" in str((header, rows)).lower()]
    assert wanted and [pair for pair in wanted if pair not in [(header, rows) for _, header, rows in found]] == []


def test_what_is_said_of_a_papers_table_stands_below_it(built):
    folder, _ = built
    text = (folder / "README.md").read_text()
    assert "\n\nThe paper's protocol: images are" in text  # above the table of the README
    assert "The paper does not say which frames these are.\n" in text  # below it
    markdown = (
        "a\n\n# One\n\nabove [b](c.md)\nit\n\n| h |\n|---|\n| 1 |\n\n{}\n\nfar\n\n```\n# no heading\n\n| x |\n```\n"
    )
    for below, wanted in (("so [much](d.md).", "so much."), ("Run:", ""), ("- a list", "")):
        (found,) = comparison._tables_and_texts(markdown.format(below))
        assert found == ("One", ["h"], [["1"]], ["above b it"], wanted)


def test_each_run_is_shown_beside_the_blurred_pictures_that_it_looked_at(tmp_path, monkeypatch):
    shown = {}
    monkeypatch.setattr(comparison.report, "curves", lambda series, title: shown.setdefault(title, series))
    monkeypatch.setattr(comparison.report, "in_columns", lambda pictures: None)
    document = SimpleNamespace(heading=lambda *_: None, text=lambda text: texts.append(text), picture=lambda *_: None)
    looks = {"a": [(1, 20.0)], "b": [(1, 20.0), (2, 20.0)], "c": [(1, 25.0)]}

    def scalars(run):
        look = looks[pathlib.Path(run).name]
        return {"held_out/psnr": [(step, value + 1) for step, value in look], "held_out/blurred_psnr": look}

    monkeypatch.setattr(comparison.report, "read_scalars", scalars)
    for names, blurred in (
        ("ab", {"blurred": [looks["b"]]}),
        ("abc", {"blurred, a, b": [looks["b"]], "blurred, c": [looks["c"]]}),
    ):
        shown.clear()
        texts = []
        for name in names:
            (tmp_path / name).mkdir(exist_ok=True)
        comparison._training(document, {name: str(tmp_path / name) for name in names})
        series = shown["held-out PSNR"]
        assert {name: run for name, run in series.items() if name not in names} == blurred
        assert ("compare each with its own" in texts[0]) == (names == "abc")


def test_a_long_name_is_shortened_above_its_picture_and_not_cut(tmp_path):
    document = comparison._Document(str(tmp_path), "Title")
    name = "structures_guided_of_a_quarter_of_the_width"
    image = np.zeros((30, 30, 3), np.uint8)
    for number, caption in enumerate((f"{name} 24.40 dB", "x")):
        document.row(f"row_{number}", "caption", [(caption, image), ("sharp", image)])
    # Two places of 200 pixels with 12 around each; what is right of a caption's place stays white.
    long, short = (read_image(str(tmp_path / f"row_{number}.jpg")) for number in range(2))
    assert long.shape == short.shape and long.shape[1] == 2 * 212
    assert long[:20, 204:210].min() > 240 and long[:20, 150:200].min() < 100


def test_tables_keep_empty_cells():
    text = "# Title\n\n| a | b | c |\n|---|---|---|\n| 1 | | 3 |\n| | 5 | |\n\n## Next\n\nno table: a | b\n"
    assert comparison.tables(text) == [("Title", ["a", "b", "c"], [["1", "", "3"], ["", "5", ""]])]


def test_published_numbers_are_those_of_the_systems_and_no_column_mixes_papers():
    with open(ROOT / "tfdeblur" / "published.tsv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    assert len({(line["method"], line["data"], line["metric"], line["paper"]) for line in lines}) == len(lines)
    own = {
        (line["paper"], line["metric"]): line["value"]
        for line in lines
        if line["method"] == line["paper"] and line["data"] == "gopro"
    }
    ensemble = {line["metric"]: line["value"] for line in lines if line["method"] == "egnet_ensemble"}
    assert float(ensemble["psnr"]) == systems.system("egnet_ensemble").PAPER["gopro_psnr"] == 33.0
    for name in ("madn", "improved_deblurgan", "two_way", "structures_guided", "egnet"):
        assert float(own[name, "psnr"]) == systems.system(name).PAPER["gopro_psnr"]
        assert float(own[name, "ssim"]) == systems.system(name).PAPER["gopro_ssim"]
    deblurgan = [
        line["value"]
        for line in lines
        if (line["method"], line["data"], line["metric"]) == ("deblurgan", "gopro", "psnr")
    ]
    assert sorted(deblurgan) == ["25.2363", "26.38", "28.70"]


def test_published_numbers_are_all_those_of_the_papers_tables_over_a_test_set():
    with open(ROOT / "tfdeblur" / "published.tsv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    whole = {"madn": "GoPro", "improved_deblurgan": "GoPro", "two_way": "GoPro|Köhler"}
    whole |= {"structures_guided": "GoPro and Köhler", "egnet": "GoPro and RealBlur"}
    for name, headings in whole.items():
        found = comparison.tables((ROOT / "experiments" / name / "README.md").read_text(encoding="utf-8"))
        rows = [row for heading, _, rows in found if re.match(rf"({headings}) \(", heading) for row in rows]
        # An ablation is not in it.
        cells = [cell for row in rows if "without the lower decoder" not in row[0] for cell in row[1:]]
        printed = [cell for cell in cells if re.fullmatch(r"[\d.]+", cell)]
        listed = [line["value"] for line in lines if line["paper"] == name and line["place"] != "Table 4"]
        listed += [line["value"] for line in lines if line["paper"] == name == "madn"]
        assert sorted(listed) == sorted(printed) != [], name


def test_the_box_is_the_one_with_the_largest_sum(monkeypatch):
    monkeypatch.setattr(comparison, "_CROP", 3)
    values = np.random.default_rng(0).random((7, 9))
    box = comparison._busiest(values)
    sums = {(top, left): values[top : top + 3, left : left + 3].sum() for top in range(5) for left in range(7)}
    assert (box[0].start, box[1].start) == max(sums, key=sums.get) and box[0].stop - box[0].start == 3
    assert comparison._busiest(values[:2, :1]) == (slice(0, 2), slice(0, 1))


def test_two_runs_of_one_name_and_an_export_are_refused(trained_run, exported_run, tmp_path, capsys):
    twin = tmp_path / trained_run.name
    shutil.copytree(trained_run, twin)
    assert main(["report", str(trained_run), str(twin), "--out", str(tmp_path / "out")]) == 1
    assert f"two runs are called {trained_run.name}" in capsys.readouterr().err
    with pytest.raises(DeblurError, match="is an export; name the work directory"):
        comparison.build([str(exported_run)], None, [], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_page_of_departures_is_up_to_date():
    assert (ROOT / "docs" / "departures.md").read_text(encoding="utf-8") == comparison.departures(), (
        "run: tfdeblur report --departures --out docs/departures.md"
    )


def test_departures_are_gathered_from_every_system():
    page = comparison.departures()
    for readme in (ROOT / "tfdeblur" / "systems").glob("*/README.md"):
        for _, header, rows in comparison.tables(readme.read_text(encoding="utf-8")):
            if header[0] == "Point":
                rows = [" | ".join(row) for row in rows]
                assert [row for row in rows if _unlinked(row) not in _unlinked(page)] == [], readme
    assert page.count("\n## ") == len(systems.MODULES) - 1  # the ensemble's stand with EGNet's
    links = re.findall(r"\]\(([^)#]+)#?([^)]*)\)", page)
    assert [path for path, _ in links if not (ROOT / "docs" / path).exists()] == []
    for path, place in links:  # GitHub makes the name of a heading's place of its letters, digits and dashes
        headings = re.findall(r"^#+ (.*)", (ROOT / "docs" / path).read_text(encoding="utf-8"), re.M) if place else []
        names = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert not place or place in names, (path, place)


def _unlinked(text):
    return re.sub(r"\]\([^)]*\)", "]", text)

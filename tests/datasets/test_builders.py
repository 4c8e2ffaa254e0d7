"""The TFDS builders on dummy data: what they store, what they refuse, and `tfds build` itself."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tests.datasets import dummy
from tests.datasets.dummy import ROOT, builder_class
from tfdeblur.data import layouts
from tfdeblur.errors import DeblurError


def build(name, manual_dir, data_dir, config=None):
    builder = builder_class(name)(data_dir=data_dir, config=config)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def examples(builder, encoded, split="test"):
    """{key: example}, the images decoded or as they are stored."""
    images = [name for name in ("blurred", "sharp") if name in builder.info.features]
    decoders = {name: tfds.decode.SkipDecoding() for name in images} if encoded else None
    dataset = tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders))
    return {example["key"].decode(): example for example in dataset}


def encoded(image, kind="png"):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_the_files_own_bytes_are_stored_and_decode_to_three_channels(tmp_path):
    tree = dummy.lai()
    odd = {
        "manmade_01_kernel_01": (dummy.png(200, mode="L"), 200),
        "manmade_01_kernel_02": (dummy.png(0xC8FF, mode="I;16"), 0xC8),
        "manmade_01_kernel_03": (encoded(Image.new("RGBA", (2, 2), (200, 200, 200, 9))), 200),
        "manmade_01_kernel_04": (encoded(Image.new("RGB", (2, 2), (200, 200, 200)).quantize(4)), 200),
    }
    for key, (data, _) in odd.items():
        tree[f"synthetic_dataset/uniform/{key}.png"] = data
    tree["synthetic_dataset/ground_truth/manmade_01.png"] = dummy.png(99, size=(4, 3))  # larger than the blurred
    builder = build("lai", dummy.write(tree, tmp_path / "in"), tmp_path / "out", "uniform")
    stored, decoded = examples(builder, encoded=True), examples(builder, encoded=False)
    assert len(stored) == 100
    for key, (data, value) in odd.items():
        assert stored[key]["blurred"] == data
        np.testing.assert_array_equal(decoded[key]["blurred"], np.full((2, 2, 3), value, np.uint8))
        np.testing.assert_array_equal(decoded[key]["sharp"], np.full((4, 3, 3), 99, np.uint8))
    assert stored["text_05_kernel_04"]["sharp"] == dummy.SHARP


def test_lai_real_has_no_truth(tmp_path):
    tree = dummy.lai()
    builder = build("lai", dummy.write_zip(tree, tmp_path / "lai.zip"), tmp_path / "out", "real")
    stored = examples(builder, encoded=True)
    assert stored.keys() == set(layouts._LAI_REAL_NAMES)
    assert stored["Pantheon"].keys() == {"key", "blurred"}
    assert stored["Pantheon"]["blurred"] == tree["real_dataset/Pantheon.jpg"]
    assert builder.info.supervised_keys is None


def test_kohler_stores_every_frame_in_its_order(tmp_path):
    tree = dummy.kohler()
    frames = {number: dummy.png(number, size=(1, 1)) for number in range(1, 201)}
    for number, data in frames.items():
        tree[f"Image2/Kernel11/GroundTruth2_11_{number}.png"] = data
    stored = examples(build("kohler", dummy.write_zip(tree, tmp_path / "all.zip"), tmp_path / "out"), encoded=True)
    assert list(stored["Blurry2_11"]["sharp"]) == [frames[number] for number in range(1, 201)]
    assert len(stored["Blurry1_10"]["sharp"]) == 198 and len(stored["Blurry1_1"]["sharp"]) == 199


def test_what_is_wrong_is_said_and_nothing_is_built(tmp_path):
    tree = dummy.hide()
    del tree["HIDE_dataset/GT/7fromGOPR1007.png"]
    with pytest.raises(DeblurError, match="found 2025 blurred, 2024 sharp; 2025 expected; .* for 7fromGOPR1007"):
        build("hide", dummy.write(tree, tmp_path / "in"), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.tfrecord*"))


def test_a_file_that_was_cut_off_is_named(tmp_path):
    tree = dummy.lai()
    tree["synthetic_dataset/uniform/text_03_kernel_02.png"] = dummy.BLURRED[:-10]
    with pytest.raises(DeblurError, match="text_03_kernel_02.png: the file is cut off"):
        build("lai", dummy.write(tree, tmp_path / "in"), tmp_path / "out", "uniform")


@pytest.mark.parametrize("name", layouts.DATASETS)
def test_the_folder_has_what_tfds_expects_of_one(name, tmp_path):
    builder = builder_class(name)(data_dir=tmp_path)
    folder = ROOT / "datasets" / name
    known = layouts.DATASETS[name]
    assert builder.code_path == folder / f"{name}_dataset_builder.py"
    assert builder.name == name and str(builder.version) == "1.0.0"
    assert builder.info.description == (folder / "README.md").read_text(encoding="utf-8").strip()
    assert builder.info.citation.startswith("@inproceedings{")
    assert set(builder.get_metadata().tags) <= set(tfds.core.dataset_metadata.valid_tags())
    assert builder.info.homepage == known.homepage
    assert tuple(builder.builder_configs) == (known.configs if len(known.configs) > 1 else ())
    assert builder.MANUAL_DOWNLOAD_INSTRUCTIONS.count("http") + known.instructions.count("github.com") >= 2
    for count in known.split_counts.values():  # the prose says the numbers that the code checks
        assert str(count) in builder.info.description


# The command line of TFDS imports Apache Beam and mlcroissant for other commands than `build`. Both are large and
# pin other versions of much: where they are not installed, empty modules take their place.
TFDS = """
import importlib.util, sys, types
for name in ("apache_beam", "mlcroissant"):
    if importlib.util.find_spec(name) is None:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__getattr__ = lambda attribute: type(attribute, (), {})
from tensorflow_datasets.scripts.cli.main import launch_cli
launch_cli()
"""


@pytest.mark.slow
def test_tfds_build_in_the_folder(tmp_path):
    archive = dummy.write_zip(dummy.lai(), tmp_path / "lai.zip")

    def tfds_build(*arguments):
        return subprocess.run(
            [sys.executable, "-c", TFDS, "build", *map(str, arguments)],
            cwd=ROOT / "datasets" / "lai",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )

    done = tfds_build("--manual_dir", archive, "--config", "nonuniform", "--data_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "'test': <SplitInfo num_examples=100" in done.stdout
    builder = tfds.builder_from_directory(tmp_path / "out" / "lai" / "nonuniform" / "1.0.0")
    assert "manmade_01_gyro_01" in examples(builder, encoded=False)

    (tmp_path / "empty").mkdir()
    done = tfds_build("--manual_dir", tmp_path / "empty", "--data_dir", tmp_path / "out2")
    assert done.returncode != 0 and "https://www.wslai.net/publications/deblur_study/" in done.stderr
    (tmp_path / "empty" / "unrelated.txt").write_text("x")
    done = tfds_build("--manual_dir", tmp_path / "empty", "--data_dir", tmp_path / "out2")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"tfdeblur.errors.DeblurError: {tmp_path / 'empty'}: lai/real: nothing found")

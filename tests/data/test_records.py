"""Pairs out of TFDS's record files, which a small builder of the test's own writes."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from tfdeblur.data import records
from tfdeblur.errors import DeblurError


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def picture(seed, contrast=255):
    return np.random.default_rng(seed).integers(0, contrast, (8, 9, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data folder with tiny/pairs and tiny/many (two truths), five examples each, and plain (no pairs)."""
    import tensorflow_datasets as tfds

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("blur", "blur_gamma", "plain")]

        def _info(self):
            image = tfds.features.Image(shape=(None, None, 3))
            several = tfds.features.Sequence(image)
            features = {"blurred": image, "sharp": several if self.builder_config.name == "blur_gamma" else image}
            features["key"] = tfds.features.Text()
            if self.builder_config.name == "plain":
                del features["sharp"]
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, manager):
            return {"test": self._generate_examples()}

        def _generate_examples(self):
            for n in range(5):
                example = {"blurred": png(picture(n, 99)), "key": f"s/{n}"}
                if self.builder_config.name == "blur":
                    example["sharp"] = png(picture(n))
                if self.builder_config.name == "blur_gamma":
                    example["sharp"] = [png(picture(n)), png(picture(n + 100))]
                yield example["key"], example

    folder = tmp_path_factory.mktemp("tfds")
    for config in ("blur", "blur_gamma", "plain"):
        Tiny(data_dir=str(folder), config=config).download_and_prepare()
    return folder / "tiny"


def error_of(function, *arguments):
    with pytest.raises(DeblurError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pairs_are_found_by_key_whatever_their_order_on_disk(built):
    source = records.open_records(built / "blur", "test")
    assert source.names == tuple(f"s/{n}" for n in range(5))
    for n in (3, 0, 4, 0):
        blurred, sharp = source.pair(n)
        np.testing.assert_array_equal(blurred, picture(n, 99))
        np.testing.assert_array_equal(sharp, picture(n))
    assert source.check(crop=8) == [(8, 9)] * 5
    assert json.loads(json.dumps(source.stamp(1))) == source.stamp(1) != source.stamp(2)
    assert source.description["source"] == "tiny" and source.description["blur_kind"] == "blur"


def test_all_truths_are_read(built):
    source = records.open_records(built / "blur_gamma", "test")
    assert source.image_count(2) == 3
    np.testing.assert_array_equal([*source.truths(2)], [picture(2), picture(102)])


def test_the_kind_of_blur_chooses_between_neighbours(built):
    assert records.open_records(built, "test", "blur_gamma").description["blur_kind"] == "blur_gamma"
    message = error_of(records.open_records, built, "test")
    assert "tiny" in message and "blur/1.0.0, blur_gamma/1.0.0, plain/1.0.0" in message


def test_what_is_not_there_is_one_line(built, tmp_path):
    assert records.built_datasets(tmp_path) == []
    assert "found none" in error_of(records.open_records, tmp_path, "test")
    assert "no split train, but test" in error_of(records.open_records, built / "blur", "train")
    assert "holds blurred, key; pairs have" in error_of(records.open_records, built / "plain", "test")


def test_a_record_file_that_was_cut_off_is_named(built, tmp_path):
    import shutil

    shutil.copytree(built / "blur", tmp_path / "blur")
    (path,) = tmp_path.rglob("*.tfrecord*")
    path.write_bytes(path.read_bytes()[:-30])
    message = error_of(records.open_records, tmp_path, "test")
    assert path.name in message and "cut off" in message

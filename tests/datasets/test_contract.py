"""TFDS's own test of a builder on each of ours: registration, tags, exact counts, reading, reloading."""

import pathlib
import shutil
import tempfile

import pytest
import tensorflow_datasets as tfds

from tests.datasets import dummy

pytest.importorskip("dill", reason="tensorflow_datasets.testing imports it")


class BuilderCase(tfds.testing.DatasetBuilderTestCase):
    """The dummy data lie in no repository, but are made before the tests, with the real names and counts."""

    __test__ = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.EXAMPLE_DIR = pathlib.Path(tempfile.mkdtemp())
        cls.lay_down(cls.EXAMPLE_DIR)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.EXAMPLE_DIR)
        super().tearDownClass()


class TestGopro(BuilderCase):
    __test__ = True
    DATASET_CLASS = dummy.builder_class("gopro")
    SPLITS = {"train": 2103, "test": 1111}

    @staticmethod
    def lay_down(folder):
        dummy.write_zip(dummy.gopro(), folder / "GOPRO_Large.zip")


class TestKohler(BuilderCase):
    __test__ = True
    DATASET_CLASS = dummy.builder_class("kohler")
    SPLITS = {"test": 48}

    @staticmethod
    def lay_down(folder):
        dummy.write(dummy.kohler(), folder)


class TestLai(BuilderCase):
    __test__ = True
    DATASET_CLASS = dummy.builder_class("lai")
    SPLITS = {"test": 100}

    @staticmethod
    def lay_down(folder):
        dummy.write(dummy.lai(), folder)


@pytest.mark.slow  # 4738 pairs, written and read back in both configurations
class TestRealblur(BuilderCase):
    __test__ = True
    DATASET_CLASS = dummy.builder_class("realblur")
    SPLITS = {"train": 3758, "test": 980}

    @staticmethod
    def lay_down(folder):
        dummy.write_tar(dummy.realblur(), folder / "RealBlur.tar.gz")


class TestHide(BuilderCase):
    __test__ = True
    DATASET_CLASS = dummy.builder_class("hide")
    SPLITS = {"test": 2025}

    @staticmethod
    def lay_down(folder):
        dummy.write(dummy.hide(), folder)

"""GoPro: blurred and sharp video frames. See README.md."""

import pathlib
import sys

import tensorflow_datasets as tfds  # imports TensorFlow on its first use only

from tfdeblur.data import layouts

if "tensorflow" not in sys.modules:  # `tfds build` has it already, and needs no Keras
    import tfdeblur.compat  # noqa: F401  selects Keras 2 for what comes after

DATASET = layouts.DATASETS["gopro"]


class Builder(tfds.core.GeneratorBasedBuilder):
    """GOPRO_Large; the config is the folder of blurred images, "blur" or "blur_gamma"."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = DATASET.instructions
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name, description=description)
        for name, description in DATASET.config_descriptions.items()
    ]
    # TFDS would look for README.md and the rest in tfdeblur/datasets, where an editable install has nothing.
    code_path = pathlib.Path(__file__)
    pkg_dir_path = code_path.parent

    def _info(self):
        features = {
            "key": tfds.features.Text(),
            "blurred": tfds.features.Image(),
            "sharp": tfds.features.Image(),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("blurred", "sharp"),
            homepage=DATASET.homepage,
        )

    def _split_generators(self, dl_manager):
        try:
            manual_dir = dl_manager.manual_dir
        except NotADirectoryError as error:  # TFDS lists it; an archive is fine here
            manual_dir = error.filename
        found = layouts.examples("gopro", self.builder_config.name, manual_dir)
        return {split: self._generate_examples(examples) for split, examples in found.items()}

    def _generate_examples(self, examples):
        for example in examples:
            blurred, (sharp,) = example.encoded()
            yield example.key, {"key": example.key, "blurred": blurred, "sharp": sharp}

"""Set-up that all tests share, and the small configurations, pairs and runs that they start from."""

import contextlib
import importlib.util
import pathlib
import sys

import numpy as np
import pytest

pytest.register_assert_rewrite("tests.contracts")  # before its first import, for readable failures

from tfdeblur.compat import tf  # noqa: E402
from tfdeblur.data.images import write_image  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]

# A MirroredStrategy needs two devices, and they can only be made before TensorFlow's first operation.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@contextlib.contextmanager
def same_process_state():
    """What a training or a test sets for the whole process is as before afterwards."""
    policy = tf.keras.mixed_precision.global_policy()
    yield
    tf.keras.mixed_precision.set_global_policy(policy)
    # `config.deterministic` switches it on; TensorFlow has no public way to switch it off again, and with it on
    # every op without a seed in the tests that follow would raise.
    sys.modules["tensorflow.python.framework.config"].disable_op_determinism()


@pytest.fixture(autouse=True)
def isolated():
    tf.keras.utils.set_random_seed(0)  # weights do not depend on which tests ran before
    with same_process_state():
        yield


def load_experiment(name):
    """The configuration of experiments/<name>.py, loaded by path as the command line does."""
    path = ROOT / "experiments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"experiment_{name.replace('/', '_')}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


@pytest.fixture(scope="session")
def tiny_madn():
    """Function of keyword overrides: experiments/madn/gopro.py shrunk until a step takes milliseconds."""

    def make(**overrides):
        config = load_experiment("madn/gopro")
        config.update(
            widths=(4, 6, 8),
            num_res_blocks=1,
            discriminator_widths=(4, 4, 4, 4, 4),
            discriminator_dense_units=8,
            crop=32,
            batch_size=2,
            shake_length=(3.0, 9.0),
            steps=6,
            checkpoint_every=3,
            log_every=2,
            image_every=6,
        )
        config.update(overrides)
        return config

    return make


@pytest.fixture
def tiny_config(tiny_madn):
    """A fresh tiny configuration of madn."""
    return tiny_madn()


def write_pairs(folder, names, size=(40, 48)):
    """Writes <folder>/blur/<name>.png and <folder>/sharp/<name>.png; returns {name: (blurred, sharp)}."""
    pairs = {}
    for seed, name in enumerate(names):
        sharp = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        blurred = np.mean([np.roll(sharp, shift, axis=1) for shift in range(-2, 3)], axis=0).astype(np.uint8)
        pairs[name] = (blurred, sharp)
        for kind, image in (("blur", blurred), ("sharp", sharp)):
            path = folder / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, image)
    return pairs


@pytest.fixture(scope="session")
def make_pairs():
    """The function `write_pairs`."""
    return write_pairs


@pytest.fixture
def pair_folders(tmp_path):
    """(blur folder, sharp folder) with three pairs of 48x40 noise and its horizontal mean."""
    write_pairs(tmp_path, ["a", "b", "c"])
    return tmp_path / "blur", tmp_path / "sharp"


@pytest.fixture(scope="session")
def deterministic_madn(tiny_madn):
    """The configuration of `trained_run`: without residual blocks, which take most of the time to trace."""
    return tiny_madn(deterministic=True, num_res_blocks=0)


@pytest.fixture(scope="session")
def trained_run(deterministic_madn, tmp_path_factory):
    """A work directory of 6 uninterrupted steps of `deterministic_madn` on the embedded photographs, in float32.

    The decoded photographs lie in `../cache`. Not to be written to: copy what is to be damaged.
    """
    from tfdeblur import runner

    folder = tmp_path_factory.mktemp("trained")
    with same_process_state():
        source = runner.make_source(deterministic_madn, "train")
        runner.train(deterministic_madn, str(folder / "run"), source, "float32", cache_dir=str(folder / "cache"))
    return folder / "run"


@pytest.fixture(scope="session")
def exported_run(trained_run):
    """The SavedModel of `trained_run`. Not to be written to: copy what is to be damaged."""
    import tfdeblur
    from tfdeblur.export import export_saved_model

    export_saved_model(tfdeblur.load(trained_run), trained_run.parent / "export")
    return trained_run.parent / "export"

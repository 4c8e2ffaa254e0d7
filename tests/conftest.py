"""Set-up that all tests share, and the small configurations, pairs and runs that they start from."""

import contextlib
import gc
import importlib.util
import pathlib
import sys
import types

import numpy as np
import pytest

pytest.register_assert_rewrite("tests.contracts")  # before its first import, for readable failures

import tfdeblur  # noqa: E402
from tfdeblur import runner, systems  # noqa: E402
from tfdeblur.compat import tf  # noqa: E402
from tfdeblur.data.images import write_image  # noqa: E402
from tfdeblur.export import export_saved_model  # noqa: E402
from tfdeblur.training.gan import GanTrainer  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The command line's quickest training, where any system does; --workdir and DATA are to be added.
QUICK_TRAINING = ["train", "--config", "two_way/smoke", "--config.steps=2", "--config.widths=(3,4,5)"]

# A graph is made of so many objects that an eighth of the time would go into looking for garbage among them.
gc.set_threshold(50_000, 20, 20)

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


def load_experiment(name, *variant):
    """The configuration of experiments/<name>.py (and its variant), loaded by path as the command line does."""
    path = ROOT / "experiments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"experiment_{name.replace('/', '_')}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*variant)


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


class ToyGenerator(tf.keras.Model):
    """Two convolutions with a residual, in the style of the systems: traced and trained in a moment."""

    size_multiple = 4

    def __init__(self):
        super().__init__(name="toy", autocast=False)
        self.conv1 = tf.keras.layers.Conv2D(4, 3, padding="same", activation="relu")
        self.conv2 = tf.keras.layers.Conv2D(3, 3, padding="same", dtype="float32")

    def call(self, x):
        return {"restored": x + self.conv2(self.conv1(x))}


def toy_generator():
    """A ToyGenerator with its weights made."""
    net = ToyGenerator()
    net(tf.zeros([1, 8, 8, 3]))
    return net


class ToyCritic(tf.keras.Model):
    """A convolution, the mean, and one logit."""

    def __init__(self):
        super().__init__(name="toy_critic")
        self.conv = tf.keras.layers.Conv2D(4, 3, 2, activation="relu")
        self.dense = tf.keras.layers.Dense(1, dtype="float32")

    def call(self, x):
        return self.dense(tf.reduce_mean(self.conv(x), axis=(1, 2)))


class ToyObjective:
    """Squared error times `content`, and a critic that wants real images above restored ones."""

    def __init__(self, content=1.0):
        self.content = content

    def losses(self, outputs, batch, discriminator):
        error = tf.reduce_mean((outputs["restored"] - batch["sharp"]) ** 2, axis=(1, 2, 3))
        generator, critic = {"content": self.content * error}, {}
        if discriminator is not None:
            fake, real = discriminator(outputs["restored"])[:, 0], discriminator(batch["sharp"])[:, 0]
            generator["adversarial"] = 0.1 * tf.nn.softplus(-fake)
            critic["realness"] = tf.nn.softplus(-real) + tf.nn.softplus(fake)
        return generator, critic


@pytest.fixture(scope="session")
def toy_trainer():
    """Function -> a GanTrainer of two small networks, with the same weights every time."""

    def make(batch_size=2, critic=True, content=1.0, learning_rate=1e-2, objective=None):
        tf.keras.utils.set_random_seed(5)
        networks = [ToyGenerator(), ToyCritic() if critic else None]
        for network in networks:
            if network is not None:
                network(tf.zeros([1, 8, 8, 3]))
        adams = [tf.keras.optimizers.Adam(learning_rate, epsilon=1e-8, jit_compile=False) for _ in networks]
        return GanTrainer(
            generator=networks[0],
            discriminator=networks[1],
            objective=objective or ToyObjective(content),
            generator_optimizer=adams[0],
            discriminator_optimizer=adams[1],
            global_batch_size=batch_size,
            clip_mode="norm",
        )

    return make


@pytest.fixture
def toy_config(toy_trainer, tiny_madn, monkeypatch):
    """The configuration of a system "toy", known to the runner while the test runs."""
    module = types.ModuleType("toy_system")
    module.SETTINGS, module.TARGETS = (), {"scales": 1, "gradient": False}
    module.make_trainer = lambda config: toy_trainer(config.batch_size)
    module.build_from = lambda config: toy_generator()
    module.samples_per_step = lambda config: config.batch_size
    monkeypatch.setitem(sys.modules, "toy_system", module)
    monkeypatch.setitem(systems.MODULES, "toy", "toy_system")
    config = tiny_madn(system="toy")
    for key in set(config) - set(runner.SETTINGS):
        del config[key]
    return config


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
    """The configuration of `trained_run`: less to trace, but two players and all three scales."""
    return tiny_madn(deterministic=True, num_res_blocks=0, use_adv=False)


@pytest.fixture(scope="session")
def trained_run(deterministic_madn, tmp_path_factory):
    """A work directory of 6 uninterrupted steps of `deterministic_madn` on the embedded photographs, in float32.

    The decoded photographs lie in `../cache`. Not to be written to: copy what is to be damaged.
    """
    folder = tmp_path_factory.mktemp("trained")
    with same_process_state():
        source = runner.make_source(deterministic_madn, "train")
        runner.train(deterministic_madn, str(folder / "run"), source, "float32", cache_dir=str(folder / "cache"))
    return folder / "run"


@pytest.fixture(scope="session")
def exported_run(trained_run):
    """The SavedModel of `trained_run`. Not to be written to: copy what is to be damaged."""
    export_saved_model(tfdeblur.load(trained_run), trained_run.parent / "export")
    return trained_run.parent / "export"


@pytest.fixture(scope="session")
def two_cpus():
    """One MirroredStrategy for the whole session: a second one would use the first one's collective keys again."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

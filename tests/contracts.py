"""What every system has to keep, in one place: a system's test names its numbers and inherits the checks.

class TestMadn(SystemContract):
    system = "madn"
    ...
"""

import functools
import inspect
import json

import numpy as np
import pytest

import tfdeblur
from tfdeblur import metrics, systems
from tfdeblur.compat import PRECISIONS, precision, tf
from tfdeblur.data import photographs, shake, sources
from tfdeblur.data.images import write_image
from tfdeblur.data.pipeline import batches
from tfdeblur.data.store import open_store
from tfdeblur.export import export_saved_model
from tfdeblur.inference import Deblurrer
from tfdeblur.training import loop
from tfdeblur.training.checkpoints import Checkpoints
from tfdeblur.training.supervised import prepare


def by_speed(policies):
    """Values to parametrize with: float16, for which processors have no arithmetic, is among the slow ones."""
    return [
        pytest.param(policy, marks=pytest.mark.slow) if policy == "mixed_float16" else policy for policy in policies
    ]


class SystemContract:
    """Checks any network and system.

    Attributes:
      system: its name in SYSTEMS.
      parameters: part -> exact number with the paper's defaults; "generator" among them.
      arguments: of the network's class, for a small network; every one of them, and none at its default.
      outputs: name of each output -> how many times it is smaller than the input.
      overfit: fields of the configuration with which the network learns one pair in a minute.
      overfit_steps: how many.
      clips_itself: whether the network's own last operation is a clip to the range.
      idle: how the names of weights end on which no loss depends.
      search_steps: how many steps float16 spends on lowering its loss scale, which starts at 32,768.
      small_config: a fixture of scope "class" (to be overridden): the configuration of a small network.
    """

    system = None
    parameters = {}
    arguments = {}
    outputs = {"restored": 1}
    overfit = {}
    overfit_steps = 100
    clips_itself = False
    idle = ("a name that no weight has",)
    search_steps = 0

    @pytest.fixture(scope="class")
    @classmethod
    def small_config(cls):
        raise NotImplementedError

    # ------------------------------------------------------------------------------------- networks

    def small_network(self):
        """A small network whose outputs are lively: also layers that start at zero are away from it."""
        net = systems.build(self.system, **self.arguments)
        rng = np.random.default_rng(1)
        net.set_weights([w + rng.normal(0, 0.1, w.shape).astype(w.dtype) for w in net.get_weights()])
        return net

    def test_arguments_are_all_tried_away_from_their_defaults(self):
        defaults = inspect.signature(type(self.small_network())).parameters.values()
        defaults = {p.name: p.default for p in defaults if p.kind is not p.VAR_KEYWORD}
        assert defaults.keys() == self.arguments.keys()
        assert not [name for name, value in self.arguments.items() if value == defaults[name]]

    def test_config_round_trip_keeps_the_function(self):
        net = self.small_network()
        config = json.loads(json.dumps(net.get_config()))  # as in a file
        clone = type(net).from_config(config)
        images = random_images(2, 2 * net.size_multiple, net.size_multiple)
        clone(images)
        clone.set_weights(net.get_weights())
        expected, actual = net(images), clone(images)
        assert expected.keys() == actual.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(actual[name], value, err_msg=name)

    def test_layers_survive_their_config(self, small_config):
        trainer = systems.system(self.system).make_trainer(small_config)
        layers = [part for part in trainer.submodules if isinstance(part, tf.keras.layers.Layer)]
        assert len(layers) > 3
        for layer in layers:
            config = layer.get_config()
            assert type(layer).from_config(config).get_config() == config, layer.name
            # A key that was forgotten is one that the config of another value does not show either.
            arguments = inspect.signature(type(layer)).parameters.values()
            arguments = {p.name for p in arguments if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
            if type(layer).__module__.startswith("tfdeblur"):
                assert arguments <= config.keys(), layer.name

    def test_parameter_counts_with_the_papers_defaults(self):
        system = systems.system(self.system)
        net = systems.build(self.system)
        counts = {"generator": net.count_params(), **system.discriminator_parameters()}
        counts |= {part: layer.count_params() for part, layer in system.parts(net).items()}
        assert counts == self.parameters
        assert sum(int(np.prod(w.shape)) for w in net.trainable_variables) == self.parameters["generator"]

    @pytest.mark.parametrize("policy", PRECISIONS)
    def test_outputs_are_float32_of_the_promised_sizes(self, policy):
        with precision(policy):
            net = self.small_network()
        m = net.size_multiple
        for height, width in ((m, m), (2 * m, 3 * m)):
            outputs = net(random_images(2, height, width))
            assert {name: (value.dtype, tuple(value.shape)) for name, value in outputs.items()} == {
                name: (tf.float32, (2, height // factor, width // factor, 3)) for name, factor in self.outputs.items()
            }

    def test_any_size_is_restored_mirrored_and_cropped_back(self):
        net = self.small_network()
        deblurrer = Deblurrer.of_network(net)
        # In a graph, too: of a flat image an instance norm enlarges the last digits, in which kernels differ.
        run = tf.function(net, input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)])
        clipped = 0
        for height, width in ((1, 1), (1, 17), (17, 1), (16, 16), (33, 50)):
            image = random_images(1, height, width)[0]
            restored = deblurrer.restore(image)
            # The slow reference: NumPy mirrors without repeating the border, any number of times.
            bottom, right = -height % net.size_multiple, -width % net.size_multiple
            padded = np.pad(image, [(0, bottom), (0, right), (0, 0)], mode="reflect")
            expected = run(padded[None])["restored"].numpy()[0, :height, :width]
            clipped += np.count_nonzero((expected < 0) | (expected > 1))
            np.testing.assert_allclose(restored, np.clip(expected, 0, 1), atol=2e-5)
            assert (restored.shape, restored.dtype) == (image.shape, np.float32)

            levels = np.rint(image * 255).astype(np.uint8)
            restored = deblurrer.restore(levels)
            assert (restored.shape, restored.dtype) == (image.shape, np.uint8)
            expected = 255 * deblurrer.restore(levels.astype(np.float32) / 255)
            np.testing.assert_array_equal(restored, np.rint(expected))
        assert clipped or self.clips_itself, "nothing was out of the range, so clipping was not tried"

    def test_the_same_image_gives_the_same_result_in_a_batch_and_padded_by_hand(self):
        net = self.small_network()
        images = random_images(3, net.size_multiple, net.size_multiple)
        together = net(images)["restored"].numpy()
        for image, expected in zip(images, together, strict=True):
            np.testing.assert_allclose(net(image[None])["restored"][0], expected, atol=2e-5)

    # ------------------------------------------------------------------------------------- save and load

    @pytest.mark.slow
    def test_checkpoint_and_export_restore_as_the_trained_network_does(self, small_config, tmp_path):
        trainer = systems.system(self.system).make_trainer(small_config)
        # Other weights than a fresh build would have.
        trainer.generator.set_weights([w + 0.05 for w in trainer.generator.get_weights()])
        prefix = checkpoints_of(trainer, small_config, tmp_path / "run").save()
        image = random_images(1, 21, 35)[0]
        expected = Deblurrer.of_network(trainer.generator).restore(image)

        from_run = tfdeblur.load(tmp_path / "run")
        np.testing.assert_array_equal(from_run.restore(image), expected)
        assert from_run.metadata["config"]["system"] == self.system
        by_prefix = tfdeblur.load(prefix).net
        for weight, same in zip(trainer.generator.get_weights(), by_prefix.get_weights(), strict=True):
            np.testing.assert_array_equal(same, weight)

        export_saved_model(from_run, tmp_path / "export")
        exported = tfdeblur.load(tmp_path / "export")
        np.testing.assert_array_equal(exported.restore(image), expected)
        assert exported.metadata == from_run.metadata

    # ------------------------------------------------------------------------------------- training

    @pytest.fixture(scope="class")
    @classmethod
    def two_steps(cls, small_config):
        """Function of a policy -> ([logs of two training steps], trainer, weights before); one run for each."""

        @functools.cache
        def run(policy):
            tf.keras.utils.set_random_seed(3)
            with precision(policy):
                trainer = systems.system(cls.system).make_trainer(small_config)
            before = trainer.get_weights()
            batch = noise_batch(cls.system, small_config)
            steps = 2 + (cls.search_steps if policy == "mixed_float16" else 0)
            return [trainer.train_step(batch) for _ in range(steps)], trainer, before

        return run

    @pytest.mark.parametrize("policy", by_speed(PRECISIONS))
    def test_two_training_steps_in_every_precision(self, policy, two_steps):
        logs, trainer, before = two_steps(policy)
        assert int(trainer.step) == len(logs)
        assert trainer.generator.compute_dtype == policy.removeprefix("mixed_")
        assert {variable.dtype for variable in trainer.trainable_variables} == {tf.float32}
        for step in logs:
            for name, value in step.items():
                assert value.dtype == tf.float32, name
                assert np.isfinite(value), name
        moved = [np.any(a != b) for a, b in zip(before, trainer.get_weights(), strict=True)]
        frozen = {id(weight) for weight in trainer.generator.non_trainable_weights}
        still = [w for w, changed in zip(trainer.weights, moved, strict=True) if not changed and id(w) not in frozen]
        idle = (*self.idle, "skipped:0")
        assert [w.name for w in still if not w.name.endswith(idle)] == [], "weights that two steps did not move"
        for name in ("generator", "discriminator"):
            player = getattr(trainer, name, None)
            if player is None:
                continue
            optimizer = getattr(trainer, f"{name}_optimizer")
            scaled = float(optimizer.loss_scale) > 1.0
            assert scaled is (player.compute_dtype == "float16"), name  # a critic may compute in float32 whole

    @pytest.mark.parametrize("policy", by_speed(sorted(set(PRECISIONS) - {"float32"})))
    def test_a_precision_changes_the_losses_by_its_rounding_only(self, policy, two_steps):
        (exact, *_), *_ = two_steps("float32")
        (rounded, *_), *_ = two_steps(policy)
        assert exact.keys() == rounded.keys()
        for name, value in exact.items():
            if not name.endswith("gradient_norm"):
                assert float(rounded[name]) == pytest.approx(float(value), rel=0.05), name

    @pytest.mark.slow
    def test_two_replicas_take_the_step_of_one(self, small_config, two_cpus):
        """Half the batch each, plain descent: Adam would make much of a gradient's rounding."""
        config = small_config.copy_and_resolve_references()
        config.batch_size = 1
        halves = [noise_batch(self.system, config, seed) for seed in (0, 1)]
        config.batch_size = 2

        def make_trainer():
            trainer = systems.system(self.system).make_trainer(config)
            for name in ("generator", "discriminator"):
                if hasattr(trainer, f"{name}_optimizer"):
                    descent = prepare(tf.keras.optimizers.SGD(1e-3, jit_compile=False), getattr(trainer, name))
                    setattr(trainer, f"{name}_optimizer", descent)
            return trainer

        alone = make_trainer()
        with two_cpus.scope():
            together = make_trainer()
            together.set_weights(alone.get_weights())
        before = alone.get_weights()

        def in_turn(*values):  # each of several updates takes a sample of both halves
            return tf.reshape(tf.stack(values, axis=1), [-1, *values[0].shape[1:]])

        expected = alone.train_step(tf.nest.map_structure(in_turn, *halves))

        def half_of(context):
            return halves[context.replica_id_in_sync_group]

        parts = two_cpus.experimental_distribute_values_from_function(half_of)
        found = two_cpus.run(together.train_step, (parts,))
        assert found.keys() == expected.keys()
        for a, b, old in zip(together.weights, alone.weights, before, strict=True):
            moved = np.abs(b - old).max()
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 + 1e-4 * moved, err_msg=b.name)

    @pytest.mark.slow
    def test_two_steps_of_the_loop(self, small_config, tmp_path):
        with precision("mixed_float16"):  # as a graph, the loss scale's branches included
            trainer = systems.system(self.system).make_trainer(small_config)
        before = trainer.generator.get_weights()
        checkpoints = checkpoints_of(trainer, small_config, tmp_path)
        asked = []

        def make_batches(start):
            asked.append(start)
            return [noise_batch(self.system, small_config, seed) for seed in range(steps)]

        steps = 2 + self.search_steps
        logs = loop.run(trainer, make_batches, checkpoints, steps=steps, checkpoint_every=99, log_every=1)
        assert asked == [0] and int(trainer.step) == steps
        assert all(np.isfinite(value) for value in logs.values()) and "generator/loss" in logs
        assert any(np.any(a != b) for a, b in zip(before, trainer.generator.get_weights(), strict=True))
        assert checkpoints.latest.endswith(f"ckpt-{steps}")

    # ------------------------------------------------------------------------------------- learning

    @pytest.fixture(scope="class")
    @classmethod
    def one_pair(cls, small_config, tmp_path_factory):
        """Function of (steps, swapped) -> gain in dB over the blurred image of a network that learnt one pair.

        The real path: files, source, store, pipeline, `fit`, restoring. One trainer serves every call, from the
        same start, as tracing its step takes longer than training it.
        """
        folder = tmp_path_factory.mktemp("one_pair")
        blurred, sharp = chelsea_pair()
        for name, image in (("blurred", blurred), ("sharp", sharp)):
            (folder / name).mkdir()
            write_image(folder / name / "chelsea.png", image)
        config = small_config.copy_and_resolve_references()
        config.update(crop=64, batch_size=1, steps=cls.overfit_steps, **cls.overfit)
        tf.keras.utils.set_random_seed(0)
        trainer = systems.system(cls.system).make_trainer(config)
        trainer.compile()
        start = tf.train.Checkpoint(trainer=trainer)
        start.write(str(folder / "start"))
        deblurrer = Deblurrer.of_network(trainer.generator)

        def gain(steps, swapped=False):
            start.read(str(folder / "start")).assert_consumed()
            sides = (folder / "blurred", folder / "sharp")
            source = sources.folder_pairs(*(sides[::-1] if swapped else sides))
            store = open_store(source, [sharp.shape[:2]], folder / f"store_{swapped}", log=lambda line: None)
            data = training_batches(cls.system, config, source, store)
            history = trainer.fit(data, steps_per_epoch=steps, verbose=0).history
            assert np.isfinite(history["generator/loss"]).all()
            assert int(trainer.step) == steps
            return metrics.psnr(deblurrer.restore(blurred), sharp) - metrics.psnr(blurred, sharp)

        return gain

    @pytest.mark.slow
    def test_overfits_one_pair_to_6_db_above_its_input(self, one_pair):
        assert one_pair(self.overfit_steps) > 6.0

    @pytest.mark.slow
    def test_overfitting_notices_swapped_targets(self, one_pair):
        # It learns to blur; a quarter of the steps is enough to see where that goes.
        assert one_pair(self.overfit_steps // 4, swapped=True) < 0.0


def noise_batch(system, config, seed=0):
    """A batch of noise as the pipeline gives it to a system."""
    pairs = NoisePairs(config.crop, seed)
    return next(iter(training_batches(system, config, pairs, pairs)))


def training_batches(system, config, source, store):
    """The pipeline of a system's training."""
    return batches(
        source,
        store,
        crop=config.crop,
        batch_size=systems.system(system).samples_per_step(config),
        seed=config.seed,
        **systems.system(system).TARGETS,
    )


def chelsea_pair():
    """(blurred, sharp), uint8 [64, 64, 3]: a crop of a real photograph under a straight shake of 7 pixels."""
    sharp = photographs.photograph("chelsea.png")[100:164, 150:214]
    straight = shake.kernel_from_trajectory(np.linspace(-3.5, 3.5, 256).astype(complex))
    return shake.blur(sharp, straight), sharp


def random_images(count, height, width, seed=0):
    """float32 [count, height, width, 3] in [0, 1]."""
    return np.random.default_rng(seed).uniform(size=(count, height, width, 3)).astype(np.float32)


class NoisePairs:
    """Source and store at once: one pair of noise and its horizontal mean."""

    def __init__(self, side, seed=0):
        sharp = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
        blurred = np.mean([np.roll(sharp, shift, axis=1) for shift in range(-2, 3)], axis=0).astype(np.uint8)
        self._pair = blurred, sharp

    def __len__(self):
        return 1

    def size(self, index):
        return self._pair[index].shape[:2]

    def images(self, index):
        del index
        return self._pair

    def crop(self, stored, top, left, size, rng):
        return tuple(image[top : top + size, left : left + size] for image in stored)


def checkpoints_of(trainer, config, workdir):
    """Checkpoints with the metadata that the runner writes."""
    metadata = {
        "config": json.loads(config.to_json()),
        "data": {"source": "noise", "blur_kind": "blur"},
        "precision": "float32",
        "version": tfdeblur.__version__,
    }
    return Checkpoints(str(workdir), trainer, metadata)

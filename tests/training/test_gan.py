"""One turn of the two players against a version written out by hand; replicas; players that are switched off."""

import contextlib

import numpy as np
import pytest

from tfdeblur import systems
from tfdeblur.compat import graph_function, precision, tf
from tfdeblur.ops.geometry import pyramid
from tfdeblur.ops.gradients import sobel_magnitude
from tfdeblur.training import loop
from tfdeblur.training.checkpoints import Checkpoints


def batch_of(count, side=32, seed=0):
    rng = np.random.default_rng(seed)
    blurred, sharp = (tf.constant(rng.uniform(size=(count, side, side, 3)), tf.float32) for _ in range(2))
    return {
        "blurred": blurred,
        "sharp": sharp,
        "sharp_scales": tuple(pyramid(sharp, 3)),
        "sharp_gradient": sobel_magnitude(sharp),
    }


# ----------------------------------------------------------------------------------------- by hand


class AdamByHand:
    """Kingma and Ba's algorithm 1 in NumPy float64, in the order of the efficient version at the end of section 2."""

    def __init__(self, weights):
        self.m = [np.zeros(w.shape) for w in weights]
        self.v = [np.zeros(w.shape) for w in weights]
        self.t = 0

    def step(self, weights, gradients, learning_rate):
        self.t += 1
        rate = learning_rate * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        self.m = [0.9 * m + 0.1 * g for m, g in zip(self.m, gradients, strict=True)]
        self.v = [0.999 * v + 0.001 * g * g for v, g in zip(self.v, gradients, strict=True)]
        moments = zip(weights, self.m, self.v, strict=True)
        return [w - rate * m / (np.sqrt(v) + 1e-8) for w, m, v in moments]


def madn_losses_by_hand(generator, discriminator, batch):
    """(L_G, L_d) of MADN section 4 with section 5.1's weights, from TensorFlow's own Sobel, resize and logs."""
    restored = generator(batch["blurred"])
    sharp = batch["sharp"]

    def sobel(images):
        edges = tf.image.sobel_edges(images)
        return tf.sqrt(edges[..., 0] ** 2 + edges[..., 1] ** 2 + 1e-6)

    def real(images):
        return tf.sigmoid(discriminator(images))

    mean = tf.reduce_mean
    pixel = 0.0
    for name, side in (("scale_1", 32), ("scale_2", 16), ("scale_3", 8)):
        target = sharp if side == 32 else tf.image.resize(target, [side, side], "bicubic")  # noqa: F821
        pixel += 0.5 * mean((restored[name] - target) ** 2)
    content_gn = mean(abs(sobel(sharp) - restored["gradient"]))
    content = 0.01 * mean(abs(sobel(sharp) - sobel(restored["restored"])))
    content += mean(abs(restored["restored"] - sharp))
    adversarial = -mean(tf.math.log(real(restored["restored"]))) - mean(tf.math.log(real(restored["gradient"])))
    generator_loss = 0.01 * pixel + 0.5 * content_gn + 1.0 * content + 0.05 * adversarial
    discriminator_loss = -(
        mean(tf.math.log(real(sharp)))
        + mean(tf.math.log(1 - real(restored["restored"])))
        + mean(tf.math.log(real(sobel(sharp))))
        + mean(tf.math.log(1 - real(restored["gradient"])))
    )
    return generator_loss, discriminator_loss


def test_two_steps_of_madn_are_those_written_out_by_hand(tiny_config):
    tiny_config.update(steps=3, generator_learning_rate=2e-3, discriminator_learning_rate=5e-3)
    tf.keras.utils.set_random_seed(2)  # weights with a large gradient
    trainer = systems.system("madn").make_trainer(tiny_config)
    by_hand = systems.system("madn").make_trainer(tiny_config)  # only its two networks are used
    by_hand.set_weights(trainer.get_weights())
    players = {"generator": by_hand.generator, "discriminator": by_hand.discriminator}
    first_rate = {"generator": 2e-3, "discriminator": 5e-3}
    adam = {name: AdamByHand(player.trainable_variables) for name, player in players.items()}
    norms = {"generator": [], "discriminator": []}

    for step in range(2):
        batch = batch_of(2, seed=step)
        if step:  # darker, for a small gradient
            batch = {**batch, "blurred": 0.3 * batch["blurred"]}
        with tf.GradientTape(persistent=True) as tape:
            losses = dict(zip(players, madn_losses_by_hand(*players.values(), batch), strict=True))
        # Both gradients are taken before either player moves.
        gradients = {
            name: [g.numpy().astype(np.float64) for g in tape.gradient(losses[name], player.trainable_variables)]
            for name, player in players.items()
        }
        logs = trainer.train_step(batch)
        for name, player in players.items():
            norm = np.sqrt(sum(np.sum(g * g) for g in gradients[name]))
            norms[name].append(norm)
            scaled = [g * min(1.0, 2.0 / norm) for g in gradients[name]]
            rate = first_rate[name] * (1 - step / 3) ** 0.3
            weights = [w.numpy().astype(np.float64) for w in player.trainable_variables]
            moved = adam[name].step(weights, scaled, rate)
            assert float(logs[f"{name}/loss"]) == pytest.approx(float(losses[name]), rel=1e-5)
            assert float(logs[f"{name}/gradient_norm"]) == pytest.approx(norm, rel=1e-3)
            for variable, expected in zip(player.trainable_variables, moved, strict=True):
                variable.assign(expected)
        assert int(trainer.step) == step + 1

        for name, player in players.items():
            moments = getattr(trainer, f"{name}_optimizer").variables
            for letter, state in (("m", adam[name].m), ("v", adam[name].v)):
                actual = [v.numpy() for v in moments if v.name.startswith(f"{letter}/")]
                assert_all_close(actual, state, 1e-4, f"{name} {letter}")
            actual = [w.numpy() for w in getattr(trainer, name).trainable_variables]
            # Adam moves a weight by about the rate whatever the gradient's size, so an absolute error of the
            # rate's hundredth is what rounding does where a gradient is nearly zero.
            for a, e in zip(actual, player.trainable_variables, strict=True):
                np.testing.assert_allclose(a, e, rtol=0, atol=0.01 * first_rate[name])
    # So that clipping shows in Adam's moments, one of the steps has to need it and one not.
    assert norms["generator"][0] > 2.0 > norms["generator"][1]


def assert_all_close(actual, expected, tolerance, what):
    """Closeness relative to the largest value of all."""
    assert len(actual) == len(expected) and expected
    largest = max(np.abs(e).max() for e in expected)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=tolerance * largest, err_msg=what)


@pytest.mark.parametrize("gradient", [1e-8, -3e-8, 1e-3])
def test_the_papers_epsilon_is_in_the_update(tiny_config, gradient):
    # With Keras' own 1e-7 a gradient of 1e-8 would move the weight by a tenth of this.
    optimizer = systems.system("madn").make_trainer(tiny_config).generator_optimizer
    fresh = type(optimizer).from_config(optimizer.get_config())
    weight = tf.Variable([0.0])
    fresh.build([weight])
    fresh.apply_gradients([(tf.constant([gradient]), weight)])
    (expected,) = AdamByHand([np.zeros(1)]).step([np.zeros(1)], [np.array([gradient])], 1e-4)
    np.testing.assert_allclose(weight, expected, rtol=1e-4)


# ----------------------------------------------------------------------------------------- toys


def pairs_of(count, side=8, seed=0):
    rng = np.random.default_rng(seed)
    # Different brightness in every sample: an error in how the samples are weighed shows.
    scale = np.linspace(0.2, 1.0, count).reshape(-1, 1, 1, 1)
    images = [tf.constant(scale * rng.uniform(size=(count, side, side, 3)), tf.float32) for _ in range(2)]
    return dict(zip(("blurred", "sharp"), images, strict=True))


# ----------------------------------------------------------------------------------------- replicas


@pytest.mark.parametrize("weight", [0.1, 100.0], ids=["not clipped", "clipped"])
def test_two_replicas_with_half_the_batch_each_are_one_with_the_whole(weight, two_cpus, toy_trainer):
    steps = [pairs_of(4, seed=seed) for seed in range(3)]
    alone = toy_trainer(4, content=weight)
    alone_logs = [alone.train_step(batch) for batch in steps]
    norms = [float(logs["generator/gradient_norm"]) for logs in alone_logs]
    assert (min(norms) > 2.0) if weight > 1 else (max(norms) < 2.0)

    strategy = two_cpus
    with strategy.scope():
        together = toy_trainer(4, content=weight)

    @graph_function
    def train_step(batch):
        logs = strategy.run(together.train_step, args=(batch,))
        return {name: strategy.reduce("SUM", value, axis=None) for name, value in logs.items()}

    def half(batch):
        def of(context):
            start = 2 * context.replica_id_in_sync_group
            return {name: images[start : start + 2] for name, images in batch.items()}

        return strategy.experimental_distribute_values_from_function(of)

    for batch, expected in zip(steps, alone_logs, strict=True):
        logs = train_step(half(batch))
        assert logs.keys() == expected.keys()
        for name, value in expected.items():
            assert float(logs[name]) == pytest.approx(float(value), rel=1e-5), name
    assert int(together.step.numpy()) == 3
    for a, b in zip(together.trainable_variables, alone.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=a.name)
    # and the two copies are one
    for variable in together.trainable_variables:
        first, second = strategy.experimental_local_results(variable)
        np.testing.assert_array_equal(first, second)


def test_the_loop_runs_two_replicas_as_one(tmp_path, two_cpus, toy_trainer):
    whole = [pairs_of(4, seed=seed) for seed in range(3)]
    dataset = tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(lambda *x: tf.stack(x), *whole))
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    dataset = dataset.with_options(options)

    strategy, runs = two_cpus, {}
    for name, scope, distribute in (
        ("alone", contextlib.nullcontext(), lambda data: data),
        ("together", strategy.scope(), strategy.experimental_distribute_dataset),
    ):
        with scope:
            trainer = toy_trainer(4)
        checkpoints = Checkpoints(str(tmp_path / name), trainer, {"config": {}, "precision": "", "data": {}})
        settings = {"steps": 3, "checkpoint_every": 2, "log_every": 1}
        logs = loop.run(trainer, lambda start, of=distribute: of(dataset.skip(start)), checkpoints, **settings)
        reader = tf.train.load_checkpoint(checkpoints.latest)
        numbers = [key for key in reader.get_variable_to_shape_map() if "VARIABLE_VALUE" in key]
        runs[name] = logs, {key: reader.get_tensor(key) for key in numbers}
    (alone_logs, alone), (together_logs, together) = runs.values()
    assert together_logs == pytest.approx(alone_logs, rel=1e-5)
    assert together.keys() == alone.keys() and len(alone) > 20
    for key, value in alone.items():
        np.testing.assert_allclose(together[key], value, rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.slow
def test_two_replicas_of_madn_are_one(tiny_config, two_cpus):
    tiny_config.num_res_blocks = 0
    alone = systems.system("madn").make_trainer(tiny_config)
    with two_cpus.scope():
        together = systems.system("madn").make_trainer(tiny_config)
        together.set_weights(alone.get_weights())
    halves = tf.data.Dataset.from_generator(
        lambda: [batch_of(2, seed=seed) for seed in range(3)],
        output_signature=tf.nest.map_structure(tf.type_spec_from_value, batch_of(2)),
    )
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    halves = two_cpus.experimental_distribute_dataset(halves.with_options(options))
    train_step = graph_function(lambda batch: two_cpus.run(together.train_step, args=(batch,)))
    for seed, half in enumerate(halves):
        train_step(half)
        alone.train_step(batch_of(2, seed=seed))
    assert int(together.step.numpy()) == int(alone.step.numpy()) == 3
    for a, b in zip(together.trainable_variables, alone.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=a.name)


# ----------------------------------------------------------------------------------------- switches


@pytest.mark.parametrize(
    "switches, generator_terms, discriminator_terms",
    [
        ((False, False, False), {"pixel", "content"}, set()),
        ((True, False, False), {"pixel", "content", "adversarial"}, {"image_real", "image_fake"}),
        (
            (True, True, True),
            {
                "pixel",
                "content",
                "gradient_content_gn",
                "gradient_content",
                "adversarial",
                "gradient_adversarial",
            },
            {"image_real", "image_fake", "gradient_real", "gradient_fake"},
        ),
    ],
    ids=["pixel and content", "with adversarial", "with gradients"],
)
def test_the_switches_of_figure_9(tiny_config, switches, generator_terms, discriminator_terms):
    names = ("use_adv", "use_grad_content", "use_grad_adv")
    tiny_config.update(dict(zip(names, switches, strict=True)))
    trainer = systems.system("madn").make_trainer(tiny_config)
    assert (trainer.discriminator is None) == (not discriminator_terms)
    before = [w.numpy() for w in trainer.trainable_variables]
    logs = {name: float(value) for name, value in trainer.train_step(batch_of(2)).items()}

    totals = {"loss", "gradient_norm"}
    expected = {f"generator/{name}" for name in generator_terms | totals}
    if discriminator_terms:
        expected |= {f"discriminator/{name}" for name in discriminator_terms | totals}
    assert logs.keys() == expected
    for player, terms in (("generator", generator_terms), ("discriminator", discriminator_terms)):
        if terms:
            total = sum(logs[f"{player}/{name}"] for name in terms)
            assert logs[f"{player}/loss"] == pytest.approx(total, rel=1e-5)
    pairs = zip(before, trainer.trainable_variables, strict=True)
    still = [w.name for value, w in pairs if np.array_equal(value, w)]
    # Without its own losses GN still serves the fused image, but for its head, which makes only its own map.
    head = ["madn/gradient_network/head/kernel:0", "madn/gradient_network/head/bias:0"]
    assert still == ([] if switches[1] else head)


def test_trains_without_a_critic(toy_trainer):
    trainer = toy_trainer(critic=False)
    batch = pairs_of(2)
    losses = []
    for _ in range(20):
        logs = trainer.train_step(batch)
        assert logs.keys() == {"generator/content", "generator/loss", "generator/gradient_norm"}
        losses.append(float(logs["generator/loss"]))
    assert losses[-1] < 0.7 * losses[0]
    assert trainer.discriminator_optimizer is None


def test_each_player_descends_its_own_loss(toy_trainer):
    batch = pairs_of(2)
    trainer = toy_trainer(learning_rate=1e-4)
    first = trainer.train_step(batch)
    # With only one of them moved, that one's loss is lower than before.
    for mover, other in (("generator", "discriminator"), ("discriminator", "generator")):
        fresh = toy_trainer(learning_rate=1e-4)
        start = getattr(fresh, other).get_weights()
        fresh.train_step(batch)
        getattr(fresh, other).set_weights(start)
        second = fresh.train_step(batch)
        assert float(second[f"{mover}/loss"]) < float(first[f"{mover}/loss"])


# ----------------------------------------------------------------------------------------- float16


def test_an_overflow_in_float16_skips_the_step_and_halves_the_scale(toy_trainer):
    with precision("mixed_float16"):
        trainer = toy_trainer(content=1e5)  # times the scale more than float16 holds
    for optimizer in (trainer.generator_optimizer, trainer.discriminator_optimizer):
        assert float(optimizer.loss_scale) == 2.0**15
    before = [network.get_weights() for network in (trainer.generator, trainer.discriminator)]
    logs = trainer.train_step(pairs_of(2))
    after = [network.get_weights() for network in (trainer.generator, trainer.discriminator)]
    assert all(np.array_equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert float(trainer.generator_optimizer.loss_scale) == 2.0**14
    # The critic has a scale of its own, and its step was good.
    assert all(np.any(a != b) for a, b in zip(before[1], after[1], strict=True))
    assert float(trainer.discriminator_optimizer.loss_scale) == 2.0**15
    # An overflow is how the scale is found, no alarm for the loop.
    assert float(logs["generator/gradient_norm"]) == 0.0
    assert np.isfinite(logs["generator/loss"])
    assert int(trainer.step) == 1


class InfiniteSlope:
    """sqrt(0) = 0: a good loss, whose derivative is not a number."""

    def losses(self, outputs, batch, discriminator):
        return {"content": tf.sqrt(tf.reduce_sum(0.0 * outputs["restored"], axis=(1, 2, 3)))}, {}


def test_a_gradient_that_no_scale_mends_gives_the_alarm_in_float16(toy_trainer):
    with precision("mixed_float16"):
        trainer = toy_trainer(critic=False, objective=InfiniteSlope())
    before = trainer.generator.get_weights()
    norms = [float(trainer.train_step(pairs_of(2))["generator/gradient_norm"]) for _ in range(16)]
    # 15 halvings from 2^15 to 1: until then it might be the scale.
    assert norms[:14] == [0.0] * 14 and not np.isfinite(norms[15])
    assert all(np.array_equal(a, b) for a, b in zip(before, trainer.generator.get_weights(), strict=True))


def test_float16_gradients_are_unscaled_before_they_are_clipped(toy_trainer):
    exact = toy_trainer(content=0.1)
    with precision("mixed_float16"):
        half = toy_trainer(content=0.1)
    half.set_weights(exact.get_weights())
    batch = pairs_of(2)
    expected, actual = exact.train_step(batch), half.train_step(batch)
    for player in ("generator", "discriminator"):
        norm = float(expected[f"{player}/gradient_norm"])
        assert 0 < norm < 2
        assert float(actual[f"{player}/gradient_norm"]) == pytest.approx(norm, rel=0.01)


def test_the_weights_stay_float32_in_mixed_precision(toy_trainer):
    with precision("mixed_bfloat16"):
        trainer = toy_trainer()
    trainer.train_step(pairs_of(2))
    assert {w.dtype for w in trainer.trainable_variables} == {tf.float32}
    assert float(trainer.generator_optimizer.loss_scale) == 1.0  # bfloat16 has float32's range

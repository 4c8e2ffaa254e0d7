"""A step of supervised training, by hand, and on two replicas."""

import numpy as np
import pytest

from tfdeblur.compat import graph_function, precision, tf
from tfdeblur.training.supervised import SupervisedTrainer


class Scale(tf.keras.Model):
    """x -> w x."""

    def __init__(self):
        super().__init__()
        self.w = self.add_weight("w", [], initializer=tf.keras.initializers.Constant(0.5))

    def call(self, x):
        return {"restored": self.w * x}


class TwoTerms:
    def generator_losses(self, outputs, batch):
        difference = outputs["restored"] - batch["sharp"]
        return {
            "square": tf.reduce_mean(difference**2, axis=(1, 2, 3)),
            "sum": 0.1 * tf.reduce_mean(difference, axis=(1, 2, 3)),
        }


def trainer(**arguments):
    return SupervisedTrainer(
        generator=Scale(), objective=TwoTerms(), generator_optimizer=tf.keras.optimizers.SGD(0.1), **arguments
    )


def batch_of(count):
    rng = np.random.default_rng(0)
    return {name: tf.constant(rng.uniform(size=(count, 2, 2, 3)), tf.float32) for name in ("blurred", "sharp")}


@pytest.mark.parametrize("clip_mode, low", [("none", None), ("norm", 2.0)])
def test_a_step_by_hand(clip_mode, low):
    batch = batch_of(4)
    player = trainer(global_batch_size=4, clip_mode=clip_mode)
    logs = player.train_step(batch)
    x, y = (batch[name].numpy().astype(float) for name in ("blurred", "sharp"))
    difference = 0.5 * x - y
    square, linear = (difference**2).mean(), 0.1 * difference.mean()
    slope = (2 * difference * x).mean() + 0.1 * x.mean()
    expected = {"square": square, "sum": linear, "loss": square + linear, "gradient_norm": abs(slope)}
    assert logs.keys() == {f"generator/{name}" for name in expected}
    for name, value in expected.items():
        assert float(logs[f"generator/{name}"]) == pytest.approx(value, rel=1e-5), name
    assert float(player.generator.w) == pytest.approx(0.5 - 0.1 * slope, rel=1e-5)
    assert int(player.step) == 1


def test_two_replicas_take_the_step_of_one(two_cpus):
    batch = batch_of(4)
    alone = trainer(global_batch_size=4)
    logs = alone.train_step(batch)
    with two_cpus.scope():
        player = trainer(global_batch_size=4)

    def part(context):
        number = 2 * context.replica_id_in_sync_group
        return tf.nest.map_structure(lambda x: x[number : number + 2], batch)

    parts = two_cpus.experimental_distribute_values_from_function(part)
    found = graph_function(lambda values: two_cpus.run(player.train_step, (values,)))(parts)
    for name, value in logs.items():
        assert float(two_cpus.reduce("SUM", found[name], axis=None)) == pytest.approx(float(value), rel=1e-5), name
    assert float(player.generator.w.numpy()) == pytest.approx(float(alone.generator.w), rel=1e-6)


def test_an_update_that_is_not_finite_is_left_out_and_counted_in_float32():
    player = trainer(global_batch_size=4)
    good, bad = batch_of(4), batch_of(4)
    bad["blurred"] = bad["blurred"] * float("inf")
    player.train_step(good)
    before = float(player.generator.w)
    logs = player.train_step(bad)
    assert not np.isfinite(float(logs["generator/gradient_norm"]))
    assert float(player.generator.w) == before
    assert (int(player.step), int(player.skipped)) == (2, 1)
    player.train_step(good)
    assert float(player.generator.w) != before and int(player.skipped) == 1
    assert float(player.generator_optimizer.loss_scale) == 1.0


def test_a_gradient_whose_square_overflows_is_left_out():
    """It is finite, but Adam would divide by an infinite second moment ever after."""
    player = trainer(global_batch_size=4)
    bad = batch_of(4)
    bad["sharp"] = bad["sharp"] + 1e25
    logs = player.train_step(bad)
    assert float(logs["generator/gradient_norm"]) == np.inf
    assert (float(player.generator.w), int(player.skipped)) == (0.5, 1)


# ----------------------------------------------------------------------------------------- the average of weights


def test_counters_and_seeds_are_not_averaged():
    player = trainer(global_batch_size=4)
    networks = player.generator, Scale()
    for net, value in zip(networks, (7, 3), strict=True):
        net.seed = net.add_weight("seed", [], tf.int64, tf.keras.initializers.Constant(value), trainable=False)
    player.keep_average(networks[1], 0.5)
    player.step.assign_add(1)
    player.generator.w.assign(0.9)
    player.update_average()
    assert (float(player.average.w), int(player.average.seed)) == (pytest.approx(0.9), 7)


class Halves(tf.keras.Model):
    """Two layers, each with a kernel and a seed of its own."""

    def __init__(self):
        super().__init__()
        self.base, self.rest = tf.keras.layers.Layer(), tf.keras.layers.Layer()
        for number, layer in enumerate((self.base, self.rest), start=1):
            layer.kernel = layer.add_weight("kernel", [number], initializer=tf.keras.initializers.Constant(number))
            layer.seed = layer.add_weight(
                "seed", [2 * number], tf.int64, tf.keras.initializers.Constant(10 * number), trainable=False
            )


def test_the_average_of_a_network_with_a_frozen_part():
    player = trainer(global_batch_size=4)
    player.generator = Halves()
    player.generator.base.trainable = False
    player.keep_average(Halves(), 0.5)
    player.generator.rest.kernel.assign([5.0, 6.0])
    player.step.assign_add(1)
    player.update_average()
    np.testing.assert_array_equal(player.average.base.kernel, [1.0])
    np.testing.assert_array_equal(player.average.rest.kernel, [5.0, 6.0])
    np.testing.assert_array_equal(player.average.rest.seed, [20] * 4)


def averaged_steps(player, decay, steps, strategy):
    """[(weight, average) after each step] of a trainer with an average."""
    with strategy.scope():
        player.keep_average(Scale(), decay)
    assert float(player.average.w.numpy()) == 0.5, "the generator's weight before the first step"

    @graph_function
    def step(batch):
        strategy.run(player.train_step, (batch,))
        player.update_average()

    batch = batch_of(4)
    found = []
    for _ in range(steps):
        step(batch)
        found.append((float(player.generator.w.numpy()), float(player.average.w.numpy())))
    return found


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.9999])
def test_the_average_by_hand(decay):
    player = trainer(global_batch_size=4)
    found = averaged_steps(player, decay, 4, tf.distribute.get_strategy())
    weights = [weight for weight, _ in found]
    assert len(set(weights)) == 4
    for n, (_, average) in enumerate(found, 1):
        factors = [decay ** (n - k) for k in range(1, n + 1)]
        assert average == pytest.approx(np.average(weights[:n], weights=factors), rel=1e-6)


def test_every_replica_holds_the_average(two_cpus):
    with two_cpus.scope():
        player = trainer(global_batch_size=8)
    found = averaged_steps(player, 0.5, 3, two_cpus)
    weights = [weight for weight, _ in found]
    expected = (weights[0] + 2 * weights[1] + 4 * weights[2]) / 7
    copies = two_cpus.experimental_local_results(player.average.w)
    assert [float(copy) for copy in copies] == pytest.approx([expected] * 2, rel=1e-6)


def test_the_average_of_a_network_in_half_precision_is_exact_to_float32(two_cpus):
    with precision("mixed_bfloat16"), two_cpus.scope():
        player = trainer(global_batch_size=8)
        player.keep_average(Scale(), 0.5)
    assert player.generator.compute_dtype == "bfloat16"
    player.step.assign(2)
    player.generator.w.assign(0.501)
    graph_function(player.update_average)()
    # Step 2: a third of what there was (0.5), two thirds of the new.
    assert float(player.average.w.numpy()) == pytest.approx(0.5 + 2 / 3 * 0.001, rel=1e-7)


def test_without_an_average_nothing_is_updated():
    player = trainer(global_batch_size=4)
    player.update_average()
    assert player.average is None and len(player.generator.weights) == 1

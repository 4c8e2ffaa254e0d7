"""A step of supervised training, by hand, and on two replicas."""

import numpy as np
import pytest

from tfdeblur.compat import tf
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
    found = tf.function(lambda values: two_cpus.run(player.train_step, (values,)))(parts)
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

"""Several turns of the critic to one of the generator, against the algorithm written out by hand."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.training.checkpoints import Checkpoints
from tfdeblur.training.supervised import prepare
from tfdeblur.training.wgan import WganTrainer, samples_per_step


class Scale(tf.keras.Model):
    """x -> w x, or its mean w mean(x) as a critic's one patch."""

    def __init__(self, critic=False, value=1.0):
        super().__init__()
        self.critic = critic
        self.w = self.add_weight("w", [], initializer=tf.keras.initializers.Constant(value))
        self.calls = 0

    def call(self, x):
        self.calls += 1
        if self.critic:
            return self.w * tf.reduce_mean(x, axis=(1, 2, 3), keepdims=True)
        return {"restored": self.w * x}


class Objective:
    """L_G = mean (restored - sharp)^2 - D(restored), L_D = D(restored) - D(sharp) + mix w^2 / 2."""

    def __init__(self):
        self.mixes = []

    def generator_losses(self, outputs, batch, critic):
        error = tf.reduce_mean((outputs["restored"] - batch["sharp"]) ** 2, axis=(1, 2, 3))
        return {"content": error, "adversarial": -critic(outputs["restored"])[:, 0, 0, 0]}

    def critic_losses(self, restored, batch, critic, mix):
        self.mixes.append(mix.numpy() if hasattr(mix, "numpy") else None)
        difference = critic(restored)[:, 0, 0, 0] - critic(batch["sharp"])[:, 0, 0, 0]
        return {"difference": difference, "penalty": 0.5 * mix * critic.w**2}


def trainer(critic_batches, batch_size=2, updates=3, optimizer=tf.keras.optimizers.SGD):
    generator, critic = Scale(value=0.5), Scale(critic=True, value=0.25)
    return WganTrainer(
        generator=generator,
        discriminator=critic,
        objective=Objective(),
        generator_optimizer=optimizer(0.1),
        discriminator_optimizer=optimizer(0.2),
        global_batch_size=batch_size,
        clip_mode="none",
        critic_updates=updates,
        critic_batches=critic_batches,
        seed=7,
    )


def batch_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return {name: tf.constant(rng.uniform(size=(count, 2, 2, 3)), tf.float32) for name in ("blurred", "sharp")}


@pytest.mark.parametrize("critic_batches", ["fresh", "same"])
def test_a_step_by_hand(critic_batches):
    updates, size = 3, 2
    batch = batch_of(samples_per_step(size, updates, critic_batches))
    player = trainer(critic_batches, size, updates)
    logs = player.train_step(batch)

    x, y = (batch[name].numpy().astype(float) for name in ("blurred", "sharp"))
    g, d = 0.5, 0.25
    for update in range(updates):
        part = slice(update * size, (update + 1) * size) if critic_batches == "fresh" else slice(None)
        mix = player.objective.mixes[update]
        slope = g * x[part].mean() - y[part].mean() + mix.mean() * d
        loss = d * (g * x[part].mean() - y[part].mean()) + 0.5 * mix.mean() * d**2
        d -= 0.2 * slope
    np.testing.assert_allclose(logs["discriminator/loss"], loss, rtol=1e-4)
    np.testing.assert_allclose(player.discriminator.w, d, rtol=1e-5)
    # The generator learns on the last sub-batch, against the critic as it is now.
    content = ((g * x[part] - y[part]) ** 2).mean()
    np.testing.assert_allclose(logs["generator/loss"], content - d * g * x[part].mean(), rtol=1e-4)
    g -= 0.1 * ((2 * (g * x[part] - y[part]) * x[part]).mean() - d * x[part].mean())
    np.testing.assert_allclose(player.generator.w, g, rtol=1e-5)
    assert int(player.step) == 1
    # The last critic update and the generator's own share one forward pass.
    assert player.generator.calls == (updates if critic_batches == "fresh" else 1)


class FirstIsNaN(Objective):
    def critic_losses(self, restored, batch, critic, mix):
        terms = super().critic_losses(restored, batch, critic, mix)
        return {**terms, "difference": terms["difference"] * (np.nan if len(self.mixes) == 1 else 1.0)}


@pytest.mark.parametrize("critic_batches", ["fresh", "same"])
def test_an_earlier_critic_update_that_was_not_finite_is_seen_in_the_logs(critic_batches):
    player = trainer(critic_batches)
    player.discriminator_optimizer = prepare(tf.keras.optimizers.SGD(0.2), player.discriminator)
    player.objective = FirstIsNaN()
    logs = player.train_step(batch_of(samples_per_step(2, 3, critic_batches)))
    bad = {name for name, value in logs.items() if not np.isfinite(value)}
    assert bad == {"discriminator/difference", "discriminator/loss", "discriminator/gradient_norm"}
    assert int(player.skipped) == 1 and np.isfinite(player.discriminator.w) and np.isfinite(player.generator.w)


def test_mixing_weights_depend_on_seed_step_and_place_alone():
    def mixes(steps, seed=7):
        player = trainer("same")
        player.seed = seed
        player.step.assign(steps)
        player.train_step(batch_of(2))
        return np.array(player.objective.mixes)

    first = mixes(0)
    assert first.shape == (3, 2) and first.min() >= 0 and first.max() < 1 and len(np.unique(first)) == 6
    np.testing.assert_array_equal(mixes(0), first)
    assert not np.isin(mixes(1), first).any() and not np.isin(mixes(0, seed=8), first).any()


@pytest.mark.parametrize("one_mix", [False, True])
def test_two_replicas_mix_as_one_does(two_cpus, one_mix):
    with two_cpus.scope():
        player = trainer("same")
    alone = trainer("same")
    player.one_mix = alone.one_mix = one_mix
    found = two_cpus.run(lambda: player._mix(0, tf.zeros([1, 2, 2, 3])))
    together = np.concatenate([value.numpy() for value in two_cpus.experimental_local_results(found)])
    np.testing.assert_array_equal(together, alone._mix(0, tf.zeros([2, 2, 2, 3])))
    assert (together[0] == together[1]) == one_mix


@pytest.mark.parametrize("critic_batches", ["fresh", "same"])
def test_a_resumed_run_ends_with_the_weights_of_the_uninterrupted_one(critic_batches, tmp_path):
    batches = [batch_of(samples_per_step(2, 3, critic_batches), seed) for seed in range(4)]

    def player():
        return trainer(critic_batches, optimizer=tf.keras.optimizers.Adam)

    whole, first, second = player(), player(), player()
    for batch in batches:
        whole.train_step(batch)
    for batch in batches[:2]:
        first.train_step(batch)
    metadata = {"config": {}, "precision": "", "data": {}}
    Checkpoints(str(tmp_path), first, metadata).save()
    Checkpoints(str(tmp_path), second, metadata).restore()
    for batch in batches[2:]:
        second.train_step(batch)
    assert int(second.step) == 4
    for one, other in ((whole.generator, second.generator), (whole.discriminator, second.discriminator)):
        assert float(one.w) == float(other.w)
    assert float(whole.discriminator.w) != float(first.discriminator.w)


def test_a_step_takes_a_batch_for_each_critic_update():
    assert samples_per_step(4, 5, "fresh") == 20 and samples_per_step(4, 5, "same") == 4

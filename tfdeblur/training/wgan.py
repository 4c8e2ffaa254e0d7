"""A generator against a Wasserstein critic: several updates of the critic to one of the generator."""

import functools

from tfdeblur.compat import tf
from tfdeblur.training.gan import GanTrainer
from tfdeblur.training.supervised import scale_loss

CRITIC_BATCHES = ("fresh", "same")


def samples_per_step(batch_size, critic_updates, critic_batches):
    """How many pairs a step of `WganTrainer` takes from the data."""
    return batch_size * (critic_updates if critic_batches == "fresh" else 1)


class WganTrainer(GanTrainer):
    """`critic_updates` updates of the critic, then one of the generator (Gulrajani et al. 2017, Algorithm 1).

    critic_batches "fresh": the step's batch holds a sub-batch for each critic update; the generator learns on the last.
    "same": all updates of a step see one batch and the same restored images, as in DeblurGAN's code.

    Args:
      generator, discriminator, generator_optimizer, discriminator_optimizer, clip_mode: see `GanTrainer`; the critic
        computes in float32 whole.
      objective: has `generator_losses(outputs, batch, critic)` and `critic_losses(restored, batch, critic, mix)`, each
        a dict of name -> [B]; mix: float32 [B] in [0, 1), see `gradient_penalty`.
      global_batch_size: samples of one update over all replicas.
      critic_updates, critic_batches: see above.
      seed: of the mixing weights, which depend on it, the step and the sample's place in the global batch alone.
      one_mix: whether the first sample's weight serves the whole global batch, as in DeblurGAN's code.
    """

    def __init__(self, *, critic_updates=5, critic_batches="fresh", seed=0, one_mix=False, **arguments):
        super().__init__(**arguments)
        self.critic_updates = critic_updates
        self.critic_batches = critic_batches
        self.seed = seed
        self.one_mix = one_mix

    def train_step(self, batch):
        parts = [batch]
        if self.critic_batches == "fresh":
            parts = [
                tf.nest.map_structure(lambda x, n=n: _sub_batch(x, n, self.critic_updates), batch)
                for n in range(self.critic_updates)
            ]
        *earlier, last = parts
        updates = [
            self._update_critic(update, self.generator(part["blurred"], training=True)["restored"], part)
            for update, part in enumerate(earlier)
        ]

        def finish_the_critic(outputs):
            for update in range(len(earlier), self.critic_updates):
                updates.append(self._update_critic(update, outputs["restored"], last))

        # The critic's updates change nothing in the generator: one forward pass serves the last of them (all of them
        # if they see the same images) and the generator's own.
        logs = self._train_generator(
            last,
            lambda outputs, part: self.objective.generator_losses(outputs, part, self.discriminator),
            finish_the_critic,
        )
        self.step.assign_add(1)
        return logs | functools.reduce(_later, updates)

    def _update_critic(self, update, restored, part):
        with tf.GradientTape() as tape:
            terms = self._average(
                self.objective.critic_losses(restored, part, self.discriminator, self._mix(update, restored))
            )
            loss = tf.add_n(list(terms.values()))
            scaled_loss = scale_loss(loss, self.discriminator_optimizer)
        norm = self._update(self.discriminator, self.discriminator_optimizer, tape, scaled_loss)
        return self._logs("discriminator", terms, loss, norm)

    def _mix(self, update, restored):
        """The mixing weights of this replica's samples, float32 [B]."""
        seed = tf.stack([tf.cast(self.seed, tf.int64), self.step * self.critic_updates + update])
        weights = tf.random.stateless_uniform([self.global_batch_size], seed)
        if self.one_mix:
            weights = tf.repeat(weights[:1], self.global_batch_size)
        count = tf.shape(restored)[0]
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * count
        return weights[first : first + count]


def _later(before, after):
    """The logs of the later of two updates, but what was not finite in the earlier one, which must be seen."""
    return {name: tf.where(tf.math.is_finite(before[name]), value, before[name]) for name, value in after.items()}


def _sub_batch(tensor, number, parts):
    """Part `number` of `parts` equal ones along the first axis."""
    tf.debugging.assert_equal(tf.shape(tensor)[0] % parts, 0, "each replica needs whole sub-batches")
    size = tf.shape(tensor)[0] // parts
    part = tensor[number * size : (number + 1) * size]
    static = tensor.shape[0]
    part.set_shape([static // parts if static else None, *tensor.shape[1:]])
    return part

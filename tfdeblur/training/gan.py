"""A generator and a discriminator trained in turn, 1:1, from one forward pass."""

from tfdeblur.compat import tf
from tfdeblur.training.supervised import SupervisedTrainer, prepare, scale_loss


class GanTrainer(SupervisedTrainer):
    """Both players, their optimisers and the step counter: everything a checkpoint has to hold.

    One `train_step` is one turn of MADN's Algorithm 1: both gradients are taken at the same parameters, then
    each player is updated once.

    Args:
      discriminator: images -> logits, or None for a generator that trains alone.
      objective: has `losses(outputs, batch, discriminator)` -> two dicts of name -> [B].
      discriminator_optimizer: Keras optimiser.
      **arguments: see `SupervisedTrainer`.
    """

    def __init__(self, *, discriminator, discriminator_optimizer, **arguments):
        super().__init__(**arguments)
        self.discriminator = discriminator
        self.discriminator_optimizer = (
            prepare(discriminator_optimizer, discriminator) if discriminator is not None else None
        )

    def train_step(self, batch):
        with tf.GradientTape(persistent=True) as tape:
            outputs = self.generator(batch["blurred"], training=True)
            generator_terms, discriminator_terms = self.objective.losses(outputs, batch, self.discriminator)
            generator_terms = self._average(generator_terms)
            discriminator_terms = self._average(discriminator_terms)
            generator_loss = tf.add_n(list(generator_terms.values()))
            scaled_generator_loss = scale_loss(generator_loss, self.generator_optimizer)
            if discriminator_terms:
                discriminator_loss = tf.add_n(list(discriminator_terms.values()))
                scaled_discriminator_loss = scale_loss(discriminator_loss, self.discriminator_optimizer)

        norm = self._update(self.generator, self.generator_optimizer, tape, scaled_generator_loss)
        logs = self._logs("generator", generator_terms, generator_loss, norm)
        if discriminator_terms:
            norm = self._update(self.discriminator, self.discriminator_optimizer, tape, scaled_discriminator_loss)
            logs |= self._logs("discriminator", discriminator_terms, discriminator_loss, norm)
        self.step.assign_add(1)
        return logs

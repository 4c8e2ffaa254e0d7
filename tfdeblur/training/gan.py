"""A generator and a discriminator trained in turn, 1:1, from one forward pass."""

from tfdeblur.compat import tf
from tfdeblur.training.clipping import clip_gradients


class GanTrainer(tf.keras.Model):
    """Both players, their optimisers and the step counter: everything a checkpoint has to hold.

    One `train_step` is one turn of MADN's Algorithm 1: both gradients are taken at the same parameters, then
    each player is updated once. Under a tf.distribute strategy losses are divided by the global batch and
    gradients are summed over the replicas before they are clipped.

    Args:
      generator: blurred images -> dict of outputs.
      discriminator: images -> logits, or None for a generator that trains alone.
      objective: has `losses(outputs, batch, discriminator)` -> two dicts of name -> [B].
      generator_optimizer, discriminator_optimizer: Keras optimisers (plain ones: loss scaling is added here
        where the player computes in float16).
      global_batch_size: samples in a step over all replicas.
      clip_mode: see `clip_gradients`.
    """

    def __init__(
        self,
        generator,
        discriminator,
        objective,
        generator_optimizer,
        discriminator_optimizer,
        global_batch_size,
        clip_mode="norm",
    ):
        super().__init__(name="gan_trainer")
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.global_batch_size = global_batch_size
        self.clip_mode = clip_mode
        self.step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self.generator_optimizer = _prepare(generator_optimizer, generator)
        self.discriminator_optimizer = (
            _prepare(discriminator_optimizer, discriminator) if discriminator is not None else None
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

        logs = {f"generator/{name}": value for name, value in generator_terms.items()}
        logs["generator/loss"] = generator_loss
        norm = self._update(self.generator, self.generator_optimizer, tape, scaled_generator_loss)
        logs["generator/gradient_norm"] = norm
        if discriminator_terms:
            logs |= {f"discriminator/{name}": value for name, value in discriminator_terms.items()}
            logs["discriminator/loss"] = discriminator_loss
            norm = self._update(self.discriminator, self.discriminator_optimizer, tape, scaled_discriminator_loss)
            logs["discriminator/gradient_norm"] = norm
        self.step.assign_add(1)
        return logs

    def _average(self, terms):
        return {name: tf.reduce_sum(values) / self.global_batch_size for name, values in terms.items()}

    def _update(self, player, optimizer, tape, scaled_loss):
        variables = player.trainable_variables
        # A switched-off term leaves some variables without a path to the loss: their gradient is zero.
        gradients = tape.gradient(scaled_loss, variables, unconnected_gradients="zero")
        if _is_loss_scaled(optimizer):
            gradients = optimizer.get_unscaled_gradients(gradients)
        # Clipping by norm needs the gradient of the whole batch, so the replicas add up first.
        replicas = tf.distribute.get_replica_context()
        gradients = replicas.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        gradients = clip_gradients(gradients, self.clip_mode)
        optimizer.apply_gradients(zip(gradients, variables, strict=True), skip_gradients_aggregation=True)
        if _is_loss_scaled(optimizer):
            # An infinite norm is how the loss scale is found, and the optimiser skips that step: no alarm, until the
            # scale has come down to 1 and it was not the scale.
            searching = tf.logical_and(tf.logical_not(tf.math.is_finite(norm)), optimizer.loss_scale > 1.0)
            norm = tf.where(searching, 0.0, norm)
        # Like every log, this one is summed over the replicas, and all of them hold the same value.
        return norm / replicas.num_replicas_in_sync


def _prepare(optimizer, player):
    """The optimiser with loss scaling where needed and all its slots made, so that a restore finds them."""
    if player.compute_dtype == "float16":
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(player.trainable_variables)
    return optimizer


def _is_loss_scaled(optimizer):
    return isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)


def scale_loss(loss, optimizer):
    return optimizer.get_scaled_loss(loss) if _is_loss_scaled(optimizer) else loss

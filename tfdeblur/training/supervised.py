"""A network trained on the difference between what it restores and the sharp images."""

import math

from tfdeblur.compat import tf
from tfdeblur.training.clipping import clip_gradients


class SupervisedTrainer(tf.keras.Model):
    """The network, its optimiser and the step counter: everything a checkpoint has to hold.

    Under a tf.distribute strategy losses are divided by the global batch and gradients are summed over the replicas
    before they are clipped. An update whose gradient is not finite is left out and counted in `skipped`, under every
    precision.

    Args:
      generator: blurred images -> dict of outputs.
      objective: has `generator_losses(outputs, batch)` -> dict of name -> [B].
      generator_optimizer: Keras optimiser (a plain one: loss scaling is added here where the network computes in
        float16).
      global_batch_size: samples in a step over all replicas.
      clip_mode: see `clip_gradients`.

    Attributes:
      average: a network with the average of the generator's weights, see `keep_average`, or None.
    """

    def __init__(self, *, generator, objective, generator_optimizer, global_batch_size, clip_mode="none", **kwargs):
        super().__init__(**kwargs)
        self.generator = generator
        self.objective = objective
        self.global_batch_size = global_batch_size
        self.clip_mode = clip_mode
        self.step = _counter("step")
        self.skipped = _counter("skipped")
        self.generator_optimizer = prepare(generator_optimizer, generator)
        self.average = None

    def keep_average(self, net, decay):
        """Makes `net`, a second network like the generator, its exponential moving average; before the first step.

        After step n each weight is the mean of those after the steps k = 1 .. n, weighted by decay^(n - k). Dividing by
        the sum of these factors (Adam's bias correction) leaves the weights of before the first step out.
        """
        freeze_alike(net, self.generator)
        net.set_weights(self.generator.get_weights())
        self.average, self._decay = net, decay

    def update_average(self):
        """Takes the weights of the step that was just made into the average; in cross-replica context."""
        if self.average is None:
            return
        # float64: close to 1, a decay and its powers have few digits left in float32.
        share = (1.0 - self._decay) / (1.0 - self._decay ** tf.cast(self.step, tf.float64))
        share = tf.cast(share, tf.float32)
        extended = self.distribute_strategy.extended
        for average, weight in zip(self.average.weights, self.generator.weights, strict=True):
            if weight.dtype.is_floating:  # a seed or a counter has no mean
                extended.update(average, _approach, args=(weight, share))

    def train_step(self, batch):
        logs = self._train_generator(batch, self.objective.generator_losses)
        self.step.assign_add(1)
        return logs

    def _train_generator(self, batch, losses, before_losses=None):
        """One update of the generator; returns its logs.

        losses: (outputs, batch) -> terms; before_losses: outputs -> None, called before them, off the tape.
        """
        with tf.GradientTape() as tape:
            outputs = self.generator(batch["blurred"], training=True)
            if before_losses:
                with tape.stop_recording():
                    before_losses(outputs)
            terms = self._average(losses(outputs, batch))
            loss = tf.add_n(list(terms.values()))
            scaled_loss = scale_loss(loss, self.generator_optimizer)
        norm = self._update(self.generator, self.generator_optimizer, tape, scaled_loss)
        return self._logs("generator", terms, loss, norm)

    @staticmethod
    def _logs(player, terms, loss, norm):
        return {f"{player}/{name}": value for name, value in {**terms, "loss": loss, "gradient_norm": norm}.items()}

    def _average(self, terms):
        return {name: tf.reduce_sum(values) / self.global_batch_size for name, values in terms.items()}

    def _update(self, player, optimizer, tape, scaled_loss):
        variables = player.trainable_variables
        if not variables:  # as in a plain mean of what is frozen
            return tf.constant(0.0)
        # A switched-off term leaves some variables without a path to the loss: their gradient is zero.
        gradients = tape.gradient(scaled_loss, variables, unconnected_gradients="zero")
        gradients = optimizer.get_unscaled_gradients(gradients)
        # Clipping by norm needs the gradient of the whole batch, so the replicas add up first.
        replicas = tf.distribute.get_replica_context()
        gradients = replicas.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm)
        # Squares that overflow where no gradient does would make Adam's second moments infinite: left out, too.
        gradients = [tf.where(finite, gradients[0], math.nan), *gradients[1:]]
        gradients = clip_gradients(gradients, self.clip_mode)
        optimizer.apply_gradients(zip(gradients, variables, strict=True), skip_gradients_aggregation=True)
        self.skipped.assign_add(tf.cast(tf.logical_not(finite), tf.int64))
        # An infinite norm is how the loss scale is found: no alarm, until the scale has come down to 1 and it was not
        # the scale.
        norm = tf.where(tf.logical_or(finite, optimizer.loss_scale == 1.0), norm, 0.0)
        # Like every log, this one is summed over the replicas, and all of them hold the same value.
        return norm / replicas.num_replicas_in_sync


def _approach(variable, target, share):
    variable.assign_add(share * (target - variable))


def freeze_alike(net, like):
    """Gives the weights of `net` the order of those of `like`, of the same kind: Keras lists frozen ones apart."""
    layers = ([part for part in one.submodules if isinstance(part, tf.keras.layers.Layer)] for one in (net, like))
    for layer, other in zip(*layers, strict=True):
        layer.trainable = other.trainable


def _counter(name):
    return tf.Variable(
        0, dtype=tf.int64, trainable=False, name=name, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
    )


def prepare(optimizer, player):
    """The optimiser with all its slots made, so that a restore finds them, as one that leaves out infinite updates.

    Keras' LossScaleOptimizer does that, also where no loss needs a scale: there it is 1 and stays 1.
    """
    scale = {} if player.compute_dtype == "float16" else {"initial_scale": 1.0, "dynamic_growth_steps": _NEVER}
    optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer, **scale)
    optimizer.build(player.trainable_variables)
    return optimizer


_NEVER = 2**60


def scale_loss(loss, optimizer):
    return optimizer.get_scaled_loss(loss)

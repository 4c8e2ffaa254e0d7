"""Learning rates as functions of the step."""

from tfdeblur.compat import tf


@tf.keras.utils.register_keras_serializable("tfdeblur")
class ConstantThenLinear(tf.keras.optimizers.schedules.LearningRateSchedule):
    """`learning_rate` for the first `constant_steps`, then a straight line to 0 at `steps` (DeblurGAN's)."""

    def __init__(self, learning_rate, constant_steps, steps):
        self.learning_rate = learning_rate
        self.constant_steps = constant_steps
        self.steps = steps

    def __call__(self, step):
        left = (self.steps - tf.cast(step, tf.float32)) / max(self.steps - self.constant_steps, 1)
        return self.learning_rate * tf.clip_by_value(left, 0.0, 1.0)

    def get_config(self):
        names = ("learning_rate", "constant_steps", "steps")
        return {name: getattr(self, name) for name in names}

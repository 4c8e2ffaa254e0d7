"""Learning rates as functions of the step."""

import math

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


@tf.keras.utils.register_keras_serializable("tfdeblur")
class WarmUpThenCosine(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A line from 0 to `learning_rate` at `warm_up_steps`, then half a cosine to `end_learning_rate` at `steps`.

    MPRNet's, of which every step is a point here; its code changes the rate once an epoch.
    """

    def __init__(self, learning_rate, warm_up_steps, steps, end_learning_rate):
        self.learning_rate = learning_rate
        self.warm_up_steps = warm_up_steps
        self.steps = steps
        self.end_learning_rate = end_learning_rate

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rising = self.learning_rate * step / max(self.warm_up_steps, 1)
        done = tf.clip_by_value((step - self.warm_up_steps) / max(self.steps - self.warm_up_steps, 1), 0.0, 1.0)
        height = self.learning_rate - self.end_learning_rate
        falling = self.end_learning_rate + 0.5 * height * (1.0 + tf.cos(math.pi * done))
        return tf.where(step < self.warm_up_steps, rising, falling)

    def get_config(self):
        names = ("learning_rate", "warm_up_steps", "steps", "end_learning_rate")
        return {name: getattr(self, name) for name in names}

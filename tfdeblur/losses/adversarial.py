"""Adversarial losses on a discriminator's logits; each returns float32 [B]."""

from tfdeblur.compat import tf


def binary_cross_entropy(logits, is_real):
    """-log sigmoid(z) where `is_real`, else -log(1 - sigmoid(z)); from logits, so that it stays finite.

    With D(x) = sigmoid(logits) these are the terms of MADN Eqs. 15, 16, 19 and 20.

    Args:
      logits: [B, 1] (or any [B, ...]: averaged over the other axes).
      is_real: bool.
    """
    logits = tf.cast(logits, tf.float32)
    values = tf.nn.softplus(-logits if is_real else logits)
    return tf.reduce_mean(values, axis=tuple(range(1, values.shape.rank)))


def wasserstein(values):
    """The critic's value D(x) of each sample: the mean of its patch map (Arjovsky et al. 2017).

    The critic's loss is D(fake) - D(real), the generator's -D(fake).

    Args:
      values: [B, ...].
    """
    values = tf.cast(values, tf.float32)
    return tf.reduce_mean(values, axis=tuple(range(1, values.shape.rank)))


GP_MODES = ("standard", "deblurgan")


def gradient_penalty(critic, real, fake, mix, mode="standard"):
    """How far the critic's slope is from 1 between a real and a fake image, one value per sample.

    standard: (||grad_x D(x)||_2 - 1)^2 at x = mix real + (1 - mix) fake, the norm over all pixels and channels
    (Gulrajani et al. 2017, Eq. 3), D as in `wasserstein`.
    deblurgan: what DeblurGAN's released code computes: the sum of the patch map is differentiated, and the norm is over
    the channels of each pixel, (norm - 1)^2 averaged over the pixels. There one mix serves the whole batch.

    Args:
      critic: images -> [B, h, w, 1], float32, each sample by itself.
      real, fake: float [B, H, W, 3].
      mix: float32 [B] in [0, 1].
      mode: one of GP_MODES.
    """
    real, fake = tf.cast(real, tf.float32), tf.cast(fake, tf.float32)
    mix = tf.reshape(mix, [-1, 1, 1, 1])
    images = mix * real + (1.0 - mix) * fake
    with tf.GradientTape() as tape:
        tape.watch(images)
        values = critic(images)
        # Of a sum over samples that do not see each other each gradient is the sample's own.
        total = tf.reduce_sum(values if mode == "deblurgan" else wasserstein(values))
    gradient = tape.gradient(total, images)
    # Under the root, because its slope at 0 is infinite: a critic that is flat somewhere would give NaN.
    axes = -1 if mode == "deblurgan" else (1, 2, 3)
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=axes) + 1e-12)
    penalty = tf.square(norm - 1.0)
    return tf.reduce_mean(penalty, axis=(1, 2)) if mode == "deblurgan" else penalty

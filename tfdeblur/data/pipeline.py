"""Batches for training: a function of (seed, step, sample) alone.

Batch n of a run depends on the seed and on n, never on what was read before, so a resumed run needs no
iterator state.
"""

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.data.shake import generator
from tfdeblur.ops.geometry import flip_and_rotate, pyramid
from tfdeblur.ops.gradients import sobel_magnitude
from tfdeblur.ops.ranges import uint8_to_01

AUGMENTATIONS = {"none": 1, "flips": 4, "flips_and_rotations": 8}  # -> how many of the eight symmetries


def plan(step, count, batch_size, seed):
    """Which pairs batch `step` holds, and three uniform numbers for each sample.

    Every epoch is a permutation of the pairs; a batch may span two epochs.

    Returns:
      (index int64 [batch_size], uniforms float32 [batch_size, 3] in [0, 1)).
    """
    step = tf.cast(step, tf.int64)
    position = step * batch_size + tf.range(batch_size, dtype=tf.int64)
    epoch, within = position // count, position % count
    seeds = tf.stack([tf.fill([batch_size], tf.cast(seed, tf.int64)), epoch, tf.zeros_like(epoch)], axis=1)
    # The op of tf.random.experimental.index_shuffle, whose wrapper pads a batch of seeds the wrong way and whose 4
    # rounds leave small sets nearly in order (of 50 indices, 12 followed by the next one; 8 rounds: 1, as it should).
    index = tf.raw_ops.RandomIndexShuffle(
        index=within, seed=seeds, max_index=tf.constant(count - 1, tf.int64), rounds=8
    )
    uniforms = tf.random.stateless_uniform([batch_size, 3], tf.stack([tf.cast(seed, tf.int64), step]))
    return index, uniforms


def with_targets(blurred, sharp, scales=1, gradient=False):
    """A batch from both images, float32 [B, H, W, 3]: see `batches`."""
    batch = {"blurred": blurred, "sharp": sharp, "sharp_scales": tuple(pyramid(sharp, scales))}
    if gradient:
        batch["sharp_gradient"] = sobel_magnitude(sharp)
    return batch


def batches(source, store, *, crop, batch_size, seed, start_step=0, augmentation="none", scales=1, gradient=False):
    """An endless tf.data.Dataset of training batches from step `start_step` on.

    Args:
      source: has `crop(stored images, top, left, size, rng)`.
      store: ImageStore of that source.
      crop: side of the square crops in pixels; pixels of the pair stay together.
      batch_size: samples in the (global) batch.
      seed: int.
      augmentation: "none", "flips" or "flips_and_rotations"; one draw serves both images of a pair.
      scales: levels of the bicubic target pyramid.
      gradient: whether the Sobel map of the sharp images is wanted.

    Yields:
      {"blurred": float32 [B, crop, crop, 3] in [0, 1], "sharp": the same, "sharp_scales": tuple of `scales`
      tensors, finest (= sharp) first, "sharp_gradient": [B, crop, crop, 3] if wanted}.
    """
    symmetries = AUGMENTATIONS[augmentation]

    def read(step, index, uniforms):
        pairs = np.empty((2, batch_size, crop, crop, 3), np.uint8)
        for sample in range(batch_size):
            height, width = store.size(index[sample])
            top = int(uniforms[sample, 0] * (height - crop + 1))
            left = int(uniforms[sample, 1] * (width - crop + 1))
            rng = generator(seed, step, sample)
            blurred, sharp = source.crop(store.images(index[sample]), top, left, crop, rng)
            pairs[0, sample], pairs[1, sample] = blurred, sharp
        return pairs

    def make_batch(step):
        index, uniforms = plan(step, len(store), batch_size, seed)
        pairs = tf.numpy_function(read, [step, index, uniforms], tf.uint8, stateful=False)
        pairs.set_shape([2, batch_size, crop, crop, 3])
        blurred, sharp = pairs[0], pairs[1]
        if symmetries > 1:
            code = tf.cast(uniforms[:, 2] * symmetries, tf.int32)
            blurred, sharp = flip_and_rotate([blurred, sharp], code)
        blurred, sharp = uint8_to_01(blurred), uint8_to_01(sharp)
        return with_targets(blurred, sharp, scales, gradient)

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    return steps.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)

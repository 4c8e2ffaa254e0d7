"""Batches for training: a function of (seed, step, sample) alone.

Batch n of a run depends on the seed and on n, never on what was read before, so a resumed run needs no
iterator state.
"""

import functools

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.data.shake import EPOCH_ORDER, PLACES, SAMPLE, generator
from tfdeblur.ops.geometry import flip_and_rotate, pyramid
from tfdeblur.ops.gradients import sobel_magnitude
from tfdeblur.ops.ranges import uint8_to_01

AUGMENTATIONS = {"none": 1, "flips": 4, "flips_and_rotations": 8}  # -> how many of the eight symmetries


@functools.lru_cache(maxsize=4)
def _order(count, seed, epoch):
    return generator(seed, epoch, 0, EPOCH_ORDER).permutation(count)


def plan(step, count, batch_size, seed):
    """Which pairs batch `step` holds, and three uniform numbers for each sample (top, left, symmetry).

    Every epoch is a permutation of the pairs; a batch may span epochs.

    Returns:
      (index int64 [batch_size], uniforms float64 [batch_size, 3] in [0, 1)), NumPy.
    """
    epochs, within = np.divmod(int(step) * batch_size + np.arange(batch_size, dtype=np.int64), count)
    index = np.array([_order(count, seed, int(e))[w] for e, w in zip(epochs, within, strict=True)], np.int64)
    return index, generator(seed, step, 0, PLACES).random((batch_size, 3))


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

    def read(step):
        index, uniforms = plan(step, len(store), batch_size, seed)
        pairs = np.empty((2, batch_size, crop, crop, 3), np.uint8)
        for sample in range(batch_size):
            height, width = store.size(index[sample])
            top = int(uniforms[sample, 0] * (height - crop + 1))
            left = int(uniforms[sample, 1] * (width - crop + 1))
            rng = generator(seed, step, sample, SAMPLE)
            pairs[:, sample] = source.crop(store.images(index[sample]), top, left, crop, rng)
        return pairs, (uniforms[:, 2] * symmetries).astype(np.int32)

    def make_batch(step):
        pairs, code = tf.numpy_function(read, [step], (tf.uint8, tf.int32), stateful=False)
        pairs.set_shape([2, batch_size, crop, crop, 3])
        blurred, sharp = pairs[0], pairs[1]
        if symmetries > 1:
            blurred, sharp = flip_and_rotate([blurred, sharp], code)
        return with_targets(uint8_to_01(blurred), uint8_to_01(sharp), scales, gradient)

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    return steps.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)

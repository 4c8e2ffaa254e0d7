"""Batches for training: a function of (seed, step, sample) alone.

Batch n of a run depends on the seed and on n, never on what was read before, so a resumed run needs no
iterator state.
"""

import collections
import functools
import math
import mmap
import weakref

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.data import strong, targets
from tfdeblur.data.shake import COLOURS, EPOCH_ORDER, PLACES, SAMPLE, STRONG, generator

AUGMENTATIONS = {
    "none": 1,
    "horizontal_flips": 2,
    "flips": 4,
    "flips_and_rotations": 8,
    "mprnet": 9,  # its code draws one of nine, two of which change nothing; and the saturation, see `saturation_factor`
    "strong": 8,  # and scale, noise and JPEG, see strong.py
}  # -> how many of the eight symmetries


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


def _new(shape):
    return np.empty(shape, np.float32)


def symmetry(image, code):
    """One of the eight symmetries of the square; `code` 0 .. 7 as in ops.geometry.flip_and_rotate."""
    import cv2

    if code & 3:
        image = cv2.flip(image, {1: 1, 2: 0, 3: -1}[code & 3])
    return cv2.transpose(image) if code & 4 else image


def saturation_factor(rng):
    """MPRNet's: uniform between 0.8 and 1.2 for a third of the pairs, 1 for the others."""
    return rng.uniform(0.8, 1.2) if rng.random() < 1 / 3 else 1.0


def saturate(image, factor):
    """Distances from grey (0.299 R + 0.587 G + 0.114 B) times `factor`; uint8 [H, W, 3], rounded and clipped."""
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)[:, None]
    return np.rint(np.clip(grey + np.float32(factor) * (image - grey), 0, 255)).astype(np.uint8)


def make_batch(pairs, scales=1, resize="bicubic", gradient=False, empty=_new):
    """A batch out of crops: see `batches`.

    Args:
      pairs: [(blurred, sharp)] of uint8 [crop, crop, 3].
      empty: (shape) -> float32 array to fill.

    Returns:
      {"blurred", "sharp", "sharp_scales", "sharp_gradient" if wanted} as NumPy arrays, [0, 1] float32.
    """
    side, count = pairs[0][0].shape[0], len(pairs)
    blurred, *pyramid = (empty((count, size, size, 3)) for size in (side, *(side >> n for n in range(scales))))
    edges = empty((count, side, side, 3)) if gradient else None
    for sample, (before, after) in enumerate(pairs):
        for image, out in ((before, blurred[sample]), (after, pyramid[0][sample])):
            out[...] = image
            out /= np.float32(255)  # in two passes: a third faster than one that casts and divides
        for level in range(1, scales):
            targets.HALVES[resize](pyramid[level - 1][sample], out=pyramid[level][sample])
        if gradient:
            targets.sobel_magnitude(after, out=edges[sample])
    batch = {"blurred": blurred, "sharp": pyramid[0], "sharp_scales": tuple(pyramid)}
    return {**batch, "sharp_gradient": edges} if gradient else batch


class Buffers:
    """Memory for the arrays of batches, taken back when the last array over it dies.

    A batch of sixteen is 25 MB that the system would hand out page by page, zeroed, for every batch anew: more than
    half of the time of making one (measured). TensorFlow keeps an array that starts at a page without copying it.
    """

    def __init__(self):
        self._free = collections.defaultdict(collections.deque)  # bytes -> memories nobody looks at

    def empty(self, shape):
        """float32 array of that shape, filled with whatever was there before."""
        size = 4 * math.prod(shape)
        try:
            memory = self._free[size].pop()
        except IndexError:
            memory = mmap.mmap(-1, size)
        owner = np.frombuffer(memory, np.float32)  # every view of it, TensorFlow's too, refers to it
        weakref.finalize(owner, self._free[size].append, memory).atexit = False
        return owner.reshape(shape)


def batches(
    source,
    store,
    *,
    crop,
    batch_size,
    seed,
    start_step=0,
    augmentation="none",
    shares=None,
    scales=1,
    resize="bicubic",
    gradient=False,
):
    """An endless tf.data.Dataset of training batches from step `start_step` on.

    Args:
      source: has `crop(stored images, top, left, size, rng)`; with `draws`, these are the indices of an epoch.
      store: ImageStore of that source.
      crop: side of the square crops in pixels; pixels of the pair stay together.
      batch_size: samples in the (global) batch.
      seed: int.
      augmentation: a key of AUGMENTATIONS; one draw serves both images of a pair.
      shares: places in the batch, an int array for each replica that this process feeds; None: all of it for one. A
        step then yields one element for each, of equal sizes.
      scales: levels of the target pyramid.
      resize: how it is halved, "bicubic" or "bilinear".
      gradient: whether the Sobel map of the sharp images is wanted.

    Yields:
      {"blurred": float32 [B, crop, crop, 3] in [0, 1], "sharp": the same, "sharp_scales": tuple of `scales`
      tensors, finest (= sharp) first, "sharp_gradient": [B, crop, crop, 3] if wanted}.
    """
    symmetries, buffers = AUGMENTATIONS[augmentation], Buffers()
    shares = [np.arange(batch_size)] if shares is None else shares
    draws = getattr(source, "draws", np.arange(len(store)))

    def read_pair(index, uniforms, stream):
        """(blurred, sharp) of a sample; stream: what for -> its generator."""
        images = store.images(index)
        rng = functools.partial(stream, SAMPLE)
        if augmentation == "strong":
            own = stream(STRONG)
            pair = source.crop(images, *strong.place(images[:2][-1], crop, own), rng)
            blurred, sharp = (strong.shrink(image, crop) for image in pair)
            pair = strong.degrade(blurred, own), sharp
        else:
            height, width = store.size(index)
            top = int(uniforms[0] * (height - crop + 1))
            left = int(uniforms[1] * (width - crop + 1))
            pair = source.crop(images, top, left, crop, rng)
        code = int(uniforms[2] * symmetries)
        pair = [symmetry(image, code) for image in pair]
        if augmentation == "mprnet":
            factor = saturation_factor(stream(COLOURS))
            pair = [saturate(image, factor) for image in pair] if factor != 1.0 else pair
        return pair

    def read(element):
        step, replica = divmod(int(element), len(shares))
        order, uniforms = plan(step, len(draws), batch_size, seed)
        pairs = [
            read_pair(draws[order[sample]], uniforms[sample], functools.partial(generator, seed, step, sample))
            for sample in shares[replica]
        ]
        batch = make_batch(pairs, scales, resize, gradient, buffers.empty)
        return [batch["blurred"], *batch["sharp_scales"], *([batch["sharp_gradient"]] if gradient else [])]

    def load(element):
        sides = [crop, *(crop >> level for level in range(scales)), *([crop] if gradient else [])]
        blurred, *pyramid = tf.numpy_function(read, [element], [tf.float32] * len(sides), stateful=False)
        for tensor, side in zip([blurred, *pyramid], sides, strict=True):
            tensor.set_shape([len(shares[0]), side, side, 3])
        edges = {"sharp_gradient": pyramid.pop()} if gradient else {}
        return {"blurred": blurred, "sharp": pyramid[0], "sharp_scales": tuple(pyramid), **edges}

    elements = tf.data.Dataset.range(start_step * len(shares), np.iinfo(np.int64).max)
    # Of what may end, workers ask each other before each step whether all have a batch.
    elements = elements.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return elements.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2 * len(shares))

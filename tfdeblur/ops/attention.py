"""Attention between all places of a map, in memory that does not grow with the square of their number."""

import contextlib

from tfdeblur.compat import tf

# The matrix between some queries and all keys takes this much at most. On processors pieces that stay in the cache are
# twice as fast as those of 256 MiB (measured); graphics cards want larger ones.
_MOST_BYTES = {"CPU": 16 * 2**20, "GPU": 512 * 2**20}
_SHARE_OF_MEMORY = 64  # and this part of the memory that is free at most

_whole = False


@contextlib.contextmanager
def in_one_piece():
    """What is traced inside holds each attention as two matrix products: for counting them, not for running."""
    global _whole
    before, _whole = _whole, True
    try:
        yield
    finally:
        _whole = before


def attend(queries, keys, values, queries_at_once=None):
    """softmax(queries keys^T) values, the softmax over all keys; no division by the root of D.

    Some queries after the others, each with all keys: the same numbers as all at once, without the N x M matrix, which
    takes 3.3 GB for half a 1280x720 image at a quarter of its size. The products with the keys and the softmax are in
    float32 where the inputs are in half precision.

    Args:
      queries: float [B, N, D].
      keys: [B, M, D].
      values: [B, M, C].
      queries_at_once: how many; None: as many as fit, see `piece_bytes`.

    Returns:
      [B, N, C], the dtype of `values`.
    """
    wide = tf.float64 if queries.dtype == tf.float64 else tf.float32
    keys = tf.cast(keys, wide)
    batch, count = _size(queries, 0), _size(queries, 1)
    if queries_at_once is None:
        fitting = piece_bytes() // (wide.size * batch * _size(keys, 1))
        queries_at_once = max(fitting, 1) if isinstance(fitting, int) else tf.maximum(fitting, 1)

    def piece(start):
        logits = tf.matmul(tf.cast(queries[:, start : start + queries_at_once], wide), keys, transpose_b=True)
        return tf.matmul(tf.cast(tf.nn.softmax(logits), values.dtype), values)

    if _whole or isinstance(count, int) and isinstance(queries_at_once, int) and queries_at_once >= count:
        queries_at_once = count
        return piece(0)
    nothing = tf.zeros([batch, 0, values.shape[-1]], values.dtype)
    _, result = tf.while_loop(
        lambda start, _: start < count,
        lambda start, done: (start + queries_at_once, tf.concat([done, piece(start)], axis=1)),
        (tf.constant(0), nothing),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([queries.shape[0], None, values.shape[-1]])),
        parallel_iterations=1,
    )
    result.set_shape([queries.shape[0], queries.shape[1], values.shape[-1]])
    return result


def piece_bytes():
    """How many bytes a matrix between some queries and all keys may take."""
    most = _MOST_BYTES["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
    return min(most, _free_memory() // _SHARE_OF_MEMORY)


def _free_memory():
    """Bytes of main memory that are free or can be freed; where the system does not tell, enough."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 2**40


def _size(x, axis):
    return x.shape[axis] if x.shape[axis] is not None else tf.shape(x)[axis]

"""Large images in overlapping tiles: where they lie, how they are put together, how large they may be."""

import collections
import math

import numpy as np

from tfdeblur.compat import free_memory, graph_function, tf

# Tiles start at multiples of this, which every network's size_multiple divides: pixels meet the networks' halving
# grids as in the whole image.
GRID = 32
# By system: what neighbouring tiles share. Of madn and two_way so much that a seam is at most 1/255. The others see the
# whole image at once, which no overlap makes up for: what their convolutions see (experiments/tiles.md).
OVERLAPS = {
    "madn": 192,
    "two_way": 192,
    "deblurgan": 96,
    "improved_deblurgan": 96,
    "structures_guided": 96,
    "mprnet": 96,
    "egnet": 96,
    "egnet_ensemble": 96,
}
LARGEST_OVERLAP = 192
# What restoring may take of the memory. As a whole, which is how the networks were meant to see an image, more than in
# tiles: with the rest of the process these leave a 24-megapixel photograph below 6 GB.
WHOLE_BYTES = 10e9
TILE_BYTES = 4.8e9
MOST_BYTES_PER_PIXEL = 10_000  # no network here takes more
# How far the estimate from the graph lies below what is taken: TensorFlow starts all that it can, and its convolutions
# take memory of their own. The largest ratio that was measured, see experiments/tiles.md.
MARGIN = 2.5
SHARE_OF_MEMORY = 0.6  # of what is free, at most


# ------------------------------------------------------------------------------------------------- placing, blending


def places(size, tile, overlap, shorten=True):
    """Where the tiles lie along one side of an image.

    Args:
      size: length of the side, from 1.
      tile: length of a tile at most; counted in whole multiples of GRID, and more than `overlap`.
      overlap: what two neighbours share at least; rounded up to a multiple of GRID.
      shorten: whether tiles are no longer than as many tiles need to be, so that nothing is computed in vain.

    Returns:
      [(start, stop)]: as few tiles as do, all of one length, except that the last one stops with the image (it is
      moved in, so less than GRID is missing); starts are multiples of GRID.
    """
    if tile >= size:
        return [(0, size)]
    whole, length, shared = -(-size // GRID), tile // GRID, -(-overlap // GRID)
    count = -(-(whole - shared) // (length - shared))
    if shorten:
        length = -(-(whole + (count - 1) * shared) // count)
    starts = [GRID * (number * (whole - length) // (count - 1)) for number in range(count)]
    return [(start, min(start + GRID * length, size)) for start in starts]


def restore(run, image, rows, columns, progress=iter):
    """Restores an image tile by tile.

    Args:
      run: part of the image [h, w, 3] -> float32 [h, w, 3].
      image: [H, W, 3].
      rows, columns: see `places`.
      progress: wraps the list of tiles while it is worked through.

    Returns:
      float32 [H, W, 3]. Where tiles overlap they are blended by weights that change from 0 to 1 like a cosine in the
      middle half of what they share, and sum to 1; at the image's own border nothing fades.
    """
    height, width = image.shape[:2]
    result = np.empty([height, width, 3], np.float32)
    filled_rows = filled = 0
    for (top, bottom), (left, right) in progress([(row, column) for row in rows for column in columns]):
        if left == 0:
            strip, filled = np.empty([bottom - top, width, 3], np.float32), 0
        part = run(image[top:bottom, left:right])
        _lay(strip.swapaxes(0, 1), part.swapaxes(0, 1), left, filled)
        filled = right
        if right == width:
            _lay(result, strip, top, filled_rows)
            filled_rows = bottom
    return result


def _lay(canvas, part, start, filled):
    """Puts `part` onto `canvas` at `start`, fading over from what is there up to `filled`."""
    shared = filled - start
    way = (np.arange(shared, dtype=np.float32) + 0.5) / max(shared, 1)
    # Next to its border a tile is at its worst: the outer quarters of what two share belong to the other one alone.
    ramp = np.sin(0.5 * np.pi * np.clip(2.0 * way - 0.5, 0.0, 1.0)) ** 2
    # This form leaves alone what both agree on, to the bit.
    canvas[start:filled] += ramp[:, None, None] * (part[:shared] - canvas[start:filled])
    canvas[filled : start + len(part)] = part[shared:]


# ------------------------------------------------------------------------------------------------- how large


def memory(most):
    """Bytes that one call of a network may take now: no more than `most`."""
    return min(most, SHARE_OF_MEMORY * free_memory())


def side(pixels, overlap):
    """The side of a square tile of about so many pixels: a multiple of GRID, and enough for the overlap."""
    return max(GRID * (math.isqrt(int(pixels)) // GRID), smallest(overlap))


def smallest(overlap):
    """The smallest tile that is worth its overlap."""
    return GRID * max(2 * -(-overlap // GRID), 1)


def bytes_per_pixel(function, side=256):
    """How much memory a network takes for each pixel of its image, its weights not counted.

    Read off the traced graph, nothing is computed: the operations one after the other as they were made, each result
    kept until its last use.

    Args:
      function: [1, H, W, 3] -> tensors.
      side: of the image that is traced.
    """
    graph = graph_function(function).get_concrete_function(tf.TensorSpec([1, side, side, 3])).graph
    waiting = [tensor.op for tensor in graph.outputs]
    needed = set(waiting)
    while waiting:
        op = waiting.pop()
        sources = {tensor.op for tensor in op.inputs} | set(op.control_inputs)
        waiting += sources - needed
        needed |= sources
    operations = [op for op in graph.get_operations() if op in needed]

    same = {}  # result -> the tensor whose memory it is
    last_use = {}
    for number, op in enumerate(operations):
        for tensor in op.inputs:
            last_use[same.get(tensor.ref(), tensor.ref())] = number
        if op.type in _IN_PLACE:
            for source, result in zip(op.inputs, op.outputs, strict=False):
                same[result.ref()] = same.get(source.ref(), source.ref())
    ends = collections.Counter()
    live = most = 0
    for number, op in enumerate(operations):
        for tensor in op.outputs:
            if tensor.ref() not in same and op.type not in _NOT_COUNTED:
                taken = tensor.shape.num_elements() * tensor.dtype.size
                live += taken
                ends[last_use.get(tensor.ref(), number)] += taken
        most = max(most, live)
        live -= ends[number]
    return MARGIN * most / side**2


_IN_PLACE = ("Identity", "IdentityN", "Reshape", "StopGradient")
_NOT_COUNTED = ("ReadVariableOp", "Const", "Placeholder")

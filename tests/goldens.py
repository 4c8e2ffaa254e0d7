"""Images and weights by formula, with which the outputs of reference implementations were computed in float64.

A weight's values follow from its name and its shape in PyTorch's layout alone, so no file of weights is needed.
"""

import math

import numpy as np


def image(height, width, phase=0.0):
    """float64 [1, height, width, 3] in [0, 1]: 0.5 + 0.5 sin(0.3 h + 0.2 w (c + 1) + phase)."""
    rows, columns, channels = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return (0.5 + 0.5 * np.sin(0.3 * rows + 0.2 * columns * (channels + 1) + phase))[None]


def torch_weight(name, shape):
    """float64 of `shape` (PyTorch's layout): sin(0.5 i + 0.1 (sum of the name's letters mod 97)) / sqrt(fan)."""
    size = math.prod(shape)
    if size == 1:
        return np.full(shape, 0.25)
    fan = math.prod(shape[1:]) if len(shape) > 1 else 16
    key = sum(map(ord, name)) % 97
    return (np.sin(0.5 * np.arange(size) + 0.1 * key) / math.sqrt(fan)).reshape(shape)


def set_torch_weights(layer, name, kernel_axes):
    """Sets [kernel, bias] of a Keras layer to those of torch's layer `name`.

    kernel_axes: (2, 3, 1, 0) for convolutions (OIHW -> HWIO) and transposed ones (IOHW -> HWOI).
    """
    kernel, bias = layer.get_weights()
    torch_shape = [kernel.shape[kernel_axes.index(axis)] for axis in range(4)]
    layer.set_weights(
        [
            torch_weight(f"{name}.weight", torch_shape).transpose(kernel_axes),
            torch_weight(f"{name}.bias", bias.shape),
        ]
    )

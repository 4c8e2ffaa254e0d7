"""Slow, obvious references of layers, in NumPy, and layers with random weights to hold against them."""

import numpy as np


def randomised(layer, *inputs, seed=0, scale=0.3):
    """The layer, built, with every weight random: biases and heads that start at zero hide mistakes."""
    layer(*inputs)
    generator = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(generator.normal(0, scale, weight.shape))
    return layer


def slow_conv(x, conv, strides=1):
    """TensorFlow's "same" convolution, with or without bias, pixel by pixel."""
    kernel, *bias = (weight.numpy().astype(np.float64) for weight in conv.weights)
    batch, height, width, _ = x.shape
    k = len(kernel)
    out = np.zeros((batch, -(-height // strides), -(-width // strides), kernel.shape[3]))
    # With stride 2 and an even size, "same" pads at the bottom and right alone.
    first = max((out.shape[1] - 1) * strides + k - height, 0) // 2
    padded = np.pad(x, ((0, 0), (first, k), (first, k), (0, 0)))
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            window = padded[:, row * strides : row * strides + k, column * strides : column * strides + k]
            out[:, row, column] = np.einsum("byxi,yxio->bo", window, kernel) + sum(bias)
    return out


def slow_deconv(x, deconv, strides):
    """Every input pixel paints its kernel; the border of (kernel - strides) / 2 is cut off."""
    kernel, bias = (weight.numpy().astype(np.float64) for weight in deconv.weights)  # [k, k, out, in]
    batch, height, width, _ = x.shape
    k = len(kernel)
    out = np.zeros((batch, (height - 1) * strides + k, (width - 1) * strides + k, kernel.shape[2]))
    for row in range(height):
        for column in range(width):
            painted = np.einsum("bi,yxoi->byxo", x[:, row, column], kernel)
            out[:, row * strides : row * strides + k, column * strides : column * strides + k] += painted
    cut = (k - strides) // 2
    return out[:, cut : cut + height * strides, cut : cut + width * strides] + bias

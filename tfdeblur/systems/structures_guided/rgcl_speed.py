"""RGCL's pair of strip convolutions against one 3x3 convolution, as a command.

`python -m tfdeblur.systems.structures_guided.rgcl_speed` times both with biases and a leaky ReLU, twenty layers in a
row, in turn, one size at a time, and prints how much longer the pair takes for each multiply-accumulate: it has 6 of
them where the 3x3 has 9.
"""

import statistics
import time

from tfdeblur.compat import graph_function, tf

LAYERS, ROUNDS = 20, 15
CHANNELS = (96, 64, 32)  # an MBRB's three RGCLs
SIDES = (64, 180)  # 256x256 pixels and 720 rows, both at a quarter


def main():
    print("channels  " + "".join(f"{f'{side}x{side}':>10}" for side in SIDES))
    for channels in CHANNELS:
        print(f"{channels:8}  " + "".join(f"{ratio(channels, side):10.2f}" for side in SIDES))


def ratio(channels, side):
    """Seconds for each multiply-accumulate: the pair's over the 3x3's."""
    kernels = {"pair": [(1, 3), (3, 1)], "one": [(3, 3)]}
    functions = {name: _layers(channels, side, sizes) for name, sizes in kernels.items()}
    seconds = {name: [] for name in functions}
    for _ in range(ROUNDS + 1):
        for name, function in functions.items():
            begin = time.perf_counter()
            function().numpy()
            seconds[name].append(time.perf_counter() - begin)
    pair, one = (statistics.median(seconds[name][1:]) for name in ("pair", "one"))  # the first round traces
    return pair / 6 / (one / 9)


def _layers(channels, side, sizes):
    images = tf.random.stateless_uniform([1, side, side, channels], [0, 1])
    kernels = [tf.random.stateless_normal([*size, channels, channels], [0, 2], stddev=0.02) for size in sizes]
    bias = tf.ones([channels])

    @graph_function
    def run():
        x = images
        for _ in range(LAYERS):
            x = tf.nn.leaky_relu(tf.add_n([tf.nn.bias_add(tf.nn.conv2d(x, k, 1, "SAME"), bias) for k in kernels]), 0.01)
        return x

    return run


if __name__ == "__main__":
    main()

"""RGCL, MBRB and GradientNet against slow NumPy written from the paper's figures; the counts; the switches."""

import json

import numpy as np
import pytest

from tfdeblur import info, systems
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.systems.structures_guided.networks import GradientNet, Mbrb, PlainConv, Rgcl, StructuresGuided


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def lively(layer, x):
    layer(x)
    layer.set_weights([0.3 * values(*w.shape, seed=n + 1) for n, w in enumerate(layer.get_weights())])
    return layer


# ------------------------------------------------------------------------------------- slow NumPy


def conv(x, layer, depthwise=False):
    """Zero-padded "same" correlation of [H, W, C], pixel by pixel."""
    kernel, bias = (w.astype(np.float64) for w in layer.get_weights())
    k, el = kernel.shape[:2]
    padded = np.pad(x, [(k // 2, k // 2), (el // 2, el // 2), (0, 0)])
    out = np.zeros((*x.shape[:2], len(bias)))
    for row, column in np.ndindex(*x.shape[:2]):
        window = padded[row : row + k, column : column + el]
        out[row, column] = (window * kernel[..., 0]).sum((0, 1)) if depthwise else np.tensordot(window, kernel, 3)
    return out + bias


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def attention(x, layer):
    w1, b1, w2, b2 = layer.get_weights()
    return x * sigmoid(np.maximum(x.mean((0, 1)) @ w1 + b1, 0) @ w2 + b2)


def rgcl(x, layer):
    if isinstance(layer, PlainConv):
        return leaky(conv(x, layer.conv))
    y = x
    for _ in range(layer.recurrences):
        y = leaky(conv(y, layer.horizontal) + conv(y, layer.vertical))
    return x + attention(sigmoid(conv(y, layer.refine, depthwise=True)), layer.attention)


def mbrb(x, block):
    q = x.shape[-1] // 4
    if block.mode == "split":
        l1 = rgcl(x[..., q:], block.paths[0])
        l2 = rgcl(l1[..., q:], block.paths[1])
        l3 = rgcl(l2[..., q:], block.paths[2])
        parts = [x[..., :q], l1[..., :q], l2[..., :q], l3]
    elif block.mode == "parallel":
        parts = [rgcl(x, path) for path in block.paths]
    elif block.mode == "chain":
        l1 = rgcl(x, block.paths[0])
        l2 = rgcl(l1, block.paths[1])
        parts = [l1, l2, rgcl(l2, block.paths[2])]
    else:
        (path,) = block.paths
        parts = [rgcl(x, path)]
    y = attention(np.concatenate(parts, -1), block.attention)
    return x + conv(np.maximum(conv(y, block.conv1), 0), block.conv2)


def gradient_net(x, net):
    for layer in net.prftm:
        x = conv(x, layer)
    for block in net.blocks:
        x = mbrb(x, block)
    return attention(x, net.attention)


# ------------------------------------------------------------------------------------- layers


def test_rgcl_of_an_impulse_by_hand():
    """One channel, k_1x3 = (1, 2, 3), k_3x1 = (10, 20, 30): the impulse paints both, turned, and the centre twice."""
    layer = Rgcl(1, recurrences=1)
    x = np.zeros((1, 3, 3, 1), np.float32)
    x[0, 1, 1] = 1
    layer(x)
    layer.horizontal.set_weights([np.float32([1, 2, 3]).reshape(1, 3, 1, 1), np.zeros(1)])
    layer.vertical.set_weights([np.float32([10, 20, 30]).reshape(3, 1, 1, 1), np.zeros(1)])
    impulse = np.zeros((3, 3, 1, 1), np.float32)
    impulse[1, 1] = 0.1
    layer.refine.set_weights([impulse, np.zeros(1)])
    layer.attention.set_weights([np.zeros((1, 1)), np.zeros(1), np.zeros((1, 1)), np.zeros(1)])  # a gate of 0.5
    horizontal, vertical, structures = (response.numpy()[0, ..., 0] for response in layer.responses(x))
    np.testing.assert_array_equal(horizontal, [[0, 0, 0], [3, 2, 1], [0, 0, 0]])
    np.testing.assert_array_equal(vertical, [[0, 30, 0], [0, 20, 0], [0, 10, 0]])
    expected = 0.5 * sigmoid(0.1 * np.array([[0, 30, 0], [3, 22, 1], [0, 10, 0]]))
    np.testing.assert_allclose(structures, expected, rtol=1e-5)
    np.testing.assert_allclose(layer(x)[0, ..., 0], x[0, ..., 0] + expected, rtol=1e-5)


@pytest.mark.parametrize("recurrences", [1, 2, 3])
def test_rgcl_against_a_slow_reference(recurrences):
    x = values(2, 5, 4, 6)
    layer = lively(Rgcl(6, recurrences), x)
    assert len(layer.trainable_variables) == 10  # two strips, refinement, two matrices: shared by the recurrences
    expected = [rgcl(image, layer) for image in x]
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("mode", ["split", "parallel", "chain", "single"])
def test_mbrb_against_a_slow_reference(mode, plain):
    x = values(2, 4, 5, 8)
    block = lively(Mbrb(8, 2, mode, plain), x)
    expected = [mbrb(image, block) for image in x]
    np.testing.assert_allclose(block(x), expected, rtol=1e-4, atol=1e-4)
    kinds = {type(path) for path in block.paths}
    assert kinds == {PlainConv if plain else Rgcl}
    assert [path.channels for path in block.paths] == {"split": [6, 4, 2], "single": [8]}.get(mode, [8, 8, 8])


def test_gradient_net_against_a_slow_reference():
    x = values(1, 4, 4, 6)
    net = lively(GradientNet(8, num_blocks=2, recurrences=2), x)
    np.testing.assert_allclose(net(x)[0], gradient_net(x[0], net), rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------- the whole network


def test_skips_and_output_are_where_the_figure_has_them():
    """With a tail that is zero but for its bias the output is tanh(bias), and all is grey."""
    net = systems.build("structures_guided", enc_widths=(4, 6, 8), grad_channels=8, num_blocks=1)
    assert net.ups[0].deconv.kernel.shape == (3, 3, 6, 8)  # [.., out, in]: from GradientNet
    assert net.ups[1].deconv.kernel.shape == (3, 3, 4, 6 + 6)  # joined by e1
    assert net.tail.conv.kernel.shape == (7, 7, 4 + 4, 3)  # joined by e0
    net.tail.set_weights([np.zeros((7, 7, 8, 3)), np.float32([0, 0.5, -2])])
    x = np.random.default_rng(0).uniform(size=(1, 8, 4, 3)).astype(np.float32)
    grey = 0.5 + 0.5 * np.tanh([0, 0.5, -2])
    np.testing.assert_allclose(net(x)["restored"], np.broadcast_to(grey, x.shape), rtol=1e-6)
    net.learn_residual = True
    expected = np.clip(2 * x - 1 + np.tanh([0, 0.5, -2]), -1, 1) / 2 + 0.5
    np.testing.assert_allclose(net(x)["restored"], expected, atol=1e-6)


# The readings that were weighed against each other (README.md of the system), and the ablations:
# parameters, G multiply-accumulates at 1280x720.
COUNTS = [
    ({}, 5_013_907, 447.433),
    ({"without": "rgcl"}, 5_402_907, 372.120),
    ({"without": "mbrbs"}, 5_130_987, 468.335),
    ({"without": "gradient_net"}, 839_875, 110.946),
    *(
        pytest.param(*values, marks=pytest.mark.slow)
        for values in (
            ({"mbrb_mode": "parallel", "grad_channels": 64}, 3_105_399, 322.155),
            ({"mbrb_mode": "parallel"}, 10_287_147, 979.270),
            ({"mbrb_mode": "parallel", "grad_channels": 80}, 4_467_588, 446.222),
            ({"mbrb_mode": "chain", "grad_channels": 80}, 4_467_588, 446.222),
            ({"grad_channels": 256}, 17_477_219, 1454.904),
            ({"enc_widths": (64, 128, 128)}, 4_718_867, 430.446),
            ({"enc_widths": (32, 64, 128), "grad_channels": 96}, 2_578_837, 224.231),  # twice that: 448.46 G
        )
    ),
]


@pytest.mark.parametrize("arguments, parameters, macs", COUNTS, ids=lambda value: str(value))
def test_counts(arguments, parameters, macs):
    net = systems.build("structures_guided", **arguments)
    assert net.count_params() == parameters
    assert info.multiply_accumulates(net, (720, 1280)) / 1e9 == pytest.approx(macs, abs=5e-4)


def test_the_parts_of_a_block_are_the_specifications():
    block = Mbrb(128, 3)
    block(tf.zeros([1, 4, 4, 128]))
    assert [path.count_params() for path in block.paths] == [57_702, 25_924, 6_690]
    assert block.count_params() == 387_668


SMALL = {"enc_widths": (4, 6, 8), "grad_channels": 8, "num_blocks": 2, "recurrences": 2}


@pytest.mark.parametrize("without", ["nothing", "rgcl", "mbrbs", "gradient_net"])
@pytest.mark.parametrize("mode", ["split", "parallel", "chain"])
def test_every_switch_survives_its_config(mode, without):
    net = systems.build("structures_guided", **SMALL, mbrb_mode=mode, without=without)
    clone = StructuresGuided.from_config(json.loads(json.dumps(net.get_config())))
    x = np.random.default_rng(0).uniform(size=(1, 8, 8, 3)).astype(np.float32)
    clone(x)
    clone.set_weights(net.get_weights())
    np.testing.assert_array_equal(clone(x)["restored"], net(x)["restored"])
    layers = {part.__class__.__name__ for part in net.submodules}
    assert ("Rgcl" in layers) is (without not in ("rgcl", "gradient_net"))
    assert ("PlainConv" in layers) is (without == "rgcl")
    assert ("Mbrb" in layers) is (without != "gradient_net")


@pytest.mark.parametrize("block, path", [(0, 0), (1, 1), (1, 2)])
@pytest.mark.parametrize("mode", ["split", "parallel", "chain"])
def test_the_responses_of_an_rgcl_are_those_of_the_forward_pass(mode, block, path):
    net = systems.build("structures_guided", **SMALL, mbrb_mode=mode)
    net.set_weights([w + 0.2 * values(*w.shape, seed=n) for n, w in enumerate(net.get_weights())])
    layer = net.gradient_net.blocks[block].paths[path]
    seen = []
    original = layer.responses
    layer.responses = lambda inputs: seen.append((inputs, original(inputs))) or seen[-1][1]
    x = np.random.default_rng(0).uniform(size=(1, 8, 12, 3)).astype(np.float32)
    net(x)
    (_, expected), *_ = seen
    for response, same in zip(net.rgcl_responses(x, block, path), expected, strict=True):
        assert response.shape == (1, 2, 3, layer.channels)
        np.testing.assert_array_equal(response, same)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"mbrb_mode": "single"}, "mbrb_mode=single: choose split, parallel, chain"),
        ({"without": "mbrb"}, "without=mbrb: choose nothing, rgcl, mbrbs, gradient_net"),
        ({"enc_widths": (4, 8)}, "enc_widths=(4, 8)"),
        ({"enc_widths": (4, 0, 8)}, "enc_widths=(4, 0, 8)"),
        ({"grad_channels": 10}, "grad_channels=10: must be a multiple of 4"),
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"recurrences": 0}, "recurrences=0"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, words):
    with pytest.raises(DeblurError) as caught:
        StructuresGuided(**arguments)
    assert words in str(caught.value)

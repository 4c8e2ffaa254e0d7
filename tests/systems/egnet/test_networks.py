"""EGNet: the paper's numbers, and MPRNet exactly until its enhanced gradient networks are trained."""

import numpy as np
import pytest

from tests import goldens
from tests.systems.mprnet.test_networks import SMALL, with_formula_weights
from tfdeblur import info, systems
from tfdeblur.compat import precision, tf
from tfdeblur.ops.gradients import enhanced_gradient

NARROW = {**SMALL, "egn_width": 8, "num_egms": 2}
IMAGE = np.random.default_rng(0).uniform(size=(2, 16, 24, 3)).astype(np.float32)


def lively(net):
    """The network with exits away from zero."""
    rng = np.random.default_rng(1)
    for layer in (net.egn1, net.egn2):
        layer.exit.set_weights([rng.normal(size=w.shape) for w in layer.exit.get_weights()])
    return net


def test_parameters_are_the_papers():
    net = systems.build("egnet")
    assert net.count_params() == 26_596_441
    parts = systems.system("egnet").parts(net)
    assert {name: part.count_params() for name, part in parts.items()} == {
        "base": 20_127_073,
        "egn1": 3_234_684,
        "egn2": 3_234_684,
    }
    assert sum(np.prod(weight.shape) for weight in net.trainable_weights) == 26_596_441
    # MPRNet's 759.41 G, 26.24 G of convolutions and linear layers, and attention: N^2 (12 + 96) for each EGM and patch.
    attention = 6 * (12 + 96) * (4 * 1024**2 + 2 * 2048**2)
    assert info.multiply_accumulates(net, (256, 256)) == pytest.approx(759.41e9 + 26.27e9 + attention, abs=2e7)


@pytest.mark.parametrize(
    "egn_input, policy",
    [("gradient", "float32"), ("add", "float64"), ("mul", "mixed_bfloat16"), ("random", "float32")],
)
def test_it_starts_as_exactly_mprnet(egn_input, policy):
    with precision(policy):
        net, base = systems.build("egnet", **NARROW, egn_input=egn_input), systems.build("mprnet", **SMALL)
    base.set_weights(with_formula_weights(net.base).get_weights())
    expected = base(IMAGE)
    for name, value in net(IMAGE, training=True).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_stage_1_enhances_quadrants_and_stage_2_halves():
    net = lively(systems.build("egnet", **NARROW))
    with_formula_weights(net.base)
    gradient = enhanced_gradient(tf.constant(IMAGE)).numpy()
    quadrants = [gradient[:, :8, :12], gradient[:, 8:, :12], gradient[:, :8, 12:], gradient[:, 8:, 12:]]
    patches = {1: np.concatenate(quadrants), 2: np.concatenate([gradient[:, :8], gradient[:, 8:]])}

    def enhance(stage, features):
        assert features.shape == {1: (8, 2, 3, 16), 2: (4, 2, 6, 16)}[stage]
        return {1: net.egn1, 2: net.egn2}[stage](features, patches[stage])

    expected = net.base(IMAGE, enhance=enhance)
    for name, value in net(IMAGE).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)
    plain = net.base(IMAGE)
    for name, value in net(IMAGE).items():
        assert np.abs(value - plain[name]).max() > 1e-3, name


def test_the_base_stands_still_while_the_rest_is_trained():
    net = lively(systems.build("egnet", **{**NARROW, "egn_width": 32}))
    net.base.trainable = False
    names = {id(weight) for part in (net.egn1, net.egn2) for weight in part.trainable_weights}
    assert {id(weight) for weight in net.trainable_weights} == names
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_mean(image**2) for image in net(IMAGE, training=True).values()])
    gradients = tape.gradient(loss, net.trainable_weights)
    still = {w.name for w, slope in zip(net.trainable_weights, gradients, strict=True) if np.abs(slope).max() < 1e-9}
    # A bias of the keys adds the same to a query's products with all of them, which the softmax takes away again.
    assert all(name.endswith("key/bias:0") for name in still), still


def test_without_position_attention_there_are_convolutions_alone():
    net = systems.build("egnet", **NARROW, attention=False)
    assert len(net.egn1.egms[0].weights) == 6
    lively(net)(IMAGE)


def test_a_graph_with_unknown_sizes_gives_the_same(monkeypatch):
    net = lively(systems.build("egnet", **NARROW))
    with_formula_weights(net.base)
    expected = net(IMAGE)
    monkeypatch.setattr("tfdeblur.ops.attention.piece_bytes", lambda: 200)  # several pieces
    graph = tf.function(net, input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    for name, value in graph(IMAGE).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)


def test_float64_is_kept():
    with precision("float64"):
        net = lively(systems.build("egnet", **NARROW))
    image = goldens.image(16, 32)
    exact, rounded = net(image), net(image.astype(np.float32).astype(np.float64))
    for name, value in exact.items():
        assert value.dtype == tf.float64
        assert 0 < np.abs(value - rounded[name]).max() < 1e-4

"""EGNet's enhanced gradient network against its equations in NumPy, and the paper's numbers."""

import json

import numpy as np
import pytest

from tests.layers.slow import randomised, slow_conv
from tfdeblur.compat import PRECISIONS, precision, tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers import enhanced_gradient as egn


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow_pair(x, convs):
    """conv - ReLU - conv."""
    return slow_conv(np.maximum(slow_conv(x, convs.conv1), 0), convs.conv2)


# ------------------------------------------------------------------------------------------------- equations


def test_residual_channel_attention_is_equations_2_and_3():
    x = values(2, 4, 5, 4)
    layer = randomised(egn.ResidualChannelAttention(reduction=2), x)
    squeeze, excite = layer.attention.get_weights()
    t = slow_pair(x, layer.convs)
    gates = sigmoid(np.maximum(t.mean(axis=(1, 2)) @ squeeze, 0) @ excite)
    np.testing.assert_allclose(layer(x), x + t * gates[:, None, None], atol=1e-4)


def test_residual_spatial_attention_is_equation_4():
    x = values(2, 6, 5, 3)
    layer = randomised(egn.ResidualSpatialAttention(), x)
    t = slow_pair(x, layer.convs)
    seen = np.stack([t.mean(axis=-1), t.max(axis=-1)], axis=-1)
    weights = sigmoid(slow_conv(seen, layer.gate))
    assert layer.gate.kernel.shape == (7, 7, 2, 1)
    np.testing.assert_allclose(layer(x), x + t * weights, atol=1e-4)


def slow_position_attention(layer, x):
    """Eqs. 5 to 9, place by place."""
    linears = [part.get_weights() for part in (layer.query, layer.key, layer.value, layer.exit)]
    (l1, b1), (l2, b2), (l3, b3), (l4, b4) = linears
    out = np.zeros_like(x)
    for n, u in enumerate(slow_conv(slow_pair(x, layer.convs), layer.conv3)):
        places = u.reshape(-1, u.shape[-1])
        keys, seen = places @ l2 + b2, places @ l3 + b3
        for index, place in enumerate(places):
            scores = np.exp(keys @ (place @ l1 + b1))
            out[n].reshape(places.shape)[index] = (scores / scores.sum()) @ seen @ l4 + b4
    return out


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_position_attention_is_equations_5_to_9(residual, at_once, monkeypatch):
    x = values(2, 4, 5, 8) / 2
    layer = randomised(egn.PositionAttention(reduction=4, residual=residual), x)
    monkeypatch.setattr("tfdeblur.ops.attention.piece_bytes", lambda: 4 * 2 * 20 * at_once)
    expected = slow_position_attention(layer, x) + (x if residual else 0)
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)
    graph = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 8], tf.float32)])
    np.testing.assert_allclose(graph(x), expected, atol=1e-4)
    assert layer.query.kernel.shape == (8, 2)


def test_a_module_is_its_three_attentions_in_the_papers_order():
    x = values(1, 4, 4, 8) / 2
    module = randomised(egn.EnhancedGradientModule(reduction=2), x)
    channel, spatial, position = module.parts
    assert isinstance(channel, egn.ResidualChannelAttention) and isinstance(position, egn.PositionAttention)
    np.testing.assert_allclose(module(x), position(spatial(channel(x))), atol=1e-5)


def test_a_module_without_attention_is_its_convolutions():
    x = values(1, 4, 5, 3)
    module = randomised(egn.EnhancedGradientModule(attention=False), x)
    assert len(module.weights) == 6
    expected = x
    for convs in module.parts:
        expected = expected + slow_pair(expected, convs)
    np.testing.assert_allclose(module(x), expected, rtol=1e-4, atol=1e-3)


# ------------------------------------------------------------------------------------------------- the network


def network(features, gradient, lively_exit=True, **arguments):
    layer = egn.EnhancedGradientNetwork(**{"width": 4, "num_modules": 1, "reduction": 2, **arguments})
    layer(features, gradient)
    if lively_exit:
        layer.exit.set_weights([values(*w.shape, seed=8) for w in layer.exit.get_weights()])
    return layer


FEATURES, GRADIENT = values(2, 3, 4, 5), np.abs(values(2, 12, 16, 3, seed=1))


@pytest.mark.parametrize("egn_input", egn.EGN_INPUTS)
@pytest.mark.parametrize("attention", [True, False])
def test_a_new_one_changes_nothing(egn_input, attention):
    layer = network(FEATURES, GRADIENT, lively_exit=False, egn_input=egn_input, attention=attention)
    np.testing.assert_array_equal(layer(FEATURES, GRADIENT), FEATURES)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_new_one_changes_nothing_in_half_precision(policy):
    with precision(policy):
        layer = egn.EnhancedGradientNetwork(width=4, num_modules=1)
    features = tf.cast(FEATURES, layer.compute_dtype)
    result = layer(features, GRADIENT)
    assert result.dtype == layer.compute_dtype
    np.testing.assert_array_equal(result, features)


def test_the_gradient_map_is_added_at_the_features_size():
    layer = network(FEATURES, GRADIENT)
    pooled = GRADIENT.reshape(2, 3, 4, 4, 4, 3).mean(axis=(2, 4))
    added = slow_conv(pooled, layer.gradient_conv)
    z = FEATURES @ layer.entry.get_weights()[0][0, 0] + added
    expected = FEATURES + layer.egms[0](z.astype(np.float32)).numpy() @ layer.exit.get_weights()[0][0, 0]
    np.testing.assert_allclose(layer(FEATURES, GRADIENT), expected, atol=1e-4)


def test_another_scale_takes_another_gradient_map():
    layer = network(FEATURES, GRADIENT[:, ::2, ::2], scale=2)
    fine = network(FEATURES, GRADIENT, scale=4)
    fine.set_weights(layer.get_weights())
    halved = np.repeat(np.repeat(GRADIENT[:, ::4, ::4], 2, axis=1), 2, axis=2)
    whole = np.repeat(np.repeat(GRADIENT[:, ::4, ::4], 4, axis=1), 4, axis=2)
    np.testing.assert_allclose(layer(FEATURES, halved), fine(FEATURES, whole), atol=1e-5)


@pytest.mark.parametrize("egn_input, operation", [("add", np.add), ("mul", np.multiply)])
def test_a_learned_vector_takes_the_gradients_place(egn_input, operation):
    layer = network(FEATURES, None, egn_input=egn_input)
    z = operation(FEATURES @ layer.entry.get_weights()[0][0, 0], layer.vector.numpy())
    expected = FEATURES + layer.egms[0](z).numpy() @ layer.exit.get_weights()[0][0, 0]
    np.testing.assert_allclose(layer(FEATURES), expected, atol=1e-4)
    assert layer.vector.trainable and not hasattr(layer, "gradient_conv")


@pytest.mark.parametrize("egn_input, mean", [("add", 0), ("mul", 1)])
@pytest.mark.parametrize("std", [0.02, 0.2])
def test_the_vector_starts_at_the_papers_mean_and_deviation(egn_input, mean, std):
    layer = egn.EnhancedGradientNetwork(width=4000, egn_input=egn_input, input_std=std)
    layer.build(FEATURES.shape)  # a call would make its modules, too
    drawn = layer.vector.numpy()
    assert drawn.mean() == pytest.approx(mean, abs=0.07 * std) and drawn.std() == pytest.approx(std, rel=0.05)


def test_random_input_is_new_at_each_training_call_and_one_for_all_images_otherwise():
    layer = network(FEATURES, None, egn_input="random", input_std=0.5)
    first, second = layer(FEATURES, training=True), layer(FEATURES, training=True)
    assert np.abs(first - second).max() > 1e-3
    together = layer(FEATURES)
    np.testing.assert_array_equal(layer(FEATURES), together)
    np.testing.assert_allclose(layer(FEATURES[1:])[0], together[1], atol=1e-6)
    quiet = network(FEATURES, None, egn_input="random", input_std=0.0)
    quiet.set_weights(layer.get_weights())
    assert np.abs(quiet(FEATURES) - together).max() > 1e-3


def test_each_image_has_its_own_random_input_whichever_replica_it_is_on(two_cpus):
    layer = network(FEATURES, None, egn_input="random", input_std=0.5)
    patches = np.concatenate([FEATURES, FEATURES[:, ::-1], FEATURES[:, :, ::-1]])  # three of each image
    images = len(FEATURES)
    seed = layer.noise_seed.numpy()
    expected = np.reshape(layer(patches, patches=3, training=True), [3, images, *FEATURES.shape[1:]])
    assert images == 2 and np.abs(expected[0, 0] - expected[0, 1]).max() > 1e-3

    with two_cpus.scope():
        together = network(FEATURES, None, egn_input="random", input_std=0.5)
    together.set_weights(layer.get_weights())
    together.noise_seed.assign(seed)
    parts = two_cpus.experimental_distribute_values_from_function(
        lambda context: tf.constant(patches[context.replica_id_in_sync_group :: images])
    )
    found = two_cpus.run(lambda part: together(part, patches=3, training=True), (parts,))
    for image, values in enumerate(two_cpus.experimental_local_results(found)):
        np.testing.assert_allclose(values, expected[:, image], atol=1e-5)
    np.testing.assert_array_equal(together.noise_seed.numpy(), seed + [0, 1])


# ------------------------------------------------------------------------------------------------- numbers


def test_parameters_are_the_specifications():
    layer = egn.EnhancedGradientNetwork()
    layer(tf.zeros([1, 2, 2, 192]), tf.zeros([1, 8, 8, 3]))
    assert layer.count_params() == 3_234_684
    module = layer.egms[0]
    assert [part.count_params() for part in module.parts] == [170_496, 165_986, 196_056]


@pytest.mark.parametrize("policy", PRECISIONS)
def test_every_part_computes_in_the_policy(policy):
    with precision(policy):
        layer = egn.EnhancedGradientNetwork(width=8, num_modules=1)
    # Made by a call that comes after the policy's time.
    layer(tf.cast(FEATURES, layer.compute_dtype), GRADIENT)
    assert {part.compute_dtype for part in layer.submodules if isinstance(part, tf.keras.layers.Layer)} == {
        policy.removeprefix("mixed_")
    }


@pytest.mark.parametrize(
    "layer",
    [
        egn.ConvPair(residual=True),
        egn.ResidualChannelAttention(reduction=3),
        egn.ResidualSpatialAttention(),
        egn.PositionAttention(reduction=3, residual=False),
        egn.EnhancedGradientModule(reduction=3, attention=False, pa_residual=False),
        egn.EnhancedGradientNetwork(5, 2, 2, "mul", 0.3, 3, False, False),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_survive_their_config(layer):
    config = json.loads(json.dumps(layer.get_config()))
    assert type(layer).from_config(config).get_config() == layer.get_config()


@pytest.mark.parametrize(
    "arguments", [{"egn_input": "noise"}, {"num_modules": 0}, {"width": 0}, {"scale": 0}, {"input_std": -1.0}]
)
def test_arguments_that_mean_nothing_are_refused(arguments):
    with pytest.raises(DeblurError, match=next(iter(arguments))):
        egn.EnhancedGradientNetwork(**arguments)

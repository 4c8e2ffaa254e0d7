"""MADN's networks: parameters of the paper, Eq. 9, and what flows where, by recorders and slow references."""

import inspect

import numpy as np
import pytest

from tests.layers.slow import randomised, slow_conv
from tfdeblur.compat import PRECISIONS, precision, tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers import codec
from tfdeblur.ops.gradients import sobel_magnitude
from tfdeblur.systems import build
from tfdeblur.systems.madn import networks, system

SMALL = {"widths": (4, 6, 8), "num_res_blocks": 1}


def random_images(shape=(2, 32, 32, 3), seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(size=shape).astype(np.float32))


def resized(images, factor):
    size = [round(factor * side) for side in images.shape[1:3]]
    return tf.image.resize(images, size, method="bicubic", antialias=False)


def sobel(images):
    return tf.sqrt(tf.reduce_sum(tf.square(tf.image.sobel_edges(images)), axis=-1) + 1e-6)


# ------------------------------------------------------------------------------------------------- numbers


def test_parameters_are_those_of_the_paper():
    net = build("madn")
    assert net.count_params() == 29_055_305
    assert {name: part.count_params() for name, part in system.parts(net).items()} == {
        "scale_network": 13_458_691,
        "gradient_network": 14_341_955,
        "fusion": 1_254_659,
    }
    assert sum(np.prod(weight.shape) for weight in net.trainable_weights) == 29_055_305


def test_discriminator_is_table_1():
    discriminator = system.build_discriminator()
    assert discriminator.count_params() == 4_827_332
    assert system.discriminator_parameters() == {"discriminator": 4_827_332}
    pairs = [(filters, stride) for filters in (64, 64, 128, 256, 512) for stride in (1, 2)]
    expected = [(filters, (3, 3), (stride, stride)) for filters, stride in pairs] + [(1, (1, 1), (1, 1))] * 2
    assert [(conv.filters, conv.kernel_size, conv.strides) for conv in discriminator.convs] == expected
    assert discriminator.dense1.kernel.shape == (64, 1024) and discriminator.dense2.kernel.shape == (1024, 1)


def test_weights_are_glorot_uniform_and_biases_zero():
    for layer in build("madn", **SMALL).submodules:
        if isinstance(layer, tf.keras.layers.Conv2D):
            assert isinstance(layer.kernel_initializer, tf.keras.initializers.GlorotUniform)
            assert not layer.bias.numpy().any() and layer.kernel.numpy().any()


# ------------------------------------------------------------------------------------- the three sub-networks


def test_scale_network_is_figure_2():
    x = random_images((2, 16, 16, 6))
    sn = randomised(networks.ScaleNetwork(**SMALL), x)
    full = sn.in_block(x)
    half = sn.e_block1(full)
    quarter = sn.e_block2(half)
    assert [tuple(t.shape[1:]) for t in (full, half, quarter)] == [(16, 16, 4), (8, 8, 6), (4, 4, 8)]
    expected = sn.out_block(sn.d_block2(sn.d_block1(quarter) + half) + full)
    feature, image = sn(x)
    np.testing.assert_allclose(feature, expected, rtol=1e-5)
    np.testing.assert_allclose(image, slow_conv(expected.numpy(), sn.head), rtol=1e-4, atol=1e-4)
    assert sn.head.kernel.shape == (1, 1, 4, 3) and image.numpy().min() < 0, "1x1 and linear"


def test_gradient_network_is_figure_2():
    x, f2, f3 = (random_images((2, side, side, c), side) for side, c in ((16, 3), (8, 4), (4, 4)))
    gn = randomised(networks.GradientNetwork(**SMALL), x, f2, f3)
    full = gn.in_block(x)
    half = gn.e_block1(full)
    quarter = gn.e_block2(tf.concat([half, f2], axis=-1))  # F_2 at the "128" level
    decoded = gn.d_block1(gn.fuse(tf.concat([quarter, f3], axis=-1)))  # F_3 at the "64" level
    expected = gn.out_block(gn.d_block2(decoded + half) + full)
    feature, gradient = gn(x, f2, f3)
    np.testing.assert_allclose(feature, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slow_conv(expected.numpy(), gn.head), rtol=1e-4, atol=1e-4)
    assert gn.e_block2.conv.kernel.shape == (3, 3, 6 + 4, 8)
    assert gn.fuse.kernel.shape == (3, 3, 8 + 4, 8) and gn.fuse.activation is tf.keras.activations.relu
    np.testing.assert_allclose(gn.fuse(-1e3 * tf.ones([1, 4, 4, 12])) >= 0, True)


def test_fusion_is_figure_2():
    x = random_images((2, 8, 8, 8))
    fusion = randomised(networks.Fusion(4, num_res_blocks=2), x)
    block = fusion.block.deconv(fusion.block.residuals(x))
    np.testing.assert_allclose(fusion(x), slow_conv(block.numpy(), fusion.head), rtol=1e-4, atol=1e-4)
    assert fusion.block.deconv.kernel.shape == (3, 3, 4, 8) and len(fusion.block.residuals.residuals) == 2
    assert fusion.head.kernel.shape == (1, 1, 4, 3)


# -------------------------------------------------------------------------------------------- what flows where


class Recorder:
    """Stands in for a sub-network: keeps what it is called with and answers `answer(call number, *inputs)`."""

    def __init__(self, answer):
        self.calls, self.answer = [], answer

    def __call__(self, *inputs):
        self.calls.append([x.numpy() for x in inputs])
        return self.answer(len(self.calls), *inputs)


@pytest.fixture
def recorded():
    """(net, blurred, outputs, recorders) of a MADN whose sub-networks are recorders."""
    net = networks.Madn(**SMALL)
    net.scale_network = Recorder(
        # F_3, F_2, F_1 are full of 1, 2, 3; I_3, I_2, I_1 are the second half of the input, brighter
        lambda n, x: (tf.fill([*x.shape[:3], 4], float(n)), x[..., 3:] ** 2 + 0.1 * n)
    )
    net.gradient_network = Recorder(lambda n, m, f2, f3: (tf.fill([*m.shape[:3], 4], 50.0), 3 * m))
    net.fusion = Recorder(lambda n, x: x[..., 3:6])
    blurred = random_images((2, 32, 48, 3))
    return net, blurred, net(blurred)


def test_coarsest_scale_gets_the_blurred_image_twice(recorded):
    net, blurred, _ = recorded
    (x,) = net.scale_network.calls[0]
    quarter = resized(resized(blurred, 0.5), 0.5)
    assert x.shape == (2, 8, 12, 6)
    np.testing.assert_allclose(x[..., :3], quarter, atol=1e-6)
    np.testing.assert_array_equal(x[..., 3:], x[..., :3])


@pytest.mark.parametrize("call, coarser, finer", [(1, "scale_3", 0.5), (2, "scale_2", 1)])
def test_finer_scales_get_the_blurred_image_and_the_enlarged_coarser_result(recorded, call, coarser, finer):
    net, blurred, outputs = recorded
    assert len(net.scale_network.calls) == 3
    (x,) = net.scale_network.calls[call]
    np.testing.assert_allclose(x[..., :3], resized(blurred, finer), atol=1e-6)
    np.testing.assert_allclose(x[..., 3:], resized(outputs[coarser], 2), atol=1e-5)


def test_gradient_network_gets_sobel_of_the_blurred_image_and_the_coarser_features(recorded):
    net, blurred, outputs = recorded
    ((gradient, half_feature, quarter_feature),) = net.gradient_network.calls
    np.testing.assert_allclose(gradient, sobel(blurred), atol=1e-5)
    np.testing.assert_array_equal(half_feature, np.full((2, 16, 24, 4), 2.0), "F_2, of scale 2")
    np.testing.assert_array_equal(quarter_feature, np.full((2, 8, 12, 4), 1.0), "F_3, of scale 3")
    np.testing.assert_allclose(outputs["gradient"], 3 * sobel(blurred), atol=1e-5)


def test_fusion_gets_the_gradient_feature_and_the_finest_scale_feature(recorded):
    net, _, outputs = recorded
    ((x,),) = net.fusion.calls
    np.testing.assert_array_equal(x[..., :4], np.full((2, 32, 48, 4), 50.0))
    np.testing.assert_array_equal(x[..., 4:], np.full((2, 32, 48, 4), 3.0))
    np.testing.assert_array_equal(outputs["restored"][0, 0, 0], [50, 3, 3])


def test_outputs_have_their_names_and_scales(recorded):
    _, _, outputs = recorded
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        "restored": (2, 32, 48, 3),
        "gradient": (2, 32, 48, 3),
        "scale_1": (2, 32, 48, 3),
        "scale_2": (2, 16, 24, 3),
        "scale_3": (2, 8, 12, 3),
    }


def test_whole_generator_with_real_weights():
    blurred = random_images((1, 32, 16, 3))
    net = randomised(networks.Madn(**SMALL), blurred, scale=0.15)
    half = resized(blurred, 0.5)
    quarter = resized(half, 0.5)
    f3, i3 = net.scale_network(tf.concat([quarter, quarter], -1))
    f2, i2 = net.scale_network(tf.concat([half, resized(i3, 2)], -1))
    f1, i1 = net.scale_network(tf.concat([blurred, resized(i2, 2)], -1))
    fg, gradient = net.gradient_network(sobel(blurred), f2, f3)
    restored = net.fusion(tf.concat([fg, f1], -1))
    expected = {"restored": restored, "gradient": gradient, "scale_1": i1, "scale_2": i2, "scale_3": i3}
    outputs = net(blurred)
    assert outputs.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
        assert np.std(value) > 1e-3, "a test of constants would show nothing"


def test_graph_with_unknown_sizes_gives_the_same():
    net = randomised(networks.Madn(**SMALL), random_images(), scale=0.15)
    graph = tf.function(net, input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    images = random_images((2, 32, 48, 3))
    outputs = graph(images)
    for name, value in net(images).items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("height, width", [(24, 32), (32, 17), (8, 8)])
def test_sizes_that_cannot_be_halved_four_times_are_refused(height, width):
    net = build("madn", **SMALL)
    with pytest.raises(ValueError, match="multiples of 16"):
        net(tf.zeros([1, height, width, 3]))


# -------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("policy", PRECISIONS)
def test_global_residual_starts_as_the_identity(policy):
    blurred = random_images()
    with precision(policy):
        net = build("madn", **SMALL, global_residual=True)
    outputs = net(blurred)
    np.testing.assert_array_equal(outputs["restored"], blurred)
    np.testing.assert_array_equal(outputs["scale_1"], blurred)
    np.testing.assert_array_equal(outputs["gradient"], sobel_magnitude(blurred))
    np.testing.assert_allclose(outputs["scale_2"], resized(blurred, 0.5), atol=1e-6)
    np.testing.assert_allclose(outputs["scale_3"], resized(resized(blurred, 0.5), 0.5), atol=1e-6)


def test_global_residual_adds_the_input_of_the_same_scale():
    blurred = random_images((1, 32, 16, 3))
    plain, residual = (
        randomised(networks.Madn(**SMALL, global_residual=switch), blurred, scale=0.1) for switch in (False, True)
    )
    for net in (plain, residual):
        net.scale_network.head.kernel.assign(tf.zeros([1, 1, 4, 3]))  # so that all scales see the same in both
        net.scale_network.head.bias.assign([0.0, 0.0, 0.0])
    bases = {
        "scale_3": resized(resized(blurred, 0.5), 0.5),
        "scale_2": resized(blurred, 0.5),
        "scale_1": blurred,
    }
    outputs = residual(blurred)
    for name, base in bases.items():
        np.testing.assert_allclose(outputs[name], base, atol=1e-6, err_msg=name)
    x = tf.concat([bases["scale_3"]] * 2, -1)
    f3, _ = residual.scale_network(x)
    f2, _ = residual.scale_network(tf.concat([bases["scale_2"], resized(bases["scale_3"], 2)], -1))
    _, gradient = residual.gradient_network(sobel(blurred), f2, f3)
    np.testing.assert_allclose(outputs["gradient"], sobel(blurred) + gradient, rtol=1e-4, atol=1e-5)
    assert not any(plain(blurred)["scale_1"].numpy().flat), "and without the switch nothing is added"


@pytest.mark.parametrize("stop, expected", [(False, [1, 1, 1]), (True, [0, 0, 1])])
def test_stop_gradient_between_scales_by_hand(stop, expected):
    # Each scale hands on what it got plus a number of its own; bicubic resizing keeps constants.
    numbers = tf.Variable([0.1, 0.2, 0.3])
    net = networks.Madn(**SMALL, stop_gradient_between_scales=stop)
    net.scale_network = Recorder(lambda n, x: (x[..., :1], x[..., 3:] + numbers[n - 1]))
    net.gradient_network = Recorder(lambda n, m, f2, f3: (m, m))
    net.fusion = Recorder(lambda n, x: x[..., :3])
    with tf.GradientTape() as tape:
        finest = tf.reduce_mean(net(tf.zeros([1, 16, 16, 3]))["scale_1"])
    assert float(finest) == pytest.approx(0.6, abs=1e-5)
    np.testing.assert_allclose(tape.gradient(finest, numbers), expected, atol=1e-5)


def test_stop_gradient_changes_training_and_not_the_result():
    blurred = random_images((1, 16, 16, 3))
    images, gradients = [], []
    for stop in (False, True):
        net = networks.Madn(**SMALL, stop_gradient_between_scales=stop)
        randomised(net, blurred, scale=0.2)
        with tf.GradientTape() as tape:
            images.append(net(blurred)["scale_1"])
            loss = tf.reduce_mean(tf.square(images[-1]))
        gradients.append(tape.gradient(loss, net.scale_network.head.kernel).numpy())
    np.testing.assert_array_equal(*images)
    assert np.abs(gradients[0] - gradients[1]).max() > 0.01 * np.abs(gradients[0]).max()


def test_every_weight_of_the_generator_trains():
    blurred = random_images((1, 32, 32, 3))
    net = build("madn", **SMALL)
    with tf.GradientTape() as tape:
        outputs = net(blurred)
        loss = sum(tf.reduce_mean(tf.abs(outputs[name])) for name in outputs)
    for weight, gradient in zip(net.weights, tape.gradient(loss, net.weights), strict=True):
        assert gradient is not None and np.isfinite(gradient).all(), weight.name


# ------------------------------------------------------------------------------------------------ precision


@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)])
def test_outputs_are_float32_and_close_under_mixed_precision(policy, tolerance):
    blurred = random_images()
    exact = build("madn", **SMALL)
    with precision(policy):
        net = build("madn", **SMALL)
        discriminator = system.build_discriminator(32, widths=(4, 4, 4, 4, 4), dense_units=8)
    net.set_weights(exact.get_weights())
    assert all(weight.dtype == tf.float32 for weight in net.weights + discriminator.weights)
    assert net.scale_network.in_block.conv.compute_dtype == policy.removeprefix("mixed_")
    outputs, expected = net(blurred), exact(blurred)
    for name, value in outputs.items():
        assert value.dtype == tf.float32, name
        np.testing.assert_allclose(value, expected[name], atol=tolerance * np.abs(expected[name]).max())
    assert discriminator.convs[0].compute_dtype == policy.removeprefix("mixed_")
    logits = discriminator(blurred)
    assert logits.dtype == tf.float32 and logits.shape == (2, 1)
    assert tf.keras.mixed_precision.global_policy().name == "float32", "the policy is as before"


# -------------------------------------------------------------------------------------------- discriminator


def test_discriminator_is_leaky_and_ends_in_a_logit():
    images = random_images((3, 32, 32, 3)) - 0.5
    discriminator = randomised(networks.Discriminator(32, (4, 4, 6, 6, 8), dense_units=5), images, scale=0.4)

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    x = images.numpy().astype(np.float64)
    for number, conv in enumerate(discriminator.convs):
        x = leaky(slow_conv(x, conv, strides=2 if number % 2 and number < 10 else 1))
    for dense, activation in ((discriminator.dense1, leaky), (discriminator.dense2, lambda x: x)):
        x = activation(x.reshape(3, -1) @ dense.kernel.numpy() + dense.bias.numpy())
    result = discriminator(images)
    assert result.shape == (3, 1)
    np.testing.assert_allclose(result, x, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("crop, final", [(32, 1), (64, 2), (96, 3)])
def test_crop_ties_the_flattened_size(crop, final):
    discriminator = system.build_discriminator(crop, widths=(2, 2, 2, 2, 2), dense_units=3)
    assert discriminator.dense1.kernel.shape == (final**2, 3)


@pytest.mark.parametrize("crop", [0, 16, 33, 48, 250, -32])
def test_a_crop_that_cannot_be_halved_five_times_is_refused(crop):
    with pytest.raises(DeblurError, match=f"crop={crop}.*multiple of 32") as caught:
        networks.Discriminator(crop)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "make",
    [
        lambda: codec.ResidualBlocks(3, num_blocks=2),
        lambda: codec.EncodingBlock(5, 2, num_res_blocks=3),
        lambda: codec.DecodingBlock(6, 5, 2, num_res_blocks=3),
        lambda: networks.ScaleNetwork((3, 4, 5), num_res_blocks=2, zero_head=True),
        lambda: networks.GradientNetwork((3, 4, 5), num_res_blocks=2, zero_head=True),
        lambda: networks.Fusion(3, num_res_blocks=2, zero_head=True),
        lambda: networks.Madn((3, 4, 5), 2, global_residual=True, stop_gradient_between_scales=True),
        lambda: networks.Discriminator(64, (2, 3, 4, 5, 6), dense_units=7),
    ],
    ids=lambda make: make().__class__.__name__,
)
def test_every_argument_comes_back_from_the_configuration(make):
    layer = make()
    config = layer.get_config()
    arguments = set(inspect.signature(type(layer)).parameters) - {"kwargs"}
    assert arguments <= set(config)
    again = type(layer).from_config(config)
    assert again.get_config() == config
    for argument in arguments:
        default = inspect.signature(type(layer)).parameters[argument].default
        assert config[argument] == getattr(layer, argument) != default, argument

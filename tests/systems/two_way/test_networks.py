"""The Two-Way network: counts of its variants, Eq. 1, what flows where, and the loss by hand."""

import numpy as np
import pytest

from tests.conftest import load_experiment
from tests.layers.slow import randomised, slow_conv
from tfdeblur import info
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.ops.gradients import enhanced_gradient
from tfdeblur.systems import build, build_from, system
from tfdeblur.systems.two_way.networks import Decoder, TwoWay
from tfdeblur.systems.two_way.objective import TwoWayObjective

SMALL = {"widths": (4, 6, 8), "num_res_blocks": 1}
SCALES = ("_3", "_2", "")  # coarsest first


def random_images(shape=(2, 32, 48, 3), seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(size=shape).astype(np.float32))


def resized(images, factor):
    return tf.image.resize(images, [round(factor * side) for side in images.shape[1:3]], "bilinear", antialias=False)


# ------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    "arguments, parameters, gmacs",
    [
        ({}, 3_911_398, 656.9),
        ({"down_branch": False}, 2_584_035, 435.4),
        ({"decoder_order": "deconv_first"}, 2_140_390, None),
        ({"half_resolution": True, "down_branch": False}, 2_591_820, 113.7),
    ],
)
def test_counts_of_the_variants(arguments, parameters, gmacs):
    net = build("two_way", **arguments)
    assert net.count_params() == parameters
    if gmacs:
        height = 736 if arguments.get("half_resolution") else 720  # 720 is no multiple of 32
        assert info.multiply_accumulates(net, (height, 1280)) / 1e9 == pytest.approx(gmacs, abs=0.05)


def test_a_checkpoint_from_before_there_was_an_argument_is_of_the_network_without_it():
    config = load_experiment("two_way/smoke").to_dict()
    expected = build_from(config)
    for name in ("num_egms", "half_resolution"):
        del config[name]
    assert build_from(config).get_config() == expected.get_config()


def test_three_scales_share_one_set_of_variables():
    net = build("two_way", **SMALL)
    assert len({variable.ref() for variable in net.variables}) == len(net.variables)
    one_scale = sum(layer.count_params() for layer in (net.e1, net.e2, net.e3, net.up, net.down))
    assert net.count_params() == one_scale
    graph = tf.function(net).get_concrete_function(tf.TensorSpec([1, 32, 32, 3]))
    convolutions = [op for op in graph.graph.get_operations() if op.type in ("Conv2D", "Conv2DBackpropInput")]
    kernels = [weight for weight in net.trainable_weights if weight.shape.rank == 4]
    assert len(convolutions) == 3 * len(kernels) and len(graph.captured_inputs) == len(net.weights)


@pytest.mark.parametrize("half_resolution, smaller", [(False, 4), (True, 8)])
def test_an_enhanced_gradient_network_starts_as_nothing_and_sees_each_scales_own_gradients(half_resolution, smaller):
    arguments = {**SMALL, "half_resolution": half_resolution}
    net, plain = build("two_way", **arguments, num_egms=1), build("two_way", **arguments)
    theirs = [weight for layer in (plain.e1, plain.e2, plain.e3, plain.up, plain.down) for weight in layer.weights]
    ours = [weight for layer in (net.e1, net.e2, net.e3, net.up, net.down) for weight in layer.weights]
    for weight, same in zip(ours, theirs, strict=True):
        weight.assign(same)
    images = random_images((2, 32, 64, 3))
    expected = plain(images)
    for name, value in net(images).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)

    exit_ = net.egn.exit
    exit_.set_weights([np.random.default_rng(1).normal(size=weight.shape) for weight in exit_.get_weights()])
    calls = []
    layer = net.egn

    def watched(features, gradient):
        calls.append((features, gradient, layer(features, gradient)))
        return calls[-1][-1]

    net.egn = watched
    outputs = net(images)
    half = resized(images, 0.5)
    for blurred, (features, gradient, _) in zip((resized(half, 0.5), half, images), calls, strict=True):
        assert [smaller * side for side in features.shape[1:3]] == blurred.shape[1:3]
        np.testing.assert_allclose(gradient, enhanced_gradient(blurred), atol=1e-4)
    assert all(np.abs(outputs[name] - expected[name]).max() > 1e-3 for name in ("up", "down"))  # both decoders see it


# ---------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("order", ["residuals_first", "deconv_first"])
def test_decoder_is_figure_1(order):
    quarter, half, full = (random_images((1, side, side, c), side) for side, c in ((4, 8), (8, 6), (16, 4)))
    decoder = randomised(Decoder((4, 6, 8), 1, order), quarter, (half, full), scale=0.2)
    for skips in (None, (half, full)):
        x = quarter
        if order == "residuals_first":
            x = decoder.to_half.residuals(x)
        x = decoder.to_half.deconv(x) + (0 if skips is None else half)
        x = decoder.to_full.deconv(decoder.to_full.residuals(x)) + (0 if skips is None else full)
        expected = slow_conv(decoder.residuals(x).numpy(), decoder.head)
        result = decoder(quarter, skips)
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
        assert expected.min() < 0, "linear"
    assert len(decoder.to_half.residuals.residuals) == (order == "residuals_first")
    assert decoder.head.kernel.shape == (3, 3, 4, 3) and decoder.to_full.deconv.kernel_size == (4, 4)


@pytest.mark.parametrize("global_residual", [False, True])
def test_whole_network_scale_by_scale(global_residual):
    blurred = random_images()
    net = randomised(TwoWay(**SMALL, global_residual=global_residual), blurred, scale=0.15)
    outputs = net(blurred)
    half = resized(blurred, 0.5)
    scales = (resized(half, 0.5), half, blurred)
    coarser = scales[0]
    for scale, suffix in zip(scales, SCALES, strict=True):
        full = net.e1(tf.concat([scale, coarser], -1))
        e2 = net.e2(full)
        e3 = net.e3(e2)
        up = net.up(e3, (e2, full)) + (scale if global_residual else 0)
        down = net.down(e3)
        for name, expected in (("up", up), ("down", down), ("restored", up + down)):
            np.testing.assert_allclose(outputs[name + suffix], expected, rtol=1e-4, atol=1e-4, err_msg=name + suffix)
            assert np.std(expected) > 1e-3, "a test of constants would show nothing"
        coarser = resized(up + down, 2)
    assert len(outputs) == 9


def test_half_resolution_takes_pixels_apart_and_puts_them_together():
    """The finest scale by hand: 2x2 pixels of both images are the channels of one, and 12 channels are 2x2 pixels."""
    blurred = random_images((2, 32, 64, 3))
    net = randomised(TwoWay(**SMALL, half_resolution=True, global_residual=True), blurred, scale=0.15)
    outputs = net(blurred)
    images = np.concatenate([blurred, resized(outputs["restored_2"], 2)], axis=-1)
    gathered = np.concatenate([images[:, y::2, x::2] for y in (0, 1) for x in (0, 1)], axis=-1)
    full = net.e1(gathered)
    half = net.e2(full)
    x = net.up.to_full(net.up.to_half(net.e3(half)) + half) + full
    head = slow_conv(net.up.residuals(x).numpy(), net.up.head)
    up = blurred.numpy()
    for number, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        up[:, row::2, column::2] += head[..., 3 * number : 3 * number + 3]
    np.testing.assert_allclose(outputs["up"], up, rtol=1e-4, atol=1e-4)
    assert np.std(head) > 1e-3 and outputs["down"].shape == blurred.shape
    with pytest.raises(ValueError, match="multiples of 32"):
        net(blurred[:, :, :48])


def test_without_the_lower_branch_the_upper_one_is_the_result():
    blurred = random_images()
    net = randomised(TwoWay(**SMALL, down_branch=False), blurred, scale=0.15)
    outputs = net(blurred)
    assert set(outputs) == {name + suffix for name in ("restored", "up") for suffix in SCALES}
    for suffix in SCALES:
        np.testing.assert_array_equal(outputs["restored" + suffix], outputs["up" + suffix])


@pytest.mark.parametrize("stop", [True, False])
def test_gradient_between_scales(stop):
    """The finest scale's loss reaches the coarser ones' use of the weights, or does not."""
    blurred = random_images((1, 16, 16, 3))
    net = randomised(TwoWay(**SMALL, stop_gradient_between_scales=stop), blurred, scale=0.15)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(blurred)
        outputs = net(blurred)
        finest = tf.reduce_sum(outputs["restored"])
    slope = tape.gradient(finest, outputs["restored_2"])
    assert (slope is None) is stop


def test_sizes_that_do_not_divide_are_refused():
    net = build("two_way", **SMALL)
    with pytest.raises(ValueError, match="multiples of 16"):
        net(tf.zeros([1, 16, 24, 3]))


@pytest.mark.parametrize(
    "arguments", [{"decoder_order": "up_first"}, {"widths": (4, 6)}, {"widths": (0, 1, 2)}, {"num_res_blocks": -1}]
)
def test_arguments_that_mean_nothing_are_refused(arguments):
    with pytest.raises(DeblurError, match=next(iter(arguments))):
        TwoWay(**{**SMALL, **arguments})


# --------------------------------------------------------------------------------------------------- the loss


def test_loss_by_hand():
    """Errors of 1, 2 and 3 at full, half and quarter size: 5 * 1 + 1 * 4 + 1 * 9."""
    sides = (8, 4, 2)
    names = ("restored", "restored_2", "restored_3")
    outputs = {
        name: tf.fill([2, side, side, 3], n + 1.0) for n, (name, side) in enumerate(zip(names, sides, strict=True))
    }
    batch = {"sharp_scales": [tf.zeros([2, side, side, 3]) for side in sides]}
    terms = TwoWayObjective().generator_losses(outputs, batch)
    assert list(terms) == ["pixel"]
    np.testing.assert_allclose(terms["pixel"], [18, 18])
    terms = TwoWayObjective(scale_weights=(0.0, 1.0, 2.0)).generator_losses(outputs, batch)
    np.testing.assert_allclose(terms["pixel"], [22, 22])
    terms = TwoWayObjective(pixel_error="absolute").generator_losses(outputs, batch)
    np.testing.assert_allclose(terms["pixel"], [5 * 1 + 2 + 3] * 2)
    terms = TwoWayObjective(pixel_error="logarithmic").generator_losses(outputs, batch)
    np.testing.assert_allclose(terms["pixel"], [np.log(4) + np.log(9)] * 2, rtol=1e-4)


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.0), (-1.0, 2.0, 2.0), (1.0, 1.0)])
def test_scale_weights_that_mean_nothing_are_refused(weights):
    config = load_experiment("two_way/smoke")
    config.scale_weights = weights
    with pytest.raises(DeblurError, match="scale_weights"):
        system("two_way").make_trainer(config)


def test_a_pixel_error_of_another_name_is_refused():
    config = load_experiment("two_way/smoke")
    config.pixel_error = "cubed"
    with pytest.raises(DeblurError, match="pixel_error=cubed: choose squared, absolute"):
        system("two_way").make_trainer(config)

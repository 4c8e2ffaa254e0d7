"""The self-ensemble's network: its three inputs, its weights, and what it starts as."""

import numpy as np
import pytest

from tests.layers.slow import randomised, slow_conv
from tests.systems.egnet.test_networks import NARROW
from tests.systems.mprnet.test_networks import SMALL, with_formula_weights
from tfdeblur import systems
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.systems.egnet.ensemble.networks import FusingNetwork, SelfEnsemble

IMAGES = np.random.default_rng(0).uniform(size=(2, 32, 48, 3)).astype(np.float32)
MPRNET = {"base": "mprnet", "base_arguments": {**SMALL, "num_cabs": 1}, "fuse_width": 4}


def with_base(**arguments):
    """A self-ensemble on an MPRNet with the weights of the goldens."""
    net = systems.build("egnet_ensemble", **{**MPRNET, **arguments})
    with_formula_weights(net.base)
    return net


@pytest.mark.parametrize("width, count", [(32, 16_300), (16, 5_852), (64, 51_020)])
def test_parameters_of_the_fusing_network(width, count):
    layer = FusingNetwork(3, width)
    layer([tf.zeros([1, 4, 4, 3])] * 3)
    assert layer.count_params() == count


def test_the_three_inputs_against_a_slow_version():
    net = with_base()

    def restore(images):
        return np.clip(net.base(images)["restored"].numpy(), 0, 1)

    half = restore(IMAGES.reshape(2, 16, 2, 24, 2, 3).mean(axis=(2, 4)))
    quadrants = np.empty_like(IMAGES)
    for rows in (slice(0, 16), slice(16, 32)):
        for columns in (slice(0, 24), slice(24, 48)):
            quadrants[:, rows, columns] = restore(IMAGES[:, rows, columns])
    expected = {
        "from_half": tf.image.resize(half, (32, 48)).numpy(),
        "from_whole": restore(IMAGES),
        "from_quadrants": quadrants,
    }
    outputs = net(IMAGES)
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, atol=2e-6, err_msg=name)
    distances = [np.abs(expected["from_whole"] - expected[name]).mean() for name in ("from_half", "from_quadrants")]
    assert min(distances) > 1e-3, "the three are one and the same: nothing was tried"


def test_it_starts_as_the_plain_mean():
    outputs = with_base()(IMAGES)
    mean = np.mean([outputs[name] for name in ("from_half", "from_whole", "from_quadrants")], axis=0)
    np.testing.assert_allclose(outputs["restored"], mean, atol=1e-6)
    plain = with_base(fuse="mean")
    np.testing.assert_allclose(plain(IMAGES)["restored"], mean, atol=1e-6)
    assert len(plain.weights) == len(plain.base.weights)


def test_weights_against_equations_10_to_12_written_out():
    images = [np.random.default_rng(n).uniform(size=(1, 5, 6, 3)).astype(np.float32) for n in range(3)]
    layer = randomised(FusingNetwork(3, 4), [tf.constant(image) for image in images])
    total = 0
    for image, (conv1, conv2) in zip(images, layer.branches, strict=True):
        total = total + image + slow_conv(np.maximum(slow_conv(image, conv1), 0), conv2)
    z = slow_conv(np.maximum(slow_conv(np.maximum(slow_conv(total, layer.conv3), 0), layer.conv4), 0), layer.conv5)
    expected = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    weights = layer([tf.constant(image) for image in images]).numpy()
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_the_weights_go_to_the_images():
    net = with_base()
    # Whatever the features are, the first image gets nearly all weight.
    net.fusing.conv5.bias.assign([20.0, 0.0, 0.0])
    outputs = net(IMAGES)
    np.testing.assert_allclose(outputs["restored"], outputs["from_half"], atol=1e-6)


def test_no_gradient_reaches_the_base():
    net = systems.build("egnet_ensemble", base="egnet", base_arguments=NARROW, fuse_width=4)
    net.fusing.conv5.kernel.assign(tf.random.stateless_normal(net.fusing.conv5.kernel.shape, [1, 2]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(net(IMAGES, training=True)["restored"] ** 2)
    weights = [*net.base.trainable_weights, *net.fusing.trainable_weights]
    slopes = dict(zip([w.name for w in weights], tape.gradient(loss, weights), strict=True))
    reached = [name for name, slope in slopes.items() if slope is not None]
    assert reached == [w.name for w in net.fusing.trainable_weights]
    assert all(np.abs(slopes[name]).max() > 0 for name in reached)


def test_a_base_that_draws_its_input_is_run_as_at_inference():
    arguments = {**NARROW, "egn_input": "random", "input_std": 0.2}
    net = systems.build("egnet_ensemble", base="egnet", base_arguments=arguments, fuse_width=4)
    for egn in (net.base.egn1, net.base.egn2):
        egn.exit.set_weights([np.ones_like(w) for w in egn.exit.get_weights()])
    np.testing.assert_array_equal(net(IMAGES, training=True)["restored"], net(IMAGES)["restored"])


def test_it_learns_where_which_image_is_the_better_one():
    """Left the first image is right, on the right the third: no fixed weights do that."""
    rng = np.random.default_rng(0)
    sharp = rng.uniform(size=(1, 24, 24, 3)).astype(np.float32) ** 3
    flat = np.full_like(sharp, sharp.mean())
    left, right = sharp.copy(), sharp.copy()
    left[:, :, 12:] = flat[:, :, 12:]
    right[:, :, :12] = flat[:, :, :12]
    images = [tf.constant(image) for image in (left, flat, right)]
    layer, adam = FusingNetwork(3, 16), tf.keras.optimizers.Adam(1e-2, jit_compile=False)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            weights = tf.split(layer(images), 3, axis=-1)
            loss = tf.reduce_mean((sum(w * image for w, image in zip(weights, images, strict=True)) - sharp) ** 2)
        adam.apply_gradients(zip(tape.gradient(loss, layer.trainable_weights), layer.trainable_weights, strict=True))
        return loss

    layer(images)
    adam.build(layer.trainable_weights)
    losses = [float(step()) for _ in range(80)]
    best_fixed = float(np.mean(((left + right) / 2 - sharp) ** 2))
    assert losses[0] > best_fixed > 3 * losses[-1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"base": "madn"}, "base=madn: choose egnet, mprnet"),
        ({"fuse": "median"}, "fuse=median: choose network, mean"),
        ({"fuse_width": 0}, "fuse_width=0: must be at least 1"),
    ],
)
def test_odd_arguments_are_refused(arguments, message):
    with pytest.raises(DeblurError, match=message):
        SelfEnsemble(**arguments)

"""The convolution with a gradient of its own against Keras' layer: values, gradients, gradients of gradients."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.inference import restore_batch
from tfdeblur.layers.convolution import MatrixGradientConv2D, for_inference

RNG = np.random.default_rng(0)
on_a_processor = pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="a GPU keeps TensorFlow's own")


def both(kernel_size, channels, filters):
    layers = [kind(filters, kernel_size, padding="same") for kind in (MatrixGradientConv2D, tf.keras.layers.Conv2D)]
    shape = (*np.broadcast_to(kernel_size, 2), channels, filters)
    weights = [RNG.normal(size=shape).astype(np.float32), RNG.normal(size=filters).astype(np.float32)]
    for layer in layers:
        layer.build([None, None, None, channels])
        layer.set_weights(weights)
    return layers


def derivatives(layer, images, upstream):
    """Result, gradients of sum(upstream * result^2) by images and weights, and of their own squares by the same."""
    with tf.GradientTape() as outer:
        outer.watch(images)
        with tf.GradientTape() as inner:
            inner.watch(images)
            result = layer(images)
            score = tf.reduce_sum(upstream * result**2)
        first = inner.gradient(score, [images, *layer.trainable_weights])
        penalty = tf.add_n([tf.reduce_sum(gradient**2) for gradient in first])
    return [result, *first, *outer.gradient(penalty, [images, *layer.trainable_weights])]


@pytest.mark.parametrize("run_in_a_graph", [False, True])
@pytest.mark.parametrize("kernel_size, size", [(3, (6, 9)), (1, (4, 4)), ((1, 5), (3, 2)), (4, (5, 7)), (7, (1, 1))])
def test_values_and_derivatives_are_those_of_keras(kernel_size, size, run_in_a_graph):
    ours, reference = both(kernel_size, 3, 5)
    images = tf.constant(RNG.normal(size=(2, *size, 3)).astype(np.float32))
    upstream = tf.constant(RNG.normal(size=(2, *size, 5)).astype(np.float32))
    run = tf.function(derivatives) if run_in_a_graph else derivatives
    for actual, expected in zip(run(ours, images, upstream), derivatives(reference, images, upstream), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_tensorflows_own(policy):
    layer = MatrixGradientConv2D(2, 3, padding="same", dtype=policy)
    images = tf.ones([1, 4, 4, 3], policy.removeprefix("mixed_"))
    with tf.GradientTape() as tape:
        result = layer(images)
    assert result.dtype == images.dtype
    (gradient,) = tape.gradient(result, layer.trainable_weights[:1])
    corners = [[3 * 3, 3 * 4, 3 * 3], [4 * 3, 4 * 4, 4 * 3], [3 * 3, 3 * 4, 3 * 3]]
    np.testing.assert_array_equal(gradient[:, :, 0, 0], corners)


def test_gradients_through_a_network_of_unknown_size():
    ours, reference = both(3, 3, 3)
    step = tf.function(
        lambda images: [tf.gradients(layer(images), layer.trainable_weights) for layer in (ours, reference)],
        input_signature=[tf.TensorSpec([None, None, None, 3])],
    )
    actual, expected = step(tf.constant(RNG.normal(size=(2, 5, 6, 3)).astype(np.float32)))
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


class OneConvolution(tf.keras.Model):
    size_multiple = 1

    def __init__(self):
        super().__init__()
        self.convolution = MatrixGradientConv2D(3, 3, padding="same")

    def call(self, images):
        return {"restored": self.convolution(images)}


@on_a_processor
def test_what_is_exported_has_a_gradient_and_none_of_ours(tmp_path):
    module = tf.Module()
    module.net = OneConvolution()
    images = tf.constant(RNG.uniform(0.4, 0.6, size=(1, 9, 10, 3)).astype(np.float32))
    module.net(images)
    module.restore = tf.function(
        lambda images: restore_batch(module.net, images), input_signature=[tf.TensorSpec([1, None, None, 3])]
    )
    tf.saved_model.save(module, tmp_path)
    loaded, found = tf.saved_model.load(tmp_path), []
    for restore in (lambda images: tf.clip_by_value(module.net(images)["restored"], 0.0, 1.0), loaded.restore):
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_sum(restore(images) ** 2)
        found.append(tape.gradient(score, images).numpy())
    assert np.abs(found[0]).max() > 0.1
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    graph = module.restore.get_concrete_function().graph.as_graph_def()
    assert "Conv2D" in {node.op for node in graph.node}
    assert not [node.name for node in graph.node if "_gradient_op_type" in node.attr]


@on_a_processor
def test_outside_of_an_export_the_gradient_is_ours_again():
    layer, _ = both(3, 3, 5)
    images = tf.TensorSpec([1, 4, 4, 3])

    def gradients_of_ours():
        graph = tf.function(lambda x: layer(x)).get_concrete_function(images).graph.as_graph_def()
        return sum("_gradient_op_type" in node.attr for node in graph.node)

    with for_inference():
        assert gradients_of_ours() == 0
    assert gradients_of_ours() == 1

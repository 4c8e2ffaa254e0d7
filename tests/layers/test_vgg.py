"""VGG19's features: input, layer, scale, and where its weights come from. The tests' weights are random, by seed."""

import hashlib

import numpy as np
import pytest

from tfdeblur.compat import precision, tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers import vgg
from tfdeblur.layers.vgg import VggFeatures


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)


def error_of(function, *arguments, **options):
    with pytest.raises(DeblurError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_first_layer_by_hand(images):
    """[0, 255], BGR, less the mean colour; the convolution before its ReLU; divided by the scale."""
    layer = VggFeatures("block1_conv1", weights="random", scale=10.0)
    kernel, bias = layer._net.get_layer(index=-1).get_weights()
    caffe = (255 * (images + 1) / 2)[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    expected = tf.nn.conv2d(caffe, kernel, 1, "SAME") + bias
    assert (expected.numpy() < 0).any(), "before the ReLU"
    np.testing.assert_allclose(layer(images), expected / 10, rtol=1e-4, atol=1e-3)
    activated = VggFeatures("block1_conv1", activated=True, weights="random", scale=10.0)
    np.testing.assert_allclose(activated(images), tf.nn.relu(expected) / 10, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name, shape", [("block3_conv3", (1, 4, 4, 256)), ("block4_conv3", (1, 2, 2, 512))])
def test_deeper_layers(images, name, shape):
    layer = VggFeatures(name, weights="random")
    features = layer(images).numpy()
    assert features.shape == shape and features.min() < 0
    after = VggFeatures(name, activated=True, weights="random")(images)
    np.testing.assert_allclose(after, np.maximum(features, 0), rtol=1e-5)


def test_random_weights_are_those_of_their_seed_and_nothing_is_trained(images):
    first = VggFeatures("block2_conv1", weights="random")
    tf.keras.utils.set_random_seed(7)
    np.testing.assert_array_equal(VggFeatures("block2_conv1", weights="random")(images), first(images))
    assert first.trainable_variables == []


def test_features_are_float32_under_every_policy(images):
    with precision("mixed_float16"):
        layer = VggFeatures("block1_conv1", weights="random")
    assert layer(tf.cast(images, tf.float16)).dtype == tf.float32
    assert tf.keras.mixed_precision.global_policy().name == "float32"


def test_what_is_not_there_is_one_line():
    assert "vgg_layer=block3_conv9: VGG19 has" in error_of(VggFeatures, "block3_conv9", weights="random")
    assert "vgg_weights=any: choose imagenet, random" in error_of(VggFeatures, weights="any")


def test_without_a_network_imagenet_is_never_replaced_by_something_else(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def unreachable(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(tf.keras.utils, "get_file", unreachable)
    message = error_of(VggFeatures, weights="imagenet")
    assert vgg._URL in message and "--vgg_weights" in message


def test_given_weights_are_checked_installed_and_loaded(tmp_path, monkeypatch, images):
    """The file of the test holds random weights in Keras' own format, and the hash is that of this file."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    net = tf.keras.applications.VGG19(include_top=False, weights=None)
    net.save_weights(str(tmp_path / "given.h5"))
    assert "not VGG19's ImageNet weights" in error_of(vgg.install_weights, str(tmp_path / "given.h5"))
    assert "No such file" in error_of(vgg.install_weights, str(tmp_path / "nothing.h5"))
    digest = hashlib.md5((tmp_path / "given.h5").read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(vgg, "_MD5", digest)
    installed = vgg.install_weights(str(tmp_path / "given.h5"))
    assert installed == str(tmp_path / "keras" / "models" / vgg._FILE)
    layer = VggFeatures("block1_conv1", weights="imagenet", scale=1.0)
    kernel, _ = net.get_layer("block1_conv1").get_weights()
    np.testing.assert_array_equal(layer._net.get_layer(index=-1).get_weights()[0], kernel)
    # A file that was damaged since is not loaded.
    (tmp_path / "keras" / "models" / vgg._FILE).write_bytes(b"half")
    assert "not VGG19's ImageNet weights" in error_of(VggFeatures, weights="imagenet")

"""DeblurGAN's networks against the outputs of the reference implementation, with weights by formula."""

import numpy as np
import pytest

from tests import goldens
from tfdeblur.compat import tf
from tfdeblur.layers.patch_critic import PatchCritic
from tfdeblur.losses.adversarial import gradient_penalty
from tfdeblur.systems.deblurgan.networks import DeblurGan

CONV = (2, 3, 1, 0)


def image(height, width, phase=0.0):
    return goldens.image(height, width, phase).astype(np.float32)


def test_the_generator_gives_the_references_output():
    net = DeblurGan(width=8, num_res_blocks=2)
    net(tf.zeros([1, 24, 32, 3]))
    layers = [(net.head.conv, "1"), (net.downs[0].conv, "4"), (net.downs[1].conv, "7")]
    for number, block in enumerate(net.blocks, start=10):
        layers += [(block.conv1.conv, f"{number}.conv_block.1"), (block.conv2.conv, f"{number}.conv_block.5")]
    layers += [(net.ups[0].deconv, "12"), (net.ups[1].deconv, "15"), (net.tail.conv, "19")]
    for layer, name in layers:
        goldens.set_torch_weights(layer, f"model.{name}", CONV)
    assert net.count_params() == 50947
    restored = 2 * net(image(24, 32))["restored"].numpy()[0] - 1
    statistics = [restored.mean(), restored.std(), np.abs(restored).mean()]
    np.testing.assert_allclose(statistics, [0.1755788800375545, 0.6788970139016285, 0.6235561198405498], rtol=2e-6)
    corners = [restored[0, 0, 0], restored[0, 1, 0], restored[-1, -1, -1]]
    np.testing.assert_allclose(corners, [0.43720859293212605, 0.7166416395709659, 0.10280085039197412], rtol=1e-5)


@pytest.fixture(scope="module")
def critic():
    net = PatchCritic(8)
    net(tf.zeros([1, 64, 64, 3]))
    for layer, name in zip(net.convs, ("0", "2", "5", "8", "11"), strict=True):
        goldens.set_torch_weights(layer.conv, f"model.{name}", CONV)
    return net


def test_the_critic_gives_the_references_output(critic):
    assert critic.count_params() == 44537
    values = critic(2 * image(64, 64) - 1).numpy()
    assert values.shape == (1, 11, 11, 1)
    statistics = [values.mean(), values.std(), np.abs(values).mean()]
    np.testing.assert_allclose(statistics, [0.2649603140806199, 0.3983027394312002, 0.38000217118785734], rtol=2e-6)
    corners = [values[0, 0, 0, 0], values[0, 0, 1, 0], values[0, -1, -1, 0]]
    np.testing.assert_allclose(corners, [0.33559706736586603, 0.42352936978794503, 0.1447585731399183], rtol=1e-5)


def test_the_penalties_are_the_references(critic):
    """The reference's standard penalty differentiates the sum of the 121 patches; ours their mean, as its D is that."""
    real, fake = 2 * image(64, 64) - 1, 2 * image(64, 64, 0.7) - 1
    mix = tf.constant([0.3])
    of_sum = gradient_penalty(lambda images: 121.0 * critic(images), real, fake, mix)
    np.testing.assert_allclose(10 * of_sum, [1509.0059164940349], rtol=5e-6)
    channels = gradient_penalty(critic, real, fake, mix, mode="deblurgan")
    np.testing.assert_allclose(10 * channels, [7.503602481661197], rtol=2e-6)

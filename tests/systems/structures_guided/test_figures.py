"""Fig. 4 as a picture, and what it measures."""

import re

import numpy as np
import pytest

from tfdeblur import systems
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.inference import Deblurrer
from tfdeblur.report import figure_of
from tfdeblur.systems.structures_guided.system import rgcl

SMALL = {"enc_widths": (4, 6, 8), "grad_channels": 8, "num_blocks": 2}


def lively_network(**arguments):
    net = systems.build("structures_guided", **{**SMALL, **arguments})
    rng = np.random.default_rng(0)
    net.set_weights([w + rng.normal(0, 0.2, w.shape) for w in net.get_weights()])
    return net


def stretched(strength):
    low, high = strength.min(), strength.max()
    return np.repeat(np.rint(255 * (strength - low) / (high - low))[..., None], 3, axis=-1)


def test_the_pictures_are_the_responses_stretched():
    net = lively_network()
    blurred = np.random.default_rng(0).uniform(size=(12, 16, 3)).astype(np.float32)
    pictures, line = rgcl(net, blurred, "2.3")
    images = {re.sub(r" [\d.e-]+ \.\. [\d.e-]+$", "", caption): image for caption, image in pictures}
    captions = dict(zip(images, (caption for caption, _ in pictures), strict=True))
    assert list(images) == [
        *("blurred", "RGCL 2.3, horizontal", "RGCL 2.3, vertical", "RGCL 2.3, joint"),
        *("restored", "Sobel, horizontal", "Sobel, vertical", "Sobel, joint"),
    ]
    np.testing.assert_array_equal(images["blurred"], np.rint(255 * blurred))
    np.testing.assert_array_equal(images["restored"], np.rint(255 * net(blurred[None])["restored"][0]))
    edges = tf.image.sobel_edges(tf.constant(blurred[None])).numpy()[0]  # (vertical, horizontal)
    sobel = {"horizontal": np.abs(edges[..., 1]), "vertical": np.abs(edges[..., 0])}
    sobel["joint"] = np.hypot(*sobel.values())
    for kind, response in zip(sobel, net.rgcl_responses(blurred[None], 1, 2), strict=True):
        strength = np.abs(response.numpy()[0]).mean(-1)
        assert captions[f"RGCL 2.3, {kind}"].endswith(f" {strength.min():.3g} .. {strength.max():.3g}")
        enlarged = stretched(strength).repeat(4, 0).repeat(4, 1)
        np.testing.assert_allclose(images[f"RGCL 2.3, {kind}"], enlarged, atol=1)
        expected = sobel[kind].mean(-1)
        np.testing.assert_allclose(images[f"Sobel, {kind}"], stretched(expected), atol=1)
        means = expected.reshape(3, 4, 4, 4).mean((1, 3))
        correlation = np.corrcoef(strength.ravel(), means.ravel())[0, 1]
        assert f"{kind} {correlation:.2f}" in line


def test_what_is_padding_does_not_count_as_agreement():
    net = lively_network()
    blurred = np.random.default_rng(0).uniform(size=(11, 18, 3)).astype(np.float32)
    _, line = rgcl(net, blurred, "2.3")
    padded = np.pad(blurred, [(0, 1), (0, 2), (0, 0)], mode="reflect")[None]
    joint = np.abs(net.rgcl_responses(padded, 1, 2)[2].numpy()[0]).mean(-1)[:2, :4]
    sobel = np.linalg.norm(tf.image.sobel_edges(tf.constant(padded)).numpy()[0], axis=-1).mean(-1)[:8, :16]
    correlation = np.corrcoef(joint.ravel(), sobel.reshape(2, 4, 4, 4).mean((1, 3)).ravel())[0, 1]
    assert line.endswith(f"joint {correlation:.2f}")


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (17, 4)])
def test_the_pictures_have_the_images_size(size):
    pictures, line = rgcl(lively_network(without="mbrbs"), np.full((*size, 3), 0.5, np.float32), "1.1")
    assert {image.shape for _, image in pictures} == {(*size, 3)}
    assert {image.dtype for _, image in pictures} == {np.dtype(np.uint8)}
    assert "nan" not in line  # Sobel is the same everywhere


@pytest.mark.parametrize(
    "arguments, which, words",
    [
        ({}, "3.1", "--rgcl=3.1: no such RGCL; name BLOCK.PATH, of which this network has 1.1 to 2.3"),
        ({}, "0.1", "1.1 to 2.3"),
        ({}, "sobel", "1.1 to 2.3"),
        ({"without": "mbrbs"}, "1.2", "1.1 to 2.1"),
        ({"without": "rgcl"}, "1.1", "none"),
        ({"without": "gradient_net"}, "1.1", "none"),
    ],
)
def test_what_is_not_there_is_refused_before_the_first_photograph(arguments, which, words):
    deblurrer = Deblurrer.of_network(lively_network(**arguments), {"config": {"system": "structures_guided"}}, "runs/s")
    with pytest.raises(DeblurError) as caught:
        figure_of(deblurrer, "rgcl", which)
    assert words in str(caught.value)


def test_the_sheet_has_two_rows_of_four():
    deblurrer = Deblurrer.of_network(lively_network(), {"config": {"system": "structures_guided"}}, "runs/s")
    sheet, _ = figure_of(deblurrer, "rgcl", "1.2")(np.zeros((64, 64, 3), np.uint8))
    assert sheet.shape[1] > 4 * 320 and sheet.shape[0] > 2 * 320, "small images are enlarged"

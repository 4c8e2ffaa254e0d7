"""Fig. 3 as a picture, and what it measures."""

import numpy as np
import pytest

from tests.layers.slow import randomised
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.inference import Deblurrer
from tfdeblur.report import figure_of
from tfdeblur.systems.two_way.networks import TwoWay
from tfdeblur.systems.two_way.system import branches, edge_share

SMALL = {"widths": (4, 6, 8), "num_res_blocks": 1}


def test_edge_share_by_hand():
    """A step between columns 9 and 10 of 20: those two columns are the strongest tenth."""
    restored = np.zeros((10, 20, 3), np.float32)
    restored[:, 10:] = 1
    down = np.full((10, 20, 3), 0.1, np.float32)
    assert edge_share(down, restored) == pytest.approx(1)
    down[:, 9:11] = -0.3  # its sign does not count
    assert edge_share(down, restored) == pytest.approx(3)
    down[:, 9:11] = 0
    assert edge_share(down, restored) == 0


def test_where_there_is_nothing_to_tell_by():
    ramp = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 10, 3) ** 2
    assert edge_share(ramp, ramp) is not None
    assert edge_share(ramp, np.full_like(ramp, 0.3)) is None, "no edges"
    assert edge_share(np.zeros_like(ramp), ramp) is None
    assert edge_share(ramp[:1], ramp[:1]) is None
    pictures, line = branches(TwoWay(**SMALL), np.full((1, 2, 3), 0.5, np.float32))
    assert [image.shape for _, image in pictures] == [(1, 2, 3)] * 4 and "no edges" in line


def test_branches_are_the_networks_outputs_of_the_images_size():
    net = randomised(TwoWay(**SMALL), tf.zeros([1, 16, 16, 3]), scale=0.15)
    blurred = np.random.default_rng(0).uniform(size=(32, 16, 3)).astype(np.float32)
    pictures, line = branches(net, blurred)
    outputs = {name: value.numpy()[0] for name, value in net(blurred[None]).items()}
    images = [image for _, image in pictures]
    largest = np.abs(outputs["down"]).max()
    expected = [blurred, outputs["up"], 0.5 + 0.5 * outputs["down"] / largest, outputs["restored"]]
    for image, values in zip(images, expected, strict=True):
        np.testing.assert_array_equal(image, np.rint(255 * np.clip(values, 0, 1)))
    assert f"{largest:.3g}" in pictures[2][0]
    assert f"{edge_share(outputs['down'], outputs['restored']):.2f} times" in line
    pictures, _ = branches(net, blurred[:17, :5])
    assert {image.shape for _, image in pictures} == {(17, 5, 3)}


def test_what_has_no_branches_says_so():
    alone = TwoWay(**SMALL, down_branch=False)
    with pytest.raises(DeblurError, match="down_branch=False"):
        branches(alone, np.zeros((16, 16, 3), np.float32))
    madn = Deblurrer.of_network(alone, {"config": {"system": "madn"}}, "runs/m")
    with pytest.raises(DeblurError, match="--branches: madn has no such picture"):
        figure_of(madn, "branches")
    export = Deblurrer(lambda images: images, {"config": {"system": "two_way"}}, "served/1")
    with pytest.raises(DeblurError, match="--branches: served/1 is an export"):
        figure_of(export, "branches")

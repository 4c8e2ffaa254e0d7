"""Fig. 7 as a picture, and what it measures."""

import numpy as np
import pytest
import scipy.ndimage

from tests.systems.egnet.test_networks import NARROW
from tfdeblur.data.photographs import photograph
from tfdeblur.systems.egnet.networks import EgNet
from tfdeblur.systems.egnet.system import gradient_maps

NET = EgNet(**NARROW)


def slow_maps(image):
    """|Laplacian| and Eq. 15 of [H, W, C], float64."""

    def laplacian(x):
        kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[..., None]
        return np.abs(scipy.ndimage.convolve(x, kernel, mode="mirror"))

    def normalised(x):
        return (x - x.min()) / np.ptp(x)

    image = image.astype(np.float64)
    smooth = scipy.ndimage.uniform_filter(image, (3, 3, 1), mode="mirror")
    return laplacian(image), normalised(laplacian(smooth)) * normalised(laplacian(image))


def test_the_maps_of_a_photograph_against_a_slow_version():
    image = photograph("chelsea.png")[100:148, 150:214].astype(np.float32) / 255
    pictures, line = gradient_maps(NET, image)
    (_, blurred), (first, plain), (second, enhanced) = pictures
    np.testing.assert_array_equal(blurred, np.rint(255 * image))
    for values, drawn, caption in zip(slow_maps(image), (plain, enhanced), (first, second), strict=True):
        white = np.sort(values, axis=None)[int(0.995 * values.size)]  # to the next of 9,216 values
        assert float(caption.rpartition(" ")[2]) == pytest.approx(white, rel=0.02)
        np.testing.assert_allclose(drawn, 255 * np.minimum(values / white, 1), atol=3)
        assert 0.003 < np.mean(drawn == 255) < 0.008
        assert f"{np.mean(values > 0.1 * values.max()):.1%}" in line


@pytest.mark.parametrize("size", [(1, 1), (17, 5)])
def test_any_size(size):
    image = np.random.default_rng(0).uniform(size=(*size, 3)).astype(np.float32)
    pictures, _ = gradient_maps(NET, image)
    assert [picture.shape for _, picture in pictures] == [(*size, 3)] * 3


def test_a_flat_image_has_black_maps():
    pictures, line = gradient_maps(NET, np.full((16, 16, 3), 0.5, np.float32))
    assert [picture.max() for _, picture in pictures] == [128, 0, 0]
    assert line.count("0.0%") == 2

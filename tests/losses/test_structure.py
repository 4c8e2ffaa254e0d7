"""Losses on edges and structure: reference outputs, by hand, and the metrics of the same name."""

import numpy as np
import pytest
from scipy import ndimage

from tests import goldens
from tfdeblur import metrics
from tfdeblur.compat import tf
from tfdeblur.losses.pixel import charbonnier
from tfdeblur.losses.structure import edge_loss, enhanced_gradient_loss, laplacian_residual, ms_ssim_loss
from tfdeblur.metrics import ms_ssim
from tfdeblur.ops.gradients import enhanced_gradient


def golden_pair():
    return goldens.image(32, 40), goldens.image(32, 40, 0.7)


def noisy_pair(count=1, height=161, width=170, seed=0, noise=0.1):
    """Smooth noise, and the same with more noise on it; float32 [count, height, width, 3]."""
    rng = np.random.default_rng(seed)
    sharp = ndimage.gaussian_filter(rng.uniform(size=(count, height, width, 3)), (0, 2, 2, 0))
    sharp = (sharp - sharp.min()) / np.ptp(sharp)
    return np.clip(sharp + rng.normal(0, noise, sharp.shape), 0, 1).astype(np.float32), sharp.astype(np.float32)


def gradient_of(loss, prediction, target):
    prediction = tf.constant(prediction)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = loss(prediction, target)
    return tape.gradient(value, prediction).numpy()


# ------------------------------------------------------------------------------------------------- MPRNet's


def test_charbonnier_is_the_references():
    np.testing.assert_allclose(charbonnier(*golden_pair()), [0.21819207161536572], rtol=1e-6)


def test_charbonnier_by_hand():
    prediction = tf.constant([[[[0.0], [3.0]]], [[[0.0], [0.0]]]])  # 0 and 3; 0 and 0
    np.testing.assert_allclose(charbonnier(prediction, tf.zeros([2, 1, 2, 1]), epsilon=4.0), [4.5, 4.0])
    slope = gradient_of(charbonnier, np.zeros([1, 2, 2, 1], np.float32), tf.zeros([1, 2, 2, 1]))
    np.testing.assert_array_equal(slope, np.zeros([1, 2, 2, 1]))


def test_the_pyramids_residual_is_the_references():
    residual = laplacian_residual(tf.constant(golden_pair()[0])).numpy()[0]
    statistics = [residual.mean(), residual.std(), np.abs(residual).mean()]
    corners = [residual[0, 0, 0], residual[0, 1, 0], residual[-1, -1, -1]]
    np.testing.assert_allclose(statistics, [-0.0037681545874828147, 0.1317404509630472, 0.09010682852520367], atol=1e-7)
    np.testing.assert_allclose(corners, [-0.8687054372772212, -0.49776055996084967, 0.8185327509904691], atol=1e-6)


def test_the_pyramids_residual_of_a_constant_by_hand():
    """The four phases of the doubled image each sum to 1 inside; at the border the zeros are repeated, too."""
    residual = laplacian_residual(tf.fill([1, 9, 9, 2], 3.0)).numpy()
    np.testing.assert_allclose(residual[0, 2:-2, 2:-2], 0, atol=1e-5)
    # At the first of 9 rows the taps see rows 0, 0, 0, 1, 2, of which the zero-filled row is 1: 2 (1 - 0.25).
    assert residual[0, 0, 4, 0] == pytest.approx(3 * (1 - 1.5), abs=1e-5)


def test_edge_loss_is_the_references():
    np.testing.assert_allclose(edge_loss(*golden_pair()), [0.05287106564444833], rtol=1e-6)


# ------------------------------------------------------------------------------------------------- EGNet's


def test_gradient_loss_is_the_mean_squared_difference_of_the_maps():
    first, second = noisy_pair(2, 8, 9)
    expected = np.mean((enhanced_gradient(first) - enhanced_gradient(second)).numpy() ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(enhanced_gradient_loss(first, second), expected, rtol=1e-5)
    assert expected.min() > 1e-4
    assert np.isfinite(
        gradient_of(enhanced_gradient_loss, np.full([1, 8, 8, 3], 0.5, np.float32), first[:1, :8, :8])
    ).all()


@pytest.mark.parametrize("literal, expected", [(False, 0.9810169062094243), (True, 0.9800290803882673)])
def test_ms_ssim_is_the_references(literal, expected):
    loss = ms_ssim_loss(goldens.image(192, 192), goldens.image(192, 192, 0.2), eq16_literal=literal)
    np.testing.assert_allclose(loss, [1 - expected], atol=1e-5)


@pytest.mark.parametrize("height, width", [(161, 161), (170, 203)])
def test_ms_ssim_is_the_metric_at_odd_sizes_too(height, width):
    pairs = [np.rint(255 * images).astype(np.uint8) for images in noisy_pair(2, height, width)]
    expected = [1 - ms_ssim(restored, sharp) for restored, sharp in zip(*pairs, strict=True)]
    found = ms_ssim_loss(*(images.astype(np.float32) / 255 for images in pairs))
    np.testing.assert_allclose(found, expected, atol=3e-5)
    assert 0.01 < min(expected)


def test_ms_ssim_of_identical_images_is_no_loss():
    image, _ = noisy_pair()
    np.testing.assert_array_equal(ms_ssim_loss(image, image), [0.0])


def test_ms_ssim_of_an_image_and_its_negative_has_a_finite_slope():
    """TensorFlow's own gives NaN there: its contrast times structure is below 0."""
    image, _ = noisy_pair()
    slope = gradient_of(ms_ssim_loss, 1 - image, image)
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(ms_ssim_loss(1 - image, image), [1.0], atol=0.01)
    flat = np.full_like(image, 0.5)
    assert np.isfinite(gradient_of(ms_ssim_loss, flat, flat)).all()


def test_following_the_slope_of_ms_ssim_makes_images_more_alike():
    prediction, target = noisy_pair()
    before = float(ms_ssim_loss(prediction, target)[0])
    slope = gradient_of(ms_ssim_loss, prediction, target)
    step = 1e-3 / np.linalg.norm(slope)
    expected = before - step * np.sum(slope**2)
    assert float(ms_ssim_loss(prediction - step * slope, target)[0]) == pytest.approx(expected, abs=3e-6)
    assert before - expected > 1e-5


def test_fewer_levels_for_smaller_images():
    prediction, target = noisy_pair(1, 41, 41)
    assert 0 < float(ms_ssim_loss(prediction, target, levels=3)[0]) < 1
    one = 1 - float(metrics.ssim(*(np.rint(255 * x[0]).astype(np.uint8) for x in (prediction, target))))
    assert float(ms_ssim_loss(prediction, target, levels=1)[0]) == pytest.approx(one, abs=2e-3)
    for levels, side in ((5, 160), (3, 40)):
        with pytest.raises(ValueError, match=f"{levels} levels need {side + 1}"):
            ms_ssim_loss(tf.zeros([1, 300, side, 3]), tf.zeros([1, 300, side, 3]), levels=levels)


@pytest.mark.parametrize("loss", [charbonnier, edge_loss, enhanced_gradient_loss, ms_ssim_loss])
def test_one_value_per_sample_in_float32(loss):
    prediction, target = noisy_pair(2)
    both = loss(tf.constant(prediction), tf.constant(target))
    assert both.shape == (2,) and both.dtype == tf.float32
    np.testing.assert_allclose(loss(prediction[1:], target[1:])[0], both[1], rtol=1e-5)
    assert abs(float(both[0] - both[1])) > 1e-7
    halves = loss(tf.cast(prediction, tf.float16), tf.cast(target, tf.float16))
    assert halves.dtype == tf.float32
    np.testing.assert_allclose(halves, both, rtol=0.02)

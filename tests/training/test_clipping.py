"""The three readings of the paper's gradient clipping, by hand."""

import numpy as np
import pytest

from tfdeblur.compat import graph_function, tf
from tfdeblur.training.clipping import CLIP_MODES, clip_gradients


def clipped(gradients, mode, **bounds):
    result = clip_gradients([tf.constant(g, tf.float32) for g in gradients], mode, **bounds)
    return [g.numpy() for g in result]


def test_the_modes_on_offer():
    assert CLIP_MODES == ("norm", "magnitude", "value", "none")


@pytest.mark.parametrize(
    "gradients, expected",
    [
        ([[3.0], [[-4.0]]], [[1.2], [[-1.6]]]),  # norm 5 -> 2, over both tensors
        ([[0.3], [[-0.4]]], [[0.3], [[-0.4]]]),  # norm 0.5: inside
        ([[3e-7], [[-4e-7]]], [[6e-6], [[-8e-6]]]),  # norm 5e-7 -> 1e-5: scaled up
        ([[0.0], [[0.0]]], [[0.0], [[0.0]]]),  # no direction to scale
        ([[0.0], [[7.0]]], [[0.0], [[2.0]]]),
    ],
)
def test_norm_by_hand(gradients, expected):
    for result, wanted in zip(clipped(gradients, "norm"), expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-6)


def test_magnitude_by_hand():
    (result,) = clipped([[-3.0, -0.5, -1e-7, 0.0, 1e-7, 0.5, 5.0]], "magnitude")
    np.testing.assert_allclose(result, [-2, -0.5, -1e-5, 1e-5, 1e-5, 0.5, 2], rtol=1e-6)


def test_value_by_hand():
    (result,) = clipped([[-3.0, -0.5, -1e-7, 0.0, 1e-7, 0.5, 5.0]], "value")
    np.testing.assert_allclose(result, [-2, -0.5, -1e-7, 0, 1e-7, 0.5, 2], rtol=1e-6)


def test_none_by_hand():
    np.testing.assert_array_equal(clipped([[-30.0, 1e-9, 50.0]], "none")[0], np.float32([-30, 1e-9, 50]))


@pytest.mark.parametrize("mode, expected", [("norm", [-0.6, 0.8]), ("magnitude", [-1.0, 1.0]), ("value", [-1.0, 1.0])])
def test_bounds_are_arguments(mode, expected):
    np.testing.assert_allclose(clipped([[-3.0, 4.0]], mode, low=0.1, high=1.0)[0], expected, rtol=1e-6)
    np.testing.assert_allclose(
        clipped([[-0.003, 0.004]], mode, low=0.1, high=1.0)[0],
        {"norm": [-0.06, 0.08], "magnitude": [-0.1, 0.1], "value": [-0.003, 0.004]}[mode],
        rtol=1e-6,
    )


@pytest.mark.parametrize("mode", CLIP_MODES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(mode, bad):
    result = clipped([[1.0, bad], [[2.0]]], mode)
    assert not np.isfinite(result[0][1]), f"{bad} became {result[0][1]}: the loop cannot see it any more"


@pytest.mark.parametrize("mode", CLIP_MODES)
def test_in_a_graph_shapes_and_order_are_kept(mode):
    gradients = [tf.ones([3, 3, 2, 4]), -tf.ones([4]), 5 * tf.ones([2, 1])]
    result = graph_function(lambda *g: clip_gradients(list(g), mode))(*gradients)
    assert [tuple(g.shape) for g in result] == [(3, 3, 2, 4), (4,), (2, 1)]
    assert [float(tf.sign(tf.reduce_mean(g))) for g in result] == [1, -1, 1]

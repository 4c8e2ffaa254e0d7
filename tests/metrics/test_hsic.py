"""HSIC by hand, against its formula, and what it must not depend on."""

import math

import numpy as np
import pytest

from tfdeblur.metrics.hsic import PIXELS, hsic, sample_pixels

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 5)), RNG.normal(size=(40, 3))


def test_by_hand():
    """Two samples: sigma is their distance, K = L = [[1, e], [e, 1]], and tr(K H L H) = (1 - e)^2."""
    e = math.exp(-1 / 2)
    assert hsic([[0], [1]], [[5.0, 7.0], [5.0, 9.0]]) == pytest.approx((1 - e) ** 2, rel=1e-12)


def test_three_samples_by_hand():
    """Distances 1, 1 and 2: sigma = 1. K H has rows with sum 0; written out."""
    a, b = math.exp(-1 / 2), math.exp(-2)
    kernel = np.array([[1, a, b], [a, 1, a], [b, a, 1]])
    centring = np.eye(3) - 1 / 3
    expected = np.trace(kernel @ centring @ kernel @ centring) / 4
    assert hsic([[0], [1], [2]], [[0], [-1], [-2]]) == pytest.approx(expected, rel=1e-12)


def test_against_the_formula():
    def kernel(samples):
        distances = np.array([[math.dist(a, b) for b in samples] for a in samples])
        sigma = math.sqrt(np.median(distances[distances > 0] ** 2))
        return np.exp(-(distances**2) / (2 * sigma**2))

    m = len(X)
    centring = np.eye(m) - 1 / m
    expected = np.trace(kernel(X) @ centring @ kernel(Y) @ centring) / (m - 1) ** 2
    assert hsic(X, Y) == pytest.approx(expected, rel=1e-9)
    assert hsic(Y, X) == pytest.approx(expected, rel=1e-9)


def test_order_units_and_origin_do_not_matter():
    expected = hsic(X, Y)
    order = RNG.permutation(len(X))
    assert hsic(X[order], Y[order]) == pytest.approx(expected, rel=1e-9)
    assert hsic(X[order], Y) != pytest.approx(expected, rel=1e-2)  # the same order for both, that is
    assert hsic(1e4 * X - 3e4, 1e-3 * Y + 2) == pytest.approx(expected, rel=1e-6)


def test_independent_samples_score_almost_nothing_and_dependent_ones_more():
    x = RNG.uniform(-1, 1, size=(800, 2))
    independent = hsic(x, RNG.uniform(-1, 1, size=(800, 2)))
    noisy = hsic(x, x + RNG.normal(size=x.shape))
    uncorrelated = hsic(x, x**2)  # no linear measure sees this
    assert 0 < independent < 2 / 800
    assert noisy > 5 * independent
    assert uncorrelated > 5 * independent
    assert hsic(x, x) > 1.5 * noisy


def test_what_is_the_same_everywhere_tells_nothing():
    assert hsic(np.full((50, 7), 1 / 3), RNG.normal(size=(50, 2))) == 0


def test_many_equal_samples_do_not_make_the_kernel_narrow():
    """A clipped sky: 90 of 100 samples are one colour, whose distances rounding would put just above 0."""
    flat = np.full((100, 3), 1 / 3)
    flat[:10] = RNG.uniform(size=(10, 3))
    exact = flat.copy()
    exact[10:] = 0  # the same, and its distances are exactly 0
    exact[:10] -= 1 / 3
    assert hsic(flat, flat) == pytest.approx(hsic(exact, exact), rel=1e-6)
    assert hsic(flat, flat) > 1e-3


@pytest.mark.parametrize("x, y", [(X, Y[:-1]), (X[:1], Y[:1]), (X[:, 0], Y), (X, Y[None])])
def test_shapes_that_do_not_fit(x, y):
    with pytest.raises(ValueError, match="must be"):
        hsic(x, y)


def test_pixels_are_different_everywhere_and_repeatable():
    taken = sample_pixels(90, 160, seed=3, index=4)
    assert len(set(taken.tolist())) == PIXELS == 1024
    assert 0 <= taken.min() < 90 * 160 / 100 and 90 * 160 * 99 / 100 < taken.max() < 90 * 160
    np.testing.assert_array_equal(taken, sample_pixels(90, 160, seed=3, index=4))
    for other in ({"seed": 4, "index": 4}, {"seed": 3, "index": 5}):
        assert np.any(taken != sample_pixels(90, 160, **other))
    np.testing.assert_array_equal(sample_pixels(1, 3), [0, 2, 1])  # a published number stays
    assert sorted(sample_pixels(5, 7)) == list(range(35))

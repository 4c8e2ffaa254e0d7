"""The losses, term by term, against slow NumPy written from the paper's equations 8 to 11."""

import itertools

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.systems.structures_guided.objective import StructuresGuidedObjective

OTHER = {"alpha": 3.0, "beta": 5.0, "gamma": 7.0}  # one mistaken for another must show


def refuse(*_):
    raise AssertionError("a term of weight 0 was computed")


def features(images):
    """[B, H, W, 3] -> [B, H, W, 2]."""
    return tf.stack([images[..., 0] * images[..., 1], images[..., 2] ** 2], axis=-1)


def critic(images):
    return images[:, ::2, ::2, :1] ** 3


@pytest.fixture(scope="module")
def pair():
    """(restored, sharp), float32 [2, 4, 6, 3] in [0, 1]."""
    return np.random.default_rng(0).uniform(size=(2, 2, 4, 6, 3)).astype(np.float32)


def expected_terms(restored, sharp):
    """On [-1, 1], sample by sample, unweighted."""
    terms = {"content": [], "gradient": [], "adversarial": []}
    for one, other in zip(2 * restored.astype(float) - 1, 2 * sharp.astype(float) - 1, strict=True):
        phi, psi = ([x[..., 0] * x[..., 1], x[..., 2] ** 2] for x in (one, other))
        terms["content"].append(np.mean([(phi[n] - psi[n]) ** 2 for n in range(2)]))
        horizontal = np.abs(np.diff(other, axis=1) - np.diff(one, axis=1)).mean()
        vertical = np.abs(np.diff(other, axis=0) - np.diff(one, axis=0)).mean()
        terms["gradient"].append(horizontal + vertical)
        terms["adversarial"].append(-(one[::2, ::2, 0] ** 3).mean())
    return {name: np.array(values) for name, values in terms.items()}


@pytest.mark.parametrize("switched_on", list(itertools.product([False, True], repeat=3)))
def test_the_generators_terms(pair, switched_on):
    restored, sharp = pair
    weights = {name: weight * on for (name, weight), on in zip(OTHER.items(), switched_on, strict=True)}
    objective = StructuresGuidedObjective(features if weights["alpha"] else refuse, **weights)
    batch = {"sharp": tf.constant(sharp)}
    terms = objective.generator_losses(
        {"restored": tf.constant(restored)}, batch, critic if weights["gamma"] else refuse
    )
    names = dict(zip(("content", "gradient", "adversarial"), weights.values(), strict=True))
    assert terms.keys() == {name for name, weight in names.items() if weight}
    plain = expected_terms(restored, sharp)
    for name, value in terms.items():
        assert value.shape == (2,) and value.dtype == tf.float32
        np.testing.assert_allclose(value, names[name] * plain[name], rtol=1e-5, err_msg=name)


def test_the_papers_weights_are_the_defaults():
    objective = StructuresGuidedObjective(features)
    assert (objective.alpha, objective.beta, objective.gamma, objective.lambda_gp) == (10.0, 1.0, 1.0, 10.0)


def test_the_critics_terms(pair):
    """D(fake) - D(real) + 10 (||grad D|| - 1)^2; this critic's gradient is 3 x^2 / 6 on every second pixel's red."""
    restored, sharp = pair
    mix = np.float32([0.25, 0.75])
    objective = StructuresGuidedObjective(features)
    batch = {"sharp": tf.constant(sharp)}
    terms = objective.critic_losses(tf.constant(restored), batch, critic, tf.constant(mix))
    fake, real = 2 * restored - 1, 2 * sharp - 1
    np.testing.assert_allclose(terms["fake"], (fake[:, ::2, ::2, 0] ** 3).mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(terms["real"], -(real[:, ::2, ::2, 0] ** 3).mean((1, 2)), rtol=1e-4)
    x = mix[:, None, None] * real[:, ::2, ::2, 0] + (1 - mix[:, None, None]) * fake[:, ::2, ::2, 0]
    norm = np.sqrt(((3 * x**2 / 6) ** 2).sum((1, 2)))
    np.testing.assert_allclose(terms["penalty"], 10 * (norm - 1) ** 2, rtol=1e-4)

"""MADN's losses, term by term, against slow NumPy written from the paper's equations 10 to 20."""

import itertools

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.systems.madn.objective import MadnObjective

PAPER = {"lambda_adv": 0.05, "alpha": 0.01, "phi1": 0.5, "phi2": 1.0, "beta1": 0.01, "beta2": 1.0}
# One that is mistaken for another, or squared, or forgotten, must show.
OTHER = {"lambda_adv": 2.0, "alpha": 3.0, "phi1": 5.0, "phi2": 7.0, "beta1": 11.0, "beta2": 13.0}
CHANNEL_WEIGHTS = np.array([1.0, -2.0, 3.0])


def sobel(images):
    """M: per channel, reflected border, sqrt(gx^2 + gy^2 + 1e-6)."""
    mask = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    result = np.zeros(images.shape)
    for b, y, x, c in np.ndindex(images.shape):
        window = padded[b, y : y + 3, x : x + 3, c]
        result[b, y, x, c] = np.sqrt(np.sum(window * mask) ** 2 + np.sum(window * mask.T) ** 2 + 1e-6)
    return result


def fake_discriminator(images):
    """A fixed function: images [B, H, W, 3] -> logits [B, 1]."""
    images = tf.cast(images, tf.float32)
    weighted = tf.reduce_mean(tf.square(images) * CHANNEL_WEIGHTS.astype(np.float32), axis=(1, 2, 3))
    return weighted[:, None] - 0.2


def probability(image):
    """D(image) of one sample [H, W, 3], in float64."""
    logit = np.mean(image**2 * CHANNEL_WEIGHTS) - 0.2
    return 1 / (1 + np.exp(-logit))


@pytest.fixture(scope="module")
def values():
    """Distinct random float64 arrays: blurred, sharp, their scales and all that the generator returns."""
    generator = np.random.default_rng(0)

    def images(size, low=0.0, high=1.0):
        return generator.uniform(low, high, (2, size, size, 3))

    found = {f"sharp_{n}": images(size) for n, size in ((1, 8), (2, 4), (3, 2))}
    found |= {f"scale_{n}": images(size, -0.2, 1.2) for n, size in ((1, 8), (2, 4), (3, 2))}
    found |= {"blurred": images(8), "restored": images(8, -0.2, 1.2), "gradient": images(8, 0, 4)}
    return found


def arguments(values):
    """(outputs, batch) as the trainer hands them over."""
    tensors = {name: tf.constant(value, tf.float32) for name, value in values.items()}
    outputs = {name: tensors[name] for name in ("restored", "gradient", "scale_1", "scale_2", "scale_3")}
    batch = {
        "blurred": tensors["blurred"],
        "sharp": tensors["sharp_1"],
        "sharp_scales": (tensors["sharp_1"], tensors["sharp_2"], tensors["sharp_3"]),
        "sharp_gradient": tf.constant(sobel(values["sharp_1"]), tf.float32),
    }
    return outputs, batch


def expected_terms(values, w, scale_weights=(1.0, 1.0, 1.0)):
    """Every weighted term of one sample after another, from the equations."""
    generator, critic = [], []
    gradient_of_sharp, gradient_of_restored = sobel(values["sharp_1"]), sobel(values["restored"])
    for b in range(2):
        x_t, x_b, x_g = values["sharp_1"][b], values["restored"][b], values["gradient"][b]
        m_t, m_b = gradient_of_sharp[b], gradient_of_restored[b]
        l_pixel = 0.0  # Eq. 12
        for i, weight in zip((1, 2, 3), scale_weights, strict=True):
            difference = values[f"scale_{i}"][b] - values[f"sharp_{i}"][b]
            l_pixel += weight / (2 * difference.size) * np.linalg.norm(difference) ** 2
        generator.append(
            {
                "pixel": w["alpha"] * l_pixel,
                "content": w["phi2"] * w["beta2"] * np.mean(np.abs(x_b - x_t)),
                "gradient_content_gn": w["phi1"] * np.mean(np.abs(m_t - x_g)),
                "gradient_content": w["phi2"] * w["beta1"] * np.mean(np.abs(m_t - m_b)),
                "adversarial": -w["lambda_adv"] * np.log(probability(x_b)),  # Eq. 15
                "gradient_adversarial": -w["lambda_adv"] * np.log(probability(x_g)),  # Eq. 16
            }
        )
        critic.append(
            {
                "image_real": -np.log(probability(x_t)),  # Eq. 19
                "image_fake": -np.log(1 - probability(x_b)),
                "gradient_real": -np.log(probability(m_t)),  # Eq. 20
                "gradient_fake": -np.log(1 - probability(x_g)),
            }
        )
    return tuple({name: [sample[name] for sample in terms] for name in terms[0]} for terms in (generator, critic))


def assert_terms(found, expected):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.shape == (2,) and value.dtype == tf.float32, name
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)


def test_defaults_are_the_papers():
    objective = MadnObjective()
    assert {name: getattr(objective, name) for name in PAPER} == PAPER
    assert objective.scale_weights == (1.0, 1.0, 1.0)
    assert objective.use_adv and objective.use_grad_content and objective.use_grad_adv


def test_constant_images_by_hand():
    def full(value, size=8):
        return tf.fill([1, size, size, 3], value)

    outputs = {"restored": full(0.75), "gradient": full(2.0)}
    outputs |= {"scale_1": full(0.5), "scale_2": full(0.25, 4), "scale_3": full(1.0, 2)}
    batch = {
        "sharp": full(0.5),
        "sharp_scales": [full(0.5), full(0.75, 4), full(0.0, 2)],
        "sharp_gradient": full(1e-3),
    }
    found, _ = MadnObjective().losses(outputs, batch, lambda images: tf.zeros([1, 1]))
    by_hand = {
        "pixel": 0.01 * 0.5 * (0 + 0.5**2 + 1),
        "content": 0.25,
        "gradient_content_gn": 0.5 * 1.999,
        "gradient_content": 0,
        "adversarial": 0.05 * np.log(2),
        "gradient_adversarial": 0.05 * np.log(2),
    }
    assert found.keys() == by_hand.keys()
    for name, value in by_hand.items():
        np.testing.assert_allclose(found[name], [value], rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("weights", [PAPER, OTHER], ids=["paper", "other"])
def test_every_term_is_its_equation(values, weights):
    found = MadnObjective(**weights).losses(*arguments(values), fake_discriminator)
    for terms, expected in zip(found, expected_terms(values, weights), strict=True):
        assert_terms(terms, expected)


def test_sums_are_equations_10_and_18(values):
    found = MadnObjective().losses(*arguments(values), fake_discriminator)
    x_t, x_b, x_g = values["sharp_1"], values["restored"], values["gradient"]
    per_sample = (1, 2, 3)
    l_pixel = sum(np.mean((values[f"scale_{i}"] - values[f"sharp_{i}"]) ** 2, axis=per_sample) / 2 for i in (1, 2, 3))
    content_gb = np.mean(np.abs(sobel(x_t) - x_g), axis=per_sample)
    content_g = 0.01 * np.mean(np.abs(sobel(x_t) - sobel(x_b)), axis=per_sample)
    content_g += 1 * np.mean(np.abs(x_b - x_t), axis=per_sample)
    l_mae = 0.5 * content_gb + 1 * content_g  # Eq. 13
    l_content = 0.01 * l_pixel + l_mae  # Eq. 11

    def log_d(images):
        return np.log([probability(image) for image in images])

    def log_not_d(images):
        return np.log([1 - probability(image) for image in images])

    l_adv = -log_d(x_b) - log_d(x_g)  # Eqs. 14 to 16
    np.testing.assert_allclose(sum(found[0].values()), l_content + 0.05 * l_adv, rtol=1e-5)
    l_d = -log_d(x_t) - log_not_d(x_b) - log_d(sobel(x_t)) - log_not_d(x_g)
    np.testing.assert_allclose(sum(found[1].values()), l_d, rtol=1e-5)


def test_scale_weights_are_finest_first(values):
    scale_weights = (2.0, 3.0, 5.0)
    found, _ = MadnObjective(scale_weights=scale_weights).losses(*arguments(values), fake_discriminator)
    expected, _ = expected_terms(values, PAPER, scale_weights)
    assert_terms(found, expected)


SWITCHES = {
    "use_adv": ({"adversarial"}, {"image_real", "image_fake"}),
    "use_grad_content": ({"gradient_content_gn", "gradient_content"}, set()),
    "use_grad_adv": ({"gradient_adversarial"}, {"gradient_real", "gradient_fake"}),
}


@pytest.mark.parametrize("on", list(itertools.product([False, True], repeat=3)), ids=str)
def test_each_switch_of_figure_9_removes_exactly_its_terms(values, on):
    switches = dict(zip(SWITCHES, on, strict=True))
    objective = MadnObjective(**switches)
    assert objective.uses_discriminator == (switches["use_adv"] or switches["use_grad_adv"])
    discriminator = fake_discriminator if objective.uses_discriminator else None
    found = objective.losses(*arguments(values), discriminator)
    for player, (terms, expected) in enumerate(zip(found, expected_terms(values, PAPER), strict=True)):
        removed = set().union(*(SWITCHES[name][player] for name, switch in switches.items() if not switch))
        assert_terms(terms, {name: value for name, value in expected.items() if name not in removed})


def test_the_discriminator_sees_each_image_and_never_the_blurred_one(values):
    seen = []

    def recorder(images):
        seen.append(images.numpy())
        return fake_discriminator(images)

    MadnObjective().losses(*arguments(values), recorder)
    wanted = [values["restored"], values["sharp_1"], values["gradient"], sobel(values["sharp_1"])]
    for images in seen:
        assert any(np.allclose(images, want, atol=1e-5) for want in wanted)
    for want in wanted:
        assert any(np.allclose(images, want, atol=1e-5) for images in seen)


def test_slopes_lead_to_the_outputs_of_each_term(values):
    outputs, batch = arguments(values)
    reached = {
        "pixel": {"scale_1", "scale_2", "scale_3"},
        "content": {"restored"},
        "gradient_content_gn": {"gradient"},
        "gradient_content": {"restored"},
        "adversarial": {"restored"},
        "gradient_adversarial": {"gradient"},
    }
    for term, names in reached.items():
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = tf.reduce_sum(MadnObjective().losses(outputs, batch, fake_discriminator)[0][term])
        found = tape.gradient(value, outputs)
        assert {name for name, slope in found.items() if slope is not None} == names, term


def test_flat_and_perfect_images_have_finite_slopes():
    flat = tf.fill([1, 8, 8, 3], 0.5)
    scales = [tf.fill([1, size, size, 3], 0.5) for size in (8, 4, 2)]
    outputs = {"restored": flat, "gradient": tf.fill([1, 8, 8, 3], 1e-3)}
    outputs |= {f"scale_{n + 1}": scale for n, scale in enumerate(scales)}
    batch = {"sharp": flat, "sharp_scales": scales, "sharp_gradient": tf.fill([1, 8, 8, 3], 1e-3)}
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        generator, _ = MadnObjective().losses(outputs, batch, fake_discriminator)
        loss = tf.add_n(list(generator.values()))
    assert all(np.isfinite(slope).all() for slope in tape.gradient(loss, outputs).values())

"""MPRNet against the outputs of the reference implementation, with weights by formula, and against the paper."""

import numpy as np
import pytest

from tests import goldens
from tests.layers.slow import randomised
from tfdeblur import info, systems
from tfdeblur.compat import precision, tf
from tfdeblur.errors import DeblurError
from tfdeblur.systems.mprnet import networks
from tfdeblur.systems.mprnet.torch_names import fill, torch_shapes, torch_weights

SMALL = {"width": 8, "width_step": 4, "orsnet_step": 4, "num_cabs": 2, "reduction": 4}
# (mean, standard deviation, mean of the absolute values, red at the two first pixels, blue at the last) of each output
GOLDENS = {
    "default": {
        "arguments": {},
        "size": (32, 32),
        "parameters": 20_127_073,
        "restored": (0.5018367465552936, 0.3534888399344571, 0.5018751896005912)
        + (0.5005636345252632, 0.5998459076109286, 0.6853327414297818),
        "stage_2": (0.502131279065981, 0.3536820221628416, 0.5022109061344758)
        + (0.5032082784649681, 0.6049649384043384, 0.6873491831164463),
        "stage_1": (0.5029666261535327, 0.3467439791487179, 0.5048224607354206)
        + (0.5386918009567838, 0.6705296965826238, 0.6219669975317574),
    },
    "small": {
        "arguments": SMALL,
        "size": (16, 32),
        "parameters": 107_293,
        "restored": (0.5257251851952807, 0.4025522846844644, 0.5424983610671975)
        + (0.5512913263336466, 0.6487786761755225, 0.1289712421586836),
        "stage_2": (0.5195779840362239, 0.4169421515853769, 0.5491549873836948)
        + (0.4687500996099814, 0.5388377210135413, 0.04722333072049831),
        "stage_1": (0.49684901406776016, 0.5035565075563169, 0.5661282285504836)
        + (0.7015131358096691, 0.9181505092450257, 0.005779053301870257),
    },
}


def torch_shape(weight):
    """The shape that PyTorch's tensor of a weight has."""
    if weight.shape.rank == 0:
        return (1,)
    height, width, inputs, outputs = [1, 1, *weight.shape][-4:]
    return (outputs, inputs, height, width)


def with_formula_weights(net):
    """The network with the weights of the goldens, which were rounded to float32 before the pass in float64."""
    shapes = {name: torch_shape(weight) for name, weight in torch_weights(net).items()}
    fill(net, {name: goldens.torch_weight(name, shape).astype(np.float32) for name, shape in shapes.items()})
    return net


@pytest.mark.parametrize("policy, tolerance", [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("name", GOLDENS)
def test_the_three_outputs_are_the_references(name, policy, tolerance):
    golden = GOLDENS[name]
    with precision(policy):
        net = with_formula_weights(systems.build("mprnet", **golden["arguments"]))
    assert net.count_params() == golden["parameters"]
    outputs = net(goldens.image(*golden["size"]))
    assert list(outputs) == ["restored", "stage_2", "stage_1"]
    for key, image in outputs.items():
        assert image.dtype == policy and image.shape == (1, *golden["size"], 3)
        x = image.numpy()[0].astype(np.float64)
        found = [x.mean(), x.std(), np.abs(x).mean(), x[0, 0, 0], x[0, 1, 0], x[-1, -1, -1]]
        np.testing.assert_allclose(found, golden[key], rtol=0, atol=tolerance, err_msg=key)


# ------------------------------------------------------------------------------------------------- numbers


def test_the_weights_are_those_of_the_published_checkpoint():
    net = systems.build("mprnet")
    expected = torch_shapes()
    assert len(expected) == 316 and sum(shape == (1,) for shape in expected.values()) == 55
    assert {name: torch_shape(weight) for name, weight in torch_weights(net).items()} == expected
    mapped = {id(weight) for weight in torch_weights(net).values()}
    assert mapped == {id(weight) for weight in net.trainable_weights} and len(mapped) == 262


def test_multiply_accumulates_are_the_specifications():
    net = systems.build("mprnet")
    assert info.multiply_accumulates(net, (256, 256)) / 1e9 == pytest.approx(759.41, abs=0.005)
    assert info.multiply_accumulates(net, (720, 1280)) / 1e9 == pytest.approx(10_679.2, abs=0.05)


# ------------------------------------------------------------------------------------------------- blocks


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("slope", [0.25, 0.0, -0.5, 1.5])
def test_the_block_is_attention_over_two_convolutions_for_every_slope(slope):
    x = values(2, 5, 6, 4)
    cab = randomised(networks.ChannelAttentionBlock(2), x, slope)
    hidden = cab.conv1(x).numpy()
    t = cab.conv2(np.where(hidden > 0, hidden, slope * hidden)).numpy()
    squeeze, excite = cab.attention.get_weights()
    means = t.mean(axis=(1, 2))
    gates = 1 / (1 + np.exp(-np.maximum(means @ squeeze, 0) @ excite))
    np.testing.assert_allclose(cab(x, slope), x + t * gates[:, None, None], atol=1e-5)
    assert (hidden > 0).any() and (hidden < 0).any()


def test_the_supervised_attention_by_its_definition():
    x, image = values(1, 4, 4, 5), values(1, 4, 4, 3, seed=9)
    sam = randomised(networks.SupervisedAttention(5), x, image)
    features, to_image, from_image = (weight[0, 0] for weight in sam.get_weights())
    out, restored = sam(x, image)
    np.testing.assert_allclose(restored, image + x @ to_image, atol=1e-5)
    gate = 1 / (1 + np.exp(-(image + x @ to_image) @ from_image))
    np.testing.assert_allclose(out, x + (x @ features) * gate, atol=1e-5)


def test_a_quadrant_is_encoded_without_its_neighbours():
    """Stage 1's encoder sees quadrants: its features next to the cut know nothing of the other side."""
    image = np.random.default_rng(0).uniform(size=(1, 16, 16, 3)).astype(np.float32)
    other = image.copy()
    other[:, :8, 8:] = 0.5  # the upper right quadrant alone
    seen = []
    net = with_formula_weights(systems.build("mprnet", **SMALL))
    for x in (image, other):
        net(x, enhance=lambda stage, features: seen.append((stage, features.numpy())) or features)
    (first, before), (second, _), (_, after), _ = seen
    assert (first, second) == (1, 2)
    changed = [np.any(before[n] != after[n]) for n in range(4)]
    assert changed == [False, False, True, False]  # upper left, lower left, upper right, lower right


def test_what_enhances_an_encoders_features_replaces_them():
    image = np.random.default_rng(0).uniform(size=(1, 16, 24, 3)).astype(np.float32)
    net = with_formula_weights(systems.build("mprnet", **SMALL))
    plain = net(image)
    same = net(image, enhance=lambda stage, features: features)
    for name, value in plain.items():
        np.testing.assert_array_equal(same[name], value)
    only_second = net(image, enhance=lambda stage, features: features + (stage == 2))
    np.testing.assert_array_equal(only_second["stage_1"], plain["stage_1"])
    for name in ("stage_2", "restored"):
        assert np.abs(only_second[name] - plain[name]).max() > 1e-3


def test_images_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="multiples of 8"):
        systems.build("mprnet", **SMALL)(tf.zeros([1, 16, 20, 3]))


@pytest.mark.parametrize("arguments", [{"width": 0}, {"num_cabs": 0}, {"width_step": -1}, {"reduction": 0}])
def test_arguments_that_mean_nothing_are_refused(arguments):
    with pytest.raises(DeblurError, match=next(iter(arguments))):
        networks.MprNet(**arguments)


def test_images_stay_in_float32_under_mixed_precision():
    with precision("mixed_bfloat16"):
        net = with_formula_weights(systems.build("mprnet", **SMALL))
    image = goldens.image(16, 32).astype(np.float32)
    outputs = net(image)
    exact = with_formula_weights(systems.build("mprnet", **SMALL))(image)
    heads = {net.tail, net.sam12.to_image, net.sam23.to_image}
    assert {head.compute_dtype for head in heads} == {"float32"}
    assert net.encoder1.levels[0][0].conv1.compute_dtype == "bfloat16"
    for name, value in outputs.items():
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, exact[name], atol=0.05)

"""Parameters and multiply-accumulates against the specification and against counting by hand."""

import pytest

from tfdeblur import info, systems
from tfdeblur.compat import precision, tf
from tfdeblur.ops.geometry import pyramid
from tfdeblur.ops.gradients import sobel_magnitude


def test_madn_at_a_crop_is_the_specifications():
    found = info.describe("madn", (256, 256))
    assert found["system"] == "madn" and found["size"] == [256, 256]
    assert found["parameters"] == {
        "generator": 29_055_305,
        "discriminator": 4_827_332,
        "scale_network": 13_458_691,
        "gradient_network": 14_341_955,
        "fusion": 1_254_659,
    }
    assert isinstance(found["macs"], int)
    assert found["macs"] / 1e9 == pytest.approx(375.5, abs=0.05)
    assert found["paper"]["gopro_psnr"] == 30.18 and found["paper"]["gopro_ssim"] == 0.9312


def test_madn_at_a_video_frame_is_the_specifications():
    assert info.multiply_accumulates(systems.build("madn"), (720, 1280)) / 1e9 == pytest.approx(5280.3, abs=0.05)


def test_describe_a_configuration(tiny_config):
    found = info.describe("madn", (32, 32), tiny_config.to_dict())
    # two convolutions 3x3 for each residual block, the blocks' own convolutions, the heads: by the table of 3.1
    a, b, c, r = 4, 6, 8, 1

    def conv(inputs, outputs, kernel=3):
        return kernel * kernel * inputs * outputs + outputs

    def blocks(width):
        return 2 * r * conv(width, width)

    def decoder():
        halves = blocks(c) + conv(c, b, 4) + blocks(b) + conv(b, a, 4)
        return halves + blocks(a) + conv(a, a) + conv(a, 3, 1)

    scale = conv(6, a) + blocks(a) + conv(a, b) + blocks(b) + conv(b, c) + blocks(c) + decoder()
    gradient = conv(3, a) + blocks(a) + conv(a, b) + blocks(b) + conv(b + a, c) + blocks(c)
    gradient += conv(c + a, c) + decoder()
    fusion = blocks(2 * a) + conv(2 * a, a) + conv(a, 3, 1)
    # ten convolutions of width 4 at crop 32, two of width 1, and 1x1 values into 8 units and one
    critic = conv(3, 4) + 9 * conv(4, 4) + conv(4, 1, 1) + conv(1, 1, 1) + (1 * 8 + 8) + (8 + 1)
    assert found["parameters"] == {
        "generator": scale + gradient + fusion,
        "scale_network": scale,
        "gradient_network": gradient,
        "fusion": fusion,
        "discriminator": critic,
    }


@pytest.mark.parametrize("size, padded", [((250, 1), (256, 16)), ((17, 32), (32, 32))])
def test_an_odd_size_costs_what_it_is_padded_to(tiny_madn, size, padded):
    config = tiny_madn(num_res_blocks=0).to_dict()
    odd = info.describe("madn", size, config)
    assert odd["size"] == list(size)
    assert odd["macs"] == info.describe("madn", padded, config)["macs"] > 0


# ----------------------------------------------------------------------------------------- by hand


def model_of(*layers):
    """The layers one after the other, with weights for a 12x16 image."""
    model = tf.keras.Sequential(layers)
    model.build([1, 12, 16, 3])
    return model


LAYERS = tf.keras.layers
HAND_COUNTED = {
    # outputs x (kernel x inputs)
    "conv": (lambda: model_of(LAYERS.Conv2D(8, 3, padding="same")), 12 * 16 * 8 * (3 * 3 * 3)),
    "conv, stride 2": (lambda: model_of(LAYERS.Conv2D(8, 3, 2, padding="same")), 6 * 8 * 8 * (3 * 3 * 3)),
    "conv, valid": (lambda: model_of(LAYERS.Conv2D(8, (5, 1))), 8 * 16 * 8 * (5 * 1 * 3)),
    "two convs": (
        lambda: model_of(LAYERS.Conv2D(8, 1), LAYERS.ReLU(), LAYERS.Conv2D(2, 1)),
        12 * 16 * (3 * 8 + 8 * 2),
    ),
    "grouped conv": (
        lambda: model_of(LAYERS.Conv2D(8, 1), LAYERS.Conv2D(4, 3, padding="same", groups=2)),
        12 * 16 * (3 * 8 + 4 * (3 * 3 * 4)),
    ),
    "dilated conv": (
        lambda: model_of(LAYERS.Conv2D(8, 3, padding="same", dilation_rate=2)),
        12 * 16 * 8 * (3 * 3 * 3),
    ),
    # inputs x (kernel x outputs): each input position is multiplied with the whole kernel
    "deconv": (lambda: model_of(LAYERS.Conv2DTranspose(8, 4, 2, padding="same")), 12 * 16 * 3 * (4 * 4 * 8)),
    "deconv, stride 1": (
        lambda: model_of(LAYERS.Conv2DTranspose(8, 3, 1, padding="same")),
        12 * 16 * 3 * (3 * 3 * 8),
    ),
    "depthwise": (lambda: model_of(LAYERS.DepthwiseConv2D(3, 2, padding="same")), 6 * 8 * 3 * (3 * 3)),
    "separable": (
        lambda: model_of(LAYERS.SeparableConv2D(8, 3, padding="same")),
        12 * 16 * (3 * 3 * 3 + 3 * 8),
    ),
    "dense on flat": (lambda: model_of(LAYERS.Flatten(), LAYERS.Dense(5)), 12 * 16 * 3 * 5),
    "dense on pixels": (lambda: model_of(LAYERS.Dense(5)), 12 * 16 * 3 * 5),
    "no weights": (lambda: model_of(LAYERS.AveragePooling2D(), LAYERS.UpSampling2D()), 0),
}


@pytest.mark.parametrize("name", HAND_COUNTED)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_layers_counted_by_hand(name, policy):
    make, expected = HAND_COUNTED[name]
    with precision(policy):
        model = make()
    assert info.multiply_accumulates(model, (12, 16)) == expected


def test_a_layer_that_is_used_twice_counts_twice():
    conv = LAYERS.Conv2D(3, 1)
    conv.build([1, 12, 16, 3])
    assert info.multiply_accumulates(lambda x: conv(conv(x)), (12, 16)) == 2 * 12 * 16 * 3 * 3


@pytest.mark.parametrize("transposed", [False, True])
def test_attention_counts_its_matrix_products(transposed):
    def attention(x):
        tokens = tf.reshape(x, [1, 12 * 16, 3])
        if transposed:  # over the channels, as in networks for large images
            return tf.matmul(tokens, tokens, transpose_a=True)
        return tf.matmul(tokens, tokens, transpose_b=True)

    # both multiply each of the 192 x 3 values with a column of the other
    expected = 3 * 3 * 192 if transposed else 192 * 192 * 3
    assert info.multiply_accumulates(attention, (12, 16)) == expected


def test_fixed_stencils_do_not_count():
    blur = tf.constant(1 / 9, shape=[3, 3, 3, 1])

    def stencils(x):
        tf.nn.depthwise_conv2d(x, blur, [1, 1, 1, 1], "SAME")
        return pyramid(x, 3), sobel_magnitude(x)

    assert info.multiply_accumulates(stencils, (12, 16)) == 0

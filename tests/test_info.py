"""Parameters and multiply-accumulates against the specification and against counting by hand."""

import pytest

from tfdeblur import info, systems
from tfdeblur.compat import precision, tf
from tfdeblur.ops import attention
from tfdeblur.ops.geometry import pyramid
from tfdeblur.ops.gradients import sobel_magnitude


def test_madn_at_a_crop_is_the_specifications():
    found = info.describe("madn", (250, 241))  # which is padded to 256x256
    assert found["system"] == "madn" and found["size"] == [250, 241]
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


def test_the_parts_of_a_narrow_madn_counted_by_hand():
    a, b, c, r = 4, 6, 8, 2  # widths, residual blocks

    def conv(inputs, outputs, kernel=3):
        return kernel * kernel * inputs * outputs + outputs

    def blocks(width):
        return 2 * r * conv(width, width)

    encoder = blocks(a) + conv(a, b) + blocks(b) + blocks(c)
    decoder = blocks(c) + conv(c, b, 4) + blocks(b) + conv(b, a, 4) + blocks(a) + conv(a, a) + conv(a, 3, 1)
    expected = {
        "scale_network": conv(6, a) + encoder + conv(b, c) + decoder,
        # the scale features join behind both encoding blocks, the second time through a convolution
        "gradient_network": conv(3, a) + encoder + conv(b + a, c) + conv(c + a, c) + decoder,
        "fusion": blocks(2 * a) + conv(2 * a, a) + conv(a, 3, 1),
    }
    net = systems.build("madn", widths=(a, b, c), num_res_blocks=r)
    parts = systems.system("madn").parts(net)
    assert {name: part.count_params() for name, part in parts.items()} == expected
    assert net.count_params() == sum(expected.values())


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


def test_a_result_that_nobody_needs_does_not_count():
    used, unused = LAYERS.Conv2D(3, 1), LAYERS.Conv2D(5, 3)
    for conv in (used, unused):
        conv.build([1, 12, 16, 3])

    def call(x):
        unused(x)
        return used(x)

    assert info.multiply_accumulates(call, (12, 16)) == 12 * 16 * 3 * 3


def test_gradients_count_what_the_backward_pass_multiplies():
    # A convolution costs the same three times: forward, the input's gradient, and the kernel's.
    first, second = LAYERS.Conv2D(4, 3, padding="same"), LAYERS.Conv2D(2, 3, padding="same")
    first.build([1, 12, 16, 3])
    second.build([1, 12, 16, 4])

    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(second(first(x)) ** 2)
        return tape.gradient(loss, [first.kernel, second.kernel])

    once, twice = (12 * 16 * 9 * ins * outs for ins, outs in ((3, 4), (4, 2)))
    image = tf.TensorSpec([1, 12, 16, 3], tf.float32)
    # the image itself needs no gradient
    assert info.multiply_accumulates_of(gradients, image) == 2 * once + 3 * twice


def test_attention_counts_whole_where_it_would_run_in_pieces(monkeypatch):
    monkeypatch.setattr(attention, "piece_bytes", lambda: 4 * 192)  # one query at a time

    def attend(x):
        tokens = tf.reshape(x, [1, 12 * 16, 3])
        return attention.attend(tokens[..., :2], tokens[..., 1:], tokens)

    assert info.multiply_accumulates(attend, (12, 16)) == 192 * 192 * (2 + 3)


def test_depthwise_gradients_count_too():
    layer = LAYERS.DepthwiseConv2D(3, 2, padding="same")
    layer.build([1, 12, 16, 3])

    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, [x, layer.depthwise_kernel])

    assert info.multiply_accumulates_of(gradients, tf.TensorSpec([1, 12, 16, 3], tf.float32)) == 3 * (6 * 8 * 3 * 9)


def test_fixed_stencils_do_not_count():
    blur = tf.constant(1 / 9, shape=[3, 3, 3, 1])

    def stencils(x):
        return tf.nn.depthwise_conv2d(x, blur, [1, 1, 1, 1], "SAME"), pyramid(x, 3), sobel_magnitude(x)

    assert info.multiply_accumulates(stencils, (12, 16)) == 0

"""Camera responses: there and back, light that adds up, files of measured responses, and rounding."""

import hashlib
import io

import numpy as np
import pytest

from tfdeblur.data.response import GAMMA_2_2, LINEAR, response
from tfdeblur.errors import DeblurError

VALUES = np.arange(256, dtype=np.uint8)
EVERY_VALUE = np.stack([VALUES, VALUES[::-1], np.roll(VALUES, 100)], axis=-1)[None]  # [1, 256, 3]


@pytest.fixture
def saved(tmp_path):
    """Function: an array -> the path of its .npy file."""

    def save(array):
        path = tmp_path / "curve.npy"
        np.save(path, array)
        return str(path)

    return save


def refusal(crf):
    with pytest.raises(DeblurError) as caught:
        response(crf)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def three_curves():
    """Float32 [256, 3]: a square, a line, and an exponential: no channel can be taken for another."""
    ramp = np.arange(256) / 255
    return np.stack([ramp**2 + 0.01, 3 * ramp, np.exp(4 * ramp)], axis=-1).astype(np.float32)


def test_light_by_hand():
    image = np.array([[[0, 128, 255]]], np.uint8)
    np.testing.assert_allclose(GAMMA_2_2.to_light(image), [[[0, (128 / 255) ** 2.2, 1]]], rtol=1e-6)
    np.testing.assert_array_equal(LINEAR.to_light(image), [[[0, 128, 255]]])
    assert GAMMA_2_2.to_light(image).dtype == np.float32
    assert GAMMA_2_2.to_light(image, np.float64).dtype == np.float64


@pytest.mark.parametrize("rounding", ["round", "truncate"])
@pytest.mark.parametrize("name", ["linear", "gamma2.2", "file"])
def test_every_value_comes_back(name, rounding, saved):
    curve = response(saved(three_curves()) if name == "file" else name)
    light = curve.to_light(EVERY_VALUE, np.float64)
    np.testing.assert_array_equal(curve.develop(light, rounding=rounding), EVERY_VALUE)
    # So do the averages of equal values, whatever the order of the additions does to the last bit.
    total = sum([light] * 7, np.zeros_like(light))
    np.testing.assert_array_equal(curve.develop(total / 7, rounding=rounding), EVERY_VALUE)
    if rounding == "round":
        np.testing.assert_array_equal(curve.develop(curve.to_light(EVERY_VALUE)), EVERY_VALUE)


@pytest.mark.parametrize(
    "curve, rounding, expected",
    [
        (LINEAR, "round", [128, 100, 1]),  # 127.5 to the even neighbour, 100.25, 1.0
        (LINEAR, "truncate", [127, 100, 1]),
        (GAMMA_2_2, "round", [186, 107, 1]),  # 255 * 0.5 ** (1 / 2.2) = 186.08; 107.47; 1.46
        (GAMMA_2_2, "truncate", [186, 107, 1]),
    ],
)
def test_averages_of_light(curve, rounding, expected):
    frames = np.array([[255, 80, 0], [0, 80, 0], [255, 80, 2], [0, 161, 2]], np.uint8)
    light = curve.to_light(frames, np.float64).mean(axis=0)
    np.testing.assert_array_equal(curve.develop(light[None, None], rounding=rounding)[0, 0], expected)


def test_truncation_is_below_rounding_where_more_than_half_is_cut_off():
    frames = np.array([[10] * 3, [11] * 3, [11] * 3], np.uint8)  # 10.67 in the mean, 10.69 in light
    for curve in (LINEAR, GAMMA_2_2):
        light = curve.to_light(frames, np.float64).mean(axis=0)[None, None]
        assert curve.develop(light)[0, 0, 0] == 11 and curve.develop(light, rounding="truncate")[0, 0, 0] == 10


def test_what_lies_outside_the_range_saturates():
    light = np.array([[[-1e-9, 1.1, 5.0]]], np.float32)
    np.testing.assert_array_equal(GAMMA_2_2.develop(light), [[[0, 255, 255]]])
    np.testing.assert_array_equal(LINEAR.develop(np.array([[[-3.0, 255.4, 300]]])), [[[0, 255, 255]]])


def test_noise_is_added_before_rounding():
    light = np.full((100, 100, 3), 100.25)
    noisy = LINEAR.develop(light, np.random.default_rng(0), noise=3.0)
    assert noisy.mean() == pytest.approx(100.25, abs=0.1) and noisy.std() == pytest.approx(3, rel=0.03)


# ----------------------------------------------------------------------------------------------------- files


def test_a_file_has_a_curve_for_each_channel(saved):
    curves = three_curves()
    curve = response(saved(curves[:, None]))  # [256, 1, 3], as measured ones come
    image = np.array([[[10, 20, 30]]], np.uint8)
    np.testing.assert_allclose(curve.to_light(image)[0, 0], [curves[10, 0], curves[20, 1], curves[30, 2]], rtol=1e-6)
    # Half way between the light of two values lies half way between the values, in each channel on its own curve.
    light = [(curves[v, c] + curves[v + 1, c]) / 2 for v, c in ((10, 0), (20, 1), (30, 2))]
    np.testing.assert_allclose(curve.to_stored(np.array([[light]]))[0, 0], [10.5, 20.5, 30.5], atol=1e-4)


@pytest.mark.parametrize("shape", [(256,), (256, 1), (256, 1, 1)])
def test_one_curve_serves_all_channels(shape, saved):
    curve = response(saved((np.arange(256.0) ** 2).reshape(shape)))
    np.testing.assert_allclose(curve.to_light(np.array([[[1, 2, 3]]], np.uint8))[0, 0], [1, 4, 9])
    np.testing.assert_allclose(curve.to_stored(np.array([[[1.0, 4, 9]]]))[0, 0], [1, 2, 3])


def test_the_description_identifies_the_file(saved):
    path = saved(three_curves())
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    assert response(path).description == {"name": "curve.npy", "sha256": digest, "evened_out": 0}
    assert response("linear").description == {"name": "linear"}


def test_dips_of_a_measured_curve_are_evened_out(saved):
    light = np.arange(256.0)
    light[236] = 230.0  # below 231 .. 235: the curve goes on from 235 to 237
    light[100] = 140.0  # above 101 .. 140, which are 40 dips: too many
    assert "at the value 101" in refusal(saved(light))
    light[100] = 103.0  # above 101 and 102, and as high as 103
    curve = response(saved(light))
    np.testing.assert_allclose(curve.table[[235, 236, 237], 0], [235, 236, 237])
    np.testing.assert_allclose(curve.table[[99, 100, 101, 102, 103, 104], 1], [99, 103, 103.25, 103.5, 103.75, 104])
    assert curve.description["evened_out"] == 4


def test_files_that_are_no_responses(saved, tmp_path):
    falling = np.arange(256.0)[::-1]
    assert "must rise" in refusal(saved(falling)) and "value 1" in refusal(saved(falling))
    flat_end = np.minimum(np.arange(256.0), 254)
    assert "must rise" in refusal(saved(flat_end)), "255 would have no light of its own"
    columns = np.tile(np.arange(256.0)[:, None], 3)
    columns[:, 2] = falling
    assert "must rise" in refusal(saved(columns)), "every channel counts"
    assert "finite" in refusal(saved(np.where(np.arange(256) == 7, np.nan, np.arange(256.0))))
    for shape in ((255,), (3, 256), (256, 4), (256, 256)):
        assert f"{shape}" in refusal(saved(np.zeros(shape)))
    assert "numpy.save" in refusal(saved(np.array(["a"] * 256)))
    for name, data in (("text.npy", b"1 2 3"), ("empty.npy", b""), ("cut.npy", cut_file())):
        (tmp_path / name).write_bytes(data)
        assert name in refusal(str(tmp_path / name))
    assert "none.npy" in refusal(str(tmp_path / "none.npy"))
    assert "gamma2.2" in refusal("gamma")


def cut_file():
    file = io.BytesIO()
    np.save(file, np.arange(256.0))
    return file.getvalue()[:-100]

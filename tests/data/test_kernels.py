"""Kernel files: every shape that they come in, by values that tell an axis or an orientation that was mixed up."""

import numpy as np
import pytest
import scipy.io

from tfdeblur.data.kernels import centre_of_energy, read_kernels
from tfdeblur.data.response import LINEAR
from tfdeblur.data.shake import blur
from tfdeblur.errors import DeblurError

ARROW = np.array([[1, 0, 0], [0, 2, 3], [0, 0, 4]])  # differs from all its flips and rotations, sum 10
OTHER = np.array([[0, 0, 0], [5, 0, 0], [0, 5, 0]])


@pytest.fixture(params=["npz", "mat"])
def save(request, tmp_path):
    """Function: arrays by name -> the path of a file of either kind."""

    def write(**arrays):
        path = str(tmp_path / f"kernels.{request.param}")
        np.savez(path, **arrays) if request.param == "npz" else scipy.io.savemat(path, arrays)
        return path

    write.kind = request.param
    return write


def refusal(path):
    with pytest.raises(DeblurError) as caught:
        read_kernels(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_array_is_a_kernel_of_sum_1(save):
    kernels = read_kernels(save(one=ARROW, two=OTHER.astype(np.float32)))
    assert list(kernels) == ["one", "two"]
    np.testing.assert_allclose(kernels["one"], ARROW / 10, rtol=1e-6)
    np.testing.assert_allclose(kernels["two"], OTHER / 10, rtol=1e-6)
    assert all(kernel.dtype == np.float32 for kernel in kernels.values())


@pytest.mark.parametrize("count", [2, 3, 5])
def test_stacks(save, count):
    stack = [ARROW, OTHER, *[np.roll(ARROW, n, axis=1) for n in range(1, 4)]][:count]
    axis = 0 if save.kind == "npz" else -1  # how each of the two worlds stacks
    kernels = read_kernels(save(k=np.stack(stack, axis=axis)))
    assert list(kernels) == [f"k_{n + 1}" for n in range(count)]
    for kernel, expected in zip(kernels.values(), stack, strict=True):
        np.testing.assert_allclose(kernel, expected / 10, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, -1])
def test_a_stack_of_squares_shows_by_itself_which_axis_counts(save, axis):
    kernels = read_kernels(save(k=np.stack([ARROW, OTHER], axis=axis)))
    np.testing.assert_allclose(kernels["k_1"], ARROW / 10, rtol=1e-6)
    np.testing.assert_allclose(kernels["k_2"], OTHER / 10, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_cell_arrays_of_matlab(tmp_path, shape):
    cells = np.empty(2, object)
    cells[0], cells[1] = ARROW, np.ones((5, 5))
    path = str(tmp_path / "k.MAT")
    scipy.io.savemat(path, {"kernels": cells.reshape(shape)}, appendmat=False)
    kernels = read_kernels(path)
    assert list(kernels) == ["kernels_1", "kernels_2"]
    np.testing.assert_allclose(kernels["kernels_1"], ARROW / 10, rtol=1e-6)
    np.testing.assert_allclose(kernels["kernels_2"], 1 / 25, rtol=1e-6)


def test_an_even_kernel_keeps_its_centre_where_matlab_has_it(save):
    even = np.zeros((4, 2))
    even[2, 1] = 1  # h // 2, w // 2
    kernel = read_kernels(save(k=even))["k"]
    assert kernel.shape == (5, 3) and kernel[2, 1] == 1 and centre_of_energy(kernel) == (0, 0)
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    np.testing.assert_array_equal(blur(image, kernel, response=LINEAR), image)


def test_kernels_are_convolved_as_they_are(save):
    image = np.zeros((7, 9, 3), np.uint8)
    image[3, 4] = 200
    result = blur(image, read_kernels(save(k=ARROW))["k"], response=LINEAR)
    np.testing.assert_array_equal(result[2:5, 3:6, 1], 20 * ARROW)


def test_centre_of_energy():
    kernel = np.zeros((5, 7))
    kernel[0, 6] = 0.5  # 3 to the right, 2 up
    kernel[2, 3] = 0.5
    assert centre_of_energy(kernel) == (1.5, -1.0)


@pytest.mark.parametrize(
    "bad, words",
    [
        (np.array([[1, -1e-3], [1, 1]]), ["negative", "-0.001"]),
        (np.array([[1, np.nan], [1, 1]]), ["not finite"]),
        (np.array([[1, np.inf], [1, 1]]), ["not finite"]),
        (np.zeros((3, 3)), ["0 everywhere"]),
        (np.array([[2.0]]), ["no size of a kernel"]),  # a number
        (np.ones((2, 1026)), ["no size of a kernel"]),
        (np.ones((3, 3)) * 1j, ["complex128"]),
        (np.array(["text"]), ["not a kernel"]),
        (np.ones((2, 2, 2, 3)), ["not a kernel"]),
    ],
)
def test_what_is_no_kernel_is_named(save, bad, words):
    message = refusal(save(good=ARROW, bad_one=bad))
    for word in ("bad_one", *words):
        assert word in message


def test_files_that_cannot_be_read(tmp_path):
    for name in ("a.npz", "a.mat"):
        path = str(tmp_path / name)
        assert name in refusal(path) and "cannot be read" in refusal(path)
        for data in (b"", b"hello", b"PK\x03\x04 cut", b"MATLAB 5.0 MAT-file" + bytes(150)):
            (tmp_path / name).write_bytes(data)
            assert name in refusal(path)
    assert ".npz or a .mat" in refusal(str(tmp_path / "a.txt"))
    np.savez(tmp_path / "none.npz")
    assert "holds no arrays" in refusal(str(tmp_path / "none.npz"))
    objects = np.empty(1, object)
    objects[0] = ARROW
    np.savez(tmp_path / "pickled.npz", k=objects)
    assert "cannot be read" in refusal(str(tmp_path / "pickled.npz")), "pickles run code"
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    assert "-v7" in refusal(str(tmp_path / "new.mat"))

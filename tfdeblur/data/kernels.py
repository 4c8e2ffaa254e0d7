"""Files of blur kernels: .npz and MATLAB's .mat."""

import os

import numpy as np

from tfdeblur.data.images import read_file
from tfdeblur.errors import DeblurError

_LARGEST = 1025  # pixels: twice the longest shake of shake.py


def read_kernels(path):
    """All kernels of a file.

    An array [h, w] is a kernel under its own name; a stack and an array of arrays (a cell array of MATLAB) give
    "<name>_1", "<name>_2", ... A stack is [n, h, w] in .npz and [h, w, n] in .mat, unless the sizes say otherwise:
    of [25, 25, 12] the 12 counts in both.

    Args:
      path: .npz of numpy.savez, or .mat up to version 7.

    Returns:
      {name: float32 [h, w]}, both odd, non-negative, sum 1, in convolution orientation as they are: kernel[i, j] is
      the share of light that moves by i - h // 2 down and j - w // 2 to the right. An even size gets a row or column
      of zeros at its end, so its centre is at h // 2 counted from 0, as in MATLAB's conv2(..., "same").

    Raises:
      DeblurError: the file cannot be read, or holds anything else: the message names the array.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in (".npz", ".mat"):
        raise DeblurError(f"--kernels={path}: give an .npz or a .mat file")
    if not read_file(path):
        raise DeblurError(f"{path}: the file is empty (0 bytes); copy it again")
    try:
        arrays = _load_mat(path) if suffix == ".mat" else _load_npz(path)
    except NotImplementedError as error:
        raise DeblurError(f"{path}: is of MATLAB 7.3; save it with save(..., '-v7')") from error
    except Exception as error:  # scipy and zipfile have many kinds
        raise DeblurError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    kernels = {}
    for name, array in arrays.items():
        for own_name, kernel in _split(name, array, counts_first=suffix == ".npz"):
            kernels[own_name] = _normalised(f"{path}: {own_name}", kernel)
    if not kernels:
        raise DeblurError(f"{path}: holds no arrays")
    return kernels


def centre_of_energy(kernel):
    """(right, down) in pixels from the kernel's middle: how far it moves an image on average."""
    middle = [(size - 1) / 2 for size in kernel.shape]
    down, right = (np.arange(size) - half for size, half in zip(kernel.shape, middle, strict=True))
    return float(kernel.sum(axis=0) @ right), float(kernel.sum(axis=1) @ down)


def _load_npz(path):
    with np.load(path, allow_pickle=False) as file:  # pickles run code
        return {name: file[name] for name in file.files}


def _load_mat(path):
    import scipy.io

    return {name: array for name, array in scipy.io.loadmat(path).items() if not name.startswith("__")}


def _split(name, array, counts_first):
    """[(name, [h, w])] of a kernel, a stack of them, or an array of arrays."""
    if array.dtype == object:
        parts = list(array.ravel())
    elif array.ndim == 3:
        first_two, last_two = array.shape[0] == array.shape[1], array.shape[1] == array.shape[2]
        if first_two != last_two:
            counts_first = last_two
        parts = list(array if counts_first else np.moveaxis(array, -1, 0))
    else:
        return [(name, array)]
    return [
        found
        for number, part in enumerate(parts, 1)
        for found in _split(f"{name}_{number}", np.asarray(part), counts_first)
    ]


def _normalised(label, kernel):
    if kernel.dtype.kind not in "fiub" or kernel.ndim != 2:
        raise DeblurError(
            f"{label} is {kernel.dtype} {list(kernel.shape)}, not a kernel; keep kernels alone in the file"
        )
    if not 2 <= max(kernel.shape) <= _LARGEST or min(kernel.shape) < 1:
        raise DeblurError(f"{label} is {list(kernel.shape)}, no size of a kernel; keep kernels alone in the file")
    kernel = kernel.astype(np.float64)
    if not np.isfinite(kernel).all():
        raise DeblurError(f"{label} holds values that are not finite; remove it")
    if kernel.min() < 0:
        raise DeblurError(f"{label} holds negative values (lowest {kernel.min():.3g}); set them to 0 or remove it")
    if not kernel.sum() > 0:
        raise DeblurError(f"{label} is 0 everywhere; remove it")
    kernel = np.pad(kernel, [(0, 1 - size % 2) for size in kernel.shape])
    return (kernel / kernel.sum()).astype(np.float32)

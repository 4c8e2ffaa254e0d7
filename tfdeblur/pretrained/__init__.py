"""Weights in one small file, and the ones that come with the package.

A folder of `tfdeblur export --format weights` holds tfdeblur.json, which says what they are, and weights.npz, the
network's weights in its own order, in float16. Each folder here is one, with its model card README.md beside them; its
name can stand for its path wherever a model is named.
"""

import hashlib
import pathlib
import zipfile

import numpy as np

from tfdeblur.errors import DeblurError

FORMAT = "weights"
FILE = "weights.npz"
DEFAULT = "two_way_half"
_FOLDER = pathlib.Path(__file__).parent


def names():
    """The names of the weights that come with the package."""
    # The default also where its files are gone: nothing else may be taken for it.
    return sorted({DEFAULT, *(file.parent.name for file in _FOLDER.glob("*/tfdeblur.json"))})


def folder(name):
    """The folder of one of `names`, as str."""
    return str(_FOLDER / name)


def refuse_name(flag, path):
    """DeblurError for a folder to write that would be taken for weights that come along when it is named as a model."""
    if path in names():
        raise DeblurError(f"--{flag}={path}: is the name of weights that come with tfdeblur; write ./{path}")


def listing():
    """What can be named as a model, for people."""
    ours = "".join(
        f"  {name}{' (the default)' if name == DEFAULT else ''}: comes with tfdeblur; what it was trained on and what "
        f"it does: {folder(name)}/README.md\n"
        for name in names()
    )
    return (
        f"--model takes\n{ours}"
        "  a folder that `tfdeblur train` wrote, or one of its checkpoints\n"
        "  a folder that `tfdeblur export` wrote, in any format\n"
        "  a folder that `tfdeblur import-weights` makes of MPRNet's published weights, which you fetch yourself"
    )


def write(net, path):
    """Writes a network's weights to a file; returns the file's SHA-256.

    Raises:
      DeblurError: a weight that is not finite, or too large for float16.
    """
    with np.errstate(over="ignore"):  # said below
        arrays = [np.asarray(weight).astype(np.float16) for weight in net.get_weights()]
    wrong = [weight.name for weight, array in zip(net.weights, arrays, strict=True) if not np.isfinite(array).all()]
    if wrong:
        raise DeblurError(f"{wrong[0]}: not finite, or beyond float16's 65504; choose another --format")
    # The names' order is that of the network; the dates inside are always the same.
    np.savez_compressed(path, **{f"{number:04}": array for number, array in enumerate(arrays)})
    return _sha256(path)


def read(net, path, sha256):
    """Sets the weights of a network from a file.

    Args:
      net: a network of the configuration that the weights were written with.
      path: the file.
      sha256: what `write` gave.

    Raises:
      DeblurError: the file is missing, or another than was written; weights of another network.
    """
    try:
        if _sha256(path) != sha256:
            raise DeblurError(f"{path}: its SHA-256 is not {sha256}: damaged or replaced; install or export it again")
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in sorted(file.files)]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DeblurError(f"{path}: cannot be read ({error}); install or export it again") from error
    if [array.shape for array in arrays] != [tuple(weight.shape) for weight in net.weights]:
        raise DeblurError(f"{path}: weights of another network; export them again with this version of tfdeblur")
    net.set_weights(arrays)


def _sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()

"""PyTorch's checkpoints, read without PyTorch and without running what is in them, as weights of this package.

A checkpoint is a pickle, and a pickle is a program: loading one as PyTorch long did runs whatever its author put there.
Here a pickle can name storages, the functions that lay tensors over them, and OrderedDict; none of the named is ever
imported, and any other name ends the reading. Both formats are known:

    zip (since 1.6): <name>/data.pkl, and the bytes of each storage in <name>/data/<key>, not compressed
    stream (before): pickles of a magic number, a version, the machine, the content and the storages' keys, then for
        each storage the number of its elements (int64) and its bytes
"""

import dataclasses
import hashlib
import json
import math
import os
import pickle
import struct
import zipfile

import numpy as np

import tfdeblur
from tfdeblur import systems
from tfdeblur.data.shake import Shake
from tfdeblur.errors import DeblurError
from tfdeblur.training import checkpoints

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what a stream begins with

# The type of a storage -> NumPy's of an element.
_DTYPES = {
    **{"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "<u2"},
    **{"LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1"},
    **{"ByteStorage": "u1", "BoolStorage": "?"},
}

# What comes out of a file that is cut off, overwritten or made up.
_UNREADABLE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, MemoryError, OSError),
    *(
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        NotImplementedError,
        RecursionError,
        TypeError,
        ValueError,
    ),
)


class Tensor:
    """A view of a storage; `array` gives its values."""

    __slots__ = ("shape", "_storage", "_offset", "_strides")

    def __init__(self, storage, offset, shape, strides):
        self.shape = tuple(shape)
        self._storage = storage
        self._offset = offset
        self._strides = tuple(strides)

    def array(self):
        """The values; ValueError where the tensor reaches beyond its storage."""
        values = self._storage.values
        sizes = (self._offset, *self.shape, *self._strides)
        if len(self.shape) != len(self._strides) or not all(isinstance(n, int) and n >= 0 for n in sizes):
            raise ValueError("a tensor with sizes that mean nothing")
        last = self._offset + sum((n - 1) * stride for n, stride in zip(self.shape, self._strides, strict=True))
        if math.prod(self.shape) and last >= len(values):
            raise ValueError("a tensor that reaches beyond its storage")
        strides = [values.itemsize * stride for stride in self._strides]
        view = np.lib.stride_tricks.as_strided(values[self._offset :], self.shape, strides, writeable=False)
        if self._storage.kind == "BFloat16Storage":  # the upper half of a float32
            return (view.astype(np.uint32) << 16).view(np.float32)
        return view


class _Storage:
    """A row of numbers; `values` is None until the stream has come to them."""

    __slots__ = ("kind", "dtype", "count", "values")

    def __init__(self, kind, count):
        if not isinstance(count, int) or count < 0:
            raise ValueError("a storage of no size")
        self.kind = kind
        self.dtype = np.dtype(_DTYPES[kind])
        self.count = count
        self.values = None

    def fill(self, data):
        if len(data) != self.count * self.dtype.itemsize:
            raise ValueError("a storage of another size than its bytes")
        self.values = np.frombuffer(data, self.dtype)


class _OrderedDict(dict):
    """Stands in for OrderedDict; what else a module hangs on its state_dict is left out."""

    __slots__ = ()

    def __setstate__(self, state):
        del state


class _Name:
    """What a name in a pickle stands for here: called by the pickle, and nothing that it could change."""

    __slots__ = ("_call",)

    def __init__(self, call):
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments):
        return self._call(*arguments)

    def __setattr__(self, name, value):
        raise AttributeError(name)


class _StorageType(_Name):
    """The name of a type of storage, which a pickle hands back with the storage's key and size."""

    __slots__ = ("kind",)

    def __init__(self, kind):
        object.__setattr__(self, "kind", kind)


def _names():
    """(module, name) -> what a pickle gets for it; all that it may name."""
    tensors = {
        "_rebuild_tensor": Tensor,
        "_rebuild_tensor_v2": lambda storage, offset, shape, strides, *_: Tensor(storage, offset, shape, strides),
        "_rebuild_parameter": lambda data, *_: data,
    }
    return {
        ("collections", "OrderedDict"): _Name(_OrderedDict),
        **{("torch._utils", name): _Name(function) for name, function in tensors.items()},
        **{("torch", kind): _StorageType(kind) for kind in _DTYPES},
    }


# Sets have no place in a checkpoint, and would hash what they hold.
_WITHOUT = (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET)


class _Unpickler(pickle._Unpickler):
    """Unpickles containers, numbers, strings and tensors; keys are strings or numbers.

    Python's own unpickler rather than C's: that one hashes any key, and a tuple nested a million times overflows the
    stack; and it makes as much room for its memo as the file says.

    Args:
      file: opened for reading bytes.
      path: for messages.
      storage: (key, kind, count) -> _Storage.
    """

    def __init__(self, file, path, storage=None):
        super().__init__(file, encoding="utf-8")
        self._path = path
        self._storage = storage
        self._names = _names()

    dispatch = {code: load for code, load in pickle._Unpickler.dispatch.items() if code not in [b[0] for b in _WITHOUT]}

    def load_setitem(self):
        _refuse_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self):
        _refuse_keys(self.stack[::2])
        super().load_setitems()

    def load_dict(self):
        _refuse_keys(self.stack[::2])
        super().load_dict()

    def load_global(self):
        lines = self.readline(), self.readline()
        if not all(line.endswith(b"\n") for line in lines):
            raise EOFError("cut off")
        self.append(self.find_class(*(line[:-1].decode("utf-8") for line in lines)))

    dispatch[pickle.GLOBAL[0]] = load_global
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict

    def find_class(self, module, name):
        if (module, name) not in self._names:
            raise DeblurError(
                f"{self._path}: refused, it asks for {_printable(f'{module}.{name}')}: a checkpoint of weights holds "
                "tensors and plain containers alone; save the state_dict, and trust no file that does more"
            )
        return self._names[module, name]

    def persistent_load(self, identity):
        what, kind, key, _, count, *view = identity
        if what != "storage" or not isinstance(key, str) or self._storage is None or any(view):
            raise pickle.UnpicklingError("something else than a storage")
        return self._storage(key, kind.kind, count)


def _refuse_keys(keys):
    if not all(isinstance(key, str | int | float) for key in keys):
        raise pickle.UnpicklingError("a key that is neither a name nor a number")


def _printable(text):
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def read(path):
    """What `torch.save` wrote: containers, numbers, strings and `Tensor`.

    Raises:
      DeblurError: not a checkpoint, a damaged one, or one that names what no checkpoint of weights needs.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4)
            file.seek(0)
            return _read_zip(file, path) if start == b"PK\x03\x04" else _read_stream(file, path)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise DeblurError(f"{path}: cannot be read ({error.strerror})") from error
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _damaged(path, error):
    reason = " ".join(str(error).split()) or type(error).__name__
    return DeblurError(f"{path}: no PyTorch checkpoint, or a damaged one ({reason}); download or save it again")


def _read_zip(file, path):
    with zipfile.ZipFile(file) as archive:
        pickled = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if pickled is None:
            raise ValueError("a zip archive without data.pkl")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed")
        folder = pickled.removesuffix("data.pkl")
        if folder + "byteorder" in archive.namelist() and archive.read(folder + "byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        storages = {}

        def storage(key, kind, count):
            if key not in storages:
                storages[key] = _Storage(kind, count)
                storages[key].fill(archive.read(f"{folder}data/{key}"))
            return storages[key]

        with archive.open(pickled) as content:
            return _Unpickler(content, path, storage).load()


def _read_stream(file, path):
    if _Unpickler(file, path).load() != _MAGIC or _Unpickler(file, path).load() != _PROTOCOL:
        raise ValueError("it does not begin as one")
    if not _Unpickler(file, path).load().get("little_endian", True):
        raise ValueError("its numbers are big-endian")
    storages = {}

    def storage(key, kind, count):
        return storages.setdefault(key, _Storage(kind, count))

    content = _Unpickler(file, path, storage).load()
    for key in _Unpickler(file, path).load():
        (count,) = struct.unpack("<q", file.read(8))
        found = storages[key]
        if count != found.count:
            raise ValueError("a storage of another size than its bytes")
        found.fill(file.read(min(count * found.dtype.itemsize, os.path.getsize(path))))
    return content


# ------------------------------------------------------------------------------------------------- import


def import_weights(name, checkpoint, out):
    """Writes a system's weights from a PyTorch checkpoint as a folder that `tfdeblur.load` takes.

    Args:
      name: a system whose module knows published weights (its TORCH_WEIGHTS).
      checkpoint: path of the file: a state_dict, or a dict with one under "state_dict"; the "module." that DataParallel
        puts before names is dropped.
      out: folder to make.

    Returns:
      The metadata that was written beside the weights: configuration, origin, licence.

    Raises:
      DeblurError: see `read` and `check`; or `out` cannot be written, or holds something.
    """
    system = systems.system(name)
    if not hasattr(system, "TORCH_WEIGHTS"):
        others = [other for other in systems.SYSTEMS if hasattr(systems.system(other), "TORCH_WEIGHTS")]
        raise DeblurError(f"--system={name}: no PyTorch weights of it are known; choose {', '.join(others)}")
    if os.path.isfile(out) or os.path.isdir(out) and os.listdir(out):
        raise DeblurError(f"--out={out}: is there already; name a new folder")
    known = system.TORCH_WEIGHTS
    arrays = check(_state_dict(read(checkpoint), checkpoint), known["shapes"](), checkpoint)
    net = system.build()
    known["fill"](net, arrays)

    blur_kind = known["blur_kind"]
    shake = {
        f"shake_{key}": value for key, value in dataclasses.asdict(Shake()).items()
    }  # for evaluations on made-up ones
    arguments = {key: value for key, value in net.get_config().items() if key != "name"}
    metadata = {
        "config": {"system": name, **arguments, "blur_kind": blur_kind, **shake},
        "data": {"source": "not trained here", "blur_kind": blur_kind},
        "precision": "float32",
        "version": tfdeblur.__version__,
        "origin": {"file": os.path.basename(checkpoint), "sha256": _sha256(checkpoint)},
        "licence": known["licence"],
    }
    try:
        os.makedirs(os.path.join(out, "checkpoints"), exist_ok=True)
        with open(os.path.join(out, "config.json"), "w", encoding="utf-8") as file:
            json.dump(metadata, file, indent=2)
    except OSError as error:
        raise DeblurError(f"--out={out}: cannot be written ({error.strerror})") from error
    checkpoints.save_generator(net, out, metadata)
    return metadata


def _state_dict(content, path):
    """name -> Tensor."""
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise DeblurError(f"{path}: holds no state_dict")
    tensors = {}
    for name, tensor in content.items():
        if not isinstance(name, str):
            raise DeblurError(f"{path}: holds a tensor under a number, not a name")
        name = _printable(name.removeprefix("module."))
        if name in tensors:
            raise DeblurError(f"{path}: holds {name} twice, with and without 'module.'")
        tensors[name] = tensor
    return tensors


def check(tensors, shapes, path):
    """The arrays of a state_dict, float32, where it is whole.

    Args:
      tensors: name -> Tensor, or anything else, which is refused.
      shapes: name -> shape, of every tensor that has to be there. Those of a single element are one and the same.
      path: for messages.
    """
    arrays = {}
    for name, shape in shapes.items():
        if name not in tensors:
            missing = len(shapes.keys() - tensors.keys())
            raise DeblurError(f"{path}: lacks {name}, and {missing - 1} more of the {len(shapes)} tensors")
        tensor = tensors[name]
        if not isinstance(tensor, Tensor):
            raise DeblurError(f"{path}: {name} is no tensor")
        if tensor.shape != shape:
            raise DeblurError(f"{path}: {name} has the shape {tensor.shape}, {shape} expected")
        try:
            array = tensor.array()
        except _UNREADABLE as error:
            raise _damaged(path, f"{name}: {error}") from error
        with np.errstate(over="ignore"):
            array = array if array.dtype.kind != "f" else array.astype(np.float32)
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise DeblurError(f"{path}: {name} holds other values than finite floating-point numbers")
        arrays[name] = array
    for name in tensors:
        if name not in shapes:
            raise DeblurError(f"{path}: holds {name}, which is not part of the network")
    shared = [name for name, shape in shapes.items() if math.prod(shape) == 1]
    for name in shared[1:]:
        if arrays[name] != arrays[shared[0]]:
            raise DeblurError(f"{path}: {name} differs from {shared[0]}, which is the same weight")
    return arrays


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()

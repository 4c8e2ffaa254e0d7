"""PyTorch's two file formats, written by hand: what `torch.save` does, opcode by opcode, without PyTorch."""

import struct
import zipfile

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
KINDS = {
    **{"float64": "Double", "float32": "Float", "float16": "Half", "uint16": "BFloat16", "int64": "Long"},
    **{"int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"},
}


class Code(bytes):
    """Opcodes that leave one value on the stack."""


def name(module, attribute):
    """A name from a module."""
    return Code(f"c{module}\n{attribute}\n".encode())


def call(function, *arguments):
    """What a function returns for arguments."""
    return Code(encode(function) + encode(arguments) + b"R")


class Ordered(dict):
    """An OrderedDict with an attribute, as a module's state_dict has."""


def encode(value):
    """Opcodes of pickle's protocol 2."""
    if isinstance(value, Code):
        return value
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        number = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
        return b"\x8a" + bytes([len(number)]) + number
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, tuple):
        return b"(" + b"".join(map(encode, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(encode, value)) + b"e"
    items = b"(" + b"".join(encode(key) + encode(item) for key, item in value.items()) + b"u"
    if isinstance(value, Ordered):
        return name("collections", "OrderedDict") + b")R" + items + encode({"_metadata": {"": {"version": 1}}}) + b"b"
    return b"}" + items


def pickled(value):
    return b"\x80\x02" + encode(value) + b"."


class Storages:
    """Storages of a file to be, and the tensors over them."""

    def __init__(self, stream):
        self.stream = stream
        self.arrays = {}

    def identity(self, array):
        """The persistent identity of a new storage with these values."""
        key = str(len(self.arrays))
        self.arrays[key] = np.ravel(array)
        kind = name("torch", f"{KINDS[array.dtype.name]}Storage")
        return ("storage", kind, key, "cuda:0", array.size, *((None,) if self.stream else ()))

    def tensor(self, array, shape=None, strides=None, offset=0, identity=None):
        """A tensor of these values, or another view of its storage."""
        array = np.asarray(array)
        shape = array.shape if shape is None else shape
        if strides is None:
            strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
        storage = Code(encode(identity or self.identity(array)) + b"Q")
        rebuild = name("torch._utils", "_rebuild_tensor_v2")
        return call(rebuild, storage, offset, tuple(shape), tuple(strides), False, Ordered())

    def parameter(self, array):
        return call(name("torch._utils", "_rebuild_parameter"), self.tensor(array), True, Ordered())

    def write(self, path, content):
        """The file: of the stream's format, or a zip archive."""
        if self.stream:
            parts = [pickled(value) for value in (MAGIC, PROTOCOL, MACHINE, content, sorted(self.arrays))]
            for key in sorted(self.arrays):
                parts += [struct.pack("<q", self.arrays[key].size), self.arrays[key].tobytes()]
            path.write_bytes(b"".join(parts))
            return path
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled(content))
            archive.writestr("archive/version", "3\n")
            for key, array in self.arrays.items():
                archive.writestr(f"archive/data/{key}", array.tobytes())
        return path

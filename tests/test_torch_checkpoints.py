"""PyTorch's checkpoints: values out of both formats, nothing run, and MPRNet's weights where they belong."""

import json
import os
import random
import struct
import zipfile

import numpy as np
import pytest

import tfdeblur
from tests import goldens, torch_files
from tests.systems.mprnet.test_networks import GOLDENS
from tests.torch_files import Code, Ordered, Storages, call, encode, name, pickled
from tfdeblur import torch_checkpoints
from tfdeblur.cli.main import main
from tfdeblur.data.images import read_image, write_image
from tfdeblur.errors import DeblurError
from tfdeblur.systems.mprnet.torch_names import slope_names, torch_shapes

both_formats = pytest.mark.parametrize("stream", [False, True], ids=["zip", "stream"])


def refused(path, *words):
    """Reading the file is refused in one line that names it and says these words."""
    with pytest.raises(DeblurError) as caught:
        torch_checkpoints.read(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for word in words:
        assert word in message, message


# ------------------------------------------------------------------------------------------------- reading


@both_formats
def test_values_come_out_as_they_went_in(stream, tmp_path):
    file = Storages(stream)
    weights = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    content = {
        "epoch": 7,
        "best": 1.5,
        "flags": [True, None, (1, 2**40, "ü")],
        "state_dict": Ordered(weights=file.parameter(weights), one=file.tensor(np.float32([0.25]))),
        "optimizer": {"state": {0: {"step": 3, "exp_avg": file.tensor(np.zeros([2, 2], np.float32))}}},
    }
    found = torch_checkpoints.read(file.write(tmp_path / "a.pth", content))
    assert found["epoch"] == 7 and found["best"] == 1.5 and found["flags"] == [True, None, (1, 2**40, "ü")]
    assert list(found["state_dict"]) == ["weights", "one"]
    np.testing.assert_array_equal(found["state_dict"]["weights"].array(), weights)
    np.testing.assert_array_equal(found["state_dict"]["one"].array(), np.float32([0.25]))
    assert found["optimizer"]["state"][0]["step"] == 3


@both_formats
@pytest.mark.parametrize("dtype", sorted(set(torch_files.KINDS) - {"uint16"}))
def test_every_type_of_number(stream, dtype, tmp_path):
    file = Storages(stream)
    values = np.array([[0, 1, 100], [7, 2, 3]]).astype(dtype)
    found = torch_checkpoints.read(file.write(tmp_path / "a.pth", [file.tensor(values)]))[0].array()
    np.testing.assert_array_equal(found, values)
    assert found.dtype == dtype


@both_formats
def test_bfloat16_is_the_upper_half_of_float32(stream, tmp_path):
    file = Storages(stream)
    values = np.float32([1.5, -0.25, 96])  # exact in 8 bits
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    found = torch_checkpoints.read(file.write(tmp_path / "a.pth", file.tensor(upper))).array()
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.float32


@both_formats
def test_tensors_are_views_of_their_storages(stream, tmp_path):
    file = Storages(stream)
    values = np.arange(10, dtype=np.float32)
    shared = file.identity(values)
    content = {
        "transposed": file.tensor(values, (2, 3), (1, 2), identity=shared),
        "shifted": file.tensor(values, (3,), (2,), offset=5, identity=shared),
        "repeated": file.tensor(values, (2, 2), (0, 1), identity=shared),
        "scalar": file.tensor(values, (), (), offset=9, identity=shared),
        "empty": file.tensor(values, (0, 3), (3, 1), identity=shared),
    }
    found = torch_checkpoints.read(file.write(tmp_path / "a.pth", content))
    arrays = {key: tensor.array().tolist() for key, tensor in found.items()}
    assert arrays == {
        "transposed": [[0, 2, 4], [1, 3, 5]],
        "shifted": [5, 7, 9],
        "repeated": [[0, 1], [0, 1]],
        "scalar": 9,
        "empty": [],
    }


@both_formats
@pytest.mark.parametrize(
    "shape, strides, offset",
    [((11,), (1,), 0), ((2, 3), (8, 1), 0), ((1,), (1,), 10), ((2,), (-1,), 5), ((2,), (1,), -1), ((2, 2), (1,), 0)],
)
def test_views_beyond_their_storage_are_refused(stream, shape, strides, offset, tmp_path):
    file = Storages(stream)
    tensor = file.tensor(np.zeros(10, np.float32), shape, strides, offset)
    found = torch_checkpoints.read(file.write(tmp_path / "a.pth", tensor))
    with pytest.raises(ValueError):
        found.array()


# ------------------------------------------------------------------------------------------------- hostile files


def hostile(path):
    """Opcodes, by what they try; each that is run makes the folder `path`."""
    made = str(path)
    code = f"__import__('os').mkdir({made!r})"
    text = encode(code)
    return {
        "os.mkdir": call(name("os", "mkdir"), made),
        "posix.mkdir": call(name("posix", "mkdir"), made),
        "os.system": call(name("os", "system"), f"mkdir {made}"),
        "__builtin__.eval": call(name("__builtin__", "eval"), code),
        "builtins.exec": call(name("builtins", "exec"), code),
        "builtins.getattr": call(name("builtins", "getattr"), name("os", "mkdir"), "__call__"),
        "numpy.core.multiarray._reconstruct": call(name("numpy.core.multiarray", "_reconstruct"), made),
        "torch.load": call(name("torch", "load"), made),
        "torch._utils._rebuild_device_tensor_from_numpy": name("torch._utils", "_rebuild_device_tensor_from_numpy"),
        "collections.deque": name("collections", "deque"),
        "tfdeblur.torch_checkpoints.read": call(name("tfdeblur.torch_checkpoints", "read"), made),
        # other opcodes that name or call something
        "subprocess.call": Code(b"(" + encode(["mkdir", made]) + b"isubprocess\ncall\n"),
        "shutil.rmtree": Code(b"\x80\x04" + encode("shutil") + encode("rmtree") + b"\x93" + encode((made,)) + b"R"),
        "builtins.eval": Code(b"(" + name("builtins", "eval") + text + b"o"),
        "os.makedirs": Code(name("os", "makedirs") + encode((made,)) + b"\x81"),
    }


@both_formats
@pytest.mark.parametrize("attempt", hostile("x"))
def test_what_a_file_must_not_name_is_refused_by_name_and_not_run(stream, attempt, tmp_path):
    file, target = Storages(stream), tmp_path / "made"
    content = {"state_dict": {"a": file.tensor(np.zeros(3, np.float32)), "b": hostile(target)[attempt]}}
    refused(file.write(tmp_path / "a.pth", content), attempt)
    assert not target.exists()


@pytest.mark.parametrize("place", range(5))
def test_no_pickle_of_a_stream_is_trusted(place, tmp_path):
    values = [torch_files.MAGIC, torch_files.PROTOCOL, torch_files.MACHINE, {}, []]
    values[place] = call(name("os", "mkdir"), str(tmp_path / "made"))
    path = tmp_path / "a.pth"
    path.write_bytes(b"".join(map(pickled, values)))
    refused(path, "os.mkdir")
    assert not (tmp_path / "made").exists()


@both_formats
@pytest.mark.parametrize(
    "code",
    [
        Code(name("collections", "OrderedDict") + encode({"__init__": 1}) + b"b"),  # a new attribute
        Code(name("torch", "FloatStorage") + encode((None, {"kind": "x"})) + b"b"),  # a new value of a slot
        Code(name("torch._utils", "_rebuild_tensor_v2") + encode((None, {"_call": 1})) + b"b"),
        Code(name("collections", "OrderedDict") + b")\x81"),  # its class made directly
        call(name("torch", "FloatStorage"), 3),
        call(name("torch._utils", "_rebuild_tensor_v2"), 1),
        Code(encode("storage") + b"Q"),
        Code(encode(("module", name("torch", "FloatStorage"), "a", "b", 1)) + b"Q"),
        Code(encode(("storage", "FloatStorage", "0", "cpu", 1)) + b"Q"),
        Code(encode(("storage", name("torch", "FloatStorage"), "0", "cpu", -1)) + b"Q"),
        Code(encode(("storage", name("torch", "FloatStorage"), "0", "cpu", 2**62)) + b"Q"),
        Code(encode(("storage", name("torch", "FloatStorage"), [], "cpu", 1)) + b"Q"),
    ],
)
def test_what_is_allowed_cannot_be_bent(stream, code, tmp_path):
    file = Storages(stream)
    file.tensor(np.zeros(1, np.float32))
    refused(file.write(tmp_path / "a.pth", {"a": code}), "damaged")


NESTED = b")" + b"\x85" * 1_000_000  # a tuple a million deep: hashing it overflows the stack


@both_formats
@pytest.mark.parametrize("how", ["one", "several", "at once", "in a set"])
def test_keys_that_are_no_names_are_refused(stream, how, tmp_path):
    code = {
        "one": b"}" + NESTED + b"K\x01s",
        "several": b"}(" + NESTED + b"K\x01u",
        "at once": b"(" + NESTED + b"K\x01d",
        "in a set": b"\x8f(" + NESTED + b"\x90",
    }[how]
    refused(Storages(stream).write(tmp_path / "a.pth", {"a": Code(code)}), "damaged")


@both_formats
def test_a_memo_takes_no_more_room_than_it_holds(stream, tmp_path):
    code = Code(b"}r" + struct.pack("<I", 2**31 - 1))  # C's unpickler would take 32 GB
    assert torch_checkpoints.read(Storages(stream).write(tmp_path / "a.pth", {"a": code})) == {"a": {}}


@both_formats
def test_names_are_told_without_their_control_characters(stream, tmp_path):
    path = Storages(stream).write(tmp_path / "a.pth", {"a": name("os", "system\x1b[2J")})
    refused(path, "os.system?[2J")


@pytest.mark.parametrize(
    "keys, value, words",
    [
        (["a", "module.a"], 1.0, "a twice"),
        # 16,000 bits: a number too long for Python to print
        ([Code(b"\x8b" + struct.pack("<i", 2000) + b"\x01" * 2000)], 1.0, "under a number"),
        (["a"], 1e300, "other values than finite"),
    ],
    ids=["twice", "number", "infinite"],
)
def test_state_dicts_that_are_none(keys, value, words, tmp_path):
    file = Storages(True)
    path = file.write(tmp_path / "a.pth", {key: file.tensor(np.array([value])) for key in keys})
    with pytest.raises(DeblurError, match=words):
        torch_checkpoints.check(torch_checkpoints._state_dict(torch_checkpoints.read(path), path), {"a": (1,)}, path)


@both_formats
def test_files_cut_off_or_overwritten_are_refused_in_one_line(stream, tmp_path):
    file = Storages(stream)
    content = {"state_dict": Ordered({f"w{n}": file.tensor(np.ones([2, 3], np.float32)) for n in range(3)})}
    path = file.write(tmp_path / "a.pth", content)
    whole, broken = path.read_bytes(), tmp_path / "b.pth"
    rng = random.Random(0)
    for length in range(0, len(whole), 7):
        broken.write_bytes(whole[:length])
        refused(broken, "damaged")
    refusals = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 3])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        broken.write_bytes(damaged)
        try:
            found = torch_checkpoints.read(broken)
            torch_checkpoints.check(torch_checkpoints._state_dict(found, broken), {"w0": (2, 3)}, broken)
        except DeblurError as error:
            assert "\n" not in str(error)
            refusals += 1
    assert refusals == 400  # w1 is not part of the network, if nothing else


def test_what_is_no_checkpoint(tmp_path):
    for content in (b"", b"<html>Too many users", b"PK\x03\x04", pickled({"a": 1}), b"\x89HDF"):
        path = tmp_path / "a.pth"
        path.write_bytes(content)
        refused(path, "no PyTorch checkpoint")
    refused(tmp_path / "none.pth", "No such file")
    refused(tmp_path, "directory")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    refused(path, "data.pkl")


def test_big_endian_and_compressed_files_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    values = [torch_files.MAGIC, torch_files.PROTOCOL, {"little_endian": False}, {}, []]
    path.write_bytes(b"".join(map(pickled, values)))
    refused(path, "big-endian")
    for compression, extra, word in ((0, "big", "big-endian"), (zipfile.ZIP_DEFLATED, "little", "compressed")):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("archive/data.pkl", pickled({}))
            archive.writestr("archive/byteorder", extra)
        refused(path, word)


# ------------------------------------------------------------------------------------------------- checking

SHAPES = {"a": (2, 3), "b": (1,), "c": (1,)}


def tensors(tmp_path, **changes):
    """A state_dict that SHAPES describes, with changes."""
    file = Storages(stream=True)
    values = {"a": np.ones([2, 3], np.float32), "b": np.ones(1, np.float32), "c": np.ones(1, np.float32), **changes}
    content = {key: file.tensor(value) if isinstance(value, np.ndarray) else value for key, value in values.items()}
    content = {key: value for key, value in content.items() if value is not None}
    return torch_checkpoints.read(file.write(tmp_path / "a.pth", content))


def test_a_whole_state_dict_passes_as_float32(tmp_path):
    arrays = torch_checkpoints.check(tensors(tmp_path, a=np.full([2, 3], 0.5, np.float16)), SHAPES, "a.pth")
    assert arrays.keys() == SHAPES.keys() and {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(arrays["a"], np.full([2, 3], 0.5))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"a": None, "c": None}, ["lacks a", "1 more of the 3"]),
        ({"a": np.ones([3, 2], np.float32)}, ["a has the shape (3, 2)", "(2, 3) expected"]),
        ({"d": np.ones(1, np.float32)}, ["holds d"]),
        ({"a": np.ones([2, 3], np.int64)}, ["a holds", "floating-point"]),
        ({"a": np.full([2, 3], np.nan, np.float32)}, ["a holds", "finite"]),
        ({"a": 5}, ["a is no tensor"]),
        ({"c": np.zeros(1, np.float32)}, ["c differs from b"]),
    ],
)
def test_the_first_missing_or_odd_tensor_is_named(changes, words, tmp_path):
    with pytest.raises(DeblurError) as caught:
        torch_checkpoints.check(tensors(tmp_path, **changes), SHAPES, "a.pth")
    for word in ["a.pth", *words]:
        assert word in str(caught.value)


# ------------------------------------------------------------------------------------------------- MPRNet


def write_mprnet(path, stream, prefix="", nested=True, **changes):
    """A checkpoint of MPRNet with the weights of the goldens; changes: name -> array, or None to leave it out."""
    file = Storages(stream)
    shapes = torch_shapes()
    kernels = {key: shape for key, shape in shapes.items() if shape != (1,)}
    arrays = {key: goldens.torch_weight(key, shape).astype(np.float32) for key, shape in kernels.items()} | changes
    content = Ordered({prefix + key: file.tensor(array) for key, array in arrays.items() if array is not None})
    slope = file.identity(np.float32([0.25]))  # one storage under its 55 names
    for key in slope_names(kernels):
        content[prefix + key] = file.tensor(np.float32([0.25]), identity=slope)
    return file.write(path, {"epoch": 3000, "state_dict": content} if nested else content)


def run(*argv):
    return main([str(argument) for argument in argv])


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A folder made from a stream whose names begin with "module."."""
    folder = tmp_path_factory.mktemp("imported")
    path = write_mprnet(folder / "model_deblurring.pth", stream=True, prefix="module.")
    assert run("import-weights", "--system=mprnet", "--checkpoint", path, "--out", folder / "mprnet") == 0
    path.unlink()
    return folder / "mprnet"


def test_an_imported_network_gives_the_references_output(imported):
    deblurrer = tfdeblur.load(imported)
    for key, image in deblurrer.net(goldens.image(32, 32).astype(np.float32)).items():
        x = image.numpy()[0].astype(np.float64)
        found = [x.mean(), x.std(), np.abs(x).mean(), x[0, 0, 0], x[0, 1, 0], x[-1, -1, -1]]
        np.testing.assert_allclose(found, GOLDENS["default"][key], atol=1e-5, err_msg=key)


def test_the_zip_format_without_prefix_gives_the_same_weights(imported, tmp_path):
    path = write_mprnet(tmp_path / "a.pth", stream=False, nested=False)
    torch_checkpoints.import_weights("mprnet", str(path), str(tmp_path / "out"))
    nets = [tfdeblur.load(folder).net for folder in (imported, tmp_path / "out")]
    for weight, same in zip(*(net.get_weights() for net in nets), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_origin_and_licence_travel_along(imported):
    metadata = tfdeblur.load(imported).metadata
    assert metadata == {**json.loads((imported / "config.json").read_text()), "weights": "last", "step": 0}
    assert metadata["origin"]["file"] == "model_deblurring.pth" and len(metadata["origin"]["sha256"]) == 64
    assert "non-commercial" in metadata["licence"]
    assert metadata["config"]["system"] == "mprnet" and metadata["data"]["blur_kind"] == "blur"


def test_evaluate_and_deblur_take_it(imported, tmp_path, make_pairs):
    pairs = make_pairs(tmp_path, ["a"], size=(16, 24))
    data = ("--blur_dir", tmp_path / "blur", "--sharp_dir", tmp_path / "sharp")
    assert run("evaluate", "--model", imported, *data, "--out", tmp_path / "results.json") == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["system"] == "mprnet" and results["images"] == 1
    write_image(str(tmp_path / "photo.png"), pairs["a"][0])
    assert run("deblur", tmp_path / "photo.png", "--model", imported, "--out", tmp_path / "restored") == 0
    assert read_image(str(tmp_path / "restored" / "photo.png")).shape == (16, 24, 3)


def test_what_the_command_refuses(tmp_path, capsys):
    first = next(iter(torch_shapes()))
    odd = write_mprnet(tmp_path / "odd.pth", stream=True, **{first: np.zeros([80, 3, 3, 3], np.float32)})
    less = write_mprnet(tmp_path / "less.pth", stream=False, **{"tail.weight": None})
    more = write_mprnet(tmp_path / "more.pth", stream=True, **{"head.weight": np.zeros([1, 2], np.float32)})
    evil = tmp_path / "evil.pth"
    Storages(False).write(evil, call(name("os", "mkdir"), str(tmp_path / "made")))
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "a").touch()
    cases = [
        (odd, "mprnet", "out", [first, "(80, 3, 3, 3)", "(96, 3, 3, 3)"]),
        (less, "mprnet", "out", ["lacks tail.weight"]),
        (more, "mprnet", "out", ["holds head.weight"]),
        (evil, "mprnet", "out", ["os.mkdir"]),
        (evil, "madn", "out", ["madn", "choose mprnet"]),
        (evil, "mprent", "out", ["mprnet"]),
        (evil, "mprnet", "taken", ["taken", "new folder"]),
    ]
    for path, system, out, words in cases:
        capsys.readouterr()
        assert run("import-weights", "--system", system, "--checkpoint", path, "--out", tmp_path / out) == 1
        error = capsys.readouterr().err
        assert error.startswith("tfdeblur: error: ") and error.count("\n") == 1, error
        for word in words:
            assert word in error, error
    assert os.listdir(taken) == ["a"] and not (tmp_path / "out").exists() and not (tmp_path / "made").exists()

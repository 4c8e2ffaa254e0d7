"""Exports for other runtimes: each is loaded by that runtime itself and compared with `restore`.

ONNX and OpenVINO are tested where their extras are installed (pip install -e '.[onnx,openvino]'), every system in
`pytest -m slow tests/test_runtimes.py`.
"""

import contextlib
import io
import json
import os
import shutil
import sys

import numpy as np
import pytest

import tfdeblur
from tests.conftest import toy_generator
from tfdeblur import runtimes
from tfdeblur.cli import benchmark as benchmark_command
from tfdeblur.cli import deblur as deblur_command
from tfdeblur.cli import export as export_command
from tfdeblur.compat import tf
from tfdeblur.data.images import read_image, write_image
from tfdeblur.data.photographs import photograph
from tfdeblur.errors import DeblurError
from tfdeblur.export import calibration_crops, export_for_runtime, export_saved_model
from tfdeblur.inference import Deblurrer, restore_batch

MPRNET = {"width": 8, "width_step": 4, "orsnet_step": 4, "num_cabs": 1, "reduction": 2}
NARROW = {
    "madn": {"widths": (4, 6, 8), "num_res_blocks": 1},
    "deblurgan": {"width": 6, "num_res_blocks": 1},
    "improved_deblurgan": {"width": 6, "growth": 5},
    "two_way": {"widths": (4, 6, 8), "num_res_blocks": 1},
    "structures_guided": {"enc_widths": (4, 6, 10), "grad_channels": 12, "num_blocks": 2, "recurrences": 2},
    "mprnet": MPRNET,
    "egnet": {**MPRNET, "egn_width": 8, "num_egms": 1},
    "egnet_ensemble": {"base": "mprnet", "base_arguments": MPRNET, "fuse_width": 4},
}
HALF_A_MINUTE = {"mprnet", "egnet", "egnet_ensemble"}
SIZE = (48, 64)
EXTRA = {"onnx": ("tf2onnx", "onnxruntime"), "openvino": ("openvino", "nncf")}


def lively(net):
    """The network with all weights away from zero, as none of a trained one's are."""
    rng = np.random.default_rng(1)
    weights = [w + rng.normal(0, 0.1, w.shape).astype(w.dtype) if w.dtype.kind == "f" else w for w in net.get_weights()]
    net.set_weights(weights)
    return net


def expected_of(deblurrer, image):
    """What the network makes of an image, operation by operation.

    Not `restore`: on row 1, oneDNN's fused kernels move its results by up to 2e-3 (structures_guided), see below.
    """
    return restore_batch(deblurrer.net, tf.constant(image[None]))[0].numpy()


def deblurrer_of(system):
    net = lively(tfdeblur.build(system, **NARROW[system]))
    return Deblurrer.of_network(net, {"config": {"system": system, **NARROW[system]}, "weights": "last"})


def toy():
    net = lively(toy_generator())
    net.size_multiple = 16  # it works with any
    return Deblurrer.of_network(net, {"config": {"system": "toy"}, "weights": "last"})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Function of a runtime -> (a toy's Deblurrer, the folder of its export); not to be written to."""
    made = {}

    def export(runtime):
        needs(runtime)
        if runtime not in made:
            deblurrer, folder = toy(), tmp_path_factory.mktemp("exported") / "out"
            export_for_runtime(deblurrer, folder, runtime, SIZE if runtime == "tflite" else None)
            made[runtime] = deblurrer, folder
        return made[runtime]

    return export


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def needs(runtime):
    for name in EXTRA.get(runtime, ()):
        if runtime == "openvino":
            sys.modules.setdefault("openvino_telemetry", None)
        pytest.importorskip(name)


def in_runtime(runtime, folder):
    """What is in the folder as a function [B, H, W, 3] -> the same, by the runtime's own means."""
    if runtime == "tflite":
        run = tf.lite.Interpreter(str(folder / "model.tflite")).get_signature_runner("serving_default")
        return lambda images: run(blurred=images)["restored"]
    if runtime == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        assert [(value.name, value.type) for value in session.get_inputs()] == [("blurred", "tensor(float)")]
        assert [value.name for value in session.get_outputs()] == ["restored"]
        return lambda images: session.run(None, {"blurred": images})[0]
    import openvino

    core = openvino.Core()
    model = core.compile_model(str(folder / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert [sorted(value.names) for value in model.inputs] == [["blurred"]]
    assert [sorted(value.names) for value in model.outputs] == [["restored"]]
    return lambda images: model({"blurred": images})["restored"]


def is_built_in(model):
    """Whether a TensorFlow Lite model has neither TensorFlow's operators nor custom ones."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        tf.lite.experimental.Analyzer.analyze(model_content=model)
    assert "Subgraph#0" in said.getvalue()
    return not any(word in said.getvalue().upper() for word in ("FLEX", "CUSTOM"))


# ---------------------------------------------------------------------------------------- every system, each runtime


@pytest.mark.parametrize(
    "system", [pytest.param(name, marks=pytest.mark.slow if name in HALF_A_MINUTE else ()) for name in NARROW]
)
def test_tflite(system, tmp_path):
    deblurrer = deblurrer_of(system)
    export_for_runtime(deblurrer, tmp_path / "out", "tflite", SIZE)
    image = noise(*SIZE, 3)
    expected = expected_of(deblurrer, image)
    np.testing.assert_allclose(in_runtime("tflite", tmp_path / "out")(image[None])[0], expected, atol=1e-4)
    np.testing.assert_allclose(tfdeblur.load(tmp_path / "out").restore(image), expected, atol=1e-4)
    np.testing.assert_allclose(deblurrer.restore(image), expected, atol=5e-3 if system == "structures_guided" else 1e-4)
    assert is_built_in((tmp_path / "out" / "model.tflite").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("system", NARROW)
def test_any_size(system, runtime, tmp_path):
    needs(runtime)
    deblurrer = deblurrer_of(system)
    export_for_runtime(deblurrer, tmp_path / "out", runtime)
    run, loaded = in_runtime(runtime, tmp_path / "out"), tfdeblur.load(tmp_path / "out")
    for size in ((48, 64), (33, 50), (5, 17), (130, 9)):
        image = noise(*size, 3)
        expected = expected_of(deblurrer, image)
        np.testing.assert_allclose(run(image[None])[0], expected, atol=1e-4)
        np.testing.assert_allclose(loaded.restore(image), expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("system", NARROW)
def test_int8_keeps_all_but_the_convolutions_in_float32(system, tmp_path):
    needs("openvino")
    import openvino

    deblurrer = deblurrer_of(system)
    calibration = [noise(1, 64, 64, 3, seed=seed) for seed in range(2)]
    psnr = export_for_runtime(deblurrer, tmp_path / "out", "openvino", calibration=calibration)
    # Nothing is trained here, and what MPRNet makes of noise by random weights is noise again: experiments/runtimes.md
    assert (0 if system in HALF_A_MINUTE else 20) < psnr < 70
    model = openvino.Core().read_model(tmp_path / "out" / "model.xml")
    kinds = {"Convolution", "ConvolutionBackpropData", "GroupConvolution", "GroupConvolutionBackpropData"}
    convolutions = [node for node in model.get_ordered_ops() if node.get_type_name() in kinds]
    in_int8 = [node.input(0).get_source_output().get_node().get_type_name() == "FakeQuantize" for node in convolutions]
    assert not in_int8[0] and not in_int8[-1] and np.mean(in_int8) > 0.5
    fed = [
        target.get_node()
        for node in model.get_ops()
        if node.get_type_name() == "FakeQuantize"
        for target in node.output(0).get_target_inputs()
    ]
    assert {node.get_type_name() for node in fed} <= {*kinds, "ShapeOf"}


@pytest.mark.slow
@pytest.mark.parametrize("runtime, int8", [("tflite", False), ("onnx", False), ("openvino", False), ("openvino", True)])
def test_the_weights_that_ship(runtime, int8, tmp_path):
    needs(runtime)
    deblurrer = tfdeblur.load("two_way_half")
    image = photograph("clock_motion.png")[100:164, 150:246] / np.float32(255)
    size, calibration = image.shape[:2] if runtime == "tflite" else None, [image[None]] if int8 else None
    export_for_runtime(deblurrer, tmp_path / "out", runtime, size, calibration=calibration)
    restored, expected = tfdeblur.load(tmp_path / "out").restore(image), expected_of(deblurrer, image)
    assert np.abs(expected - image).max() > 0.05  # blurred: what is sharp, it would leave alone
    if int8:
        assert np.mean((restored - expected) ** 2) < 1e-4  # 40 dB
    else:
        np.testing.assert_allclose(restored, expected, atol=1e-4)


# ----------------------------------------------------------------------------------------------- what is promised


@pytest.mark.parametrize("runtime", ["tflite", "onnx", "openvino"])
def test_a_folder_that_says_what_it_is(runtime, exported):
    deblurrer, folder = exported(runtime)
    assert set(os.listdir(folder)) == {"tfdeblur.json", *runtimes.FILES[runtime]}
    assert os.listdir(folder.parent) == ["out"]
    size = list(SIZE) if runtime == "tflite" else None
    told = json.loads((folder / "tfdeblur.json").read_text())
    assert told == {**deblurrer.metadata, "format": runtime, "size": size, "float16": False, "int8": False}
    loaded = tfdeblur.load(folder)
    assert loaded.metadata == told and loaded.fixed_size == (SIZE if size else None)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (16, 16), (33, 18)])
def test_sizes_are_free(runtime, size, exported):
    deblurrer, folder = exported(runtime)
    images = noise(2, *size, 3)
    for image, result in zip(images, in_runtime(runtime, folder)(images), strict=True):
        np.testing.assert_allclose(result, deblurrer.restore(image), atol=1e-5)
        np.testing.assert_allclose(tfdeblur.load(folder).restore(image), deblurrer.restore(image), atol=1e-5)


@pytest.mark.parametrize("runtime", ["tflite", "onnx", "openvino"])
def test_the_result_is_clipped(runtime, exported):
    restored = in_runtime(runtime, exported(runtime)[1])(noise(1, *SIZE, 3) * 8 - 3)
    assert restored.min() == 0 and restored.max() == 1


def test_tflite_mirrors_smaller_images_and_crops_them_back(exported):
    deblurrer, folder = exported("tflite")
    loaded = tfdeblur.load(folder)
    image = noise(31, 34, 3)
    mirrored = np.pad(image, [(0, 17), (0, 30), (0, 0)], "reflect")
    np.testing.assert_allclose(loaded.restore(image), deblurrer.restore(mirrored)[:31, :34], atol=1e-6)
    assert loaded.restore(noise(1, 1, 3)).shape == (1, 1, 3)


def test_two_images_at_once(exported):
    deblurrer, folder = exported("tflite")
    images = noise(2, *SIZE, 3)
    for image, result in zip(images, runtimes.load("tflite", folder)(tf.constant(images)), strict=True):
        np.testing.assert_allclose(result, deblurrer.restore(image), atol=1e-6)


def test_a_size_that_is_no_multiple_is_padded_inside(tmp_path):
    deblurrer = toy()
    export_for_runtime(deblurrer, tmp_path / "out", "tflite", (9, 21))
    image = noise(9, 21, 3)
    np.testing.assert_allclose(
        in_runtime("tflite", tmp_path / "out")(image[None])[0], deblurrer.restore(image), atol=1e-6
    )


class Wide(tf.Module):
    """Three convolutions; 40,000 weights, so that a file is mostly these."""

    size_multiple = 1

    def __init__(self):
        super().__init__()
        self.kernels = [tf.Variable(0.2 * noise(3, 3, *ends) - 0.1) for ends in ((3, 64), (64, 64), (64, 3))]

    def __call__(self, images):
        x = images
        for kernel in self.kernels:
            x = tf.nn.conv2d(tf.nn.leaky_relu(x), kernel, 1, "SAME")
        return {"restored": images + x}


@pytest.mark.parametrize("runtime", ["tflite", "openvino"])
def test_float16_halves_the_file(runtime, tmp_path):
    needs(runtime)
    deblurrer, image, sizes = Deblurrer.of_network(Wide()), noise(16, 16, 3), {}
    for float16 in (False, True):
        psnr = export_for_runtime(
            deblurrer, tmp_path / "out", runtime, (16, 16) if runtime == "tflite" else None, float16
        )
        sizes[float16] = os.path.getsize(tmp_path / "out" / runtimes.FILES[runtime][-1])
        loaded = tfdeblur.load(tmp_path / "out")
        difference = loaded.restore(image) - deblurrer.restore(image)
        assert np.abs(difference).max() < (5e-3 if float16 else 1e-5)
        assert psnr == loaded.metadata.get("psnr_to_float32")
        assert 50 < psnr < 90 if float16 else psnr is None
    assert 0.45 < sizes[True] / sizes[False] < 0.65


def test_int8_is_a_quarter_of_the_file_and_near_the_float32_results(tmp_path):
    needs("openvino")
    deblurrer = Deblurrer.of_network(Wide())
    image = photograph("chelsea.png")[:128, :128]
    calibration = [image[None].astype(np.float32) / 255]
    export_for_runtime(deblurrer, tmp_path / "float32", "openvino")
    psnr = export_for_runtime(deblurrer, tmp_path / "int8", "openvino", calibration=calibration)
    sizes = [os.path.getsize(tmp_path / name / "model.bin") for name in ("int8", "float32")]
    assert sizes[0] / sizes[1] < 0.4
    difference = tfdeblur.load(tmp_path / "int8").restore(calibration[0][0]) - deblurrer.restore(calibration[0][0])
    assert psnr == pytest.approx(-10 * np.log10(np.mean(difference**2)), abs=0.01)
    assert 30 < psnr < 60


# ----------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("size", [(48, 65), (49, 64)])
def test_tflite_refuses_an_image_that_is_larger(size, exported):
    run = runtimes.load("tflite", exported("tflite")[1])
    with pytest.raises(DeblurError, match=f"{size[1]}x{size[0]}: larger than the 64x48 that .* was made for; export"):
        run(tf.constant(noise(1, *size, 3)))


@pytest.mark.parametrize("runtime", ["tflite", "onnx", "openvino"])
def test_an_operation_that_a_runtime_lacks(runtime, tmp_path):
    needs(runtime)
    net = tfdeblur.build("improved_deblurgan", width=6, growth=5, up_kind="sep")
    with pytest.raises(DeblurError) as caught:
        size = (16, 16) if runtime == "tflite" else None
        export_for_runtime(Deblurrer.of_network(net), tmp_path / "out", runtime, size)
    expected = f"{runtime} cannot express this network: there is no DepthwiseConv2dNativeBackpropInput"
    assert str(caught.value) == expected and os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [0.01, np.nan])
def test_a_conversion_that_went_wrong_is_not_written(error, tmp_path, monkeypatch):
    deblurrer, load = toy(), runtimes.load
    export_saved_model(deblurrer, tmp_path / "out")
    monkeypatch.setattr(runtimes, "load", lambda *arguments: lambda images: load(*arguments)(images) + error)
    with pytest.raises(DeblurError, match="tflite: the converted network's results differ from its own by"):
        export_for_runtime(deblurrer, tmp_path / "out", "tflite", SIZE)
    assert os.path.exists(tmp_path / "out" / "saved_model.pb") and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "runtime, options, expected",
    [
        ("tflite", {}, "--format=tflite needs a fixed size: add --size, for example --size=256x256"),
        ("onnx", {"size": SIZE}, "--size: onnx takes images of any size; leave it out"),
        ("onnx", {"float16": True}, "--float16: only with --format=tflite or openvino"),
        ("onnx", {"calibration": []}, "--int8: only with --format=openvino"),
        ("tflite", {"size": SIZE, "calibration": []}, "--int8: only with --format=openvino"),
    ],
)
def test_options_that_a_runtime_does_not_have(runtime, options, expected, tmp_path):
    with pytest.raises(DeblurError) as caught:
        export_for_runtime(toy(), tmp_path / "out", runtime, **options)
    assert str(caught.value) == expected and os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "missing, runtime, calibration",
    [("tf2onnx", "onnx", None), ("openvino", "openvino", None), ("nncf", "openvino", [noise(1, 8, 8, 3)])],
)
def test_an_extra_that_is_not_installed(missing, runtime, calibration, tmp_path, monkeypatch):
    if missing != "openvino":  # what is imported before it
        needs(runtime)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DeblurError) as caught:
        export_for_runtime(toy(), tmp_path / "out", runtime, calibration=calibration)
    assert str(caught.value) == f"{missing} is not installed: pip install 'tfdeblur[{runtime}]'"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("runtime, missing", [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_an_export_of_a_runtime_that_is_not_installed(runtime, missing, tmp_path, monkeypatch):
    (tmp_path / "tfdeblur.json").write_text(json.dumps({"format": runtime}))
    for name in runtimes.FILES[runtime]:
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DeblurError) as caught:
        tfdeblur.load(tmp_path)
    assert str(caught.value) == f"{missing} is not installed: pip install 'tfdeblur[{runtime}]'"


@pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "noise"])
@pytest.mark.parametrize("runtime", ["tflite", "onnx", "openvino"])
def test_a_damaged_export(runtime, damage, exported, tmp_path):
    shutil.copytree(exported(runtime)[1], tmp_path / "out")
    for name in runtimes.FILES[runtime]:
        path = tmp_path / "out" / name
        content = path.read_bytes()
        path.unlink()
        if damage != "missing":
            damaged = {"empty": b"", "cut off": content[: len(content) // 2], "noise": os.urandom(len(content))}
            path.write_bytes(damaged[damage])
        with pytest.raises(DeblurError) as caught:
            tfdeblur.load(tmp_path / "out")
        assert str(caught.value) == f"{tmp_path / 'out'}: the export is damaged or incomplete; export it again"
        path.write_bytes(content)
        assert tfdeblur.load(tmp_path / "out").metadata["format"] == runtime


def test_a_format_of_another_version(tmp_path):
    (tmp_path / "tfdeblur.json").write_text('{"format": "tensorrt"}')
    with pytest.raises(DeblurError, match="an export for tensorrt, which this version of tfdeblur does not know"):
        tfdeblur.load(tmp_path)


def test_an_export_is_replaced_by_one_of_another_format_whole(tmp_path):
    export_saved_model(toy(), tmp_path / "out")
    export_for_runtime(toy(), tmp_path / "out", "tflite", SIZE)
    assert set(os.listdir(tmp_path / "out")) == {"tfdeblur.json", "model.tflite"}
    export_saved_model(toy(), tmp_path / "out")
    assert not (tmp_path / "out" / "model.tflite").exists() and tfdeblur.load(tmp_path / "out").fixed_size is None
    with pytest.raises(DeblurError, match="is an export itself"):
        export_for_runtime(tfdeblur.load(tmp_path / "out"), tmp_path / "again", "tflite", SIZE)


def test_weights_of_an_export(exported):
    with pytest.raises(DeblurError, match="is an export of the weights 'last'"):
        tfdeblur.load(exported("tflite")[1], weights="best")


# --------------------------------------------------------------------------------------------------- calibration


def test_crops_to_calibrate_by(tmp_path):
    shapes = [(300, 20), (10, 270), (40, 50)]
    images = [np.random.default_rng(n).integers(0, 256, (*shape, 3), np.uint8) for n, shape in enumerate(shapes)]
    for name, image in zip("abc", images, strict=True):
        write_image(tmp_path / f"{name}.png", image)
    crops = calibration_crops(tmp_path, count=8, side=256)
    assert [crop.shape for crop in crops] == [(1, 256, 20, 3)] * 3 + [(1, 10, 256, 3)] * 3 + [(1, 40, 50, 3)] * 2
    tops = []
    for crop in crops[:3]:
        found = [top for top in range(45) if np.allclose(crop[0], images[0][top : top + 256] / 255)]
        tops += found
    assert len(tops) == 3 and len(set(tops)) > 1
    again = calibration_crops(tmp_path, count=8, side=256)
    assert all(np.array_equal(a, b) for a, b in zip(crops, again, strict=True))
    assert [crop.shape[1] for crop in calibration_crops(tmp_path, count=2, side=256)] == [256, 40]  # first and last


# -------------------------------------------------------------------------------------------------- command line


def test_export_and_deblur_on_the_command_line(trained_run, tmp_path, capsys):
    out = tmp_path / "export"
    arguments = [f"--model={trained_run}", f"--out={out}", "--format=tflite", "--size=32x48", "--float16"]
    assert export_command.main(arguments) == 0
    psnr = tfdeblur.load(out).metadata["psnr_to_float32"]
    said = f"tflite: {out}\nits results are {psnr:.1f} dB from those in float32: 30 dB become 30.00 dB\n"
    assert capsys.readouterr().out == said
    image = photograph("chelsea.png")[:32, :48]
    write_image(tmp_path / "a.png", image)
    assert deblur_command.main([str(tmp_path / "a.png"), f"--model={out}", f"--out={tmp_path / 'restored'}"]) == 0
    restored = read_image(tmp_path / "restored" / "a.png").astype(int)
    np.testing.assert_allclose(restored, tfdeblur.load(trained_run).restore(image), atol=1)  # of 255


@pytest.mark.parametrize("flag", ["--size=9x9", "--float16", "--int8=photographs"])
def test_a_saved_model_has_none_of_the_options(flag, trained_run, tmp_path, capsys):
    assert export_command.main([f"--model={trained_run}", f"--out={tmp_path / 'out'}", flag]) == 1
    assert f"{flag.partition('=')[0]}: not with --format=saved_model" in capsys.readouterr().err


def test_int8_on_the_command_line(trained_run, tmp_path, capsys):
    needs("openvino")
    (tmp_path / "photographs").mkdir()
    write_image(tmp_path / "photographs" / "a.png", photograph("chelsea.png")[:64, :64])
    arguments = [f"--model={trained_run}", f"--out={tmp_path / 'out'}", "--format=openvino"]
    assert export_command.main([*arguments, f"--int8={tmp_path / 'photographs'}"]) == 0
    out, err = capsys.readouterr()
    assert "dB from those in float32: 30 dB become" in out and "Statistics" not in out
    loss = 30 - float(out.split("become ")[1].split(" dB")[0])
    assert ("rather export without --int8" in out) == (loss > 0.1)
    assert tfdeblur.load(tmp_path / "out").metadata["int8"] is True
    assert sys.modules["openvino_telemetry"] is None  # nobody is told
    assert export_command.main([*arguments, f"--int8={tmp_path / 'nothing'}"]) == 1
    assert f"{tmp_path / 'nothing'}: no such folder" in capsys.readouterr().err


def test_benchmark_of_an_export_of_an_export(exported, capsys):
    _, folder = exported("tflite")
    assert benchmark_command.main(["exports", "--model", str(folder)]) == 1
    assert f"--model: {folder} is an export; name the work directory" in capsys.readouterr().err


@pytest.mark.slow
def test_benchmark_of_exports(trained_run, capsys):
    argv = ["exports", "--model", str(trained_run), "--size=32x48", "--rounds=1"]
    assert benchmark_command.main([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["runtimes"]
    assert set(told) == {"tensorflow", "tflite", "onnx", "openvino", "openvino int8"}
    assert told["tensorflow"]["speed"] == 1 and told["tensorflow"]["psnr"] is None
    assert told["tflite"]["seconds"] > 0 and not (told["tflite"]["psnr"] or 200) < 90
    for name, extra in (("onnx", "onnx"), ("openvino", "openvino"), ("openvino int8", "openvino")):
        if "error" in told[name]:
            assert f"tfdeblur[{extra}]" in told[name]["error"]
        elif name.endswith("int8"):
            assert 20 < told[name]["psnr"] < 80
        else:
            assert not (told[name]["psnr"] or 200) < 90
    assert benchmark_command.main(argv) == 0
    assert "48x32" in capsys.readouterr().out

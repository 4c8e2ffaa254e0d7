"""Networks in other runtimes: TensorFlow Lite, ONNX Runtime and OpenVINO.

`write` turns a traced network into a runtime's file, `load` reads the file back as a function of images. TensorFlow
Lite is part of TensorFlow; the others are extras, `[onnx]` and `[openvino]`, imported where they are used.
"""

import contextlib
import importlib
import logging
import os
import re
import sys
import tempfile
import warnings

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.native import stderr_kept
from tfdeblur.ops.attention import in_one_piece
from tfdeblur.ops.geometry import mirror_index

FILES = {"tflite": ["model.tflite"], "onnx": ["model.onnx"], "openvino": ["model.xml", "model.bin"]}


def write(runtime, module, folder, float16=False, calibration=None):
    """Writes FILES[runtime] into a folder.

    Args:
      runtime: a key of FILES.
      module: tf.Module with a network's variables and `serve`, a tf.function with one signature: "blurred", float32
        [B, H, W, 3], to {"restored": the same}. B, H and W are numbers for tflite and unknown for the others.
      float16: whether weights are stored as float16 (tflite, openvino); the arithmetic stays float32.
      calibration: None, or for openvino a list of float32 [1, H, W, 3] images: int8 arithmetic in the ranges that
        they show.

    Raises:
      DeblurError: the runtime is not installed, or lacks one of the network's operations.
    """
    try:
        if runtime == "tflite":
            _write_tflite(module, folder, float16)
        elif runtime == "onnx":
            _write_onnx(module, folder)
        else:
            _write_openvino(module, folder, float16, calibration)
    except (DeblurError, OSError, MemoryError):
        raise
    except Exception as error:  # every converter raises its own
        raise DeblurError(f"{runtime} cannot express this network: {_reason(error)}") from error


def load(runtime, folder):
    """What `write` wrote, as a function.

    Returns:
      float32 [B, H, W, 3] in [0, 1] -> a tensor of the same shape and range. An image may have any size; with tflite,
      the size of the export at most: smaller ones are mirrored up to it and cropped back.

    Raises:
      DeblurError: the runtime is not installed, or the file is missing or damaged.
    """
    if runtime not in FILES:
        raise DeblurError(f"{folder}: an export for {runtime}, which this version of tfdeblur does not know")
    paths = [os.path.join(folder, name) for name in FILES[runtime]]
    missing = [path for path in paths if not os.path.isfile(path)]
    try:
        if missing:
            raise FileNotFoundError(missing[0])
        return {"tflite": _load_tflite, "onnx": _load_onnx, "openvino": _load_openvino}[runtime](paths[0])
    except DeblurError:
        raise
    except Exception as error:  # every runtime raises its own
        raise DeblurError(f"{folder}: the export is damaged or incomplete; export it again") from error


# ---------------------------------------------------------------------------------------------- TensorFlow Lite


def _write_tflite(module, folder, float16):
    # The size is known, and so is what attention takes; the loop that saves memory would need sizes that change.
    with in_one_piece():
        function = module.serve.get_concrete_function()
    # By default only TensorFlow Lite's own operators are allowed.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    if float16:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    with stderr_kept():  # the converter's remarks; its errors are raised
        content = converter.convert()
    with open(os.path.join(folder, *FILES["tflite"]), "wb") as file:
        file.write(content)


def _load_tflite(path):
    with stderr_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # row 2's TensorFlow says that it will be a package of its own one day
        interpreter = tf.lite.Interpreter(path, num_threads=os.cpu_count())
    run = interpreter.get_signature_runner()
    _, height, width, _ = run.get_input_details()["blurred"]["shape"]

    def restore_batch(images):
        shape = images.shape
        if shape[1] > height or shape[2] > width:
            raise DeblurError(
                f"{shape[2]}x{shape[1]}: larger than the {width}x{height} that {path} was made for; export with --size"
            )
        for axis, size in ((1, height), (2, width)):
            images = tf.gather(images, mirror_index(shape[axis], size), axis=axis)
        restored = tf.concat([run(blurred=image[None])["restored"] for image in images], axis=0)
        return restored[:, : shape[1], : shape[2]]

    return restore_batch


# --------------------------------------------------------------------------------------------------------- ONNX


def _write_onnx(module, folder):
    onnx, tf2onnx = _installed("onnx", "onnx"), _installed("tf2onnx", "onnx")
    tf2onnx.logging.set_level(logging.CRITICAL)  # what is wrong is raised below
    model, _ = tf2onnx.convert.from_function(module.serve, module.serve.input_signature, opset=17)
    # tf2onnx lets operations pass that it does not know.
    unknown = sorted({node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, node.domain)})
    if unknown:
        raise DeblurError(f"onnx cannot express this network: there is no {', '.join(unknown)}")
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            dimension.dim_param = name
    onnx.save(model, os.path.join(folder, *FILES["onnx"]))


def _load_onnx(path):
    onnxruntime = _installed("onnxruntime", "onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: tf.constant(session.run(["restored"], {"blurred": np.asarray(images)})[0])


# ----------------------------------------------------------------------------------------------------- OpenVINO


def _write_openvino(module, folder, float16, calibration):
    openvino = _openvino()
    if calibration:
        _installed("nncf", "openvino")  # before minutes are spent
    with tempfile.TemporaryDirectory(dir=folder) as saved:
        tf.saved_model.save(module, saved, signatures={"serving_default": module.serve})
        model = openvino.convert_model(saved)
    if calibration:
        model = _int8(model, calibration)
    openvino.save_model(model, os.path.join(folder, FILES["openvino"][0]), compress_to_fp16=float16)


def _int8(model, calibration):
    """The model with its convolutions in int8, less those that come first after the input and last before the output.

    All else stays in float32, too: attention and softmax, normalisation, and the sums of residuals. What each would
    cost is in experiments/runtimes.md.
    """
    nncf = _installed("nncf", "openvino")
    nncf.set_log_level(logging.ERROR)
    ends = _next_convolutions(model.inputs[0], _consumers) | _next_convolutions(model.outputs[0], _sources)
    other_types = {operation.get_type_name() for operation in model.get_ops()} - _CONVOLUTIONS
    with contextlib.redirect_stdout(sys.stderr):  # its progress
        return nncf.quantize(
            model,
            nncf.Dataset(calibration),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration),
            ignored_scope=nncf.IgnoredScope(names=sorted(ends), types=sorted(other_types), validate=False),
        )


_CONVOLUTIONS = {"Convolution", "ConvolutionBackpropData", "GroupConvolution", "GroupConvolutionBackpropData"}


def _next_convolutions(end, neighbours):
    """Names of the convolutions that are reached from an end of the model without passing another one."""
    found, seen, waiting = set(), set(), [end.get_node()]
    while waiting:
        for node in neighbours(waiting.pop()):
            name = node.get_friendly_name()
            if name not in seen:
                seen.add(name)
                if node.get_type_name() in _CONVOLUTIONS:
                    found.add(name)
                elif node.get_type_name() != "ShapeOf":  # sizes, no values of pixels
                    waiting.append(node)
    return found


def _consumers(node):
    return [target.get_node() for output in node.outputs() for target in output.get_target_inputs()]


def _sources(node):
    return [value.get_source_output().get_node() for value in node.inputs()]


def _load_openvino(path):
    # Without the hint, processors with bfloat16 would compute in it.
    run = _openvino().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: tf.constant(run([np.asarray(images)])["restored"])


def _openvino():
    # OpenVINO and NNCF tell their makers about every use, unless this package is missing.
    sys.modules.setdefault("openvino_telemetry", None)
    return _installed("openvino", "openvino")


# ------------------------------------------------------------------------------------------------------- shared


def _installed(name, extra):
    """The module of that name; DeblurError where the extra of tfdeblur that brings it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DeblurError(f"{name} is not installed: pip install 'tfdeblur[{extra}]'") from error


def _reason(error):
    """The operations that TensorFlow Lite's or OpenVINO's converter does not know; else the first line of its error
    that says something."""
    unknown = re.findall(r"'tf\.(\w+)' op|found for operations: ([\w, ]+)", str(error))
    if unknown:
        return "there is no " + ", ".join(sorted({name for names in unknown for name in names if name}))
    lines = (line.strip() for line in str(error).splitlines())
    # OpenVINO says first where in its source it was.
    return next((line for line in lines if line and not line.startswith("Exception from ")), type(error).__name__)

"""The SavedModel: what it promises to whoever serves it, and what it does to folders."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import tfdeblur
from tests.encoded import encode
from tests.rest import Served
from tfdeblur.cli.export import main as export_command
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.export import export_saved_model
from tfdeblur.inference import Deblurrer
from tfdeblur.serving import MAX_PIXELS


@pytest.fixture(scope="module")
def restored(trained_run):
    """Function of a float image -> what the work directory's own network makes of it."""
    return tfdeblur.load(trained_run).restore


@pytest.fixture(scope="module")
def serve(exported_run):
    """`serving_default` of the export by plain TensorFlow."""
    model = tf.saved_model.load(str(exported_run))
    signature = model.signatures["serving_default"]
    signature.model = model  # keeps the variables alive
    return signature


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def test_signature(serve):
    _, inputs = serve.structured_input_signature
    assert inputs == {"blurred": tf.TensorSpec([None, None, None, 3], tf.float32, name="blurred")}
    assert serve.structured_outputs.keys() == {"restored"}
    output = serve.structured_outputs["restored"]
    assert output.dtype == tf.float32 and output.shape.as_list() == [None, None, None, 3]


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (17, 1), (16, 16), (33, 50)])
def test_equals_restore_bit_for_bit_at_any_size(serve, restored, size):
    image = noise(*size, 3)
    served = serve(blurred=tf.constant(image[None]))["restored"].numpy()
    assert served.shape == (1, *size, 3)
    np.testing.assert_array_equal(served[0], restored(image))


def test_a_batch_of_two_is_two_images(serve, restored):
    images = noise(2, 20, 35, 3)
    served = serve(blurred=tf.constant(images))["restored"].numpy()
    for image, result in zip(images, served, strict=True):
        np.testing.assert_allclose(result, restored(image), atol=1e-6)
    assert np.abs(served[0] - served[1]).max() > 0.01


def test_signature_of_encoded_images(exported_run):
    signature = tf.saved_model.load(str(exported_run)).signatures["serve_bytes"]
    _, inputs = signature.structured_input_signature
    assert inputs == {"image_bytes": tf.TensorSpec([None], tf.string, name="image_bytes")}
    assert {name: (output.dtype, output.shape.as_list()) for name, output in signature.structured_outputs.items()} == {
        "restored_bytes": (tf.string, [None]),  # TensorFlow Serving's REST takes names in _bytes for base64
        "error": (tf.string, [None]),
    }


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_encoded_images_are_restored_bit_for_bit(exported_run, restored, kind):
    files = [encode((255 * noise(*size, 3)).astype(np.uint8), kind) for size in [(1, 1), (16, 16), (33, 50)]]
    answer = Served(exported_run).run("serve_bytes", {"image_bytes": np.array(files, object)})
    assert answer["error"].tolist() == [b""] * 3
    for file, png in zip(files, answer["restored_bytes"], strict=True):
        expected = restored(np.array(Image.open(io.BytesIO(file))))
        np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(png))), expected)


def test_holds_the_network_once_and_nothing_that_calls_python(exported_run):
    graph = tf.compat.v1.saved_model.load(
        tf.compat.v1.Session(graph=tf.Graph()), ["serve"], str(exported_run)
    ).graph_def
    functions = {
        function.signature.name: [node.op for node in function.node_def] for function in graph.library.function
    }
    with_network = [name for name, operations in functions.items() if "Conv2D" in operations]
    assert len(with_network) == 1
    operations = {node.op for node in graph.node}.union(*functions.values())
    assert not [name for name in operations if "Py" in name]


def test_the_command_takes_a_limit_for_a_saved_model_only(capsys):
    assert export_command(["--model", "m", "--out", "o", "--format", "openvino", "--max_pixels", "77"]) == 1
    assert "--max_pixels: only with --format=saved_model" in capsys.readouterr().err


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_below_one_pixel_is_refused(tmp_path, limit):
    with pytest.raises(DeblurError, match=f"--max_pixels={limit}: must be 1 or more"):
        export_saved_model(quick(0.5), tmp_path / "out", max_pixels=limit)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("given, limit", [((), MAX_PIXELS), (("--max_pixels", "77"), 77)])
def test_the_command_hands_the_limit_on(monkeypatch, given, limit):
    seen = []
    monkeypatch.setattr(tfdeblur.inference, "load", lambda *arguments, **options: "model")
    monkeypatch.setattr(tfdeblur.export, "export_saved_model", lambda *arguments: seen.append(arguments))
    assert export_command(["--model", "m", "--out", "o", *given]) == 0
    assert seen == [("model", "o", limit)]


def test_the_command_refuses_a_limit_below_one_pixel(capsys):
    assert export_command(["--model", "m", "--out", "o", "--max_pixels", "0"]) == 2
    assert "max_pixels" in capsys.readouterr().err


def test_the_result_is_clipped(serve):
    served = serve(blurred=tf.constant(noise(1, 64, 64, 3) * 4.0 - 1.5))["restored"].numpy()
    assert served.min() == 0.0 and served.max() == 1.0


SERVED_WITHOUT_TFDEBLUR = """
import os, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tfdeblur", "tensorflow_addons", "tf_keras"):
            raise ModuleNotFoundError(f"{name} is not installed here")
sys.meta_path.insert(0, Blocker())
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
images = np.load(sys.argv[2])
restored = model.signatures["serving_default"](blurred=tf.constant(images))
assert list(restored) == ["restored"]
image = tf.io.encode_png(tf.constant([[[0, 9, 255]]], tf.uint8))
answer = model.signatures["serve_bytes"](image_bytes=tf.stack([image, "GIF89a"]))
assert tf.io.decode_png(answer["restored_bytes"][0]).shape == (1, 1, 3) and answer["error"][0] == ""
assert answer["restored_bytes"][1] == "" and "neither PNG nor JPEG" in answer["error"][1].numpy().decode()
np.save(sys.argv[3], restored["restored"].numpy())
assert not [name for name in sys.modules if name.startswith("tfdeblur")]
"""


def test_serves_where_tfdeblur_is_not_installed(exported_run, restored, tmp_path):
    image = noise(21, 18, 3)
    np.save(tmp_path / "in.npy", image[None])
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "TF_USE_LEGACY_KERAS")}
    arguments = [str(exported_run), str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    done = subprocess.run(
        [sys.executable, "-c", SERVED_WITHOUT_TFDEBLUR, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "out.npy")[0], restored(image), atol=1e-6)


def test_says_what_it_was_made_from(exported_run, trained_run):
    with open(exported_run / "tfdeblur.json", encoding="utf-8") as file:
        metadata = json.load(file)
    assert metadata == tfdeblur.load(trained_run).metadata
    assert metadata["config"]["system"] == "madn"
    assert metadata["data"]["blur_kind"] == "synthesized"


def test_leaves_no_temporary_folder(exported_run):
    assert [name for name in os.listdir(exported_run.parent) if name.startswith(".export")] == []


# ----------------------------------------------------------------------------------------- folders


class Net(tf.Module):
    """x -> factor x; exports in a moment."""

    size_multiple = 16

    def __init__(self, factor):
        super().__init__()
        self.factor = tf.Variable(factor)

    def __call__(self, x):
        return {"restored": self.factor * x}


def quick(factor):
    return Deblurrer.of_network(Net(factor), {"config": {"system": "quick", "factor": factor}})


def factor_of(folder):
    return float(tfdeblur.load(folder).restore(np.ones((2, 3, 3), np.float32))[0, 0, 0])


def test_makes_the_folders_above(tmp_path):
    export_saved_model(quick(0.5), tmp_path / "a" / "b" / "c")
    assert factor_of(tmp_path / "a" / "b" / "c") == 0.5


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    export_saved_model(quick(0.5), str(tmp_path / "out"))
    assert factor_of(tmp_path / "out") == 0.5


def test_an_earlier_export_is_replaced_whole(tmp_path):
    out = tmp_path / "out"
    export_saved_model(quick(0.5), out)
    (out / "assets" / "old.txt").write_text("of the earlier export")
    export_saved_model(quick(0.25), out)
    assert factor_of(out) == 0.25
    assert tfdeblur.load(out).metadata["config"]["factor"] == 0.25
    assert not (out / "assets" / "old.txt").exists()
    assert os.listdir(tmp_path) == ["out"]


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path):
    out = tmp_path / "photographs"
    out.mkdir()
    (out / "holiday.jpg").write_bytes(b"irreplaceable")
    with pytest.raises(DeblurError, match="holds holiday.jpg, .*; name a new folder") as caught:
        export_saved_model(quick(0.5), out)
    assert str(out) in str(caught.value)
    assert (out / "holiday.jpg").read_bytes() == b"irreplaceable" and os.listdir(out) == ["holiday.jpg"]
    assert os.listdir(tmp_path) == ["photographs"]


def test_a_saved_model_of_someone_else_is_refused_and_kept(tmp_path):
    tf.saved_model.save(Net(0.5), str(tmp_path / "theirs"))
    with pytest.raises(DeblurError) as caught:
        export_saved_model(quick(0.25), tmp_path / "theirs")
    assert str(tmp_path / "theirs") in str(caught.value)
    assert float(tf.saved_model.load(str(tmp_path / "theirs")).factor) == 0.5


def test_an_earlier_export_that_someone_put_files_into_is_refused_and_kept(tmp_path):
    out = tmp_path / "out"
    export_saved_model(quick(0.5), out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(DeblurError, match="holds notes.txt, "):
        export_saved_model(quick(0.25), out)
    assert (out / "notes.txt").read_text() == "mine" and factor_of(out) == 0.5


@pytest.mark.parametrize("earlier", [False, True])
def test_a_folder_beside_it_is_kept_whatever_its_name(tmp_path, earlier):
    out = tmp_path / "out"
    if earlier:
        export_saved_model(quick(0.5), out)
    neighbours = [tmp_path / name for name in ("out.before", "out.tmp", "out.old", ".export-1")]
    for folder in neighbours:
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
    export_saved_model(quick(0.25), out)
    assert factor_of(out) == 0.25
    assert [folder.name for folder in neighbours if not (folder / "mine.txt").exists()] == []


def test_a_file_in_the_way_is_refused_and_kept(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DeblurError) as caught:
        export_saved_model(quick(0.5), tmp_path / "out")
    assert str(tmp_path / "out") in str(caught.value) and "\n" not in str(caught.value)
    assert (tmp_path / "out").read_text() == "a file"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(DeblurError, match="cannot write the export") as caught:
        export_saved_model(quick(0.5), tmp_path / "file" / "out")
    assert "\n" not in str(caught.value)


def test_a_failed_export_leaves_the_earlier_one(tmp_path, monkeypatch):
    out = tmp_path / "out"
    export_saved_model(quick(0.5), out)

    def no_space(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nlong story")

    monkeypatch.setattr(tf.saved_model, "save", no_space)
    with pytest.raises(DeblurError, match="No space left on device") as caught:
        export_saved_model(quick(0.25), out)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert factor_of(out) == 0.5
    assert os.listdir(tmp_path) == ["out"]


def test_a_name_below_which_tensorflow_finds_nothing_is_refused_in_writing_and_in_reading(tmp_path):
    with pytest.raises(DeblurError, match="rename the folder"):
        export_saved_model(quick(0.5), tmp_path / "v[1]/out")
    assert not any(tmp_path.iterdir())
    export_saved_model(quick(0.5), tmp_path / "out")
    os.rename(tmp_path / "out", tmp_path / "o*t")
    with pytest.raises(DeblurError, match="rename the folder"):
        tfdeblur.load(tmp_path / "o*t")


def test_an_export_cannot_be_exported_again(tmp_path):
    export_saved_model(quick(0.5), tmp_path / "out")
    with pytest.raises(DeblurError, match="is an export itself"):
        export_saved_model(tfdeblur.load(tmp_path / "out"), tmp_path / "again")
    assert not (tmp_path / "again").exists()

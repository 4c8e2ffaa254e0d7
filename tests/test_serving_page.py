"""experiments/serving: what its page tells people to send is sent, and the load test is right about answers."""

import base64
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests import serving_load
from tests.encoded import encode
from tests.rest import Served
from tfdeblur import serving
from tfdeblur.compat import tf
from tfdeblur.data.photographs import photograph
from tfdeblur.export import export_saved_model
from tfdeblur.inference import Deblurrer

FOLDER = pathlib.Path(__file__).parents[1] / "experiments" / "serving"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(?:sh|python|json) (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
PHOTO = photograph("chelsea.png")[100:160, 120:203]


class Net(tf.Module):
    size_multiple = 16

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(0.5)

    def __call__(self, x):
        return {"restored": self.factor * x}


@pytest.fixture(scope="module")
def deblurrer():
    return Deblurrer.of_network(Net(), {})


@pytest.fixture(scope="module")
def served(deblurrer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "1"
    export_saved_model(deblurrer, folder)
    return Served(folder)


@pytest.fixture
def photo(tmp_path):
    """A folder with photo.jpg and broken.png in it; gives the photograph as it is decoded."""
    (tmp_path / "photo.jpg").write_bytes(encode(PHOTO, "JPEG"))
    (tmp_path / "broken.png").write_bytes(encode(PHOTO)[:3000])
    return np.array(Image.open(tmp_path / "photo.jpg"))


def pixels(png):
    return np.array(Image.open(io.BytesIO(png)))


def shell(script, folder):
    done = subprocess.run(["sh", "-ec", script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_body_that_the_shell_builds(served, deblurrer, photo, tmp_path):
    shell(BLOCKS["body"], tmp_path)
    status, answer = served.predict((tmp_path / "request.json").read_bytes())
    (row,) = json.loads(answer)["predictions"]
    assert status == 200 and row["error"] == ""
    np.testing.assert_array_equal(pixels(base64.b64decode(row["restored_bytes"]["b64"])), deblurrer.restore(photo))


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_curl(served, deblurrer, photo, tmp_path):
    with served.listening() as port:
        request = BLOCKS["request"].replace(":8501", f":{port}")
        assert shell(BLOCKS["body"] + request + BLOCKS["answer"], tmp_path) == "\n"
    np.testing.assert_array_equal(pixels((tmp_path / "restored.png").read_bytes()), deblurrer.restore(photo))


def test_the_python_client(served, deblurrer, photo, tmp_path):
    with served.listening() as port:
        program = BLOCKS["client"].replace(":8501", f":{port}")
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"broken.png: {serving.DAMAGED}\n"
    np.testing.assert_array_equal(pixels((tmp_path / "photo.restored.png").read_bytes()), deblurrer.restore(photo))


def test_the_body_by_columns(served, deblurrer):
    status, answer = served.predict(BLOCKS["columns"].encode())
    answer = json.loads(answer)["outputs"]
    assert status == 200 and answer["error"] == [""]
    sent = pixels(base64.b64decode(json.loads(BLOCKS["columns"])["inputs"]["image_bytes"][0]["b64"]))
    (png,) = answer["restored_bytes"]
    np.testing.assert_array_equal(pixels(base64.b64decode(png["b64"])), deblurrer.restore(sent))


def test_the_body_of_numbers(served):
    status, answer = served.predict(BLOCKS["numbers"].encode())
    np.testing.assert_allclose(json.loads(answer)["predictions"], [[[[0.05, 0.1, 0.15], [0.2, 0.25, 0.3]]]], atol=1e-6)
    assert status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"signature_name": "serve_bytes", "instances": []}',
        b'{"signature_name": "serve_bytes", "instances": [{"b64": "*"}]}',
        b'{"signature_name": "nothing", "instances": [{"b64": ""}]}',
    ],
)
def test_a_broken_request_is_an_error_of_its_own(served, body):
    status, answer = served.predict(body)
    assert status == 400 and json.loads(answer)["error"]
    assert served.predict(BLOCKS["numbers"].encode())[0] == 200


def test_the_warm_up_is_a_request_that_the_export_answers(served, tmp_path):
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    (tmp_path / "served" / "1").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", BLOCKS["warmup"]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = tf.data.TFRecordDataset(str(tmp_path / "served/1/assets.extra/tf_serving_warmup_requests"))
    request = apis.PredictionLog.FromString(record.numpy()).predict_log.request
    inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
    assert served.run(request.model_spec.signature_name, inputs)["error"].tolist() == [b""]


def test_the_server_is_told_what_the_page_says():
    server, fields = BLOCKS["server"], (FOLDER / "batching.txt").read_text()
    flags = {"enable_batching", "batching_parameters_file", "rest_api_timeout_in_ms"}  # of tensorflow_model_server
    assert set(re.findall(r" --(\w+)=", server)) == flags
    values = dict(re.findall(r"^(\w+) \{ value: (\w+) \}$", fields, re.MULTILINE))
    assert values["max_execution_batch_size"] == "1" and values["enable_large_batch_splitting"] == "true"
    assert f"default\n  {serving.MAX_PIXELS:,}" in PAGE and f"--max_pixels {serving.MAX_PIXELS}" in PAGE
    for message in (serving.EMPTY, serving.OTHER_FORMAT, serving.TOO_MANY_SCANS):
        assert f"`{message.partition(':')[0]}: ..`" in PAGE
    assert (
        serving.DAMAGED.startswith("damaged, cut off before its end, ")
        and "`damaged, cut off before its end, ..`" in PAGE
    )


def test_eight_threads_with_good_and_bad_requests(served, deblurrer):
    cases = serving_load.requests(deblurrer.restore, serving.MAX_PIXELS)
    taken, wrong, _ = serving_load.drive(served, cases, threads=8, seconds=3)
    assert wrong == [] and sum(map(len, taken.values())) > 8


def test_the_load_test_notices_a_wrong_answer(served, deblurrer):
    cases = serving_load.requests(lambda image: deblurrer.restore(image) ^ 1, serving.MAX_PIXELS)
    _, wrong, _ = serving_load.drive(served, cases, threads=2, seconds=1)
    assert wrong and not set(wrong) & {"empty", "GIF", "bomb", "half a PNG", "half a JPEG"}

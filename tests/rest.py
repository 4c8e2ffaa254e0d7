"""A stand-in for TensorFlow Serving: runs an export in a session, as it does, and converts its REST bodies.

Written after TensorFlow Serving's documentation and its tensorflow_serving/util/json_tensor.cc: `instances` (rows) are
answered by `predictions`, `inputs` (columns) by `outputs`; {"b64": ..} stands for bytes, in answers for strings of
outputs whose names end in _bytes.
"""

import base64
import contextlib
import http.server
import json
import threading

import numpy as np

from tfdeblur.compat import tf


class Served:
    """An export, loaded as a server does it: a graph and a session, without the Python objects that wrote it."""

    def __init__(self, folder):
        graph = tf.Graph()
        self.session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            self.signatures = tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder)).signature_def

    def run(self, name, inputs):
        """{output: array} of the signature `name`; inputs: {input: array}."""
        signature = self.signatures[name]
        fetches = {key: info.name for key, info in signature.outputs.items()}
        return self.session.run(fetches, {signature.inputs[key].name: value for key, value in inputs.items()})

    def predict(self, body):
        """(HTTP status, answer) to the body of a POST to `:predict`, both JSON as bytes."""
        try:
            return 200, json.dumps(self._predict(json.loads(body))).encode()
        except (ValueError, KeyError, tf.errors.OpError) as error:
            return 400, json.dumps({"error": str(error)}).encode()

    def _predict(self, request):
        name = request.get("signature_name", "serving_default")
        infos = self.signatures[name].inputs
        if ("instances" in request) == ("inputs" in request):
            raise ValueError("need either 'instances' or 'inputs'")
        if "instances" in request:
            rows = request["instances"]
            if not rows:
                raise ValueError("No values in 'instances' array")
            named = isinstance(rows[0], dict) and set(rows[0]) != {"b64"}
            columns = {key: [row[key] for row in rows] for key in infos} if named else rows
        else:
            columns = request["inputs"]
        if not isinstance(columns, dict) or set(columns) == {"b64"}:
            columns = dict(zip(infos, [columns], strict=True))
        answers = self.run(name, {key: _tensor(columns[key], info.dtype) for key, info in infos.items()})
        answers = {key: _json(value, key.endswith("_bytes")) for key, value in answers.items()}
        if "inputs" in request:
            return {"outputs": answers if len(answers) > 1 else next(iter(answers.values()))}
        rows = [dict(zip(answers, row, strict=True)) for row in zip(*answers.values(), strict=True)]
        return {"predictions": rows if len(answers) > 1 else next(iter(answers.values()))}

    @contextlib.contextmanager
    def listening(self):
        """Answers on localhost while the context lasts; gives the port."""
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_known = self.path == "/v1/models/deblur:predict"
                status, answer = served.predict(body) if is_known else (404, b'{"error": "no such model"}')
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _tensor(values, dtype):
    if dtype != tf.string.as_datatype_enum:
        return np.asarray(values, tf.as_dtype(dtype).as_numpy_dtype)
    return np.asarray(_bytes(values), object)


def _bytes(values):
    if isinstance(values, list):
        return [_bytes(value) for value in values]
    if isinstance(values, dict):
        if set(values) != {"b64"}:
            raise ValueError(f"{values} not formatted correctly for base64 data")
        return base64.b64decode(values["b64"], validate=True)
    return values.encode()


def _json(values, is_bytes):
    if values.dtype != object:
        return values.tolist()
    return [{"b64": base64.b64encode(value).decode()} if is_bytes else value.decode() for value in values]

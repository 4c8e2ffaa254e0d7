"""`tfdeblur web`: what its flags do and refuse; the page itself is tested in tests/test_web.py."""

import socket
import sys
import types

import pytest

import tfdeblur
from tfdeblur.cli.main import main


def refused(capsys, *argv, code=1):
    """The one error line of a call that fails."""
    capsys.readouterr()
    assert main(["web", *argv]) == code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tfdeblur: error: ")]
    return line


@pytest.mark.parametrize(
    "argv, word",
    [
        (["--model=m", "--port=70000"], "--port"),
        (["--model=m", "--port=0"], "--port"),
        (["--model=m", "--max_megapixels=0"], "--max_megapixels"),
        (["--model=m", "photo.jpg"], "unexpected argument 'photo.jpg'"),
    ],
)
def test_flags_that_cannot_be(capsys, argv, word):
    assert word in refused(capsys, *argv, code=2)


def test_without_gradio_the_error_names_the_extra(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "tfdeblur.web", raising=False)
    monkeypatch.delattr(tfdeblur, "web", raising=False)
    assert refused(capsys, "--model=m").endswith("pip install 'tfdeblur[web]'")


def test_every_model_is_loaded_as_the_flags_say(exported_run, monkeypatch):
    pytest.importorskip("gradio", reason="the page needs the extra [web]: pip install -e '.[web]'")
    from tfdeblur import web

    served = types.SimpleNamespace()

    def serve(load_deblurrers, *arguments):
        served.deblurrers, served.arguments = load_deblurrers(), arguments

    monkeypatch.setattr(web, "serve", serve)
    run = str(exported_run.parent / "run")
    assert main(["web", "--model", str(exported_run), "--model", run, "--port=8000", "--max_megapixels=2.5"]) == 0
    assert list(served.deblurrers) == ["export", "run"]
    assert served.deblurrers["export"].path == str(exported_run)
    assert "ckpt" in served.deblurrers["run"].path
    assert served.arguments == ("127.0.0.1", 8000, 2.5)


def test_a_model_that_is_not_there_is_one_line(capsys, tmp_path):
    pytest.importorskip("gradio", reason="the page needs the extra [web]: pip install -e '.[web]'")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert str(tmp_path / "nothing") in refused(capsys, "--model", str(tmp_path / "nothing"), f"--port={port}")

"""What `tfdeblur supervise` makes of the ends of a training; stand-ins for the training, which is tested elsewhere."""

import signal
import sys

import pytest

from tfdeblur.cli import common, supervise
from tfdeblur.cli.main import main


@pytest.mark.parametrize(
    "ends, code, starts",
    [
        ([0], 0, 1),
        ([2], 2, 1),  # a person has to mend it
        ([common.INTERRUPTED], common.INTERRUPTED, 1),
        ([-signal.SIGTERM], common.INTERRUPTED, 1),  # asked for before the training could handle it
        ([-signal.SIGKILL, 0], 0, 2),
        ([common.WORKER_LOST, -signal.SIGSEGV, 0], 0, 3),
    ],
)
def test_what_is_started_again(monkeypatch, tmp_path, ends, code, starts):
    count = tmp_path / "count"
    count.write_text("")
    program = (
        f"import os, sys; f = open({str(count)!r}, 'a+'); f.seek(0); end = {list(map(int, ends))}[len(f.read())]; "
        "f.write('x'); f.close(); os.kill(os.getpid(), -end) if end < 0 else sys.exit(end)"
    )
    popen = supervise.subprocess.Popen
    monkeypatch.setattr(
        supervise.subprocess, "Popen", lambda command, **arguments: popen([sys.executable, "-c", program], **arguments)
    )
    assert main(["supervise", "--", "train"]) == code
    assert len(count.read_text()) == starts


def test_restarts_end(monkeypatch, capsys):
    popen = supervise.subprocess.Popen
    program = "import os; os.kill(os.getpid(), 9)"
    monkeypatch.setattr(
        supervise.subprocess, "Popen", lambda command, **arguments: popen([sys.executable, "-c", program], **arguments)
    )
    waits = []
    monkeypatch.setattr(supervise.threading.Event, "wait", lambda event, seconds: waits.append(seconds))
    assert main(["supervise", "--restarts", "2", "--", "train"]) != 0
    assert waits == [4]  # not before the first restart, then longer and longer
    errors = capsys.readouterr().err
    assert errors.count("starting it again") == 2 and "killed by SIGKILL, and --restarts=2 are used up" in errors


def test_only_a_training_is_supervised(capsys):
    assert main(["supervise", "--", "deblur"]) != 0
    assert "tfdeblur supervise -- train" in capsys.readouterr().err

"""Two workers on this machine, each under its supervisor: together they train as one, whoever is killed."""

import glob
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.stress import differing, weights_of
from tfdeblur.cli import common

STEPS = 20


class Workers:
    """Two processes of `tfdeblur supervise -- train`."""

    def __init__(self, workdir):
        self.workdir = str(workdir)
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0)), second.bind(("127.0.0.1", 0))
            addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in (first, second)]
        command = [sys.executable, "-m", "tfdeblur.cli.main", "supervise", "--", "train", "--config", "two_way/smoke"]
        command += ["--workdir", self.workdir, "--precision", "float32"]
        command += [f"--config.steps={STEPS}", "--config.checkpoint_every=2"]
        self.processes, self._logs = [], []
        for index in range(2):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            self._logs.append(open(f"{self.workdir}_{index}.log", "w"))  # noqa: SIM115
            self.processes.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, "TF_CONFIG": json.dumps(task)},  # --strategy auto takes it
                    stdout=self._logs[-1],
                    stderr=subprocess.STDOUT,
                )
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in self.processes:
            process.terminate()
        for process, log in zip(self.processes, self._logs, strict=True):
            process.wait(timeout=60)
            log.close()

    def training(self, index):
        """The process id of a worker's training; None between two of them."""
        found = subprocess.run(["pgrep", "-P", str(self.processes[index].pid)], capture_output=True, text=True)
        return next(map(int, found.stdout.split()), None)

    def wait_for(self, step):
        deadline = time.monotonic() + 300
        while newest(self.workdir) < step:
            assert time.monotonic() < deadline and None in [p.poll() for p in self.processes], self.said()
            time.sleep(0.2)

    def exit_codes(self):
        return [process.wait(timeout=300) for process in self.processes]

    def said(self):
        return "".join(open(f"{self.workdir}_{index}.log").read() for index in range(2))


def newest(workdir):
    steps = [int(path.rsplit("-", 1)[1].split(".")[0]) for path in glob.glob(f"{workdir}/checkpoints/ckpt-*.index")]
    return max(steps, default=0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("workers") / "uninterrupted"
    with Workers(workdir) as workers:
        assert workers.exit_codes() == [0, 0], workers.said()
    return weights_of(workdir)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [1, 0])
def test_a_worker_that_is_killed_costs_no_more_than_the_steps_since_the_last_checkpoint(
    uninterrupted, tmp_path, victim
):
    with Workers(tmp_path / "run") as workers:
        workers.wait_for(4)
        survivor = workers.training(1 - victim)
        os.kill(workers.training(victim), signal.SIGKILL)
        began = time.monotonic()
        while workers.training(1 - victim) == survivor:
            assert time.monotonic() - began < 60, "the survivor has to leave within a minute"
            time.sleep(0.2)
        assert workers.exit_codes() == [0, 0], workers.said()
        said = workers.said()
        assert "was killed by SIGKILL: starting it again" in said
        assert "lost another worker: starting it again" in said
    assert differing(uninterrupted, weights_of(tmp_path / "run")) == []


@pytest.mark.slow
def test_all_workers_stop_after_the_same_step_when_one_is_told_to(uninterrupted, tmp_path):
    with Workers(tmp_path / "run") as workers:
        workers.wait_for(2)
        workers.processes[1].send_signal(signal.SIGTERM)
        assert workers.exit_codes() == [common.INTERRUPTED] * 2, workers.said()
        stopped = newest(workers.workdir)
        assert workers.said().count(f"stopped at step {stopped} of {STEPS}") == 2
    with Workers(tmp_path / "run") as workers:
        assert workers.exit_codes() == [0, 0], workers.said()
    assert differing(uninterrupted, weights_of(tmp_path / "run")) == []

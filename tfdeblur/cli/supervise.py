"""`tfdeblur supervise`: see SUMMARY."""

import signal
import subprocess
import sys
import threading
import time

from absl import flags

from tfdeblur.cli import common
from tfdeblur.errors import DeblurError

SUMMARY = """Runs `tfdeblur train FLAGS` and starts it again, from its last checkpoint, when it was killed or lost
another worker. Write the flags after "--". One supervisor for each worker of a training on several machines: a worker
that died cannot join the others again, so they leave too (exit code 75) and all begin anew. Success, errors that a
person has to mend (1, 2) and a stop that was asked for (130) end the supervision with the same code."""


def _define(values, argv):
    del argv
    flags.DEFINE_integer(
        "restarts",
        20,
        "How often at most; counted anew after each run of more than an hour.",
        lower_bound=0,
        flag_values=values,
    )


def _run(values, arguments):
    if arguments[:1] != ["train"]:
        raise DeblurError("nothing to supervise: write tfdeblur supervise -- train --config ... --workdir ...")
    left, quick = values.restarts, 0
    with _Forwarding() as child:
        while True:
            began = time.monotonic()
            code = child.run([sys.executable, "-m", "tfdeblur.cli.main", *arguments])
            asked = child.stopped.is_set() or code in (-signal.SIGTERM, -signal.SIGINT)  # before it could handle them
            if asked or (code >= 0 and code != common.WORKER_LOST):
                return code if code >= 0 else common.INTERRUPTED
            lasted = time.monotonic() - began
            if lasted > 3600:
                left = values.restarts
            quick = quick + 1 if lasted < 60 else 0
            why = "lost another worker" if code == common.WORKER_LOST else f"was killed by {_signal_name(-code)}"
            if not left:
                raise DeblurError(f"the training {why}, and --restarts={values.restarts} are used up")
            left -= 1
            print(f"the training {why}: starting it again ({left} restarts left)", file=sys.stderr, flush=True)
            if quick > 1:  # twice within a minute: whatever it is may need some time
                child.stopped.wait(min(60, 2**quick))


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Forwarding:
    """Hands SIGINT and SIGTERM on to the one child that runs."""

    def __init__(self):
        self.stopped = threading.Event()
        self._child = None
        self._before = {}

    def run(self, command):
        """The exit code of the command, negative for a signal."""
        if self.stopped.is_set():
            return common.INTERRUPTED
        self._child = subprocess.Popen(command, start_new_session=True)  # a terminal's ctrl-C comes through here
        if self.stopped.is_set():  # asked while it was started
            self._child.terminate()
        return self._child.wait()

    def _handle(self, number, frame):
        del frame
        self.stopped.set()
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)


def main(argv=None):
    return common.execute("supervise", SUMMARY, _define, _run, argv, positional="-- train FLAGS")


if __name__ == "__main__":
    sys.exit(main())

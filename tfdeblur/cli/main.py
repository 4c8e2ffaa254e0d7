"""`tfdeblur COMMAND ...`: finds the command's module; imports nothing heavy, so that --help is quick."""

import contextlib
import difflib
import importlib
import os
import sys

import tfdeblur

COMMANDS = {
    "demo": "restore with the weights that come along, fine-tune them for minutes, and look",
    "prepare": "decode a data set once, for trainings that start at once and read fast",
    "synthesize": "make blurred and sharp pairs from your own video, frames or photographs",
    "inspect": "look at every pair: a contact sheet, and what is broken or suspicious",
    "train": "train a system on your data, a GOPRO tree, or made-up blur",
    "supervise": "run a training and start it again when it is killed",
    "evaluate": "score a model under named protocols",
    "deblur": "restore photographs: files, globs, folders",
    "web": "try models on a page in the browser",
    "export": "write a network for TensorFlow Serving, Lite, ONNX, OpenVINO, or its weights to hand on",
    "import-weights": "turn published PyTorch weights into a model",
    "info": "parameters and multiply-accumulates of a system, beside the paper's",
    "report": "trainings side by side, their curves, a user study, the departures from the papers",
    "benchmark": "time training, inference, or the input, as a fraction of the machine's peak",
}


def usage():
    lines = [f"  {name:14} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            f"tfdeblur {tfdeblur.__version__}: motion deblurring for TensorFlow",
            "",
            "usage: tfdeblur COMMAND [FLAGS]        (tfdeblur COMMAND --help tells the flags)",
            "",
            *lines,
        ]
    )


class _Output:
    """Standard output, which goes nowhere once its reader has gone, as in `tfdeblur report ... | head`.

    The command goes on: its files are what it was called for.
    """

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        return self._unless_closed(self._stream.write, text)

    def flush(self):
        self._unless_closed(self._stream.flush)

    def _unless_closed(self, action, *arguments):
        try:
            return action(*arguments)
        except BrokenPipeError:
            # What is left in the buffers must go somewhere, or Python complains at its end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            return None


def main(argv=None):
    """Runs one command; returns the exit code."""
    if sys.stdout is None:  # closed by who called
        return _run(argv)
    with contextlib.redirect_stdout(_Output(sys.stdout)):
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()


def _run(argv):
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    if argv[0] == "--version":
        print(tfdeblur.__version__)
        return 0
    name = argv[0]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"choose from {', '.join(COMMANDS)}"
        print(f"tfdeblur: error: unknown command '{name}'; {hint}", file=sys.stderr)
        return 2
    return importlib.import_module(f"tfdeblur.cli.{name.replace('-', '_')}").main(argv[1:])


if __name__ == "__main__":
    sys.exit(main())

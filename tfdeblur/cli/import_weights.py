"""`tfdeblur import-weights`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur import pretrained
from tfdeblur.cli import common

SUMMARY = """Turns a PyTorch checkpoint (.pth, zip or older format) into a folder for --model of evaluate, deblur and
export. PyTorch is not needed, nothing in the file is run, and every tensor's name and shape is checked."""


def _define(values, argv):
    del argv
    flags.DEFINE_string("system", None, "Whose weights they are: mprnet.", flag_values=values)
    flags.DEFINE_string("checkpoint", None, "The file.", flag_values=values)
    flags.DEFINE_string("out", None, "Folder to make.", flag_values=values)


def _run(values, arguments):
    del arguments
    pretrained.refuse_name("out", values.out)
    from tfdeblur.torch_checkpoints import import_weights

    metadata = import_weights(values.system, values.checkpoint, values.out)
    origin = metadata["origin"]
    print(f"{values.system}: {values.out}, from {origin['file']} (SHA-256 {origin['sha256']})")
    print(f"licence: {metadata['licence']}")
    return 0


def main(argv=None):
    return common.execute("import-weights", SUMMARY, _define, _run, argv, required=("system", "checkpoint", "out"))


if __name__ == "__main__":
    sys.exit(main())

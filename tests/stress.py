"""Kills a training at random moments, again and again, and compares what it ends with: `python -m tests.stress`.

The moments are drawn over the whole life of the process, from its start to its last checkpoint. At the end the
networks, optimisers and counters must be those of a run that nobody disturbed, bit for bit.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from tfdeblur.compat import tf
from tfdeblur.training import checkpoints


def weights_of(workdir):
    """name -> bytes of all that the newest checkpoint of a work directory holds, the metadata left out."""
    _, path = checkpoints.read(str(workdir))
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name).tobytes() for name in names}


def differing(expected, actual):
    """Names whose values are not the same, bit for bit, or that only one has."""
    assert len(expected) > 10
    return sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))


def train(command, workdir, kill_after=None):
    """The exit code of a training, killed after so many seconds unless it is done."""
    with open(f"{workdir}.log", "a") as log:
        process = subprocess.Popen([*command, "--workdir", workdir], stdout=log, stderr=subprocess.STDOUT)
        try:
            return process.wait(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return process.wait()
        finally:
            process.kill()


def stress(config, kills, seed, folder, say=print):
    """Names of what differs in the end between a run that was killed `kills` times and one that was not."""
    command = [sys.executable, "-m", "tfdeblur.cli.main", "train", "--config", config, "--precision", "float32"]
    command += ["--cache_dir", os.path.join(folder, "cache")]
    began = time.monotonic()
    whole = os.path.join(folder, "undisturbed")
    if train(command, whole):
        raise SystemExit(f"the undisturbed run failed: {whole}.log")
    life = time.monotonic() - began
    rng, broken = random.Random(seed), os.path.join(folder, "disturbed")
    done = complete = 0
    while done < kills:
        moment = rng.uniform(0, life)
        code = train(command, broken, moment)
        if code == -signal.SIGKILL:
            done += 1
            say(f"kill {done} of {kills} after {moment:.1f} s: newest checkpoint {_newest(broken)}", flush=True)
        elif code:
            raise SystemExit(f"a run that was started again failed with {code}: {broken}.log")
        else:  # complete: begin anew
            difference = differing(weights_of(whole), weights_of(broken))
            if difference:
                return difference
            complete += 1
            os.rename(broken, f"{broken}-{complete}")
    if train(command, broken):
        raise SystemExit(f"the last run failed: {broken}.log")
    return differing(weights_of(whole), weights_of(broken))


def _newest(workdir):
    try:
        return checkpoints.read(workdir)[1]
    except Exception:  # none yet
        return "none"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--config", default="madn/smoke")
    arguments.add_argument("--kills", type=int, default=30)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        difference = stress(options.config, options.kills, options.seed, folder)
    print(f"different: {', '.join(difference[:5])}" if difference else "the same weights, bit for bit")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())

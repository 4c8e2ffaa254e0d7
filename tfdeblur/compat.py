"""The two stack rows meet here, and nowhere else.

Row 1: Python 3.10 and 3.11, TensorFlow 2.15, `tf.keras` is Keras 2.15.
Row 2: Python 3.12 and 3.13, TensorFlow >= 2.18, `tf.keras` is Keras 2 through tf-keras.

Import TensorFlow from here (`from tfdeblur.compat import tf`): the variable that selects Keras 2 must be
set before TensorFlow's first import.
"""

import contextlib
import functools
import os
import pathlib
import sys

ROW = 1 if sys.version_info < (3, 12) else 2

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the C++ start-up chatter hides one-line errors
if ROW == 2:
    if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") not in ("1", "True", "true"):
        raise ImportError(
            "TensorFlow was imported before tfdeblur with Keras 3: import tfdeblur's modules first, or set "
            "TF_USE_LEGACY_KERAS=1"
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
else:
    # Keras 2.15 is the default there, and the variable would ask for a package that row 1 does not install.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    # TensorFlow itself switches oneDNN's kernels on only for processors with AVX-512 VNNI. Measured on AVX2, they run
    # convolutions at 1.2 and their gradients at 2 to 2.7 times the speed. Row 2's restore at half the speed: left off.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import tensorflow as tf  # noqa: E402

STACK = f"TensorFlow {tf.__version__}, row {ROW}"
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

# tf.function for all that runs here. No `if` or loop of Python's asks a tensor, and AutoGraph, which rewrites every
# layer's source in case one does, takes half of the time until a network's first result.
graph_function = functools.partial(tf.function, autograph=False)


def cpu_flags():
    """The processor's feature flags as a set of words; empty where the system does not tell."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()


def free_memory():
    """Bytes of main memory that this process may still take; where the system does not tell, 8 GB.

    What is free or can be freed, and no more than the control groups around the process leave (containers, Slurm).
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 8 * 10**9
    for limit, usage, statistics in _memory_groups():
        try:
            # What a group, those inside it included, holds of files can be freed.
            files = [int(line.split()[1]) for line in statistics.splitlines() if "inactive_file" in line]
            free = min(free, int(limit) - int(usage) + max(files, default=0))
        except ValueError:  # "max": no limit
            pass
    return max(free, 0)


def _memory_groups(groups="/proc/self/cgroup", root="/sys/fs/cgroup"):
    """(limit, usage, statistics) as the system writes them, of each control group around this process."""
    try:
        with open(groups, encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return
    for _, controllers, path in lines:
        if controllers == "":  # version 2
            top, names = pathlib.Path(root), ("memory.max", "memory.current", "memory.stat")
        elif "memory" in controllers.split(","):
            top = pathlib.Path(root, "memory")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
        else:
            continue
        # Inside a container the path may be one of the outside, and the root the group itself.
        folder = top / path.lstrip("/")
        for inside in (folder, *folder.parents):
            try:
                yield [(inside / name).read_text(encoding="ascii") for name in names]
            except OSError:
                pass
            if inside == top:
                break


def auto_precision(training):
    """The Keras policy that `--precision auto` means on this stack row and processor.

    GPUs of compute capability 8.0 and up, and CPUs with bfloat16 arithmetic, get mixed_bfloat16 (on row 2
    CPUs only for training: TensorFlow 2.21 gains nothing at inference); everything else float32.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return "mixed_bfloat16" if tuple(capability) >= (8, 0) else "float32"
    has_bfloat16 = bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})
    return "mixed_bfloat16" if has_bfloat16 and (training or ROW == 1) else "float32"


@contextlib.contextmanager
def precision(policy):
    """Layers made inside take the Keras policy `policy`; the global policy is as before afterwards."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def profiled_planes(path):
    """What TensorFlow's profiler wrote into an .xplane.pb file, as protocol buffers."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with open(path, "rb") as file:
        return xplane_pb2.XSpace.FromString(file.read()).planes

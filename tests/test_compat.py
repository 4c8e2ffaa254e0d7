"""Where the two stack rows meet: policies, what `--precision auto` means, and which Keras is on."""

import os
import subprocess
import sys

import pytest

from tfdeblur import compat
from tfdeblur.compat import auto_precision, precision, tf


def global_policy():
    return tf.keras.mixed_precision.global_policy().name


# ----------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("policy", compat.PRECISIONS)
def test_layers_made_inside_take_the_policy_and_others_do_not(policy):
    with precision(policy):
        inside = tf.keras.layers.Dense(1)
    outside = tf.keras.layers.Dense(1)
    assert inside.dtype_policy.name == policy
    assert inside.variable_dtype == "float32" and inside.compute_dtype == policy.removeprefix("mixed_")
    assert outside.dtype_policy.name == "float32"


def test_the_policy_of_before_returns_after_an_exception():
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    with pytest.raises(KeyError), precision("mixed_float16"):
        assert global_policy() == "mixed_float16"
        raise KeyError
    assert global_policy() == "mixed_bfloat16"


def test_policies_nest():
    with precision("mixed_bfloat16"):
        with precision("float32"):
            assert global_policy() == "float32"
        assert global_policy() == "mixed_bfloat16"
    assert global_policy() == "float32"


def test_an_unknown_policy_changes_nothing():
    with pytest.raises(ValueError), precision("float8"):
        pass
    assert global_policy() == "float32"


# ----------------------------------------------------------------------------------------- auto


@pytest.fixture
def machine(monkeypatch):
    """Function that makes auto_precision believe in a machine: row, processor flags, and the GPUs' capabilities."""

    def pretend(row, flags=(), capabilities=()):
        monkeypatch.setattr(compat, "ROW", row)
        monkeypatch.setattr(compat, "cpu_flags", lambda: set(flags))
        gpus = [f"GPU:{n}" for n in range(len(capabilities))]
        details = [{} if c is None else {"compute_capability": c} for c in capabilities]
        details = dict(zip(gpus, details, strict=True))
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus if kind == "GPU" else ["CPU:0"])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)

    return pretend


@pytest.mark.parametrize(
    "row, flags, training, expected",
    [
        (1, {"avx512_bf16"}, True, "mixed_bfloat16"),
        (1, {"avx512_bf16"}, False, "mixed_bfloat16"),
        (2, {"avx512_bf16"}, True, "mixed_bfloat16"),
        (2, {"avx512_bf16"}, False, "float32"),  # TensorFlow 2.21 gains nothing there
        (1, {"amx_bf16"}, False, "mixed_bfloat16"),
        (1, {"avx2", "avx512f"}, True, "float32"),
        (2, {"avx2", "avx512f"}, True, "float32"),
        (1, set(), True, "float32"),
        (2, set(), False, "float32"),
    ],
)
def test_auto_on_a_cpu(machine, row, flags, training, expected):
    machine(row, flags)
    assert auto_precision(training) == expected


@pytest.mark.parametrize("row", [1, 2])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "capability, expected",
    [((9, 0), "mixed_bfloat16"), ((8, 0), "mixed_bfloat16"), ((7, 5), "float32"), (None, "float32")],
)
def test_auto_on_a_gpu(machine, row, training, capability, expected):
    # The processor's flags do not matter then.
    machine(row, {"avx512_bf16"} if expected == "float32" else set(), [capability])
    assert auto_precision(training) == expected


def test_cpu_flags_are_words():
    flags = compat.cpu_flags()
    assert all(flag and " " not in flag for flag in flags)
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert "sse2" in flags  # every x86_64 processor has it


def test_cpu_flags_without_a_system_that_tells(monkeypatch):
    def missing(*arguments, **options):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert compat.cpu_flags() == set()


# ----------------------------------------------------------------------------------------- memory


def test_free_memory_is_no_more_than_the_groups_leave(monkeypatch):
    monkeypatch.setattr(compat, "_memory_groups", lambda: [])
    outside = compat.free_memory()
    assert 10**7 < outside < 10**14
    groups = [
        ("max", "5", "inactive_file 1"),
        ("9223372036854771712", "5", ""),
        ("3000000", "1000000", "anon 9\ninactive_file 500000\nactive_file 7"),
        ("4000000", "1000000", "inactive_file 8\ntotal_inactive_file 100000"),
    ]
    monkeypatch.setattr(compat, "_memory_groups", lambda: groups[:2])
    assert outside / 2 < compat.free_memory() < 2 * outside
    monkeypatch.setattr(compat, "_memory_groups", lambda: groups)
    assert compat.free_memory() == 2_500_000
    monkeypatch.setattr(compat, "_memory_groups", lambda: groups[:2] + groups[3:])
    assert compat.free_memory() == 3_100_000
    monkeypatch.setattr(compat, "_memory_groups", lambda: [("10", "20", "")])
    assert compat.free_memory() == 0


@pytest.mark.parametrize(
    "groups, root, names",
    [
        ("0::/a/b\n", "", ("memory.max", "memory.current", "memory.stat")),
        ("5:cpu:/x\n4:memory:/a/b\n", "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")),
    ],
)
def test_the_groups_around_a_process(tmp_path, groups, root, names):
    (tmp_path / "cgroup").write_text(groups)
    for folder, value in (("a", "1"), ("", "2")):  # none in a/b: in a container only the root may be there
        (tmp_path / root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (tmp_path / root / folder / name).write_text(value + name[7])
    found = list(compat._memory_groups(tmp_path / "cgroup", tmp_path))
    assert found == [[value + name[7] for name in names] for value in "12"]


def test_free_memory_without_a_system_that_tells(monkeypatch):
    def missing(*arguments, **options):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert compat.free_memory() == 8 * 10**9
    assert list(compat._memory_groups("/proc/self/cgroup")) == []


# ----------------------------------------------------------------------------------------- which Keras


def test_the_row_is_that_of_the_python():
    assert compat.ROW == (1 if sys.version_info < (3, 12) else 2)
    minor = int(tf.__version__.split(".")[1])
    assert minor == 15 if compat.ROW == 1 else minor >= 18


def run(program, **environment):
    """Runs a program in a fresh interpreter; a value of None unsets a variable."""
    variables = {**os.environ, **environment}
    variables = {name: value for name, value in variables.items() if value is not None}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=variables)


USE = """
from tfdeblur.compat import tf
layer = tf.keras.layers.Conv2D(2, 3)
layer(tf.zeros([1, 4, 4, 1]))
package = type(layer).__module__.split(".")[0]
import importlib.metadata
print(package, importlib.metadata.version(package))
"""


def assert_uses_keras_2(done):
    assert done.returncode == 0, done.stderr
    package, version = done.stdout.split()
    assert package == ("keras" if compat.ROW == 1 else "tf_keras") and version.startswith("2.")


def test_keras_2_also_where_the_environment_asks_for_the_other_one():
    # "1" would need tf-keras, which row 1 does not have, and "0" is Keras 3 on row 2.
    assert_uses_keras_2(run(USE, TF_USE_LEGACY_KERAS="1" if compat.ROW == 1 else "0"))


@pytest.mark.parametrize("value", [None, "1"])
def test_tensorflow_imported_first(value):
    if compat.ROW == 1 and value:
        pytest.skip("would need tf-keras, which row 1 does not have")
    done = run("import tensorflow\n" + USE, TF_USE_LEGACY_KERAS=value)
    if compat.ROW == 1 or value:
        assert_uses_keras_2(done)
    else:
        # Keras 3 is in there already: one line that says what to do, at the end of the traceback.
        assert done.returncode != 0
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("ImportError: TensorFlow was imported before tfdeblur with Keras 3: ")
        assert "TF_USE_LEGACY_KERAS=1" in last

"""Who takes part in a training, and which samples each gets."""

import json
import os
import pathlib
import stat
import subprocess

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.training.strategy import is_chief, is_multi_worker, make_strategy, shares

CLUSTER = pathlib.Path(__file__).resolve().parents[2] / "experiments" / "cluster"


def contexts(workers, replicas):
    return [tf.distribute.InputContext(workers, worker, replicas) for worker in range(workers)]


@pytest.mark.parametrize("workers, replicas", [(1, 1), (1, 2), (2, 2), (2, 4), (4, 4)])
@pytest.mark.parametrize("updates", [1, 3])
def test_in_each_update_the_replicas_together_see_the_batch_of_one(workers, replicas, updates):
    taken = [share for context in contexts(workers, replicas) for share in shares(context, 4, 4 * updates)]
    assert len(taken) == replicas
    by_update = [share.reshape(updates, -1) for share in taken]
    for update in range(updates):
        together = np.concatenate([share[update] for share in by_update])
        np.testing.assert_array_equal(together, 4 * update + np.arange(4))


def test_a_replica_takes_its_slice_of_each_updates_batch():
    (first, second) = shares(tf.distribute.InputContext(1, 0, 2), 4, 8)
    assert first.tolist() == [0, 1, 4, 5] and second.tolist() == [2, 3, 6, 7]


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(DeblurError, match="--config.batch_size=3: is the global batch .* multiple of the 2 replicas"):
        shares(tf.distribute.InputContext(1, 0, 2), 3, 3)


def test_without_gpus_and_a_cluster_there_is_one_device_and_one_chief(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name in ("auto", "one_device"):
        strategy = make_strategy(name)
        assert strategy.num_replicas_in_sync == 1
        assert is_chief(strategy) and not is_multi_worker(strategy)


def test_mirrored_takes_all_logical_devices(two_cpus):
    del two_cpus  # made first: its collective keys are those of the session
    assert make_strategy("mirrored").num_replicas_in_sync == len(tf.config.list_logical_devices("CPU")) == 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "{", "3", '{"cluster": {"worker": ["a:1"]}}', '{"cluster": 3, "task": {}}'),
        *(
            f'{{"cluster": {{{cluster}}}, "task": {{"type": "{kind}", "index": {index}}}}}'
            for cluster, kind, index in [
                ('"worker": ["a:1", "b:2"]', "worker", 2),
                ('"worker": ["a:1", "b:2"]', "worker", -1),
                ('"worker": ["a:1", "b:2"]', "wroker", 0),
                ('"worker": ["a:1", "b:2"]', "chief", 0),
                ('"workers": ["a:1", "b:2"]', "workers", 0),
                ('"worker": "a:1,b:2"', "worker", 0),
                ('"worker": 2', "worker", 0),
            ]
        ),
    ],
)
def test_a_cluster_that_cannot_be_read_is_one_line(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(DeblurError, match="TF_CONFIG") as caught:
        make_strategy("multi_worker")
    if text:
        with pytest.raises(DeblurError, match="TF_CONFIG"):
            make_strategy("auto")  # each machine would train by itself
    assert "\n" not in str(caught.value)


def test_slurms_launcher_tells_each_worker_of_all_others(tmp_path):
    """The script itself, with stand-ins for Slurm's two commands and for tfdeblur."""
    stand_ins = {
        "scontrol": 'printf "node1\\nnode2\\n"',
        "srun": 'SLURM_PROCID=0 "$@"; SLURM_PROCID=1; export SLURM_PROCID; "$@"',
        "tfdeblur": f'echo "$TF_CONFIG" >> {tmp_path}/configs; echo "$@" >> {tmp_path}/arguments',
    }
    for name, body in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nexport SLURM_PROCID\n{body}\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "123", "SLURM_JOB_NODELIST": "n"}
    command = ["sh", str(CLUSTER / "slurm.sh"), "--config", "madn/gopro", "--workdir", "a b"]
    subprocess.run(command, env=env, check=True)
    found = [json.loads(line) for line in (tmp_path / "configs").read_text().splitlines()]
    cluster = {"worker": ["node1:20123", "node2:20123"]}
    assert found == [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    line = "supervise -- train --strategy multi_worker --config madn/gopro --workdir a b"
    assert (tmp_path / "arguments").read_text().splitlines() == [line, line]

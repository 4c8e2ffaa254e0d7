"""Which devices and machines share a training, and who of them writes its files."""

import json
import os

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")


def make_strategy(name):
    """The tf.distribute strategy of a name in STRATEGIES.

    Must be called before TensorFlow computes anything: "multi_worker" joins the cluster that the environment
    variable TF_CONFIG describes, and waits until all its workers are there. "mirrored" takes all GPUs, or where there
    is none, all logical CPU devices. "auto": multi_worker if TF_CONFIG names several workers, mirrored if there are
    several GPUs, else one_device.

    Raises:
      DeblurError: TF_CONFIG is missing or cannot be read.
    """
    if name not in STRATEGIES:
        raise DeblurError(f"--strategy={name}: choose {', '.join(STRATEGIES)}")
    gpus = tf.config.list_physical_devices("GPU")
    if name == "auto":
        several_workers = len(_cluster().get("worker", ())) + len(_cluster().get("chief", ())) > 1
        name = "multi_worker" if several_workers else "mirrored" if len(gpus) > 1 else "one_device"
    if name == "multi_worker":
        if not _cluster():
            raise DeblurError(
                "--strategy=multi_worker: the environment variable TF_CONFIG names no cluster; see experiments/cluster"
            )
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=tf.distribute.experimental.CommunicationImplementation.AUTO
        )
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    if name == "mirrored":
        kind = "GPU" if gpus else "CPU"
        return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)])
    return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")


def _cluster():
    """The cluster of TF_CONFIG, {} without one."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return {}
    try:
        found = json.loads(text)
        cluster, task = found["cluster"], found["task"]
        if not cluster.keys() <= {"chief", "worker"} or not all(isinstance(hosts, list) for hosts in cluster.values()):
            raise ValueError("tasks that are neither chief nor worker, or no lists of hosts")
        if not 0 <= int(task["index"]) < len(cluster[task["type"]]):
            raise ValueError("an index beyond the list")
        return cluster
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise DeblurError(
            f"TF_CONFIG={text[:60]}: must be like "
            '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
        ) from error


def is_chief(strategy):
    """Whether this process writes the run's files; of several workers the first does, and everybody reads them."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    there = resolver.cluster_spec().as_dict()
    return resolver.task_type == "chief" or ("chief" not in there and resolver.task_id == 0)


def is_multi_worker(strategy):
    return getattr(strategy.extended, "_in_multi_worker_mode", lambda: False)()


def shares(context, batch_size, samples):
    """Which of a step's samples each replica of this worker takes.

    Args:
      context: tf.distribute.InputContext.
      batch_size: pairs of the global batch.
      samples: pairs that a step takes from the data: a multiple of `batch_size` where each of several updates has a
        batch of its own.

    Returns:
      [an int array of places for each local replica]: of every batch the replica's slice, so that the replicas
      together see in each update what one replica would.

    Raises:
      DeblurError: the global batch does not divide.
    """
    replicas = context.num_replicas_in_sync
    if batch_size % replicas:
        raise DeblurError(
            f"--config.batch_size={batch_size}: is the global batch and must be a multiple of the {replicas} replicas"
        )
    places = np.arange(samples).reshape(samples // batch_size, replicas, batch_size // replicas)
    local = replicas // context.num_input_pipelines
    first = context.input_pipeline_id * local
    return [places[:, replica].ravel() for replica in range(first, first + local)]

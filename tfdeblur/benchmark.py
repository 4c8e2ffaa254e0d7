"""How fast this machine trains and restores, as a fraction of what its convolutions can do."""

import statistics
import time

from tfdeblur import systems
from tfdeblur.compat import precision, tf
from tfdeblur.data.pipeline import with_targets
from tfdeblur.inference import restore_batch
from tfdeblur.info import multiply_accumulates_of

_PEAK_SHAPE = (1, 256, 256, 128)  # of the convolution that stands for the machine's peak: 3x3, 128 to 128 channels


def inference(config, size, batch_size, policy, rounds):
    """Times one forward pass of a configuration's network.

    Args:
      config: ConfigDict.
      size: (height, width) of the images; they are padded to the network's multiple as everywhere.
      batch_size: images in a call.
      policy: Keras policy.
      rounds: timed calls; the peak is measured between them.

    Returns:
      {"what", "precision", "seconds", "megapixels_per_second", "macs", "gmacs_per_second", "peak_gmacs_per_second",
      "fraction_of_peak"}; times are medians over the rounds.
    """
    with precision(policy):
        net = systems.build_from(config)
    images = tf.random.stateless_uniform([batch_size, *size, 3], [0, 1])
    forward = tf.function(lambda x: restore_batch(net, x))
    return _measure(forward, (images,), policy, "inference", rounds, batch_size * size[0] * size[1])


def training(config, policy, rounds):
    """Times one training step of a configuration on random images (both players, without the data pipeline)."""
    system = systems.system(config.system)
    with precision(policy):
        trainer = system.make_trainer(config)
    blurred, sharp = (
        tf.random.stateless_uniform([config.batch_size, config.crop, config.crop, 3], [0, n]) for n in (1, 2)
    )
    batch = with_targets(blurred, sharp, **system.TARGETS)
    step = tf.function(trainer.train_step)
    return _measure(step, (batch,), policy, "training", rounds, config.batch_size * config.crop**2)


def _measure(function, arguments, policy, what, rounds, pixels):
    concrete = function.get_concrete_function(*arguments)
    macs = multiply_accumulates_of(concrete)
    peak = _peak_convolution("float32" if policy == "float32" else policy.removeprefix("mixed_"))
    for warm_up in (function, peak):
        _seconds(warm_up, arguments if warm_up is function else ())
    times, peak_times = [], []
    # Interleaved, so that a busy machine slows both alike.
    for _ in range(rounds):
        times.append(_seconds(function, arguments))
        peak_times.append(_seconds(peak))
    seconds = statistics.median(times)
    _, height, width, channels = _PEAK_SHAPE
    peak_speed = height * width * channels * channels * 9 / statistics.median(peak_times)
    return {
        "what": what,
        "precision": policy,
        "seconds": seconds,
        "megapixels_per_second": pixels / 1e6 / seconds,
        "macs": macs,
        "gmacs_per_second": macs / 1e9 / seconds,
        "peak_gmacs_per_second": peak_speed / 1e9,
        "fraction_of_peak": macs / seconds / peak_speed,
    }


def _peak_convolution(dtype):
    """One large 3x3 convolution with bias and ReLU."""
    channels = _PEAK_SHAPE[-1]
    images = tf.cast(tf.random.stateless_uniform(_PEAK_SHAPE, [0, 1]), dtype)
    kernel = tf.cast(tf.random.stateless_normal([3, 3, channels, channels], [0, 2]), dtype)
    bias = tf.zeros([channels], dtype)
    return tf.function(lambda: tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel, 1, "SAME"), bias)))


def _seconds(function, arguments=()):
    begin = time.perf_counter()
    result = function(*arguments)
    for tensor in tf.nest.flatten(result):
        tensor.numpy()  # waits for the device
    return time.perf_counter() - begin

"""How fast this machine trains and restores, as a fraction of what its convolutions can do, and reads its data."""

import collections
import concurrent.futures
import glob
import math
import os
import re
import resource
import statistics
import sys
import tempfile
import time

import numpy as np

from tfdeblur import runtimes, systems
from tfdeblur.compat import graph_function, precision, profiled_planes, tf
from tfdeblur.data import prepared
from tfdeblur.data.images import write_image
from tfdeblur.data.photographs import TEST, TRAIN, photograph
from tfdeblur.data.pipeline import batches, make_batch
from tfdeblur.data.shake import Shake
from tfdeblur.data.sources import folder_pairs, silent
from tfdeblur.data.store import open_store
from tfdeblur.errors import DeblurError
from tfdeblur.export import export_for_runtime
from tfdeblur.inference import Deblurrer, restore_batch
from tfdeblur.info import multiply_accumulates_of
from tfdeblur.ops.geometry import mirror_index
from tfdeblur.ops.ranges import uint8_to_01
from tfdeblur.tiles import GRID

_PEAK_SHAPE = (1, 256, 256, 128)  # of the convolution that stands for the machine's peak: 3x3, 128 to 128 channels


def inference(config, size, batch_size, policy, rounds, xla=False, profile=False):
    """Times one forward pass of a configuration's network.

    Args:
      config: ConfigDict.
      size: (height, width) of the images; they are padded to the network's multiple as everywhere.
      batch_size: images in a call.
      policy: Keras policy.
      rounds: timed calls; the peak is measured between them.
      xla: compile the call by XLA.
      profile: also say where the time goes, see `time_by_operation`.

    Returns:
      {"what", "precision", "xla", "seconds", "images_per_second", "megapixels_per_second", "macs", "gmacs_per_second",
      "peak_gmacs_per_second", "fraction_of_peak", "operations" if wanted}; times are medians over the rounds.
    """
    with precision(policy):
        net = systems.build_from(config)
    images = tf.random.stateless_uniform([batch_size, *size, 3], [0, 1])
    forward = graph_function(lambda x: restore_batch(net, x), jit_compile=xla)
    result = _measure(forward, (images,), policy, rounds, batch_size, batch_size * size[0] * size[1])
    return _told("inference", result, xla, profile and time_by_operation(forward, (images,)))


def restoring(config, size, policy, **options):
    """Restores one image of noise of `size` (height, width) as `deblur` does, in tiles where it does not fit.

    Memory is the process's: measure each in a fresh one, as `tfdeblur benchmark` is.

    Args:
      config, size, policy: see `inference`; weights are the initial ones.
      **options: of `Deblurrer.configure`.

    Returns:
      {"size", "precision", "tiles": how many, "tile": (height, width) of the largest, "overlap", "seconds",
      "cpu_seconds": of all cores together, which a busy machine changes little, "bytes_per_pixel": as estimated,
      "start_bytes": the most before it began, "most_bytes": the most that the process ever held}.
    """
    with precision(policy):
        net = systems.build_from(config)
    deblurrer = Deblurrer.of_network(net, {"config": config.to_dict()}).configure(**options)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    deblurrer.restore(image[:64, :64])  # traces
    start_bytes = _most_bytes()
    seen = []
    run = deblurrer._run
    deblurrer._run = lambda part: seen.append(part.shape[:2]) or run(part)
    begin, cpu_begin = time.perf_counter(), time.process_time()
    deblurrer.restore(image)
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    return {
        "size": list(size),
        "precision": policy,
        "tiles": len(seen),
        "tile": list(max(seen)),
        "overlap": deblurrer.overlap,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "bytes_per_pixel": deblurrer.bytes_per_pixel(),
        "start_bytes": start_bytes,
        "most_bytes": _most_bytes(),
    }


def restoring_table(result):
    """The result of `restoring` as text."""
    height, width = result["size"]
    tall, wide = result["tile"]
    megapixels = height * width / 1e6
    how = f"{result['tiles']} tiles of {wide}x{tall}, overlap {result['overlap']}" if result["tiles"] > 1 else "whole"
    seconds, cpu_seconds = result["seconds"] / megapixels, result["cpu_seconds"] / megapixels
    return (
        f"{width}x{height} in {result['precision']}, {how}: {result['seconds']:.1f} s, "
        f"{seconds:.2f} s per megapixel ({cpu_seconds:.2f} s of one core)\n"
        f"memory {result['most_bytes'] / 1e9:.2f} GB, {result['start_bytes'] / 1e9:.2f} GB before; estimated "
        f"{result['bytes_per_pixel']:.0f} bytes per pixel of a tile"
    )


def seams_table(result):
    """The result of `seams` as text."""
    lines = [f"tiles of {result['tile']}, difference to the whole image in levels of 1/255"]
    for overlap, error in result["levels"].items():
        lines.append(f"overlap {overlap:4}: largest {error['largest']:7.3f}, 99.99% {error['99.99%']:7.3f}")
    reach = ", ".join(f"{level:g}: {pixels}" for level, pixels in result["reach"].items())
    return "\n".join([*lines, f"pixels from a cut within which the result differs by this many levels: {reach}"])


def _most_bytes():
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if sys.platform == "darwin" else 1024)


def seams(deblurrer, images, tile, overlaps):
    """How much tiles change the result, against that of the whole image.

    Args:
      deblurrer: a Deblurrer.
      images: {name: uint8 [H, W, 3]}, whose results fit the memory.
      tile: side of the tiles.
      overlaps: what they share, a list.

    Returns:
      {"tile", "levels": {overlap: {"largest", "99.99%", "mean"}} over all images, before rounding, 1 being 1/255;
      "reach": {level: pixels from an image's new border, behind which cutting it there changes less than `level`}}.
    """
    if deblurrer.fixed_size:
        raise DeblurError(f"{deblurrer.path}: an export for one size has tiles of its own; name another model")
    for name, image in images.items():
        height, width = image.shape[:2]
        if max(height, width) <= tile or width < 2 * GRID:
            raise DeblurError(
                f"{name}: {width}x{height} is one tile of {tile}, or too narrow; name a larger one or a smaller --tile"
            )
    levels, profiles = collections.defaultdict(list), []
    for image in images.values():
        image = uint8_to_01(image).numpy()
        whole = deblurrer.configure(tile=0).restore(image)
        cut = image.shape[1] // 2 // GRID * GRID
        half = deblurrer.restore(np.ascontiguousarray(image[:, :cut]))
        profiles.append(255 * np.abs(half - whole[:, :cut]).max(axis=(0, 2))[::-1])
        for overlap in overlaps:
            tiled = deblurrer.configure(tile=tile, overlap=overlap).restore(image)
            levels[overlap].append(255 * np.abs(tiled - whole).ravel())
    told = {}
    for overlap, errors in levels.items():
        errors = np.concatenate(errors)
        told[overlap] = {
            "largest": float(errors.max()),
            "99.99%": float(np.percentile(errors, 99.99)),
            "mean": float(errors.mean()),
        }
    reach = {
        level: max(int(np.flatnonzero(profile >= level).max(initial=-1)) + 1 for profile in profiles)
        for level in (8, 4, 2, 1, 0.5)
    }
    return {"tile": tile, "levels": told, "reach": reach}


def exports(deblurrer, size, rounds):
    """Times a network in each runtime that is installed, one call after another in turn, on a photograph.

    Args:
      deblurrer: a Deblurrer with a network.
      size: (height, width) of the photograph, which is cropped or mirrored to it.
      rounds: timed calls.

    Returns:
      {"size", "runtimes": {name: {"seconds": median, "speed": TensorFlow's seconds over these, "psnr": in dB, of the
      result to TensorFlow's; None where they are equal} or {"error": why there is no such export}}}.
    """
    images = [uint8_to_01(photograph(name))[None] for name in (*TEST, *TRAIN)]
    image = images[0]
    for axis, length in ((1, size[0]), (2, size[1])):
        image = tf.gather(image, mirror_index(image.shape[axis], length), axis=axis)[:, : size[0], : size[1]]
    run = {"tensorflow": graph_function(lambda x: restore_batch(deblurrer.net, x))}
    errors = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tflite", "onnx", "openvino", "openvino int8"):
            out, (runtime, *int8) = os.path.join(folder, name), name.split()
            options = {"size": size} if runtime == "tflite" else {}
            if int8:
                options["calibration"] = [x[:, :256, :256].numpy() for x in images[len(TEST) :]]
            try:
                export_for_runtime(deblurrer, out, runtime, **options)
                run[name] = runtimes.load(runtime, out)
            except DeblurError as error:
                errors[name] = str(error)
        results = {name: function(image).numpy() for name, function in run.items()}  # the first call is slower
        times = collections.defaultdict(list)
        for _ in range(rounds):
            for name, function in run.items():
                times[name].append(_seconds(function, (image,)))
    told = {}
    for name in run:
        error = float(np.mean((results[name] - results["tensorflow"]) ** 2))
        told[name] = {
            "seconds": statistics.median(times[name]),
            "speed": statistics.median(times["tensorflow"]) / statistics.median(times[name]),
            "psnr": -10 * math.log10(error) if error else None,
        }
    told |= {name: {"error": error} for name, error in errors.items()}
    return {"size": list(size), "runtimes": told}


def exports_table(result):
    """The result of `exports` as text."""
    height, width = result["size"]
    lines = [f"{width}x{height}, the median of calls in turn; the speed as a multiple of TensorFlow's"]
    for name, told in result["runtimes"].items():
        if "error" in told:
            lines.append(f"{name:14} {told['error']}")
            continue
        difference = f", {told['psnr']:.1f} dB from TensorFlow's result" if told["psnr"] else ""
        lines.append(f"{name:14} {told['seconds']:.3f} s, {told['speed']:.2f}{difference}")
    return "\n".join(lines)


def training(config, policy, rounds, xla=False, profile=False):
    """Times one training step of a configuration on random images (both players, without the data pipeline)."""
    system = systems.system(config.system)
    with precision(policy):
        trainer = system.make_trainer(config)
    noise = np.random.default_rng(0).integers(
        0, 256, (system.samples_per_step(config), 2, config.crop, config.crop, 3), np.uint8
    )
    batch = tf.nest.map_structure(tf.constant, make_batch(noise, **system.TARGETS))
    step = graph_function(trainer.train_step, jit_compile=xla)
    result = _measure(step, (batch,), policy, rounds, config.batch_size, config.batch_size * config.crop**2)
    return _told("training", result, xla, profile and time_by_operation(step, (batch,)))


def _told(what, result, xla, operations):
    return {"what": what, "xla": xla, **result, **({"operations": operations} if operations else {})}


def time_by_operation(function, arguments):
    """{kind of operation: share of the time that the processor's threads spent in operations}, the largest first.

    Of one call, by TensorFlow's profiler; on a CPU.
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        _seconds(function, arguments)
        tf.profiler.experimental.stop()
        (path,) = glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True)
        planes = profiled_planes(path)
    spent = collections.Counter()
    for plane in planes:
        for line in plane.lines:
            for event in line.events:
                # An operation is called "name:Kind", what surrounds it "Class::method".
                operation = re.fullmatch(r"[^:]+:(\w+)", plane.event_metadata[event.metadata_id].name)
                if operation:
                    spent[operation[1]] += event.duration_ps
    return {kind: time / sum(spent.values()) for kind, time in spent.most_common()}


def input_pipeline(config, batch_size, rounds, data_dir=None):
    """Times the data pipeline: prepared, decoded images in the page cache to batches, beside plain PNG decoding.

    Args:
      config: ConfigDict: crop, augmentation, and the system whose targets are made.
      batch_size: pairs in a batch.
      rounds: timed rounds, of all measurements in turn; medians are given.
      data_dir: a prepared folder; None: 16 made-up pairs of 1280x720, kept in a temporary folder.

    Returns:
      {"crop", "batch_size", "augmentation", "pairs_per_second": {"crops": n, "crops and targets": n, "png decoding":
      n}}; the last decodes both whole PNGs of a pair and crops, on as many threads as there are cores.
    """
    with tempfile.TemporaryDirectory() as folder:
        if data_dir:
            source = prepared.open_prepared(data_dir, "train", Shake())
            source.check(config.crop)
            store = source.store
        else:
            source = _made_up_frames(folder)
            store = open_store(source, source.check(), os.path.join(folder, "store"), log=silent)
        few = range(min(len(source), 16))
        files = [[_png(image) for image in source.pair(index)] for index in few]
        options = {"crop": config.crop, "batch_size": batch_size, "seed": 0, "augmentation": config.augmentation}
        targets = systems.system(config.system).TARGETS
        pipelines = {
            "crops": iter(batches(source, store, **options)),
            "crops and targets": iter(batches(source, store, **options, **targets)),
        }
        speeds = {name: [] for name in (*pipelines, "png decoding")}
        for _ in range(rounds):
            for name, batch in pipelines.items():
                speeds[name].append(_pairs_per_second(batch, batch_size))
            speeds["png decoding"].append(_png_pairs_per_second(files, config.crop))
    return {
        "crop": config.crop,
        "batch_size": batch_size,
        "augmentation": config.augmentation,
        "targets": targets,
        "source": source.description["source"],
        "pairs_per_second": {name: statistics.median(values) for name, values in speeds.items()},
    }


def input_table(result):
    """The result of `input_pipeline` as lines of text."""
    speeds = result["pairs_per_second"]
    lines = [
        f"pairs of {result['crop']}x{result['crop']} crops a second, batches of {result['batch_size']}, augmentation "
        f"{result['augmentation']}, {result['source']}"
    ]
    for name, speed in speeds.items():
        lines.append(f"{name:18} {speed:8,.0f}   {speed / speeds['png decoding']:6.1f} x PNG decoding")
    return "\n".join(lines)


_SECONDS = 2.0  # of each timed stretch of the data pipeline


def _made_up_frames(folder):
    """Pairs of 1280x720: a photograph, enlarged and turned, and the same blurred."""
    sharp = np.asarray(photograph("chelsea.png"))
    tall = np.tile(sharp, (3, 3, 1))[:720, :1280]
    for index in range(16):
        turned = np.roll(tall, 37 * index, axis=1)
        pair = {"blur": (turned // 2 + np.roll(turned, 1, axis=1) // 2), "sharp": turned}
        for kind, image in pair.items():
            os.makedirs(os.path.join(folder, kind), exist_ok=True)
            write_image(os.path.join(folder, kind, f"{index:06}.png"), image)
    return folder_pairs(os.path.join(folder, "blur"), os.path.join(folder, "sharp"))


def _png(image):
    import cv2

    return cv2.imencode(".png", image)[1]


def _pairs_per_second(iterator, batch_size):
    for _ in range(4):  # what was made ahead while nobody timed
        next(iterator)
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < _SECONDS:
        next(iterator)
        count += batch_size
    return count / (time.perf_counter() - begin)


def _png_pairs_per_second(files, crop):
    import cv2

    def read(pair):
        return [cv2.imdecode(file, cv2.IMREAD_COLOR)[:crop, :crop].copy() for file in pair]

    count, begin = 0, time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while time.perf_counter() - begin < _SECONDS:
            count += len(list(pool.map(read, files)))
    return count / (time.perf_counter() - begin)


def _measure(function, arguments, policy, rounds, images, pixels):
    macs = multiply_accumulates_of(function.python_function, *arguments)
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
        "precision": policy,
        "seconds": seconds,
        "images_per_second": images / seconds,
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
    return graph_function(lambda: tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel, 1, "SAME"), bias)))


def _seconds(function, arguments=()):
    begin = time.perf_counter()
    result = function(*arguments)
    for tensor in tf.nest.flatten(result):
        tensor.numpy()  # waits for the device
    return time.perf_counter() - begin

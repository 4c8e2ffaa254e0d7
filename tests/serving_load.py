"""Eight threads ask an export for images, good and bad ones, and check each answer: `python -m tests.serving_load`.

The export runs in a session, as in TensorFlow Serving; HTTP and base64 are not in the numbers.
"""

import argparse
import collections
import io
import os
import resource
import tempfile
import threading
import time

import numpy as np
from PIL import Image

import tfdeblur
from tests import encoded
from tests.encoded import encode
from tests.rest import Served
from tfdeblur import serving
from tfdeblur.compat import STACK, tf
from tfdeblur.data.photographs import photograph
from tfdeblur.export import export_saved_model
from tfdeblur.inference import Deblurrer


def requests(restore, max_pixels):
    """{kind: ([files], [what `answers` is to give for each])} for an export that restores as `restore` does."""
    photo = photograph("chelsea.png")
    large, small = photo[:256, :384], photo[100:196, 100:228]
    pictures = {"PNG 384x256": encode(large), "JPEG 384x256": encode(large, "JPEG"), "PNG 128x96": encode(small)}
    good = {kind: ([file], [restore(_decoded(file))]) for kind, file in pictures.items()}
    width = 2**16 - 1
    bomb = f"{width}x{width} has more pixels than this model takes ({max_pixels}): make the image smaller"
    bad = {
        "half a PNG": (encode(large)[:30000], serving.DAMAGED),
        "half a JPEG": (encode(large, "JPEG")[:5000], serving.DAMAGED),
        "GIF": (encode(large, "GIF"), serving.OTHER_FORMAT),
        "bomb": (encoded.png(width, width, [bytes(9)]), bomb),
        "empty": (b"", serving.EMPTY),
    }
    bad = {kind: ([file], [error]) for kind, (file, error) in bad.items()}
    three = [good["PNG 128x96"], bad["half a JPEG"], good["JPEG 384x256"]]
    mixed = {"good, bad, good": tuple(sum(parts, []) for parts in zip(*three, strict=True))}
    return {**good, **bad, **mixed}


def answers(served, files):
    """The image of each file, or what is wrong with it."""
    answer = served.run("serve_bytes", {"image_bytes": np.array(files, object)})
    pairs = zip(answer["restored_bytes"], answer["error"], strict=True)
    return [error.decode() if error else _decoded(png) for png, error in pairs]


def drive(served, cases, threads, seconds, seed=0):
    """({kind: [seconds of each request]}, [kinds that were answered wrongly], seconds that it took)."""
    taken, wrong = collections.defaultdict(list), []
    stop = time.monotonic() + seconds

    def work(number):
        rng = np.random.default_rng([seed, number])
        while time.monotonic() < stop:
            kind = list(cases)[rng.integers(len(cases))]
            files, expected = cases[kind]
            began = time.monotonic()
            try:
                given = answers(served, files)
            except tf.errors.OpError as error:
                given = [error] * len(files)
            taken[kind].append(time.monotonic() - began)
            if not all(np.array_equal(one, other) for one, other in zip(given, expected, strict=True)):
                wrong.append(kind)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return dict(taken), wrong, time.monotonic() - began


def report(taken, wrong, seconds):
    """Lines of a table."""
    total = sum(map(len, taken.values()))
    yield f"{total} requests in {seconds:.1f} s: {total / seconds:.1f} a second, {len(wrong)} answered wrongly"
    yield f"{'':18}{'requests':>9}{'p50':>9}{'p95':>9}{'p99':>9}   milliseconds"
    for kind, times in sorted(taken.items()):
        p50, p95, p99 = 1000 * np.percentile(times, [50, 95, 99])
        yield f"{kind:18}{len(times):9}{p50:9.0f}{p95:9.0f}{p99:9.0f}"


def _decoded(file):
    return np.array(Image.open(io.BytesIO(file)))


def _rss():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--config", default="madn/demo", help="whose network is served, with its first weights")
    arguments = parser.parse_args()

    from tests.conftest import load_experiment

    net = tfdeblur.systems.build_from(load_experiment(arguments.config))
    net(tf.zeros([1, 64, 64, 3]))
    deblurrer = Deblurrer.of_network(net, {})
    with tempfile.TemporaryDirectory() as folder:
        export_saved_model(deblurrer, os.path.join(folder, "1"))
        served = Served(os.path.join(folder, "1"))
    cases = requests(deblurrer.restore, serving.MAX_PIXELS)
    for files, _ in cases.values():
        answers(served, files)
    before, worked = _rss(), time.process_time()
    lines = report(*(result := drive(served, cases, arguments.threads, arguments.seconds)))
    worked = (time.process_time() - worked) / sum(map(len, result[0].values()))
    print(f"{STACK}, {os.cpu_count()} cores, {arguments.config}, {arguments.threads} threads", *lines, sep="\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"processor: {worked:.2f} s a request")
    print(f"memory: {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at most, {_rss() / 1e6:.0f} MB after")
    return 1 if result[1] else 0


if __name__ == "__main__":
    raise SystemExit(main())

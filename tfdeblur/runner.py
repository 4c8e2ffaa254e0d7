"""Joins systems, data, training and metrics: `train` and `evaluate` as functions."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import operator
import os
import sys
import textwrap

import ml_collections
import numpy as np
import tqdm

import tfdeblur
from tfdeblur import metrics, systems
from tfdeblur.compat import PRECISIONS, ROW, STACK, auto_precision, graph_function, precision, tf
from tfdeblur.data import layouts, prepared, records, shaken, sources
from tfdeblur.data.images import IMAGE_SUFFIXES, read_photograph, some_of, write_image, write_photograph
from tfdeblur.data.layouts import BLUR_KINDS
from tfdeblur.data.mixed import MixedSource
from tfdeblur.data.pipeline import AUGMENTATIONS, batches
from tfdeblur.data.shake import Shake
from tfdeblur.data.store import open_store
from tfdeblur.errors import DeblurError
from tfdeblur.inference import load, restore_batch
from tfdeblur.metrics.hsic import PIXELS, hsic, sample_pixels
from tfdeblur.ops.geometry import pad_to_multiple
from tfdeblur.ops.ranges import to_uint8, uint8_to_01
from tfdeblur.training import loop
from tfdeblur.training.checkpoints import Checkpoints
from tfdeblur.training.clipping import CLIP_MODES
from tfdeblur.training.strategy import is_chief, make_strategy, shares
from tfdeblur.training.supervised import freeze_alike

EMBEDDED_SHAKES = 3  # kernels for each embedded test photograph


def say(line):
    """A line for the person who waits; results go to stdout, this does not."""
    print(line, file=sys.stderr, flush=True)


def progress(iterable, description="", unit="image", total=None, initial=0):
    """A progress bar with ETA on stderr; a line now and then where stderr is a file.

    `total` where the iterable has no length; `initial` of it were done before.
    """
    interval = 0.5 if sys.stderr.isatty() else 20.0
    bar = {"desc": description, "unit": unit, "mininterval": interval, "dynamic_ncols": True}
    return tqdm.tqdm(iterable, total=total, initial=initial, **bar)


# ----------------------------------------------------------------------------------------------- data


def make_source(
    config,
    split,
    *,
    data_dir=None,
    dataset=None,
    manual_dir=None,
    gopro_dir=None,
    blur_dir=None,
    sharp_dir=None,
    synthesize=False,
    blur_kind=None,
    seed=0,
):
    """The source that the DATA arguments of the command line name.

    Args:
      config: a configuration; `blur_kind` and the shake family are taken from it.
      split: "train" or "test", where the data have splits.
      data_dir | dataset and manual_dir | gopro_dir | blur_dir and sharp_dir | sharp_dir and synthesize | nothing (the
        embedded photographs).
      blur_kind: "blur" or "blur_gamma" instead of the configuration's.
      seed: of the made-up shakes that `pair` shows, which are those of an evaluation. Training draws fresh ones
        from the configuration's seed; keeping the two apart gives every training seed the same test.

    Raises:
      DeblurError: a combination that means nothing, or what the source finds.
    """
    if not 0 <= seed < 2**32:
        raise DeblurError(f"--seed={seed}: must lie in 0 .. 2**32 - 1")
    places = {
        "--data_dir": data_dir,
        "--dataset": dataset,
        "--gopro_dir": gopro_dir,
        "--blur_dir": blur_dir,
        "--sharp_dir": sharp_dir,
    }
    given = [flag for flag, value in places.items() if value]
    if len(given) > 1 and given != ["--blur_dir", "--sharp_dir"]:
        raise DeblurError(f"{' and '.join(given)} exclude each other: they name different data")
    if bool(dataset) != bool(manual_dir):
        raise DeblurError("--dataset and --manual_dir belong together: which data set, and the folder of its files")
    if synthesize and given not in (["--data_dir"], ["--sharp_dir"]):
        raise DeblurError("--synthesize blurs sharp photographs: it needs --sharp_dir or --data_dir, and no --blur_dir")
    if blur_kind and (synthesize or not given):
        raise DeblurError("--blur_kind says which blur real pairs hold: it needs pairs, such as --gopro_dir")
    kind = blur_kind or config.blur_kind
    if data_dir:
        return _declared(_open_data(data_dir, split, kind, synthesize and shake_family(config), seed), kind)
    if dataset:
        found = sources.dataset_splits(dataset, manual_dir, say)
        if split not in found:
            raise DeblurError(f"--dataset={dataset}: has no split {split}, but {', '.join(found)}")
        return _declared(found[split], kind)
    if gopro_dir:
        return sources.gopro_pairs(gopro_dir, split, kind)
    if blur_dir:
        if not sharp_dir:
            raise DeblurError(f"--blur_dir={blur_dir} needs --sharp_dir beside it")
        return sources.folder_pairs(blur_dir, sharp_dir, kind)
    if sharp_dir:
        if not synthesize:
            raise DeblurError(f"--sharp_dir={sharp_dir} needs --blur_dir beside it, or --synthesize")
        return shaken.sharp_folder(sharp_dir, shake_family(config), seed)
    repeats = EMBEDDED_SHAKES if split == "test" else 1
    return shaken.embedded(split, shake_family(config), seed, repeats)


def with_photographs(pairs, photographs_dir, config):
    """`pairs` mixed half and half with the photographs of a folder, shaken as `config` says."""
    if pairs.description["blur_kind"] == "synthesized":
        raise DeblurError("--photographs_dir is mixed with real pairs: it needs --gopro_dir, --blur_dir or such")
    return MixedSource(pairs, shaken.sharp_folder(photographs_dir, shake_family(config)))


def held_out_source(config, source, **data):
    """The test split of the data of a training; None where there is none, which is said.

    Args:
      config, **data: what `make_source` made the training's `source` of, before photographs were mixed in.
    """
    try:
        found = make_source(config, "test", **data)
    except DeblurError as error:
        say(f"no held-out PSNR, no best checkpoint: {error}")
        return None
    if found.description == source.description:
        say("no held-out PSNR, no best checkpoint: the data have no test split of their own")
        return None
    return found


def _open_data(folder, split, blur_kind, shake, seed):
    """What `tfdeblur prepare` or TFDS made in a folder."""
    if prepared.is_prepared(folder):
        source = prepared.open_prepared(folder, split, shake, seed)
        if shake and source.description["blur_kind"] != "synthesized":
            raise DeblurError(f"--data_dir={folder}: holds pairs; leave out --synthesize")
        return source
    if not os.path.isdir(folder):
        raise DeblurError(f"--data_dir={folder}: no such folder")
    if not records.built_datasets(folder):
        raise DeblurError(
            f"--data_dir={folder}: neither tfdeblur prepare nor TFDS made this folder; prepare it first, or use "
            "--gopro_dir, or --blur_dir and --sharp_dir"
        )
    if shake:
        raise DeblurError(f"--data_dir={folder}: holds pairs; leave out --synthesize")
    return records.open_records(folder, split, blur_kind)


def _declared(source, blur_kind):
    """The source; DeblurError where it holds the other kind of GoPro's two: 3 dB, and nobody would notice."""
    held = source.description["blur_kind"]
    if held in BLUR_KINDS and held != blur_kind:
        raise DeblurError(
            f"the data hold blur kind '{held}' and '{blur_kind}' is asked for; add --blur_kind={held}, or take others"
        )
    return source


def sources_to_prepare(source, manual_dir=None, blur_kind=None):
    """{split: source} of what `tfdeblur prepare` is given.

    Args:
      source: "<dataset>" or "<dataset>/<config>" with `manual_dir`; or a folder.
      blur_kind: which blur the pairs of a folder hold, and which folder of a GOPRO tree is taken; None: "blur".

    Raises:
      DeblurError: neither a data set nor a folder that is understood, or what its source finds.
    """
    name = source.partition("/")[0]
    if name in layouts.DATASETS and (manual_dir or not os.path.isdir(source)):
        if not manual_dir:
            say(layouts.DATASETS[name].instructions)
            raise DeblurError(f"{source}: add --manual_dir, the archive or the folder of its files; see above")
        if blur_kind:
            raise DeblurError(f"--blur_kind={blur_kind} is for folders: name the config, as in gopro/{blur_kind}")
        return sources.dataset_splits(source, manual_dir, say)
    blur_kind = blur_kind or "blur"
    if manual_dir:
        raise DeblurError(f"{source}: no such data set; choose {', '.join(layouts.DATASETS)}")
    if not os.path.isdir(source):
        raise DeblurError(f"{source}: neither a data set ({', '.join(layouts.DATASETS)}) nor a folder")
    if both := sources.find_folders(source):
        return {prepared.ALL: sources.folder_pairs(*both, blur_kind)}
    inner = os.path.join(source, "GOPRO_Large")
    source = inner if os.path.isdir(inner) else source
    splits = [split for split in layouts.GOPRO_PAIRS if os.path.isdir(os.path.join(source, split))]
    if splits:
        found = {}
        for split in splits:
            both = sources.find_folders(os.path.join(source, split))
            found[split] = (
                sources.folder_pairs(*both, blur_kind) if both else sources.gopro_pairs(source, split, blur_kind)
            )
        return found
    if built := records.built_datasets(source):
        there = [split for split in ("train", "test") if any(path.glob(f"*-{split}.*") for path in built)]
        return {split: records.open_records(source, split, blur_kind) for split in there}
    found = sources.sharp_photographs(source)
    pairs = {"blur", "blurred", "blur_gamma", "input", "target", "gt", "blurryimages"}
    inside = sorted({part for name in found.names for part in name.split("/")[:-1] if part.lower() in pairs})
    inside += [name for name in found.names if name.split("/")[-1].startswith(("Blurry", "GroundTruth"))][:1]
    if inside:
        raise DeblurError(
            f"{source}: holds {', '.join(inside)}, but not as one of: <split>/<sequence>/{{blur,sharp}}, "
            "{blur,sharp}, {input,target}; for a data set's own layout give its name and --manual_dir"
        )
    return {prepared.ALL: found}


def prepare(found, out):
    """Decodes {split: source} into the folder `out`; one split that fails does not stop the others."""
    if os.path.exists(out) and not os.path.isdir(out):
        raise DeblurError(f"--out={out}: is a file; name a folder")
    prepared.refuse_small_disk(found, out)
    failures = []
    for split, source in found.items():
        say(f"{split}: {_describe(source)}")
        try:
            prepared.prepare(source, split, out, lambda items: progress(items, "decode"), say)
        except DeblurError as error:
            failures.append(f"{split}: {error}")
    if failures:
        raise DeblurError("; ".join(failures))


def shake_family(config):
    """The `Shake` of a configuration."""
    return Shake(
        length=tuple(config.shake_length),
        angle=tuple(config.shake_angle),
        anxiety=config.shake_anxiety,
        noise=config.shake_noise,
    )


# ----------------------------------------------------------------------------------------------- training


def resolve_precision(name, training):
    """The Keras policy for `--precision`."""
    if name == "auto":
        return auto_precision(training)
    if name not in PRECISIONS:
        raise DeblurError(f"--precision={name}: choose auto, {', '.join(PRECISIONS)}")
    return name


def train(
    config,
    workdir,
    source,
    precision_name="auto",
    cache_dir=None,
    strategy_name="auto",
    on_nonfinite="stop",
    held_out=None,
    start_from=None,
):
    """Trains the system of `config` on `source`; resumes what `workdir` holds.

    Args:
      config: ConfigDict, see experiments/.
      workdir: folder for checkpoints, TensorBoard events, sample pictures and decoded images.
      source: see `make_source`.
      precision_name: "auto" or a Keras policy.
      cache_dir: where decoded images go instead of `<workdir>/cache`.
      strategy_name: see `make_strategy`.
      on_nonfinite: see `loop.run`.
      held_out: the source of other pairs, see `held_out_source`: every `image_every` steps and at the end a few of
        them are restored and scored, and the best weights are kept; or None.
      start_from: a model (see `inference.load`) whose weights the generator has before the first step; or None.

    Returns:
      The last step's logs.
    """
    check_config(config)
    if start_from == "":
        raise DeblurError("--start_from: names nothing; leave it out to start from random weights")
    strategy = make_strategy(strategy_name)
    policy = resolve_precision(precision_name, training=True)
    say(f"{config.system}: {device()}, {policy}, {STACK}")
    sizes = source.check(config.crop, log=say)
    say(_describe(source))

    try:
        os.makedirs(workdir, exist_ok=True)
    except OSError as error:
        raise DeblurError(f"--workdir={workdir}: cannot make that folder ({error.strerror})") from error
    with loop.outside_the_loop(strategy), _lock(workdir) if is_chief(strategy) else contextlib.nullcontext():
        return _train(config, workdir, source, sizes, policy, cache_dir, strategy, on_nonfinite, held_out, start_from)


def open_images(source, sizes, cache_dir):
    """The decoded images of a source: those that were prepared, or kept in `cache_dir` from now on."""
    prepared_store = getattr(source, "store", None)
    return prepared_store or open_store(source, sizes, cache_dir, lambda items: progress(items, "decode"), say)


@contextlib.contextmanager
def _lock(workdir):
    """One training at a time in a work directory; the system frees the lock however the process ends."""
    try:
        lock = open(os.path.join(workdir, "lock"), "w")  # noqa: SIM115
    except OSError as error:
        raise DeblurError(f"--workdir={workdir}: cannot be written to ({error.strerror})") from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DeblurError(f"{workdir}: another training is running there; wait, or name another folder") from error
        yield


def _train(config, workdir, source, sizes, policy, cache_dir, strategy, on_nonfinite, held_out, start_from):
    tf.keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    system = systems.system(config.system)
    with precision(policy), strategy.scope():
        trainer = system.make_trainer(config)
        if config.ema_decay:
            trainer.keep_average(system.build_from(config), config.ema_decay)
    if getattr(trainer.objective, "features", None) and config.vgg_weights == "random":
        say("VGG19 has random weights, as the configuration says: no perceptual loss of the paper's")

    metadata = {
        "config": json.loads(config.to_json()),
        "data": source.description,
        "precision": policy,
        "version": tfdeblur.__version__,
        "stack_row": ROW,
        "start_from": start_from,
    }
    checkpoints = Checkpoints(workdir, trainer, metadata)
    checkpoints.refuse_other_training()
    if start_from and checkpoints.latest is None:
        with strategy.scope():
            _take_weights(trainer.generator, start_from)
    if is_chief(strategy):
        write_json(os.path.join(workdir, "config.json"), metadata)
    store = open_images(source, sizes, cache_dir or os.path.join(workdir, "cache"))

    def make_batches(start_step):
        samples = system.samples_per_step(config)

        def of_this_worker(context):
            return batches(
                source,
                store,
                crop=config.crop,
                batch_size=samples,
                seed=config.seed,
                start_step=start_step,
                augmentation=config.augmentation,
                shares=shares(context, config.batch_size, samples),
                **system.TARGETS,
            )

        return strategy.distribute_datasets_from_function(of_this_worker)

    writer = on_images = None
    if is_chief(strategy):
        writer = tf.summary.create_file_writer(os.path.join(workdir, "events"))
        on_images = _look_at(trainer, source, held_out, config, workdir, writer)
    return loop.run(
        trainer,
        make_batches,
        checkpoints,
        steps=config.steps,
        checkpoint_every=config.checkpoint_every,
        log_every=config.log_every,
        writer=writer,
        on_images=on_images,
        image_every=config.image_every,
        on_nonfinite=on_nonfinite,
    )


def _take_weights(generator, model):
    """Gives a network the weights of another one of the same kind and arguments."""
    net = load(model).need_net("--start_from")
    if type(net) is not type(generator):
        raise DeblurError(f"--start_from={model}: another network than this configuration's")
    # As JSON: a list and a tuple of widths are the same.
    theirs, ours = (json.loads(json.dumps(each.get_config(), default=str)) for each in (net, generator))
    different = [f"{name}={theirs.get(name)} (here {ours[name]})" for name in ours if theirs.get(name) != ours[name]]
    if different:
        raise DeblurError(f"--start_from={model}: a network of {', '.join(different)}; give the same --config.*")
    freeze_alike(net, generator)
    generator.set_weights(net.get_weights())


# What every system's configuration must hold; its own settings are in the system's SETTINGS.
SETTINGS = (
    *("system", "seed", "deterministic", "blur_kind", "crop", "batch_size", "augmentation"),
    *("shake_length", "shake_angle", "shake_anxiety", "shake_noise"),
    *("ema_decay", "steps", "checkpoint_every", "log_every", "image_every"),
)


def check_config(config):
    """DeblurError for what would only fail hours later or deep inside."""
    for key in ("system", *SETTINGS):
        if key not in config:
            raise DeblurError(f"the configuration lacks '{key}'; experiments/madn/gopro.py shows all settings")
    known = {*SETTINGS, *systems.system(config.system).SETTINGS}
    for key in sorted(known ^ set(config)):
        if key in config:
            raise DeblurError(f"--config.{key}: {config.system} has no such setting")
        raise DeblurError(f"the configuration lacks '{key}', which {config.system} needs")
    choices = {"augmentation": tuple(AUGMENTATIONS), "grad_clip_mode": CLIP_MODES, "blur_kind": BLUR_KINDS}
    for key, valid in choices.items():
        if key in config and config[key] not in valid:
            raise DeblurError(f"--config.{key}={config[key]}: choose {', '.join(valid)}")
    for key in ("steps", "batch_size", "crop", "checkpoint_every", "log_every"):
        if config[key] < 1:
            raise DeblurError(f"--config.{key}={config[key]}: must be at least 1")
    if not 0 <= config.ema_decay < 1:
        raise DeblurError(f"--config.ema_decay={config.ema_decay}: must lie in 0 .. 1, below 1")
    for key in config:
        above_0 = key.endswith(("learning_rate", "decay_power", "feature_scale", "discriminator_width"))
        if above_0 and not 0 < config[key] < float("inf"):
            raise DeblurError(f"--config.{key}={config[key]}: must be a number above 0")
        if key.startswith("adam_beta") and not 0 <= config[key] < 1:
            raise DeblurError(f"--config.{key}={config[key]}: must lie in 0 .. 1, below 1")
        if key.startswith("lambda_") and not 0 <= config[key] < float("inf"):
            raise DeblurError(f"--config.{key}={config[key]}: must be a number from 0")
        if key.endswith("widths") and not all(isinstance(width, int) and width > 0 for width in config[key]):
            raise DeblurError(f"--config.{key}={tuple(config[key])}: must be whole numbers from 1")
    if config.get("constant_steps", 0) < 0:  # more than `steps` means that the rate never falls
        raise DeblurError(f"--config.constant_steps={config.constant_steps}: must be at least 0")
    if not 0 <= config.seed < 2**32:
        raise DeblurError(f"--config.seed={config.seed}: must lie in 0 .. 2**32 - 1")
    shake_family(config)


def _describe(source):
    data = source.description
    counted = f"{data['pairs']} pairs"
    if data.get("pairs_in_full", data["pairs"]) != data["pairs"]:
        counted = f"{data['pairs']} of the {data['pairs_in_full']} pairs of the full set"
    mixed = f" and {data['photographs']} photographs" if "photographs" in data else ""
    return f"data: {data['source']}, {counted}{mixed}, {_blur_of(data)}"


def _blur_of(data):
    """What blurred the images: a test on made-up shakes is another test under another family."""
    shake = data.get("shake")
    family = f" (shakes of {shake['length']} pixels at {shake['angle']} degrees)" if shake else ""
    return f"blur kind {data['blur_kind']}{family}"


def _look_at(trainer, source, held_out, config, workdir, writer):
    """What `loop.run` calls to look at the weights: the average where there is one, else the generator's.

    Returns:
      step -> the mean PSNR of up to 8 held-out pairs (protocol `psnr`, on centre crops of at most 512 pixels and 4
      training crops a side: not more than the forward pass of 128 training crops, 32 at crop 256), or None without
      such pairs; writes before | after | truth of the first one, or of the first training pair, to TensorBoard and to
      `<workdir>/samples`.
    """
    side = min(_LOOK_SIDE, 4 * config.crop)
    pairs = _centre_crops(held_out, _LOOK_AT, side) if held_out else _centre_crops(source, 1, side)
    blurred_psnr = float(np.mean([metrics.psnr(*pair) for pair in pairs]))
    if held_out:
        height, width = pairs[0][0].shape[:2]
        say(
            f"held out: {len(pairs)} pairs of {held_out.description['source']}, the {width}x{height} in their middle; "
            f"PSNR of the blurred images {blurred_psnr:.2f} dB"
        )
    net = trainer.generator if trainer.average is None else trainer.average
    restore = graph_function(lambda x: to_uint8(restore_batch(net, uint8_to_01(x[None])))[0])

    def look(step):
        restored = [restore(blurred).numpy() for blurred, _ in pairs]
        (blurred, sharp), after = pairs[0], restored[0]
        picture = np.concatenate([blurred, after, sharp], axis=1)
        with writer.as_default(step=step):
            tf.summary.image("before_after_truth", picture[None])
            if held_out:
                tf.summary.scalar("held_out/blurred_psnr", blurred_psnr)
        folder = os.path.join(workdir, "samples")
        os.makedirs(folder, exist_ok=True)
        write_image(os.path.join(folder, f"step_{step:07d}.png"), picture)
        if not held_out:
            return None
        return float(np.mean([metrics.psnr(after, sharp) for after, (_, sharp) in zip(restored, pairs, strict=True)]))

    return look


_LOOK_AT, _LOOK_SIDE = 8, 512  # pairs and pixels


def _centre_crops(source, count, side):
    """[(blurred, sharp)] of up to `count` pairs, evenly spaced over the source: their middles, all of one size, at most
    `side` a side, uint8 [h, w, 3]."""
    chosen = np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(int))
    pairs = [source.pair(int(index)) for index in chosen]
    height, width = (min(side, *(sharp.shape[axis] for _, sharp in pairs)) for axis in (0, 1))

    def crop(image):
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        return image[top : top + height, left : left + width].copy()  # the frame around it is not kept

    return [(crop(blurred), crop(sharp)) for blurred, sharp in pairs]


def device():
    """What the arithmetic runs on, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"GPU {details.get('device_name', gpus[0].name)}" + (f" x {len(gpus)}" if len(gpus) > 1 else "")
    return f"CPU with {os.cpu_count()} cores"


# ----------------------------------------------------------------------------------------------- evaluation


def evaluate(deblurrer, source, protocols, seed=0):
    """Scores a model under named protocols.

    Args:
      deblurrer: has `restore` and `metadata`.
      source: see `make_source`; its `pair` gives full frames.
      protocols: list of `metrics.Protocol`.
      seed: of the random crops, for the protocols that cut them.

    Returns:
      (results, rows): results as in results.json ({"model", "weights", "system", "data", "images", "metrics",
      "blurred", "not_scored", "sequences", "protocols", "warnings"}), rows one dict per image: {"image", <column>,
      "blurred_<column>"}, a column being a number of a protocol.
    """
    warnings = _blur_kind_warnings(deblurrer, source) + _best_warnings(deblurrer, source)
    for warning in warnings:
        say(f"warning: {warning}")
    say(f"evaluating on {device()}; {_describe(source)}")
    _refuse_too_small(dict(zip(source.names, source.check(log=say), strict=True)), protocols)
    rows, not_scored = [], {}
    for index in progress(range(len(source)), "evaluate"):
        row = {"image": source.names[index]}
        restored = {}  # of each region, which several protocols share
        blurred, sharp = source.pair(index)
        for protocol in protocols:
            top, left, height, width = metrics.region_box(protocol.region, *sharp.shape[:2], seed=seed, index=index)
            box = (slice(top, top + height), slice(left, left + width))
            if protocol.region not in restored:
                restored[protocol.region] = _restore(deblurrer, blurred[box], protocols)
            for prefix, score, image in (
                ("", protocol.score, restored[protocol.region][protocol.dtype]),
                ("blurred_", protocol.blurred_score or protocol.score, blurred[box]),
            ):
                truths = source.truths(index) if protocol.references == "all" else [sharp]
                try:
                    values = score(image, map(operator.itemgetter(box), truths))
                except metrics.NotScored as error:
                    values = [float("nan")] * len(protocol.columns)
                    not_scored.setdefault(prefix + protocol.name, {})[row["image"]] = str(error)
                row.update(zip((prefix + column for column in protocol.columns), values, strict=True))
        rows.append(row)

    for name, images in not_scored.items():
        warnings.append(f"{name}: {len(images)} of {len(rows)} images have no score: {some_of(images)}")
        say(f"warning: {warnings[-1]}")
    names = [column for protocol in protocols for column in protocol.columns]
    blurred_names = {name: f"blurred_{name}" for name in names}
    results = {
        "model": deblurrer.path,
        "weights": deblurrer.metadata.get("weights"),
        "system": deblurrer.metadata.get("config", {}).get("system"),
        "data": source.description,
        "images": len(rows),
        "seed": seed,
        "metrics": {name: _mean(rows, name) for name in names},
        "blurred": {name: _mean(rows, column) for name, column in blurred_names.items()},
        "not_scored": not_scored,
        "sequences": _by_sequence(rows, [*names, *blurred_names.values()]),
        "protocols": {protocol.name: protocol.description for protocol in protocols},
        "warnings": warnings,
    }
    return results, rows


def _restore(deblurrer, blurred, protocols):
    """{"uint8": restored, "float": restored} of an image; the second only where a protocol asks for it."""
    if all(protocol.dtype == "uint8" for protocol in protocols):
        return {"uint8": deblurrer.restore(blurred)}
    restored = deblurrer.restore(uint8_to_01(blurred).numpy())
    return {"uint8": to_uint8(restored).numpy(), "float": restored}


def _refuse_too_small(sizes, protocols):
    """DeblurError before the first image is restored where a protocol cannot score one of {name: size}."""
    for name, size in sizes.items():
        for protocol in protocols:
            try:
                protocol.check_size(*size)
            except DeblurError as error:
                raise DeblurError(f"{name}: {error}") from error


def _mean(rows, column):
    """Over the images that have a score both restored and blurred, so that the two can be compared; NaN if none has."""
    base = column.removeprefix("blurred_")
    values = [row[column] for row in rows if not np.isnan(row[base]) and not np.isnan(row[f"blurred_{base}"])]
    return float(np.mean(values)) if values else float("nan")


def _by_sequence(rows, names):
    """Means per sequence: what stands before the last "/" of the key; {} where no key has one."""
    sequences = {}
    for row in rows:
        if "/" in row["image"]:
            sequences.setdefault(row["image"].rsplit("/", 1)[0], []).append(row)
    return {
        sequence: {"images": len(members), **{name: _mean(members, name) for name in names}}
        for sequence, members in sequences.items()
    }


def _blur_kind_warnings(deblurrer, source):
    data = deblurrer.metadata.get("data", {})
    trained, scored = data.get("blur_kind"), source.description["blur_kind"]
    if not trained or trained == scored or (scored == "synthesized" and "photographs" in data):
        return []
    warning = f"the model was trained on blur kind '{trained}' and is scored on '{scored}'"
    if {trained, scored} == {"blur", "blur_gamma"}:
        warning += ": on GoPro that costs about 3 dB; do not compare these numbers with published ones"
    return [warning]


def feature_hsic(deblurrer, source, seed=0):
    """HSIC of a network's last features with the sharp and with the blurred images (EGNet's Table 5).

    The features are those that the last convolution takes, of the whole blurred image; see `metrics.hsic` for what is
    sampled.

    Args:
      deblurrer: of a training's or an import's folder; its network has `last_features`.
      source: see `make_source`; its `pair` gives full frames, of two pixels at least.
      seed: of the pixels that are drawn.

    Returns:
      {"sharp": mean over the images, "blurred": likewise, "sharp_over_blurred": one over the other, the table's number,
      "pixels": most that are drawn of an image}.
    """
    net = deblurrer.need_net("--hsic")
    if not hasattr(net, "last_features"):
        raise DeblurError("--hsic: only egnet and mprnet tell what their last convolution takes")

    @graph_function(input_signature=[tf.TensorSpec([None, None, 3], tf.float32), tf.TensorSpec([None], tf.int64)])
    def features_of(image, pixels):
        height, width = tf.unstack(tf.shape(image)[:2])
        features = net.last_features(pad_to_multiple(image[None], net.size_multiple))[0, :height, :width]
        return tf.gather(tf.reshape(features, [-1, features.shape[-1]]), pixels)

    source.check()
    scores = []
    for index in progress(range(len(source)), "hsic"):
        blurred, sharp = source.pair(index)
        if blurred.shape[0] * blurred.shape[1] < 2:
            raise DeblurError(f"--hsic: {source.names[index]} is a single pixel, and two samples are the least")
        pixels = sample_pixels(*sharp.shape[:2], seed=seed, index=index)
        features = features_of(uint8_to_01(blurred), pixels)
        scores.append([hsic(features, image.reshape(-1, 3)[pixels]) for image in (sharp, blurred)])
    of_sharp, of_blurred = (float(score) for score in np.mean(scores, axis=0))
    ratio = of_sharp / of_blurred if of_blurred else float("nan")
    return {"sharp": of_sharp, "blurred": of_blurred, "sharp_over_blurred": ratio, "pixels": PIXELS}


def _best_warnings(deblurrer, source):
    trained = deblurrer.metadata.get("data", {}).get("source")
    if deblurrer.metadata.get("weights") != "best" or trained != source.description["source"]:
        return []
    return ["the weights were chosen by their PSNR on some of the held-out pairs, so that the scores flatter them"]


def check_targets(*paths, picture=None):
    """DeblurError now for a file that could not be written after hours of scoring; makes its folder."""
    if picture and os.path.splitext(picture)[1].lower() not in IMAGE_SUFFIXES:
        raise DeblurError(f"{picture}: name a picture, for example bars.png")
    for path in filter(None, (*paths, picture)):
        folder = os.path.dirname(os.path.abspath(path))
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise DeblurError(f"{path}: cannot make its folder ({error.strerror})") from error
        if os.path.isdir(path) or not os.access(folder, os.W_OK):
            raise DeblurError(f"{path}: {'is a folder' if os.path.isdir(path) else 'its folder cannot be written to'}")


def write_results(results, rows, out=None, csv_path=None):
    """Writes results.json and the per-image CSV; an infinite PSNR (identical images) is the string "inf", a
    missing score "nan"."""
    import csv
    import io

    if out:
        write_json(out, results)
    if csv_path:
        text = io.StringIO()
        table = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(csv_path, text.getvalue())


def write_json(path, value):
    """Writes JSON as `write_text` does; numbers that are not finite as strings."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n")


def _finite(value):
    """JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def write_text(path, text):
    """Writes a whole file or none."""
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        # A name that is not UTF-8 becomes an escape, in JSON a valid one.
        with open(path + ".tmp", "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.replace(path + ".tmp", path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(path + ".tmp")
        raise DeblurError(f"{path}: cannot write it ({error.strerror})") from error


def table(results):
    """The results as lines of text: protocol, restored, blurred input, the sequences, and what may be compared."""
    count, data = results["images"], results["data"]
    lines = [
        f"{count} image{'s' if count != 1 else ''}, {data['source']}, {_blur_of(data)}",
        f"{'protocol':26} {'restored':>10} {'blurred':>10}",
    ]
    for name, value in results["metrics"].items():
        lines.append(f"{name:26} {value:10.4f} {results['blurred'][name]:10.4f}")
    for sequence, means in results["sequences"].items():
        scores = "  ".join(
            f"{name} {means[name]:.4f} (blurred {means[f'blurred_{name}']:.4f})" for name in results["metrics"]
        )
        lines.append(f"  {sequence} ({means['images']}): {scores}")
    if "hsic" in results:
        lines.append(
            "hsic of the last features: sharp {sharp:.5f}, blurred {blurred:.5f}, "
            "sharp / blurred {sharp_over_blurred:.4f}".format(**results["hsic"])
        )
    for name, description in results["protocols"].items():
        lines += textwrap.wrap(f"{name}: {description}", metrics.LISTING_WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def config_of(deblurrer):
    """The configuration of a model as a ConfigDict."""
    return ml_collections.ConfigDict(deblurrer.metadata["config"])


# ----------------------------------------------------------------------------------------------- restoring files


def deblur_files(deblurrer, jobs, side_by_side=False, draw=None):
    """Restores image files one by one, see `deblur_file`.

    Args:
      jobs: [(input path, output path)], with `draw` a picture's path as third.

    Returns:
      One line for each file that failed, or was not tried as the disk is full; the others are written. What a file or
      format could not hold is said at the end, in one line for all files that share it.
    """
    failures, notes = [], {}
    for number, (source_path, *targets) in enumerate(progress(jobs, "deblur"), start=1):
        try:
            for note in deblur_file(deblurrer, source_path, targets, side_by_side, draw):
                notes.setdefault(note, []).append(source_path)
        except DeblurError as error:
            failures.append(str(error))
            if getattr(error.__cause__, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                failures += [f"{path}: not tried, as the disk is full" for path, *_ in jobs[number:]]
                break
    for note, paths in notes.items():
        say(f"{some_of(paths)}: {note}")
    return failures


def deblur_file(deblurrer, source_path, targets, side_by_side=False, draw=None):
    """Restores an image file; alpha, grey, depth, colour profile and EXIF stay where the output can hold them.

    Args:
      deblurrer: has `restore`.
      source_path: the input.
      targets: (output path,), with `draw` a picture's path as second; folders are made.
      side_by_side: write before and after beside one another.
      draw: uint8 image -> (uint8 picture, line), see `report.figure_of`; or None.

    Returns:
      What the file or format could not hold, a few words each.

    Raises:
      DeblurError: the file cannot be read, restored or written.
    """
    target, *pictures = targets
    try:
        blurred = read_photograph(source_path)
        try:
            restored = dataclasses.replace(blurred, pixels=deblurrer.restore(blurred.pixels))
        except DeblurError as error:
            raise DeblurError(f"{source_path}: {error}") from error
        os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
        lost = write_photograph(target, _beside(blurred, restored) if side_by_side else restored)
        for path in pictures:
            picture, line = draw(blurred.as_8_bit())
            write_image(path, picture)
            say(f"{path}: {line}")
    except OSError as error:
        raise DeblurError(f"{target}: {error.strerror or error}") from error
    except (MemoryError, tf.errors.OpError) as error:
        reason = "too large for the memory" if isinstance(error, MemoryError) else error.message.splitlines()[0]
        raise DeblurError(f"{source_path}: {reason}") from error
    return [*blurred.notes, *lost]


def _beside(before, after):
    """Two photographs of one size side by side; without EXIF, which tells of one of them."""
    pixels = np.concatenate([before.pixels, after.pixels], axis=1)
    alpha = None if before.alpha is None else np.concatenate([before.alpha, after.alpha], axis=1)
    return dataclasses.replace(after, pixels=pixels, alpha=alpha, exif=None)

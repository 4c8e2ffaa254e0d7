"""Blurred and sharp pairs made and written to disk: from consecutive frames, and from sharp photographs."""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import secrets
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

import tfdeblur
from tfdeblur.data import frames as frame_sources
from tfdeblur.data import gyro
from tfdeblur.data.images import (
    image_header,
    images_by_name,
    odd_ones,
    read_file,
    read_image,
    refuse_undecodable,
    some_of,
    write_image,
)
from tfdeblur.data.kernels import centre_of_energy, read_kernels
from tfdeblur.data.response import response
from tfdeblur.data.shake import NOISE, PHOTOGRAPHS, blur, generator, random_kernel
from tfdeblur.errors import DeblurError
from tfdeblur.report import contact_sheet
from tfdeblur.runner import progress, say

_ROWS = 6  # pairs on a contact sheet
_SAVE_EVERY = 100  # pairs after which the JSON is brought up to date, besides the end
# Of the three bytes of a pixel, those that a PNG takes: 0.30 to 0.42 for frames of GoPro, 0.55 to 0.74 for the
# photographs of Kodak.
_PNG_SHARE = 0.5
# Pixels that neighbours may move by. GoPro's 240 fps frames move by 2 to 5, at 60 fps it would be 10 to 16.
_GHOSTS = 8.0


@dataclasses.dataclass
class Made:
    """What a run did.

    Attributes:
      folder: where the JSON and the contact sheet are.
      pairs: how many pairs are there now.
      before: how many of them were there already.
      failures: a line for each pair that could not be made, and for other damage.
      sheet: path of the contact sheet, or None.
    """

    folder: str
    pairs: int
    before: int
    failures: list
    sheet: str


# ----------------------------------------------------------------------------------------------- frames


def from_frames(
    source,
    out,
    lengths=(7, 13),
    crf="gamma2.2",
    rounding="round",
    split="train",
    sequence=None,
    interpolate=None,
    between=7,
    max_pairs=None,
    seed=0,
):
    """Averages consecutive sharp frames into a sequence of a GOPRO tree.

    Writes <out>/<split>/<sequence>/{blur or blur_gamma, sharp}/<number>.png, numbered from 1 by their windows, with
    synthesis_<kind>.json and contact_<kind>.jpg beside them: the kind is `blur` for a linear response, `blur_gamma`
    for any other. Goes on where an equal earlier run stopped.

    Args:
      source: a video, or a folder of frames in the order of their numbers.
      out: the tree's root.
      lengths: (shortest, longest) number of frames for a pair.
      crf, rounding: see `tfdeblur.data.response`.
      split: "train" or "test".
      sequence: name of the sequence; None: the source's.
      interpolate: "package.module:function", see `tfdeblur.data.frames.load_interpolation`; None: no frames between.
      between: how many frames it gives between two neighbours.
      max_pairs: no more windows than that; None: all.
      seed: of the windows' lengths.

    Returns:
      `Made`.

    Raises:
      DeblurError: nothing can be made, the folder holds something else, or it cannot be written.
    """
    _check_seed(seed)
    if not 2 <= lengths[0] <= lengths[1]:
        raise DeblurError(f"--frames={lengths[0]}..{lengths[1]}: need two frames or more, the smaller number first")
    if between < 1:
        raise DeblurError(f"--between={between}: needs one frame or more")
    curve = response(crf)
    kind = "blur" if crf == "linear" else "blur_gamma"
    sequence = _sequence_name(source, sequence)
    folder = Path(out, split, sequence)
    _refuse_inputs_among_results(source, [folder / kind, folder / "sharp"])
    frames = frame_sources.FrameFolder(source) if os.path.isdir(source) else frame_sources.Video(source)
    shared = {
        **frames.description,
        "frames": list(lengths),
        "truth": "frame n // 2 of n, counted from 0",
        "rounding": rounding,
        "interpolate": interpolate,
        "between": between if interpolate else 0,
        "seed": seed,
    }
    pairs = _Pairs(folder, kind, f"synthesis_{kind}.json", {**shared, "crf": curve.description})
    for other in {"blur", "blur_gamma"} - {kind}:
        pairs.refuse_other(other, shared)
    if pairs.complete and isinstance(frames, frame_sources.Video):
        say(f"{folder}: complete")  # and an hour of video need not be read to find that out
        return pairs.result([], before=len(pairs.entries))
    interpolation = frame_sources.load_interpolation(interpolate, between) if interpolate else None

    windows = itertools.islice(frame_sources.windows(*lengths, seed), max_pairs)
    if len(frames):
        windows = list(itertools.takewhile(lambda window: sum(window) <= len(frames), windows))
        if not windows:
            first = next(frame_sources.windows(*lengths, seed))[1]
            raise DeblurError(
                f"{source}: {_counted(len(frames), 'frame')}, the first pair takes {first}; lower --frames"
            )
        missing = 0
        for number, window in enumerate(windows, 1):
            pairs.confirm(f"{number:06d}", _window_entry(frames, *window))
            missing += not pairs.has(f"{number:06d}")
        say(f"{_counted(len(frames), 'frame')}, {_counted(len(windows), 'pair')} into {folder}")
        _check_space(folder, missing * frames.size[0] * frames.size[1], "make fewer with --max_pairs")
    _tell_odd_ones(frames.headers)

    failures, moved, before = [], {}, 0
    with pairs.kept():
        for number, window in enumerate(progress(windows, "synthesize", unit="pair"), 1):
            name = f"{number:06d}"
            entry = _window_entry(frames, *window)
            if pairs.has(name):
                pairs.entries[name] = entry
                before += 1
                continue
            try:
                sharp_frames = frames.window(*window)
            except frame_sources.EndOfFrames:
                break
            except (DeblurError, MemoryError) as error:
                failures.append(f"pair {name} is left out: {_reason(error)}")
                continue
            pairs.add(name, *frame_sources.average(sharp_frames, curve, rounding, interpolation), entry)
            if not interpolation:
                middle = len(sharp_frames) // 2
                moved[name] = frame_sources.motion(sharp_frames[middle - 1], sharp_frames[middle])
        ending = frames.ending()
        failures += [ending] if ending else []
        pairs.finish(complete=not failures and max_pairs is None, fps=frames.fps, left_out=failures)
    if not pairs.entries and not failures:
        raise DeblurError(f"{source}: too short for the first pair; lower --frames")
    ghosts = {name: distance for name, distance in moved.items() if distance > _GHOSTS}
    if ghosts:
        worst = max(ghosts, key=ghosts.get)
        say(
            f"warning: in {len(ghosts)} of {len(moved)} pairs neighbouring frames lie more than {_GHOSTS:g} pixels "
            f"apart (at most {ghosts[worst]:.0f}, pair {worst}): copies will show instead of blur; take more frames "
            "a second, or --interpolate"
        )
    pairs.draw_sheet(lambda name, entry: f"{name}: {entry['n']} frames, {entry['first']} to {entry['last']}")
    return pairs.result(failures, before)


def _window_entry(frames, start, length):
    first, sharp, last = (frames.label(index) for index in (start, start + length // 2, start + length - 1))
    return {"n": length, "first": first, "sharp": sharp, "last": last}


def _sequence_name(source, sequence):
    name = sequence
    if not name:
        name = os.path.basename(os.path.abspath(source))
        name = name if os.path.isdir(source) else os.path.splitext(name)[0]
    refuse_undecodable(name, source)
    if not name or name != os.path.basename(name) or name.startswith("."):
        raise DeblurError(f"--sequence={name}: give a name for a folder, without / and not beginning with a dot")
    return name


# ----------------------------------------------------------------------------------------------- photographs


class Shaken:
    """Random camera shake of the family `shake` (see `tfdeblur.data.shake.Shake`)."""

    def __init__(self, shake):
        self._shake = shake
        self.parameters = {"shake": dataclasses.asdict(shake)}

    has_kernels = True

    def draw(self, target, keys, repeat, size):
        """`_Blur` of the pair `target`: a function of the keys (seed, photograph) and the repeat, and nothing else."""
        del size
        kernel = random_kernel(generator(*keys, repeat, PHOTOGRAPHS), self._shake)
        return _Blur({"kernel": target, "kernel_size": list(kernel.shape)}, _convolution(kernel), kernel)

    @staticmethod
    def caption(entry):
        return "kernel {}x{}".format(*entry["kernel_size"])


class GivenKernels:
    """The kernels of a file, drawn for each photograph without repetition until all have had their turn."""

    def __init__(self, path):
        self._kernels = read_kernels(path)
        described = {}
        for name, kernel in self._kernels.items():
            centre = [round(offset, 3) for offset in centre_of_energy(kernel)]
            described[name] = {"size": list(kernel.shape), "moves_right_and_down": centre}
        self.parameters = {"kernels": _file(path), "normalised": described}
        off = {name: max(map(abs, one["moves_right_and_down"])) for name, one in described.items()}
        off = [f"{name} by {distance:.1f}" for name, distance in off.items() if distance > 0.5]
        if off:
            say(f"warning: {path}: kernels off their centre move the image, in pixels: {some_of(off)}")

    has_kernels = True

    def draw(self, target, keys, repeat, size):
        """See `Shaken.draw`."""
        del target, size
        order = generator(*keys, 0, PHOTOGRAPHS).permutation(len(self._kernels))
        name = list(self._kernels)[order[repeat % len(order)]]
        return _Blur({"kernel": name}, _convolution(self._kernels[name]), self._kernels[name])

    @staticmethod
    def caption(entry):
        return f"kernel {entry['kernel']}"


class GyroShake:
    """Stretches of a recorded gyroscope trace, as long as the exposure.

    path: see `tfdeblur.data.gyro.read_trace`; exposure: (shortest, longest) in seconds, uniform; focal_length: in
    pixels, or None for that of a phone (26 mm on 35 mm film) at each photograph's size.
    """

    def __init__(self, path, exposure, focal_length=None):
        if not 0 < exposure[0] <= exposure[1] < float("inf"):
            raise DeblurError(f"--exposure={exposure[0]:g}..{exposure[1]:g}: need seconds above 0, the smaller first")
        if focal_length is not None and not 0 < focal_length < float("inf"):
            raise DeblurError(f"--focal_length={focal_length:g}: need pixels above 0")
        self._trace, self._exposure, self._focal_length = gyro.read_trace(path), exposure, focal_length
        self._trace.draw_start(generator(0), exposure[1])  # fails now where there is no stretch as long as that
        self.parameters = {
            "gyro": _file(path),
            "exposure": list(exposure),
            "focal_length": focal_length or "26 mm on 35 mm film, by the diagonal",
            "truth": "mean pose of the exposure",
        }

    has_kernels = False

    def draw(self, target, keys, repeat, size):
        """See `Shaken.draw`; the size of the photograph counts, too."""
        del target
        rng = generator(*keys, repeat, PHOTOGRAPHS)
        exposure = rng.uniform(*self._exposure)
        start = self._trace.draw_start(rng, exposure)
        focal_length = self._focal_length or gyro.default_focal_length(*size)
        moved = self._trace.homographies(start, exposure, *size, focal_length)
        centre, *corners = (round(extent, 2) for extent in gyro.extents(moved, *size))
        entry = {
            "start_ns": self._trace.start + round(start * 1e9),
            "exposure": exposure,
            "focal_length": focal_length,
            "samples": len(moved),
            "blur_pixels": {"centre": centre, "corners": corners},
        }
        return _Blur(entry, lambda sharp, *rest: gyro.blur_by_homographies(sharp, moved, *rest))

    @staticmethod
    def caption(entry):
        extents = entry["blur_pixels"]
        corners = ", ".join(f"{extent:.1f}" for extent in extents["corners"])
        return f"{entry['exposure']:.3g} s, blur of {extents['centre']:.1f} px at the centre, {corners} at the corners"


@dataclasses.dataclass
class _Blur:
    """What blurs one photograph: `entry` for the JSON, `apply` (sharp, rng, noise, response) -> uint8 [H, W, 3]."""

    entry: dict
    apply: callable
    kernel: np.ndarray = None


def _convolution(kernel):
    return lambda sharp, *rest: blur(sharp, kernel, *rest)


def from_photographs(source, out, blurrer, crf="gamma2.2", noise=0.0, count=1, seed=0):
    """Blurs sharp photographs.

    Writes <out>/blur/<name>.png and <out>/sharp/<name>.png (<name>_1.png, ... for count > 1), with synthesis.json,
    contact_blur.jpg and, where there are kernels, kernels.npz beside them. Goes on where an equal earlier run stopped.
    What a photograph gets depends on the seed and its name, not on the other photographs.

    Args:
      source: a folder of photographs (with all below it, names kept), or one.
      out: folder.
      blurrer: `Shaken`, `GivenKernels` or `GyroShake`.
      crf: see `tfdeblur.data.response.response`.
      noise: standard deviation of Gaussian noise in grey levels.
      count: pairs for each photograph.
      seed: of everything that is drawn.

    Returns:
      `Made`.

    Raises:
      DeblurError: nothing can be made, the folder holds something else, or it cannot be written.
    """
    _check_seed(seed)
    if count < 1:
        raise DeblurError(f"--count={count}: must be at least 1")
    if not 0 <= noise < float("inf"):
        raise DeblurError(f"--noise={noise}: needs grey levels from 0")
    curve = response(crf)
    folder = Path(out)
    _refuse_inputs_among_results(source, [folder / "blur", folder / "sharp"])
    if os.path.isdir(source):
        photographs = images_by_name(source)
    else:
        refuse_undecodable(os.path.basename(source), source)
        read_file(source)
        photographs = {Path(source).stem: Path(source)}
    parameters = {
        "source": os.path.abspath(source),
        **blurrer.parameters,
        "crf": curve.description,
        "noise": noise,
        "rounding": "round",
        "count": count,
        "seed": seed,
    }
    pairs = _Pairs(folder, "blur", "synthesis.json", parameters)
    targets = [name if count == 1 else f"{name}_{repeat + 1}" for name in photographs for repeat in range(count)]

    def origin(target):
        """(photograph, which of its pairs); also for photographs that have gone since."""
        name, _, number = target.rpartition("_")
        return (target, 0) if count == 1 else (name, int(number) - 1)

    def draw(target, size=None):
        name, repeat = origin(target)
        return blurrer.draw(target, (seed, _key(name)), repeat, size)

    headers = {}
    for name, path in photographs.items():
        with contextlib.suppress(DeblurError):  # told when its turn comes
            headers[name] = image_header(path)
    say(f"{_counted(len(photographs), 'photograph')}, {_counted(len(targets), 'pair')} into {folder}")
    missing = [headers.get(origin(target)[0]) for target in targets if not pairs.has(target)]
    pixels = sum(header.height * header.width for header in missing if header)
    _check_space(folder, pixels, "take fewer photographs")
    _tell_odd_ones(headers)

    failures, before = [], 0
    with pairs.kept():
        for target in progress(targets, "synthesize", unit="pair"):
            name, repeat = origin(target)
            if pairs.has(target):
                if target not in pairs.entries:  # stopped before the JSON was written
                    size = image_header(pairs.paths(target)[1])[:2]
                    pairs.entries[target] = _photograph_entry(photographs[name], size, draw(target, size))
                before += 1
                continue
            try:
                sharp = read_image(photographs[name])
                chosen = draw(target, sharp.shape[:2])
                blurred = chosen.apply(sharp, generator(seed, _key(name), repeat, NOISE), noise, curve)
            except (DeblurError, MemoryError) as error:
                failures.append(f"{target} is left out: {_reason(error, photographs[name])}")
                continue
            pairs.add(target, blurred, sharp, _photograph_entry(photographs[name], sharp.shape[:2], chosen))
        pairs.finish(complete=not failures, left_out=failures)
        if blurrer.has_kernels:
            made = map(draw, sorted(pairs.entries))
            _write_kernels(folder / "kernels.npz", ((chosen.entry["kernel"], chosen.kernel) for chosen in made))
    pairs.draw_sheet(
        lambda target, entry: f"{target}: {blurrer.caption(entry)}",
        kernel=(lambda target: draw(target).kernel) if blurrer.has_kernels else None,
    )
    return pairs.result(failures, before)


def _key(name):
    """A number for `generator` that depends on the name alone."""
    return zlib.crc32(name.encode())


def _photograph_entry(path, size, chosen):
    return {"photograph": path.name, "size": list(size), **chosen.entry}


def _write_kernels(path, kernels):
    """An .npz of (name, kernel), each name once, one kernel in memory at a time; whole or not at all."""
    partial = path.with_name(f".{secrets.token_hex(8)}.tmp")
    seen = set()
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, kernel in kernels:
                if name not in seen:
                    with archive.open(f"{name}.npy", "w") as file:
                        np.lib.format.write_array(file, kernel)
                seen.add(name)
        os.replace(partial, path)
    except OSError as error:
        raise DeblurError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)


# ----------------------------------------------------------------------------------------------- what both share


class _Pairs:
    """Pairs in <folder>/<kind> and <folder>/sharp, with a JSON that tells how they were made.

    A pair is there when both images are: each is written whole or not at all. Raises DeblurError where the folder holds
    pairs that were made otherwise.
    """

    def __init__(self, folder, kind, json_name, parameters):
        self._folder, self._kind, self._json = folder, kind, folder / json_name
        self._sides = (folder / kind, folder / "sharp")
        self._parameters = json.loads(json.dumps(parameters))  # tuples become lists, as in the file
        recorded = _read_json(self._json)
        blurred, sharp = map(_holds_something, self._sides)
        if (blurred and recorded is None) or (sharp and not list(folder.glob("synthesis*.json"))):
            raise DeblurError(f"{folder}: holds images that were not made here; name another --out")
        if not blurred:  # nothing is there that other parameters would spoil
            recorded = {"parameters": self._parameters}
        self._refuse_differences(self._json, recorded["parameters"], self._parameters)
        self.entries = recorded.get("pairs", {})
        self.complete = recorded.get("complete", False) and all(map(self.has, self.entries))
        self._facts = {}
        self._others = {}  # the entries of the other kind of blur, which shares the truths

    @staticmethod
    def _refuse_differences(path, before, now):
        different = [
            f"{key}={before.get(key)} (now {now.get(key)})"
            for key in {**before, **now}
            if before.get(key) != now.get(key)
        ]
        if different:
            raise DeblurError(f"{path}: made with {', '.join(different)}; name another --out")

    def refuse_other(self, kind, parameters):
        """DeblurError where pairs of another kind share the truths and have other parameters than these."""
        path = self._folder / f"synthesis_{kind}.json"
        recorded = _read_json(path)
        if recorded and _holds_something(self._folder / kind):
            before = {**recorded["parameters"], "crf": None}
            self._refuse_differences(path, before, json.loads(json.dumps({**parameters, "crf": None})))
            self._others = recorded["pairs"]

    def paths(self, name):
        """(blurred, sharp) of a pair."""
        return tuple(side / f"{name}.png" for side in self._sides)

    def has(self, name):
        """Whether a pair is there."""
        return all(path.is_file() for path in self.paths(name))

    def confirm(self, name, entry):
        """DeblurError where a pair was made of something else than `entry` says."""
        for recorded in (self.entries.get(name, entry), self._others.get(name, entry)):
            if recorded != entry:
                raise DeblurError(
                    f"{self._json}: pair {name} was made of {_listed(recorded)} and now is of {_listed(entry)}: the "
                    "input has changed; remove that folder, or name another --out"
                )

    def add(self, name, blurred, sharp, entry):
        """Writes a pair."""
        for path, image in zip(self.paths(name), (blurred, sharp), strict=True):
            _make_folder(path.parent)
            write_image(path, image)
        self.entries[name] = entry
        if len(self.entries) % _SAVE_EVERY == 0:
            self._save()

    def finish(self, complete, **facts):
        """Writes the JSON at the end."""
        self._facts = {"complete": complete, **facts}
        self._save()

    @contextlib.contextmanager
    def kept(self):
        """Whatever stops the work, the JSON tells what is there, if it can still be written."""
        _make_folder(self._folder)
        self._save()  # before the first image: without it, images here would be those of somebody else
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(DeblurError):
                self._save()
            goes_on = f"{self._folder} holds {_counted(len(self.entries), 'pair')}; the same command goes on"
            if isinstance(error, DeblurError):
                raise DeblurError(f"{error}; {goes_on}") from error
            say(goes_on)
            raise

    def _save(self):
        content = {
            "made_by": f"tfdeblur synthesize {tfdeblur.__version__}",
            "parameters": self._parameters,
            **self._facts,
            "pairs": dict(sorted(self.entries.items())),
        }
        partial = self._json.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            os.replace(partial, self._json)
        except OSError as error:
            raise DeblurError(f"{self._json}: cannot be written ({error.strerror})") from error
        finally:
            partial.unlink(missing_ok=True)

    def draw_sheet(self, caption, kernel=None):
        """Writes a contact sheet of up to 6 pairs: blurred, sharp, and the kernel where there is one.

        caption: (name, entry) -> text; kernel: name -> float [h, w], or None.
        """
        names = [name for name in sorted(self.entries) if self.has(name)]
        if not names:
            return
        rows = []
        for index in np.unique(np.linspace(0, len(names) - 1, _ROWS).round().astype(int)):
            images = [read_image(path) for path in self.paths(names[index])]
            if kernel:
                shares = kernel(names[index])
                images.append(np.repeat(np.rint(255 * shares / shares.max()).astype(np.uint8)[..., None], 3, axis=2))
            rows.append((caption(names[index], self.entries[names[index]]), images))
        write_image(self._sheet(), contact_sheet(rows))

    def _sheet(self):
        return self._folder / f"contact_{self._kind}.jpg"

    def result(self, failures, before):
        """`Made`."""
        there = sum(map(self.has, self.entries))
        return Made(str(self._folder), there, before, failures, str(self._sheet()) if self._sheet().is_file() else None)


def _holds_something(folder):
    return folder.is_dir() and any(folder.iterdir())


def _listed(settings):
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _counted(number, word):
    return f"{number:,} {word}{'s' * (number != 1)}"


def _read_json(path):
    """What a JSON of `_Pairs` holds; None where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content["parameters"], dict) and isinstance(content["pairs"], dict):
            return content
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise DeblurError(
        f"{path}: damaged or not written here; remove it with the images beside it, or name another --out"
    )


def _file(path):
    return {"name": os.path.basename(path), "sha256": hashlib.sha256(read_file(path)).hexdigest()}


def _make_folder(folder):
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise DeblurError(f"{folder}: cannot make that folder ({error.strerror})") from error


def _refuse_inputs_among_results(source, folders):
    inner = os.path.realpath(source)
    for folder in map(os.path.realpath, folders):
        if os.path.commonpath([inner, folder]) in ((inner, folder) if os.path.isdir(source) else (folder,)):
            raise DeblurError(f"{source}: the results would go into {folder}; name an --out away from the input")


def _check_space(folder, pixels, remedy):
    needed = 2 * 3 * pixels * _PNG_SHARE
    if not needed:
        return
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DeblurError(f"{folder}: about {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free; {remedy}")
    say(f"about {needed / 1e6:,.0f} MB as PNG, {free / 1e6:,.0f} MB are free")


def _check_seed(seed):
    if not 0 <= seed < 2**32:
        raise DeblurError(f"--seed={seed}: must lie in 0 .. 2**32 - 1")


def _tell_odd_ones(headers):
    for line in odd_ones(headers):
        say(f"warning: {line}")


def _reason(error, path="a frame"):
    return str(error) if isinstance(error, DeblurError) else f"{path}: too large for the memory"

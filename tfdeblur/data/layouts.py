"""Where each dataset keeps its files and how many there are, without TensorFlow.

`DATASETS` says what is known of the public datasets, `examples` finds theirs in what a user has: the archive, the
extracted tree at any depth, or one of the common re-packs with input/ and target/. Files are recognised by their
names, and the two images of a pair by equal keys, never by their order.
"""

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfdeblur.data import trees
from tfdeblur.data.images import image_header, images_by_name, read_file, read_image, refuse_undecodable, some_of
from tfdeblur.errors import DeblurError

# "blur" averages the frames as they are (linear response), "blur_gamma" averages them in linear light. Papers
# differ in which they use, and the wrong one costs about 3 dB.
BLUR_KINDS = ("blur", "blur_gamma")

# Pairs per sequence of GOPRO_Large (Nah, Kim and Lee, CVPR 2017): <split>/<sequence>/<kind>/<frame>.png
GOPRO_SEQUENCES = {
    "train": {
        "GOPR0372_07_00": 100,
        "GOPR0372_07_01": 75,
        "GOPR0374_11_00": 150,
        "GOPR0374_11_01": 80,
        "GOPR0374_11_02": 100,
        "GOPR0374_11_03": 48,
        "GOPR0378_13_00": 110,
        "GOPR0379_11_00": 100,
        "GOPR0380_11_00": 60,
        "GOPR0384_11_01": 100,
        "GOPR0384_11_02": 100,
        "GOPR0384_11_03": 100,
        "GOPR0384_11_04": 100,
        "GOPR0385_11_00": 100,
        "GOPR0386_11_00": 100,
        "GOPR0477_11_00": 80,
        "GOPR0857_11_00": 100,
        "GOPR0868_11_01": 100,
        "GOPR0868_11_02": 100,
        "GOPR0871_11_01": 100,
        "GOPR0881_11_00": 100,
        "GOPR0884_11_00": 100,
    },
    "test": {
        "GOPR0384_11_00": 100,
        "GOPR0384_11_05": 100,
        "GOPR0385_11_01": 100,
        "GOPR0396_11_00": 100,
        "GOPR0410_11_00": 134,
        "GOPR0854_11_00": 100,
        "GOPR0862_11_00": 77,
        "GOPR0868_11_00": 100,
        "GOPR0869_11_00": 100,
        "GOPR0871_11_00": 100,
        "GOPR0881_11_01": 100,
    },
}
GOPRO_PAIRS = {split: sum(counts.values()) for split, counts in GOPRO_SEQUENCES.items()}  # 2103 and 1111


def gopro_pairs(root, split, blur_kind="blur"):
    """[("<sequence>/<frame>", blurred Path, sharp Path)] of a GOPRO tree, sorted by that key.

    `root` holds train/ and test/, or a folder GOPRO_Large that does. The tree may be partial: compare the
    length with GOPRO_PAIRS[split]. Raises DeblurError for a missing split, blur kind or partner.
    """
    check_blur_kind(blur_kind)
    if split not in GOPRO_SEQUENCES:
        raise DeblurError(f"split {split!r}: use one of {', '.join(GOPRO_SEQUENCES)}")
    folders = [Path(root, split), Path(root, "GOPRO_Large", split)]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise DeblurError(f"{root}: no folder {split} here; give the folder that holds train and test")
    sequences = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for sequence in sequences:
        refuse_undecodable(sequence.name, folder)
    if not sequences:
        raise DeblurError(f"{folder}: no sequences here; expected folders like GOPR0372_07_00")
    for kind in (blur_kind, "sharp"):
        missing = [sequence.name for sequence in sequences if not (sequence / kind).is_dir()]
        if missing:
            remedy = "add it" if kind == "sharp" else "add it or choose the other blur_kind"
            raise DeblurError(f"{folder}: no folder {kind} in {some_of(missing)}; {remedy}")
    return [
        (f"{sequence.name}/{frame}", blurred, sharp)
        for sequence in sequences
        for frame, blurred, sharp in match_folders(sequence / blur_kind, sequence / "sharp")
    ]


def match_folders(blur_dir, sharp_dir):
    """[(name, blurred Path, sharp Path)] of two folders, paired and sorted by relative name without suffix.

    Raises DeblurError where one folder is or holds the other, a name has two files, an image has no partner,
    or a pair is one file twice.
    """
    inner, outer = Path(blur_dir).resolve(), Path(sharp_dir).resolve()
    if inner == outer:
        raise DeblurError(f"{blur_dir} and {sharp_dir}: the same folder twice; give one blurred and one sharp")
    if inner in outer.parents or outer in inner.parents:
        raise DeblurError(f"{blur_dir} and {sharp_dir}: one lies inside the other; put them side by side")
    blurred, sharp = images_by_name(blur_dir), images_by_name(sharp_dir)
    lonely = [
        f"no partner in {folder} for {some_of(names)}"
        for folder, names in (
            (sharp_dir, [name for name in blurred if name not in sharp]),
            (blur_dir, [name for name in sharp if name not in blurred]),
        )
        if names
    ]
    if lonely:
        counts = f"{len(blurred)} blurred and {len(sharp)} sharp images"
        raise DeblurError(f"{counts}: {'; '.join(lonely)}; add or remove files until each has its partner")
    same = [name for name in blurred if _is_one_file(blurred[name], sharp[name])]
    if same:
        raise DeblurError(f"{blur_dir} and {sharp_dir}: {some_of(same)} is one file under both; copy the right one")
    return [(name, blurred[name], sharp[name]) for name in blurred]


def check_blur_kind(blur_kind):
    """Raises DeblurError unless `blur_kind` is one of BLUR_KINDS."""
    if blur_kind not in BLUR_KINDS:
        raise DeblurError(f"blur_kind {blur_kind!r}: use one of {', '.join(BLUR_KINDS)}")


def _is_one_file(first, second):
    try:
        return os.path.samefile(first, second)  # by links, too
    except OSError:  # a dead link: reading it gives the message
        return False


# ------------------------------------------------------------------------------------------- the public datasets


class Example(NamedTuple):
    """One blurred image and its truths.

    key: unique in its split, a relative posix name without suffix ("<sequence>/<frame>" for GoPro).
    blurred: pathlib.Path or zipfile.Path.
    sharp: tuple of them: one, none for real blur without truth, about 199 frames of the trajectory for Köhler.
    """

    key: str
    blurred: Path
    sharp: tuple

    def encoded(self):
        """(bytes of the blurred file, [bytes of each sharp file]); DeblurError where one is unreadable or cut off."""
        files = (self.blurred, *self.sharp)
        for file in files:
            image_header(file)
        blurred, *sharp = map(read_file, files)
        return blurred, sharp


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What is known of a public dataset without having it.

    Attributes:
      description: one line.
      homepage: URL.
      config_descriptions: {config: one line}, the default first.
      split_counts: {split: number of examples}, the same in all configs.
      sources: lines for a person who wants to download it.
      trees: lines that show what is recognised.
      tar_name: what the file name of a tar archive of it holds, in lower case.
      find: function (files of `trees.read_tree`, config) -> {split: _Sides}, empty where none of the files is its.
      flaws: function (split, _Sides) -> [str]: what is wrong beside counts and partners.
    """

    description: str
    homepage: str
    config_descriptions: dict
    split_counts: dict
    sources: tuple
    trees: tuple
    tar_name: str
    find: Callable
    flaws: Callable = lambda split, sides: []

    @property
    def configs(self):
        """Names of the configurations, the default first; ("default",) where there is nothing to choose."""
        return tuple(self.config_descriptions)

    @property
    def splits(self):
        return tuple(self.split_counts)

    def counts(self, config):
        """{split: number of examples}."""
        del config  # so far all configs of a dataset have equally many
        return dict(self.split_counts)

    @property
    def instructions(self):
        """What to download by hand, from where, and what to do with it: several lines."""
        lines = [
            "Nothing is downloaded for you. Get it from one of",
            *(f"  - {source}" for source in self.sources),
            "and give the archive itself, or the folder that holds it, extracted or not, as manual_dir. Recognised are",
            *(f"  - {tree}" for tree in self.trees),
        ]
        return "\n".join(lines)


class _Sides(NamedTuple):
    """What was found of a split: {key: file}, and {key: files}, None where there are no truths to find."""

    blurred: dict
    sharp: dict | None


def examples(dataset, config, manual_dir, log=print):
    """The examples of a dataset in what a user has.

    Args:
      dataset: a name of DATASETS.
      config: one of its configs; None is the first.
      manual_dir: the archive, the folder that holds it, the extracted tree, or a re-pack.
      log: called with a line where something takes long or is left out.

    Returns:
      {split: [Example, ...]}, sorted by key, each split whole. A re-pack may hold one split only (RealBlur's are
      handed round without the training pairs): the other one is left out then.

    Raises:
      DeblurError: unknown dataset or config, nothing found, wrong counts, missing partners, doubles, RealBlur-J and
        -R swapped, damaged archives.
    """
    if dataset not in DATASETS:
        raise DeblurError(f"dataset {dataset!r}: use one of {', '.join(DATASETS)}")
    known = DATASETS[dataset]
    config = known.configs[0] if config is None else config
    if config not in known.configs:
        raise DeblurError(f"{dataset} has no config {config!r}: use one of {', '.join(known.configs)}")

    files, tars = trees.read_tree(manual_dir)
    try:
        found = known.find(files, config)
        if not found:
            for tar in tars:
                if known.tar_name in tar.name.lower() or tar == Path(manual_dir):
                    files.update(trees.read_tree(trees.extract(tar, log))[0])
            found = known.find(files, config)
    except DeblurError as error:
        raise DeblurError(f"{manual_dir}: {error}") from error
    title = f"{manual_dir}: {dataset}" + (f"/{config}" if len(known.configs) > 1 else "")
    if not found:
        raise DeblurError(f"{title}: nothing found; looked for {'; '.join(known.trees)}")
    counts = known.counts(config)
    problems = [_problems(split, found[split], counts[split], known) for split in counts if split in found]
    if any(problems):
        raise DeblurError(f"{title}: {' | '.join(filter(None, problems))}; download it again, or complete it")
    for split in counts:
        if split not in found:
            log(f"{title}: no {split} images here, so there is no split {split}")
    for sides in found.values():
        for key in sides.blurred:
            refuse_undecodable(key, manual_dir)
    return {split: _examples(found[split]) for split in counts if split in found}


def _examples(sides):
    return [
        Example(key, file, tuple(sides.sharp[key]) if sides.sharp is not None else ())
        for key, file in sorted(sides.blurred.items())
    ]


def _problems(split, sides, expected, known):
    """What is wrong with a split, as one line; "" where all is well."""
    blurred, sharp = sides
    problems = []
    if len(blurred) != expected or (sharp is not None and len(sharp) != expected):
        found = f"{len(blurred)} blurred" + (f", {len(sharp)} sharp" if sharp is not None else "")
        problems.append(f"found {found}; {expected} expected")
    problems += known.flaws(split, sides)
    if sharp is not None:
        for side, lonely in (("sharp", blurred.keys() - sharp.keys()), ("blurred", sharp.keys() - blurred.keys())):
            if lonely:
                problems.append(f"no {side} image for {some_of(sorted(lonely))}")
    return f"{split}: {'; '.join(problems)}" if problems else ""


def _gather(files, pattern, place):
    """{place: file} of the files whose name the pattern finds, `place` made from the match (None: not wanted).

    A plain file goes before one inside an archive, as both are there after unpacking. Raises DeblurError for two
    different files of one place otherwise.
    """
    found, doubles = {}, []
    for name, file in files.items():
        match = pattern.search(f"/{name}")
        key = place(match) if match else None
        if key is None:
            continue
        first = found.setdefault(key, file)
        if first is not file and type(first) is type(file):
            if not (isinstance(file, Path) and _is_one_file(first, file)):
                doubles.append(f"{first} and {file}")
    if doubles:
        raise DeblurError(f"{some_of(doubles)}: one image twice; keep one of them, or give a folder that holds one")
    return found


_SIDES = {"input": "blurred", "blur": "blurred", "target": "sharp", "sharp": "sharp", "gt": "sharp"}


def _pairs(gathered):
    """{split: _Sides} of {(split, "blurred" or "sharp", key): file}."""
    found = {}
    for (split, side, key), file in gathered.items():
        sides = found.setdefault(split, _Sides({}, {}))
        if side == "blurred":
            sides.blurred[key] = file
        else:
            sides.sharp[key] = [file]
    return found


# ------------------------------------------------------------------------------------------- GoPro

_SEQUENCE, _FRAME = r"(?P<sequence>GOPR\d{4}_\d\d_\d\d)", r"(?P<frame>\d+)\.png$"
_GOPRO = re.compile(rf"/{_SEQUENCE}/(?P<side>blur|blur_gamma|sharp)/{_FRAME}")
_GOPRO_REPACK = re.compile(rf"/(?P<side>input|target|blur|sharp)/{_SEQUENCE}[-_/]{_FRAME}")
# The sequence tells the split: no sequence is in both, and not all re-packs keep the folders train and test.
_GOPRO_SPLITS = {sequence: split for split, counts in GOPRO_SEQUENCES.items() for sequence in counts}


def _find_gopro(files, config):
    def place(match, sides):
        split, side = _GOPRO_SPLITS.get(match["sequence"]), sides.get(match["side"])
        return (split, side, f"{match['sequence']}/{match['frame']}") if split and side else None

    found = _pairs(_gather(files, _GOPRO, lambda match: place(match, {config: "blurred", "sharp": "sharp"})))
    if found:
        return {split: found.get(split, _Sides({}, {})) for split in GOPRO_SEQUENCES}
    found = _pairs(_gather(files, _GOPRO_REPACK, lambda match: place(match, _SIDES)))
    if found and config != "blur":
        raise DeblurError(
            f"gopro/{config}: this is a re-pack, which holds the linear blur only; use config blur, or get GOPRO_Large "
            f"itself, with its folders {config}"
        )
    return found


def _gopro_flaws(split, sides):
    flaws = []
    for sequence, expected in GOPRO_SEQUENCES[split].items():
        blurred, sharp = (sum(key.startswith(f"{sequence}/") for key in side) for side in sides)
        if not blurred == sharp == expected:
            flaws.append(f"{sequence} has {blurred} blurred, {sharp} sharp of {expected}")
    return [some_of(flaws)] if flaws else []


# ------------------------------------------------------------------------------------------- Köhler

_KOHLER = re.compile(r"/(?P<key>Blurry[1-4]_(?:1[0-2]|[1-9]))\.png$")
_KOHLER_TRUTH = re.compile(r"/GroundTruth(?P<key>[1-4]_(?:1[0-2]|[1-9]))_(?P<frame>\d+)\.png$")
_KOHLER_KEYS = [f"Blurry{image}_{trajectory}" for image in range(1, 5) for trajectory in range(1, 13)]
# 199 frames for most trajectories; lists of what the archives hold have 198 to 200.
_KOHLER_FRAMES = range(198, 201)


def _find_kohler(files, config):
    del config
    blurred = _gather(files, _KOHLER, lambda match: match["key"])
    frames = _gather(files, _KOHLER_TRUTH, lambda match: (f"Blurry{match['key']}", int(match["frame"])))
    sharp = {}
    for (key, _), file in sorted(frames.items(), key=lambda item: item[0]):
        sharp.setdefault(key, []).append(file)
    return {"test": _Sides(blurred, sharp)} if blurred or sharp else {}


def _kohler_flaws(split, sides):
    del split
    frames = {key: len(sides.sharp.get(key, ())) for key in _KOHLER_KEYS}
    few = [f"{key} ({count})" for key, count in frames.items() if count not in _KOHLER_FRAMES]
    between = f"{_KOHLER_FRAMES[0]} to {_KOHLER_FRAMES[-1]}"
    return [f"not {between} reference frames for {some_of(few)}"] if few else []


# ------------------------------------------------------------------------------------------- Lai

_LAI = re.compile(
    r"/(?P<truth>(?:manmade|natural|people|saturated|text)_0[1-5])(?:_(?P<kind>kernel|gyro)_(?P<number>\d\d))?\.png$"
)
_LAI_KINDS = {"uniform": "kernel", "nonuniform": "gyro"}
_LAI_TRUTHS = [
    f"{category}_0{number}"
    for category in ("manmade", "natural", "people", "saturated", "text")
    for number in range(1, 6)
]
_LAI_REAL = re.compile(r"/(?P<key>[^/]+)\.(?:png|jpe?g|bmp)$", re.IGNORECASE)
# The list of the makers' repository, phoenix104104/cvpr16_deblur_study: names are all that tells them apart, as
# nothing is known for certain of the folders.
_LAI_REAL_NAMES = """
    bird boat1 boat2 book1 book2 book3 book4 boy_statue bridge building1 building2 butchershop cairo1979 car_house car1
    car2 car3 car4 car5 church coke cross_stitch dinner dog elephant face face2 family ferry fishes flower fountain1
    garden girls hanzi harubang house1 house2 house3 house4 ian1 istanbul lady_portrait leaf lion livingroom lobster
    lyndsey mukta night1 night2 night3 night4 night5 night6 notredame nv outdoor pagode Pantheon petrol_station1 picasso
    pietro postcard redtree roma sculpture shelf shrink singing statue1 statue2 stone street_cars street1 street2
    street3 street4 subway summerhouse sydney_opera text1 text2 text3 text4 text5 text6 text7 text8 text9 text10 text11
    text12 topresso torres toy vase vintage_car wall wheel
""".split()


def _find_lai(files, config):
    if config == "real":
        names = {name.lower(): name for name in _LAI_REAL_NAMES}
        blurred = _gather(files, _LAI_REAL, lambda match: names.get(match["key"].lower()))
        return {"test": _Sides(blurred, None)} if blurred else {}

    def place(match):
        if match["kind"] is None:
            return match["truth"], None
        return (match["truth"], match["number"]) if match["kind"] == _LAI_KINDS[config] else None

    gathered = _gather(files, _LAI, place)
    blurred, sharp = {}, {}
    for (truth, number), file in gathered.items():
        if number is not None:
            key = f"{truth}_{_LAI_KINDS[config]}_{number}"
            blurred[key] = file
            if (truth, None) in gathered:
                sharp[key] = [gathered[truth, None]]
    return {"test": _Sides(blurred, sharp)} if blurred else {}


def _lai_flaws(split, sides):
    del split
    if sides.sharp is None:
        missing = [name for name in _LAI_REAL_NAMES if name not in sides.blurred]
        return [f"no {some_of(missing)}"] if missing else []
    # Gyro recordings are numbered 01 to 04 or as in an older list 07, 16, 23, 24: only how many there are is certain.
    per_truth = {truth: sum(key.startswith(f"{truth}_") for key in sides.blurred) for truth in _LAI_TRUTHS}
    odd = [f"{truth} has {count} of 4 blurred images" for truth, count in per_truth.items() if count != 4]
    return [some_of(odd)] if odd else []


# ------------------------------------------------------------------------------------------- RealBlur

_REALBLUR = re.compile(
    r"/RealBlur[-_](?P<kind>[JR])(?:_[^/]*)?/(?P<scene>scene\d+[^/]*)/(?P<side>blur|gt)/(?:blur|gt)_(?P<number>\d+)\.png$"
)
_REALBLUR_LIST = re.compile(r"/RealBlur[-_](?P<kind>[JR])[-_](?P<split>train|test)[-_]list\.txt$")
_REALBLUR_REPACK = re.compile(
    r"/(?:(?P<before>train|test)/)?RealBlur[-_]?(?P<kind>[JR])/(?:(?P<after>train|test)/)?"
    r"(?P<side>input|target|blur|sharp|gt)/(?P<key>.+)\.png$",
    re.IGNORECASE,
)
_REALBLUR_SIDE_IN_NAME = re.compile(r"(?<![^/_-])(?:blur|gt)_(?=\d+$)")
_REALBLUR_SAMPLE = 9  # images of J and of R that are compared to find out whether the two are swapped


def _find_realblur(files, config):
    kind = config.upper()
    # {(kind, side, key): file} and, of the re-packs, {(kind, split, side, key): file}
    images = _gather(
        files, _REALBLUR, lambda match: (match["kind"], _SIDES[match["side"]], f"{match['scene']}/{match['number']}")
    )
    if any(place[0] == kind for place in images):
        found = _realblur_by_lists(files, images, kind)
    else:
        repack = _gather(files, _REALBLUR_REPACK, _realblur_repack_place)
        images = {(kind, side, key): file for (kind, _, side, key), file in repack.items()}
        found = _pairs({(split, side, key): file for (k, split, side, key), file in repack.items() if k == kind})
    if found:
        _refuse_swapped_realblur(images)
    return found


def _realblur_repack_place(match):
    # A re-pack without split folders is the one of the test pairs; the count shows it.
    split = (match["after"] or match["before"] or "test").lower()
    # The two sides of a pair may be named blur_1 and gt_1.
    key = _REALBLUR_SIDE_IN_NAME.sub("", match["key"])
    return match["kind"].upper(), split, _SIDES[match["side"].lower()], key


def _realblur_by_lists(files, images, kind):
    lists = _gather(files, _REALBLUR_LIST, lambda match: (match["kind"], match["split"]))
    found = {}
    for split in ("train", "test"):
        if (kind, split) not in lists:
            raise DeblurError(
                f"no RealBlur_{kind}_{split}_list.txt, which says what the split {split} is; it comes with the "
                "archive and lies in github.com/rimchang/SRN-Deblur, folder datalist"
            )
        keys = _read_realblur_list(lists[kind, split], kind)
        found[split] = _Sides(
            {key: images[kind, "blurred", key] for key in keys if (kind, "blurred", key) in images},
            {key: [images[kind, "sharp", key]] for key in keys if (kind, "sharp", key) in images},
        )
    return found


def _read_realblur_list(file, kind):
    """The keys in a list of lines "<truth> <blurred>"; DeblurError where a line is of the other kind or no pair."""
    keys = []
    for number, line in enumerate(read_file(file).decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        truth, blurred = ([_REALBLUR.search(f"/{path}") for path in line.split()] + [None, None])[:2]
        if not (truth and blurred and truth["side"] == "gt" and blurred["side"] == "blur"):
            raise DeblurError(f"{file}, line {number}: expected the path of a truth, then that of its blurred image")
        if {truth["kind"], blurred["kind"]} != {kind}:
            other = ({truth["kind"], blurred["kind"]} - {kind}).pop()
            raise DeblurError(
                f"{file}, line {number}: names images of RealBlur-{other}, not of RealBlur-{kind}: J and R are "
                "swapped; put the right list there"
            )
        truth, blurred = (f"{match['scene']}/{match['number']}" for match in (truth, blurred))
        if truth != blurred:
            raise DeblurError(f"{file}, line {number}: {truth} and {blurred} are not one pair; get the list again")
        keys.append(truth)
    return keys


def _refuse_swapped_realblur(images):
    """DeblurError where most images of R are brighter than the same ones of J.

    R is developed linearly from the sensor's values, J is the camera's JPEG of the same exposure with a tone curve:
    R is the darker one by far. Where only one of them is there, nothing can be told.
    """
    both = [
        (file, images["R", side, key])
        for (kind, side, key), file in sorted(images.items(), key=lambda item: item[0])
        if kind == "J" and side == "sharp" and ("R", side, key) in images
    ]
    if not both:
        return
    sample = [both[i] for i in np.linspace(0, len(both) - 1, min(len(both), _REALBLUR_SAMPLE)).round().astype(int)]
    means = np.array([[read_image(file).mean() for file in pair] for pair in sample])
    brighter = int((means[:, 1] > means[:, 0]).sum())
    if brighter > len(sample) / 2:
        j, r = means.mean(axis=0)
        raise DeblurError(
            f"in {brighter} of {len(sample)} sampled images RealBlur-R is brighter than RealBlur-J (mean {r:.0f} "
            f"against {j:.0f}), but R is the dark one: J and R are swapped, such as {sample[0][0]} and {sample[0][1]}; "
            "exchange the two folders"
        )


# ------------------------------------------------------------------------------------------- HIDE

_HIDE = re.compile(r"/test/test-(?:close-ups|long-shot)/(?P<key>[^/]+)\.png$")
_HIDE_TRUTH = re.compile(r"/GT/(?P<key>[^/]+)\.png$")
# In a folder that is named HIDE or test, or right in the folder that was given.
_HIDE_REPACK = re.compile(
    r"(?:/HIDE[^/]*(?:/test)?|/test(?:/HIDE[^/]*)?|^/[^/]+)/(?P<side>input|target)/(?P<key>.+)\.png$", re.IGNORECASE
)
_OTHER_DATASETS = re.compile(r"/(?:gopro|realblur)[^/]*/|/train/|GOPR\d{4}_", re.IGNORECASE)


def _find_hide(files, config):
    del config
    blurred = _gather(files, _HIDE, lambda match: match["key"])
    if blurred:
        # GT holds the truths of the training images, too.
        wanted = _gather(files, _HIDE_TRUTH, lambda match: match["key"] if match["key"] in blurred else None)
        return {"test": _Sides(blurred, {key: [file] for key, file in wanted.items()})}

    def place(match):
        return None if _OTHER_DATASETS.search(match.string) else ("test", _SIDES[match["side"].lower()], match["key"])

    return _pairs(_gather(files, _HIDE_REPACK, place))


# ------------------------------------------------------------------------------------------- all of them

DATASETS = {
    "gopro": Dataset(
        description="GoPro: 240 fps video averaged to blur, 3214 pairs of 1280x720 (Nah, Kim and Lee, CVPR 2017)",
        homepage="https://seungjunnah.github.io/Datasets/gopro",
        config_descriptions={
            "blur": "frames averaged as they are stored (linear camera response)",
            "blur_gamma": "frames averaged in linear light, gamma 2.2",
        },
        split_counts=GOPRO_PAIRS,
        sources=(
            "https://seungjunnah.github.io/Datasets/gopro (GOPRO_Large.zip, 9 GB; not GOPRO_Large_all)",
            "https://huggingface.co/datasets/snah/GOPRO_Large",
            "https://cv.snu.ac.kr/~snah/Deblur/dataset/GOPRO_Large.zip",
            "the re-packs linked at github.com/swz30/MPRNet and github.com/swz30/Restormer (config blur only)",
        ),
        trees=(
            "<sequence>/{blur,blur_gamma,sharp}/<frame>.png",
            "{input,target}/<sequence>-<frame>.png",
            "{blur,sharp}/<sequence>_<frame>.png",
        ),
        tar_name="gopro",
        find=_find_gopro,
        flaws=_gopro_flaws,
    ),
    "kohler": Dataset(
        description="Köhler: 12 recorded camera shakes on 4 pictures, 48 images with every sharp frame on the way "
        "(Köhler et al., ECCV 2012)",
        homepage="https://webdav.tuebingen.mpg.de/pixel/benchmark4camerashake/",
        config_descriptions={"default": "all 48 images"},
        split_counts={"test": 48},
        sources=(
            "https://webdav.tuebingen.mpg.de/pixel/benchmark4camerashake/",
            "http://people.kyb.tuebingen.mpg.de/rolfk/BenchmarkECCV2012/ (BlurryImages.zip and "
            "GroundTruth_pngs_Image1.zip to GroundTruth_pngs_Image4.zip)",
        ),
        trees=("Blurry<image>_<trajectory>.png", "GroundTruth<image>_<trajectory>_<frame>.png"),
        tar_name="kohler",
        find=_find_kohler,
        flaws=_kohler_flaws,
    ),
    "lai": Dataset(
        description="Lai: 100 real, 100 uniformly and 100 non-uniformly blurred images (Lai et al., CVPR 2016)",
        homepage="https://www.wslai.net/publications/deblur_study/",
        config_descriptions={
            "real": "100 real blurred photographs without truth",
            "uniform": "25 images, each convolved with 4 kernels",
            "nonuniform": "25 images, each blurred along 4 recorded 6-D camera trajectories",
        },
        split_counts={"test": 100},
        sources=(
            "https://www.wslai.net/publications/deblur_study/",
            "http://vllab.ucmerced.edu/~wlai24/cvpr16_deblur_study/",
        ),
        trees=(
            "<category>_<number>_kernel_<number>.png (uniform)",
            "<category>_<number>_gyro_<number>.png (nonuniform)",
            "<category>_<number>.png (their truths)",
            "the 100 names of list/real.txt at github.com/phoenix104104/cvpr16_deblur_study, .jpg or .png (real)",
        ),
        tar_name="deblur_study",
        find=_find_lai,
        flaws=_lai_flaws,
    ),
    "realblur": Dataset(
        description="RealBlur: real blurred and sharp photographs taken at once by two cameras, 4738 pairs "
        "(Rim et al., ECCV 2020)",
        homepage="http://cg.postech.ac.kr/research/RealBlur/",
        config_descriptions={
            "j": "RealBlur-J, the cameras' JPEG images",
            "r": "RealBlur-R, developed linearly from the sensors' values; dark",
        },
        split_counts={"train": 3758, "test": 980},
        sources=(
            "https://cgdata.postech.ac.kr/sharing/YhKdbtvD0 (RealBlur.tar.gz)",
            "https://drive.google.com/drive/folders/1xUNAAVzLhNQuGriKTk1hrE-MT-H_56fq",
            "the test pairs alone: re-packs linked at github.com/swz30/MPRNet and github.com/swz30/Restormer",
        ),
        trees=(
            "RealBlur-{J,R}_*/scene<number>/{blur/blur,gt/gt}_<number>.png with RealBlur_{J,R}_{train,test}_list.txt",
            "RealBlur_{J,R}/{train,test}/{input,target}/<name>.png",
            "{train,test}/RealBlur_{J,R}/{input,target}/<name>.png",
        ),
        tar_name="realblur",
        find=_find_realblur,
    ),
    "hide": Dataset(
        description="HIDE: people in motion, the 2025 test pairs (Shen et al., ICCV 2019)",
        homepage="https://github.com/joanshen0508/HA_deblur",
        config_descriptions={"default": "the 2025 test pairs; the training pairs are not read"},
        split_counts={"test": 2025},
        sources=(
            "https://github.com/joanshen0508/HA_deblur (HIDE_dataset.zip)",
            "the re-packs of the test pairs linked at github.com/swz30/MPRNet and github.com/swz30/Restormer",
        ),
        trees=(
            "test/{test-close-ups,test-long-shot}/<name>.png with GT/<name>.png",
            "HIDE/test/{input,target}/<name>.png",
            "test/HIDE/{input,target}/<name>.png",
        ),
        tar_name="hide",
        find=_find_hide,
    ),
}

"""Where each dataset keeps its files and how many there are, without TensorFlow."""

import os
from pathlib import Path

from tfdeblur.data.images import images_by_name, some_of
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

"""Dummy data with the real names and counts of every dataset: {relative name: bytes}, and ways to lay it down.

All images are tiny, and most are the same bytes: what is tested is which files are found, and which are pairs.
"""

import importlib.machinery
import importlib.util
import io
import pathlib
import sys
import tarfile
import types
import zipfile

import numpy as np
from PIL import Image

import tfdeblur
from tfdeblur.data import layouts

ROOT = pathlib.Path(__file__).resolve().parents[2]


def png(value, size=(2, 2), mode="RGB"):
    """A PNG of one value; mode "I;16" is 16-bit grey."""
    file = io.BytesIO()
    if mode == "I;16":
        image = Image.fromarray(np.full(size, value, np.uint16))
    else:
        image = Image.new(mode, size[::-1], value if mode == "L" else (value,) * 3)
    image.save(file, "png")
    return file.getvalue()


BLURRED, BLURRED_GAMMA, SHARP = png(10), png(20), png(30)
KOHLER_FRAMES = {(2, 11): 200, **dict.fromkeys([(1, 10), (1, 12), (2, 10), (3, 7), (3, 12), (4, 12)], 198)}  # else 199


def gopro_frames():
    """(split, sequence, frame name) of all 3214 pairs; frame numbers repeat from sequence to sequence."""
    for split, counts in layouts.GOPRO_SEQUENCES.items():
        for sequence, count in counts.items():
            for number in range(1, count + 1):
                yield split, sequence, f"{number:06}"


def gopro():
    images = {"blur": BLURRED, "blur_gamma": BLURRED_GAMMA, "sharp": SHARP}
    return {
        f"GOPRO_Large/{split}/{sequence}/{kind}/{frame}.png": data
        for split, sequence, frame in gopro_frames()
        for kind, data in images.items()
    }


def gopro_repack(pattern="GoPro/{split}/{side}/{sequence}-{frame}.png", sides=("input", "target")):
    return {
        pattern.format(split=split, side=side, sequence=sequence, frame=frame): data
        for split, sequence, frame in gopro_frames()
        for side, data in zip(sides, (BLURRED, SHARP), strict=True)
    }


def kohler():
    tree = {}
    for image in range(1, 5):
        for trajectory in range(1, 13):
            tree[f"BlurryImages/Blurry{image}_{trajectory}.png"] = BLURRED
            for frame in range(1, KOHLER_FRAMES.get((image, trajectory), 199) + 1):
                name = f"Image{image}/Kernel{trajectory}/GroundTruth{image}_{trajectory}_{frame}.png"
                tree[name] = SHARP
    return tree


LAI_TRUTHS = [f"{c}_0{n}" for c in ("manmade", "natural", "people", "saturated", "text") for n in range(1, 6)]


def lai(gyros=("01", "02", "03", "04")):
    tree = {f"synthetic_dataset/ground_truth/{truth}.png": SHARP for truth in LAI_TRUTHS}
    for truth in LAI_TRUTHS:
        for number in range(1, 5):
            tree[f"synthetic_dataset/uniform/{truth}_kernel_0{number}.png"] = BLURRED
        for gyro in gyros:
            tree[f"synthetic_dataset/nonuniform/{truth}_gyro_{gyro}.png"] = BLURRED_GAMMA
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 90, 90)).save(jpeg, "jpeg")
    for name in layouts._LAI_REAL_NAMES:
        tree[f"real_dataset/{name}.jpg"] = jpeg.getvalue()
    return tree


REALBLUR_FOLDERS = {
    "J": "RealBlur-J_ECC_IMCORR_centroid_itensity_ref",
    "R": "RealBlur-R_BM3D_ECC_IMCORR_centroid_itensity_ref",
}
REALBLUR_VALUES = {"J": (60, 61), "R": (10, 11)}  # blurred, sharp; R is linear and dark


def realblur_images():
    """(split, scene, number) of 3758 training pairs in 182 scenes and 980 test pairs in 50, none in both."""
    scenes = {"train": range(1, 183), "test": range(183, 233)}
    for split, total in (("train", 3758), ("test", 980)):
        for index in range(total):
            scene = scenes[split][index % len(scenes[split])]
            yield split, f"scene{scene:03}", index // len(scenes[split]) + 1


def realblur(kinds="JR"):
    tree = {}
    for kind in kinds:
        blurred, sharp = map(png, REALBLUR_VALUES[kind])
        lists = {"train": [], "test": []}
        for split, scene, number in realblur_images():
            truth = f"{REALBLUR_FOLDERS[kind]}/{scene}/gt/gt_{number}.png"
            image = f"{REALBLUR_FOLDERS[kind]}/{scene}/blur/blur_{number}.png"
            tree[f"RealBlur/{truth}"], tree[f"RealBlur/{image}"] = sharp, blurred
            lists[split].append(f"{truth} {image}")
        for split, lines in lists.items():
            tree[f"RealBlur/RealBlur_{kind}_{split}_list.txt"] = "\n".join(lines).encode()
    return tree


def realblur_repack(pattern="RealBlur_{kind}/{split}/{side}/{name}.png", kinds="JR", splits=("train", "test")):
    return {
        pattern.format(kind=kind, split=split, side=side, name=f"{scene}_{number}"): data
        for kind in kinds
        for side, data in zip(("input", "target"), map(png, REALBLUR_VALUES[kind]), strict=True)
        for split, scene, number in realblur_images()
        if split in splits
    }


def hide_names():
    return [f"{number}fromGOPR{number % 90 + 1000}" for number in range(1, 2026)]


def hide():
    tree = {f"HIDE_dataset/GT/train{number}.png": SHARP for number in range(50)}
    tree |= {f"HIDE_dataset/train/train{number}.png": BLURRED for number in range(50)}
    for index, name in enumerate(hide_names()):
        folder = "test-close-ups" if index % 2 else "test-long-shot"
        tree[f"HIDE_dataset/test/{folder}/{name}.png"] = BLURRED
        tree[f"HIDE_dataset/GT/{name}.png"] = SHARP
    return tree


def hide_repack(pattern="HIDE/test/{side}/{name}.png"):
    sides = (("input", BLURRED), ("target", SHARP))
    return {pattern.format(side=side, name=name): data for side, data in sides for name in hide_names()}


def write(tree, folder):
    """Writes the files; returns the folder."""
    for parent in {(folder / name).parent for name in tree}:
        parent.mkdir(parents=True, exist_ok=True)
    for name, data in tree.items():
        with open(f"{folder}/{name}", "wb") as file:
            file.write(data)
    return folder


def write_zip(tree, path):
    """Writes an archive; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in tree.items():
            archive.writestr(name, data)
    return path


def write_tar(tree, path, mode="w:gz"):
    """Writes an archive; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, **({"compresslevel": 1} if mode == "w:gz" else {})) as archive:
        for name, data in tree.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def builder_class(name):
    """The builder as an installed package has it, or out of the checkout where tfdeblur is only on the path."""
    if "tfdeblur.datasets" not in sys.modules and importlib.util.find_spec("tfdeblur.datasets") is None:
        package = types.ModuleType("tfdeblur.datasets")
        package.__path__ = [str(ROOT / "datasets")]
        package.__spec__ = importlib.machinery.ModuleSpec("tfdeblur.datasets", None, is_package=True)
        sys.modules["tfdeblur.datasets"] = tfdeblur.datasets = package
    return importlib.import_module(f"tfdeblur.datasets.{name}.{name}_dataset_builder").Builder

"""Reading, measuring, listing and writing image files; every file here is made by the test."""

import io
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfdeblur.data import images
from tfdeblur.data.images import (
    image_header,
    image_size,
    images_by_name,
    list_images,
    read_image,
    sharpness,
    write_image,
)
from tfdeblur.errors import DeblurError

RED_THEN_BLUE = np.zeros((4, 6, 3), np.uint8)  # left half red, right half blue
RED_THEN_BLUE[:, :3, 0] = 255
RED_THEN_BLUE[:, 3:, 2] = 255


def textured(height=120, width=160, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(image, kind, **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def error_of(function, *arguments):
    with pytest.raises(DeblurError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", images.IMAGE_SUFFIXES)
def test_red_is_the_first_channel_read_and_written(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, np.repeat(np.repeat(RED_THEN_BLUE, 8, 0), 8, 1))
    corners = read_image(path)[0, [0, -1]]
    np.testing.assert_allclose(corners, [[255, 0, 0], [0, 0, 255]], atol=2 if "j" in suffix else 0)
    assert np.array(Image.open(path).convert("RGB"))[0, 0, 0] > 250
    assert image_size(path) == (32, 48)


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
def test_orientation_6_turns_clockwise(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    image = np.repeat(np.repeat(RED_THEN_BLUE, 8, 0), 8, 1)
    path.write_bytes(encoded(image, kind, exif=orientation(6)))
    read = read_image(path)
    assert read.shape == (48, 32, 3)
    assert image_size(path) == (48, 32)
    assert read[0, 0, 0] > 250 and read[0, 0, 2] < 5  # what was left is now on top
    assert read[-1, 0, 2] > 250


def test_16_bit_is_reduced_with_rounding(tmp_path):
    values = np.array([[0, 127, 128, 129, 257, 32895, 32896, 65406, 65407, 65535]], np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(values), "png"))
    read = read_image(path)
    np.testing.assert_array_equal(read[0, :, 1], np.round(values[0] / 257))
    assert read[0].tolist()[6] == [128] * 3 and read[0].tolist()[9] == [255] * 3


def test_grey_is_repeated_and_alpha_dropped(tmp_path):
    (tmp_path / "grey.png").write_bytes(encoded(np.array([[7, 200]], np.uint8), "png"))
    assert read_image(tmp_path / "grey.png").tolist() == [[[7] * 3, [200] * 3]]
    (tmp_path / "alpha.png").write_bytes(encoded(np.array([[[10, 20, 30, 0]]], np.uint8), "png"))
    assert read_image(tmp_path / "alpha.png").tolist() == [[[10, 20, 30]]]


@pytest.mark.parametrize("name", ["Größe 図.png", os.fsdecode(b"caf\xe9.png")])
def test_names_of_any_kind(tmp_path, name):
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    write_image(tmp_path / name, RED_THEN_BLUE)
    assert list_images(tmp_path) == [name]
    np.testing.assert_array_equal(read_image(tmp_path / name), RED_THEN_BLUE)
    assert image_size(tmp_path / name) == (4, 6)


@pytest.mark.parametrize("read", [read_image, image_size])
def test_what_is_not_an_image_is_named(tmp_path, read):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "folder.png").mkdir()
    for name, words in {
        "missing.png": "No such file",
        "empty.png": "empty",
        "text.png": "not an image",
        "folder.png": "not a file",
    }.items():
        message = error_of(read, tmp_path / name)
        assert str(tmp_path / name) in message and words in message


def test_float_pixels_are_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(encoded(Image.fromarray(np.ones((3, 3), np.float32)), "tiff"))
    assert "a.tif" in error_of(read_image, tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["png", "jpeg", "progressive", "bmp", "tiff", "webp"])
@pytest.mark.parametrize("read", [read_image, image_size])
def test_a_file_cut_off_is_refused(tmp_path, kind, read):
    # The thumbnail in the EXIF block has an end marker of its own, which must not count.
    thumbnail = b"Exif\0\0" + encoded(textured(16, 16), "jpeg")
    options = {"jpeg": {"exif": thumbnail}, "progressive": {"exif": thumbnail, "progressive": True}}
    data = encoded(textured(), kind.replace("progressive", "jpeg"), **options.get(kind, {}))
    path = tmp_path / "a.img"
    path.write_bytes(data)
    assert read(path)[:2] == (120, 160) if read is image_size else read(path).shape == (120, 160, 3)
    for length in (2, 20, len(data) // 10, len(data) // 2, len(data) - 20, len(data) - 4, len(data) - 1):
        path.write_bytes(data[:length])
        assert "a.img" in error_of(read, path), length
    if kind in ("png", "jpeg", "progressive"):
        path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))  # a download that stopped
        assert "a.img" in error_of(read, path)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_bytes_after_the_end_do_not_matter(tmp_path, kind):
    path = tmp_path / "a.img"
    path.write_bytes(encoded(textured(), kind) + b"\xff\xd8 a film that the phone put here" * 9)
    assert read_image(path).shape == (120, 160, 3)
    assert image_size(path) == (120, 160)


def test_damage_inside_a_png_is_refused(tmp_path):
    data = bytearray(encoded(textured(), "png"))
    data[len(data) // 2] ^= 0x10
    (tmp_path / "a.png").write_bytes(data)
    assert "a.png" in error_of(read_image, tmp_path / "a.png")


def test_opencv_says_nothing_of_its_own(tmp_path):
    for kind in ("png", "jpeg", "bmp", "tiff"):
        data = encoded(textured(), kind)
        (tmp_path / f"a.{kind}").write_bytes(data[: len(data) // 2])
    code = (
        "import pathlib, sys\n"
        "from tfdeblur.data.images import read_image\n"
        "assert not {'cv2', 'PIL', 'tensorflow'} & set(sys.modules)\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: read_image(path)\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(images.__file__).parents[2])}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout.split(), done.stderr) == (["DeblurError"] * 4, "")


def test_a_large_image_gives_no_warning(tmp_path, recwarn):
    (tmp_path / "a.png").write_bytes(encoded(Image.new("1", (10000, 9000)), "png"))  # from 89 megapixels PIL warns
    assert image_size(tmp_path / "a.png") == (9000, 10000)
    assert not recwarn.list


def test_list_images_is_sorted_recursive_and_leaves_the_rest_out(tmp_path):
    for name in ("b.PNG", "a.jpeg", "x/y/c.tif", ".hidden.png", ".git/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "x" / "back").symlink_to(tmp_path)
    assert list_images(tmp_path) == ["a.jpeg", "b.PNG", "x/y/c.tif"]


def test_list_images_follows_a_linked_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    (tmp_path / "here").mkdir()
    for name in ("one", "two"):
        (tmp_path / "here" / name).symlink_to(tmp_path / "elsewhere")
    assert list_images(tmp_path / "here") == ["one/a.png", "two/a.png"]


def test_list_images_refuses_a_folder_without_images(tmp_path):
    assert "no such folder" in error_of(list_images, tmp_path / "missing")
    (tmp_path / "a.png").touch()
    assert "not a folder" in error_of(list_images, tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in error_of(list_images, tmp_path / "empty")


def test_one_name_twice_is_refused(tmp_path):
    for name in ("a.jpg", "a.png", "b.png"):
        (tmp_path / name).touch()
    assert "a.jpg beside a.png" in error_of(images.images_by_name, tmp_path)


def test_a_folder_named_like_an_image_is_refused_among_pairs(tmp_path):
    (tmp_path / "sub" / "b.png").mkdir(parents=True)
    write_image(tmp_path / "a.png", RED_THEN_BLUE)
    message = error_of(images_by_name, tmp_path)
    assert str(tmp_path / "sub" / "b.png") in message and "folder" in message and "rename" in message


def test_a_name_that_is_not_utf8_is_refused_among_pairs(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    message = error_of(images_by_name, tmp_path)
    assert "caf\\xe9.png" in message and "UTF-8" in message
    message.encode()


@pytest.mark.parametrize(
    "mode, kind, expected",
    [
        ("RGB", "png", (3, 4, False, 8)),
        ("L", "png", (3, 4, True, 8)),
        ("I;16", "png", (3, 4, True, 16)),
        ("1", "png", (3, 4, True, 8)),
        ("P", "png", (3, 4, False, 8)),
        ("L", "jpeg", (3, 4, True, 8)),
        ("RGB", "jpeg", (3, 4, False, 8)),
        ("RGB", "bmp", (3, 4, False, 8)),
    ],
)
def test_the_header_tells_grey_and_depth(tmp_path, mode, kind, expected):
    (tmp_path / "a.img").write_bytes(encoded(Image.new(mode, (4, 3)), kind))
    assert image_header(tmp_path / "a.img") == expected


def test_the_header_of_16_bit_colour(tmp_path):
    import cv2

    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.full((3, 4, 3), 40000, np.uint16))[1])
    assert image_header(tmp_path / "a.png") == (3, 4, False, 16)


def test_an_image_is_read_out_of_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/red.png", encoded(RED_THEN_BLUE, "png"))
        archive.writestr("in/half.png", encoded(RED_THEN_BLUE, "png")[:40])
    red = zipfile.Path(tmp_path / "a.zip", "in/red.png")
    np.testing.assert_array_equal(read_image(red), RED_THEN_BLUE)
    assert image_size(red) == (4, 6)
    message = error_of(read_image, zipfile.Path(tmp_path / "a.zip", "in/half.png"))
    assert "a.zip/in/half.png" in message and "cut off" in message


def test_names_in_a_message_are_cut_to_three():
    assert images.some_of("abc") == "a, b, c"
    assert images.some_of("abcde") == "a, b, c and 2 more"


def test_write_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_image(path, RED_THEN_BLUE)
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR and os.listdir(tmp_path) == ["a.png"]

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert "No space left" in error_of(write_image, path, 255 - RED_THEN_BLUE)
    assert os.listdir(tmp_path) == ["a.png"]
    np.testing.assert_array_equal(read_image(path), RED_THEN_BLUE)

    assert "No such file" in error_of(write_image, tmp_path / "missing" / "a.png", RED_THEN_BLUE)
    (tmp_path / "folder.png").mkdir()
    assert "folder.png" in error_of(write_image, tmp_path / "folder.png", RED_THEN_BLUE)
    assert "'.txt'" in error_of(write_image, tmp_path / "a.txt", RED_THEN_BLUE)
    too_wide = np.zeros((1, 70000, 3), np.uint8)  # JPEG ends at 65535
    assert "70000x1" in error_of(write_image, tmp_path / "wide.jpg", too_wide)
    with pytest.raises(ValueError):
        write_image(path, RED_THEN_BLUE.astype(np.float32))
    assert sorted(os.listdir(tmp_path)) == ["a.png", "folder.png"]


def test_write_that_stops_half_way_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9999, limits[1]))  # as a disk with room for 9999 bytes
    try:
        message = error_of(write_image, tmp_path / "a.png", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "a.png" in message and os.listdir(tmp_path) == []


def test_write_takes_a_view(tmp_path):
    write_image(tmp_path / "a.png", RED_THEN_BLUE[::-1, ::-1])
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [0, 0, 255]


def test_sharpness_falls_with_blur_and_in_spite_of_noise():
    assert sharpness(np.full((8, 8, 3), 99, np.uint8)) == 0
    sharp = textured(seed=1)
    blurred = sum(np.roll(sharp.astype(float), shift, 1) for shift in range(-5, 6)) / 11
    noisy = blurred + np.random.default_rng(0).normal(0, 2, blurred.shape)
    assert sharpness(blurred.astype(np.uint8)) < sharpness(sharp)
    assert sharpness(np.clip(noisy, 0, 255).astype(np.uint8)) < sharpness(sharp)
    assert sharpness(sharp[:1, :1]) == 0

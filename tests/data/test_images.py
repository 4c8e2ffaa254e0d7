"""Reading, measuring, listing and writing image files; every file here is made by the test."""

import functools
import io
import os
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from tfdeblur.data import images
from tfdeblur.data.images import (
    Photograph,
    image_header,
    image_size,
    images_by_name,
    list_images,
    read_image,
    read_photograph,
    sharpness,
    write_image,
    write_photograph,
)
from tfdeblur.errors import DeblurError
from tfdeblur.native import stderr_kept

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


def test_damage_inside_a_png_is_refused(tmp_path, capfd):
    data = bytearray(encoded(textured(), "png"))
    data[len(data) // 2] ^= 0x10
    (tmp_path / "a.png").write_bytes(data)
    assert "a.png" in error_of(read_image, tmp_path / "a.png")
    assert capfd.readouterr().err == ""  # of OpenCV


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_damage_inside_a_jpeg_is_refused_where_its_end_is_there(options, tmp_path, capfd):
    """libjpeg fills up with grey, and tells of it on stderr alone."""
    data, path = encoded(textured(400, 600), "JPEG", quality=90, **options), tmp_path / "a.jpg"
    quarter = len(data) // 4
    for damaged in (
        data[: 2 * quarter] + b"\xff\xd9",
        data[:quarter] + data[3 * quarter :],
        data[:quarter] + bytes(2 * quarter) + data[3 * quarter :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(DeblurError, match="a.jpg: damaged .*; copy it again"):
            read_image(path)
    # A few bytes too many before the end, as some cameras write them, cost nothing
    path.write_bytes(data[:-2] + bytes(100) + b"\xff\xd9")
    np.testing.assert_array_equal(read_image(path), images.decode_photograph(data, "whole").pixels)
    assert capfd.readouterr().err == ""


def test_what_libraries_say_is_kept_from_stderr_and_stderr_comes_back(capfd):
    with stderr_kept() as said:
        os.write(2, b"one\n")
        assert said == []
    os.write(2, b"two\n")
    assert (said, capfd.readouterr().err) == (["one\n"], "two\n")


def test_a_jpeg_is_read_where_stderr_is_closed_and_no_file_can_be_made(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(textured(), "JPEG"))
    code = (
        "import os, sys; os.close(2); from tfdeblur.data.images import read_image; print(read_image(sys.argv[1]).shape)"
    )
    environment = {**os.environ, "TMPDIR": "/nowhere", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.jpg"], capture_output=True, env=environment)
    assert done.stdout.decode().strip() == "(120, 160, 3)"


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


def test_the_header_of_png_and_jpeg_is_read_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "decode_photograph", lambda data, name: pytest.fail("decoded"))
    for kind in ("png", "jpeg"):
        (tmp_path / "a.img").write_bytes(encoded(RED_THEN_BLUE, kind, exif=orientation(6)))
        assert image_size(tmp_path / "a.img") == (6, 4)


def test_an_image_is_read_out_of_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/red.png", encoded(RED_THEN_BLUE, "png"))
        archive.writestr("in/half.png", encoded(RED_THEN_BLUE, "png")[:40])
    red = zipfile.Path(tmp_path / "a.zip", "in/red.png")
    np.testing.assert_array_equal(read_image(red), RED_THEN_BLUE)
    assert image_size(red) == (4, 6)
    message = error_of(read_image, zipfile.Path(tmp_path / "a.zip", "in/half.png"))
    assert "a.zip/in/half.png" in message and "cut off" in message


# ----------------------------------------------------------------------------------------- photographs


def rgb16(height=5, width=7, seed=0):
    return np.random.default_rng(seed).integers(0, 65536, (height, width, 3), np.uint16)


def png_of(samples, *chunks):
    """A PNG of uint8 or uint16 [H, W, 1 to 4], by the book; chunks: (name, content) before the pixels."""
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8 * samples.itemsize, kind, 0, 0, 0)
    big_endian = samples.astype(samples.dtype.newbyteorder(">"))
    pixels = (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in big_endian)))
    parts = [(b"IHDR", header), *chunks, pixels, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def tiff_of(samples, **options):
    import tifffile

    file = io.BytesIO()
    options = {"photometric": "rgb" if samples.shape[-1] in (3, 4) else "minisblack", "metadata": None} | options
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


def read(folder, data, name="a.img"):
    (folder / name).write_bytes(data)
    return read_photograph(folder / name)


@functools.cache  # it holds the time at which it was made
def srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def grey_profile():
    return srgb()[:16] + b"GRAY" + srgb()[20:]


def phone_exif(orientation=6):
    """EXIF as of a phone's upright picture that its sensor took lying, with a thumbnail and a maker's note."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x0132] = "Maker", orientation, "2024:05:06 07:08:09"
    exif[0x8769] = {0x829A: 0.01, 0x927C: b"note " * 9, 0xA002: 7, 0xA003: 5}
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 30.0)}
    block = bytearray(exif.tobytes()[6:])
    assert block[:2] == b"MM"
    (first,) = struct.unpack_from(">I", block, 4)
    (count,) = struct.unpack_from(">H", block, first)
    # a second directory, that holds a thumbnail of three bytes
    struct.pack_into(">I", block, first + 2 + 12 * count, len(block))
    block += struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, len(block) + 30, 0x0202, 4, 1, 3, 0) + b"jpg"
    return bytes(block)


def opened_exif(block):
    exif = Image.Exif()
    exif.load(block)
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_with_its_alpha(tmp_path, orientation):
    # What viewers show for the pixels "123456" in two rows of three, by the EXIF specification.
    upright = {1: "123 456", 2: "321 654", 3: "654 321", 4: "456 123", 5: "14 25 36", 6: "41 52 63", 7: "63 52 41"}
    upright[8] = "36 25 14"
    expected = np.array([[int(letter) for letter in row] for row in upright[orientation].split()])
    stored = np.arange(1, 7).reshape(2, 3, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = exif.tobytes()[6:]
    turned = [(274, 3, 1, orientation, True)]
    deep, flat = np.repeat(stored, 4, 2).astype(np.uint16), np.repeat(stored, 4, 2).astype(np.uint8)
    files = {
        "png": png_of(flat, (b"eXIf", block)),
        "deep.png": png_of(deep, (b"eXIf", block)),
        "deep grey.png": png_of(deep[..., :2], (b"eXIf", block)),
        "tif": tiff_of(flat, extratags=turned, extrasamples=["unassalpha"]),
        "deep.tif": tiff_of(deep, extratags=turned, extrasamples=["unassalpha"]),
        "webp": encoded(flat, "webp", lossless=True, exact=True, exif=exif),
    }
    for name, data in files.items():
        photograph = read(tmp_path, data, name)
        np.testing.assert_array_equal(photograph.pixels[..., 0], expected, name)
        np.testing.assert_array_equal(photograph.alpha, expected, name)
        assert image_size(tmp_path / name) == expected.shape, name
        assert opened_exif(photograph.exif or b"").get(0x0112, 1) == 1


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
def test_xmp_does_not_turn(tmp_path, kind):
    from PIL import PngImagePlugin

    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    options = {"xmp": xmp.encode()}
    if kind == "png":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp)
    elif kind == "tiff":
        options = {"tiffinfo": {700: xmp.encode()}}
    data = encoded(RED_THEN_BLUE, kind, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[0x0112] == 6  # PIL's opinion
    assert read(tmp_path, data).pixels.shape == (4, 6, 3) and image_size(tmp_path / "a.img") == (4, 6)


def test_exif_after_the_pixels_counts(tmp_path):
    exif = orientation(6).tobytes()[6:]
    for samples in (rgb16(), rgb16().astype(np.uint8)):
        data = png_of(samples)
        photograph = read(tmp_path, data[:-12] + chunk(b"eXIf", exif) + data[-12:])
        np.testing.assert_array_equal(photograph.pixels, np.rot90(samples, -1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_png_and_tiff_hold_everything(tmp_path, dtype, suffix, grey, alpha):
    pixels = rgb16(300, 400).astype(dtype)  # several strips of a TIFF
    pixels = np.repeat(pixels[..., :1], 3, 2) if grey else pixels
    profile = grey_profile() if grey else srgb()
    whole = Photograph(
        pixels, rgb16(300, 400, 1)[..., 0].astype(dtype) if alpha else None, grey, profile, phone_exif(1)
    )
    path = tmp_path / f"a{suffix}"
    assert write_photograph(path, whole) == []
    if suffix == ".tif" and dtype is np.uint16 and grey and alpha:  # which PIL cannot read, and neither can we
        import tifffile

        np.testing.assert_array_equal(tifffile.imread(path), np.stack([pixels[..., 0], whole.alpha], axis=2))
        return
    with Image.open(path) as image:
        assert image.info["icc_profile"] == profile
        assert image.getexif()[0x010F] == "Maker"
        assert image.getexif().get_ifd(0x8769)[0x829A] == 0.01
        assert image.getexif().get_ifd(0x8825)[2] == (48.0, 8.0, 30.0)
        if not (dtype is np.uint16 and grey and alpha):  # which PIL takes for RGBA
            assert len(image.getbands()) == (1 if grey else 3) + alpha
    again = read_photograph(path)
    assert again.pixels.dtype == dtype and again.grey == grey and again.icc_profile == profile and again.notes == ()
    np.testing.assert_array_equal(again.pixels, pixels)
    if alpha:
        np.testing.assert_array_equal(again.alpha, whole.alpha)
    else:
        assert again.alpha is None


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_opencv_reads_the_png_that_is_written(tmp_path, dtype, channels):
    import cv2

    pixels = rgb16(3, 1)[:, :1].astype(dtype)
    grey = channels < 3
    pixels = np.repeat(pixels[..., :1], 3, 2) if grey else pixels
    alpha = pixels[..., 1] // 2 if channels in (2, 4) else None
    write_photograph(tmp_path / "a.png", Photograph(pixels, alpha, grey))
    seen = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).reshape(3, 1, -1)
    assert seen.dtype == dtype
    np.testing.assert_array_equal(seen[..., 0], pixels[..., 2])
    if alpha is not None:
        np.testing.assert_array_equal(seen[..., -1], alpha)


def test_16_bit_png_against_the_book(tmp_path):
    for channels in (1, 2, 3, 4):
        samples = rgb16(seed=channels)
        samples = np.concatenate([samples, samples[..., :1] // 3], axis=2)[..., -channels:]
        photograph = read(tmp_path, png_of(samples))
        assert photograph.grey == (channels < 3)
        np.testing.assert_array_equal(photograph.pixels, samples[..., [0] * 3 if channels < 3 else [0, 1, 2]])
        assert (photograph.alpha is not None) == (channels in (2, 4))
        if channels in (2, 4):
            np.testing.assert_array_equal(photograph.alpha, samples[..., -1])
        header = image_header(tmp_path / "a.img")
        assert header == (5, 7, channels < 3, 16)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("byteorder", "<>")
def test_16_bit_tiff_of_any_compression(tmp_path, compression, byteorder):
    if compression == "lzw":
        import cv2

        data = cv2.imencode(".tif", rgb16()[..., ::-1])[1].tobytes()
        assert Image.open(io.BytesIO(data)).tag_v2[259] == 5
    else:
        data = tiff_of(rgb16().astype(f"{byteorder}u2"), compression=compression, byteorder=byteorder)
    photograph = read(tmp_path, data)
    np.testing.assert_array_equal(photograph.pixels, rgb16())
    assert image_header(tmp_path / "a.img") == (5, 7, False, 16)


def test_odd_kinds_of_tiff(tmp_path):
    values = np.array([[0, 1, 65535]], np.uint16)
    white_is_0 = read(tmp_path, tiff_of(values, photometric="miniswhite"))
    assert white_is_0.grey and white_is_0.pixels[0, :, 0].tolist() == [65535, 65534, 0]
    premultiplied = np.array([[[1000, 20000, 0, 20000], [0, 0, 0, 0]]], np.uint16)
    straight = read(tmp_path, tiff_of(premultiplied, extrasamples=["assocalpha"]))
    assert straight.pixels.tolist() == [[[3277, 65535, 0], [0, 0, 0]]] and straight.alpha.tolist() == [[20000, 0]]
    unstated = read(tmp_path, tiff_of(premultiplied, extrasamples=["unspecified"]))
    assert unstated.alpha is None and unstated.pixels.tolist() == premultiplied[..., :3].tolist()
    for data, words in [
        (tiff_of(np.moveaxis(rgb16(), 2, 0), photometric="rgb", planarconfig="separate"), "separate planes"),
        (tiff_of(rgb16()[..., 0].astype(np.float32)), "floating-point"),
        (tiff_of(rgb16().astype(np.int16)), "cannot be read"),
        (tiff_of(rgb16()[..., 0].astype(np.uint32)), "32-bit"),
    ]:
        (tmp_path / "odd.tif").write_bytes(data)
        message = error_of(read_photograph, tmp_path / "odd.tif")
        assert "odd.tif" in message and words in message
    planes = np.moveaxis(rgb16().astype(np.uint8), 2, 0)
    np.testing.assert_array_equal(
        read(tmp_path, tiff_of(planes, photometric="rgb", planarconfig="separate")).pixels, np.moveaxis(planes, 0, 2)
    )


def test_palettes_bits_and_transparent_values(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([2, 0, 1])
    colours = [[[70, 80, 90], [10, 20, 30], [40, 50, 60]]]
    for data in (encoded(image, "png"), encoded(image, "tiff"), encoded(image, "bmp")):
        photograph = read(tmp_path, data)
        assert photograph.pixels.tolist() == colours and photograph.alpha is None and not photograph.grey
    clear = read(tmp_path, encoded(image, "png", transparency=bytes([255, 128, 0])))
    assert clear.pixels.tolist() == colours and clear.alpha.tolist() == [[0, 255, 128]]

    bits = Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1")
    for kind in ("png", "tiff", "bmp"):
        photograph = read(tmp_path, encoded(bits, kind))
        assert photograph.grey and photograph.pixels.tolist() == [[[0] * 3, [255] * 3, [255] * 3]]

    two_bits = struct.pack(">IIBBBBB", 4, 1, 2, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", two_bits) + chunk(b"tRNS", b"\0\2")
    clear = read(tmp_path, start + chunk(b"IDAT", zlib.compress(b"\0\x1b")) + chunk(b"IEND", b""))
    assert clear.pixels[0, :, 1].tolist() == [0, 85, 170, 255] and clear.alpha.tolist() == [[255, 255, 0, 255]]

    deep = np.array([[[5], [6]]], np.uint16)
    clear = read(tmp_path, png_of(deep, (b"tRNS", struct.pack(">H", 6))))
    assert clear.grey and clear.alpha.tolist() == [[65535, 0]]
    deep = np.array([[[5, 6, 7], [6, 7, 8]]], np.uint16)
    clear = read(tmp_path, png_of(deep, (b"tRNS", struct.pack(">HHH", 6, 7, 8))))
    assert clear.pixels.tolist() == deep.tolist() and clear.alpha.tolist() == [[65535, 0]]


def test_a_bmp_of_32_bits_without_alpha_is_not_clear(tmp_path):
    header = struct.pack("<2sIHHI", b"BM", 58, 0, 0, 54) + struct.pack(
        "<IiiHHIIiiII", 40, 1, 1, 1, 32, 0, 4, 0, 0, 0, 0
    )
    photograph = read(tmp_path, header + bytes([30, 20, 10, 0]))  # the fourth byte means nothing there
    assert photograph.pixels.tolist() == [[[10, 20, 30]]] and photograph.alpha is None


def test_cmyk_becomes_rgb_and_says_so(tmp_path):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind in ("jpeg", "tiff"):
        photograph = read(tmp_path, encoded(image, kind, icc_profile=srgb()[:16] + b"CMYK" + srgb()[20:]))
        np.testing.assert_allclose(photograph.pixels[0, 0], [255, 0, 0], atol=2)
        assert photograph.icc_profile is None and len(photograph.notes) == 1 and "CMYK" in photograph.notes[0]


def test_a_profile_of_another_colour_space_is_left_out(tmp_path, capfd):
    photograph = read(tmp_path, encoded(RED_THEN_BLUE, "png", icc_profile=grey_profile()))
    assert photograph.icc_profile is None and "profile" in photograph.notes[0]
    assert read(tmp_path, encoded(RED_THEN_BLUE, "png", icc_profile=srgb())).notes == ()
    odd = bytes(16) + b"RGB " + bytes(300)
    assert read(tmp_path, encoded(RED_THEN_BLUE, "png", icc_profile=odd)).icc_profile == odd
    assert capfd.readouterr().err == ""  # of libpng, which knows profiles


@pytest.mark.parametrize("kind", ["tiff", "webp", "mpo", "png"])
def test_of_several_pictures_the_first_is_taken_and_said(tmp_path, kind):
    first, second = (Image.fromarray(textured(seed=seed)) for seed in (0, 1))
    options = {"lossless": True} if kind == "webp" else {}
    data = encoded(first, kind, save_all=True, append_images=[second], **options)
    photograph = read(tmp_path, data)
    assert np.abs(photograph.pixels.astype(int) - np.array(first)).mean() < (9 if kind == "mpo" else 1e-9)
    assert "several pictures" in photograph.notes[0]
    assert read(tmp_path, encoded(first, "jpeg")).notes == ()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_exif_is_carried_over_upright(tmp_path, suffix):
    data = encoded(rgb16().astype(np.uint8), "jpeg", exif=b"Exif\0\0" + phone_exif(6), icc_profile=srgb())
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == 3
    photograph = read(tmp_path, data)
    assert photograph.pixels.shape == (7, 5, 3)
    path = tmp_path / f"b{suffix}"
    assert write_photograph(path, photograph) == []
    with Image.open(path) as image:
        exif = image.getexif()
        inner, place = dict(exif.get_ifd(0x8769)), exif.get_ifd(0x8825)
        assert image.size == (5, 7) and image.info["icc_profile"] == srgb()
        assert not exif.get_ifd(ExifTags.IFD.IFD1)  # no thumbnail
    assert exif.get(0x0112, 1) == 1 and exif[0x0132] == "2024:05:06 07:08:09"
    assert (inner[0xA002], inner[0xA003], inner[0x829A]) == (5, 7, 0.01)
    assert place[2] == (48.0, 8.0, 30.0)
    if suffix == ".tif":
        assert 0x927C not in inner  # its offsets would point elsewhere
    else:  # byte for byte in its old place, but for the orientation, the size and the thumbnail's address
        before, after = phone_exif(6), photograph.exif
        assert len(before) == len(after) and before.index(b"note ") == after.index(b"note ")
        assert sum(old != new for old, new in zip(before, after, strict=True)) <= 6
    again = read_photograph(path)
    assert again.pixels.shape == (7, 5, 3) and again.notes == ()


def test_exif_of_a_tiff_goes_into_png(tmp_path):
    exif = opened_exif(phone_exif(6))
    (tmp_path / "a.tif").write_bytes(encoded(rgb16().astype(np.uint8), "tiff", exif=exif, compression="raw"))
    write_photograph(tmp_path / "a.png", read_photograph(tmp_path / "a.tif"))
    with Image.open(tmp_path / "a.png") as image:
        carried = image.getexif()
        assert image.size == (5, 7) and carried[0x010F] == "Maker" and carried.get(0x0112, 1) == 1
        assert carried.get_ifd(0x8769)[0x829A] == 0.01
        assert not set(carried) & {256, 257, 258, 259, 273, 278, 279}  # of the TIFF's own layout


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_damaged_exif_costs_itself_alone(tmp_path, suffix):
    block = phone_exif(1)
    for damaged in (block[:12], b"XX" + block[2:], block[:4] + b"\xff\xff\xff\x7f" + block[8:], b"I"):
        photograph = read(tmp_path, png_of(rgb16(), (b"eXIf", damaged)))
        np.testing.assert_array_equal(photograph.pixels, rgb16())
        assert photograph.exif is None and photograph.notes == ("its EXIF is damaged: left out",)
    unwritable = Photograph(rgb16(), exif=b"no TIFF")
    assert write_photograph(tmp_path / f"a{suffix}", unwritable) == (
        [] if suffix == ".png" else ["its EXIF is damaged: left out"]
    )
    np.testing.assert_array_equal(read_photograph(tmp_path / f"a{suffix}").pixels, rgb16())


def test_what_a_format_cannot_hold_is_said(tmp_path):
    alpha = np.full((5, 7), 40000, np.uint16)
    whole = Photograph(rgb16(), alpha, icc_profile=srgb(), exif=phone_exif(1))
    eight = np.round(rgb16() / 257).astype(int)

    assert write_photograph(tmp_path / "a.jpg", whole) == ["JPEG cannot hold its 16 bits, alpha: left out; PNG can"]
    read = read_photograph(tmp_path / "a.jpg")
    assert read.alpha is None and read.icc_profile == srgb() and read.exif == phone_exif_at_rest()
    assert np.abs(read.pixels - eight).mean() < 6  # noise in JPEG; with colour at half resolution 40

    assert write_photograph(tmp_path / "a.webp", whole) == ["WEBP cannot hold its 16 bits: left out; PNG can"]
    read = read_photograph(tmp_path / "a.webp")
    np.testing.assert_array_equal(read.pixels, eight)
    np.testing.assert_array_equal(read.alpha, 156)
    assert read.icc_profile == srgb()

    (note,) = write_photograph(tmp_path / "a.bmp", whole)
    assert note == "BMP cannot hold its 16 bits, alpha, colour profile, EXIF: left out; PNG can"
    np.testing.assert_array_equal(read_photograph(tmp_path / "a.bmp").pixels, eight)

    clear = Photograph(rgb16().astype(np.uint8), np.zeros((5, 7), np.uint8))
    assert write_photograph(tmp_path / "a.webp", clear) == []
    np.testing.assert_array_equal(read_photograph(tmp_path / "a.webp").pixels, clear.pixels)  # the colour below stays

    grey = Photograph(np.full((5, 7, 3), 9, np.uint8), grey=True, icc_profile=grey_profile())
    assert write_photograph(tmp_path / "a.webp", grey) == [
        "WEBP cannot hold its grey, colour profile: left out; PNG can"
    ]
    assert read_photograph(tmp_path / "a.webp").pixels.tolist() == grey.pixels.tolist()
    assert write_photograph(tmp_path / "a.bmp", grey) == ["BMP cannot hold its colour profile: left out; PNG can"]
    assert read_photograph(tmp_path / "a.bmp").grey
    long = Photograph(RED_THEN_BLUE, exif=phone_exif(1) + bytes(70000))
    assert write_photograph(tmp_path / "a.jpg", long) == ["JPEG cannot hold its EXIF: left out; PNG can"]


def phone_exif_at_rest():
    """What is read of an upright picture's EXIF of 7x5 pixels: all of it without the address of the thumbnail."""
    return images._upright(phone_exif(1), 7, 5)


def test_grey_is_the_mean_of_what_was_restored(tmp_path):
    pixels = np.array([[[10, 20, 61], [65535, 65535, 65534], [7, 7, 7]]], np.uint16)
    write_photograph(tmp_path / "a.png", Photograph(pixels, grey=True))
    assert read_photograph(tmp_path / "a.png").pixels[0, :, 0].tolist() == [30, 65535, 7]


def test_a_false_size_is_refused_from_the_header(tmp_path):
    def lying_webp(width, height):
        data = encoded(RED_THEN_BLUE, "webp", lossless=True, exif=orientation(1))
        at = data.index(b"VP8X") + 12
        return data[:at] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + data[at + 6 :]

    def lying_jpeg(width, height):
        data = encoded(RED_THEN_BLUE, "jpeg")
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]

    def lying_png(width, height):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + png_of(RED_THEN_BLUE)[33:]

    def lying_tiff(width, height):
        data = bytearray(tiff_of(RED_THEN_BLUE))
        for tag, value in ((256, width), (257, height)):
            at = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
            struct.pack_into("<I", data, at, value)
        return bytes(data)

    def lying_bmp(width, height):
        data = encoded(RED_THEN_BLUE, "bmp")
        return data[:18] + struct.pack("<ii", width, height) + data[26:]

    assert 179_000_000 < images.MAX_PIXELS <= 2**30  # above what PIL refuses by itself
    for lie in (lying_webp, lying_jpeg, lying_png, lying_tiff, lying_bmp):
        (tmp_path / "a.img").write_bytes(lie(60000, 50000))
        for function in (read_photograph, read_image, image_size):
            message = error_of(function, tmp_path / "a.img")
            assert "a.img: claims to have 60000x50000 pixels" in message and "536 megapixels" in message
    for lie in (lying_jpeg, lying_png):  # below the limit, and more than so few bytes can hold
        (tmp_path / "a.img").write_bytes(lie(20000, 20000))
        assert "cannot hold the 20000x20000 pixels" in error_of(read_photograph, tmp_path / "a.img")
    (tmp_path / "a.img").write_bytes(lying_png(6, 5))
    assert "a.img" in error_of(read_photograph, tmp_path / "a.img")


@pytest.mark.parametrize("kind, options", [("png", {}), ("jpeg", {}), ("jpeg", {"progressive": True})])
def test_a_flat_image_is_not_taken_for_a_false_size(tmp_path, kind, options):
    for mode in ("1", "L") if kind == "png" else ("L", "RGB"):
        (tmp_path / "a.img").write_bytes(encoded(Image.new(mode, (4000, 3000)), kind, quality=1, **options))
        assert read_image(tmp_path / "a.img").shape == (3000, 4000, 3)


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

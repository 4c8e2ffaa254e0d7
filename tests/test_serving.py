"""`serve_bytes`: every kind of image, and every kind of bad one beside good ones."""

import contextlib
import io
import re
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests import encoded
from tests.encoded import encode
from tests.rest import Served
from tfdeblur import serving
from tfdeblur.compat import tf
from tfdeblur.data.photographs import photograph
from tfdeblur.export import export_saved_model
from tfdeblur.inference import Deblurrer

PHOTO = photograph("chelsea.png")[100:160, 120:203]
GREY = PHOTO[..., 1]


class Net(tf.Module):
    """Each channel times a factor of its own, plus a part of what lies left of it: no symmetry is left."""

    size_multiple = 16

    def __init__(self):
        super().__init__()
        self.factors = tf.Variable([0.5, 0.625, 0.25])

    def __call__(self, x):
        return {"restored": self.factors * x + 0.3 * tf.roll(x, 1, axis=2)}


@pytest.fixture(scope="module")
def deblurrer():
    return Deblurrer.of_network(Net(), {})


@pytest.fixture(scope="module")
def served(deblurrer, tmp_path_factory):
    """An export whose limit is 8,000 pixels, in a session as a server runs it."""
    folder = tmp_path_factory.mktemp("served") / "1"
    export_saved_model(deblurrer, folder, max_pixels=8000)
    return Served(folder)


@pytest.fixture
def serve(served):
    """Function of files -> [(restored PNG, error)]."""

    def run(*files):
        answer = served.run("serve_bytes", {"image_bytes": np.array(files, object)})
        return list(zip(answer["restored_bytes"].tolist(), [e.decode() for e in answer["error"]], strict=True))

    return run


@pytest.fixture
def expected(deblurrer):
    """Function of an image [H, W] or [H, W, C], upright -> what is to come back, made without the graph."""

    def restored(image):
        image = image[..., None] if image.ndim == 2 else image
        colours = 1 if image.shape[2] <= 2 else 3
        rgb = np.repeat(image[..., :1], 3, axis=2) if colours == 1 else image[..., :3]
        if image.dtype == np.uint8:
            result = deblurrer.restore(rgb)
        else:
            result = deblurrer.restore(rgb.astype(np.float32) / np.float32(65535))
            result = np.round(result * np.float32(65535)).astype(np.uint16)
        if colours == 1:  # as `deblur` writes it
            result = ((result.sum(axis=2, dtype=np.uint32, keepdims=True) + 1) // 3).astype(image.dtype)
        return np.concatenate([result, image[..., colours:]], axis=2)

    return restored


def decoded(png):
    """uint8 or uint16 [H, W, C], C from 1 to 4, of a PNG."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or png[25] == 4:  # OpenCV has no grey with alpha
        data = zlib.decompress(b"".join(data for kind, data in encoded.chunks(png) if kind == b"IDAT"))
        assert png[25] == 4 and data is not None
        return np.array(Image.open(io.BytesIO(png)))
    if image.ndim == 2:
        return image[..., None]
    return image[..., [2, 1, 0, 3][: image.shape[2]]]


def is_restored(answer, image):
    """Whether an answer is this image, to the last bit."""
    png, error = answer
    assert error == ""
    result = decoded(png)
    return result.dtype == image.dtype and result.shape == image.shape and bool((result == image).all())


# ----------------------------------------------------------------------------------------- good images


def test_a_pixel_by_hand(serve):
    # 200 * 0.5 + 0.3 * 200 (rolled onto itself) = 160; 200 * (0.625 + 0.3) = 185; 200 * 0.55 = 110
    ((png, error),) = serve(encode(np.full((1, 1, 3), 200, np.uint8)))
    assert error == "" and decoded(png).tolist() == [[[160, 185, 110]]]


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (17, 1), (16, 16), (33, 50)])
def test_equals_restore_to_the_last_bit_at_any_size(serve, deblurrer, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    (answer,) = serve(encode(image))
    assert is_restored(answer, deblurrer.restore(image))


def test_every_value_of_eight_bits_is_read_exactly(serve, deblurrer):
    image = np.arange(768, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)
    (answer,) = serve(encode(image))
    assert is_restored(answer, deblurrer.restore(image))


JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "not subsampled": {"subsampling": 0},
    "quality 10": {"quality": 10},
    "restarts": {"restart_marker_blocks": 1},
    "optimized": {"optimize": True},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_equals_restore_of_what_opencv_and_pil_decode(serve, deblurrer, kind):
    data = encode(PHOTO, "JPEG", **JPEGS[kind])
    by_pil = np.array(Image.open(io.BytesIO(data)))
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (by_pil == by_opencv).all()
    (answer,) = serve(data)
    assert is_restored(answer, deblurrer.restore(by_pil))


def test_images_of_different_sizes_and_formats_in_one_batch(serve, deblurrer):
    images = [PHOTO, PHOTO[:7, :9], PHOTO[3:4, 5:6], np.ascontiguousarray(PHOTO.swapaxes(0, 1))]
    for image, answer in zip(images, serve(*map(encode, images)), strict=True):
        assert is_restored(answer, deblurrer.restore(image))


def test_an_empty_batch_is_an_empty_answer(served):
    answer = served.run("serve_bytes", {"image_bytes": np.array([], object)})
    assert {key: value.shape for key, value in answer.items()} == {"restored_bytes": (0,), "error": (0,)}


DEEP = PHOTO.astype(np.uint16) * 257 - np.arange(83, dtype=np.uint16)[:, None] % 200
KINDS = {
    "grey stays grey": (encode(GREY), GREY),
    "grey and alpha": (encode(np.dstack([GREY, PHOTO[..., 0]])), np.dstack([GREY, PHOTO[..., 0]])),
    "alpha is kept": (encode(np.dstack([PHOTO, GREY])), np.dstack([PHOTO, GREY])),
    "one bit": (encode(Image.fromarray(GREY).convert("1")), np.array(Image.fromarray(GREY).convert("1").convert("L"))),
    "palette": (
        encode(Image.fromarray(PHOTO).quantize(16)),
        np.array(Image.fromarray(PHOTO).quantize(16).convert("RGB")),
    ),
    "palette with transparency": (
        encode(Image.fromarray(PHOTO).quantize(16), transparency=b"\x00\x80" + b"\xff" * 14),
        np.array(
            Image.open(
                io.BytesIO(encode(Image.fromarray(PHOTO).quantize(16), transparency=b"\x00\x80" + b"\xff" * 14))
            ).convert("RGBA")
        ),
    ),
    "16 bits": (encoded.deep_png(DEEP), DEEP),
    "16 bits, grey": (encoded.deep_png(DEEP[..., :1]), DEEP[..., :1]),
    "16 bits, alpha": (encoded.deep_png(np.dstack([DEEP, DEEP[..., 1]])), np.dstack([DEEP, DEEP[..., 1]])),
    "first image of an animation": (
        encode(PHOTO, save_all=True, append_images=[Image.fromarray(PHOTO[::-1])]),
        PHOTO,
    ),
    "profile and comment": (encode(PHOTO, icc_profile=bytes(3000)), PHOTO),
    "grey JPEG": (encode(GREY, "JPEG"), np.array(Image.open(io.BytesIO(encode(GREY, "JPEG"))))),
    "bytes behind the end of a PNG": (encode(PHOTO) + bytes(999), PHOTO),
    "bytes behind the end of a JPEG": (
        encode(PHOTO, "JPEG") + bytes(999),
        np.array(Image.open(io.BytesIO(encode(PHOTO, "JPEG")))),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_image(serve, expected, kind):
    data, image = KINDS[kind]
    (answer,) = serve(data)
    assert is_restored(answer, expected(image))


def test_a_cmyk_jpeg_becomes_rgb_as_pil_converts_it_but_for_rounding(serve, expected):
    data = encode(Image.fromarray(np.dstack([255 - PHOTO, GREY // 2]), "CMYK"), "JPEG")
    ((png, error),) = serve(data)
    image = expected(np.array(Image.open(io.BytesIO(data)).convert("RGB")))
    assert error == "" and decoded(png).shape == image.shape
    assert np.abs(decoded(png).astype(int) - image).max() <= 1


def test_the_image_data_may_lie_in_many_chunks(serve, deblurrer):
    start, (_, data), end = encoded.PNG_START + encoded.header(83, 60), *encoded.chunks(encode(PHOTO))[-2:]
    parts = [encoded.chunk(b"IDAT", data[n : n + 20]) for n in range(0, len(data), 20)]
    (answer,) = serve(start + b"".join(parts) + encoded.chunk(*end))
    assert len(parts) > 300 and is_restored(answer, deblurrer.restore(PHOTO))


# ----------------------------------------------------------------------------------------- EXIF's orientation


def exif(orientation, order="II", before=3):
    """EXIF of so many other entries and the orientation, in either byte order."""
    sign = "<" if order == "II" else ">"
    entries = [struct.pack(f"{sign}HHII", 0x0100 + n, 4, 1, 7) for n in range(before)]
    entries.append(struct.pack(f"{sign}HHIHH", 0x0112, 3, 1, orientation, 0))
    start = b"II*\0" if order == "II" else b"MM\0*"
    return start + struct.pack(f"{sign}IH", 8, len(entries)) + b"".join(entries) + bytes(4)


def with_exif(data, block):
    """A PNG or JPEG with an EXIF block; the JPEG has others before it."""
    if data.startswith(encoded.PNG_START):
        return data[:33] + encoded.chunk(b"tIME", bytes(7)) + encoded.chunk(b"eXIf", block) + data[33:]
    segments = [b"http://ns.adobe.com/xap/1.0/\0<x/>"] * 3 + [b"Exif\0\0" + block]
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments) + data[2:]


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_orientation_is_applied_as_pil_applies_it(serve, deblurrer, kind, order):
    files = [with_exif(encode(PHOTO[:20, :31], kind), exif(orientation, order)) for orientation in range(1, 9)]
    upright = [np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))) for data in files]
    assert [image.shape[:2] for image in upright] == [(20, 31)] * 4 + [(31, 20)] * 4
    for image, answer in zip(upright, serve(*files), strict=True):
        assert is_restored(answer, deblurrer.restore(image))


def test_the_orientation_may_stand_behind_a_pngs_image(serve, deblurrer):
    data = encode(PHOTO)
    (answer,) = serve(data[:-12] + encoded.chunk(b"eXIf", exif(3)) + data[-12:])
    assert is_restored(answer, deblurrer.restore(PHOTO[::-1, ::-1]))


BROKEN_EXIF = {
    "none": b"",
    "another start": b"II+\0" + exif(6)[4:],
    "orientation 0": exif(0),
    "orientation 9": exif(9),
    "cut off": exif(6)[:-10],
    "entries far behind the end": b"II*\0\xff\xff\xff\xff",
    "more entries than there are": exif(6)[:8] + b"\xff\xff" + exif(6)[10:22],
    "no orientation": exif(6).replace(b"\x12\x01", b"\x13\x01"),
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_broken_exif_turns_nothing_and_fails_nothing(serve, deblurrer, kind):
    data = encode(PHOTO, kind)
    image = np.array(Image.open(io.BytesIO(data)))
    for answer in serve(*[with_exif(data, block) for block in BROKEN_EXIF.values()]):
        assert is_restored(answer, deblurrer.restore(image))


# ----------------------------------------------------------------------------------------- bad images


DAMAGED_PNG = bytearray(encode(PHOTO))
DAMAGED_PNG[2000] ^= 1
BAD = {
    "empty": (b"", serving.EMPTY),
    "text": (b"no image at all", serving.OTHER_FORMAT),
    "GIF": (encode(PHOTO, "GIF"), serving.OTHER_FORMAT),
    "BMP": (encode(PHOTO, "BMP"), serving.OTHER_FORMAT),
    "WebP": (encode(PHOTO, "WEBP"), serving.OTHER_FORMAT),
    "TIFF": (encode(PHOTO, "TIFF"), serving.OTHER_FORMAT),
    "JPEG 2000's first bytes": (b"\0\0\0\x0cjP  \r\n\x87\n", serving.OTHER_FORMAT),
    "start of a PNG": (encoded.PNG_START, serving.DAMAGED),
    "start of a JPEG": (b"\xff\xd8\xff", serving.DAMAGED),
    "half a PNG": (encode(PHOTO)[:3000], serving.DAMAGED),
    "half a JPEG": (encode(PHOTO, "JPEG")[:800], serving.DAMAGED),
    "PNG with a wrong bit": (bytes(DAMAGED_PNG), serving.DAMAGED),
    "PNG of no width": (encoded.png(0, 5, [b""] * 5), serving.DAMAGED),
    "PNG of no height": (encoded.png(5, 0, []), serving.DAMAGED),
    "PNG without its image": (encoded.PNG_START + encoded.header(5, 5) + encoded.chunk(b"IEND", b""), serving.DAMAGED),
    "PNG of 3 bits": (encoded.png(5, 5, [bytes(15)] * 5, bits=3), serving.DAMAGED),
    "JPEG of no height": (encode(PHOTO, "JPEG").replace(b"\0\x3c\0\x53", b"\0\0\0\x53"), serving.DAMAGED),
    "JPEG of 12 bits": (encode(PHOTO, "JPEG").replace(b"\x08\0\x3c\0\x53", b"\x0c\0\x3c\0\x53"), serving.DAMAGED),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_named_and_fails_neither_its_neighbours_nor_the_next_request(serve, deblurrer, kind):
    data, message = BAD[kind]
    good = encode(PHOTO[:20, :30])
    restored = deblurrer.restore(PHOTO[:20, :30])
    first, second, third = serve(good, data, good)
    assert second == (b"", message)
    assert is_restored(first, restored) and is_restored(third, restored)
    (after,) = serve(good)
    assert is_restored(after, restored)


def test_messages_are_one_line_and_say_what_to_do():
    for message in (serving.EMPTY, serving.OTHER_FORMAT, serving.DAMAGED, serving.TOO_MANY_SCANS):
        assert re.fullmatch(r"[ -~]+: [ -~]+", message)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "progressive JPEG"])
def test_every_beginning_of_a_file_is_refused(serve, kind):
    data = encode(PHOTO[:9, :11], kind.split()[-1], **({"progressive": True} if " " in kind else {}))
    *beginnings, nearly, whole = serve(*[data[:length] for length in range(1, len(data) + 1)])
    for png, error in beginnings:
        assert png == b"" and error in (serving.OTHER_FORMAT, serving.DAMAGED)
    assert whole[1] == ""
    # Half of a JPEG's end marker may be missing: nothing of the image is.
    assert nearly == (b"", serving.DAMAGED) or (kind != "PNG" and nearly == whole)


def test_the_limit_is_a_number_of_pixels(serve):
    for kind in ("PNG", "JPEG"):
        fits, larger = (encode(np.zeros((height, 100, 3), np.uint8), kind) for height in (80, 81))
        assert serve(fits)[0][1] == ""
        assert serve(larger) == [
            (b"", "100x81 has more pixels than this model takes (8000): make the image smaller"),
        ]


BOMBS = {
    "PNG": (encoded.png(50000, 50000, [bytes(9)]), "50000x50000 "),
    "largest PNG": (encoded.png(2**31 - 1, 2**31 - 1, [bytes(9)]), "2147483647x2147483647 "),
    "PNG beyond its format": (encoded.png(2**32 - 1, 2**32 - 1, [bytes(9)]), "4294967295x4294967295 "),
    "JPEG": (encoded.jpeg_bomb(), "65500x65500 "),
    # The header must come first: what stands there instead must not be taken for a size.
    "PNG with another chunk first": (
        encoded.PNG_START
        + encoded.chunk(b"tEXt", bytes(4) + b"\0\0\0\5\0\0\0\5")
        + encoded.png(50000, 50000, [b""])[8:],
        "50000x50000 ",
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_by_its_header(serve, kind):
    data, size = BOMBS[kind]
    serve(data)
    began = time.process_time()
    ((png, error),) = serve(data)
    assert png == b"" and error.startswith(size) and error.endswith("(8000): make the image smaller")
    assert time.process_time() - began < 0.5  # decoding so many zeros takes 4 s and more


def test_compressed_comments_are_not_unpacked(serve, deblurrer):
    # One takes libpng a second; it may come before the image or behind it.
    for kind, start in ((b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0")):
        comment = encoded.chunk(kind, start + zlib.compress(bytes(7_900_000))) * 20
        data = encode(PHOTO)
        began = time.process_time()
        for answer in serve(data[:33] + comment + data[33:], data[:-12] + comment + data[-12:]):
            assert is_restored(answer, deblurrer.restore(PHOTO))
        assert time.process_time() - began < 2.0


def test_a_png_of_endless_chunks_is_given_up(serve):
    data = encode(PHOTO)
    few, many = (data[:33] + encoded.chunk(b"tEXt", b"") * number + data[33:] for number in (900, 100_000))
    assert [error for _, error in serve(few, many)] == ["", serving.DAMAGED]


def test_a_jpeg_of_endless_scans_is_refused(serve):
    few, many = (encoded.many_scans(80, scans) for scans in (50, 200))
    assert [error for _, error in serve(few, many)] == ["", serving.TOO_MANY_SCANS]


def test_a_film_behind_a_jpeg_is_no_reason_to_refuse_it(serve):
    film = np.random.default_rng(0).bytes(12_000_000)
    assert film.count(b"\xff\xda") > 120
    assert serve(encode(PHOTO, "JPEG") + film)[0][1] == ""


# ----------------------------------------------------------------------------------------- random damage


CMYK = encode(Image.fromarray(PHOTO).convert("CMYK"), "JPEG")
ORIGINALS = {
    "PNG": [
        *(KINDS[kind][0] for kind in ("grey stays grey", "alpha is kept", "palette", "16 bits", "profile and comment")),
        with_exif(encode(PHOTO), exif(6)),
        encode(PHOTO)[:-12] + encoded.chunk(b"tEXt", b"k\0" + bytes(20000)) + encode(PHOTO)[-12:],
    ],
    "JPEG": [
        *(encode(PHOTO, "JPEG", **options) for options in JPEGS.values()),
        with_exif(encode(PHOTO, "JPEG"), exif(8, "MM")),
        encode(GREY, "JPEG"),
    ],
    "CMYK": [CMYK],
    "TIFF": [encode(PHOTO, "TIFF"), encode(PHOTO, "TIFF", compression="tiff_lzw")],
    "WebP": [encode(PHOTO, "WEBP"), encode(PHOTO, "WEBP", lossless=True)],
}
MESSAGES = "|".join(map(re.escape, (serving.EMPTY, serving.OTHER_FORMAT, serving.DAMAGED, serving.TOO_MANY_SCANS)))
MESSAGES += r"|\d+x\d+ has more pixels than this model takes \(8000\): make the image smaller"


@pytest.mark.slow
def test_two_thousand_mutated_files(serve, expected):
    """Whatever comes: an answer for each, and the right one where there is an image."""
    rng = np.random.default_rng(20240607)
    good, restored = encode(PHOTO[:20, :30]), expected(PHOTO[:20, :30])
    counts = dict.fromkeys(((kind, outcome) for kind in ORIGINALS for outcome in ("named", "right", "wrong")), 0)
    for _ in range(100):
        kinds = rng.choice(list(ORIGINALS), 20, p=[0.4, 0.35, 0.05, 0.1, 0.1]).tolist()
        originals = [ORIGINALS[kind][rng.integers(len(ORIGINALS[kind]))] for kind in kinds]
        files = [encoded.mutated(data, rng) for data in originals]
        answers = serve(*files, good)
        assert is_restored(answers.pop(), restored)
        for kind, original, data, answer in zip(kinds, originals, files, answers, strict=True):
            if answer[1]:
                assert answer[0] == b"" and re.fullmatch(MESSAGES, answer[1]), answer
                outcome = "named"
            else:
                # What others refuse for damage beside the image may be restored all the same.
                images = [*readings(data), *readings(original)]
                outcome = "right" if any(is_restored(answer, expected(image)) for image in images) else "wrong"
            counts[kind, outcome] += 1
    assert sum(counts.values()) == 2000
    # CMYK is not compared: where its markers are damaged, decoders disagree on what the numbers mean.
    assert counts["PNG", "wrong"] == counts["JPEG", "wrong"] == 0, counts
    assert counts["PNG", "right"] > 20 and counts["JPEG", "right"] > 100, counts
    assert counts["TIFF", "right"] == counts["WebP", "right"] == 0, counts


def readings(data):
    """[H, W, C], what OpenCV and PIL make of a file, upright; of each of them where it can."""
    images = []
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is not None:
        images.append(image if image.ndim == 2 else image[..., [2, 1, 0, 3][: image.shape[2]]])
    with contextlib.suppress(Exception):  # PIL has many kinds
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        images.append(np.array(image.convert("RGB") if image.mode in ("P", "1") else image))
    return images

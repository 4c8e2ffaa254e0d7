"""Videos: timing, sound, colours and the way up stay, whatever is damaged, and however often a run is killed."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from tfdeblur import video
from tfdeblur.cli.main import main
from tfdeblur.data.images import write_image
from tfdeblur.data.photographs import photograph
from tfdeblur.errors import DeblurError
from tfdeblur.video import deblur_videos, restore_video

ROOT = pathlib.Path(__file__).resolve().parents[1]
MS = Fraction(1, 1000)
UNEVEN = [0, 40, 80, 100, 180, 200, 240, 500, 540, 560]  # ms


class Inverted:
    """Stands in for a Deblurrer: black becomes white. `seen` are the means of what it was given."""

    path, metadata = None, {}

    def __init__(self):
        self.seen = []

    def restore(self, image):
        self.seen.append(image.mean())
        return 255 - image if image.dtype == np.uint8 else 1 - image


class Same(Inverted):
    def restore(self, image):
        self.seen.append(image.mean())
        return image


def frame(number, size=(48, 64)):
    """A smooth picture in colour, another one for each number, uint8 [H, W, 3]."""
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    return np.stack([40 + 100 * x + 0 * y, 60 + 90 * y, 50 + 20.0 * (number % 8) + 0 * x], axis=-1).astype(np.uint8)


def make_clip(
    path,
    images,
    times=None,
    codec="libx264",
    pixels="yuv420p",
    time_base=MS,
    rate=25,
    options=None,
    colours=(1, 1, 1, 1),  # range, matrix, primaries, transfer
    aspect=None,
    sound=False,
    format=None,
    prepare=None,
):
    """Writes a clip of uint8 RGB images that are shown at `times`, in units of `time_base`."""
    times = times or [40 * number for number in range(len(images))]
    with av.open(str(path), "w", format=format) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.time_base = pixels, time_base
        context = stream.codec_context
        context.time_base = time_base
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = colours
        if aspect:
            context.sample_aspect_ratio = aspect
        audio = output.add_stream("libopus" if str(path).endswith("webm") else "aac", rate=48000) if sound else None
        if prepare:
            prepare(output, stream)
        for image, shown in zip(images, times, strict=True):
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(image), "rgb24" if image.dtype == np.uint8 else "rgb48le"
            )
            picture = picture.reformat(format=pixels, dst_colorspace=colours[1], dst_color_range=colours[0])
            picture.pts, picture.time_base = shown, time_base
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
        if audio:
            wave = 8000 * np.sin(np.arange(int(48000 * times[-1] * time_base)) * 2 * np.pi * 440 / 48000)
            for start in range(0, len(wave), 960):
                piece = wave[None, start : start + 960].repeat(2, axis=1).astype(np.int16)
                sample = av.AudioFrame.from_ndarray(piece, "s16", "stereo")
                sample.sample_rate, sample.pts, sample.time_base = 48000, start, Fraction(1, 48000)
                output.mux(audio.encode(sample))
            output.mux(audio.encode(None))
    return str(path)


def clip_of(path, count=10, **keywords):
    return make_clip(path, [frame(number, keywords.pop("size", (48, 64))) for number in range(count)], **keywords)


def decoded(path):
    """([uint8 RGB], [seconds]) of a clip's video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        return (
            [each.to_ndarray(format="rgb24") for each in frames],
            [each.pts * Fraction(stream.time_base) for each in frames],
        )


def packets(path, kind):
    """[(seconds, bytes)] of the packets of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [(each.pts * Fraction(each.time_base), bytes(each)) for each in container.demux(stream) if each.size]


def error(one, other):
    return np.abs(np.subtract(one, other, dtype=float)).mean()


# ----------------------------------------------------------------------------------------- timing, sound, containers


@pytest.mark.parametrize(
    "name, codec, sound",
    [
        ("a.mp4", "libx264", True),
        ("a.mov", "libx264", True),
        ("a.mkv", "libx264", True),
        ("b.mkv", "libx265", False),
        ("a.webm", "libvpx-vp9", True),
        ("a.webm", "libvpx", False),  # VP8 becomes VP9
        ("a.mp4", "libsvtav1", False),
        ("a.m4v", "mpeg4", True),
    ],
)
def test_every_frame_is_restored_and_keeps_its_time(name, codec, sound, tmp_path, capfd):
    images = [frame(number, (64, 80)) for number in range(10)]
    options = (
        {"crf": "4"}
        if codec in ("libx264", "libvpx-vp9")
        else {"qmin": "1", "qmax": "4", "b": "4000000"}
        if codec in ("mpeg4", "libvpx")
        else {}
    )
    path = make_clip(
        tmp_path / name, images, UNEVEN, codec, options=options, sound=sound, format="mp4" if name == "a.m4v" else None
    )
    given, times = decoded(path)
    assert times == [each * MS for each in UNEVEN]
    target = str(tmp_path / "out" / name)
    capfd.readouterr()
    assert restore_video(Inverted(), path, target) is None
    restored, restored_times = decoded(target)
    assert restored_times == times
    for before, after in zip(given, restored, strict=True):
        assert error(255 - before, after) < 3
    for before, other in zip(given, given[1:] + given[:1], strict=True):  # each is told from its neighbour by that
        assert error(before, other) > 3
    if sound:
        assert packets(target, "audio") == packets(path, "audio")
    with av.open(path) as one, av.open(target) as two:
        assert two.format.name == one.format.name
        assert abs(two.duration - one.duration) < 3000  # microseconds
        assert float(two.streams.video[0].average_rate) == pytest.approx(
            float(one.streams.video[0].average_rate), rel=0.04
        )
    assert os.listdir(tmp_path / "out") == [name]
    assert "x265" not in capfd.readouterr().err


def test_a_transport_stream_keeps_the_distance_between_picture_and_sound(tmp_path):
    path = clip_of(
        tmp_path / "a.ts", 30, codec="mpeg2video", time_base=Fraction(1, 25), times=list(range(30)), sound=True
    )
    target = str(tmp_path / "b.ts")
    restore_video(Same(), path, target)
    for which in (0, -1):
        gaps = [packets(each, "video")[which][0] - packets(each, "audio")[0][0] for each in (path, target)]
        assert abs(gaps[0] - gaps[1]) < Fraction(1, 1000)
    assert packets(target, "audio") == packets(path, "audio")


def test_more_than_one_segment_of_real_frame_rates(tmp_path, capfd):
    """30000/1001 frames a second: times are no whole milliseconds, and segments follow one another exactly."""
    count = 2 * video.SEGMENT + 5
    times = [1001 * number for number in range(count)]
    path = clip_of(tmp_path / "a.mp4", count, times=times, time_base=Fraction(1, 30000), rate=Fraction(30000, 1001))
    target = str(tmp_path / "b.mp4")
    restore_video(Inverted(), path, target)
    assert decoded(target)[1] == [Fraction(each, 30000) for each in times]
    for before, after in zip(decoded(path)[0], decoded(target)[0], strict=True):
        assert error(255 - before, after) < 3
    with av.open(target) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
        keys = [each.is_keyframe for each in container.demux(container.streams.video[0]) if each.size]
    assert [number for number, key in enumerate(keys) if key] == [0, video.SEGMENT, 2 * video.SEGMENT]
    assert f"/{count} " in capfd.readouterr().err  # the progress bar knows how many there are


def test_containers_that_hold_too_little_become_matroska(tmp_path):
    path = clip_of(tmp_path / "a.avi", codec="mpeg4", time_base=Fraction(1, 25), times=list(range(10)), sound=True)
    from tfdeblur.cli.deblur import plan

    assert plan([path], str(tmp_path / "out")) == ([(path, str(tmp_path / "out" / "a.mkv"))], [])
    target = str(tmp_path / "a.mkv")
    restore_video(Inverted(), path, target)
    images, times = decoded(target)
    assert times == decoded(path)[1]
    assert error(images[9], 255 - decoded(path)[0][9]) < 3
    assert [data for _, data in packets(target, "audio")] == [data for _, data in packets(path, "audio")]


def test_subtitles_chapters_titles_and_a_cover(tmp_path):
    def prepare(output, stream):
        output.metadata["title"] = "Holidays"
        stream.metadata["language"] = "fra"
        mark = {"id": 1, "start": 0, "end": 200, "time_base": MS, "metadata": {"title": "Arrival"}}
        output.set_chapters([mark])

    plain = clip_of(tmp_path / "plain.mkv", sound=True, prepare=prepare)
    path = str(tmp_path / "a.mkv")
    with av.open(plain) as given, av.open(path, "w") as output:  # the same with text
        copies = {each.index: output.add_stream_from_template(each, opaque=True) for each in given.streams}
        copies[0].metadata.update(given.streams[0].metadata)
        output.metadata.update(given.metadata)
        output.set_chapters(given.chapters())
        text = output.add_mux_stream("subrip")
        text.time_base = MS
        for start in (40, 200):
            packet = av.Packet(b"Bonjour")
            packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = text, MS, start, start, 100
            output.mux(packet)
        for packet in given.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
    target = str(tmp_path / "b.mkv")
    restore_video(Same(), path, target)
    assert packets(target, "subtitle") == [(40 * MS, b"Bonjour"), (200 * MS, b"Bonjour")]
    assert packets(target, "audio") == packets(path, "audio")
    with av.open(target) as container:
        assert container.metadata["title"] == "Holidays"
        assert container.streams.video[0].metadata["language"] == "fra"
        (chapter,) = container.chapters()
        assert chapter["metadata"]["title"] == "Arrival"
        assert chapter["end"] * Fraction(chapter["time_base"]) == Fraction(1, 5)


def test_a_stream_that_the_container_cannot_hold_is_told(tmp_path, capfd, monkeypatch):
    path = clip_of(tmp_path / "a.mp4", sound=True)
    honest = video._can_hold

    def no_sound(container, add):
        return honest(container, add) and add.__name__ != "<lambda>"

    monkeypatch.setattr(video, "_can_hold", no_sound)
    restore_video(Same(), path, str(tmp_path / "b.mp4"))
    assert ".mp4 cannot hold stream 1 (audio aac); left out" in capfd.readouterr().err
    assert len(decoded(tmp_path / "b.mp4")[0]) == 10


def test_what_a_container_can_hold(tmp_path):
    path = clip_of(tmp_path / "a.mp4", sound=True)
    with av.open(path) as container:
        sound = container.streams.audio[0]
        held = {
            kind: video._can_hold(kind, lambda output: video._add_copy(output, sound))
            for kind in video.CONTAINERS.values()
        }
    assert held == {"mp4": True, "mov": True, "matroska": True, "webm": False, "mpegts": True}


# ----------------------------------------------------------------------------------------- size, way up, colours


@pytest.mark.parametrize("suffix, codec", [(".mp4", "libx264"), (".webm", "libvpx-vp9")])
@pytest.mark.parametrize("size", [(27, 35), (1, 1), (2, 33), (48, 3)])
def test_odd_sizes_stay(suffix, codec, size, tmp_path):
    pixels = "yuv420p" if suffix == ".webm" else "yuv444p"
    images = [frame(number, size) for number in range(3)]
    path = make_clip(tmp_path / f"a{suffix}", images, codec=codec, pixels=pixels, options={"crf": "4"})
    target = tmp_path / f"b{suffix}"
    restore_video(Inverted(), path, str(target))
    restored = decoded(target)[0]
    assert restored[0].shape == (*size, 3)
    assert max(error(255 - one, two) for one, two in zip(decoded(path)[0], restored, strict=True)) < 4


def test_an_odd_size_with_half_the_colour_of_another_codec(tmp_path):
    """MPEG-4 has 4:2:0 in odd sizes and H.264 has not: colour for every pixel then."""
    path = clip_of(tmp_path / "a.mkv", 3, size=(27, 35), codec="mjpeg", pixels="yuvj420p", colours=(2, 5, 1, 1))
    restore_video(Same(), path, str(tmp_path / "b.mkv"))
    with av.open(str(tmp_path / "b.mkv")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt.replace("j", ""), context.color_range) == ("h264", "yuv444p", 2)
    assert error(decoded(path)[0][2], decoded(tmp_path / "b.mkv")[0][2]) < 3


@pytest.mark.parametrize("size, becomes", [((66, 64), "hevc"), ((64, 62), "av1")])
def test_small_pictures_are_kept_from_x265(size, becomes, tmp_path):
    """x265 4.1 writes beyond its memory for pictures less than 64 pixels wide (valgrind)."""
    first = video._Frame(av.VideoFrame(*size, "yuv420p10le"), 0, False)
    path = make_clip(tmp_path / "a.mov", [frame(0, (64, 64))], codec="prores_ks", pixels="yuv422p10le")
    clip = video._Clip(path)
    assert video._choose_encoding(clip, first, "b.mp4", False).codec == becomes


ORIENTATIONS = [(a, b, c, d) for a, d in ((1, 1), (1, -1), (-1, 1), (-1, -1)) for b, c in ((0, 0),)] + [
    (0, b, c, 0) for b, c in ((1, 1), (1, -1), (-1, 1), (-1, -1))
]


def set_display_matrix(path, a, b, c, d):
    """Changes the matrix in the track header of an .mp4 (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(pathlib.Path(path).read_bytes())
    start = data.index(b"tkhd") + 4
    start += (36 if data[start] else 24) + 16
    identity = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]
    assert data[start : start + 36] == np.array(identity, ">i4").tobytes()
    matrix = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], ">i4")
    data[start : start + 36] = matrix.tobytes()
    pathlib.Path(path).write_bytes(data)


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_a_turned_clip_plays_the_same_way_up(matrix, tmp_path):
    """The frames are turned. What is seen follows from the matrix pixel by pixel: (x, y) goes to (ax + cy, bx + dy)."""
    path = clip_of(tmp_path / "a.mp4", 3, aspect=Fraction(4, 3), options={"crf": "4"})
    set_display_matrix(path, *matrix)
    a, b, c, d = matrix
    stored = decoded(path)[0][1]
    y, x = np.mgrid[: stored.shape[0], : stored.shape[1]]
    column, row = a * x + c * y, b * x + d * y
    column, row = column - column.min(), row - row.min()
    seen = np.zeros((row.max() + 1, column.max() + 1, 3), np.uint8)
    seen[row, column] = stored
    target = str(tmp_path / "b.mp4")
    restore_video(Inverted(), path, target)
    restored = decoded(target)[0][1]
    assert restored.shape == seen.shape
    assert error(255 - seen, restored) < 3
    with av.open(target) as container:
        stream = container.streams.video[0]
        assert next(container.decode(stream)).side_data.get("DISPLAYMATRIX") is None
        assert Fraction(stream.sample_aspect_ratio) == (Fraction(3, 4) if b else Fraction(4, 3))


def test_another_angle_is_told_and_not_turned(tmp_path, capfd):
    path = clip_of(tmp_path / "a.mp4", 3)
    set_display_matrix(path, 1, 1, -1, 1)
    restore_video(Same(), path, str(tmp_path / "b.mp4"))
    assert "at an angle; it is not turned" in capfd.readouterr().err
    assert error(decoded(path)[0][1], decoded(tmp_path / "b.mp4")[0][1]) < 3


WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}


def to_rgb(planes, matrix, full):
    """uint8 YUV of ITU-R BT.601 and its like to RGB in 0 .. 255, by the formulas."""
    luma, blue, red = (np.asarray(plane, float) for plane in planes)
    luma, scale = (luma, 1.0) if full else ((luma - 16) * 255 / 219, 255 / 224)
    blue, red = (blue - 128) * scale, (red - 128) * scale
    of_red, of_blue = WEIGHTS[matrix]
    r, b = luma + 2 * (1 - of_red) * red, luma + 2 * (1 - of_blue) * blue
    return np.stack([r, (luma - of_red * r - of_blue * b) / (1 - of_red - of_blue), b], axis=-1)


@pytest.mark.parametrize("full", (False, True))
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_colours_are_converted_with_the_matrix_and_range_of_the_stream(matrix, full, tmp_path):
    """The network sees what a player shows, and a player shows what the network gave."""
    tags = (2 if full else 1, matrix, 9, 14)
    patches = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    path = make_clip(tmp_path / "a.mp4", [patches] * 2, pixels="yuv444p", colours=tags, options={"crf": "1"})

    def shown(file):
        with av.open(file) as container:
            picture = next(container.decode(video=0))
            assert picture.format.name.replace("j", "") == "yuv444p"
            planes = [np.frombuffer(p, np.uint8).reshape(p.height, -1)[:, : p.width] for p in picture.planes]
            context = container.streams.video[0].codec_context
            assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == tags
        return to_rgb(planes, matrix, full)[8::16, 8::16]

    class Kept(Inverted):
        def restore(self, image):
            self.image = image
            return 255 - image

    kept = Kept()
    restore_video(kept, path, str(tmp_path / "b.mp4"))
    assert np.abs(kept.image[8::16, 8::16] - np.clip(shown(path), 0, 255)).max() < 1.6
    assert np.abs(255.0 - kept.image[8::16, 8::16] - shown(str(tmp_path / "b.mp4"))).max() < 6  # crf 16


@pytest.mark.parametrize("size, matrix", [((64, 80), 5), ((720, 1280), 1)])
def test_a_matrix_that_is_not_told_is_that_of_players(size, matrix, tmp_path):
    path = make_clip(tmp_path / "a.mp4", [np.full((*size, 3), (200, 30, 60), np.uint8)], colours=(0, matrix, 2, 2))
    with av.open(path) as container:
        picture = next(container.decode(video=0))
    picture.colorspace = 2
    assert video._colours(picture) == (matrix, True)


@pytest.mark.parametrize(
    "name, codec, pixels, becomes",
    [
        ("a.mp4", "libx265", "yuv420p10le", ("hevc", "yuv420p10le")),
        ("a.mov", "prores_ks", "yuv422p10le", ("hevc", "yuv422p10le")),
        ("a.webm", "libsvtav1", "yuv420p10le", ("av1", "yuv420p10le")),
    ],
)
def test_ten_bits_stay_ten(name, codec, pixels, becomes, tmp_path, capfd):
    ramp = np.linspace(2**13, 2**15, 128 * 64).reshape(64, 128, 1).repeat(3, axis=2).astype(np.uint16)
    options = {"x265-params": "bframes=0:log-level=none"} if codec == "libx265" else {}
    path = make_clip(tmp_path / name, [ramp] * 2, codec=codec, pixels=pixels, colours=(1, 9, 9, 16), options=options)

    class Kept(Inverted):
        def restore(self, image):
            self.image = image
            return image

    def luma(file):
        with av.open(file) as container:
            picture = next(container.decode(video=0))
        plane = picture.planes[0]
        return np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width].astype(float)

    kept, target = Kept(), str(tmp_path / f"b{name[1:]}")
    restore_video(kept, path, target)
    assert kept.image.dtype == np.float32
    assert len(np.unique(kept.image)) > 200  # the ramp has 96 steps of 8 bit
    np.testing.assert_allclose(kept.image[..., 1], np.clip((luma(path) - 64) / 876, 0, 1), atol=2e-3)
    assert error(luma(target), luma(path)) < 1.5  # of 1023
    with av.open(target) as container:
        context = container.streams.video[0].codec_context
        assert (context.codec.canonical_name, context.pix_fmt) == becomes
        assert context.color_trc == (2 if codec == "prores_ks" else 16)  # FFmpeg's own ProRes tells none
        assert context.codec_tag == "hvc1" or becomes[0] != "hevc"
    assert ("is HDR (PQ)" in capfd.readouterr().err) == (codec != "prores_ks")


def test_rgb_becomes_yuv_and_transparency_is_dropped(tmp_path, capfd):
    image = frame(5)
    path = make_clip(tmp_path / "a.mkv", [image] * 2, codec="ffv1", pixels="bgra", colours=(0, 0, 1, 1))
    restore_video(Same(), path, str(tmp_path / "b.mkv"))
    assert error(decoded(tmp_path / "b.mkv")[0][0], image) < 3
    assert "transparency is dropped" in capfd.readouterr().err


@pytest.mark.parametrize("codec", video.ENCODERS)
def test_a_result_is_nearly_what_the_network_gave(codec, tmp_path):
    """Peak signal to noise ratio of the luma, on a photograph."""
    image = photograph("coffee.png")[:256, :384]
    first = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
    encoding = video._Encoding(codec, "yuv420p", 384, 256, MS, Fraction(25), Fraction(1), 1, True, (1, 1, 1, 1))
    path = str(tmp_path / "a.mp4")
    wanted = encoding.picture(image, video._Frame(first, 0, False))
    with av.open(path, "w") as output:
        stream = encoding.add_to(output)
        output.mux(stream.encode(wanted))
        output.mux(stream.encode(None))
    with av.open(path) as container:
        got = next(container.decode(video=0))
    one, two = (np.frombuffer(p.planes[0], np.uint8).reshape(256, -1)[:, :384].astype(float) for p in (wanted, got))
    assert 10 * np.log10(255**2 / ((one - two) ** 2).mean()) > 40


def test_side_by_side(tmp_path):
    path = clip_of(tmp_path / "a.mp4", 3)
    restore_video(Inverted(), path, str(tmp_path / "b.mp4"), side_by_side=True)
    (_, before, _), (_, both, _) = decoded(path)[0], decoded(tmp_path / "b.mp4")[0]
    assert both.shape == (48, 128, 3)
    assert error(both[:, :64], before) < 3
    assert error(both[:, 64:], 255 - before) < 3


# ----------------------------------------------------------------------------------------- damage


def spoil(path, number):
    """Overwrites all of a video packet but its first bytes with zeros."""
    with av.open(path) as container:
        packet = [each for each in container.demux(video=0) if each.size][number]
        start, size = packet.pos, packet.size
    data = bytearray(pathlib.Path(path).read_bytes())
    data[start + 4 : start + size] = bytes(size - 4)
    pathlib.Path(path).write_bytes(data)


@pytest.mark.parametrize("codec", ("libx264", "mjpeg"))
def test_a_frame_that_cannot_be_decoded_is_told_and_the_others_keep_their_time(codec, tmp_path):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = {"bf": "0"} if codec == "libx264" else {}
    path = clip_of(tmp_path / "a.mov", 30, codec=codec, pixels=pixels, options=options, sound=True)
    whole = decoded(path)[1]
    spoil(path, 12)
    fake, target = Inverted(), str(tmp_path / "b.mov")
    failed, damaged = deblur_videos(fake, [(path, target)])
    assert failed == []
    (line,) = damaged
    assert line.startswith(f"{path}: ") and "(at 0.48 s)" in line and line.endswith("the rest is restored")
    images, times = decoded(target)
    assert times == whole[:12] + whole[13:]
    assert len(fake.seen) == 29
    assert packets(target, "audio") == packets(path, "audio")


def test_frames_that_are_missing_at_the_beginning_are_told(tmp_path):
    """H.264 can be decoded from the next key frame on."""
    path = clip_of(tmp_path / "a.mov", 30, options={"bf": "0", "g": "10"})
    whole = decoded(path)[1]
    spoil(path, 0)
    target = str(tmp_path / "b.mov")
    damage = restore_video(Inverted(), path, target)
    times = decoded(target)[1]
    assert 0 < len(whole) - len(times) <= 10 and times == whole[-len(times) :]
    assert damage == f"nothing before {float(times[0]):.2f} s can be decoded, and the result begins there"


def test_what_the_decoder_marks_as_damaged_is_passed_through(tmp_path, monkeypatch):
    """MPEG-2 in a transport stream: the decoder conceals and says so."""
    path = clip_of(
        tmp_path / "a.ts", 30, size=(144, 176), codec="mpeg2video", time_base=Fraction(1, 25), times=list(range(30))
    )
    data = bytearray(pathlib.Path(path).read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, 150, np.uint8).tobytes()
    data[len(data) // 2 : len(data) // 2 + 150] = noise
    pathlib.Path(path).write_bytes(data)
    with av.open(path) as container:
        corrupt = [each.is_corrupt for packet in container.demux(video=0) for each in _decoded_if_possible(packet)]
    assert 1 <= sum(corrupt) <= 3  # otherwise this clip tests nothing
    target = str(tmp_path / "b.ts")
    damage = restore_video(Inverted(), path, target)
    assert "damaged frames are left as they are (at " in damage
    for before, after, left in zip(decoded_in_spite(path), decoded(target)[0], corrupt, strict=True):
        assert error(before if left else 255 - before, after) < 4


def _decoded_if_possible(packet):
    try:
        return packet.decode()
    except av.FFmpegError:
        return []


def decoded_in_spite(path):
    with av.open(path) as container:
        pictures = [each for packet in container.demux(video=0) for each in _decoded_if_possible(packet)]
    return [each.to_ndarray(format="rgb24") for each in pictures]


def test_a_clip_that_is_cut_off_gives_what_there_is(tmp_path):
    path = clip_of(tmp_path / "a.mkv", 200, sound=True)
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data[: len(data) // 2])
    target = str(tmp_path / "b.mkv")
    damage = restore_video(Inverted(), path, target)
    assert "it is cut off at " in damage and damage.endswith(" s of 8.01 s") or damage.endswith(" s of 8.00 s")
    assert len(decoded(target)[0]) == len(decoded(path)[0])


def test_a_clip_whose_index_is_missing_is_one_line(tmp_path):
    path = clip_of(tmp_path / "a.mp4")
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(DeblurError, match="not a video that FFmpeg can read, or cut off"):
        restore_video(Inverted(), path, str(tmp_path / "b.mp4"))
    assert os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("content", (b"", b"hello " * 100, bytes(5000)))
def test_what_is_no_video_is_one_line(content, tmp_path):
    (tmp_path / "a.mp4").write_bytes(content)
    failed, damaged = deblur_videos(Inverted(), [(str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"))])
    (line,) = failed
    assert line.startswith(f"{tmp_path / 'a.mp4'}: not a video") and "\n" not in line and damaged == []


def test_sound_alone_no_frames_and_a_missing_file(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as output:
        audio = output.add_stream("aac", rate=48000)
        sample = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), "s16", "stereo")
        sample.sample_rate = 48000
        output.mux(audio.encode(sample))
        output.mux(audio.encode(None))
    with av.open(str(tmp_path / "empty.mp4"), "w") as output:
        output.add_stream("libx264", rate=25, width=64, height=48)
        output.start_encoding()
    for name, words in (("sound", "no video"), ("empty", ""), ("none", "not a video")):
        path = str(tmp_path / f"{name}.mp4")
        with pytest.raises(DeblurError, match=f"{name}.mp4: .*{words}") as caught:
            restore_video(Inverted(), path, str(tmp_path / "b.mp4"))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "b.mp4").exists() and not (tmp_path / "b.mp4.parts").exists()


def test_a_size_that_changes_is_refused(tmp_path):
    settings = {"codec": "mpeg2video", "time_base": Fraction(1, 25), "times": list(range(5))}
    one = clip_of(tmp_path / "one.ts", 5, size=(48, 64), **settings)
    two = clip_of(tmp_path / "two.ts", 5, size=(64, 80), **settings)
    path = tmp_path / "a.ts"
    path.write_bytes(pathlib.Path(one).read_bytes() + pathlib.Path(two).read_bytes())
    with pytest.raises(DeblurError, match="is 64x48, and 80x64 from .* s on; cut it there"):
        restore_video(Inverted(), str(path), str(tmp_path / "b.ts"))
    assert not (tmp_path / "b.ts").exists()


# ----------------------------------------------------------------------------------------- killed and started again


class Stopped(Inverted):
    """Stops the run before a frame."""

    def __init__(self, after):
        super().__init__()
        self._after = after

    def restore(self, image):
        if len(self.seen) == self._after:
            raise KeyboardInterrupt
        return super().restore(image)


LONG = 3 * video.SEGMENT + 2


@pytest.fixture
def long_clip(tmp_path):
    return clip_of(tmp_path / "a.mp4", LONG, sound=True)


def video_packets(path):
    with av.open(str(path)) as container:
        return [(each.pts, each.dts, each.duration, bytes(each)) for each in container.demux(video=0) if each.size]


@pytest.mark.parametrize("after, again", [(5, LONG), (2 * video.SEGMENT + 1, LONG - 2 * video.SEGMENT), (LONG - 1, 2)])
def test_a_run_goes_on_after_its_last_whole_segment(after, again, long_clip, tmp_path, capfd):
    target, parts = tmp_path / "b.mp4", tmp_path / "b.mp4.parts"
    with pytest.raises(KeyboardInterrupt):
        restore_video(Stopped(after), long_clip, str(target))
    assert not target.exists()
    assert parts.exists() == (after >= video.SEGMENT)
    fake = Inverted()
    assert restore_video(fake, long_clip, str(target)) is None
    assert len(fake.seen) == again
    assert ("going on after" in capfd.readouterr().err) == (again < LONG)
    assert not parts.exists()
    restore_video(Inverted(), long_clip, str(tmp_path / "uninterrupted.mp4"))
    assert video_packets(target) == video_packets(tmp_path / "uninterrupted.mp4")


def test_damage_before_the_point_where_a_run_goes_on_is_told_again(tmp_path):
    path = clip_of(tmp_path / "a.mov", LONG, options={"bf": "0"})
    spoil(path, 12)
    with pytest.raises(KeyboardInterrupt):
        restore_video(Stopped(LONG - 10), path, str(tmp_path / "b.mov"))
    assert "(at 0.48 s)" in restore_video(Inverted(), path, str(tmp_path / "b.mov"))


def test_other_settings_another_model_or_another_input_start_anew(long_clip, tmp_path):
    target = str(tmp_path / "b.mp4")

    class Trained(Stopped):
        path, metadata = str(tmp_path / "ckpt-5"), {"step": 5}

    pathlib.Path(Trained.path + ".index").write_bytes(b"1")

    def stopped(deblurrer, **keywords):
        with pytest.raises(KeyboardInterrupt):
            restore_video(deblurrer, long_clip, target, **keywords)
        return len(deblurrer.seen)

    two, three = 2 * video.SEGMENT + 1, video.SEGMENT + 1
    assert stopped(Trained(two), settings={"tile": 1}) == two
    assert stopped(Trained(0), settings={"tile": 1}) == 0
    assert len(list(pathlib.Path(target + ".parts").glob("*.nut"))) == 2
    assert stopped(Trained(three), settings={"tile": 2}) == three
    assert len(list(pathlib.Path(target + ".parts").glob("*.nut"))) == 1
    assert stopped(Trained(two), settings={"tile": 2}, side_by_side=True) == two
    os.utime(Trained.path + ".index", ns=(1, 1))
    fake = Trained(LONG + 1)
    os.utime(long_clip, ns=(1, 1))
    restore_video(fake, long_clip, target, settings={"tile": 2}, side_by_side=True)
    assert len(fake.seen) == LONG


def test_two_processes_do_not_make_the_same_result(long_clip, tmp_path):
    target = str(tmp_path / "b.mp4")

    class Nested(Inverted):
        def restore(self, image):
            with pytest.raises(DeblurError, match="another process is making it"):
                restore_video(Inverted(), long_clip, target)
            return image

    restore_video(Nested(), clip_of(tmp_path / "c.mp4", 1), target)


def test_a_full_disk_is_one_line_and_the_segments_stay(long_clip, tmp_path, monkeypatch):
    target = str(tmp_path / "b.mp4")
    join = video._Parts.join

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(video._Parts, "join", full)
    failed, _ = deblur_videos(Inverted(), [(long_clip, target)])
    assert failed == [f"{long_clip}: No space left on device; the same command goes on where this stopped"]
    monkeypatch.setattr(video._Parts, "join", join)
    fake = Inverted()
    restore_video(fake, long_clip, target)
    assert fake.seen == [] and len(decoded(target)[0]) == LONG


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_gives_the_same_result(long_clip, tmp_path):
    program = """
        import sys, time
        from tests.test_video import Inverted
        from tfdeblur.video import restore_video

        class Slow(Inverted):
            def restore(self, image):
                time.sleep(0.02)
                return super().restore(image)

        print("ready", flush=True)
        restore_video(Slow(), *sys.argv[1:])
    """
    target = tmp_path / "b.mp4"
    command = [sys.executable, "-c", textwrap.dedent(program), long_clip, str(target)]
    wait = np.random.default_rng(0)
    for _ in range(4):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(wait.uniform(0.1, 1.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if target.exists():  # whole, or not at all
            assert len(decoded(target)[0]) == LONG
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    restore_video(Inverted(), long_clip, str(tmp_path / "uninterrupted.mp4"))
    assert video_packets(target) == video_packets(tmp_path / "uninterrupted.mp4")


# ----------------------------------------------------------------------------------------- the command


def test_deblur_restores_photographs_and_videos(trained_run, tmp_path, capfd):
    """A real network of a few steps; its values are checked against `restore`."""
    import tfdeblur

    write_image(str(tmp_path / "a.png"), photograph("coffee.png")[:20, :30])
    path = clip_of(tmp_path / "b.mp4", 3, options={"crf": "4"})
    out = tmp_path / "out"
    assert main(["deblur", str(tmp_path / "*.*"), "--out", str(out), "--model", str(trained_run)]) == 0
    assert sorted(os.listdir(out)) == ["a.png", "b.mp4"]
    output = capfd.readouterr()
    assert "2 of 2 files written" in output.out and "64x48" in output.err
    deblurrer = tfdeblur.load(trained_run)
    for before, after in zip(decoded(path)[0], decoded(out / "b.mp4")[0], strict=True):
        wanted = deblurrer.restore(before).mean(axis=2)  # noise in colour, of which 4:2:0 keeps the brightness
        assert error(wanted, after.mean(axis=2)) < 4 < error(before.mean(axis=2), after.mean(axis=2))


def test_deblur_refuses_and_reports(trained_run, tmp_path, capfd):
    clips = tmp_path / "in"
    clips.mkdir()
    path = clip_of(clips / "a.mov", 30, codec="mjpeg", pixels="yuvj420p")
    (clips / "bad.mp4").write_bytes(b"no video")
    model = ["--model", str(trained_run)]
    assert main(["deblur", path, "--out", str(clips), *model]) == 1
    assert "would lie beside the input" in capfd.readouterr().err
    assert main(["deblur", path, "--out", str(tmp_path / "o"), "--branches", *model]) == 1
    assert "--branches draws pictures of photographs" in capfd.readouterr().err
    assert main(["deblur", str(clips), "--out", str(tmp_path / "o"), *model]) == 1
    assert "videos are left out (a.mov, bad.mp4)" in capfd.readouterr().err
    assert not (tmp_path / "o").exists()
    spoil(path, 3)
    assert main(["deblur", path, str(clips / "bad.mp4"), "--out", str(tmp_path / "o"), *model]) == 1
    output = capfd.readouterr()
    assert "1 of 2 files written" in output.out
    errors = [line for line in output.err.splitlines() if line.startswith("tfdeblur: error: ")]
    assert len(errors) == 2 and "bad.mp4: not a video" in errors[0] and "(at 0.12 s)" in errors[1]
    assert len(decoded(tmp_path / "o" / "a.mov")[0]) == 29


def test_without_pyav_there_is_a_line_that_says_what_to_install(long_clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (line,), _ = deblur_videos(Inverted(), [(long_clip, str(tmp_path / "b.mp4"))])
    assert "videos need PyAV" in line and "pip install 'tfdeblur[video]'" in line


@pytest.mark.parametrize("order", ("av, cv2", "cv2, av"))
def test_opencv_and_pyav_bear_each_other(order, tmp_path):
    """Both bring an FFmpeg of their own; each reads a clip in one process, whichever comes first."""
    path = clip_of(tmp_path / "a.mp4", 5)
    first, second = order.split(", ")
    program = f"""
        import {order}

        def read_by_cv2():
            video = cv2.VideoCapture({path!r})
            return sum(video.read()[0] for _ in range(6))

        def read_by_av():
            with av.open({path!r}) as container:
                return sum(1 for _ in container.decode(video=0))

        for _ in range(3):
            assert (read_by_{first}(), read_by_{second}()) == (5, 5)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)

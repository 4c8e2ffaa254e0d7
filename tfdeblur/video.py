"""Videos, restored frame by frame: timing, size, sound, subtitles and the way up stay as they are.

A clip is restored in segments of `SEGMENT` frames. Each is encoded by itself and lies in <result>.parts until all are
there; then they are joined with the packets of the other streams and moved to the result's name. A run that was killed
goes on after its last whole segment, and gives the same result.
"""

import contextlib
import fcntl
import glob
import heapq
import io
import itertools
import json
import os
import shutil
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from tfdeblur.compat import cpu_flags, tf
from tfdeblur.data.images import some_of
from tfdeblur.errors import DeblurError
from tfdeblur.runner import progress, say

SEGMENT = 24  # frames; what a kill costs at most, and the distance of the result's key frames

# Codec -> (encoder, its options). Without B-frames packets come in the order in which they are shown, so that segments
# can be joined. On GoPro's frames at 1280x720 the luma of results was 45.5, 48.6, 50.3 and 49.4 dB from what went in.
# x264's AVX-512 code gave other bytes in one run of four, so that a run that goes on would not end as an uninterrupted
# one does; nothing is named on other processors, as a set that is named is used whether it is there or not.
_X264 = "stitchable=1" + (":asm=avx2" if "avx512f" in cpu_flags() else "")
ENCODERS = {
    "h264": ("libx264", {"crf": "16", "bf": "0", "x264-params": _X264}),
    "hevc": ("libx265", {"crf": "16", "x265-params": "bframes=0:log-level=none"}),
    "vp9": ("libvpx-vp9", {"crf": "16", "b": "0", "cpu-used": "4", "row-mt": "1"}),
    "av1": ("libsvtav1", {"crf": "16", "preset": "8"}),
}
# SVT-AV1 says fifty lines about each segment, unless it is told to say errors alone.
os.environ.setdefault("SVT_LOG", "1")
# FFmpeg's numbers: AVCOL_SPC_*, AVCOL_RANGE_*, AVCOL_TRC_*.
_RGB, _BT709, _UNSPECIFIED, _BT601, _SMPTE170M = 0, 1, 2, 5, 6
_LIMITED, _FULL = 1, 2
_HDR = {16: "PQ", 18: "HLG"}
# SWS_BICUBIC, FULL_CHR_H_INT, FULL_CHR_H_INP, ACCURATE_RND. The default loses 3 dB in 4:2:0 and back, and bilinear with
# the last three spoils 10 bit (measured).
_SCALER = 4 | 0x2000 | 0x4000 | 0x40000


def deblur_videos(deblurrer, jobs, side_by_side=False, settings=None):
    """Restores videos one by one.

    Args:
      deblurrer, side_by_side, settings: see `restore_video`.
      jobs: [(input path, output path)]; folders are made.

    Returns:
      (one line for each video that was not restored, one line for each that was in spite of damage).
    """
    failed, damaged = [], []
    for path, target in jobs:
        try:
            damage = restore_video(deblurrer, path, target, side_by_side, settings)
            damaged += [f"{path}: {damage}; the rest is restored"] if damage else []
        except DeblurError as error:
            failed.append(str(error))
        except (OSError, MemoryError, tf.errors.OpError, _av().FFmpegError) as error:
            if isinstance(error, MemoryError):
                reason = "too large for the memory"
            elif isinstance(error, tf.errors.OpError):
                reason = error.message.splitlines()[0]
            else:
                reason = error.strerror or error
            failed.append(f"{path}: {reason}; the same command goes on where this stopped")
    return failed, damaged


def restore_video(deblurrer, path, target, side_by_side=False, settings=None):
    """Restores one video; takes over what a killed run of the same input and settings has finished.

    Args:
      deblurrer: has `restore`; gets uint8 RGB, or float32 in [0, 1] where the video has more than 8 bits a channel.
      path: the video.
      target: where the result goes; its suffix is one of `CONTAINERS`.
      side_by_side: before and after beside one another.
      settings: JSON-able, what else decides about the result (model, precision, ..).

    Returns:
      What is damaged in the input, or None. Frames that the decoder marks as damaged are passed through as it gives
      them; where it gives none the one before stays longer, so that all others keep their time.

    Raises:
      DeblurError: not a video, nothing in it can be decoded, or it changes its size.
    """
    with _Clip(path) as clip:
        frames = clip.frames()
        first = next(frames, None)
        if first is None:
            raise DeblurError(f"{path}: no frame of it can be decoded; copy the file again")
        encoding = _choose_encoding(clip, first, target, side_by_side)
        say(f"{path}: {encoding.width}x{encoding.height}, becomes {encoding.codec} {encoding.pixels}")
        for line in clip.remarks(first.picture):
            say(f"{path}: {line}")
        made_of = [clip.identity, _identity(deblurrer), settings, side_by_side, encoding, _av().library_versions]
        with _Parts(target, json.dumps(made_of, default=str)) as parts:
            done = len(parts.segments()) * SEGMENT
            if done:
                say(f"{path}: going on after {done} frames")
            frames = itertools.islice(itertools.chain([first], frames), done, None)
            frames = iter(progress(frames, os.path.basename(path), "frame", total=clip.length, initial=done))
            for frame in frames:
                segment = itertools.chain([frame], itertools.islice(frames, SEGMENT - 1))
                parts.write(encoding, ((_restored(deblurrer, one, side_by_side), one) for one in segment))
            left_out = parts.join(encoding, path, clip.stream.index, clip.last_duration())
        if left_out:
            say(f"{path}: {os.path.splitext(target)[1]} cannot hold {some_of(left_out)}; left out")
        return clip.damage()


def _identity(deblurrer):
    """What tells that the model is the same: where it lies, when it was written, what it says of itself."""
    path = getattr(deblurrer, "path", None)
    if path is None:
        return None
    files = [file for file in (f"{path}.index", os.path.join(path, "saved_model.pb"), path) if os.path.exists(file)]
    return [
        os.path.abspath(path) if files else path,
        [os.stat(file).st_mtime_ns for file in files[:1]],
        deblurrer.metadata,
    ]


def _restored(deblurrer, frame, side_by_side):
    image = _to_rgb(frame.picture)
    restored = image if frame.damaged else deblurrer.restore(image)
    return np.concatenate([image, restored], axis=1) if side_by_side else restored


# ----------------------------------------------------------------------------------------------- reading


class _Frame(NamedTuple):
    """A decoded frame; pts in the stream's time base."""

    picture: object
    pts: int
    damaged: bool


class _Clip:
    """A video file that is open for decoding; DeblurError where it cannot be.

    Attributes:
      stream: the video stream that is restored, the first one that is no cover picture.
      length: number of frames that the file announces, or an estimate, or None.
      identity: what tells that the file is the same.
    """

    def __init__(self, path):
        self._path = path
        try:
            self.identity = [os.path.abspath(path), os.path.getsize(path), os.stat(path).st_mtime_ns]
            self._container = _av().open(path)
        except (OSError, _av().FFmpegError) as error:
            raise DeblurError(f"{path}: not a video that FFmpeg can read, or cut off ({error.strerror})") from error
        attached = _av().stream.Disposition.attached_pic
        videos = [stream for stream in self._container.streams.video if not stream.disposition & attached]
        if not videos or videos[0].codec_context is None:
            self._container.close()
            raise DeblurError(f"{path}: {'its codec is not known here' if videos else 'holds no video'}")
        self.stream = videos[0]
        self._seconds = (self._container.duration or 0) / 1e6
        self.length = self.stream.frames or round(self._seconds * float(self.stream.average_rate or 0)) or None
        self._start = (self._container.start_time or 0) / 1e6
        self._end, self._damaged, self._lost = 0.0, [], []  # in seconds of the container's clock
        self._last, self._begins_late = None, False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._container.close()

    def frames(self):
        """The frames in the order in which they are shown."""
        size = None
        for packet in self._packets():
            if packet.stream_index != self.stream.index:
                continue
            try:
                pictures = packet.decode()
            except _av().FFmpegError:
                self._lost.append(self._time(packet))
                continue
            for picture in pictures:
                pts = picture.dts if picture.pts is None else picture.pts
                if pts is None or (self._last and pts <= self._last.pts):
                    self._lost.append(self._time(picture))
                    continue
                size = size or (picture.width, picture.height)
                if (picture.width, picture.height) != size:
                    raise DeblurError(
                        f"{self._path}: is {size[0]}x{size[1]}, and {picture.width}x{picture.height} from "
                        f"{self._time(picture)} s on; cut it there"
                    )
                if self._last is None:
                    self._begins_late, self._lost = bool(self._lost) and self._time(picture), []
                if picture.is_corrupt:
                    self._damaged.append(self._time(picture))
                self._last = _Frame(picture, pts, picture.is_corrupt)
                yield self._last

    def _packets(self):
        with contextlib.suppress(_av().FFmpegError):  # the end of a file that is cut off; see `damage`
            for packet in self._container.demux():  # at the end an empty one for each stream, to flush its decoder
                if packet.pts is not None and packet.stream.type in ("audio", "video"):
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    self._end = max(self._end, end - self._start)
                yield packet

    def _time(self, of):
        """Of a packet or a picture, for a message: seconds from the beginning."""
        time = of.dts if of.pts is None else of.pts
        return "?" if time is None else f"{float(time * self.stream.time_base) - self._start:.2f}"

    def _is_cut_off(self):
        return self._end < 0.98 * self._seconds - 0.5

    def last_duration(self):
        """Of the last frame, in seconds, or 0: up to the end of the stream, as after B-frames its own is another's."""
        start, length = self.stream.start_time or 0, self.stream.duration
        announced = start + length - self._last.pts if length and not self._is_cut_off() else 0
        return (max(announced, 0) or self._last.picture.duration) * Fraction(self.stream.time_base)

    def remarks(self, picture):
        """Lines on what a network that was trained on photographs does not know."""
        lines = []
        if picture.color_trc in _HDR:
            lines.append(f"is HDR ({_HDR[picture.color_trc]}); the network takes its values for ordinary ones")
        if picture.interlaced_frame:
            lines.append("is interlaced and taken for progressive; deinterlace it first")
        if any(component.is_alpha for component in picture.format.components):
            lines.append("its transparency is dropped")
        if _orientation(picture) is None:
            lines.append("is to be shown at an angle; it is not turned")
        return lines

    def damage(self):
        """What was found while the frames were read, or None."""
        found = []
        if self._begins_late:
            found.append(f"nothing before {self._begins_late} s can be decoded, and the result begins there")
        if self._damaged:
            found.append(f"damaged frames are left as they are (at {some_of(self._damaged)} s)")
        if self._lost:
            found.append(f"frames cannot be decoded and the ones before stay longer (at {some_of(self._lost)} s)")
        if self._is_cut_off():
            found.append(f"it is cut off at {self._end:.2f} s of {self._seconds:.2f} s")
        return "; ".join(found) or None


def _orientation(picture):
    """How a picture is to be turned to be shown: (swap the axes, then mirror left and right, then turn upside down).

    None for an angle that is not a multiple of 90 degrees.
    """
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), "=i4")[:5])  # x' = ax + cy, y' = bx + dy
    if a and d and not b and not c:
        return False, a < 0, d < 0
    if b and c and not a and not d:
        return True, c < 0, b < 0
    return None


def _to_rgb(picture):
    """uint8 RGB [H, W, 3], or float32 in [0, 1] of more than 8 bits, the right way up."""
    matrix, limited = _colours(picture)
    ranges = {"src_colorspace": matrix, "src_color_range": _LIMITED if limited else _FULL}
    if _bits(picture) <= 8:
        image = picture.reformat(format="rgb24", interpolation=_SCALER, **ranges).to_ndarray()
    else:
        image = picture.reformat(format="rgb48le", interpolation=_SCALER, **ranges).to_ndarray()
        image = np.clip(image / np.float32(_white(picture)), 0, 1)
    swap, mirror, upside_down = _orientation(picture) or (False, False, False)
    image = image.swapaxes(0, 1) if swap else image
    image = image[:, ::-1] if mirror else image
    return np.ascontiguousarray(image[::-1] if upside_down else image)


def _colours(picture):
    """(number of the matrix between RGB and YUV, whether its range is limited); guessed as players do where unsaid."""
    matrix = _BT601 if picture.colorspace == _SMPTE170M else picture.colorspace
    if matrix in (_RGB, _UNSPECIFIED):
        matrix = _BT709 if picture.width >= 1280 or picture.height > 576 else _BT601
    return matrix, picture.color_range != _FULL and not picture.format.name.startswith("yuvj")


def _bits(picture):
    return max(component.bits for component in picture.format.components)


def _white(picture):
    """What FFmpeg's scaler makes of white in 16 bit RGB, and back (measured): not 65535."""
    return 255 * 256 if _colours(picture)[1] else 2**16 - 2 ** (16 - _bits(picture))


# ----------------------------------------------------------------------------------------------- writing

# Suffix of a result -> FFmpeg's name of the container.
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
}


class _Encoding(NamedTuple):
    """How the frames of a result are encoded."""

    codec: str
    pixels: str  # FFmpeg's name of the pixel format
    width: int
    height: int
    time_base: Fraction
    rate: Fraction  # declared; the times of the frames are their own
    sample_aspect_ratio: Fraction
    matrix: int
    limited: bool
    tags: tuple  # what the input says of range, matrix, primaries and transfer

    def add_to(self, output):
        """A new stream of an output container."""
        encoder, options = ENCODERS[self.codec]
        stream = output.add_stream(encoder, rate=self.rate, options=options, width=self.width, height=self.height)
        stream.time_base = self.time_base
        context = stream.codec_context
        context.time_base = self.time_base
        context.pix_fmt = self.pixels
        context.sample_aspect_ratio = self.sample_aspect_ratio
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = self.tags
        # Packets of a segment and the header of the result must agree on where the codec's own header is.
        context.flags |= _av().codec.context.Flags.global_header
        if self.codec == "hevc" and output.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # Apple's players know no other
        return stream

    def picture(self, image, frame):
        """The picture to encode, of an image as `_to_rgb` gives it, shown when `frame` is."""
        if image.dtype == np.uint8:
            picture = _av().VideoFrame.from_ndarray(image, format="rgb24")
        else:
            image = np.rint(image * np.float32(_white(frame.picture))).astype(np.uint16)
            picture = _av().VideoFrame.from_ndarray(image, format="rgb48le")
        picture.colorspace = self.matrix  # PyAV 17 does not take every matrix as an argument
        picture = picture.reformat(
            format=self.pixels,
            dst_colorspace=self.matrix,
            dst_color_range=_LIMITED if self.limited else _FULL,
            interpolation=_SCALER,
        )
        picture.pts, picture.time_base = frame.pts, self.time_base
        return picture


def _choose_encoding(clip, first, target, side_by_side):
    """The input's own codec and pixel format where they can be encoded into the target's container, or near ones."""
    picture, stream = first.picture, clip.stream
    swap = (_orientation(picture) or [False])[0]
    width, height = (picture.height, picture.width) if swap else (picture.width, picture.height)
    width *= 2 if side_by_side else 1
    matrix, limited = _colours(picture)
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    tags = picture.color_range, picture.colorspace, picture.color_primaries, picture.color_trc
    if not picture.format.name.startswith(("yuv", "gray", "nv", "p0")):  # RGB becomes YUV
        limited, tags = True, (_LIMITED, matrix, *tags[2:])
    deep = _bits(picture) > 8
    own = stream.codec_context.codec.canonical_name
    container = CONTAINERS[os.path.splitext(target)[1].lower()]
    for codec in dict.fromkeys([own, *(("hevc", "av1", "h264") if deep else ("h264", "vp9"))]):
        if codec not in ENCODERS or (codec == "hevc" and min(width, height) < 64):  # x265 writes beyond its memory then
            continue
        pixels = _pixel_format(codec, picture.format, deep, odd=width % 2 or height % 2)
        if not pixels:
            continue
        encoding = _Encoding(
            codec=codec,
            pixels=pixels,
            width=width,
            height=height,
            time_base=Fraction(stream.time_base),
            rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
            sample_aspect_ratio=1 / aspect if swap and aspect else aspect,
            matrix=matrix,
            limited=limited,
            tags=tags,
        )
        if _can_hold(container, encoding.add_to):
            return encoding
    raise DeblurError(f"{target}: no codec for {width}x{height} here that such a file can hold")


def _pixel_format(codec, given, deep, odd):
    """The name of a pixel format for an encoder; None where it has none for that depth."""
    known = [known.name for known in _av().Codec(ENCODERS[codec][0], "w").video_formats]
    name = given.name.replace("yuvj", "yuv")  # its full range is told by the colour tags
    if not name.startswith("yuv") or name.startswith("yuva") or name not in known:
        name = "yuv420p10le" if deep else "yuv420p"
    if odd and codec in ("h264", "hevc"):  # their chroma cannot have half a pixel
        name = "yuv444p10le" if deep else "yuv444p"
    return name if name in known else None


def _can_hold(container, add):
    """Whether a container of this kind can be begun with the stream that `add` (output -> stream) adds."""
    try:
        with _av().open(io.BytesIO(), "w", format=container) as trial:
            add(trial)
            trial.start_encoding()
    except (ValueError, _av().FFmpegError):
        return False
    return True


class _Parts:
    """The finished segments of a result, in <result>.parts, which goes when the result is there.

    Args:
      target: the result.
      made_of: a text that tells input and settings; segments that were made of something else are removed.

    Raises:
      DeblurError: another process is making the same result.
    """

    def __init__(self, target, made_of):
        self._target, self._folder = target, target + ".parts"
        os.makedirs(self._folder, exist_ok=True)
        self._lock = open(os.path.join(self._folder, "made_of.json"), "a+")  # noqa: SIM115
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise DeblurError(f"{target}: another process is making it; wait, or name another folder") from error
        self._lock.seek(0)
        if self._lock.read() != made_of:
            for path in self.segments():
                os.remove(path)
            self._lock.truncate(0)
            self._lock.write(made_of)
            self._lock.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.segments():
            shutil.rmtree(self._folder)
        self._lock.close()

    def segments(self):
        """The paths of the finished segments, in their order."""
        return sorted(glob.glob(os.path.join(glob.escape(self._folder), "*.nut")))

    def write(self, encoding, frames):
        """Encodes the next segment: pairs (restored image, its _Frame)."""
        path = os.path.join(self._folder, f"{len(self.segments()):06}.nut")
        with _av().open(path + ".tmp", "w", format="nut") as output:
            stream = encoding.add_to(output)
            for image, frame in frames:
                output.mux(stream.encode(encoding.picture(image, frame)))
            output.mux(stream.encode(None))
        with open(path + ".tmp", "rb") as written:
            os.fsync(written.fileno())
        os.replace(path + ".tmp", path)

    def join(self, encoding, source, index, last_duration):
        """Makes the result of the segments and of all streams of the file `source` but number `index`.

        A frame lasts until the next one, and the last one `last_duration` seconds.

        Returns:
          Names of the streams that the result's container cannot hold.
        """
        av = _av()
        whole = os.path.join(self._folder, "whole")
        container = CONTAINERS[os.path.splitext(self._target)[1].lower()]
        with av.open(source) as given, av.open(whole, "w", format=container) as output:
            streams, left_out = {}, []
            for stream in given.streams:
                if stream.index == index:
                    streams[index] = encoding.add_to(output)
                    streams[index].disposition = stream.disposition
                    streams[index].metadata.update(stream.metadata)
                elif _can_hold(container, lambda trial, stream=stream: _add_copy(trial, stream)):
                    streams[stream.index] = _add_copy(output, stream)
                else:
                    left_out.append(f"stream {stream.index} ({stream.type} {stream.name or ''}".rstrip() + ")")
            output.metadata.update(given.metadata)
            output.set_chapters(given.chapters())
            others = (packet for packet in _packets(given) if packet.stream_index in streams.keys() - {index})
            restored = _until_the_next(
                itertools.chain.from_iterable(map(self._segment, self.segments())), last_duration
            )
            both = heapq.merge(
                ((index, packet) for packet in restored),
                ((packet.stream_index, packet) for packet in others),
                key=_moment,
            )
            for number, packet in both:
                packet.stream = streams[number]
                output.mux(packet)
        with open(whole, "rb") as written:
            os.fsync(written.fileno())
        os.replace(whole, self._target)
        for path in self.segments():
            os.remove(path)
        return left_out

    @staticmethod
    def _segment(path):
        with _av().open(path) as container:
            yield from (packet for packet in container.demux() if packet.size)


def _until_the_next(packets, last_duration):
    """The packets with durations, which segments do not hold."""
    for packet, following in itertools.pairwise(itertools.chain(packets, [None])):
        if following is not None:
            packet.duration = following.pts - packet.pts
        elif last_duration:
            packet.duration = round(last_duration / Fraction(packet.time_base))
        yield packet


def _packets(container):
    """The packets of an input up to its end, or to where it is cut off."""
    with contextlib.suppress(_av().FFmpegError):
        yield from (packet for packet in container.demux() if packet.size)


def _moment(item):
    """When a packet is to lie in the file, in seconds."""
    packet = item[1]
    time = packet.pts if packet.dts is None else packet.dts
    return float("-inf") if time is None else float(time * packet.time_base)


def _add_copy(output, stream):
    """A new stream for the packets of another file's stream."""
    copy = output.add_stream_from_template(stream, opaque=True)
    copy.disposition = stream.disposition
    copy.metadata.update(stream.metadata)
    return copy


def _av():
    """PyAV, or a DeblurError that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise DeblurError(f"videos need PyAV ({error}): pip install 'tfdeblur[video]'") from error
    return av

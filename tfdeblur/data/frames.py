"""Consecutive sharp frames, from a video or a folder, averaged into pairs as those of GoPro and REDS were made."""

import importlib
import os
import re
import sys

import numpy as np

from tfdeblur.data.images import IMAGE_SUFFIXES, image_header, images_by_name, read_image, some_of
from tfdeblur.data.shake import WINDOWS, generator
from tfdeblur.errors import DeblurError

# Suffix of a video -> of its restored one: .mkv where the input's container cannot hold any timing, or H.264.
VIDEO_SUFFIXES = {
    **{suffix: suffix for suffix in (".m4v", ".mkv", ".mov", ".mp4", ".ts", ".webm")},
    **dict.fromkeys((".3gp", ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".vob", ".wmv"), ".mkv"),
}


class EndOfFrames(Exception):
    """A window reaches beyond the last frame."""


def windows(shortest, longest, seed):
    """Endless (start, length) of windows one after the other; lengths are uniform in shortest .. longest.

    The k-th length depends on seed and k alone: longer material has the same windows at its beginning.
    """
    start, number = 0, 0
    while True:
        length = int(generator(seed, number, 0, WINDOWS).integers(shortest, longest, endpoint=True))
        yield start, length
        start, number = start + length, number + 1


def average(frames, response, rounding="round", between=None):
    """The picture that a longer exposure would have given, and the sharp one of its middle.

    Args:
      frames: list of n uint8 [H, W, 3], consecutive.
      response: `Response` of the camera; light is added up in float64.
      rounding: see `Response.develop`.
      between: a function (first, second) -> list of uint8 [H, W, 3] between two neighbours, or None. Their light
        counts as that of the frames.

    Returns:
      (blurred, sharp), uint8 [H, W, 3]; sharp is frame n // 2 counted from 0: the middle one, or for an even n
      the later of the two beside the middle.
    """
    light, count = np.zeros(frames[0].shape, np.float64), 0
    for number, frame in enumerate(frames):
        added = between(frames[number - 1], frame) if between and number else []
        for image in (*added, frame):
            light += response.to_light(image, np.float64)
            count += 1
    light /= count
    return response.develop(light, rounding=rounding), frames[len(frames) // 2]


def load_interpolation(name, count):
    """`between` of `average` from "package.module:function": a function (first, second, count) -> `count` frames.

    The working directory is looked through first, as with `python -m`. Raises DeblurError where there is no such
    function; what it returns is checked at every call.
    """
    module_name, _, function_name = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DeblurError(f"--interpolate={name}: {error}; write package.module:function") from error
    finally:
        sys.path.pop(0)

    def between(first, second):
        frames = list(function(first, second, count))
        wrong = [frame for frame in frames if np.shape(frame) != first.shape or np.asarray(frame).dtype != np.uint8]
        if wrong or len(frames) != count:
            raise DeblurError(f"{name}: must return {count} frames, uint8 {list(first.shape)}, and does not")
        return frames

    return between


def motion(first, second):
    """How far neighbouring frames lie apart: the 90th percentile of the optical flow, in pixels.

    0 for images below 32 pixels, in which no flow can be found.
    """
    import cv2

    # Half size will do: between 240 fps frames of GoPro it finds 2.3 to 4.5 pixels where full size finds 2.3 to 4.2.
    images = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[::2, ::2] for image in (first, second)]
    if min(images[0].shape) < 16:
        return 0.0
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(*images, None)
    return float(2 * np.percentile(np.linalg.norm(flow, axis=2), 90))


class FrameFolder:
    """A folder of frames in the order of the numbers in their names (frame10 after frame9).

    Raises DeblurError as images_by_name does, for images in sub-folders and for one image alone.

    Attributes:
      description: for JSON.
      headers: {name: Header} of all frames that are not damaged visibly.
      size: (height, width) of most frames.
    """

    fps = None

    def __init__(self, folder):
        images = images_by_name(folder)
        nested = [name for name in images if "/" in name]
        if nested:
            raise DeblurError(f"{folder}: holds images in sub-folders ({some_of(nested)}); name one folder of frames")
        self._paths = [images[name] for name in sorted(images, key=_by_number)]
        self.description = {"source": os.path.abspath(folder)}
        self.headers = {}
        for path in self._paths:
            try:
                self.headers[path.name] = image_header(path)
            except DeblurError:  # told where it is needed
                continue
        sizes = [header[:2] for header in self.headers.values()]
        if not sizes:
            raise DeblurError(f"{folder}: none of the {len(self._paths)} images can be read")
        self.size = max(dict.fromkeys(sizes), key=sizes.count)
        numbers = [re.findall(r"\d+", path.stem) for path in self._paths]
        self._numbers = np.array([int(found[-1]) for found in numbers] if all(numbers) else [], np.float64)
        self._step = np.median(np.diff(self._numbers)) if len(self._numbers) > 1 else 0  # 0: they do not count

    def __len__(self):
        return len(self._paths)

    def label(self, index):
        """What the JSON calls a frame."""
        return self._paths[index].name

    def window(self, start, length):
        """List of `length` frames, uint8 [H, W, 3]; DeblurError that names all frames that are missing or unfit."""
        if start + length > len(self):
            raise EndOfFrames
        frames, bad = [], []
        for path in self._paths[start : start + length]:
            try:
                frames.append(read_image(path))
                height, width = frames[-1].shape[:2]
                if (height, width) != self.size:
                    bad.append(f"{path}: is {width}x{height}, the others are {self.size[1]}x{self.size[0]}")
            except DeblurError as error:
                bad.append(str(error))
        after = _jump(self._numbers[start : start + length], self._step) if self._step > 0 else None
        if after is not None:
            first, second = self._paths[start + after : start + after + 2]
            bad.append(f"{first}: the next is {second.name}, frames between them are missing")
        if bad:
            raise DeblurError("; ".join(bad))
        return frames

    def ending(self):
        """What was found at the end: nothing for a folder."""
        return None


class Video:
    """A video, read once from its beginning to its end, never more than a window at a time.

    Raises DeblurError where OpenCV cannot open it. Attributes as those of FrameFolder; no headers.
    """

    headers = {}

    def __init__(self, path):
        # Otherwise FFmpeg remarks on damage by itself on stderr; read when OpenCV opens its first video.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        import cv2

        if not os.path.isfile(path):
            raise DeblurError(f"{path}: no such file; give a video or a folder of frames")
        if os.fspath(path).lower().endswith(IMAGE_SUFFIXES):  # OpenCV would open it as a video
            raise DeblurError(f"{path}: is one picture; give a video or a folder of frames")
        self._path, self._cv2, self._position, self._ended = path, cv2, 0, False
        self._video = cv2.VideoCapture(os.fspath(path))
        if not self._video.isOpened():
            raise DeblurError(f"{path}: not a video that OpenCV can read, or damaged")
        self._announced = max(int(self._video.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1e6 else None
        self.size = tuple(int(self._video.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        self.description = {"source": os.path.abspath(path), "bytes": os.path.getsize(path)}

    def __len__(self):
        """As the file says, which may be an estimate; 0 where it says nothing."""
        return self._announced

    def label(self, index):
        """What the JSON calls a frame."""
        return index

    def window(self, start, length):
        """List of `length` frames, uint8 [H, W, 3], after those of the last call; DeblurError if some are missing."""
        frames, times = [], []
        while self._position < start + length:
            if not self._video.grab():
                self._ended = True
                raise EndOfFrames
            if self._position >= start:
                times.append(self._video.get(self._cv2.CAP_PROP_POS_MSEC))
                decoded, frame = self._video.retrieve()
                if not decoded:
                    self._ended = True
                    raise EndOfFrames
                frames.append(self._cv2.cvtColor(frame, self._cv2.COLOR_BGR2RGB))
            self._position += 1
        after = _jump(times, 1000 / self.fps) if self.fps and np.all(np.diff(times) > 0) else None
        if after is not None:
            lost = f"{times[after]:.1f} and {times[after + 1]:.1f} ms"
            raise DeblurError(f"{self._path}: frames between {lost} are missing")
        return frames

    def ending(self):
        """A line where the video ended long before what it announces, or None."""
        if not self._ended or self._position >= 0.99 * self._announced - 1:
            return None
        return (
            f"{self._path}: {self._position} of the {self._announced} frames that it announces can be read; it is cut "
            "off, or damaged and then pairs at the damage skip frames: copy it again"
        )


def _by_number(name):
    """Sorting key: digits by their value, the rest as text."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)], name


def _jump(positions, step):
    """Index after which a position is more than 1.5 steps, or not at all, beyond its predecessor; None if none is."""
    steps = np.diff(positions)
    found = np.flatnonzero((steps <= 0) | (steps > 1.5 * step))
    return int(found[0]) if len(found) else None

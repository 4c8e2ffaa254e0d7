"""Blur of a camera that turns as a recorded gyroscope says: every place in the image has a blur of its own.

A rotation moves the image by a homography K R K^-1, whatever the depth of the scene (Whyte, Sivic, Zisserman and
Ponce, "Non-uniform Deblurring for Shaken Images", IJCV 2012). Axes are those of the image: x to the right, y down,
z out through the lens; a positive rate about y turns the camera to the right. A recorder with other axes gives the
same kind of blur in another direction. Translation and a rolling shutter are left out.
"""

import math

import numpy as np

from tfdeblur.data.images import read_file
from tfdeblur.data.response import GAMMA_2_2
from tfdeblur.errors import DeblurError

# Pixels that no point may move by between two time samples. Samples d pixels apart change the contrast at a frequency
# f (cycles a pixel) from sin(pi f L) / (pi f L) for a blur of L pixels to the same over sin(pi f d) / (pi f d): at
# d = 0.5 and the finest detail, f = 0.5, that is 11 % more of what little the blur has left there. At d = 2 nothing
# is taken away: copies of every edge show.
STEP = 0.5
_LARGEST_SIDE = 32766  # OpenCV 4 warps no larger images


def default_focal_length(height, width):
    """Pixels: that of a phone's main camera, 26 mm where the frame's diagonal is the 43.27 mm of 35 mm film."""
    return 26 / 43.27 * math.hypot(height, width)


class Trace:
    """A recording.

    Attributes:
      times: float64 [n], seconds from its start, rising.
      rates: float64 [n, 3], rad/s about x, y and z.
      start: its first time in nanoseconds (int), as recorded.
      interval: the median of the time between two samples, in seconds.
    """

    def __init__(self, times, rates, start):
        self.times, self.rates, self.start = times, rates, start
        self.interval = float(np.median(np.diff(times)))

    def draw_start(self, rng, exposure):
        """A time in seconds, uniform among those after which `exposure` seconds are free of gaps.

        A gap is a step of more than two median ones. Raises DeblurError if there is no such time.
        """
        gaps = np.flatnonzero(np.diff(self.times) > 2 * self.interval)
        first, last = self.times[np.r_[0, gaps + 1]], self.times[np.r_[gaps, -1]]
        room = np.maximum(last - first - exposure, 0)
        if not room.sum() > 0:
            raise DeblurError(
                f"--exposure={exposure:g}: the gyroscope's longest stretch without a gap has {max(last - first):g} s"
            )
        place = rng.uniform(0, room.sum())
        stretch = min(int(np.searchsorted(np.cumsum(room), place, side="right")), len(room) - 1)
        return float(first[stretch] + place - room[:stretch].sum())

    def rotations(self, start, exposure, samples):
        """Poses at the middles of `samples` equal parts of the exposure, against their mean.

        The rates, linear between the recorded ones, are integrated in steps of at most half the recorder's interval,
        each about a fixed axis. The mean pose is the rotation nearest to the average of the matrices: with it as
        the truth's pose, blurred and sharp are aligned on average, as with a kernel centred on its energy.

        Returns:
          float64 [samples, 3, 3]: a direction d in the axes of the mean pose is R.T @ d in those of the sample.
        """
        steps = 2 * math.ceil(exposure / samples / self.interval)  # even: the middle of a part is one of its steps
        step = exposure / (samples * steps)
        middles = start + step * (np.arange(samples * steps) + 0.5)
        rates = np.stack([np.interp(middles, self.times, rate) for rate in self.rates.T], axis=-1)
        poses, pose = [], np.eye(3)
        for number, turn in enumerate(rotation_matrices(rates * step)):
            if number % steps == steps // 2:
                poses.append(pose)
            pose = pose @ turn
        left, _, right = np.linalg.svd(np.mean(poses, axis=0))
        mean = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
        return mean.T @ np.stack(poses)

    def homographies(self, start, exposure, height, width, focal_length):
        """How the sharp image's pixels move: float64 [samples, 3, 3], (x, y, 1) -> (x, y, 1) up to scale.

        As many samples as it takes for steps below STEP at the centre and the corners, where blur is largest.

        Raises:
          DeblurError: the camera turns so far that a corner would leave the field of view of any lens.
        """
        samples = max(math.ceil(exposure / self.interval), 2)
        while True:
            moved = _homographies(self.rotations(start, exposure, samples), height, width, focal_length)
            if (_points(height, width) @ np.swapaxes(moved, -1, -2))[..., 2].min() < 0.2:
                raise DeblurError(f"--exposure={exposure:g}: the camera turns out of view meanwhile; shorten it")
            longest = np.linalg.norm(np.diff(paths(moved, height, width), axis=0), axis=-1).max()
            if longest <= STEP:
                return moved
            samples = max(math.ceil(samples * longest / STEP), samples + 1)


def read_trace(path):
    """`Trace` of a text file with lines "t wx wy wz": nanoseconds and rad/s; lines that start with # are left out.

    Raises DeblurError where the file cannot be read, or a line is not like that, and names the line.
    """
    data = read_file(path)
    rows = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        numbers = line.split("#")[0].split()
        if not numbers:
            continue
        try:
            time, rates = int(float(numbers[0])), [float(rate) for rate in numbers[1:]]
            good = len(rates) == 3 and np.isfinite(rates).all()
        except (ValueError, OverflowError):
            good = False
        if not good:
            raise DeblurError(f"{path}: line {number} ({line[:40]!r}) is not 't[ns] wx wy wz', four numbers")
        if rows and time <= rows[-1][0]:
            raise DeblurError(f"{path}: line {number}: its time is not after the one before")
        rows.append((time, *rates))
    if len(rows) < 2:
        raise DeblurError(f"{path}: holds {len(rows)} samples; a trace needs two or more")
    start = rows[0][0]
    trace = Trace(np.array([row[0] - start for row in rows]) / 1e9, np.array([row[1:] for row in rows]), start)
    if not 1e-5 <= trace.interval <= 0.1:
        raise DeblurError(
            f"{path}: a sample every {trace.interval:g} s; times must be nanoseconds, ten a second or more"
        )
    return trace


def rotation_matrices(vectors):
    """Rotations about `vectors` by their lengths in radians (Rodrigues): [n, 3] -> [n, 3, 3]."""
    x, y, z = vectors.T
    nought = np.zeros_like(x)
    cross = np.stack([nought, -z, y, z, nought, -x, -y, x, nought], axis=-1).reshape(-1, 3, 3)
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    # sin(a) / a and (1 - cos(a)) / a^2 without dividing by 0.
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (cross @ cross)


def paths(homographies, height, width):
    """Where the image's centre and its corners go: [samples, 5, 2], x and y in pixels; the centre is first."""
    moved = _points(height, width) @ np.swapaxes(homographies, -1, -2)
    return moved[..., :2] / moved[..., 2:]


def extents(homographies, height, width):
    """The blur's length in pixels, from end to end, at the centre and at the corners: list of 5 floats."""
    spans = []
    for path in np.swapaxes(paths(homographies, height, width), 0, 1):
        spans.append(max(float(np.linalg.norm(path - point, axis=1).max()) for point in path))
    return spans


def blur_by_homographies(sharp, homographies, rng=None, noise=0.0, response=GAMMA_2_2):
    """The average, in linear light, of an image moved by each of the homographies.

    Args:
      sharp: uint8 [H, W, 3]; mirrored at its border.
      homographies: [samples, 3, 3], see `Trace.homographies`.
      rng, noise, response: see `tfdeblur.data.shake.blur`.

    Returns:
      uint8 [H, W, 3], rounded to nearest.
    """
    import cv2

    height, width = sharp.shape[:2]
    if max(height, width) > _LARGEST_SIDE:
        raise DeblurError(f"{width}x{height} pixels: too large to be warped; reduce it to {_LARGEST_SIDE} a side")
    light = response.to_light(sharp)
    total = np.zeros_like(light)
    how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT_101}
    for moved in homographies:
        total += cv2.warpPerspective(light, moved, (width, height), **how)
    total /= len(homographies)
    return response.develop(total, rng, noise)


def _points(height, width):
    right, bottom = width - 1, height - 1
    return np.array([[right / 2, bottom / 2, 1], [0, 0, 1], [right, 0, 1], [0, bottom, 1], [right, bottom, 1]])


def _homographies(rotations, height, width, focal_length):
    camera = np.array([[focal_length, 0, (width - 1) / 2], [0, focal_length, (height - 1) / 2], [0, 0, 1]])
    return camera @ np.swapaxes(rotations, -1, -2) @ np.linalg.inv(camera)

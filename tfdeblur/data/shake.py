"""Camera shake: random-trajectory blur kernels and their application in linear light.

The trajectory follows the motion model of G. Boracchi and A. Foi, "Modeling the Performance of Image
Restoration from Motion Blur", IEEE Transactions on Image Processing 21(8), 2012: a particle whose velocity is
pushed by a Gaussian tremor, pulled back to the start by an inertial force, and from time to time reversed by
an impulsive jerk.
"""

import dataclasses
import math

import numpy as np

from tfdeblur.data.response import GAMMA_2_2
from tfdeblur.errors import DeblurError


@dataclasses.dataclass(frozen=True)
class Shake:
    """The family from which kernels are drawn. Lengths in pixels, angles in degrees.

    Attributes:
      length: (shortest, longest) path length of the trajectory, uniform.
      angle: (lowest, highest) direction of the initial motion, uniform, 0 = along the width; what comes after
        is the random walk. (0, 360) is every direction.
      anxiety: strength of tremor, pull and jerks: 0 is a straight line, 0.005 a steady hand, 0.05 a nervous one.
      noise: standard deviation of the Gaussian noise added after blurring, in grey levels of 0 .. 255.
    """

    length: tuple = (8.0, 28.0)
    angle: tuple = (0.0, 360.0)
    anxiety: float = 0.005
    noise: float = 0.0

    def __post_init__(self):
        for name, values in (("length", self.length), ("angle", self.angle)):
            if len(values) != 2 or not values[0] <= values[1]:  # NaN compares false
                raise DeblurError(f"shake {name} {tuple(values)}: need two numbers, the smaller one first")
        if not (0 <= self.length[0] and self.length[1] <= 512):
            raise DeblurError(f"shake length {tuple(self.length)}: need 0 to 512 pixels")
        if not (0 <= self.anxiety < math.inf and 0 <= self.noise < math.inf):
            raise DeblurError(f"shake anxiety {self.anxiety}, noise {self.noise}: need finite numbers from 0")


def trajectory(rng, length, angle=0.0, anxiety=0.005, samples=256):
    """A random camera path.

    Args:
      rng: numpy.random.Generator.
      length: path length in pixels.
      angle: initial direction in degrees.
      anxiety: see `Shake`.
      samples: number of points; equal exposure time lies between two of them.

    Returns:
      complex128 [samples]: positions in pixels, real = along the width (right), imaginary = along the height
      (down), centred on their mean; the steps' lengths add up to `length`.
    """
    # The forces are set once per path, as a photographer's grip is; times are in units of the exposure.
    tremor = 10.0 * anxiety * rng.uniform()
    pull = 0.7 * anxiety * rng.uniform()
    jerk_probability = 0.2 * anxiety * rng.uniform()
    step = 1.0 / (samples - 1)
    velocity = complex(math.cos(math.radians(angle)), math.sin(math.radians(angle))) * step
    pushes = rng.standard_normal((samples, 2)) @ np.array([1.0, 1j])
    jerks = rng.uniform(size=samples) < jerk_probability
    jitter = rng.uniform(-0.5, 0.5, size=samples)

    position = 0j
    path = np.zeros(samples, np.complex128)
    for n in range(1, samples):
        if jerks[n]:  # turn round, give or take half a radian
            velocity *= -2 * complex(math.cos(jitter[n]), math.sin(jitter[n]))
        velocity += tremor * pushes[n] * step - pull * position * step
        velocity *= step / abs(velocity)  # the hand's speed is constant; forces only turn it
        position += velocity
        path[n] = position
    path *= length  # the steps of length 1 / (samples - 1) add up to 1
    return path - path.mean()


def kernel_from_trajectory(path):
    """Rasterises a path into a blur kernel with sub-pixel accuracy.

    Args:
      path: complex [n] as `trajectory` gives it, centred on 0.

    Returns:
      float32 [k, k], k odd, non-negative, sum 1, centre of energy on the middle pixel (to 1e-6 px: every point
      is shared by its four neighbours in proportion, which keeps the centre of gravity). Convolution
      orientation: the camera's image of a point source.
    """
    path = np.asarray(path) - np.mean(path)
    radius = int(math.ceil(max(np.abs(path.real).max(), np.abs(path.imag).max()) - 1e-9))
    size = 2 * radius + 1
    kernel = np.zeros((size + 1, size + 1), np.float64)  # one spare row and column for the right neighbours
    x, y = path.real + radius, path.imag + radius
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - x0, y - y0
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            np.add.at(kernel, (y0 + dy, x0 + dx), wy * wx)
    return (kernel[:size, :size] / len(path)).astype(np.float32)


def random_kernel(rng, shake):
    """One kernel of the family `shake` (see `Shake`): float32 [k, k], k odd, sum 1."""
    length = rng.uniform(*shake.length)
    angle = rng.uniform(*shake.angle)
    return kernel_from_trajectory(trajectory(rng, length, angle, shake.anxiety))


# The last of a generator's four keys: what its numbers are for, so that no two purposes share a stream.
SAMPLE, FIXED_SHAKE, EPOCH_ORDER, PLACES, WINDOWS, PHOTOGRAPHS, NOISE, COLOURS, STRONG = range(9)


def generator(*keys):
    """A counter-based NumPy generator that is a function of the integers `keys` (0 .. 2**32 - 1, up to four)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([int(k) for k in keys])))


def blur(sharp, kernel, rng=None, noise=0.0, response=GAMMA_2_2):
    """Convolves an image with a kernel in linear light and returns to stored values.

    Args:
      sharp: uint8 [H, W, 3].
      kernel: float32 [h, w], both odd, sum 1, convolution orientation; the image is mirrored at its border.
      rng: numpy.random.Generator for the noise; not used where `noise` is 0.
      noise: standard deviation in grey levels.
      response: `Response` of the camera that stored `sharp`.

    Returns:
      uint8 [H, W, 3], rounded to nearest.
    """
    import cv2

    # filter2D correlates: flip for a convolution.
    flipped = kernel[::-1, ::-1].copy()
    blurred = cv2.filter2D(response.to_light(sharp), -1, flipped, borderType=cv2.BORDER_REFLECT_101)
    return response.develop(blurred, rng, noise)

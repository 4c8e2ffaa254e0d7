"""Camera responses: the one home of the way between stored values and linear light, and of rounding.

Light adds up linearly, stored values do not: blur is an average of light. A response says which light each stored
value 0 .. 255 stands for.
"""

import hashlib
import io
import os

import numpy as np

from tfdeblur.data.images import read_file
from tfdeblur.errors import DeblurError

GAMMA = 2.2  # light = stored ** GAMMA, the usual stand-in for a camera's response
NAMES = ("linear", "gamma2.2")
ROUNDINGS = ("round", "truncate")

_MOST_DIPS = 8  # values of a measured response that may break its rise


class Response:
    """What `response` makes.

    Attributes:
      table: float64 [256] or [256, 3] (a column for each of R, G, B): the light of each stored value, rising.
      description: for JSON: {"name"}, and of a file its "sha256" and the number of values that were "evened_out".
    """

    def __init__(self, table, to_stored, description):
        """to_stored: light [..., 3] -> stored values, floating, not rounded, of the same precision or better."""
        self.table = table
        self.to_stored = to_stored
        self.description = description
        self._float32 = table.astype(np.float32)

    def to_light(self, image, dtype=np.float32):
        """The light of uint8 [..., 3], as float32 or float64 of the same shape, in units of `table`."""
        table = self._float32 if dtype == np.float32 else self.table
        return table[image] if table.ndim == 1 else table[image, np.arange(3)]

    def develop(self, light, rng=None, noise=0.0, rounding="round"):
        """Light back to stored values.

        Args:
          light: floating [H, W, 3].
          rng: numpy.random.Generator for the noise; not used where `noise` is 0.
          noise: standard deviation of Gaussian noise in grey levels, added before rounding.
          rounding: "round" to nearest, or "truncate", as the makers of GoPro's pairs did; light that was averaged
            in float64 and is that of a whole value stays that value.

        Returns:
          uint8 [H, W, 3], saturated at 0 and 255.
        """
        stored = self.to_stored(light)
        if noise:
            stored = stored + rng.standard_normal(stored.shape, dtype=np.float32) * np.float32(noise)
        # There and back, a value comes out 1e-13 too low as often as too high: without help truncation would
        # darken pixels at which nothing moved.
        stored = np.rint(stored) if rounding == "round" else np.floor(stored + 1e-6)
        return np.clip(stored, 0, 255).astype(np.uint8)


def response(crf):
    """The `Response` of "linear", "gamma2.2", or a .npy file.

    The file holds light of any positive scale, float [256], [256, 1], [256, 3] or [256, 1, 3] (RGB), finite and
    rising with the stored value. Measured responses have dips where the sensor saturates (that of REDS has two):
    up to 8 values that are not above all values before them are replaced by linear interpolation.

    Raises DeblurError for another name, and a file that cannot be read or does not rise.
    """
    if crf in NAMES:
        return _NAMED[crf]
    if not crf.endswith(".npy"):
        raise DeblurError(f"--crf={crf}: choose {', '.join(NAMES)}, or a .npy file")
    data = read_file(crf)
    try:
        table = np.load(io.BytesIO(data), allow_pickle=False)
        shape, table = table.shape, np.asarray(table, np.float64)
    except (ValueError, TypeError, EOFError, OSError) as error:
        raise DeblurError(f"{crf}: not an array of numbers that numpy.save wrote") from error
    if shape not in ((256,), (256, 1), (256, 3), (256, 1, 1), (256, 1, 3)):
        raise DeblurError(f"{crf}: holds an array of shape {shape}; a response has the shape (256,) or (256, 3)")
    table = table.reshape(256, -1)
    if not np.isfinite(table).all():
        raise DeblurError(f"{crf}: holds values that are not finite; remove them")

    rising = np.ones(table.shape, bool)
    rising[1:] = table[1:] > np.maximum.accumulate(table)[:-1]
    dips = 256 - rising.sum(axis=0)
    if dips.max() > _MOST_DIPS or not rising[-1].all():
        value = int(np.argmin(rising.all(axis=1)))
        raise DeblurError(f"{crf}: the light must rise with the stored value, and does not at the value {value}")
    values = np.arange(256.0)
    columns = [np.interp(values, values[up], column[up]) for column, up in zip(table.T, rising.T, strict=True)]
    if len(columns) == 1:
        columns *= 3

    def to_stored(light):
        return np.stack([np.interp(light[..., c], columns[c], values) for c in range(3)], axis=-1)

    description = {
        "name": os.path.basename(crf),
        "sha256": hashlib.sha256(data).hexdigest(),
        "evened_out": int(dips.sum()),
    }
    return Response(np.stack(columns, axis=-1), to_stored, description)


LINEAR = Response(np.arange(256.0), lambda light: light, {"name": "linear"})
GAMMA_2_2 = Response(
    (np.arange(256) / 255.0) ** GAMMA,
    # A DFT leaves tiny negative values in black regions, whose fractional power would be NaN: hence the clamp.
    lambda light: 255.0 * np.maximum(light, 0.0) ** (1.0 / GAMMA),
    {"name": "gamma2.2"},
)
_NAMED = dict(zip(NAMES, (LINEAR, GAMMA_2_2), strict=True))

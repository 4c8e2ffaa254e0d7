"""Real pairs and photographs under made-up shakes in one training."""

import numpy as np

from tfdeblur.data.sources import silent


class MixedSource:
    """The pairs of a PairSource, then the photographs of a ShakenSource, for training.

    The names begin with "pairs/" and "photographs/". `draws` are the indices of an epoch, in no order: each part is
    repeated up to the length of the longer one, so that half of all samples are of either.
    """

    def __init__(self, pairs, photographs):
        """pairs: PairSource; photographs: ShakenSource."""
        self._pairs, self._photographs = pairs, photographs
        self.names = (
            *(f"pairs/{name}" for name in pairs.names),
            *(f"photographs/{name}" for name in photographs.names),
        )
        longer = max(len(pairs), len(photographs))
        of_either = np.resize(np.arange(len(pairs)), longer), np.resize(np.arange(len(photographs)), longer)
        self.draws = np.concatenate([of_either[0], len(pairs) + of_either[1]])
        shaken = photographs.description
        self.description = {
            **pairs.description,
            "photographs": shaken["pairs"],
            "photographs_dir": shaken.get("sharp_dir", shaken["source"]),
            "shake": shaken["shake"],
        }

    def __len__(self):
        return len(self.names)

    def _at(self, index):
        """(the part, its own index)."""
        count = len(self._pairs)
        return (self._pairs, index) if index < count else (self._photographs, index - count)

    def pair(self, index):
        """(blurred, sharp), each uint8 RGB [H, W, 3]."""
        part, own = self._at(index)
        return part.pair(own)

    def check(self, crop=None, log=silent):
        """As that of both parts."""
        return [*self._pairs.check(crop, log), *self._photographs.check(crop, log)]

    def stamp(self, index):
        """JSON-able, changes when a file does."""
        part, own = self._at(index)
        return part.stamp(own)

    def image_count(self, index):
        """How many images `stored` gives."""
        part, own = self._at(index)
        return part.image_count(own)

    def stored(self, index):
        """The decoded images to keep."""
        part, own = self._at(index)
        return part.stored(own)

    def crop(self, stored, top, left, size, rng):
        """A crop out of what `stored` gave: (blurred, sharp), uint8 [size, size, 3] each."""
        part = self._photographs if len(stored) == 1 else self._pairs
        return part.crop(stored, top, left, size, rng)

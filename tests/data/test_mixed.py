"""Pairs and shaken photographs in one training: whose image is whose, and in what shares."""

import numpy as np
import pytest

from tfdeblur.data.images import write_image
from tfdeblur.data.mixed import MixedSource
from tfdeblur.data.pipeline import batches
from tfdeblur.data.shake import Shake
from tfdeblur.data.shaken import sharp_folder
from tfdeblur.data.sources import folder_pairs
from tfdeblur.data.store import open_store
from tfdeblur.errors import DeblurError

SIZE = (40, 48)
PAIRS, PHOTOGRAPHS = 3, 5


def image_of(blue, seed):
    """Noise whose blue channel tells which image it is, blurred or not."""
    image = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    image[..., 2] = blue
    return image


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Blurred images of the pairs are blue 110, 111, 112, their sharp ones 120, 121, 122, the photographs 140 .. 144.

    In the middle of the range: JPEG's coarser colours spread a blue over grey levels, and clipping would move the mean.
    """
    folder = tmp_path_factory.mktemp("mixed")
    for name in ("blur", "sharp", "photographs"):
        (folder / name).mkdir()
    for index in range(PAIRS):
        sharp = image_of(120 + index, index)
        write_image(folder / "sharp" / f"{index}.png", sharp)
        write_image(
            folder / "blur" / f"{index}.png", np.dstack([sharp[..., :2] // 2, np.full(SIZE, 110 + index, np.uint8)])
        )
    for index in range(PHOTOGRAPHS):
        write_image(folder / "photographs" / f"{index}.png", image_of(140 + index, 10 + index))
    pairs = folder_pairs(folder / "blur", folder / "sharp")
    return MixedSource(pairs, sharp_folder(folder / "photographs", Shake((6.0, 12.0)))), folder


def test_pairs_come_first_and_photographs_behind_them(mixed):
    source, folder = mixed
    assert source.names == (*(f"pairs/{n}" for n in range(3)), *(f"photographs/{n}" for n in range(5)))
    assert [source.pair(n)[1][0, 0, 2] for n in range(8)] == [120, 121, 122, 140, 141, 142, 143, 144]
    assert [source.pair(n)[0][0, 0, 2] for n in range(8)] == [110, 111, 112, 140, 141, 142, 143, 144]
    assert (
        [source.image_count(n) for n in range(8)]
        == [2, 2, 2, 1, 1, 1, 1, 1]
        == [len(source.stored(n)) for n in range(8)]
    )
    assert source.check(40) == [SIZE] * 8 and len(source) == 8
    with pytest.raises(DeblurError, match="smaller than the crop of 41"):
        source.check(41)
    assert source.description["pairs"] == 3 and source.description["photographs"] == 5
    assert source.description["photographs_dir"] == str(folder / "photographs")
    assert source.description["shake"]["length"] == (6.0, 12.0)


def test_half_of_an_epoch_is_of_either(mixed):
    """Five photographs, so five draws of pairs: the first two are drawn twice."""
    assert sorted(mixed[0].draws) == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("augmentation", ["none", "strong"])
def test_batches_hold_both_and_partners_stay_together(mixed, augmentation, tmp_path):
    source = mixed[0]
    store = open_store(source, source.check(), str(tmp_path), log=lambda line: None)
    found = []
    options = {"crop": 32, "batch_size": 5, "seed": 0, "augmentation": augmentation}
    for batch in batches(source, store, **options).take(4).as_numpy_iterator():
        # The means outlive shrinking, noise and JPEG, to a few grey levels.
        blues = [255 * batch[side][..., 2].mean(axis=(1, 2)) for side in ("blurred", "sharp")]
        found += list(zip(*blues, strict=True))
        np.testing.assert_array_less(
            batch["blurred"][..., 0].std(axis=(1, 2)), batch["sharp"][..., 0].std(axis=(1, 2)) + 0.02
        )
    of_pairs = [(110, 120), (110, 120), (111, 121), (111, 121), (112, 122)]
    expected = [*of_pairs, *((blue, blue) for blue in range(140, 145))]
    for epoch in (found[:10], found[10:]):
        np.testing.assert_allclose(np.round(sorted(epoch, key=lambda pair: pair[1])), expected, atol=4)
    if augmentation == "none":
        assert [pair[1] for pair in found[:10]] != sorted(pair[1] for pair in found[:10]), "shuffled"

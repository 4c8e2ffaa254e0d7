"""Tiles lie on the grid, cover the image, and fade into one another without leaving a trace."""

import numpy as np
import pytest

import tfdeblur
from tfdeblur import systems, tiles
from tfdeblur.compat import tf


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def in_tiles(run, image, tile, overlap, progress=iter):
    rows, columns = (tiles.places(size, tile, overlap) for size in image.shape[:2])
    return tiles.restore(run, image, rows, columns, progress)


# ----------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    "size, tile, overlap, expected",
    [
        (1, 64, 32, [(0, 1)]),
        (100, 100, 32, [(0, 100)]),  # whole, though not a multiple of 32
        (320, 128, 32, [(0, 128), (96, 224), (192, 320)]),
        (300, 128, 32, [(0, 128), (96, 224), (192, 300)]),  # the last stops with the image
        (320, 159, 32, [(0, 128), (96, 224), (192, 320)]),  # 159 holds four times 32
        (320, 256, 32, [(0, 192), (128, 320)]),  # no longer than needed: 176 on the grid
        (320, 256, 33, [(0, 192), (128, 320)]),  # 33 is 64 on the grid
        (129, 128, 0, [(0, 96), (64, 129)]),
    ],
)
def test_places_by_hand(size, tile, overlap, expected):
    assert tiles.places(size, tile, overlap) == expected


def test_tiles_that_must_keep_their_length_share_more():
    assert tiles.places(320, 256, 32, shorten=False) == [(0, 256), (64, 320)]
    assert tiles.places(300, 128, 0, shorten=False) == [(0, 128), (96, 224), (192, 300)]
    assert tiles.places(100, 256, 32, shorten=False) == [(0, 100)]


def test_places_cover_share_and_are_few():
    draw = np.random.default_rng(0)
    for _ in range(2000):
        overlap = int(draw.integers(0, 200))
        tile = int(tiles.smallest(overlap) + draw.integers(0, 500))
        size = int(draw.integers(1, 3000))
        found = tiles.places(size, tile, overlap)
        assert found[0][0] == 0 and found[-1][1] == size
        assert all(start % tiles.GRID == 0 and 0 < stop - start <= tile for start, stop in found)
        assert all(a[1] - b[0] >= overlap for a, b in zip(found, found[1:], strict=False))
        lengths = {stop - start for start, stop in found[:-1]}
        assert len(lengths) <= 1 and found[-1][1] - found[-1][0] <= max(lengths, default=size)
        assert not lengths or lengths.pop() - (found[-1][1] - found[-1][0]) < tiles.GRID  # moved in, not cut off
        shared = -(-overlap // tiles.GRID) * tiles.GRID
        fewer = (len(found) - 1) * (tile // tiles.GRID * tiles.GRID - shared) + shared
        assert len(found) == 1 or fewer < size  # one tile less would not reach


# ----------------------------------------------------------------------------------------- blending


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (257, 31), (100, 100), (200, 333)])
def test_tiles_that_agree_give_the_image_back_to_the_bit(size):
    image = noise(*size, 3)
    restored = in_tiles(lambda part: part, image, 96, 32)
    np.testing.assert_array_equal(restored, image)
    assert restored.dtype == np.float32


def test_the_weights_change_like_a_cosine_and_the_borders_do_not_fade():
    # Four tiles of 64x64 in 96x96, 32 shared: each answers with a number of its own.
    answers = iter([0.0, 1.0, 2.0, 4.0])
    restored = in_tiles(lambda part: np.full(part.shape, next(answers), np.float32), np.zeros((96, 96, 3)), 64, 32)
    ramp = np.concatenate([np.zeros(8), np.sin(np.pi / 2 * (np.arange(16) + 0.5) / 16) ** 2, np.ones(8)])
    across = np.concatenate([np.zeros(32), ramp, np.ones(32)])
    top, bottom = across, 2.0 + 2.0 * across
    expected = top + across[:, None] * (bottom - top)
    np.testing.assert_allclose(restored, expected[..., None].repeat(3, -1), atol=1e-6)
    assert [restored[y, x, 0] for y in (0, 31, 64, 95) for x in (0, 31, 64, 95)] == [
        *(0.0, 0.0, 1.0, 1.0) * 2,
        *(2.0, 2.0, 4.0, 4.0) * 2,
    ]
    # By hand: the outer quarters are one tile's, in the middle both count the same, and a quarter of the way between
    # them the weight is sin(22.5 degrees)^2.
    assert restored[0, 39, 0] == 0.0 and restored[0, 56, 0] == 1.0
    assert restored[0, 47:49, 0].mean() == pytest.approx(0.5)
    assert restored[0, 43:45, 0].mean() == pytest.approx(0.1464, abs=2e-3)


def test_the_tiles_meet_the_grid_of_the_whole_image():
    def blocks(part):
        """Means over blocks of 32x32 from the part's corner, those at its end mirrored full."""
        height, width = part.shape[:2]
        padded = np.pad(part, [(0, -height % 32), (0, -width % 32), (0, 0)], "reflect")
        means = padded.reshape(padded.shape[0] // 32, 32, -1, 32, 3).mean((1, 3))
        return means.repeat(32, 0).repeat(32, 1)[:height, :width].astype(np.float32)

    image = noise(213, 345, 3)
    np.testing.assert_allclose(in_tiles(blocks, image, 128, 40), blocks(image), atol=1e-6)


def test_tiles_are_cut_from_the_image_and_counted():
    seen, counted = [], []

    def run(part):
        seen.append(part.shape)
        return part.astype(np.float32)

    image = np.zeros((96, 100, 3), np.uint8)
    in_tiles(run, image, 64, 32, lambda places: counted.extend(places) or places)
    assert len(counted) == len(seen) == 6
    assert seen == [(64, 64, 3), (64, 64, 3), (64, 36, 3)] * 2


# ----------------------------------------------------------------------------------------- how large


def test_bytes_per_pixel_by_hand():
    kernels = [tf.constant(noise(3, 3, *channels)) for channels in ((3, 8), (8, 3))]

    def network(images):
        features = tf.nn.conv2d(images, kernels[0], 1, "SAME")  # 8 channels: 32 bytes
        features = tf.identity(tf.nn.relu(features))  # 32 more, and none for the identity
        tf.nn.conv2d(features, noise(1, 1, 8, 100), 1, "SAME")  # nobody needs it
        return tf.nn.conv2d(features, kernels[1], 1, "SAME")  # 12, when the first 32 are free

    assert tiles.bytes_per_pixel(network, 64) == pytest.approx(tiles.MARGIN * 64)

    def keeps_its_input_long(images):
        doubled = 2.0 * images  # 12 bytes, needed at the end
        return doubled + tf.nn.conv2d(tf.nn.conv2d(doubled, kernels[0], 1, "SAME"), kernels[1], 1, "SAME")

    assert tiles.bytes_per_pixel(keeps_its_input_long, 64) == pytest.approx(tiles.MARGIN * (12 + 32 + 12))


def test_half_precision_takes_half():
    def network(images):
        return tf.nn.relu(tf.cast(images, tf.bfloat16))

    assert tiles.bytes_per_pixel(network, 32) == pytest.approx(tiles.MARGIN * 12)


def test_the_memory_is_a_share_of_what_is_free(monkeypatch):
    monkeypatch.setattr(tiles, "free_memory", lambda: 1e9)
    assert tiles.memory(3e9) == tiles.SHARE_OF_MEMORY * 1e9
    monkeypatch.setattr(tiles, "free_memory", lambda: 1e12)
    assert tiles.memory(3e9) == 3e9


@pytest.mark.parametrize(
    "pixels, overlap, expected",
    [(640**2, 64, 640), (640**2 - 1, 64, 608), (100, 64, 128), (100, 65, 192), (100, 0, 32)],
)
def test_the_side_of_a_tile(pixels, overlap, expected):
    assert tiles.side(pixels, overlap) == expected


def test_every_system_has_an_overlap():
    assert tiles.OVERLAPS.keys() == tfdeblur.SYSTEMS.keys()
    assert max(tiles.OVERLAPS.values()) == tiles.LARGEST_OVERLAP


@pytest.mark.slow
@pytest.mark.parametrize("name", tfdeblur.SYSTEMS)
def test_what_is_assumed_of_every_system(name):
    net = systems.build(name)
    assert tiles.GRID % net.size_multiple == 0
    assert 300 < tiles.bytes_per_pixel(lambda images: net(images)["restored"]) < tiles.MOST_BYTES_PER_PIXEL

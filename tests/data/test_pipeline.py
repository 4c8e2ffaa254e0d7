"""Training batches: functions of (seed, step, sample), pairs that stay together, targets of the sharp side."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.data.images import write_image
from tfdeblur.data.mixed import MixedSource
from tfdeblur.data.pipeline import AUGMENTATIONS, Buffers, batches, plan, saturate, saturation_factor, symmetry
from tfdeblur.data.shake import Shake
from tfdeblur.data.shaken import ShakenSource
from tfdeblur.data.sources import folder_pairs
from tfdeblur.data.store import open_store
from tfdeblur.ops.geometry import flip_and_rotate

SIZES = [(20, 24), (17, 19), (32, 16)]
OFFSET = 100


def numbered_image(index):
    """Every pixel says where it is: red = row, green = column, blue = index of the image."""
    rows, cols = np.indices(SIZES[index])
    return np.stack([2 * rows, 2 * cols, np.full_like(rows, index)], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """(source, store) of three pairs on disk; the blurred image is the sharp one plus OFFSET."""
    folder = tmp_path_factory.mktemp("pairs")
    for side, offset in (("blur", OFFSET), ("sharp", 0)):
        (folder / side).mkdir()
        for index in range(len(SIZES)):
            write_image(folder / side / f"{index}.png", numbered_image(index) + np.uint8(offset))
    source = folder_pairs(folder / "blur", folder / "sharp")
    return source, open_store(source, SIZES, str(folder / "store"), log=lambda line: None)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """(source, store) of three noise images that are shaken afresh for every crop."""
    images = [np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8) for seed, size in enumerate(SIZES)]
    source = ShakenSource("abc", lambda i: images[i], lambda: SIZES, {"source": "noise"}, Shake((3.0, 6.0), noise=2.0))
    folder = tmp_path_factory.mktemp("photographs")
    return source, open_store(source, SIZES, str(folder), log=lambda line: None)


@pytest.fixture(scope="module")
def mixed(pairs, photographs, tmp_path_factory):
    """(source, store) of both in one."""
    source = MixedSource(pairs[0], photographs[0])
    folder = tmp_path_factory.mktemp("mixed")
    return source, open_store(source, 2 * SIZES, str(folder), log=lambda line: None)


def take(data, count, **arguments):
    options = {"crop": 16, "batch_size": 2, "seed": 0, **arguments}
    return list(batches(*data, **options).take(count).as_numpy_iterator())


def stored(batch, name):
    """A batch's images as the uint8 values that they were."""
    return np.rint(batch[name] * 255).astype(int)


def assert_same(one, other):
    tf.nest.assert_same_structure(one, other)
    for left, right in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(left, right)


# ------------------------------------------------------------------------------------------------------ plan


@pytest.mark.parametrize("count, batch_size", [(1, 4), (2, 3), (3, 2), (7, 16), (16, 4), (2103, 701)])
def test_every_epoch_is_a_permutation(count, batch_size):
    epochs = 3
    steps = -(-epochs * count // batch_size)
    index = np.concatenate([plan(step, count, batch_size, seed=0)[0] for step in range(steps)])
    assert index.dtype == np.int64
    for epoch in range(epochs):
        assert sorted(index[epoch * count : (epoch + 1) * count]) == list(range(count))


@pytest.mark.parametrize("count", [8, 50, 513])
def test_every_epoch_is_well_shuffled(count):
    orders = [np.asarray(plan(epoch, count, count, seed)[0]) for seed in (0, 1) for epoch in range(20)]
    if count > 8:
        assert len({order.tobytes() for order in orders}) == 40
    # A good permutation puts i + 1 behind i once in an epoch on average, and does not follow the files' order.
    followers = np.mean([np.mean(np.diff(order) == 1) * count for order in orders])
    assert followers < 2, f"{followers:.1f} of {count} indices are followed by the next one"
    correlations = [np.corrcoef(order, np.arange(count))[0, 1] for order in orders]
    assert abs(np.mean(correlations)) < 4 / np.sqrt(40 * (count - 1))


def test_the_order_does_not_come_round_again():
    orders = {plan(epoch, 20, 20, seed)[0].tobytes() for seed in (0, 256) for epoch in range(300)}
    assert len(orders) == 600


def test_uniform_numbers_are_uniform_and_a_function_of_seed_and_step():
    numbers = np.concatenate([plan(step, 5, 100, seed=3)[1] for step in range(20)])
    assert numbers.shape == (2000, 3)
    assert numbers.min() >= 0 and numbers.max() < 1
    np.testing.assert_allclose(numbers.mean(axis=0), 0.5, atol=0.03)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(3)).max() < 0.1
    np.testing.assert_array_equal(plan(7, 5, 4, 3)[1], plan(7, 5, 4, 3)[1])
    for other in (plan(8, 5, 4, 3), plan(7, 5, 4, 4)):
        assert not np.isin(other[1], plan(7, 5, 4, 3)[1]).any()


def test_late_steps_do_not_overflow():
    step = 3_000_000_000
    index, _ = plan(step, 2103, 16, 0)
    assert index.min() >= 0 and index.max() < 2103 and len(set(index)) >= 15


# ------------------------------------------------------------------------------------------- pairs and places


def located(image):
    """(top, left, symmetry) of a numbered crop, or None where it is not a crop of one place."""
    size = len(image)
    rows, cols = np.indices((size, size))
    top, left = image[..., 0].min() // 2, image[..., 1].min() // 2
    plain = np.stack([2 * (rows + top), 2 * (cols + left), np.full_like(rows, image[0, 0, 2])], axis=-1)
    for code in range(8):
        turned = plain
        if code & 1:
            turned = turned[:, ::-1]
        if code & 2:
            turned = turned[::-1]
        if code & 4:
            turned = turned.transpose(1, 0, 2)
        if np.array_equal(turned, image):
            return top, left, code
    return None


@pytest.mark.parametrize("augmentation", sorted(AUGMENTATIONS.keys() - {"mprnet", "strong"}))  # those change values
def test_blurred_and_sharp_are_of_one_place(pairs, augmentation):
    symmetries = set()
    for batch in take(pairs, 40, augmentation=augmentation):
        blurred, sharp = stored(batch, "blurred"), stored(batch, "sharp")
        np.testing.assert_array_equal(blurred, sharp + OFFSET)
        for image in sharp:
            place = located(image)
            assert place is not None
            symmetries.add(place[2])
    assert symmetries == set(range(AUGMENTATIONS[augmentation])), "all of them, and no others"


def test_augmentations_are_no_symmetry_four_and_eight():
    plain = {"none": 1, "horizontal_flips": 2, "flips": 4, "flips_and_rotations": 8}
    assert AUGMENTATIONS == {**plain, "mprnet": 9, "strong": 8}


def test_crops_come_from_everywhere_borders_included(pairs):
    places = set()
    for batch in take(pairs, 150, batch_size=6):
        for image in stored(batch, "sharp"):
            top, left, _ = located(image)
            places.add((int(image[0, 0, 2]), int(top), int(left)))
    expected = {
        (index, top, left)
        for index, (height, width) in enumerate(SIZES)
        for top in range(height - 16 + 1)
        for left in range(width - 16 + 1)
    }
    assert places <= expected
    # 300 draws of at most 45 places each: all but a few are met, and each image's first and last for certain.
    assert len(places) > 0.95 * len(expected)
    for index, (height, width) in enumerate(SIZES):
        assert {top for n, top, _ in places if n == index} == set(range(height - 16 + 1))
        assert {left for n, _, left in places if n == index} == set(range(width - 16 + 1))


def test_the_samples_are_those_of_the_plan(pairs):
    for step, batch in enumerate(take(pairs, 6)):
        index, _ = plan(step, 3, 2, seed=0)
        np.testing.assert_array_equal(stored(batch, "sharp")[:, 0, 0, 2], index)


def test_a_crop_may_be_the_whole_image(pairs):
    source, store = pairs

    class Last:
        """The pair of 32x16 alone, cut to 16x16 by a store that knows of nothing else."""

        def __len__(self):
            return 1

        def size(self, index):
            return (16, 16)

        def images(self, index):
            return tuple(image[:16] for image in store.images(2))

    (batch,) = take((source, Last()), 1, batch_size=3)
    for image in stored(batch, "sharp"):
        np.testing.assert_array_equal(image, numbered_image(2)[:16])


# ------------------------------------------------------------------------------------------------- saturation


def test_saturation_by_hand():
    image = np.array([[[100, 100, 100], [200, 100, 0], [255, 0, 0]]], np.uint8)  # grey 100, 118.5, 76.245
    doubled = [[100, 100, 100], [255, 82, 0], [255, 0, 0]]  # 118.5 + 2 (200 - 118.5) = 281.5 and 118.5 - 37 = 81.5
    np.testing.assert_array_equal(saturate(image, 2.0)[0], doubled)
    np.testing.assert_array_equal(saturate(image, 0.0)[0, :, 0], [100, 118, 76])
    np.testing.assert_array_equal(saturate(image, 1.0), image)


def test_a_third_of_the_factors_lie_between_0_8_and_1_2():
    factors = np.array([saturation_factor(np.random.default_rng(seed)) for seed in range(3000)])
    drawn = factors[factors != 1]
    assert len(drawn) / 3000 == pytest.approx(1 / 3, abs=0.03)
    assert 0.8 <= drawn.min() < 0.81 and 1.19 < drawn.max() <= 1.2 and drawn.mean() == pytest.approx(1, abs=0.02)


def test_mprnets_augmentation_is_the_symmetries_and_one_saturation_for_both_of_a_pair(pairs):
    changed, symmetries = 0, []
    for batch in take(pairs, 300, augmentation="mprnet"):
        for sharp, blurred in zip(stored(batch, "sharp"), stored(batch, "blurred"), strict=True):
            if place := located(sharp):
                np.testing.assert_array_equal(blurred, sharp + OFFSET)
                symmetries.append(place[2])
                continue
            changed += 1
            # Distances from grey do not know of the offset, but by roundings; those of the blurred image never clip.
            inside = (sharp.min(axis=-1) > 0) & (sharp.max(axis=-1) < 255)
            assert np.abs(blurred - sharp - OFFSET)[inside].max(initial=0) <= 1
    assert changed / 600 == pytest.approx(1 / 3, abs=0.08)
    share = np.bincount(symmetries, minlength=8) / len(symmetries)
    np.testing.assert_allclose(share, [2 / 9] + [1 / 9] * 7, atol=0.06)


# --------------------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_targets_are_of_the_sharp_crop_as_it_is_turned(photographs, augmentation):
    for batch in take(photographs, 3, augmentation=augmentation, scales=3, gradient=True):
        assert set(batch) == {"blurred", "sharp", "sharp_scales", "sharp_gradient"}
        sharp = batch["sharp"]
        assert len(batch["sharp_scales"]) == 3
        np.testing.assert_array_equal(batch["sharp_scales"][0], sharp)
        for size, scale, finer in zip((8, 4), batch["sharp_scales"][1:], batch["sharp_scales"], strict=False):
            expected = tf.image.resize(finer, [size, size], method="bicubic", antialias=False)
            np.testing.assert_allclose(scale, expected, atol=1e-5)
        edges = tf.image.sobel_edges(tf.constant(sharp))
        expected = tf.sqrt(tf.reduce_sum(tf.square(edges), axis=-1) + 1e-6)
        np.testing.assert_allclose(batch["sharp_gradient"], expected, atol=1e-4)
        assert batch["blurred"].std() < sharp.std(), "and the blurred side is the blurred one"


def test_images_are_float32_in_0_to_1_with_static_shapes(pairs):
    data = batches(*pairs, crop=16, batch_size=2, seed=0, scales=2, gradient=True)
    shapes = {"blurred": (2, 16, 16, 3), "sharp": (2, 16, 16, 3), "sharp_gradient": (2, 16, 16, 3)}
    for name, shape in shapes.items():
        assert data.element_spec[name].shape == shape and data.element_spec[name].dtype == tf.float32
    assert [spec.shape for spec in data.element_spec["sharp_scales"]] == [(2, 16, 16, 3), (2, 8, 8, 3)]
    (batch,) = take(pairs, 1)
    assert batch["blurred"].dtype == np.float32 and 0.39 < batch["blurred"].min() and batch["blurred"].max() <= 1


def test_without_a_gradient_target_there_is_none(pairs):
    (batch,) = take(pairs, 1)
    assert set(batch) == {"blurred", "sharp", "sharp_scales"} and len(batch["sharp_scales"]) == 1


@pytest.mark.parametrize("code", range(8))
def test_a_symmetry_is_the_one_of_the_same_code_on_tensors(code):
    image = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    (expected,) = flip_and_rotate([tf.constant(image[None])], [code])
    np.testing.assert_array_equal(symmetry(image[...], code), expected[0])


# ------------------------------------------------------------------------------------------------ the memory


def test_a_batch_that_is_kept_is_not_overwritten(photographs):
    """The memory of batches is used again; of those that someone still holds, as array or as tensor, it is not."""
    options = {"crop": 16, "batch_size": 2, "seed": 0, "scales": 2, "gradient": True}
    kept = []
    for step, batch in zip(range(40), batches(*photographs, **options), strict=False):
        kept.append((step, batch if step % 2 else tf.nest.map_structure(lambda x: x.numpy(), batch)))
    for step, batch in kept:
        (fresh,) = take(photographs, 1, start_step=step, **{key: options[key] for key in ("scales", "gradient")})
        assert_same(tf.nest.map_structure(np.asarray, batch), fresh)


def test_memory_is_used_again_when_its_last_array_is_gone():
    buffers = Buffers()
    first = buffers.empty((2, 4, 4, 3))
    view, place = first[1, :2], first.ctypes.data
    assert place % 64 == 0 and first.shape == (2, 4, 4, 3) and first.dtype == np.float32
    del first
    other = buffers.empty((2, 4, 4, 3))
    assert other.ctypes.data != place, "a view is still there"
    del view
    assert buffers.empty((4, 2, 4, 3)).ctypes.data == place, "the same bytes in another shape"


# ----------------------------------------------------------------------------------------------- determinism


@pytest.mark.parametrize("start_step", [1, 4])
def test_a_resumed_run_sees_the_same_batches(photographs, start_step):
    options = {"augmentation": "flips_and_rotations", "scales": 2, "gradient": True}
    whole = take(photographs, start_step + 3, **options)
    resumed = take(photographs, 3, start_step=start_step, **options)
    for one, other in zip(whole[start_step:], resumed, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("data", ["pairs", "mixed"])
def test_the_shares_of_two_replicas_are_together_the_batch_of_one(data, augmentation, request):
    data = request.getfixturevalue(data)
    options = {"batch_size": 8, "augmentation": augmentation, "start_step": 2, "scales": 2, "gradient": True}
    shares = [np.array([0, 1, 4, 5]), np.array([2, 3, 6, 7])]
    parts = take(data, 6, shares=shares, **options)
    in_order = np.argsort(np.concatenate(shares))
    for step, whole in enumerate(take(data, 3, **options)):
        both = parts[2 * step : 2 * step + 2]
        assert_same(tf.nest.map_structure(lambda *part: np.concatenate(part)[in_order], *both), whole)


def test_batches_differ_from_step_to_step_and_from_seed_to_seed(photographs):
    found = [batch for seed in (0, 1) for batch in take(photographs, 4, seed=seed)]
    for name in ("blurred", "sharp"):
        assert len({batch[name].tobytes() for batch in found}) == 8


def test_every_sample_has_a_shake_of_its_own(photographs):
    source, store = photographs

    class Alone:
        """One image without room: what differs between the samples is the shake alone."""

        def __len__(self):
            return 1

        def size(self, index):
            return (16, 16)

        def images(self, index):
            return (store.images(0)[0][:16, :16],)

    found = take((source, Alone()), 3, batch_size=3)
    assert len({image.tobytes() for batch in found for image in batch["sharp"]}) == 1
    assert len({image.tobytes() for batch in found for image in batch["blurred"]}) == 9


def test_a_batch_may_be_larger_than_the_set(pairs):
    (batch,) = take(pairs, 1, batch_size=7)
    index = stored(batch, "sharp")[:, 0, 0, 2].tolist()
    assert sorted(index[:3]) == sorted(index[3:6]) == [0, 1, 2]


def test_targets_are_halved_as_asked(photographs):
    (batch,) = take(photographs, 1, scales=3, resize="bilinear")
    full, half, quarter = batch["sharp_scales"]
    for finer, coarser in ((full, half), (half, quarter)):
        blocks = finer.reshape(finer.shape[0], coarser.shape[1], 2, coarser.shape[2], 2, 3)
        np.testing.assert_allclose(coarser, blocks.mean(axis=(2, 4)), atol=1e-6)

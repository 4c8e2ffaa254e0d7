"""Boxes by hand, and the random crop as a function of (seed, index)."""

import numpy as np
import pytest

from tfdeblur.errors import DeblurError
from tfdeblur.metrics import region_box


def test_full_is_everything():
    assert region_box("full", 720, 1280) == (0, 0, 720, 1280)
    assert region_box("full", 1, 1, seed=3, index=5) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    "height, width, expected",
    [
        (720, 1280, (232, 512, 256, 256)),
        (256, 256, (0, 0, 256, 256)),
        (257, 259, (0, 1, 256, 256)),  # margins 1 and 3: the smaller half above and to the left
    ],
)
def test_centre_by_hand(height, width, expected):
    assert region_box("crop256", height, width) == expected
    assert region_box("crop256", height, width, seed=9, index=9) == expected


def test_random_boxes_never_change():
    # Written down once: a published score must be repeatable with any numpy and on any machine.
    boxes = {(0, 0): (5, 247), (0, 1): (378, 770), (1, 0): (141, 869), (1234, 1110): (278, 973)}
    for (seed, index), (top, left) in boxes.items():
        assert region_box("randomcrop256", 720, 1280, seed=seed, index=index) == (top, left, 256, 256)


def test_random_ignores_the_order_of_evaluation():
    def boxes(indices):
        return {index: region_box("randomcrop256", 720, 1280, seed=7, index=index) for index in indices}

    forwards = boxes(range(50))
    np.random.seed(0)
    np.random.random(10)
    assert boxes(reversed(range(50))) == forwards
    assert boxes([31]) == {31: forwards[31]}


def test_random_depends_on_seed_and_index():
    by_index = {region_box("randomcrop256", 720, 1280, seed=0, index=index) for index in range(200)}
    by_seed = {region_box("randomcrop256", 720, 1280, seed=seed, index=0) for seed in range(200)}
    assert len(by_index) > 195 and len(by_seed) > 195
    swapped = region_box("randomcrop256", 720, 1280, seed=2, index=1)
    assert region_box("randomcrop256", 720, 1280, seed=1, index=2) != swapped


def test_random_boxes_lie_inside_and_reach_every_place():
    # 4 x 3 positions; each has probability 1/12, so 1200 draws give 100 each with a deviation of 9.6.
    counts = np.zeros((4, 3), int)
    for index in range(1200):
        top, left, height, width = region_box("randomcrop256", 259, 258, index=index)
        assert (height, width) == (256, 256)
        counts[top, left] += 1
    assert counts.sum() == 1200
    assert counts.min() > 100 - 4 * 9.6 and counts.max() < 100 + 4 * 9.6


def test_random_at_the_exact_size_and_at_odd_seeds():
    assert region_box("randomcrop256", 256, 256, seed=5, index=5) == (0, 0, 256, 256)
    assert region_box("randomcrop256", 720, 1280, seed=-1) == region_box("randomcrop256", 720, 1280, seed=2**64 - 1)
    assert region_box("randomcrop256", 720, 1280, seed=np.int64(3), index=np.int32(4)) == region_box(
        "randomcrop256", 720, 1280, seed=3, index=4
    )


def test_boxes_are_python_integers():
    for region in ("full", "crop256", "randomcrop256"):
        box = region_box(region, np.int64(300), np.int32(400), index=np.int64(2))
        assert [type(number) for number in box] == [int] * 4


@pytest.mark.parametrize("region", ["crop256", "randomcrop256"])
@pytest.mark.parametrize("height, width", [(255, 256), (256, 255), (1, 1)])
def test_small_images_are_one_clear_line(region, height, width):
    with pytest.raises(DeblurError, match=rf"region {region} .*256x256.*{height}x{width}") as caught:
        region_box(region, height, width)
    assert "\n" not in str(caught.value)


def test_mistakes_of_a_caller():
    with pytest.raises(ValueError, match="unknown region 'half'.*full, crop256, randomcrop256"):
        region_box("half", 720, 1280)
    with pytest.raises(ValueError, match="0x5"):
        region_box("full", 0, 5)

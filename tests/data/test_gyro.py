"""Gyroscope traces: rotations by hand, what they do to an image, and files that are none."""

import math

import numpy as np
import pytest

from tfdeblur.data import gyro
from tfdeblur.data.gyro import STEP, Trace, blur_by_homographies, default_focal_length, extents, paths, read_trace
from tfdeblur.data.photographs import photograph
from tfdeblur.data.response import GAMMA_2_2
from tfdeblur.data.shake import blur, generator, kernel_from_trajectory
from tfdeblur.errors import DeblurError

HEIGHT, WIDTH, FOCAL = 301, 401, 350.0


def steady(wx=0.0, wy=0.0, wz=0.0, seconds=1.0, rate=200):
    """A trace of constant rates."""
    times = np.arange(int(seconds * rate) + 1) / rate
    return Trace(times, np.tile([wx, wy, wz], (len(times), 1)), start=0)


def wild(seed=0):
    """A trace of a nervous hand: smooth random rates of about 0.7 rad/s."""
    rng = np.random.default_rng(seed)
    times = np.arange(400) / 200
    phases, frequencies = rng.uniform(0, 6, (3, 4, 1)), rng.uniform(1, 12, (3, 4, 1))
    return Trace(times, 0.5 * np.sin(phases + 2 * np.pi * frequencies * times).sum(axis=1).T, start=1000)


def moved(trace, start=0.1, exposure=0.05):
    return trace.homographies(start, exposure, HEIGHT, WIDTH, FOCAL)


# ------------------------------------------------------------------------------------------------- rotations


def test_rotation_matrices_by_hand():
    quarter = np.pi / 2
    about_x, about_y, about_z, none = gyro.rotation_matrices(np.array([*np.diag([quarter] * 3), [0, 0, 0]]))
    np.testing.assert_allclose(about_x @ [0, 1, 0], [0, 0, 1], atol=1e-12)  # y to z
    np.testing.assert_allclose(about_y @ [0, 0, 1], [1, 0, 0], atol=1e-12)  # z to x
    np.testing.assert_allclose(about_z @ [1, 0, 0], [0, 1, 0], atol=1e-12)  # x to y
    np.testing.assert_array_equal(none, np.eye(3))


def test_rotation_matrices_against_scipy():
    from scipy.spatial.transform import Rotation

    vectors = np.random.default_rng(0).normal(size=(50, 3)) * np.logspace(-9, 0.5, 50)[:, None]
    np.testing.assert_allclose(gyro.rotation_matrices(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-14)


@pytest.mark.parametrize("samples", [1, 2, 7, 50])
def test_poses_of_a_steady_turn_lie_evenly_about_their_mean(samples):
    rotations = steady(wy=2.0).rotations(0.3, 0.1, samples)
    angles = 0.2 * ((np.arange(samples) + 0.5) / samples - 0.5)  # 0.2 rad in all
    expected = gyro.rotation_matrices(np.outer(angles, [0, 1, 0]))
    np.testing.assert_allclose(rotations, expected, atol=1e-12)


def test_rates_are_linear_between_samples():
    # A rate that rises by 10 rad/s^2 from 0, recorded at 10 Hz only: the angle is 5 t^2.
    times = np.arange(11) / 10
    trace = Trace(times, np.outer(10 * times, [0, 0, 1]), start=0)
    rotations = trace.rotations(0.0, 0.4, 40)
    turned = np.unwrap(np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0]))
    middles = 0.01 * (np.arange(40) + 0.5)
    np.testing.assert_allclose(np.diff(turned), np.diff(5 * middles**2), atol=1e-4)


def test_integration_against_a_fine_one():
    trace = wild()
    coarse, fine = trace.rotations(0.2, 0.3, 15), trace.rotations(0.2, 0.3, 15 * 21)
    at_the_same_times = fine[10::21]
    relative = np.swapaxes(coarse[:1], 1, 2) @ coarse
    expected = np.swapaxes(at_the_same_times[:1], 1, 2) @ at_the_same_times
    np.testing.assert_allclose(relative, expected, atol=2e-4)  # 0.07 pixels at a focal length of 350


# ------------------------------------------------------------------------------------------------ what moves


def test_turning_to_the_right_moves_the_image_to_the_left():
    centre = paths(moved(steady(wy=1.0)), HEIGHT, WIDTH)[:, 0]
    assert (np.diff(centre[:, 0]) < 0).all() and np.ptp(centre[:, 1]) < 1e-9
    samples = len(centre)
    half = 0.025 * (samples - 1) / samples  # from the middle of the first part to the middle of the exposure
    np.testing.assert_allclose(centre[0, 0] - (WIDTH - 1) / 2, FOCAL * math.tan(half), rtol=1e-9)


def test_the_other_axes():
    up = paths(moved(steady(wx=1.0)), HEIGHT, WIDTH)[:, 0]
    assert (np.diff(up[:, 1]) > 0).all() and np.ptp(up[:, 0]) < 1e-9, "turning up moves the image down"
    rolled = paths(moved(steady(wz=1.0)), HEIGHT, WIDTH)
    assert np.ptp(rolled[:, 0], axis=0).max() < 1e-9, "the centre of a roll stays"
    assert (np.diff(rolled[:, 1, 1]) > 0).all(), "x turns to y in the camera, so the image turns back: down at the left"
    radius = math.hypot(WIDTH - 1, HEIGHT - 1) / 2
    assert extents(moved(steady(wz=1.0)), HEIGHT, WIDTH)[1] == pytest.approx(0.05 * radius, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_steps_are_small_and_the_mean_stays_in_place(seed):
    homographies = moved(wild(seed), exposure=0.1)
    where = paths(homographies, HEIGHT, WIDTH)
    steps = np.linalg.norm(np.diff(where, axis=0), axis=-1)
    assert 0.2 < steps.max() <= STEP
    still = paths(np.eye(3)[None], HEIGHT, WIDTH)
    np.testing.assert_allclose(where.mean(axis=0)[0], still[0, 0], atol=0.05)  # the centre; blur is 5 to 50 pixels
    np.testing.assert_allclose(where.mean(axis=0), still[0], atol=1.0)
    spans = extents(homographies, HEIGHT, WIDTH)
    assert spans[0] == pytest.approx(max(np.linalg.norm(a - b) for a in where[:, 0] for b in where[:, 0]))


def test_a_focal_length_twice_as_long_blurs_twice_as_far():
    trace = wild()
    near, far = (extents(trace.homographies(0.1, 0.05, HEIGHT, WIDTH, f), HEIGHT, WIDTH)[0] for f in (350, 700))
    assert far == pytest.approx(2 * near, rel=0.02)
    assert default_focal_length(3024, 4032) == pytest.approx(26 / 43.27 * 5040)


def test_a_turn_out_of_view_is_refused():
    with pytest.raises(DeblurError, match="--exposure=0.9: the camera turns"):
        moved(steady(wy=3.0), start=0, exposure=0.9)


# ------------------------------------------------------------------------------------------------------ blur


def test_a_steady_turn_blurs_the_middle_like_a_line():
    sharp = photograph("chelsea.png")[:HEIGHT, :WIDTH]
    height, width = sharp.shape[:2]
    homographies = steady(wy=0.6).homographies(0.1, 0.05, height, width, FOCAL)
    blurred = blur_by_homographies(sharp, homographies)
    line = kernel_from_trajectory(paths(homographies, height, width)[:, 0] @ [1, 1j])
    assert line.shape == (13, 13)  # 350 * 0.03 = 10.5 pixels
    expected = blur(sharp, line)
    middle = (slice(height // 2 - 20, height // 2 + 20), slice(width // 2 - 20, width // 2 + 20))
    np.testing.assert_allclose(blurred[middle].astype(int), expected[middle], atol=3)
    assert np.abs(blurred[middle].astype(int) - sharp[middle]).max() > 20


def test_a_roll_leaves_the_centre_sharp_and_blurs_the_corners():
    sharp = np.random.default_rng(0).integers(0, 256, (101, 101, 3), np.uint8)
    homographies = steady(wz=3.0).homographies(0.1, 0.1, 101, 101, 100.0)
    blurred = blur_by_homographies(sharp, homographies)
    contrast = [float(blurred[region].std()) for region in (np.s_[49:52, 49:52], np.s_[:20, :20], np.s_[-20:, -20:])]
    assert contrast[0] > 2 * contrast[1] and contrast[0] > 2 * contrast[2]


def test_light_is_averaged_not_values():
    image = np.zeros((5, 40, 3), np.uint8)
    image[:, 20:] = 255
    shift = np.eye(3)
    shift[0, 2] = 4.0
    blurred = blur_by_homographies(image, np.stack([np.eye(3), shift]))
    np.testing.assert_array_equal(blurred[2, 18:26, 1], [0, 0, 186, 186, 186, 186, 255, 255])  # moved to the right
    assert GAMMA_2_2.develop(np.array([[[0.5]]], np.float32))[0, 0, 0] == 186


def test_a_camera_at_rest_changes_nothing():
    image = photograph("coffee.png")[:90, :120]
    homographies = steady().homographies(0.1, 0.05, 90, 120, 100.0)
    np.testing.assert_array_equal(blur_by_homographies(image, homographies), image)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 50), (3, 2)])
def test_any_size(height, width):
    image = np.full((height, width, 3), 77, np.uint8)
    homographies = wild().homographies(0.1, 0.05, height, width, default_focal_length(height, width))
    np.testing.assert_array_equal(blur_by_homographies(image, homographies), image)


def test_noise_comes_from_the_generator():
    image = np.full((50, 60, 3), 128, np.uint8)
    one, again, other = (blur_by_homographies(image, np.eye(3)[None], generator(n), 5.0) for n in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other) and one.std() == pytest.approx(5, rel=0.1)


def test_an_image_too_large_to_be_warped_is_refused():
    with pytest.raises(DeblurError, match="40000x1"):
        blur_by_homographies(np.zeros((1, 40000, 3), np.uint8), np.eye(3)[None])


# -------------------------------------------------------------------------------------------------- a recording


def test_start_times_avoid_gaps_and_fill_the_rest():
    times = np.concatenate([np.arange(0, 1, 0.01), np.arange(1.5, 1.6, 0.01), np.arange(2, 4, 0.01)])
    trace = Trace(times, np.zeros((len(times), 3)), start=0)
    rng = np.random.default_rng(0)
    starts = np.array([trace.draw_start(rng, 0.2) for _ in range(2000)])
    inside = ((starts >= 0) & (starts <= 0.79 + 1e-9)) | ((starts >= 2) & (starts <= 3.79 + 1e-9))
    assert inside.all()
    assert np.mean(starts < 1) == pytest.approx(0.79 / (0.79 + 1.79), abs=0.03), "uniform over both stretches"
    assert starts.min() < 0.02 and starts.max() > 3.77
    with pytest.raises(DeblurError, match="exposure=2.5.*1.99 s"):
        trace.draw_start(rng, 2.5)


def test_read_trace(tmp_path):
    path = tmp_path / "g.txt"
    path.write_text(
        "# t wx wy wz\n250285705039633 0.1 -0.2 3e-1\n\n250285709797133\t1 2 3 # end\n250285714554633 4 5 6\n"
    )
    trace = read_trace(str(path))
    np.testing.assert_allclose(trace.times, [0, 0.0047575, 0.009515])
    np.testing.assert_allclose(trace.rates, [[0.1, -0.2, 0.3], [1, 2, 3], [4, 5, 6]])
    assert trace.start == 250285705039633 and trace.interval == pytest.approx(0.0047575)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", ["0 samples"]),
        ("1 0 0 0\n", ["1 sample"]),
        ("1 0 0 0\n2 0 0\n", ["line 2", "'2 0 0'"]),
        ("1 0 0 0\n\n2 0 0 0 0\n", ["line 3"]),
        ("1 0 0 0\n2 0 a 0\n", ["line 2"]),
        ("1 0 0 0\n2 0 nan 0\n", ["line 2"]),
        ("1 0 0 0\ninf 0 0 0\n", ["line 2"]),
        ("1 0 0 0\n5000000 0 0 0\n4000000 0 0 0\n", ["line 3", "not after"]),
        ("0 0 0 0\n5 0 0 0\n10 0 0 0\n", ["nanoseconds"]),  # milliseconds
    ],
)
def test_what_is_no_trace(text, words, tmp_path):
    path = tmp_path / "g.txt"
    path.write_text(text)
    with pytest.raises(DeblurError) as caught:
        read_trace(str(path))
    for word in ("g.txt", *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)

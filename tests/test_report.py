"""Pictures of results, looked at by their pixels."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.report import _numbers, _panels, _ticks, contact_sheet, curves, curves_of_run, per_image_bars, read_scalar

GAP, LINE = 6, 18  # pixels between images, pixels of a line of text
RED, BLUE = np.uint8([200, 0, 0]), np.uint8([0, 0, 200])


def plain(colour, height, width):
    return np.full((height, width, 3), colour, np.uint8)


def ink(sheet):
    """Rows and columns of the first and last pixel that is not white: top, bottom, left, right."""
    y, x = np.nonzero((sheet < 255).any(axis=2))
    return y.min(), y.max(), x.min(), x.max()


def test_images_lie_side_by_side_and_rows_below_one_another():
    sheet = contact_sheet([("", [plain(RED, 3, 4), plain(BLUE, 4, 4)]), ("", [plain(BLUE, 2, 4)])], width=8)
    expected = np.full((2 * (LINE + GAP) + 8 + 4 + GAP, 2 * (8 + GAP) + GAP, 3), 255, np.uint8)
    top = LINE + GAP
    expected[top : top + 6, GAP : GAP + 8] = RED
    expected[top : top + 8, 2 * GAP + 8 : 2 * GAP + 16] = BLUE
    top += 8 + LINE + GAP
    expected[top : top + 4, GAP : GAP + 8] = BLUE
    np.testing.assert_array_equal(sheet, expected)


@pytest.mark.parametrize(
    "size, fitted", [((40, 60), (20, 30)), ((60, 40), (30, 20)), ((16, 12), (16, 12)), ((7, 9), (21, 27))]
)
def test_images_keep_their_aspect_and_are_enlarged_by_whole_factors(size, fitted):
    top, bottom, left, right = ink(contact_sheet([("", [plain(RED, *size)])], width=30))
    assert (bottom - top + 1, right - left + 1) == fitted


def test_enlarged_pixels_stay_square_and_reduced_ones_are_means():
    small = np.random.default_rng(0).integers(0, 250, (5, 5, 3), np.uint8)
    sheet = contact_sheet([("", [small])], width=11)
    shown = sheet[LINE + GAP : LINE + GAP + 10, GAP : GAP + 10]
    np.testing.assert_array_equal(shown[::2, ::2], small)
    np.testing.assert_array_equal(shown[1::2, 1::2], small)
    # One bright column of five: other ways of resampling would show it fully, or not at all.
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::5] = 250
    sheet = contact_sheet([("", [stripes])], width=8)
    np.testing.assert_array_equal(sheet[LINE + GAP : LINE + GAP + 8, GAP : GAP + 8], 50)


def test_captions_have_a_line_each_above_the_images():
    image = plain(RED, 10, 10)
    one, two = contact_sheet([("AB", [image])], 200), contact_sheet([("AB\nAB", [image])], 200)
    assert two.shape[0] == one.shape[0] + LINE
    np.testing.assert_array_equal(two[LINE + 4 : 2 * LINE + 4], one[4 : LINE + 4])
    assert (one[: LINE + GAP] < 255).any() and (one[LINE + GAP :, GAP:] == two[2 * LINE + GAP :, GAP:]).all()


def test_letters_that_opencv_lacks_become_question_marks():
    np.testing.assert_array_equal(contact_sheet([("Köln\udcff\t7", [])]), contact_sheet([("K?ln??7", [])]))


def test_long_captions_lose_their_middle():
    width = 100
    long = contact_sheet([(f"begin {'x' * 2000} end", [])], width)
    right = 2 * (width + GAP) + GAP
    assert long.shape[1] == right and right - 5 * GAP < ink(long)[3] < right - GAP
    # As many letters of the front as of the back, or one more.
    cuts = [f"begin {'x' * n}...{'x' * (n + more)} end" for n in range(20) for more in (1, 2)]
    assert any(np.array_equal(long, contact_sheet([(cut, [])], width)) for cut in cuts)


def test_a_sheet_of_nothing_is_white():
    assert (contact_sheet([]) == 255).all() and (contact_sheet([("", [])]) == 255).all()


def test_bars_are_as_long_as_the_numbers_say():
    rows = [{"image": "a", "psnr": 30.0, "blurred_psnr": 20.0}, {"image": "b", "psnr": 25.0, "blurred_psnr": 20.0}]
    picture = per_image_bars(rows, ["psnr"])
    blue = (picture == (31, 119, 180)).all(axis=2)
    heights = [blue[:, x : x + 150].any(axis=1).sum() for x in (0, 150)]
    # The axis starts a quarter of the range below the smallest: at 17.5, so 12.5 against 7.5 dB.
    assert heights[0] / heights[1] == pytest.approx(12.5 / 7.5, abs=0.03)


def test_a_missing_score_has_no_bar():
    rows = [{"image": "a", "x": float("nan"), "blurred_x": 2.0}, {"image": "b", "x": 3.0, "blurred_x": 1.0}]
    picture = per_image_bars(rows, ["x"])
    blue = (picture == (31, 119, 180)).all(axis=2)
    assert not blue[:, :150].any() and blue[:, 150:].any()


def test_scalars_are_read_from_all_files_of_a_run(tmp_path):
    for start in (1, 3):  # the second run was resumed at step 3
        writer = tf.summary.create_file_writer(str(tmp_path / "events"))
        with writer.as_default():
            for step in range(start, start + 3):
                tf.summary.scalar("generator/loss", 10.0 * start + step, step)
                tf.summary.scalar("other", 0.0, step)
        writer.close()
    assert read_scalar(tmp_path, "generator/loss") == [(1, 11.0), (2, 12.0), (3, 33.0), (4, 34.0), (5, 35.0)]
    with pytest.raises(DeblurError, match="no scalar 'loss' in its events, but generator/loss, other"):
        read_scalar(tmp_path, "loss")


def test_events_files_are_read_in_the_order_of_their_numbers():
    """Two of one second differ in a count, of which 9 comes before 10."""
    names = [
        f"/runs/a-10/events/events.out.tfevents.{second}.host.77.{count}.v2" for second, count in ((5, 9), (5, 10))
    ]
    names.append("/runs/a-10/events/events.out.tfevents.31.host.6.0.v2")
    assert sorted(reversed(names), key=_numbers) == names


def test_curves_run_from_corner_to_corner_in_their_labels_colour():
    picture = curves({"up": [[(0, 0.0), (10, 1.0)]], "down": [[(0, 1.0), (10, 0.0)], [(0, 0.5), (10, 0.5)]]}, "loss")
    plot = picture[50:371, 70:831].astype(int)  # from (0, 1) at the top left to (10, 0) at the bottom right
    blue = np.argwhere(plot[..., 2] - plot[..., 0] > 60)
    red = np.argwhere(plot[..., 0] - plot[..., 2] > 60)
    for points, slope in ((blue, -1), (red, 1)):
        assert points[:, 1].min() <= 1 and points[:, 1].max() >= 758
        left = points[points[:, 1] < 40][:, 0]
        assert (left.min() > 280) if slope < 0 else (left.min() < 30)
    assert ((red[:, 0] > 155) & (red[:, 0] < 165)).sum() > 600, "the second run, level at half the height"


def coloured(picture, label):
    """Rows and columns of the pixels in the full colour of the label of this number."""
    colours = {"blue": (31, 119, 180), "red": (214, 39, 40)}
    return np.argwhere((picture[50:371, 70:831] == colours[label]).all(axis=2))


def test_values_of_several_magnitudes_get_a_logarithmic_axis():
    """A tenth of the way up in decibels is a tenth of the way up in the picture."""
    factors = 10.0 ** np.arange(0, 5)
    run = [(step, 1e-4 * factor) for step, factor in enumerate(factors)]
    points = coloured(curves({"x": [run]}, "losses"), "blue")
    for step in range(5):  # a straight line from the bottom left to the top right
        near = points[abs(points[:, 1] - 190 * step) < 3]
        assert abs(near[:, 0] - (320 - 80 * step)).min() <= 1
    # A value of 0 or below has no logarithm, and one magnitude needs none.
    for values in ([0.0, 1.0, 10_000.0], [1.0, 1.5, 2.0], [-1.0, 2.0, 5.0]):
        points = coloured(curves({"x": [list(enumerate(values))]}, "losses"), "blue")
        height = 320 * (1 - (values[1] - values[0]) / (values[2] - values[0]))
        assert abs(points[abs(points[:, 1] - 380) < 3][:, 0] - height).min() <= 1


def test_what_is_not_finite_is_left_out_of_the_curves():
    bad, good = [(0, 0.0), (1, np.nan), (2, np.inf), (10, 1.0)], [(0, 0.0), (10, 1.0)]
    np.testing.assert_array_equal(curves({"x": [bad]}, "loss"), curves({"x": [good]}, "loss"))
    assert (curves({"x": [[(1, np.nan)]]}, "loss") < 255).any(), "at least its title"


def test_curves_are_running_means_over_a_twentieth_if_asked_for():
    run = [(step, float(step >= 20)) for step in range(40)]
    means = [(step, 0.5 if step == 20 else value) for step, value in run]  # of two points each
    smooth, raw = (curves({"x": [run]}, "loss", smooth) for smooth in (True, False))
    np.testing.assert_array_equal(smooth, curves({"x": [means]}, "loss", smooth=False))
    assert np.any(smooth != raw)


@pytest.mark.parametrize(
    "low, high, logarithmic, expected",
    [
        (0.0, 1.0, False, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (3.0, 47.0, False, [10, 20, 30, 40]),
        (28.84, 29.01, False, [28.85, 28.9, 28.95, 29.0]),
        (5.0, 5.0, False, [5.0]),
        (0.003, 0.6, True, [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]),
        (2e-5, 3e3, True, [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000]),
    ],
)
def test_ticks_are_round_numbers_within(low, high, logarithmic, expected):
    assert _ticks(low, high, logarithmic) == pytest.approx(expected)


SCALARS = (
    *("generator/content", "generator/adversarial", "generator/loss", "generator/gradient_norm"),
    *("discriminator/realness", "discriminator/loss", "discriminator/gradient_norm"),
    *("generator/learning_rate", "discriminator/learning_rate", "held_out/psnr", "held_out/blurred_psnr"),
    *("skipped_updates", "input/share_of_time_waited"),
)


def test_every_curve_of_a_run_is_in_one_panel():
    panels = _panels({tag: [(1, 0.0), (2, 0.0)] for tag in SCALARS})
    assert [(title, sorted(series)) for title, series, _ in panels] == [
        ("generator: losses", ["adversarial", "content", "loss"]),
        ("discriminator: losses", ["realness"]),  # its only term is the loss
        ("gradient norms", ["discriminator", "generator"]),
        ("learning rates", ["discriminator", "generator"]),
        ("held-out PSNR in dB", ["blurred", "restored"]),
        ("input/share_of_time_waited", [""]),
    ]
    (panel,) = _panels({"skipped_updates": [(1, 0.0), (2, 3.0)]})  # where there are any
    assert panel == ("skipped_updates", {"": [[(1, 0.0), (2, 3.0)]]}, False)


def test_the_picture_of_a_run_holds_its_panels_in_two_columns(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path / "events"))
    with writer.as_default():
        for step in range(1, 4):
            tf.summary.scalar("generator/loss", 1.0 / step, step)
            tf.summary.scalar("generator/gradient_norm", 5.0, step)
            tf.summary.scalar("held_out/psnr", 20.0 + step, step)
    writer.close()
    picture = curves_of_run(tmp_path)
    assert picture.shape == (30 + 2 * (50 + 320 + 40), 2 * 850, 3) and picture.dtype == np.uint8
    loss = curves({"loss": [[(1, 1.0), (2, 0.5), (3, 1 / 3)]]}, "generator: losses")
    np.testing.assert_array_equal(picture[30:440, :850], loss)
    psnr = curves({"restored": [[(1, 21.0), (2, 22.0), (3, 23.0)]]}, "held-out PSNR in dB", smooth=False)
    np.testing.assert_array_equal(picture[440:, :850], psnr)
    assert (picture[440:, 850:] == 255).all()
    with pytest.raises(DeblurError, match="no such work directory"):
        curves_of_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DeblurError, match="no scalars in its events yet"):
        curves_of_run(tmp_path / "empty")

"""Consecutive frames: windows, averages by hand, folders and videos, and what is wrong with them."""

import itertools
import os

import numpy as np
import pytest

from tfdeblur.data.frames import EndOfFrames, FrameFolder, Video, average, load_interpolation, motion, windows
from tfdeblur.data.images import write_image
from tfdeblur.data.photographs import photograph
from tfdeblur.data.response import GAMMA_2_2, LINEAR
from tfdeblur.errors import DeblurError


def grey(*levels, height=2, width=3):
    return [np.full((height, width, 3), level, np.uint8) for level in levels]


def refusal(function, *arguments):
    with pytest.raises(DeblurError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --------------------------------------------------------------------------------------------------- windows


def test_windows_follow_one_another_without_overlap():
    some = list(itertools.islice(windows(7, 13, seed=0), 300))
    assert some[0][0] == 0
    assert all(start + length == after for (start, length), (after, _) in itertools.pairwise(some))
    lengths = [length for _, length in some]
    assert set(lengths) == set(range(7, 14)), "both ends are drawn"
    assert np.mean(lengths) == pytest.approx(10, abs=0.4)


def test_windows_are_a_function_of_the_seed():
    def lengths(seed, count=50):
        return [length for _, length in itertools.islice(windows(7, 13, seed), count)]

    assert lengths(0) == lengths(0) == lengths(0, 80)[:50]
    assert lengths(0) != lengths(1)
    assert [start for start, _ in itertools.islice(windows(8, 8, 5), 4)] == [0, 8, 16, 24]


# -------------------------------------------------------------------------------------------------- averages


@pytest.mark.parametrize("levels, middle", [((1, 2, 3), 2), ((1, 2, 3, 4), 3), ((5, 9), 9), (range(1, 8), 4)])
def test_the_truth_is_the_middle_frame_or_the_later_of_two(levels, middle):
    _, sharp = average(grey(*levels), LINEAR)
    assert sharp[0, 0, 0] == middle


def test_averages_by_hand():
    frames = grey(0, 255, 0, 255)
    assert average(frames, LINEAR)[0][0, 0, 0] == 128  # 127.5 to the even neighbour
    assert average(frames, LINEAR, "truncate")[0][0, 0, 0] == 127
    assert average(frames, GAMMA_2_2)[0][0, 0, 0] == 186  # 255 * 0.5 ** (1 / 2.2)


def test_average_against_a_slow_one_and_truncation_stays_one_level_at_most_below():
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 256, (9, 20, 30, 3), np.uint8))
    exact = 255 * np.mean([(frame / 255) ** 2.2 for frame in frames], axis=0) ** (1 / 2.2)
    rounded, _ = average(frames, GAMMA_2_2)
    truncated, _ = average(frames, GAMMA_2_2, "truncate")
    np.testing.assert_array_equal(rounded, np.rint(exact))
    np.testing.assert_array_equal(truncated, np.floor(exact))


@pytest.mark.parametrize("rounding", ["round", "truncate"])
def test_where_nothing_moves_nothing_changes(rounding):
    frame = photograph("chelsea.png")[:100, :100]
    blurred, sharp = average([frame] * 11, GAMMA_2_2, rounding)
    np.testing.assert_array_equal(blurred, frame)
    np.testing.assert_array_equal(sharp, frame)


def test_frames_between_count_as_the_others():
    asked = []

    def between(first, second):
        asked.append((first[0, 0, 0], second[0, 0, 0]))
        return grey(100, 100)

    blurred, sharp = average(grey(0, 10, 20), LINEAR, between=between)
    assert asked == [(0, 10), (10, 20)], "between neighbours, in their order"
    assert blurred[0, 0, 0] == round((0 + 10 + 20 + 4 * 100) / 7) and sharp[0, 0, 0] == 10


def test_interpolation_by_name(tmp_path, monkeypatch):
    (tmp_path / "own_interpolation.py").write_text(
        "import numpy as np\n"
        "def hold(first, second, count): return [first] * count\n"
        "def short(first, second, count): return [first] * (count - 1)\n"
        "def deep(first, second, count): return [first.astype(float)] * count\n"
        "def small(first, second, count): return [first[1:]] * count\n"
    )
    monkeypatch.chdir(tmp_path)
    between = load_interpolation("own_interpolation:hold", 3)
    assert [frame[0, 0, 0] for frame in between(*grey(5, 9))] == [5, 5, 5]
    for name in ("short", "deep", "small"):
        message = refusal(load_interpolation(f"own_interpolation:{name}", 3), *grey(5, 9))
        assert f"own_interpolation:{name}" in message and "3 frames" in message
    for name in ("own_interpolation:none", "nowhere:hold", "own_interpolation", ""):
        assert "package.module:function" in refusal(load_interpolation, name, 3)


@pytest.mark.parametrize("shift", [0, 2, 6, 14])
def test_motion_in_pixels(shift):
    image = photograph("coffee.png")
    first, second = image[:300, :400], image[:300, shift : 400 + shift]
    assert motion(first, second) == pytest.approx(shift, abs=0.6)


@pytest.mark.parametrize("size", [1, 16, 31, 32, 33])
def test_motion_of_small_images(size):
    assert motion(*grey(3, 9, height=size, width=size)) >= 0


# --------------------------------------------------------------------------------------------------- folders


def write_frames(folder, names, size=(4, 6)):
    """Frame i is grey level i."""
    folder.mkdir(exist_ok=True)
    for level, name in enumerate(names):
        write_image(folder / name, np.full((*size, 3), level, np.uint8))
    return folder


def levels(frames):
    return [int(frame[0, 0, 0]) for frame in frames]


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    folder = FrameFolder(write_frames(tmp_path / "f", [f"frame{n}.png" for n in range(1, 12)]))
    assert len(folder) == 11 and folder.label(9) == "frame10.png" and folder.size == (4, 6) and folder.fps is None
    assert levels(folder.window(0, 11)) == list(range(11))
    assert levels(folder.window(8, 3)) == [8, 9, 10]
    with pytest.raises(EndOfFrames):
        folder.window(9, 3)
    assert folder.ending() is None


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "b.png", "c.png", "d.png"],  # no numbers
        ["v2_a.png", "v2_b.png", "v2_c.png", "v2_d.png"],  # a number that does not count
        ["f0010.png", "f0020.png", "f0030.png", "f0040.png"],  # in steps of 10
        ["1700000000.png", "1700000041.png", "1700000083.png", "1700000124.png"],  # times
    ],
)
def test_all_ways_of_counting(names, tmp_path):
    assert levels(FrameFolder(write_frames(tmp_path / "f", names)).window(0, 4)) == [0, 1, 2, 3]


def test_missing_frames_spoil_their_window_alone(tmp_path):
    folder = FrameFolder(write_frames(tmp_path / "f", [f"{n:03d}.png" for n in range(20) if n != 7]))
    message = refusal(folder.window, 5, 5)
    assert "006.png" in message and "008.png" in message and "missing" in message
    assert levels(folder.window(0, 7)) == list(range(7))
    assert levels(folder.window(7, 5)) == [7, 8, 9, 10, 11]


def test_bad_frames_are_named_all_of_them(tmp_path):
    write_frames(tmp_path / "f", [f"{n}.png" for n in range(10, 20)])
    whole = (tmp_path / "f" / "12.png").read_bytes()
    (tmp_path / "f" / "12.png").write_bytes(whole[:-20])
    (tmp_path / "f" / "13.png").write_bytes(b"")
    write_image(tmp_path / "f" / "14.png", np.zeros((4, 5, 3), np.uint8))
    folder = FrameFolder(tmp_path / "f")
    assert folder.size == (4, 6) and set(folder.headers) == {f"{n}.png" for n in range(10, 20) if n not in (12, 13)}
    message = refusal(folder.window, 1, 5)
    assert "12.png: the file is cut off" in message and "13.png: the file is empty" in message
    assert "14.png: is 5x4, the others are 6x4" in message and "11.png" not in message
    assert levels(folder.window(5, 5)) == [5, 6, 7, 8, 9]


def test_folders_that_are_not_consecutive_frames(tmp_path):
    write_frames(tmp_path / "f", ["1.png", "2.png"])
    write_frames(tmp_path / "f" / "sub", ["3.png"])
    assert "sub-folders" in refusal(FrameFolder, tmp_path / "f")
    write_frames(tmp_path / "g", ["1.png", "1.jpg"])
    assert "1.jpg beside 1.png" in refusal(FrameFolder, tmp_path / "g")
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "1.png").write_bytes(b"")
    assert "none of the 1" in refusal(FrameFolder, tmp_path / "h")


# ---------------------------------------------------------------------------------------------------- videos


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """30 frames of Motion JPEG, 64x48 at 120 a second: frame i is of grey level 8 i, its left half red at 200."""
    import cv2

    path = str(tmp_path_factory.mktemp("video") / "v.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 120, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for number in range(30):
        frame = np.full((48, 64, 3), 8 * number, np.uint8)
        frame[:, :32, 2] = 200  # OpenCV takes BGR
        writer.write(frame)
    writer.release()
    return path


def numbers(frames):
    return [round(float(frame[:, 40:].mean()) / 8) for frame in frames]


def test_video_frames_in_order_and_rgb(video):
    source = Video(video)
    assert len(source) == 30 and source.fps == 120 and source.size == (48, 64)
    assert source.description == {"source": video, "bytes": os.path.getsize(video)}
    first = source.window(0, 7)
    assert numbers(first) == list(range(7))
    assert first[0][24, 10, 0] > 150 > 80 > first[0][24, 10, 2], "red is first"
    assert numbers(source.window(12, 3)) == [12, 13, 14], "what lies between is skipped"
    assert numbers(source.window(15, 15)) == list(range(15, 30))
    with pytest.raises(EndOfFrames):
        source.window(30, 2)
    assert source.ending() is None


def test_a_window_that_reaches_beyond_the_end(video):
    with pytest.raises(EndOfFrames):
        Video(video).window(25, 6)


def test_a_video_that_was_cut_off_says_so(video, tmp_path):
    with open(video, "rb") as file:
        data = file.read()
    path = str(tmp_path / "cut.avi")
    with open(path, "wb") as file:
        file.write(data[: len(data) // 2])
    source = Video(path)
    count = 0
    with pytest.raises(EndOfFrames):
        while True:
            count += len(source.window(count, 1))
    assert 3 < count < 27 and numbers(Video(path).window(0, 3)) == [0, 1, 2]
    message = source.ending()
    assert "cut.avi" in message and f"{count} of the 30 frames" in message and "\n" not in message


def test_dropped_frames_are_noticed_by_their_times(video):
    source = Video(video)

    class Dropping:
        """A reader whose clock jumps after the tenth frame."""

        def __init__(self, reader):
            self.reader, self.grabbed = reader, 0

        def grab(self):
            self.grabbed += 1
            return self.reader.grab()

        def get(self, key):
            return 1000 / 120 * (self.grabbed + (3 if self.grabbed > 10 else 0))

        def retrieve(self):
            return self.reader.retrieve()

    source._video = Dropping(source._video)
    assert numbers(source.window(0, 8)) == list(range(8))
    message = refusal(source.window, 8, 7)
    assert "83.3 and 116.7 ms" in message and "missing" in message
    assert numbers(source.window(15, 7)) == list(range(15, 22))


def test_what_is_no_video(tmp_path):
    for name, data in (("empty.mp4", b""), ("text.avi", b"hello" * 50)):
        (tmp_path / name).write_bytes(data)
        assert name in refusal(Video, str(tmp_path / name))
    write_frames(tmp_path, ["a.png"])
    assert "one picture" in refusal(Video, str(tmp_path / "a.png"))
    assert "no such file" in refusal(Video, str(tmp_path / "none.mp4"))

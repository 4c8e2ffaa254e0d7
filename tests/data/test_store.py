"""The store of decoded images: same bytes, made once, never half."""

import errno
import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfdeblur.data import store as store_module
from tfdeblur.data.store import open_store
from tfdeblur.errors import DeblurError

SIZES = [(4, 5), (3, 2), (1, 1), (6, 4)]


class Source:
    """Pairs of small random images; counts how often each is decoded."""

    def __init__(self, sizes=SIZES, seed=0, per_index=2, fails_at=None, **description):
        self.sizes, self.fails_at = sizes, fails_at
        self.names = tuple(f"image{n}" for n in range(len(sizes)))
        self.description = {"source": "test", "shake": {"length": (1.0, 2.0)}, **description}
        rng = np.random.default_rng(seed)
        self.images = [tuple(rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(per_index)) for size in sizes]
        self.decoded = []

    def __len__(self):
        return len(self.names)

    def stamp(self, index):
        return [self.images[index][0].shape[:2], self.description]

    def image_count(self, index):
        return len(self.images[index])

    def stored(self, index):
        if index == self.fails_at:
            raise RuntimeError("killed in the middle")
        self.decoded.append(index)
        return self.images[index]


def opened(source, folder, **arguments):
    return open_store(source, source.sizes, str(folder), **{"log": lambda line: None, **arguments})


def assert_holds(store, source):
    assert len(store) == len(source)
    for index, images in enumerate(source.images):
        found = store.images(index)
        assert len(found) == len(images)
        for image, wanted in zip(found, images, strict=True):
            assert image.dtype == np.uint8
            np.testing.assert_array_equal(image, wanted)
        assert store.size(index) == wanted.shape[:2]


def error_of(function, *arguments, **options):
    with pytest.raises(DeblurError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("per_index", [1, 2])
def test_every_byte_comes_back(tmp_path, per_index):
    source = Source(per_index=per_index)
    store = opened(source, tmp_path / "new" / "folder")
    assert_holds(store, source)
    assert_holds(store, source)
    expected = b"".join(image.tobytes() for images in source.images for image in images)
    assert (tmp_path / "new" / "folder" / "pixels.u8").read_bytes() == expected


def test_views_and_numpy_indices(tmp_path):
    source = Source()
    source.images[0] = tuple(np.asfortranarray(image)[:, ::-1] for image in source.images[0])
    store = opened(source, tmp_path)
    assert_holds(store, source)
    np.testing.assert_array_equal(store.images(np.int64(3))[1], source.images[3][1])


def test_stored_images_cannot_be_written(tmp_path):
    (image, _) = opened(Source(), tmp_path).images(0)
    with pytest.raises(ValueError):
        image[0, 0, 0] = 1


def test_the_second_time_nothing_is_decoded(tmp_path):
    first = Source()
    opened(first, tmp_path)
    assert set(first.decoded) == {0, 1, 2, 3} and first.decoded.count(3) == 1
    lines, second = [], Source()
    store = opened(second, tmp_path, log=lines.append)
    assert second.decoded == [] and lines == []
    assert_holds(store, first)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Source(blur_kind="blur_gamma", seed=1),
        lambda: Source(shake={"length": (1.0, 3.0)}, seed=1),
        lambda: Source(sizes=[(4, 4), (3, 3), (2, 1), (4, 6)], seed=1),
    ],
    ids=["blur_kind", "shake", "sizes"],
)
def test_another_source_is_decoded_instead(tmp_path, make):
    opened(Source(), tmp_path)
    source = make()
    assert_holds(opened(source, tmp_path), source)
    assert set(source.decoded) == set(range(len(source)))
    assert (tmp_path / "pixels.u8").stat().st_size == sum(image.nbytes for pair in source.images for image in pair)
    again = make()
    assert_holds(opened(again, tmp_path), source)
    assert again.decoded == []


def test_a_changed_or_further_image_alone_is_decoded(tmp_path):
    opened(Source(sizes=SIZES[:3]), tmp_path)
    source = Source()
    assert_holds(opened(source, tmp_path), source)
    assert source.decoded == [3]
    lines, changed = [], Source(sizes=[SIZES[0], (5, 5), *SIZES[2:]])
    changed.images[2:] = source.images[2:]
    assert_holds(opened(changed, tmp_path, log=lines.append), changed)
    assert changed.decoded == [1] and "3 of 4 are there already" in lines[0]


def test_order_and_number_of_names_are_the_sources(tmp_path):
    source = Source()
    opened(source, tmp_path)
    for attribute in ("names", "images", "sizes"):
        setattr(source, attribute, getattr(source, attribute)[2:0:-1])
    assert_holds(opened(source, tmp_path), source)
    assert source.decoded.count(2) == 1  # the first time


def test_what_was_decoded_before_an_interruption_is_kept(tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        opened(Source(fails_at=2), tmp_path)
    source = Source()
    assert_holds(opened(source, tmp_path), source)
    assert sorted(source.decoded) == [2, 3]


@pytest.mark.parametrize("told", [0, 1, 2, 3])
@pytest.mark.parametrize("garbage", [0, 1, 1000])
def test_a_writer_that_was_killed_leaves_what_its_index_tells(tmp_path, told, garbage):
    """A kill leaves some lines, perhaps half a line, and pixels that no line tells of."""
    opened(Source(), tmp_path)
    lines = (tmp_path / "index.jsonl").read_text().strip().splitlines()
    (tmp_path / "index.jsonl").write_text("\n".join(lines[:told]) + "\n" + lines[told][:-9])
    with open(tmp_path / "pixels.u8", "ab") as pixels:
        pixels.write(b"x" * garbage)
    source = Source()
    assert_holds(opened(source, tmp_path), source)
    assert sorted(source.decoded) == list(range(told, 4))
    again = Source()
    assert_holds(opened(again, tmp_path), source)
    assert again.decoded == []


def test_lines_of_lost_pixels_do_not_come_back_to_life(tmp_path):
    """A copy of the pixels that was cut off, then an interrupted run: the places of old lines hold other images now."""
    sizes = [(2, 2), (2, 2), (2, 2), (9, 9), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2)]
    opened(Source(sizes), tmp_path)
    pixels = tmp_path / "pixels.u8"
    pixels.write_bytes(pixels.read_bytes()[: 3 * 2 * 12 + 100])
    with pytest.raises(RuntimeError, match="killed"):
        opened(Source(sizes, fails_at=4), tmp_path)
    source = Source(sizes)
    assert_holds(opened(source, tmp_path), source)
    assert sorted(source.decoded) == [4, 5, 6, 7, 8]


def test_a_store_that_is_being_replaced_is_not_valid_meanwhile(tmp_path):
    opened(Source(), tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        opened(Source(seed=1, blur_kind="blur_gamma", fails_at=3), tmp_path)
    source = Source()  # the first one again: its index must not be there, for the pixels are the other's
    assert_holds(opened(source, tmp_path), source)


def test_unreadable_images_do_not_cost_the_others(tmp_path):
    class Unreadable(Source):
        def stored(self, index):
            if index in (0, 2):
                raise DeblurError(f"image{index}.png: the file is cut off")
            return super().stored(index)

    message = error_of(opened, Unreadable(), tmp_path)
    assert message.startswith("image0.png: the file is cut off, image2.png: the file is cut off; ")
    assert "2 of 4 are decoded and kept" in message
    source = Source()
    assert_holds(opened(source, tmp_path), source)
    assert sorted(source.decoded) == [0, 2]


def test_a_second_process_waits_for_the_first(tmp_path):
    """The lock is the system's: while another process holds it nothing is written, afterwards all goes on."""
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True)"
    command = [sys.executable, "-c", hold + "; sys.stdin.read()", str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        lines = []

        def log(line):
            lines.append(line)
            if "waiting" in line:
                assert not (tmp_path / "pixels.u8").exists()
                other.stdin.close()

        source = Source()
        assert_holds(opened(source, tmp_path, log=log), source)
    assert "waiting" in lines[0] and str(tmp_path) in lines[0] and len(lines) == 2


@pytest.mark.parametrize("room, fits", [(0.5, False), (0.99, False), (1.05, True)])
def test_a_disk_that_is_too_small_is_one_line_before_anything_is_decoded(tmp_path, monkeypatch, room, fits):
    source = Source()
    free = int(room * 2 * sum(h * w * 3 for h, w in SIZES))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=free))
    if fits:
        assert_holds(opened(source, tmp_path), source)
        return
    message = error_of(opened, source, tmp_path)
    assert str(tmp_path) in message and "--cache_dir" in message
    assert len(source.decoded) <= 1, "one may be looked at, to see how many images an index has"
    assert not (tmp_path / "index.jsonl").exists() and not (tmp_path / "pixels.u8").exists()


def test_the_room_of_a_store_that_is_replaced_counts_as_free(tmp_path, monkeypatch):
    opened(Source(), tmp_path)
    usage = shutil.disk_usage(tmp_path)

    def disk_usage(folder):
        taken = os.path.getsize(tmp_path / "pixels.u8") if (tmp_path / "pixels.u8").exists() else 0
        return usage._replace(free=300 - taken)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    source = Source(seed=1, blur_kind="blur_gamma")  # 306 bytes
    assert "free" in error_of(opened, source, tmp_path)
    source = Source(sizes=SIZES[:2], seed=1)  # 156 bytes
    assert_holds(opened(source, tmp_path), source)


@pytest.mark.parametrize("fits", [0, 1, 2, 3])
def test_a_disk_that_fills_up_meanwhile_is_one_line_and_keeps_what_fitted(tmp_path, monkeypatch, fits):
    """Whole images fit up to some point, and half of the next one."""
    source = Source()
    ends = np.cumsum([0] + [sum(image.nbytes for image in pair) for pair in source.images])
    limit = int(ends[fits]) + 5

    class FullDisk(io.FileIO):
        def write(self, data):
            room = limit - self.tell()
            if room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(memoryview(data).cast("B")[:room])

    def fake_open(path, mode="r", **arguments):
        return (
            io.BufferedWriter(FullDisk(path, mode.replace("b", ""))) if mode == "ab" else open(path, mode, **arguments)
        )

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "open", fake_open, raising=False)
        message = error_of(opened, source, tmp_path)
    assert str(tmp_path) in message and "No space left" in message
    again = Source()
    assert_holds(opened(again, tmp_path), again)
    assert sorted(again.decoded) == list(range(fits, 4))


def test_progress_and_log_are_called(tmp_path):
    seen, lines = [], []

    def progress(iterable):
        for item in iterable:
            seen.append(item)
            yield item

    opened(Source(), tmp_path, progress=progress, log=lines.append)
    assert seen == [0, 1, 2, 3] and len(lines) == 1 and str(tmp_path) in lines[0] and "free" in lines[0]


@pytest.mark.parametrize("damage", ["truncated pixels", "no pixels", "broken index", "foreign index"])
def test_a_damaged_store_is_made_again(tmp_path, damage):
    source = Source()
    opened(source, tmp_path)
    pixels, index = tmp_path / "pixels.u8", tmp_path / "index.jsonl"
    if damage == "truncated pixels":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "no pixels":
        pixels.unlink()
    else:
        index.write_text("[]" if damage == "foreign index" else index.read_text()[:-5])
    assert_holds(opened(source, tmp_path), source)


def test_a_cache_folder_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in error_of(opened, Source(), tmp_path / "file" / "sub")


def test_a_replaced_file_is_decoded_again(tmp_path):
    from tfdeblur.data.images import write_image
    from tfdeblur.data.sources import folder_pairs

    def paint(side, value):
        (tmp_path / side).mkdir(exist_ok=True)
        write_image(str(tmp_path / side / "a.png"), np.full((4, 4, 3), value, np.uint8))

    paint("blur", 10), paint("sharp", 20)
    source = folder_pairs(tmp_path / "blur", tmp_path / "sharp")
    assert open_store(source, [(4, 4)], str(tmp_path / "c"), log=len).images(0)[0][0, 0, 0] == 10
    paint("blur", 99)
    assert open_store(source, [(4, 4)], str(tmp_path / "c"), log=len).images(0)[0][0, 0, 0] == 99

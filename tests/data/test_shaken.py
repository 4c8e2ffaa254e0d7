"""Sharp photographs with synthesised partners: the embedded sample and folders."""

import functools
import json
import pathlib

import numpy as np
import pytest

from tfdeblur.data import photographs, shaken
from tfdeblur.data.images import write_image
from tfdeblur.data.shake import Shake, blur, generator, random_kernel
from tfdeblur.errors import DeblurError

SHAKE = Shake(length=(6.0, 12.0))
SIZES = [(40, 48), (60, 50), (50, 64)]
IMAGES = [np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8) for seed, size in enumerate(SIZES)]


def source(**arguments):
    return shaken.ShakenSource(
        ("a", "b", "seq/c"),
        lambda index: IMAGES[index],
        lambda: SIZES,
        {"source": "test"},
        **{"shake": SHAKE, **arguments},
    )


def error_of(function, *arguments, **options):
    with pytest.raises(DeblurError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ----------------------------------------------------------------------------------------------------- pairs


def test_a_pair_is_the_blurred_photograph_and_then_the_photograph():
    pairs = [source().pair(index) for index in range(3)]
    for (blurred, sharp), image in zip(pairs, IMAGES, strict=True):
        np.testing.assert_array_equal(sharp, image)
        assert blurred.dtype == np.uint8 and blurred.shape == image.shape
        # White noise blurred over 6 pixels and more keeps less than half of its contrast.
        assert blurred.std() < 0.6 * sharp.std()


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_a_pair_does_not_depend_on_what_was_read_before(noise):
    shake = Shake(SHAKE.length, noise=noise)
    forwards = [source(shake=shake).pair(index)[0] for index in range(3)]
    other = source(shake=shake)
    backwards = [other.pair(index)[0] for index in (2, 0, 2, 1, 0)]
    for index, blurred in zip((2, 0, 2, 1, 0), backwards, strict=True):
        np.testing.assert_array_equal(blurred, forwards[index])


def test_other_seeds_and_other_images_have_other_kernels(monkeypatch):
    kernels = recorded_kernels(monkeypatch)
    for seed in (0, 1):
        for index in range(3):
            source(seed=seed).pair(index)
    assert len({kernel.tobytes() for kernel in kernels}) == 6


def test_repeats_have_names_and_kernels_of_their_own():
    repeated = source(repeats=2)
    assert repeated.names == ("a/shake_1", "a/shake_2", "b/shake_1", "b/shake_2", "seq/c/shake_1", "seq/c/shake_2")
    assert len(repeated) == 6 and repeated.description["pairs"] == 6
    for index in range(6):
        np.testing.assert_array_equal(repeated.sharp(index), IMAGES[index // 2])
        np.testing.assert_array_equal(repeated.pair(index)[1], IMAGES[index // 2])
    assert not np.array_equal(repeated.pair(0)[0], repeated.pair(1)[0])
    assert repeated.check() == [size for size in SIZES for _ in range(2)]
    assert source().names == ("a", "b", "seq/c")


def test_description_is_json_and_tells_one_family_from_another():
    description = json.loads(json.dumps(source(seed=3).description))
    assert description["source"] == "test" and description["blur_kind"] == "synthesized"
    assert description["seed"] == 3 and description["pairs"] == 3
    assert description["shake"] == {"length": [6.0, 12.0], "angle": [0.0, 360.0], "anxiety": 0.005, "noise": 0.0}
    assert description != json.loads(json.dumps(source(seed=3, shake=Shake()).description))


def test_images_smaller_than_the_crop_are_refused_by_name():
    assert source().check(crop=40) == SIZES
    message = error_of(source().check, crop=50)
    assert "a (48x40)" in message and "50" in message and "b (" not in message and "seq/c" not in message
    message = error_of(source(repeats=3).check, crop=51)
    assert message.count("48x40") == 1 and "(50x60)" in message


# ----------------------------------------------------------------------------------------------------- crops


@pytest.mark.parametrize(
    "top, left, size", [(14, 15, 20), (0, 0, 16), (34, 24, 26), (0, 20, 30), (0, 0, 50), (7, 0, 33)]
)
def test_a_crop_is_cut_out_of_the_blurred_photograph(top, left, size):
    image = IMAGES[1]
    for seed in range(5):
        full = blur(image, random_kernel(generator(seed), SHAKE))
        blurred, sharp = source().crop((image,), top, left, size, functools.partial(generator, seed))
        np.testing.assert_array_equal(sharp, image[top : top + size, left : left + size])
        assert blurred.shape == sharp.shape == (size, size, 3) and blurred.dtype == sharp.dtype == np.uint8
        # Not a blurred crop: its borders have seen what lies around. Large kernels go through a DFT of another
        # size, whose rounding is worth a grey level now and then.
        different = np.abs(blurred.astype(int) - full[top : top + size, left : left + size])
        assert different.max() <= 1 and np.mean(different > 0) < 0.01


def test_every_crop_is_blurred_afresh_by_the_generator_it_gets():
    stored = source().stored(1)
    assert len(stored) == 1 and stored[0] is IMAGES[1]
    first, again, other = (source().crop(stored, 5, 5, 24, functools.partial(generator, key))[0] for key in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def recorded_kernels(monkeypatch):
    """A list that collects the kernels which a source draws from now on."""
    kernels = []

    def recorder(rng, shake):
        kernels.append(random_kernel(rng, shake))
        return kernels[-1]

    monkeypatch.setattr(shaken, "random_kernel", recorder)
    return kernels


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_never_draws_the_kernels_of_the_fixed_pairs(monkeypatch, seed):
    kernels = recorded_kernels(monkeypatch)
    for index in range(3):
        source(seed=seed).pair(index)
    fixed = {kernel.tobytes() for kernel in kernels}
    kernels.clear()
    for step in range(4):
        for sample in range(3):
            # The generator that the pipeline hands to `crop`: a function of (seed, step, sample).
            source(seed=seed).crop((IMAGES[0],), 0, 0, 8, functools.partial(generator, seed, step, sample))
    drawn = [kernel.tobytes() for kernel in kernels]
    assert not fixed & set(drawn), "training sees the very blur that it is measured on"


# ------------------------------------------------------------------------------------ the embedded photographs


def test_the_embedded_splits_do_not_overlap_and_leave_out_what_has_no_clear_terms():
    train, test = set(photographs.TRAIN), set(photographs.TEST)
    assert train and test and not train & test
    for name in train | test:
        assert not name.startswith(("clock_motion", "motorcycle", "lfw")), name
    stems = [pathlib.PurePath(name).stem for name in photographs.TRAIN]
    assert shaken.embedded("train", SHAKE).names == tuple(stems)
    assert shaken.embedded("test", SHAKE).names == tuple(pathlib.PurePath(name).stem for name in photographs.TEST)


@pytest.mark.parametrize("name", [*photographs.TRAIN, *photographs.TEST, *photographs.REAL_BLUR])
def test_every_embedded_photograph_is_uint8_rgb(name):
    from PIL import Image

    image = photographs.photograph(name)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.std() > 5
    terms = {**photographs.TRAIN, **photographs.TEST, **photographs.REAL_BLUR}[name]
    assert terms.startswith(("CC0", "public domain"))
    channels = [image[..., channel] for channel in range(3)]
    grey = np.array_equal(channels[0], channels[1]) and np.array_equal(channels[0], channels[2])
    assert grey == ("grey" in terms)
    if name.endswith(".png"):
        import skimage

        path = pathlib.Path(skimage.__file__).parent / "data" / name
        np.testing.assert_array_equal(image, np.asarray(Image.open(path).convert("RGB")), "RGB, not BGR")


def test_embedded_source():
    embedded = shaken.embedded("test", SHAKE, seed=5, repeats=3)
    assert len(embedded) == 6 and embedded.names[0] == "chelsea/shake_1"
    assert embedded.check(crop=256) == [(300, 451)] * 3 + [(400, 600)] * 3
    assert embedded.description["source"] == "embedded" and embedded.description["split"] == "test"
    blurred, sharp = embedded.pair(1)
    np.testing.assert_array_equal(sharp, photographs.photograph("chelsea.png"))
    assert sharp[..., 0].mean() > sharp[..., 2].mean() + 20, "a ginger cat is red, not blue"
    assert 0 < np.abs(blurred.astype(int) - sharp).mean() < 20


def test_every_embedded_photograph_is_large_enough_for_the_papers_crop():
    shaken.embedded("train", SHAKE).check(crop=256)
    shaken.embedded("test", SHAKE).check(crop=256)


# --------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def folder(tmp_path):
    for name, image in zip(("a.png", "b.png", "seq/c.png"), IMAGES, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / name, image)
    return tmp_path


def test_a_folder_of_photographs(folder):
    photos = shaken.sharp_folder(folder, SHAKE, seed=2)
    assert photos.names == ("a", "b", "seq/c") and photos.check(crop=40) == SIZES
    assert photos.description["source"] == "sharp_folder" and photos.description["sharp_dir"] == str(folder)
    for index, image in enumerate(IMAGES):
        np.testing.assert_array_equal(photos.sharp(index), image)
        np.testing.assert_array_equal(photos.pair(index)[0], source(seed=2).pair(index)[0])
    assert "a (48x40)" in error_of(photos.check, crop=41)


def test_all_unreadable_photographs_are_named(folder):
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:-5])
    (folder / "seq" / "c.png").write_text("not an image")
    photos = shaken.sharp_folder(folder, SHAKE)
    message = error_of(photos.check)
    assert str(folder / "a.png") in message and str(folder / "seq" / "c.png") in message
    assert str(folder / "a.png") in error_of(photos.pair, 0)

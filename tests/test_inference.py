"""Any image in, the same size and dtype out; and what can be loaded, or not."""

import os
import shutil

import numpy as np
import pytest

import tfdeblur
from tests.contracts import checkpoints_of
from tfdeblur import inference, systems, tiles
from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.export import export_saved_model
from tfdeblur.inference import Deblurrer, restore_batch
from tfdeblur.training.checkpoints import Checkpoints


class FakeNet:
    """x -> 2 x - 0.5, and remembers what it was given."""

    size_multiple = 16

    def __init__(self):
        self.inputs = []

    def __call__(self, x):
        self.inputs.append(x)
        return {"restored": 2.0 * x - 0.5, "other": x}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


# ----------------------------------------------------------------------------------------- restore_batch


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (17, 1), (5, 16), (15, 16), (16, 16), (17, 33), (64, 70)])
def test_pads_by_mirroring_clips_and_crops_back(size):
    net, images = FakeNet(), noise(2, *size, 3)
    restored = restore_batch(net, tf.constant(images))
    (padded,) = net.inputs
    bottom, right = -size[0] % 16, -size[1] % 16
    np.testing.assert_array_equal(padded, np.pad(images, [(0, 0), (0, bottom), (0, right), (0, 0)], "reflect"))
    np.testing.assert_allclose(restored, np.clip(2.0 * images - 0.5, 0.0, 1.0), atol=1e-6)
    assert restored.dtype == tf.float32


def test_low_precision_outputs_become_float32():
    class Half(FakeNet):
        def __call__(self, x):
            return {"restored": tf.cast(x, tf.bfloat16)}

    restored = restore_batch(Half(), tf.constant(noise(1, 3, 4, 3)))
    assert restored.dtype == tf.float32 and restored.shape == (1, 3, 4, 3)


def test_one_graph_serves_every_size():
    deblurrer = Deblurrer.of_network(FakeNet())
    for size in ((1, 1), (16, 16), (20, 35)):
        assert deblurrer.restore(noise(*size, 3)).shape == (*size, 3)
    assert len(deblurrer.net.inputs) == 1  # traced once


# ----------------------------------------------------------------------------------------- restore


def test_identity_keeps_every_8_bit_value():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    restored = Deblurrer(lambda x: x).restore(image)
    assert restored.dtype == np.uint8
    np.testing.assert_array_equal(restored, image)


@pytest.mark.parametrize("level, expected", [(10.4, 10), (10.6, 11), (254.6, 255), (0.4, 0)])
def test_8_bit_results_are_rounded_not_truncated(level, expected):
    deblurrer = Deblurrer(lambda x: tf.fill(tf.shape(x), np.float32(level / 255.0)))
    assert np.unique(deblurrer.restore(np.zeros((2, 3, 3), np.uint8))) == [expected]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_images_keep_their_dtype(dtype):
    image = noise(5, 7, 3).astype(dtype)
    restored = Deblurrer(lambda x: 0.5 * x).restore(image)
    assert restored.dtype == dtype
    np.testing.assert_allclose(restored, 0.5 * image, rtol=1e-3)


def test_the_network_sees_a_batch_of_one_in_0_to_1():
    seen = []
    Deblurrer(lambda x: seen.append(x) or x).restore(np.full((2, 4, 3), 51, np.uint8))
    (batch,) = seen
    assert batch.dtype == tf.float32 and batch.shape == (1, 2, 4, 3)
    np.testing.assert_allclose(batch, 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    "image, words",
    [
        (np.zeros((4, 4), np.uint8), "shape (4, 4)"),
        (np.zeros((4, 4, 1), np.uint8), "shape (4, 4, 1)"),
        (np.zeros((4, 4, 4), np.uint8), "shape (4, 4, 4)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "shape (1, 4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "shape (0, 4, 3)"),
        (np.zeros((4, 4, 3), np.uint32), "dtype uint32"),
        (np.zeros((4, 4, 3), np.int64), "dtype int64"),
        (np.zeros((4, 4, 3), bool), "dtype bool"),
        (np.full((4, 4, 3), 255.0), "values from 255 to 255: need [0, 1]; divide 8-bit values by 255"),
        (np.full((4, 4, 3), -0.01), "values from -0.01 to -0.01"),
        (np.array([[[0.0, 0.5, np.nan]]]), "NaN or infinite"),
        (np.array([[[0.0, 0.5, np.inf]]]), "NaN or infinite"),
    ],
)
def test_other_images_are_refused(image, words):
    with pytest.raises(DeblurError) as caught:
        Deblurrer(lambda x: x).restore(image)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_identity_keeps_every_16_bit_value():
    image = np.arange(65536, dtype=np.uint16)[::-1].reshape(256, 256, 1).repeat(3, axis=2)
    restored = Deblurrer(lambda x: x).restore(image)
    assert restored.dtype == np.uint16
    np.testing.assert_array_equal(restored, image)


def test_16_bit_images_are_seen_in_0_to_1_and_rounded():
    seen = []
    restored = Deblurrer(lambda x: seen.append(x) or 0.5 * x).restore(np.full((2, 4, 3), 13107, np.uint16))
    np.testing.assert_allclose(seen[0], 0.2, rtol=1e-6)
    assert np.unique(restored) == [6554]  # 6553.5


OUT_OF_MEMORY = [
    tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nlong story"),
    tf.errors.AbortedError(
        None, None, "Operation received an exception:Status: 1, message: could not create a primitive"
    ),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_too_little_memory_is_one_line_that_names_the_size(error):
    def fail(x):
        raise error

    with pytest.raises(DeblurError, match="^7x5: too large for the memory"):
        Deblurrer(fail).restore(np.zeros((5, 7, 3), np.uint8))


def test_other_errors_of_tensorflow_are_not_taken_for_too_little_memory():
    def fail(x):
        raise tf.errors.InvalidArgumentError(None, None, "wrong")

    with pytest.raises(tf.errors.InvalidArgumentError, match="wrong"):
        Deblurrer(fail).restore(np.zeros((5, 7, 3), np.uint8))


# ----------------------------------------------------------------------------------------- tiles


@pytest.fixture
def sees():
    """(a Deblurrer that gives images back, the list of the sizes that its network was given)."""
    sizes = []
    return Deblurrer(lambda x: sizes.append(tuple(x.shape[1:3])) or x), sizes


@pytest.fixture
def memory(monkeypatch):
    """Function that says how many pixels fit the memory of a processor, whole and as a tile; it gives a list of those
    who asked the network for its bytes per pixel."""
    asked = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(inference.systems, "build_from", lambda config: None)
    monkeypatch.setattr(tiles, "bytes_per_pixel", lambda function: asked.append(function) or 10)

    def make(deblurrer, whole, tile):
        deblurrer.net = FakeNet()
        monkeypatch.setattr(tiles, "memory", lambda most: 10 * {tiles.WHOLE_BYTES: whole, tiles.TILE_BYTES: tile}[most])
        return asked

    return make


def test_what_fits_is_restored_whole_and_the_rest_in_tiles(sees, memory, capsys):
    deblurrer, sizes = sees
    deblurrer.configure(overlap=32)
    asked = memory(deblurrer, whole=150 * 150, tile=128 * 128)
    image = (255 * noise(150, 150, 3)).astype(np.uint8)
    np.testing.assert_array_equal(deblurrer.restore(image), image)
    assert sizes == [(150, 150)] and len(asked) == 1
    sizes.clear()
    image = (255 * noise(129, 224, 3)).astype(np.uint8)
    np.testing.assert_array_equal(deblurrer.restore(image), image)
    assert sizes == [(96, 128), (96, 128), (65, 128), (65, 128)] and len(asked) == 1
    deblurrer.restore(image)
    said = [line for line in capsys.readouterr().err.splitlines() if "memory" in line]
    assert said == ["224x129: as a whole too large for the memory; restoring in tiles of up to 128x128"]  # once
    sizes.clear()
    deblurrer.restore(noise(50, 450, 3))  # as many pixels as fit, whatever the shape
    assert sizes == [(50, 450)]


def test_a_small_image_is_not_worth_asking_the_network(sees, memory):
    deblurrer, sizes = sees
    asked = memory(deblurrer, whole=tiles.MOST_BYTES_PER_PIXEL * 64, tile=0)  # 640 of the hungriest network
    deblurrer.restore(noise(20, 32, 3))
    assert sizes == [(20, 32)] and not asked
    deblurrer.restore(noise(21, 32, 3))
    assert sizes[1:] == [(21, 32)] and len(asked) == 1


def test_a_model_that_tells_nothing_of_its_network_is_taken_for_the_hungriest(sees, monkeypatch):
    deblurrer, sizes = sees
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(tiles, "memory", lambda most: 500 * 500 * tiles.MOST_BYTES_PER_PIXEL)
    deblurrer.restore(np.zeros((500, 501, 3), np.uint8))
    assert sizes == [(352, 352), (352, 341), (340, 352), (340, 341)]  # 480 at most; no larger than 192 shared ask for


def test_an_export_of_another_version_is_taken_for_the_hungriest():
    for config in ({"system": "madn", "widths": [4, 6, 8]}, {"system": "unheard_of"}):
        assert Deblurrer(lambda x: x, {"config": config}).bytes_per_pixel() == tiles.MOST_BYTES_PER_PIXEL


def test_an_export_is_asked_through_its_configuration(exported_run, trained_run):
    of_export, of_run = (tfdeblur.load(path).bytes_per_pixel() for path in (exported_run, trained_run))
    assert of_export == of_run and 100 < of_run < 1000


def test_a_graphics_card_is_asked_by_trying(sees, monkeypatch):
    deblurrer, sizes = sees
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tiles, "memory", lambda most: 0)
    deblurrer.restore(np.zeros((900, 1000, 3), np.uint8))
    assert sizes == [(900, 1000)]


def test_a_forced_tile_and_none(sees):
    deblurrer, sizes = sees
    image = noise(100, 160, 3)
    np.testing.assert_array_equal(deblurrer.configure(tile=96, overlap=32).restore(image), image)
    assert sizes == [(96, 96), (96, 96), (68, 96), (68, 96)]
    sizes.clear()
    deblurrer.configure(tile=0).restore(image)
    assert sizes == [(100, 160)]


def too_small(most_pixels):
    """A Deblurrer whose memory holds so many pixels, and the list of the sizes that it tried."""
    tried = []

    def network(x):
        tried.append(tuple(x.shape[1:3]))
        if x.shape[1] * x.shape[2] > most_pixels:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nlong story")
        return x

    return Deblurrer(network), tried


def test_out_of_memory_goes_on_in_smaller_tiles_says_so_and_remembers(capsys):
    deblurrer, tried = too_small(100 * 100)
    deblurrer.configure(overlap=32)
    image = noise(256, 256, 3)
    np.testing.assert_array_equal(deblurrer.restore(image), image)
    assert tried[:3] == [(256, 256), (128, 128), (64, 64)] and set(tried[2:]) == {(64, 64)}
    assert [line for line in capsys.readouterr().err.splitlines() if "memory" in line] == [
        "256x256: out of memory; trying again in tiles of 128x128",
        "256x256: out of memory; trying again in tiles of 64x64",
    ]
    tried.clear()
    deblurrer.restore(image)
    assert set(tried) == {(64, 64)} and "memory" not in capsys.readouterr().err


def test_out_of_memory_in_the_smallest_tiles_or_in_those_that_were_asked_for(capsys):
    deblurrer, tried = too_small(10)
    deblurrer.configure(overlap=32)
    with pytest.raises(DeblurError, match="^200x130: too large for the memory; make the image smaller$"):
        deblurrer.restore(noise(130, 200, 3))
    assert tried == [(130, 200), (64, 64)]
    for tile in (64, 0):
        with pytest.raises(DeblurError, match="^200x130: too large for the memory; name a smaller --tile$"):
            deblurrer.configure(tile=tile, overlap=32).restore(noise(130, 200, 3))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"tile": 100, "overlap": 64}, "--tile=100: "),
        ({"tile": 1}, "--tile=1: "),
        ({"overlap": -1}, "--overlap=-1: "),
        ({"scales": (1, 0)}, "--scales=1,0: "),
        ({"scales": (5.0,)}, "--scales=5: "),
        ({"scales": (float("nan"),)}, "--scales=nan: "),
        ({"scales": ()}, "--scales=: "),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(DeblurError, match="^" + words):
        Deblurrer(lambda x: x).configure(**options)


def test_a_model_of_one_size_is_given_no_larger_ones():
    sizes = []
    deblurrer = Deblurrer(lambda x: sizes.append(tuple(x.shape[1:3])) or x)
    deblurrer.fixed_size = (64, 100)
    for size in ((1, 1), (64, 100), (64, 101), (200, 99), (130, 333)):
        image = (255 * noise(*size, 3)).astype(np.uint8)
        np.testing.assert_array_equal(deblurrer.restore(image), image)
    assert all(height <= 64 and width <= 100 for height, width in sizes)
    assert sizes[:4] == [(1, 1), (64, 100), (64, 96), (64, 69)]  # as large as they can be
    np.testing.assert_array_equal(deblurrer.configure(self_ensemble=True).restore(image), image)
    with pytest.raises(DeblurError, match="^--tile=0: this export was made for 100x64"):
        deblurrer.configure(tile=0)


# ----------------------------------------------------------------------------------------- test-time options


def test_the_self_ensemble_is_the_mean_of_eight_symmetries():
    image = noise(5, 7, 3)
    shifts_right = Deblurrer(lambda x: tf.roll(x, 1, axis=2)).configure(self_ensemble=True)
    # Mirrored and turned, a shift to the right is one in each of the four directions, twice.
    expected = np.mean([np.roll(image, shift, axis) for shift in (-1, 1) for axis in (0, 1)], axis=0)
    np.testing.assert_allclose(shifts_right.restore(image), expected, atol=1e-6)
    sizes = []
    Deblurrer(lambda x: sizes.append(tuple(x.shape[1:3])) or x).configure(self_ensemble=True).restore(image)
    assert sorted(sizes) == [(5, 7)] * 4 + [(7, 5)] * 4
    # Eight different ones: what darkens one pixel right of the upper left corner darkens both neighbours of all four.
    dark = np.zeros((6, 6, 3), np.float32)
    dark[0, 1] = 0.8
    restored = Deblurrer(lambda x: x - dark).configure(self_ensemble=True).restore(np.ones((6, 6, 3)))
    found = {(y, x): round(1.0 - restored[y, x, 0], 6) for y in range(6) for x in range(6) if restored[y, x, 0] < 1.0}
    assert found == dict.fromkeys([(0, 1), (1, 0), (0, 4), (1, 5), (4, 0), (5, 1), (4, 5), (5, 4)], 0.1)


def test_scales_average_what_each_changes():
    image = noise(40, 60, 3)
    sizes = []
    identity = Deblurrer(lambda x: sizes.append(tuple(x.shape[1:3])) or x).configure(scales=(1, 0.5, 1.25))
    np.testing.assert_allclose(identity.restore(image), image, atol=1e-6)  # detail stays that no half size has
    assert sizes == [(40, 60), (20, 30), (50, 75)]

    def by_size(x):
        return x + (0.3 if x.shape[1] == 40 else -0.1)

    grey = np.full((40, 60, 3), 0.5)
    restored = Deblurrer(by_size).configure(scales=(1, 0.5)).restore(grey)
    np.testing.assert_allclose(restored, 0.6, atol=1e-6)
    assert restored.dtype == np.float64
    assert Deblurrer(by_size).configure(scales=(0.01,)).restore(grey).shape == (40, 60, 3)


def test_a_scale_alone_is_used_alone():
    image = np.full((8, 8, 3), 100, np.uint8)
    darker_when_small = Deblurrer(lambda x: x if x.shape[1] == 8 else 0.5 * x)
    np.testing.assert_array_equal(darker_when_small.configure(scales=(0.5,)).restore(image), 50)


def test_all_options_together_keep_the_image():
    image = (65535 * noise(70, 133, 3)).astype(np.uint16)
    sizes = []
    deblurrer = Deblurrer(lambda x: sizes.append(tuple(x.shape[1:3])) or x)
    deblurrer.configure(tile=64, overlap=32, self_ensemble=True, scales=(1, 0.5))
    assert np.abs(deblurrer.restore(image).astype(int) - image).max() <= 1
    assert max(max(size) for size in sizes) == 64


# ----------------------------------------------------------------------------------------- load


def test_a_work_directory_loads_with_its_weights_and_metadata(trained_run):
    deblurrer = tfdeblur.load(trained_run)
    assert deblurrer.metadata["config"]["widths"] == [4, 6, 8]
    assert deblurrer.metadata["data"]["source"] == "embedded"
    reader = tf.train.load_checkpoint(str(trained_run / "checkpoints" / "ckpt-6"))
    head = deblurrer.net.fusion.head
    key = "trainer/generator/fusion/head/{}/.ATTRIBUTES/VARIABLE_VALUE"
    np.testing.assert_array_equal(head.kernel, reader.get_tensor(key.format("kernel")))
    np.testing.assert_array_equal(head.bias, reader.get_tensor(key.format("bias")))
    assert np.any(head.bias != 0)


def test_one_checkpoint_loads_by_its_prefix(trained_run):
    early = tfdeblur.load(str(trained_run / "checkpoints" / "ckpt-3"))
    same = tfdeblur.load(str(trained_run / "checkpoints" / "ckpt-3.index"))
    for a, b in zip(early.net.get_weights(), same.net.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    late = tfdeblur.load(str(trained_run))
    weights = zip(early.net.get_weights(), late.net.get_weights(), strict=True)
    assert any(np.any(a != b) for a, b in weights)


def test_the_policy_is_that_of_the_arithmetic_not_of_the_weights(trained_run):
    image = noise(1, 16, 16, 3)
    exact = tfdeblur.load(trained_run)
    rounded = tfdeblur.load(trained_run, "mixed_bfloat16")
    assert exact.net.compute_dtype == "float32" and rounded.net.compute_dtype == "bfloat16"
    for a, b in zip(exact.net.get_weights(), rounded.net.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    results = [restore_batch(deblurrer.net, image) for deblurrer in (exact, rounded)]
    assert results[1].dtype == tf.float32
    assert 0 < np.abs(results[0] - results[1]).max() < 0.03
    assert tf.keras.mixed_precision.global_policy().name == "float32"


def test_a_moved_work_directory_loads(trained_run, tmp_path):
    shutil.copytree(trained_run, tmp_path / "moved")
    moved, still = tfdeblur.load(tmp_path / "moved").net, tfdeblur.load(trained_run).net
    for a, b in zip(moved.get_weights(), still.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def levels(trainer, generator, average=None):
    """Sets all weights of the generator, and of its average, to one number."""
    for net, level in ((trainer.generator, generator), (trainer.average, average)):
        if net is not None:
            net.set_weights([np.full_like(weight, level) for weight in net.get_weights()])


def level_of(deblurrer):
    (level,) = {float(value) for weight in deblurrer.net.get_weights() for value in weight.ravel()}
    return level


@pytest.mark.parametrize("ema_decay, of_the_best", [(0.0, 1.0), (0.5, 10.0)])
def test_last_average_and_best_weights(toy_config, toy_trainer, tmp_path, ema_decay, of_the_best):
    toy_config.ema_decay = ema_decay
    trainer = toy_trainer()
    if ema_decay:
        trainer.keep_average(systems.build_from(toy_config), ema_decay)
    checkpoints = checkpoints_of(trainer, toy_config, tmp_path / "run")
    trainer.step.assign(1)
    levels(trainer, 1.0, 10.0)
    checkpoints.keep_best(30.0)
    trainer.step.assign(2)
    levels(trainer, 2.0, 20.0)
    path = checkpoints.save()

    found = tfdeblur.load(tmp_path / "run")
    assert level_of(found) == 2.0 and found.metadata["weights"] == "last"
    # Those that were scored while it was trained.
    found = tfdeblur.load(tmp_path / "run", weights="best")
    assert level_of(found) == of_the_best and found.metadata["weights"] == "best"
    assert found.path.endswith("run/best/ckpt-1") and found.metadata["held_out_psnr"] == 30.0
    assert level_of(tfdeblur.load(found.path)) == 1.0
    if ema_decay:
        for there in (tmp_path / "run", path):
            assert level_of(tfdeblur.load(there, weights="average")) == 20.0
        assert level_of(tfdeblur.load(tmp_path / "run" / "best" / "ckpt-1", weights="average")) == 10.0
    else:
        assert "--weights=average" in refused(tmp_path / "run", "average")
    assert "no best checkpoint there" in refused(path, "best")
    with pytest.raises(DeblurError, match="--weights=first: choose last, average, best"):
        tfdeblur.load(path, weights="first")


def test_an_export_has_the_weights_it_was_made_with(toy_config, toy_trainer, tmp_path):
    trainer = toy_trainer()
    checkpoints_of(trainer, toy_config, tmp_path / "run").keep_best(30.0)
    export_saved_model(tfdeblur.load(tmp_path / "run", weights="best"), tmp_path / "export")
    for weights in ("last", "best"):
        assert tfdeblur.load(tmp_path / "export", weights=weights).metadata["weights"] == "best"
    assert "is an export of the weights 'best'" in refused(tmp_path / "export", "average")


def refused(path, weights="last"):
    with pytest.raises(DeblurError) as caught:
        tfdeblur.load(path, weights=weights)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def test_nothing_there(tmp_path):
    assert "no checkpoint and no export there" in refused(tmp_path)
    assert "no checkpoint and no export there" in refused(tmp_path / "missing")


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"png")
    assert "no checkpoint and no export there" in refused(tmp_path / "picture.png")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
def test_a_damaged_checkpoint(trained_run, tmp_path, suffix, share):
    shutil.copytree(trained_run, tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / f"ckpt-6.{suffix}"
    os.truncate(file, int(share * file.stat().st_size))
    with pytest.raises(DeblurError, match="ckpt-6: the checkpoint is damaged") as caught:
        tfdeblur.load(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_the_weights_is_noticed(trained_run, tmp_path):
    shutil.copytree(trained_run, tmp_path / "run")
    file = tmp_path / "run" / "checkpoints" / "ckpt-6.data-00000-of-00001"
    data = bytearray(file.read_bytes())
    weights = tfdeblur.load(trained_run).net.fusion.head.kernel.numpy().tobytes()
    data[data.find(weights) + 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DeblurError, match="ckpt-6: the checkpoint is damaged"):
        tfdeblur.load(tmp_path / "run")


class Bare(tf.Module):
    def __init__(self):
        super().__init__()
        self.step = tf.Variable(1, dtype=tf.int64)


@pytest.mark.parametrize(
    "metadata",
    [
        {"config": {"system": "unheard_of"}},
        {"config": {}},
        {"config": {"system": "madn", "widths": [4, 6, 8]}},  # without the newer keys
        {"config": {"system": "madn", "widths": 64, "num_res_blocks": 1}},
        {"config": None},
    ],
    ids=["unknown system", "empty", "keys missing", "another kind of value", "no configuration"],
)
def test_a_checkpoint_of_another_version(tmp_path, metadata):
    rest = {"data": {}, "precision": "float32"} if metadata["config"] is not None else {}
    Checkpoints(str(tmp_path), Bare(), {**metadata, **rest}).save()
    with pytest.raises(DeblurError) as caught:
        tfdeblur.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_something_else(tmp_path):
    tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(tmp_path / "other"))
    refused(tmp_path / "other")


def test_a_checkpoint_with_other_weights_than_its_configuration_says(trained_run, tiny_madn, tmp_path):
    config = {**tiny_madn(num_res_blocks=0).to_dict(), "widths": (4, 6, 10)}
    metadata = {"config": config, "data": {}, "precision": "float32"}
    net = tfdeblur.build("madn", widths=(4, 6, 8), num_res_blocks=0)
    trainer = Bare()
    trainer.generator = net
    Checkpoints(str(tmp_path), trainer, metadata).save()
    with pytest.raises(DeblurError, match="ckpt-1: the checkpoint is damaged or of another version"):
        tfdeblur.load(tmp_path)


@pytest.mark.parametrize(
    "file, share",
    [
        ("saved_model.pb", None),
        ("saved_model.pb", 0.5),
        ("tfdeblur.json", 0.5),
        ("variables/variables.index", None),
        ("variables/variables.data-00000-of-00001", None),
        ("variables/variables.data-00000-of-00001", 0.5),
    ],
)
def test_a_damaged_export(exported_run, tmp_path, file, share):
    shutil.copytree(exported_run, tmp_path / "copy")
    path = tmp_path / "copy" / file
    if share is None:
        path.unlink()
    else:
        os.truncate(path, int(share * path.stat().st_size))
    assert "the export is damaged or incomplete; export it again" in refused(tmp_path / "copy")

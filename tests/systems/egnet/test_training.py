"""EGNet's two trainings: what is frozen, where the base comes from, the settings, and a configuration for every row."""

import shutil

import numpy as np
import pytest

import tfdeblur
from tests.conftest import load_experiment
from tests.contracts import checkpoints_of, noise_batch, random_images
from tfdeblur import runner, systems
from tfdeblur.compat import graph_function, precision, tf
from tfdeblur.errors import DeblurError
from tfdeblur.export import export_saved_model
from tfdeblur.systems.egnet.objective import EgNetObjective
from tfdeblur.systems.egnet.system import make_trainer
from tfdeblur.systems.mprnet.networks import MprNet
from tfdeblur.training.checkpoints import save_generator

NARROW = {"width": 8, "width_step": 4, "orsnet_step": 4, "num_cabs": 1, "reduction": 1, "egn_width": 32, "num_egms": 1}


def configuration(stage="egn", **changes):
    config = load_experiment("egnet/smoke", stage)
    config.update({**NARROW, **changes})
    return config


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def first_training(tmp_path_factory):
    """(work directory, network) of two steps of stage "base"."""
    folder = str(tmp_path_factory.mktemp("base"))
    config = configuration("base")
    tf.keras.utils.set_random_seed(7)
    trainer = make_trainer(config)
    for seed in range(2):
        logs = trainer.train_step(noise_batch("egnet", config, seed))
    assert logs.keys() == {f"generator/{name}" for name in ("content", "gradient", "ssim", "loss", "gradient_norm")}
    checkpoints_of(trainer, config, folder).save()
    return folder, trainer.generator


def test_the_first_training_is_mprnets_under_egnets_loss(first_training):
    folder, net = first_training
    assert isinstance(net, MprNet)
    assert_same(tfdeblur.load(folder).net.get_weights(), net.get_weights())
    fresh = systems.build_from(configuration("base"))
    assert all(np.any(a != b) for a, b in zip(fresh.trainable_weights, net.trainable_weights, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_second_training_starts_as_the_base_and_never_moves_it(first_training, policy):
    folder, base = first_training
    config = configuration(base=folder)
    with precision(policy):
        trainer = make_trainer(config)
        same = systems.build_from(configuration("base"))
    same.set_weights(base.get_weights())
    net = trainer.generator
    images = random_images(1, 32, 32)
    expected = same(images)
    for name, value in net(images, training=True).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)

    before = [weight.numpy() for weight in net.trainable_weights]
    trainer.compile()
    step = graph_function(trainer.train_step)  # as the loop runs it
    for seed in range(3):
        step(noise_batch("egnet", config, seed))
    assert_same(net.base.get_weights(), base.get_weights())
    pairs = zip(net.trainable_weights, before, strict=True)
    still = {weight.name for weight, was in pairs if not np.any(weight.numpy() != was)}
    assert all(name.endswith("key/bias:0") for name in still), still
    assert len(net.trainable_weights) == len(net.egn1.weights) + len(net.egn2.weights)
    slots = [variable.shape for variable in trainer.generator_optimizer.variables if variable.shape.rank]
    assert len(slots) == 2 * len(before)  # Adam keeps nothing of the base
    assert np.abs(net(images)["restored"] - expected["restored"]).max() > 0


def test_a_checkpoint_of_the_second_training_needs_no_other(first_training, tmp_path):
    folder = shutil.copytree(first_training[0], tmp_path / "base")
    config = configuration(base=str(folder))
    trainer = make_trainer(config)
    trainer.train_step(noise_batch("egnet", config))
    checkpoints_of(trainer, config, tmp_path / "run").save()
    shutil.rmtree(folder)
    assert_same(tfdeblur.load(tmp_path / "run").net.get_weights(), trainer.generator.get_weights())


@pytest.mark.parametrize("kind", ["a checkpoint", "an mprnet", "another egnet"])
def test_where_a_base_may_come_from(first_training, tmp_path, kind):
    folder, base = first_training
    if kind == "a checkpoint":
        folder += "/checkpoints/ckpt-2"
    elif kind == "an mprnet":
        arguments = {key: value for key, value in base.get_config().items() if key != "name"}
        metadata = {"config": {"system": "mprnet", **arguments}, "data": {}, "precision": "float32"}
        save_generator(base, str(tmp_path), metadata)  # as import-weights does
        folder = tmp_path
    elif kind == "another egnet":
        config = configuration(base=folder, egn_width=16)
        checkpoints_of(make_trainer(config), config, tmp_path).save()
        folder = tmp_path
    net = make_trainer(configuration(base=str(folder), egn_input="add")).generator
    assert_same(net.base.get_weights(), base.get_weights())
    assert net.egn1.count_params() > 0 and not net.base.trainable


def test_all_at_once_trains_the_base_it_is_given(first_training):
    folder, base = first_training
    config = configuration("all", base=folder)
    trainer = make_trainer(config)
    assert_same(trainer.generator.base.get_weights(), base.get_weights())
    trainer.train_step(noise_batch("egnet", config))
    assert np.any(trainer.generator.base.tail.kernel != base.tail.kernel)


@pytest.mark.parametrize("stage", ["base", "egn", "all"])
def test_no_base_is_a_choice_that_must_be_said(stage):
    with pytest.raises(DeblurError, match="^--config.base: name the MPRNet .* or say 'random'$"):
        make_trainer(configuration(stage, base=""))
    assert make_trainer(configuration(stage, base="random")).generator.trainable_weights


def test_a_base_of_another_size_is_refused(first_training):
    with pytest.raises(DeblurError, match="an MPRNet of width=8, num_cabs=1; give the same"):
        make_trainer(configuration(base=first_training[0], width=6, num_cabs=2))


@pytest.mark.slow
def test_what_is_no_base_is_refused(first_training, trained_run, tmp_path):
    with pytest.raises(DeblurError, match="a network of madn, not an MPRNet"):
        make_trainer(configuration(base=str(trained_run)))
    with pytest.raises(DeblurError, match=f"^--config.base={tmp_path}: no checkpoint"):
        make_trainer(configuration(base=str(tmp_path)))
    export_saved_model(tfdeblur.load(first_training[0]), tmp_path / "export")
    with pytest.raises(DeblurError, match="that is an export"):
        make_trainer(configuration(base=str(tmp_path / "export")))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"stage": "second"}, "--config.stage=second: choose base, egn, all"),
        ({"beta": -1.0}, "--config.beta=-1.0: must be a number from 0"),
        ({"gamma": float("nan")}, "--config.gamma=nan"),
        ({"alpha": 0.0, "beta": 0.0, "gamma": 0.0}, "nothing would be learnt"),
        ({"ms_ssim_levels": 6}, "--config.ms_ssim_levels=6: choose 1 to 5"),
        ({"ms_ssim_levels": 3}, "--config.crop=32: MS-SSIM of 3 levels needs 41 pixels"),
        ({"crop": 36}, "--config.crop=36: must be a multiple of 8"),
        ({"warm_up_steps": -1}, "--config.warm_up_steps=-1"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, words):
    config = configuration("all")
    config.update(changes)
    with pytest.raises(DeblurError, match=words):
        make_trainer(config)


def test_without_ms_ssim_any_crop_will_do():
    trainer = make_trainer(configuration("all", gamma=0.0, crop=8, ms_ssim_levels=5))
    assert trainer.objective == EgNetObjective(1.0, 0.05, 0.0)


# ------------------------------------------------------------------------------------------ configurations

ROWS = {  # of Tables 3 to 6 -> what differs from the whole method
    "egn": {},
    "gradient_no_attention": {"attention": False},
    "add_002": {"egn_input": "add"},
    "add_002_no_attention": {"egn_input": "add", "attention": False},
    "add_02": {"egn_input": "add", "input_std": 0.2},
    "add_02_no_attention": {"egn_input": "add", "input_std": 0.2, "attention": False},
    "mul_002": {"egn_input": "mul"},
    "mul_002_no_attention": {"egn_input": "mul", "attention": False},
    "base": {"stage": "base", "base": "random"},
    "base_no_gradient_loss": {"stage": "base", "base": "random", "beta": 0.0},
    "no_gradient_loss": {"beta": 0.0},
}


@pytest.mark.parametrize("row", ROWS)
def test_a_configuration_for_every_row_of_the_papers_tables(row):
    whole, config = load_experiment("egnet/gopro"), load_experiment("egnet/gopro", row)
    runner.check_config(config)
    assert {key: config[key] for key in whole if whole[key] != config[key]} == ROWS[row]
    config.update({**NARROW, "num_egms": 2, "base": "random"})
    trainer = make_trainer(config)
    assert trainer.objective == EgNetObjective(1.0, 0.0 if "no_gradient_loss" in row else 0.05, 0.1)
    if config.stage == "egn":
        assert trainer.generator.egn2.attention == config.attention
        assert trainer.generator.egn1.egn_input == config.egn_input
        assert not trainer.generator.base.trainable


def test_the_rate_is_the_papers():
    config = load_experiment("egnet/gopro")
    config.update({**NARROW, "base": "random"})
    optimizer = make_trainer(config).generator_optimizer.inner_optimizer
    rate = tf.keras.optimizers.schedules.deserialize(optimizer.get_config()["learning_rate"])
    expected = {0: 0.0, 3 * 2103: 2e-4, 3_003_154: (2e-4 + 1e-6) / 2, 6_000_000: 1e-6}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-3, abs=1e-9), step
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.999, 1e-8)


def test_other_variants_are_refused():
    for name in ("gopro", "embedded", "smoke"):
        with pytest.raises(ValueError, match=f"egnet/{name}:other: choose"):
            load_experiment(f"egnet/{name}", "other")


def test_the_small_comparison_gives_everybody_the_same_steps():
    steps = {
        variant: load_experiment("egnet/embedded", variant).steps
        for variant in ("base", "egn", "base_no_gradient_loss", "egn_no_gradient_loss", "mprnet")
    }
    assert steps.pop("mprnet") == 2 * steps["base"] and len(set(steps.values())) == 1

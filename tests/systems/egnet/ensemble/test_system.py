"""The self-ensemble on top of a run: where its base comes from, and what it leaves behind."""

import shutil

import numpy as np
import pytest

import tfdeblur
from tests.conftest import load_experiment
from tests.contracts import checkpoints_of, noise_batch
from tfdeblur import runner, systems
from tfdeblur.errors import DeblurError
from tfdeblur.systems.egnet.ensemble.system import make_trainer
from tfdeblur.training import checkpoints

MPRNET = {"width": 4, "width_step": 4, "orsnet_step": 4, "num_cabs": 1, "reduction": 4}
EGNET = {**MPRNET, "egn_width": 8, "num_egms": 1}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """{system: (folder of a run, its network)}."""
    found = {}
    for system, arguments in (("mprnet", MPRNET), ("egnet", EGNET)):
        net = systems.build(system, **arguments)
        folder = str(tmp_path_factory.mktemp(system))
        config = {"system": system, **net.get_config(), "stage": "egn"}
        checkpoints.save_generator(net, folder, {"config": config, "data": {}, "precision": "float32"})
        found[system] = folder, net
    return found


def config_on(base, **changes):
    """A small configuration; base: a folder."""
    config = load_experiment("egnet/ensemble_embedded")
    config.update(EGNET, base=base, fuse_width=4, crop=32, batch_size=2, ms_ssim_levels=2, steps=2)
    config.update(changes)
    runner.check_config(config)
    return config


def same_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("fuse", ["network", "mean"])
def test_a_run_of_it_holds_its_base_and_needs_that_run_no_longer(fuse, bases, tmp_path):
    shutil.copytree(bases["egnet"][0], tmp_path / "base")
    config = config_on(str(tmp_path / "base"), fuse=fuse)
    trainer = make_trainer(config)
    shutil.rmtree(tmp_path / "base")
    logs = trainer.train_step(noise_batch("egnet_ensemble", config))
    assert logs["generator/loss"] > 0 and int(trainer.step) == 1
    assert (logs["generator/gradient_norm"] == 0) == (fuse == "mean")
    checkpoints_of(trainer, config, tmp_path / "run").save()
    loaded = tfdeblur.load(tmp_path / "run").net
    assert same_weights(loaded.base, bases["egnet"][1])
    assert same_weights(loaded, trainer.generator)
    outputs = loaded(np.random.default_rng(0).uniform(size=(1, 16, 32, 3)).astype(np.float32))
    mean = np.mean([outputs[name] for name in ("from_half", "from_whole", "from_quadrants")], axis=0)
    assert np.allclose(outputs["restored"], mean, atol=1e-7) == (fuse == "mean")


def test_only_what_fuses_is_trained(bases):
    trainer = make_trainer(config_on(bases["egnet"][0]))
    fusing = {id(weight) for weight in trainer.generator.fusing.trainable_weights}
    assert {id(weight) for weight in trainer.generator.trainable_weights} == fusing
    assert len(trainer.generator_optimizer.variables) < 3 * len(fusing)  # two slots each, none for the base


@pytest.mark.parametrize("where", ["mprnet", "egnet"])
def test_an_mprnet_can_be_the_base_and_so_can_an_egnets(where, bases):
    folder, net = bases[where]
    filled = make_trainer(config_on(folder, base_system="mprnet")).generator.base
    assert same_weights(filled, net if where == "mprnet" else net.base)


def test_bases_that_do_not_fit_are_one_line(bases):
    for changes, message in (
        ({"base": ""}, "--config.base: name the EGNet to start from"),
        ({"base": bases["mprnet"][0]}, "add --config.base_system=mprnet"),
        ({"base": bases["egnet"][0], "egn_width": 16}, "an EGNet of egn_width=8; give the same"),
        ({"base": bases["egnet"][0], "crop": 40}, "crop=40: must be a multiple of 16"),
    ):
        with pytest.raises(DeblurError, match=message):
            make_trainer(config_on(**changes))

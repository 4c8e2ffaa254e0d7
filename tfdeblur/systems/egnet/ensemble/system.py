"""How EGNet's self-ensemble is built and trained; see systems/madn/system.py for the face of every system's module."""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.systems.egnet import system as egnet
from tfdeblur.systems.egnet.ensemble.networks import SelfEnsemble
from tfdeblur.systems.mprnet import system as mprnet
from tfdeblur.training.supervised import SupervisedTrainer

SETTINGS = (*egnet.ARGUMENTS, "base_system", "base", "fuse", "fuse_width", *egnet.LOSS, *mprnet.RATE)

TARGETS = egnet.TARGETS

PAPER = {
    "parameters": "not stated",
    "gopro_psnr": 33.00,
    "gopro_ssim": 0.961,
    "protocol": "not stated",
}


def build(**arguments):
    """`SelfEnsemble(**arguments)` with its weights made."""
    net = SelfEnsemble(**arguments)
    net(tf.zeros([1, net.size_multiple, net.size_multiple, 3]))
    return net


def build_from(config):
    """The network of a configuration; of an MPRNet the settings of EGNs are not looked at."""
    names = mprnet.ARGUMENTS if config.base_system == "mprnet" else egnet.ARGUMENTS
    arguments = {name: getattr(config, name) for name in names}
    return build(base=config.base_system, base_arguments=arguments, fuse=config.fuse, fuse_width=config.fuse_width)


def parts(net):
    """name -> layer: the network whose results are fused, and the one that fuses them."""
    return {"base": net.base, **({"fusing": net.fusing} if net.fusing is not None else {})}


def discriminator_parameters():
    """{}: there is none."""
    return {}


def samples_per_step(config):
    """Pairs that a training step takes."""
    return config.batch_size


def make_trainer(config):
    """Network, objective and optimiser of a configuration; the base is filled and frozen.

    With fuse="mean" there is nothing to train: one step, which changes no weight, leaves a work directory that can be
    evaluated.
    """
    mprnet.check(config)
    if config.crop % SelfEnsemble.size_multiple:
        raise DeblurError(f"--config.crop={config.crop}: must be a multiple of {SelfEnsemble.size_multiple}")
    net = build_from(config)
    egnet.fill_base(net.base, config.base)
    net.base.trainable = False
    return SupervisedTrainer(
        generator=net,
        # Section 3.3, of the one result
        objective=egnet.make_objective(config, results=("restored",)),
        generator_optimizer=mprnet.adam(config),
        global_batch_size=config.batch_size,
    )

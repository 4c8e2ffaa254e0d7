"""How Improved DeblurGAN is built and trained; see systems/madn/system.py for the face of every system's module.

Losses, critic and optimisers are DeblurGAN's.
"""

from tfdeblur.systems.deblurgan import system as deblurgan
from tfdeblur.systems.deblurgan.system import TARGETS, discriminator_parameters, samples_per_step
from tfdeblur.systems.improved_deblurgan.networks import ImprovedDeblurGan

__all__ = [
    "PAPER",
    "SETTINGS",
    "TARGETS",
    "build",
    "build_from",
    "discriminator_parameters",
    "make_trainer",
    "parts",
    "samples_per_step",
]

SETTINGS = ("width", "growth", "up_kind", "skip", "head", *deblurgan.TRAINING_SETTINGS)

PAPER = {
    "parameters": "not stated",
    "gopro_psnr": 27.19,
    "gopro_ssim": 0.82,
    "protocol": "not stated",
}


def build(**arguments):
    """`ImprovedDeblurGan(**arguments)` with its weights made."""
    return deblurgan.with_weights(ImprovedDeblurGan(**arguments))


def build_from(config):
    """The generator of a configuration."""
    return build(width=config.width, growth=config.growth, up_kind=config.up_kind, skip=config.skip, head=config.head)


def parts(net):
    """name -> layer: the parts that the paper names."""
    return {"dense_block": net.dense}


def make_trainer(config):
    """Networks, objective and optimisers of a configuration."""
    return deblurgan.make_deblurgan_trainer(config, build_from(config))

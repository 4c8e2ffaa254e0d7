"""How MPRNet is built; see systems/madn/system.py for the face that every system's module has."""

from tfdeblur.compat import tf
from tfdeblur.systems.mprnet.networks import MprNet

ARGUMENTS = ("width", "width_step", "orsnet_step", "num_cabs", "reduction")

PAPER = {
    "parameters": "20.1 million",
    "gopro_psnr": 32.66,
    "gopro_ssim": 0.959,
    "protocol": "MATLAB's psnr and ssim on uint8 RGB: psnr and ssim_matlab",
}


def build(**arguments):
    """`MprNet(**arguments)` with its weights made."""
    net = MprNet(**arguments)
    net(tf.zeros([1, net.size_multiple, net.size_multiple, 3]))
    return net


def build_from(config):
    """The network of a configuration."""
    return build(**{name: getattr(config, name) for name in ARGUMENTS})


def parts(net):
    """name -> layer: nothing in the paper has a count of its own."""
    del net
    return {}


def discriminator_parameters():
    """{}: there is none."""
    return {}

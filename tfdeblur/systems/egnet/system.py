"""How EGNet is built; see systems/madn/system.py for the face that every system's module has."""

from tfdeblur.compat import tf
from tfdeblur.systems.egnet.networks import EgNet
from tfdeblur.systems.mprnet import system as mprnet

ARGUMENTS = (
    *mprnet.ARGUMENTS,
    *("egn_width", "num_egms", "egn_input", "input_std", "attention", "pa_residual"),
)

PAPER = {
    "parameters": "26.60 million",
    "gopro_psnr": 33.00,
    "gopro_ssim": 0.961,
    "protocol": "not stated; with the self-ensemble",
}


def build(**arguments):
    """`EgNet(**arguments)` with its weights made."""
    net = EgNet(**arguments)
    net(tf.zeros([1, net.size_multiple, net.size_multiple, 3]))
    return net


def build_from(config):
    """The network of a configuration."""
    return build(**{name: getattr(config, name) for name in ARGUMENTS})


def parts(net):
    """name -> layer: MPRNet, and the enhanced gradient network of each stage."""
    return {"base": net.base, "egn1": net.egn1, "egn2": net.egn2}


def discriminator_parameters():
    """{}: there is none."""
    return {}

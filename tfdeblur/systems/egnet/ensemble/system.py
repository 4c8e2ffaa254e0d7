"""How EGNet's self-ensemble is built; see systems/madn/system.py for the face that every system's module has."""

from tfdeblur.compat import tf
from tfdeblur.systems.egnet.ensemble.networks import SelfEnsemble

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


def parts(net):
    """name -> layer: the network whose results are fused, and the one that fuses them."""
    return {"base": net.base, **({"fusing": net.fusing} if net.fusing is not None else {})}


def discriminator_parameters():
    """{}: there is none."""
    return {}

"""How MPRNet is built, and what `tfdeblur import-weights` has to know of its published weights.

See systems/madn/system.py for the face that every system's module has.
"""

from tfdeblur.compat import tf
from tfdeblur.systems.mprnet.networks import MprNet
from tfdeblur.systems.mprnet.torch_names import fill, torch_shapes

ARGUMENTS = ("width", "width_step", "orsnet_step", "num_cabs", "reduction")

PAPER = {
    "parameters": "20.1 million",
    "gopro_psnr": 32.66,
    "gopro_ssim": 0.959,
    "protocol": "MATLAB's psnr and ssim on uint8 RGB: psnr and ssim_matlab",
}

# The authors' weights for GoPro.
TORCH_WEIGHTS = {
    "shapes": torch_shapes,
    "fill": fill,
    "blur_kind": "blur",
    "licence": (
        "MPRNet's authors (github.com/swz30/MPRNet) publish code and weights under the Academic Public License, for "
        "non-commercial use; that holds for weights made from theirs, too"
    ),
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

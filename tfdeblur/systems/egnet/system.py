"""How EGNet is built; see systems/madn/system.py for the face that every system's module has."""

from tfdeblur.compat import tf
from tfdeblur.ops.geometry import pad_to_multiple
from tfdeblur.ops.gradients import enhanced_gradient, laplacian
from tfdeblur.ops.ranges import to_uint8
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


def gradient_maps(net, blurred):
    """The gradient map that the EGN takes, beside the plain Laplacian (the paper's Fig. 7).

    Args:
      net: an `EgNet`; its weights do not matter.
      blurred: float32 [H, W, 3] in [0, 1], any size.

    Returns:
      ([(caption, uint8 [H, W, 3])]: blurred, absolute value of the Laplacian, Eq. 15, each map of each channel from 0,
      black, to the map's largest value, white; a line with how much of each map is to be seen).
    """
    height, width = blurred.shape[:2]
    images = pad_to_multiple(tf.constant(blurred)[None], net.size_multiple)
    maps = {"|Laplacian|": tf.abs(laplacian(images)), "enhanced gradient (Eq. 15)": enhanced_gradient(images)}
    pictures, shares = [("blurred", blurred)], []
    for name, values in maps.items():
        values = values[0, :height, :width]
        largest = float(tf.reduce_max(values))
        pictures.append((f"{name}, white = {largest:.3g}", values / max(largest, 1e-12)))
        above = float(tf.reduce_mean(tf.cast(values > 0.1 * largest, tf.float32)))
        shares.append(f"{above:.1%} of the {name}")
    return (
        [(caption, to_uint8(image).numpy()) for caption, image in pictures],
        f"brighter than a tenth of white: {', '.join(shares)}",
    )


# Pictures of a network's inside that `tfdeblur deblur` draws: flag -> function as `gradient_maps`.
FIGURES = {"enhanced_gradient": gradient_maps}

"""How the structures-guided GAN is built and trained; see systems/madn/system.py for the face of every system's module.

Critic, trainer and optimisers are DeblurGAN's.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.ops.gradients import sobel_components, sobel_magnitude
from tfdeblur.systems.deblurgan import system as deblurgan
from tfdeblur.systems.deblurgan.system import TARGETS, discriminator_parameters
from tfdeblur.systems.structures_guided.networks import Rgcl, StructuresGuided
from tfdeblur.systems.structures_guided.objective import StructuresGuidedObjective
from tfdeblur.training import wgan

__all__ = [
    "PAPER",
    "SETTINGS",
    "TARGETS",
    "build",
    "build_from",
    "discriminator_parameters",
    "figure",
    "make_trainer",
    "parts",
    "samples_per_step",
]

_NETWORK = ("enc_widths", "grad_channels", "num_blocks", "recurrences", "mbrb_mode", "learn_residual", "without")
SETTINGS = (*_NETWORK, "alpha", "beta", "gamma", *deblurgan.WGAN_SETTINGS)

PAPER = {
    "parameters": "not stated",
    "macs": "446.98 G at 1280x720, called FLOPs (Table 3)",
    "gopro_psnr": 29.2252,
    "gopro_ssim": 0.8714,
    "kohler_psnr": 21.3728,
    "kohler_ssim": 0.6602,
    "protocol": "not stated; Köhler without alignment, by its numbers",
}


def build(**arguments):
    """`StructuresGuided(**arguments)` with its weights made."""
    return deblurgan.with_weights(StructuresGuided(**arguments))


def build_from(config):
    """The generator of a configuration."""
    return build(**{name: getattr(config, name) for name in _NETWORK})


def parts(net):
    """name -> layer: the parts that the paper names."""
    return {"gradient_net": net.gradient_net} if net.gradient_net is not None else {}


def samples_per_step(config):
    """Pairs that a training step takes."""
    updates = config.critic_updates if config.gamma else 0
    return wgan.samples_per_step(config.batch_size, updates, config.critic_batches)


def make_trainer(config):
    """Networks, objective and optimisers of a configuration (section 4.2 of the paper)."""
    weights = {name: config[name] for name in ("alpha", "beta", "gamma")}
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise DeblurError(f"--config.{name}={weight}: must be a number from 0")
    if not any(weights.values()):
        raise DeblurError("--config.alpha, beta and gamma are all 0: nothing would be learnt")
    objective = StructuresGuidedObjective(
        # VGG19's weights are needed for the content loss alone.
        features=deblurgan.vgg_features(config) if config.alpha else None,
        **weights,
        lambda_gp=config.lambda_gp,
        gp_mode=config.gp_mode,
    )
    return deblurgan.make_wgan_trainer(config, build_from(config), objective, adversarial=bool(config.gamma))


def figure(net, blurred_01, which):
    """The paper's Fig. 4: what one RGCL answers, beside Sobel.

    Args:
      net: a `StructuresGuided`.
      blurred_01: float32 [1, H, W, 3] in [0, 1], H and W multiples of the network's.
      which: "BLOCK.PATH", counted from 1: "10.3" is the third RGCL of the tenth MBRB.

    Returns:
      [(caption, float32 [H, W, 3] in [0, 1])]: horizontal, vertical and joint response of the RGCL, the mean of the
      channels' absolute values, enlarged by 4; then Sobel's of the blurred image. Each runs from its smallest value,
      black, to its largest, white.

    Raises:
      DeblurError: no such RGCL.
    """
    rgcls = {}
    if net.gradient_net is not None:
        for b, block in enumerate(net.gradient_net.blocks):
            rgcls |= {f"{b + 1}.{p + 1}": (b, p) for p, path in enumerate(block.paths) if isinstance(path, Rgcl)}
    if which not in rgcls:
        there = f"{next(iter(rgcls))} to {list(rgcls)[-1]}" if rgcls else "none"
        raise DeblurError(f"RGCL {which}: give BLOCK.PATH; this network has {there}")
    responses = [tf.repeat(tf.repeat(r, 4, axis=1), 4, axis=2) for r in net.rgcl_responses(blurred_01, *rgcls[which])]
    sobel = [*sobel_components(blurred_01), sobel_magnitude(blurred_01)]
    captions = [
        f"{name}: {kind}" for name in (f"RGCL {which}", "Sobel") for kind in ("horizontal", "vertical", "joint")
    ]
    return [(caption, _grey(values)) for caption, values in zip(captions, responses + sobel, strict=True)]


def _grey(values):
    """[1, H, W, C] -> [H, W, 3] in [0, 1]: mean of the absolute values over the channels, stretched."""
    grey = tf.reduce_mean(tf.abs(tf.cast(values[0], tf.float32)), axis=-1, keepdims=True)
    low, high = tf.reduce_min(grey), tf.reduce_max(grey)
    return tf.repeat((grey - low) / tf.maximum(high - low, 1e-12), 3, axis=-1).numpy()

"""How the structures-guided GAN is built and trained; see systems/madn/system.py for the face of every system's module.

Critic, trainer and optimisers are DeblurGAN's.
"""

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.ops.geometry import pad_to_multiple
from tfdeblur.ops.gradients import sobel_components, sobel_magnitude
from tfdeblur.ops.ranges import to_uint8
from tfdeblur.systems.deblurgan import system as deblurgan
from tfdeblur.systems.deblurgan.system import TARGETS, discriminator_parameters
from tfdeblur.systems.structures_guided.networks import Rgcl, StructuresGuided
from tfdeblur.systems.structures_guided.objective import StructuresGuidedObjective
from tfdeblur.training.supervised import SupervisedTrainer

__all__ = [
    "FIGURES",
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
    return deblurgan.samples_per_step(config) if config.gamma else config.batch_size


def make_trainer(config):
    """Networks, objective and optimisers of a configuration (section 4.2 of the paper)."""
    weights = {name: config[name] for name in ("alpha", "beta", "gamma")}
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise DeblurError(f"--config.{name}={weight}: must be a number from 0")
    if not any(weights.values()):
        raise DeblurError("--config.alpha, beta and gamma are all 0: nothing would be learnt")
    generator = build_from(config)
    deblurgan.check(config, generator)
    # VGG19's weights are needed for the content loss alone.
    features = deblurgan.vgg_features(config) if config.alpha else None
    objective = StructuresGuidedObjective(features, **weights, lambda_gp=config.lambda_gp, gp_mode=config.gp_mode)
    if config.gamma:
        return deblurgan.make_wgan_trainer(config, generator, objective)
    return SupervisedTrainer(
        generator=generator,
        objective=objective,
        generator_optimizer=deblurgan.adam(config),
        global_batch_size=config.batch_size,
    )


def rgcl(net, blurred, which):
    """What one RGCL answers, beside Sobel (the paper's Fig. 4).

    Args:
      net: a `StructuresGuided`.
      blurred: float32 [H, W, 3] in [0, 1], any size.
      which: "BLOCK.PATH", counted from 1: "10.3" is the third RGCL of the tenth MBRB.

    Returns:
      ([(caption, uint8 [H, W, 3])]: the blurred image, the RGCL's horizontal, vertical and joint response, the restored
      image, Sobel's responses to the blurred one; a line with how far both agree, padding left out). A response is
      the mean of the absolute values over the channels, from its smallest value, black, to its largest, white, both in
      the caption; RGCL's are enlarged by 4.

    Raises:
      DeblurError: no such RGCL.
    """
    block, path = _find_rgcl(net, which)
    height, width = blurred.shape[:2]
    images = pad_to_multiple(tf.constant(blurred)[None], net.size_multiple)
    restored = net(images)["restored"][0, :height, :width]
    ours = [_strength(response) for response in net.rgcl_responses(images, block, path)]
    sobel = [_strength(response) for response in (*sobel_components(images), sobel_magnitude(images))]
    kinds = ("horizontal", "vertical", "joint")
    pictures = [("blurred", to_uint8(blurred).numpy())]
    for kind, strength in zip(kinds, ours, strict=True):
        enlarged = np.repeat(np.repeat(strength, 4, axis=0), 4, axis=1)
        pictures.append(_grey(f"RGCL {which}, {kind}", enlarged[:height, :width]))
    pictures.append(("restored", to_uint8(restored).numpy()))
    for kind, strength in zip(kinds, sobel, strict=True):
        pictures.append(_grey(f"Sobel, {kind}", strength[:height, :width]))
    agreement = []
    rows, columns = max(height // 4, 1), max(width // 4, 1)  # that lie in the image whole
    for kind, one, other in zip(kinds, ours, sobel, strict=True):
        means = other.reshape(one.shape[0], 4, one.shape[1], 4).mean(axis=(1, 3))
        agreement.append(f"{kind} {_correlation(one[:rows, :columns], means[:rows, :columns]):.2f}")
    return pictures, f"correlation of RGCL {which} with Sobel's 4x4 means: {', '.join(agreement)}"


# Pictures of a network's inside that `tfdeblur deblur` draws: flag -> function as `rgcl`.
FIGURES = {"rgcl": rgcl}


def _find_rgcl(net, which):
    """(block, path), counted from 0."""
    there = {}
    if net.gradient_net is not None:
        for b, block in enumerate(net.gradient_net.blocks):
            there |= {f"{b + 1}.{p + 1}": (b, p) for p, path in enumerate(block.paths) if isinstance(path, Rgcl)}
    if which not in there:
        names = list(there)
        has = f"{names[0]} to {names[-1]}" if names else "none"
        raise DeblurError(f"--rgcl={which}: no such RGCL; name BLOCK.PATH, of which this network has {has}")
    return there[which]


def _strength(response):
    """[1, H, W, C] -> float64 [H, W]: the mean of the absolute values over the channels."""
    return np.abs(response.numpy()[0].astype(np.float64)).mean(axis=-1)


def _grey(name, strength):
    """(caption with the range, uint8 [H, W, 3]) of [H, W], stretched from black to white."""
    low, high = strength.min(), strength.max()
    levels = to_uint8((strength - low) / max(high - low, 1e-12)).numpy()
    return f"{name} {low:.3g} .. {high:.3g}", np.repeat(levels[..., None], 3, axis=-1)


def _correlation(one, other):
    """Pearson's; 0 where either is the same everywhere."""
    one, other = one - one.mean(), other - other.mean()
    return (one * other).sum() / max(np.sqrt((one**2).sum() * (other**2).sum()), 1e-12)

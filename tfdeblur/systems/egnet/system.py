"""How EGNet is built and trained, in two stages; see systems/madn/system.py for the face of every system's module."""

import os

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.losses.structure import LEVEL_WEIGHTS, smallest_side
from tfdeblur.ops.geometry import pad_to_multiple
from tfdeblur.ops.gradients import enhanced_gradient, laplacian
from tfdeblur.ops.ranges import to_uint8
from tfdeblur.systems.egnet.networks import EgNet
from tfdeblur.systems.egnet.objective import EgNetObjective
from tfdeblur.systems.mprnet import system as mprnet
from tfdeblur.training import checkpoints
from tfdeblur.training.supervised import SupervisedTrainer

ARGUMENTS = (
    *mprnet.ARGUMENTS,
    *("egn_width", "num_egms", "egn_input", "input_std", "attention", "pa_residual"),
)
LOSS = ("alpha", "beta", "gamma", "ms_ssim_levels", "eq16_literal")
SETTINGS = (*ARGUMENTS, "stage", "base", *LOSS, *mprnet.RATE)

# What is trained (section 4.2): first "base", the MPRNet alone; then "egn", the EGNs in it, the base frozen. Not in
# the paper: "all" at once.
STAGES = ("base", "egn", "all")

TARGETS = mprnet.TARGETS

PAPER = {
    "parameters": "26.60 million",
    "gopro_psnr": 32.92,  # Table 4; Table 1's 33.00 is with the self-ensemble
    "gopro_ssim": 0.961,
    "protocol": "not stated",
}


def build(**arguments):
    """`EgNet(**arguments)` with its weights made."""
    net = EgNet(**arguments)
    net(tf.zeros([1, net.size_multiple, net.size_multiple, 3]))
    return net


def build_from(config):
    """The network of a configuration: in stage "base" an `MprNet`."""
    if config.stage == "base":
        return mprnet.build_from(config)
    return build(**{name: getattr(config, name) for name in ARGUMENTS})


def parts(net):
    """name -> layer: MPRNet, and the enhanced gradient network of each of its stages."""
    return {"base": net.base, "egn1": net.egn1, "egn2": net.egn2}


def discriminator_parameters():
    """{}: there is none."""
    return {}


def samples_per_step(config):
    """Pairs that a training step takes."""
    return config.batch_size


def make_trainer(config):
    """Network, objective and optimiser of a configuration (section 4.2); the base is filled where it is named."""
    mprnet.check(config)
    if config.stage not in STAGES:
        raise DeblurError(f"--config.stage={config.stage}: choose {', '.join(STAGES)}")
    net = build_from(config)
    base = net if config.stage == "base" else net.base
    fill_base(base, config.base)
    base.trainable = config.stage != "egn"
    return SupervisedTrainer(
        generator=net,
        objective=make_objective(config),
        generator_optimizer=mprnet.adam(config),
        global_batch_size=config.batch_size,
    )


def make_objective(config, **others):
    """`EgNetObjective` of a configuration, an heir's, too, and of other arguments."""
    weights = {name: config[name] for name in ("alpha", "beta", "gamma")}
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise DeblurError(f"--config.{name}={weight}: must be a number from 0")
    if not any(weights.values()):
        raise DeblurError("--config.alpha, beta and gamma are all 0: nothing would be learnt")
    if config.gamma:
        levels = config.ms_ssim_levels
        if not 1 <= levels <= len(LEVEL_WEIGHTS):
            raise DeblurError(f"--config.ms_ssim_levels={levels}: choose 1 to {len(LEVEL_WEIGHTS)}")
        if config.crop < smallest_side(levels):
            raise DeblurError(
                f"--config.crop={config.crop}: MS-SSIM of {levels} levels needs {smallest_side(levels)} pixels; "
                "lower --config.ms_ssim_levels"
            )
    return EgNetObjective(**{name: config[name] for name in LOSS}, **others)


def fill_base(base, where):
    """Gives an MPRNet, or an EGNet, the weights that `where` names.

    Args:
      base: `MprNet` or `EgNet`.
      where: work directory or checkpoint of mprnet or egnet, or imported weights; of an EGNet an MPRNet takes what is
        its own. "random" keeps the weights as they are.

    Raises:
      DeblurError: "", so that nobody freezes random weights unawares; weights of another system or size, or none.
    """
    if where == "random":
        return
    wanted, names = ("EGNet", ARGUMENTS) if isinstance(base, EgNet) else ("MPRNet", mprnet.ARGUMENTS)
    if not where:
        raise DeblurError(
            f"--config.base: name the {wanted} to start from: a run of egnet or mprnet, or a folder of import-weights; "
            "or say 'random'"
        )
    if os.path.exists(os.path.join(where, "saved_model.pb")):
        raise DeblurError(f"--config.base={where}: that is an export; name the run or the import that it was made from")
    try:
        metadata, path = checkpoints.read(where)
    except DeblurError as error:
        raise DeblurError(f"--config.base={error}") from error
    config = metadata["config"]
    if config["system"] not in ("mprnet", "egnet"):
        raise DeblurError(f"--config.base={where}: a network of {config['system']}, not an {wanted}")
    found = "EGNet" if config["system"] == "egnet" and config["stage"] != "base" else "MPRNet"
    if (wanted, found) == ("EGNet", "MPRNet"):
        raise DeblurError(f"--config.base={where}: an MPRNet without EGNs; add --config.base_system=mprnet")
    different = [f"{name}={config[name]}" for name in names if config[name] != getattr(base, name)]
    if different:
        raise DeblurError(
            f"--config.base={where}: an {wanted} of {', '.join(different)}; give the same --config.* here"
        )
    checkpoints.restore_generator(base, path, part="base" if found != wanted else None)


def gradient_maps(net, blurred):
    """The gradient map that the EGN takes, beside the plain Laplacian (the paper's Fig. 7).

    Args:
      net: an `EgNet`; its weights do not matter.
      blurred: float32 [H, W, 3] in [0, 1], any size.

    Returns:
      ([(caption, uint8 [H, W, 3])]: blurred, absolute value of the Laplacian, Eq. 15, each map of each channel from 0,
      black, to what 99.5 % of the map's values do not exceed, white; a line with how much of each map lies above a
      tenth of its largest value).
    """
    height, width = blurred.shape[:2]
    images = pad_to_multiple(tf.constant(blurred)[None], net.size_multiple)
    maps = {"|Laplacian|": tf.abs(laplacian(images)), "enhanced gradient (Eq. 15)": enhanced_gradient(images)}
    pictures, shares = [("blurred", blurred)], []
    for name, values in maps.items():
        values = values[0, :height, :width].numpy()
        white = np.quantile(values, 0.995)  # a few pixels are many times brighter than all edges
        pictures.append((f"{name}, white = {white:.3g}", values / max(white, 1e-12)))
        shares.append(f"{np.mean(values > 0.1 * values.max()):.1%} of the {name}")
    return (
        [(caption, to_uint8(image).numpy()) for caption, image in pictures],
        f"above a tenth of the largest value: {', '.join(shares)}",
    )


# Pictures of a network's inside that `tfdeblur deblur` draws: flag -> function as `gradient_maps`.
FIGURES = {"enhanced_gradient": gradient_maps}

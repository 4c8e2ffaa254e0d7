"""How the Two-Way network is built and trained; see systems/madn/system.py for the face of every system's module."""

import numpy as np

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.ops.geometry import pad_to_multiple
from tfdeblur.ops.gradients import sobel_magnitude
from tfdeblur.ops.ranges import to_uint8
from tfdeblur.systems.two_way.networks import NUM_SCALES, TwoWay, size_multiple
from tfdeblur.systems.two_way.objective import PIXEL_ERRORS, TwoWayObjective
from tfdeblur.training.supervised import SupervisedTrainer

_ARGUMENTS = (
    *("widths", "num_res_blocks", "decoder_order", "down_branch"),
    *("stop_gradient_between_scales", "global_residual"),
)
_ADDED = {"num_egms": 0, "half_resolution": False}  # arguments that earlier checkpoints do not name
SETTINGS = (*_ARGUMENTS, *_ADDED, "scale_weights", "pixel_error", "learning_rate", "decay_power", "grad_clip_mode")

TARGETS = {"scales": NUM_SCALES, "resize": "bilinear"}

PAPER = {
    "parameters": "not stated",
    "gopro_psnr": 30.56,
    "gopro_ssim": 0.933,
    "protocol": "not stated",
}


def build(**arguments):
    """`TwoWay(**arguments)` with its weights made."""
    net = TwoWay(**arguments)
    net(tf.zeros([1, net.size_multiple, net.size_multiple, 3]))
    return net


def build_from(config):
    """The network of a configuration."""
    arguments = {name: getattr(config, name) for name in _ARGUMENTS}
    arguments |= {name: getattr(config, name, before) for name, before in _ADDED.items()}
    return build(**{**arguments, "widths": tuple(config.widths)})


def parts(net):
    """name -> layer: both decoders, and the enhanced gradient network where there is one."""
    layers = {"up": net.up, "down": net.down, "egn": net.egn}
    return {name: layer for name, layer in layers.items() if layer is not None}


def branches(net, blurred):
    """What each decoder restores (the paper's Fig. 3).

    Args:
      net: a `TwoWay` with both decoders.
      blurred: float32 [H, W, 3] in [0, 1], any size.

    Returns:
      ([(caption, uint8 [H, W, 3])]: blurred, upper, lower and summed result; a line with `edge_share`). The lower
      result, which may have any sign, is shown around grey, scaled to its largest value.
    """
    if net.down is None:
        raise DeblurError("this network has no lower decoder (down_branch=False)")
    height, width = blurred.shape[:2]
    outputs = net(pad_to_multiple(tf.constant(blurred)[None], net.size_multiple))
    up, down, restored = (outputs[name][0, :height, :width] for name in ("up", "down", "restored"))
    largest = float(tf.reduce_max(tf.abs(down)))
    centred = 0.5 + 0.5 * down / max(largest, 1e-12)
    pictures = [
        ("blurred", blurred),
        ("upper decoder", up),
        (f"lower decoder, grey = 0, white = {largest:.3g}", centred),
        ("restored = upper + lower", restored),
    ]
    share = edge_share(down.numpy(), restored.numpy())
    return (
        [(caption, to_uint8(image).numpy()) for caption, image in pictures],
        "no edges, or nothing from the lower decoder, to tell by"
        if share is None
        else f"mean |lower| on the tenth with the strongest edges is {share:.2f} times that elsewhere",
    )


def edge_share(down, restored):
    """mean |down| on the tenth of the pixels with the strongest Sobel response of `restored` over the mean elsewhere.

    Above 1 the lower decoder carries edges, as the paper says. Arguments: float32 [H, W, 3]; the responses of the
    three channels are averaged, and so is |down|. None where there is nothing to tell by: fewer than two pixels along
    a side, the same response everywhere, or a `down` of zeros.
    """
    if min(restored.shape[:2]) < 2 or not down.any():
        return None
    response = tf.reduce_mean(sobel_magnitude(restored[None]), axis=-1).numpy().ravel()
    if np.ptp(response) < 1e-6:
        return None
    order = np.argsort(response, kind="stable")
    strongest = max(response.size // 10, 1)
    size = np.abs(down).mean(axis=-1).ravel()[order]
    return float(size[-strongest:].mean() / max(size[:-strongest].mean(), 1e-12))


# Pictures of a network's inside that `tfdeblur deblur` draws: flag -> function as `branches`.
FIGURES = {"branches": branches}


def discriminator_parameters():
    """{}: there is none."""
    return {}


def samples_per_step(config):
    """Pairs that a training step takes."""
    return config.batch_size


def make_trainer(config):
    """Network, objective and optimiser of a configuration (section 4 of the paper)."""
    multiple = size_multiple(config.half_resolution)
    if config.crop % multiple:
        raise DeblurError(f"--config.crop={config.crop}: must be a multiple of {multiple}")
    if len(config.scale_weights) != NUM_SCALES or not min(config.scale_weights) >= 0 < max(config.scale_weights):
        raise DeblurError(
            f"--config.scale_weights={tuple(config.scale_weights)}: need {NUM_SCALES}, none below 0, one above"
        )
    if config.pixel_error not in PIXEL_ERRORS:
        raise DeblurError(f"--config.pixel_error={config.pixel_error}: choose {', '.join(PIXEL_ERRORS)}")
    # Deviation: "exponentially decayed to 0 using power 0.3" is a polynomial; an exponential has no power.
    schedule = tf.keras.optimizers.schedules.PolynomialDecay(
        config.learning_rate, decay_steps=config.steps, end_learning_rate=0.0, power=config.decay_power
    )
    return SupervisedTrainer(
        generator=build_from(config),
        objective=TwoWayObjective(tuple(config.scale_weights), config.pixel_error),
        generator_optimizer=tf.keras.optimizers.Adam(
            schedule, beta_1=0.9, beta_2=0.999, epsilon=1e-8, jit_compile=False
        ),
        global_batch_size=config.batch_size,
        clip_mode=config.grad_clip_mode,
    )

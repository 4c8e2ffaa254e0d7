"""How MPRNet is built and trained, and what `tfdeblur import-weights` has to know of its published weights.

See systems/madn/system.py for the face that every system's module has.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.systems.mprnet.networks import MprNet
from tfdeblur.systems.mprnet.objective import MprNetObjective
from tfdeblur.systems.mprnet.torch_names import fill, torch_shapes
from tfdeblur.training.schedules import WarmUpThenCosine
from tfdeblur.training.supervised import SupervisedTrainer

ARGUMENTS = ("width", "width_step", "orsnet_step", "num_cabs", "reduction")
RATE = ("learning_rate", "warm_up_steps", "end_learning_rate")
SETTINGS = (*ARGUMENTS, "lambda_edge", *RATE)

TARGETS = {"scales": 1}

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


def samples_per_step(config):
    """Pairs that a training step takes."""
    return config.batch_size


def make_trainer(config):
    """Network, objective and optimiser of a configuration, as in the authors' code."""
    check(config)
    return SupervisedTrainer(
        generator=build_from(config),
        objective=MprNetObjective(config.lambda_edge),
        generator_optimizer=adam(config),
        global_batch_size=config.batch_size,
    )


def check(config):
    """DeblurError for settings that cannot work; an heir's, too."""
    if config.crop % MprNet.size_multiple:
        raise DeblurError(f"--config.crop={config.crop}: must be a multiple of {MprNet.size_multiple}")
    if not 0 <= config.warm_up_steps < config.steps:
        raise DeblurError(f"--config.warm_up_steps={config.warm_up_steps}: must lie in 0 .. {config.steps - 1}")


def adam(config):
    """The optimiser: a linear rise from 0, then half a cosine to `end_learning_rate` at the last step."""
    schedule = WarmUpThenCosine(config.learning_rate, config.warm_up_steps, config.steps, config.end_learning_rate)
    return tf.keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.999, epsilon=1e-8, jit_compile=False)

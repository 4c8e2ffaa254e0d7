"""How MADN is built and trained. The face that every system's module has:

build(**arguments), build_from(config), make_trainer(config), samples_per_step(config), parts(net),
discriminator_parameters(), and the constants SETTINGS, TARGETS and PAPER.
"""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.systems.madn.networks import NUM_SCALES, Discriminator, Madn
from tfdeblur.systems.madn.objective import MadnObjective
from tfdeblur.training.gan import GanTrainer

# What a configuration must hold beside what every training needs (runner.SETTINGS).
SETTINGS = (
    *("widths", "num_res_blocks", "global_residual", "stop_gradient_between_scales"),
    *("discriminator_widths", "discriminator_dense_units"),
    *("lambda_adv", "alpha", "phi1", "phi2", "beta1", "beta2", "use_adv", "use_grad_content", "use_grad_adv"),
    *("generator_learning_rate", "discriminator_learning_rate", "decay_power", "grad_clip_mode"),
)

# What the objective asks of the data pipeline, beside the pair.
TARGETS = {"scales": NUM_SCALES, "gradient": True}

# What the paper says of itself (Table 4, conclusion), for `tfdeblur info`.
PAPER = {
    "parameters": "more than 29 million",
    "gopro_psnr": 30.18,
    "gopro_ssim": 0.9312,
    "protocol": "random 256x256 crops, library not stated",
}


def build(**arguments):
    """`Madn(**arguments)` with its weights made."""
    net = Madn(**arguments)
    net(tf.zeros([1, net.size_multiple, net.size_multiple, 3]))
    return net


def build_from(config):
    """The generator of a configuration."""
    return build(
        widths=tuple(config.widths),
        num_res_blocks=config.num_res_blocks,
        global_residual=config.global_residual,
        stop_gradient_between_scales=config.stop_gradient_between_scales,
    )


def build_discriminator(crop=256, **arguments):
    """`Discriminator(crop, **arguments)` with its weights made."""
    discriminator = Discriminator(crop, **arguments)
    discriminator(tf.zeros([1, crop, crop, 3]))
    return discriminator


def parts(net):
    """name -> layer: the parts that the paper names."""
    return {
        "scale_network": net.scale_network,
        "gradient_network": net.gradient_network,
        "fusion": net.fusion,
    }


def samples_per_step(config):
    """Pairs that a training step takes."""
    return config.batch_size


def make_trainer(config):
    """Networks, objective and optimisers of a configuration (section 5.1 of the paper)."""
    objective = MadnObjective(
        lambda_adv=config.lambda_adv,
        alpha=config.alpha,
        phi1=config.phi1,
        phi2=config.phi2,
        beta1=config.beta1,
        beta2=config.beta2,
        use_adv=config.use_adv,
        use_grad_content=config.use_grad_content,
        use_grad_adv=config.use_grad_adv,
    )
    multiple = Discriminator.crop_multiple if objective.uses_discriminator else Madn.size_multiple
    if config.crop % multiple:
        raise DeblurError(f"--config.crop={config.crop}: must be a multiple of {multiple}")
    discriminator = None
    if objective.uses_discriminator:
        discriminator = build_discriminator(
            config.crop,
            widths=tuple(config.discriminator_widths),
            dense_units=config.discriminator_dense_units,
        )
    return GanTrainer(
        generator=build_from(config),
        discriminator=discriminator,
        objective=objective,
        generator_optimizer=_adam(config.generator_learning_rate, config),
        discriminator_optimizer=_adam(config.discriminator_learning_rate, config),
        global_batch_size=config.batch_size,
        clip_mode=config.grad_clip_mode,
    )


def _adam(learning_rate, config):
    # Deviation: the power is not in the paper; 0.3 is that of SRN, which the network builds on.
    schedule = tf.keras.optimizers.schedules.PolynomialDecay(
        learning_rate, decay_steps=config.steps, end_learning_rate=0.0, power=config.decay_power
    )
    return tf.keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.999, epsilon=1e-8, jit_compile=False)


def discriminator_parameters():
    """{"discriminator": n} at the paper's crop of 256."""
    return {"discriminator": build_discriminator().count_params()}

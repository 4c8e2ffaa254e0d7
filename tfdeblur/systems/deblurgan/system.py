"""How DeblurGAN is built and trained; see systems/madn/system.py for the face that every system's module has."""

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.patch_critic import PatchCritic
from tfdeblur.layers.vgg import VggFeatures
from tfdeblur.losses.adversarial import GP_MODES
from tfdeblur.systems.deblurgan.networks import DeblurGan
from tfdeblur.systems.deblurgan.objective import DeblurGanObjective
from tfdeblur.training import wgan
from tfdeblur.training.schedules import ConstantThenLinear

# What the configurations of its heirs hold, too.
WGAN_SETTINGS = (
    *("discriminator_width", "lambda_gp", "gp_mode"),
    *("critic_updates", "critic_batches"),
    *("vgg_layer", "vgg_activated", "vgg_weights", "vgg_feature_scale"),
    *("learning_rate", "constant_steps", "adam_beta1", "adam_beta2"),
)
# Everything but the generator.
TRAINING_SETTINGS = ("lambda_content", *WGAN_SETTINGS)
SETTINGS = ("width", "num_res_blocks", *TRAINING_SETTINGS)

TARGETS = {"scales": 1, "gradient": False}

PAPER = {
    "parameters": "6.1 million in later tables, which count a slip in the released code",
    "gopro_psnr": 28.7,
    "gopro_ssim": 0.958,
    "protocol": "not stated",
}


def build(**arguments):
    """`DeblurGan(**arguments)` with its weights made."""
    return with_weights(DeblurGan(**arguments))


def with_weights(net):
    net(tf.zeros([1, net.size_multiple, net.size_multiple, 3]))
    return net


def build_from(config):
    """The generator of a configuration."""
    return build(width=config.width, num_res_blocks=config.num_res_blocks)


def parts(net):
    """name -> layer: nothing in the paper has a count of its own."""
    del net
    return {}


def discriminator_parameters():
    """{"discriminator": n}."""
    return {"discriminator": _critic(64).count_params()}


def make_trainer(config):
    """Networks, objective and optimisers of a configuration."""
    return make_deblurgan_trainer(config, build_from(config))


def samples_per_step(config):
    """Pairs that a training step takes."""
    return wgan.samples_per_step(config.batch_size, config.critic_updates, config.critic_batches)


def make_deblurgan_trainer(config, generator):
    """The trainer of a generator under DeblurGAN's losses; an heir's generator, too."""
    check(config, generator)
    objective = DeblurGanObjective(vgg_features(config), config.lambda_content, config.lambda_gp, config.gp_mode)
    return make_wgan_trainer(config, generator, objective)


def vgg_features(config):
    """The features of the content loss."""
    return VggFeatures(config.vgg_layer, config.vgg_activated, config.vgg_weights, config.vgg_feature_scale)


def make_wgan_trainer(config, generator, objective):
    """The trainer of a generator and DeblurGAN's critic under an objective as `WganTrainer` asks for."""
    return wgan.WganTrainer(
        generator=generator,
        discriminator=_critic(config.discriminator_width),
        objective=objective,
        generator_optimizer=adam(config),
        discriminator_optimizer=adam(config, config.critic_updates),
        global_batch_size=config.batch_size,
        clip_mode="none",
        critic_updates=config.critic_updates,
        critic_batches=config.critic_batches,
        seed=config.seed,
        one_mix=config.gp_mode == "deblurgan",
    )


def check(config, generator):
    """DeblurError for settings that cannot work, before VGG19's weights are looked for."""
    for key, valid in (("gp_mode", GP_MODES), ("critic_batches", wgan.CRITIC_BATCHES)):
        if config[key] not in valid:
            raise DeblurError(f"--config.{key}={config[key]}: choose {', '.join(valid)}")
    if config.critic_updates < 1:
        raise DeblurError(f"--config.critic_updates={config.critic_updates}: must be at least 1")
    smallest = max(16, generator.size_multiple)
    if config.crop % generator.size_multiple or config.crop < smallest:
        raise DeblurError(
            f"--config.crop={config.crop}: must be a multiple of {generator.size_multiple}, from {smallest}"
        )


def _critic(width):
    critic = PatchCritic(width)
    critic(tf.zeros([1, 64, 64, 3]))
    return critic


def adam(config, updates=1):
    """The optimiser of a player; updates: of this player in a training step; an optimiser counts its own."""
    schedule = ConstantThenLinear(config.learning_rate, updates * config.constant_steps, updates * config.steps)
    return tf.keras.optimizers.Adam(
        schedule, beta_1=config.adam_beta1, beta_2=config.adam_beta2, epsilon=1e-8, jit_compile=False
    )

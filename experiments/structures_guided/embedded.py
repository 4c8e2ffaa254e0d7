"""The structures-guided GAN at half width on the embedded photographs: what two cores can compare, no GoPro weights.

    tfdeblur train --config structures_guided/embedded                 --config.seed=0 --workdir runs/structures/full-0
    tfdeblur train --config structures_guided/embedded:no_gradient     --config.seed=0 --workdir ...
    tfdeblur train --config structures_guided/embedded:no_gradient_net --config.seed=0 --workdir ...

The other variants of structures_guided/gopro are there, too. What is not the paper's: half as many channels, a critic
of a quarter of the width, crops of 64, batches of two, 400 steps, a learning rate of 5e-4 that falls linearly in the
second half, flips, a global residual, an adversarial weight of 0.01 instead of 1 (with 1 a run ended at 16.7 dB: beside
the features of random weights, which are small, nothing else was heard), and a narrow family of shakes (that of
madn/demo). VGG19 has random weights
(`vgg_weights`), so that nothing needs to be downloaded: its features then compare textures at many scales, but know
nothing of objects. Results: experiments/structures_guided/README.md.
"""

import ml_collections

# What differs from the whole method.
VARIANTS = {
    "full": {},
    "no_content": {"alpha": 0.0},
    "no_gradient": {"beta": 0.0},
    "no_rgcl": {"without": "rgcl"},
    "no_mbrbs": {"without": "mbrbs"},
    "no_gradient_net": {"without": "gradient_net"},
}


def get_config(variant="full"):
    if variant not in VARIANTS:
        raise ValueError(f"structures_guided/embedded:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "structures_guided"
    config.seed = 0
    config.deterministic = True

    config.enc_widths = (32, 64, 128)
    config.grad_channels = 64
    config.num_blocks = 10
    config.recurrences = 3
    config.mbrb_mode = "split"
    config.learn_residual = True
    config.without = "nothing"

    # Critic, losses and their weights (section 3.2)
    config.discriminator_width = 16
    config.alpha = 10.0
    config.beta = 1.0
    config.gamma = 0.01
    config.lambda_gp = 10.0
    config.gp_mode = "standard"
    config.critic_updates = 5
    config.critic_batches = "same"
    config.vgg_layer = "block4_conv3"
    config.vgg_activated = True
    config.vgg_weights = "random"
    config.vgg_feature_scale = 127.5

    # Data
    config.blur_kind = "blur"
    config.crop = 64
    config.batch_size = 2
    config.augmentation = "flips"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (12.0, 20.0)
    config.shake_angle = (-20.0, 20.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Optimisation
    config.steps = 400
    config.constant_steps = 200
    config.learning_rate = 5e-4
    config.adam_beta1 = 0.5
    config.adam_beta2 = 0.999
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 200
    config.log_every = 10
    config.image_every = 200
    config.update(VARIANTS[variant])
    return config

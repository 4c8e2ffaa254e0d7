"""The structures-guided GAN as in the paper: GoPro, 150 epochs; and what Tables 4 and 5 leave out, one at a time.

    tfdeblur train --config structures_guided/gopro              --workdir runs/structures_gopro --data_dir data/gopro
    tfdeblur train --config structures_guided/gopro:no_content   ... Table 4: without the content loss
    tfdeblur train --config structures_guided/gopro:no_gradient      without the gradient loss
    tfdeblur train --config structures_guided/gopro:no_rgcl          Table 5: plain convolutions instead of RGCLs
    tfdeblur train --config structures_guided/gopro:no_mbrbs         a single path in each MBRB
    tfdeblur train --config structures_guided/gopro:no_gradient_net  no GradientNet

`critic_batches` is "same", as in DeblurGAN's code: a step is one batch of 4 pairs, five updates of the critic and one
of the generator, an epoch of 2103 pairs 525 steps. Not run here. The paper's own: 29.2252 dB, SSIM 0.8714 (protocols
not stated); the ablations' are in README.md.
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
        raise ValueError(f"structures_guided/gopro:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "structures_guided"
    config.seed = 0
    config.deterministic = False

    config.enc_widths = (64, 128, 256)
    config.grad_channels = 128
    config.num_blocks = 10
    config.recurrences = 3
    config.mbrb_mode = "split"
    config.learn_residual = False
    config.without = "nothing"

    # Critic, losses and their weights (section 3.2)
    config.discriminator_width = 64
    config.alpha = 10.0
    config.beta = 1.0
    config.gamma = 1.0
    config.lambda_gp = 10.0
    config.gp_mode = "standard"
    config.critic_updates = 5
    config.critic_batches = "same"
    config.vgg_layer = "block4_conv3"
    config.vgg_activated = True
    config.vgg_weights = "imagenet"
    config.vgg_feature_scale = 127.5

    # Data
    config.blur_kind = "blur"
    config.crop = 256
    config.batch_size = 4
    config.augmentation = "horizontal_flips"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (8.0, 28.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Optimisation
    config.steps = 78_750
    config.constant_steps = 1_000_000_000  # past any end: no schedule is stated
    config.learning_rate = 1e-4
    config.adam_beta1 = 0.5
    config.adam_beta2 = 0.999
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 1000
    config.log_every = 100
    config.image_every = 1000
    config.update(VARIANTS[variant])
    return config

"""Improved DeblurGAN as in the paper: GoPro, 400 epochs.

    tfdeblur train --config improved_deblurgan/gopro:paper  --workdir runs/improved --data_dir data/gopro
    tfdeblur train --config improved_deblurgan/gopro:stable --workdir runs/improved --data_dir data/gopro

`paper` has the learning rate as printed, 1e-3, which is unusually high for WGAN-GP; `stable` has DeblurGAN's 1e-4.
`critic_batches` is "fresh": a step takes 5 sub-batches of 4 pairs and updates the generator once, on the last of them,
so an epoch of 2103 pairs is 105 steps; with "same" (DeblurGAN's code) it is 525, and the critic sees each pair five
times. 400 epochs here are of the first kind: 42,000 updates of the generator.

Not run here. The paper's own: 27.19 dB, SSIM 0.82, DeblurGAN 26.38 dB, 0.73 (protocols not stated).
"""

import ml_collections

LEARNING_RATES = {"paper": 1e-3, "stable": 1e-4}


def get_config(preset="stable"):
    if preset not in LEARNING_RATES:
        raise ValueError(f"improved_deblurgan/gopro:{preset}: choose {', '.join(LEARNING_RATES)}")
    config = ml_collections.ConfigDict()
    config.system = "improved_deblurgan"
    config.seed = 0
    config.deterministic = False

    config.width = 64
    config.growth = 32
    config.up_kind = "asym"
    config.skip = "add"
    config.head = "conv"

    # Critic, losses and their weights (section 3.3)
    config.discriminator_width = 64
    config.lambda_content = 100.0
    config.lambda_gp = 10.0
    config.gp_mode = "standard"
    config.critic_updates = 5
    config.critic_batches = "fresh"
    config.vgg_layer = "block3_conv3"
    config.vgg_activated = False
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
    config.steps = 42_000
    config.constant_steps = 21_000
    config.learning_rate = LEARNING_RATES[preset]
    config.adam_beta1 = 0.5
    config.adam_beta2 = 0.999
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 1000
    config.log_every = 100
    config.image_every = 1000
    return config

"""Improved DeblurGAN, as `make compare` trains it beside the other four: a fair small-scale comparison and no more.

    tfdeblur train --config compare/improved_deblurgan --workdir runs/compare/improved_deblurgan

All five see the same 4,800 crops of 64 of the embedded photographs under one narrow family of shakes, in batches of
four; widths and rates are those of improved_deblurgan/embedded, all five updates of the critic on one batch. Results:
experiments/compare/README.md.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "improved_deblurgan"
    config.seed = 0
    config.deterministic = True

    config.width = 64
    config.growth = 32
    config.up_kind = "asym"
    config.skip = "add"
    config.head = "conv"

    # Critic, losses and their weights (section 3.3)
    config.discriminator_width = 16
    config.lambda_content = 100.0
    config.lambda_gp = 10.0
    config.gp_mode = "standard"
    config.critic_updates = 5
    config.critic_batches = "same"
    config.vgg_layer = "block3_conv3"
    config.vgg_activated = False
    config.vgg_weights = "random"
    config.vgg_feature_scale = 127.5

    # Data
    config.blur_kind = "blur"
    config.crop = 64
    config.batch_size = 4
    config.augmentation = "flips"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (12.0, 20.0)
    config.shake_angle = (-20.0, 20.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Optimisation
    config.steps = 1200
    config.constant_steps = 600
    config.learning_rate = 1e-4
    config.adam_beta1 = 0.5
    config.adam_beta2 = 0.999
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 200
    config.log_every = 10
    config.image_every = 200
    return config

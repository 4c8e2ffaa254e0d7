"""The structures-guided GAN, as `make compare` trains it beside the others: a fair small-scale comparison and no more.

    tfdeblur train --config compare/structures_guided --workdir runs/compare/structures_guided

All five see the same 4,800 crops of 64 of the embedded photographs under one narrow family of shakes, in batches of
four; widths and rates are those of structures_guided/embedded. Results: experiments/compare/README.md.
"""

import ml_collections


def get_config():
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
    config.learning_rate = 5e-4
    config.adam_beta1 = 0.5
    config.adam_beta2 = 0.999
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 200
    config.log_every = 10
    config.image_every = 200
    return config

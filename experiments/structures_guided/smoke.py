"""The whole training path of structures_guided in a minute on two cores: does everything run here?

    tfdeblur train --config structures_guided/smoke --workdir runs/smoke [DATA]

Narrow, 20 steps at crop 32, VGG19 with random weights: it proves the path, its weights are worth nothing.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "structures_guided"
    config.seed = 0
    config.deterministic = True

    config.enc_widths = (8, 16, 32)
    config.grad_channels = 16
    config.num_blocks = 2
    config.recurrences = 3
    config.mbrb_mode = "split"
    config.learn_residual = False
    config.without = "nothing"

    # Critic, losses and their weights (section 3.2)
    config.discriminator_width = 8
    config.alpha = 10.0
    config.beta = 1.0
    config.gamma = 1.0
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
    config.crop = 32
    config.batch_size = 2
    config.augmentation = "horizontal_flips"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (3.0, 9.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Optimisation
    config.steps = 20
    config.constant_steps = 20
    config.learning_rate = 1e-4
    config.adam_beta1 = 0.5
    config.adam_beta2 = 0.999
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 10
    config.log_every = 5
    config.image_every = 10
    return config

"""The whole generator of deblurgan on the embedded photographs: what two cores can compare, no GoPro weights.

    tfdeblur train --config deblurgan/embedded --config.seed=0 --workdir runs/embedded/deblurgan-0

VGG19 has random weights (`vgg_weights`), so that nothing needs to be downloaded: its features then compare textures at
many scales, but know nothing of objects. Results: experiments/improved_deblurgan/README.md.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "deblurgan"
    config.seed = 0
    config.deterministic = True

    config.width = 64
    config.num_res_blocks = 9

    # Critic, losses and their weights (section 3.3)
    config.discriminator_width = 16
    config.lambda_content = 100.0
    config.lambda_gp = 10.0
    config.gp_mode = "standard"
    config.critic_updates = 5
    config.critic_batches = "fresh"
    config.vgg_layer = "block3_conv3"
    config.vgg_activated = False
    config.vgg_weights = "random"
    config.vgg_feature_scale = 127.5

    # Data
    config.blur_kind = "blur"
    config.crop = 64
    config.batch_size = 1
    config.augmentation = "horizontal_flips"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (12.0, 20.0)
    config.shake_angle = (-20.0, 20.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Optimisation
    config.steps = 600
    config.constant_steps = 300
    config.learning_rate = 1e-4
    config.adam_beta1 = 0.5
    config.adam_beta2 = 0.999
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 300
    config.log_every = 10
    config.image_every = 300
    return config

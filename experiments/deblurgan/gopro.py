"""DeblurGAN as in its paper, on GoPro: 150 epochs at 1e-4 and 150 down to 0, batches of one.

    tfdeblur train --config deblurgan/gopro --workdir runs/deblurgan --data_dir data/gopro

`critic_batches` is "same", as in its code: an epoch is 2103 steps. Its code halves every frame before cropping; here
crops are of full-size frames. Not run here. Its paper's own: 28.7 dB, SSIM 0.958 (protocols not stated); Improved
DeblurGAN's paper has it at 26.38 dB, 0.73.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "deblurgan"
    config.seed = 0
    config.deterministic = False

    config.width = 64
    config.num_res_blocks = 9

    # Critic, losses and their weights (section 3.3)
    config.discriminator_width = 64
    config.lambda_content = 100.0
    config.lambda_gp = 10.0
    config.gp_mode = "standard"
    config.critic_updates = 5
    config.critic_batches = "same"
    config.vgg_layer = "block3_conv3"
    config.vgg_activated = False
    config.vgg_weights = "imagenet"
    config.vgg_feature_scale = 127.5

    # Data
    config.blur_kind = "blur"
    config.crop = 256
    config.batch_size = 1
    config.augmentation = "horizontal_flips"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (8.0, 28.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Optimisation
    config.steps = 630_900
    config.constant_steps = 315_450
    config.learning_rate = 1e-4
    config.adam_beta1 = 0.5
    config.adam_beta2 = 0.999
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 1000
    config.log_every = 100
    config.image_every = 1000
    return config

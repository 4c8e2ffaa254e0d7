"""MADN small enough for minutes on two cores: a demonstration, not a reproduction.

    tfdeblur train --config madn/demo --workdir runs/demo

What is not the paper's: narrow widths in both players, one residual block instead of four, batches of 8 crops of 64,
flips, a global residual, learning rates of 1e-3 and 1e-4 that decay linearly, an adversarial weight of 0.001 instead of
0.05 (at this size and speed 0.05 costs PSNR), 900 steps, and a narrow family of shakes: 12 to 20 pixels, within 20
degrees of horizontal. Its weights know such shakes and nothing else.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "madn"
    config.seed = 0
    config.deterministic = True

    config.widths = (8, 16, 32)
    config.num_res_blocks = 1
    config.global_residual = True
    config.stop_gradient_between_scales = False
    config.discriminator_widths = (8, 8, 16, 32, 64)
    config.discriminator_dense_units = 64

    config.blur_kind = "blur"
    config.crop = 64
    config.batch_size = 8
    config.augmentation = "flips"
    config.shake_length = (12.0, 20.0)
    config.shake_angle = (-20.0, 20.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    config.lambda_adv = 0.001
    config.alpha = 0.01
    config.phi1 = 0.5
    config.phi2 = 1.0
    config.beta1 = 0.01
    config.beta2 = 1.0
    config.use_adv = True
    config.use_grad_content = True
    config.use_grad_adv = True

    config.steps = 900
    config.generator_learning_rate = 1e-3
    config.discriminator_learning_rate = 1e-4
    config.decay_power = 1.0
    config.grad_clip_mode = "norm"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 300
    config.log_every = 20
    config.image_every = 300
    return config

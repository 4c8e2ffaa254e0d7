"""MADN's whole training path in under three minutes on two cores: does everything run here?

    tfdeblur train --config madn/smoke --workdir runs/smoke [DATA]

Narrow widths and 40 steps at crop 64: it proves the path, its weights are worth nothing.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "madn"
    config.seed = 0
    config.deterministic = True

    config.widths = (8, 16, 32)
    config.num_res_blocks = 1
    config.global_residual = False
    config.stop_gradient_between_scales = False
    config.discriminator_widths = (8, 8, 16, 32, 64)
    config.discriminator_dense_units = 64

    config.blur_kind = "blur"
    config.crop = 64
    config.batch_size = 8
    config.augmentation = "none"
    config.shake_length = (8.0, 28.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    config.lambda_adv = 0.05
    config.alpha = 0.01
    config.phi1 = 0.5
    config.phi2 = 1.0
    config.beta1 = 0.01
    config.beta2 = 1.0
    config.use_adv = True
    config.use_grad_content = True
    config.use_grad_adv = True

    config.steps = 40
    config.generator_learning_rate = 1e-4
    config.discriminator_learning_rate = 4e-4
    config.decay_power = 0.3
    config.grad_clip_mode = "norm"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 20
    config.log_every = 5
    config.image_every = 20
    return config

"""The whole training path of two_way in a minute on two cores: does everything run here?

    tfdeblur train --config two_way/smoke --workdir runs/smoke [DATA]

Narrow, 20 steps at crop 32: it proves the path, its weights are worth nothing.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "two_way"
    config.seed = 0
    config.deterministic = True

    config.widths = (8, 12, 16)
    config.num_res_blocks = 1
    config.decoder_order = "residuals_first"
    config.down_branch = True
    config.stop_gradient_between_scales = True
    config.global_residual = True
    config.num_egms = 0
    config.half_resolution = False

    # Data
    config.blur_kind = "blur"
    config.crop = 32
    config.batch_size = 2
    config.augmentation = "none"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (3.0, 9.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Eq. 2, finest scale first
    config.scale_weights = (5.0, 1.0, 1.0)
    config.pixel_error = "squared"

    # Optimisation
    config.steps = 20
    config.learning_rate = 1e-3
    config.decay_power = 0.3
    config.grad_clip_mode = "none"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 10
    config.log_every = 5
    config.image_every = 10
    return config

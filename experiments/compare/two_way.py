"""The Two-Way network, as `make compare` trains it beside the other four: a fair small-scale comparison and no more.

    tfdeblur train --config compare/two_way --workdir runs/compare/two_way

All five see the same 4,800 crops of 64 of the embedded photographs under one narrow family of shakes, in batches of
four; widths and rates are those of two_way/embedded. Results: experiments/compare/README.md.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "two_way"
    config.seed = 0
    config.deterministic = True

    config.widths = (16, 32, 64)
    config.num_res_blocks = 1
    config.decoder_order = "residuals_first"
    config.down_branch = True
    config.stop_gradient_between_scales = True
    config.global_residual = True
    config.num_egms = 0
    config.half_resolution = False

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

    # Eq. 2, finest scale first
    config.scale_weights = (5.0, 1.0, 1.0)
    config.pixel_error = "squared"

    # Optimisation
    config.steps = 1200
    config.learning_rate = 1e-3
    config.decay_power = 1.0
    config.grad_clip_mode = "none"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 200
    config.log_every = 10
    config.image_every = 200
    return config

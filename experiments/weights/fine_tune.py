"""The weights that ship, trained a little further on one kind of blur: what `make demo` does, and a start for your own.

    tfdeblur demo
    tfdeblur train --config weights/fine_tune --start_from two_way_half --workdir runs/mine --blur_dir B --sharp_dir S

The network is that of weights/two_way_half, so that its weights fit. The rate is a quarter of theirs and decays
linearly; 300 steps are a demonstration, for your own pairs take `--config.steps=5000` or more.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "two_way"
    config.seed = 0
    config.deterministic = True

    config.widths = (32, 64, 128)
    config.num_res_blocks = 3
    config.decoder_order = "residuals_first"
    config.down_branch = False
    config.stop_gradient_between_scales = True
    config.global_residual = True
    config.num_egms = 0
    config.half_resolution = True

    config.blur_kind = "blur"
    config.crop = 96
    config.batch_size = 8
    config.augmentation = "flips"
    # The demonstration's shake: one narrow family
    config.shake_length = (12.0, 20.0)
    config.shake_angle = (-20.0, 20.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Eq. 2, finest scale first
    config.scale_weights = (5.0, 1.0, 1.0)
    config.pixel_error = "absolute"

    config.steps = 300
    config.learning_rate = 1e-4
    config.decay_power = 1.0
    config.grad_clip_mode = "norm"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 100
    config.log_every = 20
    config.image_every = 300
    return config

"""The paper's ablation, small: with and without the lower decoder, on the embedded photographs.

    tfdeblur train --config two_way/embedded:both     --config.seed=0 --workdir runs/two_way/both-0
    tfdeblur train --config two_way/embedded:up_alone --config.seed=0 --workdir runs/two_way/up_alone-0

What is not the paper's: half the widths, one residual block instead of three, batches of 8 crops of 64, flips, a
global residual, 900 steps at 1e-3 that decay linearly, and a narrow family of shakes. Results:
experiments/two_way/README.md.
"""

import ml_collections

# What differs from the whole network.
VARIANTS = {"both": {}, "up_alone": {"down_branch": False}, "egn": {"num_egms": 2}}


def get_config(variant="both"):
    if variant not in VARIANTS:
        raise ValueError(f"two_way/embedded:{variant}: choose {', '.join(VARIANTS)}")
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
    config.batch_size = 8
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
    config.steps = 900
    config.learning_rate = 1e-3
    config.decay_power = 1.0
    config.grad_clip_mode = "none"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 300
    config.log_every = 10
    config.image_every = 300
    config.update(VARIANTS[variant])
    return config

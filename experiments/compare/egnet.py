"""EGNet, as `make compare` trains it beside the other four: a fair small-scale comparison and no more.

    tfdeblur train --config compare/egnet:base --workdir runs/compare/mprnet
    tfdeblur train --config compare/egnet --workdir runs/compare/egnet --config.base=runs/compare/mprnet

All five see the same 4,800 crops of 64 of the embedded photographs under one narrow family of shakes, in batches of
four; widths and rates are those of egnet/embedded, half of the crops for each of its two trainings. Results:
experiments/compare/README.md.
"""

import ml_collections

# The first training; the second one freezes its result.
VARIANTS = {"egn": {}, "base": {"stage": "base", "base": "random"}}


def get_config(variant="egn"):
    if variant not in VARIANTS:
        raise ValueError(f"compare/egnet:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "egnet"
    config.seed = 0
    config.deterministic = True

    # MPRNet
    config.width = 16
    config.width_step = 8
    config.orsnet_step = 8
    config.num_cabs = 2
    config.reduction = 4
    # The EGNs
    config.egn_width = 16
    config.num_egms = 6
    config.egn_input = "gradient"
    config.input_std = 0.02
    config.attention = True
    config.pa_residual = True

    config.stage = "egn"
    config.base = ""

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

    # Eq. 17
    config.alpha = 1.0
    config.beta = 0.05
    config.gamma = 0.1
    config.ms_ssim_levels = 3
    config.eq16_literal = False

    # Optimisation
    config.steps = 600
    config.learning_rate = 2e-3
    config.warm_up_steps = 20
    config.end_learning_rate = 1e-6
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 200
    config.log_every = 10
    config.image_every = 200
    config.update(VARIANTS[variant])
    return config

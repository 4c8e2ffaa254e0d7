"""The whole training path of egnet in a minute on two cores: does everything run here?

    tfdeblur train --config egnet/smoke:base --workdir runs/smoke_base [DATA]
    tfdeblur train --config egnet/smoke:egn --config.base=runs/smoke_base --workdir runs/smoke [DATA]

Narrow, 20 steps at crop 32: it proves the path, its weights are worth nothing. Without `:base` or `:egn` everything is
trained at once.
"""

import ml_collections

STAGES = {"all": "random", "base": "random", "egn": ""}  # -> where the base comes from


def get_config(stage="all"):
    if stage not in STAGES:
        raise ValueError(f"egnet/smoke:{stage}: choose {', '.join(STAGES)}")
    config = ml_collections.ConfigDict()
    config.system = "egnet"
    config.seed = 0
    config.deterministic = True

    # MPRNet
    config.width = 8
    config.width_step = 4
    config.orsnet_step = 4
    config.num_cabs = 2
    config.reduction = 4
    # The EGNs
    config.egn_width = 8
    config.num_egms = 2
    config.egn_input = "gradient"
    config.input_std = 0.02
    config.attention = True
    config.pa_residual = True

    config.stage = stage
    config.base = STAGES[stage]

    # Data
    config.blur_kind = "blur"
    config.crop = 32
    config.batch_size = 2
    config.augmentation = "flips"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (3.0, 9.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Eq. 17
    config.alpha = 1.0
    config.beta = 0.05
    config.gamma = 0.1
    config.ms_ssim_levels = 2
    config.eq16_literal = False

    # Optimisation
    config.steps = 20
    config.learning_rate = 1e-3
    config.warm_up_steps = 0
    config.end_learning_rate = 1e-6
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 10
    config.log_every = 5
    config.image_every = 10
    return config

"""The self-ensemble on top of the small EGNet of embedded.py, on the embedded photographs.

    tfdeblur train --config egnet/ensemble_embedded --config.seed=0 --config.base=runs/egnet/egn-0 \\
        --workdir runs/egnet/ensemble-0
    tfdeblur train --config egnet/ensemble_embedded:mean --config.seed=0 --config.base=runs/egnet/egn-0 \\
        --workdir runs/egnet/mean-0

The second is the plain average of the same three results, which needs no training: one step that changes nothing.
Results: experiments/egnet/README.md.
"""

import ml_collections

# What differs from the network that fuses.
VARIANTS = {"network": {}, "mean": {"fuse": "mean", "steps": 1}}


def get_config(variant="network"):
    if variant not in VARIANTS:
        raise ValueError(f"egnet/ensemble_embedded:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "egnet_ensemble"
    config.seed = 0
    config.deterministic = True

    # The network whose results are fused, of the size that embedded.py trains
    config.base_system = "egnet"
    config.base = ""
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

    config.fuse = "network"
    config.fuse_width = 32

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
    config.steps = 300
    config.learning_rate = 1e-3
    config.warm_up_steps = 0
    config.end_learning_rate = 1e-6
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 150
    config.log_every = 10
    config.image_every = 150
    config.update(VARIANTS[variant])
    return config

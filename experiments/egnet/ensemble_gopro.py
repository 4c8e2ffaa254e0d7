"""EGNet's self-ensemble (section 3.2) on GoPro, on top of a trained EGNet.

    tfdeblur train --config egnet/ensemble_gopro --config.base=runs/egnet --workdir runs/ensemble --data_dir data/gopro
    tfdeblur train --config egnet/ensemble_gopro:mean --config.base=runs/egnet --workdir runs/mean --data_dir data/gopro

The second is the plain average of the same three results, which needs no training: one step that changes nothing.
`--config.base_system=mprnet` takes a run of mprnet/gopro or imported weights.

Cost: 1,779.5 G multiply-accumulates forward for each crop of 256x256, of which the fusion, alone with a backward pass,
takes 1.1 G. Not run here. The paper's own: 33.00 dB, SSIM 0.961, and EGNet alone 32.92 dB (protocols not stated).

The paper does not say how it is trained: here ten epochs with the loss and the rate of EGNet.
"""

import ml_collections

# What differs from the network that fuses.
VARIANTS = {"network": {}, "mean": {"fuse": "mean", "steps": 1}}


def get_config(variant="network"):
    if variant not in VARIANTS:
        raise ValueError(f"egnet/ensemble_gopro:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "egnet_ensemble"
    config.seed = 0
    config.deterministic = False

    # The network whose results are fused, "egnet" or "mprnet", with its size, and where its weights come from: a run,
    # for mprnet an import, too, or "random".
    config.base_system = "egnet"
    config.base = ""
    # MPRNet
    config.width = 96
    config.width_step = 48
    config.orsnet_step = 32
    config.num_cabs = 8
    config.reduction = 4
    # The EGNs
    config.egn_width = 96
    config.num_egms = 6
    config.egn_input = "gradient"
    config.input_std = 0.02
    config.attention = True
    config.pa_residual = True

    config.fuse = "network"
    config.fuse_width = 32

    # Data
    config.blur_kind = "blur"
    config.crop = 256
    config.batch_size = 1
    config.augmentation = "flips"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (8.0, 28.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Eq. 17
    config.alpha = 1.0
    config.beta = 0.05
    config.gamma = 0.1
    config.ms_ssim_levels = 5
    config.eq16_literal = False

    # Optimisation
    config.steps = 21_030
    config.learning_rate = 2e-4
    config.warm_up_steps = 0
    config.end_learning_rate = 1e-6
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 1000
    config.log_every = 100
    config.image_every = 1000
    config.update(VARIANTS[variant])
    return config

"""EGNet small, on the embedded photographs: with and without EGNs, with and without the gradient loss.

    tfdeblur train --config egnet/embedded:base   --config.seed=0 --workdir runs/egnet/base-0
    tfdeblur train --config egnet/embedded:egn    --config.seed=0 --workdir runs/egnet/egn-0 \\
        --config.base=runs/egnet/base-0
    tfdeblur train --config egnet/embedded:mprnet --config.seed=0 --workdir runs/egnet/mprnet-0

`base` is the first training, an MPRNet alone; `egn` the second, which freezes it; `mprnet` is `base` with twice the
steps, the two trainings' together, so that EGNs are not compared with a shorter training. `base_no_gradient_loss` and
`egn_no_gradient_loss` are the same two trainings with beta = 0 (Table 6).

What is not the paper's: an MPRNet of 16 to 32 channels with two blocks in each ORB, EGNs of 16 channels, batches of
four crops of 64, 400 steps at 2e-3, three levels of MS-SSIM (five need 161 pixels), and a narrow family of shakes (that
of madn/demo). Results: experiments/egnet/README.md.
"""

import ml_collections

_BASE = {"stage": "base", "base": "random"}

# What differs from the second training of the whole method.
VARIANTS = {
    "egn": {},
    "base": _BASE,
    "mprnet": {**_BASE, "steps": 800},
    "egn_no_gradient_loss": {"beta": 0.0},
    "base_no_gradient_loss": {**_BASE, "beta": 0.0},
}


def get_config(variant="egn"):
    if variant not in VARIANTS:
        raise ValueError(f"egnet/embedded:{variant}: choose {', '.join(VARIANTS)}")
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
    config.steps = 400
    config.learning_rate = 2e-3
    config.warm_up_steps = 20
    config.end_learning_rate = 1e-6
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 200
    config.log_every = 10
    config.image_every = 400
    config.update(VARIANTS[variant])
    return config

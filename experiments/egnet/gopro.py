"""EGNet as in the paper: GoPro, 6,000,000 steps for its MPRNet, as many for the EGNs; every row of Tables 3 to 6.

    tfdeblur train --config egnet/gopro:base --workdir runs/base --data_dir data/gopro
    tfdeblur train --config egnet/gopro --config.base=runs/base --workdir runs/egnet --data_dir data/gopro

`--config.base` takes a run of mprnet/gopro or imported weights as well (tfdeblur/systems/mprnet/README.md).
`egnet/gopro` is Table 3's "Ours" with attention, "w EGN" of Tables 4 and 5, and Table 6's "w Gradient Loss". Instead:

    egnet/gopro:gradient_no_attention    Table 3: "Ours" without attention
    egnet/gopro:add_002                  add+random(0,0.02); add_002_no_attention
    egnet/gopro:add_02                   add+random(0,0.2); add_02_no_attention
    egnet/gopro:mul_002                  mul+random(1,0.02); mul_002_no_attention
    egnet/gopro:base                     Tables 4 and 5: without EGN
    egnet/gopro:no_gradient_loss         Table 6: without gradient loss; its base is base_no_gradient_loss

Cost: 6,000,000 crops of 256x256 in each training, 759.41 G multiply-accumulates forward in the first, 793.83 G in the
second: 1.4e19 with the backward pass for the first alone. Not run here. The paper's own: 32.92 dB, SSIM 0.961, with the
self-ensemble 33.00 dB (protocols not stated); the other rows' are in README.md.
"""

import ml_collections

_BASE = {"stage": "base", "base": "random"}
_ADD_002 = {"egn_input": "add", "input_std": 0.02}
_ADD_02 = {"egn_input": "add", "input_std": 0.2}
_MUL_002 = {"egn_input": "mul", "input_std": 0.02}

# What differs from the second training of the whole method.
VARIANTS = {
    "egn": {},
    "gradient_no_attention": {"attention": False},
    "add_002": _ADD_002,
    "add_002_no_attention": {**_ADD_002, "attention": False},
    "add_02": _ADD_02,
    "add_02_no_attention": {**_ADD_02, "attention": False},
    "mul_002": _MUL_002,
    "mul_002_no_attention": {**_MUL_002, "attention": False},
    "base": _BASE,
    "base_no_gradient_loss": {**_BASE, "beta": 0.0},
    "no_gradient_loss": {"beta": 0.0},
}


def get_config(variant="egn"):
    if variant not in VARIANTS:
        raise ValueError(f"egnet/gopro:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "egnet"
    config.seed = 0
    config.deterministic = False

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

    # What is trained: "base", the MPRNet; "egn", the EGNs in a frozen one; "all". The base: a run, an import, "random".
    config.stage = "egn"
    config.base = ""

    # Data (section 4.2)
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

    # Optimisation (section 4.2); three epochs of 2103 steps to warm up, as in MPRNet's code
    config.steps = 6_000_000
    config.learning_rate = 2e-4
    config.warm_up_steps = 6309
    config.end_learning_rate = 1e-6
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 1000
    config.log_every = 100
    config.image_every = 1000
    config.update(VARIANTS[variant])
    return config

"""The weights that ship: the Two-Way network's upper branch at half resolution, on pairs and shaken photographs.

    experiments/weights/data.sh MATERIAL data
    tfdeblur train --config weights/two_way_half --workdir runs/first --blur_dir data/pairs/blur \\
        --sharp_dir data/pairs/sharp --photographs_dir data/photographs
    tfdeblur train --config weights/two_way_half:finish --start_from FIRST --workdir runs/second ...

The second one teaches it to leave alone what is sharp already; README.md has all commands. What is not the paper's:
features at half resolution, no lower decoder, a global residual, an absolute error and a logarithmic one, strong
augmentation, batches of 8 crops of 160, a higher learning rate, clipped gradients.

The first one's `steps` lie far beyond what is meant to be run, so that the rate hardly falls (power 0.3) and it may be
stopped whenever it stops to pay.

And the same network trained a little further on one kind of blur, as `tfdeblur demo` does; for your own pairs with
`--config.steps=5000` or more:

    tfdeblur train --config weights/two_way_half:fine_tune --start_from two_way_half --workdir runs/mine \\
        --blur_dir B --sharp_dir S
"""

import ml_collections

# What differs from the first training. The shakes of "fine_tune" are the demonstration's: one narrow family.
VARIANTS = {
    "train": {},
    "finish": {
        "pixel_error": "logarithmic",
        "shake_length": (0.0, 30.0),
        "steps": 3400,
        "learning_rate": 3e-4,
        "decay_power": 1.0,
    },
    "fine_tune": {
        "deterministic": True,
        "crop": 96,
        "augmentation": "flips",
        "shake_length": (12.0, 20.0),
        "shake_angle": (-20.0, 20.0),
        "shake_anxiety": 0.005,
        "pixel_error": "logarithmic",
        "steps": 300,
        "learning_rate": 5e-5,
        "decay_power": 1.0,
        "ema_decay": 0.0,
        "image_every": 300,
    },
}


def get_config(variant="train"):
    if variant not in VARIANTS:
        raise ValueError(f"weights/two_way_half:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "two_way"
    config.seed = 0
    config.deterministic = False

    config.widths = (32, 64, 128)
    config.num_res_blocks = 3
    config.decoder_order = "residuals_first"
    config.down_branch = False
    config.stop_gradient_between_scales = True
    config.global_residual = True
    config.num_egms = 0
    config.half_resolution = True

    # Data: several kinds of blur are mixed, so this names none
    config.blur_kind = "blur"
    config.crop = 160
    config.batch_size = 8
    config.augmentation = "strong"
    # The shake of the photographs: from none, so that sharp pictures are left alone
    config.shake_length = (0.0, 40.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.01
    config.shake_noise = 0.0

    # Eq. 2, finest scale first
    config.scale_weights = (5.0, 1.0, 1.0)
    config.pixel_error = "absolute"

    # Optimisation
    config.steps = 200_000
    config.learning_rate = 4e-4
    config.decay_power = 0.3
    config.grad_clip_mode = "norm"
    config.ema_decay = 0.999

    config.checkpoint_every = 100
    config.log_every = 20
    config.image_every = 1000
    config.update(VARIANTS[variant])
    return config

"""The Two-Way network as in the paper: GoPro, 4000 epochs.

    tfdeblur train --config two_way/gopro          --workdir runs/two_way    --data_dir data/gopro
    tfdeblur train --config two_way/gopro:up_alone --workdir runs/up_alone   --data_dir data/gopro

`up_alone` leaves out the lower decoder, Table 1's "w/o TWNNet". `egn`, not in the paper, puts EGNet's enhanced gradient
network behind the encoder.

Cost: 524,000 steps of 16 crops of 256x256 (46.72 G multiply-accumulates a crop forward, about three times that with the
backward pass: 1.2e18 in all; `up_alone` 7.8e17). Not run here. The paper's own: 30.56 dB, SSIM 0.933, without the lower
decoder 30.18 dB, 0.926 (protocols not stated).
"""

import ml_collections

# What differs from the whole network.
VARIANTS = {"both": {}, "up_alone": {"down_branch": False}, "egn": {"num_egms": 2}}


def get_config(variant="both"):
    if variant not in VARIANTS:
        raise ValueError(f"two_way/gopro:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "two_way"
    config.seed = 0
    config.deterministic = False

    config.widths = (32, 64, 128)
    config.num_res_blocks = 3
    config.decoder_order = "residuals_first"
    config.down_branch = True
    config.stop_gradient_between_scales = True
    config.global_residual = False
    config.num_egms = 0
    config.half_resolution = False

    # Data (section 4): random crops only; blur is the linear set, blur_gamma the other one
    config.blur_kind = "blur"
    config.crop = 256
    config.batch_size = 16
    config.augmentation = "none"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (8.0, 28.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Eq. 2, finest scale first
    config.scale_weights = (5.0, 1.0, 1.0)
    config.pixel_error = "squared"

    # Optimisation (section 4): 4000 epochs of 2103 // 16 = 131 steps
    config.steps = 524_000
    config.learning_rate = 1e-4
    config.decay_power = 0.3
    config.grad_clip_mode = "none"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 1000
    config.log_every = 100
    config.image_every = 1000
    config.update(VARIANTS[variant])
    return config

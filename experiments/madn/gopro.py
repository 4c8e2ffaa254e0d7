"""MADN as in the paper: GoPro, 2000 epochs.

    tfdeblur train --config madn/gopro --workdir runs/madn --gopro_dir GOPRO_Large

Cost: 262,000 steps of 16 crops of 256x256 (375.5 G multiply-accumulates a crop forward, about three times that
with the backward pass: 4.7e18 multiply-accumulates in all). Not run here: the paper's own is 30.18 dB, 0.9312 SSIM
on random 256x256 crops of the GoPro test set (protocols `psnr_randomcrop256` and an unstated SSIM).
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "madn"
    config.seed = 0
    config.deterministic = False

    # Generator (section 3.3) and discriminator (Table 1)
    config.widths = (64, 128, 256)
    config.num_res_blocks = 4
    config.global_residual = False
    config.stop_gradient_between_scales = False
    config.discriminator_widths = (64, 64, 128, 256, 512)
    config.discriminator_dense_units = 1024

    # Data (section 5.2): random crops only; blur is the linear set, blur_gamma the other one
    config.blur_kind = "blur"
    config.crop = 256
    config.batch_size = 16
    config.augmentation = "none"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (8.0, 28.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    # Losses (section 5.1); the three switches are those of Fig. 9
    config.lambda_adv = 0.05
    config.alpha = 0.01
    config.phi1 = 0.5
    config.phi2 = 1.0
    config.beta1 = 0.01
    config.beta2 = 1.0
    config.use_adv = True
    config.use_grad_content = True
    config.use_grad_adv = True

    # Optimisation (section 5.1): 2000 epochs of 2103 // 16 = 131 steps
    config.steps = 262_000
    config.generator_learning_rate = 1e-4
    config.discriminator_learning_rate = 4e-4
    config.decay_power = 0.3
    config.grad_clip_mode = "norm"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 1000
    config.log_every = 100
    config.image_every = 1000
    return config

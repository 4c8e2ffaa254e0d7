"""MPRNet as its authors trained it on GoPro: 3000 epochs.

    tfdeblur train --config mprnet/gopro --workdir runs/mprnet --data_dir data/gopro

Cost: 393,000 steps of 16 crops of 256x256 (759.41 G multiply-accumulates a crop forward, about three times that with
the backward pass: 1.4e19 in all). Not run here. The paper's own: 32.66 dB, SSIM 0.959 (protocols psnr and
ssim_matlab); its authors' weights can be imported instead: tfdeblur/systems/mprnet/README.md.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "mprnet"
    config.seed = 1234
    config.deterministic = False

    config.width = 96
    config.width_step = 48
    config.orsnet_step = 32
    config.num_cabs = 8
    config.reduction = 4

    # Data
    config.blur_kind = "blur"
    config.crop = 256
    config.batch_size = 16
    config.augmentation = "mprnet"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (8.0, 28.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    config.lambda_edge = 0.05

    # Optimisation: 3000 epochs of 2103 // 16 = 131 steps, three of them to warm up
    config.steps = 393_000
    config.learning_rate = 2e-4
    config.warm_up_steps = 393
    config.end_learning_rate = 1e-6
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 1000
    config.log_every = 100
    config.image_every = 1000
    return config

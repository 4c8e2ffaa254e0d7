"""MADN, as `make compare` trains it beside the other four: a fair small-scale comparison and no more.

    tfdeblur train --config compare/madn --workdir runs/compare/madn

All five see the same 4,800 crops of 64 of the embedded photographs under one narrow family of shakes, in batches of
four; widths and rates are those of madn/demo, twice as wide. Results: experiments/compare/README.md.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "madn"
    config.seed = 0
    config.deterministic = True

    config.widths = (16, 32, 64)
    config.num_res_blocks = 1
    config.global_residual = True
    config.stop_gradient_between_scales = False
    config.discriminator_widths = (8, 8, 16, 32, 64)
    config.discriminator_dense_units = 64

    config.blur_kind = "blur"
    config.crop = 64
    config.batch_size = 4
    config.augmentation = "flips"
    config.shake_length = (12.0, 20.0)
    config.shake_angle = (-20.0, 20.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    config.lambda_adv = 0.001
    config.alpha = 0.01
    config.phi1 = 0.5
    config.phi2 = 1.0
    config.beta1 = 0.01
    config.beta2 = 1.0
    config.use_adv = True
    config.use_grad_content = True
    config.use_grad_adv = True

    config.steps = 1200
    config.generator_learning_rate = 1e-3
    config.discriminator_learning_rate = 1e-4
    config.decay_power = 1.0
    config.grad_clip_mode = "norm"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 200
    config.log_every = 10
    config.image_every = 200
    return config

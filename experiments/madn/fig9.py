"""The three losses of MADN's Fig. 9, at a size that a laptop trains in minutes: a demonstration of the switches.

    tfdeblur train --config madn/fig9:content     --config.seed=0 --workdir runs/fig9/content-0
    tfdeblur train --config madn/fig9:adversarial --config.seed=0 --workdir runs/fig9/adversarial-0
    tfdeblur train --config madn/fig9:gradient    --config.seed=0 --workdir runs/fig9/gradient-0

The loss weights are the paper's; all else (widths, crop, batch, flips, global residual, learning rates, narrow critic,
family of shakes) is that of madn/demo, with 600 steps. Results with three seeds each: README.md.
"""

import ml_collections

# (use_adv, use_grad_content, use_grad_adv)
VARIANTS = {
    "content": (False, False, False),  # pixel and content loss
    "adversarial": (True, False, False),  # + adversarial loss
    "gradient": (True, True, True),  # + both in the gradient domain: the whole loss
}


def get_config(variant="gradient"):
    if variant not in VARIANTS:
        raise ValueError(f"madn/fig9:{variant}: choose {', '.join(VARIANTS)}")
    config = ml_collections.ConfigDict()
    config.system = "madn"
    config.seed = 0
    config.deterministic = True

    config.widths = (8, 16, 32)
    config.num_res_blocks = 1
    config.global_residual = True
    config.stop_gradient_between_scales = False
    config.discriminator_widths = (8, 8, 16, 32, 64)
    config.discriminator_dense_units = 64

    config.blur_kind = "blur"
    config.crop = 64
    config.batch_size = 8
    config.augmentation = "flips"
    config.shake_length = (12.0, 20.0)
    config.shake_angle = (-20.0, 20.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    config.lambda_adv = 0.05
    config.alpha = 0.01
    config.phi1 = 0.5
    config.phi2 = 1.0
    config.beta1 = 0.01
    config.beta2 = 1.0
    config.use_adv, config.use_grad_content, config.use_grad_adv = VARIANTS[variant]

    config.steps = 600
    config.generator_learning_rate = 1e-3
    config.discriminator_learning_rate = 1e-4
    config.decay_power = 1.0
    config.grad_clip_mode = "norm"
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 300
    config.log_every = 20
    config.image_every = 300
    return config

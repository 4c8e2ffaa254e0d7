"""The whole training path of mprnet in a minute on two cores: does everything run here?

    tfdeblur train --config mprnet/smoke --workdir runs/smoke [DATA]

Narrow, 20 steps at crop 32: it proves the path, its weights are worth nothing.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict()
    config.system = "mprnet"
    config.seed = 0
    config.deterministic = True

    config.width = 8
    config.width_step = 4
    config.orsnet_step = 4
    config.num_cabs = 2
    config.reduction = 4

    # Data
    config.blur_kind = "blur"
    config.crop = 32
    config.batch_size = 2
    config.augmentation = "mprnet"
    # The shake for --synthesize and the embedded photographs
    config.shake_length = (3.0, 9.0)
    config.shake_angle = (0.0, 360.0)
    config.shake_anxiety = 0.005
    config.shake_noise = 0.0

    config.lambda_edge = 0.05

    # Optimisation
    config.steps = 20
    config.learning_rate = 1e-3
    config.warm_up_steps = 0
    config.end_learning_rate = 1e-6
    config.ema_decay = 0.0  # 0.0: no average of the weights

    config.checkpoint_every = 10
    config.log_every = 5
    config.image_every = 10
    return config

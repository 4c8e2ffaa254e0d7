"""The papers' systems by name. Each module in MODULES has the same face (see systems/madn/system.py)."""

import difflib
import importlib
import types

from tfdeblur.errors import DeblurError

SYSTEMS = {
    "madn": "Multi-scale GAN with gradient guidance (Zhu, Xu, Choi, Su)",
    "improved_deblurgan": "Improved DeblurGAN: dense block, depthwise separable convolutions (Zhang, Wang)",
    "two_way": "Multi-scale two-way network (Cheng, Luo, Xu, Li, Xiao, Pei)",
    "structures_guided": "Structures-guided GAN: a sub-network of learned gradients, a gradient loss (Qi)",
    "egnet": "EGNet: MPRNet with an enhanced gradient network (Zhao, Di, Gao)",
    "egnet_ensemble": "EGNet's self-ensemble: three results of a trained EGNet or MPRNet, fused",
    "deblurgan": "DeblurGAN, a baseline (Kupyn, Budzan, Mykhailych, Mishkin, Matas)",
    "mprnet": "MPRNet, EGNet's base (Zamir, Arora, Khan, Hayat, Khan, Yang, Shao)",
}
MODULES = {
    "madn": "tfdeblur.systems.madn.system",
    "improved_deblurgan": "tfdeblur.systems.improved_deblurgan.system",
    "two_way": "tfdeblur.systems.two_way.system",
    "structures_guided": "tfdeblur.systems.structures_guided.system",
    "egnet": "tfdeblur.systems.egnet.system",
    "egnet_ensemble": "tfdeblur.systems.egnet.ensemble.system",
    "deblurgan": "tfdeblur.systems.deblurgan.system",
    "mprnet": "tfdeblur.systems.mprnet.system",
}


def system(name):
    """The module of one system; DeblurError for an unknown name."""
    if name not in MODULES:
        close = difflib.get_close_matches(str(name), MODULES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise DeblurError(f"unknown system '{name}': choose from {', '.join(MODULES)}{hint}")
    return importlib.import_module(MODULES[name])


def build(name, **arguments):
    """A system's network with the paper's defaults.

    Args:
      name: a key of SYSTEMS.
      **arguments: of the network's class, e.g. `widths=(16, 24, 32)` for madn.

    Returns:
      A tf.keras.Model with its weights made; `net(x)` takes float32 [B, H, W, 3] in [0, 1] with H and W
      divisible by `net.size_multiple` and returns a dict of named outputs, "restored" always among them.
    """
    return system(name).build(**arguments)


def build_from(config):
    """The network of a configuration.

    Args:
      config: mapping with "system" and the network's arguments, as a checkpoint holds it.
    """
    return system(config["system"]).build_from(types.SimpleNamespace(**config))

"""tfdeblur: five motion-deblurring systems as TensorFlow/Keras networks, losses and training.

Importing this package is cheap: TensorFlow is imported only when a name that needs it is used.
"""

import importlib

__version__ = "0.1.0"

# public name -> module that defines it
_LAZY = {
    "SYSTEMS": "tfdeblur.systems",
    "build": "tfdeblur.systems",
    "load": "tfdeblur.inference",
    "Deblurrer": "tfdeblur.inference",
    "DeblurError": "tfdeblur.errors",
}
__all__ = ["__version__", *_LAZY]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tfdeblur' has no attribute '{name}'")


def __dir__():
    return sorted(__all__)

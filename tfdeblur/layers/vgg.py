"""VGG19's features, for perceptual losses (Simonyan and Zisserman 2015; Johnson et al. 2016)."""

import contextlib
import hashlib
import os
import shutil
import sys

from tfdeblur.compat import tf
from tfdeblur.errors import DeblurError
from tfdeblur.ops.ranges import to_01

WEIGHTS = ("imagenet", "random")
_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{_FILE}"
_MD5 = "253f8cb515780f3b799900260a226db6"  # as keras.applications checks it


class VggFeatures(tf.keras.layers.Layer):
    """[B, H, W, 3] in [-1, 1] -> the output of one convolution of VGG19, float32, divided by `scale`; H and W from 16.

    Not trained. The input is prepared as the ImageNet weights expect it: [0, 255], BGR, the mean colour subtracted.

    Args:
      layer: name in keras.applications' VGG19, such as "block3_conv3" (the paper's conv3,3).
      activated: after the layer's ReLU, or before it.
      weights: "imagenet", or "random": those of a seeded initialiser, for tests and demonstrations.
      scale: what features are divided by. PyTorch's DeblurGAN feeds [-1, 1] where Keras' weights expect +-127.5: with
        the proper input features are 127.5 times larger, and a squared loss 16,000 times, which would turn the paper's
        weight of 100 into another one. 127.5 keeps its meaning.
    """

    def __init__(self, layer="block3_conv3", activated=False, weights="imagenet", scale=127.5, **kwargs):
        super().__init__(**{"trainable": False, "dtype": "float32", **kwargs})
        self.layer = layer
        self.activated = activated
        self.weights_name = weights
        self.scale = scale
        self._net = _features(layer, activated, weights)

    def call(self, images):
        images = 255.0 * to_01(tf.cast(images, tf.float32))
        return self._net(tf.keras.applications.vgg19.preprocess_input(images)) / self.scale

    def get_config(self):
        config = {"layer": self.layer, "activated": self.activated, "weights": self.weights_name, "scale": self.scale}
        return {**super().get_config(), **config}


def _features(layer, activated, weights):
    if weights not in WEIGHTS:
        raise DeblurError(f"vgg_weights={weights}: choose {', '.join(WEIGHTS)}")
    before = tf.keras.mixed_precision.global_policy()
    # float32 whole: its activations reach thousands, beyond what half precision can square.
    tf.keras.mixed_precision.set_global_policy("float32")
    try:
        vgg = tf.keras.applications.VGG19(include_top=False, weights=None, input_shape=(None, None, 3))
        if layer not in [known.name for known in vgg.layers if "conv" in known.name]:
            raise DeblurError(f"vgg_layer={layer}: VGG19 has block1_conv1 ... block5_conv4")
        if weights == "imagenet":
            vgg.load_weights(_weights_file())
        else:
            _draw_weights(vgg)
        chosen = vgg.get_layer(layer)
        output = chosen.output
        if not activated:
            clone = type(chosen).from_config({**chosen.get_config(), "activation": "linear"})
            output = clone(chosen.input)
            clone.set_weights(chosen.get_weights())
        net = tf.keras.Model(vgg.input, output)
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
    net.trainable = False
    return net


def _draw_weights(vgg):
    """He-normal weights (the scale that keeps features alive through ReLUs) from fixed seeds, whatever came before."""
    for seed, layer in enumerate(vgg.layers):
        if layer.get_weights():
            kernel, bias = layer.get_weights()
            draw = tf.keras.initializers.HeNormal(seed=seed)
            layer.set_weights([draw(kernel.shape).numpy(), bias])


def _cache():
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return os.path.join(home, "models")


def _weights_file():
    """Path of the ImageNet weights: out of Keras' cache, or downloaded now; DeblurError where neither is possible."""
    path = os.path.join(_cache(), _FILE)
    if os.path.isfile(path):
        _check(path)
        return path
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its progress is no result
            return tf.keras.utils.get_file(_FILE, _URL, cache_subdir="models", file_hash=_MD5)
    except Exception as error:  # whatever stands between here and there
        raise DeblurError(
            f"VGG19's ImageNet weights cannot be downloaded ({type(error).__name__}): fetch {_URL} "
            "elsewhere and give it with --vgg_weights FILE"
        ) from error


def install_weights(path):
    """Copies VGG19's weights, checked by hash, into Keras' cache, where this and every later training finds them."""
    _check(path)
    target = os.path.join(_cache(), _FILE)
    if os.path.realpath(path) == os.path.realpath(target):
        return target
    try:
        os.makedirs(_cache(), exist_ok=True)
        shutil.copyfile(path, target + ".tmp")
        os.replace(target + ".tmp", target)
    except OSError as error:
        raise DeblurError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def _check(path):
    try:
        with open(path, "rb") as file:
            digest = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
    except OSError as error:
        raise DeblurError(f"{path}: cannot be read ({error.strerror})") from error
    if digest != _MD5:
        raise DeblurError(f"{path}: not VGG19's ImageNet weights (MD5 {digest}, {_MD5} expected); fetch {_URL}")

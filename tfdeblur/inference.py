"""Any RGB image in, the same size and dtype out."""

import contextlib
import json
import os
import sys

import numpy as np
import tqdm

from tfdeblur import pretrained, runtimes, systems, tiles
from tfdeblur.compat import graph_function, precision, tf
from tfdeblur.errors import DeblurError
from tfdeblur.layers.convolution import for_inference
from tfdeblur.ops.geometry import pad_to_multiple
from tfdeblur.ops.ranges import to_uint8, to_uint16, uint8_to_01, uint16_to_01
from tfdeblur.training import checkpoints

WEIGHTS = ("last", "average", "best")
_OTHER_VERSION = (AttributeError, KeyError, TypeError)  # of a network whose configuration has other keys
MOST_SCALE = 4.0
EXPORT_METADATA = "tfdeblur.json"  # beside saved_model.pb: what an export was made from


def restore_batch(net, blurred):
    """Runs a network on images of any size; works in a graph with unknown sizes too.

    Args:
      net: a network of `tfdeblur.build`.
      blurred: float32 [B, H, W, 3] in [0, 1], H and W from 1.

    Returns:
      float32 [B, H, W, 3] clipped to [0, 1]: mirrored at the bottom and right to the network's multiple,
      restored, cropped back.
    """
    shape = tf.shape(blurred)
    with for_inference():
        restored = net(pad_to_multiple(blurred, net.size_multiple))["restored"]
    restored = tf.clip_by_value(tf.cast(restored, tf.float32), 0.0, 1.0)[:, : shape[1], : shape[2]]
    restored.set_shape(blurred.shape)
    return restored


class Deblurrer:
    """A trained network, ready for images of any size.

    Args:
      restore_batch: float32 [B, H, W, 3] in [0, 1] -> the same shape and range.
      metadata: what the checkpoint says of itself: {"config": {..}, "data": {..}, "precision": .., ..}.
      path: where it was loaded from.

    Attributes:
      fixed_size: None; or (height, width), which an image's sides must not exceed in `restore_batch`: larger images are
        restored in such tiles.
      net: the Keras network; None of an export for other runtimes.
    """

    fixed_size = None
    net = None

    def __init__(self, restore_batch, metadata=None, path=None):
        self._restore_batch = restore_batch
        self.metadata = metadata or {}
        self.path = path
        self._bytes_per_pixel = None  # as soon as it is asked for
        self._most_pixels = None  # of a tile, once the memory was too small for a larger one
        self._said_tiles = False
        self.configure()

    @classmethod
    def of_network(cls, net, metadata=None, path=None):
        """The Deblurrer of a network of `tfdeblur.build`; keeps it as the attribute `net`."""
        # One trace serves every size: the shape is unknown in the graph.
        signature = [tf.TensorSpec([None, None, None, 3], tf.float32)]
        deblurrer = cls(graph_function(lambda x: restore_batch(net, x), input_signature=signature), metadata, path)
        deblurrer.net = net
        return deblurrer

    def need_net(self, who):
        """The Keras network, for what an export cannot do; `who` asks for it, such as "--hsic".

        Raises:
          DeblurError: this is an export.
        """
        if self.net is None:
            raise DeblurError(f"{who}: {self.path} is an export; name the work directory of its training")
        return self.net

    def configure(self, tile=None, overlap=None, self_ensemble=False, scales=(1.0,)):
        """How `restore` works from now on.

        Args:
          tile: None: the whole image where the memory allows, else tiles as large as it does; 0: always the whole
            image; else the side of square tiles in pixels, counted in whole multiples of `tiles.GRID`.
          overlap: what two tiles share, in pixels; None: what the system needs, `tiles.OVERLAPS`.
          self_ensemble: restore the eight mirrored and turned forms of the image and take their mean. Not the
            learned self-ensemble of EGNet, which is the system egnet_ensemble.
          scales: sizes at which the image is restored, 1.0 being its own; the mean of what each changes in it.

        Returns:
          self.

        Raises:
          DeblurError: a tile that is not larger than the overlap, or of an export that has its own, or scales outside
            (0, 4].
        """
        if tile is not None and self.fixed_size:
            height, width = self.fixed_size
            raise DeblurError(f"--tile={tile}: this export was made for {width}x{height}; leave it out")
        if overlap is None:
            overlap = tiles.OVERLAPS.get((self.metadata.get("config") or {}).get("system"), tiles.LARGEST_OVERLAP)
        scales = tuple(float(scale) for scale in scales)
        if overlap < 0:
            raise DeblurError(f"--overlap={overlap}: must be 0 or more")
        if tile and tile < tiles.smallest(overlap):
            remedy = "name a smaller --overlap, 0 for none" if overlap else "name a larger one"
            raise DeblurError(
                f"--tile={tile}: tiles that share {overlap} pixels need a side of {tiles.smallest(overlap)}; {remedy}"
            )
        if not scales or not all(0.0 < scale <= MOST_SCALE for scale in scales):
            said = ",".join(f"{scale:g}" for scale in scales)
            raise DeblurError(f"--scales={said}: each above 0, {MOST_SCALE:g} at most")
        self.tile, self.overlap, self.self_ensemble, self.scales = tile, overlap, self_ensemble, scales
        return self

    def restore(self, image):
        """Restores one image, as `configure` says.

        Args:
          image: uint8 [H, W, 3] in 0 .. 255, uint16 in 0 .. 65535 or float in [0, 1], RGB, any size from 1x1.

        Returns:
          An array of the same shape and dtype, clipped to the range; integers are rounded.

        Raises:
          DeblurError: another shape or dtype, float values that are not finite or outside [0, 1], or too little
            memory.
        """
        image = np.asarray(image)
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise DeblurError(f"an image of shape {image.shape}: need [height, width, 3], RGB")
        if np.issubdtype(image.dtype, np.floating):
            _check_range(image)
        elif image.dtype not in (np.uint8, np.uint16):
            raise DeblurError(f"an image of dtype {image.dtype}: need uint8, uint16, or float in [0, 1]")
        restored = self._averaged(image)
        if image.dtype == np.uint8:
            return to_uint8(restored).numpy()
        if image.dtype == np.uint16:
            return to_uint16(restored).numpy()
        return restored.astype(image.dtype)

    def _averaged(self, image):
        """float32 [H, W, 3] in [0, 1]: the mean over scales and symmetries, where they are asked for."""
        if not self.self_ensemble and self.scales == (1.0,):
            return self._tiled(image)
        codes = range(8) if self.self_ensemble else (0,)
        image = _to_01(image)
        total = np.zeros_like(image)
        for scale in self.scales:
            scaled = _resized(image, [max(1, round(scale * side)) for side in image.shape[:2]])
            change = sum(_turned_back(self._tiled(_turned(scaled, code)), code) for code in codes) - len(codes) * scaled
            # What is resized is the change: the image itself would lose its detail.
            total += _resized(change, image.shape[:2])
        return np.clip(image + total / (len(self.scales) * len(codes)), 0.0, 1.0)

    # ------------------------------------------------------------------------------------------------- tiles

    def _tiled(self, image):
        """float32 [H, W, 3] in [0, 1]: restored once, whole or in tiles."""
        height, width = image.shape[:2]
        if self.fixed_size and min(self.fixed_size) >= tiles.GRID:
            overlap = min(self.overlap, *(side // tiles.GRID // 2 * tiles.GRID for side in self.fixed_size))
            sides = zip((height, width), self.fixed_size, strict=True)
            places = [tiles.places(length, tile, overlap, shorten=False) for length, tile in sides]
            return tiles.restore(self._run, image, *places, _progress)
        while True:
            tile = self._tile(height, width)
            places = [tiles.places(length, tile, self.overlap) for length in (height, width)]
            try:
                return tiles.restore(self._run, image, *places, _progress)
            except (tf.errors.OpError, MemoryError) as error:
                if isinstance(error, tf.errors.OpError) and not _is_out_of_memory(error):
                    raise
                tried = min(tile, max(height, width))
                smaller = tiles.side(min(tile, height) * min(tile, width) / 4, self.overlap)
                if self.tile is not None or smaller >= tried:
                    remedy = "name a smaller --tile" if self.tile is not None else "make the image smaller"
                    raise DeblurError(f"{width}x{height}: too large for the memory; {remedy}") from error
                _say(f"{width}x{height}: out of memory; trying again in tiles of {smaller}x{smaller}")
                self._most_pixels = smaller**2

    def _tile(self, height, width):
        """The side of the tiles for an image; that of the image or more where it is restored whole."""
        whole, pixels = max(height, width), height * width
        if self.tile is not None:
            return self.tile or whole
        if self._most_pixels is not None:
            return whole if pixels <= self._most_pixels else tiles.side(self._most_pixels, self.overlap)
        # A graphics card says when its memory is full, and is asked by trying. A processor's process is killed.
        if tf.config.list_physical_devices("GPU"):
            return whole
        memory = tiles.memory(tiles.WHOLE_BYTES)
        if pixels * tiles.MOST_BYTES_PER_PIXEL <= memory or pixels * self.bytes_per_pixel() <= memory:
            return whole
        tile = tiles.side(tiles.memory(tiles.TILE_BYTES) / self.bytes_per_pixel(), self.overlap)
        if not self._said_tiles:
            _say(f"{width}x{height}: as a whole too large for the memory; restoring in tiles of up to {tile}x{tile}")
            self._said_tiles = True
        return tile

    def bytes_per_pixel(self):
        """What restoring takes for each pixel of an image that is restored whole; an estimate, rather too high."""
        if self._bytes_per_pixel is None:
            self._bytes_per_pixel = tiles.MOST_BYTES_PER_PIXEL
            net = self.net
            if net is None and self.metadata.get("config"):  # an export
                with contextlib.suppress(*_OTHER_VERSION, DeblurError):
                    net = systems.build_from(self.metadata["config"])
            if net is not None:
                self._bytes_per_pixel = tiles.bytes_per_pixel(lambda images: restore_batch(net, images))
        return self._bytes_per_pixel

    def _run(self, image):
        return np.asarray(self._restore_batch(tf.constant(_to_01(image))[None])[0])


def _is_out_of_memory(error):
    """Of a tf.errors.OpError; oneDNN's kernels only tell that they could not create something."""
    return isinstance(error, tf.errors.ResourceExhaustedError) or "could not create a" in error.message


def _check_range(image):
    if not np.isfinite(image).all():
        raise DeblurError("a float image with NaN or infinite values: need [0, 1]")
    low, high = image.min(), image.max()
    if low < 0.0 or high > 1.0:
        remedy = "divide 8-bit values by 255" if high > 2.0 else "clip it"
        raise DeblurError(f"a float image with values from {low:g} to {high:g}: need [0, 1]; {remedy}")


def _to_01(image):
    """uint8, uint16 or float in [0, 1] -> float32 in [0, 1], of arrays."""
    if image.dtype == np.uint8:
        return uint8_to_01(image).numpy()
    if image.dtype == np.uint16:
        return uint16_to_01(image).numpy()
    return np.asarray(image, np.float32)


def _turned(image, code):
    """One of the eight symmetries of the square: bit 0 mirrors left-right, bit 1 up-down, bit 2 transposes."""
    image = image[:, ::-1] if code & 1 else image
    image = image[::-1] if code & 2 else image
    return image.swapaxes(0, 1) if code & 4 else image


def _turned_back(image, code):
    image = image.swapaxes(0, 1) if code & 4 else image
    return _turned(image, code & 3)


def _resized(image, size):
    if image.shape[:2] == tuple(size):
        return image
    return tf.image.resize(image, size, "bicubic", antialias=True).numpy()


def _progress(places):
    """A bar with ETA while the tiles of one image are worked through."""
    if len(places) == 1:
        return places
    return tqdm.tqdm(places, desc="tiles", unit="tile", leave=False, dynamic_ncols=True)


def _say(line):
    print(line, file=sys.stderr, flush=True)


def load(path, policy="float32", weights="last"):
    """The Deblurrer of weights that come with tfdeblur, of a work directory, of one checkpoint, or of an export.

    Args:
      path: one of `tfdeblur.pretrained.names()`; a folder that `tfdeblur train` or `tfdeblur export` wrote, or a
        checkpoint's path prefix.
      policy: Keras policy of the layers' arithmetic; an export other than of weights has float32 built in.
      weights: "last": those after the last step of a work directory's newest checkpoint; "average": their exponential
        moving average there, which a training with `ema_decay` keeps; "best": those with the highest held-out PSNR of
        the training (of the average where it kept one). An export has the ones that it was made with.

    Raises:
      DeblurError: nothing there, or damaged, or from another version; no such weights.
    """
    path = os.fspath(path)
    if weights not in WEIGHTS:
        raise DeblurError(f"--weights={weights}: choose {', '.join(WEIGHTS)}")
    if path in pretrained.names():
        if any(os.path.exists(os.path.join(path, part)) for part in ("checkpoints", EXPORT_METADATA)):
            _say(f"{path}: the weights that come with tfdeblur; for the folder of that name write ./{path}")
        return _load_export(pretrained.folder(path), policy, weights, path)
    if os.path.exists(os.path.join(path, EXPORT_METADATA)):
        return _load_export(path, policy, weights, path)
    metadata, checkpoint = checkpoints.read(path, best=weights == "best")
    has_average = bool((metadata["config"] or {}).get("ema_decay"))
    if weights == "average" and not has_average:
        raise DeblurError(
            f"--weights=average: {checkpoint} holds none; training keeps one with --config.ema_decay=0.999 or the like"
        )
    try:
        with precision(policy):
            net = systems.build_from(metadata["config"])
    except _OTHER_VERSION as error:
        raise DeblurError(f"{checkpoint}: written by another version of tfdeblur ({error}); train again") from error
    average = weights == "average" or (weights == "best" and has_average)
    checkpoints.restore_generator(net, checkpoint, average=average)
    metadata |= {"weights": weights, "step": checkpoints.step_of(checkpoint)}
    return Deblurrer.of_network(net, metadata, checkpoint)


def _load_export(folder, policy, weights, name):
    """`name` is what the Deblurrer says of where it comes from."""
    net = None
    try:
        with open(os.path.join(folder, EXPORT_METADATA), encoding="utf-8") as file:
            metadata = json.load(file)
        form = metadata.get("format")
        if form == pretrained.FORMAT:
            del metadata["format"]  # a network like any other from now on, which exports name their own format of
            with precision(policy):
                net = systems.build_from(metadata["config"])
            pretrained.read(net, os.path.join(folder, pretrained.FILE), metadata["sha256"])
        else:
            restore_batch = runtimes.load(form, folder) if form else _load_saved_model(folder)
    except (OSError, KeyError, AttributeError, *checkpoints.UNREADABLE) as error:
        again = "install tfdeblur" if name in pretrained.names() else "export it"
        raise DeblurError(f"{folder}: the export is damaged or incomplete; {again} again") from error
    held = metadata.get("weights", "last")
    if weights not in ("last", held):
        raise DeblurError(
            f"--weights={weights}: {name} is an export of the weights '{held}'; name the work directory of its training"
        )
    if net is not None:
        return Deblurrer.of_network(net, metadata, name)
    deblurrer = Deblurrer(restore_batch, metadata, name)
    deblurrer.fixed_size = tuple(metadata["size"]) if metadata.get("size") else None
    return deblurrer


def _load_saved_model(path):
    checkpoints.refuse_wildcards(path)
    model = tf.saved_model.load(path)  # kept by the function: the signature holds its variables only weakly
    model.signatures["serving_default"]  # a KeyError now rather than at the first image
    return lambda images: model.signatures["serving_default"](images)["restored"]

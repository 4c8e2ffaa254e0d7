"""The signature `serve_bytes`: encoded images in, PNG out, and a bad image fails nobody but itself.

Only TensorFlow's own operations, as it has to run inside a server. The decoders raise on a damaged file and a graph
has no `try`: a tf.data pipeline of one element, which leaves out what fails, stands for it (`_attempt`).
"""

from tfdeblur.compat import tf
from tfdeblur.ops.ranges import to_uint8, to_uint16, uint8_to_01, uint16_to_01

MAX_PIXELS = 2**21  # 1920x1080 and a little more; a network takes 1 to 5 kB of memory for each

EMPTY = "empty (0 bytes): send the bytes of a PNG or JPEG file"
OTHER_FORMAT = "neither PNG nor JPEG: convert it to one of them"
TOO_MANY_SCANS = "a JPEG of more scans than a picture needs: save it again as an ordinary JPEG"
DAMAGED = "damaged, cut off before its end, or of a kind that cannot be decoded: send it again, or as an ordinary PNG"

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Bounds on the work that a small file can make; ordinary ones stay far below them.
_MOST_HEAD = 2048  # bytes of a PNG's header and palette, which have 1,100 at most
_MOST_SEGMENTS = 512  # of a JPEG before its image
_MOST_EXIF = 65536  # bytes, as in a JPEG


def serve_bytes(restore, max_pixels):
    """The function of the signature.

    Args:
      restore: float32 [1, H, W, 3] in [0, 1] -> the same shape and range.
      max_pixels: an image with more is refused by its header, before anything of it is decoded.

    Returns:
      Function of a string [B], PNG or JPEG files of any sizes -> {"restored_bytes": string [B], PNG files; "error":
      string [B]}: "" and the restored image, or what is wrong and b"". EXIF's orientation is applied. Grey stays
      grey, alpha is kept as it is, 16 bits stay 16, a palette becomes RGB, and of an animated PNG the first image is
      restored. Colour profiles and other metadata are not carried over.
    """

    def restore_one(data):
        bare, exif, height, width, bits = _attempt(_read, data, (b"", b"", *[tf.zeros([], tf.int64)] * 3))
        error = _first_of(
            (tf.strings.length(data) == 0, EMPTY),
            (~(_is_png(data) | _is_jpeg(data)), OTHER_FORMAT),
            ((height < 1) | (width < 1), DAMAGED),
            (width > max_pixels // tf.maximum(height, 1), _too_large(width, height, max_pixels)),
            (tf.cond(_is_jpeg(data), lambda: _has_too_many_scans(data), lambda: False), TOO_MANY_SCANS),
        )
        # Nothing below costs anything where there is an error already: b"" does not decode.
        image = _attempt(_decode, tf.where(error == "", bare, b""), tf.zeros([0, 0, 0]))
        error = _first_of((error != "", error), (tf.size(image) == 0, DAMAGED))
        image = _upright(image, _attempt(_orientation, exif, tf.ones([], tf.int64)))
        restored = tf.cond(error == "", lambda: _restored_png(restore, image, bits), lambda: b"")
        return {"restored_bytes": restored, "error": error}

    signature = {"restored_bytes": tf.TensorSpec([], tf.string), "error": tf.TensorSpec([], tf.string)}
    # One after the other: a batch takes the memory of its largest image.
    return lambda images: tf.map_fn(restore_one, images, fn_output_signature=signature, parallel_iterations=1)


def _attempt(function, data, otherwise):
    """function(data), or `otherwise` where that raises; `data` is a scalar string."""
    results = tf.data.Dataset.from_tensors(data).map(function).ignore_errors()
    return results.concatenate(tf.data.Dataset.from_tensors(otherwise)).take(1).get_single_element()


def _first_of(*cases):
    """The text of the first (condition, text) that holds, or ""."""
    text = ""
    for condition, case in reversed(cases):
        text = tf.where(condition, case, text)
    return text


def _too_large(width, height, max_pixels):
    size = [tf.strings.as_string(width), "x", tf.strings.as_string(height)]
    return tf.strings.join([*size, f" has more pixels than this model takes ({max_pixels}): make the image smaller"])


def _has_too_many_scans(data):
    # A scan of 16 bytes has the decoder pass over the whole image (5 ms a megapixel). Pictures have up to 20; what is
    # above 100 is for places that look like the start of one by chance, in thumbnails or a film behind the image.
    scans = tf.size(tf.strings.split(data, b"\xff\xda")) - 1
    return scans > 100 + tf.strings.length(data) // 16384


# ------------------------------------------------------------------------------------------------- pixels


def _decode(data):
    """float32 [H, W, C] in [0, 1] of a PNG or JPEG, C as in `_restored_png`; raises where it is damaged."""

    def png():  # 8 bits come as 257 times as much, and the quotient is that by 255 to the bit
        return uint16_to_01(tf.io.decode_png(data, dtype=tf.uint16))

    def jpeg():  # by the transform that OpenCV and PIL use, not TensorFlow's faster one; CMYK becomes RGB
        return uint8_to_01(tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE"))

    return tf.cond(_is_png(data), png, jpeg)


def _upright(image, orientation):
    """Applies an EXIF orientation, 1 to 8 (others change nothing), to [H, W, C]."""

    def change(image, orientations, function):
        is_one = tf.reduce_any(orientation == tf.constant(orientations, tf.int64))
        return tf.cond(is_one, lambda: function(image), lambda: image)

    image = change(image, (5, 6, 7, 8), lambda image: tf.transpose(image, [1, 0, 2]))
    image = change(image, (3, 4, 7, 8), lambda image: tf.reverse(image, [0]))
    return change(image, (2, 3, 6, 7), lambda image: tf.reverse(image, [1]))


def _restored_png(restore, image, bits):
    """The PNG of the restored float32 [H, W, C] in [0, 1]: grey, grey and alpha, RGB or RGBA of 16 or else 8 bits."""
    height, width, channels = tf.unstack(tf.shape(image))
    is_grey = channels <= 2
    colours = tf.where(is_grey, 1, 3)
    restored = restore(tf.broadcast_to(image[..., :colours], [height, width, 3])[None])[0]

    def encoded(to_integers):
        pixels, alpha = to_integers(restored), to_integers(image[..., colours:])
        pixels = tf.cond(is_grey, lambda: _mean(pixels), lambda: pixels)
        # OpenCV's own choice, too: six times as fast as TensorFlow's default, for a tenth more bytes.
        return tf.io.encode_png(tf.concat([pixels, alpha], -1), compression=1)

    return tf.cond(bits == 16, lambda: encoded(to_uint16), lambda: encoded(to_uint8))


def _mean(pixels):
    """Of three channels of integers, in one: rounded to nearest, and equal ones stay what they are."""
    total = tf.reduce_sum(tf.cast(pixels, tf.int32), -1, keepdims=True)
    return tf.cast((total + 1) // 3, pixels.dtype)


# ------------------------------------------------------------------------------------------------- bytes


def _read(data):
    """(what of the file is to be decoded, EXIF or b"", height, width, bits) of a PNG or JPEG, by its header alone.

    Raises where it is damaged so much that the header cannot be found.
    """

    def png():
        bare, exif = _read_png(data)
        return bare, exif, _number(bare, 20, 4), _number(bare, 16, 4), _number(bare, 24, 1)

    def jpeg():
        # By the library that will decode it: no file can show the two of them different sizes.
        height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(data, tf.int64))
        return data, _jpeg_exif(data), height, width, tf.constant(8, tf.int64)

    return tf.cond(_is_png(data), png, jpeg)


def _read_png(data):
    """(the file without the chunks that its pixels do not need, EXIF or b"").

    Without them, as a hundred compressed comments, 770 kB, would keep libpng busy for minutes.
    """

    def kind(position):
        return _part(data, position + 4, 4)

    def is_inside(position, *_):
        return kind(position) != "IEND"

    def next_chunk(position, head, begin, end, exif):
        length = _number(data, position, 4)
        after = position + 12 + length
        is_head = tf.reduce_any(kind(position) == tf.constant(["IHDR", "PLTE", "tRNS"])) & (length < _MOST_HEAD)
        is_head &= tf.strings.length(head) < _MOST_HEAD
        head += _part(data, position, tf.where(is_head, after - position, 0))
        is_image = kind(position) == "IDAT"
        begin = tf.where(is_image & (begin == end), position, begin)
        end = tf.where(is_image & (tf.equal(end, position) | (begin == position)), after, end)
        exif = tf.where(kind(position) == "eXIf", position + 8, exif)
        return after, head, begin, end, exif

    zero = tf.zeros([], tf.int64)
    state = (zero + len(_PNG), tf.constant(_PNG), zero, zero, zero)
    most = 1000 + tf.strings.length(data) // 4096  # an image lies in chunks of 8 kB or more, a small one in one
    position, head, begin, end, exif = tf.while_loop(is_inside, next_chunk, state, maximum_iterations=most)
    parts = [head, _part(data, begin, end - begin), _part(data, position, 12)]
    return tf.strings.join(parts), _part(data, exif, tf.where(exif > 0, _MOST_EXIF, 0))


def _jpeg_exif(data):
    """The EXIF of a JPEG without its "Exif" prefix, or b""."""

    def is_exif(position):
        return (_part(data, position, 2) == b"\xff\xe1") & (_part(data, position + 4, 6) == b"Exif\0\0")

    def is_other(position):  # a segment that is neither EXIF nor the start of the image
        marker = _octets(data, position, 2)
        return (marker[0] == 0xFF) & (marker[1] != 0xDA) & ~is_exif(position)

    def next_segment(position):
        return position + 2 + _number(data, position + 2, 2)

    start = tf.constant(2, tf.int64)
    (position,) = tf.while_loop(is_other, next_segment, [start], maximum_iterations=_MOST_SEGMENTS)
    return _part(data, position + 10, tf.where(is_exif(position), _MOST_EXIF, 0))


def _orientation(exif):
    """int64, the orientation that EXIF (a TIFF's bytes) names; raises, or is 1, where it names none."""
    is_little = _part(exif, 0, 4) == b"II*\0"
    is_exif = is_little | (_part(exif, 0, 4) == b"MM\0*")
    first = _number(exif, 4, 4, is_little)
    count = _number(exif, first, 2, is_little)

    def tag(entry):
        return _number(exif, first + 2 + 12 * entry, 2, is_little)

    def is_other(entry):
        return (entry < count) & (tag(entry) != 0x0112)

    start = tf.zeros([], tf.int64)
    (entry,) = tf.while_loop(is_other, lambda entry: entry + 1, [start], maximum_iterations=_MOST_SEGMENTS)
    return tf.where(is_exif & (tag(entry) == 0x0112), _number(exif, first + 10 + 12 * entry, 2, is_little), 1)


def _is_png(data):
    return _part(data, 0, len(_PNG)) == _PNG


def _is_jpeg(data):
    return _part(data, 0, len(_JPEG)) == _JPEG


def _part(data, position, length):
    """`length` bytes from `position`, or as many as there are; raises where `position` is behind the end."""
    return tf.strings.substr(data, tf.cast(position, tf.int64), tf.cast(length, tf.int64))


def _octets(data, position, count):
    """int64 [count], the bytes from `position`; raises where the string ends before."""
    octets = tf.io.decode_raw(_part(data, position, count), tf.uint8)
    return tf.cast(tf.ensure_shape(octets, [count]), tf.int64)


def _number(data, position, size, is_little=False):
    """int64, the unsigned integer in `size` bytes; big endian unless `is_little`."""
    octets = _octets(data, position, size)
    octets = tf.where(is_little, octets, octets[::-1])
    return tf.reduce_sum(octets * tf.constant([256**power for power in range(size)], tf.int64))

"""What the tensors of MPRNet's published checkpoint are called, and which weight of `MprNet` each one is."""

import pathlib
import re

# "<name> (<shape>)" a line: the 261 kernels of the deblurring network.
_KEYS = pathlib.Path(__file__).with_name("torch_keys.txt")


def torch_shapes():
    """name -> shape of every tensor of the checkpoint: 261 kernels, and the one PReLU under 55 names."""
    lines = re.findall(r"^(\S+) \((.+)\)$", _KEYS.read_text(encoding="utf-8"), re.MULTILINE)
    shapes = {name: tuple(map(int, shape.split(","))) for name, shape in lines}
    return shapes | {name: (1,) for name in slope_names(shapes)}


def slope_names(names):
    """The names of the PReLU's slope, one for each CAB among the names of the kernels."""
    first = ".body.0.weight"  # a CAB's first convolution; that of an ORB's first CAB is "...body.0.body.0.weight"
    return [name.removesuffix(first) + ".body.1.weight" for name in names if name.endswith(first)]


def torch_weights(net):
    """name -> weight of an `MprNet`; the slope under each of its names."""
    names = dict(_kernels(net))
    return names | dict.fromkeys(slope_names(names), net.slope)


def fill(net, tensors):
    """Sets every weight of an `MprNet`.

    Args:
      tensors: name -> array, for every name of `torch_weights`; kernels [out, in, height, width], the slope [1].
    """
    for name, weight in torch_weights(net).items():
        tensor = tensors[name]
        if tensor.ndim == 4:
            tensor = tensor.transpose(2, 3, 1, 0)
        weight.assign(tensor.reshape(weight.shape))  # the channel attention's 1x1 kernels are matrices here


def _kernels(net):
    for n, shallow in enumerate((net.shallow1, net.shallow2, net.shallow3), start=1):
        yield f"shallow_feat{n}.0.weight", shallow.conv.kernel
        yield from _cab(f"shallow_feat{n}.1", shallow.cab)
    for n, encoder, decoder in ((1, net.encoder1, net.decoder1), (2, net.encoder2, net.decoder2)):
        yield from _encoder(f"stage{n}_encoder", encoder)
        yield from _decoder(f"stage{n}_decoder", decoder)
    yield from _orsnet("stage3_orsnet", net.orsnet)
    for name, sam in (("sam12", net.sam12), ("sam23", net.sam23)):
        for n, conv in enumerate((sam.features, sam.to_image, sam.from_image), start=1):
            yield f"{name}.conv{n}.weight", conv.kernel
    for name, conv in (("concat12", net.merge12), ("concat23", net.merge23), ("tail", net.tail)):
        yield f"{name}.weight", conv.kernel


def _cab(name, cab):
    yield f"{name}.CA.conv_du.0.weight", cab.attention.squeeze.kernel
    yield f"{name}.CA.conv_du.2.weight", cab.attention.excite.kernel
    yield f"{name}.body.0.weight", cab.conv1.kernel
    yield f"{name}.body.2.weight", cab.conv2.kernel


def _cabs(name, cabs):
    for n, cab in enumerate(cabs):
        yield from _cab(f"{name}.{n}", cab)


def _encoder(name, encoder):
    for n, cabs in enumerate(encoder.levels, start=1):
        yield from _cabs(f"{name}.encoder_level{n}", cabs)
    for size, conv in zip(("12", "23"), encoder.downs, strict=True):
        yield f"{name}.down{size}.down.1.weight", conv.kernel
    if encoder.fuses:
        for kind, convs in (("enc", encoder.csff_encoder), ("dec", encoder.csff_decoder)):
            for n, conv in enumerate(convs, start=1):
                yield f"{name}.csff_{kind}{n}.weight", conv.kernel


def _decoder(name, decoder):
    for n, cabs in enumerate(decoder.levels, start=1):
        yield from _cabs(f"{name}.decoder_level{n}", cabs)
    for n, cab in enumerate(decoder.skips, start=1):
        yield from _cab(f"{name}.skip_attn{n}", cab)
    for size, conv in zip(("21", "32"), decoder.ups, strict=True):
        yield f"{name}.up{size}.up.1.weight", conv.kernel


def _orsnet(name, orsnet):
    for n, orb in enumerate(orsnet.orbs, start=1):
        yield from _cabs(f"{name}.orb{n}.body", orb.cabs)
        yield f"{name}.orb{n}.body.{len(orb.cabs)}.weight", orb.conv.kernel
    sides = (("enc", orsnet.encoder_ups, orsnet.encoder_convs), ("dec", orsnet.decoder_ups, orsnet.decoder_convs))
    for kind, (_, (up21,), (up32, up31)), convs in sides:
        yield f"{name}.up_{kind}1.up.1.weight", up21.kernel
        yield f"{name}.up_{kind}2.0.up.1.weight", up32.kernel
        yield f"{name}.up_{kind}2.1.up.1.weight", up31.kernel
        for n, conv in enumerate(convs, start=1):
            yield f"{name}.conv_{kind}{n}.weight", conv.kernel

"""What a network costs: parameters by part and multiply-accumulates at a size."""

from tfdeblur import systems
from tfdeblur.compat import graph_function, tf
from tfdeblur.ops import attention


def describe(name, size=(720, 1280)):
    """Parameters, multiply-accumulates and the paper's figures of one system.

    Args:
      name: a key of SYSTEMS.
      size: (height, width) of the image; multiply-accumulates are those of the size that it is padded to. The
        critic's parameters are counted at a crop of 256.

    Returns:
      {"system", "size": [h, w], "parameters": {"generator": n, "discriminator": n, <part>: n}, "macs": n,
      "paper": {..}}; macs = the generator's, an integer.
    """
    system = systems.system(name)
    net = system.build()
    parameters = {"generator": net.count_params()}
    parameters |= system.discriminator_parameters()
    parameters |= {part: layer.count_params() for part, layer in system.parts(net).items()}
    padded = [-(-side // net.size_multiple) * net.size_multiple for side in size]
    return {
        "system": name,
        "size": list(size),
        "parameters": parameters,
        "macs": multiply_accumulates(net, padded),
        "paper": system.PAPER,
    }


def multiply_accumulates(net, size):
    """Multiply-accumulates of one image of `size` (height, width) through the network's learned layers.

    Both sides must be multiples of the network's size_multiple. Read off the traced graph, so nothing is computed.
    Convolutions whose kernel is a variable and all matrix products count; fixed stencils (the pyramid, Sobel), biases
    and activations do not. A transposed convolution counts on its input positions (its true arithmetic).
    """
    return multiply_accumulates_of(lambda x: net(x), tf.TensorSpec([1, *size, 3], tf.float32))


def multiply_accumulates_of(function, *arguments):
    """Multiply-accumulates of one call of a function on tensors, those of gradients included.

    Only what its outputs and side effects need: a tape traces more, and TensorFlow drops the rest before it runs.
    Nested functions are not looked into; attention, which would be a loop over its queries, is traced as a whole.

    Args:
      function: takes and gives tensors.
      *arguments: tensors, or their tf.TensorSpec with all sizes.
    """
    with attention.in_one_piece():
        graph = graph_function(function).get_concrete_function(*arguments).graph
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    reached = set(waiting)
    while waiting:
        op = waiting.pop()
        for source in [tensor.op for tensor in op.inputs] + list(op.control_inputs):
            if source not in reached:
                reached.add(source)
                waiting.append(source)
    return int(sum(_macs_of(op) for op in reached))


def _macs_of(op):
    if op.type == "Conv2D" and _is_learned(op.inputs[1]):
        return op.outputs[0].shape.num_elements() * op.inputs[1].shape[:3].num_elements()
    if op.type == "Conv2DBackpropFilter":
        return op.inputs[2].shape.num_elements() * op.outputs[0].shape[:3].num_elements()
    if op.type == "Conv2DBackpropInput" and _is_learned(op.inputs[1]):
        # the kernel is [height, width, out, in]; op.inputs[2] is the layer's input
        return op.inputs[2].shape.num_elements() * op.inputs[1].shape[:3].num_elements()
    if op.type == "DepthwiseConv2dNative" and _is_learned(op.inputs[1]):
        return op.outputs[0].shape.num_elements() * op.inputs[1].shape[:2].num_elements()
    if op.type == "DepthwiseConv2dNativeBackpropFilter":
        return op.inputs[2].shape.num_elements() * op.outputs[0].shape[:2].num_elements()
    if op.type == "DepthwiseConv2dNativeBackpropInput" and _is_learned(op.inputs[1]):
        return op.inputs[2].shape.num_elements() * op.inputs[1].shape[:2].num_elements()
    if op.type in ("MatMul", "BatchMatMulV2"):
        transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
        inner = op.inputs[0].shape[-2 if transposed else -1]
        return op.outputs[0].shape.num_elements() * inner
    return 0


def _is_learned(tensor):
    """Whether a kernel comes from a variable, cast or laid out anew, rather than from a constant."""
    op = tensor.op
    while op.type in ("Cast", "Identity", "Transpose", "Reshape", "StridedSlice") and op.inputs:
        op = op.inputs[0].op
    return op.type in ("ReadVariableOp", "Placeholder")

"""Reduce the precision of the network in an exported model; what surrounds it stays float32.

The network is everything from the first layer with weights to the last one before the heatmaps.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

PRECISIONS = ('float32', 'float16', 'int8')
LAYERS = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
# ONNX Runtime has no kernel for transposed convolutions in int8.
QUANTIZED = ('Conv', 'Gemm', 'MatMul')


def reduce_precision(proto: Any, precision: str, calibration: Iterable[np.ndarray] = ()) -> Any:
    """Convert the network of an ONNX model.

    Args:
        proto: ONNX model in float32, with ``heatmaps`` among its outputs; it is left as it is.
        precision: One of :data:`PRECISIONS`.
        calibration: Batches of inputs from which ranges of int8 are taken.

    Returns:
        The converted model.
    """
    if precision == 'float16':
        return to_float16(proto)
    if precision == 'int8':
        return to_int8(proto, calibration)
    return proto


def network_nodes(graph: Any) -> list[Any]:
    """List the nodes from the first layer with weights to the last one before ``heatmaps``.

    Args:
        graph: ONNX graph whose nodes are in topological order.

    Returns:
        The nodes, in their order.
    """
    before_heatmaps = upstream(graph, {'heatmaps'})
    layers = [n for n in before_heatmaps if n.op_type in LAYERS]
    before_last = upstream(graph, {name for layer in layers for name in layer.output})
    after_first = {name for layer in layers for name in layer.output}
    nodes = []
    for node in before_last:
        if node in layers or after_first.intersection(node.input):
            after_first.update(node.output)
            nodes.append(node)
    return nodes


def upstream(graph: Any, values: set[str]) -> list[Any]:
    """List the nodes of a graph that compute these values, in their order."""
    needed = set(values)
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def to_float16(proto: Any) -> Any:
    """Convert weights and computation of the network to float16.

    The converter rounds what enters and leaves a model: it gets the network alone.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    typed = onnx.shape_inference.infer_shapes(proto)
    graph = typed.graph
    infos = {info.name: info for info in (*graph.value_info, *graph.input, *graph.output)}
    weights = {weight.name: weight for weight in graph.initializer}
    inside = network_nodes(graph)
    names = {node.name for node in inside}
    outside = [node for node in graph.node if node.name not in names]
    computed = {name for node in inside for name in node.output}
    read = dict.fromkeys(name for node in inside for name in node.input if name)
    read_outside = {name for node in outside for name in node.input}
    read_outside.update(output.name for output in graph.output)
    network = onnx.helper.make_graph(
        inside,
        'network',
        [infos[name] for name in read if name not in computed and name not in weights],
        [infos[name] for name in sorted(computed & read_outside)],
        [weights[name] for name in read if name in weights],
        value_info=[infos[name] for name in sorted(computed - read_outside) if name in infos],
    )
    half = convert_float_to_float16(
        onnx.helper.make_model(network, opset_imports=proto.opset_import),
        keep_io_types=True,
    ).graph
    for weight in half.initializer:  # what both read stays float32 outside
        if weight.name in read_outside:
            rename(half, weight, f'{weight.name}_of_network')
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    for field in ('node', 'initializer', 'value_info'):
        result.graph.ClearField(field)
    result.graph.node.extend([*outside, *half.node])
    result.graph.initializer.extend(w for name, w in weights.items() if name in read_outside)
    result.graph.initializer.extend(half.initializer)
    OnnxModel(result).topological_sort(is_deterministic=True)
    return result


def rename(graph: Any, weight: Any, name: str) -> None:
    """Rename a weight of a graph, and where it is read."""
    for node in graph.node:
        node.input[:] = [name if value == weight.name else value for value in node.input]
    weight.name = name


def to_int8(proto: Any, calibration: Iterable[np.ndarray]) -> Any:
    """Quantize convolutions and matrix multiplications with constant weights of the network.

    Weights are int8, with a range for each channel; activations are uint8, with ranges of the
    calibration. The first and the last layer stay float32: in a small HRNet, that and ranges
    after instead of before ReLUs halved the distances of keypoints from those of float32.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    network = network_nodes(proto.graph)
    layers = [node.name for node in network if node.op_type in QUANTIZED]
    relus = [node.name for node in network if node.op_type == 'Relu']
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)  # the quantizer moves its weights to a temporary file
    add_pre_process_metadata(copied)  # else it logs that norms might be folded, as they are
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'int8.onnx')
        quantization.quantize_static(
            copied,
            path,
            Batches(calibration),
            op_types_to_quantize=[*QUANTIZED, 'Relu'],
            nodes_to_quantize=[*layers[1:-1], *relus],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options=dict(MatMulConstBOnly=True),
        )
        return onnx.load(path)


class Batches:
    """Batches of inputs, as the calibration of ONNX Runtime reads them."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the inputs of the next forward pass; None at the end."""
        batch = next(self.batches, None)
        return None if batch is None else {'crops': batch}

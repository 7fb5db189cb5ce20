"""The convolutions and dense layers of a graph: what their weights are stored as, and how much they compute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_squeeze.inspection.arithmetic import CONVERSIONS, Arithmetic
from edge_squeeze.inspection.graph import FLOATS, REPACKING, FileGraph, Operator, Tensor

COMPUTED = "computed"  # in place of a dtype: the weights are no constant
CONVOLUTION, TRANSPOSED, DENSE = "convolution", "transposed convolution", "dense layer"


@dataclass(frozen=True)
class Row:
    """Where a kind of layer has its tensors among its inputs, and what it is."""

    data: int
    weights: int
    bias: int | None
    form: str
    channels_last: bool = False


LAYERS = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D"), Row(0, 1, 2, CONVOLUTION, channels_last=True)),
    **dict.fromkeys(("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"), Row(2, 1, 3, TRANSPOSED, channels_last=True)),
    "FULLY_CONNECTED": Row(0, 1, 2, DENSE),
    "BATCH_MATMUL": Row(0, 1, None, DENSE),
    "Conv": Row(0, 1, 2, CONVOLUTION),
    "FusedConv": Row(0, 1, 2, CONVOLUTION),  # of com.microsoft
    "ConvInteger": Row(0, 1, None, CONVOLUTION),
    "QLinearConv": Row(0, 3, 8, CONVOLUTION),
    "ConvTranspose": Row(0, 1, 2, TRANSPOSED),
    "Gemm": Row(0, 1, 2, DENSE),
    "QGemm": Row(0, 3, 6, DENSE),  # of com.microsoft
    "MatMul": Row(0, 1, None, DENSE),
    "MatMulInteger": Row(0, 1, None, DENSE),
    "QLinearMatMul": Row(0, 3, None, DENSE),
}
PRODUCTS = ("BATCH_MATMUL", "MatMul", "MatMulInteger", "QLinearMatMul")  # layers only if one factor is a constant
SETTINGS = {"Resize": 1, "Upsample": 1}  # where the inputs begin that steer an operator although they are floats
QUANTIZED = ("int8", "uint8", "int4", "uint4", "int16", "uint16")


@dataclass(frozen=True)
class Kernel:
    """One convolution or dense layer."""

    name: str  # of its output
    operator: str
    dtype: str  # of the weights as they are stored
    elements: int  # numbers in the weights
    activations: str  # dtype of what they are multiplied with
    arithmetic: str  # int8 | int16 | hybrid | float32 | float16 ...
    macs: int | None  # multiply-accumulates for one picture; None where the file gives no shapes
    subgraph: int


def kernels(graph: FileGraph) -> list[Kernel]:
    """Every convolution and dense layer; ValueError for one that lacks its inputs."""
    computes = Arithmetic(graph)
    found = ((operator, factors(graph, operator)) for operator in graph.operators)
    return [_kernel(graph, layer, *pair, computes) for layer, pair in found if pair is not None]


def factors(graph: FileGraph, operator: Operator) -> tuple[int, int] | None:
    """The tensors that a layer multiplies, activations first; None if the operator is no layer."""
    row = LAYERS.get(operator.base)
    if row is None:
        return None
    data, weights = graph.given(operator, row.data), graph.given(operator, row.weights)
    if data is None or weights is None or not operator.outputs or operator.outputs[0] < 0:
        raise ValueError(f"a {operator.kind} lacks its inputs or its output")
    if operator.base in PRODUCTS and graph.source(weights) is None:
        return None if graph.source(data) is None else (weights, data)
    return data, weights


def _kernel(graph: FileGraph, layer: Operator, data: int, weights: int, computes: Arithmetic) -> Kernel:
    source, shape = graph.source(weights), graph.tensors[weights].shape
    constant = None if source is None else graph.tensors[source]
    elements = _product(shape) or 0 if constant is None else constant.elements
    assert elements is not None
    return Kernel(
        name=graph.tensors[layer.outputs[0]].name,
        operator=layer.kind,
        dtype=COMPUTED if constant is None else constant.dtype,
        elements=elements,
        activations=computes.activations(layer, data),
        arithmetic=computes.of_layer(layer, data, weights),
        macs=_macs(graph, layer, data, weights, elements),
        subgraph=layer.graph,
    )


def _product(shape: Sequence[int | None] | None) -> int | None:
    """How many numbers a shape has room for; None if a side is open."""
    sides = [] if shape is None else [side for side in shape if side is not None]
    return None if shape is None or len(sides) < len(shape) else math.prod(sides)


def _macs(graph: FileGraph, layer: Operator, data: int, weights: int, elements: int) -> int | None:
    row, output = LAYERS[layer.base], graph.tensors[layer.outputs[0]].shape
    if row.form == DENSE:
        return _dense_macs(graph, layer, weights, elements)
    shape = output if row.form == CONVOLUTION else graph.tensors[data].shape
    if shape is None or len(shape) < 3:  # noqa: PLR2004 - batch, channels, one side
        return None
    places = _product(shape[1:-1] if row.channels_last else shape[2:])
    return None if places is None else elements * places


def _dense_macs(graph: FileGraph, layer: Operator, weights: int, elements: int) -> int | None:
    """Numbers in the output, each a sum over the side that both factors share."""
    shape, output = graph.tensors[weights].shape, graph.tensors[layer.outputs[0]].shape
    batch = next((graph.tensors[index].shape for index in graph.inputs), None) or (None,)
    if shape is None or output is None:
        return None
    numbers = _product(output[1:] if len(output) > 1 and output[0] in (None, batch[0]) else output)
    apart = _product(shape[:-2])  # matrices of a stack of them
    side = -2 if layer.base in PRODUCTS and weights == layer.inputs[0] else -1  # which of the output's is the weights'
    own = 1 if len(shape) < 2 else output[side] if len(output) >= -side else None  # noqa: PLR2004 - a vector has none
    if numbers is None or not apart or not own:
        return None
    return numbers * (elements // (apart * own))


def total_macs(found: Sequence[Kernel]) -> tuple[int | None, str | None]:
    """Multiply-accumulates of all layers for one picture, or None and why they cannot be told."""
    if any(kernel.subgraph for kernel in found):
        return None, "some layers are in branches, loops or further graphs, which may run more than once or not at all"
    lacking = [kernel.name for kernel in found if kernel.macs is None]
    if lacking:
        return None, f"the file gives no static shapes for {len(lacking)} of {len(found)} layers"
    return sum(kernel.macs or 0 for kernel in found), None


def parameters(graph: FileGraph) -> int:
    """How many numbers the graph has learned.

    All elements of the constants that a layer takes as weights or bias, and of those of more than one float or
    quantized number that any other operator takes; each constant once. Shapes, axes and other settings, scales and
    zero points do not count.
    """
    found = set()
    for operator in graph.operators:
        if operator.base not in CONVERSIONS and operator.base not in REPACKING:
            found |= set(_learned(graph, operator))
    return sum(graph.tensors[index].elements or 0 for index in found)


def _learned(graph: FileGraph, operator: Operator) -> Iterator[int]:
    """The constants that an operator takes as weights."""
    pair, row = factors(graph, operator), LAYERS.get(operator.base)
    if pair is not None and row is not None:
        bias = None if row.bias is None else graph.given(operator, row.bias)
        yield from (s for index in (pair[1], bias) if index is not None and (s := graph.source(index)) is not None)
        return
    for index in operator.inputs[: SETTINGS.get(operator.base)]:
        source = graph.source(index) if index >= 0 else None
        if source is not None and _is_learned(graph.tensors[source]):
            yield source


def _is_learned(constant: Tensor) -> bool:
    return (constant.elements or 0) > 1 and constant.dtype in (*FLOATS, *QUANTIZED)


NEEDS_UNSIGNED = ("Conv", "MatMul")  # ONNX Runtime's x86 kernels for these want uint8 activations


def is_slow_on_x86(kernel: Kernel) -> bool:
    """Whether ONNX Runtime computes this layer in float on x86, since its activations are signed."""
    return kernel.operator in NEEDS_UNSIGNED and (kernel.arithmetic, kernel.activations) == ("int8", "int8")

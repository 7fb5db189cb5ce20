"""What the operators of a graph compute in, and its layers: how weights are stored, and multiply-accumulates.

A .tflite file says what an operator computes in by the dtypes of its tensors. An .onnx file may write an integer
operator as a float one between dequantized inputs and a quantized output (QDQ), which an engine replaces by an integer
kernel if it has one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from edge_squeeze.inspection.graph import FLOATS, REPACKING, UNKNOWN, FileGraph, Operator, Tensor

HYBRID = "hybrid"  # integer weights; activations are floats between operators, rounded anew for each picture
# dtype of the activations -> what the arithmetic is called.
INTEGERS = {"int8": "int8", "uint8": "int8", "int4": "int8", "uint4": "int8", "int16": "int16", "uint16": "int16"}
QUANTIZE, DEQUANTIZE = ("QUANTIZE", "QuantizeLinear"), ("DEQUANTIZE", "DequantizeLinear")
DYNAMIC = "DynamicQuantizeLinear"
CONVERSIONS = {*QUANTIZE, *DEQUANTIZE, DYNAMIC, "CAST", "Cast", "Constant"}  # these convert numbers, or hold them
MOVES = {  # these compute nothing
    "TRANSPOSE",
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Identity",
}
INTEGER_KINDS = ("ConvInteger", "MatMulInteger")
INTEGER_PREFIXES = ("QLinear", "QGemm")
CLAMPS = ("Relu", "Clip")  # an integer kernel does these when it rounds
# The QDQ operators that ONNX Runtime has integer kernels for -> the first and last + 1 of the inputs that must come
# from a dequantization. From its qdq_selector_action_transformer.cc.
QDQ: dict[str, tuple[int, int | None]] = {
    **dict.fromkeys(("Conv", "Gemm", "MatMul", "Add", "Mul", "Concat"), (0, None)),
    "Where": (1, None),
    **dict.fromkeys(
        (
            "AveragePool",
            "Clip",
            "Expand",
            "Flatten",
            "Gather",
            "GatherElements",
            "GlobalAveragePool",
            "LeakyRelu",
            "MaxPool",
            "ReduceMax",
            "ReduceMin",
            "Relu",
            "Reshape",
            "Resize",
            "Sigmoid",
            "Slice",
            "Softmax",
            "Split",
            "Squeeze",
            "Tile",
            "Transpose",
            "Unsqueeze",
        ),
        (0, 1),
    ),
}
FLOAT_OUTPUT = ("Gemm", "MatMul")  # their integer kernels can give floats
COMPUTED = "computed"  # in place of a dtype: the weights are not a constant
CONVOLUTION, TRANSPOSED, DENSE = "convolution", "transposed convolution", "dense layer"


class Arithmetic:
    """What the operators of a graph compute in; `floats` are those on float activations, except for conversions."""

    def __init__(self, graph: FileGraph) -> None:
        self.graph = graph
        self._fused = {id(operator) for operator in graph.operators if self._is_fused(operator)}
        integers = [operator for operator in graph.operators if self._is_integer(operator)]
        self.has_integers = bool(integers)
        known = {id(operator) for operator in integers}
        self.floats = [o for o in graph.operators if id(o) not in known and self._is_float(o)]

    def activations(self, layer: Operator, data: int) -> str:
        """The dtype of the activations `data` of a layer, before the dequantization that an integer kernel skips."""
        fused = id(layer) in self._fused and data in self.graph.made_by
        return self.graph.tensors[self.graph.made_by[data].inputs[0] if fused else data].dtype

    def of_layer(self, layer: Operator, data: int, weights: int) -> str:
        """What a layer with these tensors computes in: int8, int16, hybrid, or a float dtype."""
        if layer.base in INTEGER_KINDS:
            return HYBRID if self._is_made_by(data, (DYNAMIC,)) else "int8"
        taken, stored = self.activations(layer, data), self.graph.tensors[weights].dtype
        if taken in FLOATS and stored in INTEGERS:
            return HYBRID
        return INTEGERS.get(taken, stored if taken == UNKNOWN else taken)

    def fallbacks(self) -> dict[str, int]:
        """Kind -> how many operators compute in floats, except for moves and the head; empty without integers."""
        return self._count(set(map(id, self.floats)) - self._head)

    def head(self) -> dict[str, int]:
        """Kind -> how many operators compute in floats in the head, except for moves; empty without integers.

        The head is what follows the last convolution or dense layer, as far as it is not quantized again.
        """
        return self._count(self._head)

    def _count(self, among: set[int]) -> dict[str, int]:
        kinds = [o.kind for o in self.floats if id(o) in among and o.kind not in MOVES]
        return dict(Counter(kinds)) if self.has_integers else {}

    @cached_property
    def _head(self) -> set[int]:
        graph = self.graph
        head: set[int] = set()
        for operator in reversed([operator for operator in graph.operators if operator.graph == 0]):
            if factors(graph, operator) is not None:
                break
            readers = [reader for index in operator.outputs for reader in graph.read_by.get(index, [])]
            if all(id(reader) in head for reader in readers) and self._is_float(operator):
                head.add(id(operator))
        return head

    def islands(self) -> int:
        """How many islands of floats an integer graph has.

        An island is a group of float operators, connected by their tensors, that reads from a dequantization of
        activations and feeds a quantization: numbers are converted to floats and back for it. Float operators at the
        model's ends, where there is only one conversion, do not count, and a graph without integers has no islands.
        """
        count, left = 0, {id(operator): operator for operator in self.floats if self.has_integers}
        while left:
            count += self._is_island(self._group(left, left.popitem()[1]))
        return count

    def _is_island(self, group: list[Operator]) -> bool:
        graph = self.graph
        inputs = [index for operator in group for index in operator.inputs if index >= 0]
        readers = [
            reader for operator in group for index in operator.outputs for reader in graph.read_by.get(index, [])
        ]
        entered = any(self._is_made_by(index, DEQUANTIZE) and graph.source(index) is None for index in inputs)
        return entered and any(reader.base in (*QUANTIZE, DYNAMIC) for reader in readers)

    def _group(self, left: dict[int, Operator], first: Operator) -> list[Operator]:
        """`first` and the operators of `left` that are connected to it, which are taken out of `left`."""
        group, edge = [first], [first]
        while edge:
            operator = edge.pop()
            near = [self.graph.made_by[index] for index in operator.inputs if index in self.graph.made_by]
            near += [reader for index in operator.outputs for reader in self.graph.read_by.get(index, [])]
            new = [neighbor for neighbor in near if left.pop(id(neighbor), None) is not None]
            group += new
            edge += new
        return group

    def _is_made_by(self, index: int, kinds: tuple[str, ...]) -> bool:
        maker = self.graph.made_by.get(index)
        return maker is not None and maker.base in kinds and self.graph.input_of(maker, 0) is not None

    def _is_fused(self, operator: Operator) -> bool:
        """Whether an .onnx operator stands between quantizations such that an integer kernel can replace it."""
        if operator.kind not in QDQ:
            return False
        first, last = QDQ[operator.kind]
        inputs = [index for index in operator.inputs[first:last] if index >= 0]
        outputs = operator.outputs if operator.kind == "Split" else operator.outputs[:1]
        return (
            bool(inputs)
            and all(self._is_made_by(index, DEQUANTIZE) for index in inputs)
            and (operator.kind in FLOAT_OUTPUT or all(self._is_quantized(index) for index in outputs))
        )

    def _is_quantized(self, index: int, *, clamped: bool = False) -> bool:
        """Whether a float tensor only goes to quantizations, directly or through one of CLAMPS."""
        readers = self.graph.read_by.get(index, [])
        return (
            bool(readers)
            and index not in self.graph.leaving
            and all(
                reader.base in QUANTIZE
                or (reader.kind in CLAMPS and not clamped and self._is_quantized(reader.outputs[0], clamped=True))
                for reader in readers
            )
        )

    def _is_integer(self, operator: Operator) -> bool:
        """Whether an operator computes in integers that stand for quantized numbers."""
        if operator.base in CONVERSIONS:
            return False
        if operator.base.startswith(INTEGER_PREFIXES) or id(operator) in self._fused:
            return True
        if operator.base in INTEGER_KINDS:
            return not self._is_made_by(operator.inputs[0], (DYNAMIC,))
        maker = self.graph.made_by.get(operator.inputs[0]) if operator.inputs else None
        if operator.kind in CLAMPS and id(maker) in self._fused and self._is_quantized(operator.outputs[0]):
            return True
        tensors = [self.graph.tensors[i] for i in operator.inputs if i >= 0]
        return any(t.scales and t.elements is None for t in tensors) and not self._has_floats(operator)

    def _is_float(self, operator: Operator) -> bool:
        return operator.base not in CONVERSIONS and self._has_floats(operator)

    def _has_floats(self, operator: Operator) -> bool:
        tensors = [self.graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
        return any(tensor.dtype in FLOATS and tensor.elements is None for tensor in tensors)


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
SETTINGS = {"Resize": 1, "Upsample": 1}  # from this input on, floats configure the operator and are not data
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


def kernels(arithmetic: Arithmetic) -> list[Kernel]:
    """Every convolution and dense layer of a graph; ValueError for one that lacks its inputs."""
    layers = ((operator, factors(arithmetic.graph, operator)) for operator in arithmetic.graph.operators)
    return [_kernel(arithmetic, layer, *pair) for layer, pair in layers if pair is not None]


def factors(graph: FileGraph, operator: Operator) -> tuple[int, int] | None:
    """The tensors that a layer multiplies, activations first; None if the operator is not a layer."""
    row = LAYERS.get(operator.base)
    if row is None:
        return None
    data, weights = graph.input_of(operator, row.data), graph.input_of(operator, row.weights)
    if data is None or weights is None or not operator.outputs or operator.outputs[0] < 0:
        raise ValueError(f"a {operator.kind} lacks its inputs or its output")
    if operator.base in PRODUCTS and graph.source(weights) is None:
        return None if graph.source(data) is None else (weights, data)
    return data, weights


def _kernel(arithmetic: Arithmetic, layer: Operator, data: int, weights: int) -> Kernel:
    graph = arithmetic.graph
    source, shape = graph.source(weights), graph.tensors[weights].shape
    constant = None if source is None else graph.tensors[source]
    elements = _product(shape) or 0 if constant is None else constant.elements
    assert elements is not None
    return Kernel(
        name=graph.tensors[layer.outputs[0]].name,
        operator=layer.kind,
        dtype=COMPUTED if constant is None else constant.dtype,
        elements=elements,
        activations=arithmetic.activations(layer, data),
        arithmetic=arithmetic.of_layer(layer, data, weights),
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


def total_macs(layers: Sequence[Kernel]) -> tuple[int | None, str | None]:
    """Multiply-accumulates of all layers for one picture, or None and why they are unknown."""
    if any(kernel.subgraph for kernel in layers):
        return None, "some layers are in branches, loops or other subgraphs, which may run several times or never"
    lacking = [kernel.name for kernel in layers if kernel.macs is None]
    if lacking:
        return None, f"the file has no static shapes for {len(lacking)} of {len(layers)} layers"
    return sum(kernel.macs or 0 for kernel in layers), None


def parameters(graph: FileGraph) -> int:
    """How many numbers the graph has learned.

    All elements of the constants that layers use as weights or bias, and of float or quantized constants with more
    than one element that other operators use; each constant counts once. Shapes, axes, other settings, scales and zero
    points do not count.
    """
    learned = set()
    for operator in graph.operators:
        if operator.base not in CONVERSIONS and operator.base not in REPACKING:
            learned |= set(_learned(graph, operator))
    return sum(graph.tensors[index].elements or 0 for index in learned)


def _learned(graph: FileGraph, operator: Operator) -> Iterator[int]:
    """The constants that an operator takes as weights."""
    pair, row = factors(graph, operator), LAYERS.get(operator.base)
    if pair is not None and row is not None:
        bias = None if row.bias is None else graph.input_of(operator, row.bias)
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

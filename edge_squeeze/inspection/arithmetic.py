"""Which operators of a graph compute in integers and which in floats, whatever the format.

A .tflite file says so by the dtypes of its tensors. An .onnx file may write an integer operator as a float one between
dequantized inputs and a quantized output (QDQ), which an engine replaces by an integer kernel if it has one.
"""

from __future__ import annotations

from collections import Counter

from edge_squeeze.inspection.graph import FLOATS, UNKNOWN, FileGraph, Operator

HYBRID = "hybrid"  # integer weights; activations are floats between operators, rounded anew for each picture
# dtype of the activations -> what the arithmetic is called.
INTEGERS = {"int8": "int8", "uint8": "int8", "int4": "int8", "uint4": "int8", "int16": "int16", "uint16": "int16"}
QUANTIZE, DEQUANTIZE = ("QUANTIZE", "QuantizeLinear"), ("DEQUANTIZE", "DequantizeLinear")
DYNAMIC = "DynamicQuantizeLinear"
CONVERSIONS = {*QUANTIZE, *DEQUANTIZE, DYNAMIC, "CAST", "Cast", "Constant"}  # convert numbers, or hold them
MOVES = {  # which compute nothing
    "TRANSPOSE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS",
    "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity",
}  # fmt: skip
INTEGER_KINDS = ("ConvInteger", "MatMulInteger")
INTEGER_PREFIXES = ("QLinear", "QGemm")
CLAMPS = ("Relu", "Clip")  # which rounding to integers can do on the way
# The QDQ operators that ONNX Runtime has integer kernels for -> the first and last + 1 of the inputs that must come
# from a dequantization. From its qdq_selector_action_transformer.cc.
QDQ: dict[str, tuple[int, int | None]] = {
    **dict.fromkeys(("Conv", "Gemm", "MatMul", "Add", "Mul", "Concat"), (0, None)),
    "Where": (1, None),
    **dict.fromkeys(
        (
            "AveragePool", "Clip", "Expand", "Flatten", "Gather", "GatherElements", "GlobalAveragePool", "LeakyRelu",
            "MaxPool", "ReduceMax", "ReduceMin", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split",
            "Squeeze", "Tile", "Transpose", "Unsqueeze",
        ),
        (0, 1),
    ),
}  # fmt: skip
FLOAT_OUTPUT = ("Gemm", "MatMul")  # whose integer kernels can give floats


class Arithmetic:
    """What the operators of a graph compute in; `floats` are those on float activations, conversions apart."""

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
        """Kind -> how many operators compute in floats, moves apart; empty where no operator computes in integers."""
        computing = [operator.kind for operator in self.floats if operator.kind not in MOVES]
        return dict(Counter(computing)) if self.has_integers else {}

    def islands(self) -> int:
        """How many islands of floats an integer graph has.

        An island is a group of float operators, connected by their tensors, that takes from a dequantization of
        activations and gives to a quantization: numbers are converted to floats and back for it. Float operators at
        the model's ends, where there is only one conversion, are none, nor is anything in a graph without integers.
        """
        found, left = 0, {id(operator): operator for operator in self.floats if self.has_integers}
        while left:
            found += self._is_island(self._group(left, left.popitem()[1]))
        return found

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
            one = edge.pop()
            near = [self.graph.made_by[index] for index in one.inputs if index in self.graph.made_by]
            near += [reader for index in one.outputs for reader in self.graph.read_by.get(index, [])]
            new = [operator for operator in near if left.pop(id(operator), None) is not None]
            group += new
            edge += new
        return group

    def _is_made_by(self, index: int, kinds: tuple[str, ...]) -> bool:
        maker = self.graph.made_by.get(index)
        return maker is not None and maker.base in kinds and self.graph.given(maker, 0) is not None

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
        """Whether a float tensor only goes to quantizations, be it through one of CLAMPS."""
        readers = self.graph.read_by.get(index, [])
        return bool(readers) and index not in self.graph.leaving and all(
            reader.base in QUANTIZE
            or (reader.kind in CLAMPS and not clamped and self._is_quantized(reader.outputs[0], clamped=True))
            for reader in readers
        )  # fmt: skip

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

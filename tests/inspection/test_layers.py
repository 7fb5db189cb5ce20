from __future__ import annotations

import math
from pathlib import Path

import pytest

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.inspection.graph import FileGraph, Operator, Tensor
from edge_squeeze.inspection.inspector import Inspection, inspect
from edge_squeeze.inspection.layers import Arithmetic, Kernel, kernels, parameters, total_macs
from edge_squeeze.networks.variants import VARIANTS, Conv, Fire, Variant


def shaped(**shapes: tuple[int | None, ...] | None) -> list[Tensor]:
    """Float tensors of these shapes; capitals are constants."""
    return [
        Tensor(name, "float32", shape, math.prod(s or 0 for s in shape) if shape and name.isupper() else None)
        for name, shape in shapes.items()
    ]


def layer(kind: str, tensors: list[Tensor], *inputs: int) -> FileGraph:
    """A graph of one operator on `inputs`, which gives the last tensor; the first is the model's input."""
    return FileGraph(tensors, [Operator(kind, inputs, (len(tensors) - 1,))], [0], [len(tensors) - 1])


def kernels_of(graph: FileGraph) -> list[Kernel]:
    return kernels(Arithmetic(graph))


def macs_by_hand(row: Variant, side: int) -> int:
    """Multiply-accumulates of a SqueezeNet, from its row alone."""
    channels, total = 3, 0
    for stage in row.stages:
        if isinstance(stage, Conv):
            side = (side - stage.kernel) // stage.stride + 1
            total += side**2 * stage.kernel**2 * channels * stage.filters
            channels = stage.filters
        elif isinstance(stage, Fire):
            total += side**2 * stage.squeeze * (channels + stage.expand1x1 + 9 * stage.expand3x3)
            channels = stage.expand1x1 + stage.expand3x3
        else:
            side = math.ceil((side - stage.size) / stage.stride) + 1
    return total + side**2 * channels * row.classes


@pytest.mark.parametrize("name", ["tflite-float32", "tflite-float16", "tflite-dynamic", "tflite-int8"])
def test_both_formats_count_what_the_rows_give(exported_11: dict[str, Exported], name: str) -> None:
    row = VARIANTS["squeezenet1.1"]
    for inspection in (
        inspected(exported_11, name),
        inspected(exported_11, "onnx-float32"),
        inspected(exported_11, "onnx-float16"),
    ):
        zeros = inspection.has_integers * 7_354_944  # a column in the first kernels, so that pixels come in pairs
        assert inspection.macs == macs_by_hand(row, 227) + zeros == 387_747_520 + zeros
        assert inspection.parameters - inspection.has_integers * 576 == row.parameters == 1_235_496
        assert inspection.macs_unknown is None


def inspected(exported: dict[str, Exported], name: str) -> Inspection:
    export = exported[name]
    return inspect((export.folder / export.manifest.file.name).read_bytes(), export.manifest.format)


@pytest.mark.parametrize(
    ("kind", "tensors", "inputs", "macs"),
    [
        ("CONV_2D", shaped(x=(1, 9, 9, 3), W=(8, 3, 3, 3), y=(1, 4, 5, 8)), (0, 1), 4 * 5 * 8 * 27),
        ("DEPTHWISE_CONV_2D", shaped(x=(1, 8, 8, 3), W=(1, 3, 3, 6), y=(1, 8, 8, 6)), (0, 1), 64 * 6 * 9),
        ("CONV_3D", shaped(x=(1, 4, 4, 4, 2), W=(2, 2, 2, 2, 5), y=(1, 3, 3, 3, 5)), (0, 1), 27 * 5 * 16),
        ("TRANSPOSE_CONV", shaped(x=(1, 4, 5, 3), W=(6, 2, 2, 3), y=(1, 8, 10, 6)), (-1, 1, 0), 20 * 72),
        ("FULLY_CONNECTED", shaped(x=(1, 6), W=(4, 6), y=(1, 4)), (0, 1), 24),
        ("FULLY_CONNECTED", shaped(x=(None, 6), W=(4, 6), y=(None, 4)), (0, 1), 24),
        ("BATCH_MATMUL", shaped(x=(1, 7, 6), W=(6, 4), y=(1, 7, 4)), (0, 1), 7 * 24),
        ("Conv", shaped(x=(None, 4, 9, 9), W=(6, 2, 3, 3), y=(None, 6, 7, 7)), (0, 1), 49 * 6 * 2 * 9),
        ("ConvTranspose", shaped(x=(1, 4, 5, 5), W=(4, 2, 2, 2), y=(1, 2, 10, 10)), (0, 1), 25 * 32),
        ("Gemm", shaped(x=(2, 6), W=(6, 4), y=(2, 4)), (0, 1), 24),
        ("MatMul", shaped(x=(1, 7, 6), W=(6, 4), y=(1, 7, 4)), (0, 1), 7 * 24),
        ("MatMul", shaped(x=(1, 3, 7, 6), W=(3, 6, 4), y=(1, 3, 7, 4)), (0, 1), 3 * 7 * 24),
        ("MatMul", shaped(x=(6, 5), W=(3, 6), y=(3, 5)), (1, 0), 3 * 6 * 5),
        ("MatMul", shaped(x=(1, 7, 6), W=(6,), y=(1, 7)), (0, 1), 7 * 6),
        ("CONV_2D", shaped(x=(1, None, None, 3), W=(8, 3, 3, 3), y=(1, None, None, 8)), (0, 1), None),
        ("Conv", shaped(x=None, W=(6, 2, 3, 3), y=None), (0, 1), None),
        ("Gemm", shaped(x=None, W=(6, 4), y=None), (0, 1), None),
    ],
)
def test_a_layer_has_the_multiply_accumulates_of_its_shapes(
    kind: str, tensors: list[Tensor], inputs: tuple[int, ...], macs: int | None
) -> None:
    (kernel,) = kernels_of(layer(kind, tensors, *inputs))
    assert kernel.macs == macs
    assert kernel.elements == tensors[1].elements
    assert total_macs([kernel])[0] == macs


def test_a_product_of_two_activations_is_no_layer() -> None:
    assert not kernels_of(layer("MatMul", shaped(x=(1, 7, 6), z=(1, 6, 7), y=(1, 7, 7)), 0, 1))


def test_a_layer_in_a_branch_makes_the_sum_unknown() -> None:
    graph = layer("Gemm", shaped(x=(1, 6), W=(6, 4), y=(1, 4)), 0, 1)
    graph.operators[0] = Operator("Gemm", (0, 1), (2,), graph=1)
    macs, reason = total_macs(kernels_of(graph))
    assert macs is None
    assert reason is not None
    assert "branches" in reason


def test_a_layer_without_weights_is_damaged() -> None:
    with pytest.raises(ValueError, match="a Conv lacks"):
        kernels_of(layer("Conv", shaped(x=(1, 3, 4, 4), y=(1, 3, 4, 4)), 0))


def constant(name: str, dtype: str, elements: int, scales: int = 0) -> Tensor:
    return Tensor(name, dtype, (elements,), elements, scales)


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ([Operator("Conv", (0, 2, 3), (1,))], 108 + 4),
        ([Operator("Conv", (0, 2, 3), (1,)), Operator("Conv", (0, 2, 3), (8,))], 108 + 4),  # shared
        ([Operator("DequantizeLinear", (4, 5), (8,)), Operator("Conv", (0, 8, 3), (1,))], 50 + 4),
        ([Operator("Reshape", (0, 6), (1,))], 0),
        ([Operator("Resize", (0, -1, 3), (1,))], 0),
        ([Operator("Add", (0, 7), (1,))], 0),  # a single number is a setting
        ([Operator("BatchNormalization", (0, 3, 3), (1,))], 4),
        ([Operator("Gather", (2, 6), (1,))], 108),  # an embedding
    ],
)
def test_parameters_are_what_was_learned(operators: list[Operator], expected: int) -> None:
    tensors = [
        Tensor("x", "float32"),
        Tensor("y", "float32"),
        constant("w", "float32", 108),
        constant("b", "float32", 4),
        constant("q", "int8", 50),
        constant("scales", "float32", 5),
        constant("shape", "int64", 4),
        constant("one", "float32", 1),
        Tensor("z", "float32"),
    ]
    assert parameters(FileGraph(tensors, operators, [0], [1])) == expected


def test_a_dynamic_batch_is_counted_where_shapes_can_be_inferred(tmp_path: Path) -> None:
    (export,) = edge_squeeze.export(
        weights="random", classes=2, input_size=32, format="onnx", dynamic_batch=True, out=tmp_path
    )
    inspection = inspect((export.folder / export.manifest.file.name).read_bytes(), "onnx")
    assert inspection.inputs[0].shape == (None, 3, 32, 32)
    row = VARIANTS["squeezenet1.1"]
    assert inspection.macs == macs_by_hand(Variant("small", row.stages, 0, classes=2), 32)


QUANTIZED = ("int8", "uint8", "int16")


def graph(text: str, ends: str) -> FileGraph:
    """Lines of "KIND input ... > output", a tensor being name:dtype and a constant #name:dtype; `ends` leave it."""
    tensors: dict[str, Tensor] = {}
    operators = []

    def index(word: str) -> int:
        name, _, dtype = word.partition(":")
        constant = name.startswith("#")
        tensors.setdefault(
            name, Tensor(name, dtype or "float32", (4, 4), 16 if constant else None, int(dtype in QUANTIZED))
        )
        return list(tensors).index(name)

    for line in filter(str.strip, text.splitlines()):
        kind, *words = line.split()
        arrow = words.index(">")
        inputs, outputs = (tuple(map(index, part)) for part in (words[:arrow], words[arrow + 1 :]))
        operators.append(Operator(kind, inputs, outputs))
    return FileGraph(list(tensors.values()), operators, [], [index(word) for word in ends.split()])


INT8_TFLITE = """
    QUANTIZE x > a:int8
    CONV_2D a #w:int8 > b:int8
"""
FLOAT_END = f"{INT8_TFLITE} DEQUANTIZE b > c \n SOFTMAX c > d"
ISLAND = f"{INT8_TFLITE} DEQUANTIZE b > c \n FLOOR c > d \n QUANTIZE d > e:int8"
TWO_ISLANDS = f"{ISLAND} \n CONV_2D e #v:int8 > f:int8 \n DEQUANTIZE f > g \n CEIL g > h \n QUANTIZE h > i:int8"
CONNECTED = f"""{INT8_TFLITE}
    DEQUANTIZE b > c
    FLOOR c > d
    CEIL c > e
    ADD d e > f
    QUANTIZE f > g:int8
"""
WEIGHTS_DEQUANTIZED = """
    QUANTIZE x > a:int8
    MAX_POOL_2D a > p:int8
    DEQUANTIZE #w:int8 > w
    FLOOR w > v
    QUANTIZE v > u:int8
    ADD p u > b:int8
"""
QDQ = """
    QuantizeLinear x #s #z:int8 > a:int8
    DequantizeLinear a #s #z > b
    DequantizeLinear #w:int8 #s #z > w
    Conv b w > c
    Relu c > d
    QuantizeLinear d #s #z > e:int8
    DequantizeLinear e #s #z > f
"""
QDQ_SOFTMAX = f"{QDQ} Softmax f > g \n QuantizeLinear g #s #z > h:int8"
QDQ_EXP = f"{QDQ} Exp f > g \n QuantizeLinear g #s #z > h:int8"
QDQ_FLOAT_CONV = f"{QDQ} Conv f #v > g \n QuantizeLinear g #s #z > h:int8"
QDQ_WITHOUT_END = QDQ.replace("QuantizeLinear d", "Identity d")
DYNAMIC = "DynamicQuantizeLinear x > a:uint8 s z:uint8 \n ConvInteger a #w:int8 > b:int32 \n Cast b > c \n Mul c s > d"


@pytest.mark.parametrize(
    ("text", "ends", "fallbacks", "islands"),
    [
        ("CONV_2D x #w > y", "y", {}, 0),
        (INT8_TFLITE, "b", {}, 0),
        (FLOAT_END, "d", {}, 0),
        (f"FLOOR x > y \n {INT8_TFLITE.replace('QUANTIZE x', 'QUANTIZE y')}", "b", {"FLOOR": 1}, 0),
        (ISLAND, "e", {"FLOOR": 1}, 1),
        (ISLAND.replace("FLOOR", "TRANSPOSE"), "e", {}, 1),
        (TWO_ISLANDS, "i", {"FLOOR": 1, "CEIL": 1}, 2),
        (CONNECTED, "g", {"FLOOR": 1, "CEIL": 1, "ADD": 1}, 1),
        (WEIGHTS_DEQUANTIZED, "b", {"FLOOR": 1}, 0),
        ("CONV_2D x #w:int8 > y", "y", {}, 0),
        (f"{INT8_TFLITE} DEQUANTIZE b > c \n CONV_2D c #v:int8 > d", "d", {"CONV_2D": 1}, 0),
        (QDQ, "f", {}, 0),
        (QDQ_SOFTMAX, "h", {}, 0),
        (QDQ_EXP, "h", {"Exp": 1}, 1),
        (QDQ_FLOAT_CONV, "h", {"Conv": 1}, 1),
        (DYNAMIC, "d", {}, 0),
    ],
)
def test_float_operators_and_islands_are_found(text: str, ends: str, fallbacks: dict[str, int], islands: int) -> None:
    arithmetic = Arithmetic(graph(text, ends))
    assert arithmetic.fallbacks() == fallbacks
    assert arithmetic.islands() == islands


@pytest.mark.parametrize(
    ("text", "ends", "head"),
    [
        (INT8_TFLITE, "b", {}),
        (FLOAT_END, "d", {"SOFTMAX": 1}),
        (ISLAND, "e", {}),
        (f"{INT8_TFLITE} DEQUANTIZE b > c \n CONV_2D c #v:int8 > d \n SOFTMAX d > e", "e", {"SOFTMAX": 1}),
        (QDQ_SOFTMAX, "h", {}),
        (QDQ_EXP, "h", {}),
        (f"{QDQ} Exp f > g", "g", {"Exp": 1}),
        ("CONV_2D x #w > y \n SOFTMAX y > z", "z", {}),
    ],
)
def test_the_float_head_is_what_follows_the_last_layer_and_is_not_quantized_again(
    text: str, ends: str, head: dict[str, int]
) -> None:
    assert Arithmetic(graph(text, ends)).head() == head


@pytest.mark.parametrize(
    ("text", "ends", "arithmetic"),
    [
        ("CONV_2D x #w > y", "y", "float32"),
        ("CONV_2D x:float16 #w:float16 > y:float16", "y", "float16"),
        ("DEQUANTIZE #h:float16 > w \n CONV_2D x w > y", "y", "float32"),
        ("CONV_2D x #w:int8 > y", "y", "hybrid"),
        ("CONV_2D x:int8 #w:int8 > y:int8", "y", "int8"),
        ("CONV_2D x:uint8 #w:uint8 > y:uint8", "y", "int8"),
        ("CONV_2D x:int16 #w:int8 > y:int16", "y", "int16"),
        ("FULLY_CONNECTED x:int8 #w:int4 > y:int8", "y", "int8"),
        ("DEQUANTIZE x:int8 > a \n DEQUANTIZE #w:int8 > b \n CONV_2D a b > c \n QUANTIZE c > d:int8", "d", "float32"),
        ("Conv x #w > y", "y", "float32"),
        ("QLinearConv x:uint8 #s #z:uint8 #w:int8 > y:uint8", "y", "int8"),
        ("ConvInteger x:uint8 #w:int8 > y:int32", "y", "int8"),
        (DYNAMIC, "d", "hybrid"),
        (QDQ, "f", "int8"),
        (QDQ, "f d", "float32"),  # the float numbers leave, too
        (f"{QDQ} Exp d > g", "g", "float32"),
        (QDQ_WITHOUT_END, "f", "float32"),
        (QDQ.replace("b w > c", "b #v > c"), "f", "float32"),  # weights that are no integers
        (QDQ.replace("Conv b w", "Conv x w"), "f", "float32"),
        ("DequantizeLinear x:int8 #s > a \n DequantizeLinear #w:int8 #s > b \n MatMul a b > y", "y", "int8"),
    ],
)
def test_a_layer_computes_in_what_its_tensors_say(text: str, ends: str, arithmetic: str) -> None:
    assert [kernel.arithmetic for kernel in kernels_of(graph(text, ends))] == [arithmetic]


def test_activations_are_those_before_the_dequantization() -> None:
    (kernel,) = kernels_of(graph(QDQ, "f"))
    assert (kernel.activations, kernel.dtype) == ("int8", "int8")


def test_cycles_end() -> None:
    looped = graph("DEQUANTIZE a > b \n DEQUANTIZE b > a \n CONV_2D x b > y:int8 \n ADD y:int8 z > z", "y")
    assert looped.source(1) is None
    assert Arithmetic(looped).islands() == 0
    assert [kernel.dtype for kernel in kernels_of(looped)] == ["computed"]


def test_a_tensor_that_is_computed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'y' is computed twice"):
        Arithmetic(graph("RELU x > y \n FLOOR x > y", "y"))

from __future__ import annotations

import pytest

from edge_squeeze.inspection.arithmetic import Arithmetic
from edge_squeeze.inspection.graph import FileGraph, Operator, Tensor
from edge_squeeze.inspection.layers import kernels

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
        (FLOAT_END, "d", {"SOFTMAX": 1}, 0),
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
    found = Arithmetic(graph(text, ends))
    assert found.fallbacks() == fallbacks
    assert found.islands() == islands


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
    assert [kernel.arithmetic for kernel in kernels(graph(text, ends))] == [arithmetic]


def test_activations_are_those_before_the_dequantization() -> None:
    (kernel,) = kernels(graph(QDQ, "f"))
    assert (kernel.activations, kernel.dtype) == ("int8", "int8")


def test_cycles_end() -> None:
    looped = graph("DEQUANTIZE a > b \n DEQUANTIZE b > a \n CONV_2D x b > y:int8 \n ADD y:int8 z > z", "y")
    assert looped.source(1) is None
    assert Arithmetic(looped).islands() == 0
    assert [kernel.dtype for kernel in kernels(looped)] == ["computed"]


def test_a_tensor_that_is_computed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'y' is computed twice"):
        Arithmetic(graph("RELU x > y \n FLOOR x > y", "y"))

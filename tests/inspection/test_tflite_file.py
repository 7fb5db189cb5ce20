from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import flatbuffers
import pytest
import tflite

from edge_squeeze.inspection import tflite_file
from edge_squeeze.inspection.graph import Tensor

FLOAT32, INT8 = tflite.TensorType.FLOAT32, tflite.TensorType.INT8
Vector = Callable[[int], Any]


class File:
    """Writes a small .tflite file, piece by piece."""

    def __init__(self) -> None:
        self.b = flatbuffers.Builder(1024)

    def ints(self, numbers: list[int]) -> int:
        self.b.StartVector(4, len(numbers), 4)
        for number in reversed(numbers):
            self.b.PrependInt32(number)
        return int(self.b.EndVector())

    def tables(self, offsets: list[int]) -> int:
        self.b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.b.PrependUOffsetTRelative(offset)
        return int(self.b.EndVector())

    def buffer(self, data: bytes) -> int:
        content = self.b.CreateByteVector(data) if data else 0
        tflite.BufferStart(self.b)
        if data:
            tflite.BufferAddData(self.b, content)
        return int(tflite.BufferEnd(self.b))

    def quantization(self, scale: float, zero_point: int) -> int:
        self.b.StartVector(4, 1, 4)
        self.b.PrependFloat32(scale)
        scales = self.b.EndVector()
        self.b.StartVector(8, 1, 8)
        self.b.PrependInt64(zero_point)
        zeros = self.b.EndVector()
        tflite.QuantizationParametersStart(self.b)
        tflite.QuantizationParametersAddScale(self.b, scales)
        tflite.QuantizationParametersAddZeroPoint(self.b, zeros)
        return int(tflite.QuantizationParametersEnd(self.b))

    def tensor(
        self,
        name: str,
        shape: list[int],
        dtype: int = FLOAT32,
        buffer: int = 0,
        quantized: float = 0,
        signature: list[int] | None = None,
    ) -> int:
        text, sides, open_sides = self.b.CreateString(name), self.ints(shape), self.ints(signature or [])
        quantization = self.quantization(quantized, -3) if quantized else 0
        tflite.TensorStart(self.b)
        tflite.TensorAddName(self.b, text)
        tflite.TensorAddShape(self.b, sides)
        if signature:
            tflite.TensorAddShapeSignature(self.b, open_sides)
        tflite.TensorAddType(self.b, dtype)
        tflite.TensorAddBuffer(self.b, buffer)
        if quantized:
            tflite.TensorAddQuantization(self.b, quantization)
        return int(tflite.TensorEnd(self.b))

    def operator(self, inputs: list[int], outputs: list[int], code: int = 0) -> int:
        taken, returned = self.ints(inputs), self.ints(outputs)
        tflite.OperatorStart(self.b)
        tflite.OperatorAddOpcodeIndex(self.b, code)
        tflite.OperatorAddInputs(self.b, taken)
        tflite.OperatorAddOutputs(self.b, returned)
        return int(tflite.OperatorEnd(self.b))

    def subgraph(self, tensors: list[int], operators: list[int], inputs: list[int], outputs: list[int]) -> int:
        listed = self.tables(tensors), self.tables(operators), self.ints(inputs), self.ints(outputs)
        tflite.SubGraphStart(self.b)
        tflite.SubGraphAddTensors(self.b, listed[0])
        tflite.SubGraphAddOperators(self.b, listed[1])
        tflite.SubGraphAddInputs(self.b, listed[2])
        tflite.SubGraphAddOutputs(self.b, listed[3])
        return int(tflite.SubGraphEnd(self.b))

    def code(self, builtin: int, custom: str = "") -> int:
        name = self.b.CreateString(custom) if custom else 0
        tflite.OperatorCodeStart(self.b)
        tflite.OperatorCodeAddBuiltinCode(self.b, builtin)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(self.b, min(builtin, 127))
        if custom:
            tflite.OperatorCodeAddCustomCode(self.b, name)
        return int(tflite.OperatorCodeEnd(self.b))

    def finish(self, subgraphs: list[int], codes: list[int], buffers: list[int]) -> bytes:
        listed = self.tables(subgraphs), self.tables(codes), self.tables(buffers)
        tflite.ModelStart(self.b)
        tflite.ModelAddVersion(self.b, 3)
        tflite.ModelAddSubgraphs(self.b, listed[0])
        tflite.ModelAddOperatorCodes(self.b, listed[1])
        tflite.ModelAddBuffers(self.b, listed[2])
        self.b.Finish(tflite.ModelEnd(self.b), b"TFL3")
        return bytes(self.b.Output())


def dense(
    shape: list[int] | None = None,
    weights: list[int] | None = None,
    indices: list[int] | None = None,
    buffer: int = 1,
    quantized: float = 0.5,
    signature: list[int] | None = None,
    code: tuple[int, str] = (tflite.BuiltinOperator.FULLY_CONNECTED, ""),
) -> bytes:
    """A dense layer of 2 x 3 weights, damaged as the arguments say."""
    file = File()
    tensors = [
        file.tensor("x", shape or [1, 3], INT8, quantized=quantized, signature=signature),
        file.tensor("w", weights or [2, 3], INT8, buffer),
        file.tensor("y", [1, 2], INT8),
    ]
    graph = file.subgraph(tensors, [file.operator(indices or [0, 1, -1], [2])], [0], [2])
    return file.finish([graph], [file.code(*code)], [file.buffer(b""), file.buffer(bytes(6))])


def test_a_file_made_by_hand_is_read() -> None:
    graph = tflite_file.read(dense())
    assert graph.tensors == [
        Tensor("x", "int8", (1, 3), scales=1, scale=0.5, zero_point=-3),
        Tensor("w", "int8", (2, 3), elements=6),
        Tensor("y", "int8", (1, 2)),
    ]
    (operator,) = graph.operators
    assert (operator.kind, operator.inputs, operator.outputs, operator.custom) == (
        "FULLY_CONNECTED",
        (0, 1, -1),
        (2,),
        False,
    )
    assert (graph.inputs, graph.outputs) == ([0], [2])
    assert graph.metadata["schema_version"] == 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"shape": [-2, 3]}, "a dimension of -2"),
        ({"shape": [1] * 65}, "65 dimensions"),
        ({"weights": [2, 4]}, "requires 8 bytes, it has 6"),
        ({"weights": [2, -3]}, "a dimension of -3"),
        ({"weights": [2**31 - 1] * 3}, "numbers"),
        ({"indices": [0, 3]}, "refers to tensor 3 of 3"),
        ({"indices": [0, -2]}, "refers to tensor -2"),
        ({"quantized": float("nan")}, "the scale nan"),
        ({"quantized": float("inf")}, "the scale inf"),
    ],
)
def test_what_cannot_be_is_refused(damage: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tflite_file.read(dense(**damage))


def test_a_buffer_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError):
        tflite_file.read(dense(buffer=2))


@pytest.mark.parametrize("sides", [{"shape": [-1, 3]}, {"shape": [1, 3], "signature": [-1, 3]}])
def test_open_dimensions_are_told(sides: dict[str, Any]) -> None:
    assert tflite_file.read(dense(**sides)).tensors[0].shape == (None, 3)


@pytest.mark.parametrize(
    ("code", "kind", "custom"),
    [
        ((tflite.BuiltinOperator.CUSTOM, "FlexErf"), "FlexErf", True),
        ((tflite.BuiltinOperator.CUSTOM, ""), "CUSTOM", True),
        ((9999, ""), "BUILTIN_9999", False),
    ],
)
def test_operators_are_named(code: tuple[int, str], kind: str, custom: bool) -> None:
    (operator,) = tflite_file.read(dense(code=code)).operators
    assert (operator.kind, operator.custom) == (kind, custom)


def test_subgraphs_do_not_share_their_tensors() -> None:
    file = File()
    graphs = []
    for name in ("a", "b"):
        tensors = [file.tensor(f"{name}{i}", [4]) for i in range(2)]
        graphs.append(file.subgraph(tensors, [file.operator([0], [1])], [0], [1]))
    graph = tflite_file.read(file.finish(graphs, [file.code(tflite.BuiltinOperator.RELU)], [file.buffer(b"")]))
    assert [(o.inputs, o.outputs, o.graph) for o in graph.operators] == [((0,), (1,), 0), ((2,), (3,), 1)]
    assert (graph.inputs, graph.outputs) == ([0], [1])
    assert graph.metadata["subgraphs"] == 2


def test_a_file_without_a_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="no graph"):
        tflite_file.read(File().finish([], [], []))


def test_absurd_lengths_are_refused_before_anything_is_read() -> None:
    """Every list's length in turn, recognized by the 1 or 3 that it is."""
    good, refused = dense(), 0
    for position in range(8, len(good) - 4, 4):
        if struct.unpack_from("<I", good, position)[0] in (1, 2, 3):
            damaged = bytearray(good)
            struct.pack_into("<I", damaged, position, 0xFFFFFF00)
            try:
                tflite_file.read(bytes(damaged))
            except Exception as error:
                refused += "too much" in str(error) or "buffer" in str(error)
    assert refused >= 6


def test_a_name_that_all_tensors_share_is_not_copied_for_ever() -> None:
    file = File()
    shared = file.tensor("x" * 5000, [1])
    data = file.finish([file.subgraph([shared] * 2000, [], [], [])], [], [file.buffer(b"")])
    with pytest.raises(ValueError, match="more text than bytes"):
        tflite_file.read(data)


def test_a_table_that_is_listed_for_ever_is_refused() -> None:
    file = File()
    shared = file.tensor("x", [1])
    data = file.finish([file.subgraph([shared] * 200_000, [], [], [])], [], [file.buffer(b"")])
    with pytest.raises(ValueError, match="200,000 entries is too much"):
        tflite_file.read(data)

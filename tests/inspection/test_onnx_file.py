from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T, helper, numpy_helper

from edge_squeeze.inspection import onnx_file
from edge_squeeze.inspection.graph import FileGraph, Tensor

rng = np.random.default_rng(0)


def value(name: str, shape: list[int | str | None] | None = None, dtype: int = T.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def constant(name: str, *shape: int, dtype: str = "float32") -> Any:
    return numpy_helper.from_array(rng.integers(0, 99, shape).astype(dtype), name)


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: Any = (), **rest: Any) -> Any:
    opsets = [helper.make_opsetid(domain, 18) for domain in ("", "com.acme", "my")]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants, value_info=rest.pop("value_info", None))
    return helper.make_model(graph, opset_imports=opsets, **rest)


def conv(batch: int | str = 1, **rest: Any) -> Any:
    return model(
        [helper.make_node("Conv", ["x", "w", "b"], ["c"]), helper.make_node("Relu", ["c"], ["y"])],
        [value("x", [batch, 3, 8, 8])],
        [value("y", [batch, 4, 6, 6])],
        [constant("w", 4, 3, 3, 3), constant("b", 4)],
        **rest,
    )


def read(proto: Any) -> FileGraph:
    return onnx_file.read(proto.SerializeToString())


def tensor(graph: FileGraph, name: str) -> Tensor:
    return next(candidate for candidate in graph.tensors if candidate.name == name)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a board: no onnx package."""
    monkeypatch.setattr(onnx_file, "is_installed", lambda package: False)


@pytest.mark.usefixtures("alone")
def test_a_file_is_read_without_the_onnx_package() -> None:
    graph = read(conv(producer_name="me", doc_string="why"))
    assert [(o.kind, o.custom, o.graph) for o in graph.operators] == [("Conv", False, 0), ("Relu", False, 0)]
    assert tensor(graph, "w") == Tensor("w", "float32", (4, 3, 3, 3), 108)
    assert tensor(graph, "c") == Tensor("c", "float32", None)
    assert tensor(graph, "y").shape == (1, 4, 6, 6)
    assert [graph.tensors[i].name for i in (*graph.inputs, *graph.outputs)] == ["x", "y"]
    assert graph.opset == 18
    assert (graph.metadata["producer"], graph.metadata["doc_string"]) == ("me", "why")


def test_shapes_that_lack_are_inferred_where_onnx_is_installed() -> None:
    assert tensor(read(conv("N")), "c").shape == (None, 4, 6, 6)


@pytest.mark.usefixtures("alone")
def test_declared_shapes_are_taken() -> None:
    assert tensor(read(conv(value_info=[value("c", [1, 4, None, 6])])), "c").shape == (1, 4, None, 6)


def test_constants_among_the_inputs_are_no_inputs() -> None:
    proto = conv(ir_version=3)
    proto.graph.input.extend([value("w", [4, 3, 3, 3]), value("b", [4])])
    assert [read(proto).tensors[i].name for i in read(proto).inputs] == ["x"]


def test_custom_domains_are_told_and_functions_are_not() -> None:
    twice = helper.make_function(
        "my", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    nodes = [
        helper.make_node("Twice", ["x"], ["t"], domain="my"),
        helper.make_node("Magic", ["t"], ["y"], domain="com.acme"),
        helper.make_node("Scaler", ["x"], ["z"], domain="ai.onnx.ml"),
    ]
    graph = read(model(nodes, [value("x", [1])], [value("y")], functions=[twice]))
    assert {o.kind: o.custom for o in graph.operators} == {
        "my.Twice": False,
        "com.acme.Magic": True,
        "Scaler": False,
        "Add": False,
    }


def test_branches_see_what_is_outside() -> None:
    inner = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["t"])], "then", [], [value("t")])
    alternative = helper.make_graph(
        [helper.make_node("Constant", [], ["e"], value=constant("", 1, 4, 6, 6))], "else", [], [value("e")]
    )
    graph = read(
        model(
            [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=alternative)],
            [value("c", [], T.BOOL), value("x", [1, 3, 8, 8])],
            [value("y")],
            [constant("w", 4, 3, 3, 3)],
        )
    )
    convolution = next(o for o in graph.operators if o.kind == "Conv")
    assert convolution.graph > 0
    assert [graph.tensors[i].name for i in convolution.inputs] == ["x", "w"]
    assert tensor(graph, "e").elements == 144


def test_sequences_and_optionals_are_told() -> None:
    floats = helper.make_tensor_type_proto(T.FLOAT, [2])
    inputs = [
        helper.make_value_info("s", helper.make_sequence_type_proto(floats)),
        helper.make_value_info("o", helper.make_optional_type_proto(floats)),
    ]
    graph = read(model([helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)], inputs, [value("y")]))
    assert [(graph.tensors[i].dtype, graph.tensors[i].shape) for i in graph.inputs] == [
        ("sequence(float32)", None),
        ("optional(float32)", None),
    ]


def test_other_files_are_named_and_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(conv(), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    graph = onnx_file.read(path.read_bytes())
    assert graph.elsewhere == ["w.bin"]
    assert tensor(graph, "w").elements == 108


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("float32", [1.5, 2.5]), ("int64", [1, 2]), ("int8", [1, 2]), ("float64", [1.0, 2.0]), ("uint64", [1, 2])],
)
def test_numbers_that_are_not_stored_raw_are_counted(dtype: str, values: list[Any]) -> None:
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    stored = helper.make_tensor("w", code, [2], values)
    assert not stored.HasField("raw_data")
    graph = read(model([helper.make_node("Identity", ["w"], ["y"])], [], [value("y")], [stored]))
    assert tensor(graph, "w") == Tensor("w", dtype, (2,), 2)
    stored.dims[0] = 3
    with pytest.raises(ValueError, match="requires 3 numbers, it has 2"):
        read(model([helper.make_node("Identity", ["w"], ["y"])], [], [value("y")], [stored]))


def quantized_ends() -> Any:
    scale, zero = numpy_helper.from_array(np.float32(0.25), "s"), numpy_helper.from_array(np.int8(-7), "z")
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "s"], ["y"]),
    ]
    return model(nodes, [value("x", [4], T.INT8)], [value("y", [4], T.UINT8)], [scale, zero])


def test_ends_that_are_quantized_have_scale_and_zero_point() -> None:
    graph = read(quantized_ends())
    ends = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    assert [(e.dtype, e.scale, e.zero_point) for e in ends] == [("int8", 0.25, -7), ("uint8", 0.25, 0)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda g: g.initializer[0].dims.__setitem__(0, 5), "requires 540 bytes, it has 432"),
        (lambda g: g.initializer[0].dims.__setitem__(0, -4), "a dimension of -4"),
        (lambda g: g.initializer[0].dims.__setitem__(0, 2**62), "numbers"),
        (lambda g: g.initializer[0].dims.extend([1] * 99), "103 dimensions"),
        (lambda g: g.input[0].type.tensor_type.shape.dim[0].__setattr__("dim_value", -5), "a dimension of -5"),
        (lambda g: g.node.__delitem__(slice(None)), "no graph with operators"),
    ],
)
def test_what_cannot_be_is_refused(damage: Any, message: str) -> None:
    proto = conv()
    damage(proto.graph)
    with pytest.raises(ValueError, match=message):
        read(proto)


def test_a_scale_that_is_no_number_is_refused() -> None:
    proto = quantized_ends()
    proto.graph.initializer[0].raw_data = np.float32("nan").tobytes()
    with pytest.raises(ValueError, match="'s' is nan"):
        read(proto)


def test_a_file_of_nothing_but_operators_is_refused() -> None:
    proto = model([], [], [])
    proto.graph.node.extend([onnx.NodeProto()] * 150_000)
    with pytest.raises(ValueError, match="150,000 entries is too much"):
        read(proto)


def test_bodies_in_bodies_are_read() -> None:
    body = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", [], [])
    for _ in range(25):
        body = helper.make_graph([helper.make_node("Loop", ["n", "c"], ["b"], body=body)], "g", [], [])
    assert len(onnx_file.read(helper.make_model(body).SerializeToString()).operators) == 26

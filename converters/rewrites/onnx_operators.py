"""What tf2onnx leaves as it is: exact rewrites of such operators, and the layer to name where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from edge_squeeze.converters.formats.tracing import UNROLL, layer_of
from edge_squeeze.errors import ConversionError

APART = ("_XlaMustCompile", "_noinline")  # attributes that keep a function from being inlined
MOST_LAYERS = 3
LOOPING = "TensorList"  # operators in which a recurrent layer keeps its steps
HALF, SINGLE = "tensor(float16)", "tensor(float)"


def inlinable(frozen: Any) -> Any:
    """The `GraphDef` with every function open to inlining: Keras compiles grouped convolutions in one of their own."""
    functions = frozen.library.function
    for item in (*frozen.node, *functions, *(node for function in functions for node in function.node_def)):
        for name in APART:
            item.attr.pop(name, None)
    return frozen


def _constant(graph: Any, node: Any, value: float) -> str:
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(graph.get_dtype(node.input[0]))
    name: str = graph.make_const(f"{node.name}/constant/{value}", np.array(value, dtype)).output[0]
    return name


def _replace(graph: Any, node: Any, kind: str, inputs: list[str]) -> None:
    """Put an operator of that kind in the place of `node`."""
    shapes, dtypes = node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node(kind, inputs, outputs=node.output, name=node.name, shapes=shapes, dtypes=dtypes)


def _erfc(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """1 - erf(x), which Keras' exact GELU has."""
    erf = graph.make_node("Erf", node.input, op_name_scope=node.name)
    _replace(graph, node, "Sub", [_constant(graph, node, 1), erf.output[0]])


def _expm1(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """tanh(x / 2) (exp(x) + 1), which is exact near 0, too, where exp(x) - 1 has no digits left."""
    half = graph.make_node("Mul", [node.input[0], _constant(graph, node, 0.5)], op_name_scope=node.name)
    tanh = graph.make_node("Tanh", half.output, op_name_scope=node.name)
    exp = graph.make_node("Exp", node.input, op_name_scope=node.name)
    above = graph.make_node("Add", [exp.output[0], _constant(graph, node, 1)], op_name_scope=node.name)
    _replace(graph, node, "Mul", [tanh.output[0], above.output[0]])


def _log1p(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """log(1 + x), to the digits that 1 + x has."""
    above = graph.make_node("Add", [node.input[0], _constant(graph, node, 1)], op_name_scope=node.name)
    _replace(graph, node, "Log", above.output)


def handlers() -> dict[str, tuple[Callable[..., None], list[Any]]]:
    """What tf2onnx takes as `custom_op_handlers`: TensorFlow operator -> its rewrite."""
    return {"Erfc": (_erfc, []), "Expm1": (_expm1, []), "Log1p": (_log1p, [])}


def check(proto: Any, layers: Iterable[Any], scopes: Mapping[str, str]) -> None:
    """Raise ConversionError if operators are left that ONNX does not have, and name the Keras `layers` they are in.

    `scopes` is what `tracing.scope_names` gives of their model.
    """
    import onnx

    kinds = {layer.name: type(layer).__name__ for layer in layers}
    known = {scope: name for scope, name in scopes.items() if name in kinds}
    foreign: dict[str, list[str]] = {}
    for node in proto.graph.node:
        if not node.domain and not onnx.defs.has(node.op_type):
            layer = layer_of(node.name, known)[0]
            foreign.setdefault(node.op_type, []).append(f"{layer} ({kinds[layer]})" if layer in kinds else layer)
    if not foreign:
        return
    lines = [f"  {kind}: layer {_some(dict.fromkeys(names))}" for kind, names in foreign.items()]
    remedy = "build the model with another layer or activation in their place."
    if any(kind.startswith(LOOPING) for kind in foreign):
        remedy = f"{UNROLL[0].lower()}{UNROLL[1:]}."
    raise ConversionError(
        "ONNX has no such operators, and tf2onnx does not rewrite them:\n"
        + "\n".join(lines)
        + f"\nUse --format tflite, or {remedy}"
    )


def _some(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - MOST_LAYERS} more" if len(known) > MOST_LAYERS else ""
    return ", ".join(known[:MOST_LAYERS]) + more


def float32_only(proto: Any) -> list[str]:
    """The kinds of operators in `proto` that ONNX, at its operator set, has in float32 but not in float16, as IsInf."""
    import onnx

    opset = next(entry.version for entry in proto.opset_import if not entry.domain)
    kinds = {node.op_type for node in proto.graph.node if not node.domain}
    return sorted(kind for kind in kinds if _lacks_half(onnx.defs.get_schema(kind, opset)))


def _lacks_half(schema: Any) -> bool:
    allowed = [constraint.allowed_type_strs for constraint in schema.type_constraints]
    return any(SINGLE in types and HALF not in types for types in allowed)

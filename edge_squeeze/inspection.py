"""What a model file really holds, read from its bytes without any engine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from edge_squeeze.errors import ConversionError, MissingDependencyError
from edge_squeeze.runtimes import is_installed

FLEX_PREFIX = "Flex"  # TensorFlow operators that a phone's interpreter lacks


@dataclass(frozen=True)
class FileTensor:
    """An input or output as the file declares it; None in `shape` stands for an open dimension."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Inspection:
    """The content of a model file."""

    inputs: list[FileTensor]
    outputs: list[FileTensor]
    operators: dict[str, int]  # kind -> how many
    custom_operators: list[str]  # Flex and custom ones
    tensor_types: dict[str, int]  # dtype -> how many tensors, constants included
    weight_types: dict[str, int]  # dtype -> how many kernels of convolutions and dense layers
    opset: int | None = None

    @property
    def transposes(self) -> int:
        """Transpose operators, each of which moves a whole tensor for nothing."""
        return self.operators.get("TRANSPOSE", 0) + self.operators.get("Transpose", 0)


def inspect(model: bytes, format_name: str) -> Inspection:
    """What is in the bytes of a .tflite or .onnx file; ConversionError if they are not such a file."""
    try:
        return {"tflite": _tflite, "onnx": _onnx}[format_name](model)
    except MissingDependencyError:
        raise
    except Exception as error:  # both parsers raise whatever a damaged file makes them run into
        raise ConversionError(f"This is not a readable {format_name} file: {type(error).__name__}: {error}") from error


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _tflite(data: bytes) -> Inspection:
    import tflite

    if data[4:8] != b"TFL3":
        raise ValueError("bytes 4 to 8 are not TFL3")
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    kinds, types = _names(tflite.BuiltinOperator), _names(tflite.TensorType)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    dtypes = [types[t.Type()].lower() for t in tensors]
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    numbers = [max(c.BuiltinCode(), c.DeprecatedBuiltinCode()) for c in codes]
    named = [kinds.get(numbers[o.OpcodeIndex()], str(numbers[o.OpcodeIndex()])) for o in operators]
    custom = [(c.CustomCode() or b"").decode("utf-8", "replace") for c in codes]
    layers = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    kernels = [
        dtypes[_source(operators, o.Inputs(1), named)]
        for o, kind in zip(operators, named, strict=True)
        if kind in layers
    ]
    return Inspection(
        inputs=[_tflite_tensor(tensors[i], dtypes[i]) for i in graph.InputsAsNumpy()],
        outputs=[_tflite_tensor(tensors[i], dtypes[i]) for i in graph.OutputsAsNumpy()],
        operators=dict(Counter(named)),
        custom_operators=[name for name in custom if name],
        tensor_types=dict(Counter(dtypes)),
        weight_types=dict(Counter(kernels)),
    )


def _source(operators: list[Any], index: int, named: list[str]) -> int:
    """The constant behind tensor `index`: itself, or what a DEQUANTIZE makes it from, as float16 files have it."""
    for operator, kind in zip(operators, named, strict=True):
        if kind == "DEQUANTIZE" and operator.Outputs(0) == index:
            return int(operator.Inputs(0))
    return index


def _tflite_tensor(tensor: Any, dtype: str) -> FileTensor:
    quantisation = tensor.Quantization()
    quantised = quantisation is not None and quantisation.ScaleLength() == 1
    shape = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else tensor.ShapeAsNumpy()
    return FileTensor(
        name=tensor.Name().decode("utf-8", "replace"),
        shape=tuple(None if side < 0 else int(side) for side in shape),
        dtype=dtype,
        scale=float(quantisation.Scale(0)) if quantised else None,
        zero_point=int(quantisation.ZeroPoint(0)) if quantised else None,
    )


def _onnx(data: bytes) -> Inspection:
    if not is_installed("onnx"):
        raise MissingDependencyError("onnx", "export", "looking into an .onnx file")
    import onnx

    model = onnx.load_model_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    constants = {c.name: _onnx_dtype(c.data_type) for c in graph.initializer}
    kernels = [constants[n.input[1]] for n in graph.node if n.op_type in ("Conv", "Gemm") and n.input[1] in constants]
    return Inspection(
        inputs=[_onnx_tensor(value) for value in graph.input],
        outputs=[_onnx_tensor(value) for value in graph.output],
        operators=dict(Counter(node.op_type for node in graph.node)),
        custom_operators=sorted({n.op_type for n in graph.node if n.domain not in ("", "ai.onnx")}),
        tensor_types=dict(Counter(constants.values())),
        weight_types=dict(Counter(kernels)),
        opset=next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
    )


def _onnx_dtype(code: int) -> str:
    import onnx

    return str(onnx.helper.tensor_dtype_to_np_dtype(code))


def _onnx_tensor(value: Any) -> FileTensor:
    kind = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
    return FileTensor(value.name, shape, _onnx_dtype(kind.elem_type))

"""Does a finished file hold what its name says? Read back from the bytes, never taken from the converter's word."""

from __future__ import annotations

from edge_squeeze.converters.formats.tracing import INPUT
from edge_squeeze.converters.targets import Order, Target
from edge_squeeze.errors import ConversionError
from edge_squeeze.inspection.inspector import Inspection
from edge_squeeze.inspection.layers import Kernel

FLOATS = ("float32", "float16")
Size = tuple[int | None, int | None]  # height and width; None: open
SMALLEST_QUANTIZED = 1024  # numbers: TensorFlow's dynamic range leaves smaller kernels as they are


def check(found: Inspection, order: Order, size: Size, classes: int) -> None:
    """Raise ConversionError listing everything in the file `found` that is not what `order` asked for."""
    if problems := [*_ends(found, order, size, classes), *_content(found, order)]:
        name = f"{order.target.format} {order.target.precision}"
        raise ConversionError(f"The {name} file is not what its name says:\n  " + "\n  ".join(problems))


def _ends(found: Inspection, order: Order, size: Size, classes: int) -> list[str]:
    target, options = order.target, order.options
    batch = None if options.dynamic_batch else 1
    picture = (batch, 3, *size) if options.layout == "nchw" else (batch, *size, 3)
    io = options.io or target.io
    scores = io if target.quantizer else "float32"
    wanted = [(INPUT, picture, io), (options.output, (batch, classes), scores)]
    got = [(end.name, end.shape, end.dtype) for end in (*found.inputs, *found.outputs)]
    problems = [f"required {w}, got {g}" for w, g in zip(wanted, got, strict=False) if w != g]
    if len(got) != len(wanted):
        problems.append(f"required one input and one output, got {len(found.inputs)} and {len(found.outputs)}")
    pixel = (found.inputs[0].scale, found.inputs[0].zero_point)
    if target.quantizer and io != "float32" and pixel != (1.0, {"uint8": 0, "int8": -128}[io]):
        problems.append(f"pixels must be taken as they are (scale 1), got scale and zero point {pixel}")
    return problems


def _content(found: Inspection, order: Order) -> list[str]:
    target, problems = order.target, []
    if found.custom_operators:
        problems.append(f"operators that a plain runtime lacks: {', '.join(found.custom_operators)}")
    if not found.kernels or _wrong_kernels(found, target):
        problems.append(f"every kernel must be {target.weights}, got {found.weight_types}")
    floats = {name: n for name, n in found.tensor_types.items() if name in FLOATS}
    allowed = 2 if order.options.io == "float32" else 0  # the input and the output
    if target.quantizer and sum(floats.values()) > allowed:
        operators = ", ".join(f"{kind} {count}" for kind, count in found.float_fallbacks.items()) or "none"
        problems.append(
            f"a full integer file has no float tensors beside its ends, got {floats}; operators that stayed in float, "
            f"since TFLite has no integer kind of them: {operators}"
        )
    return problems


def _wrong_kernels(found: Inspection, target: Target) -> list[Kernel]:
    """The kernels stored as something else than the target's name says."""
    is_dynamic = target.weights == "int8" and target.quantizer is None
    return [
        kernel
        for kernel in found.kernels
        if kernel.dtype != target.weights
        and not (is_dynamic and kernel.dtype == "float32" and kernel.elements < SMALLEST_QUANTIZED)
    ]

"""Does a finished file hold what its name says? Read back from the bytes, never taken from the converter's word."""

from __future__ import annotations

import dataclasses
import re
import reprlib
from collections.abc import Collection, Iterator, Sequence

from edge_squeeze.converters.formats.tracing import INPUT
from edge_squeeze.converters.options import FLOAT_HEAD, INT8_HEAD
from edge_squeeze.converters.rewrites import catalogue
from edge_squeeze.converters.rewrites.catalogue import PIXELS_BY_FLOAT
from edge_squeeze.converters.targets import Order, Target
from edge_squeeze.errors import ConversionError
from edge_squeeze.inspection.inspector import Inspection
from edge_squeeze.inspection.layers import Kernel
from edge_squeeze.inspection.model_card import ModelCard
from edge_squeeze.inspection.operator_times import NUMBERED
from edge_squeeze.scores import PROBABILITIES

FLOATS = ("float32", "float16")
GENERATED = re.compile(r"^[A-Za-z]+__\d+(:0)?$")
Size = tuple[int | None, int | None]  # height and width; None: open
SMALLEST_QUANTIZED = 1024  # numbers: TensorFlow's dynamic range leaves smaller kernels as they are


def check(
    file: Inspection,
    order: Order,
    size: Size,
    classes: int,
    output: str = PROBABILITIES,
    *,
    card: ModelCard | None = None,
    strict: bool = False,
    floats: Collection[str] = (),
) -> None:
    """Raise ConversionError listing everything in `file` that is not what `order` asked for.

    It must take pictures of `size`, give one score for each of `classes` under the name `output`, and say of itself
    what `card` does. If `strict`, a quantized file must have no operators in float. Its layers `floats` must be so.
    """
    kept = [kernel for kernel in file.kernels if _is_of(kernel, floats)]
    problems = [*_ends(file, order, size, (classes, output)), *_content(file, order, kept, strict=strict)]
    if card is not None:
        problems += _says(file.card, card, classes, is_open=None in size)
    if problems:
        name = f"{order.target.format} {order.target.precision}"
        raise ConversionError(f"The {name} file is not what its name says:\n  " + "\n  ".join(problems))


def _ends(file: Inspection, order: Order, size: Size, output: tuple[int, str]) -> list[str]:
    (classes, name), target, options = output, order.target, order.options
    batch = None if options.dynamic_batch else 1
    picture = (batch, 3, *size) if order.layout == "nchw" else (batch, *size, 3)
    io = options.io or target.io
    integer_scores = target.quantizer and options.head == INT8_HEAD and not target.float_scores
    scores = io if integer_scores else "float32"
    required = [(INPUT, picture, io), (name, (batch, classes), scores)]
    ends = [(end.name, end.shape, end.dtype) for end in (*file.inputs, *file.outputs)]
    problems = [f"required {r}, got {e}" for r, e in zip(required, ends, strict=False) if r != e]
    if len(ends) != len(required):
        problems.append(f"required one input and one output, got {len(file.inputs)} and {len(file.outputs)}")
    pixel = (file.inputs[0].scale, file.inputs[0].zero_point)
    if target.quantizer and io != "float32" and pixel != (1.0, {"uint8": 0, "int8": -128}[io]):
        problems.append(f"pixels must be taken as they are (scale 1), got scale and zero point {pixel}")
    return problems


def _is_of(kernel: Kernel, layers: Collection[str]) -> bool:
    """Whether a kernel belongs to one of `layers`: it is called after it, or after a path with it.

    Where tf2onnx made up the name of one, nothing tells: it may, if it computes in float.
    """
    if layers and GENERATED.search(kernel.name):
        return kernel.arithmetic in FLOATS
    parts = re.split("[/;:]", kernel.name)
    return any(name in layers for part in parts for name in (part, NUMBERED.sub("", part)))


def _content(file: Inspection, order: Order, kept: Sequence[Kernel], *, strict: bool) -> list[str]:
    target, problems = order.target, []
    if file.custom_operators:
        problems.append(f"operators that a plain runtime lacks: {', '.join(file.custom_operators)}")
    if wrong := [kernel.name for kernel in kept if kernel.arithmetic not in FLOATS]:
        problems.append(f"layers that are kept in float must compute in float, not so: {', '.join(wrong)}")
    if not file.kernels or _wrong_kernels(file, target, kept):
        problems.append(f"every kernel must be {target.weights}, got {file.weight_types}")
    if target.quantizer:
        problems += _floats(file, order, kept, strict=strict)
    return problems


def _says(card: ModelCard, required: ModelCard, scores: int, *, is_open: bool) -> Iterator[str]:
    """Where what a file with so many `scores` says of itself is not what is `required`.

    One that takes any picture size may leave out what to do to pixels: clients that need it cannot feed such a file.
    """
    for field in dataclasses.fields(ModelCard):
        wanted, got = getattr(required, field.name), getattr(card, field.name)
        left_out = is_open and field.name in ("mean", "std") and not got
        if wanted != got and not left_out:
            yield f"its metadata must have the {field.name} {reprlib.repr(wanted)}, got {reprlib.repr(got)}"
    if len(card.labels) != scores:
        yield f"its metadata must have one label for each of {scores:,} scores, got {len(card.labels):,}"


def _floats(file: Inspection, order: Order, kept: Sequence[Kernel], *, strict: bool) -> Iterator[str]:
    """What a quantized file has in float that it should not."""
    activations = order.target.activations
    kernels = [kernel for kernel in file.kernels if kernel not in kept]
    integer = sum(kernel.arithmetic == activations for kernel in kernels)
    if integer < len(kernels):
        others = ", ".join(k.name for k in kernels if k.arithmetic != activations)
        yield (
            f"{integer} of {len(kernels)} convolutions and dense layers compute in {activations}, all are "
            f"required; not: {others}"
        )
    head = {} if order.options.head == FLOAT_HEAD else file.float_head
    floats = {**file.float_fallbacks, **head}
    if floats and strict:
        operators = ", ".join(f"{kind} {count}" for kind, count in floats.items())
        yield (
            f"operators that stayed in float, since there is no integer kind of them: {operators}; leave out "
            "--strict-int8 to accept them"
        )
    if "DequantizeLinear" in file.operators:  # integer operators are written as float ones between quantizations
        return
    tensors = sum(count for name, count in file.tensor_types.items() if name in FLOATS)
    ends = sum(end.dtype in FLOATS for end in (*file.inputs, *file.outputs))
    converted = activations == "int16" or PIXELS_BY_FLOAT in catalogue.names(order.options.rewrites, order.target.name)
    if converted and file.inputs[0].dtype not in FLOATS:
        ends += 1  # pixels of 8 bits become other numbers by way of float32
    if tensors > ends and not floats and not file.float_head:
        yield f"a full integer file has no float tensors beside its ends, got {tensors - ends}"


def _wrong_kernels(file: Inspection, target: Target, kept: Sequence[Kernel]) -> list[Kernel]:
    """The kernels stored as something else than the target's name says."""
    is_dynamic = target.weights == "int8" and target.quantizer is None
    return [
        kernel
        for kernel in file.kernels
        if kernel not in kept
        and kernel.dtype.removeprefix("u" if target.quantizer else "") != target.weights
        and not (is_dynamic and kernel.dtype == "float32" and kernel.elements < SMALLEST_QUANTIZED)
    ]

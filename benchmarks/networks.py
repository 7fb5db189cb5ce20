"""Which files are of one network, so that a comparison of their speed says something of the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.errors import EdgeSqueezeError
from edge_squeeze.inspection.inspector import FileTensor, inspect

# Formats and quantization keep parameters, but batch normalization is folded in some files and four numbers a channel
# in others: 5 % of the smallest MobileNet.
PARAMETERS_DIFFER = 0.10
Sides = tuple[tuple[int, ...], ...]  # of several tensors, without their batches


@dataclass(frozen=True)
class Traits:
    """What tells networks apart; None for what nobody says."""

    variant: str | None = None  # an artifact's, with its design
    weights: str | None = None  # the sha256 of what an artifact was made from
    inputs: Sides | None = None
    outputs: Sides | None = None
    parameters: int | None = None


def traits(path: Path, format_name: str, manifest: Manifest | None) -> Traits:
    """The traits of a model file: what its artifact says of it, else what is in it as far as it can be inspected."""
    if manifest is not None:
        variant = manifest.variant and f"{manifest.variant}{manifest.design.suffix}"
        inputs = None if manifest.any_size else _sides([(1, *manifest.input_size, 3)])
        outputs = _sides([(1, manifest.classes)])
        return Traits(variant, manifest.weights.sha256, inputs, outputs, manifest.parameters)
    try:
        found = inspect(path.read_bytes(), format_name)
    except (EdgeSqueezeError, OSError):  # protobuf is not there, or an engine reads what we do not
        return Traits()
    return Traits(None, None, _sides(_shapes(found.inputs)), _sides(_shapes(found.outputs)), found.parameters)


def _shapes(tensors: Sequence[FileTensor]) -> list[tuple[int | None, ...]]:
    return [(None, None) if tensor.shape is None else tuple(tensor.shape) for tensor in tensors]


def _sides(shapes: Sequence[tuple[int | None, ...]]) -> Sides | None:
    """The sides of `shapes`, sorted, since layouts differ, without batches and ones; None if a side is open."""
    if any(side is None for shape in shapes for side in shape[1:]):
        return None
    return tuple(sorted(tuple(sorted(side for side in shape[1:] if side and side > 1)) for shape in shapes))


def same(one: Traits, other: Traits) -> bool:
    """Whether two files are of one network, as far as anybody knows: only what surely differs sets them apart."""
    if one.weights is not None and one.weights == other.weights:
        return True
    if one.variant is not None and other.variant is not None:
        return one.variant == other.variant
    pairs = (one.inputs, other.inputs), (one.outputs, other.outputs)
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        return False
    counts = one.parameters or 0, other.parameters or 0
    return 0 in counts or max(counts) <= (1 + PARAMETERS_DIFFER) * min(counts)


def groups(files: Sequence[Traits]) -> list[int]:
    """The number of the network of each of `files`: 0 for that of the first, and so on; the first of each speaks."""
    firsts: list[Traits] = []
    found = []
    for file in files:
        number = next((at for at, first in enumerate(firsts) if same(first, file)), len(firsts))
        if number == len(firsts):
            firsts.append(file)
        found.append(number)
    return found

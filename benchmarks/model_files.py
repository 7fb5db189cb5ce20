"""Model files, each read once, and which of them are of one network, so that comparing their speed means something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edge_squeeze import formats
from edge_squeeze.artifact.folder import find_model
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, UsageError
from edge_squeeze.files import reading
from edge_squeeze.inspection.inspector import FileTensor, Inspection, inspect

LARGEST_FILE = 1 << 31
# Formats and quantization keep parameters, but batch normalization is folded in some files and four numbers a channel
# in others: 5 % of the smallest MobileNet.
PARAMETERS_DIFFER = 0.10
Sides = tuple[tuple[int, ...], ...]  # of several tensors, without their batches


@dataclass(frozen=True)
class ModelFile:
    """A model file, called `shown` by the user, and the manifest of the artifact that it belongs to, if any."""

    shown: str
    path: Path
    format: str
    sha256: str
    size_bytes: int
    manifest: Manifest | None

    @property
    def name(self) -> str:
        """The name of the artifact, or else of the file."""
        return self.manifest.name if self.manifest else self.path.name

    @cached_property
    def inspection(self) -> Inspection:
        """What the file holds, looked up once; EdgeSqueezeError or OSError where that cannot be done here."""
        return inspect(self.path.read_bytes(), self.format)

    @property
    def damaged(self) -> bool:
        """Whether the file cannot be read as what its name says; False where that cannot be found out here."""
        try:
            _ = self.inspection
        except ConversionError:
            return True
        except (EdgeSqueezeError, OSError):
            return False
        return False

    def refusal(self, failure: str) -> str:
        """What to say of a damaged file of which an engine said `failure`."""
        return (
            f"{self.path} is truncated, damaged or not what its name says. Required: {formats.a_file(self.format)} "
            f"that an engine loads. Export or copy it again. {failure}"
        )

    def try_inspection(self) -> Inspection | None:
        """What the file holds; None where protobuf is missing, or an engine reads what we do not."""
        try:
            return self.inspection
        except (EdgeSqueezeError, OSError):
            return None


def read_all(paths: str | Path | Sequence[str | Path]) -> list[ModelFile]:
    """The model files at `paths`, one or several; UsageError without any, or if one cannot be measured."""
    if isinstance(paths, str | Path):
        return [read(Path(paths))]
    if not paths:
        raise UsageError("Nothing to measure. Required: a .tflite or .onnx file, or a folder that `export` left.")
    return [read(Path(path)) for path in paths]


def read(path: Path) -> ModelFile:
    """The model file at `path`; UsageError if it is not one, or has changed since it was exported."""
    file, manifest = find_model(path)
    try:
        size = file.stat().st_size
        if size > LARGEST_FILE:
            raise UsageError(f"{file} is too large: required at most {LARGEST_FILE:,} bytes, got {size:,}.")
        with file.open("rb") as opened:
            head = opened.read(formats.HEAD)
        sha256 = reading.sha256(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error
    if manifest is not None and manifest.file.sha256 != sha256:
        raise UsageError(f"{file} is not the file that was exported: its sha256 has changed. Export it again.")
    return ModelFile(str(path), file, _format(file, head), sha256, size, manifest)


def _format(file: Path, head: bytes) -> str:
    if kind := formats.of_head(head, file.name):
        return kind
    required = ", or ".join(
        row.description if row.magic else f"a file called {row.suffix}" for row in formats.FORMATS.values()
    )
    raise UsageError(f"{file} is not a model file that can be run. Required: {required}. Got: {head!r}.")


@dataclass(frozen=True)
class Traits:
    """What tells networks apart; None for what is not known."""

    variant: str | None = None  # an artifact's, with its design
    weights: str | None = None  # the sha256 of what an artifact was made from
    inputs: Sides | None = None
    outputs: Sides | None = None
    parameters: int | None = None


def groups(models: Sequence[ModelFile]) -> list[int]:
    """The number of the network of each of `models`; files outside artifacts are inspected where there are several."""
    if len({model.sha256 for model in models}) == 1:
        return [0] * len(models)
    return group_traits([traits(model) for model in models])


def group_traits(files: Sequence[Traits]) -> list[int]:
    """The number of the network of each of `files`: 0 for that of the first, and so on.

    Files are compared with the first of each network.
    """
    firsts: list[Traits] = []
    numbers = []
    for file in files:
        number = next((at for at, first in enumerate(firsts) if same_network(first, file)), len(firsts))
        if number == len(firsts):
            firsts.append(file)
        numbers.append(number)
    return numbers


def traits(model: ModelFile) -> Traits:
    """The traits of a model file: those in its artifact's manifest, else in the file as far as it can be inspected."""
    if (manifest := model.manifest) is not None:
        variant = manifest.variant and f"{manifest.variant}{manifest.design.suffix}"
        inputs = None if manifest.any_size else _sides([(1, *manifest.input_size, 3)])
        outputs = _sides([(1, manifest.outputs)])
        return Traits(variant, manifest.weights.sha256, inputs, outputs, manifest.parameters)
    inspection = model.try_inspection()
    if inspection is None:
        return Traits()
    inputs, outputs = (_sides(_shapes(tensors)) for tensors in (inspection.inputs, inspection.outputs))
    return Traits(None, None, inputs, outputs, inspection.parameters)


def _shapes(tensors: Sequence[FileTensor]) -> list[tuple[int | None, ...]]:
    return [(None, None) if tensor.shape is None else tuple(tensor.shape) for tensor in tensors]


def _sides(shapes: Sequence[tuple[int | None, ...]]) -> Sides | None:
    """The sides of `shapes`, sorted, since layouts differ, without batches and ones; None if a side is open."""
    if any(side is None for shape in shapes for side in shape[1:]):
        return None
    return tuple(sorted(tuple(sorted(side for side in shape[1:] if side and side > 1)) for shape in shapes))


def same_network(a: Traits, b: Traits) -> bool:
    """Whether two files are of one network, as far as is known: only what surely differs sets them apart."""
    if a.weights is not None and a.weights == b.weights:
        return True
    if a.variant is not None and b.variant is not None:
        return a.variant == b.variant
    pairs = (a.inputs, b.inputs), (a.outputs, b.outputs)
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        return False
    counts = a.parameters or 0, b.parameters or 0
    return 0 in counts or max(counts) <= (1 + PARAMETERS_DIFFER) * min(counts)

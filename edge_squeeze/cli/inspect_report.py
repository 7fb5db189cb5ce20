"""What `edge-squeeze inspect` shows: what is in a model file, and what matters most."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edge_squeeze.artifact.folder import MANIFEST, find_model
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.cli.console import print_json, print_prose, print_text, whole, width
from edge_squeeze.cli.tables import print_table
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.files.reading import decode
from edge_squeeze.inspection import model_card
from edge_squeeze.inspection.inspector import FileTensor, Inspection, inspect, recognize
from edge_squeeze.inspection.layers import COMPUTED, HYBRID, Kernel, is_slow_on_x86
from edge_squeeze.inspection.model_card import ModelCard
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.pictures.presets import describe
from edge_squeeze.proof.parity import PASS
from edge_squeeze.reporting import Column

LARGEST_FILE = 1 << 31  # neither format allows more in one file
INDENT = 22
ENDS = (
    Column("", text=True),
    Column("name", text=True, cut=True),
    Column("shape", 1, text=True),
    Column("dtype", text=True),
    Column("scale, zero point", text=True),
)
LAYERS = (
    Column("layers", text=True, cut=True),
    Column("weights", text=True),
    Column("compute in", text=True),
    Column("count"),
    Column("numbers", 1),
    Column("MACs"),
)
LONGEST_NAME, LONGEST_VALUE, MOST_TEXT = 60, 300, 1000
MILLION = 1_000_000
MOST_ENDS = 12
PROVENANCE = "provenance"
MOST_LABELS = 3


def run(path: Path) -> tuple[str, Inspection, Manifest | None]:
    """The model file at `path`, its inspection, and the manifest of the artifact that it belongs to, if any.

    `path` is a .tflite or .onnx file or an artifact's folder. UsageError if it is neither, or damaged;
    MissingDependencyError for an .onnx file without protobuf. A changed file is not an error here.
    """
    file, manifest = find_model(path)
    try:
        if (size := file.stat().st_size) > LARGEST_FILE:
            raise UsageError(f"{file} is too large to inspect: required at most {LARGEST_FILE:,} bytes, got {size:,}.")
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error
    try:
        return str(file), inspect(data, recognize(data, str(file))), manifest
    except ConversionError as error:
        changed = manifest is not None and hashlib.sha256(data).hexdigest() != manifest.file.sha256
        why = (
            "It is not the file that was exported."
            if changed
            else "It is truncated, damaged or not what its name says."
        )
        raise UsageError(f"{file}: {error} {why}") from error


def show(
    path_shown: str, inspection: Inspection, manifest: Manifest | None, *, as_json: bool, verbose: bool = False
) -> None:
    """Print an inspection, with what the file's artifact records; whole names if `verbose`."""
    if as_json:
        print_json(_document(path_shown, inspection, manifest))
        return
    print_text(path_shown)
    print_prose(*_heading(inspection, manifest), "", later="  ")
    print_table(ENDS, _ends(inspection), every=verbose)
    if inspection.kernels:
        print_text("")
        print_table(LAYERS, _layers(inspection.kernels), every=verbose)
    print_text("")
    for name, value in _facts(inspection):
        start, later = (f"{name:<{INDENT}}", None) if width() > 3 * INDENT else (f"{name}: ", "  ")
        print_prose(value, start=start, later=later)
    print_prose("", f"{summary(inspection)}.")
    print_prose(
        *(f"warning: {_plain(warning, LONGEST_VALUE)}." for warning in warnings(inspection, manifest)), later="  "
    )


def _document(path_shown: str, inspection: Inspection, manifest: Manifest | None) -> dict[str, Any]:
    made = None
    if manifest is not None:
        parity = dataclasses.asdict(manifest.parity)
        made = {"name": manifest.name, "sha256_matches": _is_same(inspection, manifest), "parity": parity}
        made["rewrites"] = manifest.rewrites
    return {
        "path": path_shown,
        **dataclasses.asdict(inspection),
        "weight_types": inspection.weight_types,
        "convolutions": inspection.convolutions,
        "transposes": inspection.transposes,
        "artifact": made,
        "summary": summary(inspection),
        "warnings": list(warnings(inspection, manifest)),
    }


def _is_same(inspection: Inspection, manifest: Manifest) -> bool:
    return inspection.sha256 == manifest.file.sha256


def _heading(inspection: Inspection, manifest: Manifest | None) -> Iterator[str]:
    yield f"{inspection.format}, {inspection.size_bytes:,} bytes, {inspection.deflated_bytes:,} deflated"
    macs = "an unknown number of" if inspection.macs is None else _count(inspection.macs)
    yield f"{inspection.parameters:,} parameters, {macs} multiply-accumulates (MACs) for one picture"
    if manifest is not None:
        same = "the file that was exported" if _is_same(inspection, manifest) else "CHANGED since it was exported"
        yield f"artifact {_plain(manifest.name)}: {same}, parity {manifest.parity.verdict.upper()}"
        if manifest.rewrites:
            yield f"rewrites: {', '.join(map(_plain, manifest.rewrites))}"


def _ends(inspection: Inspection) -> Iterator[tuple[str, ...]]:
    for side, ends in (("input", inspection.inputs), ("output", inspection.outputs)):
        for end in ends[:MOST_ENDS]:
            quantized = "" if end.scale is None else f"{end.scale:.6g}, {end.zero_point}"
            yield side, _plain(end.name), _shape(end), _plain(end.dtype), quantized
        if len(ends) > MOST_ENDS:
            yield side, f"and {len(ends) - MOST_ENDS:,} more", "", "", ""


def _shape(end: FileTensor) -> str:
    if end.shape is None:
        return "not given"
    return " x ".join("?" if side is None else str(side) for side in end.shape) or "one number"


def _layers(kernels: Iterable[Kernel]) -> Iterator[tuple[str, ...]]:
    groups: dict[tuple[str, str, str], list[Kernel]] = {}
    for kernel in kernels:
        groups.setdefault((kernel.operator, kernel.dtype, kernel.arithmetic), []).append(kernel)
    for names, group in groups.items():
        macs = [kernel.macs for kernel in group if kernel.macs is not None]
        shown = _count(sum(macs)) if len(macs) == len(group) else "?"
        yield *map(_plain, names), str(len(group)), f"{sum(kernel.elements for kernel in group):,}", shown


def _count(macs: int) -> str:
    return f"{macs:,}" if macs < MILLION else f"{macs / MILLION:,.1f} M"


def _facts(inspection: Inspection) -> Iterator[tuple[str, str]]:
    """Names and values of everything else in the file, except the obvious; lines break after commas."""
    metadata = dict(inspection.metadata)
    if properties := metadata.get("metadata_props"):
        metadata["metadata_props"] = {name: text for name, text in properties.items() if not model_card.is_ours(name)}
    facts = {"operators": inspection.operators, "tensors": inspection.tensor_types, **metadata}
    facts |= {"metadata": ", ".join(_says(inspection.card)), PROVENANCE: ", ".join(_origin(inspection.card))}
    for name, value in facts.items():
        if value and (name, value) != ("subgraphs", 1):
            parts = _plain(_text(value), MOST_TEXT).split(", ")
            # A name may be as wide as the terminal, so that it needs a line of its own.
            yield name.replace("_", " "), ", ".join(parts if name == PROVENANCE else map(whole, parts))


def _says(card: ModelCard) -> Iterator[str]:
    """What a file says to clients that feed it and show its labels."""
    if card.labels:
        shown = ", ".join(_plain(label) for label in card.labels[:MOST_LABELS])
        more = ", ..." if len(card.labels) > MOST_LABELS else ""
        yield f"{len(card.labels):,} label{'' if len(card.labels) == 1 else 's'} ({shown}{more})"
    if card.mean or card.std:
        mean, std = ("/".join(f"{value:.6g}" for value in values) for values in (card.mean, card.std))
        yield f"pixels {card.color_space or 'of any order'}, mean {mean}, std {std}"
    if card.license:
        yield f"license {_plain(card.license)}"


def _origin(card: ModelCard) -> Iterator[str]:
    """Where a file came from and how its pictures are prepared, as it says itself."""
    for key, value in card.facts.items():
        shown = value
        if key == model_card.PREPROCESSING:
            try:
                shown = describe(decode(Preprocessing, value, key))
            except UsageError:  # another version's, or no longer as it was written
                shown = value
        yield f"{_plain(key.replace('_', ' '))} {_plain(str(shown), LONGEST_VALUE)}"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name or 'ai.onnx'} {number}" for name, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(text: str, longest: int = LONGEST_NAME) -> str:
    """Text of an untrusted file, without control characters."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(character if character.isprintable() else "?" for character in cut)


def summary(inspection: Inspection) -> str:
    """One sentence on what matters, without its period."""
    parts = [*_arithmetic(inspection.kernels)]
    if inspection.has_integers:
        floats = _plain(_text(inspection.float_fallbacks), LONGEST_VALUE)
        parts.append(f"float fallbacks: {floats}" if floats else "no float fallbacks")
        if head := _plain(_text(inspection.float_head), LONGEST_VALUE):
            parts.append(f"float head: {head}")
    custom = ", ".join(inspection.custom_operators)
    parts.append(f"custom operators: {_plain(custom, LONGEST_VALUE)}" if custom else "no Flex or custom operators")
    parts.append(f"{inspection.transposes or 'no'} transpose{'' if inspection.transposes == 1 else 's'}")
    return "; ".join(parts)


def _arithmetic(kernels: list[Kernel]) -> Iterator[str]:
    if not kernels:
        yield "no convolutions or dense layers"
    for arithmetic in dict.fromkeys(kernel.arithmetic for kernel in kernels):
        group = [kernel for kernel in kernels if kernel.arithmetic == arithmetic]
        number = f"{len(group)} of {len(kernels)} convolutions and dense layers"
        stored = "/".join(dict.fromkeys(kernel.dtype for kernel in group))
        how = "computed, not stored" if stored == COMPUTED else f"stored as {stored}"
        if arithmetic == HYBRID:
            yield f"{number} have {stored} weights and quantize float activations at run time"
        else:
            yield f"{number} compute in {arithmetic}{'' if stored == arithmetic else f' (weights {how})'}"


def warnings(inspection: Inspection, manifest: Manifest | None) -> Iterator[str]:
    """Reasons not to use the file, and open questions, each without its period."""
    if manifest is not None and not _is_same(inspection, manifest):
        yield f"the file was changed: {MANIFEST} says sha256 {manifest.file.sha256[:64]}, this has {inspection.sha256}"
    if manifest is not None and manifest.parity.verdict != PASS:
        yield f"do not trust it: parity {manifest.parity.verdict}: {manifest.parity.reason}"
    if inspection.float_fallbacks or inspection.float_islands:
        floats = _text(inspection.float_fallbacks) or "no computing operator"
        yield (
            f"only partly integer: {floats} in float; float islands between integers, for which numbers are converted "
            f"back and forth: {inspection.float_islands}"
        )
    if signed := sum(is_slow_on_x86(kernel) for kernel in inspection.kernels):
        yield (
            f"{signed} QDQ layers take int8 activations: ONNX Runtime computes most of those in float on x86 unless "
            "session.qdqisint8allowed is set; with uint8 activations it computes in int8"
        )
    if inspection.custom_operators:
        yield f"a plain runtime lacks {', '.join(inspection.custom_operators)}"
    if inspection.card.unreadable:
        yield f"its metadata cannot be read, clients will refuse it or show no names: {inspection.card.unreadable}"
    if inspection.elsewhere:
        yield f"some constants are in other files, which were not opened: {', '.join(inspection.elsewhere)}"
    if inspection.macs_unknown:
        yield f"multiply-accumulates are unknown: {inspection.macs_unknown}"

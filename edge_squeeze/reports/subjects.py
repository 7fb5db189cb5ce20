"""What a page says of each artifact itself: sizes, provenance and licenses, out of its model.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_squeeze.artifact.folder import FRONTIER, Artifact
from edge_squeeze.artifact.manifest import Manifest
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.pictures import imagenet
from edge_squeeze.pictures.preprocessing import STRETCH
from edge_squeeze.reports.document import License, Mixed, Parity, Subject, finite

WORDNET = "WordNet License"
CC0 = "CC0"


def describe(artifact: Artifact, name: str, labels: Sequence[str], parity: Parity) -> Subject:
    """The artifact, called `name` in this report, with its proof and without latency and accuracy."""
    manifest, weights = artifact.manifest, artifact.manifest.weights
    return Subject(
        name=name,
        folder=str(artifact.folder),
        sha256=manifest.file.sha256,
        file=manifest.file.name,
        size_bytes=manifest.file.size_bytes,
        network=manifest.variant or Path(weights.path or weights.source).name,
        format=manifest.format,
        precision=manifest.precision,
        parameters=manifest.parameters,
        classes=manifest.classes,
        input=_input(manifest),
        preprocessing=_preprocessing(manifest),
        quantizer=manifest.quantizer,
        rewrites=manifest.rewrites,
        options={name: value for name, value in manifest.options.items() if value not in (None, False, [], "")},
        weights=weights.source or weights.path or weights.kind,
        weights_sha256=weights.sha256,
        trained=weights.trained,
        licenses=_licenses(manifest, labels),
        tools=manifest.tools,
        command=manifest.command,
        parity=parity,
        frontier=_frontier(artifact),
    )


def _frontier(artifact: Artifact) -> list[Mixed]:
    """What `export --keep-float` tried, if that is how the artifact was made; UsageError if it cannot be read."""
    path = artifact.folder / FRONTIER
    return mixed(read_json(path), str(path)) if path.is_file() else []


def mixed(document: Any, where: str) -> list[Mixed]:
    """The files in `document`, the content of frontier.json; UsageError names `where` it is damaged."""
    content = finite(document)
    points = content.get("points", []) if isinstance(content, dict) else content
    files: list[Mixed] = decode(list[Mixed], points, f"{where}: points")
    return files


def _input(manifest: Manifest) -> str:
    tensor = manifest.input
    shape = " x ".join("any" if side is None else str(side) for side in tensor.shape)
    return f"{shape} {tensor.dtype}, {tensor.layout}, {tensor.content}"


def _preprocessing(manifest: Manifest) -> str:
    steps, baked = manifest.preprocessing, manifest.preprocessing.baked
    crop = "{} x {}".format(*steps.crop)
    resized = f"stretched to {crop}" if steps.resize == STRETCH else f"short side {steps.short_side}, crop {crop}"
    values = [f"{baked.order.upper()}"]
    if any(baked.mean):
        values.append(f"minus {', '.join(f'{mean:g}' for mean in baked.mean)}")
    if set(baked.scale) != {1.0}:
        values.append(f"times {', '.join(f'{scale:.4g}' for scale in dict.fromkeys(baked.scale))}")
    return f"{resized}, {steps.filter}; in the file: {', '.join(values)}"


def _licenses(manifest: Manifest, labels: Sequence[str]) -> list[License]:
    """What the parts of the artifact may be used under; docs/licences.md says what that requires."""
    weights = manifest.weights
    parts = [License(part="weights", origin=weights.source or weights.path or weights.kind, license=weights.licence)]
    if (began := weights.pretrained) is not None:
        parts.append(License(part="weights they were fine-tuned from", origin=began.source, license=began.licence))
    if list(labels) == list(imagenet.names()):
        parts.append(License(part="class names", origin="WordNet's synsets, as ImageNet has them", license=WORDNET))
    parts.append(License(part="golden picture", origin="chelsea, by Stéfan van der Walt", license=CC0))
    return parts

"""Which files an evaluation shows pictures to: the artifacts, and the originals that they were made from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.engines import catalogue
from edge_squeeze.errors import UsageError
from edge_squeeze.evaluation.chunks import Arm
from edge_squeeze.evaluation.options import EvaluateOptions
from edge_squeeze.proof import verification

ORIGINAL = "original"


@dataclass
class Arms:
    """The artifacts first, then their originals; their class names, and what to say of them."""

    arms: list[Arm]
    classes: list[str]
    without_original: dict[str, str] = field(default_factory=dict)  # artifact -> reason
    notes: list[str] = field(default_factory=list)
    artifacts: dict[str, Artifact] = field(default_factory=dict)  # by their distinct names


def find(folders: Sequence[Path], options: EvaluateOptions) -> Arms:
    """The arms for the artifacts in `folders`.

    UsageError if one cannot be used, if one is there twice, or if their class names differ.
    """
    if not folders:
        raise UsageError("Nothing to evaluate. Required: folders that `edge-squeeze export` left.")
    loaded = [artifacts.load(folder) for folder in folders]
    for artifact in loaded:
        artifact.model()  # checks that it is the file that was exported
        artifact.check_parity()
        if options.board is None:
            catalogue.choose(artifact.manifest.format, options.runtime)
    names = distinct_names(loaded)
    originals, result = _Originals(len(loaded), options), Arms([], _classes(loaded, names))
    result.artifacts |= zip(names, loaded, strict=True)
    for artifact, name in zip(loaded, names, strict=True):
        position, sha256 = originals.position(artifact), artifact.manifest.file.sha256
        if isinstance(position, str):
            result.without_original[name] = position
        original = position if isinstance(position, int) else None
        result.arms.append(Arm(name, str(artifact.folder), sha256, original, runtime=options.runtime))
    result.arms += originals.arms()
    result.notes += originals.notes
    return result


def distinct_names(loaded: Sequence[Artifact]) -> list[str]:
    """A name for each artifact: its own, or its folder where several have one name."""
    places = Counter(artifact.folder.resolve() for artifact in loaded)
    for artifact in loaded:
        if places[artifact.folder.resolve()] > 1:
            raise UsageError(f"{artifact.folder} is given twice. Leave one of them out.")
    count = Counter(artifact.manifest.name for artifact in loaded)
    return [each.manifest.name if count[each.manifest.name] == 1 else str(each.folder) for each in loaded]


def _classes(loaded: Sequence[Artifact], names: Sequence[str]) -> list[str]:
    first, *rest = (artifact.labels() for artifact in loaded)
    for name, labels in zip(names[1:], rest, strict=True):
        if labels != first:
            raise UsageError(
                f"{names[0]} and {name} have different class names, so the same labels cannot be right for both. "
                "Evaluate them one by one."
            )
    return first


@dataclass
class _Originals:
    """The different originals of the artifacts, which stand behind `artifacts` of these."""

    artifacts: int
    options: EvaluateOptions
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._known: dict[str, tuple[int | str, Artifact, str | None]] = {}

    def position(self, artifact: Artifact) -> int | str:
        """Where the original of `artifact` is among the arms; the reason if it cannot be had."""
        if not self.options.with_original:
            return "--no-original was given"
        if self.options.board is not None:
            return f"the original does not run on {self.options.board}"
        key = _identity(artifact)
        if key not in self._known:
            subject = verification.find_subject(
                artifact, self.options.original, self.options.custom_objects, trust_file=self.options.trust_file
            )
            if isinstance(subject, str):
                self._known[key] = subject, artifact, None
            else:
                self.notes += verification.other_original(artifact, subject, self.options.original)
                self._known[key] = self.artifacts + len(self._there()), artifact, subject.weights.sha256
        return self._known[key][0]

    def _there(self) -> list[tuple[Artifact, str | None]]:
        return [(artifact, sha256) for at, artifact, sha256 in self._known.values() if isinstance(at, int)]

    def arms(self) -> list[Arm]:
        """Those that can be had, in the order of their positions."""
        options, there = self.options, self._there()
        names = [artifact.manifest.variant or Path(artifact.manifest.weights.source).name for artifact, _ in there]
        distinct = names if len(set(names)) == len(names) else [str(artifact.folder) for artifact, _ in there]
        return [
            Arm(
                ORIGINAL if len(there) == 1 else f"{ORIGINAL} of {name}",
                str(artifact.folder),
                sha256,
                is_original=True,
                source=None if options.original is None else str(options.original),
                custom_objects=options.custom_objects,
                trust_file=options.trust_file,
            )
            for (artifact, sha256), name in zip(there, distinct, strict=True)
        ]


def _identity(artifact: Artifact) -> str:
    """What artifacts of one original have in common."""
    manifest = artifact.manifest
    parts = (
        manifest.variant,
        asdict(manifest.design),
        asdict(replace(manifest.weights, pretrained=None)),  # which earlier versions did not record
        asdict(manifest.preprocessing),
        manifest.output.content,
        manifest.options.get("softmax"),
    )
    return json.dumps(parts)

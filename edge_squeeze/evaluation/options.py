"""What an evaluation is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from edge_squeeze.devices import cluster
from edge_squeeze.errors import UsageError
from edge_squeeze.machine import cores

MOST_WORKERS = 256
PATHS = ("images", "labels", "original", "against")


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `edge_squeeze.evaluate`, which says what each means."""

    images: Path
    labels: Path | None = None
    skip_unreadable: bool = False
    with_original: bool = True
    original: Path | None = None
    custom_objects: str | None = None
    trust_file: bool = False
    runtime: str | None = None
    workers: int | None = None
    fresh: bool = False
    cluster: str | None = None
    against: Path | None = None

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> Self:
        """The options among `keywords`, as the command line or a Python program gives them."""
        values = {field.name: keywords[field.name] for field in fields(cls) if field.name in keywords}
        paths = {name: Path(values[name]) for name in PATHS if values.get(name) is not None}
        return cls(**{**values, **paths})

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= MOST_WORKERS:
            raise UsageError(f"--workers must be 1 to {MOST_WORKERS}, got {self.workers}.")
        if self.cluster is not None:
            cluster.check(self.cluster)
        if self.workers is not None and self.cluster is not None:
            raise UsageError("--workers are processes of this machine, not of a --cluster. Leave one of them out.")
        if self.original is not None and not self.with_original:
            raise UsageError("--original and --no-original contradict each other. Leave one of them out.")

    @property
    def most_workers(self) -> int:
        """The workers asked for, else one for each core that this process may use."""
        return self.workers or cores.usable(cores.allowed())

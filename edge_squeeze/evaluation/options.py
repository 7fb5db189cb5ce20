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
    samples: int | None = None
    board: str | None = None  # the device that the files run on, if that is not this machine

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
        if self.samples is not None and self.samples < 1:
            raise UsageError(f"--samples must be at least 1, got {self.samples}.")
        self._check_board()
        if self.original is not None and not self.with_original:
            raise UsageError("--original and --no-original contradict each other. Leave one of them out.")

    def _check_board(self) -> None:
        """Raise UsageError for options that make no sense on a board."""
        if self.board is None:
            return
        if self.cluster is not None:
            raise UsageError("--cluster and --device contradict each other. Leave one of them out.")
        wrong = {"original": self.original, "custom-objects": self.custom_objects, "trust-file": self.trust_file}
        for name in (name for name, value in wrong.items() if value):
            raise UsageError(f"--{name} is for the original, which does not run on {self.board}. Leave it out.")

    @property
    def most_workers(self) -> int:
        """The workers asked for, else one for each core that this process may use."""
        return self.workers or cores.usable(cores.allowed())

"""What a verification is asked for, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class VerifyOptions:
    """What a verification is asked for; `edge_squeeze.verify` says what each option means."""

    images: Path | None = None
    original: Path | None = None
    custom_objects: str | None = None
    runtime: str | None = None
    threads: int = 1
    skip_unreadable: bool = False
    trust_file: bool = False
    against: Path | None = None

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> VerifyOptions:
        """The options among `keywords`, with paths from text."""
        values = {item.name: keywords[item.name] for item in fields(cls)}
        paths = {name: values[name] and Path(values[name]) for name in ("images", "original", "against")}
        return cls(**values | paths)

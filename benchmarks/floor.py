"""The A/A floor of a device: what difference two identical files seem to have here."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.benchmarks.journal import folder
from edge_squeeze.benchmarks.launches.records import as_json
from edge_squeeze.benchmarks.result import Comparison, save
from edge_squeeze.decoding import decode
from edge_squeeze.errors import UsageError
from edge_squeeze.text_files import read_json


@dataclass(frozen=True)
class Floor:
    """`floor` is the largest relative difference between two identical arms that their measurement leaves possible."""

    device: str
    floor: float
    created_utc: str
    profile: str
    engine: str
    threads: int
    launches: int


def of(comparison: Comparison) -> float:
    """The floor that comparing two identical arms gave; UsageError where there were too few launches."""
    if comparison.ci95 is None:
        raise UsageError("An A/A floor needs at least 3 launches of each arm.")
    return math.expm1(max(abs(math.log(bound)) for bound in comparison.ci95))


def path_of(device: str) -> Path:
    """Where the floor of the device with the hash `device` is kept."""
    return folder() / f"aa-floor-{device}.json"


def store(floor: Floor) -> Path:
    """The file that `floor` was written to."""
    path = path_of(floor.device)
    save(path, json.dumps(as_json(floor), indent=1) + "\n")
    return path


def known(device: str | None) -> Floor | None:
    """The floor measured on the device before, if any."""
    if device is None or not path_of(device).is_file():
        return None
    found: Floor = decode(Floor, read_json(path_of(device)), str(path_of(device)))
    return found

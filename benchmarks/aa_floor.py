"""The A/A floor of a device: what difference two identical files seem to have here."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.journal import folder
from edge_squeeze.benchmarks.launches.records import as_json
from edge_squeeze.benchmarks.result import Comparison, save
from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import decode, read_json


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


def path_of(device: str, engine: str, threads: int) -> Path:
    """Where the floor of the device with the hash `device` is kept, for an engine on so many threads."""
    return folder() / f"aa-floor-{device}-{engine.replace(':', '-')}-{threads}.json"


def store(floor: Floor) -> Path:
    """The file that `floor` was written to."""
    path = path_of(floor.device, floor.engine, floor.threads)
    save(path, json.dumps(as_json(floor), indent=1) + "\n")
    return path


def highest(device: str | None, arms: Sequence[Arm]) -> float | None:
    """The highest floor measured before on the device with the engines and threads of `arms`; None without any."""
    found = [known(device, arm.engine_name, arm.threads) for arm in arms if device is not None]
    return max((one.floor for one in found if one is not None), default=None)


def known(device: str | None, engine: str, threads: int) -> Floor | None:
    """The floor measured before on the device with that engine and so many threads, if any."""
    path = path_of(device or "", engine, threads)
    if not path.is_file():
        return None
    found: Floor = decode(Floor, read_json(path), str(path))
    return found

"""A benchmark on other devices: the same command runs on each, and its document comes back as a result."""

from __future__ import annotations

import dataclasses
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze import model_files
from edge_squeeze.benchmarks import asking, replaying
from edge_squeeze.benchmarks.result import Result
from edge_squeeze.benchmarks.stored import LARGEST
from edge_squeeze.devices import running
from edge_squeeze.devices.address import Address
from edge_squeeze.devices.board import Outcome
from edge_squeeze.devices.cargo import Job
from edge_squeeze.devices.running import Attempt
from edge_squeeze.errors import DeviceError, EdgeSqueezeError, UsageError
from edge_squeeze.text_files import read_json


@dataclass(frozen=True)
class Measured:
    """The result of the device `name`, or the error that kept it from one."""

    name: str
    slug: str
    result: Result | None
    error: EdgeSqueezeError | None = None

    def raised(self) -> Result:
        """The result; the error where there is none."""
        if self.result is None:
            raise self.error or AssertionError
        return self.result


def measure(
    files: Sequence[Path], addresses: Sequence[Address], options: Mapping[str, Any], *, setup: bool
) -> list[Measured]:
    """What `edge_squeeze.benchmark(files, **options)` finds on each of `addresses`, all at the same time.

    UsageError, before any of them is asked, for what can be measured nowhere.
    """
    _check(files, options)
    job = Job(["benchmark", *arguments(options), "--json", "--", *files], list(files), options["runtime"])
    return [_measured(one, options) for one in running.run(addresses, job, setup=setup)]


def _check(files: Sequence[Path], options: Mapping[str, Any]) -> None:
    if not files:
        raise UsageError("Nothing to measure. Required: a .tflite or .onnx file, or a folder that `export` left.")
    for file in files:
        model_files.find(file)
    names = ("profile", "launches", "duration", "rate", "gate")
    asking.settings(*(options[name] for name in names), aa=options["aa_floor"], fresh=options["fresh"])


def arguments(options: Mapping[str, Any]) -> Iterator[str | Path]:
    """`options` as the command line takes them; paths stay paths."""
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name == "spin":
            yield from [] if value else ["--no-spin"]
        elif value is True:
            yield option
        elif isinstance(value, list):
            yield from (word for one in value for word in (option, one))
        elif value is not None and value is not False:
            yield from (option, value if isinstance(value, Path) else str(value))


def _measured(one: Attempt, options: Mapping[str, Any]) -> Measured:
    if one.outcome is None:
        return Measured(one.name, one.slug, None, one.error)
    try:
        return Measured(one.name, one.slug, _result(one.outcome, options))
    except (UsageError, KeyError) as error:
        message = f"{one.name}: its answer is no result ({error}). Make its environment anew: --setup."
        return Measured(one.name, one.slug, None, DeviceError(message))


def _result(outcome: Outcome, options: Mapping[str, Any]) -> Result:
    """The result in the document that a device printed, with the command that was given here."""
    with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
        path = Path(folder) / "result.json"
        path.write_bytes(outcome.output)
        result = replaying.replay(path, asking.gates(options["gate"]))
        document = read_json(path, LARGEST)
    measured, file = document["measured_floor"], document["floor_file"]
    arms = [dataclasses.replace(one, arm=dataclasses.replace(one.arm, path=_path(one.arm.path))) for one in result.arms]
    return dataclasses.replace(
        result, arms=arms, argv=sys.argv[1:], measured_floor=measured, floor_file=file and f"{file} there",
        floor_refused=options["aa_floor"] and measured is None,
    )  # fmt: skip


def _path(there: str) -> str:
    """Where a file lay below the folder that is gone by now."""
    return re.sub(r"^.*/run-[^/]+/files/", "", there)


def failure(found: Sequence[Measured]) -> int:
    """The exit code for devices that failed: what all of them ended with, if that is one code; 0 if none did."""
    codes = {one.error.exit_code for one in found if one.error is not None}
    everywhere = all(one.error for one in found)
    return 0 if not codes else codes.pop() if everywhere and len(codes) == 1 else DeviceError.exit_code

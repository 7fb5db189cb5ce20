"""A benchmark on other devices: the same command runs on each, and its document comes back as a result."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.benchmarks import arms, replaying, request
from edge_squeeze.benchmarks.result import Result
from edge_squeeze.benchmarks.stored import LARGEST
from edge_squeeze.devices import session
from edge_squeeze.devices.address import LOCAL, Address
from edge_squeeze.devices.job import Job
from edge_squeeze.devices.session import Attempt, Outcome, Tell
from edge_squeeze.errors import DeviceError, EdgeSqueezeError, UsageError, unknown
from edge_squeeze.files.reading import read_json
from edge_squeeze.formats import FORMATS


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
    files: Sequence[Path], addresses: Sequence[Address], options: Mapping[str, Any], tell: Tell, *, setup: bool
) -> list[Measured]:
    """What `edge_squeeze.benchmark(files, **options)` finds on each of `addresses`, all at the same time.

    What devices say meanwhile goes to `tell`, a line at a time.
    UsageError, before any of them is asked, for what can be measured nowhere.
    """
    _check(files, options, setup=setup)
    job = Job(["benchmark", *arguments(options), "--json", "--", *files], list(files), options["runtime"])
    return [_measured(one, job, options) for one in session.run(addresses, job, tell, setup=setup)]


def _check(files: Sequence[Path], options: Mapping[str, Any], *, setup: bool) -> None:
    if not files:
        raise UsageError("Nothing to measure. Required: a .tflite or .onnx file, or a folder that `export` left.")
    for file in files:
        arms.read(file)
    _check_runtimes(options["runtime"], setup=setup)
    names = ("profile", "launches", "duration", "rate", "gate")
    request.settings(*(options[name] for name in names), aa=options["aa_floor"], fresh=options["fresh"])


def _check_runtimes(text: str | None, *, setup: bool) -> None:
    packages = [package for row in FORMATS.values() for package in row.extras.values()]
    brought = [name for name, row in arms.ENGINES.items() if row.package in packages]
    for name in (word.strip().partition(":")[0] for word in (text or "").split(",") if word.strip()):
        if name not in (*arms.ENGINES, arms.ALL):
            raise unknown("runtime", name, [*arms.ENGINES, arms.ALL])
        if setup and name not in (*brought, arms.ALL):
            raise UsageError(
                f"--setup cannot bring {name} to a board. Required with it: {', '.join(brought)}, or none."
            )


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


def _measured(one: Attempt, job: Job, options: Mapping[str, Any]) -> Measured:
    if one.outcome is None:
        return Measured(one.name, one.slug, None, one.error)
    try:
        return Measured(one.name, one.slug, _result(one, one.outcome, job, options))
    except (UsageError, KeyError) as error:
        message = f"{one.name}: its answer is no result ({error}). --setup makes a broken environment anew."
        return Measured(one.name, one.slug, None, DeviceError(message))


def _result(one: Attempt, outcome: Outcome, job: Job, options: Mapping[str, Any]) -> Result:
    """The result in the document that a device printed, with the command and the names of files that are known here."""
    with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
        path = Path(folder) / "result.json"
        path.write_bytes(outcome.output)
        there = read_json(path, LARGEST)
        document = there if one.name == LOCAL else _as_here(there, job)
        path.write_text(json.dumps(document), encoding="utf-8")
        result = replaying.replay(path, request.gates(options["gate"]))
    measured, file = document["measured_floor"], document["floor_file"]
    return dataclasses.replace(
        result, argv=sys.argv[1:], measured_floor=measured, floor_file=file and f"{file} there",
        floor_refused=options["aa_floor"] and measured is None,
    )  # fmt: skip


def _as_here(value: Any, job: Job) -> Any:
    if isinstance(value, dict):
        return {key: _as_here(one, job) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_here(one, job) for one in value]
    return job.as_here(value) if isinstance(value, str) else value


def failure(found: Sequence[Measured]) -> int:
    """The exit code for devices that failed: what all of them ended with, if that is one code; 0 if none did."""
    codes = {one.error.exit_code for one in found if one.error is not None}
    everywhere = all(one.error for one in found)
    return 0 if not codes else codes.pop() if everywhere and len(codes) == 1 else DeviceError.exit_code

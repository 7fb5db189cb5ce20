"""A benchmark on other devices: the same command runs on each, and its document comes back as a result."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.benchmarks import benchmark
from edge_squeeze.benchmarks.arms import ALL, ENGINES, check_runtimes
from edge_squeeze.benchmarks.model_files import ModelFile
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.benchmarks.result import Result
from edge_squeeze.devices import session
from edge_squeeze.devices.address import LOCAL, Address
from edge_squeeze.devices.job import Job, option_words
from edge_squeeze.devices.session import Attempt, Outcome, Tell
from edge_squeeze.errors import DeviceError, EdgeSqueezeError, UsageError
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
    models: Sequence[ModelFile], addresses: Sequence[Address], options: BenchmarkOptions, tell: Tell, *, setup: bool
) -> list[Measured]:
    """The results of the benchmark of `models` on each of `addresses`, all at the same time.

    What devices print meanwhile goes to `tell`, a line at a time.
    UsageError, before any of them is asked, for what can be measured nowhere.
    """
    _check_runtimes(options.runtime, setup=setup)
    files = [Path(model.shown) for model in models]
    job = Job(["benchmark", *option_words(options), "--json", "--", *files], files, ",".join(options.runtime) or None)
    return [_measured(attempt, job, options) for attempt in session.run(addresses, job, tell, setup=setup)]


def _check_runtimes(names: Sequence[str], *, setup: bool) -> None:
    check_runtimes(names)
    packages = [package for row in FORMATS.values() for package in row.extras.values()]
    installable = [name for name, row in ENGINES.items() if row.package in packages]
    for name in (name.partition(":")[0] for name in names):
        if setup and name not in (*installable, ALL):
            raise UsageError(
                f"--setup cannot bring {name} to a board. Required with it: {', '.join(installable)}, or no --runtime."
            )


def _measured(attempt: Attempt, job: Job, options: BenchmarkOptions) -> Measured:
    if attempt.outcome is None:
        return Measured(attempt.name, attempt.slug, None, attempt.error)
    try:
        return Measured(attempt.name, attempt.slug, _result(attempt, attempt.outcome, job, options))
    except (UsageError, ValueError, RecursionError) as error:
        message = f"{attempt.name}: its answer is not a result ({error}). Recreate its environment with --setup."
        return Measured(attempt.name, attempt.slug, None, DeviceError(message))


def _result(attempt: Attempt, outcome: Outcome, job: Job, options: BenchmarkOptions) -> Result:
    """The result in the document that a device printed, with the command and the names of files that are known here."""
    document = json.loads(outcome.output)
    result = benchmark.replay(document if attempt.name == LOCAL else _as_here(document, job), options.gate)
    floor, file = document.get("measured_floor"), document.get("floor_file")
    return dataclasses.replace(
        result,
        argv=sys.argv[1:],
        measured_floor=floor,
        floor_file=file and f"{file} on {attempt.name}",
        floor_refused=options.aa_floor and floor is None,
    )


def _as_here(value: Any, job: Job) -> Any:
    if isinstance(value, dict):
        return {key: _as_here(item, job) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_here(item, job) for item in value]
    return job.as_here(value) if isinstance(value, str) else value


def failure(measured: Sequence[Measured]) -> int:
    """The exit code for devices that failed: what all of them ended with, if that is one code; 0 if none did."""
    codes = {device.error.exit_code for device in measured if device.error is not None}
    everywhere = all(device.error for device in measured)
    return 0 if not codes else codes.pop() if everywhere and len(codes) == 1 else DeviceError.exit_code

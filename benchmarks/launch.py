"""A launch: the fresh process that measures one arm once. It reads a Task from stdin and writes a Launch to stdout.

Only the standard library is imported here: the process is bound to its cores before NumPy or an engine starts threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

from edge_squeeze.benchmarks.launch_records import InputSet, Pace, Task, as_json
from edge_squeeze.errors import EdgeSqueezeError
from edge_squeeze.process.supervision import die_with

ERROR = "error"


def main() -> None:
    """Measure as standard input demands."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # engines print on standard output
    task = decode(json.load(sys.stdin))
    if task.parent is not None:
        die_with(task.parent)
    bind(task.cpus)
    from edge_squeeze.benchmarks import measurement

    try:
        answer = as_json(measurement.run(task))
    except EdgeSqueezeError as error:
        answer = {ERROR: str(error)}
    with answers:
        json.dump(answer, answers)


def decode(content: dict[str, object]) -> Task:
    """The Task that `records.as_json` turned into `content`."""
    return Task(**{**content, "inputs": InputSet(**content["inputs"]), "pace": Pace(**content["pace"])})  # type: ignore[arg-type]


def bind(cpus: list[int]) -> None:
    """Let this process run on `cpus` alone, where the system knows of that; what came of it is in the Launch."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, cpus)


if __name__ == "__main__":
    main()

"""Measures one arm in this process, which does nothing else: load, first inference, warm-up, samples, memory."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import importlib
import itertools
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.benchmarks.launches import inputs as arrays
from edge_squeeze.benchmarks.launches.records import MEMORY, PACED, Launch, Sanity, Served, Task, as_json
from edge_squeeze.benchmarks.launches.sampling import clock, invoke_only, paced, probe, repeat, timed, timer_ns
from edge_squeeze.benchmarks.machine.telemetry import Telemetry
from edge_squeeze.engines.catalogue import OTHERS, RUNTIMES
from edge_squeeze.engines.engine import Array, Engine, EngineOptions, Tensor, engine_errors
from edge_squeeze.process.supervision import memory_limited

NUMBERS = "fiub"  # kinds of dtypes that are numbers
MEMORY_RUNS = 10
COUNTS = ("cpu_ns", "wall_ns", "nvcsw", "nivcsw", "majflt")


def run(task: Task) -> Launch:
    """What measuring as `task` demands gave; ConversionError if the engine cannot run the model."""
    before, started = probe(), datetime.now(UTC).isoformat(timespec="milliseconds")
    row = (RUNTIMES | OTHERS)[task.engine]
    with engine_errors(f"{task.engine} does not load"):
        import_ns = timed(lambda: importlib.import_module(row.module))
    baseline = resident_bytes("VmRSS")
    model = Path(task.model)
    options = EngineOptions(task.threads, task.kernels, task.spin, tuple(map(tuple, task.shapes)))
    cold = task.kind == MEMORY and _forget(model)
    start = clock()
    with engine_errors(f"{task.engine} refuses {model.name}"), memory_limited(model.stat().st_size):
        engine = row.open(model, options)
    load_init_ns = clock() - start
    work = _memory if task.kind == MEMORY else _times
    with engine_errors(f"{task.engine} could not run {model.name}"):
        measured = work(engine, _closed(engine, options), task)
    return Launch(
        kind=task.kind, start_utc=started, pid=os.getpid(), import_ns=import_ns, load_init_ns=load_init_ns, cold=cold,
        timer_ns=timer_ns(), probe_ns=[before, probe()], affinity=_affinity(), baseline_rss_bytes=baseline,
        served=_served(engine), **measured,
    )  # fmt: skip


def _forget(model: Path) -> bool:
    """Have the file read from the disk again, as after a start of the device; False where the system cannot."""
    try:
        with model.open("rb") as file:
            os.fsync(file.fileno())  # what is not yet written would be kept
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except (AttributeError, OSError):
        return False
    return True


def _closed(engine: Engine, options: EngineOptions) -> list[Tensor]:
    """The engine's inputs, with the shapes asked for where the file leaves dimensions open, and a batch of one."""
    shapes = itertools.chain(options.shapes, itertools.repeat(None))
    return [
        dataclasses.replace(tensor, shape=shape or (tensor.shape[0] or 1, *tensor.shape[1:]))
        if tensor.shape
        else tensor
        for tensor, shape in zip(engine.inputs, shapes, strict=False)
    ]


def _settle() -> None:
    """No garbage collection from here on: what exists now stays."""
    gc.collect()
    gc.freeze()
    gc.disable()


def _times(engine: Engine, tensors: list[Tensor], task: Task) -> dict[str, Any]:
    sets, fed = arrays.make(tensors, task.inputs)
    _settle()
    first_ns = timed(lambda: engine.run(sets[0]))
    pace, feed, telemetry = task.pace, itertools.cycle(sets), Telemetry(task.cpus)
    warming = pace.warm_up_runs, pace.warm_up_s, pace.warm_up_cap_s
    warm = repeat(engine, feed, telemetry, warming, pace.block_s)
    extra: dict[str, Any] = {}
    if task.kind == PACED:
        extra["back_to_back_ns"] = repeat(engine, feed, telemetry, warming, pace.block_s).listed()
    before = _usage()
    if task.kind == PACED:
        extra["rate"] = pace.rate
        samples, extra["response_ns"] = paced(engine, feed, telemetry, pace)
    else:
        samples = repeat(engine, feed, telemetry, (pace.runs, pace.seconds, pace.cap_s), pace.block_s)
    used = dict.fromkeys(COUNTS) | {key: value - before[key] for key, value in _usage().items()}
    return {
        **used, **extra, "first_ns": first_ns, "warmup_ns": warm.listed(), "samples_ns": samples.listed(),
        "readings": samples.readings, "block_ends": samples.ends, "inputs": fed,
        "invoke_only_ns": invoke_only(engine, sets[0], samples), "peak_rss_bytes": resident_bytes("VmHWM"),
        "sanity": _sanity(engine, sets, None),
    }  # fmt: skip


def _memory(engine: Engine, tensors: list[Tensor], task: Task) -> dict[str, Any]:
    """Memory is read in a launch of its own, since samples and a rotation of inputs would count as the engine's."""
    ((one,), _) = arrays.make(tensors, dataclasses.replace(task.inputs, count=1))
    first_ns = timed(lambda: engine.run(one))
    for _ in range(MEMORY_RUNS):
        engine.run(one)
    peak = resident_bytes("VmHWM")
    sets, fed = arrays.make(tensors, task.inputs)
    lists = ("warmup_ns", "samples_ns", "invoke_only_ns", "readings", "block_ends")
    return {
        **{name: [] for name in lists}, **dict.fromkeys(COUNTS, 0), "first_ns": first_ns, "inputs": fed,
        "peak_rss_bytes": peak, "sanity": _sanity(engine, sets, task.outputs),
    }  # fmt: skip


def _sanity(engine: Engine, sets: list[list[Array]], path: str | None) -> Sanity:
    results = [engine.run(one) for one in sets]
    whole = [output for result in results for output in result if output.dtype.kind in NUMBERS]
    if not whole:
        return Sanity(finite=True, constant=False, distinct=len(results), sha256="")
    first = np.stack([result[0] for result in results])
    if path is not None:
        np.save(path, first)
    digest = hashlib.sha256(b"".join(output.tobytes() for output in whole))
    finite = all(np.isfinite(output).all() for output in whole)
    distinct = len({one.tobytes() for one in first})
    return Sanity(finite, bool(first.size > 1 and np.ptp(first) == 0), distinct, digest.hexdigest())


def _served(engine: Engine) -> Served:
    inputs, outputs = ([as_json(tensor) for tensor in tensors] for tensors in (engine.inputs, engine.outputs))
    return Served(engine.version, engine.kernels, engine.operators, engine.delegated, inputs, outputs)


def _usage() -> dict[str, int]:
    """What the process has used so far, as far as the system counts it."""
    used = {"wall_ns": clock(), "cpu_ns": time.process_time_ns()}
    with contextlib.suppress(ImportError):  # Windows
        import resource

        counted = resource.getrusage(resource.RUSAGE_SELF)
        used |= {"nvcsw": counted.ru_nvcsw, "nivcsw": counted.ru_nivcsw, "majflt": counted.ru_majflt}
    return used


def resident_bytes(name: str) -> int | None:
    """VmRSS or VmHWM (its peak) of this process; None where the system does not tell.

    ru_maxrss would be the peak of whoever started this process, if that was higher (Linux keeps it across exec).
    """
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii", "replace"))
    except OSError:
        found = None
    if found:
        return int(found[1]) << 10
    if sys.platform != "darwin":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes there, and no other figure


def _affinity() -> list[int] | None:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None

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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.benchmarks.launch_records import (
    MEMORY,
    PACED,
    PIXELS,
    Inputs,
    InputSet,
    Launch,
    Pace,
    Sanity,
    Served,
    Task,
    as_json,
)
from edge_squeeze.benchmarks.telemetry import Telemetry
from edge_squeeze.engines.catalogue import OTHERS, RUNTIMES
from edge_squeeze.engines.engine import Array, Engine, EngineOptions, Tensor, engine_errors
from edge_squeeze.engines.runner import CHANNELS, has_channels_first, to_input
from edge_squeeze.errors import ConversionError
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
        kind=task.kind,
        start_utc=started,
        pid=os.getpid(),
        import_ns=import_ns,
        load_init_ns=load_init_ns,
        cold=cold,
        timer_ns=timer_ns(),
        probe_ns=[before, probe()],
        affinity=_affinity(),
        baseline_rss_bytes=baseline,
        served=_served(engine),
        **measured,
    )


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
    sets, fed = make(tensors, task.inputs)
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
        **used,
        **extra,
        "first_ns": first_ns,
        "warmup_ns": warm.listed(),
        "samples_ns": samples.listed(),
        "readings": samples.readings,
        "block_ends": samples.ends,
        "inputs": fed,
        "invoke_only_ns": invoke_only(engine, sets[0], samples),
        "peak_rss_bytes": resident_bytes("VmHWM"),
        "sanity": _sanity(engine, sets, None),
    }


def _memory(engine: Engine, tensors: list[Tensor], task: Task) -> dict[str, Any]:
    """Memory is read in a launch of its own, since samples and a rotation of inputs would count as the engine's."""
    ((single,), _) = make(tensors, dataclasses.replace(task.inputs, count=1))
    first_ns = timed(lambda: engine.run(single))
    for _ in range(MEMORY_RUNS):
        engine.run(single)
    peak = resident_bytes("VmHWM")
    sets, fed = make(tensors, task.inputs)
    lists = ("warmup_ns", "samples_ns", "invoke_only_ns", "readings", "block_ends")
    return {
        **{name: [] for name in lists},
        **dict.fromkeys(COUNTS, 0),
        "first_ns": first_ns,
        "inputs": fed,
        "peak_rss_bytes": peak,
        "sanity": _sanity(engine, sets, task.outputs),
    }


def _sanity(engine: Engine, sets: list[list[Array]], path: str | None) -> Sanity:
    results = [engine.run(arrays) for arrays in sets]
    whole = [output for result in results for output in result if output.dtype.kind in NUMBERS]
    if not whole:
        return Sanity(finite=True, constant=False, distinct=len(results), sha256="")
    first = np.stack([result[0] for result in results])
    if path is not None:
        np.save(path, first)
    digest = hashlib.sha256(b"".join(output.tobytes() for output in whole))
    finite = all(np.isfinite(output).all() for output in whole)
    distinct = len({scores.tobytes() for scores in first})
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
        match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii", "replace"))
    except OSError:
        match = None
    if match:
        return int(match[1]) << 10
    if sys.platform != "darwin":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes there, and no other figure


def _affinity() -> list[int] | None:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


clock = time.perf_counter_ns
Feed = Iterator[list[Array]]
SECOND = 1_000_000_000
MOST_SAMPLES = 1 << 20  # room for five minutes of a network that takes 0.3 ms
INVOKE_SHARE = 4  # the engine alone gets a quarter of the time that the samples took
MOST_INVOKED = 50
PROBED = bytes(1 << 20)
PROBES, TIMER_READS = 5, 1000


@dataclass
class Samples:
    """Times in nanoseconds as they come, with the telemetry at the edges of blocks."""

    taken: NDArray[np.int64] = field(default_factory=lambda: np.zeros(MOST_SAMPLES, np.int64))
    count: int = 0
    ends: list[int] = field(default_factory=list)
    readings: list[dict[str, Any]] = field(default_factory=list)

    def listed(self) -> list[int]:
        """The times taken."""
        return list(map(int, self.taken[: self.count]))


def repeat(
    engine: Engine, feed: Feed, telemetry: Telemetry, bounds: tuple[int, float, float], block_s: float
) -> Samples:
    """Samples of host arrays in to host arrays out, in blocks: at least `bounds`' runs and seconds, or its cap."""
    runs, seconds, cap_s = bounds
    samples, start = Samples(), clock()
    samples.readings.append(as_json(telemetry.read()))
    while cap_s > 0 and samples.count < MOST_SAMPLES:
        _block(engine.run, feed, samples, clock() + int(block_s * SECOND))
        samples.ends.append(samples.count)
        samples.readings.append(as_json(telemetry.read()))
        spent = (clock() - start) / SECOND
        if (samples.count >= runs and spent >= seconds) or spent >= cap_s:
            break
    return samples


def _block(run: Callable[[list[Array]], object], feed: Feed, samples: Samples, until: int) -> None:
    taken, at, stop = samples.taken, samples.count, 0
    while stop < until and at < MOST_SAMPLES:
        arrays = next(feed)
        start = clock()
        run(arrays)
        stop = clock()
        taken[at] = stop - start
        at += 1
    samples.count = at


def paced(engine: Engine, feed: Feed, telemetry: Telemetry, pace: Pace) -> tuple[Samples, list[int]]:
    """Samples of frames that come `pace.rate` times a second, and the time from when each was due to its end.

    A frame that waits for a slow one before it is late by that wait, too: leaving it out would hide every stall.
    """
    samples, response, period = Samples(), [], int(SECOND / (pace.rate or 1))
    samples.readings.append(as_json(telemetry.read()))
    due = clock() + period
    for at in range(pace.runs):
        time.sleep(max(0, due - clock()) / SECOND)
        start = clock()
        engine.run(next(feed))
        stop = clock()
        samples.taken[at] = stop - start
        response.append(stop - due)
        due += period
    samples.count = pace.runs
    samples.ends.append(samples.count)
    samples.readings.append(as_json(telemetry.read()))
    return samples, response


def invoke_only(engine: Engine, arrays: list[Array], samples: Samples) -> list[int]:
    """What the engine alone takes, its inputs bound and its outputs left where they are."""
    engine.bind(arrays)
    times: list[int] = []
    until = clock() + int(samples.taken[: samples.count].sum()) // INVOKE_SHARE
    while len(times) < MOST_INVOKED and (not times or clock() < until):
        times.append(timed(engine.invoke))
    return times


def timed(work: Callable[[], object]) -> int:
    """Nanoseconds that `work` takes."""
    start = clock()
    work()
    return clock() - start


def timer_ns() -> int:
    """What the two readings of the clock around an inference take by themselves."""
    return int(median(timed(int) for _ in range(TIMER_READS)))


def probe() -> int:
    """Nanoseconds that a fixed piece of work takes at its best: it tells a change of clock where nothing else does.

    A hash, since it neither depends on memory nor on what the interpreter has learned: Python's own arithmetic differs
    by a tenth between two moments of one process at the same clock.
    """
    return min(timed(lambda: hashlib.sha256(PROBED).digest()) for _ in range(PROBES))


DRAWN = {f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)} | {"bool"}
FEW = 10  # indices of a lookup are drawn below this: most tables have so many entries


def make(tensors: Sequence[Tensor], wanted: InputSet) -> tuple[list[list[Array]], Inputs]:
    """`wanted.count` inputs, each one array per tensor, and what is to be recorded of them.

    ConversionError if a tensor leaves dimensions open or is of a kind that cannot be drawn.
    """
    for tensor in tensors:
        if None in tensor.shape:
            shape = ",".join("?" if side is None else str(side) for side in tensor.shape)
            raise ConversionError(f"Input {tensor.name} has open dimensions ({shape}). Give --input-shape.")
    if wanted.kind == PIXELS:
        base = _pixels(tensors[0], wanted)
        batch = tensors[0].shape[0] or 1
        sets = [[np.repeat(to_input(picture[None], tensors[0]), batch, axis=0)] for picture in base]
        return sets, _record([base])
    rng = np.random.default_rng(wanted.seed)
    drawn = [[_draw(rng, tensor) for tensor in tensors] for _ in range(wanted.count)]
    return drawn, _record([np.stack([arrays[at] for arrays in drawn]) for at in range(len(tensors))])


def _pixels(tensor: Tensor, wanted: InputSet) -> Array:
    if wanted.path is not None:
        pictures: Array = np.load(Path(wanted.path), allow_pickle=False)[: wanted.count]
        return pictures
    sides = tensor.shape[2:] if has_channels_first(tensor.shape) else tensor.shape[1:3]
    shape = (wanted.count, *[side for side in sides if side is not None], CHANNELS)
    return np.random.default_rng(wanted.seed).integers(0, 256, shape, dtype=np.uint8)


def _draw(rng: np.random.Generator, tensor: Tensor) -> Array:
    if tensor.dtype not in DRAWN:
        raise ConversionError(f"Input {tensor.name} is of dtype {tensor.dtype}, which no values can be drawn for.")
    dtype, shape = np.dtype(tensor.dtype), _sides(tensor)
    if dtype.kind == "f":
        return rng.random(shape, np.float32).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.itemsize > 1 and tensor.scale == 0:
        return rng.integers(0, FEW, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _sides(tensor: Tensor) -> tuple[int, ...]:
    return tuple(side for side in tensor.shape if side is not None)


def _record(bases: Sequence[Array]) -> Inputs:
    """What is recorded of inputs [count,...], one array per tensor."""
    digest = hashlib.sha256()
    for base in bases:
        digest.update(np.ascontiguousarray(base).tobytes())
    each = {b"".join(base[at].tobytes() for base in bases) for at in range(len(bases[0]))}
    return Inputs(len(bases[0]), digest.hexdigest(), len(each), not any(base.any() for base in bases))

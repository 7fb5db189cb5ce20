"""Which cores to run on, and how many threads they carry."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.errors import UsageError, unknown

ROOT = Path("/")
POLICIES = ("big", "prime", "little", "all")
MOST_THREADS = 4  # as in most published results
# Clocks of favored cores and of cores from different bins differ by a few percent, within one cluster.
ALIKE = 0.9
# Groups of a hybrid Intel processor: folders of /sys/devices (Linux' arch/x86/events/intel/core.c).
HYBRID = ("cpu_core", "cpu_atom", "cpu_lowpower")
# Cores made for low power: the order where nothing tells a speed. Numbers as in host.ARM_PARTS, and A510 and A520.
SLOW = {"cpu_atom", "cpu_lowpower", "0xd03", "0xd04", "0xd05", "0xc07", "0xd46", "0xd80"}


@dataclass(frozen=True)
class Cluster:
    """Equal cores, the fastest first; `part` is ARM's part number or one of HYBRID. None for what is not known."""

    cpus: tuple[int, ...]
    capacity: int | None
    max_khz: int | None
    part: str | None


def text(path: Path) -> str:
    """What is in the file; "" if it is missing or cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY)  # twice as fast as Path.read_text, on what is read between timings
    except OSError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(file, 1 << 16), b"")).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(file)


def number(path: Path) -> int | None:
    """The number in the file, a whole one of at least zero; None for anything else."""
    content = text(path).strip()
    return int(content) if re.fullmatch("[0-9]{1,18}", content) else None


def cpu_list(content: str) -> list[int] | None:
    """The cpus of a list such as 0,2-3, in order; None if it is not one."""
    cpus: set[int] = set()
    for item in content.strip().split(","):
        match = re.fullmatch(r"\s*([0-9]{1,4})(?:-([0-9]{1,4}))?\s*", item)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            return None
        cpus.update(range(first, last + 1))
    return sorted(cpus)


def cpu_folder(cpu: int, root: Path = ROOT) -> Path:
    """Where the kernel describes a cpu."""
    return root / f"sys/devices/system/cpu/cpu{cpu}"


def allowed() -> list[int]:
    """The cpus this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def clusters(root: Path = ROOT, cpus: Sequence[int] | None = None) -> list[Cluster]:
    """The clusters of `cpus` (default: those allowed), the fastest first; one if nothing tells them apart."""
    parts = _parts(root)
    cores = [_core(cpu, parts.get(cpu), root) for cpu in (allowed() if cpus is None else cpus)]
    return [_merged(group) for group in _groups(cores)]


def _core(cpu: int, part: str | None, root: Path) -> Cluster:
    folder = cpu_folder(cpu, root)
    return Cluster((cpu,), number(folder / "cpu_capacity"), number(folder / "cpufreq/cpuinfo_max_freq"), part)


def _parts(root: Path) -> dict[int, str]:
    parts: dict[int, str] = {}
    cpu, seen = 0, []
    for line in text(root / "proc/cpuinfo").splitlines():
        key, _, value = (word.strip() for word in line.partition(":"))
        if key == "processor" and re.fullmatch("[0-9]{1,4}", value):
            cpu = int(value)
            seen.append(cpu)
        elif key == "CPU part":
            parts[cpu] = value.lower()
    if len(parts) == 1:  # old kernels tell it once, below all processors
        parts = dict.fromkeys(seen, *parts.values())
    for name in HYBRID:
        parts.update(dict.fromkeys(cpu_list(text(root / "sys/devices" / name / "cpus")) or [], name))
    return parts


def _groups(cores: Sequence[Cluster]) -> list[list[Cluster]]:
    speeds = _speeds(cores)

    def fastest_first(core: Cluster) -> tuple[int, bool, int, int]:
        return -speeds[core], core.part in SLOW, -(core.max_khz or 0), core.cpus[0]

    groups: list[list[Cluster]] = []
    open_groups: dict[str | None, list[Cluster]] = {}
    for core in sorted(cores, key=fastest_first):
        group = open_groups.get(core.part)
        if group is None or speeds[core] < ALIKE * speeds[group[-1]]:
            group = open_groups[core.part] = []
            groups.append(group)
        group.append(core)
    return groups


def _speeds(cores: Sequence[Cluster]) -> dict[Cluster, int]:
    """Capacities if they tell cores apart, else clocks if those do (all capacities are 1024 without a device tree)."""
    for speeds in ({core: core.capacity for core in cores}, {core: core.max_khz for core in cores}):
        known = {core: speed for core, speed in speeds.items() if speed is not None}
        if len(known) == len(cores) and len(set(known.values())) > 1:
            return known
    return dict.fromkeys(cores, 0)


def _merged(group: Sequence[Cluster]) -> Cluster:
    return Cluster(
        cpus=tuple(core.cpus[0] for core in group),
        capacity=max((core.capacity for core in group if core.capacity is not None), default=None),
        max_khz=max((core.max_khz for core in group if core.max_khz is not None), default=None),
        part=group[0].part,
    )


def select(policy: str, clusters: Sequence[Cluster]) -> tuple[int, ...]:
    """The cpus to run on, in order.

    `policy` is big (the fastest cluster), prime (its fastest core), little (the slowest cluster), all, or a list of
    cpus such as 0,2-3. UsageError for anything else, and for cpus that are in no cluster.
    """
    everything = tuple(sorted(cpu for cluster in clusters for cpu in cluster.cpus))
    named = {
        "big": clusters[0].cpus,
        "prime": clusters[0].cpus[:1],
        "little": clusters[-1].cpus,
        "all": everything,
    }
    return tuple(sorted(named[policy])) if policy in named else _listed(policy, everything)


def _listed(policy: str, everything: Sequence[int]) -> tuple[int, ...]:
    cpus = cpu_list(policy)
    if cpus is None:
        raise UsageError(f"{unknown('cores', policy, POLICIES)} Or a list of cpus out of {cpu_ranges(everything)}.")
    if outside := sorted(set(cpus) - set(everything)):
        raise UsageError(
            f"This process may not run on cpu {cpu_ranges(outside)}: required some of {cpu_ranges(everything)}, "
            f"got {policy!r}. Choices: {', '.join(POLICIES)}, or a list of cpus."
        )
    return tuple(cpus)


def cpu_ranges(cpus: Sequence[int]) -> str:
    """How the kernel writes a list of cpus: 0,2-3."""
    starts = [cpu for cpu in cpus if cpu - 1 not in cpus]
    ends = [cpu for cpu in cpus if cpu + 1 not in cpus]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(sorted(starts), sorted(ends), strict=True))


def control_groups(controller: str, root: Path = ROOT) -> Iterator[Path]:
    """The folders of the control groups that limit this process' cpu or memory: its own, and those above it."""
    for line in text(root / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if controllers else "")
        folder = top / path.lstrip("/")
        yield from (group for group in (folder, *folder.parents) if group.is_relative_to(top))


def quota(root: Path = ROOT) -> float | None:
    """How many cores' time the control groups grant; None if they do not limit it."""
    limits = (_limit(group) for group in control_groups("cpu", root))
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(group: Path) -> float | None:
    content = text(group / "cpu.max") or f"{text(group / 'cpu.cfs_quota_us')} {text(group / 'cpu.cfs_period_us')}"
    match = re.fullmatch(r"\s*([0-9]{1,18})\s+([0-9]{1,18})\s*", content)  # not "max", not -1
    return int(match[1]) / int(match[2]) if match and int(match[1]) and int(match[2]) else None


def usable(cpus: Sequence[int], root: Path = ROOT) -> int:
    """How many of `cpus` can be busy at once within the quota: at least one."""
    granted = quota(root)
    return max(1, len(cpus) if granted is None else min(len(cpus), math.floor(granted)))


def physical_cores(cpus: Sequence[int], root: Path = ROOT) -> tuple[int, ...]:
    """One of `cpus` for each physical core that they share: the first of the siblings."""
    first: dict[tuple[int, ...], int] = {}
    for cpu in cpus:
        siblings = cpu_list(text(cpu_folder(cpu, root) / "topology/thread_siblings_list")) or [cpu]
        first.setdefault(tuple(siblings), cpu)
    return tuple(first.values())


def default_threads(cpus: Sequence[int], root: Path = ROOT) -> int:
    """How many threads to use on `cpus`: one for each physical core within the quota, at most four."""
    return min(MOST_THREADS, usable(physical_cores(cpus, root), root))

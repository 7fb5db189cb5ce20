"""What the readings taken during an arm's launches say of the machine; None where it does not tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_squeeze.benchmarks.machine.telemetry import Reading

Readings = Sequence[Sequence[Reading]]  # of each launch


def increase(readings: Readings, name: str) -> float | None:
    """How much the counter `name` rose within the launches, all together."""
    rises = [_rise(of_launch, name) for of_launch in readings]
    known = [rise for rise in rises if rise is not None]
    return sum(known) if known else None


def _rise(of_launch: Sequence[Reading], name: str) -> float | None:
    values = _known(of_launch, name)
    return max(0.0, values[-1] - values[0]) if len(values) > 1 else None


def _known(of_launch: Iterable[Reading], name: str) -> list[float]:
    return [value for reading in of_launch if (value := getattr(reading, name)) is not None]


def most(readings: Readings, name: str) -> float | None:
    """The highest value of `name` in any reading."""
    return max((value for of_launch in readings for value in _known(of_launch, name)), default=None)


def pressure(readings: Readings) -> float | None:
    """The share of the launches' time in which some task on the machine waited for a core."""
    return _share(readings, "cpu_pressure_total_us", 1e3)


def waiting(readings: Readings) -> float | None:
    """The share of the launches' time that the main thread waited for a core."""
    return _share(readings, "run_delay_ns", 1)


def _share(readings: Readings, name: str, to_ns: float) -> float | None:
    counted = [of_launch for of_launch in readings if _rise(of_launch, name) is not None]
    risen = increase(counted, name)
    spent = sum(of_launch[-1].at_ns - of_launch[0].at_ns for of_launch in counted)
    return None if risen is None or not spent else risen * to_ns / spent


def steal(readings: Readings) -> float | None:
    """The share of processor time that a hypervisor gave to others meanwhile."""
    stolen, total = increase(readings, "steal_ticks"), increase(readings, "total_ticks")
    return None if stolen is None or not total else stolen / total


def frequency_drop(readings: Readings) -> float | None:
    """How far the fastest core's clock fell at its lowest, against its highest of all launches; 0.1 is 10 %.

    The first reading of a launch comes from before its work and is left out: an idle core may be slow.
    """
    clocks = [max(known) for one in readings for reading in one[1:] if (known := [f for f in reading.freq_khz if f])]
    return 1 - min(clocks) / max(clocks) if clocks else None


def _begun(of_launch: Sequence[Reading]) -> list[str]:
    """What throttled it between two readings of a launch, and only left its mark."""
    told = [set(one.throttled_since_boot) for one in of_launch if one.throttled_since_boot is not None]
    return sorted(set[str]().union(*told[1:]) - told[0]) if told else []


def throttling(readings: Readings) -> list[str] | None:
    """What throttled the device during any launch; None if nothing tells."""
    told = [reading.throttled for of_launch in readings for reading in of_launch if reading.throttled is not None]
    flags = [*told, *map(_begun, readings)]
    signs = {
        "the processor's own throttling": increase(readings, "throttle_count"),
        "cooling by slowing down": most(readings, "cooling"),
    }
    if not told and all(value is None for value in signs.values()):
        return None
    return [*dict.fromkeys(name for one in flags for name in one), *(what for what, value in signs.items() if value)]

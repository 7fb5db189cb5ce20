"""What the machine does to a timing: clocks, heat, throttling, other programs; read between blocks of inferences."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.machine.cores import ROOT, control_groups, cpu_folder, number, text

# Bits of get_throttled; 16 bits higher: the same has happened (raspberrypi.com, documentation/computers/os.html).
PI_FLAGS = {0x1: "under-voltage", 0x2: "frequency capped", 0x4: "throttled", 0x8: "soft temperature limit"}
HAPPENED = 16
# Below soc on a Pi 4, soc@107c000000 on a Pi 5, whose kernels may lack it. The first look after a boot leaves a
# warning in the kernel's log ("deprecated"), but what replaces it tells of under-voltage only.
PI_FILE = "sys/devices/platform/soc*/*:firmware/get_throttled"
PI_PROGRAM = "vcgencmd"
PI_PROGRAM_SECONDS = 2
# What slows a CPU down to cool it, as kernels call it: processor_thermal.c, cpufreq_cooling.c and cpuidle_cooling.c
# (each has an old and a new name), intel_powerclamp.c; Qualcomm's cpu_isolate.c and thermal_pause.c. No fans, no GPUs.
CPU_COOLING = re.compile(
    "Processor|cpufreq-|thermal-cpufreq-|idle-cpu|thermal-idle-|intel_powerclamp|cpu-isolate|thermal-pause-"
)
CPU_SENSORS = {"coretemp", "k10temp", "zenpower"}  # AMD's is no thermal zone
# Beyond, and within a degree of 0: sensors that are off, measure something else, or say degrees for thousandths.
LOWEST_C, HIGHEST_C = -40, 150
THROTTLE_COUNTS = "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count"  # core_ and package_
THERMAL_STATUS = range(7)  # none to shutdown (Android's Temperature.THROTTLING_*)

COOLED = re.compile(r"\s*(-?\d{1,9})\s*")
LOAD = re.compile(r"(\d{1,9}\.\d+) ")
PRESSURE = re.compile(r"^some avg10=(\d{1,3}\.\d+) .*\btotal=(\d{1,18})$", re.MULTILINE)
RUN_DELAY = re.compile(r"\d+ (\d{1,18}) [1-9]\d*")  # "0 0 0" where the kernel does not count
SWAPPED = re.compile(r"^VmSwap:\s+(\d{1,12}) kB$", re.MULTILINE)
TICKS = re.compile(r"cpu +((?:\d{1,18} ){7}\d{1,18})\b")
NR_THROTTLED = re.compile(r"^nr_throttled (\d{1,18})$", re.MULTILINE)


@dataclass(frozen=True)
class Reading:
    """The machine at one moment; None for what it does not report. Counters start at boot or with the process.

    `freq_khz` is one for each cpu, as the kernel set it: firmware that throttles by itself (a Raspberry Pi's) may run
    lower. `cooling` is the sum of how far the CPU is slowed to cool it. `throttled_since_boot` is complete from
    vcgencmd; the kernel's file forgets within seconds, as the kernel clears it at each look of its own
    (drivers/hwmon/raspberrypi-hwmon.c, every 2 s). `throttle_count`: events of x86 cores and packages.
    `cgroup_throttled`: periods in which a quota stopped the group or one above it. `cpu_pressure`: % of the last 10 s
    in which some task waited for a core. `run_delay_ns`: what the main thread waited for one.
    """

    at_ns: int
    freq_khz: list[int | None]
    temp_c: float | None = None
    cooling: int | None = None
    throttled: list[str] | None = None
    throttled_since_boot: list[str] | None = None
    throttle_count: int | None = None
    cgroup_throttled: int | None = None
    cpu_pressure: float | None = None
    cpu_pressure_total_us: int | None = None
    steal_ticks: int | None = None
    total_ticks: int | None = None
    load_1: float | None = None
    swapped_bytes: int | None = None
    run_delay_ns: int | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Reading:
        """The reading that `dataclasses.asdict` took apart; keys of later versions are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


class Telemetry:
    """Reads one machine again and again; looks for its files once."""

    def __init__(self, cpus: Sequence[int], root: Path = ROOT) -> None:
        """Find what can be read of `cpus` and of the machine below `root`."""
        self._proc = root / "proc"
        self._clocks = [cpu_folder(cpu, root) / "cpufreq/scaling_cur_freq" for cpu in cpus]
        self._sensors = _sensors(root)
        self._cooling = _cooling(root)
        self._throttles = sorted(root.glob(THROTTLE_COUNTS))
        files = [group / "cpu.stat" for group in control_groups("cpu", root)]
        self._quotas = [file for file in files if NR_THROTTLED.search(text(file))]
        self._pi_file = next((file for file in root.glob(PI_FILE) if pi_flags(text(file))), None)
        self._pi_program = None if self._pi_file else _pi_program(root)

    def read(self) -> Reading:
        """The machine now."""
        now, before = self._pi_flags() or (None, None)
        pressure, pressure_total = cpu_pressure(text(self._proc / "pressure/cpu")) or (None, None)
        steal, total = cpu_ticks(text(self._proc / "stat")) or (None, None)
        return Reading(
            at_ns=time.monotonic_ns(),
            freq_khz=[number(file) for file in self._clocks],
            temp_c=hottest_c(map(text, self._sensors)),
            cooling=_total(map(number, self._cooling)),
            throttled=now,
            throttled_since_boot=before,
            throttle_count=_total(map(number, self._throttles)),
            cgroup_throttled=_total(_whole(NR_THROTTLED.search(text(file))) for file in self._quotas),
            cpu_pressure=pressure,
            cpu_pressure_total_us=pressure_total,
            steal_ticks=steal,
            total_ticks=total,
            load_1=load_1(text(self._proc / "loadavg")),
            swapped_bytes=swapped_bytes(text(self._proc / "self/status")),
            run_delay_ns=_whole(RUN_DELAY.match(text(self._proc / "self/schedstat"))),
        )

    def _pi_flags(self) -> tuple[list[str], list[str]] | None:
        if self._pi_file:
            return pi_flags(text(self._pi_file))
        return pi_flags(_ask(self._pi_program)) if self._pi_program else None


def read(cpus: Sequence[int], root: Path = ROOT) -> Reading:
    """The machine now; use Telemetry to read it more than once."""
    return Telemetry(cpus, root).read()


def pi_flags(content: str) -> tuple[list[str], list[str]] | None:
    """What a Raspberry Pi is throttled by now, and what it was by before: of "throttled=0x50005" or "50005"."""
    match = re.fullmatch("(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", content.strip())
    if match is None:
        return None
    bits = int(match[1], 16)
    now = [name for bit, name in PI_FLAGS.items() if bits & bit]
    return now, [name for bit, name in PI_FLAGS.items() if bits >> HAPPENED & bit]


def hottest_c(contents: Iterable[str]) -> float | None:
    """The highest of the sensors' temperatures that a machine can have; they say thousandths of a degree."""
    matches = (COOLED.fullmatch(content) for content in contents)
    degrees = [int(match[1]) / 1000 for match in matches if match]
    return max((degree for degree in degrees if LOWEST_C < degree < HIGHEST_C and abs(degree) >= 1), default=None)


def cpu_pressure(content: str) -> tuple[float, int] | None:
    """Of /proc/pressure/cpu: the % of the last 10 s in which some task waited, and the total in microseconds."""
    match = PRESSURE.search(content)
    return (float(match[1]), int(match[2])) if match else None


def cpu_ticks(content: str) -> tuple[int, int] | None:
    """Of /proc/stat: ticks that the hypervisor gave to others, and all ticks, summed over the cores."""
    match = TICKS.match(content)
    ticks = [int(word) for word in match[1].split()] if match else []
    return (ticks[-1], sum(ticks)) if ticks else None  # what follows them, guests' time, is in the first ones


def load_1(content: str) -> float | None:
    """Of /proc/loadavg: the mean number of tasks that ran or wanted to, over the last minute."""
    match = LOAD.match(content)
    return float(match[1]) if match else None


def swapped_bytes(content: str) -> int | None:
    """Of /proc/self/status: how much of the process is swapped out."""
    kilobytes = _whole(SWAPPED.search(content))
    return None if kilobytes is None else kilobytes << 10


@dataclass(frozen=True)
class AndroidBattery:
    """A phone's battery; None for what it does not tell."""

    level_pct: float | None
    temp_c: float | None
    plugged: bool | None


def android_thermal_status(dumpsys: str) -> int | None:
    """What `dumpsys thermalservice` says: 0 for no throttling, to 6 for shutdown."""
    status = _whole(re.search(r"^\s*Thermal Status: (\d{1,2})\s*$", dumpsys, re.MULTILINE))
    return status if status in THERMAL_STATUS else None


def android_battery(dumpsys: str) -> AndroidBattery:
    """What `dumpsys battery` says; its temperature is in tenths of a degree."""
    fields = dict(re.findall(r"^\s*([A-Za-z ]+): (\S+)\s*$", dumpsys, re.MULTILINE))
    level, scale = (_whole(re.fullmatch(r"(\d{1,6})", fields.get(key, ""))) for key in ("level", "scale"))
    powered = [fields[key] == "true" for key in fields if key.endswith(" powered")]
    full = scale or 100
    return AndroidBattery(
        level_pct=100 * level / full if level is not None and level <= full else None,
        temp_c=hottest_c([f"{fields.get('temperature', '')}00"]),
        plugged=any(powered) if powered else None,
    )


def _sensors(root: Path) -> list[Path]:
    """Every thermal zone, and the first value of the sensors inside a CPU: that of its whole package."""
    chips = (chip for chip in root.glob("sys/class/hwmon/hwmon*") if text(chip / "name").strip() in CPU_SENSORS)
    return [*sorted(root.glob("sys/class/thermal/thermal_zone*/temp")), *(chip / "temp1_input" for chip in chips)]


def _cooling(root: Path) -> list[Path]:
    devices = root.glob("sys/class/thermal/cooling_device*")
    return [device / "cur_state" for device in devices if CPU_COOLING.match(text(device / "type"))]


def _pi_program(root: Path) -> str | None:
    """vcgencmd, if it is on PATH below `root` and answers."""
    folders = (root / folder.lstrip("/") for folder in os.get_exec_path())
    program = shutil.which(PI_PROGRAM, path=os.pathsep.join(map(str, folders)))
    return program if program and pi_flags(_ask(program)) else None


def _ask(program: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the program was found by its name
            [program, "get_throttled"],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PI_PROGRAM_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _whole(match: re.Match[str] | None) -> int | None:
    return int(match[1]) if match else None


def _total(numbers: Iterable[int | None]) -> int | None:
    known = [value for value in numbers if value is not None]
    return sum(known) if known else None


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
    clocks = [
        max(known)
        for of_launch in readings
        for reading in of_launch[1:]
        if (known := [khz for khz in reading.freq_khz if khz])
    ]
    return 1 - min(clocks) / max(clocks) if clocks else None


def _begun(of_launch: Sequence[Reading]) -> list[str]:
    """What throttled it between two readings of a launch, and is seen only by its mark."""
    marks = [set(reading.throttled_since_boot) for reading in of_launch if reading.throttled_since_boot is not None]
    return sorted(set[str]().union(*marks[1:]) - marks[0]) if marks else []


def throttling(readings: Readings) -> list[str] | None:
    """What throttled the device during any launch; None if nothing shows it."""
    current = [reading.throttled for of_launch in readings for reading in of_launch if reading.throttled is not None]
    flags = [*current, *map(_begun, readings)]
    signs = {
        "the processor's own throttling": increase(readings, "throttle_count"),
        "slowed down to cool": most(readings, "cooling"),
    }
    if not current and all(value is None for value in signs.values()):
        return None
    return [*dict.fromkeys(itertools.chain(*flags)), *(sign for sign, value in signs.items() if value)]

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import pytest
from synthetic import machine

from edge_squeeze.benchmarks import telemetry
from edge_squeeze.benchmarks.telemetry import AndroidBattery, Reading, Telemetry

CPU = "sys/devices/system/cpu/cpu{}/"
THERMAL = "sys/class/thermal/"
CLOCK = CPU + "cpufreq/scaling_cur_freq"
PI4_FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"
PI5_FLAGS = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
PROC = {
    "proc/pressure/cpu": "some avg10=1.53 avg60=0.63 avg300=2.09 total=3056286859\n"
    "full avg10=9.00 avg60=0.00 avg300=0.00 total=7\n",
    "proc/stat": "cpu  2212837 30790 248800 2041672 9656 0 1462 2767 11 12\ncpu0 1 1 1 1 1 1 1 1 1 1\n",
    "proc/loadavg": "0.09 0.43 1.05 1/82 28606\n",
    "proc/self/status": "Name:\tpython\nVmSwap:\t       12 kB\nThreads:\t1\n",
    "proc/self/schedstat": "2387639410 13233901 125\n",
}
UNKNOWN = {field.name: field.default for field in dataclasses.fields(Reading)[2:]}


def known(reading: Reading) -> dict[str, object]:
    """What a reading tells, but for its time and clocks."""
    return {name: value for name in UNKNOWN if (value := getattr(reading, name)) is not None}


def zone(number: int, temp: str) -> dict[str, str]:
    return {f"{THERMAL}thermal_zone{number}/temp": temp}


def cooler(number: int, kind: str, state: str) -> dict[str, str]:
    return {f"{THERMAL}cooling_device{number}/{name}": text for name, text in (("type", kind), ("cur_state", state))}


def counts(cpu: int, core: int, package: int) -> dict[str, str]:
    folder = CPU.format(cpu) + "thermal_throttle/"
    return {f"{folder}core_throttle_count": f"{core}\n", f"{folder}package_throttle_count": f"{package}\n"}


LAPTOP = {**zone(0, "27800\n"), **zone(1, "91000\n"), **counts(0, 3, 40), **counts(1, 0, 40)}
COOLERS = {
    **cooler(0, "Processor\n", "2\n"),
    **cooler(1, "cpufreq-cpu4\n", "3\n"),
    **cooler(2, "thermal-cpufreq-0\n", "10\n"),
    **cooler(3, "idle-cpu0\n", "20\n"),
    **cooler(4, "pwm-fan\n", "100\n"),
    **cooler(5, "thermal-devfreq-0\n", "200\n"),
    **cooler(6, "TCC Offset\n", "300\n"),
    **cooler(7, "intel_powerclamp\n", "-1\n"),  # not clamping, before Linux 6.3
}
CHIPS = {
    "sys/class/hwmon/hwmon0/name": "k10temp\n",
    "sys/class/hwmon/hwmon0/temp1_input": "66125\n",
    "sys/class/hwmon/hwmon1/name": "nvme\n",
    "sys/class/hwmon/hwmon1/temp1_input": "80000\n",
}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, {}),
        (LAPTOP, {"temp_c": 91.0, "throttle_count": 83}),
        (COOLERS, {"cooling": 35}),
        (cooler(0, "pwm-fan\n", "3\n"), {}),
        (CHIPS, {"temp_c": 66.125}),
        ({**zone(0, "-274000"), **zone(1, "0"), **zone(2, "2147483647"), **zone(3, "nonsense"), **zone(4, "42")}, {}),
        (zone(0, "-5000\n"), {"temp_c": -5.0}),
        (
            {PI4_FLAGS: "50005\n"},
            {
                "throttled": ["under-voltage", "throttled"],
                "throttled_since_boot": ["under-voltage", "throttled"],
            },
        ),
        (
            {PI4_FLAGS: "a0000\n"},
            {"throttled": [], "throttled_since_boot": ["frequency capped", "soft temperature limit"]},
        ),
        ({PI5_FLAGS: "8\n"}, {"throttled": ["soft temperature limit"], "throttled_since_boot": []}),
        ({PI4_FLAGS: "error\n"}, {}),
        (
            PROC,
            {
                "cpu_pressure": 1.53,
                "cpu_pressure_total_us": 3056286859,
                "steal_ticks": 2767,
                "total_ticks": 4547984,
                "load_1": 0.09,
                "swapped_bytes": 12288,
                "run_delay_ns": 13233901,
            },
        ),
        ({"proc/self/schedstat": "0 0 0\n"}, {}),  # the kernel does not count
    ],
)
def test_a_reading_has_what_the_machine_tells(
    tmp_path: Path, files: dict[str, str], expected: dict[str, object]
) -> None:
    assert known(telemetry.read([0, 1], machine(tmp_path, files))) == expected


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/pod/one\n", {"pod/one/cpu.stat": "nr_throttled 2\n", "pod/cpu.stat": "usage 9\nnr_throttled 30\n"}, 32),
        ("4:cpu,cpuacct:/job\n", {"cpu/job/cpu.stat": "nr_periods 7\nnr_throttled 5\nthrottled_time 9\n"}, 5),
        ("0::/\n", {"cpu.stat": "usage_usec 9\n"}, None),
        ("3:cpuset:/\n", {"cpu/cpu.stat": "nr_throttled 5\n"}, None),
    ],
)
def test_quotas_that_stopped_the_group_or_one_above_are_counted(
    tmp_path: Path, cgroup: str, files: dict[str, str], expected: int | None
) -> None:
    groups = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    root = machine(tmp_path, {"proc/self/cgroup": cgroup, **groups})
    assert telemetry.read([0], root).cgroup_throttled == expected


def test_a_reading_has_a_clock_for_each_cpu_and_its_time(tmp_path: Path) -> None:
    root = machine(tmp_path, {CLOCK.format(4): "2304000\n", CLOCK.format(6): "<unknown>\n"})
    before = time.monotonic_ns()
    reading = telemetry.read([6, 4, 5], root)
    assert reading.freq_khz == [None, 2304000, None]
    assert before <= reading.at_ns <= time.monotonic_ns()


def test_each_reading_is_new_and_a_file_that_goes_is_unknown(tmp_path: Path) -> None:
    source = Telemetry([0], machine(tmp_path, {**zone(0, "40000"), CLOCK.format(0): "1", PI4_FLAGS: "0"}))
    assert (source.read().temp_c, source.read().throttled) == (40.0, [])
    machine(tmp_path, {**zone(0, "50000"), PI4_FLAGS: "1"})
    assert (source.read().temp_c, source.read().throttled) == (50.0, ["under-voltage"])
    (tmp_path / CLOCK.format(0)).unlink()
    (tmp_path / PI4_FLAGS).unlink()
    assert (source.read().freq_khz, source.read().throttled) == ([None], None)


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo throttled=0x80008", (["soft temperature limit"], ["soft temperature limit"])),
        ("echo throttled=0x0", ([], [])),
        ("echo VCHI initialization failed; exit 255", (None, None)),
    ],
)
def test_the_pi_program_is_asked_where_the_kernel_has_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: tuple[object, object]
) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(("/usr/local/bin", "/opt/vc/bin", "/usr/bin", "/bin")))
    program = machine(tmp_path, {"opt/vc/bin/vcgencmd": f"#!/bin/sh\n{script}\n"}) / "opt/vc/bin/vcgencmd"
    program.chmod(0o755)
    reading = telemetry.read([0], tmp_path)
    assert (reading.throttled, reading.throttled_since_boot) == expected
    machine(tmp_path, {PI4_FLAGS: "1\n"})
    assert telemetry.read([0], tmp_path).throttled == ["under-voltage"]


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_a_pi_program_that_does_not_answer_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    program = machine(tmp_path, {"bin/vcgencmd": '#!/bin/sh\necho asked >> "$0.log"\n'}) / "bin/vcgencmd"
    program.chmod(0o755)
    source = Telemetry([0], tmp_path)
    assert [source.read().throttled for _ in range(3)] == [None] * 3
    assert program.with_suffix(".log").read_text() == "asked\n"


@pytest.mark.parametrize("nonsense", ["", "\n", "-1", "nan", "\x00\xff", "9" * 5000, "some avg10= total=", "cpu  1 2"])
def test_nonsense_is_unknown_and_no_error(tmp_path: Path, nonsense: str) -> None:
    files = {**LAPTOP, **CHIPS, **PROC, **dict.fromkeys((PI4_FLAGS, CLOCK.format(0)), ""), "proc/self/cgroup": ""}
    reading = telemetry.read([0], machine(tmp_path, dict.fromkeys(files, nonsense)))
    assert known(reading) == {}
    assert reading.freq_khz == [None]


def test_a_reading_survives_json_and_later_versions(tmp_path: Path) -> None:
    reading = telemetry.read([0], machine(tmp_path, {**LAPTOP, **PROC, PI4_FLAGS: "5"}))
    written = json.loads(json.dumps(dataclasses.asdict(reading), allow_nan=False))
    assert Reading.from_json(written | {"of_a_later_version": 1}) == reading


def test_this_machine_can_be_read_twice_and_its_counters_grow() -> None:
    source = Telemetry([0])
    first, second = source.read(), source.read()
    for name in ("at_ns", "total_ticks", "run_delay_ns", "cpu_pressure_total_us"):
        if (before := getattr(first, name)) is not None:
            assert getattr(second, name) >= before


@pytest.mark.parametrize(
    ("dumpsys", "expected"),
    [
        (
            "IsStatusOverride: false\nThermalEventListeners:\n\tcallbacks: 1\nThermal Status: 0\nHAL Ready: true\n",
            0,
        ),
        ("IsStatusOverride: false\r\nThermal Status: 3\r\n", 3),
        ("Thermal Status: 9\n", None),
        ("Thermal Status:\n", None),
        ("Can't find service: thermalservice\n", None),
    ],
)
def test_the_thermal_status_of_a_phone_is_read(dumpsys: str, expected: int | None) -> None:
    assert telemetry.android_thermal_status(dumpsys) == expected


PHONE = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 0
  status: 5
  level: 80
  scale: 100
  temperature: 309
  batterySWSelfDischarging: false
"""


@pytest.mark.parametrize(
    ("dumpsys", "expected"),
    [
        (PHONE, AndroidBattery(80.0, 30.9, plugged=True)),
        (PHONE.replace("\n", "\r\n").replace("true", "false"), AndroidBattery(80.0, 30.9, plugged=False)),
        (PHONE.replace("100", "200").replace("309", "-51"), AndroidBattery(40.0, -5.1, plugged=True)),
        (PHONE.replace("80", "180").replace("309", "0"), AndroidBattery(None, None, plugged=True)),  # an emulator's 0
        ("Can't find service: battery\n", AndroidBattery(None, None, None)),
    ],
)
def test_the_battery_of_a_phone_is_read(dumpsys: str, expected: AndroidBattery) -> None:
    assert telemetry.android_battery(dumpsys) == expected

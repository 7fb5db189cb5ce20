from __future__ import annotations

import dataclasses
import json
import platform
import re
from pathlib import Path

import pytest
from synthetic import machine

from edge_squeeze.machine import device
from edge_squeeze.machine.device import Cores, Power

CPU = "sys/devices/system/cpu/"
DMI = "sys/class/dmi/id/"
SUPPLY = "sys/class/power_supply/"
TREE = "proc/device-tree/"
X86 = "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i7-1260P\nflags\t\t: fpu avx2 avx_vnni\n"
GUEST = X86.replace("avx2", "hypervisor avx2")


def arm(*parts: str, tail: str = "") -> str:
    cores = (
        f"processor\t: {cpu}\nFeatures\t: fp asimd asimdhp fphp asimddp\nCPU implementer\t: 0x41\nCPU part\t: {part}\n"
        for cpu, part in enumerate(parts)
    )
    return "\n".join((*cores, tail))


def pc(cpuinfo: str, vendor: str, product: str) -> dict[str, str]:
    return {"proc/cpuinfo": cpuinfo, DMI + "sys_vendor": f"{vendor}\n", DMI + "product_name": f"{product}\n"}


def clocks(cpus: range, least: int, most: int) -> dict[str, str]:
    files = {"cpuinfo_min_freq": f"{least}\n", "cpuinfo_max_freq": f"{most}\n"}
    files |= {"scaling_governor": "schedutil\n", "scaling_driver": "cpufreq-dt\n"}
    return {f"{CPU}cpu{cpu}/cpufreq/{name}": content for cpu in cpus for name, content in files.items()}


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")


PI5 = {
    "proc/cpuinfo": arm(*["0xd0b"] * 4, tail="Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n"),
    "proc/meminfo": "MemTotal:        8245584 kB\nMemFree: 1 kB\n",
    "proc/sys/kernel/osrelease": "6.12.34+rpt-rpi-2712\n",
    "proc/self/cgroup": "0::/user.slice/user-1000.slice/session-1.scope\n",
    TREE + "model": "Raspberry Pi 5 Model B Rev 1.0\0",
    TREE + "compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
    TREE + "serial-number": "10000000abcdef01\0",
    "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    CPU + "online": "0-3\n",
    CPU + "smt/active": "0\n",
    **clocks(range(4), 1500000, 2400000),
}
LAPTOP = {
    **pc(X86, "LENOVO", "21AHCTO1WW"),
    "etc/machine-id": "00112233445566778899aabbccddeeff\n",
    CPU + "online": "0\n",
    CPU + "smt/active": "1\n",
    CPU + "intel_pstate/no_turbo": "0\n",
    CPU + "cpufreq/boost": "0\n",  # intel_pstate's own word counts
    SUPPLY + "AC/type": "Mains\n",
    SUPPLY + "AC/online": "0\n",
    SUPPLY + "BAT0/type": "Battery\n",
    SUPPLY + "BAT0/status": "Discharging\n",
    SUPPLY + "BAT0/capacity": "73\n",
}


def test_a_raspberry_pi_is_described(tmp_path: Path) -> None:
    description = device.describe(machine(tmp_path, PI5))
    system = description.device
    assert (system.kind, system.container, system.hypervisor) == ("linux", None, None)
    assert (system.vendor, system.soc) == ("raspberrypi", "brcm,bcm2712")
    assert system.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert (system.os, system.kernel) == ("Debian GNU/Linux 12 (bookworm)", "6.12.34+rpt-rpi-2712")
    assert system.mem_bytes == 8245584 << 10
    assert description.cpu.name == "Raspberry Pi 5 Model B Rev 1.0 (Cortex-A76)"
    assert description.cpu.clusters == [Cores([0, 1, 2, 3], "Cortex-A76", None, 1500000, 2400000)]
    assert description.cpu.features == ["asimddp", "asimdhp", "fphp"]
    assert (description.cpu.governor, description.cpu.driver) == (["schedutil"], "cpufreq-dt")
    assert (description.cpu.boost, description.cpu.smt) == (None, False)
    assert description.power == Power(None, None)


def test_a_laptop_on_battery_is_described(tmp_path: Path) -> None:
    description = device.describe(machine(tmp_path, LAPTOP))
    assert (description.device.kind, description.device.vendor, description.device.model) == (
        "linux",
        "LENOVO",
        "21AHCTO1WW",
    )
    assert description.cpu.name == "Intel(R) Core(TM) i7-1260P"
    assert (description.cpu.boost, description.cpu.smt) == (True, True)
    assert description.power == Power("battery", 73)


def test_big_and_little_cores_are_told_with_all_their_clocks(tmp_path: Path) -> None:
    files = {
        "proc/cpuinfo": arm(*["0xd05"] * 4, *["0xd41"] * 3, "0xd44"),
        CPU + "online": "0-7\n",
        **clocks(range(4), 300000, 1804800),
        **clocks(range(4, 6), 710400, 2323200),
        **clocks(range(6, 7), 710400, 2419200),
        **clocks(range(7, 8), 844800, 2841600),
        CPU + "cpu7/cpufreq/scaling_governor": "performance\n",
    }
    cpu = device.describe_processor(machine(tmp_path, files))
    assert cpu.clusters == [
        Cores([7], "0xd44", None, 844800, 2841600),
        Cores([4, 5, 6], "0xd41", None, 710400, 2419200),
        Cores([0, 1, 2, 3], "Cortex-A55", None, 300000, 1804800),
    ]
    assert cpu.governor == ["schedutil", "performance"]


def test_an_empty_machine_is_unknown_and_no_error(tmp_path: Path) -> None:
    description = device.describe(tmp_path)
    assert set(dataclasses.asdict(description.device).values()) == {None, "linux"}
    assert (description.cpu.name, description.cpu.features, description.cpu.governor, description.cpu.driver) == (
        None,
        None,
        [],
        None,
    )
    assert (description.cpu.boost, description.cpu.smt, description.power) == (None, None, Power(None, None))
    assert [
        (cluster.part, cluster.capacity, cluster.min_khz, cluster.max_khz) for cluster in description.cpu.clusters
    ] == [(None,) * 4]


@pytest.mark.parametrize("nonsense", ["", "\n", "-1", "\x00\xff", "9" * 5000, "processor: x\nflags\nCPU part\n"])
def test_nonsense_is_no_error(tmp_path: Path, nonsense: str) -> None:
    description = device.describe(machine(tmp_path, dict.fromkeys((*PI5, *LAPTOP), nonsense)))
    assert (description.cpu.boost, description.cpu.smt, description.power) == (None, None, Power(None, None))
    assert description.device.mem_bytes is None


@pytest.mark.parametrize(("system", "kind"), [("Darwin", "mac"), ("Windows", "windows"), ("FreeBSD", "FreeBSD")])
def test_other_systems_are_known_by_what_python_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, kind: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "release", lambda: "23.5.0")
    monkeypatch.setattr(platform, "node", lambda: "somebodys-machine")
    host = device.describe(tmp_path).device
    assert (host.kind, host.kernel) == (kind, "23.5.0")
    assert "somebody" not in str(host)
    assert host.id_hash


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": 'engine="podman-4.3"\n'}, "podman"),
        ({"proc/1/environ": "PATH=/bin\0container=lxc\0TERM=linux\0"}, "lxc"),
        ({"proc/1/environ": "my_container=1\0"}, None),
        ({"proc/self/cgroup": f"0::/system.slice/docker-{'0a' * 32}.scope\n"}, "docker"),
        ({"proc/1/cgroup": "4:cpu:/kubepods/burstable/pod1/c0ffee\n"}, "kubernetes"),
        ({"proc/1/cgroup": "4:cpu:/lxc.payload.web/init.scope\n"}, "lxc"),
        ({"proc/self/cgroup": "0::/system.slice/docker.service\n"}, None),  # the daemon itself
    ],
)
def test_a_container_is_found(tmp_path: Path, files: dict[str, str], expected: str | None) -> None:
    system = device.describe(machine(tmp_path, files)).device
    assert (system.container, system.kind) == (expected, "container" if expected else "linux")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (pc(X86, "Amazon EC2", "c5.metal"), None),
        (pc(GUEST, "Default string", "Default string"), "unnamed"),
        (pc(GUEST, "Microsoft Corporation", "Virtual Machine"), "hyper-v"),
        ({"proc/cpuinfo": GUEST, "proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, "wsl"),
        ({"proc/cpuinfo": X86, "sys/hypervisor/type": "xen\n"}, "xen"),
        ({"proc/cpuinfo": arm("0xd0c"), TREE + "compatible": "linux,dummy-virt\0"}, "qemu"),
        (pc(arm("0xd0c"), "QEMU", "KVM Virtual Machine"), "kvm"),
        ({"proc/cpuinfo": arm("0xd0c")}, None),
    ],
)
def test_a_virtual_machine_is_found(tmp_path: Path, files: dict[str, str], expected: str | None) -> None:
    system = device.describe(machine(tmp_path, files)).device
    assert (system.hypervisor, system.kind) == (expected, "vm" if expected else "linux")


@pytest.mark.parametrize(("kernel", "expected"), [("x86_64", True), ("aarch64", False), ("", False)])
def test_a_processor_that_is_not_there_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str, expected: bool | None
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    root = machine(tmp_path, PI5 | {"proc/sys/kernel/arch": f"{kernel}\n"})
    assert device.describe(root).device.emulated is expected


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ({"AC/type": "Mains", "AC/online": "1", "BAT0/type": "Battery", "BAT0/status": "Discharging"}, ("mains", None)),
        ({"usb/type": "USB_PD", "usb/online": "1", "bms/type": "Battery", "bms/capacity": "100"}, ("mains", 100)),
        ({"BAT0/type": "Battery", "BAT0/status": "Not charging", "BAT0/capacity": "80"}, ("mains", 80)),
        ({"BAT0/type": "Battery", "BAT0/status": "Unknown", "AC/type": "Mains", "AC/online": "0"}, ("battery", None)),
        ({"BAT0/type": "Battery", "BAT0/status": "Unknown", "BAT0/capacity": "255"}, (None, None)),
        ({"hid-1/type": "Battery", "hid-1/scope": "Device", "hid-1/status": "Discharging"}, (None, None)),
        ({"AC/type": "Mains", "AC/online": "0"}, (None, None)),
    ],
)
def test_the_source_of_power_is_found(
    tmp_path: Path, supplies: dict[str, str], expected: tuple[str | None, int | None]
) -> None:
    root = machine(tmp_path, {SUPPLY + name: f"{content}\n" for name, content in supplies.items()})
    assert device.describe_power(root) == Power(*expected)


def hashed(root: Path, files: dict[str, str]) -> str | None:
    return device.describe(machine(root, files)).device.id_hash


def test_machines_are_told_apart_without_being_named(tmp_path: Path) -> None:
    first = hashed(tmp_path / "a", PI5)
    assert re.fullmatch("[0-9a-f]{12}", first or "")
    assert first == hashed(tmp_path / "b", PI5 | {"proc/meminfo": "MemTotal: 8190000 kB\n"})  # after an update
    others = [
        hashed(tmp_path / "c", PI5 | {TREE + "serial-number": "10000000abcdef02\0"}),
        hashed(tmp_path / "d", PI5 | {"proc/meminfo": "MemTotal: 4040000 kB\n"}),
        hashed(tmp_path / "e", PI5 | {"etc/machine-id": "uninitialized\n", TREE + "serial-number": "0000\0"}),
        hashed(tmp_path / "f", PI5 | {"etc/machine-id": "0123456789abcdef0123456789abcdef\n"}),
        hashed(tmp_path / "g", {"proc/sys/kernel/hostname": "pi\n"}),
        hashed(tmp_path / "h", PI5 | {"proc/cpuinfo": arm("0xd08")}),
    ]
    assert len({first, *others}) == 7
    assert others[2] is None
    assert "10000000abcdef01" not in str(device.describe(tmp_path / "a"))


def test_this_machine_is_described_as_json() -> None:
    record = dataclasses.asdict(device.describe())
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert set(record) == {"device", "cpu", "power"}
    assert record["cpu"]["clusters"]

"""The device that a benchmark ran on: the machine, its processor and its power."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.machine import cores, host
from edge_squeeze.machine.cores import ROOT, Cluster, cpu_folder, number, text

ID_DIGITS = 12
SERIALS = ("sys/class/dmi/id/product_serial", "proc/device-tree/serial-number")
IDENTITIES = ("etc/machine-id", *SERIALS, "proc/sys/kernel/hostname")
# Placeholders that nobody replaced.
BLANK = re.compile(
    r"(?i)|0+|uninitialized|none|unknown|default string|not (specified|applicable)|(to be filled by )?o\.?e\.?m\.?"
    r"|system (manufacturer|product name|serial number)"
)
SYSTEMS = {"Linux": "linux", "Darwin": "mac", "Windows": "windows"}
MARKS = {".dockerenv": "docker", "run/.containerenv": "podman"}  # files at the top of a container
GROUPS = {  # in the paths of control groups: what made them
    r"/docker[/-][0-9a-f]{12}": "docker",
    r"/kubepods": "kubernetes",
    r"/libpod-[0-9a-f]{12}": "podman",
    r"/lxc(\.payload)?[./]": "lxc",
}
# Marks of hypervisors in vendor and product, device tree or the kernel's release. The first match counts.
HYPERVISORS = {
    "microsoft-standard": "wsl",
    "microsoft corporation virtual machine": "hyper-v",
    "google compute engine": "kvm",
    "linux,dummy-virt": "qemu",
    "hvm domu": "xen",
    **{name: name for name in ("vmware", "virtualbox", "parallels", "apple virtualization", "kvm", "qemu")},
}
UNNAMED = "unnamed"  # a hypervisor that the processor reports and nothing names
FULL_PCT = 100
# By a battery's state (Linux' Documentation/ABI/testing/sysfs-class-power); the first that one of them has counts.
SOURCES = {"Discharging": "battery", "Charging": "mains", "Full": "mains", "Not charging": "mains"}


@dataclass(frozen=True)
class System:
    """The machine; `kind` is container, vm, linux, mac or windows, or Python's name of the system.

    `id_hash` distinguishes machines without naming them. `container` and `hypervisor` are None if nothing indicates
    one. `emulated`: the processor is not of the kind that Python was built for.
    """

    id_hash: str | None
    kind: str
    vendor: str | None
    model: str | None
    soc: str | None
    os: str | None
    kernel: str | None
    container: str | None
    hypervisor: str | None
    mem_bytes: int | None
    emulated: bool | None


@dataclass(frozen=True)
class Cores:
    """Equal cores of a processor; `part` is ARM's name for them."""

    cpus: list[int]
    part: str | None
    capacity: int | None
    min_khz: int | None
    max_khz: int | None


@dataclass(frozen=True)
class Processor:
    """The processor; `arch` is Python's, `boost` and `smt` are whether they are on."""

    arch: str
    name: str | None
    clusters: list[Cores]
    features: list[str] | None
    governor: list[str]
    driver: str | None
    boost: bool | None
    smt: bool | None


@dataclass(frozen=True)
class Power:
    """Where the power comes from, mains or battery, and how full the battery is."""

    source: str | None
    battery_pct: int | None


@dataclass(frozen=True)
class Device:
    """The device that a benchmark ran on; None for what the machine does not report."""

    device: System
    cpu: Processor
    power: Power

    @property
    def name(self) -> str:
        """The model, with the name of its processor if that is known."""
        model, processor = self.device.model, self.cpu.name
        return f"{model} ({processor})" if model and processor else model or processor or "unknown device"


def describe(root: Path = ROOT) -> Device:
    """The device that the files below `root` describe."""
    processor = describe_processor(root)
    return Device(describe_system(processor, root), processor, describe_power(root))


def describe_system(processor: Processor, root: Path = ROOT) -> System:
    """The machine around `processor`."""
    cpuinfo = text(root / "proc/cpuinfo")
    vendor, model, soc = board(root)
    container, hypervisor = container_of(root), hypervisor_of(cpuinfo, root)
    memory = re.search(r"^MemTotal:\s+(\d{1,15}) kB", text(root / "proc/meminfo"), re.MULTILINE)
    mem_bytes = int(memory[1]) << 10 if memory else None
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', text(root / "etc/os-release"), re.MULTILINE)
    return System(
        id_hash=id_hash(processor.name, mem_bytes, root),
        kind="container" if container else "vm" if hypervisor else SYSTEMS.get(platform.system(), platform.system()),
        vendor=vendor,
        model=model,
        soc=soc,
        os=release[1] if release else _elsewhere(platform.platform()),
        kernel=_line(root / "proc/sys/kernel/osrelease") or _elsewhere(platform.release()),
        container=container,
        hypervisor=hypervisor,
        mem_bytes=mem_bytes,
        emulated=host.emulated(root, processor.arch),
    )


def describe_processor(root: Path = ROOT) -> Processor:
    """The processor with all cores that are on, whichever of them this process may use."""
    system = root / "sys/devices/system/cpu"
    cpus = cores.cpu_list(text(system / "online")) or cores.allowed()
    clocks = [cpu_folder(cpu, root) / "cpufreq" for cpu in cpus]
    cpu = host.cpu(text(root / "proc/cpuinfo"), len(cpus))
    no_turbo = _flag(system / "intel_pstate/no_turbo")
    return Processor(
        arch=host.architecture(platform.machine(), sixty_four=sys.maxsize > 2**32),
        name=cpu.name,
        clusters=[_cores(cluster, root) for cluster in cores.clusters(root, cpus)],
        features=cpu.features,
        governor=list(dict.fromkeys(name for clock in clocks if (name := _line(clock / "scaling_governor")))),
        driver=next((name for clock in clocks if (name := _line(clock / "scaling_driver"))), None),
        boost=_flag(system / "cpufreq/boost") if no_turbo is None else not no_turbo,
        smt=_flag(system / "smt/active"),
    )


def _cores(cluster: Cluster, root: Path) -> Cores:
    slowest = [number(cpu_folder(cpu, root) / "cpufreq/cpuinfo_min_freq") for cpu in cluster.cpus]
    part = host.ARM_PARTS.get(cluster.part, cluster.part) if cluster.part else None
    min_khz = min((khz for khz in slowest if khz is not None), default=None)
    return Cores(sorted(cluster.cpus), part, cluster.capacity, min_khz, cluster.max_khz)


def describe_power(root: Path = ROOT) -> Power:
    """The power that the supplies report; those of a mouse or a pen do not count."""
    folders = sorted(root.glob("sys/class/power_supply/*"))
    types = {folder: _line(folder / "type") or "" for folder in folders if _line(folder / "scope") != "Device"}
    batteries = [folder for folder, kind in types.items() if kind == "Battery"]
    plugs = [number(folder / "online") for folder, kind in types.items() if kind.startswith(("Mains", "USB"))]
    states = [_line(battery / "status") for battery in batteries]
    percents = [number(battery / "capacity") for battery in batteries]
    source = next((source for state, source in SOURCES.items() if state in states), None)
    percent = next((value for value in percents if value is not None and value <= FULL_PCT), None)
    return Power("mains" if any(plugs) else source or ("battery" if batteries and 0 in plugs else None), percent)


def board(root: Path = ROOT) -> tuple[str | None, str | None, str | None]:
    """The vendor, the model and the chip: of a PC's firmware, else of the device tree."""
    dmi, tree = root / "sys/class/dmi/id", root / "proc/device-tree"
    compatible = _compatible(root)  # from the board to its chip, each "vendor,name"
    vendor = _line(dmi / "sys_vendor") or (compatible[0].partition(",")[0] if compatible else None)
    soc = compatible[-1] if compatible else _line(root / "sys/devices/soc0/machine")
    return vendor, _line(dmi / "product_name") or _line(tree / "model"), soc


def container_of(root: Path = ROOT) -> str | None:
    """The software that keeps this process in a container; None if nothing indicates one."""
    variable = re.search(r"(?:^|\0)container=([^\0]+)", text(root / "proc/1/environ"))
    groups = text(root / "proc/1/cgroup") + text(root / "proc/self/cgroup")
    names = [variable[1]] if variable else []
    names += [name for mark, name in MARKS.items() if any(root.glob(mark))]
    names += [name for pattern, name in GROUPS.items() if re.search(pattern, groups)]
    return next(iter(names), None)


def hypervisor_of(cpuinfo: str, root: Path = ROOT) -> str | None:
    """The hypervisor of this virtual machine; None if nothing indicates one."""
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    declared = _line(root / "sys/hypervisor/type")
    if declared or (flags and "hypervisor" not in flags[1].split()):
        return declared
    dmi = root / "sys/class/dmi/id"
    files = (dmi / "sys_vendor", dmi / "product_name", root / "proc/sys/kernel/osrelease")
    names = " ".join([*map(text, files), *_compatible(root)]).lower().replace("\n", "")
    name = next((name for mark, name in HYPERVISORS.items() if mark in names), None)
    return name or (UNNAMED if flags else None)


def id_hash(cpu_name: str | None, mem_bytes: int | None, root: Path = ROOT) -> str | None:
    """A hash of 12 hexadecimal digits that identifies this machine; None if it has no identity.

    Memory counts by its magnitude: how much of it the kernel reserves differs from boot to boot.
    """
    identities = (_line(root / name) for name in IDENTITIES)
    identity = next(filter(None, identities), _elsewhere(platform.node()))
    whole = f"{identity}\n{cpu_name}\n{(mem_bytes or 0).bit_length()}"
    return hashlib.sha256(whole.encode()).hexdigest()[:ID_DIGITS] if identity else None


def _compatible(root: Path) -> list[str]:
    return [name for name in text(root / "proc/device-tree/compatible").split("\0") if name.strip()]


def _elsewhere(text_of_python: str) -> str | None:
    """What Python says of a system without /proc."""
    return (text_of_python or None) if platform.system() != "Linux" else None


def _line(path: Path) -> str | None:
    content = text(path).strip("\0 \t\r\n")
    return None if BLANK.fullmatch(content) else content


def _flag(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(text(path).strip())

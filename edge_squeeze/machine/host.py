"""What this machine is and has left: processor, memory, disk, Python."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.files import cache
from edge_squeeze.machine.cores import ROOT, allowed, control_groups, number, text

MUSL = "musl"
# Those that decide how fast networks run: vectors of 256 bits, products of int8, products of half precision.
FEATURES = ("avx2", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm", "sve", "asimdhp", "fphp")
DOT_PRODUCT = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}
# /proc/cpuinfo names ARM's cores by number only (Linux' arch/arm64/include/asm/cputype.h).
ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd42": "Cortex-A78AE",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
    "0xc07": "Cortex-A7",
}


@dataclass(frozen=True)
class Cpu:
    """The processor; `features` and `dot_product` (those of them for int8) are None if unknown."""

    name: str | None
    usable_cores: int
    features: list[str] | None
    dot_product: list[str] | None


@dataclass(frozen=True)
class Memory:
    """Memory that is still free; `limited` if a control group (a container) sets the bound."""

    free_bytes: int
    limited: bool


@dataclass(frozen=True)
class Disk:
    """Free space where `folder` is or will be; `holds` says what the folder is for."""

    holds: str
    folder: str
    free_bytes: int


@dataclass(frozen=True)
class Machine:
    """A machine and its Python; None for what is not known."""

    python: str
    executable: str
    system: str
    machine: str
    libc: str | None
    cpu: Cpu
    memory: Memory | None
    disks: list[Disk]
    emulated: bool | None = None  # the processor is not of the kind that Python was built for


def read() -> Machine:
    """The machine that this runs on."""
    return Machine(
        python=platform.python_version(),
        executable=sys.executable,
        system=platform.system(),
        machine=architecture(platform.machine(), sixty_four=sys.maxsize > 2**32),
        libc=libc(_glibc(), sysconfig.get_config_var("SOABI") or ""),
        cpu=cpu(text(ROOT / "proc/cpuinfo"), len(allowed())),
        memory=memory(text(ROOT / "proc/meminfo"), memory_limits()),
        disks=list(disks()),
        emulated=emulated(),
    )


def architecture(kernel: str, *, sixty_four: bool) -> str:
    """What wheels call the machine: `kernel`'s name, but armv7l where a 32-bit Python runs on an aarch64 kernel."""
    return "armv7l" if kernel in ("aarch64", "armv8l") and not sixty_four else kernel


def emulated(root: Path = ROOT, arch: str | None = None) -> bool | None:
    """Whether a Python for `arch` (default: this one) runs on another kind of processor, by the files below `root`.

    Newer QEMUs make up a matching /proc/cpuinfo, but not what the kernel says of itself below /proc/sys.
    """
    kernel = _family(text(root / "proc/sys/kernel/arch").strip())  # Linux 6.1 and later
    if not kernel and (root / "proc/sys/kernel/bootloader_type").exists():  # on x86 alone
        kernel = "x86"
    families = {kernel, _family_of(text(root / "proc/cpuinfo"))} - {""}
    return families != {_family(arch or platform.machine())} if families else None


def _family(arch: str) -> str:
    return re.sub("^(arm|aarch).*", "arm", re.sub(r"^(x86|amd64|i\d86).*", "x86", arch.lower()))


def _family_of(cpuinfo: str) -> str:
    """The family of the processor that the text of /proc/cpuinfo describes; "" if it is neither x86 nor ARM."""
    if re.search(r"^flags\s*:", cpuinfo, re.MULTILINE):
        return "x86"
    return "arm" if re.search(r"^CPU (implementer|architecture)\s*:", cpuinfo, re.MULTILINE) else ""


def libc(glibc: str | None, soabi: str) -> str | None:
    """The `glibc` that the system reports ("glibc 2.36"), else MUSL if Python was built for it, else None."""
    return glibc or (MUSL if soabi.endswith(MUSL) else None)


def cpu(cpuinfo: str, usable_cores: int) -> Cpu:
    """The processor that the text of /proc/cpuinfo describes."""
    fields = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in cpuinfo.splitlines())]
    listed = next((value.split() for key, value in fields if key in ("flags", "Features")), None)
    if listed is None:
        return Cpu(_cpu_name(fields), usable_cores, None, None)
    features = [feature for feature in FEATURES if feature in listed]
    return Cpu(_cpu_name(fields), usable_cores, features, [name for name in features if name in DOT_PRODUCT])


def _cpu_name(fields: list[tuple[str, str]]) -> str | None:
    def first(key: str) -> str | None:
        return next((value for name, value in fields if name == key and value), None)

    parts = dict.fromkeys(value for key, value in fields if key == "CPU part")  # big and little cores
    cores = " + ".join(ARM_PARTS.get(part, f"ARM part {part}") for part in parts) or first("model name")
    board = first("Model")  # as the Raspberry Pi's kernel tells it
    return f"{board} ({cores})" if board and cores else cores or board


def memory(meminfo: str, limits: Iterable[int]) -> Memory | None:
    """The available memory in the text of /proc/meminfo, or the lowest of `limits` in bytes if that is less."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    if match is None:
        return None
    available = int(match[1]) << 10
    lowest = min(limits, default=available)
    return Memory(min(available, lowest), lowest < available)


def memory_limits(root: Path = ROOT) -> list[int]:
    """The memory limits in bytes of the control groups that this process is in."""
    files = ("memory.max", "memory.limit_in_bytes")  # of version 2 and 1
    limits = [number(group / name) for group in control_groups("memory", root) for name in files]
    return [limit for limit in limits if limit is not None]


def disks() -> Iterator[Disk]:
    """The free space in the current folder and in the cache."""
    for holds, find in (("here", Path.cwd), ("in the cache", cache.cache_folder)):
        with contextlib.suppress(OSError, RuntimeError):  # a folder that was deleted, a user without a home
            folder = find().absolute()
            existing = next(path for path in (folder, *folder.parents) if path.exists())
            yield Disk(holds, str(folder), shutil.disk_usage(existing).free)


def _glibc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):  # not there on Windows, an unknown name elsewhere
        return None

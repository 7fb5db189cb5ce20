from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import machine as fake

from edge_squeeze.machine import host

PI4 = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

processor\t: 1
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Revision\t: c03114
Serial\t\t: 10000000abcdef01
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
PI5 = (
    PI4.replace("0xd08", "0xd0b")
    .replace("Pi 4 Model B Rev 1.4", "Pi 5 Model B Rev 1.0")
    .replace("crc32 cpuid", "aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp")
)
PI4_32 = """\
processor\t: 0
model name\t: ARMv7 Processor rev 3 (v7l)
BogoMIPS\t: 270.00
Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32
CPU implementer\t: 0x41
CPU architecture: 7
CPU part\t: 0xd08

Hardware\t: BCM2711
Model\t\t: Raspberry Pi 4 Model B Rev 1.1
"""
BIG_LITTLE = PI5.replace("0xd0b", "0xd05", 1).partition("Revision")[0].replace("asimddp", "asimddp i8mm sve")
XEON = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8481C
flags\t\t: fpu sse4_2 avx avx2 avx512f avx_vnni avx512_vnni amx_bf16 amx_tile amx_int8
"""
OLD_PC = "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i5-4590\nflags\t\t: fpu sse4_2 avx f16c avx2\n"
KB = 1 << 10


@pytest.mark.parametrize(
    ("cpuinfo", "name", "features", "dot_product"),
    [
        (PI4, "Raspberry Pi 4 Model B Rev 1.4 (Cortex-A72)", [], []),
        (PI4_32, "Raspberry Pi 4 Model B Rev 1.1 (Cortex-A72)", [], []),
        (PI5, "Raspberry Pi 5 Model B Rev 1.0 (Cortex-A76)", ["asimddp", "asimdhp", "fphp"], ["asimddp"]),
        (
            BIG_LITTLE,
            "Cortex-A55 + Cortex-A76",
            ["asimddp", "i8mm", "sve", "asimdhp", "fphp"],
            ["asimddp", "i8mm"],
        ),
        (
            XEON,
            "Intel(R) Xeon(R) Platinum 8481C",
            ["avx2", "avx_vnni", "avx512_vnni", "amx_int8"],
            ["avx_vnni", "avx512_vnni", "amx_int8"],
        ),
        (OLD_PC, "Intel(R) Core(TM) i5-4590", ["avx2"], []),
        ("processor\t: 0\nFeatures\t: asimddp\nCPU part\t: 0xfff\n", "ARM part 0xfff", ["asimddp"], ["asimddp"]),
        ("", None, None, None),
        ("not what it should be\n::\n", None, None, None),
    ],
)
def test_the_processor_is_read_from_cpuinfo(
    cpuinfo: str, name: str | None, features: list[str] | None, dot_product: list[str] | None
) -> None:
    assert host.cpu(cpuinfo, 4) == host.Cpu(name, 4, features, dot_product)


@pytest.mark.parametrize(
    ("glibc", "soabi", "expected"),
    [
        ("glibc 2.36", "cpython-311-x86_64-linux-gnu", "glibc 2.36"),
        (None, "cpython-311-x86_64-linux-musl", "musl"),
        (None, "cpython-311-darwin", None),
        (None, "", None),
    ],
)
def test_glibc_and_musl_are_told_apart(glibc: str | None, soabi: str, expected: str | None) -> None:
    assert host.libc(glibc, soabi) == expected


@pytest.mark.parametrize(
    ("kernel", "sixty_four", "expected"),
    [
        ("aarch64", True, "aarch64"),
        ("aarch64", False, "armv7l"),  # Raspberry Pi OS of 32 bits on its kernel of 64
        ("armv8l", False, "armv7l"),
        ("armv7l", False, "armv7l"),
        ("armv6l", False, "armv6l"),
        ("x86_64", True, "x86_64"),
    ],
)
def test_python_not_the_kernel_decides_which_wheels_fit(kernel: str, *, sixty_four: bool, expected: str) -> None:
    assert host.architecture(kernel, sixty_four=sixty_four) == expected


KERNEL, BOOTED = "proc/sys/kernel/arch", "proc/sys/kernel/bootloader_type"


@pytest.mark.parametrize(
    ("arch", "files", "expected"),
    [
        ("aarch64", {"proc/cpuinfo": OLD_PC}, True),  # an older QEMU
        ("aarch64", {"proc/cpuinfo": PI5, KERNEL: "x86_64\n"}, True),  # one that makes up a cpuinfo
        ("aarch64", {"proc/cpuinfo": PI5, BOOTED: "114\n"}, True),  # on an older kernel
        ("armv7l", {"proc/cpuinfo": PI4_32, BOOTED: "114\n"}, True),
        ("x86_64", {"proc/cpuinfo": OLD_PC, KERNEL: "aarch64\n"}, True),  # Rosetta
        ("x86_64", {"proc/cpuinfo": PI5}, True),
        ("aarch64", {"proc/cpuinfo": PI5, KERNEL: "aarch64\n"}, False),
        ("aarch64", {"proc/cpuinfo": PI5}, False),
        ("armv7l", {"proc/cpuinfo": PI4, KERNEL: "aarch64\n"}, False),
        ("x86_64", {"proc/cpuinfo": OLD_PC, KERNEL: "x86_64\n", BOOTED: "114\n"}, False),
        ("i686", {"proc/cpuinfo": OLD_PC, KERNEL: "x86_64\n"}, False),
        ("riscv64", {"proc/cpuinfo": "processor\t: 0\nisa\t: rv64imafdc\n", KERNEL: "riscv64\n"}, False),
        ("AMD64", {}, None),
    ],
)
def test_a_processor_that_is_not_there_is_found(
    tmp_path: Path, arch: str, files: dict[str, str], expected: bool | None
) -> None:
    assert host.emulated(fake(tmp_path, files), arch) is expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([], host.Memory(4000 * KB, limited=False)),
        ([9223372036854771712], host.Memory(4000 * KB, limited=False)),
        ([5000 * KB, 1000 * KB], host.Memory(1000 * KB, limited=True)),
    ],
)
def test_a_lower_limit_of_a_container_is_what_counts(limits: list[int], expected: host.Memory) -> None:
    meminfo = "MemTotal:        8000 kB\nMemFree:          100 kB\nMemAvailable:    4000 kB\n"
    assert host.memory(meminfo, limits) == expected
    assert host.memory("MemTotal: 8000 kB\n", limits) is None


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "1000\n"}, [1000]),
        ("0::/user/one\n", {"user/one/memory.max": "max\n", "user/memory.max": "2000\n"}, [2000]),
        ("0::/user\n", {"user/memory.max": "300\n", "memory.max": "200\n"}, [300, 200]),
        ("4:memory:/job\n0::/\n", {"memory/job/memory.limit_in_bytes": "700\n"}, [700]),
        ("4:cpu,memory:/gone\n", {"memory/memory.limit_in_bytes": "800\n"}, [800]),  # a container's own view
        ("3:cpuset:/job\n", {"memory/job/memory.limit_in_bytes": "700\n"}, []),
        ("0::/../../other\n", {"memory.max": "900\n"}, [900]),
        ("nonsense\n", {}, []),
        ("", {"memory.max": "1000\n"}, []),
    ],
)
def test_memory_limits_are_those_of_the_group_and_all_above(
    tmp_path: Path, cgroup: str, files: dict[str, str], expected: list[int]
) -> None:
    groups = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    assert host.memory_limits(fake(tmp_path, {"proc/self/cgroup": cgroup, **groups})) == expected


def test_a_folder_that_is_not_there_yet_has_the_room_of_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGE_SQUEEZE_CACHE", str(tmp_path / "not" / "yet"))
    here, cache = host.disks()
    assert (here.folder, cache.folder) == (str(tmp_path), str(tmp_path / "not" / "yet"))
    assert here.free_bytes > 0
    assert cache.free_bytes > 0


def test_a_current_folder_that_was_deleted_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("EDGE_SQUEEZE_CACHE", str(tmp_path))
    gone.rmdir()
    assert [disk.holds for disk in host.disks()] == ["in the cache"]
    monkeypatch.chdir(tmp_path)

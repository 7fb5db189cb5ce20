from __future__ import annotations

import os
from pathlib import Path

import pytest
from synthetic import machine

from edge_squeeze.errors import UsageError
from edge_squeeze.machine import cores
from edge_squeeze.machine.cores import Cluster

CPU = "sys/devices/system/cpu/cpu{}/"
A55, A76, A78, X1 = "0xd05", "0xd0b", "0xd41", "0xd44"


def cpuinfo(*parts: str) -> str:
    return "\n".join(f"processor\t: {cpu}\nCPU part\t: {part}\n" for cpu, part in enumerate(parts))


def each(name: str, *values: int | str) -> dict[str, str]:
    return {CPU.format(cpu) + name: f"{value}\n" for cpu, value in enumerate(values)}


def clocks(*khz: int) -> dict[str, str]:
    return each("cpufreq/cpuinfo_max_freq", *khz)


RK3588 = {
    "proc/cpuinfo": cpuinfo(*[A55] * 4, *[A76] * 4),
    **each("cpu_capacity", *[530] * 4, *[1024] * 4),
    **clocks(*[1800000] * 4, 2256000, 2256000, 2304000, 2304000),
}
SNAPDRAGON = {
    "proc/cpuinfo": cpuinfo(*[A55] * 4, *[A78] * 3, X1),
    **each("cpu_capacity", *[280] * 4, *[950] * 3, 1024),
    **clocks(*[1804800] * 4, *[2419200] * 3, 2841600),
}
PI4 = {"proc/cpuinfo": cpuinfo(*["0xd08"] * 4), **each("cpu_capacity", *[1024] * 4), **clocks(*[1800000] * 4)}
HYBRID = {
    **clocks(5000000, 5000000, 5100000, 5100000, *[3800000] * 4),
    "sys/devices/cpu_core/cpus": "0-3\n",
    "sys/devices/cpu_atom/cpus": "4-7\n",
    **each("topology/thread_siblings_list", "0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"),
}
HYBRID_WITHOUT_CLOCKS = {"sys/devices/cpu_atom/cpus": "0-1\n", "sys/devices/cpu_core/cpus": "2-3\n"}
FAVORED = clocks(5600000, 5400000, 5200000, 5000000, 4800000)  # each close to the next


@pytest.mark.parametrize(
    ("files", "count", "expected"),
    [
        (PI4, 4, [Cluster((0, 1, 2, 3), 1024, 1800000, "0xd08")]),
        (RK3588, 8, [Cluster((6, 7, 4, 5), 1024, 2304000, A76), Cluster((0, 1, 2, 3), 530, 1800000, A55)]),
        (
            SNAPDRAGON,
            8,
            [
                Cluster((7,), 1024, 2841600, X1),
                Cluster((4, 5, 6), 950, 2419200, A78),
                Cluster((0, 1, 2, 3), 280, 1804800, A55),
            ],
        ),
        (SNAPDRAGON, 6, [Cluster((4, 5), 950, 2419200, A78), Cluster((0, 1, 2, 3), 280, 1804800, A55)]),
        (
            HYBRID,
            8,
            [Cluster((2, 3, 0, 1), None, 5100000, "cpu_core"), Cluster((4, 5, 6, 7), None, 3800000, "cpu_atom")],
        ),
        (HYBRID_WITHOUT_CLOCKS, 4, [Cluster((2, 3), None, None, "cpu_core"), Cluster((0, 1), None, None, "cpu_atom")]),
        (FAVORED, 5, [Cluster((0, 1, 2, 3, 4), None, 5600000, None)]),
        (clocks(3300000, 5100000), 2, [Cluster((1,), None, 5100000, None), Cluster((0,), None, 3300000, None)]),
        (
            each("cpu_capacity", 1024, 1024) | clocks(2000000, 1000000),
            2,
            [Cluster((0,), 1024, 2000000, None), Cluster((1,), 1024, 1000000, None)],
        ),
        ({"proc/cpuinfo": cpuinfo(A55, A76)}, 2, [Cluster((1,), None, None, A76), Cluster((0,), None, None, A55)]),
        ({"proc/cpuinfo": "processor: 0\nprocessor: 1\nCPU part: 0xd07\n"}, 2, [Cluster((0, 1), None, None, "0xd07")]),
        (each("cpu_capacity", 1024, "much"), 2, [Cluster((0, 1), 1024, None, None)]),
        ({}, 3, [Cluster((0, 1, 2), None, None, None)]),
    ],
)
def test_cores_are_grouped_by_what_tells_them_apart(
    tmp_path: Path, files: dict[str, str], count: int, expected: list[Cluster]
) -> None:
    assert cores.clusters(machine(tmp_path, files), range(count)) == expected


@pytest.mark.parametrize(
    ("files", "policy", "expected"),
    [
        (RK3588, "big", (4, 5, 6, 7)),
        (RK3588, "prime", (6,)),
        (RK3588, "little", (0, 1, 2, 3)),
        (RK3588, "all", (0, 1, 2, 3, 4, 5, 6, 7)),
        (SNAPDRAGON, "big", (7,)),
        (SNAPDRAGON, "4-6", (4, 5, 6)),
        (HYBRID, "big", (0, 1, 2, 3)),
        (HYBRID, "prime", (2,)),
        ({}, "little", (0, 1, 2, 3, 4, 5, 6, 7)),
        ({}, "0,2-3", (0, 2, 3)),
        ({}, " 3, 1 ,1", (1, 3)),
    ],
)
def test_a_policy_chooses_cores(tmp_path: Path, files: dict[str, str], policy: str, expected: tuple[int, ...]) -> None:
    assert cores.select(policy, cores.clusters(machine(tmp_path, files), range(8))) == expected


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("bigg", ("'bigg'", "Did you mean big?", "big, prime, little, all", "0,2-3")),
        ("", ("''", "Choices")),
        ("3-2", ("'3-2'", "Choices")),
        ("0,", ("'0,'", "Choices")),
        ("0x1", ("'0x1'", "Choices")),
        ("0-99999999999", ("Choices",)),
        ("2,4-9", ("cpu 4-9", "some of 0,2-3", "got '2,4-9'", "big, prime, little, all")),
        ("1", ("cpu 1:", "some of 0,2-3")),
    ],
)
def test_cores_that_cannot_be_used_are_refused_with_the_choices(policy: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        cores.select(policy, [Cluster((2, 3), 1024, None, None), Cluster((0,), 500, None, None)])
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("0-3\n", [0, 1, 2, 3]),
        ("0,2-3,8", [0, 2, 3, 8]),
        ("7", [7]),
        ("", None),
        ("\n", None),
        ("all", None),
        ("-1", None),
        ("\u0663", None),  # a digit, but no kernel's
    ],
)
def test_a_list_of_cpus_is_read_and_written_as_the_kernel_does(content: str, expected: list[int] | None) -> None:
    assert cores.cpu_list(content) == expected
    if expected:
        assert cores.cpu_ranges(expected) == content.strip()


V1 = "4:cpu,cpuacct:/job\n0::/\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/pod/one\n", {"pod/one/cpu.max": "max 100000\n", "pod/cpu.max": "200000 100000\n"}, 2.0),
        ("0::/pod/one\n", {"pod/one/cpu.max": "50000 100000\n", "pod/cpu.max": "200000 100000\n"}, 0.5),
        (V1, {"cpu/job/cpu.cfs_quota_us": "300000\n", "cpu/job/cpu.cfs_period_us": "100000\n"}, 3.0),
        (V1, {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),  # a container's view
        ("3:cpuset:/job\n", {"cpu/job/cpu.cfs_quota_us": "1\n", "cpu/job/cpu.cfs_period_us": "1\n"}, None),
        ("0::/\n", {"cpu.max": "0 0\n"}, None),
        ("0::/\n", {"cpu.max": "\x00nonsense\n"}, None),
        ("", {"cpu.max": "100000 100000\n"}, None),
    ],
)
def test_the_quota_is_the_lowest_of_the_group_and_all_above(
    tmp_path: Path, cgroup: str, files: dict[str, str], expected: float | None
) -> None:
    groups = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    assert cores.quota(machine(tmp_path, {"proc/self/cgroup": cgroup, **groups})) == expected


@pytest.mark.parametrize(
    ("files", "cpu_max", "cpus", "physical", "usable", "threads"),
    [
        ({}, "max 100000", range(8), tuple(range(8)), 8, 4),
        ({}, "250000 100000", range(8), tuple(range(8)), 2, 2),
        ({}, "50000 100000", range(8), tuple(range(8)), 1, 1),
        (HYBRID, "max 100000", range(4), (0, 2), 4, 2),
        (HYBRID, "max 100000", range(8), (0, 2, 4, 5, 6, 7), 8, 4),
        (HYBRID, "max 100000", (1, 3), (1, 3), 2, 2),
        (HYBRID, "300000 100000", range(4), (0, 2), 3, 2),
        ({}, "max 100000", (5,), (5,), 1, 1),
    ],
)
def test_threads_are_limited_by_cores_siblings_and_quota(
    tmp_path: Path,
    files: dict[str, str],
    cpu_max: str,
    cpus: range | tuple[int, ...],
    physical: tuple[int, ...],
    usable: int,
    threads: int,
) -> None:
    root = machine(tmp_path, files | {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": cpu_max})
    assert cores.physical_cores(cpus, root) == physical
    assert cores.usable(cpus, root) == usable
    assert cores.default_threads(cpus, root) == threads


def test_a_system_without_affinities_allows_all_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert cores.allowed() == [0, 1, 2]
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.allowed() == [0]


def test_this_machine_gives_cores_to_run_on() -> None:
    chosen = cores.select("all", cores.clusters())
    assert list(chosen) == cores.allowed()
    assert 1 <= cores.default_threads(chosen) <= cores.usable(chosen) <= len(chosen)


@pytest.mark.parametrize("unreadable", ["a folder", "nothing"])
def test_what_cannot_be_read_is_unknown(tmp_path: Path, unreadable: str) -> None:
    path = tmp_path if unreadable == "a folder" else tmp_path / "gone"
    assert cores.text(path) == ""
    assert cores.number(path) is None

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from synthetic import STANDARD, a_device, a_memory_launch, an_arm, launches

from edge_squeeze.benchmarks import profiles
from edge_squeeze.benchmarks.benchmark import judged
from edge_squeeze.benchmarks.comparison import differences, fingerprint
from edge_squeeze.benchmarks.correctness import Correctness
from edge_squeeze.benchmarks.launches.records import Inputs, Served
from edge_squeeze.benchmarks.profiles import Profile
from edge_squeeze.benchmarks.result import ArmResult
from edge_squeeze.machine.device import Device, Power

DEVICE = a_device()


def system(**changes: Any) -> Device:
    return dataclasses.replace(DEVICE, device=dataclasses.replace(DEVICE.device, **changes))


def processor(**changes: Any) -> Device:
    return dataclasses.replace(DEVICE, cpu=dataclasses.replace(DEVICE.cpu, **changes))


def measured(launch: dict[str, Any] | None = None, **arm: Any) -> ArmResult:
    made = [dataclasses.replace(one, **(launch or {})) for one in launches([10, 10, 10])]
    return judged(ArmResult(an_arm(**arm), made, None, Correctness("pass"), []), STANDARD, DEVICE, None, None)


def served(version: str = "2.3.0", dtype: str = "uint8", side: int = 8) -> dict[str, Any]:
    image = {"name": "image", "shape": [1, side, side, 3], "dtype": dtype}
    return {"served": Served(version, "xnnpack", 39, 39, [image], [])}


BEFORE = fingerprint(DEVICE, measured(), STANDARD)


@pytest.mark.parametrize(
    ("device", "arm", "expected"),
    [
        (DEVICE, measured(), ()),
        (DEVICE, measured(sha256="another file", size_bytes=5, name="b", precision="int8"), ()),
        (system(kernel="6.2"), measured(), ()),
        (system(id_hash="ba9876543210"), measured(), ("device was 0123456789ab, is ba9876543210",)),
        (processor(name="Other"), measured(), ("processor was CPU, is Other",)),
        (processor(governor=["powersave"]), measured(), ("governor was ['performance'], is ['powersave']",)),
        (dataclasses.replace(DEVICE, power=Power("battery", 80)), measured(), ("power was mains, is battery",)),
        (DEVICE, measured(cpus=[1]), ("cores was [0, 1], is [1]",)),
        (DEVICE, measured(threads=2), ("threads was 1, is 2",)),
        (DEVICE, measured(engine="onnxruntime"), ("engine was litert, is onnxruntime",)),
        (DEVICE, measured(kernels="builtin"), ("engine was litert, is litert:builtin",)),
        (DEVICE, measured(spin=True), ("spinning was False, is True",)),
        (DEVICE, measured(served("2.4.0")), ("engine version was 2.3.0, is 2.4.0",)),
        (
            DEVICE, measured(served(dtype="int8")),
            ("input was [([1, 8, 8, 3], 'uint8')], is [([1, 8, 8, 3], 'int8')]",),
        ),
        (
            DEVICE, measured(served(side=9)),
            ("input was [([1, 8, 8, 3], 'uint8')], is [([1, 9, 9, 3], 'uint8')]",),
        ),
        (
            DEVICE, measured({"inputs": Inputs(8, "others", 8, zero=False)}),
            ("inputs was sha of inputs, is others",),
        ),
        (processor(name="Other"), measured(threads=2), ("processor was CPU, is Other", "threads was 1, is 2")),
    ],
)  # fmt: skip
def test_what_differs_between_two_sessions_is_named(device: Device, arm: ArmResult, expected: tuple[str, ...]) -> None:
    assert differences(BEFORE, fingerprint(device, arm, STANDARD)) == expected


@pytest.mark.parametrize(
    ("base", "cand", "expected"),
    [
        (STANDARD, profiles.choose("quick", None, None, None), ("profile was standard, is quick",)),
        (STANDARD, profiles.choose("standard", 5, None, None), ()),  # more launches measure the same
        (
            profiles.choose("paced", None, None, None), profiles.choose("paced", None, None, 10),
            ("frames a second was 30, is 10",),
        ),
    ],
)  # fmt: skip
def test_ways_to_measure_are_told_apart(base: Profile, cand: Profile, expected: tuple[str, ...]) -> None:
    assert differences(fingerprint(DEVICE, measured(), base), fingerprint(DEVICE, measured(), cand)) == expected


@pytest.mark.parametrize("made", [[], [a_memory_launch()], launches([10])])
def test_an_arm_that_failed_has_a_fingerprint_too(made: list[Any]) -> None:
    broken = ArmResult(an_arm(), made, None, Correctness("unknown"), [], "it broke")
    found = fingerprint(DEVICE, broken, STANDARD)
    unknown = {"engine version": None, "input": None, "inputs": None}
    assert found == BEFORE | unknown

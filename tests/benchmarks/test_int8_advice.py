from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from synthetic import STANDARD, a_device, an_arm, launches

from edge_squeeze.benchmarks import int8_advice
from edge_squeeze.benchmarks.benchmark import judge
from edge_squeeze.benchmarks.launch_records import Served
from edge_squeeze.benchmarks.preparation import Correctness
from edge_squeeze.benchmarks.result import ArmResult
from edge_squeeze.inspection.inspector import Inspection
from edge_squeeze.inspection.layers import Kernel
from edge_squeeze.machine.device import Device

INT8 = Kernel("y", "CONV_2D", "int8", 100, "uint8", "int8", 2_000_000, 0)
FLOAT = dataclasses.replace(INT8, dtype="float32", arithmetic="float32", activations="float32")
HALF = dataclasses.replace(FLOAT, dtype="float16")
HYBRID = dataclasses.replace(INT8, arithmetic="hybrid", activations="float32")
WIDE = dataclasses.replace(INT8, activations="int16", arithmetic="int16")
SIGNED = dataclasses.replace(INT8, operator="Conv", activations="int8")
NO_DOT_PRODUCT = "This processor has no int8 dot product, so int8 takes about as many instructions as float32."
BUILT_IN = "It runs on litert's built-in kernels; XNNPACK's, LiteRT's default, are faster."
SHORT = "It is so short that calls and copies take much of the time, which int8 does not shorten."
ISLANDS = "2 float islands: each dequantizes its inputs and quantizes its outputs again."
LEFT = "5 of 40 operators were left to slower built-in kernels."
ON_X86 = "ONNX Runtime leaves 2 layers with int8 activations in float on x86. Quantize them to uint8."


def looked(*kernels: Kernel, **changes: Any) -> Inspection:
    """What looking into a file with these layers could give."""
    usual: dict[str, Any] = {
        "format": "tflite",
        "size_bytes": 2000,
        "deflated_bytes": 1000,
        "sha256": "",
        "inputs": [],
        "outputs": [],
        "operators": {"CONV_2D": 1},
        "custom_operators": [],
        "tensor_types": {},
        "kernels": list(kernels),
        "parameters": 100,
        "macs": None,
        "macs_unknown": None,
        "has_integers": True,
        "float_fallbacks": {},
        "float_head": {},
        "float_islands": 0,
        "opset": None,
        "elsewhere": [],
    }
    return Inspection(**{**usual, **changes})


FILES = {"sha of float": looked(FLOAT), "sha of int8": looked(INT8)}


def measured(name: str, p50_ms: float, served: Served | None = None, **arm: Any) -> ArmResult:
    made = launches([p50_ms] * 3, f"{name} litert 1")
    made = made if served is None else [dataclasses.replace(launch, served=served) for launch in made]
    return judge(ArmResult(an_arm(name, **arm), made, None, Correctness("pass"), []), STANDARD, a_device())


def processor(**changes: Any) -> Device:
    whole = a_device()
    return dataclasses.replace(whole, cpu=dataclasses.replace(whole.cpu, **changes))


def reasons(
    file: Inspection, p50_ms: float = 10, served: Served | None = None, device: Device | None = None, **arm: Any
) -> list[str]:
    """Why an int8 file that is as fast as its float32 original is not faster."""
    arms = [measured("float", p50_ms, **arm), measured("int8", p50_ms, served, **arm)]
    said = int8_advice.explain(arms, FILES | {"sha of int8": file}, device or a_device())
    assert list(said) == [arms[1].arm.id]
    times, *rest = said[arms[1].arm.id]
    assert times == "1.00 times as fast as float"
    return rest


def by(kernels: str, operators: int | None = 40, delegated: int | None = 40) -> Served:
    return Served("2.3.0", kernels, operators, delegated, [], [])


@pytest.mark.parametrize(
    ("file", "circumstances", "expected"),
    [
        (looked(INT8), {}, []),
        (looked(INT8), {"device": processor(features=["avx2"])}, [NO_DOT_PRODUCT]),
        (looked(INT8), {"device": processor(features=[])}, [NO_DOT_PRODUCT]),
        (looked(INT8), {"device": processor(features=["asimddp"])}, []),
        (looked(INT8), {"device": processor(features=None)}, []),
        (looked(INT8), {"served": by("builtin", 40, 0)}, [BUILT_IN]),
        (looked(INT8), {"served": by("xnnpack", 40, 35)}, [LEFT]),
        (looked(INT8), {"served": by("xnnpack", 40, 36)}, []),
        (looked(INT8), {"served": by("xnnpack", None, None)}, []),
        (
            looked(INT8, FLOAT, FLOAT, HYBRID),
            {},
            ["Only 1 of 4 convolutions and dense layers compute in int8: 2 in float32, 1 in hybrid."],
        ),
        (
            looked(WIDE, WIDE),
            {},
            ["2 of 2 convolutions and dense layers compute in int16, for which XNNPACK has no kernels."],
        ),
        (
            looked(WIDE, INT8, FLOAT),
            {},
            [
                "1 of 3 convolutions and dense layers compute in int16, for which XNNPACK has no kernels.",
                "Only 1 of 3 convolutions and dense layers compute in int8: 1 in float32.",
            ],
        ),
        (looked(HYBRID), {}, ["Only 0 of 1 convolutions and dense layers compute in int8: 1 in hybrid."]),
        (
            looked(INT8, float_fallbacks={"A": 1, "B": 5, "C": 3, "D": 2, "E": 4}),
            {},
            ["Some operators compute in float: 5 B, 4 E, 3 C, 2 D."],
        ),
        (looked(INT8, float_islands=2), {}, [ISLANDS]),
        (looked(INT8), {"p50_ms": 0.29}, [SHORT]),
        (looked(INT8), {"p50_ms": 0.31}, []),
        (looked(SIGNED, SIGNED, INT8), {"engine": "onnxruntime"}, [ON_X86]),
        (looked(SIGNED, SIGNED), {"engine": "onnxruntime", "device": processor(arch="AMD64")}, [ON_X86]),
        (looked(SIGNED, SIGNED), {"engine": "onnxruntime", "device": processor(arch="aarch64")}, []),
        (looked(SIGNED, SIGNED), {"engine": "litert"}, []),
        (looked(INT8, INT8), {"engine": "onnxruntime"}, []),
        (
            looked(INT8, float_islands=2),
            {"p50_ms": 0.2, "device": processor(features=[]), "served": by("builtin", 40, 35)},
            [NO_DOT_PRODUCT, BUILT_IN, ISLANDS, SHORT],
        ),
    ],
)
def test_every_reason_is_told_where_it_holds(
    file: Inspection, circumstances: dict[str, Any], expected: list[str]
) -> None:
    assert reasons(file, **circumstances) == (expected or [int8_advice.NO_REASON])


@pytest.mark.parametrize(
    ("int8_ms", "said"),
    [
        (5.0, None),
        (8.2, None),  # 10 / 1.2 is 8.33
        (8.4, "1.19 times as fast as float"),
        (10.0, "1.00 times as fast as float"),
        (20.0, "0.50 times as fast as float"),
    ],
)
@pytest.mark.parametrize("first", ["float", "int8"])
def test_nothing_is_said_of_a_file_that_is_clearly_faster(int8_ms: float, said: str | None, first: str) -> None:
    arms = [measured("float", 10), measured("int8", int8_ms)]
    explanations = int8_advice.explain(arms if first == "float" else arms[::-1], FILES, processor(features=[]))
    assert explanations == ({} if said is None else {"int8 litert 1": [said, NO_DOT_PRODUCT]})


def broken(name: str) -> ArmResult:
    return ArmResult(an_arm(name), [], None, Correctness("unknown"), [], "it broke")


@pytest.mark.parametrize(
    "base",
    [
        measured("float", 10, threads=2),
        measured("float", 10, engine="onnxruntime"),
        measured("float", 10, kernels="builtin"),
        measured("float", 10, network="1.0"),
        measured("unknown", 10),
        measured("int8 too", 10),
        broken("float"),
    ],
    ids=lambda arm: arm.arm.id,
)
def test_nothing_is_said_without_a_float_file_of_its_kind(base: ArmResult) -> None:
    files = FILES | {"sha of int8 too": looked(INT8)}
    assert int8_advice.explain([base, measured("int8", 10)], files, a_device()) == {}


@pytest.mark.parametrize("file", [looked(FLOAT), looked(HALF), looked()])
def test_nothing_is_said_of_files_without_weights_of_8_bits(file: Inspection) -> None:
    assert not int8_advice.is_quantized(file)
    assert (
        int8_advice.explain([measured("float", 10), measured("int8", 10)], FILES | {"sha of int8": file}, a_device())
        == {}
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_one_layer_of_8_bits_makes_a_quantized_file(dtype: str) -> None:
    assert int8_advice.is_quantized(looked(FLOAT, dataclasses.replace(HYBRID, dtype=dtype)))


def test_nothing_is_said_of_an_arm_that_failed_or_could_not_be_looked_into() -> None:
    float_arm = measured("float", 10)
    assert int8_advice.explain([float_arm, broken("int8")], FILES, a_device()) == {}
    assert int8_advice.explain([float_arm, measured("unknown", 10)], FILES, a_device()) == {}
    assert int8_advice.explain([], {}, a_device()) == {}


@pytest.mark.parametrize("networks", [(None, "1.1"), ("1.1", None), (None, None)])
def test_a_file_of_an_unknown_network_may_be_the_original(networks: tuple[str | None, str | None]) -> None:
    arms = [measured("float", 10, network=networks[0]), measured("int8", 10, network=networks[1])]
    assert list(int8_advice.explain(arms, FILES, a_device())) == ["int8 litert 1"]


def test_each_quantized_arm_is_held_against_its_own_original() -> None:
    files = {f"sha of {name}": looked(FLOAT if "float" in name else INT8) for name in ("float1", "float2", "a", "b")}
    arms = [
        measured("float1", 10, network="1"),
        measured("float2", 20, network="2"),
        measured("a", 10, network="1"),
        measured("b", 10, network="2"),
    ]
    explanations = int8_advice.explain(arms, files, a_device())
    assert explanations == {"a litert 1": ["1.00 times as fast as float1", int8_advice.NO_REASON]}

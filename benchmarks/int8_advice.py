"""Why a quantized file is not faster than its float32 original here: what its file and the processor say of that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_squeeze.benchmarks.result import ArmResult
from edge_squeeze.engines.engine import BUILTIN, ONNXRUNTIME, XNNPACK
from edge_squeeze.inspection.inspector import Inspection
from edge_squeeze.inspection.layers import is_slow_on_x86
from edge_squeeze.machine.device import Device
from edge_squeeze.machine.host import DOT_PRODUCT

CLEARLY_FASTER = 1.2  # times; a quantized network that gains less has not been worth its loss
INT8 = "int8"
SHORT_MS = 0.3  # below it, what surrounds the arithmetic takes the time
MOST_KINDS = 4
MOST_DELEGATED = 0.9
X86 = ("x86_64", "AMD64")


def explain(arms: Sequence[ArmResult], inspections: dict[str, Inspection], device: Device) -> dict[str, list[str]]:
    """How fast each quantized arm is that is not clearly faster than the float arm of its kind, and why, by its id."""
    found = {}
    for one in [] if device.device.emulated else arms:
        base = _float_arm(one, arms, inspections)
        if base is not None and one.summary and base.summary:
            times = base.summary.p50_ms / one.summary.p50_ms
            if times < CLEARLY_FASTER:
                reasons = list(_reasons(one, inspections[one.arm.sha256], device))
                found[one.arm.id] = [f"{times:.2f} times as fast as {base.arm.name}", *(reasons or [NO_REASON])]
    return found


NO_REASON = "Neither the file nor the processor tells why; the engine's kernels for these layers may be the reason."


def is_quantized(found: Inspection) -> bool:
    """Whether any layer of the file has weights of 8 bits."""
    return any(dtype in ("int8", "uint8") for dtype in found.weight_types)


def _float_arm(one: ArmResult, arms: Sequence[ArmResult], inspections: dict[str, Inspection]) -> ArmResult | None:
    """The arm to be faster than: not quantized, same engine and threads, of the same network where that is known."""
    if one.arm.sha256 not in inspections or not is_quantized(inspections[one.arm.sha256]):
        return None
    for other in arms:
        seen = inspections.get(other.arm.sha256)
        alike = (other.arm.engine_name, other.arm.threads) == (one.arm.engine_name, one.arm.threads)
        networks = {other.arm.network, one.arm.network} - {None}
        related = len(networks) < 2 and other.arm.group == one.arm.group  # noqa: PLR2004 - two differ
        if seen is not None and other.summary and not is_quantized(seen) and alike and related:
            return other
    return None


def _reasons(one: ArmResult, found: Inspection, device: Device) -> Iterator[str]:
    features = device.cpu.features
    if features is not None and not DOT_PRODUCT & set(features):
        yield "This processor has no dot product of int8, so int8 takes about as many instructions as float32."
    served = one.launches[0].served if one.launches else None
    if served and served.kernels == BUILTIN:
        yield f"It runs on {one.arm.engine}'s built-in kernels; XNNPACK's, LiteRT's default, are faster."
    yield from _of_the_file(found)
    taken = served.delegated if served and served.kernels == XNNPACK else None
    if served and served.operators and taken is not None and taken < MOST_DELEGATED * served.operators:
        left = served.operators - taken
        yield f"{left} of {served.operators} operators were left to slower built-in kernels."
    signed = sum(is_slow_on_x86(kernel) for kernel in found.kernels)
    if one.arm.engine == ONNXRUNTIME and device.cpu.arch in X86 and signed:
        yield f"ONNX Runtime leaves {signed} layers with int8 activations in float on x86. Quantize them to uint8."
    if one.summary and one.summary.p50_ms < SHORT_MS:
        yield "It is so short that calls and copies take much of the time, which int8 does not shorten."


def _of_the_file(found: Inspection) -> Iterator[str]:
    total, whole = sum(found.convolutions.values()), found.convolutions.get(INT8, 0)
    if whole < total:
        others = ", ".join(f"{count} in {name}" for name, count in found.convolutions.items() if name != INT8)
        yield f"Only {whole} of {total} convolutions and dense layers compute in int8: {others}."
    if found.float_fallbacks:
        kinds = sorted(found.float_fallbacks.items(), key=lambda one: -one[1])[:MOST_KINDS]
        yield "Some operators compute in float: " + ", ".join(f"{count} {kind}" for kind, count in kinds) + "."
    if found.float_islands:
        yield f"{found.float_islands} float islands: each dequantizes what goes in and quantizes what comes out."

"""What the files say of their speed: above all, why a quantized file is not faster than its float32 original here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.result import ArmResult
from edge_squeeze.engines.engine import BUILTIN, ONNXRUNTIME, XNNPACK
from edge_squeeze.formats import FORMATS
from edge_squeeze.inspection.inspector import Inspection
from edge_squeeze.inspection.layers import is_slow_on_x86
from edge_squeeze.machine.device import Device
from edge_squeeze.machine.host import DOT_PRODUCT

CLEARLY_FASTER = 1.2  # times; a quantized network that gains less has not been worth its loss
INT8, INT16 = "int8", "int16"
SHORT_MS = 0.3  # below it, what surrounds the arithmetic takes the time
MOST_KINDS = 4
MOST_DELEGATED = 0.9
X86 = ("x86_64", "AMD64")
NO_REASON = "Neither the file nor the processor shows why; the engine's kernels for these layers may be the reason."
MOSTLY = 0.95
EXPONENT, MANTISSA = np.uint32(0x7F800000), np.uint32(0x007FFFFF)  # of float32
Inspections = Mapping[str, Inspection]  # by the sha256 of the file


def inspections(arms: Sequence[Arm]) -> dict[str, Inspection]:
    """What each file holds, by its sha256; without those that cannot be inspected here."""
    models = {arm.sha256: arm.model for arm in arms if arm.model is not None}
    tried = {sha256: model.try_inspection() for sha256, model in models.items()}
    return {sha256: inspection for sha256, inspection in tried.items() if inspection is not None}


def facts(inspection: Inspection) -> dict[str, Any]:
    """What a result keeps of an inspection."""
    return {
        "parameters": inspection.parameters,
        "macs": inspection.macs,
        "convolutions": inspection.convolutions,
        "float_fallbacks": inspection.float_fallbacks,
        "float_islands": inspection.float_islands,
        "deflated_bytes": inspection.deflated_bytes,
        # Whether nearly all of the file are weights in float32, so that its words can be taken for them.
        "float32_weights": set(inspection.weight_types) == {"float32"}
        and inspection.parameters * 4 >= MOSTLY * inspection.size_bytes,
    }


def denormals(arm: Arm) -> float | None:
    """The share of the words of a file of float32 weights that are below float32's normal range and not 0.

    None for .onnx files, where tensors begin at any byte and a word may hold the ends of two numbers.
    """
    if not FORMATS[arm.format].aligned:
        return None
    data = Path(arm.path).read_bytes()
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
    return float((((words & EXPONENT) == 0) & ((words & MANTISSA) != 0)).mean()) if len(words) else None


def explain(arms: Sequence[ArmResult], inspections: Inspections, device: Device) -> dict[str, list[str]]:
    """For each quantized arm that is not clearly faster than the float arm of its kind, by id: how fast, and why."""
    reasons = {}
    for result in [] if device.device.emulated else arms:
        base = _float_arm(result, arms, inspections)
        if base is not None and result.summary and base.summary:
            times = base.summary.p50_ms / result.summary.p50_ms
            if times < CLEARLY_FASTER:
                causes = list(_causes(result, inspections[result.arm.sha256], device))
                reasons[result.arm.id] = [f"{times:.2f} times as fast as {base.arm.name}", *(causes or [NO_REASON])]
    return reasons


def is_quantized(inspection: Inspection) -> bool:
    """Whether any layer of the file has weights of 8 bits."""
    return any(dtype in ("int8", "uint8") for dtype in inspection.weight_types)


def _float_arm(result: ArmResult, arms: Sequence[ArmResult], inspections: Inspections) -> ArmResult | None:
    """The arm to be faster than: not quantized, same engine and threads, of the same network where that is known."""
    arm = result.arm
    if arm.sha256 not in inspections or not is_quantized(inspections[arm.sha256]):
        return None
    for rival in arms:
        inspection = inspections.get(rival.arm.sha256)
        alike = (rival.arm.engine_name, rival.arm.threads) == (arm.engine_name, arm.threads)
        networks = {rival.arm.network, arm.network} - {None}
        related = len(networks) < 2 and rival.arm.group == arm.group  # noqa: PLR2004 - two differ
        if inspection is not None and rival.summary and not is_quantized(inspection) and alike and related:
            return rival
    return None


def _causes(result: ArmResult, inspection: Inspection, device: Device) -> Iterator[str]:
    features = device.cpu.features
    if features is not None and not DOT_PRODUCT & set(features):
        yield "This processor has no int8 dot product, so int8 takes about as many instructions as float32."
    served = result.launches[0].served if result.launches else None
    if served and served.kernels == BUILTIN:
        yield f"It runs on {result.arm.engine}'s built-in kernels; XNNPACK's, LiteRT's default, are faster."
    yield from _causes_in_file(inspection)
    delegated = served.delegated if served and served.kernels == XNNPACK else None
    if served and served.operators and delegated is not None and delegated < MOST_DELEGATED * served.operators:
        left = served.operators - delegated
        yield f"{left} of {served.operators} operators were left to slower built-in kernels."
    signed = sum(is_slow_on_x86(kernel) for kernel in inspection.kernels)
    if result.arm.engine == ONNXRUNTIME and device.cpu.arch in X86 and signed:
        yield f"ONNX Runtime leaves {signed} layers with int8 activations in float on x86. Quantize them to uint8."
    if result.summary and result.summary.p50_ms < SHORT_MS:
        yield "It is so short that calls and copies take much of the time, which int8 does not shorten."


def _causes_in_file(inspection: Inspection) -> Iterator[str]:
    total, whole = sum(inspection.convolutions.values()), inspection.convolutions.get(INT8, 0)
    if wide := inspection.convolutions.get(INT16, 0):
        yield f"{wide} of {total} convolutions and dense layers compute in int16, for which XNNPACK has no kernels."
    if whole + wide < total:
        integers = (INT8, INT16)
        rest = ", ".join(
            f"{count} in {name}" for name, count in inspection.convolutions.items() if name not in integers
        )
        yield f"Only {whole} of {total} convolutions and dense layers compute in int8: {rest}."
    if inspection.float_fallbacks:
        kinds = sorted(inspection.float_fallbacks.items(), key=lambda item: -item[1])[:MOST_KINDS]
        yield "Some operators compute in float: " + ", ".join(f"{count} {kind}" for kind, count in kinds) + "."
    if inspection.float_islands:
        yield f"{inspection.float_islands} float islands: each dequantizes its inputs and quantizes its outputs again."

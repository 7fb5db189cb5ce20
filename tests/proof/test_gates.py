"""The table of gates: a row for every target, each gate with its reason, and which of them count when."""

from __future__ import annotations

import pytest

from edge_squeeze.converters.targets import all_targets
from edge_squeeze.errors import UsageError
from edge_squeeze.formats import FORMATS
from edge_squeeze.proof import gates
from edge_squeeze.proof.gates import GATES
from edge_squeeze.proof.parity import Parity


def test_every_target_has_gates_and_no_other() -> None:
    assert set(GATES) == {arithmetic for row in FORMATS.values() for arithmetic in row.arithmetic.values()}
    for target in all_targets():
        assert gates.find(target.format, target.precision)
    assert {kind: tuple(row.arithmetic) for kind, row in FORMATS.items()} == {
        kind: tuple(target.precision for target in all_targets() if target.format == kind) for kind in FORMATS
    }
    with pytest.raises(UsageError, match=r"no gates for tflite int4\. Required: one of tflite float32, "):
        gates.find("tflite", "int4")


@pytest.mark.parametrize("arithmetic", GATES)
def test_every_gate_is_on_a_figure_and_gives_its_reason(arithmetic: str) -> None:
    for gate in (*GATES[arithmetic].smoke, *GATES[arithmetic].full, *GATES[arithmetic].float_head):
        assert gate.metric in Parity.__dataclass_fields__
        assert len(gate.reason) > 15


def test_few_pictures_are_judged_by_the_smoke_gates() -> None:
    row = gates.find("tflite", "int8")
    assert row.of(99, False, own=False) is row.smoke
    assert row.of(100, False, own=False) == row.full
    assert row.of(100, True, own=False) is row.smoke


def test_divergence_counts_for_networks_of_the_package_with_a_float_head() -> None:
    row = gates.find("tflite", "int8", "float")
    assert row.of(100, False, own=False) == (*row.full, gates.at_most("kl", 0.02, row.float_head[0].reason))
    assert row.of(100, False, own=True) == row.full
    assert row.of(99, False, own=False) == row.smoke
    assert gates.find("tflite", "int8", "int8").of(100, False, own=False) == row.full


@pytest.mark.parametrize("format_name", ["tflite", "onnx"])
def test_float32_of_a_users_network_has_a_wider_gate(format_name: str) -> None:
    row = gates.find(format_name, "float32")
    (ours, _), (own, _) = row.of(100, False, own=False), row.of(100, False, own=True)
    assert (ours.limit, own.limit) == (1e-5, 1e-4)
    quantized = gates.find("tflite", "int8")
    assert quantized.of(100, False, own=True) is quantized.full

"""The layer that loses most is found in few passes, and none is named where the loss has no single place."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import CommandLine
from planted_faults import Layer, edited, scale
from shared_exports import Exports

from edge_squeeze.converters.debugging import bisection, debug
from edge_squeeze.converters.debugging.debug import DebugOptions
from edge_squeeze.converters.debugging.simulation import Simulation
from edge_squeeze.converters.export import Exported
from edge_squeeze.reporting import Silent

LAYERS = 43  # of `deep` that round
RNG = np.random.default_rng(7)


@pytest.mark.parametrize(
    "name", ["first", "block11", *(pytest.param(name, marks=pytest.mark.slow) for name in ("block2", "block20"))]
)
def test_a_planted_fault_in_a_deep_network_is_found_in_few_passes(
    deep: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(model: Any) -> None:
        scale(Layer(model, name).output, 0.1)

    calls = []

    def counted(self: Simulation, *arguments: Any) -> Any:
        calls.append(1)
        return values(self, *arguments)

    values = Simulation.values
    monkeypatch.setattr(Simulation, "values", counted)
    monkeypatch.setattr(debug.Measurement, "run", lambda *_, **__: [])  # which makes passes of its own
    folder = edited(deep, tmp_path / "planted", cut_off)
    result = debug.debug(folder, DebugOptions(samples=4, bisect=True), Silent())
    bisected = result.bisected
    assert bisected is not None
    assert bisected.layer == name
    assert bisected.is_alone
    assert bisected.kl == pytest.approx(result.legs[1].kl_after, rel=0.3)
    assert bisected.count == LAYERS
    assert bisected.passes == len(calls) <= 2 * math.ceil(math.log2(bisected.count))
    assert str(bisected).startswith(f"{name} (layer {bisected.position} of {LAYERS}) accounts for most of the loss")


def test_no_single_layer_is_named_where_several_lose(modules_exports: dict[str, Exported]) -> None:
    for exported in modules_exports.values():
        bisected = debug.debug(exported.folder, DebugOptions(samples=10, bisect=True), Silent()).bisected
        assert bisected is not None
        assert not bisected.is_alone


@pytest.mark.slow
def test_no_single_layer_of_a_sound_file_is_named(exported_11: Exports) -> None:
    result = debug.debug(exported_11["tflite-int8"].folder, DebugOptions(samples=6, bisect=True), Silent())
    assert result.bisected is not None
    assert not result.bisected.is_alone
    assert result.bisected.passes <= 2 * math.ceil(math.log2(result.bisected.count))
    assert result.bisected.kl == pytest.approx(result.legs[1].kl_after, rel=0.3)
    assert str(result.bisected).startswith("No single layer accounts for most of the loss. Half of it is there after")
    assert result.findings == []


def test_it_bisects_by_itself_where_all_layers_would_take_long(
    command_line: CommandLine, modules_exports: dict[str, Exported], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debug, "LONG_S", 0.0)
    command = ("debug", modules_exports["tflite"].folder, "--samples", "4")
    done = command_line(*command)
    assert done.returncode == 0, done.stderr
    assert "bisects, since one layer after the other would take about" in " ".join(done.stderr.split())
    assert "of the loss" in done.stdout
    assert "best pay" not in done.stdout
    every = command_line(*command, "--no-bisect")
    assert "best pay" in " ".join(every.stdout.split())
    assert "bisects" not in every.stderr


def test_a_file_that_loses_nothing_has_no_layer_that_does() -> None:
    class Nothing:
        layers = ("a", "b")
        network = dataclasses.make_dataclass("Steps", ["steps"])([])

    reference: Any = dataclasses.make_dataclass("Reference", ["scores"])(np.full((3, 2), 0.5, np.float32))
    simulation: Any = Nothing()
    assert bisection.Bisection(simulation, reference, reference.scores).run(Silent()) is None


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 26, 43, 100])
def test_the_half_is_passed_at_the_layer_that_is_named(count: int) -> None:
    def asked(losses: np.ndarray) -> Callable[[int], float]:
        def loss(layers: int) -> float:
            calls.append(layers)
            return float(losses[layers])

        return loss

    for place in range(1, count + 1):
        calls: list[int] = []
        losses = np.where(np.arange(count + 1) < place, 0.01, 1.0)
        losses[0] = 0.0
        position, before, after = bisection.crossing(count, 1.0, asked(losses))
        assert (position, before, after) == (place, losses[place - 1], 1.0)
        assert len(calls) <= math.ceil(math.log2(count)) if count > 1 else not calls
    for _ in range(20):  # losses that go up and down
        losses = np.concatenate([[0.0], RNG.random(count - 1), [1.0]])
        position, before, after = bisection.crossing(count, 1.0, asked(losses))
        assert before == losses[position - 1] < 0.5 <= after == losses[position]

from __future__ import annotations

import numpy as np
import pytest

from edge_squeeze.converters.quantization import ranges
from edge_squeeze.converters.quantization.ranges import BINS, PERCENTILES, Activations, Statistics
from edge_squeeze.errors import UsageError

RNG = np.random.default_rng(5)
TAIL = np.concatenate([np.maximum(RNG.normal(0, 1, 99_990), 0), np.full(10, 100.0)]).astype(np.float32)  # as ReLU gives


def measured(*pictures: np.ndarray) -> Activations:
    activations = Activations()
    for values in pictures:
        activations.widen({"layer": values})
    for values in pictures:
        activations.count({"layer": values}, activations.limits)
    return activations


def statistics(*pictures: np.ndarray) -> Statistics:
    activations = measured(*pictures)
    return activations.statistics(activations.limits, PERCENTILES)["layer"]


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    """Of 8-bit numbers in that range, computed on the values themselves."""
    step = (max(high, 0.0) - min(low, 0.0)) / 255
    lowest = np.rint(min(low, 0.0) / step)
    return float(((np.clip(np.rint(values / step), lowest, lowest + 255) * step - values) ** 2).mean())


def test_limits_are_exact_and_percentiles_right_to_a_bin() -> None:
    halves = np.split(RNG.permutation(TAIL), 2)
    layer = statistics(*halves)
    assert layer.minmax == (0.0, 100.0)
    for percent in PERCENTILES:
        low, high = layer.percentiles[f"{percent:g}"]
        assert low == 0.0
        assert high == pytest.approx(np.percentile(TAIL, percent), abs=2 * 100.0 / BINS)


def test_percentiles_cut_both_ends_of_values_of_both_signs() -> None:
    values = RNG.normal(0, 1, 200_000).astype(np.float32)
    low, high = statistics(values).percentiles["99.9"]
    assert (low, high) == (
        pytest.approx(np.percentile(values, 0.1), abs=0.02),
        pytest.approx(np.percentile(values, 99.9), abs=0.02),
    )


@pytest.mark.parametrize(
    "values", [TAIL, -TAIL, RNG.normal(0, 1, 100_000).astype(np.float32)], ids=["high", "low", "both"]
)
def test_the_least_squares_range_has_a_smaller_error_than_the_whole_and_than_its_neighbors(values: np.ndarray) -> None:
    layer = statistics(values)
    assert layer.mse is not None
    low, high = layer.mse
    best = squared_error(values, low, high)
    assert best < squared_error(values, *layer.minmax)
    for factor in (0.8, 1.2):
        assert best < squared_error(values, low * factor, high * factor)


def test_parts_together_are_what_all_pictures_are() -> None:
    pictures = np.split(TAIL, 4)
    whole = measured(*pictures)
    parts = [Activations() for _ in pictures]
    for part, values in zip(parts, pictures, strict=True):
        part.widen({"layer": values})
        part.count({"layer": values}, whole.limits)
    merged = Activations.merged(parts)
    assert merged.limits == whole.limits
    assert merged.statistics(whole.limits, PERCENTILES) == whole.statistics(whole.limits, PERCENTILES)


def test_a_layer_of_one_value_has_a_range() -> None:
    assert statistics(np.zeros(10, np.float32)).mse == (0.0, 0.0)
    assert statistics(np.full(10, 3.0, np.float32)).minmax == (3.0, 3.0)


def of(high: float) -> Statistics:
    return Statistics((0.0, high), {"99.99": (0.0, high / 2)}, (0.0, high / 3))


def test_layers_that_meet_share_the_widest_range_of_those_that_compute() -> None:
    layers = {"expand1x1": of(6.0), "expand3x3": of(12.0), "concat": of(24.0), "squeeze": of(3.0)}
    shared = ranges.share(layers, [(["expand1x1", "expand3x3", "concat"], ["expand1x1", "expand3x3"])])
    assert shared == {**dict.fromkeys(["expand1x1", "expand3x3", "concat"], of(12.0)), "squeeze": of(3.0)}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("minmax", (0.0, 6.0)), ("percentile:99.99", (0.0, 3.0)), ("mse", (0.0, 2.0)), ("percentile:99.990", (0.0, 3.0))],
)
def test_a_rule_chooses_the_range_but_never_cuts_the_scores(rule: str, expected: tuple[float, float]) -> None:
    ranges.check(rule)
    chosen = ranges.choose({"layer": of(6.0), "output": of(6.0)}, rule)
    assert chosen == {"layer": expected, "output": (0.0, 6.0)}


@pytest.mark.parametrize(("both", "expected"), [(False, (-5.0, 2.2)), (True, (-6.0, 6.0))])
def test_logits_have_room_and_no_rule_cuts_them(both: bool, expected: tuple[float, float]) -> None:
    """A fifth above calibration's -5 to 1; and for a sigmoid, which decides at zero, as much on both sides of it."""
    measured = Statistics((-5.0, 1.0), {"99.99": (-4.0, 0.5)}, (-3.0, 0.4))
    roomy = ranges.with_room({"logits": measured, "before": measured}, ["logits"], 0.2, both=both)
    assert roomy["before"] == measured
    for rule in ("minmax", "mse", "percentile:99.99"):
        assert ranges.choose(roomy, rule)["logits"] == pytest.approx(expected)


def test_a_percentile_that_was_not_measured_is_refused_with_those_that_were() -> None:
    with pytest.raises(UsageError, match=r"no range by percentile:98. It has: minmax, percentile:99.99"):
        ranges.choose({"layer": of(6.0)}, "percentile:98")
    assert 98.0 in ranges.percentiles("percentile:98")


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "max",
        "percentile",
        "percentile:",
        "percentile:49",
        "percentile:101",
        "percentile:x",
        "percentile:nan",
        "mse:1",
    ],
)
def test_other_rules_are_refused_with_the_choices(rule: str) -> None:
    with pytest.raises(UsageError, match=r"must be minmax, percentile:P with P from 50 to 100, mse or auto, got"):
        ranges.check(rule)

"""Saved results: read again, computed anew, compared with later ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import FakeDevice, a_device, measure, three_files

import edge_squeeze
from edge_squeeze.benchmarks import benchmark, result_files
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.benchmarks.verdicts import EQUIVALENT, REGRESSION
from edge_squeeze.cli import benchmark_report
from edge_squeeze.errors import UsageError

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return three_files(tmp_path)


def test_a_saved_result_gives_the_same_figures_again(files: list[Path], tmp_path: Path) -> None:
    result = measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0}))
    path = tmp_path / "result.json"
    result_files.write(result, [path], raw=True)
    again = benchmark.replay(path, ["p50"])
    assert result_files.to_json(again) | {"measured_floor": None} == result_files.to_json(result)


@pytest.mark.parametrize("kind", ["timed", "paced"])
def test_a_result_saved_without_samples_still_tells_the_typical_latency(
    files: list[Path], tmp_path: Path, kind: str
) -> None:
    paced = {"response_ns": [5, 6], "back_to_back_ns": [4, 4], "rate": 30.0} if kind == "paced" else {}
    options = BenchmarkOptions(profile="paced" if paced else "standard")
    result = measure(files[:1], FakeDevice({"a.": 10.0}, **paced), options)
    result_files.write(result, [tmp_path / "lean.json"], raw=False)
    (again,), (before,) = benchmark.replay(tmp_path / "lean.json", ["p50"]).arms, result.arms
    assert again.summary is not None
    assert before.summary is not None
    assert again.summary.p50_ms == pytest.approx(before.summary.p50_ms, rel=1e-6)
    assert again.summary.n_samples == before.summary.n_samples
    assert again.validity == before.validity


@pytest.mark.parametrize(
    ("later", "verdicts", "code"),
    [(10.0, [EQUIVALENT, EQUIVALENT, EQUIVALENT], 0), (12.0, [REGRESSION, EQUIVALENT, EQUIVALENT], 8)],
)
def test_two_saved_results_are_compared(
    files: list[Path], tmp_path: Path, later: float, verdicts: list[str], code: int
) -> None:
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for seed, (path, latency) in enumerate(zip(paths, (10.0, later), strict=True)):
        result_files.write(
            measure(files, FakeDevice({"a.": latency, "b.": 5.0, "c.": 11.0}, seed=seed)), [path], raw=True
        )
    comparisons = benchmark.compare(*paths, ["p50"], force=False)
    assert [comparison.verdict for comparison in comparisons] == verdicts
    assert benchmark_report.comparison_code(comparisons, strict=False) == code
    assert not any(comparison.paired for comparison in comparisons)
    document = json.loads(paths[0].read_text())
    arm = document["arms"][0]
    assert arm["correctness"]["sha256"] == arm["model"]["sha256"] == comparisons[0].base_sha256
    arm["correctness"]["sha256"] = "of another file"
    assert (
        benchmark_report.comparison_code(benchmark.compare(document, paths[0], ["p50"], force=True), strict=False) == 10
    )
    for each in document["arms"]:
        del each["correctness"]["sha256"]  # as older results have it
    old = benchmark.compare(document, paths[1], ["p50"], force=False)
    assert [comparison.verdict for comparison in old] == verdicts


def test_results_of_other_devices_or_settings_are_incomparable_unless_forced(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    result_files.write(measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})), paths[:1], raw=True)
    second = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0}, seed=1)
    moved = dataclasses.replace(a_device().device, id_hash="ba9876543210")
    monkeypatch.setattr(second, "describe", lambda: a_device(device=moved))
    result_files.write(measure(files, second), paths[1:], raw=True)
    comparisons = benchmark.compare(*paths, ["p50"], force=False)
    assert {comparison.verdict for comparison in comparisons} == {"incomparable"}
    assert comparisons[0].fingerprint_diff == ["device was 0123456789ab, is ba9876543210"]
    assert benchmark_report.comparison_code(comparisons, strict=False) == 10
    forced = benchmark.compare(*paths, ["p50"], force=True)
    assert {comparison.verdict for comparison in forced} == {EQUIVALENT}
    assert forced[0].fingerprint_diff == comparisons[0].fingerprint_diff


def test_arms_that_only_one_result_has_are_named(files: list[Path], tmp_path: Path) -> None:
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, own in zip(paths, (files[:2], files[1:]), strict=True):
        device = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})
        result_files.write(measure(own, device), [path], raw=True)
    reasons = {comparison.base: comparison.reason for comparison in benchmark.compare(*paths, ["p50"], force=False)}
    assert reasons["b.tflite litert 1"] is None
    assert "only the earlier" in str(reasons["a.tflite litert 1"])
    assert "only the later" in str(reasons["c.tflite litert 1"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: {},
        lambda document: [],
        lambda document: document | {"schema": "edge_squeeze.bench/2"},
        lambda document: document | {"arms": "none"},
        lambda document: document | {"arms": [document["arms"][0] | {"launches": [{}]}]},
        lambda document: {key: value for key, value in document.items() if key != "cpu"},
    ],
)
def test_what_is_no_result_is_refused(files: list[Path], tmp_path: Path, spoil: Any) -> None:
    result = measure(files[:1], FakeDevice({"a.": 10.0}))
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(spoil(result_files.to_json(result))))
    with pytest.raises(UsageError, match=r"bad\.json"):
        benchmark.replay(path, ["p50"])


@pytest.mark.parametrize("samples", [[], [0], [-5, 3]])
def test_launches_without_times_are_refused(files: list[Path], tmp_path: Path, samples: list[int]) -> None:
    document = result_files.to_json(measure(files[:1], FakeDevice({"a.": 10.0})))
    document["arms"][0]["launches"][0]["samples_ns"] = samples
    (tmp_path / "bad.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"a\.tflite litert 1"):
        benchmark.replay(tmp_path / "bad.json", ["p50"])


def test_a_document_is_replayed_and_compared_like_its_file(files: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result_files.write(measure(files, FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 11.0})), [path], raw=True)
    document = json.loads(path.read_text())
    assert edge_squeeze.replay(document) == edge_squeeze.replay(path) == edge_squeeze.replay(str(path))
    assert edge_squeeze.compare(document, path) == edge_squeeze.compare(path, path)
    with pytest.raises(UsageError, match="The document is not a result"):
        edge_squeeze.replay({})

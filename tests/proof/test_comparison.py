"""Two artifacts of one original on the same pictures: which diverges less, and how sure that is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_artifacts
from commands import CommandLine
from shared_exports import Exports, export_once
from trained_models import save_crops

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.export import Exported
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.models.original import Original
from edge_squeeze.pictures.loading import load_folder
from edge_squeeze.proof import comparison, leakage
from edge_squeeze.proof.comparison import Agreement, Comparison, mean_interval
from edge_squeeze.proof.parity import kl_divergence

WHO = {"base": "b", "cand": "a", "base_sha256": "1", "cand_sha256": "2"}
BETTER, WORSE, EQUAL, UNCLEAR = (-0.002, -0.0001), (0.0001, 0.002), (-0.001, 0.001), (-0.0001, 0.002)


@pytest.mark.parametrize(
    ("interval", "verdict"), [(BETTER, "better"), (WORSE, "worse"), (EQUAL, "equal"), (UNCLEAR, "unclear")]
)
def test_an_interval_decides(interval: tuple[float, float], verdict: str) -> None:
    assert comparison.verdict(interval) == verdict


def test_the_interval_of_a_mean_is_students_where_values_are_normal() -> None:
    values = np.random.default_rng(3).normal(0.5, 2, 100)
    half = 1.984 * values.std(ddof=1) / 10  # Student's t of 99 degrees of freedom
    low, high = mean_interval(values)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert mean_interval(values) == (low, high), "seeded"
    assert mean_interval(np.full(16, 0.25)) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("verdict", "agreement", "code"),
    [
        ("better", "unclear", 0),
        ("equal", "equal", 0),
        ("better", "worse", 8),
        ("worse", "unclear", 8),
        ("unclear", "better", 9),
        ("incomparable", None, 10),
    ],
)
def test_exit_codes(verdict: str, agreement: str | None, code: int) -> None:
    both = agreement and Agreement(0.9, 0.9, agreement, 0.0, (-0.1, 0.1), 1, 1, 1.0)
    assert Comparison(**WHO, verdict=verdict, agreement=both or None).exit_code == code


@pytest.mark.parametrize(
    ("change", "unlike"),
    [
        ({}, None),
        ({"precision": "float32", "options": {"head": "int8"}, "rewrites": ["pixel-pairs"]}, None),
        ({"weights__sha256": "f" * 64}, "weights"),
        ({"preprocessing__short_side": 9}, "preprocessing"),
        ({"classes": 4, "weights__seed": 1}, "networks, weights"),
        ({"options": {"softmax": True}}, "scores"),
    ],
)
def test_only_artifacts_of_one_original_compare(tmp_path: Path, change: dict[str, Any], unlike: str | None) -> None:
    folders = small_artifacts.make(tmp_path, "a"), small_artifacts.make(tmp_path, "b")
    small_artifacts.change(folders[1], **change)
    cand, base = map(artifacts.load, folders)
    result = comparison.incomparable(cand, base, weights=True)
    assert (result and result.reason) == (unlike and f"they were made from different originals ({unlike})")
    if unlike == "weights":
        assert comparison.incomparable(cand, base, weights=False) is None


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_crops(tmp_path_factory.mktemp("comparison") / "pictures", 5, seed=11)


def divergences(original: Original, artifact: Exported, images: Path) -> Any:
    loaded = artifacts.load(artifact.folder)
    pixels = load_folder(images, loaded.manifest.preprocessing).pixels
    scores = open_runner(loaded.model(), loaded.manifest.format).run(pixels)
    return kl_divergence(original.run(pixels).astype(np.float64), scores.astype(np.float64))


def test_int8_is_worse_than_float32(
    command_line: CommandLine, exported_11: Exports, original_11: Original, pictures: Path
) -> None:
    int8, float32 = exported_11["tflite-int8"], exported_11["tflite-float32"]
    done = command_line("verify", int8.folder, "--against", float32.folder, "--images", pictures, "--json")
    assert done.returncode == 8, done.stderr
    against = json.loads(done.stdout)["against"]
    differences = divergences(original_11, int8, pictures) - divergences(original_11, float32, pictures)
    assert against["difference"] == pytest.approx(differences.mean(), rel=1e-6)
    assert against["interval"] == pytest.approx(mean_interval(differences), rel=1e-4)
    assert (against["verdict"], against["pictures"], against["reason"]) == ("worse", 25, None)
    assert (against["cand"], against["base"]) == ("squeezenet1.1-tflite-int8", "squeezenet1.1-tflite-float32")
    assert against["base_sha256"] == float32.manifest.file.sha256
    assert against["agreement"]["base"] == 1


def test_pictures_that_the_other_was_calibrated_on_are_left_out(
    command_line: CommandLine, exported_11: Exports, pictures: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(exported_11["tflite-int8"].folder, tmp_path / "copy")
    record = json.loads((copy / "calibration.json").read_text())
    loaded = load_folder(pictures, exported_11["tflite-int8"].manifest.preprocessing)
    record["pictures"] = [vars(each) for each in leakage.records(loaded)[:8]]
    record["quantizers"] = {"stock": 0.00841, "tuned": 0.0031}
    (copy / "calibration.json").write_text(json.dumps(record))
    float32 = exported_11["tflite-float32"].folder
    done = command_line("verify", float32, "--against", "copy", "--images", pictures)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "squeezenet1.1-tflite-float32 against squeezenet1.1-tflite-int8, on the same 17 pictures:" in shown
    assert "KL: better, " in shown
    assert "held-out" not in shown, "those of the artifact itself"
    done = command_line("verify", "copy", "--images", pictures)
    shown = " ".join(done.stdout.split())
    assert "held-out calibration pictures: 0.0084 nats with stock weights, 0.0031 nats with tuned" in shown


def test_a_file_is_equal_to_itself_and_crops_prove_nothing(exported_11: Exports, pictures: Path) -> None:
    int8 = exported_11["onnx-int8"].folder
    same = edge_squeeze.verify(int8, against=int8, images=pictures, runtime="onnxruntime").against
    assert same is not None
    assert (same.verdict, same.difference, same.interval, same.exit_code) == ("equal", 0, (0, 0), 0)
    assert same.agreement is not None
    assert (same.agreement.cand_only, same.agreement.base_only) == (0, 0)
    crops = edge_squeeze.verify(int8, against=exported_11["tflite-int8"].folder).against
    assert crops is not None
    assert (crops.verdict, crops.interval, crops.reason) == ("unclear", None, comparison.CROPS)


@pytest.mark.slow
def test_tuned_files_are_better_than_stock_ones(
    command_line: CommandLine, exported_11: Exports, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (stock,) = export_once(tmp_path_factory, "squeezenet1.1", "tflite int8", quantizer="stock").values()
    tuned = exported_11["tflite-int8"].folder
    for pair, code, verdict in (((tuned, stock.folder), 0, "better"), ((stock.folder, tuned), 8, "worse")):
        done = command_line("verify", pair[0], "--against", pair[1], "--images", pictures, "--json")
        assert done.returncode == code, done.stderr
        assert json.loads(done.stdout)["against"]["verdict"] == verdict

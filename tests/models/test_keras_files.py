"""What variants get, models of a user's get: every target, proven, and refused where preprocessing is wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained_models import CASES, CROPS, SIZE, fit, save_crops

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.converters.rewrites import catalogue, normalization
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.errors import UsageError
from edge_squeeze.formats import FORMATS
from edge_squeeze.pictures.loading import PHOTOGRAPHS, photograph_crops

# In the slow run alone, which has every case whole: a minute, and what other quick tests show one by one.
SLOW = ("mobilenet", "depthwise", "grey", "sigmoid", "nested")
WHOLE = ("valid", "saved")  # of the others every kind of numbers is shown in the slow run
STOCK = "valid"  # is quantized as "saved" is in the slow run alone: tuning takes as long as the rest
PARTLY = {"logits": "float32,int8"}  # whose floats are judged otherwise than those of probabilities
EVERY = [
    *((name, "all", "stock" if name == STOCK else "auto") for name in WHOLE),
    *((name, PARTLY.get(name, "int8"), "stock") for name in CASES if name not in (*WHOLE, *SLOW)),
    *(
        pytest.param(name, "all", "auto", marks=pytest.mark.slow)
        for name in CASES
        if name not in WHOLE or name == STOCK
    ),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures to calibrate and to judge on, and labels."""
    folder = tmp_path_factory.mktemp("user-models")
    save_crops(folder / "calibration", 12, seed=21)
    save_crops(folder / "test", 20, seed=22)
    (folder / "labels.txt").write_text("\n".join(PHOTOGRAPHS) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(home: Path) -> Callable[[str], Path]:
    """Gives the file of a case's model, fitted at its first use."""
    import keras

    crops = photograph_crops(CROPS, (SIZE, SIZE), seed=20).pixels

    def path(name: str) -> Path:
        case = CASES[name]
        file = home / f"{name}{case.suffix}"
        if not file.exists():
            keras.utils.set_random_seed(0)
            model = case.build()
            fit(model, case, crops)
            model.save(file) if case.suffix else model.export(file, verbose=False)
        return file

    return path


@pytest.fixture(scope="module")
def exported(home: Path, trained: Callable[[str], Path]) -> Callable[..., list[Any]]:
    """Gives every target of a case's model that has one of the precisions."""
    known: dict[tuple[str, str, str], list[Any]] = {}

    def export(name: str, precision: str = "int8", quantizer: str = "stock") -> list[Any]:
        if (name, precision, quantizer) not in known:
            known[name, precision, quantizer] = edge_squeeze.export(
                trained(name),
                format="all",
                precision=precision,
                quantizer=quantizer,
                preprocessing=CASES[name].preprocessing,
                labels=home / "labels.txt",
                calibration=home / "calibration",
                images=home / "test",
                out=home / f"{precision}-{quantizer}",
            )
        return known[name, precision, quantizer]

    return export


@pytest.mark.parametrize(("name", "precision", "quantizer"), EVERY)
def test_every_target_of_a_users_model_is_proven(
    exported: Callable[..., list[Any]], name: str, precision: str, quantizer: str
) -> None:
    case, artifacts = CASES[name], exported(name, precision, quantizer)
    assert [(entry.manifest.format, entry.manifest.precision) for entry in artifacts] == [
        (target.format, target.precision)
        for target in all_targets()
        if precision == "all" or target.precision in precision.split(",")
    ]
    for export in artifacts:
        assert export.proof.verdict == "pass", (export.manifest.name, export.proof.reason)
        assert export.manifest.variant is None
        done = export.manifest.rewrites
        assert [rewrite for rewrite in done if rewrite not in catalogue.NAMES] == case.rewrites
        assert ("pixels-by-float" in done) == (
            (export.manifest.format, export.manifest.precision) == ("tflite", "int8")
        )
        assert export.manifest.output.name == export.manifest.output.content == case.content
        picture = {"nhwc": (1, SIZE, SIZE, 3), "nchw": (1, 3, SIZE, SIZE)}
        assert export.manifest.input.shape == picture[FORMATS[export.manifest.format].layouts[0]]
        assert export.manifest.name.startswith(f"{name}-{export.manifest.format}-{export.manifest.precision}")


@pytest.mark.parametrize(("name", "precision", "quantizer"), EVERY)
def test_what_was_written_verifies_and_predicts(
    exported: Callable[..., list[Any]], home: Path, name: str, precision: str, quantizer: str
) -> None:
    pictures = sorted((home / "test").glob("*crop [1-4].png"))
    for export in exported(name, precision, quantizer):
        verification = edge_squeeze.verify(export.folder, images=home / "test")
        assert verification.passed
        assert verification.proof is not None, verification.without_proof
        assert verification.proof.verdict == "pass"
        classifier = edge_squeeze.load(export.folder)
        best = [classifier.predict(picture)[0] for picture in pictures]
        right = [
            prediction.label == path.name.partition(" ")[0] for prediction, path in zip(best, pictures, strict=True)
        ]
        assert np.mean(right) >= 0.5  # of five classes
        assert all(0 <= prediction.score <= 1 for prediction in best)


def swapped(normalization: Any) -> Any:
    return dataclasses.replace(normalization, order="bgr")


def without_mean(normalization: Any) -> Any:
    return dataclasses.replace(normalization, mean=(0.0,) * 3)


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (swapped, "valid"),  # folded
        (without_mean, "saved"),  # as an operator of its own
        pytest.param(swapped, "saved", marks=pytest.mark.slow),
        pytest.param(without_mean, "valid", marks=pytest.mark.slow),
    ],
)
def test_wrong_preprocessing_fails(
    trained: Callable[[str], Path],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    damage: Callable[[Any], Any],
    tmp_path: Path,
) -> None:
    bake = normalization.bake
    monkeypatch.setattr("edge_squeeze.converters.export.bake", lambda model, baked: bake(model, damage(baked)))
    for export in edge_squeeze.export(
        trained(name),
        format="all",
        precision="float32,float16",
        preprocessing="torch",
        images=home / "test",
        out=tmp_path,
    ):
        assert export.proof.verdict == "fail", export.manifest.name


def test_a_calibration_made_for_another_preprocessing_is_refused(
    exported: Callable[..., list[Any]], trained: Callable[[str], Path], tmp_path: Path
) -> None:
    int8 = next(export for export in exported("valid", "all") if export.manifest.precision == "int8")
    with pytest.raises(UsageError, match="preprocessing: required"):
        edge_squeeze.export(
            trained("valid"),
            precision="int8",
            preprocessing="raw",
            calibration=int8.folder / "calibration.json",
            out=tmp_path,
        )


def test_a_model_that_normalizes_is_not_quietly_given_normalized_pictures(
    trained: Callable[[str], Path], home: Path, tmp_path: Path
) -> None:
    (export,) = edge_squeeze.export(trained("rescaling"), preprocessing="tf", images=home / "test", out=tmp_path)
    (warning,) = export.warnings
    assert warning.startswith("the model has a layer that normalizes; with --preprocessing its pictures are normalized")
    assert "makes -1.008 to -0.9922 of pixels" in warning
    (right,) = edge_squeeze.export(trained("rescaling"), images=home / "test", out=tmp_path / "right")
    assert right.warnings == ()
    assert right.proof.answers.classes == len(PHOTOGRAPHS)
    assert export.proof.answers != right.proof.answers  # what the summary tells of the original


def test_ranges_are_told_by_layer(exported: Callable[..., list[Any]]) -> None:
    int8 = next(export for export in exported("nested") if export.manifest.precision == "int8")
    ranges = json.loads((int8.folder / "calibration.json").read_text())["ranges"]
    assert "preprocessing" in ranges
    assert any(name.startswith("re_lu") for name in ranges)  # of the model inside the model


def test_the_artifact_tells_where_it_came_from(exported: Callable[..., list[Any]], home: Path) -> None:
    record = artifact.load(exported("rescaling")[0].folder).manifest.weights
    assert (record.kind, record.path) == ("keras_model", str(home / "rescaling.h5"))
    assert record.sha256

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

SLOW = ("mobilenet", "depthwise")  # a minute, and what "valid" and "saved" show one by one
WHOLE = ("valid", "saved")  # of the others every kind of numbers is shown in the slow run
PARTLY = {"logits": "float32,int8"}  # whose floats are judged otherwise than those of probabilities
EVERY = [
    *((name, "all") for name in WHOLE),
    *((name, PARTLY.get(name, "int8")) for name in CASES if name not in (*WHOLE, *SLOW)),
    *(pytest.param(name, "all", marks=pytest.mark.slow) for name in CASES if name not in WHOLE),
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
    known: dict[tuple[str, str], list[Any]] = {}

    def export(name: str, precision: str = "int8") -> list[Any]:
        if (name, precision) not in known:
            known[name, precision] = edge_squeeze.export(
                trained(name),
                format="all",
                precision=precision,
                preprocessing=CASES[name].preprocessing,
                labels=home / "labels.txt",
                calibration=home / "calibration",
                images=home / "test",
                out=home / precision,
            )
        return known[name, precision]

    return export


@pytest.mark.parametrize(("name", "precision"), EVERY)
def test_every_target_of_a_users_model_is_proven(exported: Callable[..., list[Any]], name: str, precision: str) -> None:
    case, artifacts = CASES[name], exported(name, precision)
    assert [(one.manifest.format, one.manifest.precision) for one in artifacts] == [
        (target.format, target.precision)
        for target in all_targets()
        if precision == "all" or target.precision in precision.split(",")
    ]
    for one in artifacts:
        assert one.proof.verdict == "pass", (one.manifest.name, one.proof.reason)
        assert one.manifest.variant is None
        done = one.manifest.rewrites
        assert [rewrite for rewrite in done if rewrite not in catalogue.NAMES] == case.rewrites
        assert ("pixels-by-float" in done) == ((one.manifest.format, one.manifest.precision) == ("tflite", "int8"))
        assert one.manifest.output.name == one.manifest.output.content == case.content
        picture = {"nhwc": (1, SIZE, SIZE, 3), "nchw": (1, 3, SIZE, SIZE)}
        assert one.manifest.input.shape == picture[FORMATS[one.manifest.format].layouts[0]]
        assert one.manifest.name.startswith(f"{name}-{one.manifest.format}-{one.manifest.precision}")


@pytest.mark.parametrize(("name", "precision"), EVERY)
def test_what_was_written_verifies_and_predicts(
    exported: Callable[..., list[Any]], home: Path, name: str, precision: str
) -> None:
    pictures = sorted((home / "test").glob("*crop [1-4].png"))
    for one in exported(name, precision):
        found = edge_squeeze.verify(one.folder, images=home / "test")
        assert found.passed
        assert found.proof is not None, found.without_proof
        assert found.proof.verdict == "pass"
        classifier = edge_squeeze.load(one.folder)
        best = [classifier.predict(picture)[0] for picture in pictures]
        right = [one.label == path.name.partition(" ")[0] for one, path in zip(best, pictures, strict=True)]
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
    for one in edge_squeeze.export(
        trained(name),
        format="all",
        precision="float32,float16",
        preprocessing="torch",
        images=home / "test",
        out=tmp_path,
    ):
        assert one.proof.verdict == "fail", one.manifest.name


def test_a_calibration_made_for_another_preprocessing_is_refused(
    exported: Callable[..., list[Any]], trained: Callable[[str], Path], tmp_path: Path
) -> None:
    int8 = next(one for one in exported("valid", "all") if one.manifest.precision == "int8")
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
    (one,) = edge_squeeze.export(trained("rescaling"), preprocessing="tf", images=home / "test", out=tmp_path)
    (warning,) = one.warnings
    assert warning.startswith("the model has a layer that normalizes; with --preprocessing its pictures are normalized")
    assert "makes -1.008 to -0.9922 of pixels" in warning
    (right,) = edge_squeeze.export(trained("rescaling"), images=home / "test", out=tmp_path / "right")
    assert right.warnings == ()
    assert right.proof.answers.classes == len(PHOTOGRAPHS)
    assert one.proof.answers != right.proof.answers  # what the summary tells of the original


def test_ranges_are_told_by_layer(exported: Callable[..., list[Any]]) -> None:
    int8 = next(one for one in exported("nested") if one.manifest.precision == "int8")
    ranges = json.loads((int8.folder / "calibration.json").read_text())["ranges"]
    assert "preprocessing" in ranges
    assert any(name.startswith("re_lu") for name in ranges)  # of the model inside the model


def test_the_artifact_tells_where_it_came_from(exported: Callable[..., list[Any]], home: Path) -> None:
    record = artifact.load(exported("rescaling")[0].folder).manifest.weights
    assert (record.kind, record.path) == ("keras_model", str(home / "rescaling.h5"))
    assert record.sha256

"""A network that ends in one sigmoid exports as it is, and decides between two classes wherever it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trained_models import SIZE

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.benchmarks import model_files
from edge_squeeze.bundling import bundle
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.errors import UsageError
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.pictures.loading import photograph_crops

NAMES = ("no cat", "chelsea")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network that tells crops of one photograph from all others, pictures, and labels."""
    import keras
    from keras import layers

    folder = tmp_path_factory.mktemp("one-score")
    keras.utils.set_random_seed(0)
    crops = photograph_crops(30, (SIZE, SIZE), seed=20)
    truth = np.array([name.startswith("chelsea") for name in crops.names], np.float32)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    model.fit(crops.pixels.astype(np.float32), truth, epochs=12, batch_size=16, verbose=0)
    model.save(folder / "cat.keras")
    (folder / "labels.txt").write_text("\n".join(NAMES) + "\n")
    (folder / "pictures").mkdir()
    judged = photograph_crops(24, (SIZE, SIZE), seed=22)
    for name, pixels in zip(judged.names, judged.pixels, strict=True):
        Image.fromarray(pixels).save(folder / "pictures" / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def exports(home: Path) -> list[Any]:
    return edge_squeeze.export(
        home / "cat.keras",
        format="all",
        precision="all",
        quantizer="stock",  # tuned ones of a sigmoid are among the slow tests of Keras files
        labels=home / "labels.txt",
        images=home / "pictures",
        out=home / "out",
    )


def test_every_target_is_proven_by_its_decisions(exports: list[Any]) -> None:
    assert len(exports) == len(all_targets())
    for exported in exports:
        manifest = artifacts.load(exported.folder).manifest
        assert exported.proof.verdict == "pass", (manifest.name, exported.proof.reason)
        assert (manifest.classes, manifest.output.shape, manifest.threshold) == (2, (1, 1), 0.5)
        assert manifest.output.content == "probability"
        assert manifest.schema_version == 2
        assert exported.proof.answers.classes == 2
        assert edge_squeeze.verify(exported.folder).passed


def test_calibrated_on_one_class_alone_int8_still_finds_the_other(home: Path, tmp_path: Path) -> None:
    """The logits of calibration are all below zero: 8 bits that end there would have no other answer."""
    pictures = sorted((home / "pictures").iterdir())
    others = [path for path in pictures if not path.name.startswith("chelsea")]
    (tmp_path / "others.txt").write_text("\n".join(map(str, others)))
    options = {"labels": home / "labels.txt", "quantizer": "stock", "calibration": tmp_path / "others.txt"}
    exports = edge_squeeze.export(home / "cat.keras", precision="float32,int8", **options, out=tmp_path / "out")
    classifiers = [edge_squeeze.load(exported.folder) for exported in exports]
    best = [[each.predict(path)[0] for each in classifiers] for path in {*pictures} - {*others}]
    of_float, of_int8 = np.array(
        [[answer.score if answer.index else 1 - answer.score for answer in row] for row in best]
    ).T
    assert of_float.max() > 0.55
    np.testing.assert_allclose(of_int8, of_float, atol=0.03)


def test_its_one_score_is_called_what_it_is_the_probability_of(exports: list[Any]) -> None:
    """A client that shows names beside scores has one of each; two names for one score are refused by MediaPipe."""
    for exported in exports:
        card = inspect(artifacts.load(exported.folder).model(), exported.manifest.format).card
        assert card.labels == ("chelsea",)
        assert (card.facts["threshold"], card.facts["label_below_threshold"]) == ("0.5", "no cat")


def test_predict_shows_both_classes(exports: list[Any], home: Path) -> None:
    for exported in exports:
        classifier = edge_squeeze.load(exported.folder)
        right = []
        for picture in sorted((home / "pictures").iterdir())[::4]:
            best, runner_up = classifier.predict(picture)
            assert {best.label, runner_up.label} == set(NAMES)
            assert best.score + runner_up.score == pytest.approx(1)
            assert best.label == NAMES[best.index]
            right.append((best.label == "chelsea") == picture.name.startswith("chelsea"))
        assert np.mean(right) > 0.9


def test_labels_of_another_number_are_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("cat\n")
    with pytest.raises(UsageError, match="required 2 names"):
        edge_squeeze.export(home / "cat.keras", labels=tmp_path / "one.txt", out=tmp_path)


def test_an_inverted_decision_fails(exports: list[Any], home: Path, tmp_path: Path) -> None:
    import keras

    model = keras.saving.load_model(home / "cat.keras")
    model.layers[-1].set_weights([-weights for weights in model.layers[-1].get_weights()])
    model.save(tmp_path / "cat.keras")
    proof = edge_squeeze.verify(exports[0].folder, original=tmp_path / "cat.keras", images=home / "pictures").proof
    assert proof is not None
    assert (proof.verdict, proof.parity.top1_agreement) == ("fail", 0)


def test_bundles_take_it_where_apps_can(exports: list[Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"one score for two classes, which the app in android_demo does not support"):
        bundle.check_supported([exports[0].folder])
    (added,) = edge_squeeze.bundle(exports[0].folder, tmp_path / "models")
    assert added.change == "added"
    assert json.loads((added.folder / "model.json").read_text())["threshold"] == 0.5
    (model,) = model_files.read_all(exports[0].folder)
    assert model_files.traits(model).outputs == ((),)  # sides of 1 are left out; two classes would give ((2,),)


def test_one_score_that_is_no_probability_is_refused(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((SIZE, SIZE, 3))
    total = keras.ops.sum(keras.layers.Flatten()(inputs), axis=1, keepdims=True)  # an activation that nobody can see
    keras.Model(inputs, total).save(tmp_path / "sum.keras")
    with pytest.raises(
        UsageError, match=r"one score, which is not from 0 to 1 for every picture\. End it with a sigmoid"
    ):
        edge_squeeze.export(tmp_path / "sum.keras", preprocessing="raw", out=tmp_path)

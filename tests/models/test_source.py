from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source
from edge_squeeze.models.source import Choice, Subject
from edge_squeeze.pictures.presets import preset
from edge_squeeze.reporting import Silent


def find(**options: object) -> Subject:
    return source.find(Choice("squeezenet1.1", **options), Silent())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of four classes, saved in each of Keras' ways."""
    folder = tmp_path_factory.mktemp("own")
    network = edge_squeeze.build(weights="random", classes=4, input_size=64)
    for name in ("a.keras", "a.h5"):
        network.save(folder / name)
    network.save_weights(folder / "a.weights.h5")
    return folder


@pytest.mark.parametrize(
    ("name", "size", "suffix"),
    [("a.keras", None, ""), ("a.h5", None, ""), ("a.weights.h5", 64, "-input-size-64")],  # the last tells no size
)
def test_keras_files_of_our_networks_are_weights(own: Path, name: str, size: int | None, suffix: str) -> None:
    found = find(weights=own / name, input_size=size)
    assert (found.classes, found.suffix) == (4, f"-classes-4{suffix}")
    assert found.preprocessing.size == (64, 64)
    assert found.weights.trained
    expected = edge_squeeze.build(weights="random", classes=4, input_size=64).get_weights()
    for got, wanted in zip(found.original().model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_weights_of_one_network_do_not_fit_another(own: Path) -> None:
    other = source.find(Choice("squeezenet1.0", own / "a.h5"), Silent())
    with pytest.raises(
        UsageError, match=r"conv1: required \[\(7, 7, 3, 96\), \(96,\)\], got \[\(3, 3, 3, 64\), \(64,\)\]"
    ):
        other.original()


def test_a_preprocessing_can_be_asked_for(own: Path) -> None:
    assert find(weights=own / "a.h5").preprocessing.baked.mean == (104.0, 117.0, 123.0)
    assert find(weights=own / "a.h5", preprocessing="tf").preprocessing == preset("tf", (64, 64))
    resized = find(weights=own / "a.h5", preprocessing="tf", resize="stretch").preprocessing
    assert resized == preset("tf", (64, 64), resize="stretch")
    with pytest.raises(UsageError, match="--resize does not apply"):
        find(weights=own / "a.h5", resize="stretch")


def test_a_model_of_ours_can_be_exported_as_a_users_own(own: Path, tmp_path: Path) -> None:
    (one,) = edge_squeeze.export(own / "a.keras", preprocessing="caffe", out=tmp_path)
    manifest = artifact.load(one.folder).manifest
    assert (manifest.variant, manifest.name) == (None, "a-tflite-float32")
    assert manifest.preprocessing.baked.mean == (103.939, 116.779, 123.68)  # Keras' caffe, not Caffe's


@pytest.mark.parametrize("model", ["squeezenet1.2", "mobilenet"])
def test_what_is_neither_variant_nor_file_is_refused(model: str) -> None:
    with pytest.raises(UsageError, match=rf"Unknown variant: '{model}'.* Or give a Keras model"):
        source.find(Choice(model), Silent())


def test_another_model_of_the_same_name_does_not_replace_an_artifact(own: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "a.keras"
    other.parent.mkdir()
    edge_squeeze.build(weights="random", classes=3, input_size=64).save(other)
    edge_squeeze.export(own / "a.keras", preprocessing="raw", out=tmp_path)
    edge_squeeze.export(own / "a.keras", preprocessing="tf", out=tmp_path)  # the same one may be made anew
    with pytest.raises(
        UsageError, match=r"a-tflite-float32 was made from .*a\.keras, not from .*other/a\.keras\. Move it"
    ):
        edge_squeeze.export(other, preprocessing="raw", out=tmp_path)
    (tmp_path / "squeezenet1.1.keras").write_bytes(other.read_bytes())
    edge_squeeze.export(weights="random", out=tmp_path)
    edge_squeeze.export(tmp_path / "squeezenet1.1.keras", preprocessing="raw", out=tmp_path)
    with pytest.raises(UsageError, match=r"was made from .*squeezenet1\.1\.keras"):
        edge_squeeze.export(out=tmp_path)

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from small_models import network

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source
from edge_squeeze.models.source import Choice, Subject
from edge_squeeze.pictures.loading import photograph
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
    origin = find(weights=own / name, input_size=size)
    assert (origin.classes, origin.suffix) == (4, f"-classes-4{suffix}")
    assert origin.preprocessing.size == (64, 64)
    assert origin.weights.trained
    expected = edge_squeeze.build(weights="random", classes=4, input_size=64).get_weights()
    for got, wanted in zip(origin.original().model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_weights_of_one_network_do_not_fit_another(own: Path) -> None:
    second = source.find(Choice("squeezenet1.0", own / "a.h5"), Silent())
    with pytest.raises(
        UsageError, match=r"conv1: required \[\(7, 7, 3, 96\), \(96,\)\], got \[\(3, 3, 3, 64\), \(64,\)\]"
    ):
        second.original()


def test_a_preprocessing_can_be_asked_for(own: Path) -> None:
    assert find(weights=own / "a.h5").preprocessing.baked.mean == (104.0, 117.0, 123.0)
    assert find(weights=own / "a.h5", preprocessing="tf").preprocessing == preset("tf", (64, 64))
    resized = find(weights=own / "a.h5", preprocessing="tf", resize="stretch").preprocessing
    assert resized == preset("tf", (64, 64), resize="stretch")
    with pytest.raises(UsageError, match="--resize does not apply"):
        find(weights=own / "a.h5", resize="stretch")


def test_a_filter_belongs_to_a_preset(own: Path, tmp_path: Path) -> None:
    filtered = find(weights=own / "a.h5", preprocessing="tf", filter="tf-bilinear").preprocessing
    assert filtered == preset("tf", (64, 64), filter="tf-bilinear")
    assert find(weights=own / "a.h5", preprocessing="tf").preprocessing.filter == "bilinear"
    (tmp_path / "own.json").write_text(
        '{"filter": "area", "baked": {"order": "rgb", "mean": [0,0,0], "scale": [1,1,1]}}'
    )
    assert find(weights=own / "a.h5", preprocessing=str(tmp_path / "own.json")).preprocessing.filter == "area"
    for preprocessing in (None, str(tmp_path / "own.json"), preset("tf", (64, 64))):
        with pytest.raises(UsageError, match="--filter does not apply"):
            find(weights=own / "a.h5", preprocessing=preprocessing, filter="nearest")
    with pytest.raises(UsageError, match=r"Unknown filter: 'bilinaer'. Did you mean bilinear\?"):
        find(weights=own / "a.h5", preprocessing="tf", filter="bilinaer")


@pytest.mark.parametrize("name", ["tf-bilinear", "tf-nearest"])
def test_a_filter_goes_into_the_artifact_its_golden_files_and_its_predictions(tmp_path: Path, name: str) -> None:
    """As image_dataset_from_directory and a model behind it see a picture, so does the artifact; by default not."""
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3))
    convolved = keras.layers.Conv2D(4, 3)(inputs)
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(convolved))).save(tmp_path / "their.keras")
    photograph("rocket").save(tmp_path / "rocket.png")
    folders = {}
    for option in (name, None):
        (exported,) = edge_squeeze.export(
            tmp_path / "their.keras", preprocessing="unit", resize="stretch", filter=option, out=tmp_path / str(option)
        )
        folders[option] = exported.folder
    assert artifact.load(folders[name]).manifest.preprocessing.filter == name
    assert edge_squeeze.verify(folders[name]).golden.pixels_equal

    pixels = tf.image.resize(np.asarray(photograph("rocket")), (32, 32), name.removeprefix("tf-")).numpy()
    logits = keras.models.load_model(tmp_path / "their.keras").predict(pixels[None] / 255, verbose=0)
    expected = tf.nn.softmax(logits[0]).numpy()
    for option, off in ((name, False), (None, True)):
        predictions = edge_squeeze.load(folders[option]).predict(tmp_path / "rocket.png", top=3)
        scores = [p.score for p in sorted(predictions, key=lambda p: p.index)]
        assert bool(np.abs(scores - expected).max() > 5e-4) is off, (option, scores, expected)


def test_a_manifest_without_a_filter_means_bilinear_and_another_is_noticed(tmp_path: Path) -> None:
    network((32, 32, 3)).save(tmp_path / "their.keras")
    (exported,) = edge_squeeze.export(tmp_path / "their.keras", preprocessing="unit", out=tmp_path)
    file = exported.folder / "model.json"
    content = json.loads(file.read_text())
    assert content["preprocessing"].pop("filter") == "bilinear"
    file.write_text(json.dumps(content))
    assert edge_squeeze.verify(exported.folder).passed
    content["preprocessing"]["filter"] = "nearest"
    file.write_text(json.dumps(content))
    assert not edge_squeeze.verify(exported.folder).golden.pixels_equal


def test_a_model_of_ours_can_be_exported_as_a_users_own(own: Path, tmp_path: Path) -> None:
    (export,) = edge_squeeze.export(own / "a.keras", preprocessing="caffe", out=tmp_path)
    manifest = artifact.load(export.folder).manifest
    assert (manifest.variant, manifest.name) == (None, "a-tflite-float32")
    assert manifest.preprocessing.baked.mean == (103.939, 116.779, 123.68)  # Keras' caffe, not Caffe's


@pytest.mark.parametrize("model", ["squeezenet1.2", "mobilenet"])
def test_what_is_neither_variant_nor_file_is_refused(model: str) -> None:
    with pytest.raises(UsageError, match=rf"Unknown variant: '{model}'.* Or give a Keras model"):
        source.find(Choice(model), Silent())


def test_another_model_of_the_same_name_does_not_replace_an_artifact(tmp_path: Path) -> None:
    saved = tmp_path / "other" / "a.keras"
    saved.parent.mkdir()
    network(classes=3).save(saved)
    network(classes=4).save(tmp_path / "a.keras")
    edge_squeeze.export(tmp_path / "a.keras", preprocessing="raw", out=tmp_path)
    edge_squeeze.export(tmp_path / "a.keras", preprocessing="tf", out=tmp_path)  # the same one may be made anew
    with pytest.raises(
        UsageError, match=r"a-tflite-float32 was made from .*a\.keras, not from .*other/a\.keras\. Move it"
    ):
        edge_squeeze.export(saved, preprocessing="raw", out=tmp_path)
    (tmp_path / "squeezenet1.1.keras").write_bytes(saved.read_bytes())
    edge_squeeze.export(weights="random", out=tmp_path)
    edge_squeeze.export(tmp_path / "squeezenet1.1.keras", preprocessing="raw", out=tmp_path)
    with pytest.raises(UsageError, match=r"was made from .*squeezenet1\.1\.keras"):
        edge_squeeze.export(out=tmp_path)


@pytest.mark.parametrize("inside", [True, False])
def test_a_network_that_should_prepare_its_pictures_itself_must_do_so(tmp_path: Path, inside: bool) -> None:
    network = keras.applications.MobileNetV3Small(
        (32, 32, 3), weights=None, classes=3, minimalistic=True, include_preprocessing=inside
    )
    network.save(tmp_path / "their.keras")
    choice = Choice(tmp_path / "their.keras", preprocessing="keras-applications:MobileNetV3Small")
    if inside:
        subject = source.find(choice, Silent())
        assert subject.preprocessing == preset("raw", (32, 32))
        assert not subject.warnings
    else:
        with pytest.raises(UsageError, match="as after include_preprocessing=False"):
            source.find(choice, Silent())

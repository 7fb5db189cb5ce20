"""Training a small network on colored pictures: what it leaves, what it refuses, and what it cannot learn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_artifacts
from colored_pictures import draw

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic
from edge_squeeze.networks.design import Design
from edge_squeeze.networks.variants import VARIANTS
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.pictures.presets import preset
from edge_squeeze.training import learning, training
from edge_squeeze.training.learning import Epoch
from edge_squeeze.training.training import Trained

NARROW = {"base_e": 32, "incr_e": 32}
SMALL: dict[str, Any] = {"input_size": 16, **NARROW, "batch_size": 8}
ENOUGH: dict[str, Any] = {**SMALL, "epochs": 10, "learning_rate": 2e-3}
SWAPPED = {"baked": {"order": "bgr", "mean": [0, 0, 0], "scale": [1 / 255] * 3}}


@pytest.fixture
def eager() -> Iterator[None]:
    """Has TensorFlow take each step as it comes: compiling one takes longer than the few of a short training."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def colored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("training") / "colored")


@pytest.fixture(scope="module")
def trained(colored: Path) -> Trained:
    return edge_squeeze.train("squeezenet-lab", images=colored, out=colored.parent / "trained", **ENOUGH)


def export(trained: Trained, out: Path, **options: Any) -> Path:
    folder = trained.folder
    (exported,) = edge_squeeze.export(
        "squeezenet-lab",
        weights=folder / "weights.npz",
        labels=folder / "labels.txt",
        **NARROW,
        images=folder / "test.txt",
        out=out,
        **options,
    )
    return exported.folder


def accuracy(exported: Path, listed: Path) -> float:
    classifier, files = edge_squeeze.load(exported), list_pictures(listed)
    return float(np.mean([classifier.predict(file)[0].label == file.parent.name for file in files]))


def test_colors_are_learned(trained: Trained) -> None:
    assert trained.accuracy >= 0.9
    assert trained.learned
    assert not trained.dead
    assert trained.warning is None
    assert trained.interval[0] < trained.accuracy <= trained.interval[1]
    assert trained.tested == 24


def test_a_record_tells_how_it_went(trained: Trained) -> None:
    record = json.loads((trained.folder / "training.json").read_text())
    assert record["test"]["accuracy"] == trained.accuracy == record["test"]["right"] / 24
    assert {name: part["count"] for name, part in record["split"].items()} == {
        "train": 84,
        "validation": 12,
        "test": 24,
    }
    best = record["epochs"][record["best_epoch"] - 1]
    assert best["validation_accuracy"] == max(epoch["validation_accuracy"] for epoch in record["epochs"])
    assert len(record["epochs"]) == record["options"]["epochs"] == 10
    assert record["design"] == {"base_e": 32, "incr_e": 32}
    assert record["tools"].keys() >= {"tensorflow", "keras", "edge-squeeze"}
    assert not (trained.folder / "pictures").exists(), "a user's own pictures stay where they are"


def test_the_lists_divide_the_pictures(trained: Trained, colored: Path) -> None:
    listed = [list_pictures(trained.folder / f"{part}.txt") for part in ("train", "validation", "test")]
    together = sorted(path.resolve() for part in listed for path in part)
    assert together == sorted(path.resolve() for path in list_pictures(colored))
    assert (trained.folder / "labels.txt").read_text() == "blue\ngreen\nred\n"


def test_the_weights_know_their_size_and_preprocessing_and_are_the_best_epochs(trained: Trained) -> None:
    exported = export(trained, trained.folder.parent / "out")
    manifest = artifact.load(exported).manifest
    assert manifest.preprocessing == preset("unit", (16, 16))
    assert manifest.rewrites == ["fold_normalisation"]
    assert manifest.parity.verdict == "pass"
    assert accuracy(exported, trained.folder / "test.txt") == trained.accuracy


def test_a_wrong_channel_order_is_seen_by_accuracy_and_by_parity(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "swapped.json").write_text(json.dumps(SWAPPED))
    wrong = export(trained, tmp_path / "wrong", preprocessing=str(tmp_path / "swapped.json"))
    assert accuracy(wrong, trained.folder / "test.txt") <= 0.5
    manifest = json.loads((wrong / "model.json").read_text())
    manifest["preprocessing"]["baked"]["order"] = "rgb"
    (wrong / "model.json").write_text(json.dumps(manifest))
    proof = edge_squeeze.verify(wrong, images=trained.folder / "test.txt").proof
    assert proof is not None
    assert proof.verdict == "fail"


@pytest.mark.slow
def test_labels_by_lot_cannot_be_learned(colored: Path, tmp_path: Path) -> None:
    rng, labels = np.random.default_rng(0), ("blue", "green", "red")
    for number, path in enumerate(list_pictures(colored)):
        folder = tmp_path / "lot" / labels[rng.integers(3)]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number}.png")
    result = edge_squeeze.train("squeezenet-lab", images=tmp_path / "lot", out=tmp_path / "trained", **ENOUGH)
    assert result.accuracy < 0.7
    assert not result.learned
    assert not result.dead
    assert "not significantly better than always predicting the most frequent class" in str(result.warning)


DIGITS: dict[str, Any] = {"images": None, "learning_rate": 0.1}  # scores differ by their place in a batch


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({**SMALL, "learning_rate": 1.0}, id="colors"),
        pytest.param(DIGITS, id="digits", marks=pytest.mark.slow),
    ],
)
def test_a_network_that_died_is_said_to_be_dead(colored: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    result = edge_squeeze.train("squeezenet-lab", out=tmp_path, epochs=2, **{"images": colored, **options})
    assert result.dead
    assert not result.learned
    assert "Every test picture gets the same scores: the network is dead" in str(result.warning)
    assert "lower --learning-rate" in str(result.warning)


@pytest.mark.usefixtures("eager")
def test_a_deep_network_that_hardly_tells_pictures_apart_is_not_dead(tmp_path: Path) -> None:
    images = draw(tmp_path / "few", each=10)
    result = edge_squeeze.train(
        "squeezenet-composable", images=images, out=tmp_path, epochs=1, input_size=64, learning_rate=1e-9
    )
    assert not result.dead
    assert "more --epochs" in str(result.warning)


@pytest.mark.usefixtures("eager")
def test_one_seed_gives_one_split_and_one_beginning(colored: Path, tmp_path: Path) -> None:
    records = []
    for run in ("a", "b"):
        edge_squeeze.train("squeezenet-lab", images=colored, out=tmp_path / run, **SMALL, epochs=1, seed=3)
        records.append(json.loads((tmp_path / run / "squeezenet-lab" / "training.json").read_text()))
    assert records[0]["split"] == records[1]["split"]
    assert records[0]["epochs"][0]["loss"] == pytest.approx(records[1]["epochs"][0]["loss"], rel=1e-3)


OFTEN = ("squeezenet1.1", "squeezenet-lab")  # one that gives probabilities, one that gives logits


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.slow) for name in VARIANTS]
)
def test_every_row_can_be_trained_with_every_design(variant: str, tmp_path: Path) -> None:
    images, design = draw(tmp_path / "few", each=10), Design("complex", base_e=16, incr_e=8)
    result = edge_squeeze.train(variant, images=images, out=tmp_path, epochs=1, input_size=(64, 48), **design.record())
    words = result.next_command.split()
    assert words[3:9] == ["--bypass", "complex", "--base-e", "16", "--incr-e", "8"]
    network = edge_squeeze.build(variant, weights=result.folder / "weights.npz", **design.record())
    assert (network.input_shape, network.output_shape) == ((None, 64, 48, 3), (None, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "squeezenet-lap"}, "Unknown variant: 'squeezenet-lap'. Did you mean squeezenet-lab"),
        ({"epochs": 0}, "--epochs must be a whole number from 1 to 10,000, got 0"),
        ({"batch_size": -1}, "--batch-size must be a whole number from 1"),
        ({"seed": -1}, "--seed must be a whole number from 0"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be above 0"),
        ({"input_size": "any"}, "--input-size any cannot be used to train"),
        ({"input_size": 2}, "input size must be"),
        ({"input_size": 16, "resize": "10"}, "--resize must be 16 to 8,192 pixels, got 10: the input of 16x16"),
        ({"input_size": (16, 24), "resize": "23"}, "--resize must be 24 to 8,192 pixels, got 23: .* of 16x24"),
        ({"resize": "8193"}, "--resize must be 32 to 8,192 pixels, got 8193"),
        ({"filter": "nearby"}, "Unknown filter: 'nearby'"),
        ({"filter": "area", "preprocessing": preset("unit", (32, 32))}, "resize and filter do not apply"),
        ({"preprocessing": "unti"}, "Unknown preprocessing: 'unti'. Did you mean unit"),
        ({"preprocessing": preset("unit", (16, 16), channels=1)}, "takes 3 channels, but the channel order grey has 1"),
        ({"bypass": "simpel"}, "Unknown bypass"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_any_work(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    arguments = {"variant": "squeezenet-lab", "images": tmp_path / "none", "out": tmp_path / "out", **options}
    with pytest.raises(UsageError, match=message):
        edge_squeeze.train(**arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_ours_is_not_replaced(colored: Path, tmp_path: Path) -> None:
    (tmp_path / "squeezenet-lab").mkdir()
    (tmp_path / "squeezenet-lab" / "training.json").write_text("{}")
    with pytest.raises(
        UsageError, match="is not a folder of `edge-squeeze train` or `finetune`, so it will not be replaced"
    ):
        edge_squeeze.train("squeezenet-lab", images=colored, out=tmp_path)
    assert (tmp_path / "squeezenet-lab" / "training.json").read_text() == "{}"


def test_pictures_that_would_be_replaced_or_mixed_with_the_result_are_refused(colored: Path, trained: Trained) -> None:
    with pytest.raises(UsageError, match="which would be replaced"):
        edge_squeeze.train("squeezenet-lab", images=trained.folder / "pictures", out=trained.folder.parent)
    with pytest.raises(UsageError, match="among the classes"):
        edge_squeeze.train("squeezenet-lab", images=colored, out=colored)


def test_a_training_that_diverges_says_so_and_leaves_nothing(
    colored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "Epoch", lambda number, *_: Epoch(number, float("nan"), 0.1, 1.0, 0.1))
    with pytest.raises(UsageError, match=r"diverged in epoch \d+. Pass a --learning-rate below"):
        edge_squeeze.train("squeezenet-lab", images=colored, out=tmp_path, **SMALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("eager")
def test_a_full_disk_leaves_the_older_training_whole(
    trained: Trained, colored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained.folder, tmp_path / "squeezenet-lab")
    before = {path.name: path.read_bytes() for path in (tmp_path / "squeezenet-lab").iterdir()}
    write = atomic._write_durably

    def full(path: Path, data: bytes) -> None:
        if path.name == training.WEIGHTS:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(atomic, "_write_durably", full)
    with pytest.raises(UsageError, match=r"No space left on device.*another --out DIR"):
        edge_squeeze.train("squeezenet-lab", images=colored, out=tmp_path, epochs=1, **SMALL)
    assert {path.name: path.read_bytes() for path in (tmp_path / "squeezenet-lab").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["squeezenet-lab"]


def test_the_next_export_leaves_artifacts_of_other_weights_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights, (first, _) = tmp_path / "weights.npz", training.exports("net", "-classes-3", Path("weights.npz"))
    weights.write_bytes(b"these")
    assert (first, training.precisions_and_out([first])) == (
        "out/net-tflite-float32-classes-3",
        ["--precision", "float32,int8"],
    )
    artifact = small_artifacts.make(tmp_path / "out", "net-tflite-int8-classes-3")
    for origin, out in (
        ({"path": "trained/weights.npz", "sha256": "0" * 64}, "out-2"),
        ({"path": str(weights), "sha256": "0" * 64}, "out"),  # of an earlier training there
        ({"path": "trained/weights.npz", "sha256": small_artifacts.sha256(b"these")}, "out"),
    ):
        small_artifacts.change(artifact, **{f"weights__{name}": value for name, value in origin.items()})
        folders = training.exports("net", "-classes-3", weights)
        assert folders == [f"{out}/net-tflite-{precision}-classes-3" for precision in ("float32", "int8")]
    (tmp_path / "out" / "net-tflite-float32-classes-3").mkdir()
    folders = training.exports("net", "-classes-3", weights)
    assert training.precisions_and_out(folders)[-2:] == ["--out", "out-2"], "export would not replace such a folder"

"""`edge-squeeze finetune` as a user types it: what it leaves, what it refuses, and the commands that are next."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colored_pictures import draw
from commands import PROGRAM, CommandLine

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.manifest import Pretrained
from edge_squeeze.errors import InterruptedTrainingError, UsageError
from edge_squeeze.models.weights import PUBLISHED, pretrained
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.process import output
from edge_squeeze.reporting import Silent
from edge_squeeze.training import learning
from edge_squeeze.training.finetuned import Finetuned
from edge_squeeze.training.learning import Epoch
from edge_squeeze.training.options import FinetuneOptions

QUICK: dict[str, Any] = {"input_size": 64, "epochs": 3, "views": 2, "unfreeze": 1, "batch_size": 8}


class Notes(Silent):
    """A Reporter that keeps the notes."""

    text = ""

    def note(self, text: str) -> None:
        self.text += f"{text}\n"


@pytest.fixture(scope="module")
def colored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("finetune") / "colored", each=12)


@pytest.fixture(scope="module")
def finetuned(colored: Path) -> Finetuned:
    return edge_squeeze.finetune(images=colored, out=colored.parent / "trained", **QUICK)


def test_a_head_for_three_colors_is_learned(finetuned: Finetuned) -> None:
    record = json.loads((finetuned.folder / "training.json").read_text())
    assert finetuned.accuracy == record["test"]["accuracy"] == record["test"]["right"] / 6
    assert finetuned.accuracy > 2 / 3
    assert finetuned.labels == ("blue", "green", "red")
    assert (finetuned.tested, finetuned.chance) == (6, 1 / 3)
    assert sum(map(sum, finetuned.confusion)) == 6
    assert record["stages"] == [{"blocks": 0, "kept": True}, {"blocks": 1, "kept": finetuned.unfrozen == 1}]
    assert [epoch["blocks"] for epoch in record["epochs"]] == [0, 0, 0, 1, 1, 1]
    assert any(warning.startswith("Too few test pictures") for warning in finetuned.warnings)


def test_its_folder_has_the_lists_the_weights_and_the_result(finetuned: Finetuned, colored: Path) -> None:
    listed = [list_pictures(finetuned.folder / f"{part}.txt") for part in ("train", "validation", "test")]
    assert [len(part) for part in listed] == [27, 3, 6]
    assert sorted(path.resolve() for part in listed for path in part) == [p.resolve() for p in list_pictures(colored)]
    names = {path.name for path in finetuned.folder.iterdir()}
    assert names >= {"weights.npz", "labels.txt", "training.json", "confusion.csv", "confusion.png", "learning.png"}
    assert not finetuned.folder.with_name("squeezenet1.1.unfinished").exists()
    model = edge_squeeze.build("squeezenet1.1", weights=finetuned.folder / "weights.npz")
    assert (model.input_shape, model.output_shape) == ((None, 64, 64, 3), (None, 3))
    before = edge_squeeze.build("squeezenet1.1", input_size=64)
    same = {
        layer.name: np.array_equal(layer.get_weights()[0], before.get_layer(layer.name).get_weights()[0])
        for layer in model.layers
        if layer.weights
    }
    changed = {name.partition("_")[0] for name, is_same in same.items() if not is_same}
    assert changed == ({"conv10", "fire9"} if finetuned.unfrozen else {"conv10"})


def test_an_export_of_it_records_what_the_pretrained_weights_are_under(finetuned: Finetuned, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finetuned.folder, tmp_path / "trained"))
    (exported,) = edge_squeeze.export(
        "squeezenet1.1", weights=folder / "weights.npz", labels=folder / "labels.txt", out=tmp_path
    )
    published = PUBLISHED["squeezenet1.1"]
    began = Pretrained(published.source, "MIT", published.sha256)
    weights = artifacts.load(exported.folder).manifest.weights
    assert (weights.source, weights.licence, weights.pretrained) == ("NumPy npz", None, began)
    (artifact,) = edge_squeeze.report(exported.folder, out=tmp_path / "report.html").artifacts
    license_of = {row.part: (row.origin, row.license) for row in artifact.licenses}
    assert license_of["weights they were fine-tuned from"] == (published.source, "MIT")
    record = json.loads((folder / "training.json").read_text())
    again = {**record["pretrained"], "source": "in between", "licence": None, "pretrained": record["pretrained"]}
    for changes, expected in (
        ({"weights_sha256": "0" * 64}, None),  # of another file
        ({"pretrained": again}, began),
        ({"pretrained": {**record["pretrained"], "trained": False}}, None),
        ({"pretrained": 7}, None),
    ):
        (folder / "training.json").write_text(json.dumps({**record, **changes}))
        assert pretrained(folder / "weights.npz", record["weights_sha256"]) == expected
    del record["weights_sha256"], record["pretrained"]["pretrained"]  # as earlier versions wrote it
    (folder / "training.json").write_text(json.dumps(record))
    assert pretrained(folder / "weights.npz", "0" * 64) == began


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "squeezenet1.2"}, "Unknown variant: 'squeezenet1.2'. Did you mean squeezenet1"),
        ({"model": "missing.keras", "preprocessing": "tf"}, "missing.keras"),
        ({"unfreeze": 7}, "--unfreeze must be auto or a number from 0 to 4, got '7'"),
        ({"epochs": 0}, "--epochs must be a whole number from 1"),
        ({"views": 0}, "--views must be a whole number from 1 to 64, got 0"),
        ({"augment": "flop"}, "Unknown augmentation: 'flop'. Did you mean flip"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be from 0 to below 1"),
        ({"learning_rate": 2.0}, "--learning-rate must be above 0"),
        ({"input_size": "any"}, "--input-size any cannot be used to train"),
        ({"images": None, "example": "faces"}, "Unknown example: 'faces'"),
        ({"example": "digits"}, "--images and --example exclude each other"),
        ({"images": "missing"}, "No such folder: missing"),
        ({"resume": True}, "There is nothing to resume in .*squeezenet1.1.unfinished. Leave out --resume"),
    ],
)
def test_what_cannot_be_meant_is_refused(colored: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edge_squeeze.finetune(**{"images": colored, "out": tmp_path / "out", **QUICK, **options})
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_ours_is_not_replaced(colored: Path, tmp_path: Path) -> None:
    (tmp_path / "squeezenet1.1").mkdir()
    with pytest.raises(UsageError, match="is not a folder of `edge-squeeze train` or `finetune`"):
        edge_squeeze.finetune(images=colored, out=tmp_path, **QUICK)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What TensorFlow warns of meanwhile."""
    texts: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("tensorflow").addHandler(handler)
    yield texts
    logging.getLogger("tensorflow").removeHandler(handler)


def test_that_models_are_compiled_one_after_the_other_is_not_warned_of(warnings: list[str]) -> None:
    import tensorflow as tf

    def compile_often(compiled: Any) -> None:
        for number in range(9):
            compiled(number)

    with output.retracing_expected():
        compile_often(tf.function(lambda number: tf.constant(number) - 1))
        tf.get_logger().warning("something else")
    assert warnings == ["something else"]
    compile_often(tf.function(lambda number: tf.constant(number) + 1))
    assert any("retracing" in text for text in warnings)


@pytest.mark.slow
def test_simpler_classifiers_are_trained_on_the_same_split(colored: Path, tmp_path: Path, warnings: list[str]) -> None:
    result = edge_squeeze.finetune(images=colored, out=tmp_path, compare=True, **{**QUICK, "unfreeze": 0})
    linear, scratch = result.comparisons
    assert (linear.name, scratch.name) == ("linear head on raw pixels", "training from scratch")
    assert linear.ahead == pytest.approx(result.accuracy - linear.accuracy)
    assert linear.ahead_interval[0] <= linear.ahead <= linear.ahead_interval[1]
    record = json.loads((result.folder / "training.json").read_text())
    assert [each["accuracy"] for each in record["comparisons"]] == [linear.accuracy, scratch.accuracy]
    assert not [text for text in warnings if "retracing" in text]


def table(folder: Path, *rows: str) -> Path:
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("file,label", "a.png,cat"), "names only one class. Required: a header"),
        (("file,label", "a.png,cat", "b.png"), r"line 3 has no class: \['b.png'\]"),
        (("nothing",), "is not a table of pictures: its first line has no comma, semicolon or tab"),
        (("",), "is not a table of pictures: it is empty. Required: a header"),
        (("file,label",), "names no class. Required: a header"),
        (("file,label", "a.png,cat", "b.png,dog"), "No such picture: .*a.png"),
    ],
)
def test_tables_that_name_no_classes_are_refused(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edge_squeeze.finetune(images=table(tmp_path, *rows), out=tmp_path / "out", **QUICK)


def test_options_of_an_example_are_its_own_unless_the_user_says() -> None:
    digits = FinetuneOptions.of({"example": "digits"})
    assert (digits.input_size, digits.augmentations) == (99, {"crop"})
    assert FinetuneOptions.of({"example": "digits", "input_size": 128, "augment": "none"}).augmentations == frozenset()
    assert FinetuneOptions.of({"images": "mine"}).input_size is None


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(finetuned: Finetuned, colored: Path, tmp_path: Path) -> None:
    again = edge_squeeze.finetune(images=colored, out=tmp_path / "again", **QUICK)
    other = edge_squeeze.finetune(images=colored, out=tmp_path / "other", **QUICK, seed=1)
    weights = [(each.folder / "weights.npz").read_bytes() for each in (finetuned, again, other)]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.slow
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(colored: Path, tmp_path: Path) -> None:
    words = ["finetune", "--images", str(colored), "--input-size", "64", "--views", "2", "--epochs", "40"]
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell may have it ignored
    )
    assert process.stderr is not None
    assert any("epoch 4 of 40" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "To go on: edge-squeeze finetune" in stderr
    assert "is kept in trained/squeezenet1.1.unfinished" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "trained" / "squeezenet1.1").exists()
    environment = {**os.environ, "EDGE_SQUEEZE_NO_NEXT": "1"}
    shutil.copytree(tmp_path / "trained", tmp_path / "ended" / "trained")
    ((ending, epochs),) = re.findall(r"(?m)^To end with it: edge-squeeze (.* --epochs (\d+) --unfreeze 0)$", stderr)
    command = [*PROGRAM, *shlex.split(ending)]
    subprocess.run(command, cwd=tmp_path / "ended", capture_output=True, check=True, env=environment)
    record = json.loads((tmp_path / "ended" / "trained" / "squeezenet1.1" / "training.json").read_text())
    assert len(record["epochs"]) == int(epochs) < 40, "no epoch more than were done"
    command = [*PROGRAM, *words, "--resume", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)
    whole = edge_squeeze.finetune(images=colored, out=tmp_path / "whole", input_size=64, views=2, epochs=40)
    folder = tmp_path / json.loads(done.stdout)["folder"]
    assert (folder / "weights.npz").read_bytes() == (whole.folder / "weights.npz").read_bytes()


@pytest.mark.slow
def test_an_unfinished_training_is_never_lost(colored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"images": colored, "out": tmp_path, **QUICK, "epochs": 2, "views": 1, "unfreeze": 0}
    kept = tmp_path / "squeezenet1.1.unfinished"

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("edge_squeeze.training.learning.Course.is_over", interrupt)
        with pytest.raises(InterruptedTrainingError, match="To go on: "):
            edge_squeeze.finetune(**options)
    epochs = (kept / "stage-0" / "epochs.json").read_bytes()
    with pytest.raises(UsageError, match=r"An unfinished training .* is in .*\.unfinished\. Pass --resume"):
        edge_squeeze.finetune(**options)
    with pytest.raises(UsageError, match="is of other pictures or options"):
        edge_squeeze.finetune(**options, seed=1, resume=True)
    notes = Notes()
    other = edge_squeeze.finetune(**options, seed=1, reporter=notes)
    assert f"an unfinished training of other pictures or options stays in {kept}" in notes.text
    assert (kept / "stage-0" / "epochs.json").read_bytes() == epochs
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.folder.name, kept.name]
    resumed = edge_squeeze.finetune(**options, resume=True)
    losses = [epoch["loss"] for epoch in json.loads((resumed.folder / "training.json").read_text())["epochs"]]
    assert (losses[0], len(losses)) == (json.loads(epochs)[0]["loss"], 2), "its first epoch was not done again"
    assert not kept.exists()


def test_a_training_that_diverged_or_only_began_leaves_nothing_to_resume(
    colored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "squeezenet1.1.unfinished").mkdir()
    (tmp_path / "squeezenet1.1.unfinished" / "state.json").write_text("{}")
    monkeypatch.setattr(learning, "Epoch", lambda number, *_: Epoch(number, float("nan"), 0.1, 1.0, 0.1))
    with pytest.raises(UsageError, match=r"diverged in epoch 1\. Pass a --learning-rate below"):
        edge_squeeze.finetune(images=colored, out=tmp_path, **{**QUICK, "views": 1})
    assert not list(tmp_path.iterdir())


def test_json_and_text_have_the_result(
    finetuned: Finetuned, colored: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_squeeze.training.finetuned.finetune", lambda *_: finetuned)
    document = json.loads(command_line("finetune", "--images", str(colored), "--json").stdout)
    assert document["accuracy"] == finetuned.accuracy
    assert document["interval"] == list(finetuned.interval)
    assert document["tested"] == 6
    assert document["folder"] == str(finetuned.folder)
    shown = command_line("finetune", "--images", str(colored), COLUMNS="80").stdout
    assert f"Test accuracy {finetuned.accuracy:.1%} on 6 pictures that had no part in the training" in " ".join(
        shown.split()
    )
    assert "Warning: Too few test pictures" in shown
    assert shown.count("edge-squeeze export squeezenet1.1 --weights") == 1
    assert "edge-squeeze bundle " in shown
    lines = [line for line in shown.splitlines() if "/" not in line]
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
def test_a_table_and_a_model_of_ones_own_go_the_whole_way(command_line: CommandLine, tmp_path: Path) -> None:
    from trained_models import rescaling

    rescaling().save(tmp_path / "mine.keras")
    colored = draw(tmp_path / "colored", each=16)
    rows = [f"colored/{path.relative_to(colored)},{path.parent.name}!" for path in list_pictures(colored)]
    table(tmp_path, "file,label", *rows)
    done = command_line("finetune", "mine.keras", "--images", "labels.csv", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    commands = [line.split("edge-squeeze ")[1] for line in done.stdout.partition("Next:")[2].splitlines() if line]
    assert [command.split()[0] for command in commands] == ["export", "evaluate", "bundle"]
    for command in commands:
        done = command_line(*command.split(), *(["--force"] if command.startswith("bundle") else []))
        assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "my-app" / "models" / "index.json").exists()
    (model, _) = sorted((tmp_path / "out").glob("*/model.json"))
    assert json.loads(model.read_text())["weights"]["pretrained"]["source"] == "Keras model mine.keras"


def test_ctrl_c_while_the_best_weights_are_written_says_how_to_go_on(
    command_line: CommandLine, colored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object, *__: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise ValueError("Can't close the ZIP file while there is an open writing handle on it")  # as zipfile does

    monkeypatch.setattr("edge_squeeze.training.learning.np.savez", interrupted)
    done = command_line("finetune", "--images", colored, "--input-size", "64", "--views", "1", "--epochs", "2")
    assert done.returncode == 130
    assert "To go on: edge-squeeze finetune" in done.stderr
    assert "Traceback" not in done.stderr

"""`edge-squeeze train` as a user types it, and the command that it says is next."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from colored_pictures import draw
from commands import ENOUGH, PROGRAM, SMALL, CommandLine, next_command

import edge_squeeze
from edge_squeeze.cli import train
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.reporting import Silent
from edge_squeeze.training import examples, learning, training
from edge_squeeze.training.training import Trained


def accuracy(folder: Path, listed: Path) -> float:
    """The part of the pictures in the list that the artifact tells right, by the names of their folders."""
    classifier, files = edge_squeeze.load(folder), list_pictures(listed)
    return float(np.mean([classifier.predict(file)[0].label == file.parent.name for file in files]))


def check_exported(
    command_line: CommandLine, tmp_path: Path, stdout: str, trained: Path, *options: str
) -> tuple[float, float]:
    """Type what `stdout` says is next, and `options`; the accuracy of float32 and of int8 on the test pictures."""
    done = command_line(*next_command(stdout), *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("PASS") == 2
    folders = sorted((tmp_path / "out").iterdir())
    assert ["float32" in folder.name for folder in folders] == [True, False]
    float32, int8 = (accuracy(folder, trained / "test.txt") for folder in folders)
    return float32, int8


def test_train_then_what_it_says_is_next(command_line: CommandLine, tmp_path: Path) -> None:
    draw(tmp_path / "my pictures")
    done = command_line("train", "squeezenet-lab", "--images", "my pictures", *ENOUGH)
    assert done.returncode == 0, done.stderr
    assert "on 24 pictures that had no part in the training (95 % interval: " in " ".join(done.stdout.split())
    assert "validation accuracy by epoch" in done.stderr
    assert "ignored" not in done.stderr
    assert "WARNING" not in done.stderr
    trained = tmp_path / "trained" / "squeezenet-lab"
    record = json.loads((trained / "training.json").read_text())
    assert record["command"] == shlex.join(
        ["edge-squeeze", "train", "squeezenet-lab", "--images", "my pictures", *ENOUGH]
    )
    stock = ("--quantizer", "stock")  # the digits are exported as printed
    float32, int8 = check_exported(command_line, tmp_path, done.stdout, trained, *stock)
    assert float32 == record["test"]["accuracy"] >= 0.9
    assert int8 >= float32 - 1 / 24, "one picture of 24: the point is measured on the digits"


@pytest.mark.slow
def test_json_and_a_training_again(command_line: CommandLine, tmp_path: Path) -> None:
    draw(tmp_path / "pictures", each=12)
    arguments = ("train", "squeezenet-lab", "--images", "pictures", *SMALL, "--epochs", "1", "--json")
    first = json.loads(command_line(*arguments).stdout)
    (tmp_path / "trained" / "squeezenet-lab" / "more.txt").write_text("goes with the older one")
    again = json.loads(command_line(*arguments, "--seed", "1").stdout)
    assert first.keys() == again.keys() >= {"folder", "accuracy", "interval", "learnt", "next_command"}
    assert json.loads((tmp_path / first["folder"] / "training.json").read_text())["options"]["seed"] == 1
    assert not (tmp_path / first["folder"] / "more.txt").exists()
    assert [path.name for path in (tmp_path / "trained").iterdir()] == ["squeezenet-lab"]


def test_unusable_input_ends_with_2(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line("train", "squeezenet-lab", "--images", "missing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such folder: missing" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def shown(capsys: pytest.CaptureFixture[str], accuracy: float, *, dead: bool, as_json: bool = False) -> str:
    """What the command prints of a training."""
    trained = Trained(
        Path("trained/x"), accuracy, (accuracy - 0.1, accuracy + 0.05), 99, 0.5, dead, "edge-squeeze export x"
    )
    train._show(trained, as_json=as_json)
    return capsys.readouterr().out


def test_the_command_that_is_next_depends_on_what_was_learned(capsys: pytest.CaptureFixture[str]) -> None:
    learned, unsure, dead = (
        shown(capsys, accuracy, dead=dead) for accuracy, dead in ((0.9, False), (0.55, False), (0.5, True))
    )
    assert "Warning" not in learned
    assert learned.endswith("\n\nNext:\n  edge-squeeze export x\n")
    warning = "Warning: That is not significantly better than always predicting the most frequent class (50.0%)."
    assert warning in " ".join(unsure.split())
    assert unsure.endswith("\n\nTo export it anyway:\n  edge-squeeze export x\n")
    assert "Warning: Every test picture gets the same scores: the network is dead" in " ".join(dead.split())
    assert "export" not in dead


@pytest.mark.parametrize(
    ("accuracy", "dead", "warning"), [(0.9, False, None), (0.55, False, "That"), (0.5, True, "Every")]
)
def test_json_tells_what_was_learned(
    capsys: pytest.CaptureFixture[str], accuracy: float, dead: bool, warning: str | None
) -> None:
    document = json.loads(shown(capsys, accuracy, dead=dead, as_json=True))
    assert (document["learnt"], document["dead"]) == (warning is None, dead)
    assert (document["warning"] or "").split(" ")[0] == (warning or "")


class Notes(Silent):
    """A Reporter that keeps the notes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(("epochs", "reports"), [(1, 1), (7, 7), (10, 10), (15, 11), (10_000, 11)])
def test_a_long_training_tells_of_ten_epochs_and_the_first(epochs: int, reports: int) -> None:
    notes = Notes()
    for number in range(1, epochs + 1):
        learning.report(learning.Epoch(number, 0.1, 0.9, 0.2, 0.85), epochs, notes)
    assert len(notes.texts) == reports
    assert notes.texts[0] == f"epoch 1 of {epochs}: validation accuracy 85.0%"
    assert notes.texts[-1] == f"epoch {epochs} of {epochs}: validation accuracy 85.0%"


@pytest.mark.parametrize(
    ("names", "warnings"),
    [
        ((), []),
        (("x.png",), ["warning: ignored 1 picture outside the class folders: x.png"]),
        (("x.png", "y.jpg"), ["warning: ignored 2 pictures outside the class folders: x.png, ..."]),
    ],
)
def test_pictures_beside_the_classes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], warnings: list[str]
) -> None:
    monkeypatch.setattr(training, "_fit", lambda *_: 1 / 0)
    notes, images = Notes(), draw(tmp_path / "few", each=10)
    for name in names:
        (images / name).write_bytes(b"")
    with pytest.raises(ZeroDivisionError):
        edge_squeeze.train("squeezenet-lab", images=images, out=tmp_path, input_size=16, reporter=notes)
    assert [text for text in notes.texts if "warning" in text] == warnings


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "train", "squeezenet-lab", "--images", "pictures", *SMALL, *more],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell may have it ignored
    )


@pytest.mark.parametrize(
    "line", ["[1] pictures", pytest.param("epoch 1 of 300: validation accuracy ", marks=pytest.mark.slow)]
)
def test_an_interrupted_training_says_so_and_leaves_nothing(tmp_path: Path, line: str) -> None:
    """While TensorFlow is loaded, and while it trains: that it does is told meanwhile, also where no terminal is."""
    draw(tmp_path / "pictures", each=12)
    process = start(tmp_path, "--epochs", "300")
    assert process.stderr is not None
    assert any(text.strip().startswith(line) for text in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "Interrupted" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "trained").exists()


# An export is killed like that in the quick tests, too; both write by the same means.
@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [0, 5])
def test_a_training_killed_while_it_writes_leaves_the_older_one_or_the_newer_one(
    tmp_path: Path, milliseconds: int
) -> None:
    draw(tmp_path / "pictures", each=12)
    folder = tmp_path / "trained" / "squeezenet-lab"
    folder.mkdir(parents=True)
    older = {"schema_version": 1, "variant": "", "split": 0, "epochs": 0, "test": 0}
    (folder / "training.json").write_text(json.dumps(older))
    process = start(tmp_path, "--epochs", "1")
    while process.poll() is None and not list((tmp_path / "trained").glob(".*-[0-9]*")):
        time.sleep(0.0005)
    time.sleep(milliseconds / 1000)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.1)  # its work is killed a moment after it
    if json.loads((folder / "training.json").read_text()) != older:
        assert len(list(folder.iterdir())) == 6
        assert (folder / "weights.npz").stat().st_size > 10_000


@pytest.mark.slow
def test_digits_are_told_and_int8_tells_them_as_well(command_line: CommandLine, tmp_path: Path) -> None:
    done = command_line("train", "squeezenet-lab")
    assert done.returncode == 0, done.stderr
    trained = tmp_path / "trained" / "squeezenet-lab"
    assert len(list_pictures(trained / "pictures")) == 1797
    assert json.loads((trained / "training.json").read_text())["test"]["accuracy"] >= 0.95
    float32, int8 = check_exported(command_line, tmp_path, done.stdout, trained)
    assert float32 >= 0.95
    assert abs(int8 - float32) <= 0.01


@pytest.mark.slow
def test_digits_with_labels_by_lot_are_not_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, picture in enumerate(examples.digits().pictures):
        assert picture.content is not None
        folder = tmp_path / "lot" / str(rng.integers(10))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(picture.content)
    trained = edge_squeeze.train("squeezenet-lab", images=tmp_path / "lot", out=tmp_path)
    assert trained.accuracy < 0.3
    assert not trained.learned

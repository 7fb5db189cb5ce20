"""Whatever happens to a bundling process, what index.json names is whole, and what is not ours is left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_artifacts import contents, make, tree

import edge_squeeze
from edge_squeeze.bundling import bundle
from edge_squeeze.errors import UsageError
from edge_squeeze.files import atomic

MOST_STEPS = 100  # more than any of the actions has


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder with the artifacts a and b, and a file of somebody's."""
    target = tmp_path / "models"
    edge_squeeze.bundle([make(tmp_path / "out", "a"), make(tmp_path / "out", "b")], target)
    (target / "notes.txt").write_text("mine")
    return target


@pytest.fixture
def new(tmp_path: Path) -> list[Path]:
    """Newer ones of a and b, and a c."""
    return [make(tmp_path / "new", name, b"newer") for name in ("b", "c", "a")]


def replace_and_add(new: list[Path], target: Path) -> None:
    edge_squeeze.bundle(new, target)


def remove_both(new: list[Path], target: Path) -> None:
    bundle.remove(["a", "b"], target)


class Failing:
    """Has a function of the system fail at call number `step`, counted over all functions it is put before."""

    def __init__(self, step: int, error: BaseException) -> None:
        self._left, self._error = step, error

    def before(self, function: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object) -> object:
            self._left -= 1
            if not self._left:
                raise self._error
            return function(*arguments)

        return called


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "no exchange"])
@pytest.mark.parametrize("act", [replace_and_add, remove_both])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_a_failure_at_any_step_leaves_what_was(
    new: list[Path],
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[list[Path], Path], None],
    exchange: bool,
    error: BaseException,
) -> None:
    before = tree(target)
    for step in range(1, MOST_STEPS):
        failing = Failing(step, error)
        with monkeypatch.context() as patch:
            for module, name in ((os, "rename"), (os, "replace"), (atomic, "_write_durably")):
                patch.setattr(module, name, failing.before(getattr(module, name)))
            patch.setattr(atomic, "_exchange", failing.before(atomic._exchange) if exchange else lambda *_: False)
            try:
                act(new, target)
            except (UsageError, KeyboardInterrupt):
                assert tree(target) == before, step
                assert not list(target.glob(".*")), step
            else:
                break
    assert step > 4
    assert tree(target) != before


def test_a_full_disk_leaves_no_new_folder(new: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_write_durably", Failing(9, OSError(28, "No space left")).before(lambda *_: None))
    with pytest.raises(UsageError, match=r"No space left. Nothing was changed\. Free disk space"):
        edge_squeeze.bundle(new, tmp_path / "deep" / "models")
    assert not (tmp_path / "deep").exists()


def leftovers(target: Path) -> list[str]:
    return [path.name for path in target.iterdir() if path.name.startswith(".")]


WORK = """
import os, sys
from pathlib import Path
from edge_squeeze.bundling import bundle
old, new, target = map(Path, sys.argv[1:])
print("ready", flush=True)
while True:
    for source in (new, old):
        bundle.add([source / "b", source / "a"], target)
        bundle.remove(["a"], target)
"""


@pytest.mark.parametrize("seed", range(12))
def test_a_killed_process_leaves_no_list_that_names_half_a_folder(
    tmp_path: Path, new: list[Path], target: Path, seed: int
) -> None:
    old, newer = tmp_path / "out", tmp_path / "new"
    process = subprocess.Popen([sys.executable, "-c", WORK, old, newer, target], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, 0.1))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    artifacts = bundle.listing(target)
    assert [artifact.entry.name for artifact in artifacts] in (["a", "b"], ["b"], ["b", "a"])
    for entry in (artifact.entry for artifact in artifacts):
        assert tree(target / entry.folder) in (contents(entry.name), contents(entry.name, b"newer"))
    for again in (old, newer):  # it goes on where it was left, but for a folder that was not listed yet
        unlisted = {path.name for path in target.glob("[ab]")} - {artifact.entry.name for artifact in artifacts}
        if not unlisted or tree(target / "a") == contents("a", b"newer" if again == newer else b"model"):
            edge_squeeze.bundle([again / "a", again / "b"], target)
            break
    assert [artifact.problem for artifact in bundle.listing(target)] == [None, None]
    assert leftovers(target) == []


def test_a_folder_that_a_killed_process_did_not_list_yet_is_listed_by_the_next(new: list[Path], target: Path) -> None:
    listed = (target / "index.json").read_bytes()
    edge_squeeze.bundle(new[1], target)
    (target / "index.json").write_bytes(listed)
    edge_squeeze.bundle(new[1], target)
    assert [artifact.entry.name for artifact in bundle.listing(target)] == ["a", "b", "c"]


@pytest.mark.parametrize("theirs", ["c/notes.txt", "c"])
def test_what_the_list_does_not_name_is_not_replaced(new: list[Path], target: Path, theirs: str) -> None:
    (target / theirs).parent.mkdir(exist_ok=True)
    (target / theirs).write_text("mine")
    before = tree(target)
    with pytest.raises(UsageError, match="so it will not be replaced"):
        edge_squeeze.bundle(new, target)
    assert tree(target) == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"artifacts": []}',
        '{"schema_version": 2, "artifacts": []}',
        '{"schema_version": 1}',
        '{"schema_version": 1, "artifacts": [{"folder": "a", "name": "a"}]}',
        '{"schema_version": 1, "artifacts": [{"folder": "../out", "name": "a", "size_bytes": 1}]}',
        '{"schema_version": 1, "artifacts": [{"folder": "..", "name": "a", "size_bytes": 1}]}',
        '{"schema_version": 1, "artifacts": [{"folder": "index.json", "name": "a", "size_bytes": 1}]}',
        '{"schema_version": 1, "artifacts": [{"folder": "a", "name": "\u001b[2J", "size_bytes": 1}]}',
        '{"schema_version": 1, "artifacts": [{"folder": "a", "name": "a", "size_bytes": "1"}]}',
        json.dumps({"schema_version": 1, "artifacts": [{"folder": "a", "name": n, "size_bytes": 1} for n in "ab"]}),
    ],
)
def test_a_list_that_is_damaged_or_not_ours_is_not_replaced(new: list[Path], target: Path, text: str) -> None:
    (target / "index.json").write_text(text)
    before = tree(target.parent)
    for act in (
        lambda: edge_squeeze.bundle(new, target),
        lambda: bundle.remove(["a"], target),
        lambda: bundle.listing(target),
    ):
        with pytest.raises(UsageError, match="Required: an index that `edge-squeeze bundle` wrote"):
            act()
    assert tree(target.parent) == before


def test_commands_at_the_same_time_lose_nothing(tmp_path: Path, target: Path) -> None:
    code = "import sys, edge_squeeze; edge_squeeze.bundle(sys.argv[1], sys.argv[2])"
    names = [f"net-{i}" for i in range(8)]
    folders = [make(tmp_path / "out", name) for name in names]
    running = [subprocess.Popen([sys.executable, "-c", code, folder, target]) for folder in folders]
    assert [process.wait() for process in running] == [0] * len(running)
    assert sorted(artifact.entry.name for artifact in bundle.listing(target)) == ["a", "b", *names]


def test_leftovers_of_a_killed_process_are_cleared_by_the_next(new: list[Path], target: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name in (f".c.partial-{ended.pid}", f".index.json.partial-{ended.pid}", f".c.partial-{os.getpid()}"):
        (target / name).mkdir()
        (target / name / "stray").touch()
    edge_squeeze.bundle(new, target)
    assert leftovers(target) == []
    assert tree(target / "c") == contents("c", b"newer")

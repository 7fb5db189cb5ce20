"""The commands, programs and numbers of docs/evaluation.md are right."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import color_classifier
import pytest
from commands import run_here
from places import ROOT

from edge_squeeze.proof.accuracy import Pairs, verdict
from edge_squeeze.proof.parity import wilson

PAGE = (ROOT / "docs" / "evaluation.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page speaks of, of another network."""
    folder = tmp_path_factory.mktemp("home")
    exported = color_classifier.export(folder)
    for precision, artifact in zip(("float32", "int8"), exported, strict=True):
        artifact.rename(folder / "out" / f"squeezenet1.1-tflite-{precision}")
    color_classifier.label(folder / "my-labeled-pictures", folder / "out" / "squeezenet1.1-tflite-float32", 10)
    return folder


@pytest.mark.usefixtures("own_cache")
def test_its_commands_work(home: Path) -> None:
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        words, _, target = command.partition(" > ")
        done = run_here(home, *shlex.split(words)[1:])
        assert done.returncode == 0, done.stderr
        if target:
            (home / target).write_text(done.stdout)
    assert (home / "rows.csv").is_file()


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("program", PROGRAMS)
def test_its_programs_work(home: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.chdir(home)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, "docs/evaluation.md", "exec"), {})
    last = {"edge_squeeze.evaluate": "0", "Pairs.of": "worse"}
    assert printed.getvalue().splitlines()[-1] == next(text for call, text in last.items() if call in program)


def test_its_intervals_are_wilsons() -> None:
    rows = re.findall(r"(?m)^\| ([\d,]+) \| ([\d.]+) to ([\d.]+) % \|$", PAGE)
    assert len(rows) == 4
    for number, low, high in rows:
        count = int(number.replace(",", ""))
        assert [f"{100 * bound:.1f}" for bound in wilson(round(0.61 * count), count)] == [low, high]


def test_its_example_of_pairs_is_computed() -> None:
    counts = dict(re.findall(r"(?m)^\| (both right|only the \w+ right|both wrong) \| (\d+) \|$", PAGE))
    both, first, second, neither = map(int, counts.values())
    pairs = Pairs(both, second, first, neither)
    low, high = pairs.difference_interval
    assert f"{100 * pairs.difference:.1f} points with the interval {100 * low:.1f} to {100 * high:.1f}" in PAGE
    assert f"p = {pairs.p_value:.2g}" in PAGE
    for right in (both + first, both + second):
        bounds = " to ".join(f"{100 * bound:.1f}" for bound in wilson(right, 1000))
        assert f"{right / 10:.1f} % ({bounds})" in PAGE
    assert verdict(pairs, pairs.p_value) == "worse"

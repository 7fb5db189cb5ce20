"""Bad input breaks nothing: each case ends in one message and a documented exit code, in bounded time and memory."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bad_input_cases import GROUPS, REFUSED, Case, Files, Material
from small_models import network
from spending import Spent, spent

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.pictures.loading import photograph

LONGEST_S, IMPORTS = 10, 4  # of processor time, or as many times as long as TensorFlow takes to be imported just now
DEADLINE_S = 60  # of a clock
LARGEST_BYTES = 2 << 30
SOME, FEW = 2, 1  # cases of a group in the quick run, and where each loads TensorFlow
LOADING = ("models", "golden")


def importing_s() -> float:
    """Processor time of TensorFlow's import just now; two threads of one core share it, so other work stretches it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "import tensorflow"]
        return spent(command, Path(folder), Path(folder, "stderr.txt"), DEADLINE_S).cpu_s


@dataclass(frozen=True)
class Outcome:
    """How a process ended."""

    stderr: str
    spent: Spent

    def faults(self, allowed: tuple[int, ...]) -> list[str]:
        code = self.spent.code
        problems = [] if code in allowed else [f"exit code {code}"]
        if "Traceback" in self.stderr:
            problems.append("traceback")
        if code in REFUSED and sum(line.startswith("Error: ") for line in self.stderr.splitlines()) != 1:
            problems.append("not one message")
        if code in REFUSED and self.spent.cpu_s > LONGEST_S and self.spent.cpu_s > IMPORTS * importing_s():
            problems.append(f"{self.spent.cpu_s:.0f} s")
        if self.spent.peak_bytes > LARGEST_BYTES:
            problems.append(f"{self.spent.peak_bytes >> 20} MB")
        return [f"{fault}: {self.stderr[-300:]}" for fault in problems]


def execute(case: Case, folder: Path) -> Outcome:
    """Run the command with its files in `folder`, and see what it took, its children included."""
    for name, data in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    stderr = folder / "stderr.txt"
    ended = spent([sys.executable, "-m", "edge_squeeze", *case.command], folder, stderr, DEADLINE_S)
    return Outcome(stderr.read_text("utf-8", "replace"), ended)


def content(folder: Path) -> Files:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory, exported_11: dict[str, Exported]) -> Material:
    folder = tmp_path_factory.mktemp("material")
    squeezenet = edge_squeeze.build(weights="random", classes=4, input_size=64)
    for name in ("weights.keras", "weights.h5"):
        squeezenet.save(folder / name)
    squeezenet.save_weights(folder / "own.weights.h5")
    own: Any = {
        layer.name: [array.astype("f4") for array in layer.get_weights()]
        for layer in squeezenet.layers
        if layer.weights
    }
    (folder / "weights.pkl").write_bytes(pickle.dumps(own))
    save_npz(folder / "weights.npz", own)
    network((32, 32, 3), 4).save(folder / "model.keras")
    network((32, 32, 3), 4).save(folder / "model.h5")
    network((32, 32, 3), 4).export(folder / "saved", verbose=False)
    photograph("coffee").resize((120, 80)).save(folder / "picture.jpg")
    names = ("weights.keras", "weights.h5", "own.weights.h5", "weights.pkl", "weights.npz")
    return Material(
        trace=folder / "trace",
        picture=(folder / "picture.jpg").read_bytes(),
        weights={name: (folder / name).read_bytes() for name in names},
        models={name: (folder / name).read_bytes() for name in ("model.keras", "model.h5")},
        saved_model=content(folder / "saved"),
        artifacts={
            name: content(exported_11[name].folder) for name in ("tflite-float32", "tflite-int8", "onnx-float32")
        },
    )


def save_npz(path: Path, layers: Any) -> None:
    import numpy as np

    named = {
        f"{layer}/{kind}": array
        for layer, pair in layers.items()
        for kind, array in zip(("kernel", "bias"), pair, strict=True)
    }
    np.savez(path, **named)


def check(cases: Iterator[Case], known: Material, folder: Path) -> int:
    """How many cases ran; fails with all that ended otherwise than they should."""
    faults, count = {}, 0
    for case in cases:
        here = folder / str(count)
        small = {"picture.jpg": known.picture, "pictures/a.jpg": known.picture}
        whole = Case(case.name, case.command, {**small, **case.files}, case.allowed)
        problems = execute(whole, here).faults(case.allowed)
        problems += [f"left behind: {path.name}" for path in here.glob("out/.*")]
        problems += ["its code ran"] if known.trace.exists() else []
        if problems:
            faults[case.name] = problems
        shutil.rmtree(here)
        count += 1
    assert not faults, json.dumps(faults, indent=1)
    return count


@pytest.fixture(scope="session")
def names(material: Material) -> dict[str, list[str]]:
    """The names of the cases of each group, which take a while to make."""
    return {group: [case.name for case in make(material)] for group, make in GROUPS.items()}


@pytest.mark.parametrize("group", GROUPS)
def test_some_bad_input_of_every_kind(
    material: Material, names: dict[str, list[str]], tmp_path: Path, group: str
) -> None:
    count = FEW if group in LOADING else SOME
    chosen = random.Random(group).sample(names[group], count)
    assert check((case for case in GROUPS[group](material) if case.name in chosen), material, tmp_path) == count


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_all_bad_input(material: Material, tmp_path: Path, group: str) -> None:
    assert check(GROUPS[group](material), material, tmp_path) >= 20


def test_the_memory_of_the_tests_is_not_counted_as_a_commands(tmp_path: Path) -> None:
    held = b"x" * (300 << 20)
    peaks = [
        spent([sys.executable, "-c", code], tmp_path, tmp_path / "stderr.txt", DEADLINE_S).peak_bytes
        for code in ("pass", "held = b'x' * (300 << 20)")
    ]
    assert peaks[0] < len(held) < peaks[1]


def test_there_are_enough_cases(names: dict[str, list[str]]) -> None:
    assert all(len(of_group) == len(set(of_group)) for of_group in names.values())
    assert sum(map(len, names.values())) >= 300

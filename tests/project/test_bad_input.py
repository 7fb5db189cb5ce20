"""Bad input breaks nothing: each case ends in one message and a documented exit code, in bounded time and memory."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
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


@dataclass(frozen=True)
class Outcome:
    """How a process ended."""

    stderr: str
    spent: Spent

    def faults(self, allowed: tuple[int, ...], longest_s: float) -> list[str]:
        code = self.spent.code
        found = [] if code in allowed else [f"exit code {code}"]
        if "Traceback" in self.stderr:
            found.append("traceback")
        if code in REFUSED and sum(line.startswith("Error: ") for line in self.stderr.splitlines()) != 1:
            found.append("not one message")
        if code in REFUSED and self.spent.cpu_s > longest_s:
            found.append(f"{self.spent.cpu_s:.0f} s")
        if self.spent.peak_bytes > LARGEST_BYTES:
            found.append(f"{self.spent.peak_bytes >> 20} MB")
        return [f"{fault}: {self.stderr[-300:]}" for fault in found]


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


@pytest.fixture(scope="session")
def longest_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Processor time that a refusal may take; two threads of one core share it, so other work stretches it, too."""
    folder = tmp_path_factory.mktemp("import")
    importing = spent([sys.executable, "-c", "import tensorflow"], folder, folder / "stderr.txt", DEADLINE_S)
    return max(LONGEST_S, IMPORTS * importing.cpu_s)


def check(cases: Iterator[Case], known: Material, folder: Path, longest_s: float) -> int:
    """How many cases ran; fails with all that ended otherwise than they should."""
    faults, count = {}, 0
    for case in cases:
        here = folder / str(count)
        small = {"picture.jpg": known.picture, "pictures/a.jpg": known.picture}
        whole = Case(case.name, case.command, {**small, **case.files}, case.allowed)
        found = execute(whole, here).faults(case.allowed, longest_s)
        found += [f"left behind: {path.name}" for path in here.glob("out/.*")]
        found += ["its code ran"] if known.trace.exists() else []
        if found:
            faults[case.name] = found
        shutil.rmtree(here)
        count += 1
    assert not faults, json.dumps(faults, indent=1)
    return count


def every(cases: Iterator[Case], step: int) -> Iterator[Case]:
    return (case for i, case in enumerate(cases) if i % step == 0)


@pytest.mark.parametrize("group", GROUPS)
def test_some_bad_input_of_every_kind(material: Material, longest_s: float, tmp_path: Path, group: str) -> None:
    assert check(every(GROUPS[group](material), 19), material, tmp_path, longest_s) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_all_bad_input(material: Material, longest_s: float, tmp_path: Path, group: str) -> None:
    assert check(GROUPS[group](material), material, tmp_path, longest_s) >= 20


def test_the_memory_of_the_tests_is_not_counted_as_a_commands(tmp_path: Path) -> None:
    held = b"x" * (300 << 20)
    peaks = [
        spent([sys.executable, "-c", code], tmp_path, tmp_path / "stderr.txt", DEADLINE_S).peak_bytes
        for code in ("pass", "held = b'x' * (300 << 20)")
    ]
    assert peaks[0] < len(held) < peaks[1]


def test_there_are_enough_cases(material: Material) -> None:
    names = [f"{group} {case.name}" for group, make in GROUPS.items() for case in make(material)]
    assert len(names) == len(set(names))
    assert len(names) >= 300

"""Engines that are installed and cannot work: what is said of them, and that nothing else suffers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from synthetic import SETTINGS, FakeDevice, asked

from edge_squeeze.benchmarks import arms, benchmark
from edge_squeeze.benchmarks.arms import Ask
from edge_squeeze.doctor import examination
from edge_squeeze.doctor.examination import Installation
from edge_squeeze.engines import catalogue
from edge_squeeze.engines.engine import engine_errors
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.packages import read_requirements
from edge_squeeze.reporting import Silent

REQUIREMENTS = read_requirements([
    "numpy>=1.24", 'tflite-runtime>=2.14; extra == "tflite-runtime"', 'numpy<2; extra == "tflite-runtime"',
    'ai-edge-litert>=2.3; extra == "litert"',
])  # fmt: skip
INSTALLED = {"numpy": "2.4.6", "tflite-runtime": "2.14.0", "ai-edge-litert": "2.3.0", "openvino": "2026.4"}
CRASHED = {"openvino": "ended by SIGILL"}
NUMPY_2 = "numpy 2.4.6 is too new, required >=1.24,<2 for tflite-runtime"


@pytest.fixture
def three_engines(monkeypatch: pytest.MonkeyPatch) -> Installation:
    """LiteRT, which works, tflite-runtime beside a NumPy that it cannot use, and an OpenVINO that does not load."""
    here = Installation(REQUIREMENTS, INSTALLED.get, lambda _: None, CRASHED.get)
    monkeypatch.setattr(examination, "Installation", lambda _: here)
    modules = {"ai_edge_litert", "tflite_runtime", "openvino"}
    for module in (catalogue, arms):
        monkeypatch.setattr(module, "is_installed", modules.__contains__)
    return here


def test_the_doctor_says_of_each_engine_what_is_wrong(three_engines: Installation) -> None:
    assert examination.engine_faults(["litert", "tflite-runtime", "openvino"], three_engines) == {
        "tflite-runtime": NUMPY_2,
        "openvino": "openvino is installed but does not load: ended by SIGILL",
    }


def test_all_leaves_out_what_cannot_work_and_says_why(three_engines: Installation, tmp_path: Path) -> None:
    (tmp_path / "one.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    ask = Ask([tmp_path / "one.tflite"], runtimes=["all"])
    faults = arms.faults(ask)
    assert [arm.engine for arm in arms.resolve(ask, faults)] == ["litert"]
    told = list(arms.left_out(ask, faults))
    assert f"Left out: tflite-runtime, which cannot work here ({NUMPY_2})." in told
    assert not [one for one in told if "litert," in one]
    with pytest.raises(UsageError, match="none of the engines here runs"):
        arms.resolve(ask, faults | {"litert": "broken"})


def test_an_engine_that_is_named_is_tried_whatever_is_said_of_it(three_engines: Installation, tmp_path: Path) -> None:
    (tmp_path / "one.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    ask = Ask([tmp_path / "one.tflite"], runtimes=["tflite-runtime"])
    assert arms.faults(ask) == {}
    assert [arm.engine for arm in arms.resolve(ask)] == ["tflite-runtime"]


@pytest.mark.usefixtures("own_cache", "three_engines")
def test_a_whole_benchmark_of_all_engines_measures_those_that_work(tmp_path: Path) -> None:
    device, ask = FakeDevice({"a.": 2.0, "b.": 2.0, "c.": 2.0}), dataclasses.replace(asked(tmp_path), runtimes=["all"])
    reporter = Remembers()
    result = benchmark.run(ask, SETTINGS, reporter, device)
    assert {one.arm.engine for one in result.arms} == {"litert"}
    assert any(NUMPY_2 in note for note in reporter.notes)
    assert reporter.steps == ["import the engines"]
    benchmark.run(asked(tmp_path), SETTINGS, reporter, device)
    assert reporter.steps == ["import the engines"], "which takes seconds, and is for --runtime all alone"


def test_the_doctor_says_what_it_does_while_it_imports_engines() -> None:
    seen: list[str] = []

    def import_it(module: str) -> None:
        seen.append(f"{reporter.under_way} {module}")

    reporter = Remembers()
    here = Installation(REQUIREMENTS, INSTALLED.get, lambda _: None, import_it)
    examination.examine(installation=here, reporter=reporter)
    title = "import litert, tflite-runtime"
    assert sorted(seen) == [f"{title} ai_edge_litert.interpreter", f"{title} tflite_runtime.interpreter"]


class Remembers(Silent):
    """A Reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.notes, self.steps = list[str](), list[str]()
        self.under_way: str | None = None

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self.steps.append(title)
        self.under_way = title
        yield
        self.under_way = None


def test_an_error_names_no_object_in_memory_but_the_error_behind_it() -> None:
    built_for_another_numpy = SystemError(f"{[].append} returned a result with an exception set")
    built_for_another_numpy.__cause__ = ImportError("numpy.core.multiarray failed to import")
    with pytest.raises(ConversionError) as raised, engine_errors("It refuses a.tflite"):
        raise built_for_another_numpy
    assert str(raised.value) == (
        "It refuses a.tflite: numpy.core.multiarray failed to import. The engine does not work here. Run "
        "`edge-squeeze doctor` to find out why."
    )
    with pytest.raises(ConversionError) as raised, engine_errors("It refuses a.tflite"):
        raise ValueError(f"{[].append} does not take that")
    assert str(raised.value) == "It refuses a.tflite: a function of the engine does not take that"

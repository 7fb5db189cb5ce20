"""Files, engines and threads as arms, and engines that are installed and cannot work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from synthetic import DEFAULT, PLACEMENT, FakeDevice, three_files

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.benchmarks import arms, benchmark, model_files
from edge_squeeze.benchmarks.arms import Arm
from edge_squeeze.benchmarks.local_launches import Local
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.doctor import examination
from edge_squeeze.doctor.examination import Installation
from edge_squeeze.engines import catalogue
from edge_squeeze.engines.engine import engine_errors
from edge_squeeze.errors import ConversionError, MissingDependencyError, UsageError
from edge_squeeze.packages import read_requirements
from edge_squeeze.reporting import Silent

TFLITE, ONNX = b"\x1c\0\0\0TFL3 and more", b"\x08\x08 nodes"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files that look like models, which is all that is asked of them before they are run."""
    made = {name: tmp_path / name for name in ("one.tflite", "two.onnx")}
    for path, data in zip(made.values(), (TFLITE, ONNX), strict=True):
        path.write_bytes(data)
    return made


def resolved(paths: Sequence[Path], **options: Any) -> list[Arm]:
    return arms.resolve(model_files.read_all(paths), BenchmarkOptions(**options), PLACEMENT)


def ids(paths: Sequence[Path], **options: Any) -> list[str]:
    return [arm.id for arm in resolved(paths, **options)]


def test_every_combination_is_an_arm(files: dict[str, Path]) -> None:
    asked = ids(list(files.values()), runtime=("litert", "litert:builtin", "onnxruntime"), threads=(1, 2))
    assert asked == [
        "one.tflite litert 1",
        "one.tflite litert 2",
        "one.tflite litert:builtin 1",
        "one.tflite litert:builtin 2",
        "two.onnx onnxruntime 1",
        "two.onnx onnxruntime 2",
    ]


def test_by_default_each_file_gets_the_first_engine_for_it(files: dict[str, Path]) -> None:
    assert ids(list(files.values())) == ["one.tflite litert 1", "two.onnx onnxruntime 1"]


def test_tensorflow_is_never_taken(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "is_installed", lambda name: name == "tensorflow")
    with pytest.raises(MissingDependencyError, match=r"edge-squeeze\[litert\]"):
        ids([files["one.tflite"]])
    with pytest.raises(UsageError, match="would load TensorFlow"):
        ids([files["one.tflite"]], runtime=("tf.lite",))


def test_all_means_the_installed_engines_that_read_the_file(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"ai_edge_litert", "onnxruntime", "ncnn", "pnnx"}
    for module in (catalogue, arms):
        monkeypatch.setattr(module, "is_installed", lambda name: name in here)
    everything = ids(list(files.values()), runtime=("all",))
    assert everything == ["one.tflite litert 1", "two.onnx onnxruntime 1", "two.onnx ncnn 1"]
    here.remove("pnnx")  # without it ncnn has nothing to run
    assert ids([files["two.onnx"]], runtime=("all",)) == ["two.onnx onnxruntime 1"]


def test_an_optional_engine_that_is_missing_is_named_with_its_package(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "is_installed", lambda name: name == "ai_edge_litert")
    with pytest.raises(MissingDependencyError, match="pip install openvino"):
        ids([files["one.tflite"]], runtime=("openvino",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runtime": ("litrt",)}, "Did you mean litert"),
        ({"runtime": ("onnxruntime:builtin",)}, "Unknown runtime"),
        ({"runtime": ("onnxruntime",)}, "runs onnx files, but none was given"),
        ({"threads": (0,)}, "threads must be 1 to 256"),
    ],
)
def test_what_cannot_be_measured_is_refused(files: dict[str, Path], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ids([files["one.tflite"]], **changes)


def test_a_file_that_no_named_engine_runs_is_named(files: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"two.onnx is an .onnx file, which none of litert runs"):
        ids(list(files.values()), runtime=("litert",))


@pytest.mark.parametrize("data", [b"", b"this is text", b"\x1c\0\0\0TFL2"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.tflite").write_bytes(data)
    with pytest.raises(UsageError, match="is not a model file that can be run"):
        ids([tmp_path / "model.tflite"])


def test_copies_are_told_apart_by_their_path(tmp_path: Path, files: dict[str, Path]) -> None:
    (tmp_path / "b").mkdir()
    copy = shutil.copy(files["one.tflite"], tmp_path / "b")
    names = [arm.name for arm in resolved([files["one.tflite"], Path(copy), files["one.tflite"]])]
    assert names == [str(files["one.tflite"]), str(copy), f"{files['one.tflite']} (2)"]


def test_an_artifact_brings_what_it_says_of_itself(float32_11: Artifact, tmp_path: Path) -> None:
    (arm,) = resolved([float32_11.folder])
    assert (arm.name, arm.precision, arm.parity) == ("squeezenet1.1-tflite-float32", "float32", "pass")
    assert (arm.inputs.kind, arm.pixels) == ("pixels", [227, 227])
    copy = Path(shutil.copytree(float32_11.folder, tmp_path / "copy"))
    model = copy / float32_11.manifest.file.name
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(UsageError, match="is not the file that was exported"):
        resolved([copy])


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="9999"):
        Local().place("9999")
    with pytest.raises(UsageError, match="Nothing to measure"):
        model_files.read_all([])


REQUIREMENTS = read_requirements(
    [
        "numpy>=1.24",
        'tflite-runtime>=2.14; extra == "tflite-runtime"',
        'numpy<2; extra == "tflite-runtime"',
        'ai-edge-litert>=2.3; extra == "litert"',
    ]
)
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
    models, options = model_files.read_all([tmp_path / "one.tflite"]), BenchmarkOptions(runtime=("all",))
    faults = arms.faults(options)
    assert [arm.engine for arm in arms.resolve(models, options, PLACEMENT, faults)] == ["litert"]
    reasons = list(arms.left_out(options, faults))
    assert f"Left out: tflite-runtime, which cannot work here ({NUMPY_2})." in reasons
    assert not [reason for reason in reasons if "litert," in reason]
    with pytest.raises(UsageError, match="none of the engines here runs"):
        arms.resolve(models, options, PLACEMENT, faults | {"litert": "broken"})


def test_an_engine_that_is_named_is_tried_whatever_is_said_of_it(three_engines: Installation, tmp_path: Path) -> None:
    (tmp_path / "one.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    models, options = model_files.read_all([tmp_path / "one.tflite"]), BenchmarkOptions(runtime=("tflite-runtime",))
    assert arms.faults(options) == {}
    assert [arm.engine for arm in arms.resolve(models, options, PLACEMENT)] == ["tflite-runtime"]


@pytest.mark.usefixtures("own_cache", "three_engines")
def test_a_whole_benchmark_of_all_engines_measures_those_that_work(tmp_path: Path) -> None:
    device, models = FakeDevice({"a.": 2.0, "b.": 2.0, "c.": 2.0}), model_files.read_all(three_files(tmp_path))
    reporter = Remembers()
    result = benchmark.run(models, BenchmarkOptions(runtime=("all",)), reporter, device)
    assert {arm.arm.engine for arm in result.arms} == {"litert"}
    assert any(NUMPY_2 in note for note in reporter.notes)
    assert reporter.steps == ["import the engines"]
    benchmark.run(models, DEFAULT, reporter, device)
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

"""Files whose height and width stay open: what they hold, how they are proven, run, timed and bundled."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.benchmarks import arms, model_files, preparation
from edge_squeeze.benchmarks.arms import Arm, Placement
from edge_squeeze.benchmarks.launch_records import TIMED, InputSet, Pace, Task
from edge_squeeze.benchmarks.local_launches import Local
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.engines import ncnn_engine
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import UsageError
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.pictures import loading

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
NAMES = [f"{target.format}-{target.precision}" for target in all_targets()]
USUAL, *OTHERS = SIZES = [(32, 32), (25, 25), (40, 40), (32, 49)]
CAT = "chelsea"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Every target of the smallest variant with random weights, for pictures of any size."""
    out = tmp_path_factory.mktemp("any")
    every = edge_squeeze.export(
        "squeezenet-lab",
        weights="random",
        input_size="any",
        format="all",
        precision="all",
        quantizer="stock",
        out=out,
    )
    return {f"{export.manifest.format}-{export.manifest.precision}": export for export in every}


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An .onnx file that leaves everything but the channels open, which come first."""
    (export,) = edge_squeeze.export(
        "squeezenet-lab",
        weights="random",
        input_size="any",
        format="onnx",
        layout="nchw",
        dynamic_batch=True,
        out=tmp_path_factory.mktemp("turned"),
    )
    return export


def model(export: Exported) -> bytes:
    return artifact.load(export.folder).model()


def crops(size: tuple[int, int]) -> np.ndarray:
    return loading.photograph_crops(1, size, seed=5).pixels


@pytest.mark.parametrize("name", NAMES)
def test_files_leave_height_and_width_open(exported: dict[str, Exported], name: str) -> None:
    manifest, inspection = exported[name].manifest, inspect(model(exported[name]), name.partition("-")[0])
    shape = [1, 3, None, None] if manifest.format == "onnx" else [1, None, None, 3]
    stock = "-stock" if manifest.quantizer else ""
    assert manifest.name == f"squeezenet-lab-{name}-random-input-size-any{stock}"
    assert manifest.input.shape == inspection.inputs[0].shape == tuple(shape)
    assert manifest.output.shape == inspection.outputs[0].shape == (1, 10)
    assert manifest.any_size
    assert manifest.input_size == manifest.preprocessing.size == USUAL
    assert json.loads((exported[name].folder / "model.json").read_text())["input"]["shape"] == shape


def test_open_sides_of_onnx_files_are_named(turned: Exported) -> None:
    import onnx

    graph = onnx.load_model_from_string(model(turned)).graph
    sides = [
        [side.dim_param or side.dim_value for side in end.type.tensor_type.shape.dim]
        for end in (*graph.input, *graph.output)
    ]
    assert sides == [["batch", 3, "height", "width"], ["batch", 10]]
    assert open_runner(model(turned), "onnx").run(crops((19, 30))).shape == (5, 10)


@pytest.mark.parametrize("name", NAMES)
def test_every_size_is_proven(exported: dict[str, Exported], name: str) -> None:
    proof = exported[name].proof
    assert [part.pictures.size for part in (proof, *proof.others)] == SIZES
    assert [len(part.pictures) for part in (proof, *proof.others)] == [40, 10, 10, 10]
    assert proof.pictures.names[::4] == proof.others[0].pictures.names
    assert {part.verdict for part in (proof, *proof.others)} == {"unproven"}
    if "float32" in name:
        assert max(part.parity.max_abs for part in (proof, *proof.others)) < 1e-5
    sets = json.loads((exported[name].folder / "parity.json").read_text())["sets"]
    assert [tuple(part["size"]) for part in sets] == SIZES
    assert [len(part["figures"]["per_picture"]) for part in sets] == [40, 10, 10, 10]


@pytest.mark.slow
def test_tuned_weights_serve_every_size(exported: dict[str, Exported], tmp_path: Path) -> None:
    for tuned in edge_squeeze.export(
        "squeezenet-lab",
        weights="random",
        input_size="any",
        format="all",
        precision="int8",
        quantizer="tuned",
        out=tmp_path,
    ):
        stock = exported[f"{tuned.manifest.format}-int8"]
        assert "tuned weights" in str(tuned.manifest.quantizer)
        for better, plain in zip((tuned.proof, *tuned.proof.others), (stock.proof, *stock.proof.others), strict=True):
            assert better.parity.rmse < plain.parity.rmse / 3, better.pictures.size


@pytest.mark.parametrize("name", NAMES)
def test_a_runner_takes_one_size_after_another(exported: dict[str, Exported], name: str) -> None:
    data, format_name = model(exported[name]), name.partition("-")[0]
    runner = open_runner(data, format_name)
    for size in (USUAL, *OTHERS, (4, 4), USUAL):
        expected = open_runner(data, format_name).run(crops(size))
        np.testing.assert_array_equal(runner.run(crops(size)), expected)
    assert not np.array_equal(runner.run(crops(USUAL)), expected[::-1])


@pytest.mark.parametrize("pixels", [np.zeros((1, 0, 32, 3), np.uint8), np.zeros((1, 32, 32, 1), np.uint8)])
def test_what_is_no_picture_is_refused(exported: dict[str, Exported], pixels: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"Required: pixels \[N,any,any,3\] uint8"):
        open_runner(model(exported["tflite-float32"]), "tflite").run(pixels)


@pytest.mark.parametrize("name", ["tflite-int8", "onnx-float32"])
def test_it_is_verified_at_every_size(exported: dict[str, Exported], name: str) -> None:
    verification = edge_squeeze.verify(exported[name].folder)
    assert verification.passed
    assert verification.golden.max_abs == 0
    assert verification.proof is not None
    assert [part.pictures.size for part in verification.proof.others] == OTHERS
    assert verification.proof.parity == exported[name].proof.parity


def test_pictures_of_the_user_are_shown_at_every_size(exported: dict[str, Exported], pictures: Path) -> None:
    proof = edge_squeeze.verify(exported["tflite-float32"].folder, images=pictures).proof
    assert proof is not None
    assert [len(part.pictures) for part in (proof, *proof.others)] == [3, 3, 3, 3]
    assert proof.basis.endswith(", 3 of them also at 25 x 25 and at 40 x 40 and at 32 x 49")


def test_a_picture_is_classified_at_any_size(exported: dict[str, Exported]) -> None:
    export = exported["tflite-float32"]
    classifier, picture = edge_squeeze.load(export.folder), loading.photograph(CAT)
    usual, same, wide = (classifier.predict(picture, input_size=size) for size in (None, 32, (40, 61)))
    assert usual == same != wide
    pixels = export.manifest.preprocessing.at((40, 61)).pixels(picture)
    assert wide[0].score == pytest.approx(_softmax(classifier.runner.run(pixels[None])[0]).max())


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.exp(scores - scores.max())
    return powers / powers.sum()


@pytest.mark.parametrize("name", ["tflite-int8", "onnx-float16"])
def test_a_size_that_leaves_nothing_to_pool_is_refused(exported: dict[str, Exported], name: str) -> None:
    with pytest.raises(UsageError, match="input size must be 4 to 4096 pixels, got 3 x 50"):
        edge_squeeze.load(exported[name].folder).predict(loading.photograph(CAT), input_size=(3, 50))


def resolved(folders: list[Path], *shapes: tuple[int, ...]) -> list[Arm]:
    return arms.resolve(model_files.read_all(folders), BenchmarkOptions(input_shape=shapes), Placement())


@pytest.mark.parametrize("name", ["tflite-int8", "onnx-float32"])
def test_nothing_is_timed_where_nothing_is_left_to_pool(exported: dict[str, Exported], name: str) -> None:
    """One engine crashes there, and the other would be timed at computing nothing."""
    with pytest.raises(UsageError, match="input size must be 4 to 4096 pixels, got 40 x 3"):
        resolved([exported[name].folder], (1, 40, 3, 3))


def test_the_command_line_classifies_at_any_size(
    exported: dict[str, Exported], command_line: CommandLine, pictures: Path
) -> None:
    folder = exported["tflite-int8"].folder
    for size, code in (("48x64", 0), ("3", 2), ("wide", 2), ("any", 2)):
        done = command_line("predict", folder, pictures, "--input-size", size, "--json")
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_other_artifacts_keep_their_size(tmp_path: Path) -> None:
    (export,) = edge_squeeze.export("squeezenet-lab", weights="random", out=tmp_path)
    with pytest.raises(UsageError, match=r"takes pictures of 32 x 32 pixels; --input-size cannot change that"):
        edge_squeeze.load(export.folder).predict(loading.photograph(CAT), input_size=40)


@pytest.mark.parametrize(
    ("asked", "shapes", "pixels"),
    [((), {3: [1, 32, 32, 3], 1: [1, 3, 32, 32]}, [32, 32])]
    + [(((1, *sides),), {3: [1, 40, 48, 3], 1: [1, 3, 40, 48]}, [40, 48]) for sides in ((40, 48, 3), (3, 40, 48))],
    ids=["usual", "nhwc", "nchw"],
)
def test_it_is_timed_at_its_usual_size_or_at_that_asked_for(
    exported: dict[str, Exported], asked: tuple[tuple[int, ...], ...], shapes: dict[int, list[int]], pixels: list[int]
) -> None:
    """A shape is asked for once, whatever the layouts of the files: tflite has its channels last, onnx first."""
    folders = [exported[name].folder for name in ("tflite-int8", "onnx-float32")]
    for arm in resolved(folders, *asked):
        assert (arm.shapes, arm.pixels) == ([shapes[3 if arm.format == "tflite" else 1]], pixels)
        task = Task(
            TIMED,
            arm.path,
            arm.engine,
            None,
            1,
            True,
            [],
            InputSet(arm.inputs.kind),
            Pace(2, 0.0, 5.0, 5, 0.0, 5.0, block_s=0.01),
            shapes=arm.shapes,
        )
        launch = Local().launch(task)
        assert len(launch.samples_ns) >= 5
        assert launch.sanity.finite
        assert not launch.sanity.constant
        assert launch.inputs.distinct == 8


def test_a_shape_is_for_files_of_both_layouts_outside_artifacts_too(
    exported: dict[str, Exported], tmp_path: Path
) -> None:
    names = ("tflite-float32", "onnx-float32")
    files = [(tmp_path / name).with_suffix(f".{name.partition('-')[0]}") for name in names]
    for file, name in zip(files, names, strict=True):
        file.write_bytes(model(exported[name]))
    for asked in ((1, 40, 48, 3), (1, 3, 40, 48)):
        assert [arm.shapes for arm in resolved(files, asked)] == [[[1, 40, 48, 3]], [[1, 3, 40, 48]]]
    for asked in ((1, 40, 48, 4), (40, 48, 3)):  # of neither
        with pytest.raises(UsageError, match=r"takes inputs of the shape 1,\?,\?,3\. Required: an --input-shape"):
            resolved(files, asked)


def test_pictures_are_prepared_for_the_size_that_is_timed(
    exported: dict[str, Exported], pictures: Path, tmp_path: Path
) -> None:
    (arm,) = preparation.prepare(resolved([exported["tflite-int8"].folder], (1, 40, 48, 3)), pictures, tmp_path).arms
    assert np.load(str(arm.inputs.path)).shape == (3, 40, 48, 3)


def test_channels_that_come_first_are_timed_as_such(turned: Exported) -> None:
    (arm,) = resolved([turned.folder])
    assert (arm.shapes, arm.pixels) == ([[1, 3, 32, 32]], [32, 32])


def test_ncnn_is_given_none_whose_pools_are_padded(
    turned: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pictures: Path
) -> None:
    """Pnnx is not installed here: this was found by hand, and that the variants without such padding come out right."""
    monkeypatch.setattr(ncnn_engine, "convert", lambda model, folder: folder / "model.ncnn.param")
    (padded,) = edge_squeeze.export(
        "squeezenet-mlt",
        weights="random",
        classes=2,
        input_size="any",
        base_e=16,
        incr_e=16,
        format="onnx",
        images=pictures,
        out=tmp_path,
    )
    every = [dataclasses.replace(arm, engine="ncnn", id=arm.name) for arm in resolved([turned.folder, padded.folder])]
    (tmp_path / "ready").mkdir()
    ready = preparation.prepare(every, None, tmp_path / "ready")
    assert list(ready.failures) == [padded.manifest.name]
    assert "Export it with a fixed --input-size" in ready.failures[padded.manifest.name]


def test_the_demo_app_is_given_none(exported: dict[str, Exported], command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "src" / "main").mkdir(parents=True)
    (tmp_path / "src" / "main" / "AndroidManifest.xml").touch()
    folder = exported["tflite-int8"].folder
    done = command_line("bundle", "android", folder, tmp_path, "--force")
    assert done.returncode == 2
    assert "Export the network with --input-size 32x32" in " ".join(done.stderr.split())
    assert not (tmp_path / "src" / "main" / "assets").exists()
    assert command_line("bundle", "files", folder, tmp_path / "models", "--force").returncode == 0

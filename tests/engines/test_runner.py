from __future__ import annotations

import sys

import numpy as np
import pytest

from edge_squeeze.artifact import folder
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.engines import catalogue
from edge_squeeze.engines.engine import BUILTIN, Tensor
from edge_squeeze.engines.runner import RunOptions, open_runner, to_input, to_scores
from edge_squeeze.errors import ConversionError, MissingDependencyError, UsageError
from edge_squeeze.pictures import loading

NAMES = [f"{target.format}-{target.precision}" for target in all_targets()]
CROPS = loading.photograph_crops(1, (227, 227), seed=5)
ONE_STEP = 1 / 256


def load(exported: dict[str, Exported], name: str) -> tuple[bytes, str]:
    artifact = folder.load(exported[name].folder)
    return artifact.model(), artifact.manifest.format


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_keeps_the_contract(exported_11: dict[str, Exported], name: str) -> None:
    runner = open_runner(*load(exported_11, name))
    scores = runner.run(CROPS.pixels)
    assert scores.shape == (len(CROPS), 1000)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=0.15)  # 1,000 small int8 scores round to 0
    np.testing.assert_array_equal(runner.run(CROPS.pixels[2:3])[0], scores[2])


@pytest.mark.parametrize("name", NAMES)
def test_threads_do_not_change_the_scores(exported_11: dict[str, Exported], name: str) -> None:
    serial, parallel = (open_runner(*load(exported_11, name), RunOptions(threads=n)).run(CROPS.pixels) for n in (1, 2))
    np.testing.assert_allclose(serial, parallel, atol=1e-5)


def test_litert_and_tf_lite_agree(exported_11: dict[str, Exported]) -> None:
    scores = [
        open_runner(*load(exported_11, "tflite-int8"), RunOptions(runtime=name)).run(CROPS.pixels)
        for name in ("litert", "tf.lite")
    ]
    np.testing.assert_allclose(*scores, atol=ONE_STEP)


def test_kernel_families_differ_on_int8_and_are_told_apart(exported_11: dict[str, Exported]) -> None:
    model = load(exported_11, "tflite-int8")
    runners = [open_runner(*model, RunOptions(kernels=kernels)) for kernels in (None, BUILTIN)]
    assert [runner.kernels for runner in runners] == ["xnnpack", "builtin"]
    xnnpack, builtin = (runner.run(CROPS.pixels) for runner in runners)
    assert 0 < np.abs(xnnpack - builtin).max() < 40 * ONE_STEP


@pytest.mark.parametrize("name", ["tflite-float32", "onnx-float32"])
@pytest.mark.parametrize(
    "pixels",
    [np.zeros((1, 224, 224, 3), np.uint8), np.zeros((1, 227, 227, 3), np.float32), np.zeros((227, 227, 3), np.uint8)],
)
def test_other_pixels_are_refused(exported_11: dict[str, Exported], name: str, pixels: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"Required: pixels \[N,227,227,3\] uint8"):
        open_runner(*load(exported_11, name)).run(pixels)


@pytest.mark.parametrize("format_name", ["tflite", "onnx"])
def test_what_is_no_model_is_refused(format_name: str) -> None:
    with pytest.raises(ConversionError, match="refuses this"):
        open_runner(b"this is no model at all", format_name)


@pytest.mark.parametrize("format_name", ["tflite", "onnx"])
def test_unknown_runtimes_are_refused(format_name: str) -> None:
    with pytest.raises(UsageError, match="Unknown runtime"):
        open_runner(b"", format_name, RunOptions(runtime="litrt"))
    with pytest.raises(UsageError, match="threads"):
        open_runner(b"", format_name, RunOptions(threads=0))
    with pytest.raises(UsageError, match="threads must be 1 to 256"):
        open_runner(b"", format_name, RunOptions(threads=100_000))


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(UsageError, match="Unknown format: 'coreml'"):
        open_runner(b"", "coreml")


def test_a_runtime_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "is_installed", lambda _: False)
    with pytest.raises(MissingDependencyError, match=r"edge-squeeze\[litert\]"):
        open_runner(b"", "tflite")
    where = r"edge-squeeze\[tflite-runtime\]" if sys.version_info < (3, 12) else "use Python 3.11 or older"
    with pytest.raises(MissingDependencyError, match=where):
        open_runner(b"", "tflite", RunOptions(runtime="tflite-runtime"))
    with pytest.raises(MissingDependencyError, match=r"edge-squeeze\[onnx\]"):
        open_runner(b"", "onnx")


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "expected"),
    [
        ("uint8", 1.0, 0, [0, 1, 128, 255]),
        ("int8", 1.0, -128, [-128, -127, 0, 127]),
        ("uint8", 2.0, 1, [1, 1, 65, 129]),
        ("uint8", 0.0, 0, [0, 1, 128, 255]),
    ],
)
@pytest.mark.parametrize("shape", [(1, 2, 2, 3), (None, 3, 2, 2)], ids=["nhwc", "nchw"])
def test_pixels_become_the_stored_values_and_those_stand_for_them_again(
    dtype: str, scale: float, zero_point: int, expected: list[int], shape: tuple[int | None, ...]
) -> None:
    tensor = Tensor("", shape, dtype, scale, zero_point)
    gray = np.array([0, 1, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    stored = to_input(np.repeat(gray, 3, axis=3), tensor)
    assert stored.dtype == dtype
    assert stored.shape == (1, *shape[1:])
    assert stored.flags.c_contiguous
    channel = stored[0, ..., 0] if shape[-1] == 3 else stored[0, 0]
    np.testing.assert_array_equal(channel.ravel(), np.array(expected, dtype))
    np.testing.assert_allclose(to_scores(channel, tensor).ravel(), gray.ravel(), atol=scale / 2)

"""Mixed files: the layers that are named or pay best compute in float, all others in integers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models

import edge_squeeze
from edge_squeeze.artifact.folder import FRONTIER, FRONTIER_PAGE
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import FileOptions, kept_layers
from edge_squeeze.converters.quantization import mixed
from edge_squeeze.converters.quantization.mixed import Mixture
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import UsageError
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.pictures.loading import photograph_crops
from edge_squeeze.reporting import Silent

WHERE = {"first": ["first", "pool", "squeeze"], "right": ["right", "joined", "wide", "total", "limit"]}


def export(folder: Path, **options: Any) -> list[Exported]:
    plain = {"precision": "int8", "quantizer": "stock", "calibration_range": "minmax", "preprocessing": "raw"}
    return edge_squeeze.export(small_models.modules(limited=True), **{**plain, **options}, out=folder)


@pytest.fixture(scope="module")
def mixture() -> tuple[Mixture, np.ndarray, np.ndarray]:
    """A network of which one layer loses far more than all others, pixels, and its scores."""
    model = small_models.modules()
    pixels = photograph_crops(4, (32, 32), seed=1).pixels
    ranges: dict[str, tuple[float, float]] = {}
    file = FloatFile(model)
    for layers in file.activations(pixels):
        for name, values in layers.items():
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    ranges["squeeze"] = (0.0, 300 * ranges["squeeze"][1])
    return Mixture(model, ranges, "probabilities"), pixels, np.asarray(model(pixels.astype(np.float32)))


def test_the_layer_that_loses_most_is_kept_and_its_readers_with_it(mixture: Any) -> None:
    network, pixels, expected = mixture
    kept = mixed.keep("auto:1", network, expected, pixels, "probabilities", Silent())
    assert kept.layers == ["squeeze"]
    assert {*kept.floats} == {"squeeze", "left", "right"}
    integers, best = kept.frontier
    assert best.kl < integers.kl / 10
    assert best.size_bytes > integers.size_bytes
    kernels = inspect(network.data(["squeeze"]), "tflite").kernels
    floats = {kernel.name.split("/")[-2] for kernel in kernels if kernel.arithmetic == "float32"}
    assert floats == {"squeeze_1", "left_1", "right_1"}
    other = mixed.keep("back", network, expected, pixels, "probabilities", Silent())
    assert other.frontier[1].kl > integers.kl / 2  # a negative control
    title, first, *_, last = other.notes()
    assert title.endswith("as .tflite files:")
    assert "points" not in first  # nothing is gained on itself
    assert "do not pay here" in last
    assert "do not pay" not in " ".join(kept.notes())


@pytest.mark.parametrize("layer", WHERE)
def test_named_layers_compute_in_float_in_every_format(tmp_path: Path, layer: str) -> None:
    exported = export(tmp_path, format="tflite,onnx", keep_float=layer)
    assert [each.manifest.name for each in exported] == [
        f"modules-{kind}-int8-stock-float-{layer}" for kind in ("tflite", "onnx")
    ]
    for each in exported:
        model = (each.folder / each.manifest.file.name).read_bytes()
        file = inspect(model, each.manifest.format)
        weighted = [name for name in WHERE[layer] if name in ("first", "squeeze", "right", "wide")]
        assert sum(kernel.arithmetic == "float32" for kernel in file.kernels) == len(weighted)
        assert sum(kernel.arithmetic == "int8" for kernel in file.kernels) == 7 - len(weighted)
        assert file.inputs[0].dtype == "uint8"
        assert each.manifest.options["kept_float"] == [layer]
        points = json.loads((each.folder / FRONTIER).read_text())["points"]
        assert [point["kept"] for point in points] == [[], [layer]]
        assert f'<th scope="row">{layer}</th>' in (each.folder / FRONTIER_PAGE).read_text()
        assert open_runner(model, each.manifest.format).run(photograph_crops(1, (32, 32), 0).pixels).shape == (5, 5)


def test_without_jinja2_the_frontier_is_not_drawn_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_squeeze.reports.page.can_be_made", lambda: False)
    notes: list[str] = []
    reporter = Silent()
    monkeypatch.setattr(reporter, "note", notes.append)
    (kept,) = export(tmp_path, keep_float="right", reporter=reporter)
    assert (kept.folder / FRONTIER).is_file()
    assert not (kept.folder / FRONTIER_PAGE).exists()
    assert [note for note in notes if "frontier.html" in note and 'pip install "edge-squeeze[report]"' in note]


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Unknown layer: 'sqeeze'"):
        export(tmp_path, keep_float="sqeeze")
    with pytest.raises(UsageError, match="--keep-float does not apply: nothing here is quantized"):
        export(tmp_path, precision="float32", quantizer="auto", keep_float="squeeze")
    with pytest.raises(UsageError, match="strict-int8"):
        export(tmp_path, keep_float="squeeze", strict_int8=True)
    with pytest.raises(UsageError, match="auto:7 is too much"):
        export(tmp_path, keep_float="auto:7")


@pytest.mark.parametrize("text", ["auto", "auto:0", "auto:x", "auto:101", "", " , "])
def test_texts_that_name_nothing_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--keep-float"):
        FileOptions(keep_float=text).check()


def test_names_tell_what_was_kept() -> None:
    assert kept_layers("a, b,a") == ("a", "b")
    assert FileOptions(keep_float="auto:3").suffix("uint8", "nhwc") == "-float-auto3"
    assert FileOptions(keep_float="block/one, two").suffix("uint8", "nhwc") == "-float-block_one-two"
    long = [FileOptions(keep_float=",".join(f"layer{i}" for i in range(count))).suffix("", "") for count in (20, 21)]
    assert long[0] != long[1]
    assert max(map(len, long)) < 30

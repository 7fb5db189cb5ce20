from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from int8_files import SIDE, chain, layers
from operator_models import crops, layer_ranges
from shared_exports import Exports

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.formats import to_tflite
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites import catalogue
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.formats import FORMATS
from edge_squeeze.pictures.loading import photograph_crops

EVERY = list(dict.fromkeys(rewrite.name for rewrite in catalogue.REWRITES))
INT8 = "tflite int8"


def test_every_rewrite_was_measured_in_some_target_that_exists() -> None:
    known = {f"{kind} {precision}" for kind, row in FORMATS.items() for precision in row.arithmetic}
    content = catalogue.measurements()
    assert content.device
    assert content.date
    assert {row.rewrite for row in content.savings} == {*EVERY, catalogue.EVERY}
    for row in content.savings:
        assert row.target in known
        assert row.interval[0] <= row.ratio <= row.interval[1]


def test_auto_takes_what_saves_a_hundredth_or_more() -> None:
    for target in {row.target for row in catalogue.measurements().savings}:
        taken = [rewrite.name for rewrite in catalogue.chosen("auto", target)]
        for name in EVERY:
            ratios = [r.ratio for r in catalogue.measurements().savings if (r.target, r.rewrite) == (target, name)]
            mean = math.prod(ratios) ** (1 / len(ratios)) if ratios else 1.0
            assert (name in taken) == (mean <= catalogue.PAYS), (target, name)
    assert {"pixel-windows", "pixel-pairs", "pixels-by-float"} <= {*catalogue.names("auto", INT8)}
    assert [rewrite.name for rewrite in catalogue.chosen("auto", "onnx float32")] == ["average-before-conv"]
    assert catalogue.chosen("auto", "onnx int8") == []


def test_names_choose_whatever_was_measured() -> None:
    assert catalogue.chosen("none", INT8) == []
    chosen = catalogue.chosen("pool-before-concat, pixel-pairs", "tflite float16")
    assert [rewrite.name for rewrite in chosen] == ["pixel-pairs", "pool-before-concat"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pixel-pair", "Did you mean pixel-pairs"),
        ("", "Unknown rewrite: ''"),
        ("auto,pixel-pairs", "--rewrites auto goes with no other name"),
        ("pixel-pairs,none", "--rewrites none goes with no other name"),
    ],
)
def test_other_names_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FileOptions(rewrites=text).check()


def test_a_folder_name_shows_rewrites_that_are_not_the_default() -> None:
    assert FileOptions().suffix("uint8", "nhwc") == ""
    assert FileOptions(rewrites="none").suffix("uint8", "nhwc") == "-rewrites-none"
    chosen = FileOptions(rewrites="pool-before-concat,pixel-pairs")
    assert chosen.suffix("uint8", "nhwc") == "-rewrites-pool-before-concat-pixel-pairs"


def stem(x: Any) -> Any:
    return layers().Conv2D(8, 3, 2, activation="relu", name="conv")(x)


def normed(x: Any) -> Any:
    return layers().BatchNormalization(name="norm")(layers().Conv2D(8, 3, 2, name="conv")(x))


def test_a_rewrite_that_changes_scores_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a rewrite does not get into a file."""
    model = chain(stem)
    measured = Measured(ranges=layer_ranges(model, crops(2, seed=0)))
    good = next(rewrite for rewrite in catalogue.REWRITES if rewrite.name == "pixel-pairs")

    def bad(tree: Any) -> tuple[Any, bool]:
        tree, changed = good.step(tree)
        weights = next(tensor for tensor in tree.subgraphs[0].tensors if list(tensor.shape) == [8, 3, 2, 6])
        buffer = tree.buffers[weights.buffer]
        buffer.data = np.roll(np.asarray(buffer.data), 1)
        return tree, changed

    to_tflite.int8(model, FileOptions(rewrites=good.name), measured)
    monkeypatch.setattr(catalogue, "REWRITES", (replace(good, step=bad),))
    with pytest.raises(ConversionError, match=r"The rewrites pixel-pairs must not change scores .* --rewrites none"):
        to_tflite.int8(model, FileOptions(rewrites=good.name), measured)


def test_a_users_model_gets_the_rewrites_that_it_can_have(tmp_path: Path) -> None:
    model = chain(normed)
    options = {"preprocessing": "raw", "precision": "int8", "out": tmp_path}
    (done,) = edge_squeeze.export(model, **options)
    assert done.manifest.rewrites == ["fold-batch-norm", "pixel-pairs", "pixels-by-float"]
    reasons = catalogue.refusals("pool-before-concat,pixel-pairs", INT8, done.manifest.rewrites)
    assert reasons == {"pool-before-concat": "needs a max pooling that alone reads a concatenation of channels"}
    both = catalogue.refusals("pixel-pairs,average-before-conv", "onnx int8", [])
    assert both == {"pixel-pairs": "is for tflite files", "average-before-conv": f"needs {catalogue.LINEAR_HEAD}"}
    (plain,) = edge_squeeze.export(model, rewrites="none", **options)
    assert plain.manifest.rewrites == []
    assert plain.folder.name == f"{done.folder.name}-rewrites-none"
    pixels = photograph_crops(1, (SIDE, SIDE), seed=9).pixels
    scores = [open_runner(artifacts.load(each.folder).model(), "tflite").run(pixels) for each in (done, plain)]
    np.testing.assert_array_equal(*scores)
    assert len(model.layers) == 5  # the user's own has its layers


def test_real_files_say_what_was_done_to_them(exported_11: Exports) -> None:
    int8 = exported_11["tflite-int8"].manifest
    assert int8.options["rewrites"] == "auto"
    assert {"pixel-pairs", "pixels-by-float"} <= {*int8.rewrites}
    assert int8.graph.operators["DEQUANTIZE"] == 2
    assert not {*EVERY} & {*exported_11["onnx-int8"].manifest.rewrites}

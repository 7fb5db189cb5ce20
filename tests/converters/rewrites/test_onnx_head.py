from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from int8_files import SIDE, linear_head

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.formats import to_onnx
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.rewrites import catalogue
from edge_squeeze.converters.rewrites.onnx_head import average_before_convolution
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import ConversionError
from edge_squeeze.pictures.loading import photograph_crops

PLAIN = FileOptions(rewrites="none"), Measured(output="logits")


def exchanged(data: bytes) -> tuple[bytes, bool]:
    rewritten, changed = average_before_convolution(onnx.load_model_from_string(data))
    onnx.checker.check_model(rewritten, full_check=True)
    return rewritten.SerializeToString(), changed


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_the_average_first_gives_the_same_scores(layout: str, keepdims: bool) -> None:
    options, measured = PLAIN
    plain = to_onnx.float32(linear_head(keepdims=keepdims), replace(options, layout=layout), measured)
    data, changed = exchanged(plain)
    assert changed
    kinds = [node.op_type for node in onnx.load_model_from_string(data).graph.node]
    assert kinds.index("GlobalAveragePool") < len(kinds) - 1 - kinds[::-1].index("Conv")
    pixels = photograph_crops(2, (SIDE, SIDE), seed=3).pixels
    before, after = (open_runner(each, "onnx").run(pixels) for each in (plain, data))
    limit = 1e-5 * np.abs(before).max()
    assert np.abs(after - before).max() <= limit
    assert np.abs(after[::-1] - before).max() > limit  # of other pictures
    assert exchanged(data)[1] is False


@pytest.mark.parametrize(
    "options", [{"activation": "relu"}, {"kernel": 3}, {"strides": 2}, {"kernel": 3, "padding": "same"}]
)
def test_what_would_be_other_numbers_is_left_alone(options: dict[str, Any]) -> None:
    assert exchanged(to_onnx.float32(linear_head(**options), *PLAIN))[1] is False


def test_a_convolution_that_another_operator_reads_stays_first() -> None:
    proto = onnx.load_model_from_string(to_onnx.float32(linear_head(), *PLAIN))
    read = next(node.input[0] for node in proto.graph.node if node.op_type == "GlobalAveragePool")
    proto.graph.output.append(onnx.helper.make_tensor_value_info(read, onnx.TensorProto.FLOAT, None))
    assert average_before_convolution(proto)[1] is False


def test_float_files_get_it_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"format": "onnx", "preprocessing": "raw", "out": tmp_path}
    done = edge_squeeze.export(linear_head(), precision="float32,float16", **options)
    assert [each.manifest.rewrites for each in done] == [["average-before-conv"]] * 2
    (plain,) = edge_squeeze.export(linear_head(), rewrites="none", **options)
    assert plain.manifest.rewrites == []
    pixels = photograph_crops(1, (SIDE, SIDE), seed=9).pixels
    scores = [open_runner(artifacts.load(each.folder).model(), "onnx").run(pixels) for each in (done[0], plain)]
    np.testing.assert_allclose(*scores, atol=1e-5 * np.abs(scores[1]).max())

    def bad(proto: Any) -> tuple[Any, bool]:
        rewritten, changed = average_before_convolution(proto)
        last = max(rewritten.graph.initializer, key=lambda entry: list(entry.dims) == [6, 8, 1, 1])
        last.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(last)[::-1], last.name))
        return rewritten, changed

    *others, good = catalogue.REWRITES
    monkeypatch.setattr(catalogue, "REWRITES", (*others, replace(good, step=bad)))
    with pytest.raises(ConversionError, match="The rewrites average-before-conv must not change scores"):
        edge_squeeze.export(linear_head(), **options)

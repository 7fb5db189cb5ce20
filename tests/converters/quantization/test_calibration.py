from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import CommandLine
from operator_models import layer_ranges

import edge_squeeze
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.formats import to_tflite
from edge_squeeze.converters.formats.tracing import signature, traceable
from edge_squeeze.converters.options import FileOptions, Measured
from edge_squeeze.converters.quantization import calibration
from edge_squeeze.converters.quantization.calibration import Samples
from edge_squeeze.converters.quantization.ranges import CANDIDATES, choose
from edge_squeeze.converters.rewrites import normalization
from edge_squeeze.engines import runner
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.files.reading import decode
from edge_squeeze.models import source
from edge_squeeze.models.original import Original
from edge_squeeze.models.source import Choice
from edge_squeeze.pictures.loading import photograph_crops
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.proof import leakage
from edge_squeeze.proof.verification import load_pictures
from edge_squeeze.reporting import Silent
from edge_squeeze.scores import comparable

CROPS = photograph_crops(4, (227, 227), seed=7)


def stock_int8(model: object, pixels: np.ndarray) -> bytes:
    """The int8 file as TensorFlow's documentation says to make it."""
    import tensorflow as tf

    traced = traceable(model, "probabilities").get_concrete_function(signature(model, "float32", 1))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], None)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture[None].astype(np.float32)] for picture in pixels)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def test_ranges_in_two_steps_give_the_stock_quantizers_scores(original_11: Original) -> None:
    pixels = CROPS.pixels[::4]
    baked, _ = normalization.bake(original_11.model, original_11.preprocessing.baked)
    ranges = layer_ranges(baked, pixels)
    ours = to_tflite.int8(baked, FileOptions(head="int8"), Measured(ranges=ranges))
    mine, stock = (runner.open_runner(file, "tflite").run(pixels) for file in (ours, stock_int8(baked, pixels)))
    assert np.abs(mine - stock).max() < 5 / 256  # float32 sums in another order move a range by 1e-7
    assert (mine != stock).mean() < 1e-3


def test_ranges_are_named_after_layers_and_hold_what_the_layers_give(original_11: Original) -> None:
    import keras

    baked, _ = normalization.bake(original_11.model, original_11.preprocessing.baked)
    ranges = layer_ranges(baked, CROPS.pixels)
    names = ["conv1", "fire5_concat", "conv10"]
    probe = keras.Model(baked.inputs, [baked.get_layer(name).output for name in names])
    for name, values in zip(names, probe({"image": CROPS.pixels.astype(np.float32)}), strict=True):
        np.testing.assert_allclose(ranges[name], (np.min(values), np.max(values)), rtol=1e-4, atol=1e-3)


def test_logits_have_room_above_what_calibration_saw(original_11: Original) -> None:
    """Calibrated on half of the crops, and shown the other half, which scores higher."""
    import keras

    baked, _ = normalization.bake(original_11.model, original_11.preprocessing.baked)
    logits = keras.Model(baked.inputs, baked.get_layer("prob").input)
    highest = np.asarray(logits(CROPS.pixels.astype(np.float32))).max(axis=1)
    known, unseen = np.split(CROPS.pixels[np.argsort(highest)], 2)
    ranges = layer_ranges(logits, known)
    expected = np.asarray(logits(unseen.astype(np.float32)))
    low, high = ranges["output"]
    assert expected.max() > high  # else there would be nothing to clip
    distance, top = {}, {}
    for kind in ("logits", "probabilities"):  # the latter: without room
        file = to_tflite.int8(logits, FileOptions(head="int8"), Measured(kind, ranges))
        scores = runner.open_runner(file, "tflite").run(unseen)
        top[kind] = float(scores.max())
        distance[kind] = float(np.abs(comparable(scores, "logits") - comparable(expected, "logits")).mean())
    assert top["probabilities"] == pytest.approx(high, rel=0.01)
    assert high * 1.01 < top["logits"] < high + 0.21 * (high - low)
    assert distance["logits"] < distance["probabilities"]


def test_int8_without_ranges_is_refused(original_11: Original) -> None:
    with pytest.raises(ConversionError, match="needs calibration ranges"):
        to_tflite.int8(original_11.model, FileOptions(), Measured())
    with pytest.raises(UsageError, match=r"no range for .*conv1"):
        to_tflite.int8(original_11.model, FileOptions(), Measured(ranges={"output": (0, 1)}))


def test_calibration_json_stands_for_the_pictures(exported_11: dict[str, Exported], tmp_path: Path) -> None:
    first = exported_11["tflite-int8"]
    source = first.folder / "calibration.json"
    content = json.loads(source.read_text())
    assert content["count"] == len(content["pictures"]) == 200
    (again,) = edge_squeeze.export(precision="int8", calibration=source, out=tmp_path)
    np.testing.assert_array_equal(*(golden(export) for export in (first, again)))
    assert json.loads((again.folder / "calibration.json").read_text()) == content


def golden(export: Exported) -> np.ndarray:
    return np.frombuffer((export.folder / "golden" / "scores-xnnpack.f32").read_bytes(), "<f4")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("variant", "squeezenet1.0", "made for another model"),
        ("weights_sha256", "0" * 64, "made for another model"),
        ("ranges", {"conv1": [3.0, 1.0]}, "finite float32, smallest first"),
        ("ranges", {"conv1": [0.0, 1e300]}, "finite float32, smallest first"),
        ("ranges", {"conv1": [3.0]}, "must have 2 entries"),
        ("count", None, "count must be int"),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused(
    exported_11: dict[str, Exported], original_11: Original, tmp_path: Path, key: str, value: object, message: str
) -> None:
    content = json.loads((exported_11["tflite-int8"].folder / "calibration.json").read_text())
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**content, key: value}))
    with pytest.raises(UsageError, match=message):
        edge_squeeze.export(precision="int8", calibration=path, out=tmp_path / "out")


def test_no_crop_of_the_default_proof_is_one_of_those_calibrated_on() -> None:
    calibrated = leakage.records(
        photograph_crops(calibration.CROPS_PER_PHOTOGRAPH, (227, 227), calibration.SEED, calibration.SMALLEST_CROP)
    )
    assert len(calibrated) == 100
    (default,) = load_pictures(None, Preprocessing(227, (227, 227)))
    assert leakage.leave_out(default, calibrated) is default
    with pytest.raises(UsageError, match="calibrated on 20 of the 20 pictures"):
        leakage.leave_out(CROPS, leakage.records(CROPS))


def test_sources_are_read_before_tensorflow_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_squeeze.models.original.load_tensorflow", lambda: pytest.fail("loaded"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "broken", "missing", "missing.json"):
        with pytest.raises(UsageError, match=folder):
            edge_squeeze.export(precision="int8", calibration=tmp_path / folder, out=tmp_path / "out")


def record_of(exported: Exported) -> calibration.CalibrationRecord:
    path = exported.folder / "calibration.json"
    record = decode(calibration.CalibrationRecord, json.loads(path.read_text()), str(path))
    assert isinstance(record, calibration.CalibrationRecord)
    return record


def shipped(quantizer: str) -> calibration.CalibrationRecord:
    record = calibration.shipped(source.find(Choice("squeezenet1.1"), Silent()), quantizer)
    assert record is not None
    return record


def test_the_pretrained_network_comes_with_ranges(exported_11: dict[str, Exported]) -> None:
    """The rule was chosen where it lost least, and the layers of a fire module and its pooling share a range."""
    assert record_of(exported_11["tflite-int8"]) == shipped("auto") == shipped("tuned")
    record = shipped("stock")
    assert (record.count, record.lint, record.adjustments) == (200, [], None)
    assert record.range_rule == min(record.held_out, key=lambda rule: record.held_out[rule]) == "mse"
    assert record.held_out["mse"] < 0.7 * record.held_out["minmax"]
    assert len({record.ranges[name] for name in ("fire3_expand1x1", "fire3_expand3x3", "fire3_concat", "pool3")}) == 1
    assert record.ranges["conv1"] == record.ranges["pool1"] != record.ranges["fire2_squeeze1x1"]
    assert record.ranges["conv1"][1] < 0.9 * record.statistics["conv1"].minmax[1]


def test_another_rule_takes_other_ranges_of_the_same_statistics(
    exported_11: dict[str, Exported], tmp_path: Path
) -> None:
    path = exported_11["tflite-int8"].folder / "calibration.json"
    (widest,) = edge_squeeze.export(precision="int8", calibration=path, calibration_range="minmax", out=tmp_path)
    record = record_of(widest)
    assert (record.range_rule, record.count, record.quantizer) == ("minmax", 200, "tuned")
    assert record.ranges == {name: each.minmax for name, each in record.statistics.items()}
    assert exported_11["tflite-int8"].proof.parity.kl < 0.8 * widest.proof.parity.kl
    path = calibration.SHIPPED / "squeezenet1.1-stock.json"
    old = tmp_path / "old.json"  # as versions before 0.4 wrote it
    content = json.loads(path.read_text())
    old.write_text(json.dumps({k: v for k, v in content.items() if k not in ("range_rule", "held_out", "statistics")}))
    with pytest.raises(UsageError, match=r"ranges by minmax alone, required mse. Calibrate with pictures"):
        edge_squeeze.export(precision="int8", calibration=old, calibration_range="mse", out=tmp_path / "new")


def test_other_weights_and_sizes_have_no_shipped_ranges() -> None:
    reporter = Silent()
    assert calibration.shipped(source.find(Choice("squeezenet1.1"), reporter)) is not None
    assert calibration.shipped(source.find(Choice("squeezenet1.1", weights="random"), reporter)) is None
    assert calibration.shipped(source.find(Choice("squeezenet1.1", input_size=128), reporter)) is None


def test_auto_takes_the_rule_that_loses_least_on_pictures_it_did_not_measure(original_11: Original) -> None:
    baked, _ = normalization.bake(original_11.model, original_11.preprocessing.baked)
    subject = source.find(Choice("squeezenet1.1"), Silent())
    samples = Samples.of(CROPS)
    measurement = calibration.measure(baked, samples, "auto", "probabilities", Silent())
    record = calibration.record(subject, CROPS, measurement)
    assert "94.0 % agreement with float32 instead of 94.4 %" in record.lint[0]
    assert set(record.held_out) == set(CANDIDATES)
    assert record.held_out[record.range_rule] == min(record.held_out.values())
    assert record.ranges == choose(record.statistics, record.range_rule)
    five = photograph_crops(1, (227, 227), seed=7)
    few = calibration.measure(baked, Samples.of(five), "auto", "probabilities", Silent())
    assert (few.rule, few.held_out) == ("minmax", {})  # too few to judge on


def test_photographs_are_warned_of_with_what_they_cost(command_line: CommandLine) -> None:
    done = command_line(
        "export", "squeezenet-lab", "--weights", "random", "--precision", "int8", "--quantizer", "stock"
    )
    assert "calibrated on 5 photographs, which underestimate the ranges: give --calibration" in flat(done.stderr)
    known = calibration._cost_of_photographs(source.find(Choice("squeezenet1.1"), Silent()))
    assert "94.0 % agreement with float32 instead of 94.4 %" in known


def flat(text: str) -> str:
    return " ".join(text.split())

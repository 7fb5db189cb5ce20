from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_squeeze.cli import inspect_report
from edge_squeeze.converters.export import Exported
from edge_squeeze.errors import UsageError
from edge_squeeze.inspection.inspector import FileTensor, Inspection
from edge_squeeze.inspection.layers import Kernel
from edge_squeeze.inspection.model_card import ModelCard
from edge_squeeze.pictures.preprocessing import Preprocessing

INT8 = Kernel("y", "CONV_2D", "int8", 100, "int8", "int8", 2_000_000, 0)
FLOAT = dataclasses.replace(INT8, dtype="float32", arithmetic="float32", activations="float32")
HYBRID = dataclasses.replace(INT8, arithmetic="hybrid", activations="float32")


def made(**changes: Any) -> Inspection:
    """What looking into a small file could give."""
    image = FileTensor("image", (None, 8, 8, 3), "uint8", 0.5, 3)
    usual: dict[str, Any] = {
        "format": "tflite",
        "size_bytes": 2000,
        "deflated_bytes": 1000,
        "sha256": "0" * 64,
        "inputs": [image],
        "outputs": [FileTensor("scores", None, "float32")],
        "operators": {"CONV_2D": 1},
        "custom_operators": [],
        "tensor_types": {"int8": 2},
        "kernels": [INT8],
        "parameters": 100,
        "macs": 2_000_000,
        "macs_unknown": None,
        "has_integers": True,
        "float_fallbacks": {},
        "float_head": {},
        "float_islands": 0,
        "opset": None,
        "elsewhere": [],
    }
    return Inspection(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, "1 of 1 convolutions and dense layers compute in int8; no float fallbacks; no Flex or custom operators"),
        ({"kernels": [INT8, FLOAT]}, "1 of 2 convolutions and dense layers compute in int8; 1 of 2"),
        ({"kernels": [HYBRID]}, "have int8 weights and quantize float activations at run time"),
        ({"kernels": [dataclasses.replace(FLOAT, dtype="float16")]}, "in float32 (weights stored as float16)"),
        ({"kernels": [dataclasses.replace(FLOAT, dtype="computed")]}, "in float32 (weights computed, not stored)"),
        ({"kernels": []}, "no convolutions or dense layers"),
        ({"float_fallbacks": {"FLOOR": 2}}, "float fallbacks: FLOOR 2"),
        ({"custom_operators": ["FlexErf"]}, "custom operators: FlexErf"),
        ({"operators": {"TRANSPOSE": 1}}, "; 1 transpose"),
        ({"operators": {"TRANSPOSE": 2}}, "; 2 transposes"),
        ({"operators": {"RELU": 2}}, "; no transposes"),
    ],
)
def test_the_last_sentence_says_what_matters(changes: dict[str, Any], part: str) -> None:
    assert part in inspect_report.summary(made(**changes))


def test_float_files_say_nothing_of_fallbacks() -> None:
    assert "fallbacks" not in inspect_report.summary(made(has_integers=False, kernels=[FLOAT]))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"float_fallbacks": {"FLOOR": 2}, "float_islands": 2}, "only partly integer: FLOOR 2 in float"),
        ({"float_islands": 1}, "back and forth: 1"),
        ({"custom_operators": ["FlexErf"]}, "a plain runtime lacks FlexErf"),
        ({"elsewhere": ["w.bin"]}, "which were not opened: w.bin"),
        ({"macs": None, "macs_unknown": "no shapes"}, "multiply-accumulates are unknown: no shapes"),
        ({"kernels": [dataclasses.replace(INT8, operator="Conv")]}, "float on x86"),
    ],
)
def test_each_finding_is_one_warning(changes: dict[str, Any], part: str) -> None:
    (warning,) = inspect_report.warnings(made(**changes), None)
    assert part in warning


@pytest.mark.parametrize("kernel", [INT8, dataclasses.replace(INT8, operator="Conv", activations="uint8"), FLOAT])
def test_a_sound_file_has_no_warnings(kernel: Kernel) -> None:
    assert not list(inspect_report.warnings(made(kernels=[kernel]), None))


def test_the_text_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    inspect_report.show("a.tflite", made(metadata={"description": "mine", "subgraphs": 1}), None, as_json=False)
    text = capsys.readouterr().out
    for part in ("a.tflite\ntflite, 2,000 bytes, 1,000 deflated", "100 parameters, 2.0 M", "? x 8 x 8 x 3", "0.5, 3"):
        assert part in text
    assert "not given" in text
    assert "description           mine" in text
    assert "subgraphs" not in text


CARD = ModelCard(
    ("tench", "goldfish", "shark", "ray"), "MIT", "RGB", (0.0,), (1.0,), {"name": "net", "weights_sha256": "f2"}
)


def test_what_a_file_says_of_itself_has_two_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    properties = {"labels": "tench", "edge_squeeze.name": "net", "stride": "32"}
    inspection = made(card=CARD, metadata={"metadata_props": properties})
    inspect_report.show("a", inspection, None, as_json=False)
    text = capsys.readouterr().out
    assert (
        "metadata              4 labels (tench, goldfish, shark, ...), pixels RGB, mean 0, std 1, license MIT" in text
    )
    assert "provenance            name net, weights sha256 f2\n" in text
    assert "metadata props        stride 32\n" in text, "what others wrote, not our names a second time"
    inspect_report.show("a", inspection, None, as_json=True)
    assert json.loads(capsys.readouterr().out)["card"]["labels"] == list(CARD.labels)


def test_a_file_that_says_nothing_has_no_lines_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    inspect_report.show("a", made(), None, as_json=False)
    text = capsys.readouterr().out
    assert "provenance" not in text
    assert "labels" not in text


@pytest.mark.parametrize(
    ("preprocessing", "part"),
    [
        (dataclasses.asdict(Preprocessing(8, (6, 6))), "preprocessing short side to 8, center crop 6 x 6"),
        ({"rotate": 3}, "preprocessing {'rotate': 3}"),  # of a version to come
    ],
)
def test_provenance_says_how_pictures_are_prepared(
    capsys: pytest.CaptureFixture[str], preprocessing: dict[str, Any], part: str
) -> None:
    facts = {"preprocessing": json.loads(json.dumps(preprocessing))}
    inspect_report.show("a", made(card=ModelCard(facts=facts)), None, as_json=False)
    assert part in capsys.readouterr().out


def test_metadata_that_cannot_be_read_is_a_warning() -> None:
    (warning,) = inspect_report.warnings(made(card=ModelCard(unreadable="BadZipFile: cut")), None)
    assert "its metadata cannot be read" in warning
    assert "BadZipFile: cut" in warning


def test_names_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J" + "x" * 500
    changes = {
        "inputs": [FileTensor(evil, (1,), evil)],
        "operators": {evil: 1},
        "custom_operators": [evil],
        "metadata": {"producer": evil},
        "elsewhere": [evil],
        "float_fallbacks": {evil: 1},
        "kernels": [dataclasses.replace(INT8, operator=evil)],
        "card": ModelCard((evil,), evil, evil, (0.0,), (1.0,), {evil: evil}, evil),
    }
    inspect_report.show("a", made(**changes), None, as_json=False)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "?[2J" in text
    assert max(map(len, text.splitlines())) < 1000


def test_many_inputs_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    inspect_report.show("a", made(inputs=[FileTensor(f"i{n}", (1,), "int8") for n in range(99)]), None, as_json=False)
    assert "and 87 more" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["folder", "model.json", "file"])
def test_artifacts_and_files_in_them_are_found(exported_11: dict[str, Exported], what: str) -> None:
    folder = exported_11["tflite-int8"].folder
    file = folder / "squeezenet1.1-int8.tflite"
    path, inspection, manifest = inspect_report.run(
        {"folder": folder, "model.json": folder / "model.json", "file": file}[what]
    )
    assert path == str(file)
    assert inspection.format == "tflite"
    assert manifest is not None
    assert manifest.file.sha256 == inspection.sha256


def test_a_changed_artifact_is_looked_into_and_told(
    exported_11: dict[str, Exported], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(exported_11["tflite-int8"].folder, tmp_path / "copy")
    shutil.copy(
        exported_11["tflite-float32"].folder / "squeezenet1.1-float32.tflite", folder / "squeezenet1.1-int8.tflite"
    )
    inspect_report.show(*inspect_report.run(folder), as_json=False)
    text = capsys.readouterr().out
    assert "CHANGED since it was exported, parity PASS" in text
    assert "warning: the file was changed: model.json says sha256" in text
    inspect_report.show(*inspect_report.run(folder), as_json=True)
    assert json.loads(capsys.readouterr().out)["artifact"]["sha256_matches"] is False


def test_the_json_has_everything(exported_11: dict[str, Exported], capsys: pytest.CaptureFixture[str]) -> None:
    inspect_report.show(*inspect_report.run(exported_11["onnx-float32"].folder), as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert {field.name for field in dataclasses.fields(Inspection)} <= content.keys()
    assert (content["parameters"], content["macs"], content["transposes"]) == (1_235_496, 387_747_520, 0)
    assert content["convolutions"] == content["weight_types"] == {"float32": 26}
    assert content["artifact"]["sha256_matches"] is True
    assert content["artifact"]["parity"]["verdict"] == "pass"
    assert content["warnings"] == []


def test_a_failed_proof_is_told(exported_11: dict[str, Exported]) -> None:
    _, inspection, manifest = inspect_report.run(exported_11["tflite-int8"].folder)
    assert manifest is not None
    failed = dataclasses.replace(manifest, parity=dataclasses.replace(manifest.parity, verdict="fail", reason="bad"))
    assert list(inspect_report.warnings(inspection, failed)) == ["do not trust it: parity fail: bad"]


def test_a_file_beside_an_artifacts_own_is_its_own(exported_11: dict[str, Exported], tmp_path: Path) -> None:
    folder = shutil.copytree(exported_11["tflite-int8"].folder, tmp_path / "copy")
    copy = shutil.copy(folder / "squeezenet1.1-int8.tflite", folder / "other.tflite")
    assert inspect_report.run(Path(copy))[2] is None
    (folder / "model.json").write_text("{}")
    assert inspect_report.run(folder / "squeezenet1.1-int8.tflite")[2] is None


@pytest.mark.parametrize("name", ["", "nothing.tflite", "x" * 300, "model.json"])
def test_what_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        inspect_report.run(tmp_path / name)


def test_a_picture_is_refused(pictures: Path) -> None:
    with pytest.raises(UsageError, match="not a model file that can be inspected"):
        inspect_report.run(pictures / "0.png")

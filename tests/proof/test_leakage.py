"""No picture that int8 was calibrated on is part of its proof."""

from __future__ import annotations

import dataclasses
import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from colored_pictures import save_blotches
from commands import CommandLine

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import load_folder
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.proof import leakage
from edge_squeeze.proof.verification import load_pictures

PREPROCESSING = Preprocessing(32, (32, 32))
QUANTIZED = ("--precision", "int8", "--quantizer", "stock")
EXPORT = ("export", "squeezenet-lab", "--weights", "random", *QUANTIZED, "--out", "out", "--calibration")
ARTIFACT = "out/squeezenet-lab-tflite-int8-random-stock"


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    return save_blotches(tmp_path / "calibration", 16)


@pytest.fixture
def proof(tmp_path: Path, calibration: Path) -> Path:
    """Ten pictures, and four of those of the calibration under other names."""
    folder = save_blotches(tmp_path / "proof", 10, seed=200)
    for i, file in enumerate(sorted(calibration.iterdir())[:4]):
        shutil.copy(file, folder / f"also {i}.png")
    return folder


def test_pictures_are_known_by_their_files_at_any_size(calibration: Path, proof: Path) -> None:
    records = leakage.records(load_folder(calibration, PREPROCESSING))
    first = min(calibration.iterdir())
    assert (records[0].name, records[0].file_sha256) == (first.name, sha256(first.read_bytes()).hexdigest())
    usual, larger = load_pictures(proof, PREPROCESSING.at((64, 64)), [(80, 80)], calibrated=records)
    assert (len(usual), len(larger), usual.size, larger.size) == (10, 8, (64, 64), (80, 80))
    assert not [name for name in (*usual.names, *larger.names) if name.startswith("also")]
    assert usual.file_digests is not None
    assert usual.file_digests[0] == sha256((proof / usual.names[0]).read_bytes()).hexdigest()
    assert usual.description == f"10 of 14 pictures of {proof}, without 4 that int8 was calibrated on"
    assert usual.remarks == (
        "left out 4 of the 14 pictures of the proof: int8 was calibrated on them, which would flatter it",
    )


def test_records_without_file_hashes_know_them_by_their_pixels(calibration: Path, proof: Path) -> None:
    records = [
        dataclasses.replace(record, file_sha256=None)
        for record in leakage.records(load_folder(calibration, PREPROCESSING))
    ]
    assert len(leakage.leave_out(load_folder(proof, PREPROCESSING), records)) == 10
    assert len(leakage.leave_out(load_folder(proof, PREPROCESSING.at((64, 64))), records)) == 14, "other pixels"


def test_what_is_not_shared_stays_and_eight_must(calibration: Path, tmp_path: Path) -> None:
    pictures = load_folder(calibration, PREPROCESSING)
    assert leakage.leave_out(pictures, []) is pictures
    few = load_folder(save_blotches(tmp_path / "few", 2, seed=300), PREPROCESSING)
    assert leakage.leave_out(few, leakage.records(pictures)) is few, "as few as ever, and none of them shared"
    records = leakage.records(pictures)
    assert len(leakage.leave_out(pictures, records[:8])) == 8
    with pytest.raises(UsageError, match=r"calibrated on 9 of the 16 pictures .* leaves 7\. Required: at least 8"):
        leakage.leave_out(pictures, records[:9])


def test_export_and_verify_leave_them_out_and_say_so(
    command_line: CommandLine, tmp_path: Path, calibration: Path, proof: Path
) -> None:
    done = command_line(*EXPORT, "calibration", "--images", "proof")
    assert done.returncode == 0, done.stderr
    said = "left out 4 of the 14 pictures of the proof: int8 was calibrated on them, which would flatter it"
    assert said in " ".join(done.stderr.split())
    folder = tmp_path / ARTIFACT
    parity = json.loads((folder / "parity.json").read_text())["sets"][0]
    assert parity["pictures"] == "10 of 14 pictures of proof, without 4 that int8 was calibrated on"
    record = json.loads((folder / "calibration.json").read_text())
    first = min(calibration.iterdir())
    assert record["pictures"][0]["file_sha256"] == sha256(first.read_bytes()).hexdigest()
    for images, code, message in (("proof", 0, said), ("calibration", 2, "which leaves 0. Required: at least 8")):
        checked = command_line("verify", ARTIFACT, "--images", images)
        assert checked.returncode == code, checked.stderr
        assert message in " ".join(checked.stderr.split())
    shutil.copy(folder / "calibration.json", tmp_path / "own.json")
    again = command_line(*EXPORT, "own.json", "--images", "calibration", "--out", "again")
    assert again.returncode == 2
    assert "calibrated on 16 of the 16 pictures" in " ".join(again.stderr.split())


@pytest.mark.parametrize("content", ["[]", '{"pictures": [1]}', '{"pictures": [{"name": "a"}]}', "{"])
def test_a_calibration_json_that_cannot_be_read_is_not_passed_over(
    float32_11: artifacts.Artifact, tmp_path: Path, content: str
) -> None:
    assert leakage.read(float32_11) == []
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(UsageError, match=r"calibration\.json"):
        leakage.read(artifacts.Artifact(tmp_path, float32_11.manifest))

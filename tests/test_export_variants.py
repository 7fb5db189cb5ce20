"""Every row and option of the table goes into every file format, and is found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edge_squeeze
from edge_squeeze import artifact
from edge_squeeze.errors import UsageError
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.networks import arithmetic
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.design import Design

CASES = [
    ("squeezenet-composable", Design("complex", squeeze_ratio=0.5)),
    ("squeezenet-lab", Design(pct_3x3=0.25)),
]
MORE_CASES = [
    ("squeezenet-mlt", Design()),
    ("squeezenet-composable", Design()),
    ("squeezenet-composable", Design("simple")),
    ("squeezenet1.0", Design("complex", base_e=32, incr_e=32)),
]


@pytest.mark.parametrize(
    ("variant", "design"),
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_CASES)],
    ids=lambda one: getattr(one, "suffix", one),
)
def test_a_network_is_exported_and_found_again(tmp_path: Path, variant: str, design: Design) -> None:
    options = {"weights": "random", "classes": 5, "input_size": 64, "design": design}
    options |= {"format": "all", "precision": "float32,int8"}
    exported = edge_squeeze.export(variant, **options, out=tmp_path)  # type: ignore[arg-type]
    assert len(exported) == 3
    arch = architecture(variant, 5, 64, design=design)
    for one in exported:
        assert one.folder.name.startswith(f"{variant}-{one.manifest.format}-{one.manifest.precision}-random-classes-5")
        assert design.suffix in one.folder.name
        assert one.manifest.output.content == ("logits" if variant == "squeezenet-lab" else "probabilities")
        assert one.manifest.parameters == arithmetic.parameters(arch)
        held = inspect(artifact.load(one.folder).model(), one.manifest.format)
        assert held.macs == arithmetic.macs(arch)  # counted in the file
        found = edge_squeeze.verify(one.folder)
        assert found.golden.passed
        assert found.proof is not None  # the original was built again, as the design says
        assert found.proof.parity.max_abs < (1e-5 if one.manifest.precision == "float32" else 0.2)
        assert found.proof.verdict == "unproven"


def test_an_artifact_of_a_design_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (one,) = edge_squeeze.export("squeezenet-lab", weights="random", out=tmp_path)
    file = one.folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "design": {"squeeze_ratio": 0.0}}))
    assert artifact.load(one.folder).manifest.design.squeeze_ratio == 0
    with pytest.raises(UsageError, match="squeeze_ratio must be"):
        edge_squeeze.verify(one.folder, original=file)


def test_a_calibration_of_another_design_is_refused(tmp_path: Path) -> None:
    options = {"weights": "random", "classes": 5, "input_size": 64, "precision": "int8"}
    (one,) = edge_squeeze.export("squeezenet-composable", out=tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"design: required .*complex"):
        edge_squeeze.export(
            "squeezenet-composable", design=Design("complex"), calibration=one.folder / "calibration.json",
            out=tmp_path / "other", **options,  # type: ignore[arg-type]
        )  # fmt: skip


def test_weights_that_tell_nothing_of_their_pictures_need_a_preprocessing(tmp_path: Path) -> None:
    network = edge_squeeze.build("squeezenet-lab", weights="random")
    network.save_weights(tmp_path / "mine.weights.h5")
    with pytest.raises(UsageError, match=r"Nothing tells how the pictures were prepared .* Give --preprocessing"):
        edge_squeeze.export("squeezenet-lab", weights=tmp_path / "mine.weights.h5", out=tmp_path)
    (one,) = edge_squeeze.export(
        "squeezenet-lab", weights=tmp_path / "mine.weights.h5", preprocessing="tf", out=tmp_path
    )
    assert one.manifest.preprocessing.size == (32, 32)

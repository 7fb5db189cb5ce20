"""Every row and option of the table goes into every file format, and is found again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import edge_squeeze
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.artifact.manifest import WeightsRecord
from edge_squeeze.errors import UsageError
from edge_squeeze.inspection.inspector import inspect
from edge_squeeze.models.original import Original
from edge_squeeze.networks import arithmetic
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.design import Design, Network
from edge_squeeze.networks.variants import Conv
from edge_squeeze.pictures.presets import preset
from edge_squeeze.reporting import Silent
from edge_squeeze.weight_files import archives

EVERY_OPTION = Design("complex", base_e=32, incr_e=32, pct_3x3=0.25, squeeze_ratio=0.5)
CASES = [
    ("squeezenet-lab", Design(pct_3x3=0.25)),
    ("squeezenet1.0", EVERY_OPTION),
    ("squeezenet1.0", Design("complex", base_e=32, incr_e=32, squeeze_ratio=0.5)),
    ("squeezenet-mlt", Design()),
    ("squeezenet-composable", Design()),
    ("squeezenet-composable", Design("simple")),
    ("squeezenet-composable", Design("complex", squeeze_ratio=0.5)),
    ("squeezenet1.0", Design("complex", base_e=32, incr_e=32)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "design"), CASES, ids=lambda value: getattr(value, "suffix", value))
def test_a_network_is_exported_and_found_again(tmp_path: Path, variant: str, design: Design) -> None:
    options = {"weights": "random", "classes": 5, "input_size": 64, **design.record()}
    options |= {"format": "all", "precision": "float32,int8"}
    exported = edge_squeeze.export(variant, **options, out=tmp_path)  # type: ignore[arg-type]
    assert len(exported) == 4
    arch = architecture(variant, 5, 64, design=design)
    for export in exported:
        assert export.folder.name.startswith(
            f"{variant}-{export.manifest.format}-{export.manifest.precision}-random-classes-5"
        )
        assert design.suffix in export.folder.name
        assert export.manifest.output.content == ("logits" if variant == "squeezenet-lab" else "probabilities")
        assert export.manifest.parameters == arithmetic.parameters(arch)
        held = inspect(artifact.load(export.folder).model(), export.manifest.format)
        stem = arch.stages[0]
        assert isinstance(stem, Conv)
        side, grouped = stem.side_after(64), {"pixel-windows", "pixel-pairs"} & {*export.manifest.rewrites}
        wide = 4 * -(-side // 4) if "pixel-windows" in grouped else side  # four convolutions of as many columns each
        # A column of zeros makes an odd kernel fit groups of pixels.
        more = 3 * stem.kernel * stem.filters * side * ((stem.kernel + 1) * wide - stem.kernel * side)
        is_int8 = (export.manifest.format, export.manifest.precision) == ("tflite", "int8")
        expected = "pixel-windows" if stem.kernel == 7 else "pixel-pairs"
        assert (expected in grouped) == (is_int8 and stem.stride == 2)
        assert len(grouped) == bool(grouped)
        averaged = "average-before-conv" in export.manifest.rewrites
        once = averaged * 15 * 512 * arch.classes  # instead of at 16 places
        assert held.macs == arithmetic.macs(arch) + bool(grouped) * more - once  # counted in the file
        verification = edge_squeeze.verify(export.folder)
        assert verification.golden.passed
        assert verification.proof is not None  # the original was built again, as the design says
        assert verification.proof.parity.max_abs < (1e-5 if export.manifest.precision == "float32" else 0.2)
        assert verification.proof.verdict == "unproven"


def weights_file(folder: Path, seed: int) -> Path:
    """Weights as a training leaves them, the names of the classes beside them."""
    folder.mkdir()
    network = edge_squeeze.build("squeezenet-lab", weights="random", classes=2, seed=seed)
    layers = {layer.name: tuple(layer.get_weights()) for layer in network.layers if layer.weights}
    archive = archives.write(layers, preset("unit", (32, 32)), Network("squeezenet-lab"))
    (folder / "weights.npz").write_bytes(archive)
    (folder / "labels.txt").write_text("cat\ndog\n")
    return folder / "weights.npz"


def test_artifacts_of_other_weights_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else files of two trainings would stand side by side, and be compared."""
    first, second = (weights_file(tmp_path / name, seed) for seed, name in enumerate(("first", "second")))
    (export,) = edge_squeeze.export("squeezenet-lab", weights=first, out=tmp_path / "out")
    held = (export.folder / "model.json").read_bytes()
    with pytest.raises(UsageError, match=r"was made from .*first/weights.npz, not from .*second/weights.npz. Move it"):
        edge_squeeze.export("squeezenet-lab", weights=second, precision="all", out=tmp_path / "out")
    assert (export.folder / "model.json").read_bytes() == held
    first.write_bytes(second.read_bytes())  # trained again
    monkeypatch.chdir(first.parent)
    (again,) = edge_squeeze.export("squeezenet-lab", weights="weights.npz", out=tmp_path / "out")
    assert again.folder == export.folder
    assert again.manifest.weights.sha256 != export.manifest.weights.sha256


class Heard(Silent):
    """Keeps the notes of the last export."""

    notes: ClassVar[list[str]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_names_that_lie_beside_the_weights_are_not_forgotten(tmp_path: Path) -> None:
    weights = weights_file(tmp_path / "trained", 0)
    for labels, expected in ((None, 1), (weights.with_name("labels.txt"), 0)):
        Heard.notes.clear()
        edge_squeeze.export("squeezenet-lab", weights=weights, labels=labels, out=tmp_path / "out", reporter=Heard())
        assert sum("classes are numbered; --labels" in note for note in Heard.notes) == expected


@pytest.mark.slow
def test_artifacts_that_are_called_as_if_another_layout_were_the_default_are_pointed_out(tmp_path: Path) -> None:
    """Versions up to 0.3.0 called nhwc files of onnx by the plain name, and nchw files -nchw."""

    def export(layout: str | None = None) -> tuple[Path, str, list[str]]:
        Heard.notes.clear()
        (result,) = edge_squeeze.export("squeezenet-lab", reporter=Heard(), layout=layout, **options)
        warnings = [note for note in Heard.notes if note.startswith("warning: ") and "pictures" in note]
        return result.folder, artifact.load(result.folder).manifest.input.layout, warnings

    options: dict[str, Any] = {"weights": "random", "format": "onnx", "out": tmp_path / "out"}
    plain = options["out"] / "squeezenet-lab-onnx-float32-random"
    suffixed = {layout: plain.with_name(f"{plain.name}-{layout}") for layout in ("nhwc", "nchw")}

    assert export("nhwc") == (suffixed["nhwc"], "nhwc", [])
    suffixed["nhwc"].rename(plain)
    assert export("nhwc") == (
        suffixed["nhwc"],
        "nhwc",
        [f"warning: {plain} takes nhwc pictures, too, and is not updated. Delete it if nothing uses it"],
    )
    replaced = f"warning: {plain} takes nhwc pictures; the artifact that replaces it takes nchw. "
    assert export() == (plain, "nchw", [f"{replaced}For nhwc, pass --layout nhwc"])
    plain.rename(suffixed["nchw"])
    stale = f"warning: {suffixed['nchw']} takes nchw pictures, too, and is not updated. Delete it if nothing uses it"
    assert export("nchw") == export() == (plain, "nchw", [stale])
    shutil.rmtree(suffixed["nchw"])
    assert export() == (plain, "nchw", [])
    assert export("nhwc") == (suffixed["nhwc"], "nhwc", []), "the plain one is another"


def test_large_pictures_are_scored_one_by_one() -> None:
    asked: list[int] = []

    class Model:
        input_shape = (None, None, None, 3)

        def __call__(self, batch: np.ndarray, *, training: bool) -> np.ndarray:
            assert not training
            asked.append(len(batch))
            return np.zeros((len(batch), 2), np.float32)

    for side, expected in ((227, [8, 1]), (512, [8, 1]), (1024, [2, 2, 2, 2, 1]), (2048, [1] * 9)):
        asked.clear()
        shown = np.zeros((9, side, side, 3), np.uint8)
        Original(Model(), preset("unit", (side, side)), WeightsRecord("random", "", trained=False)).run(shown)
        assert asked == expected


def test_an_artifact_of_a_design_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (export,) = edge_squeeze.export("squeezenet-lab", weights="random", out=tmp_path)
    file = export.folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "design": {"squeeze_ratio": 0.0}}))
    assert artifact.load(export.folder).manifest.design.squeeze_ratio == 0
    with pytest.raises(UsageError, match="squeeze_ratio must be"):
        edge_squeeze.verify(export.folder, original=file)


def test_a_calibration_of_another_design_is_refused(tmp_path: Path) -> None:
    options = {"weights": "random", "classes": 5, "input_size": 64, "precision": "int8", "quantizer": "stock"}
    (export,) = edge_squeeze.export("squeezenet-composable", out=tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"design: required .*complex"):
        edge_squeeze.export(
            "squeezenet-composable",
            bypass="complex",
            calibration=export.folder / "calibration.json",
            out=tmp_path / "other",
            **options,  # type: ignore[arg-type]
        )


def test_weights_that_tell_nothing_of_their_pictures_need_a_preprocessing(tmp_path: Path) -> None:
    network = edge_squeeze.build("squeezenet-lab", weights="random")
    network.save_weights(tmp_path / "mine.weights.h5")
    with pytest.raises(UsageError, match=r"Nothing says how the pictures of .* were prepared .* Give --preprocessing"):
        edge_squeeze.export("squeezenet-lab", weights=tmp_path / "mine.weights.h5", out=tmp_path)
    (export,) = edge_squeeze.export(
        "squeezenet-lab", weights=tmp_path / "mine.weights.h5", preprocessing="tf", out=tmp_path
    )
    assert export.manifest.preprocessing.size == (32, 32)

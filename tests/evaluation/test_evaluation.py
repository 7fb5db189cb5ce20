"""Evaluations of real files: the figures of an independent loop, resumed, and in any number of processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import color_classifier
import numpy as np
import pytest
from color_classifier import NAMES, truth
from colored_pictures import save_blotches
from commands import run_here
from small_artifacts import change, sha256

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.errors import ConversionError, UsageError
from edge_squeeze.evaluation import chunks, evaluation as evaluations, figures as computed
from edge_squeeze.evaluation.chunks import SIZE, Answer, Arm, Chunk, Picture, Row, Rows
from edge_squeeze.evaluation.executor import Local, Run
from edge_squeeze.evaluation.options import EvaluateOptions
from edge_squeeze.evaluation.result import Evaluation
from edge_squeeze.evaluation.table import Table
from edge_squeeze.files.cache import cache_folder
from edge_squeeze.models import source
from edge_squeeze.pictures.labeled import LabeledPicture
from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.reporting import Silent

pytestmark = pytest.mark.usefixtures("own_cache")
COUNT = 3 * SIZE + 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of one network, of float32 and of int8."""
    return color_classifier.export(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, folders: list[Path]) -> Path:
    """Labeled pictures, of which the float32 file is right on two thirds."""
    return color_classifier.label(tmp_path_factory.mktemp("images"), folders[0], COUNT)


def evaluate(folders: Sequence[Path], images: Path, **options: object) -> Evaluation:
    values = {"workers": 1, "with_original": False, **options}
    return evaluations.evaluate(folders, EvaluateOptions(images, **values), Silent())  # type: ignore[arg-type]


def test_the_accuracy_is_that_of_an_independent_loop(folders: list[Path], images: Path) -> None:
    result = evaluate(folders, images)
    for folder, figures in zip(folders, result.artifacts, strict=True):
        classifier = edge_squeeze.load(folder)
        answers = {name: [best.index for best in classifier.predict(images / name)] for name in truth(images)}
        top1 = sum(answers[name][0] == index for name, index in truth(images).items())
        top5 = sum(index in answers[name] for name, index in truth(images).items())
        assert (figures.top1, figures.top5) == (top1 / COUNT, top5 / COUNT)
        assert figures.sha256 == artifacts.load(folder).manifest.file.sha256
        assert figures.top1_interval is not None
        assert figures.top1_interval[0] < 2 / 3 < figures.top1_interval[1]
    assert result.artifacts[0].top1 == pytest.approx(2 / 3, abs=0.02)
    assert len({row[f"{result.artifacts[0].name} top1"] for row in result.rows()}) > 4, "several classes are named"


def test_the_original_is_an_arm_that_files_are_compared_with(folders: list[Path], images: Path) -> None:
    result = evaluate(folders, images, with_original=True)
    (original,) = result.originals
    scores = source.find_again(artifacts.load(folders[0]).manifest, None, None).original()
    classifier = edge_squeeze.load(folders[0])
    pixels = [classifier.artifact.manifest.preprocessing.pixels(open_picture(images / n)) for n in truth(images)]
    named = scores.run(np.stack(pixels)).argmax(axis=1)
    assert original.top1 == np.mean(named == list(truth(images).values()))
    exact, quantized = result.artifacts
    assert (exact.agreement, exact.ratio, original.verdict, original.agreement) == (1.0, 1.0, None, None)
    assert exact.kl == pytest.approx(0, abs=1e-6)
    assert exact.confidence_drift == pytest.approx(0, abs=1e-6)
    assert quantized.kl is not None
    assert quantized.kl > 1e-7
    assert exact.verdict == "unproven", "50 pictures do not prove 98 %"


def test_rows_are_the_same_in_one_process_and_in_two(folders: list[Path], images: Path) -> None:
    serial, parallel = (evaluate(folders, images, workers=workers) for workers in (1, 2))
    assert (serial.workers, parallel.workers) == (1, 2)
    assert json.dumps(list(serial.rows())) == json.dumps(list(parallel.rows()))
    assert (serial.artifacts, serial.comparisons) == (parallel.artifacts, parallel.comparisons)
    assert parallel.rates is not None
    assert parallel.rates.per_s > 0


def test_a_chunk_gives_the_same_rows_wherever_it_is_computed(folders: list[Path], images: Path) -> None:
    arm = Arm("net", str(folders[0]), artifacts.load(folders[0]).manifest.file.sha256)
    chunk = Chunk(0, tuple(Picture(file.name, str(file)) for file in sorted(images.glob("*.png"))[:3]))
    rows = chunks.answer(chunk, [arm])
    assert Rows.decode(json.loads(json.dumps(rows))) == rows
    assert Chunk.decode(json.loads(json.dumps(chunks.as_json(chunk)))) == chunk
    with pytest.raises(UsageError, match="has changed during the evaluation"):
        chunks.answer(chunk, [Arm("net", str(folders[0]), "0" * 64)])


@dataclass(frozen=True)
class Dying:
    """An executor that works backwards, and fails after some chunks."""

    most: int
    kind: str = "dying"
    workers: int = 1

    @contextmanager
    def ready(self, arms: Sequence[Arm]) -> Iterator[Run]:
        with Local(1).ready(arms) as run:

            def some(pieces: Iterator[Chunk]) -> Iterator[Rows]:
                for number, chunk in enumerate(reversed(list(pieces))):
                    if number == self.most:
                        raise ConversionError("died")
                    yield from run([chunk])

            yield some  # type: ignore[misc]


def test_what_was_finished_before_an_end_is_not_done_again(folders: list[Path], images: Path) -> None:
    options = EvaluateOptions(images, with_original=False, workers=1)
    with pytest.raises(ConversionError, match="died"):
        evaluations.evaluate(folders, options, Silent(), Dying(2))
    (journal,) = (cache_folder() / "evaluations").iterdir()
    journal.write_bytes(journal.read_bytes() + b'[7,[["cut')
    resumed = evaluations.evaluate(folders, options, Silent())
    assert resumed.resumed == SIZE + 2, "the last two chunks, of which the very last is short"
    assert not journal.exists()
    whole = evaluate(folders, images)
    assert whole.resumed == 0
    assert list(resumed.rows()) == list(whole.rows())
    assert resumed.artifacts == whole.artifacts


def test_rows_of_another_file_or_other_pictures_are_not_gone_on_with(
    folders: list[Path], images: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(images, tmp_path / "own"))
    options = EvaluateOptions(own, with_original=False, workers=1)
    with pytest.raises(ConversionError):
        evaluations.evaluate(folders[:1], options, Silent(), Dying(1))
    assert evaluate(folders[1:], own).resumed == 0
    with pytest.raises(ConversionError):
        evaluations.evaluate(folders[:1], options, Silent(), Dying(1))
    shutil.copy(own / "blotches 01.png", own / "blotches 00.png")
    assert evaluate(folders[:1], own).resumed == 0


def test_a_process_that_ends_is_reported_with_its_reason(
    folders: list[Path], images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_squeeze.evaluation.executor.WORKER", "edge_squeeze.no_such_module")
    with pytest.raises(ConversionError, match=r"A process of the evaluation failed: .*no_such_module"):
        evaluate(folders, images, workers=2)


def test_pictures_without_labels_count_for_agreement_alone(folders: list[Path], tmp_path: Path) -> None:
    result = evaluate(folders, save_blotches(tmp_path / "plain", 9), with_original=True)
    figures = result.artifacts[0]
    assert (figures.pictures, figures.labeled, figures.top1, figures.ratio) == (9, 0, None, None)
    assert (figures.agreement, figures.verdict, figures.reason) == (1.0, "unproven", "no picture has a label")
    assert result.comparisons == []


def test_the_worst_classes_and_pictures_are_named(folders: list[Path], images: Path) -> None:
    result = evaluate(folders, images)
    figures, rows = result.artifacts[0], list(result.rows())
    name = figures.name
    wrong = [row for row in rows if not row[f"{name} correct"]]
    most = max(wrong, key=lambda row: row[f"{name} confidence"])
    worst = figures.worst_pictures[0]
    assert (worst.picture, worst.confidence) == (most["picture"], most[f"{name} confidence"])
    assert worst.right == [NAMES[int(most["classes"])]]
    of_class = [row for row in rows if row["classes"] == str(figures.worst_classes[0].index)]
    assert figures.worst_classes[0].pictures == len(of_class)
    assert figures.worst_classes[0].correct == sum(row[f"{name} correct"] for row in of_class)


def test_pictures_of_the_calibration_are_left_out(folders: list[Path], tmp_path: Path) -> None:
    calibration = save_blotches(tmp_path / "calibration", 16, seed=500)
    (exported,) = edge_squeeze.export(
        folders[0].parents[1] / "colors.keras",
        precision="int8",
        preprocessing="raw",
        labels=folders[0] / "labels.txt",
        calibration=calibration,
        out=tmp_path / "out",
    )
    mixed = save_blotches(tmp_path / "mixed", 10, seed=900)
    shutil.copy(calibration / "blotches 00.png", mixed / "copy.png")
    result = evaluate([exported.folder, folders[0]], mixed)
    assert (result.calibrated, result.artifacts[0].pictures, result.artifacts[1].pictures) == (1, 10, 10)
    remark = "left out 1 of the 11 pictures: int8 was calibrated on them, which would flatter it"
    assert remark in result.notes
    assert (result.remarks, result.count) == ([remark], 11)
    shown = run_here(tmp_path, "evaluate", exported.folder, "--images", mixed, "--no-original", "--json")
    assert remark in shown.stderr
    assert [row["picture"] for row in result.rows() if row["calibrated"]] == ["copy.png"]
    with pytest.raises(UsageError, match=r"calibrated on 16 of the 16 pictures, which leaves 0\. Required: at least 8"):
        evaluate([exported.folder], calibration)
    for number in range(1, 16):
        shutil.copy(calibration / f"blotches {number:02}.png", mixed / f"copy {number}.png")
    drawn = evaluate([exported.folder], mixed, samples=8)  # 10 of the 26 qualify
    assert (drawn.calibrated, drawn.artifacts[0].pictures) == (0, 8)
    assert not [row["picture"] for row in drawn.rows() if str(row["picture"]).startswith("copy")]
    assert any(note.startswith("drew 8 of the 26 pictures (seed 0), passing over ") for note in drawn.notes)
    assert evaluate([exported.folder], mixed, samples=20).artifacts[0].pictures == 10, "as many as there are"
    for number in range(3):
        (mixed / f"blotches {number:02}.png").unlink()
    with pytest.raises(UsageError, match="calibrated on 16 of the 23 pictures, which leaves 7"):
        evaluate([exported.folder], mixed, samples=8)


@pytest.mark.parametrize(("classes", "known"), [(5, False), (6, True)])
def test_the_best_five_of_five_classes_are_no_figure(classes: int, known: bool) -> None:
    pictures = [LabeledPicture(Path(f"{at}.png"), f"{at}.png", frozenset({at % classes})) for at in range(SIZE)]
    table = Table(pictures, [Arm("few", "few", "a" * 64)])
    answer = Answer(list(range(5)), 0.9, None)
    table.put(Rows(0, [Row("b" * 64, None, False, [answer]) for _ in pictures], 1.0, 1.0))
    result = computed.of_arm(table, 0, NAMES[:classes])
    right = sum(at % classes < 5 for at in range(SIZE)) / SIZE
    assert (result.top5, result.top5_interval is not None) == (right if known else None, known)
    assert result.top1 == sum(at % classes == 0 for at in range(SIZE)) / SIZE


def test_files_whose_classes_differ_are_refused(folders: list[Path], images: Path, tmp_path: Path) -> None:
    renamed = Path(shutil.copytree(folders[0], tmp_path / "renamed"))
    labels = (renamed / "labels.txt").read_bytes().replace(b"grey", b"gray")
    (renamed / "labels.txt").write_bytes(labels)
    change(renamed, name="renamed", labels__sha256=sha256(labels))
    with pytest.raises(UsageError, match=r"and renamed have different class names.* Evaluate them one by one"):
        evaluate([folders[0], renamed], images)
    with pytest.raises(UsageError, match="is given twice"):
        evaluate([folders[0], folders[0]], images)

"""Proof that an artifact computes what its original computes, on real pictures; or at least its golden files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.engines.runner import Runner, RunOptions, open_runner
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, UsageError
from edge_squeeze.models import source as subjects
from edge_squeeze.models.original import Original
from edge_squeeze.models.source import Sides, Subject
from edge_squeeze.packages import is_installed
from edge_squeeze.pictures.loading import Part, PictureSet, load_folder, photograph_crops
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.proof import gates as gate_table, golden, parity
from edge_squeeze.proof.gates import Gate, Gates, Judgment, gates_of_part, judge
from edge_squeeze.proof.golden import GoldenCheck
from edge_squeeze.proof.parity import ENOUGH_PICTURES, FAIL, PASS, UNPROVEN, Parity
from edge_squeeze.reporting import Reporter, html_table
from edge_squeeze.scores import Scores, comparable, content

CROPS_PER_PHOTOGRAPH = 8
SEED = 3  # calibration crops have another
PART = 4  # one picture in so many: three more sizes then take about as long as the usual one does alone
FEWEST = 8  # pictures, where there are as many
CHUNK = 4  # pictures between two moves of the progress bar
UNTRAINED = "untrained weights"
ALL_HELD = "every gate held"
SMOKE_TEST = "every gate held, but it is a smoke test: give --images DIR with 100 pictures of yours for more"
ONE_PICTURE = "one picture proves nothing: give several, of different classes"
CONSTANT = "the original gives the same scores for every picture, so there is nothing to compare"
ALIKE = (
    "the original answers so alike for all pictures that the gates would hold even if each had another's scores; give "
    "--images DIR with pictures of several classes that the network knows"
)
SMALLEST_SPREAD = 1e-3  # of a class' probability over the pictures; 0.97 for real weights on the built-in crops


@dataclass(frozen=True)
class Reference:
    """The original's scores [N,classes] on a set of pictures, from 0 to 1, and what they were made from."""

    original: Original
    pictures: PictureSet
    scores: Scores
    content: str  # what the original gives: probabilities | logits | scores
    span: float  # its highest less its lowest score, as it gives them

    @property
    def is_constant(self) -> bool:
        """Whether the original answers the same whatever it sees."""
        return bool(np.ptp(self.scores, axis=0).max() < SMALLEST_SPREAD)


@dataclass(frozen=True)
class Answers:
    """What the original itself says of the pictures: nonsense here tells of wrong preprocessing; parity cannot."""

    classes: int  # how many different ones are its best
    mean_top_score: float


@dataclass(frozen=True)
class Proof:
    """Parity on one set of pictures, judged."""

    pictures: PictureSet
    parity: Parity
    judgments: list[Judgment]
    verdict: str  # pass | fail | unproven
    reason: str
    runtime: str
    answers: Answers
    others: tuple[Proof, ...] = ()  # at other sizes, of a file that takes any; the verdict is the worst of all

    def __repr__(self) -> str:
        return f"<Proof {self.verdict.upper()}: {self.parity!r}>"

    @property
    def failures(self) -> list[str]:
        """A sentence for each gate that failed."""
        own = [str(judgment) for judgment in self.judgments if not judgment.passed]
        return own + [f"{_at(proof)}: {failure}" for proof in self.others for failure in proof.failures]

    @property
    def basis(self) -> str:
        """What it was made on, in words."""
        sizes = " and ".join(map(_at, self.others))
        return self.pictures.description + (f", {len(self.others[0].pictures)} of them also {sizes}" if sizes else "")

    def to_dict(self) -> dict[str, Any]:
        """The content of parity.json."""
        return {
            "schema_version": 1,
            "verdict": self.verdict,
            "reason": self.reason,
            "runtime": self.runtime,
            "sets": [_set(proof) for proof in (self, *self.others)],
        }


def _set(proof: Proof) -> dict[str, Any]:
    """What parity.json says of one set of pictures."""
    return {
        "pictures": proof.pictures.description,
        "photographs": proof.pictures.photographs,
        "size": proof.pictures.size,
        "original": asdict(proof.answers),
        "figures": parity.to_dict(proof.parity, proof.pictures.names),
        "gates": [
            {**asdict(j.gate), "value": parity.finite(j.value), "passed": j.passed, "worst_picture": j.worst_picture}
            for j in proof.judgments
        ],
    }


def _at(proof: Proof) -> str:
    return "at {} x {}".format(*proof.pictures.size)


@dataclass(frozen=True)
class Verification:
    """What `verify` found: always the golden check, and the proof where the original could be had."""

    artifact: Artifact
    golden: GoldenCheck
    proof: Proof | None
    without_proof: str | None  # why there is none

    @property
    def passed(self) -> bool:
        """Whether everything that was checked held."""
        return self.golden.passed and (self.proof is None or self.proof.verdict != FAIL)

    def __repr__(self) -> str:
        verdicts = "; ".join(f"{check} {verdict}" for check, verdict, _ in self._rows())
        return f"<Verification of {self.artifact.manifest.name}: {verdicts}>"

    def _repr_html_(self) -> str:
        return html_table(("check", "verdict", "figures"), self._rows())

    def _rows(self) -> list[tuple[str, str, str]]:
        """What was checked, the verdict, and what it rests on."""
        gold = self.golden
        pixels = "pixels equal" if gold.pixels_equal else "pixels DIFFERENT"
        golden_ = f"{pixels}; scores within {gold.max_abs:.1e}, allowed {gold.tolerance:.1e}"
        rows = [("golden files", (PASS if gold.passed else FAIL).upper(), golden_)]
        if self.proof is None:
            return [*rows, ("parity", "not checked", str(self.without_proof))]
        return [*rows, ("parity", self.proof.verdict.upper(), f"{self.proof.parity!r}"[1:-1])]


def prove_all(references: Sequence[Reference], runner: Runner, gates: Gates, reporter: Reporter, *, own: bool) -> Proof:
    """The proof at the size of the first of `references`, with those at the other sizes; the worst verdict counts.

    `own`: of a user's model.
    """
    sets = [gates.of(len(reference.pictures), reference.pictures.photographs, own=own) for reference in references]
    first, *rest = references
    usual = prove(first, runner, sets[0], reporter)
    fitting = [gates_of_part(its, len(reference.pictures)) for its, reference in zip(sets[1:], rest, strict=True)]
    others = [prove(reference, runner, its, reporter) for reference, its in zip(rest, fitting, strict=True)]
    whole = replace(usual, others=tuple(others))
    worst = max((usual, *others), key=lambda proof: (PASS, UNPROVEN, FAIL).index(proof.verdict))
    if worst.verdict == usual.verdict != FAIL:
        return whole
    reason = "; ".join(whole.failures) if worst.verdict == FAIL else f"{_at(worst)}: {worst.reason}"
    return replace(whole, verdict=worst.verdict, reason=reason)


def prove(reference: Reference, runner: Runner, gates: Sequence[Gate], reporter: Reporter) -> Proof:
    """Run the artifact on the reference's pictures and judge how far its scores are from the original's."""
    pixels = reference.pictures.pixels
    chunks = reporter.track(range(0, len(pixels), CHUNK), "prove")
    raw = np.concatenate([runner.run(pixels[i : i + CHUNK]) for i in chunks])
    if raw.shape != reference.scores.shape:
        raise ConversionError(f"The file gives scores {list(raw.shape)}, its original {list(reference.scores.shape)}.")
    figures = parity.compare(reference.scores, comparable(raw, reference.content))
    judgments = judge(figures, gates, reference.pictures.names)
    verdict, reason = _verdict(reference, judgments, gates)
    answers = Answers(len(set(reference.scores.argmax(axis=1).tolist())), float(reference.scores.max(axis=1).mean()))
    engine = f"{runner.runtime} {runner.version}"
    return Proof(reference.pictures, figures, judgments, verdict, reason, engine, answers)


def load_pictures(
    images: Path | None, preprocessing: Preprocessing, other_sizes: Sequence[Sides] = ()
) -> list[PictureSet]:
    """The user's pictures, or crops of the built-in photographs; then some of them at each of `other_sizes`."""
    usual = _load_pictures(images, preprocessing, range)
    return [usual, *(_load_pictures(images, preprocessing.at(size), part) for size in other_sizes)]


def _load_pictures(images: Path | None, preprocessing: Preprocessing, taken: Part) -> PictureSet:
    if images is not None:
        return load_folder(images, preprocessing, taken)
    return photograph_crops(CROPS_PER_PHOTOGRAPH, preprocessing.size, SEED, part=taken)


def part(count: int) -> Sequence[int]:
    """Which of `count` pictures are shown at the other sizes, spread over all of them."""
    shown = max(count // PART, min(count, FEWEST))
    return [i * count // shown for i in range(shown)]


def refer(original: Original, pictures: PictureSet) -> Reference:
    """The reference that `original` is on `pictures`; UsageError if its weights give scores that are no numbers."""
    scores = original.run(pictures.pixels)
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        name = pictures.names[int(finite.argmin())]
        raise UsageError(f"The original's scores of {name} are not finite numbers: its weights are broken.")
    kind = original.content or content(scores)
    return Reference(original, pictures, comparable(scores, kind), kind, float(np.ptp(scores)))


def _verdict(reference: Reference, judgments: Sequence[Judgment], gates: Sequence[Gate]) -> tuple[str, str]:
    if not reference.original.weights.trained:
        return UNPROVEN, UNTRAINED
    if len(reference.pictures) == 1:
        return UNPROVEN, ONE_PICTURE
    if reference.is_constant:
        return UNPROVEN, CONSTANT
    failures = [str(judgment) for judgment in judgments if not judgment.passed]
    if failures:
        return FAIL, "; ".join(failures)
    if _would_hold_for_others(reference, gates):
        return UNPROVEN, ALIKE
    few = reference.pictures.photographs or len(reference.pictures) < ENOUGH_PICTURES
    return PASS, SMOKE_TEST if few else ALL_HELD


def _would_hold_for_others(reference: Reference, gates: Sequence[Gate]) -> bool:
    """Whether the gates would hold for a file that answers for the wrong picture: then they prove nothing.

    Each picture's scores are held against those of the picture half the set away: crops of one photograph are
    neighbors.
    """
    shuffled = np.roll(reference.scores, len(reference.scores) // 2, axis=0)
    figures = parity.compare(reference.scores, shuffled)
    return all(judgment.passed for judgment in judge(figures, gates, reference.pictures.names))


def verify(
    artifact: Artifact,
    images: Path | None,
    original: Path | None,
    custom_objects: str | None,
    options: RunOptions,
    reporter: Reporter,
) -> Verification:
    """Check the golden files of `artifact`, and its parity with its original if that can be had.

    Raises UsageError for an artifact, picture or `original` that cannot be used.
    """
    gates = gate_table.find(artifact.manifest.format, artifact.manifest.precision)
    with reporter.step("golden files"):
        artifact.labels()
        runner = open_runner(artifact.model(), artifact.manifest.format, options)
        gold = golden.check(artifact, runner)
    with reporter.step("original"):
        subject = _find_subject(artifact, original, custom_objects)
        if isinstance(subject, Subject):
            keras_original = subject.original()
            if subject.weights.sha256 != artifact.manifest.weights.sha256:
                reporter.note(f"warning: {original} is not the file that the artifact records")
    if isinstance(subject, str):
        if images is not None:
            raise UsageError(f"--images cannot be judged: {subject}.")
        return Verification(artifact, gold, None, subject)
    with reporter.step("parity"):
        sets = load_pictures(images, subject.preprocessing, subject.other_sizes)
        references = [refer(keras_original, pictures) for pictures in sets]
        proof = prove_all(references, runner, gates, reporter, own=subject.own)
    return Verification(artifact, gold, proof, None)


def _find_subject(artifact: Artifact, path: Path | None, custom_objects: str | None) -> Subject | str:
    """What the manifest says it was made from, from the file `path` or found again; else why not."""
    if not is_installed("tensorflow"):
        return "TensorFlow is not installed"
    try:
        return subjects.find_again(artifact.manifest, path, custom_objects)
    except EdgeSqueezeError as error:
        if path is not None:
            raise
        return f"its original could not be loaded ({str(error).rstrip('.')}). Give --original FILE"

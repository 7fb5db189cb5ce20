"""Proves that an artifact computes what its original computes, on real pictures and on its golden files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.engines.runner import Runner, RunOptions, open_runner
from edge_squeeze.errors import ConversionError, EdgeSqueezeError, UsageError
from edge_squeeze.models import source as subjects
from edge_squeeze.models.original import Original
from edge_squeeze.models.source import Sides, Subject
from edge_squeeze.packages import is_installed
from edge_squeeze.pictures.loading import PictureSet, check as check_pictures, load_folder, photograph_crops
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.proof import comparison, gates as gate_table, golden, leakage, parity
from edge_squeeze.proof.comparison import Comparison
from edge_squeeze.proof.gates import Gate, Gates, Judgment, gates_of_part, judge
from edge_squeeze.proof.golden import GoldenCheck
from edge_squeeze.proof.leakage import CalibrationPicture
from edge_squeeze.proof.options import VerifyOptions
from edge_squeeze.proof.parity import ENOUGH_PICTURES, FAIL, PASS, UNPROVEN, Parity, Tops
from edge_squeeze.reporting import Reporter, html_table
from edge_squeeze.scores import PROBABILITY, Scores, comparable, content

CROPS_PER_PHOTOGRAPH = 8
SEED = 3  # calibration crops use another one
PART = 4  # use one picture in four at other sizes: three more sizes then take about as long as the usual one
FEWEST = 8  # but at least this many, if there are as many
CHUNK = 4  # pictures between updates of the progress bar
UNTRAINED = "untrained weights"
ALL_PASSED = "all gates passed"
SMOKE_TEST = "all gates passed, but this is only a smoke test: give --images DIR with 100 of your own pictures"
FEW_PICTURES = "all gates passed, but {} pictures are only a smoke test: give more, at least 100, with --images DIR"
ONE_PICTURE = "one picture proves nothing: give several, of different classes"
CONSTANT = "the original gives the same scores for every picture, so there is nothing to compare"
ALIKE = (
    "the original's scores are so alike for all pictures that the gates would pass even with the scores of the wrong "
    "pictures; give --images DIR with pictures of several classes that the network knows"
)
SMALLEST_SPREAD = 1e-3  # of a class's probability over the pictures; 0.97 for real weights on the built-in crops


@dataclass(frozen=True)
class Reference:
    """The original's scores [N,classes] on a set of pictures, from 0 to 1, and what they were made from."""

    original: Original
    pictures: PictureSet
    scores: Scores
    content: str  # of the original's scores: probabilities | logits | scores
    span: float  # the original's highest minus its lowest score, before any softmax

    @property
    def is_constant(self) -> bool:
        """Whether the original gives the same scores for every picture."""
        return bool(np.ptp(self.scores, axis=0).max() < SMALLEST_SPREAD)


@dataclass(frozen=True)
class Answers:
    """The original's own predictions: nonsense here reveals wrong preprocessing, which parity cannot."""

    classes: int  # how many different classes came first
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
    tops: Tops | None = None  # what both answered

    def __repr__(self) -> str:
        return f"<Proof {self.verdict.upper()}: {self.parity!r}>"

    @property
    def failures(self) -> list[str]:
        """A sentence for each gate that failed."""
        own = [str(judgment) for judgment in self.judgments if not judgment.passed]
        return own + [f"{_at(proof)}: {failure}" for proof in self.others for failure in proof.failures]

    @property
    def basis(self) -> str:
        """The pictures that it is based on, in words."""
        sizes = " and ".join(map(_at, self.others))
        return self.pictures.description + (f", {len(self.others[0].pictures)} of them also {sizes}" if sizes else "")

    def to_dict(self, sha256: str) -> dict[str, Any]:
        """The content of parity.json, `sha256` being that of the model file that was proven."""
        return {
            "schema_version": 1,
            "sha256": sha256,
            "verdict": self.verdict,
            "reason": self.reason,
            "runtime": self.runtime,
            "sets": [_set(proof) for proof in (self, *self.others)],
        }


def _set(proof: Proof) -> dict[str, Any]:
    """The entry of parity.json for one set of pictures."""
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
    """The result of `verify`: always the golden check, and the proof if the original is available."""

    artifact: Artifact
    golden: GoldenCheck
    proof: Proof | None
    without_proof: str | None  # why there is no proof
    against: Comparison | None = None  # with another artifact, if one was named

    @property
    def quantizers(self) -> dict[str, float]:
        """How far files by each quantizer diverged on held-out calibration pictures, if `export` compared them."""
        return leakage.held_out(self.artifact)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return self.golden.passed and (self.proof is None or self.proof.verdict != FAIL)

    def __repr__(self) -> str:
        verdicts = "; ".join(f"{check} {verdict}" for check, verdict, _ in self._rows())
        return f"<Verification of {self.artifact.manifest.name}: {verdicts}>"

    def _repr_html_(self) -> str:
        return html_table(("check", "verdict", "figures"), self._rows())

    def _rows(self) -> list[tuple[str, str, str]]:
        """What was checked, the verdict, and the figures it is based on."""
        gold = self.golden
        pixels = "pixels equal" if gold.pixels_equal else "pixels DIFFERENT"
        golden_ = f"{pixels}; scores within {gold.max_abs:.1e}, allowed {gold.tolerance:.1e}"
        rows = [("golden files", (PASS if gold.passed else FAIL).upper(), golden_)]
        if self.proof is None:
            return [*rows, ("parity", "not checked", str(self.without_proof))]
        return [*rows, ("parity", self.proof.verdict.upper(), f"{self.proof.parity!r}"[1:-1])]


def prove_all(references: Sequence[Reference], runner: Runner, gates: Gates, reporter: Reporter, *, own: bool) -> Proof:
    """The proof at the usual size, with those at other sizes; the worst verdict counts.

    Args:
        references: The original's scores at each size, the usual size first.
        runner: The artifact's model, loaded.
        gates: What a file of this format and precision must reach.
        reporter: Shows the progress.
        own: Whether the model is the user's own.
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
    """The proof on the pictures of one reference: how far the artifact's scores are from the original's, judged.

    Raises ConversionError if they have another shape.
    """
    scores = _scores(reference, runner, reporter, "prove")
    figures, tops = parity.compare(reference.scores, scores), Tops.of(reference.scores, scores)
    judgments = judge(figures, gates, reference.pictures.names)
    verdict, reason = _verdict(reference, judgments, gates)
    answers = Answers(len(set(reference.scores.argmax(axis=1).tolist())), float(reference.scores.max(axis=1).mean()))
    engine = f"{runner.runtime} {runner.version}"
    return Proof(reference.pictures, figures, judgments, verdict, reason, engine, answers, tops=tops)


def _scores(reference: Reference, runner: Runner, reporter: Reporter, title: str) -> Scores:
    """The artifact's scores on the pictures of `reference`; ConversionError if they have another shape."""
    pixels = reference.pictures.pixels
    chunks = reporter.track(range(0, len(pixels), CHUNK), title)
    raw = np.concatenate([runner.run(pixels[i : i + CHUNK]) for i in chunks])
    scores = comparable(raw, reference.content)
    if scores.shape != reference.scores.shape:
        raise ConversionError(
            f"The file's scores have the shape {list(scores.shape)}, those of its original "
            f"{list(reference.scores.shape)}."
        )
    return scores


def load_pictures(
    images: Path | None,
    preprocessing: Preprocessing,
    other_sizes: Sequence[Sides] = (),
    *,
    skip_unreadable: bool = False,
    calibrated: Sequence[CalibrationPicture] = (),
) -> list[PictureSet]:
    """The pictures to prove a file on: all of them at the usual size, then some at each of `other_sizes`.

    Args:
        images: The user's pictures; None for crops of the built-in photographs.
        preprocessing: What pictures go through, at the usual size.
        other_sizes: Further (height, width) in pixels, for a file that takes any size.
        skip_unreadable: Whether to go on without pictures that cannot be read.
        calibrated: Those of the user's pictures that are left out, as the ranges of the file were measured on them.
    """
    sizes = [preprocessing.at(size) for size in other_sizes]
    if images is None:
        usual = photograph_crops(CROPS_PER_PHOTOGRAPH, preprocessing.size, SEED)
        return [usual, *(photograph_crops(CROPS_PER_PHOTOGRAPH, its.size, SEED, part=part) for its in sizes)]
    every = load_folder(images, preprocessing, skip_unreadable=skip_unreadable)
    usual = leakage.leave_out(every, calibrated)
    left_out = set(every.names) - set(usual.names)
    return [
        usual,
        *(load_folder(images, its, part, skip_unreadable=skip_unreadable, left_out=left_out) for its in sizes),
    ]


def part(count: int) -> Sequence[int]:
    """The indices of the pictures, out of `count`, to use at other sizes, spread evenly."""
    shown = max(count // PART, min(count, FEWEST))
    return [i * count // shown for i in range(shown)]


def refer(original: Original, pictures: PictureSet) -> Reference:
    """The scores of `original` on `pictures`; UsageError if some are not finite."""
    scores = original.run(pictures.pixels)
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        name = pictures.names[int(finite.argmin())]
        raise UsageError(f"The original's scores for {name} are not finite numbers: its weights are corrupt.")
    kind = original.content or content(scores)
    if scores.shape[1] == 1 and kind != PROBABILITY:
        raise UsageError(
            "The original gives one score, which is not from 0 to 1 for every picture. End it with a sigmoid, "
            "keras.layers.Activation('sigmoid'), or give each class a score."
        )
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
    if _would_pass_shuffled(reference, gates):
        return UNPROVEN, ALIKE
    count = len(reference.pictures)
    few = FEW_PICTURES.format(count) if count < ENOUGH_PICTURES else ALL_PASSED
    return PASS, SMOKE_TEST if reference.pictures.photographs else few


def _would_pass_shuffled(reference: Reference, gates: Sequence[Gate]) -> bool:
    """Whether the gates would pass a file that gives the scores of the wrong pictures: then they prove nothing.

    Each picture's scores are compared with those of the picture half the set away, since neighbors are crops of one
    photograph.
    """
    shuffled = np.roll(reference.scores, len(reference.scores) // 2, axis=0)
    figures = parity.compare(reference.scores, shuffled)
    return all(judgment.passed for judgment in judge(figures, gates, reference.pictures.names))


def verify(folder: Path, options: VerifyOptions, reporter: Reporter) -> Verification:
    """Check the golden files of the artifact in `folder`, and its parity with its original if that is available.

    UsageError if the artifact, the one to compare it with, a picture or the original cannot be used.
    """
    compared = [artifacts.load(path) for path in (folder, options.against) if path is not None]
    artifact, manifest = compared[0], compared[0].manifest
    if options.images is not None:
        for note in check_pictures(options.images, skip_unreadable=options.skip_unreadable):
            reporter.note(note)
    with reporter.step("golden files"):
        for each in compared:
            each.check_parity()
        artifact.labels()
        runners = [_open(each, options, manifest.format) for each in compared]
        gold = golden.check(artifact, runners[0])
    with reporter.step("original"):
        subject = find_subject(artifact, options.original, options.custom_objects, trust_file=options.trust_file)
        if isinstance(subject, Subject):
            original = subject.original()
            for note in other_original(artifact, subject, options.original):
                reporter.note(note)
    if isinstance(subject, str):
        _check_unneeded(options, subject)
        return Verification(artifact, gold, None, subject)
    with reporter.step("parity"):
        sets = _pictures(subject, compared, options, reporter)
        references = [refer(original, pictures) for pictures in sets]
        gates = gate_table.find(manifest.format, manifest.precision, manifest.options.get("head"))
        proof = prove_all(references, runners[0], gates, reporter, own=subject.own)
    if options.against is None:
        return Verification(artifact, gold, proof, None)
    with reporter.step("comparison"):
        cand, base = compared
        against = comparison.incomparable(cand, base, weights=options.original is None)
        if against is None:
            scores = _scores(references[0], runners[1], reporter, "compare")
            figures = parity.compare(references[0].scores, scores)
            against = comparison.compare(cand, base, (proof.parity, figures), sets[0])
    return Verification(artifact, gold, proof, None, against)


def _check_unneeded(options: VerifyOptions, reason: str) -> None:
    """Raise UsageError if one of `options` needs the original, which cannot be had for this reason."""
    for option, value in (("--images", options.images), ("--against", options.against)):
        if value is not None:
            raise UsageError(f"{option} cannot be used: {reason}.")


def _open(artifact: Artifact, options: VerifyOptions, runtime_of: str) -> Runner:
    """The model of `artifact`, loaded, by the engine that was asked for if it is one for its format."""
    own = artifact.manifest.format
    runtime = options.runtime if own == runtime_of else None
    return open_runner(artifact.model(), own, RunOptions(options.threads, runtime))


def _pictures(
    subject: Subject, compared: Sequence[Artifact], options: VerifyOptions, reporter: Reporter
) -> list[PictureSet]:
    """The pictures at each size, without those that one of the `compared` was calibrated on."""
    own = options.images is not None
    sets = load_pictures(
        options.images,
        subject.preprocessing,
        subject.other_sizes,
        skip_unreadable=options.skip_unreadable,
        calibrated=[picture for artifact in compared if own for picture in leakage.read(artifact)],
    )
    for remark in sets[0].remarks:
        reporter.note(remark)
    return sets


def find_subject(
    artifact: Artifact, path: Path | None, custom_objects: str | None, *, trust_file: bool = False
) -> Subject | str:
    """What `artifact` was made from, in the file `path` or where its manifest says; the reason if unavailable.

    UsageError if `path` was given and cannot be used.
    """
    if not is_installed("tensorflow"):
        return "TensorFlow is not installed"
    try:
        return subjects.find_again(artifact.manifest, path, custom_objects, trust_file=trust_file)
    except EdgeSqueezeError as error:
        if path is not None:
            raise
        reason = str(error).rstrip(".")
        has_remedy = any(option in reason for option in ("--custom-objects", "--trust-file"))
        remedy = "" if has_remedy else ". Give --original FILE"
        return f"its original could not be loaded ({reason}){remedy}"


def other_original(artifact: Artifact, subject: Subject, path: Path | None) -> list[str]:
    """A warning if `subject`, read from `path`, is not what `artifact` records as its original."""
    record = artifact.manifest.weights
    same = subject.weights.sha256 == record.sha256 or record.in_memory
    return [] if same else [f"warning: {path} is not the file that the artifact records"]

"""What each command says when it is done: a table or one JSON document, and the commands to go on with."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_squeeze.artifact import PARITY
from edge_squeeze.console import print_json, print_next, print_prose, print_text, whole
from edge_squeeze.doctor import machine
from edge_squeeze.errors import UsageError
from edge_squeeze.manifest import PREPEND_NORMALISATION, SAVED_MODEL
from edge_squeeze.parity import FAIL, FIGURES, PASS, finite
from edge_squeeze.prediction import Classification, Classifier
from edge_squeeze.scores import LOGITS
from edge_squeeze.tables import Column, print_table
from edge_squeeze.verification import Proof, Verification

if TYPE_CHECKING:
    from edge_squeeze.converters.export import Exported

PARITY_COLUMNS = tuple(map(Column, FIGURES, (2, 5, 3, 0)))
EXPORT_COLUMNS = (
    Column("target", text=True), Column("MB", 1), Column("smaller", 4), *PARITY_COLUMNS, Column("verdict", text=True),
)  # fmt: skip
FLOAT32_BYTES = 4
SMALL_BYTES = 100_000


def export(exported: Sequence[Exported], *, as_json: bool, verbose: bool = False) -> None:
    """Print what `edge-squeeze export` made, every figure if `verbose`."""
    if as_json:
        print_json({"artifacts": [{"folder": str(e.folder), **_size(e), **_proof(e.proof)} for e in exported]})
        return
    print_text("")
    rows = [(_target(e), *_sizes(e), *e.proof.parity.cells(), e.proof.verdict.upper()) for e in exported]
    print_table(EXPORT_COLUMNS, rows, every=verbose)
    print_text("", "Written:", *(f"  {e.folder}" for e in exported))
    for verdict, reason in dict.fromkeys(
        (e.proof.verdict, e.proof.reason) for e in exported if e.proof.verdict != FAIL
    ):
        held = [e for e in exported if (e.proof.verdict, e.proof.reason) == (verdict, reason)]
        names = "" if len(held) == len(exported) else f"{', '.join(map(_target, held))}: "
        words = f"Proven on {held[0].proof.basis}" if verdict == PASS else verdict
        print_prose("", f"{names}{words}: {reason}.")
    print_prose(*_remarks(exported[0]))
    failed = [one for one in exported if one.proof.verdict == FAIL]
    for one in failed:
        print_prose("", *(f"FAIL {whole(str(one.folder))}: {failure}" for failure in one.proof.failures), later="  ")
    _print_next(next((one for one in exported if one not in failed), None), failed)


def _remarks(exported: Exported) -> list[str]:
    """What a user should know of how the original was taken."""
    manifest, answers = exported.manifest, exported.proof.answers
    remarks = [f"warning: {warning}." for warning in exported.warnings]
    if manifest.variant is None:
        remarks.append(
            f"The original finds {answers.classes} of its {manifest.classes} classes in these pictures, with a mean "
            f"best score of {answers.mean_top_score:.0%}. If it should find others, look at --preprocessing."
        )
    if manifest.weights.kind == SAVED_MODEL:
        remarks.append("A SavedModel opens only as a whole, so it was converted as it is, nothing folded into it.")
    if PREPEND_NORMALISATION in manifest.rewrites:
        remarks.append("Preprocessing is an operator of its own before the network: folding it in would not be exact.")
    if manifest.output.content == LOGITS:
        remarks.append("The network gives logits; the figures above are of their softmax.")
    return remarks


def _print_next(good: Exported | None, failed: Sequence[Exported]) -> None:
    advice, commands = [], []
    if failed:
        path = whole(str(failed[0].folder / PARITY))
        advice.append(f"see {path} for every picture; what failed was kept as evidence, not for use")
    if any(one.manifest.quantizer for one in failed):
        advice.append(
            "give `--calibration DIR` with 100 pictures of the kind it will see, or try `--precision dynamic,float16`"
        )
    if good is not None:
        folder = shlex.quote(str(good.folder))
        commands = [f"edge-squeeze predict {folder} PICTURE", f"edge-squeeze verify {folder} --images DIR"]
    print_next(*commands, advice=advice)


def _target(exported: Exported) -> str:
    return f"{exported.manifest.format}-{exported.manifest.precision}"


def _size(exported: Exported) -> dict[str, Any]:
    manifest = exported.manifest
    return {
        "name": manifest.name,
        "size_bytes": manifest.file.size_bytes,
        "preprocessing": dataclasses.asdict(manifest.preprocessing),
        "warnings": [*exported.warnings, *exported.lint],
    }


def _sizes(exported: Exported) -> tuple[str, str]:
    """Megabytes, and how many times smaller that is than the weights as float32."""
    size = exported.manifest.file.size_bytes
    return (
        f"{size / 1e6:.{2 if size >= SMALL_BYTES else 3}f}",
        f"{exported.manifest.parameters * FLOAT32_BYTES / size:.1f}x",
    )


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "verdict": proof.verdict,
        "reason": proof.reason,
        "pictures": proof.pictures.description,
        "original": dataclasses.asdict(proof.answers),
        "runtime": proof.runtime,
        "parity": _figures_as_json(proof),
        "other_sizes": [{"size": other.pictures.size, "parity": _figures_as_json(other)} for other in proof.others],
        "failures": proof.failures,
    }


def _figures_as_json(proof: Proof) -> dict[str, Any]:
    return {key: finite(value) for key, value in dataclasses.asdict(proof.parity).items() if key != "per_picture"}


def verification(found: Verification, *, as_json: bool, verbose: bool = False) -> None:
    """Print what `edge-squeeze verify` found, every figure if `verbose`."""
    gold = found.golden
    if as_json:
        golden = {**dataclasses.asdict(gold), "passed": gold.passed}
        parity = None if found.proof is None else _proof(found.proof)
        print_json({"passed": found.passed, "golden": golden, "proof": parity, "without_proof": found.without_proof})
        return
    pixels = "equal" if gold.pixels_equal else "DIFFERENT"
    print_prose("", f"Golden files: {'PASS' if gold.passed else 'FAIL'}, with {gold.runtime} ({gold.kernels} kernels)")
    scores = f"scores within {gold.max_abs:.1e}, allowed {gold.tolerance:.1e}"
    print_prose(f"preprocessed pixels {pixels}; {scores}", start="  ")
    if found.proof is None:
        print_prose(f"Parity: not checked, since {found.without_proof}. The golden files are all that was checked.")
        return
    proof = found.proof
    print_prose(f"Parity: {proof.verdict.upper()}, on {proof.basis}")
    if proof.others:
        sizes = [("{} x {}".format(*one.pictures.size), *one.parity.cells()) for one in (proof, *proof.others)]
        print_table((Column("size", text=True), *PARITY_COLUMNS), sizes, every=verbose)
    else:
        print_table(PARITY_COLUMNS, [proof.parity.cells()], every=verbose)
    print_prose(*proof.failures, *([f"{proof.reason}."] if proof.verdict != FAIL else []))


def predictions(
    classifier: Classifier, found: Iterable[tuple[Path, Classification | UsageError]], *, as_json: bool
) -> None:
    """Print the classes that `edge-squeeze predict` found, picture by picture as they come.

    Raises UsageError at the end if there were pictures that could not be read.
    """
    emulated, count, unreadable = machine.emulated(), 0, 0
    entries: list[dict[str, Any]] = []
    for count, (file, one) in enumerate(found, start=1):
        if count == 1 and not as_json:
            _print_classifier(classifier, emulated=emulated)
        if isinstance(one, UsageError):
            unreadable += 1
            sys.stderr.write(f"Skipped: {one}\n")
            entries.append({"picture": str(file), "error": str(one), "emulated": emulated})
        elif as_json:
            entries.append({"picture": str(file), **dataclasses.asdict(one), "emulated": emulated})
        else:
            _print_classes(file, one)
    if as_json:
        print_json(entries)
    if unreadable:
        raise UsageError(f"{unreadable:,} of {count:,} pictures could not be read; each is named above.")


def _print_classifier(classifier: Classifier, *, emulated: bool | None) -> None:
    manifest, runner = classifier.artifact.manifest, classifier.runner
    print_prose(f"{manifest.name} with {runner.runtime} {runner.version} ({runner.kernels} kernels)")
    if emulated:
        print_prose("This processor is emulated: its times say nothing about a real one.")
    if manifest.parity.verdict != PASS:
        print_prose(f"Do not trust this: parity {manifest.parity.verdict}: {manifest.parity.reason}.")


def _print_classes(file: Path, one: Classification) -> None:
    times = f"(preprocess {one.preprocess_ms:.1f} ms, inference {one.inference_ms:.1f} ms)"
    print_prose("", f"{whole(str(file))}  {times}", later="  ")
    shown = [p for p in one.predictions if p.score > 0] or one.predictions[:1]  # int8 scores are mostly 0
    print_text(*(f"  {p.score:6.1%}  {p.label} ({p.index})" for p in shown))

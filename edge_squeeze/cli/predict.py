"""`edge-squeeze predict`: shows the best classes of pictures."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_squeeze import api
from edge_squeeze.cli import arguments as arg
from edge_squeeze.errors import UsageError

if TYPE_CHECKING:
    from edge_squeeze.artifact.manifest import ParityRecord
    from edge_squeeze.prediction import Classification, Classifier


def predict(
    artifact: arg.Artifact,
    pictures: arg.Pictures,
    top: arg.Top = 5,
    input_size: arg.ShownSize = None,
    skip_unreadable: arg.SkipUnreadable = False,
    runtime: arg.Runtime = None,
    threads: arg.Threads = 1,
    json_: arg.Json = False,
) -> None:
    """Show the most likely classes of pictures, with the time each took."""
    from edge_squeeze.pictures.listing import left_out

    classifier = api.load(artifact, runtime=runtime, threads=threads)
    classifications = classifier.classify_each(pictures, top, input_size=arg.size(input_size))
    for note in (note for path in pictures for note in left_out(path)):
        sys.stderr.write(f"{note[0].upper()}{note[1:]}.\n")
    _show(classifier, classifications, as_json=json_, skip_unreadable=skip_unreadable)


def _show(
    classifier: Classifier,
    classifications: Iterable[tuple[Path, Classification | UsageError]],
    *,
    as_json: bool,
    skip_unreadable: bool,
) -> None:
    """Print the classes of each picture as they come.

    Raises UsageError at the end if some pictures could not be read; with `skip_unreadable`, only if none could.
    """
    from edge_squeeze.cli.console import print_json
    from edge_squeeze.machine import host
    from edge_squeeze.proof.parity import PASS

    parity = classifier.artifact.manifest.parity
    facts = {"emulated": host.emulated(), "parity": parity.verdict}
    count, unreadable = 0, 0
    entries: list[dict[str, Any]] = []
    for count, (file, outcome) in enumerate(classifications, start=1):
        if count == 1 and not as_json:
            _print_classifier(classifier, emulated=facts["emulated"] is True)
        elif count == 1 and parity.verdict != PASS:
            sys.stderr.write(f"{_distrust(parity)}\n")
        if isinstance(outcome, UsageError):
            unreadable += 1
            sys.stderr.write(f"Skipped: {outcome}\n")
            entries.append({"picture": str(file), "error": str(outcome), **facts})
        elif as_json:
            entries.append({"picture": str(file), **dataclasses.asdict(outcome), **facts})
        else:
            _print_classes(file, outcome)
    if as_json:
        print_json(entries)
    if unreadable:
        result = f"{unreadable:,} of {count:,} pictures could not be read; each is named above."
        if not skip_unreadable or unreadable == count:
            raise UsageError(result)
        sys.stderr.write(f"{result}\n")


def _distrust(parity: ParityRecord) -> str:
    return f"Do not trust these results: parity {parity.verdict}: {parity.reason}."


def _print_classifier(classifier: Classifier, *, emulated: bool) -> None:
    from edge_squeeze.cli.console import print_prose
    from edge_squeeze.proof.parity import PASS

    manifest, runner = classifier.artifact.manifest, classifier.runner
    print_prose(f"{manifest.name} with {runner.runtime} {runner.version} ({runner.kernels} kernels)")
    if emulated:
        print_prose("This processor is emulated: its times say nothing about a real one.")
    if manifest.parity.verdict != PASS:
        print_prose(_distrust(manifest.parity))


def _print_classes(file: Path, classification: Classification) -> None:
    from edge_squeeze.cli.console import print_prose, print_text, whole

    times = f"(preprocess {classification.preprocess_ms:.1f} ms, inference {classification.inference_ms:.1f} ms)"
    print_prose("", f"{whole(str(file))}  {whole(times)}", later="  ")
    best = classification.predictions
    shown = [p for p in best if p.score > 0] or best[:1]  # int8 scores are mostly 0
    if classification.confidence is not None:  # what is compared is no score of the table: a temperature scales it
        answer = f"None of these: confidence {classification.confidence:.1%} is below"
        if not classification.rejected:
            answer = f"Confidence {classification.confidence:.1%} reaches"
        likely = "; the most likely:" if classification.rejected else ":"
        print_prose(f"{answer} the threshold of {classification.threshold:.1%}{likely}", start="  ")
    print_text(*(f"  {p.score:6.1%}  {p.label} ({p.index})" for p in shown))

"""What files are proven on: sizes, parts of the pictures, gates for few, and the verdict over several sizes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_squeeze.artifact.manifest import WeightsRecord
from edge_squeeze.models import source
from edge_squeeze.models.original import Original
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.arithmetic import smallest_input
from edge_squeeze.networks.variants import VARIANTS
from edge_squeeze.pictures.loading import PictureSet
from edge_squeeze.pictures.preprocessing import Pixels, Preprocessing
from edge_squeeze.proof import pictures, verification
from edge_squeeze.proof.gates import FLOAT_GOLDEN, Gate, Gates, at_least, at_most, gates_of_part
from edge_squeeze.reporting import Silent

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
    part = list(pictures.part(count))
    assert len(set(part)) == len(part) == taken
    assert part[0] == 0
    assert count - count / taken - 1 <= part[-1] < count


@pytest.mark.parametrize(
    ("limit", "count", "fewest"),
    [(1.0, 10, 10), (0.95, 10, 9), (0.8, 10, 6), (0.7, 10, 5), (0.7, 1, 0), (0.95, 50, 45)],
)
def test_few_pictures_may_disagree_as_far_as_chance_goes(limit: float, count: int, fewest: int) -> None:
    cosine = at_least("cosine", 0.95, "")
    agreement, other = gates_of_part([at_least("top1_agreement", limit, "why"), cosine], count)
    assert agreement.limit == pytest.approx(fewest / count)
    assert agreement.reason.startswith("why; ")
    assert other == cosine


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
    bright = np.stack([one.mean(axis=(1, 2, 3)) for one in corners], axis=1)
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
    assert [one.pictures.size for one in proof.others] == [(24, 24), (32, 48)]
    assert proof.failures == []


def test_wrong_answers_at_one_other_size_fail() -> None:
    proof = judged(cropped)
    assert [one.verdict for one in proof.others] == ["pass", "fail"]
    assert proof.verdict == "fail"
    assert all(judgment.passed for judgment in proof.judgments)
    assert proof.failures
    assert all(failure.startswith("at 32 x 48: ") for failure in proof.failures)
    assert proof.reason == "; ".join(proof.failures)
    assert [all(gate["passed"] for gate in one["gates"]) for one in proof.to_dict()["sets"]] == [True, True, False]


def test_wrong_answers_at_the_usual_size_fail() -> None:
    proof = judged(lambda pixels: answers(pixels if pixels.shape[1:3] != (32, 32) else pixels[:, ::-1]))
    assert (proof.verdict, [one.verdict for one in proof.others]) == ("fail", ["pass", "pass"])
    assert proof.failures[0].startswith("max_abs is")


def test_gates_that_prove_nothing_at_one_size_prove_nothing() -> None:
    """Of ten pictures two have to agree for this gate, so it would hold for the wrong ones, too."""
    proof = judged(answers, [at_least("top1_agreement", 0.5, "")])
    verdicts = [one.verdict for one in proof.others]
    assert "unproven" in verdicts
    assert proof.verdict == "unproven"
    assert proof.reason.startswith(("at 24 x 24: ", "at 32 x 48: ")[verdicts.index("unproven")])


def test_untrained_weights_are_unproven_at_every_size() -> None:
    proof = judged(cropped, trained=False)
    assert (proof.verdict, proof.reason) == ("unproven", "untrained weights")

"""Measures what `finetune` reaches on its examples, and what a linear head on raw pixels does on the same split.

    .venv/bin/python tests/helpers/measure_finetune.py surfaces digits --seeds 5

For each seed: test accuracy, that of the linear head, seconds of wall clock and of processor time; and at the end
whether the first seed, trained again, gave the same weights. With --int8, each result
is exported as float32 and int8, and both are evaluated; with --foreign DIR, too, and with the share of its own test
pictures and of the pictures in DIR, which show none of the classes, that each file calls "none of these".
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import edge_squeeze
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.training.finetuned import Finetuned

LINEAR_SIDE = 32  # pixels, to which the linear head's pictures are shrunk


def pixels(folder: Path, names: list[str]) -> np.ndarray:
    pictures = (open_picture(folder / name).resize((LINEAR_SIDE, LINEAR_SIDE)) for name in names)
    return np.stack([np.asarray(picture, np.float32).ravel() / 255 for picture in pictures])


def linear(folder: Path) -> float:
    """The test accuracy of a logistic regression on raw pixels, on the lists in `folder`."""
    from sklearn.linear_model import LogisticRegression

    parts = {part: (folder / f"{part}.txt").read_text().splitlines() for part in ("train", "test")}
    truth = {part: [Path(name).parent.name for name in names] for part, names in parts.items()}
    inputs = {part: pixels(folder, names) for part, names in parts.items()}
    model = LogisticRegression(C=0.1, max_iter=150).fit(inputs["train"], truth["train"])
    return float(model.score(inputs["test"], truth["test"]))


def exported(result: Finetuned, out: Path, foreign: Path | None) -> list[str]:
    """The accuracy of float32 and int8 on the test pictures, their parity, and what they reject."""
    artifacts = edge_squeeze.export(
        "squeezenet1.1",
        precision="float32,int8",
        weights=result.folder / "weights.npz",
        labels=result.folder / "labels.txt",
        calibration=result.folder / "train.txt",
        images=result.folder / "test.txt",
        out=out,
    )
    figures = edge_squeeze.evaluate([each.folder for each in artifacts], images=result.folder, with_original=False)
    accuracies = ", ".join(f"{each.top1:.2%}" for each in figures.artifacts)
    lines = [f"float32, int8: {accuracies}; parity {', '.join(each.proof.verdict for each in artifacts)}"]
    if foreign is not None:
        own = list_pictures(result.folder / "test.txt")
        for each in artifacts:
            rejected = [rejections(each.folder, paths) for paths in (own, list_pictures(foreign))]
            lines.append(
                f"{each.manifest.name} rejects {rejected[0]:.1%} of the test pictures, {rejected[1]:.1%} of DIR"
            )
    return lines


def rejections(artifact: Path, pictures: list[Path]) -> float:
    """The share of `pictures` for which the answer is "none of these"."""
    classifier = edge_squeeze.load(artifact)
    return float(np.mean([classifier.classify(picture).rejected for picture in pictures]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("examples", nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--foreign", type=Path)
    chosen = parser.parse_args()
    for example in chosen.examples:
        with tempfile.TemporaryDirectory() as folder:
            measure(example, Path(folder), chosen)


def measure(example: str, folder: Path, chosen: argparse.Namespace) -> None:
    accuracies, weights = [], []
    for seed in range(chosen.seeds):
        start, used = time.perf_counter(), time.process_time()
        result = edge_squeeze.finetune(
            example=example, seed=seed, reject=chosen.foreign is not None, out=folder / str(seed)
        )
        wall, spent = time.perf_counter() - start, time.process_time() - used
        accuracies.append(result.accuracy)
        weights.append((result.folder / "weights.npz").read_bytes())
        base = linear(result.folder)
        sys.stdout.write(
            f"{example}, seed {seed}: {result.accuracy:.2%} of {result.tested}, linear {base:.2%}, blocks "
            f"{result.unfrozen}, {wall:.0f} s, processor {spent:.0f} s\n"
        )
        if chosen.int8 or chosen.foreign:
            for line in exported(result, folder / f"out-{seed}", chosen.foreign):
                sys.stdout.write(f"  {line}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{example}: median {statistics.median(accuracies):.2%}, lowest {min(accuracies):.2%}\n")
    again = edge_squeeze.finetune(example=example, seed=0, out=folder / "again")
    is_same = (again.folder / "weights.npz").read_bytes() == weights[0]
    sys.stdout.write(f"{example}: the same seed gives the same weights: {is_same}\n")


if __name__ == "__main__":
    main()

"""Measures how close an evaluation comes to what its cores can do: 1 / (1/D + 1/R), D decoding alone, R running alone.

    python tests/helpers/measure_evaluation.py IMAGES out/squeezenet1.1-tflite-int8 [--out RATES.json]

IMAGES is a folder of pictures, each of which is shown several times. In each of five rounds, all cores first only
decode and resize, then only run the file, then evaluate; the whole evaluation has to reach 0.9 of the bound of its
round. The start of the processes is not part of the times. `own_share` takes D and R from the evaluation itself, from
the times that its processes spent decoding and running: other work on the cores disturbs it less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.evaluation import chunks
from edge_squeeze.evaluation.chunks import SIZE, Arm
from edge_squeeze.evaluation.evaluation import evaluate
from edge_squeeze.evaluation.executor import ONE_THREAD
from edge_squeeze.evaluation.options import EvaluateOptions
from edge_squeeze.machine import cores
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.reporting import Silent

ROUNDS, PICTURES = 5, 1600


def decode(arm: Arm, paths: list[str]) -> int:
    """Decode and resize the pictures at `paths`."""
    preprocessing = artifacts.load(Path(arm.folder)).manifest.preprocessing
    return sum(len(preprocessing.pixels(open_picture(Path(path)))) > 0 for path in paths)


def run(arm: Arm, paths: list[str]) -> int:
    """Run the file on as many pictures of nothing, and take the best classes of each."""
    opened = chunks.open_arm(arm)
    scores = opened.run(np.zeros((len(paths), *opened.preprocessing.size, 3), np.uint8))
    return len([chunks._answer(row, None) for row in scores])


def alone(work: Any, arm: Arm, paths: list[str], workers: int) -> float:
    """Pictures per second of `work` in as many processes, which have loaded everything before."""
    pieces = [paths[i : i + SIZE] for i in range(0, len(paths), SIZE)]
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(work, [arm] * 4 * workers, pieces[: 4 * workers]))
        begun = time.perf_counter()
        count = sum(pool.map(work, [arm] * len(pieces), pieces))
        return count / (time.perf_counter() - begun)


def measure(listed: Path, folder: Path, workers: int) -> dict[str, float]:
    """The rates of one round, and the share of the bound that the evaluation reached."""
    arm = Arm("net", str(folder), artifacts.load(folder).manifest.file.sha256)
    paths = [str(path) for path in list_pictures(listed)]
    decoding, running = (alone(work, arm, paths, workers) for work in (decode, run))
    result = evaluate([folder], EvaluateOptions(listed, with_original=False, fresh=True), Silent())
    assert result.rates is not None
    whole, bound = result.rates.per_s, 1 / (1 / decoding + 1 / running)
    return {
        "decode": decoding,
        "run": running,
        "whole": whole,
        "share": whole / bound,
        "own_share": whole / result.rates.bound_per_s,
    }


def main() -> None:
    """Print the rates of each round and the median share, and save them where that is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ.update(ONE_THREAD)
    workers = cores.usable(cores.allowed())
    pictures = [path.absolute() for path in list_pictures(options.images)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGE_SQUEEZE_CACHE"] = folder
        listed = Path(folder, "pictures.txt")
        listed.write_text("".join(f"{pictures[i % len(pictures)]}\n" for i in range(PICTURES)))
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(measure(listed, options.artifact, workers))
            rates = ", ".join(f"{name} {value:.2f}" for name, value in rounds[-1].items())
            sys.stdout.write(f"{workers} cores, pictures/s: {rates}\n")
    share, own = (statistics.median(each[name] for each in rounds) for name in ("share", "own_share"))
    sys.stdout.write(f"median share of 1 / (1/D + 1/R): {share:.2f}, by the evaluation's own times {own:.2f}\n")
    if options.out:
        sha256 = artifacts.load(options.artifact).manifest.file.sha256
        shares = {"share": share, "own_share": own}
        record = {"artifact": str(options.artifact), "sha256": sha256, "cores": workers, **shares, "rounds": rounds}
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

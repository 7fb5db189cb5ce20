"""Measures how much faster two Dask workers of one core each evaluate than one; takes a few minutes.

    python tests/helpers/measure_cluster.py IMAGES out/squeezenet1.1-tflite-float32 out/squeezenet1.1-tflite-int8

IMAGES is a folder of labeled pictures, each of which is shown several times. It prints the median of three rounds, in
which the two take turns; cores that do other work make it worse.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from distributed import Client, LocalCluster

from edge_squeeze.evaluation.evaluation import evaluate
from edge_squeeze.evaluation.options import EvaluateOptions
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.reporting import Silent

ROUNDS, PICTURES = 3, 400


def pin(core: int) -> None:
    """Keep a worker, and the processes that it starts, on a core of its own."""
    os.sched_setaffinity(0, [core])


def rate(workers: int, images: Path, folders: Sequence[Path]) -> float:
    """Pictures per second."""
    cores = sorted(os.sched_getaffinity(0))
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as running:
        with Client(running.scheduler_address, set_as_default=False) as client:
            for worker, core in zip(client.nthreads(), cores, strict=False):
                client.run(pin, core, workers=[worker])
        options = EvaluateOptions(images, with_original=False, fresh=True, cluster=running.scheduler_address)
        result = evaluate(folders, options, Silent())
    assert result.rates is not None
    return result.rates.per_s


def main() -> None:
    """Print the rates of each round, and the median of their ratios."""
    images, *folders = map(Path, sys.argv[1:])
    pictures = [path.absolute() for path in list_pictures(images)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGE_SQUEEZE_CACHE"] = folder
        listed = Path(folder, "pictures.txt")
        listed.write_text("".join(f"{pictures[i % len(pictures)]}\n" for i in range(PICTURES)))
        ratios = []
        for _ in range(ROUNDS):
            alone, both = rate(1, listed, folders), rate(2, listed, folders)
            ratios.append(both / alone)
            sys.stdout.write(f"{alone:6.1f} pictures/s with one worker, {both:6.1f} with two: {ratios[-1]:.2f} times\n")
    sys.stdout.write(f"median: {statistics.median(ratios):.2f} times\n")


if __name__ == "__main__":
    main()

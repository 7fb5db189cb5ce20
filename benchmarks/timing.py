"""A plain timing of artifacts: fresh processes in turn, the median of their medians.

python -m edge_squeeze.benchmarks.timing out/*/
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edge_squeeze import artifact as artifacts
from edge_squeeze.artifact import Artifact
from edge_squeeze.console import print_table, print_text
from edge_squeeze.errors import EdgeSqueezeError
from edge_squeeze.pictures import open_picture
from edge_squeeze.runtimes import RunOptions, open_runner

LAUNCHES = 5
WARM_UP = 5
RUNS = 30
LAUNCH = "--launch"  # what a process of one measurement is started with


def launch(folder: Path) -> float:
    """Median milliseconds from pixels to scores, on one thread, in this process."""
    artifact = artifacts.load(folder)
    manifest = artifact.manifest
    pixels = manifest.preprocessing.pixels(open_picture(artifact.path(manifest.golden.picture)))[None]
    runner = open_runner(artifact.model(), manifest.format, RunOptions(threads=1))
    samples = []
    for _ in range(WARM_UP + RUNS):
        start = time.perf_counter()
        runner.run(pixels)
        samples.append((time.perf_counter() - start) * 1e3)
    return statistics.median(samples[WARM_UP:])


def measure(folders: Sequence[Path]) -> dict[Path, list[float]]:
    """The launch medians of each folder in milliseconds, taken in turn so that all meet the same machine."""
    medians: dict[Path, list[float]] = {folder: [] for folder in folders}
    for _ in range(LAUNCHES):
        for folder in folders:
            command = [sys.executable, "-m", __spec__.name, LAUNCH, str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
            medians[folder].append(json.loads(done.stdout))
    return medians


def report(artifact_list: Sequence[Artifact]) -> None:
    """Measure and print: milliseconds, their spread over the launches, and how many times faster than the first."""
    medians = measure([artifact.folder for artifact in artifact_list])
    typical = {folder: statistics.median(values) for folder, values in medians.items()}
    first = typical[artifact_list[0].folder]
    rows = [
        (
            one.manifest.name,
            f"{typical[one.folder]:.2f}",
            f"{min(medians[one.folder]):.2f} to {max(medians[one.folder]):.2f}",
            f"{first / typical[one.folder]:.2f}",
            _remark(one),
        )
        for one in artifact_list
    ]
    print_table(("artifact", "ms", "launches", "x faster", "parity"), rows)
    print_text(
        f"One thread; median of {LAUNCHES} fresh processes of {RUNS} runs each. Compare ratios, not milliseconds."
    )


def _remark(artifact: Artifact) -> str:
    return artifact.manifest.parity.verdict.upper()


def main(arguments: Sequence[str]) -> None:
    """Measure the artifacts named, or one of them in this very process."""
    if arguments[:1] == [LAUNCH]:
        print_text(json.dumps(launch(Path(arguments[1]))))
        return
    if not arguments or "--help" in arguments:
        sys.exit(__doc__)
    try:
        report([artifacts.load(Path(argument)) for argument in arguments])
    except EdgeSqueezeError as error:
        sys.exit(f"Error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"Error: {error.stderr.strip().splitlines()[-1]}")


if __name__ == "__main__":
    main(sys.argv[1:])

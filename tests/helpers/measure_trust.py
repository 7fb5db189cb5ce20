"""Measures on this machine what docs/benchmarking.md claims of the benchmark; takes half an hour.

    python tests/helpers/measure_trust.py out/squeezenet1.1-tflite-float32 out/squeezenet1.1-tflite-int8

Copies of one artifact must not be told apart, int8 and float32 must be, and other ways to time a file must agree.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_squeeze import benchmark
from edge_squeeze.artifact import folder as artifact
from edge_squeeze.benchmarks.intervals import t_interval

AA_RUNS, AB_RUNS, ROUNDS = 100, 20, 20
PLAIN = """
import json, os, statistics, sys, time
os.sched_setaffinity(0, [0])
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
spec, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
pictures = np.random.default_rng(1).integers(0, 256, (8, *spec["shape"])).astype(spec["dtype"])
times = []
for i in range(150):
    start = time.perf_counter()
    interpreter.set_tensor(spec["index"], pictures[i % 8])
    interpreter.invoke()
    interpreter.get_tensor(out["index"])
    times.append((time.perf_counter() - start) * 1e3)
print(json.dumps(statistics.median(times[50:])))
"""


def say(*words: object) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def verdicts(files: Sequence[Path], runs: int) -> Counter[str]:
    """How often `runs` quick sessions of two files came to each verdict."""
    tally: Counter[str] = Counter()
    for seed in range(runs):
        (comparison,) = benchmark(files, profile="quick", threads=1, seed=seed, fresh=True).comparisons
        tally[f"{comparison.verdict}, {comparison.validity}"] += 1
        say(seed, comparison.verdict, comparison.validity, f"{comparison.ratio:.3f}", dict(tally))
    return tally


def ours(file: Path) -> float:
    """The median of one launch of ours, bound to one core."""
    result = benchmark([file], profile="standard", threads=1, cores="0", launches=1, fresh=True)
    assert result.arms[0].summary is not None
    return result.arms[0].summary.p50_ms


def plain(file: Path) -> float:
    """The median of an independent loop."""
    done = subprocess.run([sys.executable, "-c", PLAIN, file], capture_output=True, text=True, check=True)
    return float(done.stdout)


def litert_benchmark(file: Path) -> float:
    """The average that LiteRT's own tool prints."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "result.json"
        program = Path(sys.executable).with_name("litert-benchmark")
        options = ["--num_runs", "100", "--warmup_runs", "50", "--num_threads", "1", "--result_json", str(saved)]
        command = ["taskset", "-c", "0", str(program), "--model", str(file), *options]
        subprocess.run(command, capture_output=True, check=True)
        return float(json.loads(saved.read_text())["latency"]["avg_ms"])


def agreement(file: Path, reference: Callable[[Path], float]) -> str:
    """Our median to another's figure, in alternating runs."""
    ratios = [ours(file) / reference(file) for _ in range(ROUNDS)]
    low, high = t_interval(ratios) or (math.nan, math.nan)
    typical = math.exp(statistics.fmean(map(math.log, ratios)))
    return f"{file.name}: ours to {reference.__name__}: {typical:.4f} (95 %: {low:.4f} to {high:.4f})"


def main(float32: Path, int8: Path) -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(shutil.copytree(float32, Path(folder) / name / float32.name)) for name in "ab"]
        say("A/A:", dict(verdicts(copies, AA_RUNS)))
    say("float32 and int8:", dict(verdicts([float32, int8], AB_RUNS)))
    for folder_ in (float32, int8):
        loaded = artifact.load(folder_)
        for reference in (plain, litert_benchmark):
            say(agreement(loaded.path(loaded.manifest.file.name), reference))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))

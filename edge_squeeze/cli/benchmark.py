"""`edge-squeeze benchmark` and `compare`: how fast files are, and whether anything got slower."""

from __future__ import annotations

import os

import typer

from edge_squeeze import api
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.cli import arguments as arg
from edge_squeeze.devices import address


def benchmark(
    files: arg.Files = None,
    profile: arg.Profile = BenchmarkOptions.profile,
    threads: arg.ThreadCounts = None,
    runtime: arg.Runtimes = None,
    cores: arg.Cores = BenchmarkOptions.cores,
    no_spin: arg.NoSpin = False,
    inputs: arg.Inputs = BenchmarkOptions.inputs,
    skip_unreadable: arg.SkipUnreadable = BenchmarkOptions.skip_unreadable,
    input_shape: arg.InputShape = None,
    seed: arg.InputSeed = BenchmarkOptions.seed,
    launches: arg.Launches = BenchmarkOptions.launches,
    duration: arg.Duration = BenchmarkOptions.duration,
    rate: arg.Rate = BenchmarkOptions.rate,
    gate: arg.Gate = list(BenchmarkOptions.gate),  # noqa: B006 - typer copies the list
    across_networks: arg.AcrossNetworks = BenchmarkOptions.across_networks,
    fail_on_regression: arg.FailOnRegression = False,
    strict: arg.Strict = False,
    aa_floor: arg.AaFloor = BenchmarkOptions.aa_floor,
    fresh: arg.Fresh = BenchmarkOptions.fresh,
    profile_ops: arg.ProfileOps = False,
    device: arg.Devices = None,
    setup: arg.Setup = False,
    replay: arg.Replay = None,
    out: arg.Results = None,
    no_raw: arg.NoRaw = False,
    json_: arg.Json = False,
    verbose: arg.AllColumns = False,
) -> None:
    """Measure the latency of .tflite and .onnx files or artifacts; the first of each network is its baseline."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy is about to start threads that nobody needs here
    from edge_squeeze.cli import benchmark_report

    values = {**locals(), "spin": not no_spin}
    several = ("threads", "runtime", "input_shape", "gate")
    options = BenchmarkOptions.of(values | {name: values[name] or None for name in several})
    if profile_ops:
        from edge_squeeze.cli import operator_report

        flags = {"--device": device, "--replay": replay, "--out": out, "--inputs": inputs, "--aa-floor": aa_floor}
        refused = [flag for flag, value in flags.items() if value]
        operator_report.run(files or [], options, refused, as_json=json_, verbose=verbose)
        return
    output = benchmark_report.Output(json_, not no_raw, tuple(out or ()), strict, fail_on_regression, verbose)
    boards = address.elsewhere(device, setup=setup)
    raise typer.Exit(benchmark_report.run(files or [], options, replay, boards, output, setup=setup))


def compare(
    old: arg.Old,
    new: arg.New,
    gate: arg.Gate = list(BenchmarkOptions.gate),  # noqa: B006 - typer copies the list
    strict: arg.Strict = False,
    force: arg.Force = False,
    json_: arg.Json = False,
    verbose: arg.AllColumns = False,
) -> None:
    """Compare two results of `benchmark --out FILE.json`; the exit code says whether anything got slower."""
    from edge_squeeze.cli import benchmark_report

    comparisons = api.compare(old, new, gate=gate, force=force)
    benchmark_report.show_comparisons(comparisons, as_json=json_, verbose=verbose)
    raise typer.Exit(benchmark_report.comparison_code(comparisons, strict=strict))

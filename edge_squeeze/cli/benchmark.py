"""`edge-squeeze benchmark` and `compare`: how fast files are, and whether anything got slower."""

from __future__ import annotations

import os
from typing import Any

import typer

from edge_squeeze import api
from edge_squeeze.cli import arguments as arg
from edge_squeeze.devices import address


def benchmark(
    files: arg.Files = None,
    profile: arg.Profile = "standard",
    threads: arg.ThreadCounts = None,
    runtime: arg.Runtimes = None,
    cores: arg.Cores = "big",
    no_spin: arg.NoSpin = False,
    inputs: arg.Inputs = None,
    input_shape: arg.InputShape = None,
    seed: arg.InputSeed = 0,
    launches: arg.Launches = None,
    duration: arg.Duration = None,
    rate: arg.Rate = None,
    gate: arg.Gate = ["p50"],  # noqa: B006
    across_networks: arg.AcrossNetworks = False,
    fail_on_regression: arg.FailOnRegression = False,
    strict: arg.Strict = False,
    aa_floor: arg.AaFloor = False,
    fresh: arg.Fresh = False,
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

    options: dict[str, Any] = {
        "profile": profile, "threads": arg.joined(threads), "runtime": arg.joined(runtime), "cores": cores,
        "spin": not no_spin, "inputs": inputs, "input_shape": input_shape, "seed": seed, "launches": launches,
        "duration": duration, "rate": rate, "gate": arg.joined(gate), "across_networks": across_networks,
        "aa_floor": aa_floor, "fresh": fresh,
    }  # fmt: skip
    wanted = benchmark_report.Wanted(json_, not no_raw, out or [], strict, fail_on_regression, verbose)
    boards = address.elsewhere(device, setup=setup)
    raise typer.Exit(benchmark_report.run(files or [], options, replay, boards, wanted, setup=setup))


def compare(
    old: arg.Old,
    new: arg.New,
    gate: arg.Gate = ["p50"],  # noqa: B006
    strict: arg.Strict = False,
    force: arg.Force = False,
    json_: arg.Json = False,
    verbose: arg.AllColumns = False,
) -> None:
    """Compare two results of `benchmark --out FILE.json`: did anything get slower? The exit code tells."""
    from edge_squeeze.cli import benchmark_report

    found = api.compare(old, new, gate=gate, force=force)
    benchmark_report.show_comparisons(found, as_json=json_, verbose=verbose)
    raise typer.Exit(benchmark_report.comparison_code(found, strict=strict))

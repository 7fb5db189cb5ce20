"""`edge-squeeze verify`: checks an artifact here or on a device, and shows the result."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edge_squeeze import api
from edge_squeeze.cli import arguments as arg, exits
from edge_squeeze.devices import address
from edge_squeeze.devices.address import Address
from edge_squeeze.errors import ExitCode, UsageError
from edge_squeeze.process import output

if TYPE_CHECKING:
    from edge_squeeze.proof.verification import Verification


def verify(
    artifact: arg.Artifact,
    images: arg.Images = None,
    original: arg.Original = None,
    custom_objects: arg.CustomObjects = None,
    runtime: arg.Runtime = None,
    threads: arg.Threads = 1,
    device: arg.Device = None,
    setup: arg.Setup = False,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Check an artifact's golden files, and prove its parity with its original again."""
    from edge_squeeze.cli.console import ConsoleReporter

    output.visible(verbose)
    options: dict[str, Any] = {
        "images": images,
        "original": original,
        "custom_objects": custom_objects,
        "runtime": runtime,
        "threads": threads,
    }
    if elsewhere := address.elsewhere(device, setup=setup, most=1):
        raise typer.Exit(_on_device(artifact, *elsewhere, setup=setup, as_json=json_, **options))
    found = api.verify(artifact, **options, reporter=ConsoleReporter(verbose=verbose))
    _show(found, as_json=json_, verbose=verbose)
    if not found.passed:
        raise typer.Exit(ExitCode.FAILED_PROOF)


def _on_device(
    artifact: Path,
    address: Address,
    *,
    setup: bool,
    images: Path | None,
    original: Path | None,
    custom_objects: str | None,
    runtime: str | None,
    threads: int,
    as_json: bool,
) -> int:
    """The exit code of `verify` on the device `address`, once what it prints there is printed here."""
    from edge_squeeze.artifact import folder as artifacts
    from edge_squeeze.cli.console import print_json, print_prose, whole
    from edge_squeeze.devices import session
    from edge_squeeze.devices.job import Job

    if custom_objects is not None:
        raise UsageError("--custom-objects is code of yours, and is not taken to another machine. Verify here with it.")
    artifacts.load(artifact)
    options = {"--images": images, "--original": original, "--runtime": runtime, "--threads": str(threads)}
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    argv = ["verify", *words, *(["--json"] if as_json else []), "--", artifact]
    outcome = session.run_alone(address, Job(argv, [artifact], runtime), exits.tell, setup=setup)
    said = outcome.output.decode("utf-8", "replace")
    if as_json:
        print_json({"device": address.text, "artifact": str(artifact), **json.loads(said)})
    else:
        print_prose(f"{whole(str(artifact))} on {address.text}:", *said.rstrip().splitlines(), later="  ")
    return outcome.code


def _show(found: Verification, *, as_json: bool, verbose: bool) -> None:
    """Print the result, every figure if `verbose`."""
    from edge_squeeze.cli.console import print_json, print_prose
    from edge_squeeze.cli.parity_table import PARITY_COLUMNS, proof_as_json
    from edge_squeeze.cli.tables import print_table
    from edge_squeeze.proof.parity import FAIL
    from edge_squeeze.reporting import Column

    gold = found.golden
    if as_json:
        golden = {**dataclasses.asdict(gold), "passed": gold.passed}
        parity = None if found.proof is None else proof_as_json(found.proof)
        print_json({"passed": found.passed, "golden": golden, "proof": parity, "without_proof": found.without_proof})
        return
    pixels = "equal" if gold.pixels_equal else "DIFFERENT"
    print_prose("", f"Golden files: {'PASS' if gold.passed else 'FAIL'}, with {gold.runtime} ({gold.kernels} kernels)")
    scores = f"scores within {gold.max_abs:.1e}, allowed {gold.tolerance:.1e}"
    print_prose(f"preprocessed pixels {pixels}; {scores}", start="  ")
    if found.proof is None:
        print_prose(f"Parity: not checked, because {found.without_proof}. Only the golden files were checked.")
        return
    proof = found.proof
    print_prose(f"Parity: {proof.verdict.upper()}, on {proof.basis}")
    if proof.others:
        sizes = [("{} x {}".format(*one.pictures.size), *one.parity.cells()) for one in (proof, *proof.others)]
        print_table((Column("size", text=True), *PARITY_COLUMNS), sizes, every=verbose)
    else:
        print_table(PARITY_COLUMNS, [proof.parity.cells()], every=verbose)
    print_prose(*proof.failures, *([f"{proof.reason}."] if proof.verdict != FAIL else []))

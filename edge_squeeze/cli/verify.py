"""`edge-squeeze verify`: checks an artifact here or on a device, and shows the result."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edge_squeeze.cli import arguments as arg, exits
from edge_squeeze.devices import address
from edge_squeeze.devices.address import Address
from edge_squeeze.errors import ExitCode, UsageError
from edge_squeeze.process import output

if TYPE_CHECKING:
    from edge_squeeze.proof.verification import Verification, VerifyOptions


def verify(
    artifact: arg.Artifact,
    images: arg.Images = None,
    skip_unreadable: arg.SkipUnreadable = False,
    original: arg.Original = None,
    custom_objects: arg.CustomObjects = None,
    trust_file: arg.TrustFile = False,
    runtime: arg.Runtime = None,
    threads: arg.Threads = 1,
    device: arg.Device = None,
    setup: arg.Setup = False,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Check an artifact's golden files, and prove its parity with its original again."""
    from edge_squeeze.cli.console import ConsoleReporter
    from edge_squeeze.proof import verification
    from edge_squeeze.proof.verification import VerifyOptions

    output.visible(verbose)
    options = VerifyOptions(images, original, custom_objects, runtime, threads, skip_unreadable, trust_file)
    if elsewhere := address.elsewhere(device, setup=setup, most=1):
        raise typer.Exit(_on_device(artifact, options, *elsewhere, setup=setup, as_json=json_))
    result = verification.verify(artifact, options, ConsoleReporter(verbose=verbose))
    _show(result, as_json=json_, verbose=verbose)
    if not result.passed:
        raise typer.Exit(ExitCode.FAILED_PROOF)


def _on_device(artifact: Path, options: VerifyOptions, address: Address, *, setup: bool, as_json: bool) -> int:
    """The exit code of `verify` on the device `address`, once what it prints there is printed here."""
    from edge_squeeze.artifact import folder as artifacts
    from edge_squeeze.cli.console import print_json, print_prose, whole
    from edge_squeeze.devices import session
    from edge_squeeze.devices.job import Job, option_words

    if options.custom_objects is not None or options.trust_file:
        option = "--trust-file" if options.custom_objects is None else "--custom-objects"
        raise UsageError(f"{option} runs your code, which is not sent to other machines. Verify on this one.")
    artifacts.load(artifact)
    argv = ["verify", *option_words(options), *(["--json"] if as_json else []), "--", artifact]
    outcome = session.run_alone(address, Job(argv, [artifact], options.runtime), exits.tell, setup=setup)
    text = outcome.output.decode("utf-8", "replace")
    if as_json:
        print_json({"device": address.text, "artifact": str(artifact), **json.loads(text)})
    else:
        print_prose(f"{whole(str(artifact))} on {address.text}:", *text.rstrip().splitlines(), later="  ")
    return outcome.code


def _show(result: Verification, *, as_json: bool, verbose: bool) -> None:
    """Print the result, every figure if `verbose`."""
    from edge_squeeze.cli.console import print_json, print_prose
    from edge_squeeze.cli.parity_table import PARITY_COLUMNS, proof_as_json
    from edge_squeeze.cli.tables import print_table
    from edge_squeeze.proof.parity import FAIL
    from edge_squeeze.reporting import Column

    gold = result.golden
    if as_json:
        golden = {**dataclasses.asdict(gold), "passed": gold.passed}
        sha256 = result.artifact.manifest.file.sha256
        parity = None if result.proof is None else proof_as_json(result.proof, sha256)
        print_json(
            {
                "sha256": sha256,
                "passed": result.passed,
                "golden": golden,
                "proof": parity,
                "without_proof": result.without_proof,
            }
        )
        return
    pixels = "equal" if gold.pixels_equal else "DIFFERENT"
    print_prose("", f"Golden files: {'PASS' if gold.passed else 'FAIL'}, with {gold.runtime} ({gold.kernels} kernels)")
    scores = f"scores within {gold.max_abs:.1e}, allowed {gold.tolerance:.1e}"
    print_prose(f"preprocessed pixels {pixels}; {scores}", start="  ")
    if result.proof is None:
        print_prose(f"Parity: not checked, because {result.without_proof}. Only the golden files were checked.")
        return
    proof = result.proof
    print_prose(f"Parity: {proof.verdict.upper()}, on {proof.basis}")
    if proof.others:
        sizes = [("{} x {}".format(*each.pictures.size), *each.parity.cells()) for each in (proof, *proof.others)]
        print_table((Column("size", text=True), *PARITY_COLUMNS), sizes, every=verbose)
    else:
        print_table(PARITY_COLUMNS, [proof.parity.cells()], every=verbose)
    print_prose(*proof.failures, *([f"{proof.reason}."] if proof.verdict != FAIL else []))

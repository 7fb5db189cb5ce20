"""`edge-squeeze verify`: checks an artifact here or on a device, and shows the result."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edge_squeeze.cli import arguments as arg, exits
from edge_squeeze.devices import address
from edge_squeeze.devices.address import Address
from edge_squeeze.errors import ExitCode, UsageError
from edge_squeeze.process import output

if TYPE_CHECKING:
    from edge_squeeze.converters.debugging.symptoms import Finding
    from edge_squeeze.proof.comparison import Comparison
    from edge_squeeze.proof.options import VerifyOptions
    from edge_squeeze.proof.verification import Verification


CAUSE_SAMPLES = 16  # pictures that a cause is looked for on


def verify(
    artifact: arg.Artifact,
    images: arg.Images = None,
    skip_unreadable: arg.SkipUnreadable = False,
    original: arg.Original = None,
    custom_objects: arg.CustomObjects = None,
    trust_file: arg.TrustFile = False,
    runtime: arg.Runtime = None,
    threads: arg.Threads = 1,
    against: arg.AgainstArtifact = None,
    device: arg.Device = None,
    setup: arg.Setup = False,
    json_: arg.Json = False,
    verbose: arg.Verbose = False,
) -> None:
    """Check an artifact's golden files, and prove its parity with its original again."""
    keywords = locals()
    from edge_squeeze.cli.console import ConsoleReporter
    from edge_squeeze.proof import verification
    from edge_squeeze.proof.options import VerifyOptions

    output.visible(verbose)
    options = VerifyOptions.of(keywords)
    if elsewhere := address.elsewhere(device, setup=setup, most=1):
        raise typer.Exit(_on_device(artifact, options, *elsewhere, setup=setup, as_json=json_))
    result = verification.verify(artifact, options, ConsoleReporter(verbose=verbose))
    causes = [] if result.passed else _causes(artifact, options)
    if json_:
        _print_document(result, causes)
    else:
        _show(result, causes, verbose=verbose)
    if not result.passed:
        raise typer.Exit(ExitCode.FAILED_PROOF)
    if result.against is not None and (code := result.against.exit_code):
        raise typer.Exit(code)


def _on_device(artifact: Path, options: VerifyOptions, address: Address, *, setup: bool, as_json: bool) -> int:
    """The exit code of `verify` on the device `address`, once what it prints there is printed here."""
    from edge_squeeze.artifact import folder as artifacts
    from edge_squeeze.cli.console import print_json, print_prose, whole
    from edge_squeeze.devices import session
    from edge_squeeze.devices.job import Job, option_words

    if options.custom_objects is not None or options.trust_file:
        option = "--trust-file" if options.custom_objects is None else "--custom-objects"
        raise UsageError(f"{option} runs your code, which is not sent to other machines. Verify on this one.")
    if options.against is not None:
        raise UsageError("--against compares with the original, which does not run on boards. Verify on this machine.")
    artifacts.load(artifact)
    argv = ["verify", *option_words(options), *(["--json"] if as_json else []), "--", artifact]
    outcome = session.run_alone(address, Job(argv, [artifact], options.runtime), exits.tell, setup=setup)
    text = outcome.output.decode("utf-8", "replace")
    if as_json:
        print_json({"device": address.text, "artifact": str(artifact), **json.loads(text)})
    else:
        print_prose(f"{whole(str(artifact))} on {address.text}:", *text.rstrip().splitlines(), later="  ")
    return outcome.code


def _causes(artifact: Path, options: VerifyOptions) -> list[Finding]:
    """What is likely wrong, the likeliest first; nothing where that cannot be found out here."""
    from edge_squeeze.converters.debugging import debug
    from edge_squeeze.converters.debugging.debug import DebugOptions
    from edge_squeeze.errors import EdgeSqueezeError
    from edge_squeeze.reporting import Silent

    names = ("images", "original", "custom_objects", "runtime", "threads", "skip_unreadable", "trust_file")
    asked = {name: getattr(options, name) for name in names}
    try:
        return debug.debug(artifact, DebugOptions(**asked, samples=CAUSE_SAMPLES, detailed=False), Silent()).findings
    except EdgeSqueezeError:  # the verdict stands without
        return []


def _print_document(result: Verification, causes: Sequence[Finding]) -> None:
    """Print the result as JSON."""
    from edge_squeeze.cli.console import print_json
    from edge_squeeze.cli.parity_table import proof_as_json

    sha256 = result.artifact.manifest.file.sha256
    print_json(
        {
            "sha256": sha256,
            "passed": result.passed,
            "golden": {**dataclasses.asdict(result.golden), "passed": result.golden.passed},
            "proof": None if result.proof is None else proof_as_json(result.proof, sha256),
            "without_proof": result.without_proof,
            "quantizers": result.quantizers,
            "against": result.against and dataclasses.asdict(result.against),
            "causes": [{"symptom": cause.symptom, "text": str(cause)} for cause in causes],
        }
    )


def _show(result: Verification, causes: Sequence[Finding], *, verbose: bool) -> None:
    """Print the result, every figure if `verbose`."""
    from edge_squeeze.cli.console import print_prose
    from edge_squeeze.cli.parity_table import PARITY_COLUMNS
    from edge_squeeze.cli.tables import print_table
    from edge_squeeze.proof.parity import FAIL
    from edge_squeeze.reporting import Column

    gold = result.golden
    pixels = "equal" if gold.pixels_equal else "DIFFERENT"
    print_prose("", f"Golden files: {'PASS' if gold.passed else 'FAIL'}, with {gold.runtime} ({gold.kernels} kernels)")
    scores = f"scores within {gold.max_abs:.1e}, allowed {gold.tolerance:.1e}"
    print_prose(f"preprocessed pixels {pixels}; {scores}", start="  ")
    if by_quantizer := [f"{nats:.2g} nats with {name} weights" for name, nats in result.quantizers.items()]:
        print_prose(f"Divergence on held-out calibration pictures: {', '.join(by_quantizer)}")
    if result.proof is None:
        print_prose(f"Parity: not checked, because {result.without_proof}. Only the golden files were checked.")
        print_prose(*map(str, causes[:1]))
        return
    proof = result.proof
    print_prose(f"Parity: {proof.verdict.upper()}, on {proof.basis}")
    if proof.others:
        sizes = [("{} x {}".format(*each.pictures.size), *each.parity.cells()) for each in (proof, *proof.others)]
        print_table((Column("size", text=True), *PARITY_COLUMNS), sizes, every=verbose)
    else:
        print_table(PARITY_COLUMNS, [proof.parity.cells()], every=verbose)
    print_prose(*proof.failures, *([f"{proof.reason}."] if proof.verdict != FAIL else []), *map(str, causes[:1]))
    if result.against is not None:
        _show_comparison(result.against)


def _show_comparison(against: Comparison) -> None:
    """Print how the artifact compares with the other one."""
    from edge_squeeze.cli.console import print_prose

    pair = f"{against.cand} against {against.base}"
    if against.kl is None or against.base_kl is None or against.difference is None:
        print_prose("", f"{pair}: {against.verdict}, {against.reason}.", later="  ")
        return
    print_prose("", f"{pair}, on the same {against.pictures:,} pictures:")
    kl = f"KL: {against.verdict}, {against.kl:.2g} against {against.base_kl:.2g} nats"
    if against.interval is None or against.agreement is None:
        print_prose(f"{kl}; {against.reason}.", start="  ", later="    ")
        return
    low, high = against.interval
    print_prose(f"{kl}: {against.difference:+.2g} (95 %: {low:+.2g} to {high:+.2g}).", start="  ", later="    ")
    both = against.agreement
    low, high = (100 * bound for bound in both.interval)
    print_prose(
        f"Same top-1 as the original: {both.verdict}, {both.cand:.1%} against {both.base:.1%}: "
        f"{100 * both.difference:+.1f} points (95 %: {low:+.1f} to {high:+.1f}; p = {both.p:.2g}). "
        f"Only the first agrees on {both.cand_only:,}, only the second on {both.base_only:,}.",
        start="  ",
        later="    ",
    )

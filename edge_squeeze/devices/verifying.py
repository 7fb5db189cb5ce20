"""`edge-squeeze verify --device`: an artifact is checked where it will run."""

from __future__ import annotations

import json
from pathlib import Path

from edge_squeeze import artifact as artifacts
from edge_squeeze.console import print_json, print_prose, whole
from edge_squeeze.devices import running
from edge_squeeze.devices.address import Address
from edge_squeeze.devices.cargo import Job
from edge_squeeze.errors import UsageError


def verify(
    artifact: Path, address: Address, *, setup: bool, images: Path | None, original: Path | None,
    custom_objects: str | None, runtime: str | None, threads: int, as_json: bool,
) -> int:  # fmt: skip
    """The exit code of `verify` on the device `address`, once what it prints there is printed here."""
    if custom_objects is not None:
        raise UsageError("--custom-objects is code of yours, and is not taken to another machine. Verify here with it.")
    artifacts.load(artifact)
    options = {"--images": images, "--original": original, "--runtime": runtime, "--threads": str(threads)}
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    argv = ["verify", *words, *(["--json"] if as_json else []), "--", artifact]
    outcome = running.run_alone(address, Job(argv, [artifact], runtime), setup=setup)
    said = outcome.output.decode("utf-8", "replace")
    if as_json:
        print_json({"device": address.text, "artifact": str(artifact), **json.loads(said)})
    else:
        print_prose(f"{whole(str(artifact))} on {address.text}:", *said.rstrip().splitlines(), later="  ")
    return outcome.code

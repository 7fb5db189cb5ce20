"""How `export` and `verify` show a proof: the columns of their tables, and their JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from edge_squeeze.proof.parity import FIGURES, finite
from edge_squeeze.proof.verification import Proof
from edge_squeeze.reporting import Column

PARITY_COLUMNS = tuple(map(Column, FIGURES, (2, 5, 3, 0)))


def proof_as_json(proof: Proof, sha256: str) -> dict[str, Any]:
    """A proof as part of the JSON document of a command, `sha256` being that of the model file that it is about."""
    return {
        "sha256": sha256,
        "verdict": proof.verdict,
        "reason": proof.reason,
        "pictures": proof.pictures.description,
        "original": dataclasses.asdict(proof.answers),
        "runtime": proof.runtime,
        "parity": _figures_as_json(proof),
        "other_sizes": [{"size": part.pictures.size, "parity": _figures_as_json(part)} for part in proof.others],
        "failures": proof.failures,
    }


def _figures_as_json(proof: Proof) -> dict[str, Any]:
    return {key: finite(value) for key, value in dataclasses.asdict(proof.parity).items() if key != "per_picture"}

"""A thing that was looked at before a measurement is believed, and what all of them together come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PASS, WARN, FAIL, UNKNOWN = "pass", "warn", "fail", "unknown"
VALID, SUSPECT, INVALID = "valid", "suspect", "invalid"
EMULATED = "emulated"


@dataclass(frozen=True)
class Check:
    """One thing looked at; `value` is None where the machine does not tell, `hint` says what to do about it."""

    id: str
    status: str
    value: float | str | None
    threshold: float | str | None
    hint: str | None = None


def rollup(checks: Sequence[Check]) -> str:
    """valid, suspect (something warned) or invalid (something failed)."""
    statuses = {check.status for check in checks}
    return INVALID if FAIL in statuses else SUSPECT if WARN in statuses else VALID


def is_emulated(checks: Sequence[Check]) -> bool:
    """Whether one of `checks` tells that the processor was emulated: its times are nobody's."""
    return any(check.id == EMULATED and check.status == FAIL for check in checks)


def percent(share: float | None) -> str:
    """A share in words; nothing known is 0 %."""
    return f"{(share or 0) * 100:.3g} %"


def graded(id_: str, value: float | None, warn: float, fail: float | None, hint: str) -> Check:
    """A check that a `value` of which less is better stays at or below `warn`; beyond `fail` it fails."""
    if value is None:
        return Check(id_, UNKNOWN, None, warn)
    status = PASS if value <= warn else WARN if fail is None or value <= fail else FAIL
    limit = fail if status == FAIL else warn
    return Check(id_, status, float(f"{value:.4g}"), limit, None if status == PASS else hint)


def demanded(id_: str, holds: bool | None, value: float | str | None, hint: str, *, otherwise: str = FAIL) -> Check:  # noqa: FBT001 - what the check is about
    """A check that something holds."""
    if holds is None:
        return Check(id_, UNKNOWN, None, None)
    return Check(id_, PASS if holds else otherwise, value, None, None if holds else hint)

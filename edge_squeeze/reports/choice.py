"""Which file to take: size, latency and agreement held against each other, and a recommendation with its reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge_squeeze.proof.parity import FAIL, PASS
from edge_squeeze.reports.document import Candidate, Choice, Latency, Source, Subject

INVALID = "invalid"  # of a measurement
SHORT = 12  # digits of a sha256 that are visible
FASTEST, SMALLEST = (f"The {best} file that passed its proof." for best in ("fastest", "smallest"))
AMONG = "Among the fastest files that passed their proofs."
Condition = tuple[str, int]  # a session and a number of threads, within which latencies can be compared


def choose(subjects: Sequence[Subject], sources: Sequence[Source]) -> list[Choice]:
    """A choice for each network that `subjects` were made from, in their order."""
    groups = _networks(subjects)
    return [_choice(group, sources, title) for group, title in zip(groups, _titles(groups), strict=True)]


def latencies(subjects: Sequence[Subject]) -> dict[str, Latency]:
    """The latency of each subject, by name, in the session and number of threads that most files of its network have.

    Of several engines, the fastest counts whose measurement is not invalid. Ties go to the later session, then to fewer
    threads.
    """
    return {name: latency for group in _networks(subjects) for name, latency in _latencies(group).items()}


def _networks(subjects: Sequence[Subject]) -> list[list[Subject]]:
    groups: dict[tuple[str, str | None], list[Subject]] = {}
    for subject in subjects:
        groups.setdefault((subject.network, subject.weights_sha256), []).append(subject)
    return [*groups.values()]


def _titles(groups: Sequence[Sequence[Subject]]) -> list[str]:
    """The network of each of `groups`; its classes, and then its weights, where others have the same name."""
    firsts = [group[0] for group in groups]
    names = [first.network for first in firsts]
    classes = [f"{first.network}, {first.classes:,} classes" for first in firsts]
    hashes = [(first.weights_sha256 or "unknown")[:SHORT] for first in firsts]
    titles = []
    for at in range(len(groups)):
        longer = (words[at] for words in (names, classes) if words.count(words[at]) == 1)
        titles.append(next(longer, f"{classes[at]}, weights {hashes[at]}"))
    return titles


def _latencies(subjects: Sequence[Subject]) -> dict[str, Latency]:
    measured = [(subject, each) for subject in subjects for each in subject.latency if each.p50_ms is not None]
    arms = {(subject.name, each.session, each.threads): each.created_utc or "" for subject, each in measured}
    counts = Counter((session, threads) for _, session, threads in arms)
    if not counts:
        return {}
    created = {(session, threads): at for (_, session, threads), at in arms.items()}
    best = max(counts, key=lambda condition: (counts[condition], created[condition], -condition[1]))
    chosen: dict[str, Latency] = {}
    for subject, each in measured:
        if (each.session, each.threads) == best:
            chosen[subject.name] = min(chosen.get(subject.name, each), each, key=_speed)
    return chosen


def _speed(latency: Latency) -> tuple[bool, float]:
    return latency.validity == INVALID, math.inf if latency.p50_ms is None else latency.p50_ms


def agreements(
    subjects: Sequence[Subject], sources: Sequence[Source]
) -> tuple[dict[str, tuple[float | None, list[float] | None]], str | None]:
    """The agreement of each subject with its original and its interval, and the pictures that it is on, in words.

    Of the first evaluation that has all of them, otherwise of their proofs.
    """
    for source in sources:
        rows = {
            subject.name: figures
            for subject in subjects
            for figures in subject.accuracy
            if figures.source == source.sha256 and figures.agreement is not None
        }
        if len(rows) == len(subjects):
            pictures = max(figures.pictures or 0 for figures in rows.values())
            basis = f"{pictures:,} pictures of the evaluation {source.file}"
            return {name: (each.agreement, each.agreement_interval) for name, each in rows.items()}, basis
    bases = dict.fromkeys(subject.parity.basis for subject in subjects if subject.parity.basis)
    values = {subject.name: (subject.parity.agreement, subject.parity.agreement_interval) for subject in subjects}
    return values, "; ".join(bases) or None


def _choice(subjects: Sequence[Subject], sources: Sequence[Source], title: str) -> Choice:
    times = latencies(subjects)
    agreement, agreement_basis = agreements(subjects, sources)
    candidates = [_candidate(subject, times.get(subject.name), *agreement[subject.name]) for subject in subjects]
    candidates = [replace(each, on_front=_on_front(each, candidates)) for each in candidates]
    chosen, reason = _recommend(candidates)
    return Choice(
        network=subjects[0].network,
        recommended=chosen.name if chosen else None,
        sha256=chosen.sha256 if chosen else None,
        reason=reason,
        latency_basis=_basis(times),
        agreement_basis=agreement_basis,
        candidates=candidates,
        title=title,
    )


def _candidate(
    subject: Subject, latency: Latency | None, agreement: float | None, interval: list[float] | None
) -> Candidate:
    against = None
    if subject.parity.verdict != PASS:
        against = f"its parity is {subject.parity.verdict}"
    elif any(figures.verdict == FAIL for figures in subject.accuracy):
        against = "its accuracy is below 98 % of the original's"
    return Candidate(
        name=subject.name,
        sha256=subject.sha256,
        size_bytes=subject.size_bytes,
        latency_ms=latency.p50_ms if latency else None,
        latency_interval=latency.p50_interval if latency else None,
        validity=latency.validity if latency else None,
        agreement=agreement,
        agreement_interval=interval,
        against=against,
    )


def _basis(times: Mapping[str, Latency]) -> str | None:
    if not times:
        return None
    first = next(iter(times.values()))
    threads = f"{first.threads} thread{'' if first.threads == 1 else 's'}"
    profile = f"{first.profile} " if first.profile else ""
    return f"{first.device}, {threads}, {profile}session of {(first.created_utc or '')[:10]}"


def _costs(candidate: Candidate) -> tuple[float, float, float]:
    """Size, latency and disagreement: less of each is better. What is not known is the worst."""
    latency = math.inf if candidate.latency_ms is None else candidate.latency_ms
    return candidate.size_bytes, latency, math.inf if candidate.agreement is None else -candidate.agreement


def _on_front(candidate: Candidate, candidates: Sequence[Candidate]) -> bool:
    """Whether `candidate` may be recommended, and none that may is at least as good in all and better in one."""
    own = _costs(candidate)
    rivals = [_costs(each) for each in candidates if each.against is None]
    return candidate.against is None and not any(
        rival != own and all(theirs <= ours for theirs, ours in zip(rival, own, strict=True)) for rival in rivals
    )


def _recommend(candidates: Sequence[Candidate]) -> tuple[Candidate | None, str]:
    """The candidate to take, None if none can be recommended, and why."""
    eligible = [each for each in candidates if each.against is None]
    if not eligible:
        return None, f"{'; '.join(f'{each.name}: {each.against}' for each in candidates)}."
    measured = [each for each in eligible if each.latency_ms is not None]
    if not measured:
        smallest = min(eligible, key=lambda each: (each.size_bytes, _costs(each)))
        return smallest, _sentences(smallest, SMALLEST, len(candidates), "No latency is known.")
    trusted = [each for each in measured if each.validity != INVALID]
    fastest = min(trusted or measured, key=lambda each: _costs(each)[1])
    tied = [each for each in trusted or measured if _overlap(each, fastest)]
    chosen = min(tied, key=lambda each: (each.size_bytes, _costs(each)[2]))
    more = [_speedup(chosen, measured)]
    if len(tied) > 1:
        others = " and ".join(each.name for each in tied if each is not chosen)
        more.append(f"Its latency cannot be told from that of {others}, and it is the smallest of them.")
    if not trusted:
        more.append("None of these latencies is valid: measure again before you rely on them.")
    if doubtful := [each.name for each in measured if each not in (trusted or measured)]:
        more.append(f"Not counted, since its measurement is invalid: {' and '.join(doubtful)}.")
    if unknown := [each.name for each in eligible if each.latency_ms is None]:
        more.append(f"Not counted, since it was not measured: {' and '.join(unknown)}.")
    return chosen, _sentences(chosen, FASTEST if chosen is fastest else AMONG, len(candidates), *more)


def _overlap(candidate: Candidate, fastest: Candidate) -> bool:
    if candidate is fastest:
        return True
    intervals = candidate.latency_interval, fastest.latency_interval
    return intervals[0] is not None and intervals[1] is not None and intervals[0][0] <= intervals[1][1]


def _speedup(chosen: Candidate, measured: Sequence[Candidate]) -> str:
    """How much faster it is than the slowest of the most exact others; nothing if it is not."""
    others = [each for each in measured if each is not chosen]
    if not others or chosen.latency_ms is None:
        return ""
    exact = min(others, key=lambda each: (_costs(each)[2], -_costs(each)[1]))
    assert exact.latency_ms is not None
    times = exact.latency_ms / chosen.latency_ms
    return f"It is {times:.3g} times as fast as {exact.name}." if times > 1 else ""


def _sentences(chosen: Candidate, best: str, count: int, *more: str) -> str:
    first = best if count > 1 else "It passed its proof."
    if chosen.agreement is not None:
        first += f" It gives the original's answer for {100 * chosen.agreement:.1f} % of the pictures."
    return " ".join(filter(None, (first, *more)))

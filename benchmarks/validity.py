"""Whether a measurement can be trusted: one check for each thing that is known to spoil one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median

from edge_squeeze.benchmarks import disturbances
from edge_squeeze.benchmarks.case import Case
from edge_squeeze.benchmarks.checks import PASS, UNKNOWN, WARN, Check, demanded, graded
from edge_squeeze.benchmarks.launches.records import SUSTAINED
from edge_squeeze.benchmarks.statistics import stats
from edge_squeeze.benchmarks.summary import count, samples_ms
from edge_squeeze.engines.engine import XNNPACK

LATE_S = 300.0  # a session that was interrupted for longer met another machine
TIMES_OVER_CLOCK = 1000
MOST_LEFT = 0.1  # operators that a delegate leaves behind: the ends of a graph are always a few
LONGEST = "rigorous"  # the profile that warms up longest
DENORMAL_SHARE = 0.005  # of a float32 file's words; its few small integers look alike


def check(case: Case) -> list[Check]:
    """Every check of `case`."""
    return [one(case) for one in CHECKS]


def _stationarity(case: Case) -> Check:
    if case.profile.kind == SUSTAINED:
        return Check("stationarity", PASS, None, None)
    change = abs(median(stats.stationarity(samples) for samples in samples_ms(case.runs)))
    longest = case.profile.name == LONGEST
    todo = (
        "Let the device reach a steady temperature first."
        if longest
        else f"Try --profile {LONGEST}: it warms up longer."
    )
    return graded("stationarity", change, 0.03, None, f"Launches got slower or faster as they ran. {todo}")


def _drift(case: Case) -> Check:
    medians = stats.medians(samples_ms(case.runs))
    found, value = stats.drifts(medians), round(stats.drift(medians), 4)
    hint = "Later launches were slower or faster than earlier ones. Let the device reach a steady temperature first."
    return Check("drift", WARN if found else PASS, value, stats.DRIFT, hint if found else None)


def _bimodal(case: Case) -> Check:
    samples = samples_ms(case.runs)
    found, value = stats.bimodal(samples), round(stats.largest_gap(samples), 4)
    hint = "Launches fall into two groups: memory layout, or cores of two speeds. Bind it to cores of one kind."
    return Check("bimodal", WARN if found else PASS, value, stats.GAP, hint if found else None)


def _precision(case: Case) -> Check:
    width, target = case.summary.rel_half_width, case.profile.precision
    if case.profile.kind == SUSTAINED:
        return Check("precision", UNKNOWN, None, None)  # one long launch answers another question
    if width is None:
        return Check("precision", WARN, None, target, "Fewer than 3 launches give no interval. Ask for more.")
    needed = math.ceil(case.summary.n_launches * (width / target) ** 2)
    hint = f"The interval is wide. About {needed} launches (--launches) would give +-{target:.0%}."
    return graded("precision", width, target, None, hint)


def _pace(case: Case) -> Check:
    """Whether the frames of a paced run came as they should: one that is late makes the next ones late."""
    if case.summary.paced is None:
        return Check("pace", PASS, None, None)
    late = case.summary.paced.miss_pct / 100
    return graded("pace", late, 0.01, None, "Frames were late: the rate is too high for it. Try a lower --rate.")


def _agreement(case: Case) -> Check:
    """Whether the two usual ways to a typical value say the same: they part where launches are skewed."""
    change = abs(case.summary.p50_ms / case.summary.median_of_medians_ms - 1)
    hint = "A few launches were far slower or faster than the rest. Ask for more (--launches)."
    return graded("agreement", change, 0.02, None, hint)


def _percentiles(case: Case) -> Check:
    known = [name for name in ("p90", "p95", "p99") if getattr(case.summary, f"{name}_ms") is not None]
    return Check("percentiles", PASS if known else UNKNOWN, ", ".join(known) or None, None)


def _oversubscription(case: Case) -> Check:
    hint = f"Only {case.arm.usable_cores} cores can be used. More threads wait for each other: use fewer."
    return graded("oversubscription", case.arm.threads, case.arm.usable_cores, None, hint)


def _samples(case: Case) -> Check:
    """Whether every launch took as many samples as the profile promises: a slow network meets the time limit first."""
    required, taken = case.profile.pace.runs, min(map(count, case.runs))
    hint = f"Launches met their time limit before {required} samples were taken. Ask for more (--launches)."
    return demanded("samples", taken >= required, taken, hint, otherwise=WARN)


def _timer(case: Case) -> Check:
    share = max(one.timer_ns for one in case.runs) / 1e6 / case.summary.p50_ms
    hint = "Too short for this clock to time well. Treat it as an upper bound."
    return graded("timer", share, 1 / TIMES_OVER_CLOCK, None, hint)


def _inputs(case: Case) -> Check:
    fed = [one.inputs for one in case.runs]
    distinct = f"{min(one.distinct for one in fed)} distinct"
    faults = {
        "all zero": any(one.zero for one in fed),
        f"{distinct} of {fed[0].count}": any(one.distinct != one.count for one in fed),
        "not the same in all launches": any(one.sha256 != fed[0].sha256 for one in fed),
    }
    found = ", ".join(name for name, there in faults.items() if there)
    hint = f"What was fed in: {found}. Give other pictures (--inputs DIR)."
    return demanded("inputs", not found, found or distinct, hint)


def _outputs(case: Case) -> Check:
    finite = all(one.sanity.finite for one in case.runs)
    return demanded("outputs", finite, None, "Outputs are not finite: what it computes is no result. Do not use it.")


def _variety(case: Case) -> Check:
    """A network that gives one answer to all is most often broken; seeded noise alone may look alike to a sound one."""
    given = [one.sanity for one in case.runs]
    constant, distinct = any(one.constant for one in given), min(one.distinct for one in given)
    what = "All scores of all inputs are one number" if constant else "Outputs are alike for all inputs"
    hint = f"{what}. Give real pictures (--inputs DIR); if it stays so, the file is broken."
    value = "one number" if constant else f"{distinct} distinct"
    return demanded("variety", not constant and distinct > 1, value, hint, otherwise=WARN)


def _repeatability(case: Case) -> Check:
    different = len({one.sanity.sha256 for one in case.runs})
    todo = "Try one thread; if it stays so, distrust the engine." if case.arm.threads > 1 else "Try another engine."
    hint = f"Launches computed different outputs of the same inputs. {todo}"
    return graded("repeatability", different - 1, 0, None, hint)


def _denormals(case: Case) -> Check:
    hint = "Weights below float32's normal range are slow on many CPUs. Set them to zero before the export."
    return graded("denormals", case.denormals, DENORMAL_SHARE, None, hint)


def _delegation(case: Case) -> Check:
    served = min((one.served for one in case.runs), key=lambda one: one.delegated or 0)
    if served.operators is None or served.delegated is None or served.kernels != XNNPACK:
        return Check("delegation", UNKNOWN, None, None)
    left = served.operators - served.delegated
    hint = f"{left} of {served.operators} operators run on slower built-in kernels. `edge-squeeze inspect` lists them."
    text = f"{served.delegated} of {served.operators} operators"
    return demanded("delegation", left <= MOST_LEFT * served.operators, text, hint, otherwise=WARN)


def _resumed(case: Case) -> Check:
    hint = "The session was interrupted for long; launches before and after met another machine. --fresh begins again."
    return graded("resumed", case.resumed_after_s or 0, LATE_S, None, hint)


CHECKS: Sequence[Callable[[Case], Check]] = (
    *disturbances.CHECKS, _stationarity, _drift, _bimodal, _precision, _pace, _agreement, _percentiles,
    _oversubscription, _samples, _timer, _inputs, _outputs, _variety, _repeatability, _denormals, _delegation, _resumed,
)  # fmt: skip

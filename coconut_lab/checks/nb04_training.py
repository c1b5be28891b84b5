"""The checks of 04's exercises 1, 2 and 5: a learning rate, an interval, a process's share."""

from __future__ import annotations

import math
from typing import Any

from coconut_lab.checks.base import CheckFailed, Function, call, parts, passed
from coconut_lab.checks.blame import Slip, blame

DIGITS = 9


def _number(name: str, what: str, value: Any) -> float:
    """Make sure that a result is one number; rounded, so that equal ones compare as equal."""
    try:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError
        return round(float(value), DIGITS)
    except (TypeError, ValueError, RuntimeError):
        raise CheckFailed(
            f"{name}: {what} should be one number, not {type(value).__name__} ({str(value)[:40]})."
        ) from None


# --- exercise 1 -----------------------------------------------------------------------------------

Phases = list[tuple[int, int, float]]


def _rate(
    step: int,
    phases: Phases,
    peak: float,
    warmup: int,
    *,
    fresh: Function = lambda stage, before, inner: stage != before,
    warm: Function = lambda since, warmup: min(1.0, (since + 1) / warmup),
    share: Function = lambda inner, steps, final: 1 - (1 - final) * inner / steps,
) -> float:
    """The rate of a step, in parts that can go wrong one by one.

    fresh: whether a step begins with a new optimizer; warm: the factor of the warm-up, `since`
    counts steps since then from 0; share: the factor of the decay.
    """
    before, since, start = None, -1, 0
    for stage, steps, final in phases:
        for inner in range(steps):
            new = since < 0 or fresh(stage, before, inner)
            since = 0 if new else since + 1
            before = stage
            if start + inner == step:
                return round(peak * warm(since, warmup) * share(inner, steps, final), DIGITS)
        start += steps
    raise ValueError(f"there is no step {step}")


def _over_the_run(step: int, phases: Phases, peak: float, warmup: int) -> float:
    total = sum(steps for _, steps, _ in phases)
    final = phases[-1][2]
    warm = _rate(step, phases, peak, warmup, share=lambda *_: 1.0)
    return round(warm * (1 - (1 - final) * step / total), DIGITS)


_RATE_SLIPS = (
    Slip(
        "there is no warm-up in your rate. In the first `warmup` steps with a new optimizer it "
        "rises in equal parts to the peak.",
        lambda *case: _rate(*case, warm=lambda *_: 1.0),
    ),
    Slip(
        "your warm-up begins at 0: then the first step moves nothing. The first step with a new "
        "optimizer has 1 / warmup of the rate, not 0.",
        lambda *case: _rate(*case, warm=lambda since, warmup: min(1.0, since / warmup)),
    ),
    Slip(
        "you warm up only once. A change of stage brings a new optimizer, and it is warmed up "
        "again.",
        lambda *case: _rate(*case, fresh=lambda *_: False),
    ),
    Slip(
        "you warm up at every phase. Two phases in a row may have the same stage: then the "
        "optimizer is kept, and so is its warm-up.",
        lambda *case: _rate(*case, fresh=lambda stage, before, inner: inner == 0),
    ),
    Slip(
        "your warm-up does not end: it goes on rising beyond the peak. Cap it at 1.",
        lambda *case: _rate(*case, warm=lambda since, warmup: (since + 1) / warmup),
    ),
    Slip(
        "the rate does not fall in your code. Within a phase it goes from the whole rate towards "
        "`final` times the rate.",
        lambda *case: _rate(*case, share=lambda *_: 1.0),
    ),
    Slip(
        "your rate falls over the whole run. Each phase has a `final` of its own, and the fall "
        "begins anew with it.",
        _over_the_run,
    ),
    Slip(
        "your fall is one step ahead: the first step of a phase still has the whole rate. Count "
        "the steps of a phase from 0.",
        lambda *case: _rate(
            *case, share=lambda inner, steps, final: 1 - (1 - final) * (inner + 1) / steps
        ),
    ),
    Slip(
        "you multiply the remaining part by `final` as if it fell to 0 at final = 1. The share of "
        "the rate is 1 at the start and `final` at the end: 1 - (1 - final) * done / steps.",
        lambda *case: _rate(*case, share=lambda inner, steps, final: 1 - final * inner / steps),
    ),
)


def rate_at(function: Function) -> None:
    """Check exercise 1: warm-up after each reset, decay within each phase.

    Args:
        function: `(step, phases, peak, warmup)`, the phases triples `(stage, steps, final)`, to
            the learning rate of a step.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "rate_at"
    layouts: list[Phases] = [
        [(0, 6, 1.0), (1, 9, 1.0), (1, 5, 0.2)],
        [(0, 3, 0.5), (2, 8, 1.0), (3, 4, 0.0), (3, 7, 0.1)],
    ]
    cases = [
        (step, list(phases), peak, warmup)
        for phases, peak, warmup in zip(
            layouts * 2, (1.0, 3e-3, 2e-3, 0.5), (4, 5, 1, 3), strict=True
        )
        for step in range(sum(steps for _, steps, _ in phases))
    ]
    got = [_number(name, "the rate", call(name, function, *case)) for case in cases]
    blame(name, cases, got, _rate, _RATE_SLIPS, _describe_rate)
    passed(name, f"{len(cases)} rates are right, through resets and falls")


def _describe_rate(case: tuple[Any, ...], got: float, want: float) -> str:
    step, phases, peak, warmup = case
    where = f"phases={phases}, peak={peak}, warmup={warmup}"
    return f"at step {step} of {where} your rate is {got:g}, it should be {want:g}."


# --- exercise 2 -----------------------------------------------------------------------------------

Interval = tuple[float, float]
Z = 1.959963984540054


def _ends(middle: float, half: float) -> Interval:
    return round(middle - half, 6), round(middle + half, 6)


def _wilson(right: int, total: int, z: float = Z) -> Interval:
    share, shrink = right / total, 1 + z * z / total
    half = z / shrink * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2))
    low, high = _ends((share + z * z / (2 * total)) / shrink, half)
    return max(0.0, low), min(1.0, high)


def _wald(right: int, total: int) -> Interval:
    share = right / total
    return _ends(share, Z * math.sqrt(share * (1 - share) / total))


def _uncentred(right: int, total: int) -> Interval:
    low, high = _wilson(right, total)
    return _ends(right / total, (high - low) / 2)


def _unshrunk(right: int, total: int) -> Interval:
    share = right / total
    half = Z * math.sqrt(share * (1 - share) / total + Z * Z / (4 * total**2))
    return _ends(share + Z * Z / (2 * total), half)


def _clip(interval: Interval) -> Interval:
    return max(0.0, interval[0]), min(1.0, interval[1])


_WILSON_SLIPS = (
    Slip(
        "this is the plain interval, share ± z·sqrt(share(1 - share)/n). At 20 of 20 right it has "
        "no width at all, as if 20 problems proved everything. Use Wilson's formula.",
        lambda *case: _clip(_wald(*case)),
    ),
    Slip(
        "this is the plain interval, and it leaves the range from 0 to 1. Use Wilson's formula.",
        _wald,
    ),
    Slip(
        "your interval is Wilson's for z = 1.645, which leaves 10% outside. For 95%, z = 1.96.",
        lambda right, total: _wilson(right, total, 1.6448536269514722),
    ),
    Slip(
        "your interval is that of one standard error: z is missing. For 95%, z = 1.96.",
        lambda right, total: _wilson(right, total, 1.0),
    ),
    Slip(
        "your interval is in percent. Give shares between 0 and 1.",
        lambda *case: tuple(round(100 * end, 4) for end in _wilson(*case)),
    ),
    Slip(
        "your interval stands around the share. Wilson's has its middle nearer to one half: "
        "(share + z²/2n) / (1 + z²/n).",
        lambda *case: _uncentred(*case),
    ),
    Slip(
        "you forget to divide by 1 + z²/n.",
        lambda *case: _clip(_unshrunk(*case)),
    ),
    Slip(
        "the two ends are swapped: first the lower one.",
        lambda *case: _wilson(*case)[::-1],
    ),
)


def wilson(function: Function) -> None:
    """Check exercise 2: the 95% Wilson interval of an accuracy.

    Args:
        function: `(right, total) -> low, high`.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "wilson"
    cases = [(950, 1000), (963, 1000), (20, 20), (0, 15), (9, 10)]
    got = []
    for case in cases:
        ends = parts(name, call(name, function, *case), ("low", "high"))
        low, high = (_number(name, "each end", end) for end in ends)
        digits = 4 if abs(low) > 1.5 or abs(high) > 1.5 else 6  # z may be taken as 1.96
        got.append((round(low, digits), round(high, digits)))
    near = [_snapped(pair, case) for pair, case in zip(got, cases, strict=True)]
    blame(name, cases, near, _wilson, _WILSON_SLIPS, _describe_wilson)
    passed(name, f"{len(cases)} intervals are right, also where all or none are right")


def _snapped(pair: Interval, case: tuple[int, int]) -> Any:
    """A candidate's own digits where the learner's z has fewer: 1.96, 1.645."""
    for candidate in (_wilson, *(slip.result for slip in _WILSON_SLIPS)):
        found = candidate(*case)
        size = max(1.0, *(abs(end) for end in found))
        if all(abs(a - b) < 2e-5 * size for a, b in zip(pair, found, strict=True)):
            return found
    return pair


def _describe_wilson(case: tuple[Any, ...], got: Interval, want: Interval) -> str:
    right, total = case
    return (
        f"for {right} right of {total} you return {got[0]:.4f} to {got[1]:.4f}, it should be "
        f"{want[0]:.4f} to {want[1]:.4f}."
    )


# --- exercise 5 -----------------------------------------------------------------------------------


def _share(mean: float, labelled_here: int, labelled: int, processes: int) -> float:
    return round(mean * labelled_here / labelled * processes, DIGITS)


_SHARE_SLIPS = (
    Slip(
        "your value is the mean loss of the process alone. The mean over the processes is then a "
        "mean of means: a token weighs more where there are fewer of them.",
        lambda mean, here, labelled, processes: round(mean, DIGITS),
    ),
    Slip(
        "you forget that the gradients are averaged afterwards: the gradient comes out too small "
        "by the number of processes. Multiply by it.",
        lambda mean, here, labelled, processes: round(mean * here / labelled, DIGITS),
    ),
    Slip(
        "you divide by the number of processes, and the averaging does that once more. Multiply "
        "by it instead.",
        lambda mean, here, labelled, processes: round(mean * here / labelled / processes, DIGITS),
    ),
    Slip(
        "your value is the sum over the tokens of the process. Divide by the labelled tokens of "
        "all processes.",
        lambda mean, here, labelled, processes: round(mean * here, DIGITS),
    ),
    Slip(
        "your share is upside down: it is labelled_here / labelled.",
        lambda mean, here, labelled, processes: round(mean * labelled / here * processes, DIGITS),
    ),
)


def loss_share(function: Function) -> None:
    """Check exercise 5: what one of several processes differentiates.

    Args:
        function: `(mean, labelled_here, labelled, processes)` to a number.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "loss_share"
    cases = [(0.8, 30, 100, 2), (1.2, 70, 100, 2), (0.5, 12, 12, 1), (2.0, 9, 64, 4)]
    got = [_number(name, "the result", call(name, function, *case)) for case in cases]
    blame(name, cases, got, _share, _SHARE_SLIPS, _describe_share)
    passed(name, "the mean over the processes is the loss of the whole batch")


def _describe_share(case: tuple[Any, ...], got: float, want: float) -> str:
    words = "mean={}, labelled_here={}, labelled={}, processes={}".format(*case)
    return f"for {words} you return {got:g}, it should be {want:g}."

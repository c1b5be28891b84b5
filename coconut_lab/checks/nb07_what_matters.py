"""The checks of 07: an interval, a paired test, the longest chain of layers, a verdict."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from coconut_lab.checks.base import TOLERANCE, CheckFailed, call, parts, passed
from coconut_lab.inference.scoring import Comparison, Score, Z, compare_paired

ONE_SIDED_Z = 1.6448536269514722

# --- exercise 1 -----------------------------------------------------------------------------------


def wilson_interval(function: Callable[..., Any]) -> None:
    """Check exercise 1: the 95% Wilson interval of a share.

    Args:
        function: `(right, total)` to `(low, high)`, shares between 0 and 1.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "wilson_interval"
    for right, total in ((18, 20), (5, 8), (987, 1000), (0, 12), (30, 30)):
        value = parts(name, call(name, function, right, total), ("low", "high"))
        got = tuple(_number(name, f"end {end}", part) for end, part in enumerate(value, start=1))
        mistakes = {why: wrong(right, total) for why, wrong in WILSON_MISTAKES.items()}
        tried = f"{right} right of {total}"
        _expect(name, got, Score(right, total).interval, mistakes, tried)
    passed(name, "inside 0 to 1, and an interval also where every answer is right")


def _wilson(right: int, total: int, z: float = Z, inner: float = 4.0) -> tuple[float, float]:
    share, scale = right / total, 1 + z * z / total
    half = z * math.sqrt(share * (1 - share) / total + z * z / (inner * total * total))
    return (share + z * z / (2 * total) - half) / scale, (
        share + z * z / (2 * total) + half
    ) / scale


def _normal(right: int, total: int) -> tuple[float, float]:
    share = right / total
    half = Z * math.sqrt(share * (1 - share) / total)
    return share - half, share + half


def _around_the_share(right: int, total: int) -> tuple[float, float]:
    low, high = _wilson(right, total)
    return right / total - (high - low) / 2, right / total + (high - low) / 2


WILSON_MISTAKES: Mapping[str, Callable[[int, int], tuple[float, float]]] = {
    "this is the normal approximation, p ± z·sqrt(p(1-p)/n). It leaves 0 to 1 and has no width "
    "where every answer is right. Wilson's middle is pulled towards 1/2.": _normal,
    "the same, cut at 0 and 1: still the normal approximation, only its ends are hidden.": (
        lambda right, total: (
            max(0.0, _normal(right, total)[0]),
            min(1.0, _normal(right, total)[1]),
        )
    ),
    "z is 1.645, which leaves out 5% on one side. Two sides share the 5%: z = 1.96.": (
        lambda right, total: _wilson(right, total, ONE_SIDED_Z)
    ),
    "the ends are per cent. Return shares between 0 and 1.": (
        lambda right, total: (100 * _wilson(right, total)[0], 100 * _wilson(right, total)[1])
    ),
    "the width is right, but the interval stands around the share itself. Its middle is "
    "(p + z²/2n) / (1 + z²/n).": _around_the_share,
    "the ends are swapped: the low one comes first.": (
        lambda right, total: _wilson(right, total)[::-1]
    ),
    "under the root, z² is divided by 4n², not by 4n: the other factor n is missing.": (
        lambda right, total: _wilson(right, total, inner=4 / total)
    ),
}


# --- exercise 2 -----------------------------------------------------------------------------------


def mcnemar(function: Callable[..., Any]) -> None:
    """Check exercise 2: the exact two-sided McNemar test of two outcome strings.

    Args:
        function: `(first, second)`, texts of 0 and 1 of equal length, to a p-value.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "mcnemar"
    for both, only_first, only_second, neither in (
        (9, 7, 2, 6),
        (3, 1, 6, 12),
        (40, 12, 4, 4),
        (4, 3, 3, 5),
        (6, 0, 0, 4),
        (1, 5, 0, 2),
    ):
        first, second = _outcomes(both, only_first, only_second, neither)
        value = _number(name, "the result", call(name, function, first, second))
        found = compare_paired(*([one == "1" for one in text] for text in (first, second)))
        mistakes = {why: (wrong(found),) for why, wrong in MCNEMAR_MISTAKES.items()}
        tried = (
            f"{both} right for both, {only_first} only for the first, {only_second} only for the "
            f"second, {neither} for neither"
        )
        _expect(name, (value,), (found.p_value,), mistakes, tried)
    passed(name, "only the problems on which they differ count, on both sides, and p is at most 1")


def _outcomes(both: int, only_first: int, only_second: int, neither: int) -> tuple[str, str]:
    pairs = ["11"] * both + ["10"] * only_first + ["01"] * only_second + ["00"] * neither
    random.Random(0).shuffle(pairs)
    return "".join(pair[0] for pair in pairs), "".join(pair[1] for pair in pairs)


def _tail(count: int, of: int) -> float:
    """The probability of at most `count` heads among fair coins."""
    return sum(math.comb(of, k) for k in range(count + 1)) / 2.0**of


def _fewer(found: Comparison) -> tuple[int, int]:
    return min(found.only_first, found.only_second), found.only_first + found.only_second


def _unpaired(found: Comparison) -> float:
    """The test of two shares as if the problems had nothing to do with each other."""
    first, second, n = found.first.accuracy, found.second.accuracy, found.total
    pooled = (first + second) / 2
    spread = math.sqrt(pooled * (1 - pooled) * 2 / n)
    return math.erfc(abs(first - second) / spread / math.sqrt(2)) if spread else 1.0


def _chi_squared(found: Comparison, correction: float = 0.0) -> float:
    fewer, differ = _fewer(found)
    if not differ:
        return 1.0
    gap = max(0.0, differ - 2 * fewer - correction)
    return math.erfc(gap / math.sqrt(differ) / math.sqrt(2))


MCNEMAR_MISTAKES: Mapping[str, Callable[[Comparison], float]] = {
    "this is an unpaired test: it compares the two accuracies as if each model had answered "
    "problems of its own. Count, problem by problem, where they differ.": _unpaired,
    "problems on which both agree are counted among the coins. They say nothing about which "
    "model is better; n is only the number of problems on which the two differ.": (
        lambda found: min(1.0, 2 * _tail(_fewer(found)[0], found.total))
    ),
    "this is one-sided. Either model may be the better one: take the tail twice.": (
        lambda found: _tail(*_fewer(found))
    ),
    "this takes the second model's count, so p is large where the second is better. Take the "
    "smaller of both counts.": (
        lambda found: min(1.0, 2 * _tail(found.only_second, _fewer(found)[1]))
    ),
    "a p-value above 1. Where the split is even, both tails hold the middle: cap the result "
    "at 1.": (lambda found: 2 * _tail(*_fewer(found))),
    "this is the probability of exactly this split. Add those that are more uneven.": (
        lambda found: min(
            1.0, 2 * math.comb(_fewer(found)[1], _fewer(found)[0]) / 2.0 ** _fewer(found)[1]
        )
    ),
    "this is the approximation by chi-squared, made for many differences. The exact test adds up "
    "the coin tosses.": _chi_squared,
    "this is the approximation by chi-squared with a correction, made for many differences. The "
    "exact test adds up the coin tosses.": (lambda found: _chi_squared(found, 1.0)),
}


# --- exercise 3 -----------------------------------------------------------------------------------

ALPHA = 0.05
VERDICTS = ("first", "second", "undecided")


def verdict(function: Callable[..., Any]) -> None:
    """Check exercise 3: which of two models is better, if the data can tell.

    Args:
        function: `(first, second, comparisons)`, two texts of 0 and 1 and how many comparisons
            are made in all, to `"first"`, `"second"` or `"undecided"`.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "verdict"
    cases = (
        ((100, 14, 2, 84), 1),  # intervals overlap, and yet
        ((100, 2, 14, 84), 1),
        ((60, 9, 8, 23), 1),
        ((90, 12, 2, 20), 28),  # 0.05 / 28 is smaller than p
        ((90, 30, 4, 20), 28),
        ((50, 8, 2, 40), 1),  # p = 0.11 two-sided, 0.055 one-sided
        ((50, 7, 1, 40), 1),  # p = 0.07 two-sided, 0.035 one-sided
        ((50, 0, 0, 50), 3),
    )
    for counts, comparisons in cases:
        first, second = _outcomes(*counts)
        got = call(name, function, first, second, comparisons)
        if got not in VERDICTS:
            same = " Not to see a difference is not to see that there is none."
            raise CheckFailed(
                f'{name} should return "first", "second" or "undecided", not {got!r}.'
                + (same if str(got) in ("same", "equal", "both", "neither", "none") else "")
            )
        found = Comparison(*counts)
        want = _verdict(found, found.p_value < ALPHA / comparisons)
        if got == want:
            continue
        raise CheckFailed(
            f"{name} gave {got!r}, the data say {want!r}: {found}, comparisons={comparisons}. "
            + _verdict_mistake(found, comparisons, got, want)
        )
    passed(name, "pairs are used, the number of comparisons counts, and it may stay undecided")


def _verdict(found: Comparison, clear: bool) -> str:
    if not clear:
        return "undecided"
    return "first" if found.difference > 0 else "second"


def _verdict_mistake(found: Comparison, comparisons: int, got: str, want: str) -> str:
    if want == "undecided":
        if comparisons > 1 and found.p_value < ALPHA:
            return (
                f"p is below 0.05, but {comparisons} comparisons are made: by luck alone, one of "
                "twenty falls below it. Ask for p < 0.05 / comparisons."
            )
        if found.p_value / 2 < ALPHA:
            return "Half of this p is below 0.05: the test is two-sided."
        return "The accuracies differ, but so they would by luck. Ask for a small p."
    if got == "undecided":
        (low, _), (_, high) = found.first.interval, found.second.interval
        if found.difference < 0:
            (low, _), (_, high) = found.second.interval, found.first.interval
        if low <= high:
            return (
                "Their two intervals overlap, and yet the pairs are clear: both models find the "
                "same problems hard. Use the paired test."
            )
        return "This difference is large enough, also among so many comparisons."
    return "The direction is wrong: the better one is right on more problems."


# --- exercise 4 -----------------------------------------------------------------------------------

#: What each method puts behind the question, and whether it was computed from what stands before.
BEHIND = {
    "coconut": "thoughts",
    "cot": "steps",
    "no_cot": None,
    "pause_as_thought": "pauses",
}


def longest_chain(function: Callable[..., Any]) -> None:
    """Check exercise 4: how many layers can work one after another before the answer.

    Args:
        function: `(method, layers, thoughts, steps)` to a number of layers; `thoughts` counts
            thoughts or pause tokens, `steps` the words of the steps.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "longest_chain"
    for method in BEHIND:
        for layers, thoughts, steps in ((2, 3, 4), (4, 3, 2), (1, 5, 3), (3, 0, 0)):
            value = call(name, function, method, layers, thoughts, steps)
            got = _number(name, "the result", value)
            want = chain_by_graph(method, layers, thoughts, steps)
            if got == want:
                continue
            raise CheckFailed(
                f"{name}({method!r}, {layers}, {thoughts}, {steps}) gave {got:g}, it should be "
                f"{want}. {_chain_mistake(method, layers, thoughts, steps, got)}"
            )
    passed(name, "recycling multiplies the chain; tokens that are only read do not lengthen it")


def chain_by_graph(method: str, layers: int, thoughts: int, steps: int) -> int:
    """Follow what each hidden state is computed from, column by column and layer by layer.

    Args:
        method: a key of `BEHIND`.
        layers: of the model.
        thoughts: thoughts or pause tokens, where the method has them.
        steps: words of the steps, where the method writes them.

    Returns:
        The length, in layers, of the longest way from the question to the answer.
    """
    kind = BEHIND[method]
    columns = {"thoughts": thoughts, "pauses": thoughts, "steps": steps, None: 0}[kind]
    lengths: list[list[int]] = []  # per column: of the longest way to each layer's output
    for column in range(columns + 2):  # the question's last column, those, the answer's column
        recycled = 0 < column <= columns and kind != "pauses"
        way = [lengths[-1][-1] if recycled else 0]
        for layer in range(layers):
            way.append(1 + max([way[-1], *(other[layer] for other in lengths)]))
        lengths.append(way)
    return lengths[-1][-1]


def _chain_mistake(method: str, layers: int, thoughts: int, steps: int, got: float) -> str:
    kind = BEHIND[method]
    again = {"thoughts": thoughts, "steps": steps, "pauses": 0, None: 0}[kind]
    if kind == "thoughts" and got == layers and again:
        return (
            "A thought is the output of all layers, and it goes in at the bottom again. So the "
            "chain grows with each."
        )
    if kind == "steps" and got == layers and again:
        return (
            "A written step is computed by all layers, and it is read again as an input. What "
            "comes back is a word instead of a vector, but the chain grows all the same."
        )
    if again and got == layers + again:
        return "A thought or a written step is not one layer more: it went through all of them."
    if again and got == layers * again:
        return (
            "The last pass is missing: when the last thought or step goes in, all layers work "
            "once more. n thoughts take n + 1 passes."
        )
    if again and got == again + 1:
        return "These are the passes. Each of them has all the layers."
    if kind == "pauses" and thoughts and got == layers * (thoughts + 1):
        return (
            "A pause token is the same vector whatever the question says. Nothing is recycled, so "
            "all columns go through the layers side by side, in one pass."
        )
    if kind is None and got != layers:
        return "Here the answer follows the question: one pass, whatever the other arguments say."
    return "Draw columns and layers, and follow the longest way from the question to the answer."


# --- numbers --------------------------------------------------------------------------------------


def _number(name: str, what: str, value: Any) -> float:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        kind = type(value).__name__
        raise CheckFailed(f"{name}: {what} should be a number, not {kind}.") from error


def _near(left: Sequence[float], right: Sequence[float]) -> bool:
    return all(abs(one - other) <= TOLERANCE for one, other in zip(left, right, strict=True))


def _expect(
    name: str,
    got: Sequence[float],
    want: Sequence[float],
    mistakes: Mapping[str, Sequence[float]],
    tried: str,
) -> None:
    """Compare numbers with the right ones, and name the mistake that gives them."""
    if _near(got, want):
        return
    for why, wrong in mistakes.items():
        if _near(got, wrong) and not _near(want, wrong):
            raise CheckFailed(f"{name}: {why} (Tried with {tried}.)")
    shown, right = (", ".join(f"{number:.4f}" for number in numbers) for numbers in (got, want))
    raise CheckFailed(f"{name} gave {shown}, it should be {right}. (Tried with {tried}.)")

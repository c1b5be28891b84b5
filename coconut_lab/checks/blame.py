"""Comparing plain values over many cases, and naming the mistake that explains all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coconut_lab.checks.base import CheckFailed


@dataclass(frozen=True)
class Slip:
    """A typical mistake in a function of plain values.

    Attributes:
        message: what the learner did, and what to do instead.
        result: computes what a function with this mistake returns for a case.
    """

    message: str
    result: Callable[..., Any]


def blame(
    name: str,
    cases: Sequence[tuple[Any, ...]],
    got: Sequence[Any],
    right: Callable[..., Any],
    slips: Sequence[Slip],
    describe: Callable[[tuple[Any, ...], Any, Any], str],
) -> None:
    """Compare the results of all cases, and name the mistake where they differ.

    A slip is blamed if it gives the learner's result in every case; failing that, if it does so
    in the first case that is wrong.

    Args:
        name: how the exercise calls the function.
        cases: the arguments of each call.
        got: what the learner's function returned for them.
        right: the reference.
        slips: tried in order.
        describe: says for one case what is wrong: `(case, got, want)` to a clause.

    Raises:
        CheckFailed: some case differs.
    """
    want = [right(*case) for case in cases]
    wrong = [index for index, pair in enumerate(zip(got, want, strict=True)) if pair[0] != pair[1]]
    if not wrong:
        return
    for indices in (range(len(cases)), wrong[:1]):
        for slip in slips:
            if all(slip.result(*cases[index]) == got[index] for index in indices):
                raise CheckFailed(f"{name}: {slip.message}")
    first = wrong[0]
    raise CheckFailed(f"{name}: {describe(cases[first], got[first], want[first])}")

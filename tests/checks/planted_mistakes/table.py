"""The table of typical mistakes, and how one gets into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Planted:
    """One wrong solution.

    check: the name of the function in `coconut_lab.checks`.
    wrong: what a learner wrote in place of the solution.
    expect: a part of the message that this mistake, and no other, must get.
    """

    check: str
    wrong: Callable[..., Any]
    expect: str


PLANTED: list[Planted] = []


def planted(check: str, expect: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table."""

    def enter(wrong: Callable[..., Any]) -> Callable[..., Any]:
        PLANTED.append(Planted(check, wrong, expect))
        return wrong

    return enter

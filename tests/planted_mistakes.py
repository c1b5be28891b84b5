"""Typical mistakes of learners, each with the words by which its check must name it.

`test_exercises.py` hands each `wrong` to its check and looks for `expect` in the message. Every
check that an exercise calls needs at least three mistakes with messages of their own.
"""

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

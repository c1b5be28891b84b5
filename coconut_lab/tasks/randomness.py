"""Random choices that come out the same on every machine.

Generators use only `Random.random()`, the one method of Python's generator that is promised to
repeat for ever; everything else is made from its numbers here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from coconut_lab.tasks.notation import ProblemError

_Item = TypeVar("_Item")
#: Gives the next random number in [0, 1).
Uniform = Callable[[], float]


def coin(random: Uniform) -> bool:
    """Toss a fair coin."""
    return random() < 0.5


def pick(random: Uniform, items: Sequence[_Item]) -> _Item:
    """Draw one item, all equally likely."""
    return items[int(random() * len(items))]


def shuffled(random: Uniform, items: Iterable[_Item], count: int | None = None) -> list[_Item]:
    """Draw `count` of the items (all, by default) in random order, none of them twice."""
    pool = list(items)
    for i in range(len(pool) if count is None else count):
        j = i + int(random() * (len(pool) - i))
        pool[i], pool[j] = pool[j], pool[i]
    return pool[:count]


class Quota:
    """Whole numbers in random order, each exactly as often as its count says in every round."""

    def __init__(self, counts: Mapping[int, int]) -> None:
        self.values = [value for value, count in counts.items() for _ in range(count)]
        self.drawn = 0

    def draw(self, random: float) -> int:
        """Draw the next number, given one random number in [0, 1)."""
        values, i = self.values, self.drawn
        j = i + int(random * (len(values) - i))
        values[i], values[j] = values[j], values[i]
        self.drawn = (i + 1) % len(values)
        return values[i]


class Weighted:
    """Whole numbers with weights, to draw from with one random number in [0, 1)."""

    def __init__(self, weights: Mapping[int, float]) -> None:
        self.values = list(weights)
        self.cumulative = list(accumulate(weights.values()))

    def draw(self, random: float, skip_first: bool = False) -> int:
        """Draw one of the numbers by weight, the first of them left out with `skip_first`."""
        low = self.cumulative[0] if skip_first else 0.0
        spot = low + random * (self.cumulative[-1] - low)
        # The upper bound keeps a rounding error from pointing past the last number.
        return self.values[bisect_right(self.cumulative, spot, 0, len(self.values) - 1)]


def check_natural(**values: int) -> None:
    """Refuse arguments below 0; the ProblemError names the first."""
    for name, value in values.items():
        if value < 0:
            raise ProblemError(f"{name}={value!r}; give a whole number from 0 on")


def evenly(name: str, span: int | tuple[int, int]) -> dict[int, int]:
    """Turn a number, or (lowest, highest), into equal counts for a `Quota`, or refuse it."""
    ends = (span, span) if isinstance(span, int) else tuple(span)
    if (
        len(ends) != 2
        or not all(isinstance(end, int) for end in ends)
        or not 0 < ends[0] <= ends[1]
    ):
        raise ProblemError(f"{name}={span!r}; give a number above 0, or (lowest, highest)")
    return dict.fromkeys(range(ends[0], ends[1] + 1), 1)

"""Drawing from one stream of random numbers in [0, 1), equally on every machine.

Generators use only `Random.random()`, the one method of Python's generator that is promised to
repeat for ever; everything else is made from it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from coconut_lab.tasks.notation import ProblemError

_Item = TypeVar("_Item")
Stream = Callable[[], float]


def coin(random: Stream) -> bool:
    """Toss a fair coin."""
    return random() < 0.5


def pick(random: Stream, items: Sequence[_Item]) -> _Item:
    """Draw one item, all equally likely."""
    return items[int(random() * len(items))]


def shuffled(random: Stream, items: Iterable[_Item], count: int | None = None) -> list[_Item]:
    """Draw `count` of the items (all, by default) in random order, none of them twice."""
    pool = list(items)
    for i in range(len(pool) if count is None else count):
        j = i + int(random() * (len(pool) - i))
        pool[i], pool[j] = pool[j], pool[i]
    return pool[:count]


def check_whole(**values: object) -> None:
    """Check arguments that must be whole numbers from 0 on.

    Raises:
        ProblemError: one is not; the message names it.
    """
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ProblemError(f"{name}={value!r}; give a whole number from 0 on")


def evenly(name: str, span: int | tuple[int, int]) -> dict[int, int]:
    """Turn a number, or (lowest, highest), into one card for each number (see `Deck`).

    Raises:
        ProblemError: it is neither; the message names it.
    """
    ends = (span, span) if isinstance(span, int) else tuple(span)
    if (
        len(ends) != 2
        or not all(isinstance(end, int) for end in ends)
        or not 0 < ends[0] <= ends[1]
    ):
        raise ProblemError(f"{name}={span!r}; give a number above 0, or (lowest, highest)")
    return dict.fromkeys(range(ends[0], ends[1] + 1), 1)

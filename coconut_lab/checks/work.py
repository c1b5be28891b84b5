"""The check of 09's exercise 3: how many optimizer steps and forward passes a run takes."""

from __future__ import annotations

from typing import Any

from coconut_lab.checks.base import CheckFailed, Function, call, parts, passed
from coconut_lab.checks.blame import Slip, blame

Phases = tuple[tuple[int, int], ...]


def _up(number: int, by: int) -> int:
    return -(-number // by)


def _work(
    problems: int,
    phases: Phases,
    batch: int,
    micro: int,
    processes: int,
    c: int,
    last: int,
    *,
    epoch: Function = lambda problems, batch, processes: problems // batch,
    pieces: Function = lambda batch, micro, processes: _up(batch // processes, micro),
    passes: Function = lambda stage, c, last: min(stage, last) * c + 1,
    count: Function = lambda steps, pieces: steps,
) -> tuple[int, int]:
    """Steps and passes, in parts that can go wrong one by one."""
    each = pieces(batch, micro, processes)
    steps = total = 0
    for stage, epochs in phases:
        here = epochs * epoch(problems, batch, processes)
        steps += count(here, each)
        total += here * each * passes(stage, c, last)
    return steps, total


def _slip(message: str, **wrong: Any) -> Slip:
    return Slip(message, lambda *case: _work(*case, **wrong))


_SLIPS = (
    Slip(
        "the two numbers are swapped: optimizer steps first, then passes.",
        lambda *case: _work(*case)[::-1],
    ),
    _slip(
        "you count every part as an optimizer step. Gradients of the parts are added up, and then "
        "there is one step.",
        count=lambda steps, pieces: steps * pieces,
    ),
    _slip(
        "you forget the processes: each takes batch // processes rows and puts only those through "
        "its copy of the model.",
        pieces=lambda batch, micro, processes: _up(batch, micro),
    ),
    _slip(
        "you give every process a whole batch. In a recipe batch_size is the effective batch: all "
        "processes together see so many problems a step.",
        epoch=lambda problems, batch, processes: problems // (batch * processes),
        pieces=lambda batch, micro, processes: _up(batch, micro),
    ),
    _slip(
        "you divide the steps among the processes. They work at the same step together; more of "
        "them make a step shorter, not the run.",
        epoch=lambda problems, batch, processes: problems // (batch * processes),
    ),
    _slip(
        "you forget the thoughts: a batch with n thoughts goes through in n + 1 passes, not in "
        "one.",
        passes=lambda stage, c, last: 1,
    ),
    _slip(
        "n thoughts take n + 1 passes, not n: behind the last one, the rest is read.",
        passes=lambda stage, c, last: max(1, min(stage, last) * c),
    ),
    _slip(
        "you forget c: each replaced step makes c thoughts.",
        passes=lambda stage, c, last: min(stage, last) + 1,
    ),
    _slip(
        "your thoughts grow past the last stage. Stage last + 1 drops the rest of the words and "
        "keeps last · c thoughts.",
        passes=lambda stage, c, last: stage * c + 1,
    ),
    _slip(
        "the last batch of an epoch is too small in your count. The trainer leaves it out: an "
        "epoch has problems // batch steps.",
        epoch=lambda problems, batch, processes: _up(problems, batch),
    ),
    _slip(
        "you lose rows: where micro does not divide a process's share, one more part takes the "
        "rest. Round the number of parts up.",
        pieces=lambda batch, micro, processes: max(1, batch // processes // micro),
    ),
)

PAPER: Phases = ((0, 6), (1, 3), (2, 3), (3, 3), (4, 35))
CASES = (
    (385_620, PAPER, 128, 32, 4, 2, 3),
    (385_620, PAPER, 128, 32, 1, 2, 3),
    (17_886, tuple((stage, 15 if stage == 7 else 5) for stage in range(8)), 128, 24, 2, 1, 6),
    (1_000, ((0, 2), (2, 1), (3, 4)), 64, 20, 2, 3, 2),
    (500, ((0, 1), (1, 2)), 64, 64, 1, 1, 1),
)


def count_work(function: Function) -> None:
    """Check exercise 3: steps and passes of a run, from its recipe and the machine.

    Args:
        function: `(problems, phases, batch, micro, processes, c, last)`, the phases pairs
            `(stage, epochs)`, to the number of optimizer steps and of passes in one process.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "count_work"
    got = []
    for problems, phases, *rest in CASES:
        value = call(name, function, problems, list(phases), *rest)
        two = parts(name, value, ("steps", "passes"))
        for what, number in zip(("steps", "passes"), two, strict=True):
            if isinstance(number, bool) or not isinstance(number, (int, float)) or number % 1:
                raise CheckFailed(f"{name}: {what} should be a whole number, not {number!r}.")
        got.append(tuple(map(int, two)))
    blame(name, CASES, got, _work, _SLIPS, _describe)
    passed(name, f"steps and passes of {len(CASES)} runs are right")


def _describe(case: tuple[Any, ...], got: tuple[int, int], want: tuple[int, int]) -> str:
    problems, phases, batch, micro, processes, c, last = case
    which = "steps" if got[0] != want[0] else "passes"
    index = 0 if which == "steps" else 1
    return (
        f"with problems={problems}, phases={list(phases)}, batch={batch}, micro={micro}, "
        f"processes={processes}, c={c}, last={last} you count {got[index]:,} {which}, it should "
        f"be {want[index]:,}."
    )

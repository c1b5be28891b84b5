"""The checks of 03's exercises 3 and 5: how many thoughts, and when stages change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coconut_lab.checks.base import CheckFailed, Function, call, parts, passed
from coconut_lab.checks.blame import Slip, blame

# --- exercise 3 -----------------------------------------------------------------------------------


def _in_training(steps: int, stage: int, max_stage: int, c: int, pad_to_max: bool) -> int:
    if stage <= max_stage:
        return stage * c
    return (max_stage if pad_to_max else min(steps, max_stage)) * c


def _in_prompt(steps: int, stage: int, max_stage: int, c: int, pad_to_max: bool) -> int:
    return (min(stage, max_stage) if pad_to_max else min(stage, max_stage, steps)) * c


def _counts(train: Function = _in_training, prompt: Function = _in_prompt) -> Function:
    return lambda *case: (train(*case), prompt(*case))


_COUNT_SLIPS = (
    Slip(
        "the two numbers are swapped. The first is for training, the second for the prompt.",
        lambda *case: (_in_prompt(*case), _in_training(*case)),
    ),
    Slip(
        "in both numbers you forget c: one step is replaced by c thoughts.",
        lambda steps, stage, most, c, pad: _counts()(steps, stage, most, 1, pad),
    ),
    Slip(
        "you use the rule of training for the prompt. Without padding, a prompt never holds more "
        "than c thoughts for each step of its problem.",
        _counts(prompt=_in_training),
    ),
    Slip(
        "you use the rule of the prompt for training. In training, a stage up to max_stage inserts "
        "stage·c thoughts even if the problem has fewer steps, padded or not.",
        _counts(train=_in_prompt),
    ),
    Slip(
        "in training, your count is not capped: past max_stage it stays at max_stage·c.",
        _counts(train=lambda steps, stage, most, c, pad: stage * c),
    ),
    Slip(
        "in training you leave pad_to_max out. Past max_stage and without padding, a problem gets "
        "no more than c thoughts for each of its steps.",
        _counts(train=lambda steps, stage, most, c, pad: min(stage, most) * c),
    ),
    Slip(
        "in the prompt, your count is not capped: it never exceeds max_stage·c.",
        _counts(
            prompt=lambda steps, stage, most, c, pad: (stage if pad else min(stage, steps)) * c
        ),
    ),
    Slip(
        "the prompt always gets max_stage·c thoughts in your code, whatever the stage. "
        "Padding to the maximum does not mean that: the cap is min(stage, max_stage).",
        _counts(
            prompt=lambda steps, stage, most, c, pad: most * c if pad else min(most, steps) * c
        ),
    ),
    Slip(
        "in the prompt you cap by the number of steps with padding as well. "
        "With pad_to_max=True, all problems get equally many.",
        _counts(prompt=lambda steps, stage, most, c, pad: min(stage, most, steps) * c),
    ),
    Slip(
        "pad_to_max is upside down: True gives all problems equally many thoughts.",
        lambda steps, stage, most, c, pad: _counts()(steps, stage, most, c, not pad),
    ),
    Slip(
        "you multiply by c too early: max_stage and the number of steps count steps. Take the "
        "minimum first, then multiply.",
        lambda steps, stage, most, c, pad: (
            stage * c if stage <= most else min(stage * c, most if pad else min(steps, most)),
            min(stage * c, most if pad else min(most, steps)),
        ),
    ),
)


def count_thoughts(function: Function) -> None:
    """Check exercise 3: how many thoughts a row has in training and in the prompt.

    Args:
        function: `(steps, stage, max_stage, c, pad_to_max) -> in training, in the prompt`.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "count_thoughts"
    cases = [
        (steps, stage, max_stage, c, pad)
        for pad in (True, False)
        for max_stage, c in ((3, 1), (3, 2), (2, 3))
        for steps in (1, 2, 3, 5)
        for stage in range(max_stage + 3)
    ]
    got = []
    for case in cases:
        pair = parts(name, call(name, function, *case), ("in training", "in the prompt"))
        if any(type(number) is not int for number in pair):
            raise CheckFailed(f"{name} should return two whole numbers, not {pair}.")
        got.append(pair)
    blame(name, cases, got, _counts(), _COUNT_SLIPS, _describe_counts)
    passed(name, f"{len(cases)} cases are right, with padding and without")


def _describe_counts(case: tuple[Any, ...], got: tuple[int, int], want: tuple[int, int]) -> str:
    steps, stage, max_stage, c, pad = case
    where = f"steps={steps}, stage={stage}, max_stage={max_stage}, c={c}, pad_to_max={pad}"
    return f"for {where} you return {got}, it should be {want} (in training, in the prompt)."


# --- exercise 5 -----------------------------------------------------------------------------------

Phases = list[tuple[int, int]]


def _stages(phases: Phases, steps_per_epoch: int) -> list[int]:
    return [stage for stage, epochs in phases for _ in range(epochs * steps_per_epoch)]


def _plan(phases: Phases, steps_per_epoch: int, reset: str) -> list[tuple[int, bool]]:
    stages = _stages(phases, steps_per_epoch)
    return [
        (
            stage,
            step == 0
            or (step % steps_per_epoch == 0 if reset == "epoch" else stage != stages[step - 1]),
        )
        for step, stage in enumerate(stages)
    ]


def _resets(fresh: Callable[[list[int], int, int, str], bool]) -> Function:
    """A plan with the right stages whose resets `fresh(stages, step, per_epoch, reset)` says."""

    def plan(phases: Phases, steps_per_epoch: int, reset: str) -> list[tuple[int, bool]]:
        stages = _stages(phases, steps_per_epoch)
        return [
            (stage, fresh(stages, step, steps_per_epoch, reset))
            for step, stage in enumerate(stages)
        ]

    return plan


def _changes(stages: list[int], step: int) -> bool:
    return 0 < step < len(stages) and stages[step] != stages[step - 1]


def _per_phase(phases: Phases, steps_per_epoch: int, reset: str) -> list[tuple[int, bool]]:
    if reset == "epoch":
        return _plan(phases, steps_per_epoch, reset)
    return [
        (stage, inner == 0) for stage, epochs in phases for inner in range(epochs * steps_per_epoch)
    ]


_PLAN_SLIPS = (
    Slip(
        "you never say that the optimizer is new. It is at the first step and where the stage "
        "changes (or, for reset='epoch', where an epoch begins).",
        _resets(lambda *_: False),
    ),
    Slip(
        "the very first step needs a new optimizer too.",
        lambda *case: [(stage, new and step > 0) for step, (stage, new) in enumerate(_plan(*case))],
    ),
    Slip(
        "you reset at every step, so the optimizer never gathers any state.",
        _resets(lambda *_: True),
    ),
    Slip(
        "you reset at every epoch although reset='stage'. The published code does that; the paper "
        "resets where the stage changes.",
        lambda phases, per_epoch, reset: _plan(phases, per_epoch, "epoch"),
    ),
    Slip(
        "you leave out reset='epoch': then every epoch begins with a new optimizer.",
        lambda phases, per_epoch, reset: _plan(phases, per_epoch, "stage"),
    ),
    Slip(
        "you reset at every phase. Two phases in a row may have the same stage; then nothing "
        "changes, and the optimizer is kept.",
        _per_phase,
    ),
    Slip(
        "you reset one step too late: the first step of a new stage already needs the new "
        "optimizer.",
        _resets(
            lambda stages, step, n, reset: (
                step == 0 or (step % n == 1 % n if reset == "epoch" else _changes(stages, step - 1))
            )
        ),
    ),
    Slip(
        "you reset one step too early: the last step of the old stage still uses the old "
        "optimizer.",
        _resets(
            lambda stages, step, n, reset: (
                step == 0
                or ((step + 1) % n == 0 if reset == "epoch" else _changes(stages, step + 1))
            )
        ),
    ),
    Slip(
        "your plan has one entry for each epoch. It needs one for each optimizer step: an epoch "
        "has steps_per_epoch of them.",
        lambda phases, per_epoch, reset: _plan(phases, 1, reset),
    ),
    Slip(
        "you number the phases. The stage is the number that stands in the phase: stages may be "
        "skipped or repeated.",
        lambda phases, per_epoch, reset: _plan(
            [(number, epochs) for number, (_, epochs) in enumerate(phases)], per_epoch, reset
        ),
    ),
)


def plan(function: Function) -> None:
    """Check exercise 5: the stage of every step, and where the optimizer is new.

    Args:
        function: `(phases, steps_per_epoch, reset)`, the phases `(stage, epochs)` pairs, to a list
            of pairs `(stage, new_optimizer)`, one per optimizer step.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "plan"
    layouts: list[Phases] = [
        [(0, 2), (1, 1), (2, 3)],
        [(0, 1), (1, 2), (1, 1), (3, 2), (0, 1)],
        [(4, 2)],
    ]
    cases = [
        ([*phases], per_epoch, reset)
        for phases in layouts
        for per_epoch in (3, 5)
        for reset in ("stage", "epoch")
    ]
    got = []
    for phases, per_epoch, reset in cases:
        value = call(name, function, list(phases), per_epoch, reset)
        if not isinstance(value, list) or any(
            not isinstance(entry, (tuple, list)) or len(entry) != 2 for entry in value
        ):
            raise CheckFailed(
                f"{name} should return a list of pairs (stage, new_optimizer), "
                f"not {type(value).__name__}."
            )
        got.append([(stage, bool(new)) for stage, new in value])
    blame(name, cases, got, _plan, _PLAN_SLIPS, _describe_plan)
    passed(name, "stages and resets are right, by stage and by epoch")


def _describe_plan(case: tuple[Any, ...], got: list[Any], want: list[Any]) -> str:
    phases, per_epoch, reset = case
    where = f"for phases={phases}, steps_per_epoch={per_epoch}, reset={reset!r}"
    if len(got) != len(want):
        return f"{where} the plan has {len(got)} entries, it should have {len(want)}."
    step = next(i for i, pair in enumerate(zip(got, want, strict=True)) if pair[0] != pair[1])
    return f"{where} step {step} is {got[step]}, it should be {want[step]}."

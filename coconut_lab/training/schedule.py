"""The schedule of a recipe: what happens at each optimizer step, and the table that says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coconut_lab.curriculum.curriculum import Curriculum
from coconut_lab.training.recipe import Phase, Recipe


class Moment(NamedTuple):
    """One optimizer step of a schedule.

    Attributes:
        step: from 0.
        reset: whether the optimizer's state is dropped before it.
        phase: the phase it belongs to.
        share: the learning rate as a share of the recipe's, before warm-up.
        ends_phase: whether it is the last step of its phase.
    """

    step: int
    reset: bool
    phase: Phase
    share: float
    ends_phase: bool


def moments(recipe: Recipe, problems: int) -> Iterator[Moment]:
    """Give every step of a recipe, in order.

    Args:
        recipe: the recipe, its phases in steps (`Recipe.in_steps`).
        problems: how many problems there are; says where an epoch begins.

    Returns:
        One `Moment` per optimizer step.
    """
    epoch = max(1, problems // recipe.batch_size)
    step, previous = 0, None
    for phase in recipe.phases:
        new_stage = previous is None or phase.stage != previous.stage
        for inner in range(phase.steps):
            reset = (
                step == 0
                or {
                    "stage": inner == 0 and new_stage,
                    "every_epoch": (inner == 0 and new_stage) or step % epoch == 0,
                    "never": False,
                }[recipe.optimizer.reset]
            )
            share = 1 - (1 - phase.final_rate) * inner / phase.steps
            yield Moment(step, reset, phase, share, inner + 1 == phase.steps)
            step += 1
        previous = phase


def replaced(curriculum: Curriculum, stage: int) -> str:
    """Say in words what a stage takes out of the language steps."""
    removes = curriculum.rule.removes
    if removes == "nothing":
        return "nothing"
    if removes == "all" or curriculum.rule.last_stage_only or stage > curriculum.max_stage:
        return "all steps"
    if stage == 0:
        return "nothing"
    unit = "token" if removes == "tokens" else "step"
    return f"first {unit}" if stage == 1 else f"first {stage} {unit}s"


def schedule_table(recipe: Recipe, curriculum: Curriculum) -> str:
    """Write the phases of a recipe as a table of plain text.

    Args:
        recipe: the recipe, its phases in steps.
        curriculum: says what each stage replaces.

    Returns:
        A heading and one line per phase.
    """
    heads = ("phase", "stage", "replaced", "thoughts", "mixing", "steps", "learning rate", "resets")
    rows = [heads]
    previous = None
    for number, phase in enumerate(recipe.phases):
        first = recipe.optimizer.lr
        last = first * phase.final_rate
        mixing = phase.mix_probability
        fresh = previous is None or phase.stage != previous.stage
        resets = {"stage": fresh, "every_epoch": True, "never": previous is None}
        walks = recipe.objective == "walks"
        kind = curriculum.rule.stand_in or "none"
        count = curriculum.thoughts_in_training(curriculum.max_stage, phase.stage)
        rows.append(
            (
                str(number),
                "walks" if walks else str(phase.stage),
                "" if walks else replaced(curriculum, phase.stage),
                "" if walks else f"{count} pauses" if kind == "pauses" else str(count),
                "" if walks else f"{curriculum.mix_probability if mixing is None else mixing:g}",
                f"{phase.steps:,}",
                f"{first:g}" if phase.final_rate == 1 else f"{first:g} to {last:g}",
                ("each epoch" if recipe.optimizer.reset == "every_epoch" else "at its start")
                if resets[recipe.optimizer.reset]
                else "no",
            )
        )
        previous = phase
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)

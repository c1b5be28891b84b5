"""The schedule of a recipe: what happens at each optimizer step, and the table that says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coconut_lab.curriculum.in_words import removed
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.errors import checks_kinds
from coconut_lab.tables import Table
from coconut_lab.training.recipe import Phase, Recipe


class ScheduledStep(NamedTuple):
    """One optimizer step of a schedule."""

    step: int  # from 0
    reset: bool  # whether the optimizer's state is dropped before it
    phase: Phase  # that it belongs to
    share: float  # the learning rate as a share of the recipe's, before warm-up
    ends_phase: bool


@checks_kinds(ValueError)
def schedule(recipe: Recipe, problems: int) -> Iterator[ScheduledStep]:
    """Give every optimizer step of a recipe, in order; `problems` of them make an epoch."""
    epoch = recipe.steps_per_epoch(problems)
    step, previous = 0, None
    for phase in recipe.in_steps(problems).phases:
        for inner in range(phase.steps):
            new_stage = inner == 0 and phase.stage != previous
            reset = {
                "stage": new_stage,
                "every_epoch": new_stage or step % epoch == 0,
                "never": step == 0,
            }[recipe.optimizer.reset]
            share = 1 - (1 - phase.final_rate) * inner / phase.steps
            yield ScheduledStep(step, reset, phase, share, inner + 1 == phase.steps)
            step += 1
        previous = phase.stage


def schedule_table(recipe: Recipe, curriculum: Curriculum) -> str:
    """Write the phases of a recipe, in steps, as a table of plain text: a line per phase."""
    heads = ("phase", "stage", "replaced", "thoughts", "mixing", "steps", "learning rate", "resets")
    rows = []
    previous = None
    for number, phase in enumerate(recipe.phases):
        if recipe.objective == "walks":
            trained = ("walks", "", "", "")
        else:
            mixing = phase.mix_probability
            thoughts = curriculum.thoughts_in_training(curriculum.max_stage, phase.stage)
            trained = (
                str(phase.stage),
                removed(curriculum, phase.stage),
                f"{thoughts} pauses" if curriculum.rule.stand_in == "pauses" else str(thoughts),
                f"{curriculum.mix_probability if mixing is None else mixing:g}",
            )
        rate = recipe.optimizer.lr
        resets = {
            "stage": "no" if phase.stage == previous else "at its start",
            "every_epoch": "each epoch",
            "never": "at its start" if previous is None else "no",
        }[recipe.optimizer.reset]
        falls = "" if phase.final_rate == 1 else f" to {rate * phase.final_rate:g}"
        rows.append((str(number), *trained, f"{phase.steps:,}", f"{rate:g}{falls}", resets))
        previous = phase.stage
    return str(Table(heads, tuple(rows)))

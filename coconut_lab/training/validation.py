"""Scoring a model while it is trained, for every number of thoughts (or pauses)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.inference.scoring import FEWEST_TOKENS, score
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.problems import Problem
from coconut_lab.training import distributed
from coconut_lab.training.recipe import RecipeError


def graded_stages(curriculum: Curriculum) -> Sequence[int]:
    """List the stages at which prompts differ in their number of thoughts (or pauses)."""
    graded = curriculum.rule.stand_in is not None and curriculum.rule.removes == "steps"
    return range(curriculum.max_stage + 1) if graded else [curriculum.max_stage]


def check_room(model: Coconut, problems: Sequence[Problem], curriculum: Curriculum) -> None:
    """Make sure that prompts leave a model room for an answer, or raise a RecipeError."""
    limit = model.positions
    if limit is None:
        return
    for problem in problems:
        prompt = curriculum.prompt(problem, model.tokenizer, curriculum.max_stage)
        if len(prompt) + FEWEST_TOKENS > limit:
            raise RecipeError(
                f"problems.validation: a prompt of {len(prompt)} tokens leaves no room for an "
                f"answer of {FEWEST_TOKENS} in the model's {limit} positions; leave it "
                "out"
            )


def validate(model: Coconut, problems: Sequence[Problem], curriculum: Curriculum) -> dict[str, Any]:
    """Score a model; gives `accuracy`, and `cut_off` where answers did not end by themselves."""
    model.eval()
    accuracy, cut_off = {}, {}
    for stage in graded_stages(curriculum):
        thoughts = str(curriculum.thoughts_in_prompt(curriculum.max_stage, stage))
        with distributed.whole_outside_layers(model):
            result = score(model, model.tokenizer, problems, curriculum, stage)
        accuracy[thoughts] = round(result.accuracy, 4)
        if result.cut_off:
            cut_off[thoughts] = result.cut_off
    return {"accuracy": accuracy, "cut_off": cut_off} if cut_off else {"accuracy": accuracy}

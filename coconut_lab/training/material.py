"""What a recipe trains on, and whether its stages, problems and model fit together."""

from __future__ import annotations

from collections.abc import Sequence

from coconut_lab.curriculum.curriculum import Curriculum, Tokenized
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.training.recipe import Recipe, RecipeError


def training_problems(recipe: Recipe) -> list[Problem]:
    """Make or load the problems of a recipe.

    Raises:
        RecipeError: there are none, or fewer than one batch holds.
        ProblemError, OSError: the source cannot be read.
    """
    part = recipe.problems
    if part.source is None:
        return generate_prosqa(part.count, part.seed, part.preset, hops=part.hops, nodes=part.nodes)
    problems = load_problems(part.source, split="train")
    if len(problems) < recipe.batch_size:
        raise RecipeError(
            f"problems.source: {part.source} holds {len(problems)} problems, fewer than one batch "
            f"of {recipe.batch_size}; lower batch_size or use more problems"
        )
    return problems


def validation_problems(recipe: Recipe, count: int = 200) -> list[Problem]:
    """Make or load problems to score on while training; none of them is trained on.

    Args:
        recipe: the recipe.
        count: at most so many.

    Returns:
        The problems; empty for a source that says of no validation file.
    """
    part = recipe.problems
    if part.source is None:
        return generate_prosqa(count, part.seed + 1, part.preset, hops=part.hops, nodes=part.nodes)
    source = part.validation
    if source is None:
        return []
    return load_problems(source, split="validation", limit=count)


def names_of(recipe: Recipe) -> list[str]:
    """List the names that nodes of a recipe's generated problems may have."""
    if recipe.problems.preset not in PRESETS:
        raise RecipeError(
            f"problems.preset: {recipe.problems.preset!r} is none of {', '.join(PRESETS)}"
        )
    preset = PRESETS[recipe.problems.preset]
    return [*preset.entities, *preset.concepts]


def check_fit(
    recipe: Recipe, curriculum: Curriculum, parts: Sequence[Tokenized], positions: int | None
) -> None:
    """Make sure, before any work is done, that the stages fit the problems and the model.

    Args:
        recipe: the recipe.
        curriculum: its curriculum.
        parts: the tokenized problems.
        positions: how many positions the model has; None for no limit.

    Raises:
        RecipeError: a stage that no problem has the steps for, a stage past the last one, or an
            example longer than the model; the message names the key.
    """
    if recipe.objective != "curriculum":
        return
    tokens = curriculum.rule.removes == "tokens"
    most = max(sum(map(len, part.steps)) if tokens else len(part.steps) for part in parts)
    if curriculum.rule.removes in ("steps", "tokens") and curriculum.max_stage > most:
        raise RecipeError(
            f"curriculum.max_stage: {curriculum.max_stage}, but no problem has more than {most} "
            f"{'tokens in its steps' if tokens else 'steps'}; lower max_stage or use longer "
            "problems"
        )
    stages = {phase.stage for phase in recipe.phases}
    if max(stages) > curriculum.max_stage + 1 and not tokens:
        index = next(i for i, p in enumerate(recipe.phases) if p.stage > curriculum.max_stage + 1)
        raise RecipeError(
            f"phases[{index}].stage: {recipe.phases[index].stage} is past the last stage, "
            f"{curriculum.max_stage + 1}, in which no language step is left"
        )
    if positions is None:
        return
    mixed = curriculum.mix_probability or any(phase.mix_probability for phase in recipe.phases)
    for index, part in enumerate(parts):
        for stage in sorted(stages | set(range(len(part.steps) + 1) if mixed else ())):
            length = (
                len(part.question)
                + curriculum.thoughts_in_training(len(part.steps), stage)
                + 2 * curriculum.rule.markers
                + len(curriculum.steps_kept(part.steps, stage))
                + len(part.answer)
            )
            if length > positions:
                raise RecipeError(
                    f"problem {index} has {length} tokens at stage {stage}, but the model has "
                    f"{positions} positions; use shorter problems, lower "
                    "curriculum.thoughts_per_step, or a model with more positions"
                )

"""Building the shipped models: train by a recipe, measure, write the card."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from coconut_lab.checkpoints.shipped import FOLDER, names, save
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.inference.scoring import score
from coconut_lab.interpretability.values import frontier_mass
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.training.recipe import Recipe, load_recipe
from coconut_lab.training.run_folder import LOG_FILE
from coconut_lab.training.trainer import Trainer
from coconut_lab.training.validation import graded_stages

#: The problems that cards are measured on: another seed than any recipe's.
UNSEEN = 1000
UNSEEN_SEED = 424242


def unseen_problems(
    preset: str, count: int = UNSEEN, hops: tuple[int, int] | None = None
) -> list[Problem]:
    """Make the problems that cards are measured on; no recipe trains on their seed."""
    return generate_prosqa(count, UNSEEN_SEED, preset, hops=hops)


def run_path(runs: Path, recipe: Recipe) -> Path:
    """Say where the run of a recipe is kept among the runs: by its name and seed."""
    return runs / f"{recipe.name}-seed-{recipe.seed}"


def measure(
    model: Coconut, curriculum: Curriculum, problems: Sequence[Problem]
) -> dict[str, list[dict[str, Any]]]:
    """Measure what a card says, per number of thoughts.

    `accuracy` is that of answering right after the thoughts, `accuracy_with_words` when the model
    may write steps before; models that think have a `frontier_mass`, with its control.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for key, answer_now in (("accuracy", True), ("accuracy_with_words", False)):
        found[key] = []
        for stage in graded_stages(curriculum):
            thoughts = curriculum.thoughts_in_prompt(curriculum.max_stage, stage)
            graded = score(
                model, model.tokenizer, problems, curriculum, stage, answer_now=answer_now
            )
            found[key].append({"thoughts": thoughts} | graded.to_dict())
    if curriculum.rule.stand_in != "thoughts":
        return found
    masses = frontier_mass(model, model.tokenizer, problems, curriculum)
    found["frontier_mass"] = [
        dataclasses.asdict(mass) | {"mass": round(mass.mass, 4), "uniform": round(mass.uniform, 4)}
        for mass in masses
    ]
    return found


def build(name: str, *, runs: Path = Path("runs"), folder: Path | None = None) -> dict[str, Any]:
    """Train a shipped model anew and write its checkpoint.

    The model that it begins with is built first, where it is not there.
    """
    recipe = load_recipe(name)
    if recipe.model.start is not None and recipe.model.start not in names():
        build(recipe.model.start, runs=runs)
    trainer = Trainer(recipe, run_path(runs, recipe))
    model = trainer.train()
    lines = (trainer.folder / LOG_FILE).read_text(encoding="utf-8").splitlines(keepends=True)
    card: dict[str, Any] = {
        "name": name,
        "preset": recipe.problems.preset,
        "seed": recipe.seed,
        "rebuild": f"python -m coconut_lab.study checkpoints {name}",
        "recipe": recipe.to_dict(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "trained": {
            "steps": recipe.total_steps,
            "seconds": round(json.loads(lines[-1])["seconds"]),
            "threads": torch.get_num_threads(),
            "machine": platform.machine(),
            "torch": torch.__version__.split("+")[0],
        },
    }
    if recipe.objective == "curriculum":
        hops = recipe.problems.hops
        if hops and any(hops[0] <= usual <= hops[1] for usual in PRESETS[card["preset"]].hops):
            hops = None  # the preset's own, unless the model was trained on none of those
        problems = unseen_problems(card["preset"], hops=hops)
        card["problems"] = f"{len(problems)} unseen problems, seed {UNSEEN_SEED}"
        card["problems"] += f", {hops[0]} to {hops[1]} hops" if hops else ""
        card |= measure(model, trainer.curriculum, problems)
    # One line in ten is enough to draw the curve, and keeps the package small.
    save(folder or FOLDER / name, model, trainer.curriculum, card, {LOG_FILE: "".join(lines[::10])})
    return card

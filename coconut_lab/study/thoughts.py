"""Are thoughts used? Headline figures of 06 and 08 over training seeds, and along one run.

    python -m coconut_lab.study thoughts

Everything is measured on the same 1,000 unseen problems; a figure is a count of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.interpretability.geometry import geometry
from coconut_lab.interpretability.interventions import (
    change,
    compare_edits,
    donors,
    name_basis,
    put,
    random_basis,
    split,
)
from coconut_lab.interpretability.search_tree import best_ends, search_tree
from coconut_lab.interpretability.staircase import staircase
from coconut_lab.interpretability.values import evenness, masses, node_values
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.study.build_checkpoints import UNSEEN_SEED, run_path, unseen_problems
from coconut_lab.study.methods_and_depth import run, trained
from coconut_lab.tasks.counterfactuals import rewirable
from coconut_lab.tasks.problems import Problem
from coconut_lab.training.recipe import load_recipe
from coconut_lab.training.trainer import Trainer

SEEDS = (0, 1, 2, 3, 4)
MODELS = ("tiny-base", "tiny-coconut", "tiny-mixed")
#: Optimizer steps of a run of tiny-coconut: its stages end after 50, 200, 350, 550 and 1,150.
STEPS = (0, 50, 125, 200, 275, 350, 450, 550, 700, 850, 1000, 1150)


def from_words(model: Coconut, threshold: float) -> Edit:
    """Make thought 1 anew: the mean of the words above a probability, as long as it was."""
    weight = model.language_model.get_input_embeddings().weight.detach()

    def edit(_: int, h: Tensor, rows: Tensor) -> Tensor:
        chances = model.head(h).softmax(-1)  # (b, V)
        likeliest = chances.max(1, keepdim=True).values
        mean = ((chances > threshold) | (chances == likeliest)).to(h) @ weight
        return mean * h.norm(dim=1, keepdim=True) / mean.norm(dim=1, keepdim=True)

    return change(edit, 1)


def look(model: Coconut, curriculum: Curriculum, problems: Sequence[Problem]) -> dict[str, Any]:
    """Measure what the pictures of 06 show, a figure per thought."""
    values = node_values(model, problems, curriculum)
    even = evenness(values).xs(2, level="size")
    parts = geometry(model, problems, curriculum)
    found = {
        "frontier": masses(values).frontier,
        "branches of 2": even.branches,
        "leads on of 2": even.leads_on.dropna(),
        "frontier's words": parts.frontier,
        "random words": parts.random,
    }
    return {name: _rounded(column.tolist()) for name, column in found.items()}


def tree(model: Coconut, curriculum: Curriculum, problems: Sequence[Problem]) -> dict[str, Any]:
    """How many problems have a path left after k thoughts and `<eot>`, and name the target."""
    found = []
    for k in range(3):
        branches = search_tree(model, problems, curriculum, k, depth=4, threshold=0.001)
        ends = best_ends(branches)
        found.append([len(ends), sum(problems[i].answer == end for i, end in ends.items())])
    return {"tree": found}


def measure(
    model: Coconut, curriculum: Curriculum, problems: Sequence[Problem], *, whole: bool = True
) -> dict[str, Any]:
    """Run the edits of 08 and the staircase on one model; a few edits if not `whole`."""
    given = donors(model, problems, curriculum)
    last = given["own"].shape[1]
    edits = {"own 1": put(given["own"], 1), "twin 1": put(given["twin"], 1)}
    if whole:
        for name, vectors in given.items():
            edits |= {f"{name} {k}": put(vectors, k) for k in range(1, last + 1)}
            edits[f"{name} all"] = put(vectors)
        names = name_basis(model, problems)
        edits["names kept"] = split(names, outside=given["zero"])
        edits["names dropped"] = split(names, inside=given["zero"])
        edits["names from the twin"] = split(names, inside=given["twin"])
        edits["the rest from the twin"] = split(names, outside=given["twin"])
        for seed in range(3):
            random = random_basis(names.shape[0], names.shape[1], seed)
            edits[f"random kept {seed}"] = split(random, outside=given["zero"])
            edits[f"random dropped {seed}"] = split(random, inside=given["zero"])
        edits["likeliest word"] = from_words(model, 1.0)
        edits["words above .01"] = from_words(model, 0.01)
    table = compare_edits(model, problems, curriculum, edits)
    counts = (table[["right", "distractor"]] * len(problems)).round().astype(int)
    three = rewirable(problems, 3)
    steps = staircase(model, three, curriculum)
    return {
        "edits": {name: row.tolist() for name, row in counts.iterrows()},
        "staircase": {"problems": len(three)}
        | {str(hop): _rounded(row.tolist()) for hop, row in steps.iterrows()},
    }


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def seeds_cell(model: str, seed: int, runs: Path) -> dict[str, Any]:
    """Measure a model of one training seed, trained from the base model of that seed."""
    base, recipe = load_recipe("tiny-base", seed=seed), load_recipe(model, seed=seed)
    made, curriculum, _ = trained(recipe, None if model == "tiny-base" else base, runs)
    problems = unseen_problems("tiny")
    if model == "tiny-base":  # has no thoughts of its own, and answers nothing
        return look(made, load_recipe("tiny-coconut").curriculum.make(), problems)
    found = look(made, curriculum, problems) | measure(made, curriculum, problems)
    return found | (tree(made, curriculum, problems) if model == "tiny-mixed" else {})


def along_cell(steps: int, runs: Path) -> dict[str, Any]:
    """Measure a run of tiny-coconut after some optimizer steps."""
    recipe = load_recipe("tiny-coconut")
    folder = run_path(runs, recipe)
    trainer = Trainer(recipe, folder, progress=False)

    def keep(_: dict[str, Any]) -> None:
        if trainer.step in STEPS:
            trainer.save(folder / f"at-{trainer.step:04d}")

    if not (folder / f"at-{STEPS[-1]:04d}").exists():
        keep({})
        trainer.train(keep)
    model = Coconut.from_pretrained(folder / f"at-{steps:04d}")
    problems = unseen_problems("tiny")
    frontier = masses(node_values(model, problems, trainer.curriculum)).frontier
    found = measure(model, trainer.curriculum, problems, whole=False)
    return {"frontier": _rounded(frontier.tolist())} | found


def study_thoughts(seeds: Sequence[int], runs: Path) -> None:
    """Measure models of several seeds, and one along its training."""
    what = f"1,000 unseen tiny problems, seed {UNSEEN_SEED}; edits: how many answers are right, and"
    facts = {"what": f"{what} how many name the distractor"}
    cells = [{"model": model, "seed": seed} for seed in seeds for model in MODELS]
    run("thoughts", cells, seeds_cell, facts, runs)
    run("along-training", [{"steps": steps} for steps in STEPS], along_cell, facts, runs)

"""Are thoughts used? Headline figures of 06 and 08 over training seeds, and along one run.

    python -m coconut_lab.study thoughts

Everything is measured on the same 1,000 unseen problems; a figure is a count of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.interpretability.interventions import (
    compare_edits,
    donors,
    name_basis,
    put,
    random_basis,
    split,
    staircase,
)
from coconut_lab.interpretability.values import evenness, masses, node_values
from coconut_lab.model.coconut import Coconut
from coconut_lab.study.build_checkpoints import UNSEEN_SEED, run_path, unseen_problems
from coconut_lab.study.methods_and_depth import run, trained
from coconut_lab.tasks.counterfactuals import rewire
from coconut_lab.tasks.problems import Problem, ProblemError, graph_of
from coconut_lab.training.recipe import load_recipe
from coconut_lab.training.trainer import Trainer

SEEDS = (0, 1, 2, 3, 4)
MODELS = ("tiny-base", "tiny-coconut", "tiny-mixed")
#: Optimizer steps of a run of tiny-coconut: its stages end after 50, 200, 350, 550 and 1,150.
STEPS = (0, 50, 125, 200, 275, 350, 450, 550, 700, 850, 1000, 1150)


def rewirable(problems: Sequence[Problem], hops: int) -> list[Problem]:
    """The problems of that many hops whose facts can be rewired at each of them."""
    found = []
    for problem in problems:
        if graph_of(problem).hops == hops:
            try:
                for hop in range(1, hops + 1):
                    rewire(problem, hop)
            except ProblemError:
                continue
            found.append(problem)
    return found


def measure(
    model: Coconut, curriculum: Curriculum, problems: Sequence[Problem], *, whole: bool = True
) -> dict[str, Any]:
    """Measure frontier mass, edits and the staircase of one model; a few edits if not `whole`."""
    values = node_values(model, problems, curriculum)
    found: dict[str, Any] = {"frontier": _rounded(masses(values).frontier.tolist())}
    given = donors(model, problems, curriculum)
    last = given["own"].shape[1]
    edits = {"own 1": put(given["own"], 1), "twin 1": put(given["twin"], 1)}
    if whole:
        even = evenness(values).xs(2, level="size")
        found["branches of 2"] = _rounded(even.branches.tolist())
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
    table = compare_edits(model, problems, curriculum, edits)
    counts = (table[["right", "distractor"]] * len(problems)).round().astype(int)
    found["edits"] = {name: row.tolist() for name, row in counts.iterrows()}
    three = rewirable(problems, 3)
    steps = staircase(model, three, curriculum)
    found["staircase"] = {"problems": len(three)} | {
        str(hop): _rounded(row.tolist()) for hop, row in steps.iterrows()
    }
    return found


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def seeds_cell(model: str, seed: int, runs: Path) -> dict[str, Any]:
    """Measure a model of one training seed, trained from the base model of that seed."""
    base, recipe = load_recipe("tiny-base", seed=seed), load_recipe(model, seed=seed)
    made, curriculum, _ = trained(recipe, None if model == "tiny-base" else base, runs)
    if model == "tiny-base":  # has no thoughts of its own; it gets those of the others
        curriculum = load_recipe("tiny-coconut").curriculum.make()
    return measure(made, curriculum, unseen_problems("tiny"))


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
    return measure(model, trainer.curriculum, unseen_problems("tiny"), whole=False)


def study_thoughts(seeds: Sequence[int], runs: Path) -> None:
    """Measure models of several seeds, and one along its training."""
    what = f"1,000 unseen tiny problems, seed {UNSEEN_SEED}; edits: how many answers are right, and"
    facts = {"what": f"{what} how many name the distractor"}
    cells = [{"model": model, "seed": seed} for seed in seeds for model in MODELS]
    run("thoughts", cells, seeds_cell, facts, runs)
    run("along-training", [{"steps": steps} for steps in STEPS], along_cell, facts, runs)

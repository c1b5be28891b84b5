"""Are thoughts used? Headline figures of 06 and 08 over training seeds, and along one run.

    python -m coconut_lab.study thoughts

Edits are measured on the same 1,000 unseen problems; a figure is a count of them. Beside them: how
many thoughts how many hops need, and a model with pauses that solves its task.
"""

from __future__ import annotations

import dataclasses
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
    outcomes,
    put,
    random_basis,
    split,
)
from coconut_lab.interpretability.search_tree import best_ends, search_tree
from coconut_lab.interpretability.staircase import staircase, twin_columns
from coconut_lab.interpretability.values import evenness, masses, node_values
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.study.build_checkpoints import UNSEEN, UNSEEN_SEED, run_path, unseen_problems
from coconut_lab.study.methods_and_depth import PER_HOP, run, trained
from coconut_lab.tasks.counterfactuals import rewirable
from coconut_lab.tasks.problems import Problem, graph_of
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.training.recipe import load_recipe
from coconut_lab.training.trainer import Trainer

SEEDS = (0, 1, 2, 3, 4)
MODELS = ("tiny-base", "tiny-coconut", "tiny-mixed")
#: A model that thinks, and one with pauses that solves the same problems.
PAIR = ("tiny-mixed", "tiny-pause-one-hop")
#: Problems of 10 and 12 nodes; two names of entities are concepts here, as 12 nodes need ten.
SIZES = (
    PRESETS["tiny"],
    dataclasses.replace(
        PRESETS["tiny"],
        name="12 nodes",
        nodes={12: 1},
        entities=("Alex", "Eva"),
        concepts=(*PRESETS["tiny"].concepts, "Sally", "Tom"),
    ),
)
MOST_THOUGHTS = 6
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
        bases = {"names": name_basis(model, problems)}
        if not model.config.tie_word_embeddings:
            bases["read names"] = name_basis(model, problems, read=True)
        for name, basis in bases.items():
            edits[f"{name} kept"] = split(basis, outside=given["zero"])
            edits[f"{name} dropped"] = split(basis, inside=given["zero"])
            edits[f"{name} from the twin"] = split(basis, inside=given["twin"])
        edits["the rest from the twin"] = split(bases["names"], outside=given["twin"])
        width, rank = bases["names"].shape
        for seed in range(3):
            random = random_basis(width, rank, seed)
            edits[f"random kept {seed}"] = split(random, outside=given["zero"])
            edits[f"random dropped {seed}"] = split(random, inside=given["zero"])
        edits["likeliest word"] = from_words(model, 1.0)
        edits["words above .01"] = from_words(model, 0.01)
    return tables(model, curriculum, problems, edits)


def tables(
    model: Coconut, curriculum: Curriculum, problems: Sequence[Problem], edits: dict[str, Edit]
) -> dict[str, Any]:
    """Count right answers and distractors after each edit; and the staircase of the most hops."""
    table = compare_edits(model, problems, curriculum, edits)
    counts = (table[["right", "distractor"]] * len(problems)).round().astype(int)
    deep = rewirable(problems, max(graph_of(problem).hops for problem in problems))
    steps = staircase(model, deep, curriculum)
    return {
        "edits": {name: row.tolist() for name, row in counts.iterrows()},
        "staircase": {"problems": len(deep)}
        | {str(hop): _rounded(row.tolist()) for hop, row in steps.iterrows()},
    }


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def made_with(model: str, seed: int, runs: Path) -> tuple[Coconut, Curriculum]:
    """The model of one training seed, trained from the base model of that seed."""
    recipe = load_recipe(model, seed=seed)
    start = recipe.model.start
    base = None if start is None else load_recipe(start, seed=seed)
    return trained(recipe, base, runs)[:2]


def seeds_cell(model: str, seed: int, runs: Path) -> dict[str, Any]:
    """Measure a model of one training seed."""
    made, curriculum = made_with(model, seed, runs)
    problems = unseen_problems("tiny")
    if model == "tiny-base":  # has no thoughts of its own, and answers nothing
        return look(made, load_recipe("tiny-coconut").curriculum.make(), problems)
    found = look(made, curriculum, problems) | measure(made, curriculum, problems)
    return found | (tree(made, curriculum, problems) if model == "tiny-mixed" else {})


def hops_cell(model: str, seed: int, runs: Path) -> dict[str, Any]:
    """Count right answers after 1 to 6 thoughts, for every number of hops that a graph has."""
    made, curriculum = made_with(model, seed, runs)
    found = []
    for size in SIZES:
        for hops in range(1, max(size.nodes) // 2):
            problems = generate_prosqa(PER_HOP, UNSEEN_SEED, size, hops=hops)
            said = [
                outcomes(made, problems, curriculum, count) for count in range(1, MOST_THOUGHTS + 1)
            ]
            right = [answers.count("right") for answers in said]
            found.append({"nodes": max(size.nodes), "hops": hops, "right": right})
    return {"by_hops": found}


def pair_cell(model: str, seed: int, runs: Path) -> dict[str, Any]:
    """Run edits on the problems of the model with pauses, with as many thoughts as pauses."""
    made, curriculum = made_with(model, seed, runs)
    same = load_recipe(PAIR[1])
    problems = generate_prosqa(UNSEEN, UNSEEN_SEED, "tiny", hops=same.problems.hops)
    curriculum = dataclasses.replace(curriculum, max_stage=same.curriculum.max_stage)
    given = donors(made, problems, curriculum)
    edits = {name: put(vectors) for name, vectors in given.items()}
    found = tables(made, curriculum, problems, edits)
    for name, answers in (
        ("twin's columns", twin_columns(made, problems, curriculum)),
        ("no thoughts", outcomes(made, problems, curriculum, 0)),
    ):
        found["edits"][name] = [answers.count("right"), answers.count("distractor")]
    return found


def along_cell(steps: int, runs: Path, mixed: bool = True) -> dict[str, Any]:
    """Measure a run of tiny-coconut after some optimizer steps, with its stages mixed or not."""
    recipe = load_recipe("tiny-coconut")
    if not mixed:
        curriculum = recipe.to_dict()["curriculum"] | {"mix_probability": 0.0}
        recipe = load_recipe("tiny-coconut", name="tiny-coconut-unmixed", curriculum=curriculum)
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
    run("thoughts", [*cells, {"model": "tiny-untied", "seed": 0}], seeds_cell, facts, runs)
    run("along-training", [{"steps": steps} for steps in STEPS], along_cell, facts, runs)
    unmixed = [{"steps": steps, "mixed": False} for steps in STEPS]
    run("along-training-unmixed", unmixed, along_cell, facts, runs)
    study_hops(seeds, runs)
    study_pair(seeds[:3], runs)


def study_pair(seeds: Sequence[int], runs: Path) -> None:
    """Measure pauses beside thoughts, into `results/thoughts-and-pauses.json`."""
    what = "1,000 unseen problems of the hops of the model with pauses; edits of all thoughts or "
    facts = {"what": f"{what}pauses: how many answers are right, how many name the distractor"}
    cells = [{"model": model, "seed": seed} for seed in seeds for model in PAIR]
    run("thoughts-and-pauses", cells, pair_cell, facts, runs)


def study_hops(seeds: Sequence[int], runs: Path) -> None:
    """Measure how many thoughts how many hops need, into `results/hops-and-thoughts.json`."""
    what = f"{PER_HOP} unseen problems per size and number of hops, seed {UNSEEN_SEED}: how many"
    facts = {"what": f"{what} are right after 1 to {MOST_THOUGHTS} thoughts"}
    cells = [{"model": model, "seed": seed} for seed in seeds for model in MODELS[1:]]
    run("hops-and-thoughts", cells, hops_cell, facts, runs)

"""What supervises a thought: accuracy, and whether the thoughts that come out are used.

    python -m coconut_lab.study supervisors

Every model is measured on the same 1,000 unseen problems; a figure is a count of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coconut_lab.interpretability.interventions import compare_edits, put
from coconut_lab.interpretability.thinking import think
from coconut_lab.interpretability.values import masses, node_values
from coconut_lab.study.build_checkpoints import UNSEEN_SEED, unseen_problems
from coconut_lab.study.methods_and_depth import measured, run, trained
from coconut_lab.tables import Table
from coconut_lab.tasks.counterfactuals import twin
from coconut_lab.training.recipe import load_recipe

#: With equally many updates of equally many problems; the last has Coconut's stages instead.
RECIPES = ("tiny-frontier", "tiny-step", "tiny-teacher", "tiny-stages")


def supervisors_cell(recipe: str, seed: int, runs: Path) -> dict[str, Any]:
    """Train a recipe from the base model of a seed, and measure what its thoughts do.

    `twin` counts answers with the twin's first thought in place of the first: right ones, and ones
    that name the distractor, which is right for the twin. Seconds are those of the processor, and
    count only what this process trained.
    """
    first = load_recipe("tiny-base", seed=seed)
    base = trained(first, None, runs)[0]
    began = time.process_time()
    model, curriculum, _ = trained(load_recipe(recipe, seed=seed), first, runs)
    seconds = round(time.process_time() - began)
    problems = unseen_problems("tiny")
    twins = think(model, [twin(problem) for problem in problems], curriculum)
    table = compare_edits(model, problems, curriculum, {"twin": put(twins, 1)})
    counts = (table[["right", "distractor"]] * len(problems)).round().astype(int)
    frontier = {
        name: [round(float(x), 4) for x in masses(node_values(one, problems, curriculum)).frontier]
        for name, one in (("frontier", model), ("frontier of the base", base))
    }
    found = measured(model, curriculum, problems) | {"seconds": seconds}
    return found | frontier | {name: row.tolist() for name, row in counts.iterrows()}


def study_supervisors(recipes: Sequence[str], seeds: Sequence[int], runs: Path) -> None:
    """Measure recipes with several seeds, into `results/supervisors.json`; print the table."""
    facts = {
        "what": f"1,000 unseen tiny problems, seed {UNSEEN_SEED}; twin: answers with the twin's "
        "thought 1, right ones and distractors; frontier: mass of each thought",
        "recipes": {name: load_recipe(name).to_dict() for name in RECIPES},
    }
    cells = [{"recipe": name, "seed": seed} for seed in seeds for name in recipes]
    print(supervisors_table(run("supervisors", cells, supervisors_cell, facts, runs)))


def supervisors_table(results: Sequence[dict[str, Any]]) -> Table:
    """One row per model; shares of the problems in %."""
    heads = ("recipe", "seed", "right", "twin: distractor", "frontier mass", "CPU seconds")
    rows = []
    for one in sorted(results, key=lambda one: (RECIPES.index(one["recipe"]), one["seed"])):
        right, other = (100 * count / one["total"] for count in (one["right"], one["twin"][1]))
        mass = " ".join(f"{share:.2f}" for share in one["frontier"])
        texts = (str(one["seed"]), f"{right:.1f}", f"{other:.1f}", mass, str(one["seconds"]))
        rows.append((one["recipe"], *texts))
    return Table(heads, tuple(rows))

"""Studies: what each method reaches, and how depth trades against hops, with several seeds.

Every run is kept under runs/ and goes on where it was stopped; every result is written to
`results/*.json` as soon as it is there, and not measured again.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from coconut_lab.checkpoints.shipped import Checkpoint, load, names
from coconut_lab.curriculum.stages_and_masks import METHODS, Curriculum
from coconut_lab.files import write_text
from coconut_lab.inference.scoring import score
from coconut_lab.model.coconut import Coconut
from coconut_lab.study.build_checkpoints import UNSEEN_SEED, run_path, unseen_problems
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import Phase, Recipe, load_recipe
from coconut_lab.training.run_folder import LOG_FILE
from coconut_lab.training.trainer import Trainer

FOLDER = Path(__file__).parents[2] / "results"

#: Methods that the study of depth compares.
DEPTH_METHODS = ("coconut", "cot", "pause_as_thought", "no_cot")
HOPS = (1, 2, 3, 4)
PER_HOP = 500


def tiny_recipe(method: str, seed: int) -> Recipe:
    """The shipped recipe of a method on the tiny problems, with another seed."""
    return load_recipe(f"tiny-{method.replace('_', '-')}", seed=seed)


def depth_recipes(method: str, layers: int, seed: int) -> tuple[Recipe, Recipe]:
    """Make the recipes of the base model and of a method on problems of 1 to 4 hops."""
    base = load_recipe("tiny-base", seed=seed)
    model = dataclasses.replace(base.model, layers=layers)
    base = dataclasses.replace(base, name=f"depth-base-{layers}", model=model)
    recipe = tiny_recipe(method, seed)
    phases = [Phase(stage=5, steps=570), Phase(stage=5, steps=430, final_rate=0.05)]
    if METHODS[method].removes == "steps":
        phases = [Phase(stage=0, steps=50), *(Phase(stage=stage, steps=130) for stage in HOPS)]
        phases += [Phase(stage=5, steps=430, mix_probability=0.0, final_rate=0.05)]
    recipe = dataclasses.replace(
        recipe,
        name=f"depth-{method}-{layers}",
        problems=dataclasses.replace(recipe.problems, hops=(HOPS[0], HOPS[-1])),
        curriculum=dataclasses.replace(recipe.curriculum, max_stage=HOPS[-1]),
        phases=tuple(phases),
        batch_size=64,
    )
    return base, recipe


def shipped(recipe: Recipe) -> Checkpoint | None:
    """Load the shipped model of this very recipe and seed, if there is one."""
    if recipe.name in names():
        found = load(recipe.name)
        if Recipe.from_dict(found.card["recipe"]) == recipe:
            return found
    return None


def trained(
    recipe: Recipe, base: Recipe | None, runs: Path
) -> tuple[Coconut, Curriculum, float | None]:
    """Give the model of a recipe: the shipped one, that of a finished run, or a new one.

    It starts from the model of the recipe `base`, or from random weights. Also gives its curriculum
    and the seconds that the last uninterrupted stretch of training took.
    """
    if (found := shipped(recipe)) is not None:
        return found.model, found.curriculum, found.card["trained"]["seconds"]
    start = None if base is None else trained(base, None, runs)[0]
    folder = run_path(runs, recipe)
    trainer = Trainer(recipe, folder, start=start, progress=False)
    model = trainer.train()
    last = (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()[-1]
    return model, trainer.curriculum, json.loads(last)["seconds"]


def measured(model: Coconut, curriculum: Curriculum, problems: Sequence[Problem]) -> dict[str, Any]:
    """Score a model with all its thoughts."""
    found = score(model, model.tokenizer, problems, curriculum, curriculum.max_stage)
    return found.to_dict("tokens", "thoughts", "outcomes")


def methods_cell(method: str, seed: int, runs: Path) -> dict[str, Any]:
    """Train and measure one method with one seed on the tiny problems."""
    base = load_recipe("tiny-base", seed=seed)
    model, curriculum, seconds = trained(tiny_recipe(method, seed), base, runs)
    return measured(model, curriculum, unseen_problems("tiny")) | {"seconds": seconds}


def depth_cell(method: str, layers: int, seed: int, runs: Path) -> dict[str, Any]:
    """Train and measure one method at one depth on problems of 1 to 4 hops."""
    base, recipe = depth_recipes(method, layers, seed)
    model, curriculum, seconds = trained(recipe, base, runs)
    by_hops = [
        {"hops": hops} | measured(model, curriculum, problems)
        for hops in HOPS
        for problems in [generate_prosqa(PER_HOP, UNSEEN_SEED, "tiny", hops=hops)]
    ]
    return {"by_hops": by_hops, "seconds": seconds}


def commit() -> str:
    """The commit of the checkout, or "unknown" outside of one."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, text=True, capture_output=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def run(
    name: str,
    cells: Sequence[dict[str, Any]],
    measure_cell: Callable[..., dict[str, Any]],
    facts: dict[str, Any],
    runs: Path,
    folder: Path = FOLDER,
) -> list[dict[str, Any]]:
    """Measure the cells of a study that have no result in `folder/name.json` yet, and give all.

    `measure_cell` is called with the settings of a cell and `runs`; `facts` say what the results
    hold for, and are kept beside them.
    """
    path = folder / f"{name}.json"
    for cell in cells:
        if any(cell.items() <= entry.items() for entry in _read(path)):
            continue
        began = time.perf_counter()
        entry = cell | measure_cell(**cell, runs=runs)
        entry |= {"commit": commit(), "threads": torch.get_num_threads()}
        folder.mkdir(parents=True, exist_ok=True)
        results = [*_read(path), entry]  # read anew: another process may have written meanwhile
        write_text(path, json.dumps(facts | {"results": results}, indent=1) + "\n")
        print(f"{name} {cell}: {time.perf_counter() - began:.0f} s", flush=True)
    return _read(path)


def _read(path: Path) -> list[dict[str, Any]]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found.get("results", [])


def study_methods(methods: Sequence[str], seeds: Sequence[int], runs: Path) -> None:
    """Measure methods with several seeds, into `results/methods.json`."""
    facts = {
        "what": f"1,000 unseen tiny problems, seed {UNSEEN_SEED}; every method from the base "
        "model of its seed, equally many optimizer steps",
        "recipes": {method: tiny_recipe(method, 0).to_dict() for method in METHODS},
    }
    chosen = [method for method in METHODS if method in methods]
    cells = [{"method": method, "seed": seed} for seed in seeds for method in chosen]
    run("methods", cells, methods_cell, facts, runs)


def study_depth(
    methods: Sequence[str], layers: Sequence[int], seeds: Sequence[int], runs: Path
) -> None:
    """Measure methods at several depths with several seeds, into `results/depth.json`."""
    facts = {
        "what": f"{PER_HOP} unseen tiny problems per number of hops, seed {UNSEEN_SEED}; each "
        "model is trained on problems of 1 to 4 hops from a base model of its own depth",
        "recipes": {method: depth_recipes(method, 2, 0)[1].to_dict() for method in DEPTH_METHODS},
    }
    chosen = [method for method in DEPTH_METHODS if method in methods]
    cells = [
        {"method": method, "layers": depth, "seed": seed}
        for seed, depth, method in product(seeds, layers, chosen)
    ]
    run("depth", cells, depth_cell, facts, runs)

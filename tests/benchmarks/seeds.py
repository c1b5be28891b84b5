"""Train the tiny models with several seeds, and measure each: how robust is the recipe?

    python tests/benchmarks/seeds.py 0 1 2

Results go to results/tiny-coconut-seeds.json, one entry per seed; seeds that stand there are not
trained again, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from coconut_lab.files import write_text
from coconut_lab.study.build_checkpoints import UNSEEN_SEED, measure, unseen_problems
from coconut_lab.training.recipe import Recipe, load_recipe
from coconut_lab.training.run_folder import LOG_FILE
from coconut_lab.training.trainer import Trainer

RESULTS = Path(__file__).parents[2] / "results" / "tiny-coconut-seeds.json"


def train(seed: int, runs: Path) -> dict[str, object]:
    """Train base model and Coconut with one seed, and measure accuracy and frontier mass."""
    folder = runs / f"seed-{seed}"
    base = Trainer(
        load_recipe("tiny-base", seed=seed), folder / "tiny-base", progress=False
    ).train()
    trainer = Trainer(
        load_recipe("tiny-coconut", seed=seed), folder / "tiny-coconut", start=base, progress=False
    )
    model = trainer.train()
    seconds = {}
    for name in ("tiny-base", "tiny-coconut"):
        lines = (folder / name / LOG_FILE).read_text(encoding="utf-8").splitlines()
        seconds[name] = round(json.loads(lines[-1])["seconds"])
    return {
        "seed": seed,
        **measure(model, trainer.curriculum, unseen_problems("tiny")),
        "seconds": seconds,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Train the seeds named on the command line that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="+", type=int)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    chosen = parser.parse_args()
    recipes = {name: load_recipe(name) for name in ("tiny-base", "tiny-coconut")}
    for seed in chosen.seeds:
        found = read(recipes)
        if any(entry["seed"] == seed for entry in found):
            continue
        entry = train(seed, chosen.runs)
        # Another process may have written meanwhile.
        found = sorted([*read(recipes), entry], key=lambda entry: int(str(entry["seed"])))
        data = {
            "what": f"1,000 unseen tiny problems, seed {UNSEEN_SEED}; one entry per training seed",
            "recipes": {name: recipe.to_dict() for name, recipe in recipes.items()},
            "seeds": found,
        }
        RESULTS.parent.mkdir(exist_ok=True)
        write_text(RESULTS, json.dumps(data, indent=1) + "\n")
        last = entry["accuracy"]
        print(f"seed {seed}: {last}", flush=True)


def read(recipes: dict[str, Recipe]) -> list[dict[str, object]]:
    """Read the results of these very recipes; those of others are dropped."""
    if not RESULTS.exists():
        return []
    data = json.loads(RESULTS.read_text(encoding="utf-8"))
    same = all(Recipe.from_dict(data["recipes"][name]) == recipes[name] for name in recipes)
    return data["seeds"] if same else []


if __name__ == "__main__":
    main()

"""The loss after a change of stage, with and without a reset of the optimizer, several seeds.

    python tests/benchmarks/resets.py 0 1 2 3

Both runs begin with `tiny-base` and see the same batches; they differ from step `BEFORE` on.
Results go to results/reset-seeds.json, one entry per seed and beta2, which notebook 04 prints; what
is there is not trained again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from coconut_lab.files import write_text
from coconut_lab.training.recipe import Phase, load_recipe
from coconut_lab.training.trainer import Trainer

RESULTS = Path(__file__).parents[2] / "results" / "reset-seeds.json"
BEFORE, AFTER = 60, 100  # steps of stage 0, and of stage 1
BETAS = (0.98, 0.999)
WINDOWS = ((0, 10), (10, 50), (50, 100))


def losses_with(reset: str, seed: int, beta2: float) -> list[float]:
    """Train with or without a reset, `"stage"` or `"never"`: the loss of every step."""
    recipe = load_recipe("tiny-coconut", seed=seed, batch_size=64)
    recipe = dataclasses.replace(
        recipe,
        problems=dataclasses.replace(recipe.problems, count=4000),
        phases=(Phase(stage=0, steps=BEFORE), Phase(stage=1, steps=AFTER)),
        optimizer=dataclasses.replace(recipe.optimizer, reset=reset, beta2=beta2),
    )
    losses: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, folder, progress=False)
        trainer.train(lambda entry: losses.append(entry["loss"]))
    return losses


def windows(losses: list[float], change: int) -> dict[str, float]:
    """Mean losses: of the ten steps before the change, and of windows after it."""
    means = {"before": sum(losses[change - 10 : change]) / 10}
    for first, last in WINDOWS:
        part = losses[change + first : change + last]
        means[f"{first + 1}-{last}"] = sum(part) / len(part)
    return {name: round(mean, 4) for name, mean in means.items()}


def main() -> None:
    """Train the seeds named on the command line that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="+", type=int)
    chosen = parser.parse_args()
    what = {
        "what": "mean loss by steps after a change of stage: stage 0, then stage 1 of tiny-coconut "
        "with batches of 64, from the shipped tiny-base",
        "steps": [BEFORE, AFTER],
    }
    for seed in chosen.seeds:
        for beta2 in BETAS:
            kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
            found = kept.get("seeds", []) if kept.get("steps") == what["steps"] else []
            if any((entry["seed"], entry["beta2"]) == (seed, beta2) for entry in found):
                continue
            entry: dict[str, Any] = {"seed": seed, "beta2": beta2}
            for reset in ("stage", "never"):
                entry[reset] = windows(losses_with(reset, seed, beta2), BEFORE)
            print(entry, flush=True)
            ordered = sorted([*found, entry], key=lambda one: (one["beta2"], one["seed"]))
            write_text(RESULTS, json.dumps(what | {"seeds": ordered}, indent=1) + "\n")


if __name__ == "__main__":
    main()

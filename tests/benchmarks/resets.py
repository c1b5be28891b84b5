"""The loss after a change of stage, with and without a reset of the optimizer, several seeds.

    python tests/benchmarks/resets.py 0 1 2 3

The code is not written here a second time: the cells of `notebooks/04_training.ipynb` that define
the runs are run. Results go to results/reset-seeds.json, one entry per seed and beta2; what stands
there is not trained again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from coconut_lab.files import write_text

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "04_training.ipynb"
RESULTS = ROOT / "results" / "reset-seeds.json"
CELLS = ("imports", "reset-run")
BETAS = (0.98, 0.999)
WINDOWS = ((0, 10), (10, 50), (50, 100))


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
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = {cell["id"]: "".join(cell["source"]) for cell in cells}
    namespace: dict[str, Any] = {}
    for name in CELLS:
        exec(sources[name], namespace)
    what = {
        "what": "mean loss by steps after a change of stage: stage 0, then stage 1 of tiny-coconut "
        "with batches of 64, from the shipped tiny-base",
        "steps": [namespace["BEFORE"], namespace["AFTER"]],
    }
    for seed in chosen.seeds:
        for beta2 in BETAS:
            kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
            found = kept.get("seeds", []) if kept.get("steps") == what["steps"] else []
            if any((entry["seed"], entry["beta2"]) == (seed, beta2) for entry in found):
                continue
            entry: dict[str, Any] = {"seed": seed, "beta2": beta2}
            for reset in ("stage", "never"):
                losses = namespace["losses_with"](reset, seed, beta2)
                entry[reset] = windows(losses, namespace["BEFORE"])
            print(entry, flush=True)
            ordered = sorted([*found, entry], key=lambda one: (one["beta2"], one["seed"]))
            write_text(RESULTS, json.dumps(what | {"seeds": ordered}, indent=1) + "\n")


if __name__ == "__main__":
    main()

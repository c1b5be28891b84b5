"""Train with attached and with detached thoughts, several seeds: the cells of notebook 03.

    python tests/benchmarks/detach.py 0 1 2 3

The first seed also gets a detached run of twice the length: is it only slower?
The code is not written here a second time: the cells of `notebooks/03_curriculum.ipynb` that
define the training are run. Results go to results/detach-seeds.json, one entry per seed; seeds
that stand there are not trained again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from coconut_lab import generate_prosqa
from coconut_lab.files import write_text
from coconut_lab.inference.scoring import score

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "03_curriculum.ipynb"
RESULTS = ROOT / "results" / "detach-seeds.json"
CELLS = ("imports", "load", "data", "phases", "phase", "train")
ARMS = ("attached", "detached", "detached, twice as long")
UNSEEN, UNSEEN_SEED = 1000, 424242


def cells() -> dict[str, str]:
    """The source of the notebook's cells that define the training."""
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = {cell["id"]: "".join(cell["source"]) for cell in found}
    return {name: sources[name] for name in CELLS}


def main() -> None:
    """Train the seeds named on the command line that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="+", type=int)
    chosen = parser.parse_args()
    sources = cells()
    namespace: dict[str, Any] = {}
    for source in sources.values():
        exec(source, namespace)
    namespace["curriculum"] = namespace["Curriculum"]("coconut", max_stage=3)
    unseen = generate_prosqa(UNSEEN, seed=UNSEEN_SEED)
    what: dict[str, Any] = {
        "what": f"{UNSEEN:,} unseen tiny problems, seed {UNSEEN_SEED}, three thoughts, answer now; "
        "one entry per training seed",
        "phases": [list(phase) for phase in namespace["PHASES"]],
    }
    for seed in chosen.seeds:
        kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        found = kept.get("seeds", []) if kept.get("phases") == what["phases"] else []
        if any(entry["seed"] == seed for entry in found):
            continue
        entry: dict[str, Any] = {"seed": seed}
        for arm in ARMS[: 3 if seed == chosen.seeds[0] else 2]:
            longer = 2 if arm == ARMS[2] else 1
            namespace["PHASES"] = [
                (stage, steps * longer, mix) for stage, steps, mix in what["phases"]
            ]
            model, losses = namespace["train"](detach=arm != "attached", seed=seed)
            got = score(model, model.tokenizer, unseen, namespace["curriculum"], 3, answer_now=True)
            low, high = (round(bound, 4) for bound in got.interval)
            entry[arm] = {
                "right": got.right, "total": got.total, "low": low, "high": high,
                "last_loss": round(sum(losses[-20:]) / 20, 4),
            }  # fmt: skip
        print(entry, flush=True)
        data = what | {"seeds": sorted([*found, entry], key=lambda one: int(one["seed"]))}
        write_text(RESULTS, json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How long tiny-quick of notebook 04 trains until it has 95% right, from nothing and from its base.

The clock stands still while the model is scored: on the 1,000 unseen problems of the notebook,
every `EVERY` steps of the last stage. Printed is the time from which on every score is at least
95%, and how long the whole recipe takes.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch

from coconut_lab.inference.scoring import score
from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.training.recipe import load_recipe
from coconut_lab.training.trainer import Trainer

THREADS, EVERY, GOAL = 2, 40, 0.95


def main() -> None:
    """Train once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    base_recipe = load_recipe("tiny-quick-base", seed=chosen.seed)
    recipe = load_recipe("tiny-quick", seed=chosen.seed)
    unseen = unseen_problems(recipe.problems.preset)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(base_recipe, f"{folder}/base", progress=False)
        began = time.perf_counter()
        base = trainer.train()
        for_base = time.perf_counter() - began

        trainer = Trainer(recipe, f"{folder}/coconut", start=base, progress=False)
        stage, last = trainer.curriculum.max_stage, trainer.recipe.phases[-1].stage
        scores: list[tuple[int, float, float]] = []
        scoring = 0.0

        def grade(entry: dict) -> None:
            nonlocal scoring
            done = entry["step"] + 1
            if entry["stage"] < last or (done % EVERY and done < trainer.recipe.total_steps):
                return
            now = time.perf_counter()
            found = score(
                trainer.model.eval(), trainer.tokenizer, unseen, trainer.curriculum, stage
            )
            scores.append((done, now - began - scoring, found.accuracy))
            scoring += time.perf_counter() - now

        began = time.perf_counter()
        trainer.train(grade)
    print("steps, seconds from the base, right:", end="")
    print(*(f" {step} {seconds:.0f} {right:.1%}" for step, seconds, right in scores), sep=";")
    below = [index for index, (*_, right) in enumerate(scores) if right < GOAL]
    reached = scores[below[-1] + 1 :] if below else scores
    name = f"seed {chosen.seed}, {chosen.threads} threads"
    if not reached:
        print(f"{name}: {GOAL:.0%} was not reached")
    else:
        step, seconds, right = reached[0]
        print(
            f"{name}: {GOAL:.0%} from step {step} on ({right:.1%}): {seconds:.0f} s from the base "
            f"(at most 90 wanted), {for_base + seconds:.0f} s from nothing (at most 150 wanted)"
        )
    step, seconds, right = scores[-1]
    print(
        f"{name}: the whole recipe, {step} steps, {right:.1%}: {seconds:.0f} s from the base, "
        f"{for_base + seconds:.0f} s from nothing"
    )


if __name__ == "__main__":
    main()

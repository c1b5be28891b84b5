"""What is too slow for notebook 10: the search with several seeds and all controls, and rounds.

    python -m coconut_lab.study steering

Counts are of 1,000 unseen problems.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from coconut_lab.checkpoints.shipped import load
from coconut_lab.curriculum.batching import collate, pad_prompts
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.inference.parallel import parallel_thoughts
from coconut_lab.interpretability.interventions import compare_edits, outcomes, put
from coconut_lab.interpretability.steering import controls, search_direction, steer
from coconut_lab.interpretability.thinking import rows_with_thoughts
from coconut_lab.model.coconut import Coconut
from coconut_lab.study.build_checkpoints import UNSEEN, UNSEEN_SEED, unseen_problems
from coconut_lab.study.methods_and_depth import run
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import generate_prosqa

#: Hops, and thoughts, which are too many for most of these problems.
HOPS, THOUGHTS = (1, 3), 4
DOSES = (-1, -0.5, 0.5, 1, 1.5, 2, 3)


def is_right(problem: Problem, answer: str | None) -> float:
    """The reward: 1 for the right answer."""
    return float(answer == problem.answer)


def search_cell(model: str, runs: Path) -> dict[str, Any]:
    """Search with three seeds, with shuffled rewards, and by gradient; with all controls."""
    made = load(model)
    asked = generate_prosqa(1500, 777, hops=HOPS)
    unseen = generate_prosqa(UNSEEN, UNSEEN_SEED, hops=HOPS)
    common = (made.model, asked, made.curriculum)
    found = {f"seed {n}": search_direction(*common, is_right, THOUGHTS, seed=n) for n in range(3)}
    found["shuffled"] = search_direction(*common, is_right, THOUGHTS, shuffled=True)
    found["ceiling"] = search_direction(*common, None, THOUGHTS, steps=150, at_once=96)
    vectors = {name: one.vectors for name, one in found.items()}
    edits = {name: steer(one) for name, one in vectors.items()}
    edits |= controls(vectors["seed 0"], doses=DOSES)
    edits |= {f"thought {k}": steer(vectors["seed 0"], k) for k in range(1, THOUGHTS + 1)}
    table = compare_edits(made.model, unseen, made.curriculum, edits, THOUGHTS)
    table.right = (table.right * UNSEEN).round()
    cosines = {
        f"{one}, {other}": torch.cosine_similarity(vectors[one], vectors[other], dim=1)
        for one, other in [*pairwise([*vectors, "seed 0"]), ("seed 0", "seed 2")]
    }
    return {
        "edits": {
            name: [*map(int, row[:3]), float(f"{row.p:.2g}")]
            for name, row in table[["right", "lost", "won", "p"]].iterrows()
        },
        "lengths": {name: _rounded(one.norm(dim=1)) for name, one in vectors.items()},
        "cosines": {name: _rounded(one) for name, one in cosines.items()},
    }


def _rounded(numbers: torch.Tensor) -> list[float]:
    return [round(float(number), 2) for number in numbers]


def right_after(
    model: Coconut, problems: list[Problem], curriculum: Curriculum, rounds: int, count: int
) -> int:
    """How many answers are right after n thoughts in T parallel rounds."""
    rows = rows_with_thoughts(model, problems, curriculum, count)
    with torch.no_grad():
        thoughts = parallel_thoughts(model, pad_prompts(rows, model.tokenizer), rounds).thoughts
    return outcomes(model, problems, curriculum, count, edit=put(thoughts)).count("right")


def rounds_cell(steps: int, rounds: int, runs: Path) -> dict[str, Any]:
    """Train tiny-coconut on, its thoughts made in one parallel round, and count."""
    shipped = load("tiny-coconut")
    model, curriculum, unseen = (
        copy.deepcopy(shipped.model),
        shipped.curriculum,
        unseen_problems("tiny"),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98))
    problems = generate_prosqa(64 * steps, 1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 20) * (1 - 0.9 * step / steps)
        part = problems[64 * step : 64 * step + 64]
        batch = collate([curriculum.encode(p, model.tokenizer, 3) for p in part], model.tokenizer)
        thoughts = parallel_thoughts(model, batch, rounds).thoughts
        loss = model(**batch, edit=put(thoughts)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return {
        "right": {
            str(number): right_after(model, unseen, curriculum, number, 3) for number in range(3)
        },
        "three hops": right_after(
            model, generate_prosqa(UNSEEN, UNSEEN_SEED, hops=3), curriculum, rounds, 3
        ),
    }


def study_steering(runs: Path) -> None:
    """Measure the search and parallel rounds, into `results/steering.json` and `…/rounds.json`."""
    what = (
        f"{UNSEEN} unseen problems of 1 to 3 hops, seed {UNSEEN_SEED}, always {THOUGHTS} thoughts"
    )
    facts = {"what": f"{what}: right, lost, won, exact McNemar p against no edit"}
    run("steering", [{"model": "tiny-mixed"}], search_cell, facts, runs)
    facts = {"what": f"{UNSEEN} unseen tiny problems: right with 3 thoughts in T rounds"}
    cells = [{"steps": steps, "rounds": 1} for steps in (0, 50, 200)]
    run("rounds", cells, rounds_cell, facts, runs)

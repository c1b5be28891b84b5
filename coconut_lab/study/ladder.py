"""The ladder: how large a problem may be, by width and by what supervises the thoughts.

    python -m coconut_lab.study ladder
    python -m coconut_lab.study ladder --recipes small-frontier --widths 64 96
    python -m coconut_lab.study ladder --recipes paper-frontier --published prosqa_valid.json

A row trains its recipe, and before it the recipes of the models that it begins with. Runs are kept
and go on where they were stopped. Minutes are the processor's; scoring does not count to them.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.errors import check_whole
from coconut_lab.interpretability.interventions import outcomes
from coconut_lab.model.coconut import Coconut
from coconut_lab.study.build_checkpoints import UNSEEN_SEED, unseen_problems
from coconut_lab.study.leaderboard import leaderboard_row, scored_run
from coconut_lab.study.methods_and_depth import FOLDER, PER_HOP, run, shipped
from coconut_lab.study.tables import MISSING
from coconut_lab.tables import Table
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Problem, graph_of
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.training.data import names_of
from coconut_lab.training.recipe import Recipe, RecipeError, load_recipe
from coconut_lab.training.start import with_names

#: The recipes of the rows, and the width of each; of one of them there are several.
ROWS = {
    "tiny-stages": (64,),
    "tiny-frontier": (64,),
    "small-stages": (192,),
    "small-frontier": (64, 96, 128, 192),
    "paper-first": (192,),
    "paper-frontier": (192,),
}


def chain(name: str, width: int) -> list[Recipe]:
    """The recipes of a row in order, from the one that begins with random weights, at a width."""
    check_whole("width", width, 1, RecipeError)
    recipes = [load_recipe(name)]
    while (start := recipes[0].model.start) is not None:
        recipes.insert(0, load_recipe(start))
    first = recipes[0].model
    if first.width == width:
        return recipes
    spread = round(first.initializer_range * (first.width / width) ** 0.5, 4)
    part = dataclasses.replace(first, width=width, feed_forward=2 * width, initializer_range=spread)
    recipes[0] = dataclasses.replace(recipes[0], model=part)
    return [dataclasses.replace(one, name=f"{one.name}-{width}") for one in recipes]


def by_hops(
    model: Coconut, curriculum: Curriculum, problems: Sequence[Problem]
) -> dict[str, dict[str, Any]]:
    """By the hops of problems: how many there are, and are right after 0, 1, … thoughts."""
    counts = range(curriculum.max_stage * curriculum.thoughts_per_step + 1)
    said = [outcomes(model, problems, curriculum, count) for count in counts]
    hops = [graph_of(problem).hops for problem in problems]
    return {
        str(hop): {
            "total": hops.count(hop),
            "right": [list(zip(hops, one, strict=True)).count((hop, "right")) for one in said],
        }
        for hop in sorted(set(hops))
    }


def ladder_cell(
    recipe: str, width: int, runs: Path, published: Sequence[Problem] = ()
) -> dict[str, Any]:
    """Train a row's recipes one after the other, and measure the model that comes out."""
    first, *others = chain(recipe, width)
    part, base = first, None
    if (done := shipped(first)) is not None:  # one trained anew differs by rounding, and so do rows
        model, minutes = done.model, [done.card["trained"]["seconds"] / 60]
    else:
        model, curriculum, curve = scored_run(first, None, runs)
        minutes = [curve[-1][2] / 60]
    for part in others:
        base = with_names(model, names_of(part), part.seed)
        model, curriculum, curve = scored_run(part, copy.deepcopy(base), runs)
        minutes.append(curve[-1][2] / 60)
    size = part.problems.preset
    problems = unseen_problems(size)
    more = generate_prosqa(PER_HOP, UNSEEN_SEED, size, hops=max(PRESETS[size].hops) + 1)
    found = leaderboard_row(model, curriculum, base, problems=problems, more=more)
    return found | {
        "size": size,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "updates": part.total_steps,
        "cpu_minutes": [round(one, 1) for one in minutes],
        "cpu_minutes_in_all": round(sum(minutes), 1),
        "scored": curve,
        "by_hops": by_hops(model, curriculum, problems),
        "published": by_hops(model, curriculum, published) if published else None,
    }


def study_ladder(
    recipes: Sequence[str],
    widths: Sequence[int],
    runs: Path,
    published: str | None = None,
    folder: Path = FOLDER,
) -> Table:
    """Measure rows that are not there yet, into `results/ladder.json`; give the table.

    Args:
        recipes: names of recipes of this package.
        widths: of each; none are those of `ROWS`.
        runs: folder of training runs, which go on where they were stopped.
        published: a file of ProsQA problems as published, or "prosqa", for the recipes of their
            size.
        folder: where the file of results is.
    """
    given = [one.in_symbols() for one in load_problems(published)] if published else []
    cells = [
        {"recipe": name, "width": width}
        for name in recipes
        for width in widths or ROWS.get(name, ())
    ]

    def cell(recipe: str, width: int, runs: Path) -> dict[str, Any]:
        fits = load_recipe(recipe).problems.preset == "paper"
        return ladder_cell(recipe, width, runs, given if fits else ())

    facts = {
        "what": f"one seed; 1,000 unseen problems of each size, seed {UNSEEN_SEED}; names renamed "
        "within their kind; minutes of the processor; by hops: right after 0, 1, ... thoughts"
    }
    return ladder_table(run("ladder", cells, cell, facts, runs, folder))


def ladder_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """One row per model. Minutes are those of the recipes before it, then its own.

    Frontier is the mass of each thought on its frontier; published: of the problems of the paper's
    own file, with all thoughts.
    """
    head = ("recipe", "width", "updates", "CPU minutes", "right %", "frontier", "used", "published")
    rows = sorted(results, key=lambda one: (list(ROWS).index(one["recipe"]), one["width"]))
    lines = []
    for one in rows:
        share, low, high = (100 * one[key] for key in ("accuracy", "low", "high"))
        parts = (one["published"] or {}).values()
        right = f"{sum(p['right'][-1] for p in parts)} of {sum(p['total'] for p in parts)}"
        lines.append(
            (
                one["recipe"],
                str(one["width"]),
                f"{one['updates']:,}",
                " + ".join(
                    f"{part:.0f}" if part >= 1 else f"{part:.1f}" for part in one["cpu_minutes"]
                ),
                f"{share:.1f} ({low:.1f} to {high:.1f})",
                " ".join(f"{mass:.2f}".lstrip("0") for mass in one["frontier"]),
                f"{one['used']:.2f}",
                right if one["published"] else MISSING,
            )
        )
    return Table(head, tuple(lines))

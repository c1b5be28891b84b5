"""The leaderboard: which methods think in their thoughts? One row per recipe and training seed.

    python -m coconut_lab.study leaderboard
    python -m coconut_lab.study leaderboard --recipes --add my-recipe.yaml

The first rows share their terms: the same base models, 300 updates of 64 problems, names mixed
within their kind. The last two have the recipes of the course, which see eight times as many
problems. A model of your own, however it was trained, is measured by `leaderboard_row`.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.files import write_text
from coconut_lab.inference.scoring import score
from coconut_lab.interpretability.interventions import outcomes, put
from coconut_lab.interpretability.staircase import staircase
from coconut_lab.interpretability.thinking import think
from coconut_lab.interpretability.values import masses, node_values
from coconut_lab.model.coconut import Coconut
from coconut_lab.study.build_checkpoints import UNSEEN_SEED, run_path, unseen_problems
from coconut_lab.study.methods_and_depth import FOLDER, PER_HOP, run, shipped, trained
from coconut_lab.study.tables import MISSING
from coconut_lab.tables import Table
from coconut_lab.tasks.counterfactuals import rewirable, twin
from coconut_lab.tasks.problems import Problem, graph_of
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import Recipe, RecipeError, load_recipe
from coconut_lab.training.trainer import Trainer

#: What readers call the rows. A name with "short-" is a recipe of the course on equal terms.
ROWS = {
    "tiny-stages": "stages",
    "short-mixed": "stages, mixed",
    "tiny-frontier": "frontier",
    "short-frontier": "frontier, in stages",
    "tiny-step": "step",
    "tiny-teacher": "teacher",
    "short-no-curriculum": "without curriculum",
    "short-cot": "CoT",
    "short-no-cot": "No-CoT",
    "short-icot": "iCoT",
    "short-pause": "pause token",
    "short-pause-as-thought": "pause as thought",
    "short-no-thought": "without thought",
    "tiny-coconut": "stages, long",
    "tiny-mixed": "stages, mixed, long",
}
#: Hops that the recipes of the rows never train.
MORE_HOPS = 4
#: A run is scored every so many updates, on so many problems: neither training's nor the row's.
EVERY, HELD_OUT, GOAL = 50, 300, 0.95
#: Two-sided 95% of Student's distribution with 1, 2, … degrees of freedom.
T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def row_recipe(name: str, seed: int) -> Recipe:
    """The recipe of a row: of this package, or `short-…`: that of a method, on equal terms."""
    if not name.startswith("short-"):
        return load_recipe(name, seed=seed)
    if name == "short-frontier":
        return load_recipe("tiny-stages", name=name, seed=seed, supervisor="frontier")
    own = load_recipe(name.replace("short", "tiny"), seed=seed)
    terms = load_recipe("tiny-stages" if len(own.phases) == 5 else "tiny-frontier")
    last = own.phases[-len(terms.phases) :]
    pairs = zip(last, terms.phases, strict=True)
    return dataclasses.replace(
        own,
        name=name,
        batch_size=terms.batch_size,
        problems=dataclasses.replace(own.problems, within_kinds=True),
        phases=tuple(dataclasses.replace(mine, steps=other.steps) for mine, other in pairs),
        optimizer=terms.optimizer,
    )


def leaderboard_row(
    model: Coconut,
    curriculum: Curriculum,
    base: Coconut | None = None,
    *,
    problems: Sequence[Problem] | None = None,
    more: Sequence[Problem] | None = None,
) -> dict[str, Any]:
    """Measure what a row says of one model, however it was trained.

    `used` is the share of right answers that the twin's first thought turns to the distractor,
    times the mean height of the staircase's steps. The first factor says that answers obey a
    thought, the second that hop j is taken where thought j is made, and nowhere else. A model whose
    thoughts are idle has 0, and so has one whose first thought decides all.

    Args:
        model: what to measure, with names that are single tokens.
        curriculum: says how many thoughts it was trained with.
        base: the model that its training began with, whose frontier mass is the control.
        problems: with twins; None is 1,000 that no recipe of this package trains on. The staircase
            is of the most hops that at least a tenth of them have.
        more: problems of more hops than it was trained on, answered with a thought for each; None
            is 500 of 4 hops.

    Returns:
        Counts and shares, as in `results/leaderboard.json`; None for what the model does not have.
    """
    problems = unseen_problems("tiny") if problems is None else problems
    more = generate_prosqa(PER_HOP, UNSEEN_SEED, "tiny", hops=MORE_HOPS) if more is None else more
    scored = score(model, model.tokenizer, problems, curriculum, curriculum.max_stage)
    found = scored.to_dict("tokens", "thoughts", "passes", "outcomes")
    hops = graph_of(more[0]).hops
    further = dataclasses.replace(curriculum, max_stage=hops)
    right = score(model, model.tokenizer, more, further, hops).right
    found["more hops"] = {"hops": hops, "right": right, "total": len(more)}
    found |= dict.fromkeys(("frontier", "frontier of the base", "twin", "staircase", "used"))
    if curriculum.rule.stand_in != "thoughts":
        return found
    for name, one in (("frontier", model), ("frontier of the base", base)):
        if one is not None:
            values = masses(node_values(one, problems, curriculum))
            found[name] = [round(float(mass), 4) for mass in values.frontier]
    twins = think(model, [twin(problem) for problem in problems], curriculum)
    before = outcomes(model, problems, curriculum)
    after = outcomes(model, problems, curriculum, edit=put(twins, 1))
    turned = list(zip(before, after, strict=True)).count(("right", "distractor"))
    found["twin"] = {"right": before.count("right"), "turned": turned}
    often = Counter(graph_of(problem).hops for problem in problems)
    deep = max(hop for hop, many in often.items() if 10 * many >= len(problems))
    chosen = rewirable(problems, deep)
    rows = staircase(model, chosen, curriculum)
    heights = [rows.get(j, rows.never)[j] - rows.get(j - 1, rows.never)[j] for j in rows.index]
    height = round(fmean(heights), 4)
    kept = [[round(share, 4) for share in row] for row in rows.to_numpy().tolist()]
    found["staircase"] = {"problems": len(chosen), "height": height, "kept": kept}
    found["used"] = round(_turned(found["twin"]) * max(0.0, height), 4)
    return found


def _turned(counts: Mapping[str, int]) -> float:
    return counts["turned"] / max(1, counts["right"])


def scored_run(
    recipe: Recipe, start: Coconut | None, runs: Path
) -> tuple[Coconut, Curriculum, list[list[float]]]:
    """Train a recipe, or go on; also give updates, right of 300, and CPU seconds, as it goes.

    Scoring does not count to the seconds. They are kept beside the checkpoints. A base model is not
    scored: it answers nothing.
    """
    folder = run_path(runs, recipe)
    every = max(EVERY, recipe.total_steps // 20)
    trainer = Trainer(recipe, folder, start=start, progress=False, save_every=every)
    path = folder / "scored.json"
    problems = generate_prosqa(HELD_OUT, UNSEEN_SEED + 1, recipe.problems.preset)
    curve = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    began = time.process_time()

    def look(_: dict[str, Any]) -> None:
        nonlocal began
        if trainer.step % every and trainer.step < recipe.total_steps:
            return
        earlier = [point for point in curve if point[0] < trainer.step]
        spent = time.process_time() - began + (earlier[-1][2] if earlier else 0)
        right = None
        if recipe.objective != "walks":
            model, plan = trainer.model, trainer.curriculum
            right = score(model, trainer.tokenizer, problems, plan, plan.max_stage).right
        curve[:] = [*earlier, [trainer.step, right, round(spent, 2)]]
        write_text(path, json.dumps(curve))
        began = time.process_time()

    return trainer.train(look), trainer.curriculum, curve


def _cell(recipe: Recipe, runs: Path) -> dict[str, Any]:
    """Train and measure one row."""
    start = recipe.model.start
    base = trained(load_recipe(start, seed=recipe.seed), None, runs)[0] if start else None
    curve: list[list[float]] = []
    if (done := shipped(recipe)) is not None:
        model, curriculum = done.model, done.curriculum
    else:
        model, curriculum, curve = scored_run(recipe, copy.deepcopy(base), runs)
    enough = (point for point in curve if point[1] >= GOAL * HELD_OUT)
    updates, _, seconds = next(enough, (None, None, None))
    found = {"updates to 95%": updates, "CPU seconds to 95%": seconds, "scored": curve}
    return leaderboard_row(model, curriculum, base) | found


def study_leaderboard(
    recipes: Sequence[str],
    seeds: Sequence[int],
    runs: Path,
    added: Sequence[str] = (),
    folder: Path = FOLDER,
) -> Table:
    """Measure rows that are not there yet, into `results/leaderboard.json`; give the table.

    Args:
        recipes: keys of `ROWS`.
        seeds: of training; each trains its base model too, where a recipe's `start` names one.
        runs: folder of training runs, which go on where they were stopped.
        added: files of recipes of your own.
        folder: where the file is.

    Raises:
        RecipeError: an added recipe has the name of another one that is there.
    """
    path = folder / "leaderboard.json"
    known = json.loads(path.read_text(encoding="utf-8"))["recipes"] if path.exists() else {}
    known |= {name: row_recipe(name, 0).to_dict() for name in ROWS}
    files = {}
    for file in added:
        recipe = load_recipe(file, seed=0)
        if Recipe.from_dict(known.setdefault(recipe.name, recipe.to_dict())) != recipe:
            raise RecipeError(f"{file}: name: {recipe.name!r} is another row; choose another name")
        files[recipe.name] = file

    def cell(recipe: str, seed: int, runs: Path) -> dict[str, Any]:
        own = files.get(recipe)
        return _cell(load_recipe(own, seed=seed) if own else row_recipe(recipe, seed), runs)

    facts = {
        "what": f"1,000 unseen tiny problems, seed {UNSEEN_SEED}; twin: right answers, and how "
        "many the twin's thought 1 turns to the distractor; staircase: share that keep the old "
        "answer, by hop rewired and pass; scored: updates, right of 300 held-out problems, CPU "
        "seconds; used: turned / right x the height of the staircase",
        "recipes": known,
    }
    cells = [{"recipe": name, "seed": seed} for seed in seeds for name in [*recipes, *files]]
    return leaderboard_table(run("leaderboard", cells, cell, facts, runs, folder))


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """A mean over seeds and half its 95% interval (Student's t), which is None for one seed."""
    if len(values) < 2:
        return values[0], None
    factor = T[min(len(values) - 2, len(T) - 1)]
    return fmean(values), factor * stdev(values) / len(values) ** 0.5


def ranked(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows by recipe: first those whose thoughts are used most, then those most often right."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for one in sorted(results, key=lambda one: one["seed"]):
        rows.setdefault(one["recipe"], []).append(one)

    def merit(name: str) -> tuple[float, float]:
        used = [-1.0 if one["used"] is None else one["used"] for one in rows[name]]
        return fmean(used), fmean(one["accuracy"] for one in rows[name])

    return {name: rows[name] for name in sorted(rows, key=merit, reverse=True)}


#: The columns of the table: what they show of one row.
COLUMNS: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    "used": lambda one: one["used"],
    "right %": lambda one: 100 * one["right"] / one["total"],
    "twin turns %": lambda one: one["twin"] and 100 * _turned(one["twin"]),
    "staircase": lambda one: one["staircase"] and one["staircase"]["height"],
    "4 hops %": lambda one: 100 * one["more hops"]["right"] / one["more hops"]["total"],
    "passes": lambda one: one["passes"],
}


def leaderboard_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """One row per recipe: means over its seeds, with 95% intervals.

    Frontier gain is the mass of each thought less the base model's. Updates to 95% are the median
    of the runs that reached it, and how many of those that were scored as they trained.
    """
    lines = []
    for name, rows in ranked(results).items():
        cells = [ROWS.get(name, name), str(len(rows))]
        for show in COLUMNS.values():
            found = [value for value in map(show, rows) if value is not None]
            cells.append(_text(*mean_and_half(found)) if found else MISSING)
        both = [(one["frontier"], one["frontier of the base"]) for one in rows]
        gains = [np.subtract(*pair) for pair in both if all(pair)]
        cells.append(
            " ".join(f"{gain:+.2f}" for gain in np.mean(gains, 0).round(2) + 0.0)
            if gains
            else MISSING
        )
        scored = [one["updates to 95%"] for one in rows if one["scored"]]
        done = [updates for updates in scored if updates is not None]
        many = f" ({len(done)} of {len(scored)})" if len(done) < len(rows) else ""
        cells.append(f"{median(done):.0f}{many}" if done else "never" if scored else MISSING)
        lines.append(tuple(cells))
    head = ("method", "seeds", *COLUMNS, "frontier gain", f"updates to {GOAL:.0%}")
    return Table(head, tuple(lines))


def _text(mean: float, half: float | None) -> str:
    places = 1 if mean > 2 else 2
    mean = round(mean, places) + 0.0  # no minus before nothing
    return f"{mean:.{places}f}" + (f" ± {half:.{places}f}" if half and half > 0.005 else "")

"""The measured results, and the paper's, as tables; a dash where nothing was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import combinations, starmap
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from coconut_lab.curriculum.stages_and_masks import METHODS
from coconut_lab.inference.scoring import Comparison, Score, compare_paired
from coconut_lab.study.methods_and_depth import FOLDER
from coconut_lab.tables import Table

MISSING = "–"

#: Both options of a problem are on the page, so guessing between them is right half of the time.
CHANCE = 0.5

#: What readers call the methods.
NAMES = {
    "coconut": "Coconut",
    "cot": "CoT",
    "no_cot": "No-CoT",
    "icot": "iCoT",
    "pause": "pause token",
    "no_curriculum": "without curriculum",
    "no_thought": "without thought",
    "pause_as_thought": "pause as thought",
}


class Reported(NamedTuple):
    """One cell of the paper's table: accuracy in %, the ± beside it, tokens generated."""

    accuracy: float
    spread: float | None
    tokens: float

    def __str__(self) -> str:
        spread = "" if self.spread is None else f"±{self.spread}"
        return f"{self.accuracy}{spread} / {self.tokens}"


_TASKS = ("GSM8k", "ProntoQA", "ProsQA")
_TABLE_1 = {
    "cot": ((42.9, 0.2, 25.0), (98.8, 0.8, 92.5), (77.5, 1.9, 49.4)),
    "no_cot": ((16.5, 0.5, 2.2), (93.8, 0.7, 3.0), (76.7, 1.0, 8.2)),
    "icot": ((30.0, None, 2.2), (99.8, 0.3, 3.0), (98.2, 0.3, 8.2)),
    "pause": ((16.4, 1.8, 2.2), (77.7, 21.0, 3.0), (75.9, 0.7, 8.2)),
    "coconut": ((34.1, 1.5, 8.2), (99.8, 0.2, 9.0), (97.0, 0.3, 14.2)),
    "no_curriculum": ((14.4, 0.8, 8.2), (52.4, 0.4, 9.0), (76.1, 0.2, 14.2)),
    "no_thought": ((21.6, 0.5, 2.3), (99.9, 0.1, 3.0), (95.5, 1.1, 8.2)),
    "pause_as_thought": ((24.1, 0.7, 2.2), (100.0, 0.1, 3.0), (96.6, 0.8, 8.2)),
}
#: Table 1 of Hao et al. 2024. iCoT on GSM8k is there quoted from Deng et al. 2024.
PAPER: dict[str, dict[str, Reported]] = {
    method: dict(zip(_TASKS, starmap(Reported, cells), strict=True))
    for method, cells in _TABLE_1.items()
}

Cells = dict[tuple[str, int, int], dict[int, Score]]


def read_results(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Read what a study wrote: `what`, `recipes`, and `results`, a list.

    Raises:
        FileNotFoundError: it was not measured yet.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; `make results` measures it, in hours")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def score_of(entry: Mapping[str, Any]) -> Score:
    """Make a `Score` of one entry of a results file, with its outcomes."""
    outcomes = tuple(outcome == "1" for outcome in entry["outcomes"])
    costs = {cost: entry[cost] for cost in ("tokens", "thoughts")}
    return Score(entry["right"], entry["total"], outcomes, **costs)


def method_scores(results: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, Score]]:
    """Arrange the results of the methods: method → seed → score, in the order of `METHODS`."""
    found: dict[str, dict[int, Score]] = {}
    for entry in sorted(results, key=_order):
        found.setdefault(entry["method"], {})[entry["seed"]] = score_of(entry)
    return found


def depth_scores(results: Iterable[Mapping[str, Any]]) -> Cells:
    """Arrange the results of depth: (method, layers, hops) → seed → score."""
    found: Cells = {}
    for entry in sorted(results, key=_order):
        for part in entry["by_hops"]:
            cell = found.setdefault((entry["method"], entry["layers"], part["hops"]), {})
            cell[entry["seed"]] = score_of(part)
    return found


def _order(entry: Mapping[str, Any]) -> tuple[int, int, int]:
    return list(METHODS).index(entry["method"]), entry.get("layers", 0), entry["seed"]


def comparisons(
    scores: Mapping[str, Mapping[int, Score]], seed: int
) -> dict[tuple[str, str], Comparison]:
    """Compare every two methods that were measured with a seed, problem by problem."""
    return {
        (first, second): compare_paired(scores[first][seed].outcomes, scores[second][seed].outcomes)
        for first, second in combinations(scores, 2)
        if seed in scores[first] and seed in scores[second]
    }


def above_chance(by_seed: Mapping[int, Score]) -> bool:
    """Whether the 95% interval of every seed lies above chance; False without seeds."""
    return bool(by_seed) and all(score.interval[0] > CHANCE for score in by_seed.values())


def _table(corner: str, rows: Mapping[str, Mapping[str, str]], columns: Sequence[str]) -> Table:
    """Arrange texts in a table, by the names of their rows and columns."""
    lines = (
        (name, *(row.get(column, MISSING) for column in columns)) for name, row in rows.items()
    )
    return Table((corner, *columns), tuple(lines))


def _seeds(scores: Mapping[str, Mapping[int, Score]]) -> list[str]:
    seeds = {seed for by_seed in scores.values() for seed in by_seed}
    return [f"seed {seed}" for seed in sorted(seeds)]


def paper_table() -> Table:
    """The paper's table: accuracy in % / tokens generated (Hao et al. 2024, table 1)."""
    rows = {
        NAMES[method]: {task: str(cell) for task, cell in cells.items()}
        for method, cells in PAPER.items()
    }
    return _table("method", rows, _TASKS)


def methods_table(scores: Mapping[str, Mapping[int, Score]]) -> Table:
    """One row per method: accuracy and 95% interval in % for every seed, tokens, thoughts.

    Tokens and thoughts are means over problems and seeds.
    """
    rows: dict[str, dict[str, str]] = {}
    for method, by_seed in scores.items():
        row = rows[NAMES[method]] = {}
        for seed, score in by_seed.items():
            share, low, high = (100 * end for end in (score.accuracy, *score.interval))
            row[f"seed {seed}"] = f"{share:.1f} ({low:.1f} to {high:.1f})"
        for cost in ("tokens", "thoughts"):
            costs = [getattr(score, cost) for score in by_seed.values()]
            if None not in costs:
                row[cost] = f"{fmean(costs):.1f}"
    return _table("method", rows, [*_seeds(scores), "tokens", "thoughts"])


def comparison_table(scores: Mapping[str, Mapping[int, Score]], first: str = "coconut") -> Table:
    """One row per other method: how far the first is ahead, and the p-value, for every seed.

    Differences are in points (hundredths of the problems), with 95% intervals.
    """
    rows: dict[str, dict[str, str]] = {NAMES[other]: {} for other in scores if other != first}
    for seed, score in scores.get(first, {}).items():
        for other in scores:
            if other != first and seed in scores[other]:
                found = compare_paired(score.outcomes, scores[other][seed].outcomes)
                points, low, high = (100 * end for end in (found.difference, *found.interval))
                p = f"p\u00a0{'' if found.p_value < 0.0001 else '= '}{p_text(found.p_value)}"
                text = f"{points:+.1f} ({low:+.1f} to {high:+.1f}), {p}"
                rows[NAMES[other]][f"seed {seed}"] = text
    return _table(f"{NAMES[first]} against", rows, _seeds(scores))


def p_text(p: float) -> str:
    """A p-value as text: four places, or that it is smaller, in one piece that no line breaks."""
    return "<\u00a00.0001" if p < 0.0001 else f"{p:.4f}"


def depth_table(cells: Cells) -> Table:
    """One row per method and depth, one column per number of hops.

    A cell is the mean accuracy over the seeds in %, and lowest to highest.
    """
    hops = sorted({hop for _, _, hop in cells})
    rows = []
    for method, layers in dict.fromkeys(cell[:2] for cell in cells):
        found = [cells.get((method, layers, hop), {}) for hop in hops]
        rows.append((NAMES[method], str(layers), str(max(map(len, found))), *map(_span, found)))
    columns = (f"{hop} hop" if hop == 1 else f"{hop} hops" for hop in hops)
    return Table(("method", "layers", "seeds", *columns), tuple(rows))


def _span(by_seed: Mapping[int, Score]) -> str:
    shares = [100 * score.accuracy for score in by_seed.values()]
    return f"{fmean(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})" if shares else MISSING


def reproduction_table(folder: Path = FOLDER) -> Table:
    """One row per figure: reported, by others, and here, read from the results file it names.

    Here is the mean over seeds, and lowest to highest; a dash: it was not measured. Links are
    without their host, which `results/reproduction.json` has.
    """
    lines = []
    for row in read_results("reproduction", folder)["rows"]:
        links = (link.split("//")[-1].split("/", 1)[-1] for link in row["links"])  # no host
        others = " ".join(filter(None, (row["others"], *links))) or MISSING
        here = _here(row["here"], folder) if row["here"] else MISSING
        lines.append((row["figure"], row["reported"], row["source"], others, here, row["differs"]))
    return Table(("figure", "reported", "by", "by others", "here", "what differs"), tuple(lines))


def _here(query: Mapping[str, Any], folder: Path) -> str:
    """The values that a row of the reproduction table asks a results file for, as text."""
    values = []
    for entry in read_results(query["file"], folder)["results"]:
        if query["where"].items() <= entry.items():
            value = reduce(lambda part, key: part[key], query["key"], entry)
            values += [] if value is None else [query["times"] * value]
    span = f" ({min(values):.1f} to {max(values):.1f}, n={len(values)})" if len(values) > 1 else ""
    text = f"{fmean(values):.1f}{span}" if values else MISSING
    return text.replace(" ", "\N{NO-BREAK SPACE}")  # a narrow column makes a tall table


def print_tables(folder: Path = FOLDER) -> None:
    """Print the tables of all results that are there."""
    for name in ("methods", "depth"):
        try:
            data = read_results(name, folder)
        except FileNotFoundError as error:
            print(error, end="\n\n")
            continue
        if name == "methods":
            scores = method_scores(data["results"])
            tables = [methods_table(scores), comparison_table(scores)]
        else:
            tables = [depth_table(depth_scores(data["results"]))]
        print(f"{name}: {data['what']}")
        print(*tables, sep="\n\n", end="\n\n")

"""The measured results, and the paper's, as tables.

    python -m coconut_lab.study tables

prints the tables of results/methods.json and results/depth.json. A cell without a measurement is
shown as a dash, never left out.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from coconut_lab.curriculum.curriculum import METHODS
from coconut_lab.inference.scoring import Comparison, Score, compare_paired
from coconut_lab.study.methods_and_depth import FOLDER

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


#: Table 1 of Hao et al. 2024. iCoT on GSM8k is there quoted from Deng et al. 2024.
PAPER: dict[str, dict[str, Reported]] = {
    "cot": {
        "GSM8k": Reported(42.9, 0.2, 25.0),
        "ProntoQA": Reported(98.8, 0.8, 92.5),
        "ProsQA": Reported(77.5, 1.9, 49.4),
    },
    "no_cot": {
        "GSM8k": Reported(16.5, 0.5, 2.2),
        "ProntoQA": Reported(93.8, 0.7, 3.0),
        "ProsQA": Reported(76.7, 1.0, 8.2),
    },
    "icot": {
        "GSM8k": Reported(30.0, None, 2.2),
        "ProntoQA": Reported(99.8, 0.3, 3.0),
        "ProsQA": Reported(98.2, 0.3, 8.2),
    },
    "pause": {
        "GSM8k": Reported(16.4, 1.8, 2.2),
        "ProntoQA": Reported(77.7, 21.0, 3.0),
        "ProsQA": Reported(75.9, 0.7, 8.2),
    },
    "coconut": {
        "GSM8k": Reported(34.1, 1.5, 8.2),
        "ProntoQA": Reported(99.8, 0.2, 9.0),
        "ProsQA": Reported(97.0, 0.3, 14.2),
    },
    "no_curriculum": {
        "GSM8k": Reported(14.4, 0.8, 8.2),
        "ProntoQA": Reported(52.4, 0.4, 9.0),
        "ProsQA": Reported(76.1, 0.2, 14.2),
    },
    "no_thought": {
        "GSM8k": Reported(21.6, 0.5, 2.3),
        "ProntoQA": Reported(99.9, 0.1, 3.0),
        "ProsQA": Reported(95.5, 1.1, 8.2),
    },
    "pause_as_thought": {
        "GSM8k": Reported(24.1, 0.7, 2.2),
        "ProntoQA": Reported(100.0, 0.1, 3.0),
        "ProsQA": Reported(96.6, 0.8, 8.2),
    },
}

Cells = dict[tuple[str, int, int], dict[int, Score]]


@dataclass(frozen=True)
class Table:
    """A table that shows itself in a notebook, in a terminal and in Markdown.

    Attributes:
        head: the names of the columns.
        rows: as many texts per row; the first names the row.

    Raises:
        ValueError: a row of another length than the head.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.head):
                raise ValueError(
                    f"row {number} ({row[:1]}) has {len(row)} cells, the head {len(self.head)}"
                )

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: Iterable[str], tag: str, scope: str) -> str:
            first, *others = (html.escape(cell) for cell in cells)
            left = ' style="text-align:left"'
            row = f'<th scope="{scope}"{left}>{first}</th>'
            return f"<tr>{row}{''.join(f'<{tag}{left}>{other}</{tag}>' for other in others)}</tr>"

        body = "".join(line(row, "td", "row") for row in self.rows)
        head = line(self.head, "th", "col")
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"

    def markdown(self) -> str:
        """The table in Markdown; bars in its texts are escaped."""
        lines = [self.head, tuple("---" for _ in self.head), *self.rows]
        return "\n".join(
            "| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in lines
        )


# --- reading --------------------------------------------------------------------------------------


def read_results(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Read the results of a study.

    Args:
        name: `"methods"` or `"depth"`.
        folder: where the results are.

    Returns:
        What `coconut_lab.study.methods_and_depth` wrote: `what`, `recipes`, and `results`, a list.

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
    return Score(
        entry["right"],
        entry["total"],
        tuple(outcome == "1" for outcome in entry["outcomes"]),
        tokens=entry["tokens"],
        thoughts=entry["thoughts"],
    )


def method_scores(results: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, Score]]:
    """Arrange the results of the methods: method → seed → score, in the order of `METHODS`."""
    found: dict[str, dict[int, Score]] = {}
    for entry in sorted(results, key=lambda entry: (_place(entry["method"]), entry["seed"])):
        found.setdefault(entry["method"], {})[entry["seed"]] = score_of(entry)
    return found


def depth_scores(results: Iterable[Mapping[str, Any]]) -> Cells:
    """Arrange the results of depth: (method, layers, hops) → seed → score."""
    found: Cells = {}
    for entry in sorted(
        results, key=lambda entry: (_place(entry["method"]), entry["layers"], entry["seed"])
    ):
        for part in entry["by_hops"]:
            cell = found.setdefault((entry["method"], entry["layers"], part["hops"]), {})
            cell[entry["seed"]] = score_of(part)
    return found


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


def _place(method: str) -> int:
    return list(METHODS).index(method)


def _seeds(cells: Iterable[Mapping[int, Score]]) -> list[int]:
    return sorted({seed for by_seed in cells for seed in by_seed})


# --- tables ---------------------------------------------------------------------------------------


def paper_table() -> Table:
    """The paper's table: accuracy in % / tokens generated (Hao et al. 2024, table 1)."""
    tasks = tuple(next(iter(PAPER.values())))
    return Table(
        ("method", *tasks),
        tuple((NAMES[method], *(str(PAPER[method][task]) for task in tasks)) for method in PAPER),
    )


def methods_table(scores: Mapping[str, Mapping[int, Score]]) -> Table:
    """One row per method: accuracy and 95% interval in % for every seed, tokens, thoughts.

    Args:
        scores: from `method_scores`.

    Returns:
        The table; tokens and thoughts are means over problems and seeds.
    """
    seeds = _seeds(scores.values())
    rows = []
    for method, by_seed in scores.items():
        cells = [_percent(by_seed[seed]) if seed in by_seed else MISSING for seed in seeds]
        spent = [
            MISSING if None in found else f"{fmean(found):.1f}"  # type: ignore[arg-type]
            for found in (
                [score.tokens for score in by_seed.values()],
                [score.thoughts for score in by_seed.values()],
            )
        ]
        rows.append((NAMES[method], *cells, *spent))
    return Table(("method", *(f"seed {seed}" for seed in seeds), "tokens", "thoughts"), tuple(rows))


def comparison_table(scores: Mapping[str, Mapping[int, Score]], first: str = "coconut") -> Table:
    """One row per other method: how far the first is ahead, and the p-value, for every seed.

    Args:
        scores: from `method_scores`.
        first: the method that the others are compared with.

    Returns:
        The table; differences are in points (hundredths of the problems), with 95% intervals.
    """
    seeds = _seeds(scores.values())
    rows = []
    for other in scores:
        if other == first:
            continue
        row = [NAMES[other]]
        for seed in seeds:
            if seed not in scores[other] or seed not in scores.get(first, {}):
                row.append(MISSING)
                continue
            found = compare_paired(scores[first][seed].outcomes, scores[other][seed].outcomes)
            low, high = found.interval
            row.append(
                f"{100 * found.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}), "
                f"p\u00a0{'' if found.p_value < 0.0001 else '= '}{p_text(found.p_value)}"
            )
        rows.append(tuple(row))
    return Table((f"{NAMES[first]} against", *(f"seed {seed}" for seed in seeds)), tuple(rows))


def p_value_table(scores: Mapping[str, Mapping[int, Score]], seed: int) -> Table:
    """The p-values of every two methods with one seed (exact McNemar test)."""
    methods = [method for method in scores if seed in scores[method]]
    found = comparisons(scores, seed)
    rows = [
        (
            NAMES[second],
            *(
                p_text(found[first, second].p_value) if (first, second) in found else ""
                for first in methods[:-1]
            ),
        )
        for second in methods[1:]
    ]
    return Table(("p", *(NAMES[method] for method in methods[:-1])), tuple(rows))


def depth_table(cells: Cells) -> Table:
    """One row per method and depth: mean accuracy over the seeds in %, and lowest to highest.

    Args:
        cells: from `depth_scores`.

    Returns:
        The table, one column per number of hops.
    """
    hops = sorted({hop for _, _, hop in cells})
    places = dict.fromkeys((method, layers) for method, layers, _ in cells)
    rows = [
        (
            NAMES[method],
            str(layers),
            str(max(len(cells.get((method, layers, hop), {})) for hop in hops)),
            *(_span(cells.get((method, layers, hop), {})) for hop in hops),
        )
        for method, layers in places
    ]
    return Table(("method", "layers", "seeds", *(f"{_hops(hop)}" for hop in hops)), tuple(rows))


def p_text(p: float) -> str:
    """A p-value as text: four places, or that it is smaller, in one piece that no line breaks."""
    return "<\u00a00.0001" if p < 0.0001 else f"{p:.4f}"


def _percent(score: Score) -> str:
    low, high = score.interval
    return f"{100 * score.accuracy:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _span(by_seed: Mapping[int, Score]) -> str:
    if not by_seed:
        return MISSING
    shares = [100 * score.accuracy for score in by_seed.values()]
    return f"{fmean(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})"


def _hops(count: int) -> str:
    return f"{count} hop" if count == 1 else f"{count} hops"


def main() -> int:
    """Print the tables of all results that are there."""
    for name in ("methods", "depth"):
        try:
            data = read_results(name)
        except FileNotFoundError as error:
            print(error, end="\n\n")
            continue
        print(f"{name}: {data['what']}")
        if name == "methods":
            scores = method_scores(data["results"])
            print(methods_table(scores), comparison_table(scores), sep="\n\n", end="\n\n")
        else:
            print(depth_table(depth_scores(data["results"])), end="\n\n")
    return 0

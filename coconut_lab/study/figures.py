"""The matplotlib figures of the measured results; numbers and frames repeat what colours say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from coconut_lab.curriculum.stages_and_masks import METHODS
from coconut_lab.inference.scoring import Score
from coconut_lab.study.leaderboard import COLUMNS, ROWS, mean_and_half, ranked
from coconut_lab.study.tables import CHANCE, MISSING, NAMES, Cells, above_chance

# One mark per seed, told apart by shape as well as by colour (Okabe–Ito).
MARKS = (("o", "#0072B2"), ("s", "#E69F00"), ("^", "#009E73"), ("D", "#CC79A7"), ("v", "#000000"))


def draw_methods(scores: Mapping[str, Mapping[int, Score]]) -> Figure:
    """Draw the accuracy of every method and seed (from `method_scores`) with its 95% interval."""
    seeds = sorted({seed for by_seed in scores.values() for seed in by_seed})
    figure, axes = plt.subplots(figsize=(8, 0.55 * len(METHODS) + 1.1))
    for index, seed in enumerate(seeds):
        mark, colour = MARKS[index % len(MARKS)]
        found = [
            (list(METHODS).index(method) + 0.22 * (index - (len(seeds) - 1) / 2), by_seed[seed])
            for method, by_seed in scores.items()
            if seed in by_seed
        ]
        measured = [(score.accuracy, *score.interval) for _, score in found]
        shares, low, high = 100 * np.array(measured).T
        # At 0% and 100% rounding may put an end a hair's breadth inside.
        bars = np.maximum(0, [shares - low, high - shares])
        axes.errorbar(
            shares, [place for place, _ in found], xerr=bars,
            fmt=mark, color=colour, markersize=5, capsize=2.5, label=f"seed {seed}",
        )  # fmt: skip
    axes.axvline(100 * CHANCE, color="grey", linestyle="--", linewidth=1)
    axes.text(100 * CHANCE, -0.62, "chance", ha="center", fontsize=8, color="#444444")
    axes.set_yticks(range(len(METHODS)), [NAMES[method] for method in METHODS])
    axes.set(ylim=(len(METHODS) - 0.5, -0.5), xlim=(0, 101))
    axes.set_xlabel("right answers, % (bars: 95% interval)")
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    if seeds:
        axes.legend(frameon=False, fontsize=8, loc="lower left")
    figure.tight_layout()
    plt.close(figure)
    return figure


def draw_leaderboard(results: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw how much thoughts are used, and accuracy: a mark per seed, means and 95% intervals.

    Args:
        results: rows of `results/leaderboard.json`, or of `leaderboard_row` with recipe and seed.
    """
    rows = ranked(results)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 0.34 * len(rows) + 1.0), sharey=True, layout="constrained"
    )
    for axes, column, colour in ((left, "used", "#0072B2"), (right, "right %", "#E69F00")):
        for place, seeds in enumerate(rows.values()):
            found = [one for one in map(COLUMNS[column], seeds) if one is not None]
            if not found:
                axes.text(0.02, place, "no thoughts", va="center", fontsize=8, color="#666666")
                continue
            mean, half = mean_and_half(found)
            axes.plot(found, [place] * len(found), "|", color=colour, markersize=9)
            axes.errorbar(mean, place, xerr=half, fmt="o", color="black", markersize=4, capsize=3)
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    right.axvline(100 * CHANCE, color="grey", linestyle="--", linewidth=1)
    left.set_yticks(range(len(rows)), [ROWS.get(name, name) for name in rows])
    left.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.5, -0.5), xlabel="how much thoughts are used")
    right.set(xlim=(40, 101), xlabel="right answers, % (dashed: chance)")
    plt.close(figure)
    return figure


def draw_depth(
    cells: Cells, methods: Sequence[str], layers: Sequence[int], hops: Sequence[int]
) -> Figure:
    """Draw one map per method: accuracy by layers of the model and hops of the problem.

    A cell holds the mean over the seeds in %, below it the lowest and the highest seed. A dashed
    frame marks cells where the 95% interval of at least one seed does not lie above chance.

    Args:
        cells: from `depth_scores`.
        methods: one map each, from left to right.
        layers: the rows.
        hops: the columns.
    """
    colours = plt.get_cmap("cividis")
    scale = plt.Normalize(40, 100)
    figure, maps = plt.subplots(
        1, len(methods), figsize=(2.5 * len(methods) + 0.9, 0.62 * len(layers) + 1.2),
        sharey=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for axes, method in zip(maps[0], methods, strict=True):
        for row, layer in enumerate(layers):
            for column, hop in enumerate(hops):
                by_seed = cells.get((method, layer, hop), {})
                _draw_cell(axes, column, row, by_seed, colours, scale)
        axes.set(xlim=(-0.03, len(hops) + 0.03), ylim=(-0.03, len(layers) + 0.03))
        axes.set_xticks([column + 0.5 for column in range(len(hops))], list(map(str, hops)))
        axes.set_yticks([row + 0.5 for row in range(len(layers))], list(map(str, layers)))
        axes.set_xlabel("hops of the problem")
        axes.set_title(NAMES[method], fontsize=10)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    maps[0][0].set_ylabel("layers of the model")
    bar = figure.colorbar(
        plt.cm.ScalarMappable(norm=scale, cmap=colours), ax=list(maps[0]), fraction=0.025,
        extend="min",
    )  # fmt: skip
    bar.ax.axhline(100 * CHANCE, color="white", linewidth=1.5, linestyle="--")
    bar.set_ticks([40, 100 * CHANCE, 75, 100], labels=["40", "50 chance", "75", "100"])
    bar.set_label("right answers, %")
    plt.close(figure)
    return figure


def _draw_cell(
    axes: Any, column: int, row: int, by_seed: Mapping[int, Score], colours: Any, scale: Any
) -> None:
    if not by_seed:
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor="white", edgecolor="#BBBBBB"))
        axes.text(column + 0.5, row + 0.5, MISSING, ha="center", va="center", color="#666666")
        return
    shares = [100 * score.accuracy for score in by_seed.values()]
    mean = fmean(shares)
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colours(scale(mean)), edgecolor="w"))
    ink = "black" if scale(mean) > 0.5 else "white"
    axes.text(column + 0.5, row + 0.58, f"{mean:.0f}", ha="center", va="center", color=ink)
    if len(shares) > 1:
        span = f"{min(shares):.0f}–{max(shares):.0f}"
        axes.text(column + 0.5, row + 0.25, span, ha="center", va="center", color=ink, fontsize=7)
    if not above_chance(by_seed):
        axes.add_patch(
            Rectangle(
                (column + 0.06, row + 0.06), 0.88, 0.88, fill=False, edgecolor=ink,
                linestyle="--", linewidth=1.2,
            )
        )  # fmt: skip

"""The matplotlib figures of the notebooks; letters repeat what the colours say.

Every function returns the figure; a notebook cell that ends in it shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import IGNORED, Example
from coconut_lab.curriculum.tokenizer import ANSWER_MARK, thought_tokens, token_id
from coconut_lab.inference.halting_tradeoff import HaltingTradeoff

# What a column of a row can be: letter, colour (Okabe–Ito, told apart in greyscale by the letter).
KINDS = {
    "padding": ("·", "#FFFFFF"),
    "question": ("q", "#56B4E9"),
    "<bot>": ("B", "#009E73"),
    "thought": ("T", "#E69F00"),
    "<eot>": ("E", "#CC79A7"),
    "step": ("s", "#F0E442"),
    "answer": ("A", "#DDDDDD"),
}
WORK = {
    "computed in this pass": "#E69F00",
    "read from the cache": "#FFFFFF",
}


def column_kinds(input_ids: Sequence[int], mask: Sequence[int], tokenizer: Any) -> list[str]:
    """Say of every column of one row what it is, a key of `KINDS`; `mask` is 1 for real tokens.

    Without `<bot>`, everything before the answer is question.
    """
    tokens = thought_tokens(tokenizer)
    mark = token_id(tokenizer, ANSWER_MARK)
    fixed = {tokens.bot: "<bot>", tokens.thought: "thought", tokens.eot: "<eot>", mark: "answer"}
    kinds, part = [], "question"
    for token, real in zip(input_ids, mask, strict=True):
        if not real:
            kinds.append("padding")
            continue
        kinds.append(fixed.get(token, part))
        part = {"<eot>": "step", "answer": "answer"}.get(kinds[-1], part)
    return kinds


def draw_batch(batch: dict[str, Tensor], tokenizer: Any, title: str = "") -> Figure:
    """Draw a batch as a grid: one row per problem, one column per position of the tensors.

    Thick lines cut the batch into passes: a new one starts at every column that holds a thought
    in any row.

    Args:
        batch: `input_ids` and `attention_mask`, each (B, T) int64.
        tokenizer: the tokenizer, with the thought tokens.
        title: what is written above.
    """
    ids, masks = batch["input_ids"].tolist(), batch["attention_mask"].tolist()
    rows, width = len(ids), len(ids[0])
    figure, axes = plt.subplots(figsize=(0.215 * width + 0.6, 0.27 * rows + 0.95))
    found: set[str] = set()
    starts = [0]
    for row, (tokens, mask) in enumerate(zip(ids, masks, strict=True)):
        kinds = column_kinds(tokens, mask, tokenizer)
        found.update(kinds)
        for column, kind in enumerate(kinds):
            _box(axes, column, row, KINDS[kind][1], KINDS[kind][0])
            if kind == "thought":
                starts.append(column)
    starts = sorted(set(starts))
    for column in starts[1:]:
        axes.plot([column, column], [-0.15, rows + 0.15], color="black", linewidth=1.8)
    axes.set(xlim=(-0.1, width + 0.1), ylim=(rows + 0.2, -0.2), xlabel="column", ylabel="row")
    _number(axes, width)
    axes.set_yticks([row + 0.5 for row in range(rows)], list(map(str, range(rows))))
    passes = f"{len(starts)} passes" if len(starts) > 1 else "1 pass"
    axes.set_title(f"{title}: {passes}" if title else passes, loc="left", fontsize=10)
    _bare(axes)
    _legend_below(figure, _patches(found))
    return figure


def draw_stages(examples: Sequence[Example], tokenizer: Any, names: Sequence[str]) -> Figure:
    """Draw what one problem looks like at several stages, and which columns have a label.

    Args:
        examples: the encoded problem, one per row.
        tokenizer: the tokenizer, with the thought tokens.
        names: what is written left of each row.
    """
    width = max(len(example.input_ids) for example in examples)
    figure, axes = plt.subplots(figsize=(0.235 * width + 0.9, 0.3 * len(examples) + 0.8))
    found: set[str] = set()
    for row, example in enumerate(examples):
        kinds = column_kinds(example.input_ids, [1] * len(example.input_ids), tokenizer)
        found.update(kinds)
        for column, (kind, label) in enumerate(zip(kinds, example.labels, strict=True)):
            learned = label != IGNORED
            _box(axes, column, row, KINDS[kind][1], KINDS[kind][0], bold=learned)
            if learned:
                axes.plot([column + 0.15, column + 0.85], [row + 0.86] * 2, "k", linewidth=1.8)
    axes.set(xlim=(-0.1, width + 0.1), ylim=(len(examples) + 0.1, -0.1), xlabel="column")
    _number(axes, width)
    axes.set_yticks([row + 0.5 for row in range(len(names))], list(names))
    _bare(axes)
    _legend_below(
        figure, [*_patches(found), Line2D([], [], color="k", linewidth=1.8, label="has a label")]
    )
    return figure


def draw_losses(curves: dict[str, list[float]], changes: Sequence[int], window: int) -> Figure:
    """Draw the losses of several runs, smoothed, on a logarithmic scale; lines begin a stage.

    Args:
        curves: for each run its loss at every optimizer step.
        changes: the steps at which a new stage begins.
        window: each point is the mean of that many steps.
    """
    figure, axes = plt.subplots(figsize=(7.5, 2.7))
    styles = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", ":"))
    for (name, losses), (colour, dashes) in zip(curves.items(), styles, strict=False):
        means = [
            sum(losses[step - window : step]) / window for step in range(window, len(losses) + 1)
        ]
        axes.plot(range(window, len(losses) + 1), means, dashes, color=colour, label=name)
    for step in changes:
        axes.axvline(step, color="grey", linewidth=0.8)
    axes.set(xlabel="optimizer step", ylabel=f"loss (mean of {window} steps)", yscale="log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    axes.tick_params(labelsize=8)
    figure.tight_layout()
    plt.close(figure)
    return figure


def draw_passes(columns: Sequence[str], first_thought: int, thoughts: int) -> Figure:
    """Draw which columns each pass computes, without and with a cache.

    Args:
        columns: a short label for every column.
        first_thought: the column of the first placeholder.
        thoughts: how many there are.
    """
    width = len(columns)
    starts = [0, *range(first_thought, first_thought + thoughts)]
    stops = [*starts[1:], width]
    figure, both = plt.subplots(1, 2, figsize=(0.6 * width + 0.8, 0.32 * len(starts) + 1.35))
    for axes, cached in zip(both, (False, True), strict=True):
        total = 0
        for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            for column in range(stop):
                new = column >= start or not cached
                total += new
                name = "computed in this pass" if new else "read from the cache"
                _box(axes, column, row, WORK[name], columns[column] if new else "·")
        axes.set(xlim=(-0.1, width + 0.1), ylim=(len(starts) + 0.1, -0.1), xlabel="column")
        _number(axes, width, 1)
        axes.set_yticks(
            [row + 0.5 for row in range(len(starts))], [str(row + 1) for row in range(len(starts))]
        )
        how = "with a cache" if cached else "without a cache"
        axes.set_title(f"{how}: {total} token-forwards", loc="left", fontsize=10)
        _bare(axes)
    both[0].set_ylabel("pass")
    handles = [
        Patch(facecolor=colour, edgecolor="grey", label=f"{sign}  {name}")
        for (name, colour), sign in zip(WORK.items(), ("letter", "·"), strict=True)
    ]
    _legend_below(figure, handles)
    return figure


def draw_gradients(
    batch: dict[str, Tensor], tokenizer: Any, sizes: dict[str, list[float]]
) -> Figure:
    """Draw how large the gradient of the loss is at every column of one row.

    Args:
        batch: `input_ids` and `attention_mask`, each (1, T) int64.
        tokenizer: the tokenizer, with the thought tokens.
        sizes: for each of two settings the lengths of the gradient, one per column.
    """
    kinds = column_kinds(
        batch["input_ids"][0].tolist(), batch["attention_mask"][0].tolist(), tokenizer
    )
    figure, axes = plt.subplots(figsize=(9, 2.4))
    styles = (("#0072B2", ""), ("#E69F00", "///"))
    for index, ((name, heights), (colour, hatch)) in enumerate(
        zip(sizes.items(), styles, strict=True)
    ):
        places = [column + 0.4 * index - 0.2 for column in range(len(heights))]
        axes.bar(
            places, heights, width=0.4, label=name,
            color=colour, hatch=hatch, edgecolor="white", linewidth=0,
        )  # fmt: skip
    axes.set_xticks(range(len(kinds)), [KINDS[kind][0] for kind in kinds])
    axes.set(xlim=(-0.7, len(kinds) - 0.3), xlabel="column, by kind", ylabel="length of gradient")
    axes.tick_params(labelsize=8)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    figure.tight_layout()
    plt.close(figure)
    return figure


def draw_halting(study: HaltingTradeoff, names: Mapping[str, str], count: int = 16) -> Figure:
    """Draw accuracy against mean thoughts: fixed numbers with intervals, rules as lines.

    Args:
        study: what the rules look at.
        names: signal → what the rule is called; one line each.
        count: how many thresholds of each rule.
    """
    figure, axes = plt.subplots(figsize=(6.4, 4.0))
    fixed = [study.fixed(thoughts).score for thoughts in range(study.max_thoughts + 1)]
    shares, low, high = np.array([(found.accuracy, *found.interval) for found in fixed]).T
    axes.errorbar(
        [found.thoughts or 0.0 for found in fixed], shares, [shares - low, high - shares],
        fmt="s--", color="#D55E00", capsize=3, label="fixed number",
    )  # fmt: skip
    looks = (("o-", "#0072B2"), ("^:", "#009E73"), ("v-.", "#CC79A7"), ("d-", "#000000"))
    for (signal, name), (style, colour) in zip(names.items(), cycle(looks), strict=False):
        line = [point.score for point in study.curve(signal, study.thresholds(signal, count))]
        line.sort(key=lambda found: found.thoughts or 0.0)
        axes.plot(
            [found.thoughts or 0.0 for found in line], [found.accuracy for found in line],
            style, color=colour, markersize=4, label=name,
        )  # fmt: skip
    axes.set(
        xlabel="mean thoughts per problem", ylabel="accuracy", xticks=range(study.max_thoughts + 1)
    )
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    plt.close(figure)
    return figure


def _box(axes: Axes, column: int, row: int, colour: str, text: str, *, bold: bool = False) -> None:
    axes.add_patch(
        Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="grey", linewidth=0.6)
    )
    weight = "bold" if bold else "normal"
    axes.text(
        column + 0.5, row + 0.52, text, ha="center", va="center", fontsize=8, fontweight=weight
    )


def _bare(axes: Axes) -> None:
    axes.tick_params(length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _patches(kinds: set[str]) -> list[Artist]:
    return [
        Patch(facecolor=colour, edgecolor="grey", label=f"{letter}  {kind}")
        for kind, (letter, colour) in KINDS.items()
        if kind in kinds
    ]


def _number(axes: Axes, width: int, step: int = 5) -> None:
    """Number the boxes of a row below them."""
    places = range(0, width, step)
    axes.set_xticks([column + 0.5 for column in places], list(map(str, places)))


def _legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    figure.tight_layout()
    figure.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=len(handles),
        frameon=False, fontsize=8, handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip
    plt.close(figure)  # so that it is shown once, where the notebook returns it

"""The matplotlib figures of the notebooks; letters repeat what the colours say.

Every function returns the figure; a notebook cell that ends in it shows it.
"""

from collections.abc import Container, Mapping, Sequence
from itertools import cycle, pairwise
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

from coconut_lab.curriculum.in_words import count
from coconut_lab.curriculum.stages_and_masks import IGNORED, Example
from coconut_lab.curriculum.tokenizer import ANSWER_MARK, thought_tokens, token_id
from coconut_lab.inference.halting_tradeoff import HaltingTradeoff

# What a column can be: letter, and colour as in the curriculum view in light: a quarter of a colour
# of Okabe and Ito. The letters tell them apart in greyscale.
KINDS = {
    "padding": ("·", "#FFFFFF"),
    "question": ("Q", "#E0E2E6"),
    "<bot>": ("B", "#C2C3C6"),
    "thought": ("T", "#F0D2BD"),
    "<eot>": ("E", "#C2C3C6"),
    "step": ("S", "#BDDAEB"),
    "answer": ("A", "#BDDED5"),
}
# Whether an answer is right.
ANSWERS = {False: ("w", "#FFFFFF"), True: ("r", KINDS["answer"][1])}
# What a pass does with a column.
WORK = {"computed in this pass": ("letter", "#E69F00"), "read from the cache": ("·", "#FFFFFF")}


def column_kinds(input_ids: Sequence[int], mask: Sequence[int], tokenizer: Any) -> list[str]:
    """Say of every column of one row what it is, a key of `KINDS`; `mask` is 1 for real tokens.

    Without `<bot>`, everything before the answer is question.
    """
    tokens, mark = thought_tokens(tokenizer), token_id(tokenizer, ANSWER_MARK)
    fixed = {tokens.bot: "<bot>", tokens.thought: "thought", tokens.eot: "<eot>", mark: "answer"}
    kinds, part = [], "question"
    for token, real in zip(input_ids, mask, strict=True):
        kinds.append(fixed.get(token, part) if real else "padding")
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
    drawn = [column_kinds(tokens, mask, tokenizer) for tokens, mask in zip(ids, masks, strict=True)]
    for row, kinds in enumerate(drawn):
        _boxes(axes, row, [KINDS[kind] for kind in kinds])
    thoughts = {c for kinds in drawn for c, kind in enumerate(kinds) if kind == "thought"} - {0}
    for column in sorted(thoughts):
        axes.plot([column, column], [-0.15, rows + 0.15], color="black", linewidth=1.8)
    _number(axes, width, range(rows), margin=0.2)
    axes.set_ylabel("row")
    passes = f"{len(thoughts) + 1} passes" if thoughts else "1 pass"
    axes.set_title(f"{title}: {passes}" if title else passes, loc="left", fontsize=10)
    return _with_legend_below(figure, KINDS, set().union(*drawn))


def draw_stages(examples: Sequence[Example], tokenizer: Any, names: Sequence[str]) -> Figure:
    """Draw what one problem looks like at several stages, and which columns have a label.

    Args:
        examples: the encoded problem, one per row.
        tokenizer: the tokenizer, with the thought tokens.
        names: what is written left of each row.
    """
    width, found = max(len(example.input_ids) for example in examples), set()
    figure, axes = plt.subplots(figsize=(0.235 * width + 0.9, 0.3 * len(examples) + 0.8))
    for row, (ids, labels) in enumerate(examples):
        kinds = column_kinds(ids, [1] * len(ids), tokenizer)
        found.update(kinds)
        learned = [label != IGNORED for label in labels]
        _boxes(axes, row, [KINDS[kind] for kind in kinds], learned)
        for column in np.flatnonzero(learned):
            axes.plot([column + 0.15, column + 0.85], [row + 0.86] * 2, "k", linewidth=1.8)
    _number(axes, width, names)
    line = Line2D([], [], color="k", linewidth=1.8, label="has a label")
    return _with_legend_below(figure, KINDS, found, line)


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
        steps = range(window, len(losses) + 1)
        means = [sum(losses[step - window : step]) / window for step in steps]
        axes.plot(steps, means, dashes, color=colour, label=name)
    for step in changes:
        axes.axvline(step, color="grey", linewidth=0.8)
    axes.set(xlabel="optimizer step", ylabel=f"loss (mean of {window} steps)", yscale="log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return _with_legend(figure, axes)


def draw_passes(columns: Sequence[str], first_thought: int, thoughts: int) -> Figure:
    """Draw which columns each pass computes, without and with a cache.

    Args:
        columns: a short label for every column.
        first_thought: the column of the first placeholder.
        thoughts: how many there are.
    """
    width = len(columns)
    starts = [0, *range(first_thought, first_thought + thoughts)]
    (_, computed), read = WORK.values()
    figure, both = plt.subplots(1, 2, figsize=(0.6 * width + 0.8, 0.32 * len(starts) + 1.35))
    for axes, cached in zip(both, (False, True), strict=True):
        total = 0
        for row, (start, stop) in enumerate(pairwise([*starts, width])):
            first = start if cached else 0
            total += stop - first
            _boxes(axes, row, [read] * first + [(name, computed) for name in columns[first:stop]])
        _number(axes, width, range(1, len(starts) + 1), step=1)
        how = "with a cache" if cached else "without a cache"
        axes.set_title(f"{how}: {total} token-forwards", loc="left", fontsize=10)
    both[0].set_ylabel("pass")
    return _with_legend_below(figure, WORK, WORK)


def draw_gradients(batch: dict[str, Tensor], tokenizer: Any, sizes: dict[str, Any]) -> Figure:
    """Draw how large the gradient of the loss is at every column of one row.

    Args:
        batch: `input_ids` and `attention_mask`, each (1, T) int64.
        tokenizer: the tokenizer, with the thought tokens.
        sizes: for each of two settings the lengths of the gradient, a float per column.
    """
    ids, mask = (batch[name][0].tolist() for name in ("input_ids", "attention_mask"))
    kinds = column_kinds(ids, mask, tokenizer)
    figure, axes = plt.subplots(figsize=(9, 2.4))
    styles = (("#0072B2", ""), ("#E69F00", "///"))
    for index, (name, (colour, hatch)) in enumerate(zip(sizes, styles, strict=True)):
        axes.bar(
            np.arange(len(kinds)) + (0.4 * index - 0.2), sizes[name], width=0.4, label=name,
            color=colour, hatch=hatch, edgecolor="white", linewidth=0,
        )  # fmt: skip
    axes.set_xticks(range(len(kinds)), [KINDS[kind][0] for kind in kinds])
    axes.set(xlim=(-0.7, len(kinds) - 0.3), xlabel="column, by kind", ylabel="length of gradient")
    axes.tick_params(labelsize=8)
    return _with_legend(figure, axes, loc="upper left")


def draw_halting(study: HaltingTradeoff, names: Mapping[str, str], count: int = 16) -> Figure:
    """Draw accuracy against mean thoughts: fixed numbers with intervals, rules as lines.

    Args:
        study: what the rules look at.
        names: signal → what the rule is called; one line each.
        count: how many thresholds of each rule.
    """
    figure, axes = plt.subplots(figsize=(6.4, 4.0))
    fixed = [study.fixed(thoughts).score for thoughts in range(study.max_thoughts + 1)]
    rows = [(found.thoughts, found.accuracy, *found.interval) for found in fixed]
    thoughts, shares, low, high = np.array(rows, float).T
    axes.errorbar(
        thoughts, shares, [shares - low, high - shares], fmt="s--", color="#D55E00", capsize=3,
        label="fixed number",
    )  # fmt: skip
    looks = (("o-", "#0072B2"), ("^:", "#009E73"), ("v-.", "#CC79A7"), ("d-", "#000000"))
    for (signal, name), (style, colour) in zip(names.items(), cycle(looks), strict=False):
        line = [point.score for point in study.curve(signal, study.thresholds(signal, count))]
        spots = np.array([(found.thoughts, found.accuracy) for found in line], float)
        spots = spots[spots[:, 0].argsort(kind="stable")]
        axes.plot(*spots.T, style, color=colour, markersize=4, label=name)
    axes.set(xlabel="mean thoughts per problem", ylabel="accuracy", xticks=thoughts)
    return _with_legend(figure, axes)


def draw_stops(
    problems: Sequence[Mapping[str, Any]], stops: Sequence[int], title: str = ""
) -> Figure:
    """Draw where problems stop: a row for each, a column for each number of thoughts.

    Args:
        problems: of each its `hops`, and in `right` whether it is right after 0, 1, … thoughts.
        stops: after how many thoughts each stops.
        title: what is written above.
    """
    rows, columns = len(problems), len(problems[0]["right"])
    figure, axes = plt.subplots(figsize=(0.5 * columns + 1.6, 0.2 * rows + 0.9))
    for row, (problem, stop) in enumerate(zip(problems, stops, strict=True)):
        signs = [ANSWERS[right] for right in problem["right"]]
        _boxes(axes, row, signs, problem["right"])
        axes.plot([0, stop + 0.8], [row + 0.92] * 2, "k", linewidth=1.5)
        axes.plot(stop + 0.8, row + 0.5, "ko", markersize=7)
    _number(axes, columns, [count(problem["hops"], "step") for problem in problems], step=1)
    axes.set_xlabel("right (r) or wrong (w) after k thoughts; the dot: stops", fontsize=9)
    axes.set_title(title, loc="left", fontsize=9)
    plt.close(figure)
    return figure


def _boxes(axes: Axes, row: int, signs: Sequence[tuple[str, str]], bold: Any = None) -> None:
    """Draw a row of boxes, each with its letter and colour; those in bold are True in `bold`."""
    for column, (letter, colour) in enumerate(signs):
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="grey", lw=0.6))
        axes.text(
            column + 0.5, row + 0.52, letter, ha="center", va="center", fontsize=8,
            fontweight="bold" if bold and bold[column] else "normal",
        )  # fmt: skip


def _number(
    axes: Axes, width: int, names: Sequence[Any], step: int = 5, margin: float = 0.1
) -> None:
    """Number the columns of boxes below them, and name the rows; nothing frames them."""
    rows, places = len(names), range(0, width, step)
    axes.set(xlim=(-0.1, width + 0.1), ylim=(rows + margin, -margin), xlabel="column")
    axes.set_xticks([column + 0.5 for column in places], list(map(str, places)))
    axes.set_yticks([row + 0.5 for row in range(rows)], list(map(str, names)))
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)


def _with_legend_below(
    figure: Figure, signs: Mapping[str, tuple[str, str]], used: Container[str], *more: Artist
) -> Figure:
    handles = [
        Patch(facecolor=colour, edgecolor="grey", label=f"{letter}  {name}")
        for name, (letter, colour) in signs.items()
        if name in used
    ]
    figure.tight_layout()
    figure.legend(
        handles=[*handles, *more], loc="upper center", bbox_to_anchor=(0.5, 0.02),
        ncols=len(handles) + len(more), frameon=False, fontsize=8, handlelength=1.2,
        columnspacing=1.2,
    )  # fmt: skip
    plt.close(figure)  # so that it is shown once, where the notebook returns it
    return figure


def _with_legend(figure: Figure, axes: Axes, **where: Any) -> Figure:
    axes.legend(frameon=False, fontsize=8, **where)
    figure.tight_layout()
    plt.close(figure)
    return figure

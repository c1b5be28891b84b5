"""Write the cheat sheet, a page to print: `python tools/make_cheat_sheet.py`.

The rows of the curriculum are encoded by the package, and the recipe's numbers are read from it, so
that the page says what the code does.
"""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from notebook_files import ROOT

from coconut_lab import generate_prosqa, load
from coconut_lab.training import load_recipe

INK, LOSS, THOUGHT, QUIET = "#222222", "#E69F00", "#56B4E9", "#EEEEEE"

FORWARD = """\
inputs, cache = embed(ids_up_to_bot), DynamicCache()      # (B, t, d)
for k in 1 … n:
    h = backbone(inputs, cache)[:, -1]                    # (B, d)  last layer, after the norm
    inputs = edit(k, h)[:, None]                          # thought k: fed back, never decoded
hidden = backbone([inputs, embed(eot, steps, answer)], cache)
loss = cross_entropy(head(hidden)[labels != -100], …)     # none on question and thoughts"""

PASSES = """\
n thoughts: n + 1 passes, T columns in all (without a cache about (n + 1) · T)
answer: 1 + n + tokens written        chain: L layers in one pass, L · (n + 1) with n thoughts
batch: pad left so that first thoughts share a column; positions count real tokens;
       mask[:, :stop] (cached columns too), position_ids[:, start:stop] (new columns only)"""

TESTS = """\
own thought back     no answer changes, or the test is broken
zero, mean, noise    weak: harmless where a thought is not needed, and off the model's path
another problem's    destroys; does not redirect
the twin's           same facts, other root: the answer becomes the twin's, if it is used
rewire a hop         behind the model's back from pass t on: followed until the hop is thought
keep / drop names    the span of the names against random spans of equal size
report               right, distractor, other; lost and won (McNemar); problems and seeds"""


def section(figure: plt.Figure, top: float, height: float, title: str) -> Axes:
    """A titled part of the page; `top` and `height` in shares of it."""
    axes = figure.add_axes((0.07, top - height, 0.86, height))
    axes.axis("off")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    return axes


def text(axes: Axes, words: str) -> None:
    """Lines in the type of code."""
    axes.text(0, 1, words, va="top", family="monospace", fontsize=8.5, linespacing=1.5, color=INK)


def draw_stages(axes: Axes) -> None:
    """A row per stage: thoughts, and what the loss asks for."""
    made = load("tiny-coconut")
    problem = generate_prosqa(1, seed=702)[0]
    axes.set(xlim=(0, 12), ylim=(4.2, -0.4))
    for stage in range(4):
        example = made.curriculum.encode(problem, made.tokenizer, stage)
        words = made.tokenizer.convert_ids_to_tokens(example.input_ids)
        start = words.index("<bot>")
        axes.text(0, stage, f"stage {stage}   question", va="center", fontsize=8)
        pairs = zip(words[start:], example.labels[start:], strict=True)
        for place, (word, label) in enumerate(pairs, start=2):
            colour = LOSS if label != -100 else THOUGHT if word == "<thought>" else QUIET
            axes.text(
                place * 1.18 + 0.1, stage, word.strip("<>"), va="center", ha="center", fontsize=7.5,
                bbox={"boxstyle": "round,pad=.3", "facecolor": colour, "edgecolor": INK, "lw": 0.5},
            )  # fmt: skip
    note = "orange: the loss asks for it.  blue: a hidden state goes in, no loss.  grey: no loss"
    axes.text(0, 4, note, va="center", fontsize=8)


def recipe_lines() -> str:
    """The recipe of tiny-coconut in words."""
    recipe = load_recipe("tiny-coconut")
    phases = "  ".join(f"{phase.stage}: {phase.steps}" for phase in recipe.phases)
    best, part = recipe.optimizer, recipe.curriculum
    return (
        f"base model: random walks in graphs, <bot> and <eot> each by its own coin\n"
        f"tiny-coconut: stage: steps  {phases}   batch {recipe.batch_size}\n"
        f"AdamW, rate {best.lr:g}, warm-up {best.warmup_steps} steps, new at each stage; "
        f"rows at a random stage: {part.mix_probability:g}, at the end 0\n"
        "the paper, GPT-2: rate 1e-4, batch 128, 50 epochs; c = 2 thoughts a step on GSM8k, else 1"
    )


def main() -> None:
    """Write docs/cheat_sheet.svg and .pdf."""
    matplotlib.rcParams |= {"svg.hashsalt": "coconut", "pdf.compression": 9}
    figure = plt.figure(figsize=(8.27, 11.69))
    figure.text(0.07, 0.955, "Coconut on a page", fontsize=18, fontweight="bold", color=INK)
    formula = r"$E_t = [e(x_1), \ldots, e(x_i),\; h_i, h_{i+1}, \ldots, h_{t-1}]$"
    figure.text(0.07, 0.925, f"Between <bot> (i) and <eot>: {formula}", fontsize=10, color=INK)
    text(section(figure, 0.88, 0.12, "The latent forward"), FORWARD)
    text(section(figure, 0.73, 0.09, "Passes and batches"), PASSES)
    draw_stages(section(figure, 0.61, 0.2, "The curriculum, and where the loss is"))
    text(section(figure, 0.375, 0.09, "The recipe"), recipe_lines())
    text(section(figure, 0.255, 0.15, "Is the thought used? (notebook 08)"), TESTS)
    source = "Hao et al. 2024, arXiv:2412.06769. Notebooks 02 to 05 and 08 of coconut-lab."
    figure.text(0.07, 0.05, source, fontsize=8, color=INK)
    for kind, stamp in (("svg", "Date"), ("pdf", "CreationDate")):
        figure.savefig(ROOT / f"docs/cheat_sheet.{kind}", metadata={stamp: None})


if __name__ == "__main__":
    main()

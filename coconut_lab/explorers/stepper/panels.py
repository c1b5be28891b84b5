"""The pictures beside the graph: decoded words, the answer so far, accuracy per budget."""

from __future__ import annotations

from coconut_lab.explorers.stepper.state import BudgetScore, State
from coconut_lab.explorers.svg import (
    BLUE,
    FAINT,
    INK,
    LINE,
    MUTED,
    PAPER,
    VERMILLION,
    bar,
    mark,
    number,
    picture,
    shortened,
    text,
)

WIDTH = 258.0  # of the words
_ROW = 18.0


def words(state: State) -> str:
    """Draw the most probable words of every thought so far as bars.

    Args:
        state: what to draw.

    Returns:
        An `<svg>` whose size does not depend on the thought that is looked at.
    """
    thoughts = state.reading.thoughts
    shown = 4 if len(thoughts) <= 3 else 3
    body, said, y = [], [], 4.0
    for reading in thoughts:
        done, current = reading.number <= state.thought, reading.number == state.thought
        title = f"Thought {reading.number}" + ("" if done else ": not yet")
        body.append(
            text(0, y + 12, title, size=12.5, weight=700 if current else 500,
                 fill=INK if current else MUTED)
        )  # fmt: skip
        if current:
            body.append(f'<rect x="-10" y="{y + 1:g}" width="4" height="{20 + shown * _ROW:g}" '
                        f'rx="2" fill="{BLUE}"/>')  # fmt: skip
        y += 20
        frontier = state.graph.frontier(reading.hop)
        for word in reading.words[:shown] if done else ():
            name = word.text if word.node is None else state.graph.names[word.node]
            if word.node in frontier:
                body.append(_ring(6, y + 8))
            body.append(text(18, y + 12, shortened(name, 12),
                             fill=MUTED if word.node is None else INK))  # fmt: skip
            body.append(bar(100, y + 3, 104, word.probability, BLUE if current else LINE))
            body.append(text(240, y + 12, number(word.probability), anchor="end"))
            said.append(f"thought {reading.number}: {name} {number(word.probability)}")
            y += _ROW
        y += (shown - (min(shown, len(reading.words)) if done else 0)) * _ROW + 10
    title = "Most probable words of each thought so far"
    drawing = f'<g transform="translate(12 0)">{"".join(body)}</g>'
    return picture(WIDTH, y, title, "; ".join(said) or "none yet", drawing, "words")


def _ring(x: float, y: float) -> str:
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="4.2" fill="none" stroke="{VERMILLION}" '
        'stroke-width="2.2"/>'
    )


def answer(state: State) -> str:
    """Draw how probable each option is if the model has to answer after the budget.

    Args:
        state: what to draw.

    Returns:
        An `<svg>`.
    """
    forced = state.reading.answers[state.budget]
    names = state.graph.names
    rows = (
        ("target", names[state.graph.target], forced.target),
        ("distractor", names[state.graph.distractor], forced.distractor),
        ("", "any other word", max(0.0, 1 - forced.target - forced.distractor)),
    )
    body = []
    for index, (role, name, probability) in enumerate(rows):
        y = 6.0 + index * 24
        if role:
            body.append(mark(role, 8, y + 8))
        body.append(text(22, y + 12, shortened(name, 16), fill=INK if role else MUTED))
        body.append(bar(136, y + 1, 170, probability, BLUE if role else LINE, height=14))
        body.append(text(346, y + 12, number(probability), weight=600, anchor="end"))
    said = ", ".join(
        f"{role or 'any other word'} {name if role else ''} {number(p)}" for role, name, p in rows
    )
    title = f"Probability of each answer after {_thoughts(state.budget)}"
    return picture(350, 78, title, said, "".join(body), "answer")


def accuracy(state: State) -> str:
    """Draw the accuracy on the card for every budget, with its 95% interval.

    Args:
        state: what to draw.

    Returns:
        An `<svg>`; an empty text if the card has no accuracy.
    """
    if not state.scores:
        return ""
    left, right, top, bottom = 44.0, 330.0, 10.0, 92.0
    most = max(score.thoughts for score in state.scores)

    def height(share: float) -> float:
        return bottom - (bottom - top) * share

    body = []
    for share in (0.0, 0.5, 1.0):
        y = height(share)
        dash = ' stroke-dasharray="4 4"' if share == 0.5 else ""
        body.append(f'<path d="M{left:g} {y:g}H{right:g}" stroke="{FAINT}"{dash}/>')
        body.append(text(left - 8, y + 4, f"{share:.0%}", size=11, fill=MUTED, anchor="end"))
    body.append(text(right + 4, height(0.5) + 4, "chance", size=11, fill=MUTED))
    for score in state.scores:
        x = left + 24 + (right - left - 48) * score.thoughts / max(1, most)
        current = score.thoughts == state.budget
        colour = BLUE if current else LINE
        body.append(
            f'<path d="M{x:.1f} {height(score.low):.1f}V{height(score.high):.1f}'
            f"M{x - 3:.1f} {height(score.low):.1f}h6"
            f'M{x - 3:.1f} {height(score.high):.1f}h6" stroke="{colour}" stroke-width="1.6"/>'
            f'<circle cx="{x:.1f}" cy="{height(score.accuracy):.1f}" r="{6 if current else 4}" '
            f'fill="{BLUE if current else PAPER}" stroke="{colour}" stroke-width="1.6"/>'
        )
        body.append(
            text(x, bottom + 17, str(score.thoughts), size=11.5, weight=700 if current else 400,
                 fill=INK if current else MUTED, anchor="middle")
        )  # fmt: skip
    axis = f"thoughts before the answer; {state.scores[0].total:,} problems, 95% intervals"
    body.append(text((left + right) / 2, bottom + 33, axis, size=11, fill=MUTED, anchor="middle"))
    said = "; ".join(f"{_thoughts(s.thoughts)}: {in_words(s)}" for s in state.scores)
    return picture(
        376, 130, "Accuracy for each number of thoughts", said, "".join(body), "accuracy"
    )


def in_words(score: BudgetScore) -> str:
    """Write an accuracy with its 95% interval, in percent."""
    return f"{score.accuracy:.1%} ({score.low * 100:.1f} to {score.high * 100:.1f})"


def _thoughts(count: int) -> str:
    return f"{count} thought" + ("" if count == 1 else "s")

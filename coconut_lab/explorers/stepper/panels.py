"""The pictures beside the graph: decoded words, the answer so far, accuracy per budget."""

from __future__ import annotations

from coconut_lab.curriculum.in_words import count
from coconut_lab.explorers.html import BLUE, FAINT, INK, LINE, MUTED, PAPER, VERMILLION, shortened
from coconut_lab.explorers.stepper.state import BudgetScore, State
from coconut_lab.explorers.svg import Drawing, number, scale

WIDTH = 258  # of the words
_ROW = 18


def words(state: State) -> str:
    """Draw the most probable words of every thought so far as bars, in a picture of fixed size."""
    thoughts = state.reading.thoughts
    rows = 4 if len(thoughts) <= 3 else 3
    drawing, said, top = Drawing(), [], 4
    with drawing.group(transform="translate(12 0)"):
        for reading in thoughts:
            done, current = reading.number <= state.thought, reading.number == state.thought
            title = f"Thought {reading.number}" + ("" if done else ": not yet")
            weight, ink = (700, INK) if current else (500, MUTED)
            drawing.text(0, top + 12, title, size=12.5, weight=weight, fill=ink)
            if current:
                drawing.rect(-10, top + 1, 4, 20 + rows * _ROW, rx=2, fill=BLUE)
            frontier = state.graph.frontier(reading.hop)
            for row, word in enumerate(reading.words[:rows] if done else ()):
                y = top + 20 + row * _ROW
                name = word.text if word.node is None else state.graph.names[word.node]
                if word.node in frontier:
                    drawing.circle(6, y + 8, 4.2, fill="none", stroke=(VERMILLION, 2.2))
                ink = MUTED if word.node is None else INK
                drawing.text(18, y + 12, shortened(name, 12), fill=ink)
                drawing.bar(100, y + 3, 104, word.probability, BLUE if current else LINE)
                drawing.text(240, y + 12, number(word.probability), "end")
                said.append(f"thought {reading.number}: {name} {number(word.probability)}")
            top += 30 + rows * _ROW
    title = "Most probable words of each thought so far"
    return drawing.picture("words", WIDTH, top, title, "; ".join(said) or "none yet")


def answer(state: State) -> str:
    """Draw how probable each option is if the model has to answer after the budget."""
    graph, forced = state.graph, state.reading.answers[state.budget]
    rows = (
        ("target", graph.names[graph.target], forced.target),
        ("distractor", graph.names[graph.distractor], forced.distractor),
        ("", "any other word", max(0.0, 1 - forced.target - forced.distractor)),
    )
    drawing, said = Drawing(), []
    for index, (role, name, probability) in enumerate(rows):
        y = 6 + index * 24
        if role:
            drawing.mark(role, 8, y + 8)
        drawing.text(22, y + 12, shortened(name, 16), fill=INK if role else MUTED)
        drawing.bar(136, y + 1, 170, probability, BLUE if role else LINE, height=14)
        drawing.text(346, y + 12, number(probability), "end", weight=600)
        said.append(f"{role or name} {name if role else ''} {number(probability)}")
    title = f"Probability of each answer after {count(state.budget, 'thought')}"
    return drawing.picture("answer", 350, 78, title, ", ".join(said))


def accuracy(state: State) -> str:
    """Draw the accuracy on the card for every budget, with its 95% interval; "" without any."""
    if not state.scores:
        return ""
    left, right, top, bottom = 44, 330, 10, 92
    x_of = scale(left + 24, right - 24, 0, max(1, *(score.thoughts for score in state.scores)))
    y_of = scale(bottom, top)
    drawing = Drawing()
    for share in (0.0, 0.5, 1.0):
        y, dash = y_of(share), "4 4" if share == 0.5 else None
        drawing.path(f"M{left} {y:g}H{right}", stroke=FAINT, stroke_dasharray=dash)
        drawing.label(left - 8, y + 4, f"{share:.0%}", "end")
    drawing.label(right + 4, y_of(0.5) + 4, "chance")
    for score in state.scores:
        x, y, current = x_of(score.thoughts), y_of(score.accuracy), score.thoughts == state.budget
        colour, fill, r = (BLUE, BLUE, 6) if current else (LINE, PAPER, 4)
        weight, ink = (700, INK) if current else (400, MUTED)
        drawing.interval(x, y_of(score.low), y_of(score.high), 3, stroke=(colour, 1.6))
        drawing.circle(x, y, r, fill=fill, stroke=(colour, 1.6))
        name = str(score.thoughts)
        drawing.text(x, bottom + 17, name, "middle", size=11.5, weight=weight, fill=ink)
    axis = f"thoughts before the answer; {state.scores[0].total:,} problems, 95% intervals"
    drawing.label((left + right) / 2, bottom + 33, axis, "middle")
    said = "; ".join(f"{count(s.thoughts, 'thought')}: {in_words(s)}" for s in state.scores)
    return drawing.picture("accuracy", 376, 130, "Accuracy for each number of thoughts", said)


def in_words(score: BudgetScore) -> str:
    """Write an accuracy with its 95% interval, in percent."""
    return f"{score.accuracy:.1%} ({score.low * 100:.1f} to {score.high * 100:.1f})"

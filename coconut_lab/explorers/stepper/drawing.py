"""The stepper's picture, as a pure function: `render(state)` is HTML with inline SVG."""

from coconut_lab.curriculum.in_words import count
from coconut_lab.explorers import html
from coconut_lab.explorers.html import BLUE, FAINT, INK, LINE, MUTED, PAPER, VERMILLION, safe, tag
from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH, Point, lay_out
from coconut_lab.explorers.stepper.state import BudgetScore, State
from coconut_lab.explorers.svg import Drawing, ink_on, scale, shade
from coconut_lab.tasks.notation import read_statement

_HELD = 0.05  # a name with less is hardly there
_LABEL_WIDTHS = {"root": 44, "target": 54, "distractor": 74}
_WIDTH, _ROW = 258, 18  # of the words


def render(state: State) -> str:
    """Draw everything the stepper shows: one well-formed `<div>` with every text escaped.

    It has its own background, and needs nothing from anywhere else.
    """
    graph, thought, last = state.graph, state.thought, len(state.reading.thoughts)
    first, second = read_statement(state.reading.problem.question).options
    asked = f"Is {graph.names[graph.root]} a {first} or a {second}?"
    facts = f"{len(graph.names)} names, {len(graph.edges)} facts, {count(graph.hops, 'hop')}"
    source = f"{state.source} · " if state.source else ""
    looking = f"Thought {thought} of {last}, read through the language-model head"
    large, aside = "margin:14px 0 0;font-size:14.5px", f"margin:10px 0 0;color:{MUTED}"
    shown = html.column(
        "1 1 440px",
        html.heading(looking if thought else f"Before thought 1 of {last}", below=8),
        graph_picture(state),
        _legend(state),
        tag("p", safe(caption(state)), class_="caption", style=large),
        tag("p", safe(state.note), style=aside) if state.note else "",
    )
    decoded = html.heading("Words each thought decodes to", below=8)
    said = html.column(f"0 1 {_WIDTH}px", decoded, words(state))
    return html.card(
        "stepper",
        html.title_row(safe(asked), html.muted(f"{safe(source)}{facts} to the answer", "div")),
        html.wrapping(shown, said, style="gap:16px 24px;margin-top:12px"),
        _answer_strip(state),
        thought=thought, budget=state.budget,
    )  # fmt: skip


def caption(state: State) -> str:
    """Say in one or two sentences what the picture of a thought shows, not escaped."""
    graph, reading, frontier = state.graph, state.current, state.frontier
    root = graph.names[graph.root]
    if reading is None:
        return (
            f"No thought yet: the model has read the facts and the question. The ring is on {root}."
        )
    if not frontier:
        return (
            f"No name is {count(reading.hop, 'hop')} from {root}, so there is no ring. "
            f"Thought {reading.number} gives {reading.nodes[graph.target]:.2f} to the right "
            f"answer, {graph.names[graph.target]}."
        )
    said = (
        f"Thought {reading.number} puts {reading.frontier:.2f} of its probability on the "
        f"{reading.hop}-hop frontier (chance: {reading.uniform_frontier:.2f})"
    )
    if len(frontier) > 1:
        held = sum(reading.nodes[node] >= _HELD for node in frontier)
        gets = "gets" if held == 1 else "get"
        said += f"; {held} of its {len(frontier)} names {gets} {_HELD} or more"
    return f"{said}."


def graph_picture(state: State) -> str:
    """Draw the graph: filled by probability, the true frontier ringed, roles marked.

    Args:
        state: what to draw.

    Returns:
        An `<svg>`; every node is a `<g class="node">` with its index and probability as data.
    """
    graph, layout, drawing, said = state.graph, lay_out(state.graph), Drawing(), []
    hops = graph.distances(graph.root)
    for node in sorted(state.frontier):
        x, y = layout.nodes[node]
        left, top = x - NODE_WIDTH / 2 - 5, y - NODE_HEIGHT / 2 - 5
        drawing.rect(left, top, NODE_WIDTH + 10, NODE_HEIGHT + 10, class_="ring", data_node=node,
                     rx=16, fill="none", stroke=(VERMILLION, 3))  # fmt: skip
    for (parent, child), points in zip(graph.edges, layout.edges, strict=True):
        before, after = hops[parent], hops[child]
        on_the_way = before is not None and after == before + 1 and after <= state.hop
        newest = on_the_way and after == state.hop
        stroke = (INK, 2) if newest else (MUTED, 1.6) if on_the_way else (LINE, 1.1)
        _edge(drawing, points, *stroke)
    for node, place in enumerate(layout.nodes):
        said.append(_node(drawing, state, node, place))
    title = f"Graph at thought {state.thought}"
    return drawing.picture("graph", layout.width, layout.height, title, "; ".join(said))


def _edge(drawing: Drawing, points: tuple[Point, ...], colour: str, width: float) -> None:
    (x, y), *rest = points
    line = f"M{x:.1f} {y:.1f}"
    for index, (to_x, to_y) in enumerate(rest):
        if index == len(rest) - 1:
            to_x -= 6  # room for the arrowhead
        if index % 2:
            line += f"H{to_x:.1f}"
        else:
            bend = (to_x - x) / 2
            line += f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    drawing.path(line, class_="edge", fill="none", stroke=(colour, width))
    drawing.polygon((x + 6, y), (x - 2, y - 4), (x - 2, y + 4), fill=colour)


def _node(drawing: Drawing, state: State, index: int, place: Point) -> str:
    """Draw a node, and say what it shows."""
    graph, reading, (x, y) = state.graph, state.current, place
    name, share = graph.names[index], reading.nodes[index] if reading else 0.0
    roles = {graph.root: "root", graph.target: "target", graph.distractor: "distractor"}
    role, ink, left, top = roles.get(index), ink_on(share), x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2
    given = f"{share:.6f}" if reading else None
    with drawing.group(class_="node", data_node=index, data_probability=given):
        title = f"{name}: {share:.2f}" if reading else name
        drawing.parts.append(tag("title", safe(title)))
        drawing.rect(left, top, NODE_WIDTH, NODE_HEIGHT, class_="body", rx=11, fill=shade(share),
                     stroke=MUTED)  # fmt: skip
        label = html.shortened(name, 11)
        drawing.text(x, y - 2 if reading else y + 4.5, label, "middle", size=13, fill=ink)
        if reading:
            weight, fill = (700, ink) if share >= 0.005 else (400, MUTED)
            drawing.text(x, y + 14, f"{share:.2f}", "middle", size=12.5, weight=weight, fill=fill)
        if role:
            with drawing.group(class_="role", data_role=role):
                width = _LABEL_WIDTHS[role]
                drawing.rect(left + 4, top - 13, width, 16, rx=8, fill=PAPER, stroke=INK)
                drawing.mark(role, left + 14, top - 5)
                drawing.text(left + 22, top - 1, role, size=11)
    extra = ", ".join(filter(None, (role, "on the frontier" if index in state.frontier else None)))
    return name + (f" {share:.2f}" if reading else "") + (extra and f" ({extra})")


def _legend(state: State) -> str:
    shades, ring = Drawing(), Drawing()
    for step in range(8):
        shades.rect(step * 9, 0, 9, 11, fill=shade(step / 7))
    shades.rect(0.5, 0.5, 71, 10, fill="none", stroke=LINE)
    ring.rect(2, 2, 16, 10, rx=4, fill="none", stroke=(VERMILLION, 2.6))
    colours = tag("svg", *shades.parts, width=72, height=11, aria_hidden="true")
    sign = tag("svg", *ring.parts, width=20, height=14, aria_hidden="true")
    look = "display:inline-flex;align-items:center;gap:6px"
    root = safe(state.graph.names[state.graph.root])
    return html.wrapping(
        tag("span", f"0 {colours} 1 probability of the name", style=look),
        tag("span", f"{sign} true frontier: {count(state.hop, 'hop')} from {root}", style=look),
        style=f"gap:4px 20px;margin-top:6px;font-size:12px;color:{MUTED}",
    )


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
                y, share = top + 20 + row * _ROW, f"{word.probability:.2f}"
                name = word.text if word.node is None else state.graph.names[word.node]
                if word.node in frontier:
                    drawing.circle(6, y + 8, 4.2, fill="none", stroke=(VERMILLION, 2.2))
                ink = MUTED if word.node is None else INK
                drawing.text(18, y + 12, html.shortened(name, 12), fill=ink)
                drawing.bar(100, y + 3, 104, word.probability, BLUE if current else LINE)
                drawing.text(240, y + 12, share, "end")
                said.append(f"thought {reading.number}: {name} {share}")
            top += 30 + rows * _ROW
    title = "Most probable words of each thought so far"
    return drawing.picture("words", _WIDTH, top, title, "; ".join(said) or "none yet")


def _answer_strip(state: State) -> str:
    thoughts = count(state.budget, "thought")
    score = next((score for score in state.scores if score.thoughts == state.budget), None)
    said = _in_words(score) if score else "not on this model's card"
    shown = tag("span", safe(said), class_="score", style=f"color:{INK}")
    first = html.heading(f"If it had to answer after {thoughts}", below=8)
    second = html.heading(f"Accuracy with {thoughts}: {shown}", below=8)
    return html.wrapping(
        html.column("0 1 350px", first, answer(state)),
        html.column("1 1 376px", second, accuracy(state)),
        style=f"gap:14px 40px;margin-top:16px;padding-top:14px;border-top:1px solid {FAINT}",
    )


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
        drawing.text(22, y + 12, html.shortened(name, 16), fill=INK if role else MUTED)
        drawing.bar(136, y + 1, 170, probability, BLUE if role else LINE, height=14)
        drawing.text(346, y + 12, f"{probability:.2f}", "end", weight=600)
        said.append(f"{role or name} {name if role else ''} {probability:.2f}")
    title = f"Probability of each answer after {count(state.budget, 'thought')}"
    return drawing.picture("answer", 350, 78, title, ", ".join(said))


def accuracy(state: State) -> str:
    """Draw the accuracy on the card for every budget, with its 95% interval; "" without any."""
    if not state.scores:
        return ""
    left, right, top, bottom = 44, 330, 10, 92
    x_of = scale(left + 24, right - 24, 0, max(1, *(score.thoughts for score in state.scores)))
    y_of, drawing = scale(bottom, top), Drawing()
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
    said = "; ".join(f"{count(s.thoughts, 'thought')}: {_in_words(s)}" for s in state.scores)
    return drawing.picture("accuracy", 376, 130, "Accuracy for each number of thoughts", said)


def _in_words(score: BudgetScore) -> str:
    return f"{score.accuracy:.1%} ({score.low * 100:.1f} to {score.high * 100:.1f})"

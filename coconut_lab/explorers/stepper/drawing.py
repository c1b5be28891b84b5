"""The stepper's picture, as a pure function: `render(state)` is HTML with inline SVG."""

from __future__ import annotations

from functools import lru_cache

from coconut_lab.curriculum.in_words import count
from coconut_lab.explorers import html
from coconut_lab.explorers.html import FAINT, INK, LINE, MUTED, PAPER, VERMILLION, safe, tag
from coconut_lab.explorers.stepper import panels
from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH, Point, lay_out
from coconut_lab.explorers.stepper.state import State
from coconut_lab.explorers.svg import Drawing, ink_on, number, shade
from coconut_lab.tasks.notation import read_statement

_HELD = 0.05  # a name with less is hardly there
_LABEL_WIDTHS = {"root": 44, "target": 54, "distractor": 74}


def render(state: State) -> str:
    """Draw everything the stepper shows: one well-formed `<div>` with every text escaped.

    It has its own background, and needs nothing from anywhere else.
    """
    graph, thought, last = state.graph, state.thought, len(state.reading.thoughts)
    first, second = _options(state.reading.problem.question)
    asked = f"Is {graph.names[graph.root]} a {first} or a {second}?"
    facts = f"{len(graph.names)} names, {len(graph.edges)} facts, {count(graph.hops, 'hop')}"
    source = f"{state.source} · " if state.source else ""
    looking = f"Thought {thought} of {last}, read through the language-model head"
    said = tag(
        "p", safe(caption(state)), class_="caption", style="margin:14px 0 0;font-size:14.5px"
    )
    note = tag("p", safe(state.note), style=f"margin:10px 0 0;color:{MUTED}")
    shown = html.column(
        "1 1 440px",
        html.heading(looking if thought else f"Before thought 1 of {last}", below=8),
        graph_picture(state) + _legend(state) + said + (note if state.note else ""),
    )
    words = html.column(
        f"0 1 {panels.WIDTH}px",
        html.heading("Words each thought decodes to", below=8),
        panels.words(state),
    )
    return html.card(
        "stepper",
        html.title_row(safe(asked), html.muted(f"{safe(source)}{facts} to the answer", "div")),
        html.wrapping(shown, words, style="gap:16px 24px;margin-top:12px"),
        _answer_strip(state),
        thought=thought,
        budget=state.budget,
    )


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
            f"Thought {reading.number} gives {number(reading.nodes[graph.target])} to the right "
            f"answer, {graph.names[graph.target]}."
        )
    said = (
        f"Thought {reading.number} puts {number(reading.frontier)} of its probability on the "
        f"{reading.hop}-hop frontier (chance: {number(reading.uniform_frontier)})"
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
    graph, reading, frontier = state.graph, state.current, state.frontier
    layout = lay_out(graph)
    hops, drawing, said = graph.distances(graph.root), Drawing(), []
    for node in sorted(frontier):
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
    roles = {graph.root: "root", graph.target: "target", graph.distractor: "distractor"}
    for node, (name, place) in enumerate(zip(graph.names, layout.nodes, strict=True)):
        probability, role = reading.nodes[node] if reading else None, roles.get(node)
        _node(drawing, node, place, name, probability, role)
        value = "" if probability is None else f" {number(probability)}"
        extra = ", ".join(filter(None, (role, "on the frontier" if node in frontier else None)))
        said.append(f"{name}{value}{extra and f' ({extra})'}")
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


def _node(
    drawing: Drawing,
    index: int,
    place: Point,
    name: str,
    probability: float | None,
    role: str | None,
) -> None:
    (x, y), share, known = place, probability or 0.0, probability is not None
    left, top = x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2
    ink, given = ink_on(share), f"{share:.6f}" if known else None
    with drawing.group(class_="node", data_node=index, data_probability=given):
        drawing.parts.append(tag("title", safe(f"{name}: {number(share)}" if known else name)))
        drawing.rect(left, top, NODE_WIDTH, NODE_HEIGHT, class_="body", rx=11, fill=shade(share),
                     stroke=MUTED)  # fmt: skip
        label = html.shortened(name, 11)
        drawing.text(x, y - 2 if known else y + 4.5, label, "middle", size=13, fill=ink)
        if known:
            weight, fill = (700, ink) if share >= 0.005 else (400, MUTED)
            drawing.text(x, y + 14, number(share), "middle", size=12.5, weight=weight, fill=fill)
        if role:
            with drawing.group(class_="role", data_role=role):
                width = _LABEL_WIDTHS[role]
                drawing.rect(left + 4, top - 13, width, 16, rx=8, fill=PAPER, stroke=INK)
                drawing.mark(role, left + 14, top - 5)
                drawing.text(left + 22, top - 1, role, size=11)


def _legend(state: State) -> str:
    shades, ring = Drawing(), Drawing()
    for step in range(8):
        shades.rect(step * 9, 0, 9, 11, fill=shade(step / 7))
    shades.rect(0.5, 0.5, 71, 10, fill="none", stroke=LINE)
    ring.rect(2, 2, 16, 10, rx=4, fill="none", stroke=(VERMILLION, 2.6))
    scale = tag("svg", *shades.parts, width=72, height=11, aria_hidden="true")
    sign = tag("svg", *ring.parts, width=20, height=14, aria_hidden="true")
    look = "display:inline-flex;align-items:center;gap:6px"
    root = safe(state.graph.names[state.graph.root])
    return html.wrapping(
        tag("span", f"0 {scale} 1 probability of the name", style=look),
        tag("span", f"{sign} true frontier: {count(state.hop, 'hop')} from {root}", style=look),
        style=f"gap:4px 20px;margin-top:6px;font-size:12px;color:{MUTED}",
    )


def _answer_strip(state: State) -> str:
    thoughts = count(state.budget, "thought")
    score = next((score for score in state.scores if score.thoughts == state.budget), None)
    said = panels.in_words(score) if score else "not on this model's card"
    shown = tag("span", safe(said), class_="score", style=f"color:{INK}")
    answer = html.heading(f"If it had to answer after {thoughts}", below=8)
    accuracy = html.heading(f"Accuracy with {thoughts}: {shown}", below=8)
    return html.wrapping(
        html.column("0 1 350px", answer, panels.answer(state)),
        html.column("1 1 376px", accuracy, panels.accuracy(state)),
        style=f"gap:14px 40px;margin-top:16px;padding-top:14px;border-top:1px solid {FAINT}",
    )


@lru_cache(maxsize=64)
def _options(question: str) -> tuple[str, str]:
    """The two options, in the order in which the question offers them."""
    return read_statement(question).options

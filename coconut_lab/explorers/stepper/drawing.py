"""The stepper's picture, as a pure function: `render(state)` is HTML with inline SVG."""

from __future__ import annotations

from functools import lru_cache

from coconut_lab.explorers.stepper import panels
from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH, Point, lay_out
from coconut_lab.explorers.stepper.state import State
from coconut_lab.explorers.svg import (
    CARD,
    FAINT,
    INK,
    LINE,
    MUTED,
    PAPER,
    VERMILLION,
    ink_on,
    mark,
    number,
    picture,
    safe,
    shade,
    shortened,
    text,
)
from coconut_lab.tasks.notation import read_statement

_HELD = 0.05  # a name with less is hardly there
_HEADING = f"margin:0 0 8px;font-size:13px;font-weight:600;color:{MUTED}"


def render(state: State) -> str:
    """Draw everything the stepper shows.

    Args:
        state: what to draw.

    Returns:
        One `<div>` that is well-formed XML too. The text that stands on it is escaped, its
        background is its own, and it needs nothing from anywhere else.
    """
    graph = state.graph
    root = safe(graph.names[graph.root])
    first, second = map(safe, _options(state.reading.problem.question))
    facts = f"{len(graph.names)} names, {len(graph.edges)} facts, {_hops(graph.hops)} to the answer"
    source = f"{safe(state.source)} · " if state.source else ""
    note = f'<p style="margin:10px 0 0;color:{MUTED}">{safe(state.note)}</p>' if state.note else ""
    return (
        f'<div class="coconut-stepper" data-thought="{state.thought}" data-budget="{state.budget}" '
        f'style="{CARD}">'
        f'<div style="display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 24px">'
        f'<div style="font-size:17px;font-weight:600">Is {root} a {first} or a {second}?</div>'
        f'<div style="color:{MUTED}">{source}{facts}</div></div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:16px 24px;margin-top:12px">'
        f'<div style="flex:1 1 440px;min-width:0"><div style="{_HEADING}">{_graph_heading(state)}'
        f"</div>{graph_picture(state)}{_legend(state)}"
        f'<p class="caption" style="margin:14px 0 0;font-size:14.5px">{safe(caption(state))}</p>'
        f"{note}</div>"
        f'<div style="flex:0 1 {panels.WIDTH:g}px;min-width:0"><div style="{_HEADING}">'
        f"Words each thought decodes to</div>{panels.words(state)}</div></div>"
        f"{_answer_strip(state)}</div>"
    )


def caption(state: State) -> str:
    """Say in one or two sentences what the picture of a thought shows.

    Args:
        state: what is drawn.

    Returns:
        Plain text, not escaped.
    """
    graph, reading = state.graph, state.current
    root = graph.names[graph.root]
    if reading is None:
        return (
            f"No thought yet: the model has read the facts and the question. The ring is on {root}."
        )
    if not state.frontier:
        return (
            f"No name is {_hops(reading.hop)} from {root}, so there is no ring. "
            f"Thought {reading.number} gives {number(reading.nodes[graph.target])} to the right "
            f"answer, {graph.names[graph.target]}."
        )
    said = (
        f"Thought {reading.number} puts {number(reading.frontier)} of its probability on the "
        f"{reading.hop}-hop frontier (chance: {number(reading.uniform_frontier)})"
    )
    if len(state.frontier) > 1:
        held = sum(reading.nodes[node] >= _HELD for node in state.frontier)
        gets = "gets" if held == 1 else "get"
        said += f"; {held} of its {len(state.frontier)} names {gets} {_HELD} or more"
    return f"{said}."


def graph_picture(state: State) -> str:
    """Draw the graph: filled by probability, the true frontier ringed, roles marked.

    Args:
        state: what to draw.

    Returns:
        An `<svg>`; every node is a `<g class="node">` with its index and probability as data.
    """
    graph, layout, reading = state.graph, lay_out(state.graph), state.current
    frontier = state.frontier
    hops = graph.distances(graph.root)
    body = [_ring(*layout.nodes[node], node) for node in sorted(frontier)]
    for (parent, child), points in zip(graph.edges, layout.edges, strict=True):
        before, after = hops[parent], hops[child]
        on_the_way = before is not None and after == before + 1 and after <= state.hop
        newest = on_the_way and after == state.hop
        colour, width = (INK, 2.0) if newest else (MUTED, 1.6) if on_the_way else (LINE, 1.1)
        body.append(_edge(points, colour, width))
    roles = {graph.root: "root", graph.target: "target", graph.distractor: "distractor"}
    said = []
    for node, (x, y) in enumerate(layout.nodes):
        probability = None if reading is None else reading.nodes[node]
        body.append(_node(node, x, y, graph.names[node], probability, roles.get(node)))
        value = "" if probability is None else f" {number(probability)}"
        extra = [roles[node]] if node in roles else []
        extra += ["on the frontier"] if node in frontier else []
        said.append(f"{graph.names[node]}{value}{' (' + ', '.join(extra) + ')' if extra else ''}")
    title = f"Graph at thought {state.thought}"
    return picture(layout.width, layout.height, title, "; ".join(said), "".join(body), "graph")


def _edge(points: tuple[Point, ...], colour: str, width: float) -> str:
    (x, y), *rest = points
    path = [f"M{x:.1f} {y:.1f}"]
    for index, (to_x, to_y) in enumerate(rest):
        if index == len(rest) - 1:
            to_x -= 6  # room for the arrowhead
        if index % 2:
            path.append(f"H{to_x:.1f}")
        else:
            bend = (to_x - x) / 2
            path.append(
                f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
            )
        x, y = to_x, to_y
    end = x + 6
    return (
        f'<path class="edge" d="{"".join(path)}" fill="none" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
        f'<polygon points="{end:.1f},{y:.1f} {end - 8:.1f},{y - 4:.1f} {end - 8:.1f},{y + 4:.1f}" '
        f'fill="{colour}"/>'
    )


def _ring(x: float, y: float, index: int) -> str:
    return (
        f'<rect class="ring" data-node="{index}" x="{x - NODE_WIDTH / 2 - 5:.1f}" '
        f'y="{y - NODE_HEIGHT / 2 - 5:.1f}" width="{NODE_WIDTH + 10:g}" '
        f'height="{NODE_HEIGHT + 10:g}" rx="16" fill="none" stroke="{VERMILLION}" '
        'stroke-width="3"/>'
    )


def _node(
    index: int,
    x: float,
    y: float,
    name: str,
    probability: float | None,
    role: str | None,
) -> str:
    left, top = x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2
    data = "" if probability is None else f' data-probability="{probability:.6f}"'
    value = "" if probability is None else f": {number(probability)}"
    parts = [f'<g class="node" data-node="{index}"{data}><title>{safe(name)}{value}</title>']
    share = probability or 0.0
    parts.append(
        f'<rect class="body" x="{left:.1f}" y="{top:.1f}" width="{NODE_WIDTH:g}" '
        f'height="{NODE_HEIGHT:g}" rx="11" fill="{shade(share)}" stroke="{MUTED}"/>'
    )
    ink = ink_on(share)
    label = shortened(name, 11)
    if probability is None:
        parts.append(text(x, y + 4.5, label, size=13, fill=ink, anchor="middle"))
    else:
        parts.append(text(x, y - 2, label, size=13, fill=ink, anchor="middle"))
        parts.append(
            text(x, y + 14, number(share), size=12.5, weight=700 if share >= 0.005 else 400,
                 fill=ink if share >= 0.005 else MUTED, anchor="middle")
        )  # fmt: skip
    if role:
        width = {"root": 44, "target": 54, "distractor": 74}[role]
        parts.append(
            f'<g class="role" data-role="{role}"><rect x="{left + 4:.1f}" y="{top - 13:.1f}" '
            f'width="{width}" height="16" rx="8" fill="{PAPER}" stroke="{INK}"/>'
            f"{mark(role, left + 14, top - 5)}"
            f"{text(left + 22, top - 1, role, size=11)}</g>"
        )
    return "".join(parts) + "</g>"


def _graph_heading(state: State) -> str:
    most = len(state.reading.thoughts)
    if state.current is None:
        return f"Before thought 1 of {most}"
    return f"Thought {state.thought} of {most}, read through the language-model head"


def _legend(state: State) -> str:
    item = '<span style="display:inline-flex;align-items:center;gap:6px">'
    scale = "".join(
        f'<rect x="{i * 9}" y="0" width="9" height="11" fill="{shade(i / 7)}"/>' for i in range(8)
    )
    root = safe(state.graph.names[state.graph.root])
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:4px 20px;margin-top:6px;'
        f'font-size:12px;color:{MUTED}">'
        f'{item}0 <svg width="72" height="11" aria-hidden="true">{scale}'
        f'<rect x="0.5" y="0.5" width="71" height="10" fill="none" stroke="{LINE}"/></svg> 1 '
        "probability of the name</span>"
        f'{item}<svg width="20" height="14" aria-hidden="true"><rect x="2" y="2" width="16" '
        f'height="10" rx="4" fill="none" stroke="{VERMILLION}" stroke-width="2.6"/></svg> '
        f"true frontier: {_hops(state.hop)} from {root}</span></div>"
    )


def _answer_strip(state: State) -> str:
    budget = state.budget
    thoughts = "1 thought" if budget == 1 else f"{budget} thoughts"
    score = next((score for score in state.scores if score.thoughts == budget), None)
    said = panels.in_words(score) if score else "not on this model's card"
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:14px 40px;margin-top:16px;padding-top:14px;'
        f'border-top:1px solid {FAINT}">'
        f'<div style="flex:0 1 350px;min-width:0"><div style="{_HEADING}">'
        f"If it had to answer after {thoughts}</div>{panels.answer(state)}</div>"
        f'<div style="flex:1 1 376px;min-width:0"><div style="{_HEADING}">'
        f'Accuracy with {thoughts}: <span class="score" style="color:{INK}">{safe(said)}</span>'
        f"</div>{panels.accuracy(state)}</div></div>"
    )


@lru_cache(maxsize=64)
def _options(question: str) -> tuple[str, str]:
    """The two options, in the order in which the question offers them."""
    return read_statement(question).options


def _hops(count: int) -> str:
    return "1 hop" if count == 1 else f"{count} hops"

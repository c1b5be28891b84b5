"""The graph as a still drawing: in texts, and where a notebook cannot draw the stepper."""

from collections.abc import Mapping
from typing import Any

from coconut_lab.explorers.stepper.data import Question, stepper_data
from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH
from coconut_lab.explorers.svg import (
    INK,
    LINE,
    MUTED,
    PAPER,
    VERMILLION,
    Drawing,
    ink_on,
    safe,
    shade,
    shortened,
    tag,
)
from coconut_lab.tasks.problems import Problem

_LABEL_WIDTHS = {"root": 44, "target": 54, "distractor": 74}


def graph_picture(problem: Problem) -> str:
    """Draw the graph of a problem as an `<svg>`, the root ringed and roles marked."""
    nothing: dict[str, Any] = {"thoughts": [], "answers": []}
    return still(stepper_data(Question.of(problem), nothing, {}, trained=0), 0)


def still(data: Mapping[str, Any], thought: int) -> str:
    """Draw the graph at a thought: filled by probability, the true frontier ringed, roles marked.

    Args:
        data: of the schema in `data.py`.
        thought: which thought; one that has no reading leaves the nodes without numbers.

    Returns:
        An `<svg>`; every node is a `<g class="node">` with its index and probability as data.
    """
    layout, drawing, said = data["layout"], Drawing(), []
    if layout is None:
        drawing.label(8, 20, f"{len(data['names'])} names are too many to draw", size=13)
        return drawing.picture("graph", 400, 40, "Graph", "too many names to draw")
    now = next((one for one in data["reading"]["thoughts"] if one["number"] == thought), None)
    hops, hop = data["distances"], now["hop"] if now else 0
    for node, (x, y) in enumerate(layout["nodes"]):
        if hops[node] == hop:
            drawing.rect(x - NODE_WIDTH / 2 - 5, y - NODE_HEIGHT / 2 - 5, NODE_WIDTH + 10,
                         NODE_HEIGHT + 10, class_="ring", data_node=node, rx=16, fill="none",
                         stroke=(VERMILLION, 3))  # fmt: skip
    for number, (parent, child) in enumerate(data["facts"]):
        before, after = hops[parent], hops[child]
        on_the_way = before is not None and after == before + 1 and after <= hop
        newest = on_the_way and after == hop
        stroke = (INK, 2) if newest else (MUTED, 1.6) if on_the_way else (LINE, 1.1)
        if number not in data["removed"]:
            _edge(drawing, layout["edges"][number], *stroke)
    for node in range(len(layout["nodes"])):
        said.append(_node(drawing, data, now, node, hops[node] == hop))
    title = f"Graph at thought {thought}"
    return drawing.picture("graph", layout["width"], layout["height"], title, "; ".join(said))


def _edge(drawing: Drawing, points: Any, colour: str, width: float) -> None:
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


def _node(drawing: Drawing, data: Mapping[str, Any], now: Any, node: int, ringed: bool) -> str:
    """Draw a node, and say what it shows."""
    (x, y), name = data["layout"]["nodes"][node], data["names"][node]
    share = now["nodes"][node] if now else 0.0
    roles = dict.fromkeys(data["options"], "distractor")
    role = (roles | {data["target"]: "target", data["asked"]: "root"}).get(node)
    ink, left, top = ink_on(share), x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2
    given = f"{share:.6f}" if now else None
    with drawing.group(class_="node", data_node=node, data_probability=given):
        drawing.parts.append(tag("title", safe(f"{name}: {share:.2f}" if now else name)))
        drawing.rect(left, top, NODE_WIDTH, NODE_HEIGHT, class_="body", rx=11, fill=shade(share),
                     stroke=MUTED)  # fmt: skip
        label = shortened(name, 11)
        drawing.text(x, y - 2 if now else y + 4.5, label, "middle", size=13, fill=ink)
        if now:
            weight, fill = (700, ink) if share >= 0.005 else (400, MUTED)
            drawing.text(x, y + 14, f"{share:.2f}", "middle", size=12.5, weight=weight, fill=fill)
        if role:
            with drawing.group(class_="role", data_role=role):
                drawing.rect(left + 4, top - 13, _LABEL_WIDTHS[role], 16, rx=8, fill=PAPER,
                             stroke=INK)  # fmt: skip
                drawing.mark(role, left + 14, top - 5)
                drawing.text(left + 22, top - 1, role, size=11)
    extra = ", ".join(filter(None, (role, "on the frontier" if ringed else None)))
    return name + (f" {share:.2f}" if now else "") + (extra and f" ({extra})")

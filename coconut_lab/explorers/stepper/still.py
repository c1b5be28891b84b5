"""Still pictures: of a problem's graph, and of the stepper where no widget can be drawn."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from coconut_lab.explorers.stepper.data import Question, stepper_data
from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH
from coconut_lab.tasks.problems import Problem

BLUE, ORANGE, INK, LINE = (0.0, 0.447, 0.698), "#c45100", "#141a22", "#87919d"
SCALE = 2  # pixels of the file for one of the page


def graph_picture(problem: Problem) -> bytes:
    """Draw the graph of a problem as a PNG, twice as large as it is meant to be shown."""
    nothing: dict[str, Any] = {"thoughts": [], "answers": []}
    return picture(stepper_data(Question.of(problem), nothing, {}, trained=0), 0, "")


def picture(data: Mapping[str, Any], thought: int, note: str) -> bytes:
    """Draw the graph at one thought as a PNG.

    Args:
        data: of the schema in `data.py`.
        thought: which thought; one that has no reading leaves the nodes without numbers.
        note: a line above the picture, below the question.
    """
    layout, names = data["layout"], data["names"]
    width, height = (layout["width"], layout["height"]) if layout else (600, 20)
    above = 62 if note else 0
    figure = Figure(figsize=(width / 72, (height + above) / 72), dpi=72 * SCALE)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, -above))
    axes.axis("off")

    def write(x: float, y: float, text: str, size: float, **look: Any) -> None:
        axes.text(x, y, text, size=size, parse_math=False, va="center", zorder=4, **look)

    def box(x: float, y: float, width: float, height: float, round_: float, **look: Any) -> None:
        shape = f"round,pad=0,rounding_size={round_}"
        axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, zorder=3, **look))

    if note:
        first, second = (names[node] for node in data["options"])
        asked = f"Is {names[data['asked']]} a {first} or a {second}?"
        write(8, 16 - above, asked[:90], 15, weight="bold")
        write(8, 40 - above, note, 11)
    now = next((one for one in data["reading"]["thoughts"] if one["number"] == thought), None)
    for fact, points in enumerate(layout["edges"] if layout else ()):
        if fact not in data["removed"]:
            axes.add_patch(PathPatch(_curve(points), fill=False, edgecolor=LINE, zorder=1))
            x, y = points[-1]
            axes.fill([x, x - 8, x - 8], [y, y - 4, y + 4], color=LINE, zorder=2)
    roles = dict.fromkeys(data["options"], "✕ distractor") | {data["asked"]: "▶ root"}
    roles |= {data["target"]: "★ target"}
    for node, (x, y) in enumerate(layout["nodes"] if layout else ()):
        left, top, share = x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2, now["nodes"][node] if now else 0
        if data["distances"][node] == (now["hop"] if now else 0):
            box(left - 5, top - 5, NODE_WIDTH + 10, NODE_HEIGHT + 10, 16, fill=False,
                edgecolor=ORANGE, linewidth=3)  # fmt: skip
        fill = [1 - share * (1 - part) for part in BLUE]
        box(left, top, NODE_WIDTH, NODE_HEIGHT, 11, facecolor=fill, edgecolor=LINE)
        look = {"ha": "center", "color": "white" if share > 0.8 else INK}
        write(x, y - 8 if now else y, names[node][:11], 13, **look)
        if now:
            write(x, y + 9, f"{share:.2f}", 12.5, weight="bold", **look)
        if role := roles.get(node):
            box(left + 4, top - 13, 6.2 * len(role) + 6, 15, 7, facecolor="white", edgecolor=INK)
            write(left + 9, top - 5.5, role, 10)
    with io.BytesIO() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names may have letters that the font lacks
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()


def _curve(points: Any) -> Path:
    """Through points: level across a column, a smooth curve between columns."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        middle = (x + to_x) / 2
        vertices += [(to_x, to_y)] if number % 2 else [(middle, y), (middle, to_y), (to_x, to_y)]
        codes += [Path.LINETO] if number % 2 else [Path.CURVE4] * 3
    return Path(vertices, codes)

"""A still picture of the stepper, for where no widget can be drawn."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH

BLUE, ORANGE = (0.0, 0.447, 0.698), "#c45100"


def picture(data: Mapping[str, Any], thought: int) -> bytes:
    """Draw the graph at one thought as a PNG.

    Args:
        data: of the schema in `data.py`.
        thought: which thought; one that has no reading leaves the nodes empty.
    """
    layout, names = data["layout"], data["names"]
    width, height = (layout["width"], layout["height"]) if layout else (600, 40)
    figure = Figure(figsize=(width / 80, (height + 60) / 80), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, -60))
    axes.axis("off")

    def write(x: float, y: float, text: str, **look: Any) -> None:
        axes.text(x, y, text, parse_math=False, va="center", **look)

    first, second = (names[node] for node in data["options"])
    write(8, -44, f"Is {names[data['asked']]} a {first} or a {second}?"[:90], size=12, weight="bold")
    note = f"Thought {thought} of {len(data['reading']['answers']) - 1}; run the cell to step on"
    write(8, -20, note, size=9)
    now = next((one for one in data["reading"]["thoughts"] if one["number"] == thought), None)
    hop = now["hop"] if now else 0
    for points in layout["edges"] if layout else ():
        axes.plot(*zip(*points, strict=True), color="#87919d", linewidth=1, zorder=1)
    for node, (x, y) in enumerate(layout["nodes"] if layout else ()):
        share = now["nodes"][node] if now else 0.0
        ring = data["distances"][node] == hop
        corner = (x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2)
        axes.add_patch(
            FancyBboxPatch(
                corner, NODE_WIDTH, NODE_HEIGHT, boxstyle="round,pad=0,rounding_size=11",
                facecolor=[1 - share * (1 - part) for part in BLUE], zorder=2,
                edgecolor=ORANGE if ring else "#87919d", linewidth=3 if ring else 1,
            )
        )  # fmt: skip
        look = {"ha": "center", "color": "white" if share > 0.7 else "black", "zorder": 3}
        write(x, y - 8, names[node][:11], size=9, **look)
        write(x, y + 9, f"{share:.2f}" if now else "", size=9, weight="bold", **look)
    with io.BytesIO() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names may have letters that the font lacks
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()

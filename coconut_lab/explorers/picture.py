"""Pictures for notebooks: an SVG, and as PNG what a copy that is not trusted shows in its place.

JupyterLab draws no SVG and no widget of a notebook that it does not trust, as after a download.
"""

import re
import warnings
from io import BytesIO
from xml.etree import ElementTree

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform

_POINTS = 0.72  # of a pixel, at 100 pixels an inch
_NARROW = 0.9  # of a font's size: matplotlib's own letters are wider than a browser's
_SIDES = {"start": "left", "middle": "center", "end": "right"}


class Picture:
    """A drawing that a notebook shows, trusted or not; `svg` is its `<svg>` element, as text."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def __repr__(self) -> str:
        return f"Picture({ElementTree.fromstring(self.svg).get('class')})"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_png_(self) -> bytes:
        return png(ElementTree.fromstring(self.svg))


def png(drawing: ElementTree.Element | Figure) -> bytes:
    """Draw an `<svg>` of the shapes and texts of this package, or a figure, as PNG."""
    if isinstance(drawing, Figure):
        figure, box = drawing, "tight"
    else:
        width, height = float(drawing.get("width", 0)), float(drawing.get("height", 0))
        figure, box = Figure((width / 100, height / 100), dpi=100), None
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        _draw(axes, drawing, axes.transData)
    file = BytesIO()
    with warnings.catch_warnings(action="ignore"):  # of letters that the font lacks
        figure.savefig(file, format="png", dpi=150, bbox_inches=box)
    return file.getvalue()


def _draw(axes: Axes, parent: ElementTree.Element, place: Transform) -> None:
    for element in parent:
        kind, said = element.tag.rpartition("}")[2], element.attrib
        moved = map(float, re.findall(r"-?[\d.]+", said.get("transform", "0 0")))
        here = Affine2D().translate(*moved) + place
        order = len(axes.patches) + len(axes.texts)  # what is drawn later is on top
        if kind == "g":
            _draw(axes, element, here)
        elif kind == "text":
            axes.text(
                float(said["x"]), float(said["y"]), element.text or "", color=said["fill"],
                size=_POINTS * _NARROW * float(said["font-size"]), ha=_SIDES[said["text-anchor"]],
                weight="bold" if int(said["font-weight"]) >= 600 else "normal", transform=here,
                parse_math=False, zorder=order,
            )  # fmt: skip
        elif shape := _shape(kind, said):
            fill = (said.get("fill", "black"), float(said.get("fill-opacity", 1)))
            shape.set(facecolor=said["stroke"] if "marker-end" in said else fill, zorder=order,
                      edgecolor=said.get("stroke", "none"), transform=here,
                      linewidth=_POINTS * float(said.get("stroke-width", 1)))  # fmt: skip
            if dashes := said.get("stroke-dasharray"):
                shape.set_linestyle((0, tuple(map(float, dashes.split()))))
            axes.add_patch(shape)


def _shape(kind: str, said: dict[str, str]) -> Patch | None:
    if kind == "rect":
        x, y, width, height, rx = (
            float(said.get(name, 0)) for name in ("x", "y", "width", "height", "rx")
        )
        r = min(rx, width / 2, height / 2)
        style = f"round,pad={r},rounding_size={r}"
        return FancyBboxPatch((x + r, y + r), width - 2 * r, height - 2 * r, boxstyle=style)
    if kind == "circle":
        return Circle((float(said["cx"]), float(said["cy"])), float(said["r"]))
    if kind in ("polygon", "polyline"):
        points = [tuple(map(float, point.split(","))) for point in said["points"].split()]
        return Polygon(points, closed=kind == "polygon")
    if kind == "path" and "marker-end" in said:
        return FancyArrowPatch(path=_path(said["d"]), arrowstyle="-|>", mutation_scale=6)
    return PathPatch(_path(said["d"])) if kind == "path" else None


def _path(d: str) -> Path:
    """Read a path of the commands that the drawings use: M, L, H, h, V, C, Z."""
    points: list[tuple[float, float]] = []
    codes: list[int] = []
    for command, text in re.findall("([A-Za-z])([^A-Za-z]*)", d):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", text)]
        x, y = points[-1] if points else (0.0, 0.0)
        if command in "HhV":
            along = numbers[0]
            numbers = [x, along] if command == "V" else [along + (x if command == "h" else 0), y]
        found = list(zip(numbers[::2], numbers[1::2], strict=True)) or [(x, y)]
        code = {"M": Path.MOVETO, "C": Path.CURVE4, "Z": Path.CLOSEPOLY}.get(command, Path.LINETO)
        points += found
        codes += [int(code)] * len(found)
    return Path(points, codes)

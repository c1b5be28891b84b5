"""The explorers' pictures: shapes and texts that add up to an `<svg>`, scales, shades."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape

# Okabe and Ito's colours, which colour-blind people can tell apart.
BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
INK, MUTED, LINE, PAPER = "#1d2530", "#56616e", "#8b95a1", "#ffffff"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
# What XML cannot hold: control characters and lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_OURS = {"style", "font_family"}  # never from a problem or a log, and full of quotes
_STAR = (
    (0, -1), (0.27, -0.36), (0.95, -0.31), (0.43, 0.14), (0.59, 0.81), (0, 0.45),
    (-0.59, 0.81), (-0.43, 0.14), (-0.95, -0.31), (-0.27, -0.36),
)  # fmt: skip


def safe(content: str) -> str:
    """Escape a text for HTML and SVG, also inside attributes."""
    return escape(_UNPRINTABLE.sub("\ufffd", content), quote=True)


def tag(name: str, *children: str, **attributes: object) -> str:
    """Write an element.

    Args:
        name: such as `rect`.
        children: markup, so texts must be `safe`; without any the element closes itself.
        attributes: in this order; `class_` is `class`, every other `_` is a `-`. Texts are
            escaped, a float gets one decimal, and None leaves the attribute out.
    """
    start = name
    for key, value in attributes.items():
        if value is None:
            continue
        if isinstance(value, float):
            value = f"{value:.1f}"
        elif isinstance(value, str) and key not in _OURS:
            value = safe(value)
        start += f' {key.rstrip("_").replace("_", "-")}="{value}"'
    return f"<{start}>{''.join(children)}</{name}>" if children else f"<{start}/>"


def shortened(content: str, longest: int) -> str:
    """Cut a text to at most that many characters, with an ellipsis."""
    return content if len(content) <= longest else content[: longest - 1] + "…"


class Drawing:
    """Shapes and texts, in the order in which they are drawn.

    Places and sizes are in pixels: a whole number is written as it is, a float with one decimal.
    Further attributes are those of `tag`; a class and data come first, and `stroke` may be a
    colour with a width.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []

    def shape(self, name: str, more: Mapping[str, object], **geometry: object) -> None:
        """Draw any shape: what it is, where it is, how it looks."""
        what: dict[str, object] = {}
        look: dict[str, object] = {}
        for key, value in more.items():
            if isinstance(value, tuple):
                look[key], look[f"{key}_width"] = value
            else:
                (what if key == "class_" or key.startswith("data_") else look)[key] = value
        self.parts.append(tag(name, **what, **geometry, **look))

    def rect(self, x: float, y: float, width: object, height: float, **more: object) -> None:
        self.shape("rect", more, x=x, y=y, width=width, height=height)

    def path(self, d: str, **more: object) -> None:
        self.shape("path", more, d=d)

    def polygon(self, *points: tuple[float, float], **more: object) -> None:
        self.shape("polygon", more, points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points))

    def text(
        self, x: float, y: float, content: str, anchor: str = "start", *, size: float = 12,
        weight: int = 400, fill: str = INK,
    ) -> None:  # fmt: skip
        """Write one line of text, which need not be `safe`."""
        look = {"font_size": size, "font_weight": weight, "fill": fill, "text_anchor": anchor}
        self.parts.append(tag("text", safe(content), x=float(x), y=float(y), **look))

    def label(
        self, x: float, y: float, content: str, anchor: str = "start", size: float = 11
    ) -> None:
        """Write a text that stays in the background, such as that of an axis."""
        self.text(x, y, content, anchor, size=size, fill=MUTED)

    @contextmanager
    def group(self, **attributes: object) -> Iterator[None]:
        """Put what is drawn inside into a `<g>`."""
        outside, self.parts = self.parts, []
        yield
        self.parts = [*outside, tag("g", *self.parts, **attributes)]

    def mark(self, role: str, x: float, y: float) -> None:
        """Draw the shape of a role around (x, y): triangle, star or cross."""
        if role == "root":
            self.polygon((x - 3.6, y - 4.5), (x + 4.5, y), (x - 3.6, y + 4.5), fill=INK)
        elif role == "target":
            star = ((x + 5.4 * a, y + 5.4 * b) for a, b in _STAR)
            self.polygon(*star, fill=GREEN, stroke=(INK, 0.8))
        else:
            falling = f"M{x - 3.6:.1f} {y - 3.6:.1f}L{x + 3.6:.1f} {y + 3.6:.1f}"
            rising = f"M{x - 3.6:.1f} {y + 3.6:.1f}L{x + 3.6:.1f} {y - 3.6:.1f}"
            self.path(falling + rising, stroke=(INK, 2.4), stroke_linecap="round")

    def picture(self, name: str, width: float, height: float, title: str, said: str) -> str:
        """Wrap the drawing in an `<svg>` of a class that scales down; `said` says what it shows."""
        return tag(
            "svg", tag("desc", safe(said)), *self.parts, xmlns="http://www.w3.org/2000/svg",
            class_=name, role="img", aria_label=f"{title}. {said}",
            viewBox=f"0 0 {width:g} {height:g}", width=f"{width:g}", height=f"{height:g}",
            style="display:block;max-width:100%;height:auto", font_family=FONT,
        )  # fmt: skip


def clamped(share: float) -> float:
    """Bring a share between 0 and 1."""
    return min(max(share, 0.0), 1.0)


def shade(probability: float) -> str:
    """Mix white (0) with blue (1): even steps, darker in greyscale too."""
    parts = (int(BLUE[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (p - 255) * clamped(probability)):02x}" for p in parts)


def ink_on(probability: float) -> str:
    """Choose the text colour that reads better on `shade(probability)`."""
    return PAPER if probability > 0.72 else INK

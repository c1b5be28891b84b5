"""Small parts of pictures: colours, the card around them, escaped text, numbers, bars."""

from __future__ import annotations

import re
from html import escape

# Okabe and Ito's colours, which colour-blind people can tell apart.
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK, MUTED, LINE, FAINT, PAPER = "#1d2530", "#56616e", "#8b95a1", "#dfe4ea", "#ffffff"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

#: Styles of the card that holds a picture, and of the headings on it.
CARD = (
    "box-sizing:border-box;max-width:1000px;padding:16px 20px;line-height:1.45;"
    f"overflow-wrap:anywhere;border:1px solid {FAINT};border-radius:10px;background:{PAPER};"
    f"color:{INK};font-family:{FONT};font-size:13px"
)
HEADING = f"margin:0 0 6px;font-size:13px;font-weight:600;color:{MUTED}"

# What XML cannot hold: control characters and lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def safe(content: str) -> str:
    """Escape a text for HTML and SVG, also inside attributes."""
    return escape(_UNPRINTABLE.sub("\ufffd", content), quote=True)


def shortened(content: str, most: int) -> str:
    """Cut a text to at most so many characters, with an ellipsis."""
    return content if len(content) <= most else content[: most - 1] + "…"


def number(probability: float) -> str:
    """Write a probability with two digits."""
    return f"{probability:.2f}"


def shade(probability: float) -> str:
    """Mix white (0) with blue (1): even steps, darker in greyscale too."""
    share = min(max(probability, 0.0), 1.0)
    parts = (int(BLUE[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)


def ink_on(probability: float) -> str:
    """Choose the text colour that reads better on `shade(probability)`."""
    return PAPER if probability > 0.72 else INK


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: float = 12,
    weight: int = 400,
    fill: str = INK,
    anchor: str = "start",
) -> str:
    """Draw one line of text; `content` is escaped."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" '
        f'fill="{fill}" text-anchor="{anchor}">{safe(content)}</text>'
    )


def bar(
    x: float, y: float, width: float, share: float, fill: str = BLUE, height: float = 11
) -> str:
    """Draw a horizontal bar on its track; `share` of the width, 0 to 1, is filled."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2" fill="{FAINT}"/>'
        f'<rect x="{x:g}" y="{y:g}" width="{width * min(max(share, 0.0), 1.0):.1f}" '
        f'height="{height:g}" rx="2" fill="{fill}"/>'
    )


def mark(role: str, x: float, y: float, r: float = 4.5) -> str:
    """Draw the shape of a role around (x, y): triangle, star or cross."""
    if role == "root":
        points = f"{x - r * 0.8:.1f},{y - r:.1f} {x + r:.1f},{y:.1f} {x - r * 0.8:.1f},{y + r:.1f}"
        return f'<polygon points="{points}" fill="{INK}"/>'
    if role == "target":
        star = (
            (0, -1), (0.27, -0.36), (0.95, -0.31), (0.43, 0.14), (0.59, 0.81), (0, 0.45),
            (-0.59, 0.81), (-0.43, 0.14), (-0.95, -0.31), (-0.27, -0.36),
        )  # fmt: skip
        points = " ".join(f"{x + a * r * 1.2:.1f},{y + b * r * 1.2:.1f}" for a, b in star)
        return f'<polygon points="{points}" fill="{GREEN}" stroke="{INK}" stroke-width="0.8"/>'
    s = r * 0.8
    return (
        f'<path d="M{x - s:.1f} {y - s:.1f}L{x + s:.1f} {y + s:.1f}'
        f'M{x - s:.1f} {y + s:.1f}L{x + s:.1f} {y - s:.1f}" '
        f'stroke="{INK}" stroke-width="2.4" stroke-linecap="round"/>'
    )


def scrolling(drawing: str, least: float) -> str:
    """Let a drawing scroll where it would become narrower than `least` pixels."""
    return (
        '<div class="scrolling" tabindex="0" style="overflow-x:auto">'
        f'<div style="min-width:{least:g}px">{drawing}</div></div>'
    )


def picture(width: float, height: float, title: str, description: str, body: str, name: str) -> str:
    """Wrap a drawing in an `<svg>` that scales down and speaks to screen readers.

    Args:
        width, height: its size in pixels where there is room.
        title: what it is, in a few words.
        description: what it shows, in words.
        body: the drawing.
        name: its CSS class.

    Returns:
        The element, as text.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" role="img" '
        f'aria-label="{safe(f"{title}. {description}")}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" '
        f'style="display:block;max-width:100%;height:auto" font-family="{FONT}">'
        f"<desc>{safe(description)}</desc>{body}</svg>"
    )

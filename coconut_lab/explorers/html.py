"""The markup of the explorers' cards: colours, elements, titles, headings, columns."""

import re
from functools import partial
from html import escape

# Okabe and Ito's colours, which colour-blind people can tell apart.
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
INK, MUTED, LINE, FAINT, PAPER = "#1d2530", "#56616e", "#8b95a1", "#dfe4ea", "#ffffff"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
_CARD = (
    "box-sizing:border-box;max-width:1000px;padding:16px 20px;line-height:1.45;"
    f"overflow-wrap:anywhere;border:1px solid {FAINT};border-radius:10px;background:{PAPER};"
    f"color:{INK};font-family:{FONT};font-size:13px"
)
# What XML cannot hold: control characters and lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_OURS = {"style", "font_family"}  # never from a problem or a log, and full of quotes


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


div = partial(tag, "div")


def wrapping(*children: str, style: str, **attributes: object) -> str:
    """Put parts side by side, and below each other where there is no room."""
    return div(*children, **attributes, style=f"display:flex;flex-wrap:wrap;{style}")


def column(flex: str, *children: str) -> str:
    """Put parts below each other, in a column as wide as `flex` says."""
    return div(*children, style=f"flex:{flex};min-width:0")


def card(name: str, *children: str, style: str = "", **data: object) -> str:
    """Put an explorer's parts on a card; `data` become its `data-` attributes."""
    named = {f"data_{key}": value for key, value in data.items()}
    return div(*children, class_=f"coconut-{name}", **named, style=_CARD + style)


def title_row(title: str, beside: str) -> str:
    """Write the title of a card, and what is said at its other end."""
    named = div(title, style="font-size:17px;font-weight:600")
    return wrapping(named, beside, style="justify-content:space-between;gap:2px 24px")


def heading(content: str, style: str = "", *, below: int = 6) -> str:
    """Write the heading of a part."""
    look = f"margin:0 0 {below}px;font-size:13px;font-weight:600;color:{MUTED}"
    return div(content, style=look + style)


def muted(content: str, kind: str = "span", style: str = "") -> str:
    """Write an aside."""
    return tag(kind, content, style=f"color:{MUTED}{style}")


def scrolling(content: str, least: int | None = None) -> str:
    """Let a part scroll where it would become narrower than `least` pixels, or its content."""
    inner = content if least is None else div(content, style=f"min-width:{least}px")
    return div(inner, class_="scrolling", tabindex=0, style="overflow-x:auto")


def shortened(content: str, longest: int) -> str:
    """Cut a text to at most that many characters, with an ellipsis."""
    return content if len(content) <= longest else content[: longest - 1] + "…"

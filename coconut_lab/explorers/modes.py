"""The idea in one picture: what goes back into the model in language mode and in latent mode."""

from __future__ import annotations

from coconut_lab.explorers.svg import (
    BLUE,
    FAINT,
    INK,
    LINE,
    MUTED,
    PAPER,
    VERMILLION,
    picture,
    text,
)

_WIDTH, _HEIGHT = 724.0, 366.0
_STEP, _LEFT = 84.0, 212.0
_BOX, _TALL = 64.0, 26.0


def modes_picture() -> str:
    """Draw the same positions twice: chosen words go back above, hidden states go back below.

    Returns:
        An `<svg>` element, as text.
    """
    words = ["[R]", "Tom", "yumpus", "lempus", "###", "lempus"]
    thoughts = ["[R]", "Tom", "<bot>", "thought 1", "thought 2", "<eot>"]
    body = (
        '<defs><marker id="modes-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>'
        + _row(
            28,
            "Language mode",
            ["a word is chosen,", "its embedding goes back in;", "what was not chosen is lost"],
            words,
            [2, 3, 4, 5],
        )
        + _row(
            218,
            "Latent mode",
            ["nothing is chosen,", "the hidden state goes back in;", "it can hold several words"],
            thoughts,
            [3, 4],
        )
    )
    return picture(
        _WIDTH,
        _HEIGHT,
        "Language mode and latent mode",
        "Above, each position's hidden state h gives probabilities, one word is chosen, and "
        "its embedding is the next input. Below, between <bot> and <eot>, the hidden state itself "
        "is the next input: no word is chosen.",
        body,
        "coconut-modes",
    )


def _row(top: float, name: str, notes: list[str], inputs: list[str], fed_back: list[int]) -> str:
    latent = name.startswith("Latent")
    colour = VERMILLION if latent else BLUE
    parts = [
        text(8, top + 66, name, size=15, weight=600, fill=colour),
        *(text(8, top + 86 + 17 * line, note, fill=MUTED) for line, note in enumerate(notes)),
        f'<rect x="{_LEFT - 12:g}" y="{top + 58:g}" width="{6 * _STEP + 4:g}" height="30" rx="6" '
        f'fill="{FAINT}"/>',
        text(_LEFT, top + 77, "Transformer", fill=MUTED),
    ]
    for index, word in enumerate(inputs):
        x = _LEFT + index * _STEP
        middle = x + _BOX / 2
        thought = latent and index in fed_back
        fill, ink = (VERMILLION, PAPER) if thought else (PAPER, INK)
        parts += [
            f'<rect x="{x:g}" y="{top + 112:g}" width="{_BOX:g}" height="{_TALL:g}" rx="5" '
            f'fill="{fill}" stroke="{VERMILLION if thought else LINE}"/>',
            text(middle, top + 129, word, anchor="middle", fill=ink, size=11.5),
            _arrow(f"M{middle:g} {top + 111:g}V{top + 90:g}"),
            _arrow(f"M{middle:g} {top + 57:g}V{top + 38:g}"),
            f'<circle cx="{middle:g}" cy="{top + 25:g}" r="12" fill="{PAPER}" stroke="{LINE}"/>',
            text(middle, top + 29, "h", anchor="middle", weight=600),
        ]
        if index + 1 in fed_back:
            # Down between the two columns, then into the next input from its left.
            lane = x + _BOX + (_STEP - _BOX) / 2
            parts.append(
                f'<path d="M{middle + 13:g} {top + 25:g}H{lane:g}V{top + 125:g}H{x + _STEP - 1:g}" '
                f'fill="none" stroke="{colour}" stroke-width="2.2"/>'
            )
            if not latent:
                parts += [
                    f'<rect x="{lane - 17:g}" y="{top + 15:g}" width="34" height="20" rx="4" '
                    f'fill="{BLUE}"/>',
                    text(lane, top + 29, "word", anchor="middle", fill=PAPER, size=11),
                ]
    return "".join(parts)


def _arrow(path: str) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.2" '
        'marker-end="url(#modes-tip)"/>'
    )

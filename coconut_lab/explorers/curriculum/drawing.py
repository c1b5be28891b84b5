"""The curriculum's picture, as a pure function: `render(state)` is HTML with inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coconut_lab.curriculum.curriculum import ICOT_LAMBDA, IGNORED
from coconut_lab.curriculum.in_words import STAND_INS, count, replaced
from coconut_lab.explorers.curriculum.state import LETTERS, Cell, CurriculumState, Row
from coconut_lab.explorers.svg import (
    BLUE,
    CARD,
    FAINT,
    GREEN,
    HEADING,
    INK,
    LINE,
    MUTED,
    PAPER,
    PURPLE,
    VERMILLION,
    picture,
    safe,
    scrolling,
    shortened,
    text,
)

#: Fill and line of each letter. What the loss sees is underlined as well.
_LOOKS = {
    "Q": ("#eef1f4", FAINT),
    "B": (PAPER, INK),
    "E": (PAPER, INK),
    "T": ("#fbe3d3", VERMILLION),
    "P": ("#f6e4ee", PURPLE),
    "D": (PAPER, LINE),
    "S": ("#d6e8f5", BLUE),
    "A": ("#d3efe6", GREEN),
}
_MOST_ROWS = 12  # of the strip
_MANY = 90  # tokens of a band
_LONGEST = 18  # letters of a token


def render(state: CurriculumState) -> str:
    """Draw everything the view shows.

    Args:
        state: what to draw.

    Returns:
        One `<div>` that is well-formed XML too; every text on it is escaped.
    """
    curriculum, row = state.curriculum, state.row
    settings = [count(state.steps, "step"), f"max_stage {curriculum.max_stage}"]
    if curriculum.rule.stand_in:
        settings.append(f"c = {curriculum.thoughts_per_step}")
        settings.append("padded to maximum" if curriculum.pad_to_max else "not padded")
    of = f"stage {state.stage}"
    if curriculum.rule.removes == "tokens":
        of = f"{count(state.stage, 'token')} removed"
    question = [cell for cell in row.cells if cell.letter == "Q"]
    latent = [cell for cell in row.cells if cell.letter in "BTPE"]
    language = [cell for cell in row.cells if cell.letter in "DSA"]
    bands = _band("Question", "masked", question)
    if latent:
        what = STAND_INS[curriculum.rule.stand_in or "thoughts"]
        bands += _band(f"{what}s".capitalize(), "masked", latent)
    bands += _band("Language", "the loss sees it", language)
    prompt = [cell for cell in state.prompt.cells if cell.letter != "Q"]
    return (
        f'<div class="coconut-curriculum" data-method="{safe(curriculum.method)}" '
        f'data-stage="{state.stage}" style="{CARD}">'
        '<div style="display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 24px">'
        f'<div style="font-size:17px;font-weight:600">{safe(curriculum.method)}, {of}</div>'
        f'<div style="color:{MUTED}">{" · ".join(settings)}</div></div>'
        f'<div style="{HEADING};margin-top:10px">All stages at once</div>'
        f"{scrolling(strip(state), 480)}"
        '<div style="display:flex;flex-wrap:wrap;gap:16px 28px;'
        f'margin-top:14px;padding-top:12px;border-top:1px solid {FAINT}">'
        f'<div style="flex:1 1 460px;min-width:0"><div style="{HEADING}">'
        f"What the model is trained on: {count(_length(row), 'token')}</div>"
        f'<div class="encoding">{bands}</div>{_legend(state)}</div>'
        f'<div class="rule" style="flex:1 1 270px;min-width:0;max-width:100%">{_rule(state)}</div>'
        "</div>"
        f'<div style="margin-top:14px;padding-top:12px;border-top:1px solid {FAINT}">'
        f'<div style="{HEADING}">What it is asked at inference: the prompt'
        f'{_prompt_note(state)}</div><div class="prompt" style="display:flex;flex-wrap:wrap;'
        f'gap:4px;align-items:center">{_block(len(question))}{_cells(prompt)}'
        f'<span style="color:{MUTED};padding-left:6px">→ the model goes on from here</span>'
        "</div></div></div>"
    )


def _length(row: Row) -> int:
    return row.supervised + row.masked


# --- the tokens ---------------------------------------------------------------------------------


def _band(name: str, note: str, cells: Sequence[Cell]) -> str:
    # A question of hundreds of tokens scrolls, also by keyboard.
    high = ";max-height:232px;overflow:auto" if len(cells) > _MANY else ""
    focus = ' tabindex="0"' if high else ""
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:2px 10px;margin-bottom:9px">'
        f'<div style="flex:0 0 76px;padding-top:3px;line-height:1.25"><b>{safe(name)}</b><br/>'
        f'<span style="color:{MUTED};font-size:11.5px">{note}</span></div>'
        f'<div{focus} style="flex:1 1 300px;min-width:0;display:flex;flex-wrap:wrap;gap:4px{high}">'
        f"{_cells(cells)}</div></div>"
    )


def _cells(cells: Iterable[Cell]) -> str:
    """Draw cells in a row; an arrow leads into each thought from the position it comes from."""
    return "".join(
        f'<span style="display:inline-flex;gap:3px">{_ARROW}{_cell(cell)}</span>'
        if cell.letter == "T"
        else _cell(cell)
        for cell in cells
    )


_ARROW = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="feedback" width="18" height="34" '
    'viewBox="0 0 18 34" aria-hidden="true">'
    f'<text x="8" y="13" font-size="11" font-weight="700" text-anchor="middle" fill="{INK}">h'
    f'</text><path d="M1 20H11" stroke="{VERMILLION}" stroke-width="2.4"/>'
    f'<polygon points="17,20 9,15.5 9,24.5" fill="{VERMILLION}"/></svg>'
)


def _cell(cell: Cell) -> str:
    fill, line = _LOOKS[cell.letter]
    learned, gone = cell.label != IGNORED, cell.letter == "D"
    edge = f"1px dashed {line}" if gone else f"1px solid {line}"
    if learned:
        edge += f";border-bottom:4px solid {line}"
    place = "not in the input" if gone else f"position {cell.position}"
    title = f"{cell.text}: {LETTERS[cell.letter]}; {place}" + (
        "" if gone else f", label {cell.label}"
    )
    data = "" if gone else f'data-position="{cell.position}" data-label="{cell.label}" '
    # Questions are long and look alike: their letter stands beside the token, not under it.
    flow, height, size = ("row", 24, 9) if cell.letter == "Q" else ("column", 36, 10.5)
    shown = f"text-decoration:line-through;color:{MUTED}" if gone else f"color:{INK}"
    return (
        f'<span class="cell" data-letter="{cell.letter}" {data}title="{safe(title)}" '
        f'style="box-sizing:border-box;display:inline-flex;flex-direction:{flow};gap:0 4px;'
        f"align-items:center;justify-content:center;height:{height}px;min-width:22px;padding:0 5px;"
        f'border:{edge};border-radius:4px;background:{fill};line-height:1.2">'
        f'<span class="token" style="font-size:12px;white-space:nowrap;{shown}">'
        f'{safe(shortened(cell.text, _LONGEST))}</span><b style="font-size:{size}px;'
        f'color:{MUTED if cell.letter in "QD" else INK}">{cell.letter}</b></span>'
    )


def _block(size: int) -> str:
    """Draw a question as one cell: its tokens stand above already."""
    fill, line = _LOOKS["Q"]
    return (
        '<span style="box-sizing:border-box;display:inline-flex;align-items:center;height:36px;'
        f'padding:0 10px;border:1px solid {line};border-radius:4px;background:{fill}">'
        f"the question, {count(size, 'token')}</span>"
    )


def _legend(state: CurriculumState) -> str:
    used = {cell.letter for row in state.rows for cell in row.cells}
    items = []
    for letter, meaning in LETTERS.items():
        if letter in used:
            fill, line = _LOOKS[letter]
            dash = "dashed" if letter == "D" else "solid"
            foot = f";border-bottom:3px solid {line}" if letter in "SA" else ""
            items.append(
                '<span style="display:inline-flex;align-items:center;gap:5px">'
                f'<b style="display:inline-block;width:17px;text-align:center;font-size:10.5px;'
                f"color:{INK};border:1px {dash} {line}{foot};border-radius:3px;"
                f'background:{fill}">{letter}</b>{safe(meaning)}</span>'
            )
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:10px;font-size:12px;'
        f'color:{MUTED}">{"".join(items)}</div>'
    )


# --- the rule -----------------------------------------------------------------------------------


def loss_in_words(state: CurriculumState) -> str:
    """Say at which tokens the loss looks, and how many they are."""
    counts = state.row.counts
    if not counts["S"]:
        left = "only the answer and the end of sequence"
    elif not counts["D"]:
        left = "every step, the answer and the end of sequence"
    else:
        left = "what is left of the steps, the answer and the end of sequence"
    return f"The loss sees {left}: {count(state.row.supervised, 'token')}."


def gradient_in_words(state: CurriculumState) -> str:
    """Say which masked positions get gradient, and by which way."""
    row = state.row
    said = (
        "Masked is not frozen: no loss asks for these tokens, but the positions behind attend to "
        f"them, so all {row.masked} masked positions get gradient."
    )
    places = [cell.position for cell in row.cells if cell.letter == "T"]
    if places:
        first, final = places[0], places[-1]
        where = f"position {first}" if first == final else f"positions {first} to {final}"
        it = "the thought" if len(places) == 1 else f"the {len(places)} thoughts"
        said += (
            f" Through {it} ({where}) it flows on into the hidden state that was fed back, and "
            "so into the pass before: back-propagation through time."
        )
    elif row.counts["P"]:
        said += " A pause token has an embedding of its own; no hidden state is fed back."
    return said


def _rule(state: CurriculumState) -> str:
    row, rule = state.row, state.curriculum.rule
    thoughts = row.counts["T"]
    more = ""
    if rule.removes == "tokens" and 0 < state.stage <= state.curriculum.max_stage:
        more = (
            " In training, o further tokens go at random, with P(o) proportional to "
            f"exp(−{ICOT_LAMBDA:g}·o)."
        )
    facts = (
        ("supervised", row.supervised, "positions where the loss asks for a token"),
        ("masked", row.masked, f"positions with label {IGNORED}".replace("-", "−")),
        ("fed back", thoughts, "hidden states that go back in as thoughts"),
        ("passes", row.passes, f"n + 1 = {thoughts} + 1" if thoughts else "no thought, so one"),
    )
    table = "".join(
        f'<tr><td class="fact" data-fact="{name}" style="padding:1px 8px 1px 0;text-align:right;'
        f'white-space:nowrap;font-size:15px;font-weight:700">{value}</td>'
        f'<td style="padding:1px 0">{name}: <span style="color:{MUTED}">{note}</span></td></tr>'
        for name, value, note in facts
    )
    return (
        f'<div style="{HEADING}">The rule</div>'
        f'<p class="replaced" style="margin:0 0 8px;font-size:14.5px">'
        f"{safe(replaced(state.curriculum, state.stage, state.steps) + more)}</p>"
        f'<p class="loss" style="margin:0 0 8px;font-size:14.5px">{safe(loss_in_words(state))}</p>'
        f'<table style="border-collapse:collapse;margin:0 0 8px;line-height:1.35;'
        f'font-size:13px;color:{INK}">'
        f"<tbody>{table}</tbody></table>"
        f'<p class="gradient" style="margin:0">{safe(gradient_in_words(state))}</p>'
    )


def _prompt_note(state: CurriculumState) -> str:
    counts = state.prompt.counts
    latent = counts["T"] + counts["P"]
    if not state.curriculum.rule.markers and not latent:
        return ", the question alone"
    thing = STAND_INS[state.curriculum.rule.stand_in or "thoughts"]
    return f" with {count(latent, thing)}"


# --- all stages ---------------------------------------------------------------------------------


def strip(state: CurriculumState) -> str:
    """Draw the encodings of all stages under each other: the curriculum as a staircase.

    Args:
        state: what to draw; the row of its stage is framed.

    Returns:
        An `<svg>`; the cells of one token share a column, the letters are those of the cells.
    """
    rows = [state.rows[at] for at in _shown(len(state.rows), state.stage)]
    latent = max(sum(cell.letter in "BTPE" for cell in row.cells) for row in state.rows)
    language = max(sum(cell.letter in "DSA" for cell in row.cells) for row in state.rows)
    box = 76.0
    width = min(32.0, (760 - 96 - box - 150) / max(1, latent + language))
    left, right = 96 + box + 4, 96 + box + 8 + latent * width
    total = right + language * width + 150
    height, gap = 22.0, 28.0
    body, said = [], []
    name = "tokens" if state.curriculum.rule.removes == "tokens" else "stage"
    for index, row in enumerate(rows):
        y = 4 + index * gap
        now = row.stage == state.stage
        counts = row.counts
        words = [f"{counts[k]} {k}" for k in "TPSAD" if counts[k]]
        said.append(f"{name} {row.stage}: {', '.join(words)}")
        if now:
            body.append(
                f'<rect class="current" x="1" y="{y - 3:g}" width="{total - 2:g}" '
                f'height="{height + 6:g}" rx="6" fill="none" stroke="{INK}" stroke-width="2"/>'
                f'<polygon points="8,{y + 5:g} 16,{y + 11:g} 8,{y + 17:g}" fill="{INK}"/>'
            )
        label = f"{row.stage} {name}" if name == "tokens" else f"{name} {row.stage}"
        body.append(text(24, y + 15.5, label, size=12.5, weight=700 if now else 400))
        fill, line = _LOOKS["Q"]
        body.append(
            f'<rect x="96" y="{y:g}" width="{box:g}" height="{height:g}" rx="3" fill="{fill}" '
            f'stroke="{line}"/>'
        )
        size = f"Q × {counts['Q']}"
        body.append(text(96 + box / 2, y + 15, size, size=11.5, fill=MUTED, anchor="middle"))
        inside = [cell for cell in row.cells if cell.letter in "BTPE"]
        after = [cell for cell in row.cells if cell.letter in "DSA"]
        start = left + (latent - len(inside)) * width  # against the language, so stairs show
        body += [_step(start + i * width, y, width, cell) for i, cell in enumerate(inside)]
        body += [_step(right + i * width, y, width, cell) for i, cell in enumerate(after)]
        body.append(
            text(total - 10, y + 15, " · ".join(words), size=11.5, fill=INK if now else MUTED,
                 weight=600 if now else 400, anchor="end")
        )  # fmt: skip
    return picture(
        total, len(rows) * gap + 4, "All stages of the curriculum", "; ".join(said),
        "".join(body), "strip",
    )  # fmt: skip


def _step(x: float, y: float, width: float, cell: Cell) -> str:
    fill, line = _LOOKS[cell.letter]
    inner = max(1.0, width - 2)
    dash = ' stroke-dasharray="3 2"' if cell.letter == "D" and width >= 11 else ""
    line = FAINT if cell.letter == "D" and width < 11 else line
    drawn = (
        f'<rect class="step" data-letter="{cell.letter}" x="{x + 1:.1f}" y="{y:g}" '
        f'width="{inner:.1f}" height="22" rx="3" fill="{fill}" stroke="{line}"{dash}/>'
    )
    if cell.label != IGNORED:
        drawn += (
            f'<rect x="{x + 1:.1f}" y="{y + 19:g}" width="{inner:.1f}" height="3" fill="{line}"/>'
        )
    if width >= 11:
        faded = cell.letter == "D"
        drawn += text(x + width / 2, y + 15, cell.letter, size=11.5, weight=400 if faded else 700,
                      fill=MUTED if faded else INK, anchor="middle")  # fmt: skip
        if faded:
            drawn += f'<path d="M{x + 4:.1f} {y + 11:g}h{width - 8:.1f}" stroke="{MUTED}"/>'
    return drawn


def _shown(stages: int, current: int) -> list[int]:
    """Choose the stages that the strip has room for: the first, the last, the current, others."""
    if stages <= _MOST_ROWS:
        return list(range(stages))
    even = {round(i * (stages - 1) / (_MOST_ROWS - 2)) for i in range(_MOST_ROWS - 1)}
    return sorted(even | {current})

"""The curriculum's picture, as a pure function: `render(state)` is HTML with inline SVG."""

from collections.abc import Iterable

from coconut_lab.curriculum.in_words import STAND_INS, count, replaced
from coconut_lab.curriculum.stages_and_masks import ICOT_LAMBDA, IGNORED
from coconut_lab.explorers import html
from coconut_lab.explorers.curriculum.state import LETTERS, Cell, CurriculumState
from coconut_lab.explorers.html import BLUE, FAINT, GREEN, INK, LINE, MUTED, PAPER, VERMILLION
from coconut_lab.explorers.svg import Drawing

#: Fill and line of each letter. What the loss sees is underlined as well.
_LOOKS = {
    "Q": ("#eef1f4", FAINT),
    "B": (PAPER, INK),
    "E": (PAPER, INK),
    "T": ("#fbe3d3", VERMILLION),
    "P": ("#f6e4ee", html.PURPLE),
    "D": (PAPER, LINE),
    "S": ("#d6e8f5", BLUE),
    "A": ("#d3efe6", GREEN),
}
_LATENT, _LANGUAGE = "BTPE", "DSA"
_MOST_ROWS = 12  # of the strip
_MANY = 90  # tokens of a band
_LONGEST = 18  # letters of a token


def render(state: CurriculumState) -> str:
    """Draw everything the view shows: one well-formed `<div>` with every text escaped."""
    curriculum, row = state.curriculum, state.row
    settings = [count(state.steps, "step"), f"max_stage {curriculum.max_stage}"]
    if curriculum.rule.stand_in:
        settings.append(f"c = {curriculum.thoughts_per_step}")
        settings.append("padded to maximum" if curriculum.pad_to_max else "not padded")
    stage = f"stage {state.stage}"
    if curriculum.rule.removes == "tokens":
        stage = f"{count(state.stage, 'token')} removed"
    title = html.title_row(
        f"{html.safe(curriculum.method)}, {stage}", html.muted(" · ".join(settings), "div")
    )
    tokens = count(row.supervised + row.masked, "token")
    trained = html.column(
        "1 1 460px",
        html.heading(f"What the model is trained on: {tokens}"),
        html.div(_bands(state), class_="encoding"),
        _legend(state),
    )
    rule = html.div(_rule(state), class_="rule", style="flex:1 1 270px;min-width:0;max-width:100%")
    latent, thing = len(state.prompt.of("TP")), STAND_INS[curriculum.rule.stand_in or "thoughts"]
    note = f" with {count(latent, thing)}"
    if not curriculum.rule.markers and not latent:
        note = ", the question alone"
    prompt = html.wrapping(
        _block(len(row.of("Q"))), _cells(state.prompt.of(_LATENT)),
        html.muted("→ the model goes on from here", style=";padding-left:6px"),
        class_="prompt", style="gap:4px;align-items:center",
    )  # fmt: skip
    ruled = f"margin-top:14px;padding-top:12px;border-top:1px solid {FAINT}"
    return html.card(
        "curriculum",
        title,
        html.heading("All stages at once", ";margin-top:10px"),
        html.scrolling(strip(state), 480),
        html.wrapping(trained, rule, style=f"gap:16px 28px;{ruled}"),
        html.div(html.heading(f"What it is asked at inference: the prompt{note}"), prompt,
                 style=ruled),
        method=curriculum.method, stage=state.stage,
    )  # fmt: skip


def _bands(state: CurriculumState) -> str:
    """Draw the tokens of the question, of what stands in for steps, and of language."""
    stand_ins = f"{STAND_INS[state.curriculum.rule.stand_in or 'thoughts']}s".capitalize()
    masked, drawn = "masked", ""
    parts = {"Q": ("Question", masked), _LATENT: (stand_ins, masked),
             _LANGUAGE: ("Language", "the loss sees it")}  # fmt: skip
    for letters, (name, note) in parts.items():
        if not (cells := state.row.of(letters)):
            continue
        label = html.div(
            f"<b>{name}</b><br/>{html.muted(note, style=';font-size:11.5px')}",
            style="flex:0 0 76px;padding-top:3px;line-height:1.25",
        )
        look = "flex:1 1 300px;min-width:0;display:flex;flex-wrap:wrap;gap:4px"
        if many := len(cells) > _MANY:  # a question of hundreds of tokens scrolls, also by keyboard
            look += ";max-height:232px;overflow:auto"
        shown = html.div(_cells(cells), tabindex=0 if many else None, style=look)
        drawn += html.wrapping(label, shown, style="gap:2px 10px;margin-bottom:9px")
    return drawn


def _cells(cells: Iterable[Cell]) -> str:
    """Draw cells in a row; an arrow leads into each thought from the position it comes from."""
    return "".join(
        html.tag("span", _ARROW, _cell(cell), style="display:inline-flex;gap:3px")
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
    place = f"position {cell.position}, label {cell.label}"
    data = {"data_position": cell.position, "data_label": cell.label}
    edge, shown = f"1px solid {line}", f"color:{INK}"
    if cell.letter == "D":
        place, data, edge = "not in the input", {}, f"1px dashed {line}"
        shown = f"text-decoration:line-through;color:{MUTED}"
    if cell.label != IGNORED:
        edge += f";border-bottom:4px solid {line}"
    # Questions are long and look alike: their letter is beside the token, not under it.
    flow, height, size = ("row", 24, 9) if cell.letter == "Q" else ("column", 36, 10.5)
    ink = MUTED if cell.letter in "QD" else INK
    token = html.safe(html.shortened(cell.text, _LONGEST))
    return html.tag(
        "span",
        html.tag("span", token, class_="token", style=f"font-size:12px;white-space:nowrap;{shown}"),
        html.tag("b", cell.letter, style=f"font-size:{size}px;color:{ink}"),
        class_="cell", data_letter=cell.letter, **data,
        title=f"{cell.text}: {LETTERS[cell.letter]}; {place}",
        style=f"box-sizing:border-box;display:inline-flex;flex-direction:{flow};gap:0 4px;"
        f"align-items:center;justify-content:center;height:{height}px;min-width:22px;padding:0 5px;"
        f"border:{edge};border-radius:4px;background:{fill};line-height:1.2",
    )  # fmt: skip


def _block(size: int) -> str:
    """Draw a question as one cell: its tokens are already shown above."""
    fill, line = _LOOKS["Q"]
    look = "box-sizing:border-box;display:inline-flex;align-items:center;height:36px;"
    look += f"padding:0 10px;border:1px solid {line};border-radius:4px;background:{fill}"
    return html.tag("span", f"the question, {count(size, 'token')}", style=look)


def _legend(state: CurriculumState) -> str:
    used, items = {cell.letter for row in state.rows for cell in row.cells}, ""
    for letter in filter(used.__contains__, LETTERS):
        fill, line = _LOOKS[letter]
        dash = "dashed" if letter == "D" else "solid"
        foot = f";border-bottom:3px solid {line}" if letter in "SA" else ""
        look = "display:inline-block;width:17px;text-align:center;font-size:10.5px;"
        look += f"color:{INK};border:1px {dash} {line}{foot};border-radius:3px;background:{fill}"
        items += html.tag("span", html.tag("b", letter, style=look), html.safe(LETTERS[letter]),
                     style="display:inline-flex;align-items:center;gap:5px")  # fmt: skip
    return html.wrapping(items, style=f"gap:4px 16px;margin-top:10px;font-size:12px;color:{MUTED}")


def loss_in_words(state: CurriculumState) -> str:
    """Say at which tokens the loss looks, and how many they are."""
    counts = state.row.counts
    steps = "what is left of the steps, the answer" if counts["D"] else "every step, the answer"
    left = steps if counts["S"] else "only the answer"
    return f"The loss sees {left} and the end of sequence: {count(state.row.supervised, 'token')}."


def gradient_in_words(state: CurriculumState) -> str:
    """Say which masked positions get gradient, and how it reaches them."""
    row = state.row
    said = (
        "Masked is not frozen: no loss asks for these tokens, but the positions behind attend to "
        f"them, so all {row.masked} masked positions get gradient."
    )
    places = [cell.position for cell in row.of("T")]
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
    row, rule, thoughts = state.row, state.curriculum.rule, state.row.counts["T"]
    said = replaced(state.curriculum, state.stage, state.steps)
    if rule.removes == "tokens" and 0 < state.stage <= state.curriculum.max_stage:
        said += (
            " In training, o further tokens go at random, with P(o) proportional to "
            f"exp(−{ICOT_LAMBDA:g}·o)."
        )
    passes = f"n + 1 = {thoughts} + 1" if thoughts else "no thought, so one"
    facts = (
        ("supervised", row.supervised, "positions where the loss asks for a token"),
        ("masked", row.masked, f"positions with label {IGNORED}".replace("-", "−")),
        ("fed back", thoughts, "hidden states that go back in as thoughts"),
        ("passes", thoughts + 1, passes),
    )
    look = (
        "padding:1px 8px 1px 0;text-align:right;white-space:nowrap;font-size:15px;font-weight:700"
    )
    rows, large = "", "margin:0 0 8px;font-size:14.5px"
    for name, value, note in facts:
        fact = html.tag("td", str(value), class_="fact", data_fact=name, style=look)
        rows += html.tag(
            "tr", fact, html.tag("td", f"{name}: {html.muted(note)}", style="padding:1px 0")
        )
    look = f"border-collapse:collapse;margin:0 0 8px;line-height:1.35;font-size:13px;color:{INK}"
    return (
        html.heading("The rule")
        + html.tag("p", html.safe(said), class_="replaced", style=large)
        + html.tag("p", html.safe(loss_in_words(state)), class_="loss", style=large)
        + html.tag("table", html.tag("tbody", rows), style=look)
        + html.tag("p", html.safe(gradient_in_words(state)), class_="gradient", style="margin:0")
    )


def strip(state: CurriculumState) -> str:
    """Draw the encodings of all stages under each other, as a staircase; this stage is framed."""
    latent = max(len(row.of(_LATENT)) for row in state.rows)
    language = max(len(row.of(_LANGUAGE)) for row in state.rows)
    label, box, words, height, gap = 96, 76, 150, 22, 28
    width = min(32.0, (760 - label - box - words) / max(1, latent + language))
    left, right = label + box + 4, label + box + 8 + latent * width
    total = right + language * width + words
    unit = "tokens" if state.curriculum.rule.removes == "tokens" else "stage"
    drawing, said = Drawing(), []
    for index, at in enumerate(_shown(len(state.rows), state.stage)):
        row, y, now = state.rows[at], 4 + index * gap, at == state.stage
        counts = row.counts
        parts = [f"{counts[letter]} {letter}" for letter in "TPSAD" if counts[letter]]
        said.append(f"{unit} {at}: {', '.join(parts)}")
        if now:
            drawing.rect(1, y - 3, f"{total - 2:g}", height + 6, class_="current", rx=6,
                         fill="none", stroke=(INK, 2))  # fmt: skip
            drawing.shape("polygon", {"fill": INK}, points=f"8,{y + 5} 16,{y + 11} 8,{y + 17}")
        name = f"{at} tokens" if unit == "tokens" else f"stage {at}"
        drawing.text(24, y + 15.5, name, size=12.5, weight=700 if now else 400)
        fill, line = _LOOKS["Q"]
        drawing.rect(label, y, box, height, rx=3, fill=fill, stroke=line)
        drawing.label(label + box / 2, y + 15, f"Q × {counts['Q']}", "middle", 11.5)
        inside = row.of(_LATENT)
        start = left + (latent - len(inside)) * width  # against the language, so stairs show
        for x, cells in ((start, inside), (right, row.of(_LANGUAGE))):
            for place, cell in enumerate(cells):
                _step(drawing, x + place * width, y, width, cell)
        ink, weight = (INK, 600) if now else (MUTED, 400)
        what = " · ".join(parts)
        drawing.text(total - 10, y + 15, what, "end", size=11.5, weight=weight, fill=ink)
    title = "All stages of the curriculum"
    return drawing.picture("strip", total, len(said) * gap + 4, title, "; ".join(said))


def _step(drawing: Drawing, x: float, y: int, width: float, cell: Cell) -> None:
    fill, line = _LOOKS[cell.letter]
    gone, lettered, inner = cell.letter == "D", width >= 11, max(1.0, width - 2)
    edge = FAINT if gone and not lettered else line
    dash = "3 2" if gone and lettered else None
    drawing.rect(x + 1, y, inner, 22, class_="step", data_letter=cell.letter, rx=3, fill=fill,
                 stroke=edge, stroke_dasharray=dash)  # fmt: skip
    if cell.label != IGNORED:
        drawing.rect(x + 1, y + 19, inner, 3, fill=line)
    if lettered:
        ink, weight = (MUTED, 400) if gone else (INK, 700)
        drawing.text(x + width / 2, y + 15, cell.letter, "middle", size=11.5, weight=weight,
                     fill=ink)  # fmt: skip
        if gone:
            drawing.path(f"M{x + 4:.1f} {y + 11}h{width - 8:.1f}", stroke=MUTED)


def _shown(stages: int, current: int) -> list[int]:
    """Choose the stages that the strip has room for: the first, the last, the current, others."""
    if stages <= _MOST_ROWS:
        return list(range(stages))
    even = {round(i * (stages - 1) / (_MOST_ROWS - 2)) for i in range(_MOST_ROWS - 1)}
    return sorted(even | {current})

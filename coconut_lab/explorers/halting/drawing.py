"""The picture of halting, as a pure function: `render(state)` is HTML with inline SVG."""

import math

from coconut_lab.curriculum.in_words import count
from coconut_lab.explorers import html
from coconut_lab.explorers.halting.state import FIXED, VERDICTS, HaltState, Setting
from coconut_lab.explorers.html import BLUE, FAINT, INK, MUTED, PAPER, VERMILLION, muted, safe, tag
from coconut_lab.explorers.svg import Drawing, scale

_RIGHT, _WRONG = "#d3efe6", PAPER
_CELL, _ROW, _LEFT, _TOP = 44, 22, 74, 37
_WIDTH, _HEIGHT = 430, 300  # of the curve
_X0, _X1, _Y0, _Y1 = 52, 414, 258, 30


def render(state: HaltState) -> str:
    """Draw everything the explorer shows: one well-formed `<div>` with every text escaped."""
    setting, found = state.setting, state.setting.point.score
    low, high = found.interval
    facts = (
        ("accuracy", f"{found.accuracy:.1%}", f"{low:.1%} to {high:.1%}, n = {found.total}"),
        ("thoughts", f"{setting.thoughts:.2f}", "mean per problem"),
        ("passes", f"{found.passes:.2f}", "mean per problem, all included"),
    )
    head = ""
    for name, value, note in facts:
        said = f"{muted(name)} {tag('b', value, style='font-size:17px')} {muted(note)}"
        head += html.div(said, class_="fact", data_fact=name, style="flex:0 1 auto")
    shown = f"Where {count(len(state.sample), 'problem')} of {len(state.study.hops)} stop"
    problems = (html.heading(shown), html.scrolling(strip(state), 330), _strip_legend())
    costs = (
        html.heading("What it costs and what it gains"),
        html.scrolling(curve(state), 330) + _curve_legend(state),
        html.heading("Stopped too early, on time, too late", ";margin-top:14px"),
        _table(state),
    )
    columns = (html.column("1 1 400px", *parts) for parts in (problems, costs))
    return html.card(
        "halt",
        html.div(safe(in_words(setting)), class_="words", style="font-size:17px;font-weight:600"),
        html.wrapping(head, style="gap:2px 26px;margin:4px 0 12px"),
        html.wrapping(*columns, style="gap:16px 28px"),
        rule=state.rule, place=state.place,
        style=";display:grid;grid-template-columns:minmax(0,1fr)",
    )  # fmt: skip


def in_words(setting: Setting) -> str:
    """Say when a rule stops, with its threshold."""
    threshold = setting.point.threshold
    if setting.rule == FIXED:
        return f"Stop after {count(int(threshold), 'thought')}, whatever the problem"
    if setting.rule == "entropy":
        return f"Stop when the forced answer has an entropy of at most {threshold:.3g} nats"
    if setting.rule == "margin":
        return f"Stop when the forced answer leads by a margin of at least {threshold:.6g}"
    return f"Stop when the learned halt “{setting.rule}” says {threshold:.6g} or more"


def strip(state: HaltState) -> str:
    """Draw the sample: one row per problem, one cell per number of thoughts, the stop in it."""
    study, setting, drawing = state.study, state.setting, Drawing()
    columns, all_hops = study.max_thoughts + 1, [int(study.hops[row]) for row in state.sample]
    edge = _LEFT + columns * _CELL
    drawing.label(_LEFT, 12, "answer forced after k thoughts", size=11.5)
    for k in range(columns):
        drawing.text(_LEFT + (k + 0.5) * _CELL, 28, f"k = {k}", "middle", size=11.5)
    y, said, before = _TOP, [], None
    for place, (problem, hops) in enumerate(zip(state.sample, all_hops, strict=True)):
        if hops != before:
            y += 8 if before is not None else 0
            drawing.text(4, y + 15, count(hops, "step"), size=12.5, weight=700)
            if hops < columns:  # a frame around the group's own number of steps
                height = all_hops.count(hops) * _ROW + 2
                drawing.rect(_LEFT + hops * _CELL - 1, y - 2, _CELL + 2, height, rx=4,
                             class_="steps", data_hops=hops, fill="none", stroke=VERMILLION,
                             stroke_width=2, stroke_dasharray="5 3")  # fmt: skip
            before = hops
        stop, verdict = int(setting.stops[problem]), setting.verdicts[problem]
        for k, right in enumerate(study.right[problem].tolist()):
            x, fill = _LEFT + k * _CELL, _RIGHT if right else _WRONG
            letter, weight, ink = ("r", 700, INK) if right else ("w", 400, MUTED)
            drawing.rect(x + 1, y, _CELL - 2, _ROW - 4, rx=3, fill=fill, stroke=FAINT)
            drawing.text(x + 12, y + 13, letter, "middle", size=11.5, weight=weight, fill=ink)
            if k == stop:
                with drawing.group(class_="stop", data_row=problem):
                    _disc(drawing, x + 31, y + 9)
        line = f"M{_LEFT} {y + 18.5:g}H{_LEFT + (stop + 0.72) * _CELL:g}"
        drawing.path(line, stroke=(INK, 2))
        drawing.text(edge + 8, y + 14, verdict)
        said.append(f"problem {place + 1}, {count(hops, 'step')}: stops at {stop}, {verdict}")
        y += _ROW
    return drawing.picture("strip", edge + 74, y + 4, "Where problems stop", "; ".join(said))


def _disc(drawing: Drawing, x: float, y: float, **more: object) -> None:
    """Draw a stop, or the current setting."""
    drawing.circle(x, y, 8, fill=INK, **more)
    drawing.text(x, y + 4, "S", "middle", size=11, weight=700, fill=PAPER)


def _strip_legend() -> str:
    framed = f"padding:0 5px;border:1px solid {FAINT};border-radius:3px"
    right = tag("b", "r", style=f"{framed};color:{INK};background:{_RIGHT}")
    wrong, stop = tag("span", "w", style=framed), tag("b", "S", style=f"color:{INK}")
    return _note(
        f"{right} right, {wrong} wrong if <code>&lt;eot&gt;</code> comes after k thoughts · {stop} "
        "the rule stops here · dashed frame: as many thoughts as the problem has steps",
        above=8,
    )


def _note(said: str, above: int = 4) -> str:
    return html.div(said, style=f"margin-top:{above}px;font-size:12px;color:{MUTED}")


def curve(state: HaltState) -> str:
    """Draw accuracy against mean thoughts: fixed lengths, the rule, the current setting."""
    setting, line, fixed = state.setting, state.settings[state.rule], state.settings[FIXED]
    # The tenth below every interval of every rule, so that the axis never moves.
    lowest = min(s.point.score.interval[0] for rule in state.settings.values() for s in rule)
    base, drawing = min(0.9, math.floor(lowest * 10) / 10), Drawing()
    x = scale(_X0, _X1, 0, max(1, state.study.max_thoughts))
    y = scale(_Y0, _Y1, base, 1)

    def place(one: Setting) -> tuple[float, float]:
        return x(one.thoughts), y(one.point.score.accuracy)

    def interval(one: Setting, colour: str) -> None:
        low, high = map(y, one.point.score.interval)
        drawing.interval(x(one.thoughts), low, high, 4, class_="interval", stroke=(colour, 1.5))

    drawing.text(8, 14, "accuracy")
    for tenth in range(10, round(base * 10) - 1, -2 if base < 0.5 else -1)[::-1]:
        at = y(tenth / 10)
        drawing.path(f"M{_X0} {at:.1f}H{_X1}", stroke=FAINT)
        drawing.label(_X0 - 6, at + 4, f"{tenth * 10}%", "end", 11.5)
    for k in range(state.study.max_thoughts + 1):
        drawing.label(x(k), _Y0 + 17, str(k), "middle", 11.5)
    drawing.text((_X0 + _X1) / 2, _Y0 + 36, "mean thoughts per problem", "middle")
    best = y(max(one.point.score.accuracy for one in fixed))
    drawing.path(f"M{_X0} {best:.1f}H{_X1}", class_="best", stroke=VERMILLION,
                 stroke_dasharray="2 4", stroke_width=1.5)  # fmt: skip
    if state.rule != FIXED:
        points = " ".join(f"{at:.1f},{high:.1f}" for at, high in map(place, line))
        drawing.shape("polyline", {"class_": "rule", "fill": "none", "stroke": (BLUE, 2.5),
                                   "stroke_linejoin": "round"}, points=points)  # fmt: skip
    for one in fixed:
        at, high = place(one)
        interval(one, VERMILLION)
        drawing.rect(at - 7, high - 7, 14, 14, class_="fixed", fill=PAPER, stroke=(VERMILLION, 2))
        thoughts = str(int(one.point.threshold))
        drawing.text(at, high + 4, thoughts, "middle", size=10.5, weight=700)
    for one in state.chosen:
        at, high = place(one)
        more = {"class_": "chosen", "fill": PAPER, "stroke": (BLUE, 2)}
        moved = f"translate({at:.1f} {high:.1f})"
        drawing.shape("path", more, transform=moved, d="M0 -9L9 0L0 9L-9 0Z")
        drawing.text(at, high + 4, "C", "middle", size=10, weight=700)
    interval(setting, INK)
    _disc(drawing, *place(setting), class_="current")
    said = f"{in_words(setting)}: {setting.point.score}, {setting.thoughts:.2f} thoughts. Fixed: "
    said += ", ".join(
        f"{int(one.point.threshold)} thoughts {one.point.score.accuracy:.1%}" for one in fixed
    )
    return drawing.picture("curve", _WIDTH, _HEIGHT, "Accuracy against mean thoughts", said)


def _curve_legend(state: HaltState) -> str:
    said = (
        "<b>S</b> the current setting · squares with a number: that many thoughts for every "
        "problem · bars: 95% Wilson intervals · dotted: the best fixed number"
    )
    if state.rule != FIXED:
        said += " · line: the rule at every threshold"
    if state.chosen:
        said += " · <b>C</b> the threshold that was chosen on other problems"
    return _note(said)


def _table(state: HaltState) -> str:
    setting, point = state.setting, state.setting.point
    edge = f"padding:2px 4px;text-align:right;white-space:nowrap;border-bottom:1px solid {FAINT}"
    top, rows, look = "", "", f"{edge};font-weight:600;color:{MUTED}"
    for name in ("steps", "accuracy", "thoughts", *VERDICTS):
        title = {**VERDICTS, "thoughts": "mean number of thoughts"}.get(name, name)
        top += tag("th", name, scope="col", title=title, style=look)
    hops = state.study.hops
    groups = [(str(h), score, hops == h) for h, score in point.by_hops.items()]
    for name, found, chosen in [*groups, ("all", point.score, hops >= 0)]:
        weight = f"font-weight:{700 if name == 'all' else 400}"
        cells = [f"{found.accuracy:.1%}", f"{found.thoughts:.2f}"]
        cells += [str(int((setting.verdicts[chosen] == verdict).sum())) for verdict in VERDICTS]
        head = tag("th", name, scope="row", style=f"{edge};{weight}")
        body = "".join(tag("td", cell, style=edge) for cell in cells)
        rows += tag("tr", head, body, data_hops=name, style=weight)
    look = f"border-collapse:collapse;font-size:12px;color:{INK};line-height:1.4"
    body = tag("thead", tag("tr", top)) + tag("tbody", rows)
    notes = " · ".join(f"<b>{name}</b>: {safe(meaning)}" for name, meaning in VERDICTS.items())
    return html.scrolling(tag("table", body, class_="verdicts", style=look)) + _note(notes)

"""The picture of halting, as a pure function: `render(state)` is HTML with inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable

from coconut_lab.curriculum.in_words import count
from coconut_lab.explorers.halting.state import FIXED, VERDICTS, HaltState, Setting
from coconut_lab.explorers.svg import (
    BLUE,
    CARD,
    FAINT,
    HEADING,
    INK,
    MUTED,
    PAPER,
    VERMILLION,
    picture,
    safe,
    scrolling,
    text,
)
from coconut_lab.inference.scoring import Score

_RIGHT, _WRONG = "#d3efe6", PAPER
_CELL, _ROW, _LEFT, _TOP = 44.0, 22.0, 74.0, 37.0
_WIDTH, _HEIGHT = 430.0, 300.0  # of the curve
_X0, _X1, _Y0, _Y1 = 52.0, 414.0, 258.0, 30.0


def render(state: HaltState) -> str:
    """Draw everything the explorer shows.

    Args:
        state: what to draw.

    Returns:
        One `<div>` that is well-formed XML too; every text on it is escaped.
    """
    setting, found = state.setting, state.setting.point.score
    low, high = found.interval
    facts = (
        ("accuracy", f"{found.accuracy:.1%}", f"{low:.1%} to {high:.1%}, n = {found.total}"),
        ("thoughts", f"{setting.thoughts:.2f}", "mean per problem"),
        ("passes", f"{found.passes:.2f}", "mean per problem, all included"),
    )
    head = "".join(
        f'<div class="fact" data-fact="{name}" style="flex:0 1 auto">'
        f'<span style="color:{MUTED}">{name}</span> '
        f'<b style="font-size:17px">{value}</b> <span style="color:{MUTED}">{note}</span></div>'
        for name, value, note in facts
    )
    return (
        f'<div class="coconut-halt" data-rule="{safe(state.rule)}" data-place="{state.place}" '
        f'style="{CARD};display:grid;grid-template-columns:minmax(0,1fr)">'
        f'<div class="words" style="font-size:17px;font-weight:600">{safe(in_words(setting))}</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 26px;margin:4px 0 12px">{head}</div>'
        '<div style="display:flex;flex-wrap:wrap;gap:16px 28px">'
        f'<div style="flex:1 1 400px;min-width:0"><div style="{HEADING}">'
        f"Where {count(len(state.sample), 'problem')} of {len(state.study.hops)} stop</div>"
        f"{scrolling(strip(state), 330)}{_strip_legend()}</div>"
        f'<div style="flex:1 1 400px;min-width:0"><div style="{HEADING}">'
        f"What it costs and what it gains</div>{scrolling(curve(state), 330)}{_curve_legend(state)}"
        f'<div style="{HEADING};margin-top:14px">Stopped too early, on time, too late</div>'
        f"{_table(state)}</div></div></div>"
    )


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


# --- the strip ------------------------------------------------------------------------------------


def strip(state: HaltState) -> str:
    """Draw the sample: one row per problem, one cell per number of thoughts, the stop in it.

    Args:
        state: what to draw.

    Returns:
        An `<svg>`.
    """
    study, setting = state.study, state.setting
    columns = study.most + 1
    edge = _LEFT + columns * _CELL
    body = [text(_LEFT, 12, "answer forced after k thoughts", size=11.5, fill=MUTED)]
    body += [
        text(_LEFT + (k + 0.5) * _CELL, 28, f"k = {k}", size=11.5, anchor="middle")
        for k in range(columns)
    ]
    y, said, before = _TOP, [], None
    for place, row in enumerate(state.sample):
        hops, stop = int(study.hops[row]), int(setting.stops[row])
        if hops != before:
            y += 8 if before is not None else 0
            rows = sum(int(study.hops[other]) == hops for other in state.sample)
            body.append(text(4, y + 15, count(hops, "step"), size=12.5, weight=700))
            if hops < columns:  # the group's own number of steps
                body.append(
                    f'<rect class="steps" data-hops="{hops}" x="{_LEFT + hops * _CELL - 1:g}" '
                    f'y="{y - 2:g}" width="{_CELL + 2:g}" height="{rows * _ROW + 2:g}" rx="4" '
                    f'fill="none" stroke="{VERMILLION}" stroke-width="2" stroke-dasharray="5 3"/>'
                )
            before = hops
        for k in range(columns):
            body.append(_cell(_LEFT + k * _CELL, y, bool(study.right[row, k]), k == stop, row))
        body.append(
            f'<path d="M{_LEFT:g} {y + 18.5:g}H{_LEFT + (stop + 0.72) * _CELL:g}" '
            f'stroke="{INK}" stroke-width="2"/>'
        )
        verdict = setting.verdicts[row]
        body.append(text(edge + 8, y + 14, verdict, size=12))
        said.append(f"problem {place + 1}, {count(hops, 'step')}: stops at {stop}, {verdict}")
        y += _ROW
    title = "Where problems stop"
    return picture(edge + 74, y + 4, title, "; ".join(said), "".join(body), "strip")


def _cell(x: float, y: float, right: bool, stop: bool, row: int) -> str:
    drawn = (
        f'<rect x="{x + 1:g}" y="{y:g}" width="{_CELL - 2:g}" height="{_ROW - 4:g}" rx="3" '
        f'fill="{_RIGHT if right else _WRONG}" stroke="{FAINT}"/>'
        + text(x + 12, y + 13, "r" if right else "w", size=11.5, weight=700 if right else 400,
               fill=INK if right else MUTED, anchor="middle")
    )  # fmt: skip
    if stop:
        drawn += (
            f'<g class="stop" data-row="{row}"><circle cx="{x + 31:g}" cy="{y + 9:g}" r="8" '
            f'fill="{INK}"/>'
            + text(x + 31, y + 13, "S", size=11, weight=700, fill=PAPER, anchor="middle")
            + "</g>"
        )
    return drawn


def _strip_legend() -> str:
    return (
        f'<div style="margin-top:8px;font-size:12px;color:{MUTED}">'
        f'<b style="padding:0 5px;border:1px solid {FAINT};border-radius:3px;color:{INK};'
        f'background:{_RIGHT}">r</b> right, '
        f'<span style="padding:0 5px;border:1px solid {FAINT};border-radius:3px">w</span> wrong if '
        f'<code>&lt;eot&gt;</code> comes after k thoughts · <b style="color:{INK}">S</b> the rule '
        "stops here · dashed frame: as many thoughts as the problem has steps</div>"
    )


# --- the curve ------------------------------------------------------------------------------------


def curve(state: HaltState) -> str:
    """Draw accuracy against mean thoughts: fixed lengths, the rule, the current point.

    Args:
        state: what to draw.

    Returns:
        An `<svg>`.
    """
    setting = state.setting
    base = _base(state)
    most = max(1, state.study.most)

    def x(thoughts: float) -> float:
        return _X0 + (_X1 - _X0) * thoughts / most

    def y(accuracy: float) -> float:
        return _Y0 + (_Y1 - _Y0) * (accuracy - base) / (1 - base)

    body = [text(8, 14, "accuracy", size=12)]
    for tenth in range(round(base * 10), 11):
        if (10 - tenth) % (2 if base < 0.5 else 1) == 0:
            at = y(tenth / 10)
            body.append(f'<path d="M{_X0:g} {at:.1f}H{_X1:g}" stroke="{FAINT}"/>')
            body.append(
                text(_X0 - 6, at + 4, f"{tenth * 10}%", size=11.5, fill=MUTED, anchor="end")
            )
    for k in range(state.study.most + 1):
        body.append(text(x(k), _Y0 + 17, str(k), size=11.5, fill=MUTED, anchor="middle"))
    body.append(
        text((_X0 + _X1) / 2, _Y0 + 36, "mean thoughts per problem", size=12, anchor="middle")
    )
    best = max(s.point.score.accuracy for s in state.settings[FIXED])
    body.append(
        f'<path class="best" d="M{_X0:g} {y(best):.1f}H{_X1:g}" stroke="{VERMILLION}" '
        'stroke-dasharray="2 4" stroke-width="1.5"/>'
    )
    if state.rule != FIXED:
        line = state.settings[state.rule]
        points = " ".join(
            f"{x(one.thoughts):.1f},{y(one.point.score.accuracy):.1f}" for one in line
        )
        body.append(
            f'<polyline class="rule" points="{points}" fill="none" stroke="{BLUE}" '
            'stroke-width="2.5" stroke-linejoin="round"/>'
        )
    for fixed in state.settings[FIXED]:
        found = fixed.point.score
        at = x(fixed.thoughts)
        body.append(_interval(at, y, found, VERMILLION))
        body.append(
            f'<rect class="fixed" x="{at - 7:.1f}" y="{y(found.accuracy) - 7:.1f}" width="14" '
            f'height="14" fill="{PAPER}" stroke="{VERMILLION}" stroke-width="2"/>'
            + text(at, y(found.accuracy) + 4, str(int(fixed.point.threshold)), size=10.5,
                   weight=700, anchor="middle")
        )  # fmt: skip
    if state.rule != FIXED:
        body += [
            f'<path class="chosen" transform="translate({x(one.thoughts):.1f} '
            f'{y(one.point.score.accuracy):.1f})" d="M0 -9L9 0L0 9L-9 0Z" fill="{PAPER}" '
            f'stroke="{BLUE}" stroke-width="2"/>'
            + text(x(one.thoughts), y(one.point.score.accuracy) + 4, "C", size=10, weight=700,
                   anchor="middle")
            for one in state.settings[state.rule] if one.chosen
        ]  # fmt: skip
    at, found = x(setting.thoughts), setting.point.score
    body.append(_interval(at, y, found, INK))
    body.append(
        f'<circle class="current" cx="{at:.1f}" cy="{y(found.accuracy):.1f}" r="8" fill="{INK}"/>'
        + text(at, y(found.accuracy) + 4, "S", size=11, weight=700, fill=PAPER, anchor="middle")
    )
    said = f"{in_words(setting)}: {found}, {setting.thoughts:.2f} thoughts"
    fixed_said = ", ".join(
        f"{int(s.point.threshold)} thoughts {s.point.score.accuracy:.1%}"
        for s in state.settings[FIXED]
    )
    return picture(
        _WIDTH, _HEIGHT, "Accuracy against mean thoughts", f"{said}. Fixed: {fixed_said}",
        "".join(body), "curve",
    )  # fmt: skip


def _base(state: HaltState) -> float:
    """The lowest tenth that every point of every rule stands above; so the axis never moves."""
    least = min(s.point.score.interval[0] for line in state.settings.values() for s in line)
    return min(0.9, math.floor(least * 10) / 10)


def _interval(x: float, y: Callable[[float], float], found: Score, colour: str) -> str:
    low, high = (y(bound) for bound in found.interval)
    return (
        f'<path class="interval" d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8'
        f'M{x - 4:.1f} {high:.1f}h8" stroke="{colour}" stroke-width="1.5"/>'
    )


def _curve_legend(state: HaltState) -> str:
    said = (
        "<b>S</b> the current setting · squares with a number: that many thoughts for every "
        "problem · bars: 95% Wilson intervals · dotted: the best fixed number"
    )
    if state.rule != FIXED:
        said += " · line: the rule at every threshold"
        if any(setting.chosen for setting in state.settings[state.rule]):
            said += " · <b>C</b> the threshold that was chosen on other problems"
    return f'<div style="margin-top:4px;font-size:12px;color:{MUTED}">{said}</div>'


# --- the table ------------------------------------------------------------------------------------


def _table(state: HaltState) -> str:
    setting = state.setting
    edge = f"padding:2px 4px;text-align:right;white-space:nowrap;border-bottom:1px solid {FAINT}"
    heads = ("steps", "accuracy", "thoughts", *VERDICTS)
    titles = {**VERDICTS, "thoughts": "mean number of thoughts"}
    top = "".join(
        f'<th scope="col" title="{safe(titles.get(name, name))}" style="{edge};font-weight:600;'
        f'color:{MUTED}">{name}</th>'
        for name in heads
    )
    rows = []
    parts = [
        (str(hops), score, setting.of_hops(state.study, hops))
        for hops, score in setting.point.by_hops.items()
    ]
    point = setting.point
    whole = (point.early, point.on_time, point.late, point.never)
    parts.append(("all", point.score, dict(zip(VERDICTS, whole, strict=True))))
    for name, found, counts in parts:
        cells = [f"{found.accuracy:.1%}", f"{found.thoughts:.2f}", *map(str, counts.values())]
        weight = "700" if name == "all" else "400"
        body = "".join(f'<td style="{edge}">{cell}</td>' for cell in cells)
        rows.append(
            f'<tr data-hops="{name}" style="font-weight:{weight}">'
            f'<th scope="row" style="{edge};font-weight:{weight}">{name}</th>{body}</tr>'
        )
    notes = " · ".join(f"<b>{name}</b>: {safe(meaning)}" for name, meaning in VERDICTS.items())
    return (
        f'<div class="scrolling" tabindex="0" style="overflow-x:auto"><table class="verdicts" '
        f'style="border-collapse:collapse;font-size:12px;color:{INK};line-height:1.4">'
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<div style="margin-top:4px;font-size:12px;color:{MUTED}">{notes}</div>'
    )

"""The picture of a training run, as a pure function: `render(state)` is HTML with inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from coconut_lab.curriculum.in_words import count, in_short, replaced
from coconut_lab.explorers.monitor.state import (
    DONE,
    FAILED,
    LOG,
    READY,
    RUNNING,
    STOPPED,
    STOPPING,
    Entry,
    MonitorState,
    clock,
    elapsed,
    seconds_left,
)
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
    VERMILLION,
    ink_on,
    number,
    picture,
    safe,
    scrolling,
    shade,
    shortened,
    text,
)

#: Tints of Okabe and Ito's colours, one for each stage; letters say the same.
_TINTS = ("#eceff2", "#dcedf9", "#d8f0e8", "#fbe8d0", "#f6e2ee", "#faf6cd", "#e0e3f4")
_COLOURS = {RUNNING: BLUE, DONE: GREEN, STOPPING: VERMILLION, STOPPED: VERMILLION,
            FAILED: VERMILLION}  # fmt: skip
_LEAST = 1e-9  # of a loss, for the logarithm
_POINTS = 240  # of a curve
_MOST_VALIDATIONS = 8
_LEFT, _RIGHT, _TOP = 46.0, 8.0, 22.0
_WIDTH, _LOSS_HEIGHT, _RATE_HEIGHT = 620.0, 190.0, 34.0


def render(state: MonitorState) -> str:
    """Draw everything the monitor shows.

    Args:
        state: what to draw.

    Returns:
        One `<div>` that is well-formed XML too; every text on it is escaped.
    """
    colour = _COLOURS.get(state.status, MUTED)
    alert = ' role="alert"' if state.status == FAILED else ""
    return (
        f'<div class="coconut-monitor" data-status="{state.status}" data-step="{state.done}" '
        f'style="{CARD}">'
        '<div style="display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 24px">'
        f'<div style="font-size:17px;font-weight:600">{safe(state.plan.name)}</div>'
        f'<div class="status"{alert} style="font-weight:600;border-left:4px solid {colour};'
        f'padding-left:8px">{safe(status_in_words(state))}</div></div>'
        f"{_progress(state)}"
        f'<p class="stage" style="margin:10px 0 0;font-size:14.5px">{_stage(state)}</p>'
        '<div style="display:flex;flex-wrap:wrap;gap:14px 24px;margin-top:12px">'
        f'<div style="flex:1 1 440px;min-width:0"><div style="{HEADING}">Loss on a log scale'
        f"{_bin_words(state)}</div>{scrolling(curves(state), 420)}</div>"
        f'<div style="flex:0 1 324px;min-width:0"><div style="{HEADING}">The plan, in steps</div>'
        f'{_schedule(state)}<div style="{HEADING};margin-top:14px">{_accuracy_heading(state)}'
        f"</div>{accuracy(state)}</div></div></div>"
    )


def status_in_words(state: MonitorState) -> str:
    """Say in a few words how the run stands."""
    at = f"step {state.done:,}"
    return {
        READY: "not started" if not state.entries else f"not started again; the log ends at {at}",
        RUNNING: "running",
        STOPPING: "stopping after this step",
        STOPPED: f"stopped at {at}; run again to go on",
        FAILED: f"failed after {at}: {shortened(state.message, 600)}",
        DONE: "done",
        LOG: f"from the log, up to {at}",
    }[state.status]


def _progress(state: MonitorState) -> str:
    total, done = state.plan.total, state.done
    share = done / total if total else 0.0
    words = [f"step {done:,} of {total:,}"]
    if state.entries:
        so_far = "so far" if state.status in (RUNNING, STOPPING) else "of training"
        words.append(f"{clock(elapsed(state.entries))} {so_far}")
    if state.status in (RUNNING, STOPPING):
        left = seconds_left(state.entries, total)
        words.append("time left not known yet" if left is None else
                     f"about {clock(left)} left at this pace")  # fmt: skip
    if losses := [entry.loss for entry in state.entries if entry.loss is not None]:
        words.append(f"loss {losses[-1]:.3g}")
    return (
        f'<div role="progressbar" aria-label="Training" aria-valuemin="0" aria-valuemax="{total}" '
        f'aria-valuenow="{done}" style="height:9px;margin-top:10px;border-radius:5px;'
        f'overflow:hidden;background:{FAINT}"><div style="height:9px;width:{100 * share:.1f}%;'
        f'background:{_COLOURS.get(state.status, MUTED)}"></div></div>'
        f'<div class="pace" style="margin-top:4px;color:{MUTED};'
        f'font-variant-numeric:tabular-nums">{" · ".join(words)}</div>'
    )


def _stage(state: MonitorState) -> str:
    band, curriculum = state.band, state.plan.curriculum
    said = (
        "A base model: next-token prediction on random walks, no stages."
        if curriculum is None
        else replaced(curriculum, band.stage)
    )
    return f"<b>{band.letter}</b> · {safe(said)}"


def _schedule(state: MonitorState) -> str:
    rows = []
    for band in state.plan.bands:
        now = band == state.band and state.status != DONE
        tick = "▸" if now else "✓" if state.done >= band.end else ""
        what = (
            ("random walks", "")
            if state.plan.curriculum is None
            else (f"stage {band.stage}", in_short(state.plan.curriculum, band.stage))
        )
        rows.append(
            f'<tr class="phase" data-letter="{band.letter}" style="'
            f'{"font-weight:600" if now else ""}"><td style="padding:1px 4px 1px 0;width:12px">'
            f'{tick}</td><td style="padding:1px 6px;text-align:center;background:'
            f'{_tint(band.stage)};border:1px solid {PAPER}"><b>{band.letter}</b></td>'
            f'<td style="padding:1px 8px;white-space:nowrap">{what[0]}</td>'
            f'<td style="padding:1px 0">{safe(what[1])}</td><td style="padding:1px 0 1px 8px;'
            f'text-align:right;white-space:nowrap;color:{MUTED}">{band.end - band.start:,}</td>'
            "</tr>"
        )
    return (
        f'<table style="border-collapse:collapse;width:100%;font-size:12.5px;color:{INK};'
        f'line-height:1.35"><tbody>{"".join(rows)}</tbody></table>'
    )


def _tint(stage: int) -> str:
    return _TINTS[stage % len(_TINTS)]


# --- curves -------------------------------------------------------------------------------------


def _bin_width(state: MonitorState) -> int:
    return max(1, math.ceil(state.plan.total / _POINTS))


def _bin_words(state: MonitorState) -> str:
    width = _bin_width(state)
    steps = [entry.step for entry in state.entries]
    if all(after - before >= width for before, after in pairwise(steps)):
        return ""  # one entry in each bin
    return f"; line: mean of {count(width, 'step')}, band: least to largest"


def binned(
    points: Sequence[tuple[int, float]], width: int
) -> list[tuple[float, float, float, float]]:
    """Gather points in bins of so many steps.

    Args:
        points: (step, value), in the order of the steps.
        width: steps of a bin.

    Returns:
        For each bin that holds any: mean step, and mean, least and largest value.
    """
    groups: dict[int, list[tuple[int, float]]] = {}
    for step, value in points:
        groups.setdefault(step // width, []).append((step, value))
    found = []
    for group in groups.values():
        values = [value for _, value in group]
        mean = sum(step for step, _ in group) / len(group)
        found.append((mean, sum(values) / len(values), min(values), max(values)))
    return found


def curves(state: MonitorState) -> str:
    """Draw the loss and, below it, the learning rate over the phases of the plan.

    Args:
        state: what to draw.

    Returns:
        An `<svg>`; each phase is a band with its letter.
    """
    total = max(1, state.plan.total)
    inner, bottom = _WIDTH - _LEFT - _RIGHT, _TOP + _LOSS_HEIGHT
    rate_top, rate_bottom = bottom + 12, bottom + 12 + _RATE_HEIGHT

    def x_of(step: float) -> float:
        return _LEFT + inner * min(max(step / total, 0.0), 1.0)

    losses = [(e.step, max(e.loss, _LEAST)) for e in state.entries if e.loss is not None]
    low, high, ticks = _scale([loss for _, loss in losses])

    def y_of(loss: float) -> float:
        share = (math.log(loss) - math.log(low)) / (math.log(high) - math.log(low))
        return bottom - _LOSS_HEIGHT * min(max(share, 0.0), 1.0)

    body = []
    for band in state.plan.bands:
        start, end = x_of(band.start), x_of(band.end)
        label = f"{band.letter} · stage {band.stage}"
        if state.plan.curriculum is None or end - start < 76:  # it would touch its neighbour
            label = band.letter
        now = band == state.band
        body.append(
            f'<g class="band" data-letter="{band.letter}"><rect x="{start:.1f}" y="{_TOP:g}" '
            f'width="{end - start:.1f}" height="{rate_bottom - _TOP:g}" '
            f'fill="{_tint(band.stage)}"/>'
            f'<path d="M{start:.1f} {_TOP:g}V{rate_bottom:g}" stroke="{PAPER}"/></g>'
        )
        body.append(text((start + end) / 2, _TOP - 7, label, size=12, anchor="middle",
                         weight=700 if now else 400, fill=INK if now else MUTED))  # fmt: skip
    for tick in ticks:
        y = y_of(tick)
        body.append(f'<path d="M{_LEFT:g} {y:.1f}H{_WIDTH - _RIGHT:g}" stroke="{PAPER}"/>')
        body.append(text(_LEFT - 6, y + 4, f"{tick:g}", size=11, fill=MUTED, anchor="end"))
    body.append(f'<rect x="{_LEFT:g}" y="{bottom:g}" width="{inner:g}" height="12" '
                f'fill="{PAPER}"/>')  # fmt: skip
    width = _bin_width(state)
    bins = binned(losses, width)
    if any(most > least for _, _, least, most in bins):
        upper = [f"{x_of(at):.1f} {y_of(most):.1f}" for at, _, _, most in bins]
        lower = [f"{x_of(at):.1f} {y_of(least):.1f}" for at, _, least, _ in reversed(bins)]
        body.append(f'<path class="spread" d="M{"L".join(upper + lower)}Z" fill="{BLUE}" '
                    'fill-opacity="0.2"/>')  # fmt: skip
    if bins:
        line = "L".join(f"{x_of(at):.1f} {y_of(mean):.1f}" for at, mean, _, _ in bins)
        body.append(f'<path class="loss" d="M{line}" fill="none" stroke="{BLUE}" '
                    'stroke-width="2" stroke-linejoin="round"/>')  # fmt: skip
        at, mean = bins[-1][:2]
        body.append(f'<circle class="now" cx="{x_of(at):.1f}" cy="{y_of(mean):.1f}" r="4.5" '
                    f'fill="{BLUE}" stroke="{PAPER}" stroke-width="1.5"/>')  # fmt: skip
    else:
        body.append(text(_LEFT + inner / 2, _TOP + _LOSS_HEIGHT / 2, "no step yet", size=13,
                         fill=MUTED, anchor="middle"))  # fmt: skip
    body.append(_rate(state.entries, width, x_of, rate_top, rate_bottom))
    for step in (0, total // 2, total):
        anchor = {0: "start", total: "end"}.get(step, "middle")
        body.append(text(x_of(step), rate_bottom + 16, f"{step:,}", size=11, fill=MUTED,
                         anchor=anchor))  # fmt: skip
    body.append(text(x_of(total / 4), rate_bottom + 16, "steps", size=11, fill=MUTED,
                     anchor="middle"))  # fmt: skip
    said = f"loss {losses[-1][1]:.3g} at step {losses[-1][0] + 1}" if losses else "no step yet"
    return picture(
        _WIDTH, rate_bottom + 22, "Loss and learning rate", said, "".join(body), "curves"
    )


def _rate(
    entries: Sequence[Entry],
    width: int,
    x_of: Callable[[float], float],
    top: float,
    bottom: float,
) -> str:
    """Draw the learning rate as an area, with its largest value."""
    rates = [(entry.step, entry.lr) for entry in entries if entry.lr is not None and entry.lr >= 0]
    largest = max((rate for _, rate in rates), default=0.0)
    label = text(_LEFT - 6, top + 10, "rate", size=11, fill=MUTED, anchor="end")
    if not largest:
        return label
    points = [
        f"{x_of(at):.1f} {bottom - (bottom - top - 3) * mean / largest:.1f}"
        for at, mean, _, _ in binned(rates, width)
    ]
    first, last = points[0].split()[0], points[-1].split()[0]
    return (
        f'<path class="rate" d="M{first} {bottom:g}L{"L".join(points)}L{last} {bottom:g}Z" '
        f'fill="{LINE}" fill-opacity="0.45" stroke="{MUTED}" stroke-width="1"/>{label}'
        + text(_LEFT - 6, top + 24, f"{largest:.2g}", size=11, fill=MUTED, anchor="end")
    )


def _scale(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Choose the ends and the ticks of a logarithmic axis."""
    low, high = (min(values), max(values)) if values else (0.1, 10.0)
    low, high = low / 1.15, high * 1.15
    if high / low < 2:
        middle = math.sqrt(low * high)
        low, high = middle / 1.5, middle * 1.5
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [s * 10.0**e for e in range(first, last + 1) for s in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    thin = max(1, math.ceil(len(ticks) / 8))
    return low, high, ticks[::thin]


# --- accuracy -----------------------------------------------------------------------------------


def _accuracy_heading(state: MonitorState) -> str:
    c = state.plan.curriculum.thoughts_per_step if state.plan.curriculum else 1
    per = f" (times c = {c})" if c > 1 else ""
    return f"Accuracy per number of thoughts{per}"


def accuracy(state: MonitorState) -> str:
    """Draw the validations as a table of filled cells with their numbers.

    Args:
        state: what to draw.

    Returns:
        An `<svg>`, or a sentence while there is no validation.
    """
    scored = [entry for entry in state.entries if entry.accuracy][-_MOST_VALIDATIONS:]
    if not scored:
        why = "none yet" if state.plan.curriculum else "a base model has none"
        if state.status in (LOG, DONE):
            why = "the log holds no validation"
        return f'<div class="accuracy" style="color:{MUTED}">{why}</div>'
    keys = sorted({key for entry in scored for key in entry.accuracy}, key=_by_number)
    label, cell = 96.0, min(50.0, 200.0 / len(keys))
    body, said = [], []
    for column, key in enumerate(keys):
        body.append(text(label + (column + 0.5) * cell, 14, shortened(key, 5), size=12,
                         fill=MUTED, anchor="middle"))  # fmt: skip
    for row, entry in enumerate(scored):
        y, last = 20 + row * 27.0, entry is scored[-1]
        letter = state.plan.band_at(entry.step).letter
        body.append(text(0, y + 16, f"{letter} · step {entry.step + 1:,}", size=12,
                         weight=700 if last else 400, fill=INK if last else MUTED))  # fmt: skip
        for column, key in enumerate(keys):
            if (value := entry.accuracy.get(key)) is None:
                continue
            x = label + column * cell
            body.append(
                f'<g class="score" data-thoughts="{safe(key)}" data-step="{entry.step}">'
                f'<rect x="{x + 1:.1f}" y="{y:g}" width="{cell - 2:.1f}" height="24" rx="4" '
                f'fill="{shade(value)}" stroke="{INK if last else LINE}"/>'
                + text(x + cell / 2, y + 16, number(value), size=12 if cell >= 34 else 9,
                       weight=700 if last else 400, fill=ink_on(value), anchor="middle")
                + "</g>"
            )  # fmt: skip
            said.append(f"step {entry.step + 1}, {key}: {number(value)}")
    height = 20 + 27.0 * len(scored)
    return picture(label + len(keys) * cell, height, "Accuracy at each validation",
                   "; ".join(said), "".join(body), "accuracy")  # fmt: skip


def _by_number(key: str) -> tuple[int, str]:
    return (int(key), key) if key.isdecimal() else (10**9, key)

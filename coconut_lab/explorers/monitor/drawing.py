"""The picture of a training run, as a pure function: `render(state)` is HTML with inline SVG."""

import math
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from statistics import fmean

from coconut_lab.curriculum.in_words import count, in_short, replaced
from coconut_lab.explorers import html
from coconut_lab.explorers.html import BLUE, FAINT, GREEN, INK, LINE, MUTED, PAPER, VERMILLION
from coconut_lab.explorers.monitor.state import MonitorState, Status, clock, elapsed, seconds_left
from coconut_lab.explorers.svg import Drawing, clamped, ink_on, scale, shade

#: Tints of Okabe and Ito's colours, one for each stage; letters say the same.
_TINTS = ("#eceff2", "#dcedf9", "#d8f0e8", "#fbe8d0", "#f6e2ee", "#faf6cd", "#e0e3f4")
_COLOURS = {Status.READY: MUTED, Status.RUNNING: BLUE, Status.DONE: GREEN, Status.LOG: MUTED}
_LEAST = 1e-9  # of a loss, for the logarithm
_POINTS = 240  # of a curve
_MOST_VALIDATIONS = 8
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 612, 22, 212  # of the loss
_RATE_TOP, _RATE_BOTTOM = 224, 258


def render(state: MonitorState) -> str:
    """Draw everything the monitor shows: one well-formed `<div>` with every text escaped."""
    curriculum, band = state.plan.curriculum, state.band
    colour = _COLOURS.get(Status(state.status), VERMILLION)
    status = html.div(
        html.safe(status_in_words(state)), class_="status",
        role="alert" if state.status == Status.FAILED else None,
        style=f"font-weight:600;border-left:4px solid {colour};padding-left:8px",
    )  # fmt: skip
    stage = "A base model: next-token prediction on random walks, no stages."
    heading = "Accuracy per number of thoughts"
    if curriculum:
        stage = replaced(curriculum, band.stage)
        if (c := curriculum.thoughts_per_step) > 1:
            heading += f" (times c = {c})"
    loss = html.heading(f"Loss on a log scale{_bin_words(state)}")
    loss = html.column("1 1 440px", loss, html.scrolling(curves(state), 420))
    plan = html.column(
        "0 1 324px",
        html.heading("The plan, in steps"),
        _schedule(state),
        html.heading(heading, ";margin-top:14px"),
        accuracy(state),
    )
    large = "margin:10px 0 0;font-size:14.5px"
    return html.card(
        "monitor",
        html.title_row(html.safe(state.plan.name), status),
        _progress(state, colour),
        html.tag("p", f"<b>{band.letter}</b> · {html.safe(stage)}", class_="stage", style=large),
        html.wrapping(loss, plan, style="gap:14px 24px;margin-top:12px"),
        status=state.status, step=state.done,
    )  # fmt: skip


def status_in_words(state: MonitorState) -> str:
    """Say in a few words what the run is doing."""
    at = f"step {state.done:,}"
    again = f"not started again; the log ends at {at}"
    return {
        Status.READY: again if state.entries else "not started",
        Status.RUNNING: "running",
        Status.STOPPING: "stopping after this step",
        Status.STOPPED: f"stopped at {at}; run again to go on",
        Status.FAILED: f"failed after {at}: {html.shortened(state.message, 600)}",
        Status.DONE: "done",
        Status.LOG: f"from the log, up to {at}",
    }[Status(state.status)]


def _progress(state: MonitorState, colour: str) -> str:
    total, done = state.plan.total, state.done
    running = state.status in (Status.RUNNING, Status.STOPPING)
    words = [f"step {done:,} of {total:,}"]
    if state.entries:
        words.append(f"{clock(elapsed(state.entries))} {'so far' if running else 'of training'}")
    if running:
        left = seconds_left(state.entries, total)
        words.append(
            "time left not known yet" if left is None else f"about {clock(left)} left at this pace"
        )
    if losses := [entry.loss for entry in state.entries if entry.loss is not None]:
        words.append(f"loss {losses[-1]:.3g}")
    filled = f"height:9px;width:{100 * done / max(1, total):.1f}%;background:{colour}"
    bar = html.div(
        html.div("", style=filled), role="progressbar", aria_label="Training", aria_valuemin=0,
        aria_valuemax=total, aria_valuenow=done,
        style=f"height:9px;margin-top:10px;border-radius:5px;overflow:hidden;background:{FAINT}",
    )  # fmt: skip
    look = f"margin-top:4px;color:{MUTED};font-variant-numeric:tabular-nums"
    return bar + html.div(" · ".join(words), class_="pace", style=look)


def _schedule(state: MonitorState) -> str:
    curriculum, rows = state.plan.curriculum, ""
    for band in state.plan.bands:
        now = band == state.band and state.status != Status.DONE
        stage, what = "random walks", ""
        if curriculum:
            stage, what = f"stage {band.stage}", in_short(curriculum, band.stage)
        tint = f"background:{_tint(band.stage)};border:1px solid {PAPER}"
        cells = (
            ("4px 1px 0;width:12px", "▸" if now else "✓" if state.done >= band.end else ""),
            (f"6px;text-align:center;{tint}", f"<b>{band.letter}</b>"),
            ("8px;white-space:nowrap", stage),
            ("0", html.safe(what)),
            (f"0 1px 8px;text-align:right;white-space:nowrap;color:{MUTED}",
             f"{band.end - band.start:,}"),
        )  # fmt: skip
        row = "".join(html.tag("td", cell, style=f"padding:1px {look}") for look, cell in cells)
        weight = "font-weight:600" if now else ""
        rows += html.tag("tr", row, class_="phase", data_letter=band.letter, style=weight)
    look = f"border-collapse:collapse;width:100%;font-size:12.5px;color:{INK};line-height:1.35"
    return html.tag("table", html.tag("tbody", rows), style=look)


def _tint(stage: int) -> str:
    return _TINTS[stage % len(_TINTS)]


def _bin_width(state: MonitorState) -> int:
    return max(1, math.ceil(state.plan.total / _POINTS))


def _bin_words(state: MonitorState) -> str:
    width = _bin_width(state)
    if all(after.step - before.step >= width for before, after in pairwise(state.entries)):
        return ""  # one entry in each bin
    return f"; line: mean of {count(width, 'step')}, band: least to largest"


def binned(
    points: Sequence[tuple[int, float]], width: int
) -> list[tuple[float, float, float, float]]:
    """Gather (step, value) in bins of `width` steps: mean step, and mean, least, largest value."""
    found = []
    for _, group in groupby(points, key=lambda point: point[0] // width):
        steps, values = zip(*group, strict=True)
        found.append((fmean(steps), fmean(values), min(values), max(values)))
    return found


def curves(state: MonitorState) -> str:
    """Draw the loss and, below it, the learning rate over the lettered phases of the plan."""
    total, drawing = max(1, state.plan.total), Drawing()
    across, up = scale(_LEFT, _RIGHT), scale(_BOTTOM, _TOP)
    losses = [(e.step, max(e.loss, _LEAST)) for e in state.entries if e.loss is not None]
    low, high, ticks = _scale([loss for _, loss in losses])

    def x_of(step: float) -> float:
        return across(clamped(step / total))

    def y_of(loss: float) -> float:
        return up(clamped((math.log(loss) - math.log(low)) / (math.log(high) - math.log(low))))

    def line_of(points: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{x_of(at):.1f} {y_of(loss):.1f}" for at, loss in points)

    _bands(drawing, state, x_of)
    for tick in ticks:
        y = y_of(tick)
        drawing.path(f"M{_LEFT} {y:.1f}H{_RIGHT}", stroke=PAPER)
        drawing.label(_LEFT - 6, y + 4, f"{tick:g}", "end")
    drawing.rect(_LEFT, _BOTTOM, _RIGHT - _LEFT, _RATE_TOP - _BOTTOM, fill=PAPER)
    bins, said = binned(losses, _bin_width(state)), "no step yet"
    if any(largest > least for _, _, least, largest in bins):
        around = [(at, largest) for at, _, _, largest in bins]
        around += [(at, least) for at, _, least, _ in reversed(bins)]
        drawing.path(f"{line_of(around)}Z", class_="spread", fill=BLUE, fill_opacity=0.2)
    if bins:
        means = [(at, mean) for at, mean, _, _ in bins]
        drawing.path(line_of(means), class_="loss", fill="none", stroke=(BLUE, 2),
                     stroke_linejoin="round")  # fmt: skip
        x, y = x_of(means[-1][0]), y_of(means[-1][1])
        drawing.circle(x, y, 4.5, class_="now", fill=BLUE, stroke=(PAPER, 1.5))
        said = f"loss {losses[-1][1]:.3g} at step {losses[-1][0] + 1}"
    else:
        drawing.label((_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2, said, "middle", 13)
    _rate(drawing, state, x_of)
    for step, anchor in ((0, "start"), (total // 2, "middle"), (total, "end")):
        drawing.label(x_of(step), _RATE_BOTTOM + 16, f"{step:,}", anchor)
    drawing.label(x_of(total / 4), _RATE_BOTTOM + 16, "steps", "middle")
    return drawing.picture("curves", 620, _RATE_BOTTOM + 22, "Loss and learning rate", said)


def _bands(drawing: Drawing, state: MonitorState, x_of: Callable[[float], float]) -> None:
    """Draw a band for every phase, with its letter."""
    for band in state.plan.bands:
        start, end = x_of(band.start), x_of(band.end)
        label = f"{band.letter} · stage {band.stage}"
        if state.plan.curriculum is None or end - start < 76:  # it would touch its neighbour
            label = band.letter
        with drawing.group(class_="band", data_letter=band.letter):
            drawing.rect(start, _TOP, end - start, _RATE_BOTTOM - _TOP, fill=_tint(band.stage))
            drawing.path(f"M{start:.1f} {_TOP}V{_RATE_BOTTOM}", stroke=PAPER)
        weight, ink = (700, INK) if band == state.band else (400, MUTED)
        drawing.text((start + end) / 2, _TOP - 7, label, "middle", weight=weight, fill=ink)


def _rate(drawing: Drawing, state: MonitorState, x_of: Callable[[float], float]) -> None:
    """Draw the learning rate as an area, with its largest value."""
    rates = [(e.step, e.lr) for e in state.entries if e.lr is not None and e.lr >= 0]
    largest = max((rate for _, rate in rates), default=0.0)
    if largest:
        up = scale(_RATE_BOTTOM, _RATE_TOP + 3, 0, largest)
        points = [(x_of(at), up(mean)) for at, mean, _, _ in binned(rates, _bin_width(state))]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        area = f"M{points[0][0]:.1f} {_RATE_BOTTOM}L{line}L{points[-1][0]:.1f} {_RATE_BOTTOM}Z"
        drawing.path(area, class_="rate", fill=LINE, fill_opacity="0.45", stroke=(MUTED, 1))
    drawing.label(_LEFT - 6, _RATE_TOP + 10, "rate", "end")
    if largest:
        drawing.label(_LEFT - 6, _RATE_TOP + 24, f"{largest:.2g}", "end")


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
    return low, high, ticks[:: max(1, math.ceil(len(ticks) / 8))]


def accuracy(state: MonitorState) -> str:
    """Draw the validations as a table of filled cells with their numbers."""
    scored = [entry for entry in state.entries if entry.accuracy][-_MOST_VALIDATIONS:]
    if not scored:
        why = "none yet" if state.plan.curriculum else "a base model has none"
        if state.status in (Status.LOG, Status.DONE):
            why = "the log holds no validation"
        return html.div(why, class_="accuracy", style=f"color:{MUTED}")
    keys = sorted(
        {key for entry in scored for key in entry.accuracy},
        key=lambda key: (int(key) if key.isdecimal() else 10**9, key),
    )
    left, cell = 96, min(50.0, 200.0 / len(keys))
    drawing, said, size = Drawing(), [], 12 if cell >= 34 else 9
    for place, key in enumerate(keys):
        drawing.label(left + (place + 0.5) * cell, 14, html.shortened(key, 5), "middle", 12)
    for row, entry in enumerate(scored):
        y, step = 20 + row * 27, entry.step + 1
        weight, ink, edge = (700, INK, INK) if entry is scored[-1] else (400, MUTED, LINE)
        letter = state.plan.band_at(entry.step).letter
        drawing.text(0, y + 16, f"{letter} · step {step:,}", weight=weight, fill=ink)
        for place, key in enumerate(keys):
            if (value := entry.accuracy.get(key)) is None:
                continue
            x = left + place * cell
            with drawing.group(class_="score", data_thoughts=key, data_step=entry.step):
                drawing.rect(x + 1, y, cell - 2, 24, rx=4, fill=shade(value), stroke=edge)
                drawing.text(x + cell / 2, y + 16, f"{value:.2f}", "middle", size=size,
                             weight=weight, fill=ink_on(value))  # fmt: skip
            said.append(f"step {step}, {key}: {value:.2f}")
    width, height = left + len(keys) * cell, 20 + 27 * len(scored)
    title = "Accuracy at each validation"
    return drawing.picture("accuracy", width, height, title, "; ".join(said))

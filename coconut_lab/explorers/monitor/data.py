"""What the training monitor shows, as one plain dictionary: a pure function of plan and log.

    name       of the recipe
    total      optimizer steps of all phases
    base       whether it trains a base model, which has no stages
    factor     thoughts per step of a chain, the paper's c
    bands      its phases in order: letter, start and end (steps), stage, in_words, in_short
    status     "ready", "running", "stopping", "stopped", "failed", "done"; "log": over before
    message    why it failed, if it did
    waits      whether a cell waits for the run, so that the kernel answers no button
    done       steps that are done
    left       seconds to the end at the pace of the last steps; null before that is known
    bin        steps that a point gathers, at most
    points     [steps done, mean, least and largest loss, learning rate, seconds of training so far]
    scores     validations: step (done), accuracy {thoughts: share}, cut_off {thoughts: answers}

A number that a log does not have, or that is not finite, is null.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from statistics import fmean
from string import ascii_uppercase
from typing import Any, NamedTuple

from coconut_lab.curriculum.in_words import in_short, replaced
from coconut_lab.training.data import count_problems
from coconut_lab.training.recipe import Recipe

PACE_STEPS = 50  # the pace is that of the last ones
MOST_POINTS = 240  # of a curve
RUNNING = ("running", "stopping")
_LARGEST = 1e12  # no number of a run is larger, and sums of such numbers stay finite


def plan_of(recipe: Recipe | Mapping[str, Any]) -> dict[str, Any]:
    """Read what a run is going to do: name, total, base, factor and bands of the schema above.

    Where phases count epochs, their steps are those with all problems of the recipe's source.

    Args:
        recipe: a `Recipe`, or the plain data of one that a card holds (`card["recipe"]`).

    Returns:
        A dictionary with these parts of the schema.

    Raises:
        RecipeError: the plain data is no recipe.
    """
    if not isinstance(recipe, Recipe):
        recipe = Recipe.from_dict(dict(recipe))
    if any(phase.epochs for phase in recipe.phases):
        recipe = recipe.in_steps(count_problems(recipe))
    made = None if recipe.objective == "walks" else recipe.curriculum.make()
    ends = list(accumulate(phase.steps for phase in recipe.phases))
    bands = [
        {
            "letter": _letter(index), "start": end - phase.steps, "end": end, "stage": phase.stage,
            "in_words": replaced(made, phase.stage) if made else "",
            "in_short": in_short(made, phase.stage) if made else "random walks",
        }
        for index, (phase, end) in enumerate(zip(recipe.phases, ends, strict=True))
    ]  # fmt: skip
    factor = made.thoughts_per_step if made else 0
    return {"name": recipe.name, "total": ends[-1], "base": not made, "factor": factor,
            "bands": bands}  # fmt: skip


def _letter(index: int) -> str:
    """A, B … Z, AA, AB …"""
    return (_letter(index // 26 - 1) if index >= 26 else "") + ascii_uppercase[index % 26]


class Entry(NamedTuple):
    """One log entry, with finite numbers only; None where the log has none."""

    step: int  # from 0
    loss: float | None
    lr: float | None
    seconds: float | None
    accuracy: dict[str, float]  # number of thoughts → share of right answers
    cut_off: dict[str, float]  # number of thoughts → answers that did not end by themselves


def read_entry(logged: Mapping[str, Any]) -> Entry:
    """Take from a log entry what the picture shows, without what is no finite number."""
    loss, lr, seconds = (_finite(logged.get(key)) for key in ("loss", "lr", "seconds"))
    tables = ({
        str(thoughts): number
        for thoughts, value in (logged.get(key) or {}).items()
        if (number := _finite(value)) is not None
    } for key in ("accuracy", "cut_off"))  # fmt: skip
    return Entry(int(logged["step"]), loss, lr, seconds, *tables)


def read_log(path: str | os.PathLike[str]) -> list[Entry]:
    """Read the log of a run, a `log.jsonl` as the trainer writes it, in the order of its steps.

    Lines that are cut off or hold no step are left out, and of several entries of one step the
    last counts. An OSError says that the file cannot be read.
    """
    found: dict[int, Entry] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            entry = read_entry(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found[entry.step] = entry
    return [found[step] for step in sorted(found)]


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= _LARGEST else None  # False for NaN too


def elapsed(entries: Iterable[Entry]) -> float:
    """Add up the seconds of the entries of `read_log`; each session of a run counts from 0."""
    return ([0.0, *_clocked(entries)])[-1]


def _clocked(entries: Iterable[Entry]) -> list[float]:
    """The seconds of training up to each entry."""
    found, earlier, last = [], 0.0, 0.0
    for entry in entries:
        now = last if entry.seconds is None else entry.seconds
        earlier += last if now < last else 0.0  # a session that has ended
        last = now
        found.append(earlier + now)
    return found


def seconds_left(entries: Sequence[Entry], total: int) -> float | None:
    """Estimate the seconds to the end at the pace of the last steps; None before it is known."""
    if entries and total <= entries[-1].step + 1:
        return 0.0
    timed: list[tuple[int, float]] = []
    for entry in reversed(entries):
        if entry.seconds is None:
            continue
        if timed and (entry.seconds > timed[-1][1] or timed[0][0] - entry.step > PACE_STEPS):
            break  # an earlier session, or too long ago
        timed.append((entry.step, entry.seconds))
    if len(timed) < 2 or timed[0][0] == timed[-1][0]:
        return None
    left = total - entries[-1].step - 1
    return left * (timed[0][1] - timed[-1][1]) / (timed[0][0] - timed[-1][0])


def monitor_data(
    plan: Mapping[str, Any],
    entries: Sequence[Entry] = (),
    status: str = "ready",
    message: str = "",
    *,
    waits: bool = False,
) -> dict[str, Any]:
    """Put together all that the monitor shows, of the schema at the top of this module.

    Args:
        plan: what the run is going to do, as `plan_of` gives it.
        entries: what is logged so far, in the order of its steps.
        status, message, waits: as in the schema.

    Returns:
        A dictionary of the schema; JSON can hold it.
    """
    width, points = max(1, math.ceil(plan["total"] / MOST_POINTS)), []
    timed = zip(entries, _clocked(entries), strict=True)
    for _, group in groupby(timed, key=lambda one: one[0].step // width):
        gathered, clocks = zip(*group, strict=True)
        losses = [entry.loss for entry in gathered if entry.loss is not None]
        rates = [entry.lr for entry in gathered if entry.lr is not None and entry.lr >= 0]
        loss = (fmean(losses), min(losses), max(losses)) if losses else (None, None, None)
        numbers = (*loss, fmean(rates) if rates else None, clocks[-1])
        points.append([gathered[-1].step + 1, *map(_short, numbers)])
    left = seconds_left(entries, plan["total"]) if status in RUNNING else None
    scores = [
        {"step": entry.step + 1, "accuracy": entry.accuracy, "cut_off": entry.cut_off}
        for entry in entries
        if entry.accuracy
    ]
    return dict(plan) | {
        "status": status, "message": message, "waits": waits, "left": _short(left), "bin": width,
        "done": entries[-1].step + 1 if entries else 0, "points": points, "scores": scores,
    }  # fmt: skip


def _short(number: float | None) -> float | None:
    """As many digits as a picture shows."""
    return None if number is None else float(f"{number:.5g}")

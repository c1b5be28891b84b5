"""What a picture of a training run is made from: the plan, and the log entries so far."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from itertools import accumulate, pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.training.data import count_problems
from coconut_lab.training.recipe import Recipe

PACE_STEPS = 50  # the pace is that of the last ones
_LARGEST = 1e12  # no number of a run is larger, and sums of such numbers stay finite


class Status(StrEnum):
    """What a run is doing."""

    READY = auto()
    RUNNING = auto()
    STOPPING = auto()
    STOPPED = auto()
    FAILED = auto()
    DONE = auto()
    LOG = auto()  # it was over before: this is its log


class Band(NamedTuple):
    """One phase of a recipe: its letter, its first step, the step after its last, its stage."""

    letter: str
    start: int
    end: int
    stage: int


@dataclass(frozen=True)
class Plan:
    """What a run is going to do, as far as the picture shows it."""

    name: str
    bands: tuple[Band, ...]  # its phases, in order
    curriculum: Curriculum | None  # None for a base model, which has no stages

    @classmethod
    def of(cls, recipe: Recipe | Mapping[str, Any]) -> Plan:
        """Read a recipe, or the plain data of one that a card holds (`card["recipe"]`).

        Where phases count epochs, their steps are those with all problems of the recipe's source.

        Raises:
            RecipeError: the plain data is no recipe.
        """
        if not isinstance(recipe, Recipe):
            recipe = Recipe.from_dict(dict(recipe))
        if any(phase.epochs for phase in recipe.phases):
            recipe = recipe.in_steps(count_problems(recipe))
        ends = accumulate(phase.steps for phase in recipe.phases)
        bands = tuple(
            Band(_letter(index), end - phase.steps, end, phase.stage)
            for index, (phase, end) in enumerate(zip(recipe.phases, ends, strict=True))
        )
        made = None if recipe.objective == "walks" else recipe.curriculum.make()
        return cls(recipe.name, bands, made)

    @property
    def total(self) -> int:
        """Optimizer steps of all phases."""
        return self.bands[-1].end

    def band_at(self, step: int) -> Band:
        """The phase that a step belongs to; the last one for steps past the end."""
        return next((band for band in self.bands if step < band.end), self.bands[-1])


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


def read_entry(logged: Mapping[str, Any]) -> Entry:
    """Take from a log entry what the picture shows, without what is no finite number."""
    found = {str(key): _finite(value) for key, value in (logged.get("accuracy") or {}).items()}
    accuracy = {key: share for key, share in found.items() if share is not None}
    loss, lr, seconds = (_finite(logged.get(key)) for key in ("loss", "lr", "seconds"))
    return Entry(int(logged["step"]), loss, lr, seconds, accuracy)


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


@dataclass(frozen=True)
class MonitorState:
    """One picture of a run."""

    plan: Plan
    entries: tuple[Entry, ...] = ()  # what is logged so far, in order
    status: str = Status.READY
    message: str = ""  # why it failed, if it did

    @property
    def done(self) -> int:
        """How many steps are done."""
        return self.entries[-1].step + 1 if self.entries else 0

    @property
    def band(self) -> Band:
        """The phase of the last step; the first phase before any."""
        return self.plan.band_at(max(0, self.done - 1))


def elapsed(entries: Iterable[Entry]) -> float:
    """Add up the seconds of the entries of `read_log`; each session of a run counts from 0."""
    seconds = [0.0, *(entry.seconds for entry in entries if entry.seconds is not None), 0.0]
    return sum(last for last, after in pairwise(seconds) if after < last)


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


def clock(seconds: float) -> str:
    """Write a duration: `0:07`, `12:30`, `1:02:05`."""
    whole = max(0, round(seconds))
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"

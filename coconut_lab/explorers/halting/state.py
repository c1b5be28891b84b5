"""What a picture of halting is made from: a study, looked up for every rule and threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coconut_lab.inference.halting import HaltError
from coconut_lab.inference.halting_tradeoff import HaltPoint, HaltStudy

FIXED = "fixed"
#: What can come of a stop, in the order of a table, with its meaning.
VERDICTS = {
    "too early": "wrong, and right after more thoughts",
    "on time": "right, and after no fewer thoughts",
    "too late": "was right after fewer thoughts",
    "never": "wrong after any number of thoughts",
}
MOST_ROWS, PER_HOPS = 36, 6  # of the strip, and of each number of steps


def verdicts(study: HaltStudy, stops: NDArray[Any]) -> NDArray[Any]:
    """Say what came of stopping each problem where it was: (N,) keys of `VERDICTS`."""
    names = dict(zip(("early", "on_time", "late", "never"), VERDICTS, strict=True))
    return np.vectorize(names.get)(study.verdicts(stops))


@dataclass(frozen=True, eq=False)
class Setting:
    """One rule at one threshold."""

    rule: str  # FIXED, or a signal of the study
    point: HaltPoint
    stops: NDArray[Any]  # (N,) int, after how many thoughts each problem stops
    verdicts: NDArray[Any]  # (N,) keys of VERDICTS
    chosen: bool = False  # the threshold was given beforehand

    @property
    def thoughts(self) -> float:
        """Mean number of thoughts."""
        assert self.point.score.thoughts is not None  # every point of a study has it
        return self.point.score.thoughts


@dataclass(frozen=True, eq=False)
class HaltState:
    """One picture of the explorer: a rule at one of its thresholds."""

    study: HaltStudy
    settings: Mapping[str, tuple[Setting, ...]]  # of every rule, from the fewest thoughts on
    sample: tuple[int, ...]  # the problems on the strip, by their number of steps
    rule: str = FIXED
    place: int = 0

    def __post_init__(self) -> None:
        if self.rule not in self.settings:
            raise HaltError(f"unknown rule {self.rule!r}; there are {', '.join(self.settings)}")
        last = len(self.settings[self.rule]) - 1
        if not 0 <= self.place <= last:
            raise HaltError(f"the place of {self.rule} is {self.place}; it goes from 0 to {last}")

    @property
    def setting(self) -> Setting:
        """The rule at its threshold."""
        return self.settings[self.rule][self.place]

    @property
    def chosen(self) -> list[Setting]:
        """The rule at the threshold that was given beforehand, if there is one."""
        return [one for one in self.settings[self.rule] if one.chosen and self.rule != FIXED]

    def at(self, rule: str | None = None, place: int | None = None) -> HaltState:
        """The same study elsewhere; another rule starts at its chosen threshold, or half-way."""
        if rule is None or rule == self.rule:
            return replace(self, place=self.place if place is None else place)
        other = replace(self, rule=rule, place=0)
        if place is None:
            marks = [setting.chosen for setting in other.settings[rule]]
            place = marks.index(True) if any(marks) else len(marks) // 2
        return replace(other, place=place)


def read_study(
    study: HaltStudy, chosen: Mapping[str, float] | None = None, *, count: int = 50
) -> HaltState:
    """Look up every rule at `count` thresholds; nothing has to be computed afterwards.

    A threshold in `chosen` (signal → threshold) was chosen on other problems: it is marked, and
    shown first.
    """
    if not len(study.hops):
        raise HaltError("the study has no problems, so there is nothing to show")
    chosen = chosen or {}
    if unknown := [signal for signal in chosen if signal not in study.signals]:
        raise HaltError(f"unknown signal {unknown[0]!r}; there are {', '.join(study.signals)}")

    def setting(rule: str, point: HaltPoint, stops: NDArray[Any], given: float | None) -> Setting:
        return Setting(rule, point, stops, verdicts(study, stops), point.threshold == given)

    best = int(study.best_fixed().threshold)
    settings = {
        FIXED: tuple(
            setting(FIXED, study.fixed(k), np.full(len(study.hops), k), best)
            for k in range(study.max_thoughts + 1)
        )
    }
    for signal in study.signals:
        given = chosen.get(signal)
        thresholds = {*study.thresholds(signal, count), *([] if given is None else [given])}
        # At a higher entropy, and at a lower probability or margin, a rule stops earlier.
        settings[signal] = tuple(
            setting(signal, study.at(signal, threshold), study.stops(signal, threshold), given)
            for threshold in sorted(thresholds, reverse=signal == "entropy")
        )
    kinds = np.unique(study.hops)
    each = max(1, min(PER_HOPS, MOST_ROWS // len(kinds)))
    sample = [row for hops in kinds for row in np.flatnonzero(study.hops == hops)[:each].tolist()]
    return HaltState(study, settings, tuple(sample[:MOST_ROWS]), FIXED, best)

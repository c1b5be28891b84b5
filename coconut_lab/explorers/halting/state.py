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
MOST_ROWS = 36  # of the strip


def verdicts(study: HaltStudy, stops: NDArray[Any]) -> tuple[str, ...]:
    """Say what came of stopping each problem where it was; `HaltPoint` counts the same."""
    counts = np.arange(study.max_thoughts + 1)
    right = study.right[np.arange(len(stops)), stops]
    before = (study.right & (counts < stops[:, None])).any(1)
    after = (study.right & (counts > stops[:, None])).any(1)
    early, late = ~right & after, before & (right | ~after)
    names = list(VERDICTS)
    return tuple(names[index] for index in np.select([early, late, right], [0, 2, 1], 3))


@dataclass(frozen=True, eq=False)
class Setting:
    """One rule at one threshold."""

    rule: str  # FIXED, or a signal of the study
    point: HaltPoint
    stops: NDArray[Any]  # (N,) int, after how many thoughts each problem stops
    verdicts: tuple[str, ...]  # a key of VERDICTS for each problem
    chosen: bool = False  # the threshold was given beforehand

    @property
    def thoughts(self) -> float:
        """Mean number of thoughts."""
        assert self.point.score.thoughts is not None  # every point of a study has it
        return self.point.score.thoughts

    def of_hops(self, study: HaltStudy, hops: int) -> list[int]:
        """Count each verdict among the problems with that many steps."""
        found = [v for v, h in zip(self.verdicts, study.hops, strict=True) if h == hops]
        return [found.count(name) for name in VERDICTS]


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
    def start(self) -> int:
        """Where the slider of this rule starts: at the chosen threshold, else in the middle."""
        found = [i for i, setting in enumerate(self.settings[self.rule]) if setting.chosen]
        return found[0] if found else len(self.settings[self.rule]) // 2

    def at(self, rule: str | None = None, place: int | None = None) -> HaltState:
        """The same study at another rule or threshold; another rule starts at `start`."""
        if rule is None or rule == self.rule:
            return replace(self, place=self.place if place is None else place)
        other = replace(self, rule=rule, place=0)
        return replace(other, place=other.start if place is None else place)


def read_study(
    study: HaltStudy,
    chosen: Mapping[str, float] | None = None,
    *,
    count: int = 50,
    per_hops: int = 6,
) -> HaltState:
    """Look up every rule at many thresholds; nothing has to be computed afterwards.

    A threshold in `chosen` (signal → threshold) was chosen on other problems: it is marked, and
    shown first. `count` thresholds of each rule are looked up; the strip has `per_hops` problems
    of each number of steps, where there is room.
    """
    if not len(study.hops):
        raise HaltError("the study has no problems, so there is nothing to show")
    chosen = chosen or {}
    for signal in chosen:
        if signal not in study.signals:
            raise HaltError(f"unknown signal {signal!r}; there are {', '.join(study.signals)}")

    def setting(rule: str, point: HaltPoint, stops: NDArray[Any], given: float | None) -> Setting:
        return Setting(rule, point, stops, verdicts(study, stops), point.threshold == given)

    best = study.best_fixed().threshold
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
    state = HaltState(study, settings, _sample(study, per_hops))
    return state.at(place=state.start)


def _sample(study: HaltStudy, per_hops: int) -> tuple[int, ...]:
    """Take the first problems of every number of steps, as many as there is room for."""
    kinds = np.unique(study.hops)
    each = max(1, min(per_hops, MOST_ROWS // len(kinds)))
    rows = [row for hops in kinds for row in (study.hops == hops).nonzero()[0][:each].tolist()]
    return tuple(rows[:MOST_ROWS])

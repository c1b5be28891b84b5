"""What a halting rule costs and gains: accuracy against mean thoughts, for every threshold.

A model reads every problem once for each number of thoughts, and all that rules look at is written
down: what the classifier would say, how sure the forced answer is, whether the answer is right.
Every rule at every threshold is then a look-up, with no forward pass.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.errors import checks_kinds
from coconut_lab.files import write_text
from coconut_lab.inference.halting import MEASURES, HaltError, LearnedHalt, answer_confidence
from coconut_lab.inference.scoring import Score
from coconut_lab.inference.states_and_answers import (
    answers_after,
    heads_of,
    last_states,
    states_while_thinking,
)
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.problems import Problem

Array = NDArray[Any]
_TABLES = ("hops", "tokens", "passes", "right", "cut_off")


@dataclass(frozen=True)
class OperatingPoint:
    """One rule at one threshold, on all problems of a study.

    Attributes:
        threshold: the threshold; for a fixed length, the number of thoughts.
        score: accuracy with outcomes; `tokens`, `thoughts` and `passes` are means per problem.
        by_hops: the same for the problems of each number of steps.
        early, on_time, late, never: how many problems came to each of these; see `verdicts`.
    """

    threshold: float
    score: Score
    by_hops: dict[int, Score]
    early: int
    on_time: int
    late: int
    never: int


@dataclass(frozen=True, eq=False)
class HaltingTradeoff:
    """Everything that halting rules look at, for N problems after k = 0 … K thoughts.

    Attributes:
        hops: (N,) int, the number of steps of each problem.
        right: (N, K + 1) bool, whether the answer is right when `<eot>` comes after k thoughts.
        tokens: (N, K + 1) int, how many tokens are written then.
        passes: (N, K + 1) int, forward passes when the number of thoughts is fixed at k.
        cut_off: (N, K + 1) bool, whether the answer was cut off; None where that is not known.
        signals: name → (N, K + 1) float: `"entropy"` and `"margin"` of the forced answer, and the
            probability to stop of every learned halt.
    """

    hops: Array
    right: Array
    tokens: Array
    passes: Array
    signals: Mapping[str, Array]
    cut_off: Array | None = None

    @property
    def max_thoughts(self) -> int:
        """K."""
        return self.right.shape[1] - 1

    @checks_kinds(HaltError)
    def stops(self, signal: str, threshold: float) -> Array:
        """Say after how many thoughts each problem stops: (N,) int, at most K.

        At the signal `"entropy"` a rule stops at or below the threshold, at others at or above it.
        """
        values = self._measured(signal)
        wants = values <= threshold if signal == "entropy" else values >= threshold
        wants[:, -1] = True  # at the largest number no rule is asked
        return wants.argmax(1)

    def verdicts(self, stops: Array) -> Array:
        """Say what came of stopping each problem where it was: (N,) str.

        `early`: wrong, and right after more thoughts. `on_time`: right, and after no fewer.
        `late`: was right after fewer, and may be wrong by now. `never`: wrong after any number.
        """
        counts, right = np.arange(self.max_thoughts + 1), self._of(self.right, stops)
        before = (self.right & (counts < stops[:, None])).any(1)
        after = (self.right & (counts > stops[:, None])).any(1)
        cases = {"early": ~right & after, "late": before & (right | ~after), "on_time": right}
        return np.select(list(cases.values()), list(cases), "never")

    @checks_kinds(HaltError)
    def fixed(self, thoughts: int) -> OperatingPoint:
        """Look up a constant number of thoughts."""
        if not 0 <= thoughts <= self.max_thoughts:
            raise HaltError(f"the study covers 0 to {self.max_thoughts} thoughts, not {thoughts}")
        stops = np.full(len(self.hops), thoughts)
        return self._point(thoughts, stops, self.passes[:, thoughts])

    @checks_kinds(HaltError)
    def best_fixed(self, within: float = 0.0) -> OperatingPoint:
        """Give the smallest constant number of thoughts that loses no more than `within`."""
        if not within >= 0:
            raise HaltError(f"within is {within}; it must be 0 or more")
        points = [self.fixed(thoughts) for thoughts in range(self.max_thoughts + 1)]
        goal = max(point.score.accuracy for point in points) - within
        return next(point for point in points if point.score.accuracy >= goal - 1e-12)

    def at(self, signal: str, threshold: float) -> OperatingPoint:
        """Look up a rule at one threshold."""
        stops = self.stops(signal, threshold)
        # A fixed length reads its last thought and `<eot>` in one pass. A rule looks at the state
        # between the two, so `<eot>` is a separate pass.
        passes = self._of(self.passes, stops) + 1
        if signal in MEASURES:  # one look ahead after every number of thoughts but the largest
            passes = passes + np.minimum(stops + 1, self.max_thoughts)
        return self._point(threshold, stops, passes)

    @checks_kinds(HaltError)
    def thresholds(self, signal: str, count: int = 50) -> list[float]:
        """Give quantiles of what was measured, and the threshold just outside: it never stops."""
        values = self._measured(signal)
        found = {float(value) for value in np.quantile(values, np.linspace(0, 1, count))}
        never = np.nextafter(*((values.min(), -1) if signal == "entropy" else (values.max(), 2)))
        return sorted(found | {float(never)})

    def curve(self, signal: str, thresholds: Iterable[float] | None = None) -> list[OperatingPoint]:
        """Look up a rule at many thresholds, in the order given (rising by default)."""
        chosen = self.thresholds(signal) if thresholds is None else thresholds
        return [self.at(signal, threshold) for threshold in chosen]

    @checks_kinds(HaltError)
    def choose(self, signal: str, within: float = 0.01) -> OperatingPoint:
        """Choose the threshold of a signal that needs the fewest mean thoughts.

        It may lose `within` of the accuracy (0 to 1) of the best fixed length; if every threshold
        loses more, it is the one that loses least.
        """
        goal = self.best_fixed().score.accuracy - within
        points = self.curve(signal, self.thresholds(signal, 400))
        good = [point for point in points if point.score.accuracy >= goal - 1e-12]
        if not good:
            return max(points, key=lambda point: point.score.accuracy)
        return min(good, key=lambda point: point.score.thoughts or 0.0)

    def _measured(self, signal: str) -> Array:
        if signal not in self.signals:
            raise HaltError(f"unknown signal {signal!r}; there are {', '.join(self.signals)}")
        return self.signals[signal]

    def _of(self, table: Array, stops: Array) -> Array:
        return table[np.arange(len(stops)), stops]

    def _point(self, threshold: float, stops: Array, passes: Array) -> OperatingPoint:
        right, tokens = self._of(self.right, stops), self._of(self.tokens, stops)

        def part(chosen: Any) -> Score:
            outcomes = tuple(right[chosen].tolist())
            wrote, thought, ran = (float(v[chosen].mean()) for v in (tokens, stops, passes))
            cut = None if self.cut_off is None else int(self._of(self.cut_off, stops)[chosen].sum())
            return Score(sum(outcomes), len(outcomes), outcomes, wrote, thought, ran, cut)

        counts = Counter(self.verdicts(stops).tolist())
        return OperatingPoint(
            threshold,
            part(slice(None)),
            {int(hops): part(self.hops == hops) for hops in np.unique(self.hops)},
            **{verdict: counts[verdict] for verdict in ("early", "on_time", "late", "never")},
        )

    @checks_kinds(HaltError)
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the study as JSON, whole or not at all; signals keep seven digits."""
        tables = {name: getattr(self, name) for name in _TABLES}
        values: dict[str, Any] = {
            name: table.astype(int).tolist() for name, table in tables.items() if table is not None
        }
        values["signals"] = {
            name: [[float(f"{value:.7g}") for value in row] for row in rows.tolist()]
            for name, rows in self.signals.items()
        }
        write_text(path, json.dumps(values, separators=(",", ":")) + "\n")

    @classmethod
    @checks_kinds(HaltError)
    def load(cls, path: str | os.PathLike[str]) -> HaltingTradeoff:
        """Read what `save` wrote; HaltError if it is missing, or is no study."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            kinds = {"right": bool, "cut_off": bool}
            tables = {n: np.array(values[n], kinds.get(n)) for n in _TABLES if n in values}
            signals = {name: np.array(rows) for name, rows in values["signals"].items()}
            found = cls(**tables, signals=signals)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise HaltError(f"{path} is no study that can be read: {error}") from error
        for name, table in {**tables, **signals}.items():
            if name != "hops" and table.shape != (len(found.hops), *found.right.shape[1:]):
                raise HaltError(f"{path}: {name} has shape {table.shape}, not {found.right.shape}")
        return found


# What the two were called before.
HaltPoint = OperatingPoint
HaltStudy = HaltingTradeoff


@checks_kinds(HaltError)
@torch.no_grad()
def study_halts(
    model: Coconut,
    curriculum: Curriculum,
    problems: Sequence[Problem],
    halts: Mapping[str, LearnedHalt],
    max_thoughts: int,
    *,
    answer_now: bool = True,
    batch_size: int = 500,
    **how: Any,
) -> HaltingTradeoff:
    """Measure once all that is needed to evaluate every rule at every threshold.

    Args:
        model, curriculum, answer_now, how: as for `write_answers`; by default, thoughts alone
            must do.
        problems: what to ask; mixed numbers of steps say most.
        halts: learned halts of this model, by name.
        max_thoughts: K, the largest number of thoughts.
        batch_size: how many problems go through the model at once.

    Returns:
        The study.

    Raises:
        HaltError: a halt that belongs to another model, or is called like a measure.
    """
    for name, halt in halts.items():
        if name in MEASURES:
            raise HaltError(f"a halt is called {name!r}, which is a measure; rename it")
        halt.check(model)
    heads = heads_of(model, curriculum, problems)
    states = states_while_thinking(model, heads, max_thoughts, batch_size)  # (N, K + 1, d)
    signals = {name: halt.probability(states).cpu().numpy() for name, halt in halts.items()}
    mark = model.tokenizer(ANSWER_MARK, add_special_tokens=False).input_ids
    measured = []
    for thoughts in range(max_thoughts + 1):
        latent = [*[model.tokens.thought] * thoughts, model.tokens.eot, *mark]
        rows = [[*head, *latent] for head in heads]
        logits = [model.head(part[:, -1]) for part in last_states(model, rows, 1, batch_size)]
        measured.append(answer_confidence(torch.cat(logits)))
    for name in MEASURES:
        signals[name] = torch.stack([one[name] for one in measured], dim=1).cpu().numpy()
    hops = np.array([len(problem.steps) for problem in problems])
    how["answer_now"] = answer_now
    answers = answers_after(model, curriculum, problems, max_thoughts, **how)
    return HaltingTradeoff(hops, **answers, signals=signals)

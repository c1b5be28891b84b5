"""What the halt explorer shows, as one plain dictionary: every rule at every threshold of a study.

total      how many problems the study has
most       the largest number of thoughts
hops       how many steps problems have, from the fewest; the groups below follow it, then all
verdicts   what can come of a stop: [name, meaning], …
sample     the problems that are shown one by one: number (of the study), hops, right (after 0, 1,
           … thoughts), seen (rule → what it looked at after each)
rules      name and label; chosen: the place of the threshold that was chosen beforehand, or null;
           start: the place to begin at; settings, from the fewest thoughts on, each with
               threshold, words   when it stops
               accuracy   of all, with its 95% interval: [share, low, high]
               thoughts, passes   means per problem
               groups     [accuracy, mean thoughts, problems of each verdict, …], …
               stops, came   of every problem of the sample: thoughts, and number of the verdict
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from coconut_lab.inference.halting import HaltError
from coconut_lab.inference.halting_tradeoff import HaltStudy

FIXED = "fixed"
#: What can come of a stop: its name in a study, its name in a table, its meaning.
VERDICTS = (
    ("early", "too early", "wrong, and right after more thoughts"),
    ("on_time", "on time", "right, and after no fewer thoughts"),
    ("late", "too late", "was right after fewer thoughts"),
    ("never", "never", "wrong after any number of thoughts"),
)
#: What a rule is called, and when it stops; any other is a learned halt.
RULES = {
    FIXED: ("a fixed number of thoughts", "Stop after {:.0f} thought{s}, whatever the problem"),
    "entropy": (
        "confident: entropy", "Stop when the forced answer has an entropy of at most {:.3g} nats"
    ),
    "margin": (
        "confident: margin", "Stop when the forced answer leads by a margin of at least {:.4g}"
    ),
}  # fmt: skip
MOST_ROWS, PER_HOPS = 36, 6  # of the sample, and of each number of steps


def halt_data(
    study: HaltStudy, chosen: Mapping[str, float] | None = None, *, thresholds: int = 50
) -> dict[str, Any]:
    """Look up every rule of a study at many thresholds; nothing has to be computed afterwards.

    Args:
        study: what rules look at.
        chosen: signal → threshold that was chosen on other problems; it is among those looked up.
        thresholds: about how many of each rule.

    Returns:
        A dictionary of the schema above; JSON can hold it.

    Raises:
        HaltError: a study without problems, or an unknown signal; the message lists what there is.
    """
    if not len(study.hops):
        raise HaltError("the study has no problems, so there is nothing to show")
    chosen = chosen or {}
    if unknown := [signal for signal in chosen if signal not in study.signals]:
        raise HaltError(f"unknown signal {unknown[0]!r}; there are {', '.join(study.signals)}")
    kinds = np.unique(study.hops)
    each = max(1, min(PER_HOPS, MOST_ROWS // len(kinds)))
    sample = [row for hops in kinds for row in np.flatnonzero(study.hops == hops)[:each]]
    sample = sample[:MOST_ROWS]
    names = [verdict for verdict, *_ in VERDICTS]

    def setting(rule: str, threshold: float) -> dict[str, Any]:
        fixed = rule == FIXED
        point = study.fixed(int(threshold)) if fixed else study.at(rule, threshold)
        thoughts = np.full(len(study.hops), int(threshold))
        stops = thoughts if fixed else study.stops(rule, threshold)
        verdicts = study.verdicts(stops)
        groups = [(found, study.hops == hops) for hops, found in point.by_hops.items()]
        groups.append((point.score, study.hops >= 0))
        return {
            "threshold": threshold,
            "words": in_words(rule, threshold),
            "accuracy": _rounded(point.score.accuracy, *point.score.interval),
            "thoughts": _rounded(point.score.thoughts)[0],
            "passes": _rounded(point.score.passes)[0],
            "groups": [
                _rounded(score.accuracy, score.thoughts)
                + [int((verdicts[rows] == verdict).sum()) for verdict in names]
                for score, rows in groups
            ],
            "stops": stops[sample].tolist(),
            "came": [names.index(verdict) for verdict in verdicts[sample]],
        }

    best = int(study.best_fixed().threshold)
    rules = []
    for rule in (FIXED, *study.signals):
        fixed = rule == FIXED
        given = best if fixed else chosen.get(rule)
        found = range(study.max_thoughts + 1) if fixed else study.thresholds(rule, thresholds)
        # At a higher entropy, and at a lower probability or margin, a rule stops earlier.
        line = sorted({*found, *([] if given is None else [given])}, reverse=rule == "entropy")
        rules.append({
            "name": rule,
            "label": RULES[rule][0] if rule in RULES else f"learned: {rule}",
            "chosen": None if fixed or given is None else line.index(given),
            "start": len(line) // 2 if given is None else line.index(given),
            "settings": [setting(rule, threshold) for threshold in line],
        })  # fmt: skip
    return {
        "total": len(study.hops),
        "most": study.max_thoughts,
        "hops": kinds.tolist(),
        "verdicts": [[name, meaning] for _, name, meaning in VERDICTS],
        "sample": [
            {
                "number": int(row),
                "hops": int(study.hops[row]),
                "right": study.right[row].tolist(),
                "seen": {name: _rounded(*seen[row]) for name, seen in study.signals.items()},
            }
            for row in sample
        ],
        "rules": rules,
    }


def in_words(rule: str, threshold: float) -> str:
    """Say when a rule stops, with its threshold."""
    if rule in RULES:
        return RULES[rule][1].format(threshold, s="" if threshold == 1 else "s")
    return f"Stop when the learned halt “{rule}” says {threshold:.4g} or more"


def _rounded(*numbers: Any) -> list[float]:
    return [round(float(number), 5) for number in numbers]

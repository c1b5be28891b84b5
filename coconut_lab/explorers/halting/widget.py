"""The halt explorer: move a threshold, and see which problems stop when, and what it costs."""

from collections.abc import Mapping

import ipywidgets as widgets

from coconut_lab.explorers.base import Explorer, control, row, slider
from coconut_lab.explorers.halting.drawing import render
from coconut_lab.explorers.halting.state import FIXED, HaltState, read_study
from coconut_lab.inference.halting_tradeoff import HaltStudy

#: What a rule is called in the list to choose from; a learned halt goes by its name.
_NAMES = {
    FIXED: "a fixed number of thoughts",
    "entropy": "confident: entropy",
    "margin": "confident: margin",
}


class HaltExplorer(Explorer):
    """Shows what halting rules do: each problem's stop, the cost, too early and too late.

    Every rule is looked up at every threshold when the explorer is made, so it moves at once and
    needs no model.

    Args:
        study: what rules look at, as `study_halts` measures it or `HaltStudy.load` reads it.
        chosen: signal → threshold that was chosen on other problems; marked, and shown first.
        rule: the rule to show first: `"fixed"`, or a signal of the study.

    Attributes:
        state: what is drawn now, a `HaltState`.
        rule, threshold: the controls; setting the `value` of one is what a user does. `threshold`
            counts the thresholds of the rule, from the one that stops first to the one that stops
            last; the picture says its value.

    Raises:
        HaltError: a study without problems, or an unknown rule or signal; the message lists what
            there is.
    """

    state: HaltState

    def __init__(
        self, study: HaltStudy, chosen: Mapping[str, float] | None = None, *, rule: str = FIXED
    ) -> None:
        super().__init__(render)
        self._show(read_study(study, chosen).at(rule))
        self.rule = control(
            widgets.Dropdown, "Rule", "What decides when to stop thinking", "300px",
            options=[(_NAMES.get(name, f"learned: {name}"), name) for name in self.state.settings],
            value=rule, layout={"max_width": "100%"},
        )  # fmt: skip
        last, place = len(self.state.settings[rule]) - 1, self.state.place
        tip = "From stopping early to stopping late"
        self.threshold = slider("Threshold", tip, "420px", 0, last, place)
        self._on(self.rule, self._change_rule)
        self._on(self.threshold, lambda place: self._show(self.state.at(place=place)))
        self.children = [row(self.rule, self.threshold), self.picture]

    def _summary(self) -> str:
        return f"{len(self.state.study.hops)} problems"

    def _change_rule(self, rule: str) -> None:
        state = self.state.at(rule)
        self._move(self.threshold, len(state.settings[rule]) - 1, state.place)
        self._show(state)

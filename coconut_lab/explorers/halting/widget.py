"""The halt explorer: move a threshold, and see which problems stop when, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets as widgets

from coconut_lab.explorers.halting.drawing import render
from coconut_lab.explorers.halting.state import FIXED, HaltState, read_study
from coconut_lab.inference.halting_tradeoff import HaltStudy

_WHOLE = {"description_width": "initial"}  # no label is cut off
#: What a rule is called in the list to choose from; a learned halt goes by its name.
_NAMES = {
    FIXED: "a fixed number of thoughts",
    "entropy": "confident: entropy",
    "margin": "confident: margin",
}


class HaltExplorer(widgets.VBox):
    """Shows what halting rules do: each problem's stop, the cost, too early and too late.

    Every rule is looked up at every threshold when the explorer is made, so it moves at once and
    needs no model.

    Args:
        study: what rules look at, as `study_halts` measures it or `HaltStudy.load` reads it.
        chosen: signal → threshold that was chosen on other problems; marked, and shown first.
        rule: the rule to show first: `"fixed"`, or a signal of the study.

    Attributes:
        state: what is drawn at the moment, a `HaltState`.
        rule, threshold: the controls; setting the `value` of one is what a user does. `threshold`
            counts the thresholds of the rule, from the one that stops first to the one that stops
            last; the picture says its value.
        picture: the drawing, an `HTML` widget; `picture.value` is `render(state)`.

    Raises:
        HaltError: a study without problems, or an unknown rule or signal; the message lists what
            there is.
    """

    def __init__(
        self, study: HaltStudy, chosen: Mapping[str, float] | None = None, *, rule: str = FIXED
    ) -> None:
        super().__init__()
        self.state: HaltState = read_study(study, chosen).at(rule)
        self._busy = False
        names = [(_NAMES.get(name, f"learned: {name}"), name) for name in self.state.settings]
        self.rule = widgets.Dropdown(
            options=names,
            value=rule,
            description="Rule",
            tooltip="What decides when to stop thinking",
            layout={"width": "300px", "max_width": "100%"},
            style=_WHOLE,
        )
        self.threshold = widgets.IntSlider(
            value=self.state.place,
            min=0,
            max=len(self.state.settings[rule]) - 1,
            description="Threshold",
            tooltip="From stopping early to stopping late",
            layout={"width": "420px", "max_width": "100%"},
            style=_WHOLE,
        )
        self.picture = widgets.HTML(layout={"width": "auto"})
        self.rule.observe(lambda change: self._change_rule(), "value")
        self.threshold.observe(lambda change: self._change_threshold(), "value")
        row = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 20px"}
        self.layout.max_width = "1004px"
        self.children = [widgets.HBox([self.rule, self.threshold], layout=row), self.picture]
        self._draw()

    def __repr__(self) -> str:
        # Short and the same in every run: notebooks keep it as the text of their output.
        return f"HaltExplorer({len(self.state.study.hops)} problems)"

    def _change_rule(self) -> None:
        self.state = self.state.at(self.rule.value)
        self._busy = True  # one picture for several changes
        self.threshold.value = 0
        self.threshold.max = len(self.state.settings[self.state.rule]) - 1
        self.threshold.value = self.state.place
        self._busy = False
        self._draw()

    def _change_threshold(self) -> None:
        if not self._busy:
            self.state = self.state.at(place=self.threshold.value)
            self._draw()

    def _draw(self) -> None:
        self.picture.value = render(self.state)

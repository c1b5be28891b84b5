"""The halt explorer as a widget: move a threshold, and see who stops when, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets
from matplotlib.figure import Figure

from coconut_lab.explorers.browser.explorer import BrowserExplorer, checked, large, module, style
from coconut_lab.explorers.halting.data import FIXED, halt_data
from coconut_lab.figures import draw_stops
from coconut_lab.inference.halting import HaltError
from coconut_lab.inference.halting_tradeoff import HaltStudy


class HaltExplorer(BrowserExplorer):
    """Shows what halting rules do: each problem's stop, the cost, too early and too late.

    Every rule is looked up at every threshold when the explorer is made, so it moves at once and
    needs neither a model nor a kernel.

    Args:
        study: what rules look at, as `study_halts` measures it or `HaltStudy.load` reads it.
        chosen: signal → threshold that was chosen on other problems; marked, and shown first.
        rule: the rule to show first: `"fixed"`, or a signal of the study.

    Attributes: (traits: set them, `observe` them, `jslink` them)
        rule: which rule; another one begins at its chosen threshold, or half-way.
        threshold: which of its thresholds, from the one that stops first to the one that stops
            last; the picture says its value.
        data: what is shown; the schema is in `data.py`.

    Raises:
        HaltError: a study without problems, or an unknown rule or signal; the message lists what
            there is.
        TraitError: a trait was set to what it cannot be.
    """

    _esm = module("browser/controls.js", "halting/halting.js")
    _css = style("browser/controls.css", "halting/halting.css")

    data = large()
    rule = traitlets.Unicode().tag(sync=True)
    threshold = traitlets.Int(0).tag(sync=True)

    def __init__(
        self, study: HaltStudy, chosen: Mapping[str, float] | None = None, *, rule: str = FIXED
    ) -> None:
        data = halt_data(study, chosen)
        self._rules = {one["name"]: one for one in data["rules"]}
        if rule not in self._rules:
            raise HaltError(f"unknown rule {rule!r}; there are {', '.join(self._rules)}")
        super().__init__(data=data, rule=rule, threshold=self._rules[rule]["start"])
        self.observe(self._begin, "rule")

    def _summary(self) -> str:
        return f"{self.data['total']} problems"

    def still(self) -> Figure:
        """Where the problems of the sample stop, as a figure."""
        now = self._rules[self.rule]["settings"][self.threshold]
        return draw_stops(self.data["sample"], now["stops"], now["words"])

    @traitlets.validate("rule", "threshold")
    def _check(self, proposal: Any) -> Any:
        if proposal["trait"].name == "rule":
            return checked(proposal, list(self._rules))
        return checked(proposal, range(len(self._rules[self.rule]["settings"])))

    def _begin(self, change: Any) -> None:
        self.threshold = self._rules[change.new]["start"]

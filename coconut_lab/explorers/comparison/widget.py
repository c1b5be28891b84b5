"""The comparison of models as a widget: guess which one is Coconut before the names are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import traitlets

from coconut_lab.checkpoints import shipped
from coconut_lab.explorers.browser.explorer import BrowserExplorer, checked, module, style
from coconut_lab.explorers.comparison.data import comparison_data
from coconut_lab.explorers.stepper.data import LIST_LENGTH, LIST_SEED, Question
from coconut_lab.explorers.stepper.drawing import still
from coconut_lab.explorers.stepper.reading import read, thoughts_trained
from coconut_lab.tasks.prosqa import generate_prosqa


class ModelComparison(BrowserExplorer):
    """Shows one problem through two or three models, thought by thought, without their names.

    Args:
        models: shipped models with thoughts or pauses; the first is the one to be guessed.

    Attributes: (traits: set them, `observe` them, `jslink` them)
        index: which problem of the list; asks the models.
        thought: which thought is looked at, from 1.
        guess: which panel the reader takes for the first model, from 0; -1 before a guess.
        tally: how many guesses were right, and how many there were.
        data: what is shown; the schema is in `data.py`.

    Raises:
        ValueError: not two or three different models, or one without thoughts.
        TraitError: a trait was set to what it cannot be.
    """

    _esm = module("browser/graph.js", "comparison/comparison.js")
    _css = style("browser/graph.css", "comparison/comparison.css")

    data = traitlets.Dict().tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(LIST_LENGTH).tag(sync=True)
    thought = traitlets.Int(1).tag(sync=True)
    guess = traitlets.Int(-1).tag(sync=True)
    tally = traitlets.List(traitlets.Int(), [0, 0]).tag(sync=True)

    def __init__(
        self, models: Sequence[str] = ("tiny-coconut", "tiny-base", "tiny-pause-as-thought")
    ) -> None:
        if not 2 <= len(set(models)) == len(models) <= 3:
            raise ValueError(f"models={list(models)!r}; give two or three different ones")
        self._checkpoints = {name: shipped.load(name) for name in models}
        self._most = min(map(thoughts_trained, self._checkpoints.values()))
        self.problems = generate_prosqa(LIST_LENGTH, LIST_SEED)
        super().__init__()
        self._update()
        self.observe(lambda _: self._update(), "index")

    def _summary(self) -> str:
        return ", ".join(sorted(self._checkpoints))

    def still(self) -> str:
        """The graph of the problem, as an `<svg>`."""
        return still(self.data | {"removed": [], "reading": {"thoughts": []}}, 0)

    def _update(self) -> None:
        question = Question.of(self.problems[self.index])
        readings = {
            name: read(checkpoint, question, self._most)[0]
            for name, checkpoint in self._checkpoints.items()
        }
        source = f"problem {self.index} of {LIST_LENGTH}"
        with self.hold_sync():
            self.guess = -1
            self.data = comparison_data(question, readings, next(iter(readings)), source=source)

    @traitlets.validate("index", "thought", "guess")
    def _check(self, proposal: Any) -> Any:
        low, high = {
            "index": (0, LIST_LENGTH), "thought": (1, self._most + 1),
            "guess": (-1, len(self._checkpoints)),
        }[proposal["trait"].name]  # fmt: skip
        return checked(proposal, range(low, high))

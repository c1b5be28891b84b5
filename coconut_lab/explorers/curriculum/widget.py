"""The curriculum view as a widget: what a reader can set; the page draws all, from a table."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import traitlets
from matplotlib.figure import Figure

from coconut_lab.curriculum.in_words import count
from coconut_lab.curriculum.stages_and_masks import METHODS, Curriculum, Example
from coconut_lab.curriculum.tokenizer import add_pause_token, add_thought_tokens, word_tokenizer
from coconut_lab.explorers.browser.explorer import BrowserExplorer, checked, large, module, style
from coconut_lab.explorers.curriculum.data import MOST_THOUGHTS, curriculum_data
from coconut_lab.figures import draw_stages
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa

MOST_COLUMNS, MOST_ROWS = 60, 12  # of the still picture


class CurriculumView(BrowserExplorer):
    """Shows what every method trains on: each token of a real encoding, coloured and lettered.

    Args:
        problem: the problem to encode; by default a tiny ProsQA problem with three steps.
        tokenizer: a Hugging Face tokenizer; by default the word-level one of the tiny models.
            Thought tokens and the pause token that it lacks are added to a copy.
        methods: the names to choose from, of `METHODS`; the first is shown first.
        stage: the stage to show first.

    Attributes: (traits: set them, `observe` them, `jslink` them)
        method: which of the methods.
        stage: the stage that is looked at, from 0 to one past the last.
        thoughts_per_step: c, 1 to 3.
        max_stage: the last stage with steps.
        max_tokens: the same of iCoT, whose stages count removed tokens.
        pad_to_max: whether every problem has the same number of thoughts once no step is left.
        data: what is shown; the schema is in `data.py`.

    Raises:
        ProblemError, TokenizerError: the tokenizer cannot encode the problem.
        ValueError: no method, an unknown one, or a stage out of range; the message lists what
            there is.
        TraitError: a trait was set to what it cannot be.
    """

    _esm = module("browser/controls.js", "curriculum/curriculum.js")
    _css = style("browser/controls.css", "curriculum/curriculum.css")

    data = large()
    method = traitlets.Unicode().tag(sync=True)
    stage = traitlets.Int(1).tag(sync=True)
    thoughts_per_step = traitlets.Int(1).tag(sync=True)
    max_stage = traitlets.Int(0).tag(sync=True)
    max_tokens = traitlets.Int(0).tag(sync=True)
    pad_to_max = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        problem: Problem | None = None,
        tokenizer: Any = None,
        methods: Sequence[str] = tuple(METHODS),
        *,
        stage: int = 1,
    ) -> None:
        if (unknown := [name for name in methods if name not in METHODS]) or not methods:
            wrong = f"unknown method {unknown[0]!r}" if unknown else "no method to show"
            raise ValueError(f"{wrong}; choose from {', '.join(METHODS)}")
        self.problem = problem or generate_prosqa(1, 424242, hops=3)[0]
        names = [*PRESETS["tiny"].entities, *PRESETS["tiny"].concepts]
        tokenizer = word_tokenizer(names) if tokenizer is None else copy.deepcopy(tokenizer)
        add_thought_tokens(tokenizer)
        add_pause_token(tokenizer)
        self.tokenizer = tokenizer
        data = curriculum_data(self.problem, tokenizer, methods)
        most = data["units"][data["methods"][methods[0]]["unit"]][0] + 1
        if not 0 <= stage <= most:
            raise ValueError(f"stage is {stage}; it goes from 0 to {most}")
        last, last_token = (data["units"][unit][0] for unit in ("step", "token"))
        super().__init__(
            data=data, method=methods[0], stage=stage, max_stage=last, max_tokens=last_token
        )

    def _summary(self) -> str:
        return count(len(self.data["methods"]), "method")

    @property
    def curriculum(self) -> Curriculum:
        """The curriculum that the traits describe."""
        return Curriculum(self.method, self._last, self.thoughts_per_step, self.pad_to_max)

    @property
    def _last(self) -> int:
        unit = self.data["methods"][self.method]["unit"]
        return self.max_tokens if unit == "token" else self.max_stage

    def still(self) -> Figure:
        """The first dozen of stages as a figure; of a long problem, from the question's end."""
        stages = range(min(self._last + 2, MOST_ROWS))
        rows = [self.curriculum.encode(self.problem, self.tokenizer, stage) for stage in stages]
        over = max(len(row.labels) for row in rows) - MOST_COLUMNS
        cut = max(0, min(over, len(self.data["question"]) - 4))
        shown = slice(cut, cut + MOST_COLUMNS)
        rows = [Example(row.input_ids[shown], row.labels[shown]) for row in rows]
        return draw_stages(rows, self.tokenizer, [f"stage {stage}" for stage in stages])

    @traitlets.validate("method", "stage", "thoughts_per_step", "max_stage", "max_tokens")
    def _check(self, proposal: Any) -> Any:
        name, units = proposal["trait"].name, self.data["units"]
        if name == "method":
            return checked(proposal, list(self.data["methods"]))
        if name == "thoughts_per_step":
            return checked(proposal, range(1, MOST_THOUGHTS + 1))
        most = {"max_stage": units["step"][1], "max_tokens": units["token"][1]}
        return checked(proposal, range(most.get(name, self._last + 1) + 1))

    @traitlets.observe("method", "max_stage", "max_tokens")
    def _stay_within_reach(self, _: object) -> None:
        self.stage = min(self.stage, self._last + 1)

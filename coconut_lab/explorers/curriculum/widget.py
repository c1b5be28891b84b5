"""The curriculum view: what each method trains on at each stage, token by token."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from coconut_lab.curriculum.in_words import count
from coconut_lab.curriculum.stages_and_masks import METHODS, Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import add_pause_token, add_thought_tokens, word_tokenizer
from coconut_lab.explorers.base import Explorer, control, row, slider
from coconut_lab.explorers.curriculum.drawing import render
from coconut_lab.explorers.curriculum.state import CurriculumState, read_curriculum
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa

EXAMPLE_SEED, EXAMPLE_HOPS = 424242, 3
MOST_STAGES, MOST_THOUGHTS = 6, 3


class CurriculumView(Explorer):
    """Shows what every method trains on: each token of a real encoding, coloured and lettered.

    Args:
        problem: the problem to encode; by default a tiny ProsQA problem with three steps.
        tokenizer: a Hugging Face tokenizer; by default the word-level one of the tiny models.
            Thought tokens and the pause token that it lacks are added to a copy.
        methods: the names to choose from, of `METHODS`; the first is shown first.
        stage: the stage to show first.

    Attributes:
        state: what is drawn now, a `CurriculumState`.
        method, stage, thoughts_per_step, max_stage, pad_to_max: the controls; setting the `value`
            of one is what a user does. With iCoT, stages count removed tokens.

    Raises:
        ProblemError, TokenizerError: the tokenizer cannot encode the problem.
        ValueError: no method, an unknown one, or a stage out of range; the message lists what
            there is.
    """

    state: CurriculumState

    def __init__(
        self,
        problem: Problem | None = None,
        tokenizer: Any = None,
        methods: Sequence[str] = tuple(METHODS),
        *,
        stage: int = 1,
    ) -> None:
        super().__init__(render)
        known = f"choose from {', '.join(METHODS)}"
        if unknown := [name for name in methods if name not in METHODS]:
            raise ValueError(f"unknown method {unknown[0]!r}; {known}")
        if not methods:
            raise ValueError(f"no method to show; {known}")
        self.problem = problem or generate_prosqa(1, EXAMPLE_SEED, hops=EXAMPLE_HOPS)[0]
        names = [*PRESETS["tiny"].entities, *PRESETS["tiny"].concepts]
        tokenizer = word_tokenizer(names) if tokenizer is None else copy.deepcopy(tokenizer)
        add_thought_tokens(tokenizer)
        add_pause_token(tokenizer)
        self.tokenizer = tokenizer
        steps = tokenize([self.problem], tokenizer)[0].steps
        # iCoT removes tokens, the others steps: each has its own last stage.
        self._last = {False: len(steps), True: sum(map(len, steps))}
        self._furthest = {unit: max(MOST_STAGES, last) for unit, last in self._last.items()}
        self._in_tokens = METHODS[methods[0]].removes == "tokens"
        last = self._last[self._in_tokens]
        if not 0 <= stage <= last + 1:
            raise ValueError(f"stage is {stage}; it goes from 0 to {last + 1}")
        self.method = control(
            widgets.Dropdown, "Method", "Which method of the paper", "230px",
            options=list(methods), value=methods[0],
        )  # fmt: skip
        self.stage = slider("Stage", "What training has reached", "300px", 0, last + 1, stage)
        tip = "How many thoughts for a step"
        self.thoughts_per_step = slider("Thoughts per step, c", tip, "280px", 1, MOST_THOUGHTS, 1)
        tip, furthest = "The last stage with steps", self._furthest[self._in_tokens]
        self.max_stage = slider("max_stage", tip, "250px", 0, furthest, last)
        self.pad_to_max = widgets.Checkbox(
            value=True, description="pad to maximum", indent=False, layout={"width": "150px"},
            tooltip="The same number of thoughts for every problem",
        )  # fmt: skip
        self._on(self.method, self._change_method)
        for changed in (self.max_stage, self.stage, self.thoughts_per_step, self.pad_to_max):
            self._on(changed, self._change)
        self.children = [
            row(self.method, self.stage),
            row(self.max_stage, self.thoughts_per_step, self.pad_to_max),
            self.picture,
        ]
        self._change()

    def _summary(self) -> str:
        return count(len(self.method.options), "method")

    @property
    def curriculum(self) -> Curriculum:
        """The curriculum that the controls describe."""
        parts = (self.method, self.max_stage, self.thoughts_per_step, self.pad_to_max)
        return Curriculum(*(part.value for part in parts))

    def _change_method(self, method: str) -> None:
        was, now = self._in_tokens, METHODS[method].removes == "tokens"
        if was != now:
            self._in_tokens, self._last[was] = now, self.max_stage.value
            self._move(self.max_stage, self._furthest[now], self._last[now])
        self._change()

    def _change(self, _: object = None) -> None:
        last = self.max_stage.value + 1
        self._move(self.stage, last, min(self.stage.value, last))
        self.stage.description = "Tokens removed" if self._in_tokens else "Stage"
        # What changes nothing cannot be moved.
        fixed = METHODS[self.method.value].stand_in is None
        self.thoughts_per_step.disabled = self.pad_to_max.disabled = fixed
        self._show(read_curriculum(self.problem, self.tokenizer, self.curriculum, self.stage.value))

"""The curriculum view: what each method trains on at each stage, token by token."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from coconut_lab.curriculum.curriculum import METHODS, Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import add_pause_token, add_thought_tokens, word_tokenizer
from coconut_lab.explorers.curriculum.drawing import render
from coconut_lab.explorers.curriculum.state import CurriculumState, read_curriculum
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa

EXAMPLE_SEED, EXAMPLE_HOPS = 424242, 3
MOST_STAGES, MOST_THOUGHTS = 6, 3
_WHOLE = {"description_width": "initial"}  # no label is cut off


class CurriculumView(widgets.VBox):
    """Shows what every method trains on: each token of a real encoding, coloured and lettered.

    Args:
        problem: the problem to encode; by default a tiny ProsQA problem with three steps.
        tokenizer: a Hugging Face tokenizer; by default the word-level one of the tiny models.
            Thought tokens and the pause token that it lacks are added to a copy.
        methods: the names to choose from, of `METHODS`; the first is shown first.
        stage: the stage to show first.

    Attributes:
        state: what is drawn at the moment, a `CurriculumState`.
        method, stage, thoughts_per_step, max_stage, pad_to_max: the controls; setting the `value`
            of one is what a user does. With iCoT, stages count removed tokens.
        picture: the drawing, an `HTML` widget; `picture.value` is `render(state)`.

    Raises:
        ProblemError, TokenizerError: the tokenizer cannot encode the problem.
        ValueError: no method, an unknown one, or a stage out of range; the message lists what
            there is.
    """

    def __init__(
        self,
        problem: Problem | None = None,
        tokenizer: Any = None,
        methods: Sequence[str] = tuple(METHODS),
        *,
        stage: int = 1,
    ) -> None:
        super().__init__()
        for name in methods:
            if name not in METHODS:
                raise ValueError(f"unknown method {name!r}; choose from {', '.join(METHODS)}")
        if not methods:
            raise ValueError(f"no method to show; choose from {', '.join(METHODS)}")
        self.problem = problem or generate_prosqa(1, EXAMPLE_SEED, hops=EXAMPLE_HOPS)[0]
        if tokenizer is None:
            preset = PRESETS["tiny"]
            tokenizer = word_tokenizer([*preset.entities, *preset.concepts])
        else:
            tokenizer = copy.deepcopy(tokenizer)
        add_thought_tokens(tokenizer)
        add_pause_token(tokenizer)
        self.tokenizer = tokenizer
        parts = tokenize([self.problem], tokenizer)[0]
        # iCoT removes tokens, the others steps: each has a last stage of its own.
        self._most = {
            False: max(MOST_STAGES, len(parts.steps)),
            True: max(MOST_STAGES, sum(map(len, parts.steps))),
        }
        self._last = {False: len(parts.steps), True: sum(map(len, parts.steps))}
        self._busy = False
        self._make_controls(methods)
        last = self.max_stage.value
        if not 0 <= stage <= last + 1:
            raise ValueError(f"stage is {stage}; it goes from 0 to {last + 1}")
        self.stage.value = stage
        self._connect_controls()
        self._arrange_controls()
        self._draw()

    def __repr__(self) -> str:
        # Short and the same in every run: notebooks keep it as the text of their output.
        methods = len(self.method.options)
        return f"CurriculumView({methods} method{'' if methods == 1 else 's'})"

    @property
    def curriculum(self) -> Curriculum:
        """The curriculum that the controls describe."""
        return Curriculum(
            self.method.value,
            self.max_stage.value,
            self.thoughts_per_step.value,
            self.pad_to_max.value,
        )

    def _in_tokens(self) -> bool:
        return METHODS[self.method.value].removes == "tokens"

    def _make_controls(self, methods: Sequence[str]) -> None:
        self.method = widgets.Dropdown(
            options=list(methods),
            value=methods[0],
            description="Method",
            tooltip="Which method of the paper",
            layout={"width": "230px"},
            style=_WHOLE,
        )
        counts_tokens = self._in_tokens()
        last = self._last[counts_tokens]
        self.stage = self._slider("Stage", 0, last + 1, 0, "What training has reached", "300px")
        self.thoughts_per_step = self._slider(
            "Thoughts per step, c", 1, MOST_THOUGHTS, 1, "How many thoughts for a step", "280px"
        )
        self.max_stage = self._slider(
            "max_stage", 0, self._most[counts_tokens], last, "The last stage with steps", "250px"
        )
        self.pad_to_max = widgets.Checkbox(
            value=True,
            description="pad to maximum",
            tooltip="The same number of thoughts for every problem",
            indent=False,
            layout={"width": "150px"},
        )

    @staticmethod
    def _slider(
        name: str, least: int, most: int, value: int, tip: str, width: str
    ) -> widgets.IntSlider:
        return widgets.IntSlider(
            value=value,
            min=least,
            max=most,
            description=name,
            tooltip=tip,
            layout={"width": width, "max_width": "100%"},
            style=_WHOLE,
        )

    def _connect_controls(self) -> None:
        self.method.observe(lambda change: self._change_method(change.old), "value")
        self.max_stage.observe(lambda change: self._change(), "value")
        for control in (self.stage, self.thoughts_per_step, self.pad_to_max):
            control.observe(lambda change: self._change(), "value")

    def _arrange_controls(self) -> None:
        row = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 20px"}
        self.picture = widgets.HTML(layout={"width": "auto"})
        self.layout.max_width = "1004px"
        self.children = [
            widgets.HBox([self.method, self.stage], layout=row),
            widgets.HBox([self.max_stage, self.thoughts_per_step, self.pad_to_max], layout=row),
            self.picture,
        ]

    def _change_method(self, before: str) -> None:
        was, now = METHODS[before].removes == "tokens", self._in_tokens()
        if was != now:
            self._last[was] = self.max_stage.value
            self._busy = True  # one picture for several changes
            self.max_stage.value = min(self.max_stage.value, self._most[now])
            self.max_stage.max = self._most[now]
            self.max_stage.value = self._last[now]
            self._busy = False
        self._change()

    def _change(self) -> None:
        if self._busy:
            return
        self._busy = True
        last = self.max_stage.value + 1
        self.stage.value = min(self.stage.value, last)
        self.stage.max = last
        self._busy = False
        self._draw()

    def _draw(self) -> None:
        rule = METHODS[self.method.value]
        self.stage.description = "Tokens removed" if self._in_tokens() else "Stage"
        # What changes nothing cannot be moved.
        self.thoughts_per_step.disabled = self.pad_to_max.disabled = rule.stand_in is None
        self.state: CurriculumState = read_curriculum(
            self.problem, self.tokenizer, self.curriculum, self.stage.value
        )
        self.picture.value = render(self.state)

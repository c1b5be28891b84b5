"""The thought stepper: step through the thoughts of a trained model, on a graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import ipywidgets as widgets

from coconut_lab.checkpoints.shipped import Checkpoint, load
from coconut_lab.curriculum.tokenizer import TokenizerError
from coconut_lab.explorers.base import Explorer, button, control, row, slider
from coconut_lab.explorers.html import INK, VERMILLION, div, safe, shortened
from coconut_lab.explorers.stepper.drawing import render
from coconut_lab.explorers.stepper.naming import for_model
from coconut_lab.explorers.stepper.state import BudgetScore, State
from coconut_lab.interpretability.probing import probe
from coconut_lab.model.outputs import ModelError
from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.tasks.problems import Problem, ProblemError, graph_of, parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa

LIST_LENGTH = 100
MOST_NODES = 40  # more would be too small to read
OWN_GRAPH = """\
Tom is a cat. Tom is a guest. Every cat is a mammal. Every cat is a hunter.
Every guest is a sleeper. Every hunter is a climber.
Eva is a fish. Every fish is a swimmer. Every swimmer is a diver.
Is Tom a climber or diver?"""
_HELP = (
    '<div style="line-height:1.4;padding-top:3px">Sentences, as above, or symbols: '
    "<code>| Tom cat | cat hunter | Eva fish | fish diver "
    "[Q] hunter diver [R] Tom</code>. Use any names. One option must be in reach, the other not."
    "</div>"
)
LIST, NEW, OWN = "from the list", "a new one", "my own graph"
_BAD_INPUT = (ProblemError, TokenizerError, ModelError)


class ThoughtStepper(Explorer):
    """Shows how the thoughts of a model spread over a graph, one thought at a time.

    The model runs when a problem is chosen, once for all its thoughts and budgets; the sliders
    only look up.

    Args:
        checkpoint: a checkpoint, or the name of a shipped one such as "tiny-coconut".
        problem: what to show first: a problem, or an index into `problems`.
        problems: the list to choose from; by default the first 100 of the unseen problems that
            the model's card is measured on.

    Attributes:
        state: what is drawn now, a `State`.
        problems: the list to choose from.
        thought, budget: the sliders; setting the `value` of a control is what a user does.
        source: where the problem comes from: the list, a new one, or the user's own text.
        index, seed, own_text: the problem of each source.
        new_problem, use_text: buttons: the next seed; read the text again.
        message: an `HTML` widget; empty unless the last problem could not be shown.

    Raises:
        CheckpointError: there is no such shipped model, or its files are damaged.
        ProblemError, ModelError: `problem` cannot be shown.
        ValueError: the model has no thoughts, or `problems` is empty.
    """

    state: State

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | Checkpoint = "tiny-coconut",
        *,
        problem: Problem | int = 0,
        problems: Sequence[Problem] | None = None,
    ) -> None:
        super().__init__(render)
        if isinstance(checkpoint, str | os.PathLike):
            checkpoint = load(checkpoint)
        self.checkpoint = checkpoint
        self.preset = str(checkpoint.card.get("preset", "tiny"))
        if problems is None:
            problems = unseen_problems(self.preset, LIST_LENGTH)
        if not problems:
            raise ValueError("the list of problems to choose from is empty")
        self.problems = list(problems)
        source, index, last = "", None, len(self.problems) - 1
        if isinstance(problem, int):
            if not 0 <= problem <= last:
                raise ProblemError(f"problem={problem}; the list goes from 0 to {last}")
            source, index, problem = self._in_list(problem), problem, self.problems[problem]
        self._show(self._read(problem, source))
        self._make_controls(index)
        # In the page: the slider moves with Play without a way through the kernel.
        widgets.jslink((self.play, "value"), (self.thought, "value"))
        self._on(self.thought, lambda thought: self._show(replace(self.state, thought=thought)))
        self._on(self.budget, lambda budget: self._show(replace(self.state, budget=budget)))
        self._on(self.source, self._show_source)
        self._on(self.index, lambda _: self._choose(LIST))
        self._on(self.seed, lambda _: self._choose(NEW))
        self._on(self.own_text, lambda _: self._choose(OWN))
        self._reveal_source()
        self.children = [
            row(self.source, *self._of_source.values()),
            self.message,
            row(self.play, self.thought, self.budget),
            self.picture,
        ]

    def _summary(self) -> str:
        return f"{self.checkpoint.card.get('name', 'a model')}, {len(self.problems)} problems"

    def _in_list(self, index: int) -> str:
        return f"problem {index} of {len(self.problems)}"

    def show(self, problem: Problem, source: str = "") -> None:
        """Show a problem; if it cannot be shown, say so and keep the picture.

        Args:
            problem: a ProsQA problem, in either notation and in any names.
            source: where it comes from, for the reader.
        """
        try:
            state = self._read(problem, source)
        except _BAD_INPUT as error:
            self._complain(error)
            return
        self.message.value = ""
        self._show(replace(state, thought=self.thought.value, budget=self.budget.value))

    def _read(self, problem: Problem, source: str) -> State:
        """Run the model on a problem: all thoughts and all budgets, once."""
        if (size := len(graph_of(problem).names)) > MOST_NODES:
            raise ProblemError(f"the graph has {size} names; the picture has room for {MOST_NODES}")
        checkpoint = self.checkpoint
        asked, note = for_model(problem, checkpoint.tokenizer)
        reading = probe(checkpoint.model, checkpoint.tokenizer, [asked], checkpoint.curriculum)[0]
        # Everything is indexed by node, so the reader's names come back with the reader's problem.
        reading = replace(reading, problem=problem)
        start, scores = min(1, len(reading.thoughts)), BudgetScore.from_card(checkpoint.card)
        return State(reading, start, start, scores, source, note)

    def _complain(self, error: Exception) -> None:
        self.message.value = div(
            f"<b>This cannot be shown:</b> {safe(shortened(str(error), 600))}. "
            "The picture stays as it was.",
            role="alert",
            style="box-sizing:border-box;max-width:1000px;padding:8px 14px;border-left:4px solid "
            f"{VERMILLION};border-radius:4px;background:#fdf1e7;color:{INK};line-height:1.4",
        )

    def _make_controls(self, index: int | None) -> None:
        self.index = control(
            widgets.BoundedIntText, "number", "Which problem of the list", "130px",
            min=0, max=len(self.problems) - 1, value=index or 0,
        )  # fmt: skip
        self.seed = control(
            widgets.BoundedIntText, "seed", "The seed that the problem is made from", "150px",
            min=0, max=2**31 - 1, value=1000,
        )  # fmt: skip
        tip = "Make a problem from the next seed"
        self.new_problem = button("New problem", tip, "120px", self._next_seed)
        self.own_text = control(
            widgets.Textarea, "graph", None, "auto",
            value=OWN_GRAPH, continuous_update=False, layout={"height": "120px"},
        )  # fmt: skip
        tip = "Read the text and show its graph"
        self.use_text = button("Show my graph", tip, "130px", lambda: self._choose(OWN))
        self.use_text.layout.flex = "0 0 auto"
        typing = widgets.HBox([self.use_text, widgets.HTML(_HELP)])
        self._of_source = {
            LIST: widgets.HBox([self.index]),
            NEW: widgets.HBox([self.seed, self.new_problem]),
            OWN: widgets.VBox([self.own_text, typing], layout={"width": "100%"}),
        }
        self.source = control(
            widgets.ToggleButtons, "Problem", "Where the problem comes from", "max-content",
            options=list(self._of_source), value=None if index is None else LIST,
            style={"button_width": "auto"}, layout={"display": "flex", "align_items": "center"},
        )  # fmt: skip
        last, start = len(self.state.reading.thoughts), self.state.thought
        tip = "Which thought to look into"
        self.thought = slider("Thought", tip, "290px", 0, last, start, layout={})
        tip = "After how many thoughts the model has to answer"
        self.budget = slider("Thought budget", tip, "340px", 0, last, start, layout={})
        self.play = widgets.Play(
            min=0, max=last, value=start, interval=1500, show_repeat=False,
            layout={"width": "90px"}, tooltip="Play the thoughts one after the other",
        )  # fmt: skip
        self.message = widgets.HTML()

    def _reveal_source(self) -> None:
        # Hidden, not taken away: a control that is made anew loses the keyboard's focus.
        for source, box in self._of_source.items():
            box.layout.display = None if source == self.source.value else "none"

    def _choose(self, source: str) -> None:
        """Show the problem that a source holds now, and that source's controls."""
        if self.source.value == source:
            self._show_source(source)
        else:
            self.source.value = source  # which calls _show_source

    def _next_seed(self) -> None:
        self.seed.value += 1

    def _show_source(self, source: str) -> None:
        self._reveal_source()
        try:
            if source == LIST:
                self.show(self.problems[self.index.value], self._in_list(self.index.value))
            elif source == NEW:
                problem = generate_prosqa(1, self.seed.value, self.preset)[0]
                self.show(problem, f"new problem, seed {self.seed.value}")
            elif source == OWN:
                self.show(parse_problem(self.own_text.value), "your own graph")
        except ProblemError as error:
            self._complain(error)

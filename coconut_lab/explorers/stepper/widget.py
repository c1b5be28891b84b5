"""The thought stepper: step through the thoughts of a trained model, on a graph."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import ipywidgets as widgets

from coconut_lab.checkpoints.shipped import load
from coconut_lab.curriculum.curriculum import Curriculum
from coconut_lab.curriculum.tokenizer import TokenizerError
from coconut_lab.explorers.stepper import naming
from coconut_lab.explorers.stepper.drawing import render
from coconut_lab.explorers.stepper.state import BudgetScore, State
from coconut_lab.explorers.svg import safe, shortened
from coconut_lab.interpretability.probing import Reading, probe
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.problems import Problem, ProblemError, parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa

# The first of the problems that cards are measured on.
LIST_LENGTH, LIST_SEED = 100, 424242
FIRST_NEW_SEED = 1000
MOST_NODES = 40  # more would be too small to read
MOST_LETTERS = 10_000  # far more than so many nodes need
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
_WHOLE = {"description_width": "initial"}  # no label is cut off
_BAD_INPUT = (ProblemError, TokenizerError, ModelError)


class CheckpointLike(Protocol):
    """A trained model with all that the stepper needs; `coconut_lab.checkpoints.load` gives one."""

    @property
    def model(self) -> Coconut: ...
    @property
    def tokenizer(self) -> Any: ...
    @property
    def curriculum(self) -> Curriculum: ...
    @property
    def card(self) -> Mapping[str, Any]: ...


class ThoughtStepper(widgets.VBox):
    """Shows how the thoughts of a model spread over a graph, one thought at a time.

    The model runs when a problem is chosen, once for all its thoughts and budgets; the sliders
    only look up.

    Args:
        checkpoint: a checkpoint, or the name of a shipped one such as "tiny-coconut".
        problem: what to show first: a problem, or an index into `problems`.
        problems: the list to choose from; by default the first 100 of the unseen problems that
            the model's card is measured on.

    Attributes:
        state: what is drawn at the moment, a `State`.
        problems: the list to choose from.
        thought, budget: the sliders; setting the `value` of a control is what a user does.
        source: where the problem comes from: the list, a new one, or the user's own text.
        index, seed, own_text: the problem of each source.
        new_problem, use_text: buttons: the next seed; read the text again.
        picture: the drawing, an `HTML` widget; `picture.value` is `render(state)`.
        message: an `HTML` widget; empty unless the last problem could not be shown.

    Raises:
        CheckpointError: there is no such shipped model, or its files are damaged.
        ProblemError, ModelError: `problem` cannot be shown.
        ValueError: the model has no thoughts, or `problems` is empty.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | CheckpointLike = "tiny-coconut",
        *,
        problem: Problem | int = 0,
        problems: Sequence[Problem] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(checkpoint, str | os.PathLike):
            checkpoint = load(checkpoint)
        self.checkpoint = checkpoint
        self.preset = str(checkpoint.card.get("preset", "tiny"))
        if problems is None:
            problems = generate_prosqa(LIST_LENGTH, LIST_SEED, self.preset)
        if not problems:
            raise ValueError("the list of problems to choose from is empty")
        self.problems = list(problems)
        self._scores = BudgetScore.from_card(checkpoint.card)
        if isinstance(problem, int):
            if not 0 <= problem < len(self.problems):
                raise ProblemError(
                    f"problem={problem}; the list goes from 0 to {len(self.problems) - 1}"
                )
            self.state = self._read(self.problems[problem], self._in_list(problem))
        else:
            self.state = self._read(problem, "")
        in_list = isinstance(problem, int)
        self._make_controls(problem if isinstance(problem, int) else 0, in_list)
        self._connect_controls()
        self._arrange_controls()
        self._draw()

    def __repr__(self) -> str:
        # Short and the same in every run: notebooks keep it as the text of their output.
        name = self.checkpoint.card.get("name", "a model")
        return f"ThoughtStepper({name}, {len(self.problems)} problems)"

    def _in_list(self, index: int) -> str:
        return f"problem {index} of {len(self.problems)}"

    # --- what is shown --------------------------------------------------------------------------

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
        self.state = replace(state, thought=self.thought.value, budget=self.budget.value)
        self.message.value = ""
        self._draw()

    def _read(self, problem: Problem, source: str) -> State:
        """Run the model on a problem: all thoughts and all budgets, once."""
        if problem.graph is None:
            raise ProblemError(f"this problem has no graph to draw: {problem.question[:60]!r}")
        if len(problem.graph.names) > MOST_NODES:
            raise ProblemError(
                f"the graph has {len(problem.graph.names)} names; the picture has room for "
                f"{MOST_NODES}"
            )
        checkpoint = self.checkpoint
        asked, changed = naming.for_model(problem, checkpoint.tokenizer)
        self._check_length(asked)
        reading = probe(checkpoint.model, checkpoint.tokenizer, [asked], checkpoint.curriculum)[0]
        # Everything is indexed by node, so the reader's names come back with the reader's problem.
        reading = Reading(problem, reading.thoughts, reading.answers)
        start = min(1, len(reading.thoughts))
        return State(reading, start, start, self._scores, source, naming.explain(changed))

    def _check_length(self, problem: Problem) -> None:
        checkpoint = self.checkpoint
        limit = getattr(checkpoint.model.config, "max_position_embeddings", None)
        curriculum = checkpoint.curriculum
        prompt = curriculum.prompt(problem, checkpoint.tokenizer, 0)
        # Thoughts, and the mark and the name of the answer.
        length = len(prompt) + curriculum.max_stage * curriculum.thoughts_per_step + 2
        if limit is not None and length > limit:
            raise ProblemError(
                f"the problem is too long: with its thoughts it takes {length} tokens, and this "
                f"model reads at most {limit}; leave some facts out"
            )

    def _draw(self) -> None:
        self.picture.value = render(self.state)

    def _complain(self, error: Exception) -> None:
        self.message.value = (
            '<div role="alert" style="box-sizing:border-box;max-width:1000px;padding:8px 14px;'
            "border-left:4px solid #d55e00;border-radius:4px;background:#fdf1e7;color:#1d2530;"
            'line-height:1.4"><b>This cannot be shown:</b> '
            f"{safe(shortened(str(error), 600))}. The picture stays as it was.</div>"
        )

    # --- controls -------------------------------------------------------------------------------

    def _make_controls(self, index: int, from_list: bool) -> None:
        self.index = widgets.BoundedIntText(
            value=index,
            min=0,
            max=len(self.problems) - 1,
            description="number",
            tooltip="Which problem of the list",
            layout={"width": "130px"},
            style=_WHOLE,
        )
        self.seed = widgets.BoundedIntText(
            value=FIRST_NEW_SEED,
            min=0,
            max=2**31 - 1,
            description="seed",
            tooltip="The seed that the problem is made from",
            layout={"width": "150px"},
            style=_WHOLE,
        )
        self.new_problem = widgets.Button(
            description="New problem",
            tooltip="Make a problem from the next seed",
            layout={"width": "120px"},
        )
        self.own_text = widgets.Textarea(
            value=OWN_GRAPH,
            description="graph",
            continuous_update=False,
            layout={"width": "auto", "height": "120px"},
            style=_WHOLE,
        )
        self.use_text = widgets.Button(
            description="Show my graph",
            tooltip="Read the text and show its graph",
            layout={"width": "130px", "flex": "0 0 auto"},
        )
        typing = widgets.HBox([self.use_text, widgets.HTML(_HELP)])
        self._of_source = {
            LIST: widgets.HBox([self.index]),
            NEW: widgets.HBox([self.seed, self.new_problem]),
            OWN: widgets.VBox([self.own_text, typing], layout={"width": "100%"}),
        }
        self.source = widgets.ToggleButtons(
            options=list(self._of_source),
            value=LIST if from_list else None,
            description="Problem",
            tooltip="Where the problem comes from",
            layout={"width": "max-content", "display": "flex", "align_items": "center"},
            style={"description_width": "initial", "button_width": "auto"},
        )
        most = len(self.state.reading.thoughts)
        self.thought = widgets.IntSlider(
            value=self.state.thought,
            min=0,
            max=most,
            description="Thought",
            tooltip="Which thought to look into",
            layout={"width": "290px"},
            style=_WHOLE,
        )
        self.play = widgets.Play(
            value=self.state.thought,
            min=0,
            max=most,
            interval=1500,
            show_repeat=False,
            layout={"width": "90px"},
            tooltip="Play the thoughts one after the other",
        )
        self.budget = widgets.IntSlider(
            value=self.state.budget,
            min=0,
            max=most,
            description="Thought budget",
            tooltip="After how many thoughts the model has to answer",
            layout={"width": "340px"},
            style=_WHOLE,
        )
        self.message = widgets.HTML()
        self.picture = widgets.HTML(layout={"width": "auto"})

    def _connect_controls(self) -> None:
        # In the page: the slider moves with Play without a way through the kernel.
        widgets.jslink((self.play, "value"), (self.thought, "value"))
        self.thought.observe(lambda change: self._move(thought=change.new), "value")
        self.budget.observe(lambda change: self._move(budget=change.new), "value")
        self.source.observe(lambda change: self._show_source(), "value")
        self.index.observe(lambda change: self._choose(LIST), "value")
        self.seed.observe(lambda change: self._choose(NEW), "value")
        self.own_text.observe(lambda change: self._choose(OWN), "value")
        self.use_text.on_click(lambda button: self._choose(OWN))
        self.new_problem.on_click(lambda button: self._next_seed())

    def _arrange_controls(self) -> None:
        row = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 20px"}
        self.layout.max_width = "1004px"
        self._reveal_source()
        self.children = [
            widgets.HBox([self.source, *self._of_source.values()], layout=row),
            self.message,
            widgets.HBox([self.play, self.thought, self.budget], layout=row),
            self.picture,
        ]

    def _reveal_source(self) -> None:
        # Hidden, not taken away: a control that is made anew loses the keyboard's focus.
        for source, box in self._of_source.items():
            box.layout.display = None if source == self.source.value else "none"

    def _move(self, *, thought: int | None = None, budget: int | None = None) -> None:
        self.state = self.state.at(thought, budget)
        self._draw()

    def _choose(self, source: str) -> None:
        """Show the problem that a source holds now, and that source's controls."""
        if self.source.value == source:
            self._show_source()
        else:
            self.source.value = source  # which calls _show_source

    def _next_seed(self) -> None:
        self.seed.value += 1

    def _show_source(self) -> None:
        source = self.source.value
        self._reveal_source()
        try:
            if source == LIST:
                self.show(self.problems[self.index.value], self._in_list(self.index.value))
            elif source == NEW:
                problem = generate_prosqa(1, self.seed.value, self.preset)[0]
                self.show(problem, f"new problem, seed {self.seed.value}")
            elif source == OWN:
                self.show(_parse(self.own_text.value), "your own graph")
        except ProblemError as error:
            self._complain(error)


def _parse(text: str) -> Problem:
    if len(text) > MOST_LETTERS:
        raise ProblemError(
            f"the text is too long: {len(text):,} letters, of at most {MOST_LETTERS:,}; leave some "
            "facts out"
        )
    return parse_problem(text)

"""The thought stepper: step through the thoughts of a model, on a graph, and ask it anew."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import traitlets

from coconut_lab.checkpoints import shipped
from coconut_lab.checkpoints.shipped import Checkpoint
from coconut_lab.curriculum.methods import METHODS
from coconut_lab.curriculum.tokenizer import TokenizerError
from coconut_lab.explorers.browser.explorer import BrowserExplorer, module, style
from coconut_lab.explorers.stepper.data import LIST_LENGTH, LIST_SEED, Question, stepper_data
from coconut_lab.explorers.stepper.drawing import still
from coconut_lab.explorers.stepper.reading import read, readings_through, thoughts_trained
from coconut_lab.interpretability.thinking import untrained
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.problems import Problem, ProblemError, parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa

MOST_LETTERS = 10_000  # far more than any model here reads
OWN_TEXT = """\
Tom is a cat. Tom is a guest. Every cat is a mammal. Every cat is a hunter.
Every guest is a sleeper. Every hunter is a climber.
Eva is a fish. Every fish is a swimmer. Every swimmer is a diver.
Is Tom a climber or diver?"""
SOURCES = {"index": "list", "seed": "new", "text": "own"}  # the source that each trait belongs to
CONTROLS = {
    "none": "",
    "another problem": "thoughts about another problem, looked at for the names of this one",
    "untrained": "the same model with random weights",
    "tiny-base": "the model before it learned to think: it has only ever read and written words",
}
_BAD_INPUT = (ProblemError, TokenizerError, ModelError, ValueError)


class ThoughtStepper(BrowserExplorer):
    """Shows how the thoughts of a model spread over a graph, and asks the model anew.

    Stepping and pointing is drawn in the browser. The model thinks again when a fact is taken away
    or put back, another root is asked about, or another problem, model, reading or control is
    chosen.

    Args:
        checkpoint: a checkpoint, or the name of a shipped one such as "tiny-coconut".
        problem: what to show first: a problem, or an index into `problems`.
        problems: the list to choose from; by default the first 100 of the unseen problems that
            the model's card is measured on.

    Attributes: (all but `problems` are traits: set them, `observe` them, `jslink` them)
        thought: which thought is looked at; 0 is before the first.
        budget: after how many thoughts the model has to answer.
        removed: numbers of the facts that are taken away.
        asked: the name that is asked about.
        source: "list", "new" (from a seed) or "own" (a text); setting one of the next sets it.
        index, seed, text: the problem of each source.
        thoughts: how many thoughts the model has; may be more than it was trained with.
        model_name: one of `models`.
        through: what a thought is read through, one of `throughs`: "head", a layer, or "<eot>".
        control_name: what stands beside the reading, one of `controls`.
        message: empty unless the last wish could not be fulfilled; the picture stays then.
        data, original: what is shown, and the same before any change; the schema is in `data.py`.
        problems: the list to choose from.

    Raises:
        CheckpointError: there is no such shipped model, or its files are damaged.
        ProblemError, ModelError: `problem` cannot be shown.
        ValueError: the model has no thoughts, or `problems` is empty.
        TraitError: a trait was set to what it cannot be.
    """

    _esm = module("browser/graph.js", "stepper/stepper.js")
    _css = style("browser/graph.css", "stepper/stepper.css")

    data = traitlets.Dict().tag(sync=True)
    original = traitlets.Dict().tag(sync=True)
    thought = traitlets.Int(1).tag(sync=True)
    budget = traitlets.Int(1).tag(sync=True)
    removed = traitlets.List(traitlets.Int()).tag(sync=True)
    asked = traitlets.Unicode().tag(sync=True)
    source = traitlets.Unicode("list").tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    seed = traitlets.Int(1000).tag(sync=True)
    text = traitlets.Unicode(OWN_TEXT).tag(sync=True)
    thoughts = traitlets.Int(1).tag(sync=True)
    model_name = traitlets.Unicode().tag(sync=True)
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    through = traitlets.Any("head").tag(sync=True)
    throughs: Any = traitlets.List().tag(sync=True)
    control_name = traitlets.Unicode("none").tag(sync=True)
    controls = traitlets.List(traitlets.Unicode()).tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    count = traitlets.Int().tag(sync=True)  # of the list
    answered = traitlets.Int(0).tag(sync=True)  # rises with every answer, so that none is missed

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | Checkpoint = "tiny-coconut",
        *,
        problem: Problem | int = 0,
        problems: Sequence[Problem] | None = None,
    ) -> None:
        if isinstance(checkpoint, str | os.PathLike):
            checkpoint = shipped.load(checkpoint)
        name = str(checkpoint.card.get("name", "a model"))
        most = thoughts_trained(checkpoint)
        self._preset = str(checkpoint.card.get("preset", "tiny"))
        if problems is None:
            problems = generate_prosqa(LIST_LENGTH, LIST_SEED, self._preset)
        if not problems:
            raise ValueError("the list of problems to choose from is empty")
        self.problems, self._checkpoints = list(problems), {name: checkpoint}
        self._read = lru_cache(maxsize=64)(
            lambda question, model, *how: read(self._checkpoint(model), question, *how)
        )
        self._question: Question | None = None
        self._shown: Any = None  # (source, value), question and settings of the picture
        self._failed: Any = None  # a (source, value) that could not be shown
        self._silent = True
        models = [name, *(other for other in _alike(self._preset) if other != name)]
        first: dict[str, Any] = {"index": problem} if isinstance(problem, int) else {
            "source": "own", "text": problem.question
        }  # fmt: skip
        if not isinstance(problem, int) and problem.graph is None:
            raise ProblemError(f"this problem has no graph to draw: {problem.question[:60]!r}")
        if not 0 <= first.get("index", 0) < len(self.problems):
            raise ProblemError(f"problem={problem}; the list goes from 0 to {len(problems) - 1}")
        super().__init__(
            models=models,
            model_name=name,
            throughs=readings_through(checkpoint),
            controls=[key for key in CONTROLS if not key.startswith("tiny") or key in models[1:]],
            thoughts=most,
            budget=most,
            count=len(self.problems),
            **first,
        )
        self._silent = False
        self._update()
        self.observe(self._on_change, [*_ASKING])

    def _summary(self) -> str:
        return f"{self.models[0]}, {len(self.problems)} problems"

    def still(self) -> str:
        """The graph as it is now, for where no widget can be drawn."""
        return still(self.data, self.thought)

    # --- asking the model -----------------------------------------------------------------------

    def _on_change(self, change: Any) -> None:
        if self._silent:
            return
        with self._quiet():
            if change.name in ("source", *SOURCES):
                self.source, self._failed = SOURCES.get(change.name, self.source), None
            try:
                self._update()
                if self._failed is None:
                    self.message = ""
            except _BAD_INPUT as error:
                self.message = str(error)
                # What was typed stays, to be mended; every other wish is as it was.
                for name, value in zip(_SETTINGS, self._shown[2], strict=True):
                    setattr(self, name, value)
            self.answered += 1

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Set traits without asking the model for each of them."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False

    def _update(self) -> None:
        """Ask the model what the traits say now, unless that is shown already."""
        self.throughs = readings_through(self._checkpoint(self.model_name))
        if self.through not in self.throughs:
            self.through = "head"
        value = {"list": self.index, "new": self.seed, "own": self.text}[self.source]
        chosen = (self.source, value)
        question = self._question
        if question is None or chosen not in (self._shown[0], self._failed):
            self._failed = chosen
            question = Question.of(self._problem())
        else:
            chosen = self._shown[0]
            asked = question.names.index(self.asked)
            question = Question(question.problem, tuple(sorted(self.removed)), asked)
        settings = tuple(getattr(self, name) for name in _SETTINGS)
        if (shown := (chosen, question, settings)) == self._shown:
            return
        original, data = (
            self._data(one, chosen, *settings) for one in (question.original, question)
        )
        self._question, self._shown = question, shown
        if chosen == self._failed:
            self._failed = None
        with self._quiet(), self.hold_sync():
            self.removed, self.asked = list(question.removed), question.names[question.asked]
            self.thought, self.budget = (min(k, self.thoughts) for k in (self.thought, self.budget))
            self.original, self.data = original, data

    def _problem(self) -> Problem:
        if self.source == "list":
            return self.problems[self.index]
        if self.source == "new":
            return generate_prosqa(1, self.seed, self._preset)[0]
        if len(self.text) > MOST_LETTERS:
            raise ProblemError(
                f"the text is too long: {len(self.text):,} letters, of at most {MOST_LETTERS:,}; "
                "leave some facts out"
            )
        return parse_problem(self.text)

    def _data(
        self,
        question: Question,
        chosen: tuple[str, Any],
        model: str,
        thoughts: int,
        through: str | int,
        control: str,
    ) -> dict[str, Any]:
        reading, note = self._read(question, model, thoughts, through)
        beside = None
        if control != "none":
            other, name = question, model
            if control == "another problem":
                place = chosen[1] if chosen[0] == "list" else -1
                other = Question.of(self.problems[(place + 1) % len(self.problems)])
            else:
                name = control
            beside, _ = self._read(other, name, thoughts, through, question)
            beside = {"name": control, "in_words": CONTROLS[control], "reading": beside}
        source = {
            "list": f"problem {chosen[1]} of {len(self.problems)}",
            "new": f"new problem, seed {chosen[1]}",
            "own": "your own problem",
        }[chosen[0]]
        checkpoint = self._checkpoint(model)
        return stepper_data(
            question, reading, checkpoint.card, trained=thoughts_trained(checkpoint),
            control=beside, source=source, note=note,
        )  # fmt: skip

    def _checkpoint(self, name: str) -> Checkpoint:
        if name not in self._checkpoints:
            if name == "untrained":
                real = self._checkpoint(self.models[0])
                made = Checkpoint(untrained(real.model), real.tokenizer, real.curriculum, {})
            else:
                made = shipped.load(name)
            self._checkpoints[name] = made
        return self._checkpoints[name]

    # --- what a trait may be --------------------------------------------------------------------

    @traitlets.validate("thought", "budget", "thoughts", "index", "seed", "source", "model_name",
                        "through", "control_name", "removed", "asked")  # fmt: skip
    def _check(self, proposal: Any) -> Any:
        name, value, question = proposal["trait"].name, proposal["value"], self._question
        allowed: Any = {
            "thought": range(self.thoughts + 1),
            "budget": range(self.thoughts + 1),
            "thoughts": range(1, 65),
            "index": range(self.count),
            "seed": range(2**31),
            "source": [*SOURCES.values()],
            "model_name": self.models,
            "through": self.throughs,
            "control_name": self.controls,
            "removed": range(len(question.facts) if question else 0),
            "asked": [question.names[node] for node in question.roots] if question else [value],
        }[name]
        each = value if name == "removed" else [value]
        if len(set(each)) < len(each) or any(one not in allowed for one in each):
            if isinstance(allowed, range):
                choices = f"{allowed[0]} to {allowed[-1]}" if allowed else "nothing"
            else:
                choices = f"one of {', '.join(map(repr, allowed))}"
            once = ", each at most once" if name == "removed" else ""
            raise traitlets.TraitError(f"{name}={value!r}; give {choices}{once}")
        return value


_SETTINGS = ("model_name", "thoughts", "through", "control_name")
_ASKING = ("removed", "asked", "source", *SOURCES, *_SETTINGS)


def _alike(preset: str) -> list[str]:
    """The shipped models of a preset that have thoughts, or pauses in their place."""
    found = []
    for name in shipped.names():
        card = json.loads((shipped.FOLDER / name / shipped.CARD_FILE).read_text(encoding="utf-8"))
        method = METHODS[card["curriculum"]["method"]]
        if card.get("preset") == preset and method.stand_in is not None and method.markers:
            found.append(name)
    return found

"""The search tree as a widget: the model runs for a new problem; the rest is drawn in the page."""

from __future__ import annotations

from typing import Any

import traitlets

from coconut_lab.checkpoints import shipped
from coconut_lab.explorers.browser.explorer import BrowserExplorer, module, style
from coconut_lab.explorers.search_tree.data import tree_data
from coconut_lab.explorers.stepper.data import LIST_LENGTH, LIST_SEED, Question
from coconut_lab.explorers.stepper.drawing import still
from coconut_lab.explorers.stepper.reading import read, thoughts_trained
from coconut_lab.interpretability.search_tree import search_tree
from coconut_lab.tasks.notation import is_symbolic
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import generate_prosqa

DEEPEST, THINNEST = 4, 0.005  # how deep trees are computed, and down to which value
KINDS = ("language", "bare")


class SearchTree(BrowserExplorer):
    """Shows what a model would say after some thoughts, as a tree, beside the true graph.

    Args:
        model_name: a shipped model whose method has thoughts; `tiny-mixed` still speaks steps.
        problem: which of the list, or a problem in words that the model knows.

    Attributes: (traits: set them, `observe` them, `jslink` them)
        index: which problem of the list; asks the model.
        model_name: which model; asks it.
        thoughts: after how many thoughts `<eot>` is forced.
        depth: how many concepts are drawn, 1 to 4.
        threshold: branches with a value below it are not drawn, .005 to 1.
        kind: "language", what it says after `<eot>`; "bare", thought k as level k.
        data: what is shown; the schema is in `data.py`.

    Raises:
        TraitError: a trait was set to what it cannot be.
        ValueError: the model has no thoughts.
    """

    _esm = module("browser/graph.js", "search_tree/tree.js")
    _css = style("browser/graph.css", "search_tree/tree.css")

    data = traitlets.Dict().tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(LIST_LENGTH).tag(sync=True)
    model_name = traitlets.Unicode().tag(sync=True)
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    thoughts = traitlets.Int(1).tag(sync=True)
    depth = traitlets.Int(3).tag(sync=True)
    threshold = traitlets.Float(0.02).tag(sync=True)
    kind = traitlets.Unicode("language").tag(sync=True)

    def __init__(self, model_name: str = "tiny-mixed", *, problem: int | Problem = 0) -> None:
        self.problems = generate_prosqa(LIST_LENGTH, LIST_SEED)
        index = 0 if isinstance(problem, Problem) else problem
        if isinstance(problem, Problem):
            self.problems[0] = problem
        self._checkpoint = shipped.load(model_name)
        self._trained = thoughts_trained(self._checkpoint)
        others = [
            name for name in ("tiny-mixed", "tiny-coconut", "tiny-base") if name != model_name
        ]
        super().__init__(index=index, model_name=model_name, models=[model_name, *others])
        self._update()
        self.observe(lambda _: self._update(), ["index", "model_name"])

    def _summary(self) -> str:
        return f"{self.models[0]}, {len(self.problems)} problems"

    def still(self) -> str:
        """The graph with what thought 1 holds, as an `<svg>`."""
        read = [{"number": 1, "hop": 1, "nodes": self.data["thoughts"][0]}]
        return still(self.data | {"removed": [], "reading": {"thoughts": read}}, 1)

    def _update(self) -> None:
        if self._checkpoint.card.get("name") != self.model_name:
            self._checkpoint = shipped.load(self.model_name)
        checkpoint, problem = self._checkpoint, self.problems[self.index]
        # The base model has no thoughts of its own; it gets those of the others.
        question, n = Question.of(problem), self._trained
        reading, _ = read(checkpoint, question, n)
        trees = [
            search_tree(
                checkpoint.model, [problem], checkpoint.curriculum, k,
                depth=DEEPEST, threshold=THINNEST,
            )
            for k in range(n + 1)
        ]  # fmt: skip
        self.data = tree_data(
            question, trees, [one["nodes"] for one in reading["thoughts"]],
            model=self.model_name, trained=n, offset=int(is_symbolic(problem.question)),
            source=f"problem {self.index} of {len(self.problems)}",
        )  # fmt: skip

    @traitlets.validate("index", "model_name", "thoughts", "depth", "threshold", "kind")
    def _check(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        choices: Any = {"model_name": self.models, "kind": KINDS}.get(name)
        low, high = {
            "index": (0, LIST_LENGTH - 1), "thoughts": (0, self._trained),
            "depth": (1, DEEPEST), "threshold": (THINNEST, 1),
        }.get(name, (0, 0))  # fmt: skip
        if value not in choices if choices else not low <= value <= high:
            give = f"one of {', '.join(choices)}" if choices else f"{low} to {high}"
            raise traitlets.TraitError(f"{name}={value!r}; give {give}")
        return value

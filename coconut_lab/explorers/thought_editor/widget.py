"""The editor of thoughts as a widget: every change asks the model, which answers at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
import traitlets
from torch import Tensor

from coconut_lab.checkpoints import shipped
from coconut_lab.checkpoints.shipped import Checkpoint
from coconut_lab.curriculum.tokenizer import TokenizerError
from coconut_lab.explorers.browser.explorer import BrowserExplorer, module, style
from coconut_lab.explorers.stepper.data import LIST_LENGTH, LIST_SEED, Question
from coconut_lab.explorers.stepper.drawing import still
from coconut_lab.explorers.stepper.naming import for_model
from coconut_lab.explorers.stepper.reading import thoughts_trained
from coconut_lab.explorers.thought_editor.data import COLUMNS, DONORS, editor_data
from coconut_lab.explorers.thought_editor.run import move_words, run, weigh_words
from coconut_lab.interpretability.chances import one_token
from coconut_lab.interpretability.thinking import think
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.counterfactuals import rewire, twin
from coconut_lab.tasks.problems import Problem, ProblemError, graph_of, parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa

FARTHEST = 5  # a dose
_SETTINGS = ("whose", "words", "doses", "direction", "rewired", "since")


class ThoughtEditor(BrowserExplorer):
    """Lets a reader change the thoughts of a model by hand, beside the run as it is.

    Args:
        checkpoint: a checkpoint with thoughts, or the name of a shipped one.
        problems: the list to choose from; by default 100 of the unseen problems that the model's
            card is measured on. Mean and noise are those of its thoughts.
        table: results over many problems, as `compare_edits` gives them. A row named by a donor
            and a thought, such as "twin 1" or "zero all", is shown with that edit.
        directions: the reader's own vectors by name, (n, d) or one (d,) for all thoughts.

    Attributes: (traits: set them, `observe` them, `jslink` them; a list has an item per thought)
        index, text: which problem of the list, or a text of one's own; "" for the list.
        whose: "own", "twin", "another problem", "mean", "noise", "zero", or "words": written anew,
            the embeddings of the names weighted by their bars, as long as it was.
        words: bars moved by hand, name → 0 to 1; the thought is changed by the shortest vector.
        direction, doses: which vector is added, and how many times it is, -5 to 5.
        rewired, since: a hop whose facts are exchanged (0: none), and from which pass on.
        game, tries: whether the game is on, and what was handed in.
        message: empty unless the last problem could not be shown.
        data: what is shown; the schema is in `data.py`.

    Raises:
        TraitError: a trait was set to what it cannot be.
        ProblemError: names of several tokens.
        ValueError: no problems; no thoughts that are fed back; a table or a vector of another
            shape.
    """

    _esm = module("browser/graph.js", "thought_editor/editor.js")
    _css = style("browser/graph.css", "thought_editor/editor.css")

    data = traitlets.Dict().tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    count = traitlets.Int().tag(sync=True)  # of the list
    whose = traitlets.List(traitlets.Unicode()).tag(sync=True)
    words = traitlets.List(traitlets.Dict()).tag(sync=True)
    doses = traitlets.List(traitlets.Float()).tag(sync=True)
    direction = traitlets.Unicode().tag(sync=True)
    rewired = traitlets.Int(0).tag(sync=True)
    since = traitlets.Int(0).tag(sync=True)
    game = traitlets.Bool(False).tag(sync=True)
    tries = traitlets.List(traitlets.Dict()).tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)  # rises with every answer, so that none is missed

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | Checkpoint = "tiny-coconut",
        problems: Sequence[Problem] | None = None,
        table: pd.DataFrame | None = None,
        directions: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(checkpoint, str | os.PathLike):
            checkpoint = shipped.load(checkpoint)
        n, card = thoughts_trained(checkpoint), checkpoint.card
        self._name = str(card.get("name", "a model"))
        if checkpoint.curriculum.rule.stand_in == "pauses":
            raise ValueError(f"{self._name} reads pauses: no thought is fed back")
        if problems is None:
            problems = generate_prosqa(LIST_LENGTH, LIST_SEED, str(card.get("preset", "tiny")))
        if not problems:
            raise ValueError("the list of problems to choose from is empty")
        if table is not None and (lacks := {*COLUMNS} - {*table.columns}):
            raise ValueError(f"the table lacks {sorted(lacks)}; give one of compare_edits")
        if table is not None and not table.index.is_unique:
            raise ValueError("the table has rows of one name; give each once")
        width = checkpoint.model.config.get_text_config().hidden_size
        self._directions = {}
        for key, value in (directions or {}).items():
            vector = torch.as_tensor(value).detach().float().cpu()
            if vector.shape not in ((width,), (n, width)) or not vector.isfinite().all():
                raise ValueError(
                    f"directions[{key!r}] has shape {tuple(vector.shape)}; give {(width,)} or "
                    f"{(n, width)}, finite numbers"
                )
            self._directions[key] = vector.expand(n, width)
        self._checkpoint, self._table, self._n = checkpoint, table, n
        self.problems, self._chosen = list(problems), (0, "")
        self._settings: dict[str, Any] = {}
        readable = [for_model(one, checkpoint.tokenizer)[0].in_symbols() for one in problems]
        self._thoughts = think(checkpoint.model, readable, checkpoint.curriculum)  # (B, n, d)
        self._choose(self.problems[0])
        super().__init__(
            count=len(self.problems), whose=["own"] * n, words=[{}] * n, doses=[0.0] * n,
            direction=next(iter(self._directions), ""),
        )  # fmt: skip
        self._update()
        self.observe(self._on_change, ["index", "text", *_SETTINGS])

    def _summary(self) -> str:
        return f"{self._name}, {len(self.problems)} problems"

    def still(self) -> str:
        """The graph with what thought 1 holds as it was fed, as an `<svg>`."""
        fed = [{"number": 1, "hop": 1, "nodes": self.data["edited"]["thoughts"][0]["fed"]}]
        return still(self.data | {"removed": [], "reading": {"thoughts": fed}}, 1)

    # --- a problem, and what it can be given ------------------------------------------------------

    def _choose(self, problem: Problem) -> None:
        """Take a problem, in words that the model knows; ProblemError if it cannot be read."""
        read, note = for_model(problem, self._checkpoint.tokenizer)
        graph, read = graph_of(read), read.in_symbols()
        tokens = [one_token(self._checkpoint.model, name) for name in graph.names]
        question = Question.of(problem)
        options = [question.names.index(name) for name in question.statement.options]
        what = self._checkpoint, read, tokens, options
        plain, own = run(*what)
        self._question, self._what, self._plain, self._note = question, what, plain, note
        self._given, self._donors = {"zero": torch.zeros_like(own)}, [*DONORS]
        self._changed: dict[int, Problem] = {}
        self._rewirings: dict[str, list[list[int]]] = {}
        try:
            self._twin = twin(read)
        except ProblemError:
            self._donors.remove("twin")
            self._note += " It has no twin: no other root leads as far to the other option."
        for hop in range(1, graph.hops + 1):
            try:
                self._changed[hop] = rewire(read, hop)
            except ProblemError:
                continue
            facts = enumerate(Question.of(self._changed[hop]).facts)
            new = [[n, fact[1]] for n, fact in facts if fact != question.facts[n]]
            self._rewirings[str(hop)] = new

    def _donor(self, who: str) -> Tensor:
        """The thoughts (n, d) of a donor, thought once for each problem."""
        if who not in self._given:
            place, own = 0 if self.text else self.index + 1, self._thoughts
            if who == "twin":
                self._given[who] = run(self._checkpoint, self._twin, *self._what[2:])[1]
            elif who == "another problem":
                self._given[who] = own[place % len(own)]
            else:  # a mix of the centred thoughts has their covariance
                mix = torch.randn(len(own), generator=torch.Generator().manual_seed(place))
                mix *= (who == "noise") / max(1, len(own) - 1) ** 0.5
                self._given[who] = own.mean(0) + torch.einsum("b,bnd->nd", mix, own - own.mean(0))
        return self._given[who]

    def _edit(self, k: int, h: Tensor, rows: Tensor) -> Tensor:
        """The edit (see `Edit`) that the traits ask for."""
        model, who, moved = self._checkpoint.model, self.whose[k - 1], self.words[k - 1]
        tokens, places = self._what[2], [self._question.names.index(name) for name in moved]
        if who == "words":
            weights = model.head(h).softmax(-1)[:, tokens]
            weights[:, places] = torch.tensor([*moved.values()]).to(h)
            h = weigh_words(model, h, tokens, weights)
        else:
            h = h if who == "own" else self._donor(who)[k - 1].to(h).expand_as(h)
            if moved:
                h = move_words(model, h, [tokens[place] for place in places], [*moved.values()])
        dose = self.doses[k - 1]
        return h + dose * self._directions[self.direction][k - 1].to(h) if dose else h

    # --- asking the model -----------------------------------------------------------------------

    def _on_change(self, change: Any) -> None:
        if change.name == "index":
            self.text = ""
        try:
            self._update()
            self.message = ""
        except (ProblemError, TokenizerError, ModelError, ValueError) as error:
            self.index, self.text = self._chosen
            self.message = str(error)
        self.answered += 1

    def _update(self) -> None:
        """Show what the traits ask for, unless that is shown already."""
        if (chosen := (self.index, self.text)) != self._chosen:
            self._choose(parse_problem(self.text) if self.text else self.problems[self.index])
            self._chosen, self._settings = chosen, {}
            with self.hold_trait_notifications():  # what was done to the last problem
                self.words, self.tries = [{}] * self._n, []
                self.whose = [who if who in self._donors else "own" for who in self.whose]
                self.rewired = self.rewired if self.rewired in self._changed else 0
        settings = {name: getattr(self, name) for name in _SETTINGS}
        if settings == self._settings:
            return
        edited, _ = run(*self._what, self._edit, self._changed.get(self.rewired), self.since)
        self._settings = settings
        self.data = editor_data(
            self._question, settings, self._table, plain=self._plain, edited=edited,
            rewirings=self._rewirings, directions=[*self._directions], model=self._name,
            donors=[[who, DONORS[who]] for who in self._donors], index=self.index,
            source="your own problem" if self.text else f"problem {self.index} of {self.count}",
            note=self._note.strip(),
        )  # fmt: skip

    # --- what a trait may be --------------------------------------------------------------------

    @traitlets.validate("index", "whose", "words", "doses", "direction", "rewired", "since")
    def _check(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if isinstance(value, list) and len(value) != self._n:
            raise traitlets.TraitError(f"{name}={value!r}; give {self._n} items, one per thought")
        names, far = {*self._question.names}, FARTHEST * bool(self._directions)

        def shares(one: Any) -> bool:
            fit = (isinstance(share, int | float) and 0 <= share <= 1 for share in one.values())
            return {*one} <= names and all(fit)

        tests = {"words": shares, "doses": lambda one: -far <= one <= far}
        choices: Any = {
            "index": range(len(self.problems)), "since": range(self._n + 2), "whose": self._donors,
            "direction": [*self._directions] or [""], "rewired": [0, *self._changed],
            "words": ["{name of the problem: 0 to 1}"],
            "doses": range(-far, far + 1) if far else ["0.0: there are no directions"],
        }[name]  # fmt: skip
        fits = tests.get(name, lambda one: one in choices)
        if not all(map(fits, value if isinstance(value, list) else [value])):
            give = f"{choices[0]} to {choices[-1]}" if isinstance(choices, range) else ""
            give = give or "one of " * (len(choices) > 1) + ", ".join(
                str(one) or "''" for one in choices
            )
            raise traitlets.TraitError(f"{name}={value!r}; give {give}")
        return value

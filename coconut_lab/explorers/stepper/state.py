"""What a picture of the stepper is made from: readings that are there already, and two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from coconut_lab.interpretability.probing import Reading, ThoughtReading
from coconut_lab.tasks.problems import Graph


@dataclass(frozen=True)
class BudgetScore:
    """How often a model is right with a number of thoughts, from its card."""

    thoughts: int
    accuracy: float  # share of right answers
    low: float  # of the 95% interval
    high: float
    total: int  # problems

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> tuple[BudgetScore, ...]:
        """Read the rows of `card["accuracy"]`; none if the card has no such entry."""
        names = [field.name for field in fields(cls)]
        return tuple(cls(*(row[name] for name in names)) for row in card.get("accuracy") or ())


@dataclass(frozen=True)
class State:
    """One picture of the stepper.

    Attributes:
        reading: the problem and all its thoughts and answers.
        thought: which thought is looked at; 0 is before the first.
        budget: after how many thoughts the model has to answer.
        scores: accuracy per budget, from the model's card.
        source: where the problem comes from, for the reader.
        note: a further remark on the problem, such as which words the model reads.
    """

    reading: Reading
    thought: int = 0
    budget: int = 0
    scores: tuple[BudgetScore, ...] = ()
    source: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        last = len(self.reading.thoughts)
        for name in ("thought", "budget"):
            if not 0 <= getattr(self, name) <= last:
                raise ValueError(f"{name} is {getattr(self, name)}; it goes from 0 to {last}")

    @property
    def graph(self) -> Graph:
        """The graph of the problem, with the names to show."""
        assert self.reading.problem.graph is not None  # probing refuses problems without one
        return self.reading.problem.graph

    @property
    def current(self) -> ThoughtReading | None:
        """The thought that is looked at; None before the first."""
        return self.reading.thoughts[self.thought - 1] if self.thought else None

    @property
    def hop(self) -> int:
        """How many hops away the frontier of the current thought is."""
        return self.current.hop if self.current else 0

    @property
    def frontier(self) -> frozenset[int]:
        """The nodes that get a ring."""
        return self.graph.frontier(self.hop)

    def at(self, thought: int | None = None, budget: int | None = None) -> State:
        """The same problem at another place of the sliders."""
        return replace(
            self,
            thought=self.thought if thought is None else thought,
            budget=self.budget if budget is None else budget,
        )

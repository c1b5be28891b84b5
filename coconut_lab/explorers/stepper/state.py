"""What a picture of the stepper is made from: readings that are there already, and two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from coconut_lab.interpretability.probing import Reading, ThoughtReading
from coconut_lab.tasks.graph import Graph
from coconut_lab.tasks.problems import graph_of


class BudgetScore(NamedTuple):
    """How often a model is right with a number of thoughts, from its card."""

    thoughts: int
    accuracy: float  # share of right answers
    low: float  # of the 95% interval
    high: float
    total: int  # problems

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> tuple[BudgetScore, ...]:
        """Read the rows of `card["accuracy"]`; none if the card has no such entry."""
        rows = card.get("accuracy") or ()
        return tuple(cls(*(row[name] for name in cls._fields)) for row in rows)


@dataclass(frozen=True)
class State:
    """One picture of the stepper."""

    reading: Reading  # the problem and all its thoughts and answers
    thought: int = 0  # which one is looked at; 0 is before the first
    budget: int = 0  # after how many thoughts the model has to answer
    scores: tuple[BudgetScore, ...] = ()  # accuracy per budget, from the model's card
    source: str = ""  # where the problem comes from, for the reader
    note: str = ""  # such as which words the model reads

    def __post_init__(self) -> None:
        last = len(self.reading.thoughts)
        for name in ("thought", "budget"):
            if not 0 <= getattr(self, name) <= last:
                raise ValueError(f"{name} is {getattr(self, name)}; it goes from 0 to {last}")

    @property
    def graph(self) -> Graph:
        """The graph of the problem, with the names to show."""
        return graph_of(self.reading.problem)

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

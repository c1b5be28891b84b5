"""What rules score on ProsQA that never look at who is asked about, or only at the page.

A task that such a rule solves does not show reasoning. On the published validation file "the option
farther from its nearest parentless node" is right in 92.5% of the problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from coconut_lab.tasks.graph import Graph
from coconut_lab.tasks.notation import ProblemError, Statement, read_statement
from coconut_lab.tasks.problems import Problem


@dataclass(frozen=True)
class Page:
    """One problem as a rule sees it: its text, and its graph without the answer.

    Attributes:
        graph: the graph; a rule must not read its target and distractor.
        statement: the facts and options as stated.
    """

    graph: Graph
    statement: Statement

    @cached_property
    def from_entities(self) -> list[tuple[int | None, ...]]:
        """For each parentless node, the hops to every node."""
        nodes = range(len(self.graph.names))
        return [self.graph.distances(node) for node in nodes if not self.graph.parents(node)]

    def hops_to(self, node: int) -> list[int]:
        """Hops to a node from each parentless node from which it can be reached."""
        return [far for hops in self.from_entities if (far := hops[node]) is not None]

    @cached_property
    def ancestors(self) -> list[set[int]]:
        """For each node, all nodes above it."""
        found: list[set[int]] = [set() for _ in self.graph.names]
        layers = self.graph.layers()
        for node in sorted(range(len(found)), key=layers.__getitem__):
            for parent in self.graph.parents(node):
                found[node] |= found[parent] | {parent}
        return found

    def places(self, name: str) -> list[int]:
        """Places, among the facts, of those that mention a name."""
        return [place for place, fact in enumerate(self.statement.facts) if name in fact]

    def gap(self, name: str) -> int:
        """Smallest number of places between a fact naming it and one naming who is asked about."""
        asked = self.places(self.statement.asked)
        return min(abs(a - b) for a in asked for b in self.places(name))


def _average(values: list[int]) -> float:
    return sum(values) / len(values)


Score = Callable[[Page, int], float]

# A rule chooses the option with the higher score; its opposite the one with the lower score.
RULES: Mapping[tuple[str, str], Score] = {
    ("offered second", "offered first"): (
        lambda page, node: page.statement.options.index(page.graph.names[node])
    ),
    ("farther from its nearest entity", "nearer to its nearest entity"): (
        lambda page, node: min(page.hops_to(node))
    ),
    ("farther from its farthest entity", "nearer to its farthest entity"): (
        lambda page, node: max(page.hops_to(node))
    ),
    ("farther from its entities on average", "nearer to its entities on average"): (
        lambda page, node: _average(page.hops_to(node))
    ),
    ("longer longest way down to it", "shorter longest way down to it"): (
        lambda page, node: page.graph.layers()[node]
    ),
    ("below more entities", "below fewer entities"): (lambda page, node: len(page.hops_to(node))),
    ("more parents", "fewer parents"): lambda page, node: len(page.graph.parents(node)),
    ("more ancestors", "fewer ancestors"): lambda page, node: len(page.ancestors[node]),
    ("more siblings", "fewer siblings"): (
        lambda page, node: sum(len(page.graph.children(p)) for p in page.graph.parents(node))
    ),
    ("mentioned in more facts", "mentioned in fewer facts"): (
        lambda page, node: len(page.places(page.graph.names[node]))
    ),
    ("mentioned later at first", "mentioned earlier at first"): (
        lambda page, node: page.places(page.graph.names[node])[0]
    ),
    ("mentioned later at last", "mentioned earlier at last"): (
        lambda page, node: page.places(page.graph.names[node])[-1]
    ),
    ("stated farther from who is asked", "stated closer to who is asked"): (
        lambda page, node: page.gap(page.graph.names[node])
    ),
    ("later in the alphabet", "earlier in the alphabet"): (
        lambda page, node: float(page.graph.names[node] == max(page.statement.options))
    ),
    ("longer name", "shorter name"): lambda page, node: len(page.graph.names[node]),
}


def shortcut_audit(problems: Iterable[Problem]) -> dict[str, float]:
    """Measure how often each shortcut finds the right option.

    No rule follows the facts from the name asked about, so on a fair task each scores about 0.5.

    Args:
        problems: ProsQA problems in either notation; 1,000 of them give ± 3%.

    Returns:
        Rule → accuracy between 0 and 1, the best rule first. A tie between the two options counts
        one half.

    Raises:
        ProblemError: there are no problems, or one is not a ProsQA problem (with its index).
    """
    wins = dict.fromkeys(RULES, 0.0)
    count = 0
    for count, problem in enumerate(problems, start=1):
        graph = problem.graph
        if graph is None:
            raise ProblemError(f"problem {count - 1} has no graph; only ProsQA can be audited")
        page = Page(graph, read_statement(problem.question))
        for rule, score in RULES.items():
            right, wrong = score(page, graph.target), score(page, graph.distractor)
            wins[rule] += 0.5 if right == wrong else float(right > wrong)
    scores = {}
    for (higher, lower), won in wins.items():
        scores[higher] = won
        scores[lower] = count - won
    return ranked(scores, count)


def ranked(wins: Mapping[str, float], count: int) -> dict[str, float]:
    """Turn wins into accuracies, the best rule first.

    Args:
        wins: rule → how many problems it gets right; a tie counts in part.
        count: number of problems.

    Returns:
        Rule → accuracy between 0 and 1.

    Raises:
        ProblemError: there are no problems.
    """
    if not count:
        raise ProblemError("there are no problems to audit")
    return dict(sorted(((k, w / count) for k, w in wins.items()), key=lambda item: -item[1]))

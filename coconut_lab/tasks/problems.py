"""Problems: a question, its steps, its answer, and the graph behind it where there is one.

Also both notations of a ProsQA problem, a check of every step against the stated facts, and a
learner's own text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import networkx as nx

from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.graph import Graph
from coconut_lab.tasks.notation import (
    ProblemError,
    Statement,
    is_symbolic,
    read_sentence,
    read_statement,
    write_english,
    write_sentence,
    write_symbols,
)


@checks_kinds(ProblemError)
@dataclass(frozen=True)
class Problem:
    """One problem of any task.

    Attributes:
        question: the facts and the question, as text.
        steps: the reasoning steps, each as text.
        answer: the answer, as text.
        graph: the graph behind a ProsQA problem; None for other tasks.
    """

    question: str
    steps: tuple[str, ...]
    answer: str
    graph: Graph | None = None

    def in_english(self) -> Problem:
        """Give the same problem as English sentences (itself, when it is in English already).

        Raises:
            ProblemError: the problem has no graph, or its text cannot be read.
        """
        graph_of(self)
        if not is_symbolic(self.question):
            return self
        statement = read_statement(self.question)
        children = {child for _, child in statement.facts}
        edges = pairwise((statement.asked, *self.steps))
        return replace(
            self,
            question=write_english(statement),
            steps=tuple(write_sentence(a, b, a not in children) for a, b in edges),
            answer=write_sentence(statement.asked, self.answer, is_entity=True),
        )

    def in_symbols(self) -> Problem:
        """Give the same problem in symbols (itself, when it is in symbols already).

        Raises:
            ProblemError: the problem has no graph, its text cannot be read, or a step does not
                hold (symbols name only the end of each step).
        """
        graph_of(self)
        if is_symbolic(self.question):
            return self
        _require_steps(self)
        statement = read_statement(self.question)
        steps = tuple(edge[1] for edge in map(read_sentence, self.steps) if edge)
        answer = _named_by(self, statement)
        return replace(self, question=write_symbols(statement), steps=steps, answer=answer)


def graph_of(problem: Problem) -> Graph:
    """Get the graph of a ProsQA problem; ProblemError if it has none."""
    if problem.graph is None:
        raise ProblemError(
            "only a ProsQA problem has two notations and stated facts, but this one has no graph: "
            f"{problem.question[:60]!r}"
        )
    return problem.graph


def _named_by(problem: Problem, statement: Statement) -> str:
    """The name that the answer gives, in either notation."""
    if is_symbolic(problem.question):
        return problem.answer
    answer = read_sentence(problem.answer)
    if answer is None or answer[0] != statement.asked:
        raise ProblemError(
            f"the answer is not of the form '{statement.asked} is a x.': {problem.answer!r}"
        )
    return answer[1]


def step_faults(problem: Problem) -> list[str | None]:
    """For each step of a ProsQA problem why it does not hold, or None when it does.

    It must start where the step before it ends, and use a stated fact.
    """
    graph_of(problem)
    statement, symbolic = read_statement(problem.question), is_symbolic(problem.question)
    place, stated = statement.asked, set(statement.facts)
    faults: list[str | None] = []
    for step in problem.steps:
        edge = (place, step) if symbolic else read_sentence(step)
        if edge is None:
            faults.append(f"is not of the form 'Every x is a y.': {step!r}")
            continue
        if edge[0] != place:
            faults.append(f"starts at {edge[0]}, but the chain is at {place}")
        elif edge not in stated:
            faults.append(f"uses the edge {_arrow(edge)}, which the question never states")
        else:
            faults.append(None)
        place = edge[1]
    return faults


def _require_steps(problem: Problem) -> None:
    for number, fault in enumerate(step_faults(problem), start=1):
        if fault:
            raise ProblemError(f"step {number} {fault}")


def answer_fault(problem: Problem) -> str | None:
    """Say why a ProsQA problem is not right as a whole (see `verify`), or None when it is."""
    try:
        verify(problem)
    except ProblemError as error:
        return str(error)
    return None


def verify(problem: Problem) -> None:
    """Check a ProsQA problem, in either notation, against the facts that its own question states.

    The facts must be the edges of the graph, the options its target and distractor, and the steps
    a connected chain of stated facts from the root to the target, which the answer names. The
    ProblemError says what is wrong, and at which fact or step.
    """
    graph = graph_of(problem)
    statement, names = read_statement(problem.question), graph.names
    root, target, distractor = (names[i] for i in (graph.root, graph.target, graph.distractor))
    stated = _numbered_facts(statement)
    known = {(names[parent], names[child]): n for n, (parent, child) in enumerate(graph.edges)}
    for fact, number in stated.items():
        if fact not in known:
            raise ProblemError(f"fact {number} ({_arrow(fact)}) is no edge of the graph")
    for edge, number in known.items():
        if edge not in stated:
            raise ProblemError(f"edge {number} of the graph ({_arrow(edge)}) is never stated")
    if statement.asked != root:
        raise ProblemError(f"the question asks about {statement.asked}, but the root is {root}")
    if set(statement.options) != {target, distractor}:
        raise ProblemError(
            f"the options are {' and '.join(statement.options)}, but target and distractor are "
            f"{target} and {distractor}"
        )
    _require_steps(problem)
    last = (read_sentence(problem.steps[-1]) or problem.steps[-1:]) if problem.steps else [root]
    if last[-1] != target:
        raise ProblemError(f"the steps end at {last[-1]}, not at the target {target}")
    answer = _named_by(problem, statement)
    if answer != target:
        raise ProblemError(f"the answer names {answer}, not the target {target}")


def _arrow(edge: tuple[str, str]) -> str:
    return f"{edge[0]} → {edge[1]}"


def _numbered_facts(statement: Statement) -> dict[tuple[str, str], int]:
    numbers: dict[tuple[str, str], int] = {}
    for number, fact in enumerate(statement.facts, start=1):
        if fact in numbers:
            raise ProblemError(f"fact {number} ({_arrow(fact)}) repeats fact {numbers[fact]}")
        numbers[fact] = number
    return numbers


@checks_kinds(ProblemError)
def parse_problem(text: str) -> Problem:
    """Make a problem from a learner's own text.

    The option that can be reached from the name asked about becomes the target. The steps are a
    shortest path, of several the one whose facts are stated first.

    Args:
        text: `| Tom yumpus | yumpus rempus [Q] rempus lempus [R] Tom`, or sentences and lines such
            as "Tom is a yumpus. Every yumpus is a rempus. Is Tom a rempus or a lempus?"

    Returns:
        The problem with its graph, in the notation of the text.

    Raises:
        ProblemError: a malformed fact or question, a repeated fact, a cycle, an option that no
            fact mentions, or options of which not exactly one can be reached.
    """
    if not text.strip():
        raise ProblemError("the problem is empty; write facts and a question")
    statement = read_statement(text)
    facts = _numbered_facts(statement)
    names = dict.fromkeys(name for fact in facts for name in fact)
    index = {name: place for place, name in enumerate(names)}
    said = ("name asked about", "first option", "second option")
    for role, name in zip(said, (statement.asked, *statement.options), strict=True):
        if name not in names:
            raise ProblemError(f"the {role}, {name!r}, is unknown: no fact mentions it")
    asked, (first, second) = statement.asked, statement.options
    if first == second:
        raise ProblemError(f"both options are {first!r}; offer two different ones")
    if asked in statement.options:
        raise ProblemError(f"{asked!r} is asked about and cannot be an option as well")
    right = nx.descendants(nx.DiGraph(list(facts)), asked) & {first, second}
    if not right:
        raise ProblemError(
            f"neither option, {first!r} nor {second!r}, can be reached from {asked!r}"
        )
    if len(right) == 2:
        raise ProblemError(
            f"both options, {first!r} and {second!r}, can be reached from {asked!r}; only one may"
        )
    roles = (asked, first, second) if first in right else (asked, second, first)
    edges = tuple((index[parent], index[child]) for parent, child in facts)
    graph = Graph(tuple(names), edges, *(index[name] for name in roles))
    path = [graph.names[node] for node in graph.shortest_paths(limit=1)[0]]
    problem = Problem(write_symbols(statement), tuple(path[1:]), path[-1], graph)
    return problem if is_symbolic(text) else problem.in_english()

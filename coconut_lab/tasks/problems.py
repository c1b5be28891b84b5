"""Problems: a question, its steps, its answer, and the graph behind it where there is one.

Also reading and writing them (Coconut's JSON, a learner's own text), both notations, and a check
of every step against the stated facts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from coconut_lab.files import write_text
from coconut_lab.tasks.graph import Graph
from coconut_lab.tasks.json_files import parse_json, type_name, value_of, values_of
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

__all__ = [
    "Graph",
    "Problem",
    "ProblemError",
    "check_texts",
    "parse_problem",
    "problem_of",
    "read_json",
    "step_faults",
    "verify",
    "write_json",
]

_GRAPH_KEYS = ("idx_to_symbol", "edges", "root", "target", "neg_target")
#: More characters than this in one text are a damaged file, not a problem.
LONGEST_TEXT = 1_000_000


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
        _graph_of(self)
        if not is_symbolic(self.question):
            return self
        statement, edges, answer = _read_parts(self)
        children = {child for _, child in statement.facts}
        return replace(
            self,
            question=write_english(statement),
            steps=tuple(write_sentence(a, b, a not in children) for a, b in edges),
            answer=write_sentence(statement.asked, answer, is_entity=True),
        )

    def in_symbols(self) -> Problem:
        """Give the same problem in symbols (itself, when it is in symbols already).

        Raises:
            ProblemError: the problem has no graph, its text cannot be read, or its steps are not
                connected (symbols name only the end of each step).
        """
        _graph_of(self)
        if is_symbolic(self.question):
            return self
        statement, edges, answer = _read_parts(self)
        _check_chain(statement.asked, edges)
        steps = tuple(child for _, child in edges)
        return replace(self, question=write_symbols(statement), steps=steps, answer=answer)


def _graph_of(problem: Problem) -> Graph:
    if problem.graph is None:
        raise ProblemError(
            "only a ProsQA problem has two notations and stated facts, but this one has no graph: "
            f"{problem.question[:60]!r}"
        )
    return problem.graph


def _read_parts(problem: Problem) -> tuple[Statement, list[tuple[str, str]], str]:
    """Read a problem in either notation: what it states, its steps as edges, its answer."""
    statement = read_statement(problem.question)
    if is_symbolic(problem.question):
        edges = list(pairwise((statement.asked, *problem.steps)))
        return statement, edges, problem.answer
    edges = []
    for number, sentence in enumerate(problem.steps, start=1):
        edge = read_sentence(sentence)
        if edge is None:
            raise ProblemError(f"step {number} is not of the form 'Every x is a y.': {sentence!r}")
        edges.append(edge)
    answer = read_sentence(problem.answer)
    if answer is None or answer[0] != statement.asked:
        raise ProblemError(
            f"the answer is not of the form '{statement.asked} is a x.': {problem.answer!r}"
        )
    return statement, edges, answer[1]


def step_faults(problem: Problem) -> list[str | None]:
    """Check every step of a ProsQA problem against the stated facts.

    Args:
        problem: a ProsQA problem in either notation.

    Returns:
        For each step why it fails, or None when it holds: it starts where the step before it ends
        and uses a stated fact.

    Raises:
        ProblemError: the problem has no graph, or its question cannot be read.
    """
    _graph_of(problem)
    statement = read_statement(problem.question)
    place = statement.asked
    faults: list[str | None] = []
    for step in problem.steps:
        edge = (place, step) if is_symbolic(problem.question) else read_sentence(step)
        if edge is None:
            faults.append(f"is not of the form 'Every x is a y.': {step!r}")
            continue
        if edge[0] != place:
            faults.append(f"starts at {edge[0]}, but the chain is at {place}")
        elif edge not in statement.facts:
            faults.append(f"uses the edge {_arrow(edge)}, which the question never states")
        else:
            faults.append(None)
        place = edge[1]
    return faults


def _check_chain(start: str, edges: Iterable[tuple[str, str]]) -> None:
    for number, (parent, child) in enumerate(edges, start=1):
        if parent != start:
            raise ProblemError(f"step {number} starts at {parent}, but the chain is at {start}")
        start = child


def verify(problem: Problem) -> None:
    """Check a problem, in either notation, against the facts that its own question states.

    The facts must be the edges of the graph, the options its target and distractor, and the steps
    a connected chain of stated facts from the root to the target, which the answer names.

    Args:
        problem: a ProsQA problem.

    Raises:
        ProblemError: what is wrong, and at which fact or step.
    """
    graph = _graph_of(problem)
    statement, edges, answer = _read_parts(problem)
    names = graph.names
    root, target = names[graph.root], names[graph.target]
    stated = _numbered_facts(statement)
    known = {(names[parent], names[child]) for parent, child in graph.edges}
    for fact, number in stated.items():
        if fact not in known:
            raise ProblemError(f"fact {number} ({_arrow(fact)}) is no edge of the graph")
    for number, (parent, child) in enumerate(graph.edges):
        if (names[parent], names[child]) not in stated:
            edge = _arrow((names[parent], names[child]))
            raise ProblemError(f"edge {number} of the graph ({edge}) is never stated")
    if statement.asked != root:
        raise ProblemError(f"the question asks about {statement.asked}, but the root is {root}")
    if set(statement.options) != {target, names[graph.distractor]}:
        raise ProblemError(
            f"the options are {' and '.join(statement.options)}, but target and distractor are "
            f"{target} and {names[graph.distractor]}"
        )
    for number, fault in enumerate(step_faults(problem), start=1):
        if fault:
            raise ProblemError(f"step {number} {fault}")
    end = edges[-1][1] if edges else root
    if end != target:
        raise ProblemError(f"the steps end at {end}, not at the target {target}")
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
    index: dict[str, int] = {}
    for name in (name for fact in facts for name in fact):
        index.setdefault(name, len(index))
    for role, name in (
        ("name asked about", statement.asked),
        ("first option", statement.options[0]),
        ("second option", statement.options[1]),
    ):
        if name not in index:
            raise ProblemError(f"the {role}, {name!r}, is unknown: no fact mentions it")
    target, distractor = _right_and_wrong(statement)
    graph = Graph(
        names=tuple(index),
        edges=tuple((index[parent], index[child]) for parent, child in facts),
        root=index[statement.asked],
        target=index[target],
        distractor=index[distractor],
    )
    path = [graph.names[node] for node in graph.shortest_paths(limit=1)[0]]
    problem = Problem(write_symbols(statement), tuple(path[1:]), path[-1], graph)
    return problem if is_symbolic(text) else problem.in_english()


def _right_and_wrong(statement: Statement) -> tuple[str, str]:
    asked, (first, second) = statement.asked, statement.options
    if first == second:
        raise ProblemError(f"both options are {first!r}; offer two different ones")
    if asked in statement.options:
        raise ProblemError(f"{asked!r} is asked about and cannot be an option as well")
    reached, queue = {asked}, [asked]
    for name in queue:
        below = {child for parent, child in statement.facts if parent == name} - reached
        reached |= below
        queue.extend(below)
    if {first, second} <= reached:
        raise ProblemError(
            f"both options, {first!r} and {second!r}, can be reached from {asked!r}; only one may"
        )
    if not {first, second} & reached:
        raise ProblemError(
            f"neither option, {first!r} nor {second!r}, can be reached from {asked!r}"
        )
    return (first, second) if first in reached else (second, first)


def read_json(path: str | os.PathLike[str]) -> list[Problem]:
    """Read a file in Coconut's JSON and check every ProsQA problem in it (see `verify`).

    Args:
        path: a JSON list of rows with the keys question, answer and steps; rows of ProsQA also
            have idx_to_symbol, edges, root, target and neg_target.

    Returns:
        One problem per row. All of them or none: a bad row fails the whole file.

    Raises:
        ProblemError: the file cannot be read or is malformed or cut off (with line and column), or
            a row lacks a key, has a value of the wrong type or contradicts itself (with its index).
    """
    rows = parse_json(Path(path))
    if not isinstance(rows, list):
        raise ProblemError(f"{path}: expected a list of problems, found {type_name(rows)}")
    problems = []
    for number, row in enumerate(rows):
        try:
            problems.append(problem_of(row))
        except ProblemError as error:
            raise ProblemError(f"{path}: row {number}: {error}") from None
    return problems


def check_texts(problem: Problem) -> None:
    """Check that no text of a problem is empty or absurdly long.

    Raises:
        ProblemError: one is; the message names it.
    """
    texts = [("the question", problem.question), ("the answer", problem.answer)]
    texts += [(f"step {number}", step) for number, step in enumerate(problem.steps, start=1)]
    for name, text in texts:
        if not text.strip():
            raise ProblemError(f"{name} is empty; fill it in or remove the row")
        if len(text) > LONGEST_TEXT:
            raise ProblemError(
                f"{name} has {len(text):,} characters, more than {LONGEST_TEXT:,}; "
                "the file is damaged, or several problems run together"
            )


def problem_of(row: Any) -> Problem:
    """Make a problem from a row of Coconut's JSON or of a data set with the same columns.

    Args:
        row: the keys question, answer and steps; for ProsQA also those of the graph.

    Returns:
        The problem; one of ProsQA has been verified (see `verify`).

    Raises:
        ProblemError: a key is missing, a value is of the wrong type or empty, or the row
            contradicts itself.
    """
    if not isinstance(row, dict):
        raise ProblemError(f"expected keys and values, found {type_name(row)}")
    problem = Problem(
        question=value_of(row, "question", str),
        steps=tuple(values_of(row, "steps", str)),
        answer=value_of(row, "answer", str),
    )
    check_texts(problem)
    if not any(key in row for key in _GRAPH_KEYS):
        return problem
    edges = []
    for number, edge in enumerate(values_of(row, "edges", list)):
        if len(edge) != 2 or not all(type(end) is int for end in edge):
            raise ProblemError(f"key 'edges': entry {number} is {edge!r}, not [parent, child]")
        edges.append((edge[0], edge[1]))
    graph = Graph(
        names=tuple(values_of(row, "idx_to_symbol", str)),
        edges=tuple(edges),
        root=value_of(row, "root", int),
        target=value_of(row, "target", int),
        distractor=value_of(row, "neg_target", int),
    )
    problem = replace(problem, graph=graph)
    verify(problem)
    return problem


def write_json(problems: Iterable[Problem], path: str | os.PathLike[str]) -> None:
    """Write problems as Coconut's JSON, as published byte for byte; whole or not at all.

    Args:
        problems: any problems; those with a graph get its keys too.
        path: the file to make or replace; its folder must exist.

    Raises:
        OSError: the file cannot be written; an old one is left as it was.
    """
    rows = []
    for problem in problems:
        row: dict[str, Any] = {
            "question": problem.question,
            "answer": problem.answer,
            "steps": list(problem.steps),
        }
        graph = problem.graph
        if graph is not None:
            values = (graph.names, graph.edges, graph.root, graph.target, graph.distractor)
            row.update(zip(_GRAPH_KEYS, values, strict=True))
        rows.append(row)
    write_text(path, json.dumps(rows))

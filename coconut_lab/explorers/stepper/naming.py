"""Lets a model of few words read a problem that uses other names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from coconut_lab.curriculum.tokenizer import words_known
from coconut_lab.tasks.notation import Statement, read_statement, write_symbols
from coconut_lab.tasks.problems import Graph, Problem, ProblemError
from coconut_lab.tasks.prosqa import CONCEPTS, ENTITIES


def for_model(problem: Problem, tokenizer: Any) -> tuple[Problem, dict[str, str]]:
    """Put a problem into words that a tokenizer knows, in the notation that goes with it.

    A model whose names were shuffled in training takes nothing from a name, so any name may stand
    for any other. Names that the tokenizer knows stay as they are; another one gets a free name,
    of an entity if it has no parent and of a concept otherwise, as long as there are such. A
    tokenizer that can spell every word gets the problem as it is.

    Args:
        problem: a problem with a graph, in either notation.
        tokenizer: a Hugging Face tokenizer.

    Returns:
        The problem for the model, and who stands for whom: name → the model's word, only those
        that differ.

    Raises:
        ProblemError: more names than the tokenizer has, or a problem without a graph.
    """
    known = words_known(tokenizer)
    if known is None:
        return problem, {}
    problem = problem.in_symbols()
    graph = problem.graph
    assert graph is not None  # in_symbols refuses problems without one
    free = {
        kind: [name for name in names if name in known and name not in graph.names]
        for kind, names in (("entity", ENTITIES), ("concept", CONCEPTS))
    }
    stands: dict[str, str] = {}
    for node, name in enumerate(graph.names):
        if name in (*ENTITIES, *CONCEPTS) and name in known:
            stands[name] = name
            continue
        own, other = ("concept", "entity") if graph.parents(node) else ("entity", "concept")
        pool = free[own] or free[other]
        if not pool:
            possible = sum(name in known for name in (*ENTITIES, *CONCEPTS))
            raise ProblemError(
                f"the graph has {len(graph.names)} names, but this model has words for {possible}; "
                "leave some facts out"
            )
        stands[name] = pool.pop(0)
    changed = {name: word for name, word in stands.items() if name != word}
    return (renamed(problem, stands) if changed else problem), changed


def renamed(problem: Problem, names: dict[str, str]) -> Problem:
    """Give the nodes of a problem in symbols other names.

    Args:
        problem: a problem with a graph, in symbols.
        names: old name → new name, for every node.

    Returns:
        The same problem in the new names.
    """
    graph = problem.graph
    assert graph is not None
    statement = read_statement(problem.question)
    first, second = statement.options
    stated = Statement(
        tuple((names[a], names[b]) for a, b in statement.facts),
        (names[first], names[second]),
        names[statement.asked],
    )
    return Problem(
        question=write_symbols(stated),
        steps=tuple(names[step] for step in problem.steps),
        answer=names[problem.answer],
        graph=_with_names(graph, (names[name] for name in graph.names)),
    )


def _with_names(graph: Graph, names: Iterable[str]) -> Graph:
    return replace(graph, names=tuple(names))


def explain(changed: dict[str, str]) -> str:
    """Say in a line which words the model reads instead of the names; empty if it reads them."""
    if not changed:
        return ""
    pairs = ", ".join(f"{name} → {word}" for name, word in changed.items())
    return f"Names are only labels to this model, so it reads words that it knows: {pairs}."

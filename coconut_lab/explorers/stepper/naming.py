"""Lets a model of few words read a problem that uses other names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coconut_lab.curriculum.tokenizer import words_known
from coconut_lab.tasks.notation import Statement, read_statement, write_symbols
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prosqa import CONCEPTS, ENTITIES


def for_model(problem: Problem, tokenizer: Any) -> tuple[Problem, dict[str, str]]:
    """Put a problem into words that a tokenizer knows, in the notation that goes with it.

    A model whose names were shuffled in training takes nothing from a name, so any name may be
    put for any other. Names that the tokenizer knows stay as they are; any other gets a free one,
    of an entity if it has no parent and of a concept otherwise, as long as there are such. A
    tokenizer that can spell every word gets the problem as it is.
    """
    known = words_known(tokenizer)
    if known is None:
        return problem, {}
    problem = problem.in_symbols()
    graph = problem.graph
    assert graph is not None  # in_symbols refuses problems without one
    usable = {name for name in (*ENTITIES, *CONCEPTS) if name in known}
    free = usable - set(graph.names)
    entities, concepts = ([name for name in kind if name in free] for kind in (ENTITIES, CONCEPTS))
    words: dict[str, str] = {}
    for node, name in enumerate(graph.names):
        pool = (concepts or entities) if graph.parents(node) else (entities or concepts)
        if name in usable:
            words[name] = name
        elif pool:
            words[name] = pool.pop(0)
        else:
            raise ProblemError(
                f"the graph has {len(graph.names)} names, but this model has words for "
                f"{len(usable)}; leave some facts out"
            )
    changed = {name: word for name, word in words.items() if name != word}
    return (_renamed(problem, words) if changed else problem), changed


def _renamed(problem: Problem, words: dict[str, str]) -> Problem:
    """Give the nodes of a problem in symbols other names."""
    assert problem.graph is not None
    statement = read_statement(problem.question)
    first, second = statement.options
    stated = Statement(
        tuple((words[a], words[b]) for a, b in statement.facts),
        (words[first], words[second]),
        words[statement.asked],
    )
    return Problem(
        question=write_symbols(stated),
        steps=tuple(words[step] for step in problem.steps),
        answer=words[problem.answer],
        graph=replace(problem.graph, names=tuple(words[name] for name in problem.graph.names)),
    )


def explain(changed: dict[str, str]) -> str:
    """Say in a line which words the model reads instead of the names; empty if it reads them."""
    if not changed:
        return ""
    pairs = ", ".join(f"{name} → {word}" for name, word in changed.items())
    return f"Names are only labels to this model, so it reads words that it knows: {pairs}."

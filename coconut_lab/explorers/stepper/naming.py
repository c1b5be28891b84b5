"""Lets a model of few words read a problem that uses other names."""

from typing import Any

from coconut_lab.curriculum.tokenizer import words_known
from coconut_lab.tasks.counterfactuals import renamed
from coconut_lab.tasks.problems import Problem, ProblemError, graph_of
from coconut_lab.tasks.prosqa import CONCEPTS, ENTITIES


def for_model(problem: Problem, tokenizer: Any) -> tuple[Problem, str]:
    """Put a problem into words that a tokenizer knows, and say in a line which ones it reads.

    A model whose names were shuffled in training takes nothing from a name, so any name may be
    put for any other. Names that the tokenizer knows stay as they are; any other gets a free one,
    of an entity if it has no parent and of a concept otherwise, as long as there are such. A
    tokenizer that can spell every word gets the problem as it is.
    """
    known = words_known(tokenizer)
    if known is None:
        return problem, ""
    problem = problem.in_symbols()
    graph = graph_of(problem)
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
    pairs = ", ".join(f"{name} → {word}" for name, word in words.items() if name != word)
    note = f"Names are only labels to this model, so it reads words that it knows: {pairs}."
    return renamed(problem, words), note if pairs else ""

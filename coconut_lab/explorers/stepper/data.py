"""What the thought stepper shows, as one plain dictionary: a pure function, without a model.

    names      the nodes, as the reader calls them; everywhere else a node is its place here
    facts      [parent, child] of every fact of the original problem, in its order
    removed    numbers of the facts that are taken away, rising
    options    the two nodes that the question offers, in its order
    asked      the node that is asked about
    roots      nodes without a parent: these can be asked about
    target     the option that the facts left lead to; null if they lead to none, or to both
    distances  hops from `asked` to each node along the facts left; null where none lead
    on_path    nodes of the shortest paths from `asked` to `target`
    layout     width, height, nodes ([x, y] of each centre), edges (corners of each fact's curve):
               of all original facts, so nothing moves; null where there are too many names to draw
    reading    through: "head", "<eot>" or the number of a layer;
               thoughts: number, hop (how far from `asked` the nodes are that it can hold), nodes
               (probability of each), words ([text, probability] of the likeliest other tokens);
               answers: probabilities of the two options if it must answer after 0, 1, … n thoughts
    control    null, or name, in_words and another reading, to be shown beside it
    card       model (its name), trained (thoughts it was trained with), accuracy (rows of thoughts,
               accuracy, low, high, total)
    source     where the problem comes from
    note       a further remark; may be empty

Numbers are rounded to six digits, so the dictionary is the same JSON everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import networkx as nx

from coconut_lab.explorers.stepper.layout import lay_out
from coconut_lab.tasks.notation import (
    Statement,
    is_symbolic,
    read_statement,
    write_sentence,
    write_symbols,
)
from coconut_lab.tasks.problems import Problem, graph_of

MOST_DRAWN = 40  # more names would be too small to read
LIST_LENGTH, LIST_SEED = 100, 424242  # the first of the problems that cards are measured on


@dataclass(frozen=True)
class Question:
    """A problem, perhaps with facts taken away and another root asked about.

    Attributes:
        problem: the original, with a graph.
        removed: numbers of the facts that are taken away, rising.
        asked: the node that is asked about.
    """

    problem: Problem
    removed: tuple[int, ...]
    asked: int

    @classmethod
    def of(cls, problem: Problem) -> Question:
        """The original question of a problem; ProblemError if it has no graph."""
        return cls(problem, (), graph_of(problem).root)

    @property
    def original(self) -> Question:
        """The same problem before any change."""
        return Question.of(self.problem)

    @cached_property
    def statement(self) -> Statement:
        """What the original problem says."""
        return read_statement(self.problem.question)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each node."""
        return graph_of(self.problem).names

    @cached_property
    def facts(self) -> list[list[int]]:
        """Parent and child of every original fact."""
        return [[self.names.index(name) for name in fact] for fact in self.statement.facts]

    @property
    def roots(self) -> list[int]:
        """The nodes without a parent in the original problem."""
        children = {child for _, child in self.facts}
        return [node for node in range(len(self.names)) if node not in children]

    @cached_property
    def left(self) -> nx.DiGraph:
        """The graph of the facts that are left, with all nodes."""
        graph = nx.DiGraph()
        graph.add_nodes_from(range(len(self.names)))
        graph.add_edges_from(f for n, f in enumerate(self.facts) if n not in self.removed)
        return graph

    def text(self) -> str:
        """Write the question as it is now, in the notation of the problem."""
        said, asked = self.statement, self.names[self.asked]
        facts = tuple(fact for n, fact in enumerate(said.facts) if n not in self.removed)
        if is_symbolic(self.problem.question):
            return write_symbols(replace(said, facts=facts, asked=asked))
        children = {child for _, child in said.facts}
        sentences = [write_sentence(a, b, a not in children) for a, b in facts]
        return " ".join([*sentences, f"Is {asked} a {said.options[0]} or {said.options[1]}?"])


def stepper_data(
    question: Question,
    reading: Mapping[str, Any],
    card: Mapping[str, Any],
    *,
    trained: int,
    control: Mapping[str, Any] | None = None,
    source: str = "",
    note: str = "",
) -> dict[str, Any]:
    """Put together all that the stepper shows of one question.

    Args:
        question: the question that the model read.
        reading: what it thought, as the `reading` of the schema at the top of this module.
        card: the card of the model; of it, name and accuracy.
        trained: how many thoughts the model was trained with.
        control: the `control` of the schema.
        source, note: lines for the reader.

    Returns:
        A dictionary of the schema above; JSON can hold it.
    """
    hops = nx.single_source_shortest_path_length(question.left, question.asked)
    options = [question.names.index(name) for name in question.statement.options]
    reached = [node for node in options if node in hops]
    target = reached[0] if len(reached) == 1 else None
    paths: Any = ()
    if target is not None:
        paths = nx.all_shortest_paths(question.left, question.asked, target)
    keys = ("thoughts", "accuracy", "low", "high", "total")
    return _rounded(
        {
            "names": list(question.names),
            "facts": question.facts,
            "removed": list(question.removed),
            "options": options,
            "asked": question.asked,
            "roots": question.roots,
            "target": target,
            "distances": [hops.get(node) for node in range(len(question.names))],
            "on_path": sorted({node for path in paths for node in path}),
            "layout": _layout(question),
            "reading": reading,
            "control": control,
            "card": {
                "model": str(card.get("name", "a model")),
                "trained": trained,
                "accuracy": [{key: row[key] for key in keys} for row in card.get("accuracy") or ()],
            },
            "source": source,
            "note": note,
        }
    )


def _layout(question: Question) -> dict[str, Any] | None:
    graph = graph_of(question.problem)
    if len(graph.names) > MOST_DRAWN:
        return None
    drawn = lay_out(graph)
    edges = dict(zip(graph.edges, drawn.edges, strict=True))
    return {
        "width": drawn.width,
        "height": drawn.height,
        "nodes": drawn.nodes,
        "edges": [edges[parent, child] for parent, child in question.facts],
    }


def _rounded(value: Any) -> Any:
    """The same value as JSON has it: lists, and numbers of six digits."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(item) for item in value]
    return value

"""Problems changed in one respect: asked about the other root, rewired, or with other names.

The first two make the other option right and keep names, options and the number of hops. A renamed
problem is the same one in other words. So what differs in a model's thoughts comes from the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.graph import Graph
from coconut_lab.tasks.notation import (
    ProblemError,
    is_symbolic,
    read_statement,
    write_symbols,
)
from coconut_lab.tasks.problems import Problem, graph_of


@checks_kinds(ProblemError)
def twin(problem: Problem) -> Problem:
    """Ask about the other root: same facts, same options, and the other option is right.

    Args:
        problem: a ProsQA problem, in either notation.

    Returns:
        The problem asked about the first parentless node that reaches the distractor in as many
        hops as the root reaches the target, and does not reach the target. The twin of that is a
        question with the original's answer.

    Raises:
        ProblemError: the problem has no graph, or no such node.
    """
    graph = graph_of(problem)
    for node in range(len(graph.names)):
        hops = graph.distances(node)
        reaches_the_other = (hops[graph.target], hops[graph.distractor]) == (None, graph.hops)
        if reaches_the_other and not graph.parents(node):
            return _asked(problem, graph, root=node)
    raise ProblemError(
        f"the problem has no twin: no other root is exactly {graph.hops} hops from the distractor "
        f"{graph.names[graph.distractor]!r} and cannot reach the target"
    )


@checks_kinds(ProblemError)
def rewire(problem: Problem, hop: int) -> Problem:
    """Exchange the ends of two edges of one hop, so that the other option is right.

    Of the edges a → b on the way to the target and c → d on the twin's way to the distractor, both
    of that hop, the first pair is taken for which a → d and c → b leave one right option in the
    same number of hops. The facts keep their places in the question.

    Args:
        problem: a ProsQA problem, in either notation.
        hop: 1 for the edges that leave the two roots, up to the number of hops.

    Returns:
        The rewired problem, asked about the same root.

    Raises:
        ProblemError: no twin, a hop that is not there, or no such pair.
    """
    graph, other = graph_of(problem), graph_of(twin(problem))
    if not 1 <= hop <= graph.hops:
        raise ProblemError(f"hop {hop} of a problem with {graph.hops} hops; give 1 to {graph.hops}")
    for one, two in product(_edges_of_hop(graph, hop), _edges_of_hop(other, hop)):
        edges = list(graph.edges)
        (a, b), (c, d) = edges[one], edges[two]
        edges[one], edges[two] = (a, d), (c, b)
        try:
            changed = _asked(problem, graph, edges=tuple(edges))
        except ProblemError:  # a second right option, an edge twice, a cycle
            continue
        if len(changed.steps) == graph.hops:
            return changed
    raise ProblemError(
        f"no two edges of hop {hop} can be exchanged so that only the other option is right"
    )


def rewirable(problems: Sequence[Problem], hops: int) -> list[Problem]:
    """The problems of that many hops whose facts can be rewired at each of them."""
    found = []
    for problem in problems:
        if graph_of(problem).hops == hops:
            try:
                for hop in range(1, hops + 1):
                    rewire(problem, hop)
            except ProblemError:
                continue
            found.append(problem)
    return found


def renamed(problem: Problem, names: Mapping[str, str] | int) -> Problem:
    """Call the nodes by other names; facts, options and the answer stay what they are.

    Args:
        problem: a ProsQA problem, in either notation.
        names: old name → new name, names that are not in it stay; or a seed, by which the problem's
            own names are permuted.

    Raises:
        ProblemError: the problem has no graph, or two nodes would have one name.
    """
    graph = graph_of(problem)
    if isinstance(names, int):
        others = np.random.default_rng(names).permutation(graph.names).tolist()
        names = dict(zip(graph.names, others, strict=True))
    now = {name: names.get(name, name) for name in graph.names}
    if len({*now.values()}) < len(now):
        raise ProblemError(f"two nodes would have the same name: {sorted(now.values())}")
    said = problem.in_symbols()
    found = Problem(
        " ".join(now.get(word, word) for word in said.question.split()),
        tuple(now[step] for step in said.steps),
        now[said.answer],
        replace(graph, names=tuple(now.values())),
    )
    return found if is_symbolic(problem.question) else found.in_english()


def _edges_of_hop(graph: Graph, hop: int) -> list[int]:
    """The places of the edges that shortest paths to the target take at one hop."""
    ways = {path[hop - 1 : hop + 1] for path in graph.shortest_paths()}
    return [place for place, edge in enumerate(graph.edges) if edge in ways]


def _asked(problem: Problem, old: Graph, **changes: Any) -> Problem:
    """The problem about a changed graph in which the other option is right."""
    graph = replace(old, target=old.distractor, distractor=old.target, **changes)
    statement, names = read_statement(problem.question), graph.names
    now = {
        (names[a], names[b]): (names[c], names[d])
        for (a, b), (c, d) in zip(old.edges, graph.edges, strict=True)
    }
    facts = tuple(now[fact] for fact in statement.facts)
    question = write_symbols(replace(statement, facts=facts, asked=names[graph.root]))
    path = [names[node] for node in graph.shortest_paths(limit=1)[0]]
    changed = Problem(question, tuple(path[1:]), path[-1], graph)
    return changed if is_symbolic(problem.question) else changed.in_english()

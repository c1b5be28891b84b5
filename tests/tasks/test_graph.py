"""Graphs: what is refused, and every property against a naive recomputation."""

from __future__ import annotations

from itertools import product

import pytest
from example_problem import EDGES, NAMES, floyd_warshall, graph, random_graphs
from hypothesis import given, settings

from coconut_lab.tasks.problems import Graph, ProblemError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("Tom", "Max", "a", "b", "c", "d", "a")}, r"duplicate name 'a': nodes 2 and 6"),
        ({"names": ("Tom", "New York", *NAMES[2:])}, r"'New York' of node 1 contains white space"),
        ({"names": ("Tom", "", *NAMES[2:])}, r"node 1 is empty"),
        ({"names": ("Tom", "x|y", *NAMES[2:])}, r"node 1 is or contains a reserved mark"),
        ({"names": ("Tom", "<bot>", *NAMES[2:])}, r"'<bot>' of node 1 .* reserved"),
        ({"names": ("Tom", "Jr.", *NAMES[2:])}, r"'Jr.' of node 1 ends in '.'"),
        ({"edges": (*EDGES, (2, 7))}, r"edge 6 ends at node 7, but nodes go from 0 to 6"),
        ({"edges": (*EDGES, (-1, 2))}, r"edge 6 starts at node -1"),
        ({"edges": (*EDGES, (2, 2))}, r"edge 6 \(yumpus → yumpus\) leads from a node to itself"),
        ({"edges": (*EDGES, (2, 3))}, r"edge 6 \(yumpus → rempus\) is a duplicate edge"),
        ({"edges": (*EDGES, (4, 2))}, r"cycle: yumpus → rempus → lempus → yumpus"),
        ({"edges": EDGES[:2]}, r"target 'lempus' cannot be reached from the root 'Tom'"),
        ({"edges": (*EDGES, (3, 5))}, r"distractor 'scrompus' can be reached from the root 'Tom'"),
        ({"distractor": 4}, r"target and distractor are the same node, 'lempus'"),
        ({"target": 0}, r"the target is the root itself, 'Tom'"),
        ({"root": 7}, r"the root is node 7, but nodes go from 0 to 6"),
        ({"target": -1}, r"the target is node -1"),
        ({"distractor": 99}, r"the distractor is node 99"),
    ],
)
def test_bad_graph_names_the_place(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        graph(**changes)


def test_graph_of_the_example() -> None:
    g = graph()
    assert g.hops == 3
    assert g.children(0) == (2, 6)
    assert g.parents(3) == (2, 6)
    assert g.distances(0) == (0, None, 1, 2, 3, None, 1)
    assert [g.frontier(k) for k in range(5)] == [{0}, {2, 6}, {3}, {4}, set()]
    assert g.shortest_paths() == ((0, 2, 3, 4), (0, 6, 3, 4))
    assert g.shortest_paths(limit=1) == ((0, 2, 3, 4),)
    assert g.shortest_path_count() == 2
    assert g.layers() == (0, 0, 1, 2, 3, 1, 1)


def test_two_heights() -> None:
    g = graph(edges=(*EDGES, (1, 3)))
    assert (g.height(1), g.height(1, "longest"), g.height(4)) == (1, 2, 0)
    with pytest.raises(ProblemError, match="which='high'"):
        g.height(1, "high")


def test_a_dense_graph_has_many_paths_and_lists_few() -> None:
    # 20 layers of 2 nodes, each joined to both nodes of the next layer: 2**20 shortest paths.
    edges = [(0, 2), (0, 3)]
    for low in range(2, 40, 2):
        edges += list(product((low, low + 1), (low + 2, low + 3)))
    edges += [(40, 42), (41, 42), (1, 43)]
    g = Graph(tuple(f"n{i}" for i in range(44)), tuple(edges), 0, 42, 43)
    assert g.shortest_path_count() == 2**20
    assert len(g.shortest_paths(limit=7)) == len(set(g.shortest_paths(limit=7))) == 7


def all_paths(g: Graph, node: int) -> list[tuple[int, ...]]:
    """Every path from a node to the target."""
    here = [(node,)] if node == g.target else []
    return here + [(node, *rest) for child in g.children(node) for rest in all_paths(g, child)]


@given(random_graphs())
@settings(max_examples=150, deadline=None)
def test_graph_agrees_with_naive_recomputation(g: Graph) -> None:
    size = len(g.names)
    far = floyd_warshall(size, list(g.edges))
    for node in range(size):
        assert g.distances(node) == tuple(far[node].get(other) for other in range(size))
    paths = all_paths(g, g.root)
    shortest = [path for path in paths if len(path) == min(map(len, paths))]
    assert g.hops == len(shortest[0]) - 1
    assert sorted(g.shortest_paths()) == sorted(shortest)
    assert g.shortest_path_count() == len(shortest)
    leaves = [node for node in range(size) if not g.children(node)]
    tops = [node for node in range(size) if not g.parents(node)]
    for node in range(size):
        assert g.height(node) == min(far[node][leaf] for leaf in leaves if leaf in far[node])
        assert all(g.layers()[node] > g.layers()[parent] for parent in g.parents(node))
        assert g.layers()[node] >= max(far[top].get(node, 0) for top in tops)
        assert node in g.frontier(far[g.root].get(node, -1)) or node not in far[g.root]

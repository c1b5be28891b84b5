"""The graph behind a ProsQA problem: checked when it is made, then asked for hops and frontiers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from coconut_lab.errors import checks_kinds
from coconut_lab.tasks.notation import ProblemError, word_fault


@checks_kinds(ProblemError)
@dataclass(frozen=True)
class Graph:
    """The directed acyclic graph of a ProsQA problem.

    Attributes:
        names: name of each node; a node's index is its place here.
        edges: (parent, child) indices; "Every parent is a child".
        root: index of the node that the question asks about.
        target: index of the right option; reachable from the root.
        distractor: index of the wrong option; not reachable from the root.

    Raises:
        ProblemError: a name is not usable or occurs twice, an index is out of range, an edge is a
            loop or occurs twice, there is a cycle, or the question does not have exactly one
            right option.
    """

    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    root: int
    target: int
    distractor: int

    def __post_init__(self) -> None:
        first: dict[str, int] = {}
        for index, name in enumerate(self.names):
            fault = word_fault(name)
            if fault:
                raise ProblemError(f"the name {name!r} of node {index} {fault}")
            if first.setdefault(name, index) != index:
                raise ProblemError(f"duplicate name {name!r}: nodes {first[name]} and {index}")
        seen: set[tuple[int, int]] = set()
        for number, (parent, child) in enumerate(self.edges):
            self._check_index(f"edge {number} starts at", parent)
            self._check_index(f"edge {number} ends at", child)
            label = f"{self.names[parent]} → {self.names[child]}"
            if parent == child:
                raise ProblemError(f"edge {number} ({label}) leads from a node to itself")
            if (parent, child) in seen:
                raise ProblemError(f"edge {number} ({label}) is a duplicate edge")
            seen.add((parent, child))
        if not all(parent < child for parent, child in self.edges):
            self._check_cycles()
        for role in ("root", "target", "distractor"):
            self._check_index(f"the {role} is", getattr(self, role))
        self._check_question(*(self.names[i] for i in (self.root, self.target, self.distractor)))

    def _check_index(self, place: str, node: int) -> None:
        last = len(self.names) - 1
        if not 0 <= node <= last:
            raise ProblemError(f"{place} node {node}, but nodes go from 0 to {last}")

    def _check_cycles(self) -> None:
        # nx.find_cycle may take minutes; a walk inside a component must come back.
        for knot in nx.strongly_connected_components(self._digraph):
            walk: dict[int, int] = {}
            node = min(knot)
            while len(knot) > 1 and node not in walk:
                walk[node] = len(walk)
                node = next(child for child in self.children(node) if child in knot)
            if walk:
                cycle = [self.names[i] for i in [*walk][walk[node] :]]
                raise ProblemError(f"the graph has a cycle: {' → '.join([*cycle, cycle[0]])}")

    def _check_question(self, root: str, target: str, distractor: str) -> None:
        if target == distractor:
            raise ProblemError(f"target and distractor are the same node, {target!r}")
        if target == root:
            raise ProblemError(f"the target is the root itself, {root!r}")
        if self.target not in self._from_root:
            raise ProblemError(f"the target {target!r} cannot be reached from the root {root!r}")
        if self.distractor in self._from_root:
            raise ProblemError(
                f"the distractor {distractor!r} can be reached from the root {root!r} as well, "
                "so both options would be right"
            )

    @cached_property
    def _digraph(self) -> nx.DiGraph:
        digraph = nx.DiGraph()
        digraph.add_nodes_from(range(len(self.names)))
        digraph.add_edges_from(self.edges)
        return digraph

    @cached_property
    def _from_root(self) -> dict[int, int]:
        """Hops from the root to each node below it."""
        return nx.single_source_shortest_path_length(self._digraph, self.root)

    @cached_property
    def _nearer(self) -> dict[int, list[int]]:
        """For each node above the target, the nearest first: its children one hop nearer to it."""
        left = self.above(self.target)
        return {
            node: [child for child in self.children(node) if left.get(child) == hops - 1]
            for node, hops in left.items()
        }

    def above(self, node: int) -> dict[int, int]:
        """Count the hops to a node from itself and each node above it, the nearest first."""
        return nx.single_source_shortest_path_length(self._digraph.reverse(copy=False), node)

    def children(self, node: int) -> tuple[int, ...]:
        """Nodes one hop below `node`, in the order of the edges."""
        return tuple(self._digraph.successors(node))

    def parents(self, node: int) -> tuple[int, ...]:
        """Nodes one hop above `node`, in the order of the edges."""
        return tuple(self._digraph.predecessors(node))

    @checks_kinds(ProblemError)
    def distances(self, start: int) -> tuple[int | None, ...]:
        """Count the hops from one node to every node, None where no path leads."""
        self._check_index("distances:", start)
        hops = nx.single_source_shortest_path_length(self._digraph, start)
        return tuple(map(hops.get, range(len(self.names))))

    @property
    def hops(self) -> int:
        """Smallest number of hops from the root to the target."""
        return self._from_root[self.target]

    def frontier(self, k: int) -> frozenset[int]:
        """Nodes at shortest distance exactly `k` hops from the root (what thought k can hold)."""
        return frozenset(i for i, hops in enumerate(self.distances(self.root)) if hops == k)

    def shortest_path_count(self) -> int:
        """Number of different shortest paths from the root to the target."""
        count = {self.target: 1}
        for node, nearer in self._nearer.items():
            count.setdefault(node, sum(count[child] for child in nearer))
        return count[self.root]

    def shortest_paths(self, limit: int = 1000) -> tuple[tuple[int, ...], ...]:
        """List the shortest paths from the root to the target, both included.

        They come in the order of the edges, and at most `limit` of them: a dense graph has
        exponentially many.
        """
        paths: list[tuple[int, ...]] = []
        stack: list[tuple[int, ...]] = [(self.root,)]
        while stack and len(paths) < limit:
            path = stack.pop()
            if path[-1] == self.target:
                paths.append(path)
            stack.extend((*path, child) for child in reversed(self._nearer[path[-1]]))
        return tuple(paths)

    def layers(self) -> tuple[int, ...]:
        """Layer of each node for drawing: its longest distance from any parentless node."""
        generations = nx.topological_generations(self._digraph)
        layer = {node: place for place, nodes in enumerate(generations) for node in nodes}
        return tuple(layer[node] for node in range(len(self.names)))

    @checks_kinds(ProblemError)
    def height(self, node: int, which: str = "shortest") -> int:
        """Count the hops from a node down to a leaf, 0 for a leaf itself.

        The "shortest" way down is that of the paper's text, the "longest" that of its figure
        caption (section 5); a ProblemError refuses another `which`.
        """
        self._check_index("height:", node)
        hops = nx.single_source_shortest_path_length(self._digraph, node)
        if which == "longest":
            return nx.dag_longest_path_length(self._digraph.subgraph(hops))
        if which != "shortest":
            raise ProblemError(f"which={which!r}; a height is 'shortest' or 'longest'")
        return min(far for below, far in hops.items() if not self.children(below))

"""The graph behind a ProsQA problem: checked when it is made, then asked for hops and frontiers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from coconut_lab.tasks.notation import ProblemError, word_fault


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
        self._check_names()
        self._check_edges()
        self._check_question()

    def _check_question(self) -> None:
        for role in ("root", "target", "distractor"):
            self._check_index(f"the {role} is", getattr(self, role))
        root, target, distractor = (
            self.names[node] for node in (self.root, self.target, self.distractor)
        )
        if self.target == self.distractor:
            raise ProblemError(f"target and distractor are the same node, {target!r}")
        if self.target == self.root:
            raise ProblemError(f"the target is the root itself, {root!r}")
        hops = self._distances_from_root
        if hops[self.target] is None:
            raise ProblemError(f"the target {target!r} cannot be reached from the root {root!r}")
        if hops[self.distractor] is not None:
            raise ProblemError(
                f"the distractor {distractor!r} can be reached from the root {root!r} as well, "
                "so both options would be right"
            )

    def _check_names(self) -> None:
        seen: dict[str, int] = {}
        for index, name in enumerate(self.names):
            fault = word_fault(name)
            if fault:
                raise ProblemError(f"the name {name!r} of node {index} {fault}")
            if name in seen:
                raise ProblemError(f"duplicate name {name!r}: nodes {seen[name]} and {index}")
            seen[name] = index

    def _check_index(self, place: str, node: int) -> None:
        last = len(self.names) - 1
        if not 0 <= node <= last:
            raise ProblemError(f"{place} node {node}, but nodes go from 0 to {last}")

    def _check_edges(self) -> None:
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
        if len(self._order) < len(self.names):
            cycle = " → ".join(self.names[i] for i in self._find_cycle())
            raise ProblemError(f"the graph has a cycle: {cycle}")

    def _find_cycle(self) -> list[int]:
        # Every node that the topological order misses has a parent it misses too, so walking up
        # from any of them must come back to a node already met.
        missed = set(range(len(self.names))) - set(self._order)
        walk = [min(missed)]
        while walk.count(walk[-1]) < 2:
            walk.append(next(p for p in self._parents[walk[-1]] if p in missed))
        return walk[walk.index(walk[-1]) :][::-1]

    @cached_property
    def _children(self) -> tuple[tuple[int, ...], ...]:
        lists: list[list[int]] = [[] for _ in self.names]
        for parent, child in self.edges:
            lists[parent].append(child)
        return tuple(map(tuple, lists))

    @cached_property
    def _parents(self) -> tuple[tuple[int, ...], ...]:
        lists: list[list[int]] = [[] for _ in self.names]
        for parent, child in self.edges:
            lists[child].append(parent)
        return tuple(map(tuple, lists))

    @cached_property
    def _order(self) -> tuple[int, ...]:
        """Nodes, parents before children; shorter than `names` when there is a cycle."""
        waiting = [len(parents) for parents in self._parents]
        order = [node for node, count in enumerate(waiting) if count == 0]
        for node in order:
            for child in self._children[node]:
                waiting[child] -= 1
                if waiting[child] == 0:
                    order.append(child)
        return tuple(order)

    @cached_property
    def _distances_from_root(self) -> tuple[int | None, ...]:
        return self.distances(self.root)

    def children(self, node: int) -> tuple[int, ...]:
        """Nodes one hop below `node`, in the order of the edges."""
        return self._children[node]

    def parents(self, node: int) -> tuple[int, ...]:
        """Nodes one hop above `node`, in the order of the edges."""
        return self._parents[node]

    def distances(self, start: int) -> tuple[int | None, ...]:
        """Count the hops from one node to every node.

        Args:
            start: index of the node to start from.

        Returns:
            For each node the smallest number of hops, or None where no path leads.
        """
        found: list[int | None] = [None] * len(self.names)
        found[start] = 0
        queue = [start]
        for node in queue:
            for child in self._children[node]:
                if found[child] is None:
                    found[child] = found[node] + 1  # type: ignore[operator]
                    queue.append(child)
        return tuple(found)

    @property
    def hops(self) -> int:
        """Smallest number of hops from the root to the target."""
        hops = self._distances_from_root[self.target]
        assert hops is not None  # checked when the graph was made
        return hops

    def frontier(self, k: int) -> frozenset[int]:
        """Nodes at shortest distance exactly `k` hops from the root (what thought k can hold)."""
        return frozenset(i for i, hops in enumerate(self._distances_from_root) if hops == k)

    def shortest_path_count(self) -> int:
        """Number of different shortest paths from the root to the target."""
        hops = self._distances_from_root
        ways = [0] * len(self.names)
        ways[self.root] = 1
        for node in self._order:
            here = hops[node]
            if here:
                ways[node] = sum(ways[p] for p in self._parents[node] if hops[p] == here - 1)
        return ways[self.target]

    def shortest_paths(self, limit: int = 1000) -> tuple[tuple[int, ...], ...]:
        """List the shortest paths from the root to the target.

        Args:
            limit: list at most so many; a dense graph has exponentially many.

        Returns:
            Paths of node indices, root and target included, in the order of the edges.
        """
        paths: list[tuple[int, ...]] = []
        for path in self._walk_shortest_paths():
            if len(paths) == limit:
                break
            paths.append(path)
        return tuple(paths)

    def _walk_shortest_paths(self) -> Iterator[tuple[int, ...]]:
        useful = self._on_shortest_path
        stack: list[tuple[int, ...]] = [(self.root,)]
        while stack:
            path = stack.pop()
            if path[-1] == self.target:
                yield path
            hops = len(path)
            for child in reversed(self._children[path[-1]]):
                if child in useful and self._distances_from_root[child] == hops:
                    stack.append((*path, child))

    @cached_property
    def _on_shortest_path(self) -> frozenset[int]:
        hops = self._distances_from_root
        found, queue = {self.target}, [self.target]
        for node in queue:
            here = hops[node]
            # An unreachable parent has None, which is never one hop nearer.
            above = {p for p in self._parents[node] if here is not None and hops[p] == here - 1}
            queue.extend(above - found)
            found |= above
        return frozenset(found)

    def layers(self) -> tuple[int, ...]:
        """Layer of each node for drawing: its longest distance from any parentless node."""
        depth = [0] * len(self.names)
        for node in self._order:
            depth[node] = max((depth[p] + 1 for p in self._parents[node]), default=0)
        return tuple(depth)

    def height(self, node: int, which: str = "shortest") -> int:
        """Count the hops from a node down to a leaf.

        Args:
            node: index of the node.
            which: "shortest" (the paper's text) or "longest" (its figure caption), section 5.

        Returns:
            0 for a leaf.

        Raises:
            ProblemError: `which` is neither of the two.
        """
        if which not in ("shortest", "longest"):
            raise ProblemError(f"which={which!r}; a height is 'shortest' or 'longest'")
        return self._heights[which == "longest"][node]

    @cached_property
    def _heights(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        low, high = [0] * len(self.names), [0] * len(self.names)
        for node in reversed(self._order):
            below = self._children[node]
            low[node] = min((low[c] + 1 for c in below), default=0)
            high[node] = max((high[c] + 1 for c in below), default=0)
        return tuple(low), tuple(high)

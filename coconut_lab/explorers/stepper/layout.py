"""Where the nodes and edges of a graph go in a picture: columns, few crossings, smooth curves.

Sugiyama, Tagawa and Toda (1981): columns first, then the order within each column by barycentres,
then heights. An edge that passes a column gets its own place there, so it crosses no node.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, combinations, pairwise

from coconut_lab.tasks.problems import Graph

NODE_WIDTH, NODE_HEIGHT = 80, 42
COLUMN_GAP, ROW_GAP, PASSING_GAP = 38.0, 32.0, 17.0
MARGIN_X, MARGIN_Y = 8.0, 20.0  # room for rings and marks
_SWEEPS = 12
Point = tuple[float, float]
Vertices = list[list[int]]  # of each column from top to bottom; or the neighbours of each vertex


@dataclass(frozen=True)
class Layout:
    """A drawn graph, in units of about one pixel."""

    width: float
    height: float
    nodes: tuple[Point, ...]  # centre of each
    # Corners of each edge from parent to child: between two, a curve that is level at both ends.
    edges: tuple[tuple[Point, ...], ...]
    columns: tuple[int, ...]  # of each node, from 0


def columns_of(graph: Graph) -> tuple[int, ...]:
    """Give every node a column, so that every edge leads to the right.

    A node that the root reaches is as many columns right of the root as the longest path to it
    has hops, so thoughts spread from left to right. Nodes out of reach are close to what they lead
    to.
    """
    reach = graph.distances(graph.root)
    order = sorted(range(len(graph.names)), key=graph.layers().__getitem__)  # parents first
    column: dict[int, float] = {graph.root: 0}
    for node in order:
        if reach[node]:
            column[node] = max(column[p] + 1 for p in graph.parents(node) if reach[p] is not None)
    latest, apart = dict(column), [node for node in order if reach[node] is None]
    for node in reversed(apart):
        latest[node] = min((latest[c] - 1 for c in graph.children(node)), default=math.inf)
    for node in apart:
        first = min(0, latest[node])
        column[node] = max((column[p] + 1 for p in graph.parents(node)), default=first)
    # A leaf out of reach bounds nothing, so its parents may still be moved to the right.
    for node in reversed(apart):
        if graph.children(node) and not graph.parents(node):
            column[node] = min(column[c] for c in graph.children(node)) - 1
    left = min(column.values())
    return tuple(int(column[node] - left) for node in range(len(graph.names)))


@lru_cache(maxsize=64)
def lay_out(graph: Graph) -> Layout:
    """Arrange a graph in columns from left to right."""
    columns = columns_of(graph)
    # Vertices: the nodes, then one for every column that an edge passes on its way.
    column_of, chains = list(columns), []
    for parent, child in graph.edges:
        passed = range(columns[parent] + 1, columns[child])
        chains.append([parent, *range(len(column_of), len(column_of) + len(passed)), child])
        column_of.extend(passed)
    before: Vertices = [[] for _ in column_of]
    after: Vertices = [[] for _ in column_of]
    for a, b in (pair for chain in chains for pair in pairwise(chain)):
        after[a].append(b)
        before[b].append(a)
    rows = [[v for v, c in enumerate(column_of) if c == at] for at in range(max(columns) + 1)]
    rows = _least_crossings(rows, before, after)
    heights = _heights(rows, before, after, len(graph.names))
    return _place(graph, columns, chains, rows, heights)


def _least_crossings(rows: Vertices, before: Vertices, after: Vertices) -> Vertices:
    """Sort each column by the mean place of its neighbours, back and forth; keep the best."""
    best, fewest = [list(row) for row in rows], _crossings(rows, after)
    for start in (rows, [row[::-1] for row in rows]):
        current = [list(row) for row in start]
        for sweep in range(_SWEEPS):
            neighbours, way = (after, -1) if sweep % 2 else (before, 1)
            for row in current[::way]:
                place = {v: i for row in current for i, v in enumerate(row)}
                row.sort(key=lambda v: _mean([place[n] for n in neighbours[v]], place[v]))
            _swap_neighbours(current, before, after)
            if (count := _crossings(current, after)) < fewest:
                best, fewest = [list(row) for row in current], count
    return best


def _swap_neighbours(rows: Vertices, before: Vertices, after: Vertices) -> None:
    """Swap two neighbours of a column as long as that takes crossings away."""
    place = {v: i for row in rows for i, v in enumerate(row)}
    for row in rows:
        swapped = True
        while swapped:
            swapped = False
            for i, (u, v) in enumerate(pairwise(row)):
                pairs = [(place[a], place[b]) for side in (before, after)
                         for a in side[u] for b in side[v]]  # fmt: skip
                if sum((a > b) - (a < b) for a, b in pairs) > 0:
                    row[i], row[i + 1] = v, u
                    place[u], place[v] = i + 1, i
                    swapped = True
                    break


def _crossings(rows: Vertices, after: Vertices) -> int:
    count = 0
    for left, right in pairwise(rows):
        place = {v: i for i, v in enumerate(right)}
        ends = [(i, place[n]) for i, v in enumerate(left) for n in after[v]]
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(ends, 2))
    return count


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _heights(rows: Vertices, before: Vertices, after: Vertices, nodes: int) -> dict[int, float]:
    """Bring every vertex as near to its neighbours as order and distances allow."""
    gaps = (PASSING_GAP, NODE_HEIGHT / 2 + PASSING_GAP, NODE_HEIGHT + ROW_GAP)
    offsets, y = [], {}
    for row in rows:
        below = (gaps[(u < nodes) + (v < nodes)] for u, v in pairwise(row))
        offset = list(accumulate(below, initial=0.0))
        offsets.append(offset)
        y.update({v: o - offset[-1] / 2 for v, o in zip(row, offset, strict=True)})
    # No column grows taller than the tallest one must be; else parts without a connection drift.
    half = max(offset[-1] for offset in offsets) / 2
    for _ in range(30):
        for row, offset in zip(rows, offsets, strict=True):
            wanted = [
                _mean([y[n] for n in (*before[v], *after[v])], 0.0) - o
                for v, o in zip(row, offset, strict=True)
            ]
            weights = [1.0 if v < nodes else 3.0 for v in row]  # passing edges are kept straight
            for v, o, level in zip(row, offset, _rising(wanted, weights), strict=True):
                y[v] = min(max(level, -half), half - offset[-1]) + o
    return y


def _rising(values: list[float], weights: list[float]) -> list[float]:
    """Find the nearest sequence that never falls (least squares; pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, heavy, length = blocks.pop()
            total = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / total, total, length + block[2])
        blocks.append(block)
    return [mean for mean, _, length in blocks for _ in range(length)]


def _place(
    graph: Graph, columns: tuple[int, ...], chains: Vertices, rows: Vertices, y: dict[int, float]
) -> Layout:
    """Turn columns and heights into points; edges meet a node side by side, not in one point."""
    step = NODE_WIDTH + COLUMN_GAP
    top = min(y.values()) - NODE_HEIGHT / 2 - MARGIN_Y
    x_of = {v: MARGIN_X + NODE_WIDTH / 2 + i * step for i, row in enumerate(rows) for v in row}
    y = {v: round(height - top, 1) for v, height in y.items()}
    shift: dict[tuple[int, int], float] = {}  # of a chain at its first or last node
    for end, near in ((0, 1), (-1, -2)):
        for node in range(len(graph.names)):
            ends = [number for number, chain in enumerate(chains) if chain[end] == node]
            ends.sort(key=lambda number: y[chains[number][near]])
            for i, number in enumerate(ends):
                room = min(9.0, (NODE_HEIGHT - 16) / len(ends))
                shift[number, end] = (i - (len(ends) - 1) / 2) * room
    edges = []
    for number, (parent, *passed, child) in enumerate(chains):
        points = [(x_of[parent] + NODE_WIDTH / 2, y[parent] + shift[number, 0])]
        for vertex in passed:
            points += [(x_of[vertex] + side * NODE_WIDTH / 2, y[vertex]) for side in (-1, 1)]
        points.append((x_of[child] - NODE_WIDTH / 2, y[child] + shift[number, -1]))
        edges.append(tuple(points))
    return Layout(
        width=2 * MARGIN_X + len(rows) * step - COLUMN_GAP,
        height=round(max(y.values()) + NODE_HEIGHT / 2 + MARGIN_Y, 1),
        nodes=tuple((x_of[node], y[node]) for node in range(len(graph.names))),
        edges=tuple(edges),
        columns=columns,
    )

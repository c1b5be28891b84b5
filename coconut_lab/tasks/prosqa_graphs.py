"""Algorithm 1 of the Coconut paper (Hao et al. 2024, arXiv:2412.06769): a random graph, on numbers.

Nodes 0 and 1 are two parentless nodes; every later node draws parents among those before it. The
label of a node says below which of the two it is. `prosqa.py` gives names and makes the problem.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate


class Growth:
    """A graph on its way: nodes 0 and 1, and what Algorithm 1 has added so far.

    Bit 1 of a label says "below node 0", bit 2 "below node 1". Distances and numbers of shortest
    paths run from the one of the two that a node is below (they mean nothing for labels 0 and 3).
    """

    def __init__(self) -> None:
        self.labels = [1, 2]
        self.depth = [0, 0]  # hops from the nearest parentless node
        self.distance = [0, 0]
        self.ways = [1, 1]
        self.parents: list[list[int]] = [[], []]
        self.named = [True, True]  # False while no fact mentions the node
        self.size = 2  # number of named nodes
        self.tips = [0, 1]  # last node of each planted path
        self.ends: set[int] = set()  # finished options: leaves, so never parents

    def add(self, parents: list[int]) -> None:
        """Add one node below `parents`."""
        label = 0
        for parent in parents:
            label |= self.labels[parent]
            if not self.named[parent]:
                self.named[parent] = True
                self.size += 1
        same = [p for p in parents if self.labels[p] == label]
        near = min((self.distance[p] for p in same), default=0)
        self.labels.append(label)
        self.depth.append(1 + min(self.depth[p] for p in parents) if parents else 0)
        self.distance.append(near + 1)
        self.ways.append(sum(self.ways[p] for p in same if self.distance[p] == near))
        self.parents.append(parents)
        self.named.append(bool(parents))
        self.size += bool(parents)


class Grower:
    """Grows graphs from one stream of random numbers.

    Args:
        random: gives numbers in [0, 1). Of Python's generator only `random()` is used, the one
            method promised to repeat for ever.
        mean_parents: mean of the Poisson draw for the number of parents (Algorithm 1: 1.5).
        newcomers: which share of the nodes that drew no parent may stay parentless
            (Algorithm 1: all).
    """

    def __init__(
        self, random: Callable[[], float], mean_parents: float = 1.5, newcomers: float = 1.0
    ) -> None:
        self.random = random
        self.newcomers = newcomers
        weight, weights = 1.0, {}
        for k in range(16):  # Poisson, up to a common factor; by products, so equal everywhere
            weights[k] = weight
            weight *= mean_parents / (k + 1)
        self.parent_counts = Table(weights)

    def grow(self, size: int, hops: int) -> Growth:
        """Run Algorithm 1 until `size` nodes are named, so that both options end up in place.

        Left to itself it almost never makes two leaves equally far below nodes 0 and 1. So two
        paths of `hops` nodes are planted: any next node may be the next of a path, with the chance
        that spreads the missing ones evenly over the nodes still to come.
        """
        growth = Growth()
        missing = [hops, hops]
        while growth.size < size:
            need = missing[0] + missing[1]
            spot = self.random() * (size - growth.size)
            side = 0 if spot < missing[0] else 1 if spot < need else None
            if side is None:
                parents = self.free_parents(growth)
            else:
                parents = self.path_parents(growth, side, hops - missing[side])
                need -= 1
            # A newcomer counts from when a fact first names it, so a node may cost more than 1.
            cost = sum(not growth.named[p] for p in parents) + bool(parents)
            if growth.size + cost + need > size:
                continue
            growth.add(parents)
            if side is not None:
                growth.tips[side] = len(growth.labels) - 1
                missing[side] -= 1
                if not missing[side]:
                    growth.ends.add(growth.tips[side])
        return growth

    def free_parents(self, growth: Growth) -> list[int]:
        """Parents of a node as Algorithm 1 draws them."""
        count, side = self.parent_counts.draw(self.random()), self.random()
        if not count and self.random() >= self.newcomers:
            count = self.parent_counts.draw_above_0(self.random())
        barred = 2 if side <= 0.35 else 1 if side <= 0.7 else 4
        candidates = [
            node
            for node, label in enumerate(growth.labels)
            if not label & barred and node not in growth.ends
        ]
        return self.sample(growth, candidates, count)

    def path_parents(self, growth: Growth, side: int, distance: int) -> list[int]:
        """Parents of the next node of a planted path: its tip, and others that keep it shortest."""
        tip = growth.tips[side]
        candidates = [
            node
            for node, label in enumerate(growth.labels)
            if (not label or (label == side + 1 and growth.distance[node] >= distance))
            and node != tip
            and node not in growth.ends
        ]
        count = self.parent_counts.draw_above_0(self.random())
        return [tip, *self.sample(growth, candidates, count - 1)]

    def sample(self, growth: Growth, candidates: list[int], count: int) -> list[int]:
        """Draw `count` different candidates (all, if there are fewer), weight depth · 1.5 + 1."""
        weights = [growth.depth[c] * 1.5 + 1 for c in candidates]
        chosen: list[int] = []
        for _ in range(min(count, len(candidates))):
            spot = self.random() * sum(weights)
            at = 0
            while spot >= weights[at] and at < len(weights) - 1:
                spot -= weights[at]
                at += 1
            chosen.append(candidates.pop(at))
            weights.pop(at)
        return chosen


class Deck:
    """Whole numbers, each on as many cards as its count says, dealt in rounds of all cards."""

    def __init__(self, counts: Mapping[int, int]) -> None:
        self.cards = [value for value, count in counts.items() for _ in range(count)]
        self.dealt = 0

    def deal(self, random: float) -> int:
        """Deal the next card, given one random number in [0, 1)."""
        cards, i = self.cards, self.dealt
        j = i + int(random * (len(cards) - i))
        cards[i], cards[j] = cards[j], cards[i]
        self.dealt = (i + 1) % len(cards)
        return cards[i]


class Table:
    """Whole numbers with weights, to draw from with one random number in [0, 1)."""

    def __init__(self, weights: Mapping[int, float]) -> None:
        self.values = list(weights)
        self.cumulative = list(accumulate(weights.values()))

    def draw(self, random: float) -> int:
        """One of the numbers, by weight."""
        return self.values[self._at(random * self.cumulative[-1])]

    def draw_above_0(self, random: float) -> int:
        """One of the numbers except the first, by weight."""
        low, high = self.cumulative[0], self.cumulative[-1]
        return self.values[self._at(low + random * (high - low))]

    def _at(self, spot: float) -> int:
        # The upper bound keeps a rounding error from pointing past the last number.
        return bisect_right(self.cumulative, spot, 0, len(self.values) - 1)

"""Algorithm 1 of the Coconut paper (Hao et al. 2024, arXiv:2412.06769): a random graph, on numbers.

Nodes 0 and 1 are two parentless nodes; every later node draws parents among those before it. The
label of a node says which of the two it is below. `prosqa.py` gives names and makes the problem.
"""

from __future__ import annotations

from coconut_lab.tasks.randomness import Uniform, Weighted


class Dag:
    """A graph under construction: nodes 0 and 1, and what Algorithm 1 has added so far.

    Bit 1 of a label says "below node 0", bit 2 "below node 1". Distances and numbers of shortest
    paths run from the one of the two that a node is below (they mean nothing for labels 0 and 3).
    """

    def __init__(self) -> None:
        self.labels = [1, 2]
        self.depth = [0, 0]  # hops from the nearest parentless node
        self.distance = [0, 0]
        self.path_counts = [1, 1]
        self.parents: list[list[int]] = [[], []]
        self.named = [True, True]  # False while no fact mentions the node
        self.size = 2  # number of named nodes
        self.options = [0, 1]  # last node of each planted path
        self.finished: set[int] = set()  # options that are in place: leaves, so never parents

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
        self.path_counts.append(sum(self.path_counts[p] for p in same if self.distance[p] == near))
        self.parents.append(parents)
        self.named.append(bool(parents))
        self.size += bool(parents)


class DagSampler:
    """Draws graphs; `mean_parents` and `newcomers` are those of `prosqa.Preset`."""

    def __init__(self, random: Uniform, mean_parents: float = 1.5, newcomers: float = 1.0) -> None:
        self.random = random
        self.newcomers = newcomers
        weight, weights = 1.0, {}
        for k in range(16):  # Poisson, up to a common factor; by products, so equal everywhere
            weights[k] = weight
            weight *= mean_parents / (k + 1)
        self.parent_counts = Weighted(weights)

    def sample(self, size: int, hops: int) -> Dag:
        """Run Algorithm 1 until `size` nodes are named, so that both options end up in place.

        Left to itself it almost never makes two leaves equally far below nodes 0 and 1. So two
        paths of `hops` nodes are planted: any next node may be the next of a path, with the chance
        that spreads the missing ones evenly over the nodes still to come.
        """
        dag = Dag()
        missing = [hops, hops]
        while dag.size < size:
            need = missing[0] + missing[1]
            spot = self.random() * (size - dag.size)
            side = 0 if spot < missing[0] else 1 if spot < need else None
            if side is None:
                parents = self.free_parents(dag)
            else:
                parents = self.path_parents(dag, side, hops - missing[side])
                need -= 1
            # A newcomer counts from when a fact first names it, so a node may cost more than 1.
            cost = sum(not dag.named[p] for p in parents) + bool(parents)
            if dag.size + cost + need > size:
                continue
            dag.add(parents)
            if side is not None:
                dag.options[side] = len(dag.labels) - 1
                missing[side] -= 1
                if not missing[side]:
                    dag.finished.add(dag.options[side])
        return dag

    def free_parents(self, dag: Dag) -> list[int]:
        """Parents of a node as Algorithm 1 draws them."""
        count, side = self.parent_counts.draw(self.random()), self.random()
        if not count and self.random() >= self.newcomers:
            count = self.parent_counts.draw(self.random(), skip_first=True)
        barred = 2 if side <= 0.35 else 1 if side <= 0.7 else 4
        candidates = [
            node
            for node, label in enumerate(dag.labels)
            if not label & barred and node not in dag.finished
        ]
        return self.choose(dag, candidates, count)

    def path_parents(self, dag: Dag, side: int, distance: int) -> list[int]:
        """Parents of the next node of a planted path: its end, and others that keep it shortest."""
        end = dag.options[side]
        candidates = [
            node
            for node, label in enumerate(dag.labels)
            if (not label or (label == side + 1 and dag.distance[node] >= distance)) and node != end
        ]
        count = self.parent_counts.draw(self.random(), skip_first=True)
        return [end, *self.choose(dag, candidates, count - 1)]

    def choose(self, dag: Dag, candidates: list[int], count: int) -> list[int]:
        """Draw `count` different candidates (all, if there are fewer), weight depth · 1.5 + 1."""
        weights = [dag.depth[c] * 1.5 + 1 for c in candidates]
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

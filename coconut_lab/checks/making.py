"""The check of 01's exercise 4: one step of the paper's Algorithm 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_, xor
from typing import Any, NamedTuple

from coconut_lab.checks.base import CheckFailed, call, compare_lists, parts, passed

#: A graph on its way: labels and depths of its nodes.
LABELS = (1, 2, 0, 1, 2, 3, 1, 0, 3, 1, 2, 1)
DEPTHS = (0, 0, 0, 1, 1, 1, 2, 0, 2, 1, 1, 3)
#: (count, r): how many parents were drawn, and the number that chooses the groups.
DRAWS = (
    *((1, 0.2), (2, 0.2), (3, 0.1), (2, 0.5), (3, 0.6), (2, 0.65)),
    *((2, 0.9), (3, 0.8), (50, 0.3), (0, 0.2), (0, 0.9)),
)


def _groups(r: float) -> tuple[int, ...]:
    return (0, 1) if r <= 0.35 else (0, 2) if r <= 0.7 else (0, 1, 2, 3)


def _nodes(groups: Sequence[int]) -> list[int]:
    return [node for node, label in enumerate(LABELS) if label in groups]


def _by_groups(low: Sequence[int], middle: Sequence[int], high: Sequence[int]) -> list[list[int]]:
    return [_nodes(low if r <= 0.35 else middle if r <= 0.7 else high) for _, r in _asked()]


def _asked() -> list[tuple[int, float]]:
    """The draws for which parents have to be sampled."""
    return [draw for draw in DRAWS if draw[0]]


EVERY = (0, 1, 2, 3)
_CANDIDATE_MISTAKES: tuple[tuple[str, list[list[int]]], ...] = (
    (
        "nodes with label 0 are missing from the candidates. They are below neither entity, so "
        "they may be parents on both sides",
        _by_groups((1,), (2,), EVERY),
    ),
    (
        "nodes with label 3 are candidates for every r. A child of theirs is below both entities; "
        "up to r = 0.7 only groups 0 and 1, or 0 and 2, may be parents",
        _by_groups((0, 1, 3), (0, 2, 3), EVERY),
    ),
    (
        "candidates are chosen with `label & 1` or `label & 2`, which lets label 3 in and leaves "
        "label 0 out. Ask for label 0 or 1, label 0 or 2",
        _by_groups((1, 3), (2, 3), EVERY),
    ),
    (
        "the two sides are swapped: up to r = 0.35 the groups are 0 and 1, up to 0.7 they are 0 "
        "and 2",
        _by_groups((0, 2), (0, 1), EVERY),
    ),
    (
        "all nodes are candidates for every r. Then nearly every node ends up below both entities; "
        "r says which side a node is on",
        _by_groups(EVERY, EVERY, EVERY),
    ),
    (
        "above r = 0.7 every node is a candidate, those with label 3 too",
        _by_groups((0, 1), (0, 2), (0, 1, 2)),
    ),
)


class _Asked(NamedTuple):
    """One call of the random choice."""

    nodes: list[int]
    weights: list[float]
    wanted: int

    def chosen(self) -> list[int]:
        return self.nodes[max(len(self.nodes) - self.wanted, 0) :]


class _Sampler:
    """Stands in for the random choice: notes what it is asked, and takes the last candidates."""

    def __init__(self) -> None:
        self.seen: list[_Asked] = []

    def __call__(self, candidates: Any, weights: Any, count: Any) -> list[int]:
        asked = _Asked([int(node) for node in candidates], [float(w) for w in weights], int(count))
        self.seen.append(asked)
        return asked.chosen()


def add_node(function: Callable[..., Any]) -> None:
    """Check exercise 4: one step of Algorithm 1.

    Args:
        function: `(labels, depths, count, r, sample)` to (parents, label, depth), where
            `sample(candidates, weights, count)` gives different candidates.

    Raises:
        CheckFailed: what is wrong.
    """
    name = "add_node"
    asked: list[_Asked] = []
    results: list[tuple[list[int], Any, Any]] = []
    for count, r in DRAWS:
        sampler = _Sampler()
        result = call(name, function, list(LABELS), list(DEPTHS), count, r, sampler)
        parents, label, depth = parts(name, result, ("parents", "label", "depth"))
        if not isinstance(parents, (list, tuple)):
            raise CheckFailed(f"{name}: parents should be a list, not {type(parents).__name__}.")
        if count and len(sampler.seen) != 1:
            raise CheckFailed(
                f"{name}: sample should be called once, with all candidates; it was called "
                f"{len(sampler.seen)} times."
            )
        chosen = sampler.seen[0].chosen() if sampler.seen else []
        if list(parents) != chosen:
            raise CheckFailed(
                f"{name}: parents should be what sample returned, {chosen}, not {list(parents)}."
            )
        asked += sampler.seen if count else []
        results.append((chosen, label, depth))
    _check_candidates(name, [one.nodes for one in asked])
    _check_weights(name, asked)
    _check_counts(name, asked)
    _check_labels(name, [chosen for chosen, _, _ in results], [label for _, label, _ in results])
    _check_depths(name, [chosen for chosen, _, _ in results], [depth for _, _, depth in results])
    passed(name, "candidates by side, weights by depth, labels joined, depths counted")


def _check_candidates(name: str, got: list[list[int]]) -> None:
    want = [_nodes(_groups(r)) for _, r in _asked()]
    compare_lists(
        name,
        [sorted(nodes) for nodes in got],
        want,
        _CANDIDATE_MISTAKES,
        lambda at: (
            f"with r = {_asked()[at][1]} the candidates are {sorted(got[at])}, they should be "
            f"{want[at]} (labels {list(_groups(_asked()[at][1]))})"
        ),
    )


def _shares(weights: Sequence[float]) -> list[float]:
    """Weights as shares of their sum: only their ratios matter."""
    total = sum(weights) or 1.0
    return [round(weight / total, 9) for weight in weights]


def _check_weights(name: str, asked: list[_Asked]) -> None:
    def by(rule: Callable[[int], float]) -> list[list[float]]:
        return [_shares([rule(DEPTHS[node]) for node in one.nodes]) for one in asked]

    for one in asked:
        if len(one.nodes) != len(one.weights):
            raise CheckFailed(
                f"{name}: sample should get one weight per candidate, but got {len(one.nodes)} "
                f"candidates and {len(one.weights)} weights."
            )

    want = by(lambda depth: depth * 1.5 + 1)
    mistakes = (
        (
            "the weights are uniform. Deeper nodes are preferred: depth · 1.5 + 1. Without that, "
            "long paths are rare",
            by(lambda depth: 1.0),
        ),
        ("the factor 1.5 is missing from the weights: depth · 1.5 + 1", by(lambda d: d + 1.0)),
        (
            "the + 1 is missing from the weights. A node of depth 0 would have weight 0 and never "
            "get a child",
            by(lambda depth: depth * 1.5),
        ),
        ("the weights are upside down: deeper nodes get more", by(lambda d: 1 / (d * 1.5 + 1))),
    )  # fmt: skip
    compare_lists(
        name, [_shares(one.weights) for one in asked], want, mistakes,
        lambda at: f"for depths {[DEPTHS[node] for node in asked[at].nodes]} the weights are "
        f"{[round(weight, 2) for weight in asked[at].weights]}; they should be depth · 1.5 + 1",
    )  # fmt: skip


def _check_counts(name: str, asked: list[_Asked]) -> None:
    for (count, _), one in zip(_asked(), asked, strict=True):
        there = len(one.nodes)
        if one.wanted > there:
            raise CheckFailed(
                f"{name}: {count} parents were drawn, but there are only {there} candidates. Ask "
                "for as many as there are: min(count, len(candidates))."
            )
        if one.wanted != min(count, there):
            raise CheckFailed(
                f"{name}: {count} parents were drawn and there are {there} candidates, but sample "
                f"was asked for {one.wanted}."
            )


def _check_labels(name: str, chosen: list[list[int]], got: list[Any]) -> None:
    below = [[LABELS[parent] for parent in parents] for parents in chosen]

    def by(rule: Callable[[list[int]], int], alone: int = 0) -> list[int]:
        return [rule(labels) if labels else alone for labels in below]

    want = by(lambda labels: reduce(or_, labels))
    mistakes = [
        (message, by(rule, alone))
        for message, rule in (
            ("the label is the AND of the parents' labels. A node is below an entity if *any* of "
             "its parents is: OR", lambda labels: reduce(and_, labels)),
            ("the label is the sum of the parents' labels: two parents with label 1 give 1, not 2. "
             "Join the bits with OR", sum),
            ("the label is the XOR of the parents' labels: two parents with label 1 cancel out. "
             "Join the bits with OR", lambda labels: reduce(xor, labels)),
            ("the label is the largest of the parents' labels: parents with 1 and 2 give 3, not 2. "
             "Join the bits with OR", max),
            ("only one parent's label is looked at. Join the labels of all with OR",
             lambda labels: labels[0]),
            ("only one parent's label is looked at. Join the labels of all with OR",
             lambda labels: labels[-1]),
        )
        for alone in (0, 3)
    ]  # fmt: skip
    mistakes += [
        ("a node without parents should have label 0: it is below neither of the two entities",
         by(lambda labels: reduce(or_, labels), alone))
        for alone in (1, 2, 3)
    ]  # fmt: skip
    compare_lists(
        name, got, want, mistakes,
        lambda at: f"parents with labels {below[at]} give label {got[at]!r}, it should be "
        f"{want[at]}",
    )  # fmt: skip


def _check_depths(name: str, chosen: list[list[int]], got: list[Any]) -> None:
    above = [[DEPTHS[parent] for parent in parents] for parents in chosen]

    def by(rule: Callable[[list[int]], int], alone: int = 0) -> list[int]:
        return [rule(depths) if depths else alone for depths in above]

    want = by(lambda depths: 1 + min(depths))
    mistakes = (
        ("the depth is that of the parent. A child is one hop deeper", by(min)),
        ("the depth is counted along the longest way. It is the hops from the *nearest* parentless "
         "node: 1 + the smallest depth of the parents", by(lambda depths: 1 + max(depths))),
        ("a node without parents should have depth 0", by(lambda depths: 1 + min(depths), 1)),
    )  # fmt: skip
    compare_lists(
        name, got, want, mistakes,
        lambda at: f"parents with depths {above[at]} give depth {got[at]!r}, it should be "
        f"{want[at]}",
    )  # fmt: skip

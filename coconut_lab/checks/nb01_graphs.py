"""The exercises of notebook 01 on graphs: how one is made, and a shortcut through it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from coconut_lab.checks.engine import CheckFailed, Function, exercise
from coconut_lab.checks.nb01_tasks import hops_from
from coconut_lab.tasks.notation import Statement, read_statement
from coconut_lab.tasks.prosqa import generate_prosqa

#: A graph that is being made: labels and depths of its nodes.
LABELS = [1, 2, 0, 1, 2, 3, 1, 0, 3, 1, 2, 1]
DEPTHS = [0, 0, 0, 1, 1, 1, 2, 0, 2, 1, 1, 3]
#: How many parents were drawn, and the number that chooses the groups.
DRAWS = (
    *((2, 0.2), (1, 0.2), (3, 0.1), (2, 0.5), (3, 0.6), (2, 0.65), (2, 0.35), (3, 0.7)),
    *((2, 0.9), (3, 0.8), (50, 0.3), (0, 0.2), (0, 0.9)),
)
WEIGHT, COUNT = "depths[node] * 1.5 + 1", "min(count, len(candidates))"
JOIN, DEEPEN = "label |= labels[parent]", "1 + min(depths[parent] for parent in parents)"


def asked_and_returned(function: Function, count: int, r: float) -> dict[str, Any]:
    """What is asked of the random choice, which takes the last candidates, and what is returned."""
    asked: list[tuple[dict[int, float], int]] = []

    def sample(candidates: Any, weights: Any, wanted: int) -> list[int]:
        if asked or len(set(candidates)) != len(candidates) or len(candidates) != len(weights):
            raise CheckFailed(
                "add_node: sample should be called once, with all candidates, each once, and one "
                f"weight for each. Call {len(asked) + 1}: {len(candidates)} candidates, "
                f"{len(weights)} weights."
            )
        asked.append((dict(zip(candidates, weights, strict=True)), wanted))
        return sorted(candidates)[max(len(candidates) - wanted, 0) :]

    parents, label, depth = function(list(LABELS), list(DEPTHS), count, r, sample)
    returned = {"parents": parents, "label": label, "depth": depth}
    if not count:
        return returned
    if not asked:
        raise CheckFailed(f"add_node: {count} parents were drawn, but sample was not called.")
    [(weights, wanted)], total = asked, sum(asked[0][0].values()) or 1  # only their ratios matter
    return {
        "the set of candidates": set(weights),
        "the list of shares of the weights": [float(weights[n]) / total for n in sorted(weights)],
        "the number asked of sample": wanted,
        **returned,
    }


@exercise(
    cases=lambda: DRAWS,
    observe=asked_and_returned,
    returns="parents, label, depth",
    says="candidates by side, weights by depth, labels joined, depths counted",
    mistakes={
        "r = 0.35 and r = 0.7 belong to the group before them: compare with <=.": ("<=", "<"),
        "up to r = 0.35 the candidates have label 0 or 1, up to 0.7 label 0 or 2. Nodes with label "
        "0 are below neither entity, so they may be parents on both sides; a child of label 3 "
        "would be below both.": [
            (("(0, 1)", "(1,)"), ("(0, 2)", "(2,)")), (("(0, 1)", "(1, 3)"), ("(0, 2)", "(2, 3)")),
            (("(0, 1)", "(0, 1, 3)"), ("(0, 2)", "(0, 2, 3)")), (" if label in groups", ""),
            (("(0, 1) ", "(0, 4) "), ("(0, 2) ", "(0, 1) "), ("(0, 4) ", "(0, 2) "))],
        "above r = 0.7 every node is a candidate, those with label 3 and of both sides too.": [
            ("(0, 1, 2, 3)", "(0, 1, 2)"), ("(0, 1, 2, 3)", "(0, 2)")],
        "the weights are depth · 1.5 + 1. Deeper nodes are preferred, or long paths are rare; and "
        "without the + 1, a node of depth 0 would never get a child.": [
            (WEIGHT, "1.0"), (" * 1.5", ""), (WEIGHT, "depths[node] * 1.5"),
            (WEIGHT, f"1 / ({WEIGHT})")],
        "more parents were drawn than there are candidates. Ask for as many as there are: "
        "min(count, len(candidates)).": (COUNT, "count"),
        "2 parents were drawn, but sample was asked for 1.": (COUNT, "min(count, 1)"),
        "sample returns nodes, not their places among the candidates.": (
            f"sample(candidates, weights, {COUNT})",
            f"[candidates[i] for i in sample(candidates, weights, {COUNT})]"),
        "a node is below an entity if *any* of its parents is: join the bits of all their labels "
        "with OR. Two parents with label 1 give 1, parents with 1 and 2 give 3.": [
            (("label = 0", "label = 3 if parents else 0"), ("|=", "&=")), ("|=", "+="),
            (JOIN, "label = max(label, labels[parent])"), (JOIN, "label = labels[parents[0]]"),
            ("|=", "^="), ("|=", "=")],
        "a node without parents has label 0 and depth 0: it is below neither entity.": [
            ("label = 0", "label = 0 if parents else 1"), ("parents else 0", "parents else 1")],
        "the depth is the hops from the *nearest* parentless node: 1 + the smallest depth of all "
        "parents.": [
            ("1 + min", "min"), ("min(depths", "max(depths"), (DEEPEN, "1 + depths[parents[0]]")],
        "a node may have no parents, and min of nothing raises ValueError. Its depth is 0.": (
            " if parents else 0", ""),
    },
)  # fmt: skip
def add_node(
    labels: list[int], depths: list[int], count: int, r: float, sample: Function
) -> tuple[list[int], int, int]:
    """Exercise 4 of 01: the parents of a new node, its label and its depth."""
    groups = (0, 1) if r <= 0.35 else (0, 2) if r <= 0.7 else (0, 1, 2, 3)
    candidates = [node for node, label in enumerate(labels) if label in groups]
    weights = [depths[node] * 1.5 + 1 for node in candidates]
    parents = sample(candidates, weights, min(count, len(candidates)))
    label = 0
    for parent in parents:
        label |= labels[parent]
    depth = 1 + min(depths[parent] for parent in parents) if parents else 0
    return parents, label, depth


@cache
def statements() -> list[Statement]:
    """What the questions say, those with a tie last: they alone may get None as an answer."""
    problems = [*generate_prosqa(60, 5), *generate_prosqa(40, 6, "small")]
    found = [read_statement(problem.question) for problem in problems]
    return sorted(found, key=lambda statement: farther_option.right(statement) == "tie")


def ways(facts: Iterable[tuple[str, str]], starts: Iterable[str], option: str) -> list[int]:
    """The hops to an option from every start that leads to it."""
    return [hops[option] for start in starts if option in (hops := hops_from(facts, start))]


def all_ways(statement: Statement) -> dict[str, list[int]]:
    """The hops to both options from every parentless node."""
    roots = {a for a, _ in statement.facts} - {b for _, b in statement.facts}
    return {option: ways(statement.facts, roots, option) for option in statement.options}


def longest_way(facts: Iterable[tuple[str, str]], node: str) -> int:
    """The hops of the longest way down to a node."""
    return max((longest_way(facts, a) + 1 for a, b in facts if b == node), default=0)


ROOTS, NEAREST = "parents - children", "min(ways(statement.facts, roots, option))"


@exercise(
    cases=lambda: [(statement,) for statement in statements()],
    returns="the option",
    says="right in {} problems, of which 65 are ties",
    shown=lambda statement: f" where the options have the hops {all_ways(statement)}",
    mistakes={
        "it measures from who is asked about, who does not lead to both options, so that the "
        "option out of reach counts as farther or is not there. A shortcut never reads who is "
        "asked. Measure from every parentless node.": [
            ((ROOTS, "{statement.asked}"), ("option))", "option), default=-1)")),
            ((ROOTS, "{statement.asked}"), ("option))", "option), default=10**6)")),
            (NEAREST, "hops_from(statement.facts, statement.asked)[option]")],
        "it takes the nearer option. The rule is: the farther one.": (
            "first] > distance", "first] < distance"),
        "the distance of an option is that from the *nearest* parentless node, and the smallest "
        "number of hops: not the largest, their mean, or the longest way down.": [
            ("min(", "max("), (NEAREST, "longest_way(statement.facts, option)"),
            (NEAREST, "sum(far := ways(statement.facts, roots, option)) / len(far)")],
        "on a tie it takes one of the options. Say 'tie' there, or the order of the options gets "
        "into your measurement.": [('"tie"', "first"), ('"tie"', "second")],
        "on a tie it should return 'tie', not None.": ('"tie"', "None"),
        "it always says 'tie'. Does it start from every name? Then every option is 0 hops away; "
        "start from those that are no fact's second name.": (ROOTS, "parents | children"),
    },
)  # fmt: skip
def farther_option(statement: Statement) -> str:
    """Exercise 5 of 01: the option farther from any parentless node, or "tie"."""
    parents = {parent for parent, child in statement.facts}
    children = {child for parent, child in statement.facts}
    roots = parents - children
    distance = {option: min(ways(statement.facts, roots, option)) for option in statement.options}
    first, second = statement.options
    if distance[first] == distance[second]:
        return "tie"
    return first if distance[first] > distance[second] else second

"""The exercises of 06: values of concepts, mass with its control, a tree, and evenness."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from coconut_lab.checks.engine import exercise
from coconut_lab.checks.models import random_models

Path = tuple[str, ...]


def prompts_and_names() -> Iterator[tuple[Any, list[int], list[list[int]]]]:
    for model in random_models():
        yield model, [5, 9, 4], [[3], [7, 8], [7, 11], [6, 2, 10]]


@exercise(
    cases=prompts_and_names,
    returns="values",
    says="concepts of one, two and three tokens have the right value",
    mistakes={
        "you read only a concept's first token. Names that begin alike then have the same value; "
        "multiply over all tokens.": ("enumerate(name)", "enumerate(name[:1])"),
        "every token is read as if it followed the prompt. The second token follows the first: put "
        "the name's tokens after the prompt, and read one column before each.": (
            "len(prompt) + place - 1", "len(prompt) - 1"),
        "you read the probability one column too late. The hidden state at a column says what "
        "comes after it.": ("len(prompt) + place - 1", "len(prompt) + place"),
        "you add the probabilities of the tokens. One after the other is a product.": (
            ("value, chances = 1.0,", "value, chances = 0.0,"), ("value *=", "value +=")),
        "these are logits. A probability comes after a softmax over the vocabulary.": (
            ".softmax(-1)", ""),
        "you take the mean over the tokens, so that long names are worth more than they are. The "
        "value is the product.": (
            "values.append(value)", "values.append(value ** (1 / len(name)))"),
        "these are logarithms. The value is a probability: leave out the log, or take exp at the "
        "end.": ("values.append(value)", "values.append(math.log(value))"),
    },
)  # fmt: skip
def node_value(model: Any, prompt: list[int], names: list[list[int]]) -> list[float]:
    """Exercise 3 of 06: the value of concepts of several tokens as what comes next."""
    values = []
    for name in names:
        row = torch.tensor([prompt + name])
        with torch.no_grad():
            value, chances = 1.0, model(row).logits[0].softmax(-1)  # (T, V)
        for place, token in enumerate(name):
            value *= chances[len(prompt) + place - 1, token].item()
        values.append(value)
    return values


def tables() -> Iterator[tuple[Any, ...]]:
    """Values (B, N), hops from the root (B, N), hops of the problems (B,), and k."""
    random = np.random.default_rng(0)
    far = np.array(
        [[0, 1, 1, 2, np.nan, 3], [0, 1, 2, 2, np.nan, np.nan], [0, 1, 1, 1, 2, np.nan],
         [0, 1, 2, 3, 3, 4]]
    )  # fmt: skip
    for k in (1, 2, 3):
        yield random.dirichlet(np.ones(8), 4)[:, :6], far.copy(), np.array([3, 2, 2, 4]), k


@exercise(
    cases=tables,
    returns="mass, uniform",
    says="the mass on three frontiers and what a uniform thought would have there are right",
    mistakes={
        "the two are swapped. The mass of the thought comes first, then its control.": (
            "return mass, uniform", "return uniform, mass"),
        "a problem counts in your mean if it has k hops or more: with fewer it has nothing left to "
        "search past its target, and the target of one with k is on frontier k.": [
            ("hops >= k", "hops > 0"), ("hops >= k", "hops > k")],
        "frontier k holds the nodes exactly k hops from the root: those that thought k can hold.": [
            ("distances == k", "distances <= k"), ("distances == k", "distances == k - 1")],
        "you divide by the probability of all names. What a thought gives to other words is no "
        "part of the frontier, so it lowers the mass.": (
            "values * frontier", "values / values.sum(1, keepdims=True) * frontier"),
        "your control spreads over the nodes that the root reaches. A thought that knows nothing "
        "does not know those: over all nodes.": (
            "frontier.mean(1)", "frontier.sum(1) / (distances >= 0).sum(1)"),
        "you take the mean over the frontier's nodes. Add them up: the mass is on all of them.": (
            "(values * frontier).sum(1)", "(values * frontier).sum(1) / frontier.sum(1)"),
    },
)  # fmt: skip
def frontier_mass(values: Any, distances: Any, hops: Any, k: int) -> tuple[float, float]:
    """Exercise 1 of 06: mass on frontier k, and what a uniform thought would have there."""
    frontier = distances == k  # (B, N); nan equals nothing
    mass = (values * frontier).sum(1)[hops >= k].mean()
    uniform = frontier.mean(1)[hops >= k].mean()
    return mass, uniform


TREE: dict[Path, dict[str, float]] = {
    (): {"a": 0.6, "b": 0.3, "c": 0.05, "d": 0.1},
    ("a",): {"e": 0.5, "f": 0.1667, "g": 0.1},
    ("b",): {"e": 0.33333, "h": 0.6},
    ("d",): {"i": 1.0},
    ("a", "e"): {"k": 0.9, "l": 0.05},
    ("b", "h"): {"k": 0.5, "l": 0.5},
    ("d", "i"): {"k": 1.0},
}


def grown(function: Any, depth: int, threshold: float) -> dict[str, Any]:
    seen: list[Path] = []

    def next_values(path: Path) -> dict[str, float]:
        seen.append(tuple(path))
        return dict(TREE.get(seen[-1], {}))

    found = function(next_values, depth, threshold)
    if isinstance(found, dict):  # in any order
        found = dict(sorted((" ".join(path), value) for path, value in found.items()))
    return {"tree": found, "_asked": seen}


def no_more_than_needed(got: dict[str, Any], want: dict[str, Any]) -> str | None:
    needless = [path for path in got["_asked"] if path not in want["_asked"]]
    if not needless:
        return None
    return (
        f"the tree is right, but you ask what follows {' → '.join(needless[0])!r}, a branch that "
        "was pruned, or is as deep as the tree may be. Every such question costs a pass."
    )


@exercise(
    cases=lambda: [(1, 0.01), (2, 0.1), (3, 0.1), (3, 0.2), (4, 0.0)],
    observe=grown,
    limits=no_more_than_needed,
    returns="tree",
    says="five trees are right, and nothing was asked about branches that were pruned",
    mistakes={
        "the value of a path is the product along it, not the chance of its last concept.": (
            "grown[path] * chance", "chance"),
        "you prune by the chance of the last concept. Prune by the value of the path.": (
            "if value >= threshold", "if chance >= threshold"),
        "you prune a branch whose value equals the threshold. Keep it: lower ones go.": (
            "value >= threshold", "value > threshold"),
        "nothing is pruned in your tree.": ("if value >= threshold", "if True"),
        "your tree is one level too deep. `depth` counts concepts, the root of the tree none.": (
            "range(depth)", "range(depth + 1)"),
        "only the last level is left. Keep the branches of all levels.": (
            "return {path: value for path, value in grown.items() if path}",
            "return {p: v for p, v in grown.items() if p in level and p}"),
        "the empty path is no branch. Leave it out of what you return.": (" if path}", "}"),
        "you keep only the best branch of each level: a beam of one is language, not a tree.": (
            "level = new", "level = sorted(new, key=grown.__getitem__)[-1:]"),
    },
)  # fmt: skip
def grow(
    next_values: Callable[[Path], dict[str, float]], depth: int, threshold: float
) -> dict[Path, float]:
    """Exercise 4 of 06: expand and prune a tree of branches."""
    grown: dict[Path, float] = {(): 1.0}
    level: list[Path] = [()]
    for _ in range(depth):
        new = []
        for path in level:
            for name, chance in next_values(path).items():
                value = grown[path] * chance
                if value >= threshold:
                    grown[*path, name] = value
                    new.append((*path, name))
        level = new
    return {path: value for path, value in grown.items() if path}


@exercise(
    cases=lambda: [([0.4, 0.4],), ([0.9, 0.05, 0.02],), ([0.3, 0.0, 0.3, 0.1],), ([0.007],)],
    returns="branches",
    says="the effective number of branches is right, on wide, narrow and empty frontiers",
    mistakes={
        "your shares do not add up to 1. Divide by the mass of the frontier first: what the "
        "thought gives to other words says nothing of how evenly it holds these.": (
            "value / sum(values)", "value"),
        "a node with nothing makes your result nan, or raises. s log s is 0 where s is 0.": (
            "if value > 0", "if True"),
        "this is the entropy. Take exp of it, and it counts branches.": ("math.exp(", "("),
        "your entropy is in bits, but you take exp of it. Use the natural logarithm with exp, or "
        "log2 with 2 to that power.": ("math.log(", "math.log2("),
        "the sign is wrong: an even frontier gets less than one branch.": ("exp(-", "exp("),
        "this is 1 / Σ s², another effective number. It is a good one, but not what the notebook "
        "prints; use the entropy.": (
            "math.exp(-sum(s * math.log(s) for s in shares))", "1 / sum(s * s for s in shares)"),
        "you count nodes. A node with .02 is not a branch as much as one with .9: use the entropy "
        "of the shares.": ("math.exp(-sum(s * math.log(s) for s in shares))", "float(len(shares))"),
    },
)  # fmt: skip
def branches(values: list[float]) -> float:
    """Exercise 2 of 06: the effective number of branches, from the values of a frontier."""
    shares = [value / sum(values) for value in values if value > 0]
    return math.exp(-sum(s * math.log(s) for s in shares))

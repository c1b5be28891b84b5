"""The exercises of 08: a twin, an operation with its control, lost and won, and rewired facts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from coconut_lab.checks.engine import exercise
from coconut_lab.tasks.counterfactuals import twin
from coconut_lab.tasks.notation import read_statement
from coconut_lab.tasks.problems import graph_of
from coconut_lab.tasks.prosqa import generate_prosqa

Fact = tuple[str, str]
#: Two chains, and a root that reaches both ends; then one in which no other root is as far.
BOTH = [("Tom", "a"), ("a", "x"), ("Eva", "a"), ("Eva", "b"), ("Sally", "b"), ("b", "y")]
UNEVEN = [("Tom", "a"), ("a", "x"), ("Sally", "b"), ("b", "c"), ("c", "y"), ("Alex", "y")]
LONGER = [("Sally", "y"), ("Tom", "a"), ("a", "x"), ("Alex", "c"), ("c", "y"), ("c", "x")]


def questions() -> Iterator[tuple[list[Fact], Fact, str]]:
    for facts in (BOTH, UNEVEN, LONGER):
        yield list(facts), ("y", "x"), "Tom"
    for problem in generate_prosqa(12, seed=8):
        said = read_statement(problem.question)
        yield list(said.facts), said.options, said.asked


@exercise(
    cases=questions,
    returns="the other root",
    says="{} questions have the right twin, or none where there is none",
    mistakes={
        "this root reaches the right option as well, so both options would be right for it.": (
            "far.get(right) is None and ", ""),
        "this root is not as far from the other option as the one asked about is from the right "
        "one. Then the twin has another number of hops, and hops are what thoughts count.": (
            "far.get(wrong) == hops", "wrong in far"),
        "a root is nobody's child. A node on the way to the other option is no twin: who is asked "
        "about is always a root.": ("if name not in children", "if True"),
        "you return None although there is a twin. The order of the options says nothing: find out "
        "which of them the asked root reaches.": (
            "right, wrong = options if options[0] in steps else options[::-1]",
            "right, wrong = options"),
        "you walk facts backwards: (a, b) leads from a to b.": (
            "child for parent, child in facts if parent in level",
            "parent for parent, child in facts if child in level"),
    },
)  # fmt: skip
def other_root(facts: list[Fact], options: Fact, asked: str) -> str | None:
    """Exercise 1 of 08: whom to ask about instead, so that the other option is right."""

    def steps_from(root: str) -> dict[str, int]:
        found: dict[str, int] = {}
        level = {root}
        while level:
            found |= {name: len({*found.values()}) for name in level}
            level = {child for parent, child in facts if parent in level} - {*found}
        return found

    steps = steps_from(asked)
    right, wrong = options if options[0] in steps else options[::-1]
    hops, children = steps[right], {child for _, child in facts}
    for name in (name for fact in facts for name in fact):
        if name not in children:
            far = steps_from(name)
            if far.get(right) is None and far.get(wrong) == hops:
                return name
    return None


def vectors() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Thoughts (b, d), a row of the head for each (b, d), wanted logits (b,), random (b, d)."""
    for seed, (b, d) in enumerate(((3, 8), (1, 5), (4, 16))):
        generator = torch.Generator().manual_seed(seed)
        h, word, noise = (torch.randn(b, d, generator=generator) for _ in range(3))
        yield 3 * h, word, torch.randn(b, generator=generator) - 2, noise


@exercise(
    cases=vectors,
    returns="erased, control",
    axes={"erased": "(b, d)", "control": "(b, d)"},
    says="the words have the wanted logits by the shortest way, and the control is as far away",
    mistakes={
        "the word does not have the wanted logit afterwards. Along w the logit changes by "
        "w · w for each w that is added: divide by it.": [
            (" / (word * word).sum(1)", ""), (" / (word * word).sum(1)", " / word.norm(dim=1)")],
        "you go the wrong way: what is added is wanted minus what there is.": (
            "level - (h * word).sum(1)", "(h * word).sum(1) - level"),
        "you add the wanted logit to the one that was there. Take away what is there first.": (
            "level - (h * word).sum(1)", "level"),
        "your control is not as far from h as the edit is, row by row. A longer change does more "
        "damage, whatever it says.": [
            (" * length", ""), ("noise.norm(dim=1, keepdim=True)", "1"),
            ("noise.norm(dim=1, keepdim=True)", "noise.norm()"),
            ("step.norm(dim=1, keepdim=True)", "step.norm()")],
        "your control is a random vector. It should be h, changed at random: else it loses all "
        "that h says, and not only as much as the edit does.": ("h + noise /", "noise /"),
        "the two are swapped. The edit comes first, then its control.": (
            "return h + step, control", "return control, h + step"),
    },
)  # fmt: skip
def erase(h: Tensor, word: Tensor, level: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Exercise 2 of 08: give a word another logit by the shortest change, and a random one."""
    step = ((level - (h * word).sum(1)) / (word * word).sum(1))[:, None] * word
    length = step.norm(dim=1, keepdim=True)
    control = h + noise / noise.norm(dim=1, keepdim=True) * length
    return h + step, control


TABLES: list[dict[str, tuple[int, int]]] = [
    {"own": (0, 0), "zero": (98, 4), "noise": (9, 1), "swap": (8, 1), "twin": (970, 3)},
    {"a": (1, 9), "b": (0, 7), "c": (0, 6), "d": (2, 11)},
    {"a": (6, 0)},
    {"a": (5, 0)},
    {"a": (0, 9), "b": (14, 0)},
    {"a": (0, 8), "b": (0, 7), "c": (0, 6), "d": (1, 1)},
]


@exercise(
    cases=lambda: [(dict(table),) for table in TABLES],
    returns="the edits that did something",
    says="in {} tables, exactly the edits that survive Holm's correction are named",
    mistakes={
        "you count an edit although it may be chance: with m edits in a table the smallest p has "
        "to be below .05 / m, the next below .05 / (m - 1), and so on.": (
            "0.05 / (len(table) - place)", "0.05"),
        "this is Bonferroni's correction, which is stricter than need be: after the smallest p has "
        "passed, m - 1 are left.": ("0.05 / (len(table) - place)", "0.05 / len(table)"),
        "Holm stops at the first p that does not pass: those after it are not looked at.": (
            "break", "continue"),
        "your p is one-sided. An edit may do harm or good, and you did not know which: twice the "
        "tail.": ("2 * tail", "tail"),
        "only problems on which the two runs differ should count: the chance is that of lost and "
        "won under a fair coin.": ("range(min(lost, won) + 1)", "range(max(lost, won) + 1)"),
        "more won than lost is an effect as well.": ("min(lost, won)", "won"),
        "you return the edits that did nothing.": (
            "return found", "return [name for name in table if name not in found]"),
        "name them in the order of their p, the smallest first.": (
            "return found", "return sorted(found)"),
    },
)  # fmt: skip
def decided(table: dict[str, tuple[int, int]]) -> list[str]:
    """Exercise 3 of 08: which edits of a table did something, by McNemar and Holm."""
    p_values = {}
    for name, (lost, won) in table.items():
        n = lost + won
        tail = sum(math.comb(n, k) for k in range(min(lost, won) + 1)) / 2**n
        p_values[name] = min(1.0, 2 * tail)
    found = []
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if p_values[name] >= 0.05 / (len(table) - place):
            break
        found.append(name)
    return found


def ways() -> Iterator[tuple[list[Fact], list[str], list[str], int]]:
    """Facts, the way to the answer, the twin's way, and each hop."""
    for problem in generate_prosqa(14, seed=3):
        one, two = (
            [graph.names[node] for node in graph.shortest_paths(limit=1)[0]]
            for graph in map(graph_of, (problem, twin(problem)))
        )
        for hop in range(1, len(one)):
            yield list(read_statement(problem.question).facts), one, two, hop


@exercise(
    cases=ways,
    returns="the list of facts",
    shown=lambda _facts, _path, _other, hop: f" at hop {hop}; each fact keeps its place",
    says="{} questions are rewired, or refused where the old answer would stay right",
    mistakes={
        "hop 1 is the fact from the root to the next name: path[hop - 1] and path[hop].": (
            "path[hop - 1], path[hop]", "path[hop - 2], path[hop - 1]"),
        "the two facts should exchange their ends: (a, b) and (c, d) become (a, d) and (c, b).": [
            ("{(a, b): (a, d), (c, d): (c, b)}", "{(a, b): (c, d), (c, d): (a, b)}"),
            ("{(a, b): (a, d), (c, d): (c, b)}", "{(a, b): (a, d)}")],
        "facts keep their places. Where a fact stands is something a model sees, too.": (
            "[now.get(fact, fact) for fact in facts]",
            "[f for f in facts if f not in now] + [now[f] for f in facts if f in now]"),
        "after this exchange another way still leads to the old answer. Return [].": (
            "[] if path[-1] in reached else ", ""),
    },
)  # fmt: skip
def rewired(facts: list[Fact], path: list[str], other: list[str], hop: int) -> list[Fact]:
    """Exercise 4 of 08: exchange the ends of a hop's facts; [] if the old answer stays right."""
    (a, b), (c, d) = ((path[hop - 1], path[hop]) for path in (path, other))
    now = {(a, b): (a, d), (c, d): (c, b)}
    changed = [now.get(fact, fact) for fact in facts]
    reached, before = {path[0]}, set[str]()
    while reached != before:
        before = set(reached)
        reached |= {child for parent, child in changed if parent in before}
    return [] if path[-1] in reached else changed

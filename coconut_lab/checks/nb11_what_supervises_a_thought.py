"""The exercises of 11: the frontier as target, steps as a loss, who leads over shared seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from coconut_lab.checks.engine import exercise
from coconut_lab.curriculum.stages_and_masks import IGNORED
from coconut_lab.tasks.problems import graph_of
from coconut_lab.tasks.prosqa import generate_prosqa

#: 0 reaches 3 in one hop and in two, and 4 in two and in three; 5 leads to 0; 6 is far from all.
SHORT_CUTS = [(0, 1), (0, 2), (0, 3), (1, 3), (1, 4), (3, 4), (4, 7), (5, 0), (2, 4)]


def graphs() -> Iterator[tuple[list[tuple[int, int]], int, int, int]]:
    yield SHORT_CUTS, 0, 8, 4
    yield SHORT_CUTS, 5, 8, 3
    for problem in generate_prosqa(6, seed=11):
        graph = graph_of(problem)
        yield list(graph.edges), graph.root, len(graph.names), 3


@exercise(
    cases=graphs,
    returns="target",
    says="the targets of {} problems are right, row by row",
    axes={"target": "(count, nodes)"},
    mistakes={
        "a node that can also be reached sooner is in your target again. The frontier holds the "
        "nodes whose shortest way has k + 1 hops: leave out what was reached before.": (
            " - reached", ""),
        "your target of thought k holds all that was reached so far, not only what is new.": (
            "for node in now:\n            target[k, node] = 1 / len(now)",
            "for node in reached - {root}:\n            "
            "target[k, node] = 1 / len(reached - {root})"),
        "your rows do not add up to 1. The target is a distribution: share it out evenly.": (
            "1 / len(now)", "1.0"),
        "your first thought is asked for the root itself. Thought 1, row 0, is one hop from it.": (
            "target = torch.zeros(count, nodes)\n    for k in range(count):",
            "target = torch.zeros(count, nodes)\n    target[0, root] = 1.0\n"
            "    for k in range(1, count):"),
        "you walk facts backwards: (a, b) leads from a to b.": (
            "{b for a, b in facts if a in now}", "{a for a, b in facts if b in now}"),
        "you follow one child of each node, so you get a path. The frontier has all of them.": (
            "{b for a, b in facts if a in now}", "{max(b for a, b in facts if a == n) for n in now "
            "if any(a == n for a, b in facts)}"),
    },
)  # fmt: skip
def frontier_target(facts: Sequence[tuple[int, int]], root: int, nodes: int, count: int) -> Tensor:
    """Exercise 1 of 11: what each thought should be read as, if it is to hold the frontier."""
    now, reached = {root}, {root}
    target = torch.zeros(count, nodes)
    for k in range(count):
        now = {b for a, b in facts if a in now} - reached
        reached |= now
        for node in now:
            target[k, node] = 1 / len(now)
    return target


def readings() -> Iterator[tuple[Tensor, Tensor, int]]:
    """Logits (B, n, V), steps (B, s) with -100 where a row has fewer, thoughts per step."""
    noise = torch.Generator().manual_seed(0)
    for c, steps in (
        (1, [[1, 2, 3], [4, 0, IGNORED], [2, IGNORED, IGNORED]]),
        (2, [[3, 1], [0, IGNORED], [IGNORED, IGNORED]]),
        (3, [[2, 4, 1], [1, 3, IGNORED]]),
    ):
        given = torch.tensor(steps)
        yield 3 * torch.randn(len(steps), c * given.shape[1], 5, generator=noise), given, c


def losses(function: Any, *case: Any) -> dict[str, Any]:
    found = function(*(part.clone() if isinstance(part, Tensor) else part for part in case))
    # nan equals nothing, so it gets a number to be named by
    return {"loss": found.nan_to_num(1e6) if isinstance(found, Tensor) else found}


@exercise(
    cases=readings,
    observe=losses,
    returns="loss",
    says="{} batches are right, with rows of fewer steps, and with several thoughts per step",
    axes={"loss": "(B,)"},
    mistakes={
        "your thought k is read as step k + 1. That is the shift of a language model's labels; the "
        "hidden state at <bot> is thought 1, and it is to say step 1.": (
            "targets = steps.repeat_interleave(c, 1)",
            "targets = steps.repeat_interleave(c, 1).roll(-1, 1)"),
        "with c thoughts per step, c thoughts *in a row* have the same step: 1 1 2 2, not 1 2 1 2.":
            (".repeat_interleave(c, 1)", ".repeat(1, c)"),
        "you divide by all thoughts of a row. Thoughts without a step ask for nothing: take the "
        "mean over those that have one.": (
            "wanted.sum(1).clamp(min=1)", "wanted.shape[1]"),
        "you add a row's thoughts up. Take their mean, so that long chains do not count for more.":
            (" / wanted.sum(1).clamp(min=1)", ""),
        "a row without any step gives 0 / 0, which is nan. Its loss is 0.": (
            ".clamp(min=1)", ""),
        "you count thoughts that have no step, as if they were to say token 0.": (
            "wanted = targets != IGNORED", "wanted = torch.ones_like(targets)"),
        "the sign is wrong: the loss is the *negative* log-probability.": (
            "return -(", "return ("),
        "you use the logits as they are. First make them log-probabilities: log_softmax(-1).": (
            "logits.log_softmax(-1)", "logits"),
        "you take the probability of the step. The loss is its negative logarithm.": (
            "logits.log_softmax(-1)", "logits.softmax(-1)"),
        "you give one number for the batch. One per problem is asked for, so that it can be added "
        "to the loss of its words.": (
            "return -(said * wanted).sum(1) / wanted.sum(1).clamp(min=1)",
            "return -(said * wanted).sum() / wanted.sum()"),
    },
)  # fmt: skip
def step_loss(logits: Tensor, steps: Tensor, c: int) -> Tensor:
    """Exercise 2 of 11: how far thoughts are from being read as the steps they stand for."""
    targets = steps.repeat_interleave(c, 1)  # (B, n)
    wanted = targets != IGNORED
    said = logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]  # (B, n)
    return -(said * wanted).sum(1) / wanted.sum(1).clamp(min=1)


#: Two-sided 95% of Student's distribution, by the number of seeds.
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}


def boards() -> Iterator[tuple[dict[int, float], dict[int, float], dict[int, float]]]:
    a = {0: 0.90, 1: 0.70, 2: 0.95, 3: 0.80, 4: 0.60}
    yield a, {seed: share - 0.04 - 0.01 * (seed % 2) for seed, share in a.items()}, STUDENT
    yield {0: 0.31, 1: 0.35, 2: 0.32}, {2: 0.52, 1: 0.57, 0: 0.53}, STUDENT
    yield {0: 0.9, 1: 0.5, 2: 0.7, 7: 0.1}, {1: 0.6, 0: 0.7, 2: 0.65, 8: 0.9, 9: 0.8}, STUDENT
    yield {0: 0.9, 5: 0.2}, {0: 0.4, 6: 0.7}, STUDENT


def unpaired(
    ours: Mapping[int, float], theirs: Mapping[int, float], t: Mapping[int, float]
) -> tuple[float, float | None, bool]:
    """The mistake of exercise 3: the spread of each method by itself."""
    mean, _, _ = lead.right(ours, theirs, t)
    both = [seed for seed in ours if seed in theirs]
    if len(both) < 2:
        return mean, None, False
    a, b = (torch.tensor([one[s] for s in both], dtype=torch.float64) for one in (ours, theirs))
    half = t[len(both)] * float((a.var() + b.var()) / len(both)) ** 0.5
    return mean, half, abs(mean) > half


@exercise(
    cases=boards,
    returns="mean, half, clear",
    says="{} pairs of methods are compared by the seeds that they share",
    mistakes={
        "you compare the two spreads. Both methods start from the same base model of a seed, and "
        "good bases help both: take the difference seed by seed first, then its spread.": unpaired,
        "you pair by place. A seed is paired with the same seed, in whatever order they are given, "
        "and a seed that only one of the two has is left out.": (
            "gaps = torch.tensor([ours[seed] - theirs[seed] for seed in both]",
            "both = both[:min(len(ours), len(theirs))]\n"
            "    gaps = torch.tensor([a - b for a, b in zip(ours.values(), theirs.values())]"),
        "half the interval is t times the *standard error*: divide the standard deviation by the "
        "root of the number of seeds.": (" / len(both) ** 0.5", ""),
        "take the unbiased standard deviation, with n − 1, as torch.std and statistics.stdev do.": (
            "gaps.std()", "gaps.std(correction=0)"),
        "1.96 is for many seeds. With few, t is larger: t[n].": ("t[len(both)]", "1.96"),
        "t is asked for the seeds that both have, not for all that one of them has.": (
            "t[len(both)]", "t[max(len(ours), len(theirs))]"),
        "you call a lead clear if it is positive. It is clear if its interval leaves out 0.": (
            "abs(mean) > half", "mean > 0"),
        "a clear lead of the other method is clear as well: the whole interval may lie below 0.": (
            "abs(mean) > half", "mean > half"),
    },
)  # fmt: skip
def lead(
    ours: Mapping[int, float], theirs: Mapping[int, float], t: Mapping[int, float]
) -> tuple[float, float | None, bool]:
    """Exercise 3 of 11: by how much one method leads another, and whether that is clear."""
    both = [seed for seed in ours if seed in theirs]
    gaps = torch.tensor([ours[seed] - theirs[seed] for seed in both], dtype=torch.float64)
    mean = gaps.mean().item()
    if len(both) < 2:
        return mean, None, False
    half = t[len(both)] * gaps.std().item() / len(both) ** 0.5
    return mean, half, abs(mean) > half

"""Solutions of the exercises in 11 that were written independently of the checks."""

from __future__ import annotations

from statistics import fmean, stdev

import networkx as nx
import torch
from judging import Solutions, judge
from torch.nn.functional import cross_entropy

SOLUTIONS = Solutions()
right, wrong = SOLUTIONS.right, SOLUTIONS.wrong


@right("frontier_target")
def target_by_networkx(facts, root, nodes, count):
    far = nx.single_source_shortest_path_length(nx.DiGraph(facts), root)
    rows = [[float(far.get(node) == k) for node in range(nodes)] for k in range(1, count + 1)]
    target = torch.tensor(rows)
    return target / target.sum(1, keepdim=True).clamp(min=1)


@wrong("frontier_target", "can also be reached sooner")
def target_of_walks(facts, root, nodes, count):
    steps = torch.zeros(nodes, nodes, dtype=torch.float64)
    for a, b in facts:
        steps[a, b] = 1
    ends = [torch.matrix_power(steps, k)[root] > 0 for k in range(1, count + 1)]
    target = torch.stack(ends).float()
    return target / target.sum(1, keepdim=True).clamp(min=1)


@right("step_loss")
def loss_by_torch(logits, steps, c):
    found = []
    for said, wanted in zip(logits, steps, strict=True):
        there = torch.tensor([int(word) for word in wanted for _ in range(c)])
        mean = cross_entropy(said, there, ignore_index=-100)
        found.append(mean if (there >= 0).any() else torch.zeros(()))
    return torch.stack(found)


@wrong("step_loss", "the mean over those that have one")
def loss_over_all_thoughts(logits, steps, c):
    there = steps.repeat_interleave(c, 1)
    return cross_entropy(logits.mT, there, ignore_index=-100, reduction="none").mean(1)


@right("lead")
def lead_by_statistics(ours, theirs, t):
    gaps = [ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))]
    if len(gaps) == 1:
        return gaps[0], None, False
    half = t[len(gaps)] * stdev(gaps) / len(gaps) ** 0.5
    low, high = fmean(gaps) - half, fmean(gaps) + half
    return fmean(gaps), half, low > 0 or high < 0


@wrong("lead", "you compare the two spreads")
def lead_of_two_intervals(ours, theirs, t):
    mean, half, _ = lead_by_statistics(ours, theirs, t)
    if half is None:
        return mean, None, False
    both = set(ours) & set(theirs)
    spread = [stdev([one[seed] for seed in both]) for one in (ours, theirs)]
    half = t[len(both)] * (sum(s * s for s in spread) / len(both)) ** 0.5
    return mean, half, abs(mean) > half


@SOLUTIONS.each
def test_a_solution_is_judged_rightly(name, function, says) -> None:
    judge(name, function, says)

"""Solutions of the exercises in 08 that were written independently of the checks."""

from __future__ import annotations

import networkx as nx
import pandas as pd
import torch
from judging import Solutions, judge

from coconut_lab.inference.scoring import Comparison
from coconut_lab.interpretability.interventions import holm

SOLUTIONS = Solutions()
right, wrong = SOLUTIONS.right, SOLUTIONS.wrong


@right("other_root")
def root_by_networkx(facts, options, asked):
    graph = nx.DiGraph(facts)
    (target,) = nx.descendants(graph, asked) & set(options)
    (other,) = set(options) - {target}
    far = nx.shortest_path_length(graph, asked, target)
    for name, parents in graph.in_degree():
        back = graph.reverse()
        ways = nx.single_source_shortest_path_length(back, other)
        if parents == 0 and ways.get(name) == far and not nx.has_path(graph, name, target):
            return name
    return None


@wrong("other_root", "not as far from the other option")
def any_root_that_reaches_it(facts, options, asked):
    graph = nx.DiGraph(facts)
    (target,) = nx.descendants(graph, asked) & set(options)
    (other,) = set(options) - {target}
    for name, parents in graph.in_degree():
        reached = nx.descendants(graph, name)
        if not parents and other in reached and target not in reached:
            return name
    return None


@right("erase")
def erase_by_projection(h, word, level, noise):
    unit = torch.nn.functional.normalize(word, dim=1)
    there = torch.einsum("bd,bd->b", h, unit)
    wanted = level / word.norm(dim=1)
    length = (wanted - there).abs()
    flat = h - there[:, None] * unit
    random = torch.nn.functional.normalize(noise, dim=1)
    return flat + wanted[:, None] * unit, h + length[:, None] * random


@wrong("erase", "not as far from h")
def control_of_mean_length(h, word, level, noise):
    edited, control = erase_by_projection(h, word, level, noise)
    length = (control - h).norm()
    return edited, h + torch.nn.functional.normalize(noise, dim=1) * length


@right("decided")
def decided_by_the_package(table):
    p = pd.Series({name: Comparison(0, *counts, 0).p_value for name, counts in table.items()})
    corrected = holm(p)
    return [name for name in p.sort_values(kind="stable").index if corrected[name] < 0.05]


@wrong("decided", "stricter than need be")
def decided_by_bonferroni(table):
    p = pd.Series({name: Comparison(0, *counts, 0).p_value for name, counts in table.items()})
    return p[p < 0.05 / len(p)].sort_values().index.tolist()


@right("rewired")
def rewired_by_networkx(facts, path, other, hop):
    a, b, c, d = path[hop - 1], path[hop], other[hop - 1], other[hop]
    new = list(facts)
    new[facts.index((a, b))], new[facts.index((c, d))] = (a, d), (c, b)
    return [] if nx.has_path(nx.DiGraph(new), path[0], path[-1]) else new


@wrong("rewired", "another way still leads to the old answer")
def rewired_without_looking(facts, path, other, hop):
    a, b, c, d = path[hop - 1], path[hop], other[hop - 1], other[hop]
    return [{(a, b): (a, d), (c, d): (c, b)}.get(fact, fact) for fact in facts]


@SOLUTIONS.each
def test_a_solution_is_judged_rightly(name, function, says) -> None:
    judge(name, function, says)

"""The ProsQA generator: repeatable, fair, and true to the published statistics."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import PROSQA, needs_published

from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.notation import read_statement
from coconut_lab.tasks.problems import Problem, verify
from coconut_lab.tasks.prosqa import (
    PRESETS,
    Preset,
    generate_prosqa,
)
from coconut_lab.tasks.prosqa_graphs import Dag, DagSampler
from coconut_lab.tasks.randomness import Quota, Weighted
from coconut_lab.tasks.verify import shortcut_audit


def describe(problems: list[Problem]) -> dict[str, Any]:
    """What the paper reports about its data: means, and shares of numbers of hops."""
    graphs = [problem.graph for problem in problems if problem.graph]
    hops = Counter(graph.hops for graph in graphs)
    return {
        "nodes": fmean(len(graph.names) for graph in graphs),
        "edges": fmean(len(graph.edges) for graph in graphs),
        "hops": fmean(graph.hops for graph in graphs),
        "shortest_paths": fmean(graph.shortest_path_count() for graph in graphs),
        "hop_shares": {value: hops[value] / len(graphs) for value in sorted(hops)},
    }


@pytest.fixture(scope="module", params=list(PRESETS))
def preset(request: pytest.FixtureRequest) -> Preset:
    return PRESETS[request.param]


@pytest.fixture(scope="module")
def problems(preset: Preset) -> list[Problem]:
    return generate_prosqa(1500, 2024, preset.name)


def test_every_problem_is_right(preset: Preset, problems: list[Problem]) -> None:
    for one in problems:
        verify(one)
        graph = one.graph
        assert graph is not None
        assert len(graph.names) in preset.nodes
        assert graph.hops == len(one.steps)
        assert graph.hops in preset.hops
        assert graph.root in (0, 1)
        path = tuple(graph.names.index(name) for name in one.steps)
        assert (graph.root, *path) in graph.shortest_paths()
        for node, name in enumerate(graph.names):
            assert name in (preset.concepts if graph.parents(node) else preset.entities)
            assert graph.children(node) or graph.parents(node)  # every name is in a fact


def test_options_are_leaves_matched_in_depth(problems: list[Problem]) -> None:
    for one in problems:
        graph = one.graph
        assert graph is not None
        other = 1 - graph.root
        assert not graph.children(graph.target)
        assert not graph.children(graph.distractor)
        assert graph.distances(other)[graph.distractor] == graph.hops
        assert graph.distances(other)[graph.target] is None


def test_no_place_and_no_name_tells(preset: Preset, problems: list[Problem]) -> None:
    targets = Counter(one.answer for one in problems)
    roots = Counter(one.graph.root for one in problems if one.graph)
    sides = Counter(read_statement(one.question).options.index(one.answer) for one in problems)
    assert set(targets) == set(preset.concepts)
    assert max(targets.values()) < 1.6 * len(problems) / len(preset.concepts)
    for halves in (roots, sides):
        assert 0.45 < halves[0] / len(problems) < 0.55


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("tiny", {"nodes": 10, "hops": 2.5}),
        ("small", {"nodes": 16, "hops": 3.5}),
        # The figures of the published test split.
        ("paper", {"nodes": 22.8, "edges": 35.8, "hops": 3.78, "shortest_paths": 1.57}),
    ],
)
def test_figures_of_presets(name: str, figures: dict[str, float]) -> None:
    problems = generate_prosqa(2000, 5, name)
    found = describe(problems)
    for figure, expected in figures.items():
        assert found[figure] == pytest.approx(expected, rel=0.05), figure
    shares = PRESETS[name].hops  # full rounds, so exact
    total = sum(shares.values())
    assert found["hop_shares"] == {hops: count / total for hops, count in shares.items()}
    english = generate_prosqa(20, 5, name, notation="english")
    assert [one.in_english() for one in problems[:20]] == english
    assert [one.in_symbols() for one in english] == problems[:20]


# --- choices ---------------------------------------------------------------------------------


def test_hops_and_nodes_can_be_chosen() -> None:
    found = describe(generate_prosqa(60, 0, hops=(1, 3), nodes=9))
    assert found["hop_shares"] == pytest.approx({1: 1 / 3, 2: 1 / 3, 3: 1 / 3})
    assert found["nodes"] == 9
    assert describe(generate_prosqa(20, 0, "paper", hops=9, nodes=(20, 30)))["hops"] == 9
    own = replace(PRESETS["tiny"], name="own", hops={4: 1}, nodes={10: 1})  # the least that can be
    assert describe(generate_prosqa(20, 0, own))["hops"] == 4


# --- the parts -------------------------------------------------------------------------------


def test_free_sampling_is_algorithm_1() -> None:
    """Without planted paths: labels are the OR of the parents', edges follow Poisson(1.5)."""
    sampler = DagSampler(Random(0).random)
    sizes: Counter[int] = Counter()
    for _ in range(300):
        dag = sampler.sample(size=23, hops=0)
        for node in range(2, len(dag.labels)):
            parents = dag.parents[node]
            label = 0
            for parent in parents:
                label |= dag.labels[parent]
            assert dag.labels[node] == label
            assert len(set(parents)) == len(parents)
            assert all(parent < node for parent in parents)
            assert dag.depth[node] == (1 + min(dag.depth[p] for p in parents) if parents else 0)
            if node >= 12:  # enough candidates, so the draw is not cut short
                sizes[len(parents)] += 1
    total = sum(sizes.values())
    for k, share in enumerate((0.223, 0.335, 0.251, 0.126)):
        assert sizes[k] / total == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2**-53])
def test_edges_of_draws(number: float) -> None:
    """No draw points past the end; without newcomers, no later node is parentless."""
    weighted = Weighted({0: 0.1, 1: 0.2, 2: 0.7})
    assert weighted.draw(number) in (0, 1, 2)
    assert weighted.draw(number, skip_first=True) in (1, 2)
    dag = Dag()
    assert DagSampler(lambda: number, newcomers=0).free_parents(dag)
    dag.finished = {0, 1}
    assert not DagSampler(lambda: number, newcomers=0).free_parents(dag)


@given(st.dictionaries(st.integers(1, 9), st.integers(1, 4), min_size=1), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_round_of_a_quota_has_every_number(counts: dict[int, int], seed: int) -> None:
    quota, random = Quota(counts), Random(seed).random
    for _ in range(3):
        assert Counter(quota.draw(random()) for _ in range(sum(counts.values()))) == counts


# --- shortcuts -------------------------------------------------------------------------------


@needs_published
def test_audit_finds_the_published_shortcut() -> None:
    problems = load_problems(PROSQA)
    scores = shortcut_audit(problems)
    assert scores["farther from its nearest entity"] == pytest.approx(0.925, abs=0.0005)
    assert scores["farther from its entities on average"] == pytest.approx(0.948, abs=0.0005)
    assert next(iter(scores)) == "farther from its entities on average"
    assert scores["nearer to its nearest entity"] == pytest.approx(0.075, abs=0.0005)
    assert scores == shortcut_audit(one.in_symbols() for one in problems)


def test_audit_counts_a_tie_half(problems: list[Problem]) -> None:
    scores = shortcut_audit(problems[:1])
    assert set(scores.values()) <= {0.0, 0.5, 1.0}
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert scores["offered first"] + scores["offered second"] == 1

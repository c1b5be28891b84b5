"""`twin` and `rewire`: what stays, what changes, and that the text says what the graph says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coconut_lab import Graph, Problem, ProblemError, generate_prosqa, rewire, twin
from coconut_lab.tasks.counterfactuals import renamed, rewirable
from coconut_lab.tasks.notation import read_statement
from coconut_lab.tasks.problems import graph_of, verify

PROBLEMS = {
    (preset, notation): generate_prosqa(60, seed=11, preset=preset, notation=notation)
    for preset in ("tiny", "small", "paper")
    for notation in ("symbols", "english")
}
problems = st.sampled_from([p for part in PROBLEMS.values() for p in part])


def options(problem: Problem) -> tuple[str, str]:
    return read_statement(problem.question).options


def right_by_walking(problem: Problem) -> set[str]:
    """The options that can be reached, found by walking the stated facts."""
    said = read_statement(problem.question)
    reached, before = {said.asked}, set()
    while reached != before:
        before = set(reached)
        reached |= {child for parent, child in said.facts if parent in before}
    return reached & set(said.options)


@given(problems)
def test_a_twin_has_the_same_facts_and_the_other_answer(problem):
    try:
        other = twin(problem)
    except ProblemError:
        return
    verify(other)
    ours, theirs = read_statement(problem.question), read_statement(other.question)
    assert theirs.facts == ours.facts and theirs.options == ours.options
    assert theirs.asked != ours.asked
    names = graph_of(problem).names
    assert right_by_walking(other) == {names[graph_of(problem).distractor]}
    assert len(other.steps) == len(problem.steps)
    assert right_by_walking(twin(other)) == right_by_walking(problem)


@given(problems, st.integers(1, 3))
def test_a_rewired_problem_has_one_right_option_the_other(problem, hop):
    try:
        changed = rewire(problem, hop)
    except ProblemError:
        return
    verify(changed)
    ours, theirs = read_statement(problem.question), read_statement(changed.question)
    assert theirs.asked == ours.asked and theirs.options == ours.options
    pairs = list(zip(ours.facts, theirs.facts, strict=True))
    moved = [(old, new) for old, new in pairs if old != new]
    assert len(moved) == 2
    ((a, b), one), ((c, d), two) = moved
    assert one == (a, d) and two == (c, b)
    assert right_by_walking(changed) == set(ours.options) - right_by_walking(problem)
    assert len(changed.steps) == len(problem.steps)
    assert graph_of(changed).names == graph_of(problem).names


def test_every_tiny_problem_has_a_twin_and_most_can_be_rewired_at_every_hop():
    tiny = PROBLEMS["tiny", "symbols"]
    assert all(twin(problem) for problem in tiny)
    done = 0
    for problem in tiny:
        for hop in range(1, len(problem.steps) + 1):
            try:
                rewire(problem, hop)
                done += 1
            except ProblemError:
                pass
    assert done >= 60


@given(problems, st.integers(0, 99))
def test_a_renamed_problem_is_the_same_one_in_other_words(problem, seed):
    """Read as text: facts, options and who is asked are those of before, name by name."""
    changed = renamed(problem, seed)
    verify(changed)
    old, new = graph_of(problem).names, graph_of(changed).names
    assert sorted(new) == sorted(old)
    now = dict(zip(old, new, strict=True))
    ours, theirs = read_statement(problem.question), read_statement(changed.question)
    assert theirs.facts == tuple((now[a], now[b]) for a, b in ours.facts)
    assert theirs.options == tuple(now[option] for option in ours.options)
    assert theirs.asked == now[ours.asked]
    assert right_by_walking(changed) == {now[name] for name in right_by_walking(problem)}
    assert [now[s] for s in problem.in_symbols().steps] == list(changed.in_symbols().steps)
    back = {name: before for before, name in now.items()}
    assert renamed(changed, back) == problem


def test_rewirable_problems_are_those_that_can_be_rewired_at_each_hop():
    tiny = PROBLEMS["tiny", "symbols"]
    found = rewirable(tiny, 3)
    assert 0 < len(found) < sum(len(p.steps) == 3 for p in tiny)
    assert all(rewire(problem, hop) for problem in found for hop in (1, 2, 3))


def test_by_hand():
    graph = Graph(("Tom", "Sally", "a", "b", "x", "y"), ((0, 2), (2, 4), (1, 3), (3, 5)), 0, 4, 5)
    problem = Problem("| b y | Tom a | a x | Sally b [Q] y x [R] Tom", ("a", "x"), "x", graph)
    assert twin(problem).question == "| b y | Tom a | a x | Sally b [Q] y x [R] Sally"
    assert (twin(problem).steps, twin(problem).answer) == (("b", "y"), "y")
    assert rewire(problem, 1).question == "| b y | Tom b | a x | Sally a [Q] y x [R] Tom"
    assert rewire(problem, 1).steps == ("b", "y")
    assert rewire(problem, 2).question == "| b x | Tom a | a y | Sally b [Q] y x [R] Tom"
    assert rewire(problem, 2).steps == ("a", "y")


@pytest.mark.parametrize("hop", [0, 3])
def test_a_hop_that_is_not_there(hop):
    graph = Graph(("Tom", "Sally", "a", "b", "x", "y"), ((0, 2), (2, 4), (1, 3), (3, 5)), 0, 4, 5)
    problem = Problem("| Tom a | a x | Sally b | b y [Q] y x [R] Tom", ("a", "x"), "x", graph)
    with pytest.raises(ProblemError, match=f"hop {hop} of a problem with 2 hops; give 1 to 2"):
        rewire(problem, hop)


def test_two_nodes_of_one_name_are_refused():
    problem = PROBLEMS["tiny", "symbols"][0]
    first, second = graph_of(problem).names[:2]
    with pytest.raises(ProblemError, match="two nodes would have the same name"):
        renamed(problem, {first: second})


def test_no_twin_and_no_graph():
    graph = Graph(("Tom", "Sally", "a", "b", "x"), ((0, 2), (2, 4), (1, 3)), 0, 4, 3)
    problem = Problem("| Tom a | a x | Sally b [Q] b x [R] Tom", ("a", "x"), "x", graph)
    with pytest.raises(ProblemError, match="no other root is exactly 2 hops from the distractor"):
        twin(problem)
    with pytest.raises(ProblemError, match="has no graph"):
        twin(Problem("2 + 2?", (), "4"))

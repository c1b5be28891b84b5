"""Search tree and comparison of models, without a browser: what they show, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from traitlets import TraitError

from coconut_lab import load
from coconut_lab.explorers import ModelComparison, SearchTree
from coconut_lab.interpretability.values import node_values
from coconut_lab.tasks.problems import parse_problem


@pytest.fixture(scope="module")
def tree():
    return SearchTree("tiny-mixed")


@pytest.fixture(scope="module")
def comparison():
    return ModelComparison()


def test_branches_of_the_first_level_are_the_next_concepts_after_eot(tree):
    tree.index = 5
    shipped = load("tiny-mixed")
    values = node_values(
        shipped.model, tree.problems[5:6], shipped.curriculum, through="<eot>"
    ).set_index(["thought", "node"])
    for k, branches in enumerate(tree.data["trees"]):
        first = {one["path"][0]: one["value"] for one in branches if len(one["path"]) == 1}
        wanted = values.value.loc[k]
        assert set(first) == set(wanted[wanted >= 0.005].index)
        for node, value in first.items():
            assert value == pytest.approx(wanted[node], abs=1e-5)
        for one in branches:  # a branch is worth at most what it grows from
            if len(one["path"]) > 1:
                (parent,) = [other for other in branches if other["path"] == one["path"][:-1]]
                assert one["value"] <= parent["value"] + 1e-6


def test_bare_thoughts_are_those_that_are_read_elsewhere(tree, comparison):
    tree.index = comparison.index = 7
    values = {}
    for name in ("tiny-mixed", "tiny-coconut", "tiny-base", "tiny-pause-as-thought"):
        shipped = load(name)
        frame = node_values(shipped.model, tree.problems[7:8], shipped.curriculum, 3)
        table = frame.pivot(index="thought", columns="node", values="value")
        values[name] = torch.tensor(table.to_numpy()).float()
    shown = torch.tensor(tree.data["thoughts"])
    torch.testing.assert_close(shown, values["tiny-mixed"], atol=1e-5, rtol=0)
    for one in comparison.data["models"]:
        found = torch.tensor(one["thoughts"])
        torch.testing.assert_close(found, values[one["name"]], atol=1e-5, rtol=0)


def test_the_order_of_the_panels_is_drawn_anew_and_repeats(comparison):
    places = []
    for index in range(12):
        comparison.index = index
        order = [one["name"] for one in comparison.data["models"]]
        assert order[comparison.data["coconut"]] == "tiny-coconut"
        places.append(comparison.data["coconut"])
    assert set(places) == {0, 1, 2}
    comparison.index = 3
    assert comparison.data["coconut"] == places[3]


def test_another_problem_takes_the_guess_away(comparison):
    comparison.guess = 1
    comparison.index = 20
    assert comparison.guess == -1


def test_data_is_json_and_the_text_repeats(tree, comparison):
    for one in (tree, comparison):
        assert json.loads(json.dumps(one.data)) == one.data
    assert repr(tree) == "SearchTree(tiny-mixed, 100 problems)"
    assert repr(comparison) == "ModelComparison(tiny-base, tiny-coconut, tiny-pause-as-thought)"


def test_a_problem_of_ones_own():
    text = "| Tom yumpus | yumpus rempus | Eva lempus | lempus numpus [Q] rempus numpus [R] Tom"
    found = SearchTree(problem=parse_problem(text)).data
    assert found["names"][found["target"]] == "rempus"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("thoughts", 4, "give 0 to 3"), ("depth", 0, "give 1 to 4"), ("index", 100, "give 0 to 99"),
     ("threshold", 0.0, "give 0.005 to 1"), ("kind", "x", "give one of language, bare"),
     ("model_name", "tiny-cot", "give one of tiny-mixed, tiny-coconut, tiny-base")],
)  # fmt: skip
def test_traits_of_the_tree(tree, name, value, says):
    before = getattr(tree, name)
    with pytest.raises(TraitError, match=says):
        setattr(tree, name, value)
    assert getattr(tree, name) == before


def test_traits_of_the_comparison(comparison):
    with pytest.raises(TraitError, match="thought=0; give 1 to 3"):
        comparison.thought = 0
    with pytest.raises(TraitError, match="guess=3; give -1 to 2"):
        comparison.guess = 3


def test_models_that_cannot_be_compared():
    with pytest.raises(ValueError, match="give two or three different ones"):
        ModelComparison(["tiny-coconut"])
    with pytest.raises(ValueError, match="the method 'cot' has no thoughts"):
        ModelComparison(["tiny-coconut", "tiny-cot"])

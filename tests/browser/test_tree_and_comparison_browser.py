"""Search tree and comparison of models in a real browser, with Python's answers."""

from __future__ import annotations

import pytest
from bare import settle

from coconut_lab.explorers import ModelComparison, SearchTree
from coconut_lab.tasks.problems import parse_problem

pytestmark = pytest.mark.browser


def pills(page):
    return page.evaluate(
        "() => [...document.querySelectorAll('g.branch')].map((g) => g.dataset.path).sort()"
    )


def test_sliders_by_keyboard_draw_the_branches_of_the_data(draw):
    tree = SearchTree("tiny-mixed", problem=5)
    page = draw(tree)
    for trait, key in (("thoughts", "Home"), ("depth", "End"), ("threshold", "Home")):
        page.get_by_role("slider", name=trait).focus()
        page.keyboard.press(key)
        settle(page)
    assert (tree.thoughts, tree.depth, tree.threshold) == (0, 4, 0.005)
    wanted = ["-".join(map(str, one["path"])) for one in tree.data["trees"][0]]
    assert pills(page) == sorted(wanted)
    tree.threshold = 0.3
    settle(page)
    thick = [one for one in tree.data["trees"][0] if one["value"] >= 0.3]
    assert len(pills(page)) == len(thick) > 0


def test_a_branch_lights_its_path_in_the_graph_and_a_node_its_branches(draw):
    tree = SearchTree("tiny-mixed", problem=5)
    page = draw(tree)
    branch = page.locator("g.branch").first
    path = [int(node) for node in branch.get_attribute("data-path").split("-")]
    branch.focus()
    lit = "() => [...document.querySelectorAll('g.node.lit')].map((g) => Number(g.dataset.node))"
    assert sorted(page.evaluate(lit)) == sorted(path)
    page.locator(f"g.node[data-node='{path[-1]}']").hover()
    ends = page.evaluate(
        "() => [...document.querySelectorAll('g.branch.lit')].map((g) => Number(g.dataset.node))"
    )
    assert ends and set(ends) == {path[-1]}


def test_the_bare_tree_and_another_model(draw):
    tree = SearchTree("tiny-mixed")
    page = draw(tree)
    page.get_by_role("combobox", name="Tree of").select_option(label="the bare thoughts")
    page.get_by_role("combobox", name="Model").select_option(label="tiny-base")
    settle(page)
    assert (tree.kind, tree.model_name, tree.data["model"]) == ("bare", "tiny-base", "tiny-base")
    held = sum(p >= tree.threshold for row in tree.data["thoughts"] for p in row)
    assert len(pills(page)) == held


def test_names_are_shown_after_the_guess_and_the_tally_counts(draw):
    comparison = ModelComparison()
    page = draw(comparison)
    assert "tiny-" not in page.locator("section").inner_text()
    page.get_by_role("button", name="A is Coconut").focus()
    page.keyboard.press("Enter")
    settle(page)
    right = int(comparison.data["coconut"] == 0)
    assert (comparison.guess, comparison.tally) == (0, [right, 1])
    assert "tiny-base" in page.locator(".panels").inner_text()
    page.get_by_role("button", name="Next problem").click()
    settle(page)
    assert (comparison.index, comparison.guess) == (1, -1)
    assert "tiny-" not in page.locator("section").inner_text()
    page.locator("h3").click()
    page.get_by_role("button", name="B is Coconut").focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    assert comparison.thought == 2
    shown = page.locator(".panel").first.locator("g.node").first.text_content()
    assert f"{comparison.data['models'][0]['thoughts'][1][0]:.2f}" in shown


def test_hostile_names_are_text(draw):
    text = "| Tom <b>x</b> | <b>x</b> yumpus | Eva lempus | lempus numpus [Q] yumpus numpus [R] Tom"
    tree = SearchTree("tiny-mixed")
    tree.data = tree.data | {"names": list(parse_problem(text).graph.names) + ["a"] * 4}
    page = draw(tree)
    assert page.locator("section b").count() == 0
    assert "<b>x</b>" in page.locator("svg").last.text_content()

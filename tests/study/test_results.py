"""The measurements in results/ belong to the recipes that are there, and say what is claimed."""

import json
import re
from pathlib import Path

import pytest

from coconut_lab.curriculum.stages_and_masks import METHODS
from coconut_lab.study.methods_and_depth import (
    DEPTH_METHODS,
    HOPS,
    PER_HOP,
    depth_recipes,
    tiny_recipe,
)
from coconut_lab.study.tables import (
    NAMES,
    comparison_table,
    depth_scores,
    depth_table,
    method_scores,
    methods_table,
    read_results,
    score_of,
)
from coconut_lab.training.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def seeds():
    return json.loads((RESULTS / "tiny-coconut-seeds.json").read_text(encoding="utf-8"))


def test_seeds_were_trained_by_the_recipes_of_the_package(seeds):
    for name, data in seeds["recipes"].items():
        assert Recipe.from_dict(data) == load_recipe(name)


def test_nine_of_ten_seeds_reach_95_percent(seeds):
    assert [entry["seed"] for entry in seeds["seeds"]] == list(range(10))
    reached = [entry["accuracy"][-1] for entry in seeds["seeds"]]
    assert all(entry["thoughts"] == 3 and entry["total"] == 1000 for entry in reached)
    assert sum(entry["accuracy"] >= 0.95 for entry in reached) >= 9
    for entry in seeds["seeds"]:
        first, second = entry["frontier_mass"][:2]
        assert first["mass"] >= 0.95 and second["mass"] >= 0.80


def test_the_readme_quotes_the_seeds(seeds):
    reached = [entry["accuracy"][-1]["accuracy"] for entry in seeds["seeds"]]
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    quoted = re.search(r"ten training seeds reach ([\d.]+) to ([\d.]+)%", text)
    assert quoted
    assert quoted.groups() == (f"{min(reached):.1%}"[:-1], f"{max(reached):.1%}"[:-1])


# --- the studies ----------------------------------------------------------------------------------

FEWEST_SEEDS = 3


@pytest.fixture(scope="module")
def methods():
    return read_results("methods", RESULTS)


@pytest.fixture(scope="module")
def depth():
    return read_results("depth", RESULTS)


def test_studies_belong_to_the_recipes_of_the_package(methods, depth):
    assert set(methods["recipes"]) == set(METHODS)
    assert set(depth["recipes"]) == set(DEPTH_METHODS)
    for method, data in methods["recipes"].items():
        assert Recipe.from_dict(data) == tiny_recipe(method, 0)
    for method, data in depth["recipes"].items():
        assert Recipe.from_dict(data) == depth_recipes(method, 2, 0)[1]


def test_counts_are_those_of_the_outcomes(methods, depth):
    parts = [(entry, 1000) for entry in methods["results"]]
    for entry in depth["results"]:
        assert [part["hops"] for part in entry["by_hops"]] == list(HOPS)
        parts += [(part, PER_HOP) for part in entry["by_hops"]]
    for part, total in parts:
        assert set(part["outcomes"]) <= {"0", "1"}
        assert len(part["outcomes"]) == part["total"] == total
        assert part["outcomes"].count("1") == part["right"]
        score = score_of(part)
        assert part["accuracy"] == round(score.accuracy, 4)
        assert (part["low"], part["high"]) == tuple(round(end, 4) for end in score.interval)


def test_every_cell_is_measured_once_and_with_seeds_enough(methods, depth):
    cells = [(entry["method"], entry["seed"]) for entry in methods["results"]]
    assert len(cells) == len(set(cells))
    for method in METHODS:
        assert len([1 for name, _ in cells if name == method]) >= FEWEST_SEEDS, method
    cells = [(entry["method"], entry["layers"], entry["seed"]) for entry in depth["results"]]
    assert len(cells) == len(set(cells))
    assert {layers for _, layers, _ in cells} == {1, 2, 3, 4}
    for method in DEPTH_METHODS:
        for layers in (1, 2, 3, 4):
            seeds = {cell[2] for cell in cells if cell[:2] == (method, layers)}
            assert len(seeds) >= FEWEST_SEEDS, (method, layers)


def test_tables_show_every_result(methods, depth):
    scores = method_scores(methods["results"])
    table = methods_table(scores)
    assert {row[0] for row in table.rows} == {
        NAMES[entry["method"]] for entry in methods["results"]
    }
    shown = str(table)
    for entry in methods["results"]:
        low, high = score_of(entry).interval
        text = f"{100 * entry['accuracy']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        assert text in shown, entry["method"]
    assert len(comparison_table(scores).rows) == len(scores) - 1
    rows = {row[:2] for row in depth_table(depth_scores(depth["results"])).rows}
    assert rows == {(NAMES[entry["method"]], str(entry["layers"])) for entry in depth["results"]}


def test_what_notebook_04_says_of_the_reset_is_what_was_measured():
    found = json.loads((RESULTS / "reset-seeds.json").read_text(encoding="utf-8"))["seeds"]
    runs = {(entry["seed"], entry["beta2"]) for entry in found}
    assert runs == {(seed, beta2) for seed in range(4) for beta2 in (0.98, 0.999)}
    gaps = {
        window: [entry["stage"][window] - entry["never"][window] for entry in found]
        for window in ("1-10", "11-50", "51-100")
    }
    assert all(entry["stage"]["before"] == entry["never"]["before"] for entry in found)
    assert all(0 < gap < 0.05 for gap in gaps["1-10"])
    assert sum(gap < 0 for gap in gaps["11-50"]) == 6
    assert all(abs(gap) < 0.05 for gap in gaps["11-50"])
    assert all(round(abs(gap), 2) <= 0.02 for gap in gaps["51-100"])


def test_a_thought_per_hop_is_best_where_hops_are_mixed():
    cells = read_results("hops-and-thoughts", RESULTS)["results"]
    assert {cell["model"] for cell in cells} == {"tiny-coconut", "tiny-mixed"}
    for cell in cells:
        rows = [(row["nodes"], row["hops"]) for row in cell["by_hops"]]
        assert rows == [(nodes, hops) for nodes in (10, 12) for hops in range(1, nodes // 2)]
        for row in cell["by_hops"]:
            assert max(row["right"]) <= PER_HOP
            if cell["model"] == "tiny-mixed":  # up to five problems in 500
                assert row["right"][row["hops"] - 1] >= max(row["right"]) - 5


def test_a_model_with_pauses_is_right_without_what_is_in_them():
    cells = read_results("thoughts-and-pauses", RESULTS)["results"]
    assert {cell["model"] for cell in cells} == {"tiny-mixed", "tiny-pause-one-hop"}
    for cell in cells:
        edits, steps = cell["edits"], cell["staircase"]["1"]
        assert edits["none"][0] == edits["own"][0] >= 990
        if cell["model"] == "tiny-mixed":
            assert edits["twin"][1] >= 990 and edits["twin's columns"][1] >= 990
            assert steps[0] <= 0.01 and min(steps[1:]) >= 0.99
        else:
            assert edits["zero"][0] >= 990 and edits["twin's columns"][0] >= 990
            assert max(steps[:-1]) <= 0.01 and steps[-1] >= 0.99


def test_without_tied_embeddings_thoughts_decide_but_are_no_sum_of_words():
    cells = read_results("thoughts", RESULTS)["results"]
    tied, untied = (
        next(cell for cell in cells if (cell["model"], cell["seed"]) == (name, 0))
        for name in ("tiny-coconut", "tiny-untied")
    )
    assert min(cell["edits"]["twin 1"][1] for cell in (tied, untied)) >= 940
    assert tied["frontier's words"][0] > 4 * tied["random words"][0]
    assert untied["frontier's words"][0] < 1.5 * untied["random words"][0]
    edits = untied["edits"]  # what the head reads is what the twin hands over
    assert edits["read names from the twin"][1] > 850 > 500 > edits["names from the twin"][1]

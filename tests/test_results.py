"""The measurements in results/ belong to the recipes that are there, and say what is claimed."""

import json
import re
from pathlib import Path

import pytest

from coconut_lab.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[1]
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

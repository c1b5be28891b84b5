"""Studies: cells are measured once, and the recipes of a study are those of the package."""

import json
from types import SimpleNamespace

import pytest

from coconut_lab.checkpoints.shipped import load
from coconut_lab.curriculum.stages_and_masks import METHODS, Curriculum
from coconut_lab.inference.scoring import Score
from coconut_lab.study import methods_and_depth
from coconut_lab.study.methods_and_depth import (
    DEPTH_METHODS,
    HOPS,
    PER_HOP,
    commit,
    depth_cell,
    depth_recipes,
    measured,
    methods_cell,
    run,
    shipped,
    tiny_recipe,
)
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import Recipe, load_recipe
from coconut_lab.training.run_folder import LOG_FILE


def test_cells_are_measured_once_and_written_as_they_come(tmp_path):
    asked = []

    def measure(method, seed, runs):
        if method == "broken":
            raise RuntimeError
        asked.append((method, seed))
        return {"method": method, "seed": seed, "right": 3}

    cells = [{"method": "cot", "seed": 0}, {"method": "broken", "seed": 0}]
    with pytest.raises(RuntimeError):
        run("trial", cells, measure, {"what": "a trial"}, tmp_path, tmp_path / "results")
    # What was measured before the failure is kept, and not measured again.
    cells = [{"method": "cot", "seed": 0}, {"method": "cot", "seed": 1}]
    found = run("trial", cells, measure, {"what": "a trial"}, tmp_path, tmp_path / "results")
    assert asked == [("cot", 0), ("cot", 1)]
    assert [entry["seed"] for entry in found] == [0, 1]
    data = json.loads((tmp_path / "results" / "trial.json").read_text())
    assert data["what"] == "a trial" and data["results"] == found
    assert all(entry["commit"] == commit() and entry["threads"] >= 1 for entry in found)


def test_every_method_has_a_recipe_with_equally_many_steps():
    steps = {tiny_recipe(method, 3).total_steps for method in METHODS}
    assert steps == {load_recipe("tiny-coconut").total_steps}
    for method in METHODS:
        recipe = tiny_recipe(method, 3)
        assert recipe.curriculum.method == method and recipe.seed == 3
        assert recipe.model.start == "tiny-base"


@pytest.mark.parametrize("method", DEPTH_METHODS)
def test_recipes_of_the_study_of_depth(method):
    base, recipe = depth_recipes(method, 3, 5)
    assert base.model.layers == 3 and base.seed == recipe.seed == 5
    assert recipe.problems.hops == (HOPS[0], HOPS[-1])
    assert recipe.total_steps == depth_recipes("coconut", 3, 5)[1].total_steps
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_a_method_starts_from_the_base_of_its_seed_and_is_measured_on_exact_hops(
    tmp_path, monkeypatch
):
    trained, asked = [], []

    class NoTraining:
        """Takes the trainer's place: the model it gives is the recipe it was to train."""

        curriculum = Curriculum()

        def __init__(self, recipe, folder, start=None, progress=True):
            trained.append((recipe, start and start.recipe))
            self.model = SimpleNamespace(recipe=recipe, tokenizer=None)
            folder.mkdir()
            (folder / LOG_FILE).write_text('{"seconds": 1}\n')

        def train(self):
            return self.model

    def no_score(model, tokenizer, problems, curriculum, stage):
        asked.append((model.recipe, {problem.graph.hops for problem in problems}, len(problems)))
        return Score(1, len(problems))

    monkeypatch.setattr(methods_and_depth, "Trainer", NoTraining)
    monkeypatch.setattr(methods_and_depth, "score", no_score)
    methods_cell("cot", 3, tmp_path)
    base, recipe = load_recipe("tiny-base", seed=3), tiny_recipe("cot", 3)
    assert trained == [(base, None), (recipe, base)]
    assert asked == [(recipe, {2, 3}, 1000)]
    trained.clear(), asked.clear()
    depth_cell("coconut", 4, 5, tmp_path)
    base, recipe = depth_recipes("coconut", 4, 5)
    assert trained == [(base, None), (recipe, base)] and base.model.layers == 4
    assert asked == [(recipe, {hops}, PER_HOP) for hops in HOPS]


def test_only_the_very_recipe_is_taken_from_the_shipped_models():
    assert shipped(load_recipe("tiny-coconut")) is not None
    assert shipped(load_recipe("tiny-coconut", seed=1)) is None
    assert shipped(depth_recipes("coconut", 2, 0)[1]) is None


def test_outcomes_agree_with_the_counts():
    found = load("tiny-coconut")
    entry = measured(found.model, found.curriculum, generate_prosqa(30, 5))
    assert entry["total"] == len(entry["outcomes"]) == 30
    assert entry["right"] == entry["outcomes"].count("1") >= 25
    low, high = Score(entry["right"], 30).interval
    assert (entry["low"], entry["high"]) == (round(low, 4), round(high, 4))
    assert entry["thoughts"] == 3 and entry["tokens"] == pytest.approx(2, abs=0.5)

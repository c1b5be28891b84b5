"""Recipes: the shipped ones are valid, bad ones name the key."""

import pytest
from small_runs import SMALL

from coconut_lab.recipe import FOLDER, Recipe, RecipeError, load_recipe
from coconut_lab.training import main


def test_the_shipped_recipes_are_valid():
    for path in FOLDER.glob("*.yaml"):
        assert load_recipe(path.stem).name == path.stem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("frobnicate: 1", "unknown key frobnicate"),
        ("optimizer: {speed: 1}", "unknown key optimizer.speed"),
        ("phases: [{stage: 1}]", r"phases\[0\]: either steps or epochs"),
        ("phases: []", "at least one phase"),
        ("phases: [{steps: 0}]", "either steps or epochs must be above 0"),
        ("phases: 3", "phases: expected a list"),
        ("seed: soon", "seed: expected int"),
        ("optimizer: {lr: fast}", "optimizer.lr: expected float"),
        ("optimizer: {reset: sometimes}", "optimizer.reset: 'sometimes'"),
        ("objective: glory", "objective: 'glory'"),
        ("batch_size: 0", "batch_size"),
        ("problems: {count: 4}", "fewer problems than one batch"),
    ],
)
def test_bad_recipes_name_the_key(tmp_path, change, message):
    path = tmp_path / "bad.yaml"
    key = change.split(":")[0]
    kept, skipping = [], False
    for line in SMALL.strip().splitlines():
        if not line.startswith(" "):
            skipping = line.startswith(f"{key}:")
        if not skipping:
            kept.append(line)
    path.write_text("\n".join([*kept, change]))
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)
    assert main([str(path)]) == 2


def test_recipes_that_are_none(tmp_path):
    with pytest.raises(RecipeError, match="this package has .*tiny-base"):
        load_recipe("nothing")
    (tmp_path / "a.yaml").write_text("[1, 2")
    with pytest.raises(RecipeError, match="no YAML"):
        load_recipe(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("just text")
    with pytest.raises(RecipeError, match="a mapping"):
        load_recipe(tmp_path / "a.yaml")
    with pytest.raises(TypeError):
        Recipe()

"""Recipes: the shipped ones are valid, bad ones name the key."""

import dataclasses
import json

import pytest
from small_runs import SMALL

from coconut_lab.training.__main__ import main
from coconut_lab.training.recipe import FOLDER, Recipe, RecipeError, load_recipe


def test_the_shipped_recipes_are_valid():
    for path in FOLDER.glob("*.yaml"):
        recipe = load_recipe(path.stem)
        assert recipe.name == path.stem
        # A card holds it as JSON.
        assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("frobnicate: 1", "unknown key frobnicate; known are name, phases, objective,"),
        ("optimizer: {speed: 1}", "unknown key optimizer.speed; known are lr, beta1,"),
        (
            "phases: [{stage: 1, steps: 1, hops: 2}]",
            r"unknown key phases\[0\].hops; known are steps",
        ),
        ("phases: [{stage: 1}]", r"phases\[0\]: either steps or epochs must be above 0"),
        ("phases: [{steps: 1, epochs: 1}]", r"phases\[0\]: either steps or epochs"),
        ("phases: []", "phases: a recipe needs at least one phase"),
        ("phases: 3", "phases is 3; it should be a list"),
        ("optimizer: 3", "optimizer is 3; it should hold keys and values"),
        ("problems: {preset: huge}", "problems.preset is 'huge'; it should be 'tiny', 'small' or"),
        ("problems: {hops: [1]}", r"problems.hops\[1\] is missing"),
        ("seed: soon", "seed is 'soon'; it should be a valid integer"),
        ("seed: true", "seed is True; it should be a valid integer"),
        ("recompute: 1", "recompute is 1; it should be a valid boolean"),
        ("optimizer: {lr: fast}", "optimizer.lr is 'fast'; it should be a valid number"),
        ("optimizer: {lr: yes}", "optimizer.lr: True is not a number"),
        ("optimizer: {reset: sometimes}", "optimizer.reset is 'sometimes'; it should be 'stage', "),
        ("objective: glory", "objective is 'glory'; it should be 'curriculum' or 'walks'"),
        ("batch_size: 0", "batch_size is 0; it should be greater than or equal to 1"),
        ("problems: {count: 4}", "fewer problems than one batch"),
        ("micro_batch: 0", "micro_batch is 0; it should be greater than or equal to 1"),
        ("model: {layers: 0}", "model.layers is 0"),
        ("model: {width: 0}", "model.width is 0"),
        ("model: {heads: 0}", "model.heads is 0"),
        ("model: {heads: 3}", "model: 3 heads do not divide a width of 64"),
        ("model: {head_dim: 7}", "model: a head_dim of 7 is odd"),
        ("model: {width: 24, head_dim: null}", "model: a head_dim of 3 is odd"),
        (
            "model: {start: a, hub: b}",
            "model: a model begins with start or with hub, not with both",
        ),
        ("model: {feed_forward: -1}", "model.feed_forward is -1"),
        ("model: {positions: 0}", "model.positions is 0"),
        ("model: {tied: 1}", "model.tied is 1; it should be a valid boolean"),
        ("model: {initializer_range: -0.1}", "model.initializer_range is -0.1"),
        ("optimizer: {lr: 0}", "optimizer.lr is 0; it should be greater than 0"),
        ("optimizer: {lr: .nan}", "optimizer.lr is nan; it should be a finite number"),
        ("optimizer: {lr: .inf}", "optimizer.lr is inf"),
        ("optimizer: {beta1: 1.5}", "optimizer.beta1 is 1.5; it should be less than 1"),
        ("optimizer: {beta2: 1}", "optimizer.beta2 is 1;"),
        ("optimizer: {weight_decay: -1}", "optimizer.weight_decay is -1"),
        ("optimizer: {warmup_steps: -3}", "optimizer.warmup_steps is -3"),
        ("optimizer: {clip: 0}", "optimizer.clip is 0"),
        ("walks: {per_problem: 0}", "walks.per_problem is 0"),
        ("walks: {max_hops: 0}", "walks.max_hops is 0"),
        ("walks: {bot_probability: 2}", "walks.bot_probability is 2; it should be less than or eq"),
        ("walks: {eot_probability: -1}", "walks.eot_probability is -1"),
        ("curriculum: {method: magic}", "curriculum: unknown method 'magic'"),
        ("curriculum: {mix_probability: 2}", "curriculum: mix_probability is 2.0"),
        ("curriculum: {max_stage: -1}", "curriculum: max_stage is -1"),
        ("curriculum: {thoughts_per_step: 0}", "curriculum: thoughts_per_step is 0"),
        ("phases: [{steps: 5, stage: -1}]", r"phases\[0\].stage is -1"),
        ("phases: [{steps: 5, final_rate: 2}]", r"phases\[0\].final_rate is 2"),
        ("phases: [{steps: 5, mix_probability: 3}]", r"phases\[0\].mix_probability is 3"),
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
    with pytest.raises(RecipeError, match="the key name is missing"):
        Recipe()
    with pytest.raises(RecipeError, match=r"^batch_size is 0; it should"):
        dataclasses.replace(load_recipe("tiny-cot"), batch_size=0)
    assert Recipe.from_dict({"name": "x", "phases": [{"steps": 1}], "seed": 2}).seed == 2

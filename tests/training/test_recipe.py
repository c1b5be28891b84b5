"""Recipes: the shipped ones are valid, bad ones name the key."""

import pytest
from small_runs import SMALL

from coconut_lab.training.__main__ import main
from coconut_lab.training.recipe import FOLDER, Recipe, RecipeError, load_recipe


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
        ("micro_batch: 0", r"micro_batch: 0 is not in \[1, inf\)"),
        ("model: {layers: 0}", r"model.layers: 0 is not in \[1, inf\)"),
        ("model: {width: 0}", "model.width"),
        ("model: {heads: 0}", "model.heads"),
        ("model: {heads: 3}", "model.heads: 3 does not divide model.width, 64"),
        ("model: {head_dim: 7}", "model.head_dim: 7 is odd"),
        ("model: {width: 24, head_dim: null}", "model.head_dim: 3 is odd"),
        ("model: {feed_forward: -1}", "model.feed_forward"),
        ("model: {positions: 0}", "model.positions"),
        ("model: {initializer_range: -0.1}", "model.initializer_range"),
        ("optimizer: {lr: 0}", r"optimizer.lr: 0.0 is not in \(0, inf\)"),
        ("optimizer: {lr: .nan}", "optimizer.lr"),
        ("optimizer: {lr: .inf}", "optimizer.lr"),
        ("optimizer: {beta1: 1.5}", r"optimizer.beta1: 1.5 is not in \[0, 1\)"),
        ("optimizer: {beta2: 1}", "optimizer.beta2"),
        ("optimizer: {weight_decay: -1}", "optimizer.weight_decay"),
        ("optimizer: {warmup_steps: -3}", "optimizer.warmup_steps"),
        ("optimizer: {clip: 0}", "optimizer.clip"),
        ("walks: {per_problem: 0}", "walks.per_problem"),
        ("walks: {max_hops: 0}", "walks.max_hops"),
        ("walks: {bot_probability: 2}", r"walks.bot_probability: 2.0 is not in \[0, 1\]"),
        ("walks: {eot_probability: -1}", "walks.eot_probability"),
        ("curriculum: {method: magic}", "curriculum: unknown method 'magic'"),
        ("curriculum: {mix_probability: 2}", "curriculum: mix_probability is 2.0"),
        ("curriculum: {max_stage: -1}", "curriculum: max_stage is -1"),
        ("curriculum: {thoughts_per_step: 0}", "curriculum: thoughts_per_step is 0"),
        ("phases: [{steps: 5, stage: -1}]", r"phases\[0\].stage: -1 is not in"),
        ("phases: [{steps: 5, final_rate: 2}]", r"phases\[0\].final_rate: 2.0 is not in"),
        ("phases: [{steps: 5, mix_probability: 3}]", r"phases\[0\].mix_probability: 3.0"),
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

"""The paper's three recipes, on a small model and small files in place of the hub's."""

import dataclasses

import pytest
import torch
from shapes import bpe_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prontoqa import generate_prontoqa
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.tasks.word_problems import generate_arithmetic
from coconut_lab.training.recipe import load_recipe
from coconut_lab.training.trainer import Trainer

TASKS = {
    "prosqa": lambda count: generate_prosqa(count, 1, "paper", notation="english"),
    "prontoqa": lambda count: generate_prontoqa(count, 1),
    "gsm8k": lambda count: generate_arithmetic(count, 1),
}


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A random GPT-2-shaped model with a BPE tokenizer, as the hub would hold it."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = bpe_tokenizer(thoughts=False)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=2048, n_embd=16, n_layer=1, n_head=2,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("task", "stages", "thoughts"),
    [
        # Section 4 of the paper: 50 epochs in all; c = 1 with six stages of five
        # epochs, or c = 2 with six epochs of stage 0 and three stages of three.
        ("prosqa", [stage for stage in range(7) for _ in range(5)] + [7] * 15, 6),
        ("prontoqa", [stage for stage in range(7) for _ in range(5)] + [7] * 15, 6),
        ("gsm8k", [0] * 6 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 35, 6),
    ],
)
def test_the_recipes_say_what_the_paper_did(task, stages, thoughts):
    recipe = load_recipe(f"gpt2-{task}")
    assert [phase.stage for phase in recipe.phases for _ in range(phase.epochs)] == stages
    assert len(stages) == 50 and recipe.batch_size == 128
    assert recipe.curriculum.max_stage * recipe.curriculum.thoughts_per_step == thoughts
    part = recipe.optimizer
    assert (part.lr, part.weight_decay, part.reset, part.warmup_steps) == (1e-4, 0.01, "stage", 0)
    assert recipe.model.hub == "openai-community/gpt2"


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_full_size_recipe_trains_on_what_it_is_given(task, gpt2, tmp_path):
    path = tmp_path / "problems.json"
    write_json(TASKS[task](24), path)
    recipe = load_recipe(f"gpt2-{task}")
    # As the file says, but for where model and problems come from, and how long.
    recipe = dataclasses.replace(
        recipe,
        batch_size=8,
        micro_batch=4,
        model=dataclasses.replace(recipe.model, hub=str(gpt2)),
        problems=dataclasses.replace(recipe.problems, source=str(path), validation=str(path)),
        phases=(
            dataclasses.replace(recipe.phases[0], epochs=1),
            dataclasses.replace(recipe.phases[2], epochs=1),
        ),
        # The files hold a few problems only, none of them as long as the published longest.
        curriculum=dataclasses.replace(recipe.curriculum, max_stage=2),
    )
    entries = []
    trainer = Trainer(recipe, tmp_path / "run", progress=False)
    assert "2 part(s) of 4 problems" in trainer.describe()
    model = trainer.train(entries.append)
    assert len(entries) == 6 and {entry["stage"] for entry in entries} == {0, 2}
    assert {entry["lr"] for entry in entries} == {1e-4}
    assert all(entry["loss"] < 20 for entry in entries)
    assert not model.training

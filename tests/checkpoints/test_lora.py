"""What of a large model is trained: its new tokens alone, or low-rank adapters as well."""

from __future__ import annotations

import copy
import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_models import PROBLEMS, save
from oracle import latent_row, mean_loss
from transformers import AutoModelForCausalLM

from coconut_lab.checkpoints.lora import Lora, merge_lora
from coconut_lab.checkpoints.pretrained import from_hub
from coconut_lab.checkpoints.shipped import Checkpoint
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import pause_token
from coconut_lab.inference.generation import generate
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import (
    CurriculumPart,
    OptimizerPart,
    Phase,
    ProblemsPart,
    Recipe,
)
from coconut_lab.training.trainer import Trainer

SHAPES = ["gpt2", "llama", "qwen", "gemma", "mistral"]
CLOSE = {"rtol": 2e-4, "atol": 2e-5}


def adapted(folder: Path, shape: str, awake: bool = True, **settings: Any) -> Checkpoint:
    """A model with adapters; `awake` ones change its outputs, as after training."""
    made = from_hub(save(folder, shape), Curriculum(max_stage=2), lora=Lora(rank=3, **settings))
    if awake:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, weight in made.model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(generator=generator).mul_(0.1)
    return made


def batch_of(made: Checkpoint, stage: int = 2) -> dict[str, torch.Tensor]:
    """Both problems at a stage."""
    rows = [made.curriculum.encode(one, made.tokenizer, stage) for one in PROBLEMS]
    return collate(rows, made.tokenizer)


def learn(made: Checkpoint, lr: float) -> None:
    """A few steps of training; the loss must fall."""
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=lr, weight_decay=0)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = made.model.train()(**batch_of(made)).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_fresh_adapters_change_nothing(tmp_path: Path, shape: str) -> None:
    made = adapted(tmp_path / "m", shape, awake=False)
    plain = from_hub(tmp_path / "m", Curriculum(max_stage=2))
    assert torch.equal(made.model(**batch_of(made)).loss, plain.model(**batch_of(made)).loss)
    assert made.model.has_adapters and not plain.model.has_adapters


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_with_adapters_thinks_as_the_oracle_does(tmp_path: Path, shape: str) -> None:
    made = adapted(tmp_path / "m", shape)
    model, thought = made.model, made.model.tokens.thought
    rows = [made.curriculum.encode(one, made.tokenizer, 2) for one in PROBLEMS]
    output = model(**collate(rows, made.tokenizer))
    loss = mean_loss(model.language_model, rows, thought)
    torch.testing.assert_close(output.loss, loss, **CLOSE)
    for index, (ids, _) in enumerate(rows):
        thoughts = latent_row(model.language_model, ids, thought)[0]
        torch.testing.assert_close(output.thoughts[index], thoughts, **CLOSE)
    plain = from_hub(tmp_path / "m", Curriculum(max_stage=2)).model
    assert not torch.allclose(plain(**batch_of(made)).loss, loss, **CLOSE)


@pytest.mark.parametrize("shape", SHAPES)
def test_adapters_and_new_tokens_learn_and_the_model_s_own_weights_stay(
    tmp_path: Path, shape: str
) -> None:
    made = adapted(tmp_path / "m", shape, awake=False)
    model, tokens = made.model, made.model.tokens
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    learn(made, lr=0.02)
    learned = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    adapters = {name for name in before if "lora_" in name}
    (embedding,) = learned - adapters
    weight = model.language_model.get_input_embeddings().weight
    assert dict(model.named_parameters())[embedding] is weight
    # Every linear layer has an adapter, and every adapter learns.
    assert learned == adapters | {embedding}
    per_layer = 4 if shape == "gpt2" else 7
    assert len(adapters) == 2 * 2 * per_layer  # two matrices, in two layers
    rows = set((before[embedding] != weight).any(1).nonzero().flatten().tolist())
    assert {tokens.bot, tokens.eot} <= rows <= {tokens.bot, tokens.eot, tokens.thought}
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert made.card["parameters_that_get_gradient"] == trained
    assert made.card["lora"] == dataclasses.asdict(Lora(rank=3))


@pytest.mark.parametrize("shape", SHAPES)
def test_merging_keeps_what_the_model_says_and_gives_a_plain_model(
    tmp_path: Path, shape: str
) -> None:
    made = adapted(tmp_path / "m", shape)
    model = made.model
    batch = batch_of(made)
    want = model(**batch)
    prompts = [made.curriculum.prompt(one, made.tokenizer, 2) for one in PROBLEMS]
    said = generate(model, made.tokenizer, prompts, max_new_tokens=5)
    assert merge_lora(model) == 2 * (4 if shape == "gpt2" else 7)
    assert merge_lora(model) == 0 and not model.has_adapters
    got = model(**batch)
    torch.testing.assert_close(got.logits, want.logits, **CLOSE)
    torch.testing.assert_close(got.thoughts, want.thoughts, **CLOSE)
    again = generate(model, made.tokenizer, prompts, max_new_tokens=5)
    assert [one.token_ids for one in again] == [one.token_ids for one in said]
    # The same names and sizes as a model that never had adapters.
    plain = from_hub(tmp_path / "m", Curriculum(max_stage=2)).model.state_dict()
    assert {n: w.shape for n, w in model.state_dict().items()} == {
        n: w.shape for n, w in plain.items()
    }
    model.save_pretrained(tmp_path / "merged")
    loaded = Coconut.from_pretrained(tmp_path / "merged")
    assert torch.equal(loaded(**batch).loss, got.loss)


@pytest.mark.parametrize("tied", [True, False])
def test_a_frozen_model_learns_its_new_tokens_only(tmp_path: Path, tied: bool) -> None:
    folder = save(tmp_path / "m", "llama", tie_word_embeddings=tied)
    made = from_hub(folder, Curriculum(max_stage=2), freeze=True)
    model, tokens = made.model, made.model.tokens
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learn(made, lr=0.1)
    after = model.state_dict()
    learned = {name for name in before if not torch.equal(after[name], before[name])}
    embedding = "language_model.model.embed_tokens.weight"
    assert learned == {embedding} | ({"language_model.lm_head.weight"} if tied else set())
    rows = (before[embedding] != after[embedding]).any(1).nonzero().flatten().tolist()
    # With tied embeddings the rows are outputs too, so even an unused one learns.
    assert set(rows) == {tokens.bot, tokens.eot, tokens.thought} - (
        set() if tied else {tokens.thought}
    )
    weight = model.language_model.get_input_embeddings().weight
    assert made.card["parameters_that_get_gradient"] == weight.numel()
    assert from_hub(folder, "prosqa").card["parameters_that_get_gradient"] > weight.numel()


def test_lora_without_peft_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"pip install 'coconut-lab\[lora\]'"):
        from_hub(tmp_path / "no model is looked for", "prosqa", lora=Lora())


def test_adapters_are_seeded_and_leave_the_generator_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    first, same, other = (
        adapted(tmp_path / "m", "llama", awake=False, seed=seed).model.state_dict()
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], same[name]) for name in first)
    different = {name for name in first if not torch.equal(first[name], other[name])}
    assert different == {name for name in first if "lora_A" in name}


def test_what_is_not_merged_is_not_saved(tmp_path: Path) -> None:
    made = adapted(tmp_path / "m", "llama")
    with pytest.raises(ModelError, match=r"low-rank adapters; call merge_lora\(model\) first"):
        made.model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_folder_that_lacks_weights_is_not_loaded(tmp_path: Path) -> None:
    # Such a folder loads without a word in the library, with random weights in their place.
    made = from_hub(save(tmp_path / "m", "llama"), Curriculum(max_stage=2))
    made.model.save_pretrained(tmp_path / "saved")
    adapted(tmp_path / "m", "llama").model.language_model.save_pretrained(tmp_path / "saved")
    with pytest.raises(ModelError, match="it lacks 14 weights, such as model.layers.0.mlp.down"):
        Coconut.from_pretrained(tmp_path / "saved")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "saved") is not None


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_a_run_with_adapters_goes_on_where_it_was_stopped(tmp_path: Path, shape: str) -> None:
    write_json(generate_prosqa(24, 0, notation="english"), tmp_path / "made.json")
    recipe = Recipe(
        name="adapted",
        phases=(Phase(steps=3), Phase(steps=3, stage=1)),
        batch_size=4,
        precision="fp32",
        problems=ProblemsPart(source=str(tmp_path / "made.json"), rename=False),
        curriculum=CurriculumPart(max_stage=2),
    )

    def trained(folder: str, stop: int | None = None) -> dict[str, torch.Tensor]:
        start = adapted(tmp_path / "m", shape, dropout=0.1).model
        run = Trainer(recipe, tmp_path / folder, start=start, save_every=2, progress=False)
        try:
            run.train(lambda entry: run.stop() if entry["step"] == stop else None)
        except KeyboardInterrupt:
            assert stop is not None
        return run.model.state_dict()

    want = trained("whole")
    trained("parts", stop=2)
    got = trained("parts")
    assert all(torch.equal(got[name], want[name]) for name in want)
    start = adapted(tmp_path / "m", shape).model.state_dict()
    assert any(not torch.equal(want[name], start[name]) for name in want if "lora_A" in name)


@pytest.mark.parametrize("spare_rows", [0, 225])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("how", [{"freeze": True}, {"lora": Lora(rank=2)}], ids=["freeze", "lora"])
def test_rows_that_are_promised_to_stay_stay_bit_for_bit_and_a_pause_learns(
    tmp_path: Path, how: dict[str, Any], tied: bool, spare_rows: int
) -> None:
    folder = save(tmp_path / "m", "llama", tie_word_embeddings=tied, spare_rows=spare_rows)
    start = copy.deepcopy(from_hub(folder, Curriculum(max_stage=2), **how).model)
    write_json(generate_prosqa(24, 0, notation="english"), tmp_path / "made.json")
    recipe = Recipe(
        name="paused",
        phases=(Phase(steps=20, stage=2),),
        batch_size=4,
        problems=ProblemsPart(source=str(tmp_path / "made.json"), rename=False),
        curriculum=CurriculumPart("pause_as_thought", max_stage=2),
        optimizer=OptimizerPart(lr=0.01, weight_decay=0.5, warmup_steps=0),
    )
    run = Trainer(recipe, tmp_path / "run", start=start, progress=False)
    table = start.language_model.get_input_embeddings().weight
    before = {name: weight.clone() for name, weight in start.state_dict().items()}
    old = table.detach().clone()
    assert len(table) == (512 if spare_rows else len(start.tokenizer))
    assert torch.equal(table[pause_token(start.tokenizer)], table[start.tokens.thought])
    run.train()
    moved = set((table != old).any(1).nonzero().flatten().tolist())
    new = {start.tokens.bot, start.tokens.eot, pause_token(start.tokenizer)}
    # With tied embeddings the rows are outputs too, so even an unused one learns.
    assert moved == new | ({start.tokens.thought} if tied else set())
    changed = {n for n, weight in start.state_dict().items() if not torch.equal(weight, before[n])}
    own = {name for name in changed if "lora_" not in name}
    assert own == {n for n, w in start.state_dict().items() if w.data_ptr() == table.data_ptr()}
    assert ("lora" in how) == (changed != own)

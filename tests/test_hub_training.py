"""What is trained of a model by name: all of it, its new tokens, or adapters."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_models import PROBLEMS, save

from coconut_lab.coconut import Coconut
from coconut_lab.curriculum import Curriculum, collate
from coconut_lab.hub import Lora, from_hub, merge_lora


def changed_rows(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    return (before != after).any(1).nonzero().flatten().tolist()


@pytest.mark.parametrize("tied", [True, False])
def test_a_frozen_model_learns_its_new_tokens_only(tmp_path: Path, tied: bool) -> None:
    folder = save(tmp_path / "m", "llama", tie_word_embeddings=tied)
    made = from_hub(folder, Curriculum(max_stage=1), freeze=True)
    model, tokens = made.model, made.model.tokens
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0)
    batch = collate(
        [made.curriculum.encode(one, made.tokenizer, 1) for one in PROBLEMS], made.tokenizer
    )
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    learned = {name for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}  # fmt: skip
    embedding = "language_model.model.embed_tokens.weight"
    assert learned == {embedding} | ({"language_model.lm_head.weight"} if tied else set())
    rows = changed_rows(before[embedding], model.state_dict()[embedding])
    # With tied embeddings the rows also stand for outputs, so even an unused one learns.
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


class Adapter(torch.nn.Module):
    """Stands in for an adapter of peft, with the same three methods."""

    def __init__(self, base: torch.nn.Module) -> None:
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.delta = torch.nn.Parameter(torch.full_like(base.weight, 0.01))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + x @ self.delta.T

    def get_base_layer(self) -> torch.nn.Module:
        return self.base_layer

    def merge(self) -> None:
        with torch.no_grad():
            self.base_layer.weight += self.delta


def test_adapters_are_put_in_trained_and_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def get_peft_model(model: torch.nn.Module, config: dict[str, Any]) -> None:
        asked.update(config)
        model.requires_grad_(False)
        for layer in model.model.layers:
            layer.mlp.up_proj = Adapter(layer.mlp.up_proj)

    peft = types.SimpleNamespace(LoraConfig=dict, get_peft_model=get_peft_model)
    monkeypatch.setitem(sys.modules, "peft", peft)
    made = from_hub(save(tmp_path / "m", "llama"), "prosqa", lora=Lora(rank=3, alpha=5))
    assert (asked["r"], asked["lora_alpha"], asked["target_modules"]) == (3, 5, "all-linear")
    trained = {name for name, p in made.model.named_parameters() if p.requires_grad}
    assert trained == {
        "language_model.model.embed_tokens.weight",
        *(f"language_model.model.layers.{i}.mlp.up_proj.delta" for i in range(2)),
    }
    batch = collate([made.curriculum.encode(PROBLEMS[0], made.tokenizer, 2)], made.tokenizer)
    loss = made.model(**batch).loss
    loss.backward()
    weight = made.model.language_model.get_input_embeddings().weight
    tokens = made.model.tokens
    rows = changed_rows(weight.grad, torch.zeros_like(weight))
    assert rows == [tokens.bot, tokens.eot, tokens.thought]
    assert merge_lora(made.model) == 2
    torch.testing.assert_close(made.model(**batch).loss, loss)
    made.model.save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(Coconut.from_pretrained(tmp_path / "merged")(**batch).loss, loss)


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_real_adapters_are_merged(tmp_path: Path, shape: str) -> None:
    pytest.importorskip("peft", reason="the optional library peft is not installed")
    made = from_hub(save(tmp_path / "m", shape), "prosqa", lora=Lora(rank=2))
    batch = collate([made.curriculum.encode(PROBLEMS[0], made.tokenizer, 2)], made.tokenizer)
    optimizer = torch.optim.SGD(made.model.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        made.model(**batch).loss.backward()
        optimizer.step()
    loss = made.model(**batch).loss
    assert merge_lora(made.model) > 0
    made.model.save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(
        Coconut.from_pretrained(tmp_path / "merged")(**batch).loss, loss, rtol=1e-4, atol=1e-5
    )

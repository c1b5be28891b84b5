"""What is trained of a model by name: all of it, its new tokens, or adapters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hub_models import PROBLEMS, save

from coconut_lab.checkpoints.lora import Lora
from coconut_lab.checkpoints.pretrained import from_hub
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.curriculum import Curriculum


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

"""Weights as the published code saves them, and folders whose weights are not a model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hub_models import PROBLEMS, save, tokenizer
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from coconut_lab.checkpoints.pretrained import from_hub
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.model.outputs import ModelError


class Published(nn.Module):
    """What the published code saves: a language model and, once more, its input embedding."""

    def __init__(self, language_model: Any) -> None:
        super().__init__()
        self.base_causallm = language_model
        self.embedding = language_model.get_input_embeddings()


def trained(folder: Path, shape: str) -> Any:
    """A model whose weights are others than those in its folder."""
    made = from_hub(save(folder, shape), Curriculum(max_stage=2))
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    return made


@pytest.mark.parametrize("way", ["torch", "safetensors", "plain", "without new tokens"])
@pytest.mark.parametrize("shape", ["gpt2", "mistral"])  # tied, untied
def test_published_weights_are_read_by_one_call(tmp_path: Path, shape: str, way: str) -> None:
    made = trained(tmp_path / "m", shape)
    language_model, file = made.model.language_model, tmp_path / "checkpoint_33"
    if way == "safetensors":
        file = file.with_suffix(".safetensors")
        save_model(Published(language_model), str(file))
    elif way == "torch":
        torch.save(Published(language_model).state_dict(), file)
    else:  # CoT: the language model alone
        if way == "without new tokens":
            language_model.resize_token_embeddings(len(tokenizer()), mean_resizing=False)
        torch.save(language_model.state_dict(), file)
    got = from_hub(tmp_path / "m", Curriculum(max_stage=2), weights=file)
    assert got.card["weights"] == str(file)
    if way == "without new tokens":
        source = got.model.embed(torch.tensor(made.tokenizer.convert_tokens_to_ids("<")))
        old = len(tokenizer())
        assert torch.equal(got.model.embed(torch.arange(old)), made.model.embed(torch.arange(old)))
        assert torch.equal(got.model.embed(torch.tensor(made.model.tokens.bot)), source)
        return
    batch = collate([made.curriculum.encode(one, made.tokenizer, 2) for one in PROBLEMS],
                    made.tokenizer)  # fmt: skip
    assert torch.equal(got.model(**batch).logits, made.model(**batch).logits)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    made = trained(tmp_path / "m", "llama")
    state = Published(made.model.language_model).state_dict()
    file = tmp_path / "checkpoint"
    for change, words in (
        ({"base_causallm.model.norm.weight": None}, "it lacks 1 weights, such as model.norm.w"),
        (
            {"base_causallm.model.other": torch.ones(2)},
            "has 1 weights that the model does not know, such as model.o",
        ),
        (
            {"base_causallm.model.norm.weight": torch.ones(2)},
            "1 weights have another size, such as model.norm",
        ),
        ({"step": 7}, "cannot be read as a state dict: 'int' object has no attribute 'shape'"),
    ):
        torch.save({k: v for k, v in (state | change).items() if v is not None}, file)
        with pytest.raises(ModelError, match=words):
            from_hub(tmp_path / "m", "prosqa", weights=file)


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit('code of a checkpoint was run')",))


def test_no_code_of_weights_is_run(tmp_path: Path) -> None:
    save(tmp_path / "m")
    torch.save({"a": Evil()}, tmp_path / "weights")
    with pytest.raises(ModelError, match="cannot be read as a state dict"):
        from_hub(tmp_path / "m", "prosqa", weights=tmp_path / "weights")


@pytest.mark.parametrize("kind", ["other names", "one more"])
def test_a_folder_with_other_weights_is_refused(tmp_path: Path, kind: str) -> None:
    """The library invents what is missing, and says nothing that a notebook shows."""
    file = save(tmp_path / "m", "llama") / "model.safetensors"
    state = load_file(file)
    if kind == "other names":
        state = {f"base_causallm.{name}": tensor for name, tensor in state.items()}
        words = r"it lacks \d+ weights, such as .*; it has \d+ weights .* such as base_causallm"
    else:
        state |= {"model.extra.weight": torch.ones(2)}
        words = "it has 1 weights that the model does not know, such as model.extra.weight"
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=words):
        from_hub(tmp_path / "m", "prosqa")


def test_code_of_a_folder_is_not_run_and_not_asked_about(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder = save(tmp_path / "m")
    config = (folder / "config.json").read_text()
    own = '{"auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"},'
    (folder / "config.json").write_text(own + config.replace('"gpt2"', '"mine"')[1:])
    (folder / "own.py").write_text("raise SystemExit('code of a folder was run')")
    with pytest.raises(ModelError, match="trust_remote_code"):
        from_hub(folder, "prosqa")

"""Names and folders that are refused, and the curricula that a name may be given."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hub_models import save, tokenizer
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from transformers import (
    BertConfig,
    BertForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTModel,
)

from coconut_lab.checkpoints import pretrained as hub
from coconut_lab.checkpoints.pretrained import CURRICULA, from_hub
from coconut_lab.curriculum.tokenizer import TokenizerError
from coconut_lab.model.outputs import ModelError


def test_curricula_are_those_of_the_paper(tmp_path: Path) -> None:
    found = {name: (c.max_stage, c.thoughts_per_step) for name, c in CURRICULA.items()}
    assert found == {"gsm8k-aug": (3, 2), "prontoqa": (6, 1), "prosqa": (6, 1)}
    with pytest.raises(ModelError, match="task='gsm8k'; there are gsm8k-aug, prontoqa, prosqa"):
        from_hub(tmp_path, "gsm8k")


@pytest.mark.parametrize("name", ["openai-community/gpt2", "no such name", "/nowhere/x", "a/b/c"])
def test_names_that_cannot_be_reached(name: str) -> None:
    message = (
        "not in the cache and the hub cannot be reached. Three ways"
        if name == "openai-community/gpt2"
        else "there is no model .* on the hub, and no folder of that name"
    )
    with pytest.raises(ModelError, match=message):
        from_hub(name, "prosqa")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (RepositoryNotFoundError, "there is no model 'owner/name' on the hub"),
        (GatedRepoError, "asks you to accept its licence"),
        (LocalEntryNotFoundError, r"Three ways: \(1\) give the path of a folder"),
        (HFValidationError, "there is no model"),
        (ConnectionError, "the hub cannot be reached"),
        (RuntimeError, "'owner/name' cannot be loaded: what the library says"),
    ],
)
def test_reasons_of_the_hub_are_put_in_words(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception], message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        # As the library does: its own error, with the hub's behind it.
        raise OSError("what the library says") from kind.__new__(kind)

    monkeypatch.setattr(hub.AutoConfig, "from_pretrained", fail)
    with pytest.raises(ModelError, match=message):
        from_hub("owner/name", "prosqa")


def test_encoders_are_refused(tmp_path: Path) -> None:
    bert = BertForMaskedLM(
        BertConfig(vocab_size=len(tokenizer()), hidden_size=8, num_hidden_layers=1,
                   num_attention_heads=1, intermediate_size=8)
    )  # fmt: skip
    t5 = T5ForConditionalGeneration(
        T5Config(vocab_size=60, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    vit = ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                             intermediate_size=8, image_size=16, patch_size=8))  # fmt: skip
    for model, what in (
        (bert, r"\(bert\) is an encoder; thoughts need a decoder-only model, such as GPT-2"),
        (t5, r"\(t5\) is an encoder-decoder; thoughts need"),
        (vit, r"\(vit\) is no language model"),
    ):
        model.save_pretrained(tmp_path / "m")
        tokenizer().save_pretrained(tmp_path / "m")
        with pytest.raises(ModelError, match=what):
            from_hub(tmp_path / "m", "prosqa")


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the folder .* cannot be loaded as a model"):
        from_hub(tmp_path, "prosqa")
    save(tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="the folder .*/m cannot be loaded as a model"):
        from_hub(tmp_path / "m", "prosqa")
    weights.unlink()
    torch.save({}, tmp_path / "m" / "pytorch_model.bin")  # would have to be unpickled
    with pytest.raises(ModelError, match="weights as safetensors"):
        from_hub(tmp_path / "m", "prosqa")


def test_a_tokenizer_with_nothing_to_pad_or_to_end_with(tmp_path: Path) -> None:
    save(tmp_path / "m")
    bare = tokenizer()
    bare.eos_token = None
    bare.save_pretrained(tmp_path / "m")
    with pytest.raises(TokenizerError, match="no end-of-sequence token.*set tokenizer.eos_token"):
        from_hub(tmp_path / "m", "prosqa")

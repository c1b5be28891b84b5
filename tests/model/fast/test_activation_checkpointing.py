"""Layers that are computed again: the same gradients, less memory."""

import pytest
import torch
from shapes import CONFIGS, language_model, ragged, tokenizer
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import GPT2Config, GPT2LMHeadModel

from coconut_lab.curriculum.batching import collate
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError

TOKENIZER = tokenizer()


def gradients(model: Coconut, batch: dict, recompute: bool) -> list[torch.Tensor]:
    torch.manual_seed(7)  # of the dropout
    model.zero_grad()
    model(**batch, recompute=recompute).loss.backward()
    return [weight.grad.clone() for weight in model.parameters()]


@pytest.mark.parametrize("shape", CONFIGS)
def test_gradients_are_the_same_to_the_last_bit(shape: str) -> None:
    model = Coconut(language_model(shape), TOKENIZER).train()
    batch = collate(ragged(1), TOKENIZER)
    kept, again = (gradients(model, batch, recompute) for recompute in (False, True))
    assert all(map(torch.equal, kept, again))


def test_dropout_falls_in_the_same_places() -> None:
    config = GPT2Config(vocab_size=len(TOKENIZER), n_embd=16, n_layer=3, n_head=2, n_positions=64,
                        resid_pdrop=0.3, embd_pdrop=0.3, attn_pdrop=0.3)  # fmt: skip
    model = Coconut(GPT2LMHeadModel(config), TOKENIZER).train()
    batch = collate(ragged(2), TOKENIZER)
    kept, again = (gradients(model, batch, recompute) for recompute in (False, True))
    assert all(map(torch.equal, kept, again))
    torch.manual_seed(8)
    model.zero_grad()
    model(**batch, recompute=True).loss.backward()
    other = [weight.grad for weight in model.parameters()]
    assert not all(map(torch.equal, kept, other))  # there is dropout


def test_the_memory_of_a_question_is_that_of_one_layer() -> None:
    config = GPT2Config(vocab_size=len(TOKENIZER), n_embd=32, n_layer=6, n_head=2, n_positions=256)
    model = Coconut(GPT2LMHeadModel(config), TOKENIZER).train()
    tokens = model.tokens
    row = [*[5] * 200, tokens.bot, *[tokens.thought] * 3, tokens.eot, 6, 7]
    ids = torch.tensor([row] * 4)
    labels = ids.clone()
    labels[:, :-2] = -100
    peaks = []
    for recompute in (False, True):
        gradients(model, {"input_ids": ids, "labels": labels}, recompute)  # they are there by now
        tracker = MemTracker()
        tracker.track_external(model, ids, labels)
        with tracker:
            model(input_ids=ids, labels=labels, recompute=recompute).loss.backward()
        found = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]
        peaks.append(sum(size for kind, size in found.items() if str(kind)[12:] in ("ACT", "TEMP")))
    # Five of six layers keep their input, keys and values instead of some thirty times as much.
    assert peaks[1] < 0.45 * peaks[0]


def test_a_layer_is_as_it_was_afterwards() -> None:
    model = Coconut(language_model("gpt2"), TOKENIZER).train()
    batch = collate(ragged(3), TOKENIZER)
    names = [set(vars(layer)) for layer in model.backbone.h]
    gradients(model, batch, True)
    assert [set(vars(layer)) for layer in model.backbone.h] == names
    with pytest.raises(ModelError):  # also when something goes wrong on the way
        model(**(batch | {"labels": torch.full_like(batch["labels"], -100)}), recompute=True)
    assert [set(vars(layer)) for layer in model.backbone.h] == names


def test_without_gradients_nothing_is_kept_anyway() -> None:
    model = Coconut(language_model("llama"), TOKENIZER).eval()
    batch = collate(ragged(4), TOKENIZER)
    with torch.no_grad():
        assert torch.equal(model(**batch, recompute=True).loss, model(**batch).loss)


def test_a_layer_keeps_a_forward_of_its_own() -> None:
    """Some libraries replace `forward` in one layer, as `exact` does here."""
    model = Coconut(language_model("gpt2"), TOKENIZER).train()
    layer, calls = model.backbone.h[0], []
    usual = layer.forward
    layer.forward = lambda *args, **kwargs: calls.append(1) or usual(*args, **kwargs)
    own = layer.forward
    model(**collate(ragged(1), TOKENIZER), recompute=True).loss.backward()
    assert layer.forward is own and len(calls) == 5  # 4 passes, the first of them twice

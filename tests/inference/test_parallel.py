"""Thoughts in parallel rounds against the sequential ones, and against rounds made by hand."""

from __future__ import annotations

import pytest
import torch
from shapes import language_model, tokenizer

from coconut_lab.curriculum.batching import pad_prompts
from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.inference.parallel import parallel_thoughts
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError

TOKENIZER = tokenizer()
TOKENS = thought_tokens(TOKENIZER)


@pytest.fixture(scope="module")
def model():
    return Coconut(language_model("llama"), TOKENIZER).eval()


def batch(*counts):
    """Rows of unequal length with some thoughts each, padded."""
    rows = [
        [*range(7, 9 + i), TOKENS.bot, *[TOKENS.thought] * n, TOKENS.eot, 7]
        for i, n in enumerate(counts)
    ]
    return pad_prompts(rows, TOKENIZER)


@pytest.mark.parametrize("counts", [(4, 4, 4), (4, 1, 3)])
def test_enough_rounds_give_the_sequential_thoughts(model, counts):
    given = batch(*counts)
    with torch.no_grad():
        want, found = model.latent_states(**given), parallel_thoughts(model, given, 3)
    torch.testing.assert_close(found.thoughts, want.thoughts, atol=1e-5, rtol=0)
    real = given["attention_mask"].bool()
    torch.testing.assert_close(found.hidden[real], want.hidden[real], atol=1e-5, rtol=0)
    assert found.passes == 5 and found.thought_counts.tolist() == list(counts)


@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_each_round_sets_every_thought_from_the_one_before(model, rounds):
    found = parallel_thoughts(model, batch(4, 4), rounds)
    for row in range(2):
        ids = torch.tensor([[*range(7, 9 + row), TOKENS.bot]])
        head = model.embed(ids)[0]  # (t, d)
        guesses = [model.embed(torch.tensor([[TOKENS.thought]]))[0, 0]] * 4
        guesses[0] = model.backbone(inputs_embeds=head[None]).last_hidden_state[0, -1]
        for _ in range(rounds):
            inputs = torch.cat([head, torch.stack(guesses)])
            out = model.backbone(inputs_embeds=inputs[None]).last_hidden_state[0]
            guesses = [guesses[0], *out[len(head) : -1]]
        torch.testing.assert_close(found.thoughts[row], torch.stack(guesses), atol=1e-5, rtol=0)
    found.hidden.sum().backward()
    assert model.language_model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_rounds_out_of_range(model):
    given = batch(3, 2)
    with pytest.raises(ModelError, match="rounds is -1; it must be 0 or more"):
        parallel_thoughts(model, given, -1)
    with pytest.warns(UserWarning, match="9 rounds of 3 thoughts: after 2 nothing changes any"):
        found = parallel_thoughts(model, given, 9)
    assert found.passes == 4
    torch.testing.assert_close(found.thoughts, parallel_thoughts(model, given, 2).thoughts)
    with pytest.raises(ModelError, match="there are no thoughts in this batch"):
        parallel_thoughts(model, batch(0, 0), 1)

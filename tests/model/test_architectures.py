"""The latent forward on most decoder architectures of `transformers`, against `minimal_coconut`.

Each is built tiny, with random weights. Where its last layer can be shortened, it is; where that
fails or would be wrong, it has to be left whole, and the result is the same. So it is without any
of what makes passes fast.
"""

import pytest
import torch
import transformers
from oracle import answer, latent_row, mean_loss
from shapes import tokenizer

from coconut_lab import FixedThoughts, generate
from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.passes import skips_last_layer

NAMES = (
    "Apertus Arcee BitNet Bloom CodeGen Cohere Cohere2 DiffLlama Ernie4_5 Exaone4 GPT2 GPTBigCode "
    "GPTJ GPTNeoX Gemma Gemma2 Gemma3Text Glm Glm4 Granite GraniteMoe Helium Jais2 Lfm2 Llama "
    "Mistral Mixtral Mpt NanoChat Nemotron OPT Olmo Olmo2 Olmoe Persimmon Phi Phi3 Qwen2 Qwen3 "
    "Qwen3Moe SeedOss SmolLM3 StableLm Starcoder2 VaultGemma"
).split()
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rotary_dim": 4,  # read by GPT-J and CodeGen only
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}


def made(name: str, vocabulary: int):
    """A tiny random model of an architecture; its matrices are drawn, so that no logit is tiny."""
    config = getattr(transformers, f"{name}Config", None)
    kind = getattr(transformers, f"{name.removesuffix('Text')}ForCausalLM", None)
    kind = kind or getattr(transformers, f"{name}LMHeadModel", None)
    if config is None or kind is None:
        pytest.skip(f"this version of transformers has no {name}")
    model = kind(config(vocab_size=vocabulary, **SIZES))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.3, generator=generator)
    return model.eval()


def batch(tokens):
    """Two rows of unlike length, two thoughts each: as lists, and padded; labelled at the end."""
    tail = [tokens.bot, tokens.thought, tokens.thought, tokens.eot, 7, 8]
    rows = [[6, 7, 8, 9, *tail], [8, 6, *tail]]
    ids = torch.tensor([rows[0], [0, 0, *rows[1]]])
    mask = torch.ones_like(ids)
    mask[1, :2] = 0
    labels = ids.clone()
    labels[:, :-2] = -100
    return rows, ids, mask, labels


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_an_architecture_writes_as_the_published_algorithm_does(name, fast):
    words = tokenizer()
    language_model = made(name, len(words))
    model = Coconut(language_model, words, fast=fast).eval()
    tokens = thought_tokens(words)
    heads = [[6, 7, 8, 9, tokens.bot], [8, 6, tokens.bot], [9, 9, 7, tokens.bot]]
    counts = [2, 3, 0]
    prompts = [
        [*head, *[tokens.thought] * count, tokens.eot]
        for head, count in zip(heads, counts, strict=True)
    ]
    want = [
        answer(language_model, prompt, tokens.thought, words.eos_token_id, 5) for prompt in prompts
    ]
    assert [(one.token_ids, one.finished) for one in generate(model, words, prompts, 5)] == want
    ruled = generate(
        model, words, [[*head, tokens.eot] for head in heads], 5, FixedThoughts(counts)
    )
    assert [(one.token_ids, one.finished) for one in ruled] == want


@pytest.mark.parametrize(
    ("fast", "recompute"),
    [(True, False), (True, True), (False, False)],
    ids=["fast", "recompute", "plain"],
)
@pytest.mark.parametrize("name", NAMES)
def test_an_architecture_thinks_and_learns_as_the_oracle_does(name, fast, recompute):
    words = tokenizer()
    language_model = made(name, len(words))
    model = Coconut(language_model, words, fast=fast).eval()
    assert not skips_last_layer(model.backbone) or fast
    tokens = thought_tokens(words)
    rows, ids, mask, labels = batch(tokens)

    with torch.no_grad():
        logits = model(ids, mask).logits
    for row, got, real in zip(rows, logits, mask.bool(), strict=True):
        want = latent_row(language_model, row, tokens.thought)[1]
        torch.testing.assert_close(got[real], want, rtol=1e-3, atol=1e-3)

    def gradients(loss):
        model.zero_grad()
        loss.backward()
        found = {name: weight.grad for name, weight in language_model.named_parameters()}
        return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}

    pairs = [(row, [-100] * (len(row) - 2) + row[-2:]) for row in rows]
    want_loss = mean_loss(language_model, pairs, tokens.thought)
    want = gradients(want_loss)
    output = model(ids, mask, labels=labels, recompute=recompute)
    got = gradients(output.loss)
    torch.testing.assert_close(output.loss, want_loss, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(output.logits, logits[:, -3:-1].flatten(0, 1), rtol=1e-3, atol=1e-3)
    largest = max(float(gradient.abs().max()) for gradient in want.values())
    torch.testing.assert_close(got, want, rtol=1e-2, atol=1e-3 * largest)

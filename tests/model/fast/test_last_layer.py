"""The shortened last layer: against the whole one, and the work that it leaves out."""

import copy
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import CONFIGS, exact, language_model, ragged, tokenizer
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AttentionInterface,
    CohereConfig,
    GlmConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    LlamaConfig,
    OlmoeConfig,
    Qwen2Config,
    StableLmConfig,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from coconut_lab.curriculum.batching import collate
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.fast import last_layer
from coconut_lab.model.fast.cache import preallocated_cache
from coconut_lab.model.fast.last_layer import only_needed_from, skips_last_layer

TOKENIZER = tokenizer()
EXACT = {"rtol": 1e-9, "atol": 1e-11}
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
MORE = {
    "qwen2": lambda vocab: Qwen2Config(vocab_size=vocab, num_key_value_heads=2, **SIZES),
    # Only a part of each head is rotated by the position.
    "stablelm": lambda vocab: StableLmConfig(
        vocab_size=vocab, num_key_value_heads=2, partial_rotary_factor=0.5, **SIZES
    ),
    "one layer": lambda vocab: LlamaConfig(vocab_size=vocab, **(SIZES | {"num_hidden_layers": 1})),
}
SHORT = {name: make for name, make in CONFIGS.items() if name != "mistral"} | MORE


def made(name: str) -> Coconut:
    return Coconut(exact(SHORT[name](len(TOKENIZER))), TOKENIZER)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("unread", [1, 4, 6])
@pytest.mark.parametrize("name", SHORT)
def test_what_is_read_and_what_is_kept_are_those_of_the_whole_layer(name, unread, padded):
    model = made(name)
    assert skips_last_layer(model.backbone)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(3, 7, 16, generator=generator, dtype=torch.float64)
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[1, :2] = 0
    found = []
    for column in (0, unread):
        inputs = inputs.detach().clone().requires_grad_()
        cache = preallocated_cache(model.config)
        with only_needed_from(column):
            output = model.backbone(
                inputs_embeds=inputs,
                attention_mask=mask if padded else None,
                past_key_values=cache,
                use_cache=True,
            )
        hidden = output.last_hidden_state[:, unread - 7 :]
        # A second pass behind the first reads what the first has put into the cache.
        later = model.backbone(
            inputs_embeds=inputs[:, :2],
            attention_mask=torch.cat([mask, mask[:, -2:]], 1) if padded else None,
            past_key_values=cache,
            use_cache=True,
        )
        (hidden.sin().sum() + later.last_hidden_state.sin().sum()).backward()
        keys = [layer.keys for layer in cache.layers]
        weights = {key: weight.grad.clone() for key, weight in model.named_parameters()
                   if weight.grad is not None}  # fmt: skip
        model.zero_grad()
        found.append((hidden, keys, inputs.grad, weights))
    torch.testing.assert_close(*found, **EXACT)


def assert_loss_of_all_logits(model, seed, rtol, atol):
    """Without labels every hidden state is computed; the loss is then taken by hand."""
    batch = collate(ragged(seed), TOKENIZER)
    output = model(**batch)
    labels = batch.pop("labels")
    logits = model(**batch).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
    weights = list(model.parameters())
    found = [(one, *torch.autograd.grad(one, weights)) for one in (output.loss, loss)]
    torch.testing.assert_close(*found, rtol=rtol, atol=atol)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from(sorted(SHORT)))
def test_a_loss_is_that_of_all_logits(seed, name):
    assert_loss_of_all_logits(made(name), seed, **EXACT)


def test_attention_that_can_show_its_weights_is_shortened_too():
    config = LlamaConfig(vocab_size=len(TOKENIZER), attn_implementation="eager", **SIZES)
    model = Coconut(exact(config, dtype=torch.float32), TOKENIZER)
    assert skips_last_layer(model.backbone)
    assert_loss_of_all_logits(model, 4, rtol=1e-4, atol=1e-5)


def test_of_a_question_the_last_layer_makes_keys_and_values_only():
    model = made("llama").train()
    width, inner, keys = 16, 24, 8
    ids = torch.tensor([[5] * 30 + [model.tokens.bot, model.tokens.thought, model.tokens.eot, 6]])
    counts = []
    for column in (0, 32):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            states = model.latent_states(ids, read_from=column)
        assert states.first_column == (0, 30)[column > 0]  # the thought comes from column 30
        assert states.hidden.shape[1] == 34 - states.first_column
        counts.append(counter.get_flop_counts()["Global"])
    operator = torch.ops.aten.mm
    spared = counts[0][operator] - counts[1][operator]
    # Queries, output projection and the three maps of the feed-forward part, 30 columns, 2 each.
    assert spared == 2 * 30 * (2 * width * width + 3 * width * inner)
    assert keys == model.config.num_key_value_heads * model.config.head_dim


def test_hidden_states_of_all_layers_are_given_in_every_column():
    model = made("llama")
    batch = collate(ragged(0), TOKENIZER)
    states = model.latent_states(
        batch["input_ids"], batch["attention_mask"], output_hidden_states=True, read_from=5
    )
    assert states.first_column == 0
    assert states.hidden_states[-1].shape[:2] == batch["input_ids"].shape


def test_windows_are_left_whole():
    """A sliding window keeps no column that it does not see: the library's own cache stays."""
    assert not skips_last_layer(Coconut(language_model("mistral"), TOKENIZER).backbone)


@pytest.mark.parametrize(
    "config",
    [
        CohereConfig(
            vocab_size=len(TOKENIZER), pad_token_id=0, **SIZES
        ),  # rotates pairs, not halves
        GPTNeoXConfig(vocab_size=len(TOKENIZER), **SIZES),  # one matrix for all three
        GlmConfig(  # rotates pairs, of a part of each head
            vocab_size=len(TOKENIZER), num_key_value_heads=2, head_dim=16, pad_token_id=0, **SIZES
        ),
        # Norms all keys of a column together, so the trial fails in the middle.
        OlmoeConfig(vocab_size=len(TOKENIZER), num_key_value_heads=2, **SIZES),
    ],
    ids=["cohere", "gpt_neox", "glm", "olmoe"],
)
def test_layers_that_are_built_otherwise_are_left_whole(config):
    model = Coconut(exact(config, dtype=torch.float32), TOKENIZER)  # experts need float32
    assert not skips_last_layer(model.backbone)
    for module in model.backbone.modules():
        assert not module._forward_pre_hooks
    assert_loss_of_all_logits(model, 1, rtol=1e-4, atol=1e-5)


def test_a_wrong_way_to_make_keys_is_found_out(monkeypatch):
    right = last_layer._llama_keys
    wrong = last_layer.FAMILIES[0].__class__(
        "layers",
        "self_attn",
        ("input_layernorm",),
        lambda *given: tuple(part + 0.1 for part in right(*given)),
        square=False,
    )
    monkeypatch.setattr(last_layer, "FAMILIES", (wrong,))
    backbone = Coconut(language_model("llama"), TOKENIZER).backbone
    assert not skips_last_layer(backbone)
    assert not backbone.layers[-1]._forward_pre_hooks


def test_two_owners_of_a_model_shorten_it_once():
    language = language_model("gpt2")
    for _ in range(2):
        model = Coconut(language, TOKENIZER)
    assert len(model.backbone.h[-1]._forward_pre_hooks) == 1
    assert len(model.backbone.h[-1]._forward_hooks) == 1
    twin = copy.deepcopy(model)
    assert skips_last_layer(twin.backbone)
    batch = collate(ragged(2), TOKENIZER)
    assert torch.equal(model(**batch).loss, twin(**batch).loss)


def test_what_one_thread_reads_is_no_matter_of_another():
    """A notebook looks at a model while a thread of the monitor trains it."""
    model = made("llama")
    inside, checked = threading.Event(), threading.Event()

    def reads() -> None:
        with only_needed_from(3):
            inside.set()
            checked.wait(10)

    thread = threading.Thread(target=reads)
    thread.start()
    inside.wait(10)
    output = model.backbone(inputs_embeds=torch.zeros(1, 5, 16, dtype=torch.float64))
    checked.set()
    thread.join()
    assert output.last_hidden_state.shape[1] == 5


def test_the_trial_runs_without_dropout():
    config = GPT2Config(vocab_size=len(TOKENIZER), n_embd=16, n_layer=2, n_head=2, n_positions=64)
    language = GPT2LMHeadModel(config).train()  # with the library's usual dropout
    assert skips_last_layer(Coconut(language, TOKENIZER).backbone) and language.training


def test_other_kinds_of_attention_are_left_whole():
    """`flex_attention` and others get masks of other kinds, which cannot be cut here."""
    model = made("llama")
    batch = collate(ragged(1), TOKENIZER)
    layer, widths = model.backbone.layers[-1], []
    layer.self_attn.register_forward_pre_hook(
        lambda _, args, kwargs: widths.append(kwargs["hidden_states"].shape[1]), with_kwargs=True
    )
    AttentionInterface.register("another", sdpa_attention_forward)
    for kind in ("sdpa", "another"):
        model.config._attn_implementation = kind
        with only_needed_from(3):
            model.backbone(
                inputs_embeds=model.embed(batch["input_ids"]),
                past_key_values=preallocated_cache(model.config),
                use_cache=True,
            )
    columns = batch["input_ids"].shape[1]
    assert widths == [columns - 3, columns]


def test_nothing_is_put_in_front_where_nothing_was_left_out():
    """A pass without a cache runs whole, also if somebody said that columns are not read."""
    model = Coconut(language_model("gpt2"), TOKENIZER)
    embeds = model.embed(torch.tensor([[5, 6, 7, 8]]))
    with only_needed_from(2):
        got = model.backbone(inputs_embeds=embeds, use_cache=False).last_hidden_state
    want = model.backbone(inputs_embeds=embeds, use_cache=False).last_hidden_state
    assert torch.equal(got, want)

"""The lean passes of a Llama: against the library's own, and where they must stand back."""

import copy
import platform
import subprocess
import sys
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import answer
from shapes import exact, language_model, tokenizer
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.inference import generation
from coconut_lab.inference.generation import generate
from coconut_lab.inference.halting import ConfidentHalt, FixedThoughts
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.fast import llama_on_cpu as lean
from coconut_lab.model.fast.cache import preallocated_cache
from coconut_lab.model.fast.last_layer import only_needed_from
from coconut_lab.model.fast.llama_on_cpu import FusedCache, FusedLlama, fused_llama
from coconut_lab.model.passes import cache_argument

TOKENIZER = tokenizer()
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
ROPES = (
    {"rope_type": "default", "rope_theta": 100.0},
    {"rope_type": "linear", "factor": 3.0, "rope_theta": 10000.0},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
     "rope_theta": 10000.0},
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
     "original_max_position_embeddings": 16, "rope_theta": 10000.0},
)  # fmt: skip


def twins(config: LlamaConfig, seed: int = 0) -> tuple[LlamaForCausalLM, LlamaForCausalLM]:
    """The library's model, exact in float64, and one with the same weights and nothing replaced.

    The lean passes stand back before a replaced `forward`, so the first takes the library's way.
    """
    whole = exact(config, seed)
    plain = LlamaForCausalLM(config).to(torch.float64).eval()
    plain.load_state_dict(whole.state_dict())
    return whole, plain


def single() -> Coconut:
    """A random Llama in single precision, as the library makes it."""
    return Coconut(language_model("llama", dtype=torch.float32), TOKENIZER)


@st.composite
def configs(draw):
    shared, groups = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2]))
    return LlamaConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=draw(st.sampled_from([8, 16])),
        head_dim=draw(st.sampled_from([2, 4, 6])),
        intermediate_size=draw(st.integers(3, 20)),
        num_hidden_layers=draw(st.integers(1, 3)),
        num_attention_heads=shared * groups,
        num_key_value_heads=groups,
        attention_bias=draw(st.booleans()),
        mlp_bias=draw(st.booleans()),
        hidden_act=draw(st.sampled_from(["silu", "gelu_new", "relu"])),
        rope_parameters=draw(st.sampled_from(ROPES)),
        max_position_embeddings=64,
        initializer_range=0.4,
        rms_norm_eps=draw(st.sampled_from([1e-6, 0.1])),
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )


@st.composite
def passes(draw):
    """Pads of each row, how many columns each pass has, and how many of the first are not read."""
    pads = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    columns = [draw(st.integers(5, 9)), *draw(st.lists(st.integers(1, 3), max_size=5))]
    return pads, columns, draw(st.integers(0, columns[0] - 1))


@settings(max_examples=80)
@given(configs(), passes(), st.integers(0, 99), st.sampled_from([0, 60, lean.FEW_SCORES]))
def test_every_pass_of_any_llama_is_the_librarys(config, asked, seed, few):
    pads, columns, unread = asked
    whole, plain = (Coconut(model, TOKENIZER).backbone for model in twins(config, seed))
    rows, total = len(pads), sum(columns)
    inputs = torch.randn(
        rows, total, config.hidden_size, generator=torch.Generator().manual_seed(seed)
    ).double()
    mask = (torch.arange(total) >= torch.tensor(pads)[:, None]).long()
    position = (mask.cumsum(1) - 1).clamp(min=0)
    given_mask = mask if any(pads) else None
    with torch.no_grad(), mock.patch.object(lean, "FEW_SCORES", few):
        assert fused_llama(whole) is None
        runs = fused_llama(plain)
        wide, short = (
            preallocated_cache(config),
            runs.cache(columns[0]),
        )  # so that later passes need more
        start = 0
        for index, count in enumerate(columns):
            stop = start + count
            for run, cache in ((whole, wide), (runs, short)):
                with only_needed_from(0 if index else unread):
                    output = run(
                        inputs_embeds=inputs[:, start:stop],
                        attention_mask=None if given_mask is None else mask[:, :stop],
                        position_ids=position[:, start:stop],
                        **{cache_argument(run) if run is whole else "cache": cache},
                        use_cache=True,
                    ).last_hidden_state
                if run is whole:
                    want = output
            real = mask[:, start:stop].bool()[:, -output.shape[1] :]
            want = want[:, -output.shape[1] :]
            assert output.shape[1] == count - (0 if index else unread)
            torch.testing.assert_close(output[real], want[real], **CLOSE)
            start = stop
    assert short.length == total


@st.composite
def ragged_prompts(draw):
    words = st.integers(2, len(TOKENIZER) - 4)
    tokens = thought_tokens(TOKENIZER)
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        question = draw(st.lists(words, min_size=1, max_size=9))
        thoughts = [tokens.thought] * draw(st.integers(0, 4))
        latent = [tokens.bot, *thoughts, tokens.eot] if draw(st.booleans()) else []
        rows.append(question + latent + draw(st.lists(words, max_size=2)))
    return rows


@settings(max_examples=40)
@given(configs(), ragged_prompts(), st.integers(0, 99))
def test_any_batch_is_one_by_one_and_as_published(config, asked, seed):
    whole, plain = twins(config, seed)
    model = Coconut(plain, TOKENIZER)
    batch = generate(model, TOKENIZER, asked, 12)
    for prompt, got in zip(asked, batch, strict=True):
        want = answer(whole, prompt, model.tokens.thought, TOKENIZER.eos_token_id, 12)
        assert (got.token_ids, got.finished) == want
        assert generate(model, TOKENIZER, [prompt], 12) == [got]


def thinking_prompts(model: Coconut) -> list[list[int]]:
    return [[*range(5, 5 + count), model.tokens.bot] for count in (2, 9, 4, 4, 7)]


@pytest.mark.parametrize("rows", [1, 2, None])
def test_rows_that_halt_at_their_own_pace_are_those_of_the_library(rows):
    config = LlamaConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.4, bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    models = [Coconut(language, TOKENIZER) for language in twins(config, 3)]
    rules = [ConfidentHalt(2.5, max_thoughts=5), FixedThoughts([0, 1, 2, 3, 4])]
    for rule in rules:
        want, got = (
            generate(
                model, TOKENIZER, thinking_prompts(model), 9, rule, return_thoughts=True,
                batch_size=rows,
            )
            for model in models
        )  # fmt: skip
        assert got == want
        assert len({one.thoughts_used for one in got}) > 1  # they do not all stop together
        for one, other in zip(got, want, strict=True):
            torch.testing.assert_close(one.thoughts, other.thoughts, **CLOSE)


def counted(model: Coconut, *arguments, **options) -> int:
    """How many lean passes a call of `generate` takes."""
    calls = []
    run = FusedLlama.__call__

    def noted(*args, **kwargs):
        calls.append(1)
        return run(*args, **kwargs)

    with mock.patch.object(FusedLlama, "__call__", noted):
        generate(model, TOKENIZER, *arguments, **options)
    return len(calls)


def test_a_batch_takes_as_many_passes_as_theory_says():
    model = single()
    thoughts = [model.tokens.thought] * 3
    asked = [[*prompt, *thoughts, model.tokens.eot] for prompt in thinking_prompts(model)]
    longest = max(
        len(one.token_ids) - (not one.finished) for one in generate(model, TOKENIZER, asked, 6)
    )
    assert counted(model, asked, 6) == 1 + 3 + longest


def _hooked(model):
    model.backbone.layers[0].mlp.register_forward_hook(lambda *_: None)


def _hooked_before(model):
    model.backbone.register_forward_pre_hook(lambda *_: None)


def _replaced(model):
    layer = model.backbone.layers[0].self_attn
    layer.forward = layer.forward


def _adapted(model):
    class Adapted(nn.Linear):
        """As an adapter or a quantized layer would be."""

    attention = model.backbone.layers[1].self_attn
    attention.q_proj = Adapted(*attention.q_proj.weight.shape[::-1], bias=False)


def _eager(model):
    model.language_model.set_attn_implementation("eager")


@pytest.mark.parametrize(
    "change",
    [
        _hooked, _hooked_before, _replaced, _adapted, _eager,
        lambda model: model.train(),
        lambda model: model.to("meta"),
        lambda model: model.to(torch.bfloat16),
        lambda model: model.backbone.norm.to(torch.float64),
    ],
)  # fmt: skip
def test_it_stands_back_where_something_is_not_the_librarys(change):
    model = single()
    with torch.no_grad():
        assert isinstance(fused_llama(model.backbone), FusedLlama)
        change(model)
        assert fused_llama(model.backbone) is None


def test_it_stands_back_before_gradients_other_kinds_and_mixed_precision():
    llama = single()
    assert fused_llama(llama.backbone) is None  # gradients are wanted
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert fused_llama(llama.backbone) is None
    for name in ("gpt2", "qwen", "mistral", "gemma"):
        with torch.no_grad():
            assert fused_llama(Coconut(language_model(name), TOKENIZER).backbone) is None


def test_hooks_see_every_pass_and_change_nothing():
    model = single()
    asked = [[*prompt, model.tokens.eot] for prompt in thinking_prompts(model)]
    want = generate(model, TOKENIZER, asked, 6)
    seen = []
    hook = model.backbone.layers[0].register_forward_hook(lambda *_: seen.append(1))
    assert counted(model, asked, 6) == 0 < len(seen)
    assert generate(model, TOKENIZER, asked, 6) == want
    hook.remove()
    assert counted(model, asked, 6) > 0
    model(torch.tensor([[5, 6]]), output_hidden_states=True)  # the library leaves hooks behind
    assert counted(model, asked, 6) > 0


def test_changed_weights_count_at_once():
    whole, plain = twins(LlamaConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, initializer_range=0.4, pad_token_id=0,
        bos_token_id=None, eos_token_id=1,
    ))  # fmt: skip
    models = [Coconut(language, TOKENIZER) for language in (whole, plain)]
    asked = thinking_prompts(models[0])
    before = generate(models[1], TOKENIZER, asked, 9)
    for model in models:
        for layer in model.backbone.layers:
            layer.self_attn.k_proj.weight.data *= -1  # behind the back of version counters
    after = [generate(model, TOKENIZER, asked, 9) for model in models]
    assert after[0] == after[1] != before


def cache_with(runs: FusedLlama, rows: int, columns: int, after: FusedCache | None = None):
    cache = runs.cache(columns, after)
    inputs = torch.randn(rows, columns, 16, generator=torch.Generator().manual_seed(rows))
    output = runs(inputs, None, torch.arange(columns).expand(rows, -1), cache)
    return cache, output.last_hidden_state


@torch.no_grad()
def test_memory_is_used_again_and_nothing_of_it_is_read():
    runs = fused_llama(single().backbone)
    for rows, columns in ((2, 3), (4, 5), (5, 9)):  # less, as much, more
        old, _ = cache_with(runs, 4, 5)
        for rooms in old.memories:
            for room in rooms:
                room.fill_(torch.nan)
        cache, got = cache_with(runs, rows, columns, old)
        torch.testing.assert_close(got, cache_with(runs, rows, columns)[1])
        again = cache.memories[0][0].data_ptr() == old.memories[0][0].data_ptr()
        assert again == (rows * columns <= 20)


@torch.no_grad()
def test_a_copy_shares_the_model_and_no_memory():
    runs = fused_llama(single().backbone)
    cache, _ = cache_with(runs, 3, 5)
    twin = copy.deepcopy(cache)
    twin.reorder_cache(torch.tensor([2]))
    runs(torch.ones(1, 2, 16), None, torch.tensor([[5, 6]]), twin)
    assert twin.layers is cache.layers and (cache.length, twin.length) == (5, 7)
    assert [len(room) for rooms in cache.memories for room in rooms] == [3] * 4
    for mine, others in zip(cache.memories, twin.memories, strict=True):
        torch.testing.assert_close(mine[0][2:], others[0][:, :, :5])
    for memory in (memory for layer in twin.memories for memory in layer):
        memory.fill_(torch.nan)
    torch.testing.assert_close(cache.memories, cache_with(runs, 3, 5)[0].memories)


def test_without_padding_no_row_pays_for_another(monkeypatch):
    """Parts of one length need no mask; a mask is made only where something is padded."""
    monkeypatch.setattr(generation, "CPU_PART", 2)
    model = single()
    masks = []
    run = FusedLlama.__call__

    def noted(self, **kwargs):
        masks.append(kwargs["attention_mask"])
        return run(self, **kwargs)

    with mock.patch.object(FusedLlama, "__call__", noted):
        generate(model, TOKENIZER, [[5, 6, 7], [7, 6, 5], [5, 6], [6, 5]], 3)
        assert masks and all(mask is None for mask in masks)
        masks.clear()
        generate(model, TOKENIZER, [[5, 6, 7], [5, 6]], 3)
        assert all(mask is not None for mask in masks)


FAULTS = """
import resource
from coconut_lab import generate, generate_prosqa, load
checkpoint = load("tiny-coconut")
problems = generate_prosqa(200, 0)
prompts = [checkpoint.curriculum.prompt(one, checkpoint.tokenizer, 3) for one in problems]
for turn in range(5):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    generate(checkpoint.model, checkpoint.tokenizer, prompts)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks GNU's C library")
def test_freed_memory_is_kept():
    # Without `keep_freed_memory` there were 25,000 to 65,000 page faults, with it 12 to 1,500.
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True)
    assert int(found.stdout) < 6000, found.stderr

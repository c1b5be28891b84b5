"""Generation against a slow, plain version of itself."""

import functools
import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import answer, latent_row
from shapes import CONFIGS, bpe_tokenizer, exact, language_model, ragged, tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, GPT2Config

from coconut_lab.curriculum.stages_and_masks import METHODS, Curriculum
from coconut_lab.curriculum.tokenizer import add_pause_token, thought_tokens
from coconut_lab.inference.generation import generate
from coconut_lab.inference.halting import ConfidentHalt, FixedThoughts, HaltError
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.problems import Problem

TOKENIZER = tokenizer()
TOKENS = thought_tokens(TOKENIZER)


@functools.cache
def model_that_ends(shape, seed=0, bias=None):
    """A random model that ends often enough that rows end at different times; or always, never."""
    model = Coconut(language_model(shape, seed), TOKENIZER)
    head = model.language_model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(head.out_features, dtype=torch.float64))
    with torch.no_grad():
        head.bias[TOKENIZER.eos_token_id] = bias or (3.0 if shape != "gpt2" else 2.0)
    return model


@contextmanager
def passes_of(model):
    """The shape (rows, columns, d) of what goes through the backbone, pass by pass."""
    seen = []
    handle = model.backbone.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(tuple(kwargs["inputs_embeds"].shape)), with_kwargs=True
    )
    yield seen
    handle.remove()


def prompts(seed=0):
    rows = ragged(seed)
    return [ids[: len(ids) - sum(label != -100 for label in labels)] for ids, labels in rows]


@st.composite
def ragged_prompts(draw):
    """Questions of any length, with any number of thoughts, with markers or without."""
    words = st.integers(2, len(TOKENIZER) - 4)
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        question = draw(st.lists(words, min_size=1, max_size=9))
        thoughts = [TOKENS.thought] * draw(st.integers(0, 4))
        latent = [TOKENS.bot, *thoughts, TOKENS.eot] if draw(st.booleans()) else []
        rows.append(question + latent + draw(st.lists(words, max_size=2)))
    return rows


@pytest.mark.parametrize("shape", CONFIGS)
@settings(max_examples=8)
@given(seed=st.integers(0, 9), asked=ragged_prompts())
def test_any_batch_writes_what_the_published_code_writes_one_by_one(shape, seed, asked):
    model = model_that_ends(shape, seed)
    batch = generate(model, TOKENIZER, asked, max_new_tokens=7)
    for prompt, got in zip(asked, batch, strict=True):
        want, finished = answer(
            model.language_model, prompt, TOKENS.thought, TOKENIZER.eos_token_id, 7
        )
        assert (got.token_ids, got.finished) == (want, finished)
        assert got.stopped == ("end of sequence" if finished else "limit of 7 new tokens")
        assert got.thoughts_used == prompt.count(TOKENS.thought) and got.halted == "prompt"
        assert got.text == TOKENIZER.decode(want)
        assert generate(model, TOKENIZER, [prompt], max_new_tokens=7) == [got]


@pytest.mark.parametrize("method", METHODS)
def test_models_of_every_method_go_through_the_same_call(method):
    pausing = tokenizer()
    add_pause_token(pausing)
    language = language_model("llama", 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        language.resize_token_embeddings(len(pausing), mean_resizing=False)
    model = Coconut(language, pausing)
    curriculum = Curriculum(method, max_stage=2, pad_to_max=False)
    problems = [
        Problem(" ".join(f"w{(i * j) % 20}" for j in range(2 + i)), tuple(["w1", "w2"][:i]), "w3")
        for i in range(1, 4)
    ]
    asked = [curriculum.prompt(problem, pausing, 2) for problem in problems]
    for prompt, got in zip(asked, generate(model, pausing, asked, 5), strict=True):
        want = answer(language, prompt, TOKENS.thought, 1, 5)
        assert (got.token_ids, got.finished) == want


@pytest.mark.parametrize(
    ("bias", "length", "stopped"), [(1e3, 0, "end of sequence"), (-1e3, 9, "limit of 9 new tokens")]
)
def test_an_end_may_come_at_once_or_never(bias, length, stopped):
    for one in generate(model_that_ends("llama", 1, bias), TOKENIZER, prompts(), 9):
        assert (len(one.token_ids), one.finished, one.stopped) == (length, not length, stopped)
        assert one.passes == 1 + one.thoughts_used + max(0, length - 1)


def test_thoughts_are_returned_on_request():
    model = Coconut(language_model("qwen", 1), TOKENIZER)
    for prompt, one in zip(
        prompts(), generate(model, TOKENIZER, prompts(), 2, return_thoughts=True), strict=True
    ):
        want = latent_row(model.language_model, prompt, TOKENS.thought)[0]
        assert one.thoughts.shape == (len(want), 16)
        torch.testing.assert_close(one.thoughts, want)
    assert generate(model, TOKENIZER, prompts(), 2)[0].thoughts is None


def test_a_batch_takes_the_passes_of_its_slowest_row():
    model = model_that_ends("gpt2", 1)
    same = [[*range(5, 5 + n), TOKENS.bot, *[TOKENS.thought] * 3, TOKENS.eot] for n in (2, 5, 9)]
    for asked in (same, *([prompt] for prompt in prompts())):
        with passes_of(model) as seen:
            batch = generate(model, TOKENIZER, asked, 6)
        written = max(len(one.token_ids) - (not one.finished) for one in batch)
        thoughts = max(one.thoughts_used for one in batch)
        assert len(seen) == 1 + thoughts + written == max(one.passes for one in batch)


def test_parts_of_a_batch_change_nothing_but_the_speed():
    model = model_that_ends("gpt2", 1)
    asked = [prompt for seed in range(4) for prompt in prompts(seed)]
    want = generate(model, TOKENIZER, asked, 6, return_thoughts=True)
    for rows in (1, 3, 7, 100):
        with passes_of(model) as seen:
            got = generate(model, TOKENIZER, asked, 6, batch_size=rows, return_thoughts=True)
        assert got == want and max(seen)[0] == min(rows, len(asked))
        for one, other in zip(got, want, strict=True):
            torch.testing.assert_close(one.thoughts, other.thoughts)
    with pytest.raises(ModelError, match="batch_size is 0"):
        generate(model, TOKENIZER, asked, 6, batch_size=0)


def test_rows_that_have_finished_leave_the_batch():
    model = model_that_ends("llama", 2)
    asked = [prompt for seed in range(3) for prompt in prompts(seed)]
    with passes_of(model) as seen:
        batch = generate(model, TOKENIZER, asked, 7)
    after = [len(one.token_ids) - (not one.finished) for one in batch]  # passes after the prompt
    decoding = [sum(count > step for count in after) for step in range(max(after))]
    assert [rows for rows, *_ in seen][-len(decoding) :] == decoding
    assert decoding[-1] < decoding[0] < len(asked)


def dropping_model():
    """A model that would write something else every time in training mode."""
    config = GPT2Config(
        vocab_size=len(TOKENIZER), n_embd=16, n_layer=2, n_head=2, n_positions=64,
        resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5, initializer_range=0.3,
        bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    return Coconut(exact(config), TOKENIZER)


def test_dropout_stays_out_of_generation_and_modes_stay_as_they_were():
    model = dropping_model()
    want = generate(model, TOKENIZER, prompts(), 6)
    model.train()
    model.backbone.h[0].eval()  # somebody froze a layer
    modes = {name: module.training for name, module in model.named_modules()}
    assert generate(model, TOKENIZER, prompts(), 6) == want
    assert {name: module.training for name, module in model.named_modules()} == modes
    with torch.no_grad():
        model.language_model.get_output_embeddings().weight.fill_(math.nan)
    with pytest.raises(ModelError, match="NaN"):
        generate(model, TOKENIZER, prompts(), 6)
    assert {name: module.training for name, module in model.named_modules()} == modes


def test_wrapping_a_model_leaves_its_modes_as_they_were():
    language = dropping_model().language_model.train()
    language.transformer.h[0].eval()
    modes = [module.training for module in language.modules()]
    Coconut(language, TOKENIZER)
    assert [module.training for module in language.modules()] == modes


def test_bad_prompts_are_named():
    model, seen = Coconut(language_model("llama"), TOKENIZER), []
    model.backbone.register_forward_pre_hook(lambda *_: seen.append(1))
    with pytest.raises(ModelError, match="list of prompts is empty"):
        generate(model, TOKENIZER, [])
    with pytest.raises(ModelError, match="prompt 1 is empty"):
        generate(model, TOKENIZER, [[3], []])
    with pytest.raises(ModelError, match="need 70 positions but the model has 64"):
        generate(model, TOKENIZER, [[3] * 10], max_new_tokens=60)
    with pytest.raises(ModelError, match="prompt 2 starts with <thought>"):
        generate(model, TOKENIZER, [[3], [4], [TOKENS.thought, 5]], 4)
    with pytest.raises(ModelError, match="max_new_tokens is 0"):
        generate(model, TOKENIZER, [[3]], max_new_tokens=0)
    for bad in (["some words"], [3, 4], [[3], None], [[3.0]], torch.tensor([3, 4])):
        with pytest.raises(ModelError, match="give a list of prompts, each a list of token ids"):
            generate(model, TOKENIZER, bad)
    for wrong in (len(TOKENIZER), -1):
        with pytest.raises(ModelError, match=f"prompt 1 has the token {wrong}, but the model has"):
            generate(model, TOKENIZER, [[3], [4, wrong, 5]])
    for bad in (3, "fixed", FixedThoughts):
        with pytest.raises(HaltError, match=r"give a rule, such as FixedThoughts\(3\)"):
            generate(model, TOKENIZER, [[3, TOKENS.bot]], halting=bad)
    assert seen == []


def test_prompts_may_be_tensors_or_arrays():
    model = Coconut(language_model("llama"), TOKENIZER)
    ids = [[3, 4, 5], [6, 7, 8]]
    want = [one.token_ids for one in generate(model, TOKENIZER, ids, 4)]
    for kind in (torch.tensor, np.array):
        assert [one.token_ids for one in generate(model, TOKENIZER, kind(ids), 4)] == want


def test_broken_weights_are_named():
    model = Coconut(language_model("llama"), TOKENIZER)
    with torch.no_grad():
        model.language_model.get_input_embeddings().weight[7] = float("nan")
    # With tied embeddings one broken row of the table breaks every row of logits.
    with pytest.raises(ModelError, match="logits of prompt 0 for new token 0 .*NaN"):
        generate(model, TOKENIZER, [[3, 4], [5, 7]], 4)
    model = Coconut(language_model("gpt2"), TOKENIZER)

    def overflow(_module, _arguments, output):
        output.last_hidden_state[1] = float("nan")

    model.backbone.register_forward_hook(overflow)
    with pytest.raises(ModelError, match="logits of prompt 1 for new token 0 .*NaN"):
        generate(model, TOKENIZER, [[3, 4], [5, 7]], 4)


def test_a_look_ahead_reads_the_end_of_thinking_and_the_mark_of_the_answer():
    """Also where the tokenizer puts a token of its own before every text."""
    beginning = bpe_tokenizer()
    beginning.add_special_tokens({"bos_token": "<s>"})
    beginning.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", beginning.bos_token_id)]
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        language = AutoModelForCausalLM.from_config(CONFIGS["gpt2"](len(beginning)))
    model, read = Coconut(language, beginning), []
    embed = model.embed
    model.embed = lambda ids: read.append(ids[0].tolist()) or embed(ids)
    prompt = [5, 6, model.tokens.bot]
    generate(model, beginning, [prompt], 1, ConfidentHalt(99.0, max_thoughts=1))
    mark = beginning("###", add_special_tokens=False).input_ids
    assert read[1] == [model.tokens.eot, *mark]


def test_a_rule_may_keep_and_train_on_what_it_is_given():
    model = model_that_ends("llama", 1)
    kept = []

    class Keeps:
        max_thoughts = 2

        def check(self, model):
            pass

        def stop(self, context):
            kept.append(context.hidden)
            return torch.zeros(len(context.hidden), dtype=torch.bool)

    generate(model, TOKENIZER, [[5, 6, TOKENS.bot]], 2, Keeps())
    weight = torch.zeros(16, dtype=torch.float64, requires_grad=True)
    (torch.cat(kept) @ weight).sum().backward()  # refused for tensors of inference mode
    torch.testing.assert_close(weight.grad, torch.cat(kept).sum(0))


def test_thinking_begins_at_the_last_bot():
    model = model_that_ends("llama", 1)
    prompt = [5, TOKENS.bot, TOKENS.thought, TOKENS.eot, 6, TOKENS.bot, TOKENS.eot]
    (got,) = generate(model, TOKENIZER, [prompt], 3, FixedThoughts(2))
    want = [*prompt[:-1], TOKENS.thought, TOKENS.thought, TOKENS.eot]
    assert got.token_ids == generate(model, TOKENIZER, [want], 3)[0].token_ids
    assert got.thoughts_used == 3

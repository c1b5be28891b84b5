"""Models are tried when they are wrapped: what would think wrongly is refused, and why is said."""

import types

import pytest
import torch
import transformers as tf
from oracle import answer, latent_row, mean_loss
from packaging.version import Version
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from shapes import CONFIGS, exact, language_model, ragged, tokenizer

from coconut_lab.checkpoints.lora import merge_lora
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.inference.generation import generate
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError
from coconut_lab.model.passes import cache_argument, skips_last_layer

TOKENIZER = tokenizer()
TOKENS = thought_tokens(TOKENIZER)
WORDS = {"vocab_size": len(TOKENIZER), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1}
SIZES = WORDS | {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
}  # fmt: skip
MAMBA = {
    "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
}  # fmt: skip
LINEAR = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
REFUSED = {
    "no cache": (
        lambda: tf.MambaForCausalLM(tf.MambaConfig(**WORDS, hidden_size=32, num_hidden_layers=2)),
        "MambaForCausalLM cannot think: ",  # MambaModel takes no key-value cache, or not this one
    ),
    "no cache either": (
        lambda: tf.OpenAIGPTLMHeadModel(tf.OpenAIGPTConfig(**WORDS, n_embd=16, n_layer=1,
                                                           n_head=2)),
        "OpenAIGPTLMHeadModel cannot think: OpenAIGPTModel takes no key-value cache",
    ),
    "embeddings of every layer": (
        lambda: tf.Gemma4ForCausalLM(tf.Gemma4TextConfig(
            **SIZES, hidden_size_per_layer_input=8, vocab_size_per_layer_input=len(TOKENIZER),
            num_kv_shared_layers=0, layer_types=["sliding_attention", "full_attention"],
        )),
        "Gemma4ForCausalLM cannot think: ",  # it looks for the token of an embedding, and fails
    ),
    "positions from token ids": (
        lambda: tf.RobertaForCausalLM(tf.RobertaConfig(**SIZES, is_decoder=True)),
        "embeddings in place of token ids give other logits",
    ),
    "an encoder": (
        lambda: tf.BertLMHeadModel(tf.BertConfig(**SIZES)),
        "BertLMHeadModel cannot think: it looks ahead: logits change with the tokens that follow",
    ),
    "several columns": (
        lambda: tf.JambaForCausalLM(tf.JambaConfig(
            **SIZES, attn_layer_offset=1, attn_layer_period=2, mamba_d_state=8, mamba_dt_rank=4,
            num_experts=1, num_experts_per_tok=1, use_mamba_kernels=False,
        )),
        "several columns behind a filled cache are not what they are in a whole pass",
    ),
    "no text": (
        lambda: tf.MusicgenForCausalLM(tf.MusicgenDecoderConfig(
            vocab_size=len(TOKENIZER), hidden_size=16, num_hidden_layers=1, ffn_dim=16,
            num_attention_heads=2,
        )),
        "MusicgenForCausalLM is no decoder-only language model",
    ),
}  # fmt: skip
HYBRIDS = {
    "qwen3.5": lambda: tf.Qwen3_5ForCausalLM(tf.Qwen3_5TextConfig(**SIZES, **LINEAR)),
    "lfm2": lambda: tf.Lfm2ForCausalLM(
        tf.Lfm2Config(**SIZES, layer_types=["conv", "full_attention"])
    ),
    "bamba": lambda: tf.BambaForCausalLM(tf.BambaConfig(**SIZES, **MAMBA, attn_layer_indices=[1])),
}


# What works by now and did not before: then it has to be refused.
if Version(tf.__version__) < Version("5.23"):
    REFUSED["padding"] = HYBRIDS.pop("lfm2"), "Lfm2ForCausalLM cannot think: .*size of tensor"
    REFUSED["states"] = HYBRIDS.pop("bamba"), "Bamba.* cannot think: several columns behind a fill"

ASKED = [[5, 6, 7, 8, 9], [7, 8], [9, 4, 11], [20]]


def drawn(make):
    """A model with large random matrices, so that no difference is tiny."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().float().eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.normal_(0, 0.3)
    return model


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_think_wrongly_is_refused_in_words(name):
    make, words = REFUSED[name]
    with pytest.raises(ModelError, match=words):
        Coconut(drawn(make), TOKENIZER)


@pytest.mark.parametrize("name", HYBRIDS)
def test_hybrids_think_and_write_as_the_oracle_does(name):
    plain = drawn(HYBRIDS[name])
    model, rows = Coconut(plain, TOKENIZER), ragged(1)
    batch = collate(rows, TOKENIZER)
    with torch.no_grad():
        thoughts = model(**batch).thoughts
        for row, (ids, _) in enumerate(rows):
            want = latent_row(plain, ids, TOKENS.thought)[0]
            torch.testing.assert_close(thoughts[row][: len(want)], want, rtol=1e-4, atol=1e-4)
    prompts = [[*ids, TOKENS.bot, *[TOKENS.thought] * 2, TOKENS.eot] for ids in ASKED]
    # Rows leave the batch one after the other: what the second writes first ends it.
    end = answer(plain, prompts[1], TOKENS.thought, -1, 6)[0][0]
    words = tokenizer()
    words.eos_token = words.convert_ids_to_tokens(end)
    written = generate(model, words, prompts, 6)
    assert len({len(one.token_ids) for one in written}) > 1
    for prompt, one in zip(prompts, written, strict=True):
        assert (one.token_ids, one.finished) == answer(plain, prompt, TOKENS.thought, end, 6)


def test_padding_after_the_first_thought_is_refused_where_it_would_be_read():
    """As where the prompts of a batch have their thoughts in other columns."""
    prompts = [[5, 6, 7, 8, 9, TOKENS.bot, *[TOKENS.thought] * 3, TOKENS.eot], [7, 8]]
    for name in sorted({"lfm2", "qwen3.5"} & {*HYBRIDS}):
        plain = drawn(HYBRIDS[name])
        model = Coconut(plain, TOKENIZER)
        with pytest.raises(ModelError, match="takes padding for tokens after the first thought"):
            generate(model, TOKENIZER, prompts, 4)
        written = generate(model, TOKENIZER, prompts, 4, batch_size=1)
        for prompt, one in zip(prompts, written, strict=True):
            want = answer(plain, prompt, TOKENS.thought, TOKENIZER.eos_token_id, 4)
            assert (one.token_ids, one.finished) == want


@pytest.mark.parametrize("name", sorted({"qwen3.5", "lfm2"} & {*HYBRIDS}))
def test_hybrids_learn_what_the_oracle_would(name):
    plain = drawn(HYBRIDS[name])
    model, rows = Coconut(plain, TOKENIZER), ragged(1)
    weights = [weight for weight in plain.parameters() if weight.requires_grad]
    losses = model(**collate(rows, TOKENIZER)).loss, mean_loss(plain, rows, TOKENS.thought)
    got, want = (torch.autograd.grad(loss, weights, allow_unused=True) for loss in losses)
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", {"bamba"} & {*HYBRIDS})
def test_what_cannot_be_trained_says_so_before_it_is_trained(name):
    model = Coconut(drawn(HYBRIDS[name]), TOKENIZER)
    with pytest.raises(ModelError, match=r"BambaForCausalLM can be read .* not trained: .*inplace"):
        model(**collate(ragged(1), TOKENIZER))


def changed(plain, part, change):
    """Give a module of a model a `forward` of its own."""
    module = plain.get_submodule(part)
    usual = module.forward
    module.forward = types.MethodType(lambda _, *a, **k: change(usual, *a, **k), module)
    return plain


def _forget(usual, *args, **kwargs):
    kept = {name: value for name, value in kwargs.items() if not isinstance(value, tf.Cache)}
    return usual(*args, **(kept | {"attention_mask": None}))


def _padding_seen(usual, *args, attention_mask=None, **kwargs):
    return usual(*args, attention_mask=None, **kwargs)


def _cut_behind_a_cache(usual, *args, **kwargs):
    hidden, *rest = usual(*args, **kwargs)
    cached = any(isinstance(value, tf.Cache) for value in (*args, *kwargs.values()))
    return (hidden.detach() if cached else hidden, *rest)


def test_a_model_that_a_user_has_changed_is_tried_as_it_is():
    with pytest.raises(ModelError, match="one column behind a filled cache is not what it is"):
        Coconut(changed(language_model("llama"), "model", _forget), TOKENIZER)
    with pytest.raises(ModelError, match="a row with padding on its left is not what it is alone"):
        Coconut(changed(language_model("llama"), "model", _padding_seen), TOKENIZER)


def test_weights_that_are_no_numbers_are_called_that():
    broken = language_model("llama")
    broken.model.layers[0].mlp.up_proj.weight.data[0] = torch.nan
    with pytest.raises(ModelError, match="its logits are not numbers; weights are broken"):
        Coconut(broken, TOKENIZER)


@pytest.mark.parametrize("shape", CONFIGS)
def test_a_trial_leaves_no_trace(shape):
    """With dropout, in training mode, in half precision, and wherever gradients are off."""
    plain = language_model(shape, dtype=torch.bfloat16).train()
    for module in plain.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    before = torch.random.get_rng_state()
    for guard in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with guard():
            assert not Coconut(plain, TOKENIZER).untrainable
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(module.training for module in plain.modules())
    assert all(weight.grad is None for weight in plain.parameters())


# --- wrapped and unusual models ----------------------------------------------------------------


def test_a_model_that_peft_has_wrapped_is_used_with_its_adapters():
    plain, rows = language_model("llama", dtype=torch.float32), ragged(2)
    wrapped = get_peft_model(plain, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    model = Coconut(wrapped, TOKENIZER)
    want = mean_loss(wrapped, rows, TOKENS.thought)
    torch.testing.assert_close(model(**collate(rows, TOKENIZER)).loss, want)
    assert model.has_adapters and merge_lora(model) == 14
    torch.testing.assert_close(model(**collate(rows, TOKENIZER)).loss, want)


def test_prompts_that_peft_has_learned_are_refused():
    wrapped = get_peft_model(
        language_model("gpt2"), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    )
    with pytest.raises(ModelError, match=r"adds tokens of its own to every prompt \(PROMPT_TUNING"):
        Coconut(wrapped, TOKENIZER)


def test_a_backbone_under_another_name_is_found():
    config = tf.Llama4TextConfig(
        **SIZES, intermediate_size_mlp=48, num_local_experts=2, attention_chunk_size=32
    )
    plain = drawn(lambda: tf.Llama4ForCausalLM(config))
    model, rows = Coconut(plain, TOKENIZER), ragged(3)
    want = mean_loss(plain, rows, TOKENS.thought)
    torch.testing.assert_close(model(**collate(rows, TOKENIZER)).loss, want, rtol=1e-4, atol=1e-4)


def test_positions_in_the_configuration_of_the_text_are_counted():
    model = Coconut(language_model("llama"), TOKENIZER)
    model.language_model.config = tf.Gemma3Config(text_config={"max_position_embeddings": 7})
    assert model.positions == 7
    with pytest.raises(ModelError, match="row 0 has 8 positions but the model only 7"):
        model(torch.full((1, 8), 5))
    model.language_model.config = tf.XLNetConfig()  # says -1 where there is no limit
    assert model.positions is None


# --- what users change afterwards --------------------------------------------------------------


def _halve(usual, *args, **kwargs):
    hidden, *rest = usual(*args, **kwargs)
    return (hidden / 2, *rest)


@pytest.mark.parametrize("place", ["instance", "class"])
def test_a_change_of_a_layer_counts_in_every_pass(place, monkeypatch):
    rows = ragged(1)
    prompts = [ids[: labels.count(-100)] for ids, labels in rows]
    plain = exact(CONFIGS["llama"](len(TOKENIZER)), dtype=torch.float32)
    model, slow = Coconut(plain, TOKENIZER), Coconut(plain, TOKENIZER, fast=False)
    assert skips_last_layer(model.backbone)
    before = generate(model, TOKENIZER, prompts, 6)
    kind = tf.models.llama.modeling_llama.LlamaAttention
    if place == "class":
        usual = kind.forward
        monkeypatch.setattr(kind, "forward", lambda *a, **k: _halve(usual, *a, **k))
    else:
        for layer in range(2):
            changed(plain, f"model.layers.{layer}.self_attn", _halve)
    after = generate(model, TOKENIZER, prompts, 6)
    batch = collate(rows, TOKENIZER)
    assert torch.allclose(model(**batch).loss, mean_loss(plain, rows, TOKENS.thought), atol=1e-5)
    assert before != after == generate(slow, TOKENIZER, prompts, 6)
    for prompt, one in zip(prompts, after, strict=True):
        want = answer(plain, prompt, TOKENS.thought, TOKENIZER.eos_token_id, 6)
        assert (one.token_ids, one.finished) == want


def test_a_wrong_gradient_is_found_out():
    plain = language_model("llama")
    model = Coconut(changed(plain, "model.layers.0.self_attn", _cut_behind_a_cache), TOKENIZER)
    assert model.untrainable.startswith("the gradient through passes behind a cache is not that")


@pytest.mark.parametrize("name", ["past_key_values", "cache"])  # until and from transformers 5.24
def test_the_cache_is_given_under_the_name_that_a_backbone_asks_for(name):
    class Backbone:
        exec(f"def forward(self, inputs_embeds, {name}=None): pass")

    assert cache_argument(Backbone()) == name
    Backbone.forward = lambda self, inputs_embeds, memory=None: None
    with pytest.raises(ModelError, match="Backbone takes no key-value cache"):
        cache_argument(Backbone())

"""The latent forward against an independent one, and against finite differences."""

import json
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import latent_row, mean_loss
from shapes import CONFIGS, bpe_tokenizer, exact, example, language_model, ragged, tokenizer
from transformers import Phi3Config, T5Config, T5ForConditionalGeneration

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.tokenizer import TokenizerError, thought_tokens, word_tokenizer
from coconut_lab.inference.generation import generate
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.modes import attentive
from coconut_lab.model.outputs import ModelError
from minimal_coconut import think_without_cache

TOKENIZER = tokenizer()
TOKENS = thought_tokens(TOKENIZER)
EXACT = {"rtol": 1e-9, "atol": 1e-11}


def gradients(module):
    return {
        name: parameter.grad.clone()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def placed(rows, lefts, width):
    """Rows between padding of any token, each so many columns from the left."""
    batch = {"input_ids": [], "attention_mask": [], "labels": []}
    for (ids, labels), left in zip(rows, lefts, strict=True):
        right = width - left - len(ids)
        batch["input_ids"].append([5] * left + ids + [7] * right)
        batch["attention_mask"].append([0] * left + [1] * len(ids) + [0] * right)
        batch["labels"].append([-100] * left + labels + [-100] * right)
    return {name: torch.tensor(value) for name, value in batch.items()}


@pytest.mark.parametrize("shape", CONFIGS)
@pytest.mark.parametrize("seed", [0, 1])
def test_loss_gradients_and_thoughts_equal_the_oracles(shape, seed):
    model = Coconut(language_model(shape, seed), TOKENIZER)
    rows = ragged(seed)
    output = model(**collate(rows, TOKENIZER))
    output.loss.backward()
    ours = gradients(model.language_model)
    model.zero_grad()

    loss = mean_loss(model.language_model, rows, TOKENS.thought)
    loss.backward()
    theirs = gradients(model.language_model)

    torch.testing.assert_close(output.loss, loss, **EXACT)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], msg=name, **EXACT)
    assert output.thought_counts.tolist() == [3, 0, 1, 2, 0]
    assert output.passes == 4
    for row, (ids, _) in enumerate(rows):
        thoughts = latent_row(model.language_model, ids, TOKENS.thought)[0]
        want = torch.cat([thoughts, torch.zeros(3 - len(thoughts), 16)])
        torch.testing.assert_close(output.thoughts[row], want, **EXACT)


@pytest.mark.parametrize("shape", CONFIGS)
def test_logits_without_labels_equal_the_oracles_everywhere(shape):
    model = Coconut(language_model(shape), TOKENIZER)
    rows = ragged()
    batch = collate(rows, TOKENIZER)
    labels = batch.pop("labels")
    output = model(**batch)
    assert output.loss is None
    for row, (ids, _) in enumerate(rows):
        logits = latent_row(model.language_model, ids, TOKENS.thought)[1]
        torch.testing.assert_close(
            output.logits[row][batch["attention_mask"][row].bool()], logits, **EXACT
        )
    with_labels = model(**batch, labels=labels)
    torch.testing.assert_close(with_labels.logits, output.logits[with_labels.labelled], **EXACT)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    pads=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=3),
)
def test_padding_on_either_side_has_no_influence(seed, pads):
    rng = random.Random(seed)
    model = Coconut(language_model("llama"), TOKENIZER)
    rows = [example(rng, rng.randrange(4)) for _ in pads]
    width = max(
        left + len(row.input_ids) + right for row, (left, right) in zip(rows, pads, strict=True)
    )
    output = model(**placed(rows, [left for left, _ in pads], width))
    loss = mean_loss(model.language_model, rows, TOKENS.thought)
    torch.testing.assert_close(output.loss, loss, **EXACT)


def test_gradients_equal_finite_differences():
    model = Coconut(language_model("llama"), TOKENIZER)
    batch = collate(ragged(3), TOKENIZER)
    model(**batch).loss.backward()
    rng = random.Random(0)
    step = 1e-6
    for name, parameter in model.named_parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for index in rng.sample(range(len(flat)), 3):
            before = flat[index].item()
            with torch.no_grad():
                flat[index] = before + step
                above = model(**batch).loss
                flat[index] = before - step
                below = model(**batch).loss
                flat[index] = before
            slope = (above - below) / (2 * step)
            torch.testing.assert_close(gradient[index], slope, rtol=1e-4, atol=1e-7, msg=name)


def test_detached_thoughts_change_the_gradient_but_not_the_loss():
    model = Coconut(language_model("llama"), TOKENIZER)
    batch = collate(ragged(), TOKENIZER)
    whole = model(**batch)
    whole.loss.backward()
    full = gradients(model)
    model.zero_grad()
    cut = model(**batch, detach_thoughts=True)
    cut.loss.backward()
    torch.testing.assert_close(cut.loss, whole.loss, **EXACT)
    assert any(not torch.allclose(full[name], grad) for name, grad in gradients(model).items())
    assert whole.thoughts.requires_grad and not cut.thoughts.requires_grad


@pytest.mark.parametrize("shape", CONFIGS)
def test_attentions_and_hidden_states_on_request(shape):
    model = Coconut(language_model(shape, dtype=torch.float32), TOKENIZER)
    # In float32: the library's eager attention turns fully masked rows into NaN in float64.
    usual = model.config._attn_implementation
    batch = collate(ragged(), TOKENIZER)
    plain = model(**batch)
    output = model(**batch, output_attentions=True, output_hidden_states=True)
    rows, columns = batch["input_ids"].shape
    assert plain.attentions is None and plain.hidden_states is None
    assert [a.shape for a in output.attentions] == [
        (rows, output.attentions[0].shape[1], columns, columns)
    ] * 2
    real = batch["attention_mask"].bool()
    for weights in output.attentions:
        seen = weights.transpose(1, 2)[real]  # (real positions, heads, T)
        total = seen.sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)
        position = real.nonzero()[:, 1]
        future = torch.arange(columns) > position[:, None]
        assert seen.transpose(0, 1)[:, future].abs().max() == 0
    assert len(output.hidden_states) == 3
    states = model.latent_states(batch["input_ids"], batch["attention_mask"])
    torch.testing.assert_close(
        output.hidden_states[-1][real], states.hidden[real], rtol=1e-4, atol=1e-5
    )
    assert model.config._attn_implementation == usual


@pytest.mark.parametrize("shape", CONFIGS)
def test_attention_of_all_passes_is_in_the_columns_of_one_pass(shape):
    """Also where the cache forgets what a sliding window no longer sees."""
    model = Coconut(language_model(shape, dtype=torch.float32), TOKENIZER)
    row = [*range(2, 12), TOKENS.bot, *[TOKENS.thought] * 3, TOKENS.eot, 5, 6]
    inputs = think_without_cache(model.language_model, row, TOKENS.thought)[None]
    want = attentive(model.backbone)(inputs_embeds=inputs, output_attentions=True).attentions
    got = model(torch.tensor([row]), output_attentions=True).attentions
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_no_thoughts_is_the_plain_language_model():
    model = Coconut(language_model("gpt2"), TOKENIZER)
    ids = torch.tensor([[3, 4, 5, 6, 7]])
    output = model(ids)
    assert output.passes == 1 and output.thoughts.shape == (1, 0, 16)
    torch.testing.assert_close(output.logits, model.language_model(input_ids=ids).logits, **EXACT)


def test_save_and_load_give_the_same_model(tmp_path):
    model = Coconut(language_model("llama", dtype=torch.float32), TOKENIZER)
    batch = collate(ragged(), TOKENIZER)
    folder = tmp_path / "deep" / "model"
    model.save_pretrained(folder)
    model.save_pretrained(folder)  # replaces a folder that is there
    loaded = Coconut.from_pretrained(folder)
    assert torch.equal(loaded(**batch).loss, model(**batch).loss)
    assert loaded.tokenizer.get_vocab() == TOKENIZER.get_vocab()
    assert loaded.tokens == model.tokens
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]
    assert not list(folder.glob("*.bin")) and list(folder.glob("*.safetensors"))


def test_a_failed_save_leaves_the_old_model(tmp_path, monkeypatch):
    model = Coconut(language_model("llama", dtype=torch.float32), TOKENIZER)
    model.save_pretrained(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(TOKENIZER), "save_pretrained", full_disk)
    with pytest.raises(OSError, match="No space"):
        model.save_pretrained(tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(ModelError, match="no folder"):
        Coconut.from_pretrained(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"no readable coconut\.json"):
        Coconut.from_pretrained(tmp_path)
    (tmp_path / "coconut.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        Coconut.from_pretrained(tmp_path)
    (tmp_path / "coconut.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ModelError, match="format 99"):
        Coconut.from_pretrained(tmp_path)


@pytest.mark.parametrize(("cut", "share"), [("model.safetensors", 0.5), ("config.json", 0.3)])
def test_a_truncated_checkpoint(tmp_path, cut, share):
    Coconut(language_model("llama", dtype=torch.float32), TOKENIZER).save_pretrained(tmp_path / "m")
    content = (tmp_path / "m" / cut).read_bytes()
    (tmp_path / "m" / cut).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="cannot be loaded"):
        Coconut.from_pretrained(tmp_path / "m")


def test_bad_batches_are_named():
    model = Coconut(language_model("llama"), TOKENIZER)
    thought = TOKENS.thought
    ids = torch.tensor([[3, 4, 5], [thought, 4, 5]])
    with pytest.raises(ModelError, match="row 1 has a <thought> at column 0"):
        model(ids)
    padded = torch.tensor([[3, 4, 5, 6], [0, thought, 4, 5]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]])
    with pytest.raises(ModelError, match="row 1 has a <thought> at column 1"):
        model(padded, mask)
    assert model(torch.full((1, 64), 3)).passes == 1
    with pytest.raises(ModelError, match="row 0 has 65 positions but the model only 64"):
        model(torch.full((1, 65), 3))
    with pytest.raises(ModelError, match="labels have shape"):
        model(ids[:1], labels=ids)
    with pytest.raises(ModelError, match="attention_mask has shape"):
        model(ids[:1], mask)
    with pytest.raises(ModelError, match="no position of the batch is labelled"):
        model(ids[:1], labels=torch.full((1, 3), -100))
    with pytest.raises(ModelError, match="at least one of each"):
        model(torch.zeros(0, 4, dtype=torch.long))
    with pytest.raises(ModelError, match="rows, columns"):
        model(torch.tensor([3, 4]))


def test_models_that_do_not_fit():
    with pytest.raises(TokenizerError, match="no <bot>, <eot>, <thought>; call add_thought_tokens"):
        Coconut(language_model("llama"), bpe_tokenizer(thoughts=False))
    with pytest.raises(ModelError, match="embeds only"):
        Coconut(language_model("llama"), word_tokenizer([f"x{i}" for i in range(40)]))
    t5 = T5ForConditionalGeneration(
        T5Config(vocab_size=60, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2,
                 decoder_start_token_id=0)
    )  # fmt: skip
    with pytest.raises(ModelError, match="no decoder-only"):
        Coconut(t5, TOKENIZER)


def test_gradient_checkpointing_is_refused():
    model = Coconut(language_model("llama"), TOKENIZER).train()
    model.language_model.gradient_checkpointing_enable()
    with pytest.raises(ModelError, match="gradient checkpointing"):
        model(torch.tensor([[3, 4]]))
    assert model.eval()(torch.tensor([[3, 4]])).passes == 1


def test_misaligned_rows_give_the_same_loss_in_more_passes():
    model = Coconut(language_model("llama"), TOKENIZER)
    rng = random.Random(5)
    rows = [example(rng, 2), example(rng, 2)]
    aligned = model(**collate(rows, TOKENIZER))
    output = model(**placed(rows, [0, 9], max(len(row.input_ids) for row in rows) + 9))
    assert (aligned.passes, output.passes) == (3, 5)
    torch.testing.assert_close(output.loss, aligned.loss, **EXACT)
    torch.testing.assert_close(output.thoughts, aligned.thoughts, **EXACT)


def test_a_masked_placeholder_is_no_thought():
    model = Coconut(language_model("llama"), TOKENIZER)
    ids = torch.tensor([[TOKENS.thought, TOKENS.thought, 5, TOKENS.bot, TOKENS.thought, 6]])
    output = model(ids, torch.tensor([[0, 0, 1, 1, 1, 1]]))
    assert (output.passes, output.thought_counts.tolist()) == (2, [1])
    torch.testing.assert_close(output.logits[:, 2:], model(ids[:, 2:]).logits, **EXACT)


def test_columns_of_other_processes_are_cut_too_and_change_nothing():
    model = Coconut(language_model("llama"), TOKENIZER)
    batch = collate(ragged(), TOKENIZER)
    plain, cut = model(**batch), model(**batch, also_cut=[1, 2])
    assert (plain.passes, cut.passes) == (4, 6)
    torch.testing.assert_close((cut.loss, cut.thoughts), (plain.loss, plain.thoughts), **EXACT)


def test_a_half_precision_loss_is_computed_in_float32():
    model = Coconut(language_model("llama", dtype=torch.bfloat16), TOKENIZER)
    output = model(**collate(ragged(), TOKENIZER))
    assert output.logits.dtype == torch.bfloat16 and output.loss.dtype == torch.float32


@pytest.mark.parametrize(("name", "logits"), [("logits_scaling", 0.5), ("logit_scale", 2.0)])
def test_the_head_scales_logits_as_the_model_does(name, logits):
    """In `transformers`, Granite divides by the one and Cohere multiplies by the other."""
    model = Coconut(language_model("llama"), TOKENIZER)
    hidden = torch.randn(3, 16, dtype=torch.float64)
    plain = model.head(hidden)
    setattr(model.config, name, 2.0)
    torch.testing.assert_close(model.head(hidden), plain * logits)


def test_no_row_is_so_long_that_it_changes_the_positions_of_the_others():
    """Longrope turns all rows by other angles as soon as one is past the original length."""
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0}
    rope |= {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    config = Phi3Config(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        original_max_position_embeddings=16, rope_parameters=rope,
        bos_token_id=None, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    model = Coconut(exact(config), TOKENIZER)
    short = [5, 6, TOKENS.bot, TOKENS.thought, TOKENS.eot]
    alone = generate(model, TOKENIZER, [short], 4)
    assert generate(model, TOKENIZER, [short, [7] * 12], 4)[:1] == alone
    for prompts, new in (([short, [7] * 13], 4), ([short], 12)):
        with pytest.raises(ModelError, match="need 17 positions but the model has 16"):
            generate(model, TOKENIZER, prompts, new)
    with pytest.raises(ModelError, match="row 0 has 17 positions but the model only 16"):
        model(torch.tensor([[5] * 17]))

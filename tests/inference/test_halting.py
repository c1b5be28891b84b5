"""Halting rules: each row stops by itself, exactly as it would alone and without a cache."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracle import answer, halted, logits_of
from safetensors import safe_open
from safetensors.torch import save_file
from shapes import language_model, ragged, tokenizer
from test_generation import model_that_ends, passes_of

from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.inference.generation import generate
from coconut_lab.inference.halting import (
    ConfidentHalt,
    FixedThoughts,
    HaltError,
    HaltingContext,
    LearnedHalt,
    answer_confidence,
    weights_hash,
)
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError

TOKENIZER = tokenizer()
TOKENS = thought_tokens(TOKENIZER)
MARK = TOKENIZER("###").input_ids


def heads(seed=0):
    """Questions of different lengths, up to `<bot>`."""
    return [ids[: ids.index(TOKENS.bot) + 1] for ids, _ in ragged(seed) if TOKENS.bot in ids]


def learned(model, seed=0, bias=-0.5, **settings):
    """A classifier of random direction, with a bias that makes rows stop at different times."""
    weight = torch.randn(16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return LearnedHalt(weight, bias, weights_hash(model), **settings)


@pytest.mark.parametrize("shape", ["gpt2", "llama", "qwen"])
@pytest.mark.parametrize("seed", range(3))
def test_a_learned_halt_stops_each_row_as_if_it_were_alone(shape, seed):
    model = model_that_ends(shape, seed)
    asked = [head for other in range(3) for head in heads(other)]
    thought = generate(model, TOKENIZER, asked, 1, FixedThoughts(6), return_thoughts=True)
    seen = learned(model, seed).probability(torch.cat([one.thoughts for one in thought]))
    threshold = float(seen.quantile(0.7))  # so that some rows stop early and some late
    halt = learned(model, seed, threshold=threshold, max_thoughts=5)
    asked[0] += [TOKENS.eot, *MARK]  # an answer that is forced, for one row only
    batch = generate(model, TOKENIZER, asked, 6, halt, return_thoughts=True)
    for prompt, got in zip(asked, batch, strict=True):
        head = prompt[: prompt.index(TOKENS.bot) + 1]
        tail = prompt[len(head) :] or [TOKENS.eot]
        thoughts = halted(
            model.language_model, head, TOKENS.thought, 5,
            lambda hidden, inputs: float(halt.probability(hidden.detach())) >= threshold,
        )  # fmt: skip
        same = [*head, *[TOKENS.thought] * len(thoughts), *tail]
        written, finished = answer(model.language_model, same, TOKENS.thought, 1, 6)
        assert (got.token_ids, got.finished) == (written, finished)
        assert got.thoughts_used == len(thoughts)
        assert got.halted == ("rule" if len(thoughts) < 5 else "limit of 5 thoughts")
        for one, other in zip(got.thoughts, thoughts, strict=True):
            torch.testing.assert_close(one, other)
        # One pass for the prompt, one per thought, one for what follows, one per new token.
        assert got.passes == 2 + len(thoughts) + len(written) - (not finished)
        assert generate(model, TOKENIZER, [prompt], 6, halt) == [got]
    assert len({one.thoughts_used for one in batch}) > 1


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
@pytest.mark.parametrize(("measure", "share"), [("entropy", 0.4), ("margin", 0.5)])
def test_a_confident_halt_looks_ahead_without_a_trace(shape, measure, share, monkeypatch):
    model = model_that_ends(shape, 1)
    asked = [head for seed in range(4) for head in heads(seed)]
    seen = []

    def note(logits):
        seen.append(answer_confidence(logits)[measure])
        return answer_confidence(logits)

    monkeypatch.setattr("coconut_lab.inference.halting.answer_confidence", note)
    generate(
        model, TOKENIZER, asked, 1, ConfidentHalt(-1.0 if measure == "entropy" else 2, measure, 4)
    )
    monkeypatch.undo()
    threshold = float(torch.cat(seen).quantile(share))  # so that some rows stop early and some late
    halt = ConfidentHalt(threshold, measure, max_thoughts=4)

    def stops(hidden, inputs):
        logits = logits_of(model.language_model, inputs, [TOKENS.eot, *MARK])[-1]
        probabilities = torch.softmax(logits.detach(), -1).sort(descending=True).values
        if measure == "margin":
            return float(probabilities[0] - probabilities[1]) >= threshold
        return float(-(probabilities * probabilities.log()).sum()) <= threshold

    batch = generate(model, TOKENIZER, asked, 5, halt)
    for head, got in zip(asked, batch, strict=True):
        thoughts = halted(model.language_model, head, TOKENS.thought, 4, stops)
        same = [*head, *[TOKENS.thought] * len(thoughts), TOKENS.eot]
        written, finished = answer(model.language_model, same, TOKENS.thought, 1, 5)
        assert (got.token_ids, got.finished) == (written, finished)
        assert got.thoughts_used == len(thoughts)
        # It looks after every number of thoughts but the largest allowed.
        looks = min(len(thoughts) + 1, 4)
        assert got.look_ahead_passes == looks
        assert got.passes == 2 + len(thoughts) + looks + len(written) - (not finished)
    assert len({one.thoughts_used for one in batch}) > 1


def test_passes_of_halts_are_those_that_the_backbone_makes():
    model = model_that_ends("llama", 2)
    three = {"max_thoughts": 3}
    for halt in (learned(model, **three), ConfidentHalt(2.0, **three), FixedThoughts(2)):
        for head in heads(3):
            with passes_of(model) as seen:
                (one,) = generate(model, TOKENIZER, [head], 5, halt)
            assert one.passes == len(seen)


def test_nothing_is_decoded_to_know_when_to_stop(monkeypatch):
    model = model_that_ends("gpt2", 3)
    decoded = []
    head = Coconut.head
    monkeypatch.setattr(
        Coconut, "head", lambda self, hidden: decoded.append(len(hidden)) or head(self, hidden)
    )
    asked = [head for seed in range(3) for head in heads(seed)]
    for halt in (learned(model, 1, threshold=0.7, max_thoughts=6), FixedThoughts(3)):
        decoded.clear()
        batch = generate(model, TOKENIZER, asked, 6, halt)
        assert sum(one.thoughts_used for one in batch) > len(asked)
        # The head saw one row per token that was chosen, ends included, and no thought.
        assert sum(decoded) == sum(len(one.token_ids) + one.finished for one in batch)
        assert all(one.look_ahead_passes == 0 for one in batch)
    decoded.clear()
    batch = generate(model, TOKENIZER, asked, 6, ConfidentHalt(0.0, max_thoughts=3))
    looks = sum(one.look_ahead_passes for one in batch)
    assert looks == 3 * len(asked)
    assert sum(decoded) == looks + sum(len(one.token_ids) + one.finished for one in batch)


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_fixed_thoughts_are_placeholders(shape):
    model = model_that_ends(shape, 2)
    asked = heads(2)
    for n in (0, 1, 4):
        want = [[*head, *[TOKENS.thought] * n, TOKENS.eot] for head in asked]
        got = generate(model, TOKENIZER, asked, 5, FixedThoughts(n))
        for one, other in zip(got, generate(model, TOKENIZER, want, 5), strict=True):
            assert one.token_ids == other.token_ids and one.passes == other.passes
            assert one.thoughts_used == n and one.halted == "fixed"
        # Placeholders that a prompt has already make no difference.
        assert generate(model, TOKENIZER, want, 5, FixedThoughts(n)) == got
        assert generate(model, TOKENIZER, [[*head, 28, 27] for head in asked], 5,
                        FixedThoughts(n)) == got  # fmt: skip
    ragged_counts = generate(model, TOKENIZER, asked, 5, FixedThoughts((0, 3, 1, 2)))
    assert [one.thoughts_used for one in ragged_counts] == [0, 3, 1, 2]
    for head, n, one in zip(asked, (0, 3, 1, 2), ragged_counts, strict=True):
        assert generate(model, TOKENIZER, [head], 5, FixedThoughts(n)) == [one]


def test_a_rule_that_stops_at_once_thinks_nothing():
    model = model_that_ends("llama", 1)
    zero = generate(model, TOKENIZER, heads(), 5, FixedThoughts(0))
    for halt in (
        learned(model, threshold=0.0),
        learned(model, max_thoughts=0),
        ConfidentHalt(99.0),
    ):
        got = generate(model, TOKENIZER, heads(), 5, halt)
        assert [one.token_ids for one in got] == [one.token_ids for one in zero]
        assert {one.thoughts_used for one in got} == {0}


def test_a_halt_needs_a_place_to_think():
    model = model_that_ends("llama", 1)
    with pytest.raises(ModelError, match="prompt 1 has no <bot>"):
        generate(model, TOKENIZER, [*heads()[:1], [3, 4]], 5, ConfidentHalt(1.0))
    with pytest.raises(ModelError, match="prompt 0 has 'w0' after <bot>"):
        generate(model, TOKENIZER, [[3, TOKENS.bot, TOKENIZER.convert_tokens_to_ids("w0")]], 5,
                 FixedThoughts(1))  # fmt: skip
    with pytest.raises(ModelError, match="list of prompts is empty"):
        generate(model, TOKENIZER, [], 5, ConfidentHalt(1.0))
    with pytest.raises(HaltError, match="3 numbers of thoughts were given for 1 prompts"):
        generate(model, TOKENIZER, heads()[:1], 5, FixedThoughts((1, 2, 3)))


@pytest.mark.parametrize(("most", "new"), [(47, 5), (50, 2), (51, 1)])
def test_positions_are_counted_before_any_work_is_done(most, new):
    """A look ahead needs room too: `<eot> ###` are two positions, one new token needs one."""
    model = model_that_ends("llama", 1)
    head = [*range(5, 15), TOKENS.bot]  # 11 positions of 64
    fits = ConfidentHalt(-1.0, max_thoughts=most)
    assert generate(model, TOKENIZER, [head], new, fits)[0].thoughts_used == most
    message = f"prompt 0, up to {most + 1} thoughts and {new} new tokens need 65 .* model has 64"
    with passes_of(model) as seen:
        for halt in (replace(fits, max_thoughts=most + 1), learned(model, max_thoughts=most + 1)):
            with pytest.raises(ModelError, match=message):
                generate(model, TOKENIZER, [head], new, halt)
        with pytest.raises(ModelError, match="need 65 positions but the model has 64"):
            generate(model, TOKENIZER, [head], 5, FixedThoughts(48))
    assert seen == []


def test_a_halt_belongs_to_its_weights(tmp_path):
    model, other = Coconut(language_model("llama", 0), TOKENIZER), model_that_ends("llama", 1)
    halt = learned(model)
    with pytest.raises(HaltError, match="trained for another model"):
        generate(other, TOKENIZER, heads(), 5, halt)
    halt.save(tmp_path / "halt.safetensors")
    with pytest.raises(HaltError, match="train one for this model with train_halting"):
        LearnedHalt.load(tmp_path / "halt.safetensors", other)
    copy = Coconut(language_model("llama", 0), TOKENIZER)
    assert weights_hash(copy) == weights_hash(model)
    with torch.no_grad():
        copy.language_model.get_input_embeddings().weight[3, 2] += 1e-12
    with pytest.raises(HaltError, match="another model"):
        halt.check(copy)


def test_a_halt_and_the_hash_of_its_model_are_saved_and_loaded(tmp_path):
    model = Coconut(language_model("llama", 0, dtype=torch.float32), TOKENIZER)
    halt = learned(model, threshold=0.25, max_thoughts=7)
    halt.about["labels"] = "steps"
    halt.save(tmp_path / "halt.safetensors")
    model.save_pretrained(tmp_path / "model")
    found = LearnedHalt.load(
        tmp_path / "halt.safetensors", Coconut.from_pretrained(tmp_path / "model")
    )
    assert torch.equal(found.weight, halt.weight)
    for name in ("bias", "model_hash", "threshold", "max_thoughts", "about"):
        assert getattr(found, name) == getattr(halt, name)


def rewritten(**changes):
    """Give a damage that changes what the file says of itself."""

    def damage(path):
        with safe_open(path, "pt") as file:
            facts, weight = file.metadata(), file.get_tensor("weight")
        save_file({"weight": weight}, path, {**facts, **changes})

    return damage


def one_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no halt that can be read"),
        (lambda path: path.write_text("{"), "no halt that can be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), "no halt that can be read"),
        (lambda path: save_file({"weight": torch.zeros(3)}, path), "no halt that can be read"),
        (one_bit, "was changed; get it again, or train the halt anew"),
        (rewritten(settings='{"bias": 1}'), "was changed"),
        (rewritten(format="9"), "has format 9; this version reads format 2"),
    ],
)
def test_damaged_files_are_named(tmp_path, damage, message):
    path = tmp_path / "halt.safetensors"
    learned(model_that_ends("llama", 1)).save(path)
    damage(path)
    with pytest.raises(HaltError, match=message):
        LearnedHalt.load(path)


def test_bad_settings_are_named():
    for bad in (-1, 1.5, "3", (2, -1), [1, 2.0], None):
        with pytest.raises(HaltError, match="it must be 0 or more, and whole"):
            FixedThoughts(bad)
    with pytest.raises(HaltError, match="unknown measure 'surprise'; choose from entropy, margin"):
        ConfidentHalt(1.0, "surprise")
    with pytest.raises(HaltError, match="max_thoughts is -2; it must be 0 or more"):
        ConfidentHalt(1.0, max_thoughts=-2)


def test_confidence_of_known_distributions():
    measured = answer_confidence(torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, -1e9, -1e9, -1e9]]))
    assert measured["entropy"].tolist() == pytest.approx([1.3862943611, 0.0])
    assert measured["margin"].tolist() == pytest.approx([0.0, 1.0])
    coarse = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = answer_confidence(coarse.double())
    for name, values in answer_confidence(coarse).items():
        assert torch.equal(values, exact[name])


def test_a_rule_stops_at_its_threshold_and_not_just_past_it():
    logits = torch.tensor([[1.0, 2.0, 4.0]])
    context = HaltingContext(0, torch.zeros(1, 16), lambda: logits)
    found = {name: float(value) for name, value in answer_confidence(logits).items()}
    for rule, outwards in (
        (learned(model_that_ends("llama", 0), bias=0.0, threshold=0.5), 1),
        (ConfidentHalt(found["entropy"], "entropy"), -1),
        (ConfidentHalt(found["margin"], "margin"), 1),
    ):
        assert rule.stop(context).tolist() == [True]
        past = float(np.nextafter(rule.threshold, outwards * np.inf))
        assert replace(rule, threshold=past).stop(context).tolist() == [False]

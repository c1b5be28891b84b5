"""Sampling against the distribution it must follow, and against the batch it must not depend on."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shapes import language_model, tokenizer
from test_generation import prompts

from coconut_lab.inference.generation import generate
from coconut_lab.inference.sampling import Sampling
from coconut_lab.model.coconut import Coconut

TOKENIZER = tokenizer()


def naive_nucleus(logits, temperature, top_p):
    """The probability of every token, from the definition."""
    weights = (logits.double() / temperature).exp()
    probabilities = (weights / weights.sum()).tolist()
    kept, mass = {}, 0.0
    for token in sorted(range(len(probabilities)), key=lambda token: -probabilities[token]):
        if mass >= top_p:
            break
        kept[token] = probabilities[token]
        mass += probabilities[token]
    return [kept.get(token, 0.0) / mass for token in range(len(probabilities))]


@given(
    st.integers(0, 1000),
    st.integers(2, 12),
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([0.1, 0.5, 0.9, 1.0]),
)
def test_each_token_gets_its_share_of_the_numbers_from_0_to_1(seed, size, temperature, top_p):
    logits = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    count = 4000
    numbers = (torch.arange(count, dtype=torch.float64) + 0.5) / count  # evenly, so no chance
    chosen = Sampling(temperature, top_p).choose(logits.expand(count, size), numbers)
    shares = torch.bincount(chosen, minlength=size) / count
    want = naive_nucleus(logits, temperature, top_p)
    assert shares.tolist() == pytest.approx(want, abs=1.01 / count)
    assert all((share > 0) <= (wanted > 0) for share, wanted in zip(shares, want, strict=True))


def test_the_largest_number_still_chooses_a_token_that_was_kept():
    logits = torch.tensor([[0.0, 0.0, -50.0]])
    end = torch.tensor([1.0], dtype=torch.float64)  # draws stay below 1; rounding may not
    assert int(Sampling(top_p=0.9).choose(logits, end)) in (0, 1)
    assert int(Sampling(top_p=0.2).choose(logits, end)) == 0


def test_draws_belong_to_a_seed_and_a_number():
    draws = Sampling(seed=3).draws(5, 40)
    assert torch.equal(draws, Sampling(seed=3).draws(5, 40))
    assert torch.equal(draws[:2, :7], Sampling(seed=3).draws(2, 7))
    assert torch.equal(draws[3:], Sampling(seed=3, first=3).draws(2, 40))
    assert not torch.equal(draws, Sampling(seed=4).draws(5, 40))
    assert len(draws.flatten().unique()) == 200
    many = Sampling(seed=0).draws(500, 20)
    assert float(many.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(many.min()) >= 0 and float(many.max()) < 1


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_a_sample_does_not_depend_on_the_batch(shape):
    model = Coconut(language_model(shape, 2), TOKENIZER)
    how = {"temperature": 1.5, "top_p": 0.95, "seed": 11}
    together = generate(model, TOKENIZER, prompts(1), 12, sampling=Sampling(**how))
    for number, prompt in enumerate(prompts(1)):
        alone = generate(model, TOKENIZER, [prompt], 12, sampling=Sampling(**how, first=number))
        assert alone == [together[number]]
    other = generate(model, TOKENIZER, prompts(1), 12, sampling=Sampling(**how | {"seed": 12}))
    assert other != together
    # The same prompt twice in a batch gets two samples.
    twice = generate(model, TOKENIZER, [prompts(1)[0]] * 2, 12, sampling=Sampling(**how))
    assert twice[0].token_ids != twice[1].token_ids


def test_a_low_temperature_or_a_small_nucleus_is_greedy():
    model = Coconut(language_model("llama", 5), TOKENIZER)
    greedy = generate(model, TOKENIZER, prompts(2), 8)
    for sampling in (Sampling(temperature=1e-6), Sampling(top_p=1e-9)):
        assert generate(model, TOKENIZER, prompts(2), 8, sampling=sampling) == greedy


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": 0}, "temperature is 0; it must be above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0}, "top_p is 0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**setting)

"""A changed thought changes all that comes after it, and nothing before."""

import pytest
import torch
from shapes import CONFIGS, language_model, ragged, tokenizer

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.inference.generation import generate
from coconut_lab.inference.halting import ConfidentHalt, FixedThoughts
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError

TOKENIZER = tokenizer()
TOKENS = thought_tokens(TOKENIZER)
COUNTS = [3, 0, 1, 2, 0]  # thoughts of the rows of `ragged`
each_shape = pytest.mark.parametrize("shape", CONFIGS)


def prompts(seed=0):
    return [ids[: labels.count(-100)] for ids, labels in ragged(seed)]


def stretched(batch, row, by):
    """The same batch with one row pushed to the right, so that its thoughts share no column."""
    wide = {name: torch.nn.functional.pad(value, (0, by)) for name, value in batch.items()}
    for name in wide:
        wide[name][row] = wide[name][row].roll(by)
    wide["labels"][:, -by:][wide["attention_mask"][:, -by:] == 0] = -100
    wide["labels"][row, :by] = -100
    return wide


@each_shape
def test_an_edit_that_gives_back_what_it_gets_changes_no_bit(shape):
    model = Coconut(language_model(shape), TOKENIZER)
    batch = collate(ragged(), TOKENIZER)
    found = []
    for edit in (None, lambda k, h, rows: h):
        model.zero_grad()
        output = model(**batch, edit=edit)
        output.loss.backward()
        written = generate(model, TOKENIZER, prompts(), 5, edit=edit, return_thoughts=True)
        grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
        thoughts = torch.cat([one.thoughts for one in written])
        found.append((written, [output.loss, output.thoughts, thoughts, *grads]))
    assert found[0][0] == found[1][0]
    assert all(map(torch.equal, found[0][1], found[1][1]))


def test_an_edit_is_told_which_thought_of_which_rows_it_gets():
    """Also where the thoughts of the rows share no column."""
    model = Coconut(language_model("llama"), TOKENIZER)
    batch = collate(ragged(), TOKENIZER)
    for given in (batch, stretched(batch, 0, 7)):
        thoughts = model(**given).thoughts
        seen = {}

        def note(k, hidden, rows, seen=seen):
            assert hidden.shape == (len(rows), 16)
            seen |= {(row, k): one for row, one in zip(rows.tolist(), hidden, strict=True)}
            return hidden

        model(**given, edit=note)
        assert set(seen) == {(row, k + 1) for row, n in enumerate(COUNTS) for k in range(n)}
        for (row, k), one in seen.items():
            torch.testing.assert_close(one, thoughts[row, k - 1])


@each_shape
def test_a_changed_thought_is_that_vector_at_the_placeholder(shape):
    """Against a plain pass over embeddings into which all thoughts were written by hand."""
    model = Coconut(language_model(shape), TOKENIZER)
    rows = [[5, 6, TOKENS.bot, *[TOKENS.thought] * 3, TOKENS.eot, 7, 8]]
    given = torch.randn(1, 16, dtype=torch.float64)
    ids = torch.tensor(rows)
    plain = model(ids)
    edited = model(ids, edit=lambda k, h, _: given if k == 2 else h)
    torch.testing.assert_close(edited.thoughts[0, 1], given[0])
    torch.testing.assert_close(edited.thoughts[0, 0], plain.thoughts[0, 0])
    torch.testing.assert_close(edited.logits[0, :4], plain.logits[0, :4])  # up to the first thought
    different = (edited.logits - plain.logits)[0, 4:].abs().amax(-1)
    assert bool((different > 1e-6).all()) and not torch.allclose(
        edited.thoughts[0, 2], plain.thoughts[0, 2]
    )
    embeds = model.embed(ids).clone()
    embeds[0, 3:6] = edited.thoughts[0]
    whole = model.language_model(inputs_embeds=embeds, use_cache=False).logits
    torch.testing.assert_close(edited.logits, whole, rtol=1e-7, atol=1e-9)


def test_gradient_flows_through_an_edit_and_into_it():
    model = Coconut(language_model("llama"), TOKENIZER)
    batch = collate(ragged(), TOKENIZER)
    vector = torch.zeros(16, dtype=torch.float64, requires_grad=True)

    def loss_at(change):
        return model(**batch, edit=lambda k, h, rows: h + change if k == 1 else h).loss

    loss_at(vector).backward()
    step = 1e-6
    for place in (0, 7, 15):
        nudge = torch.zeros(16, dtype=torch.float64)
        nudge[place] = step
        with torch.no_grad():
            slope = (loss_at(nudge) - loss_at(-nudge)) / (2 * step)
        torch.testing.assert_close(vector.grad[place], slope, rtol=1e-5, atol=1e-9)
    assert model.language_model.get_input_embeddings().weight.grad.abs().sum() > 0


@pytest.mark.parametrize("batch_size", [1, 2, None])
@pytest.mark.parametrize("rule", ["placeholders", "fixed", "confident"])
def test_generation_gives_the_numbers_of_the_prompts(rule, batch_size):
    """Whatever the batches are, whoever stops early, and however many rows have left."""
    model = Coconut(language_model("llama", 2), TOKENIZER)
    asked = [[*range(5, 5 + n), TOKENS.bot, TOKENS.eot] for n in (2, 6, 3, 6, 4)]
    halting = {
        "placeholders": None, "fixed": FixedThoughts([3, 0, 1, 2, 3]),
        "confident": ConfidentHalt(2.8, "entropy", 3),
    }[rule]  # fmt: skip
    if rule == "placeholders":
        asked = [
            [*p[:-1], *[TOKENS.thought] * n, p[-1]] for p, n in zip(asked, COUNTS, strict=True)
        ]
    directions = torch.randn(5, 4, 16, dtype=torch.float64)

    def edit(k, hidden, rows):
        return hidden + directions[rows, k]

    batch = generate(
        model, TOKENIZER, asked, 6, halting, edit=edit, batch_size=batch_size, return_thoughts=True
    )
    for index, one in enumerate(batch):
        alone = halting
        if rule == "fixed":
            alone = FixedThoughts(halting.n[index])
        (want,) = generate(
            model, TOKENIZER, [asked[index]], 6, alone, return_thoughts=True,
            edit=lambda k, h, rows, index=index: h + directions[index, k],
        )  # fmt: skip
        assert one == want
        torch.testing.assert_close(one.thoughts, want.thoughts)
    if rule == "confident":
        assert len({one.thoughts_used for one in batch}) > 1
    for k, one in enumerate(batch):  # the vectors that were fed back are the changed ones
        if one.thoughts_used and rule != "confident":
            ids = torch.tensor([[*asked[k][: asked[k].index(TOKENS.bot) + 1]]])
            first = model.latent_states(ids).hidden[0, -1]
            torch.testing.assert_close(one.thoughts[0], first + directions[k, 1])


def test_an_edit_that_gives_back_no_thoughts_is_refused():
    model = Coconut(language_model("llama"), TOKENIZER)
    batch = collate(ragged(), TOKENIZER)
    with pytest.raises(ModelError, match=r"edit returned NoneType for thought 1; .* \(3, 16\)"):
        model(**batch, edit=lambda k, h, rows: None)
    with pytest.raises(
        ModelError, match=r"edit returned shape \(16,\) of torch.float64 for thought 1"
    ):
        generate(model, TOKENIZER, prompts(), 3, edit=lambda k, h, rows: h[0])
    with pytest.raises(ModelError, match=r"of torch.int64 for thought 1; .* of torch.float64 like"):
        model(**batch, edit=lambda k, h, rows: h.long())
    with pytest.raises(ModelError, match=r"edit returned nan or infinity for thought 2"):
        generate(model, TOKENIZER, prompts(), 3, edit=lambda k, h, rows: h / (k != 2))

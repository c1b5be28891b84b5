"""The exercises of 05 that run a model: think a fixed number of times, write, halt row by row."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from coconut_lab.checks import models
from coconut_lab.checks.engine import CheckFailed, Function, exercise, kind
from coconut_lab.checks.models import EOT, one_pass, padded_batch, random_models, with_thoughts
from coconut_lab.checks.nb02_latent_forward import ALONE, WRONG_VECTORS

Seen = dict[str, Any]
WORDS = (
    "your thoughts are words: the likeliest token, embedded again. Feed the hidden state itself."
)


def counts_of_thoughts() -> Iterator[tuple[Any, Tensor, int, int]]:
    for model in random_models():
        for count, question in ((3, 6), (1, 4), (0, 5)):
            row = models.random_row(0, question, 0, seed=count)[:-1]  # ends in <bot>
            yield model, torch.tensor([row]), count, EOT


def one_cache(got: Seen, want: Seen) -> str | None:
    cache, enough = got["_cache"], want["_cache"].get_seq_length()
    if not hasattr(cache, "get_seq_length"):
        return f"the second result should be the cache, not {kind(cache)}."
    if cache.get_seq_length() != enough:
        return (
            "the hidden state is right, but your cache has the wrong length: it holds "
            f"{cache.get_seq_length()} columns, not {enough} (the prompt, the thoughts and <eot>). "
            "Pass the one cache to every pass, and return that one: the answer is written after it."
        )
    hint = "The last thought and <eot> go in together (with 0 thoughts, <bot> and <eot>)."
    return models.too_much(got, want, hint)


@exercise(
    cases=counts_of_thoughts,
    observe=models.noting("hidden", "_cache"),
    limits=one_cache,
    returns="hidden, cache",
    axes={"hidden": "(1, d)"},
    says="3, 1 and 0 thoughts, <eot> after them, in n + 1 passes with one cache",
    mistakes={
        "<eot> is forgotten: your hidden state is that of the last thought. The model is still in "
        "latent mode there, and was never trained to write from it. Feed <eot> after the thoughts, "
        "and take its column.": ("if left == 0", "if False"),
        "one thought is missing. The hidden state at <bot> is thought 1, and it has to go in "
        "before it counts.": ("range(count,", "range(max(count - 1, 0),"),
        "you think one thought too many.": ("range(count,", "range(count + 1,"),
        "<eot> goes in before the thoughts, so they are outside of latent mode. The order is "
        "<bot>, thoughts, <eot>.": ("left == 0", "left == count"),
        WORDS: ("inputs = hidden", "inputs = models.word_of(model, hidden)"),
        "<eot> goes in twice.": ("[inputs, eot]", "[inputs, eot, eot]"),
        ALONE: (", cache=cache)", ")"),
        "what is in the cache goes in again. Send only the new column: the last hidden state.": (
            "inputs = hidden[:, None]", "inputs = torch.cat([inputs, hidden[:, None]], dim=1)"),
        **WRONG_VECTORS,
    },
)  # fmt: skip
def think_fixed(model: Any, ids: Tensor, count: int, eot_id: int) -> tuple[Tensor, DynamicCache]:
    """Exercise 1 of 05: a fixed number of thoughts, then <eot>, with a cache."""
    cache, embed = DynamicCache(config=model.config), model.get_input_embeddings()
    inputs, eot = embed(ids), embed(torch.tensor([[eot_id]]))
    for left in range(count, -1, -1):
        if left == 0:
            inputs = torch.cat([inputs, eot], dim=1)
        output = one_pass(model, inputs, cache=cache)
        hidden = output.last_hidden_state[:, -1]
        inputs = hidden[:, None]
    return hidden, cache


def batches_after_eot() -> Iterator[tuple[Any, ...]]:
    """Padded rows after 2 thoughts, and after none; four tokens are to be written."""
    for model in random_models():
        for thoughts in (2, 0):
            ids, mask, positions = padded_batch(thoughts).values()
            inputs = with_thoughts(model, ids, mask, positions)
            cache = DynamicCache(config=model.config)
            with torch.no_grad():
                hidden = one_pass(model, inputs, mask, positions, cache).last_hidden_state[:, -1]
            yield model, cache, hidden, mask, positions, 4


def one_column_per_token(got: Seen, want: Seen) -> str | None:
    tokens, enough = got["_tokens"], sum(want["_passes"])
    if not isinstance(tokens, Tensor) or not torch.equal(tokens.double(), want["_tokens"].double()):
        return "the logits are right, but the tokens are not their argmax, (B, count) int64."
    if sum(got["_passes"]) == enough + 1:
        return (
            "the values are right, but you run the model once more after the last token. "
            f"{enough + 1} tokens take {enough} passes: the first one comes from the hidden state "
            "that you were given."
        )
    return models.too_much(got, want)


MASK, POSITION = ", mask, ", "positions[:, -1:] + step"


@exercise(
    cases=batches_after_eot,
    observe=models.noting("_tokens", "logits"),
    limits=one_column_per_token,
    returns="tokens, logits",
    axes={"logits": "(B, count, V)"},
    says="padded rows write the right tokens, one column per pass, after one cache",
    mistakes={
        "your cache has the wrong length: it starts empty, so the new tokens see neither the "
        "question nor the thoughts. Pass the cache that you were given to every pass.": (
            ("    embed", "    cache = DynamicCache(config=model.config)\n    embed"),
            (MASK, ", mask[:, -step:], ")),
        "your cache has the wrong length: <eot> is in it already, and you send it a second time. "
        "The first token comes from the hidden state that you were given.": (
            ("range(1, count + 1)", "range(count + 1)"), ("+ step", "+ step + 1"),
            ("].argmax(-1)", "].argmax(-1) if step else mask[:, 0] * 0 + EOT"),
            ("stack(logits", "stack(logits[1:]")),
        "your position ids start again. They go on counting real tokens: the first new one has "
        "position_ids[:, -1] + 1.": [
            (POSITION, "0 * positions[:, -1:] + step - 1"),
            (POSITION, "0 * positions[:, -1:] + step")],
        "your position ids stand still: every new token gets that of the last column. Add one for "
        "every token.": (POSITION, "positions[:, -1:]"),
        "your position ids are one behind: the first new token has position_ids[:, -1] + 1.": (
            POSITION, f"{POSITION} - 1"),
        "your position ids count columns, padding included (so does the library when they are left "
        "out). Count real tokens: position_ids[:, -1] + 1.": (POSITION, "None"),
        "your attention mask is not extended: it covers the columns of the prompt and not the new "
        "ones. Append a column of ones for every token.": ("mask = torch.cat", "_ = torch.cat"),
        "your attention mask is extended one token too late. Append the column of ones before the "
        "token goes in.": (MASK, ", mask[:, :-1], "),
        "your attention mask should be the one that you were given with a column of ones for every "
        "token: it covers what is in the cache, and is 0 at padding.": [
            (MASK, ", mask[:, -1:], "), (MASK, ", None, ")],
        "your first token is chosen one pass too late. The hidden state that you were given is "
        "that of <eot>: the first token comes from it.": (
            ("range(1, count + 1)", "range(1, count + 2)"), ("== count", "== count + 1"),
            ("stack(logits", "stack(logits[1:]")),
        ALONE: (("mask, positions", "mask[:, -1:], positions"), ("step, cache)", "step)")),
        "you feed hidden states, as in latent mode. After <eot> the model reads the tokens that it "
        "writes: embed the most probable one.": ("embed(token)", "hidden"),
        "these are probabilities or their logarithms. Return the logits, what lm_head gives.": [
            ("dim=1)\n    return", "dim=1).softmax(-1)\n    return"),
            ("dim=1)\n    return", "dim=1).log_softmax(-1)\n    return")],
        "the hidden state is normalised twice. It comes after the final normalisation layer; "
        "lm_head takes it as it is.": ("head(hidden", "head(models.final_norm(model)(hidden)"),
    },
)  # fmt: skip
def write_on(
    model: Any, cache: Any, hidden: Tensor, mask: Tensor, positions: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Exercise 2 of 05: write after the thoughts, with the cache that they are in."""
    embed, logits = model.get_input_embeddings(), list[Tensor]()
    for step in range(1, count + 1):
        logits.append(model.lm_head(hidden))
        if step == count:
            break
        token = logits[-1].argmax(-1)
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        output = one_pass(model, embed(token)[:, None], mask, positions[:, -1:] + step, cache)
        hidden = output.last_hidden_state[:, -1]
    found = torch.stack(logits, dim=1)
    return found.argmax(-1), found


MOST = 4


def rules() -> Iterator[tuple[Any, ...]]:
    """Padded rows that end in <bot>, and a rule that stops each at its own number of thoughts."""
    for model in random_models():
        _, *where = full = padded_batch(MOST).values()
        with torch.no_grad():
            hidden = one_pass(model, with_thoughts(model, *full), *where).last_hidden_state
        states = hidden[:, -5 - MOST : -4]  # (B, MOST + 1, d), at <bot> and at every thought
        batch = [value[:, :-4] for value in padded_batch(0).values()]
        for wanted in ((1, 2, 0), (2, 3, 4), (0, 0, 0), (3, 1, 9)):
            yield model, *batch, partial(stops, states, wanted), MOST


def stops(states: Tensor, wanted: tuple[int, ...], k: int, hidden: Tensor) -> Tensor:
    """Tell the rows apart by their states: each stops at its own k, and only there.

    Later it would let the row think on, so that a stop has to be remembered.
    """
    if k > MOST:
        raise CheckFailed(
            f"halt_by_row: a row has more than `most` thoughts: the rule is asked at k = {k}. "
            f"After {MOST} it stops in any case."
        )
    distance = (hidden[:, None] - states[None, :, int(k)]).abs().amax(-1)  # (R, B)
    return torch.tensor([wanted[row] == k for row in distance.argmin(1).tolist()])


def counts_and_states(function: Function, *case: Any) -> Seen:
    seen = models.noting("counts", "hidden")(function, *case)
    if not isinstance(counts := seen["counts"], Tensor):
        raise CheckFailed(f"halt_by_row: counts should be a tensor, not {kind(counts)}.")
    return {**seen, "counts": counts.long().tolist()}


@exercise(
    cases=rules,
    observe=counts_and_states,
    returns="counts, hidden",
    axes={"hidden": "(B, d)"},
    says="each row stops by itself, with the state in which it stopped",
    mistakes={
        "the counts are right, but your hidden states are those of another pass. Keep each row's "
        "state when the rule is asked about it and it stops: later passes belong to the others.": [
            ("return counts, kept", "return counts, hidden"),
            (("kept = hidden.where", "before = thinking & ~stop(k, hidden) | (k == 0)\n"
              "        kept = hidden.where"), ("(thinking[:, None]", "(before[:, None]"))],
        "a row that had stopped goes on thinking, because the rule is asked about it again. "
        "Remember who has stopped.": [
            (("counts[stops] = k", "counts = counts + (~says).long() * (k < most)"),
             ("(len(ids),), most", "(len(ids),), 0"), ("not thinking.any()", "says.all()")),
            (("counts[stops] = k", "counts = counts + (~says).long() * (k < most)"),
             ("(len(ids),), most", "(len(ids),), 0"), ("thinking & ~stops", "~says")),
            (("counts[stops] = k", "counts = torch.where(thinking, k, counts)"),
             ("thinking & ~stops", "~says"))],
        "the whole batch halts at the first row that wants to (.any()), or thinks on until all "
        "rows want to (.all()). Count for each row by itself.": [
            ("thinking & says", "thinking & says.any()"),
            ("return counts, kept", "return counts.max().expand_as(counts), hidden"),
            ("thinking & says", "thinking & says.all()")],
        "you count one thought too many: the rule is asked after k = 0, 1, 2, … thoughts, and a "
        "row that stops at k has had k.": ("return counts,", "return counts + 1,"),
        "the rule is not asked at k = 0, after no thought at all. It may stop there.": (
            "= stop(k, hidden)", "= stop(k, hidden) & (k > 0)"),
        "the last thought never goes in: a row that has `most` thoughts takes most + 1 passes.": (
            "range(most + 1)", "range(most)"),
        "the hidden states are off. Is your mask extended by a column of ones for every thought? "
        "It has to cover what is in the cache, and to be 0 at padding.": [
            ("mask = torch.cat", "_ = torch.cat"), ("[mask, ", "["),
            (", mask, positions", ", None, positions")],
        "the hidden states are off. Do your positions go on counting real tokens in every pass?": [
            ("-1:] + 1", "-1:]"), (", positions, ", ", None, "),
            (", positions, cache", ", positions if k == 0 else None, cache")],
        WORDS: ("inputs = hidden", "inputs = models.word_of(model, hidden)"),
    },
)  # fmt: skip
def halt_by_row(
    model: Any, ids: Tensor, mask: Tensor, positions: Tensor, stop: Function, most: int
) -> tuple[Tensor, Tensor]:
    """Exercise 3 of 05: every row of a batch stops thinking by itself."""
    inputs, cache = model.get_input_embeddings()(ids), DynamicCache(config=model.config)
    counts, kept = torch.full((len(ids),), most), torch.zeros(())
    thinking = torch.ones(len(ids), dtype=torch.bool)
    for k in range(most + 1):
        hidden = one_pass(model, inputs, mask, positions, cache).last_hidden_state[:, -1]  # (B, d)
        kept = hidden.where(thinking[:, None], kept)
        says = stop(k, hidden)
        stops = thinking & says
        counts[stops] = k
        thinking = thinking & ~stops
        if k == most or not thinking.any():
            break
        inputs = hidden[:, None]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        positions = positions[:, -1:] + 1
    return counts, kept

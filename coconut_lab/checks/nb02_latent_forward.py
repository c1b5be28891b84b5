"""The exercises of 02 that think: one thought by hand, n + 1 passes without and with a cache."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from coconut_lab.checks import models
from coconut_lab.checks.engine import Function, exercise
from coconut_lab.checks.models import THOUGHT, columns_of, one_pass, random_models, random_row

STATE = "output.last_hidden_state[:, -1]"
#: What learners take for a thought, in place of this state.
WRONG_VECTORS = {
    "your thought is the hidden state before the final normalisation layer. Use last_hidden_state, "
    "which comes after it.": (STATE, "model.before_norm[:, -1]"),
    "your thought comes from one layer too early, hidden_states[-2]. Use last_hidden_state (the "
    "same as hidden_states[-1]).": (STATE, "output.hidden_states[-2][:, -1]"),
    "your thought is normalised twice. last_hidden_state comes after the final normalisation "
    "layer; feed it as it is.": (STATE, f"models.final_norm(model)({STATE})"),
    "your thought is the embedding of a word, as in language mode, or a mixture of them. Feed the "
    "hidden state itself; nothing is decoded.": [
        (STATE, f"models.word_of(model, {STATE})"), (STATE, f"models.mixture_of(model, {STATE})")],
}  # fmt: skip
DETACHED = (
    "the values are right, but the graph is detached: no gradient flows through the thoughts. "
    "Leave out .detach(), .data and torch.no_grad()."
)
NO_GRAPH = ("def", "@torch.no_grad()\ndef")
OFF_BY_ONE = (
    "your thought is off by one position: it is the hidden state at the placeholder itself, or two "
    "columns before it. Use the column right before it."
)
FIRST_PASS = (
    "all your thoughts come from the first pass, or are the first thought again. "
    "Take each thought from a new pass that has seen the one before it."
)
NEVER_PUT = (
    "your later passes still see the placeholder's own embedding: the thought is never put in its "
    "place."
)
BESIDE = (
    "your thoughts are put beside their placeholders, so that the row grows. Put each in the "
    "place of its placeholder."
)


def rows_up_to_bot() -> Iterator[tuple[Any, Tensor]]:
    for model in random_models():
        yield model, torch.tensor([random_row(0, question=6, tail=0, seed=1)[:-1]])


@exercise(
    cases=rows_up_to_bot,
    observe=models.noting("thought", "hidden", gradient=True),
    returns="thought, hidden",
    axes={"thought": "(1, d)", "hidden": "(1, d)"},
    says="the thought and what follows it are right, and gradient flows through",
    mistakes={
        **WRONG_VECTORS,
        "your thought is off by one position: it is the hidden state before <bot>. Use the last "
        "column, the one of <bot>.": (STATE, STATE.replace("-1", "-2")),
        "your thought is the input embedding of <bot>. Use the hidden state that comes out of the "
        "model there.": (STATE, "inputs[:, -1]"),
        "the thought is right, but what goes in is the embedding of a word: the likeliest token. "
        "Feed the thought itself; nothing is decoded.": (
            "inputs, thought[:, None]", "inputs, models.word_of(model, thought)[:, None]"),
        "the thought is right, but it replaces <bot> in your second pass. Append it: the second "
        "pass is one column longer.": ("[inputs, ", "[inputs[:, :-1], "),
        "the thought is right, but your second pass sees it alone. Without a cache, the question "
        "has to go in again, before it.": ("[inputs, ", "["),
        "the thought is right, but your second result is the hidden state at <bot> again. Take the "
        "last column of the second pass.": ("return thought, hidden", "return thought, thought"),
        "your two results are swapped. Return the thought first, then the hidden state at the "
        "column where it was fed.": ("return thought, hidden", "return hidden, thought"),
        DETACHED: [("thought[:, None]", "thought[:, None].detach()"), NO_GRAPH],
    },
)  # fmt: skip
def feed_back(model: Any, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Exercise 1 of 02: one hidden state, fed back by hand, and the state at its column."""
    inputs = model.get_input_embeddings()(ids)  # (1, t, d)
    output = one_pass(model, inputs)
    thought = output.last_hidden_state[:, -1]
    inputs = torch.cat([inputs, thought[:, None]], dim=1)
    hidden = one_pass(model, inputs).last_hidden_state[:, -1]
    return thought, hidden


def rows() -> Iterator[tuple[Any, Tensor, int]]:
    for model in random_models():
        for count, question, tail in ((3, 6, 4), (1, 4, 2), (0, 5, 3)):
            yield model, torch.tensor([random_row(count, question, tail, seed=count)]), THOUGHT


PASS = "one_pass(model, inputs[:, :column])"
FEED = "torch.cat([inputs[:, :column], fed, inputs[:, column + 1 :]], dim=1)"


@exercise(
    cases=rows,
    observe=models.noting("hidden", "thoughts", gradient=True),
    returns="hidden, thoughts",
    axes={"hidden": "(B, T, d)"},
    says="rows with 3, 1 and 0 thoughts are right, and gradient flows through them",
    mistakes={
        **WRONG_VECTORS,
        OFF_BY_ONE: [
            (STATE, STATE.replace("-1", "-2")), (PASS, PASS.replace("column", "column + 1"))],
        FIRST_PASS: [
            (PASS, PASS.replace("inputs", "model.get_input_embeddings()(ids)")),
            (STATE, f"{STATE} if not thoughts else thoughts[0]")],
        NEVER_PUT: [(FEED, "inputs"), (STATE, "inputs[:, column]")],
        "your thoughts go into the column after their placeholder. Replace the placeholder itself, "
        "column, by the hidden state of column - 1.": (
            FEED, FEED.replace("column + 1", "column + 2").replace(":column", ": column + 1")),
        BESIDE: (FEED, FEED.replace("column + 1", "column")),
        "the tokens after the thoughts are lost: the row ends with the thought that was put in. "
        "Keep inputs[:, column + 1 :] after it.": ("fed, inputs[:, column + 1 :]", "fed"),
        "the thoughts are right, but your hidden states are not those of one last pass with all "
        "thoughts in place. n thoughts take n + 1 passes.": [
            (("(1, T, d)", "(1, T, d)\n    last = one_pass(model, inputs)"),
             ("output =", "last = one_pass(model, inputs); output ="),
             ("return one_pass(model, inputs)", "return last")),
            ("return one_pass(model, inputs)", "return output")],
        DETACHED: [("fed = thoughts[-1]", "fed = thoughts[-1].detach()"), NO_GRAPH],
        "the values are right, but back-propagation fails. Do not write into a tensor that an "
        "earlier pass has used: build a new one with torch.cat, or .clone() it first.": (
            ("(ids),", "(ids).clone(),"),
            (f"inputs = {FEED}", "inputs[:, column] = thoughts[-1]")),
    },
)  # fmt: skip
def think_without_cache(
    model: Any, ids: Tensor, thought_id: int, feed: Function = lambda hidden: hidden
) -> tuple[Tensor, list[Tensor]]:
    """Exercise 2 of 02: the n + 1 passes of one row, without a cache."""
    inputs, thoughts = model.get_input_embeddings()(ids), []  # (1, T, d)
    for column in columns_of(ids, thought_id):
        output = one_pass(model, inputs[:, :column])
        thoughts.append(feed(output.last_hidden_state[:, -1]))
        fed = thoughts[-1][:, None]
        inputs = torch.cat([inputs[:, :column], fed, inputs[:, column + 1 :]], dim=1)
    return one_pass(model, inputs).last_hidden_state, thoughts


def padded_rows() -> Iterator[tuple[Any, ...]]:
    for model in random_models():
        for count in (3, 1, 0):
            yield model, *models.padded_batch(count).values(), THOUGHT


def states_of_a_batch(function: Function, model: Any, ids: Tensor, mask: Tensor, *rest: Any) -> Any:
    with models.counted(model) as passes:
        hidden, thoughts = function(model, ids, mask, *rest)
    if isinstance(hidden, Tensor) and hidden.shape[:2] == ids.shape:  # padding does not count
        hidden = hidden.where(mask.bool()[..., None], 0)
    gradient = models.gradient_of(model, hidden)
    return {"thoughts": thoughts, "hidden": hidden, "gradient": gradient, "_passes": passes}


MASK, POSITIONS = "mask[:, :stop]", "positions[:, start:stop]"
ALONE = (
    "each of your passes sees only its own columns: the cache does not reach it. "
    "Pass the same past_key_values to every pass. A new cache in every pass is an empty one."
)
LAST = "The last thought can travel with <eot> and everything after it."


@exercise(
    cases=padded_rows,
    observe=states_of_a_batch,
    limits=lambda got, want: models.too_much(got, want, LAST),
    returns="hidden, thoughts",
    axes={"hidden": "(B, T, d)"},
    says="padded rows are right, in n + 1 passes, each column computed once",
    mistakes={
        "position ids are missing. The library then counts columns from 0, padding included; pass "
        "position_ids[:, start:stop] in every pass.": [
            (POSITIONS, "None"), (POSITIONS, f"{POSITIONS} if start == 0 else None")],
        "your position ids start again at 0 in every pass. A cached pass goes on counting where "
        "the last one stopped: position_ids[:, start:stop].": (
            POSITIONS, "torch.arange(stop - start)[None]"),
        "your position ids are those of other columns. Take those of the columns of this pass: "
        "position_ids[:, start:stop].": [
            (POSITIONS, "positions[:, : stop - start]"), (POSITIONS, "positions[:, :stop]"),
            (POSITIONS, f"{POSITIONS} - int(start > 0)")],
        "padding is attended to: the attention mask does not reach the model. Pass "
        "attention_mask[:, :stop] in every pass.": [
            (MASK, "None"), (MASK, f"{MASK} if start == 0 else None")],
        "your attention mask is too short: it covers only the new columns. It has to cover the "
        "cached ones too: attention_mask[:, :stop].": (MASK, "mask[:, start:stop]"),
        ALONE: [
            ((", cache)", ")"), (MASK, "mask[:, start:stop]")),
            (", cache)", ", DynamicCache(config=model.config))")],
        **WRONG_VECTORS,
        OFF_BY_ONE: [
            (STATE, STATE.replace("-1", "-2")),
            ("*columns", "*(column + 1 for column in columns)")],
        FIRST_PASS: [
            (("None\n", "None; first = one_pass(model, embeds, mask, positions)\n"),
             (STATE, "first.last_hidden_state[:, start - 1]")), (STATE, "hidden[0][:, -1]")],
        NEVER_PUT: ("inputs = torch.cat([fed, inputs[:, 1:]], dim=1)", "pass"),
        BESIDE: ("inputs[:, 1:]", "inputs"),
        "the tokens after the thoughts are lost: a pass takes its thought and nothing else. The "
        "last one takes everything after it too.": ("[fed, inputs[:, 1:]]", "[fed]"),
        "your hidden states are those of the last pass only. Keep those of every pass, and join "
        "them with torch.cat along the columns.": ("torch.cat(hidden, dim=1)", "hidden[-1]"),
        "one column is missing from your hidden states. Is <eot> skipped? The last pass holds the "
        "last thought, <eot> and everything after it.": (
            "    embeds", "    ids, mask, positions = (one[:, ids[0] != models.EOT] "
            "for one in (ids, mask, positions))\n    embeds"),
        DETACHED: [("fed = thoughts[-1]", "fed = thoughts[-1].detach()"), NO_GRAPH],
    },
)  # fmt: skip
def think_with_cache(
    model: Any, ids: Tensor, mask: Tensor, positions: Tensor, thought_id: int
) -> tuple[Tensor, list[Tensor]]:
    """Exercise 3 of 02: the n + 1 passes of a left-padded batch, with a cache."""
    embeds, cache = model.get_input_embeddings()(ids), DynamicCache(config=model.config)
    columns, hidden, thoughts, output = columns_of(ids, thought_id), [], [], None
    for start, stop in pairwise([0, *columns, ids.shape[1]]):
        inputs = embeds[:, start:stop]
        if output is not None:
            thoughts.append(output.last_hidden_state[:, -1])  # (B, d)
            fed = thoughts[-1][:, None]
            inputs = torch.cat([fed, inputs[:, 1:]], dim=1)
        output = one_pass(model, inputs, mask[:, :stop], positions[:, start:stop], cache)
        hidden.append(output.last_hidden_state)
    return torch.cat(hidden, dim=1), thoughts

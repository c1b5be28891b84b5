"""The exercises of 02: thoughts by hand, without and with a cache; a batch; gradients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from coconut_lab.checks import models
from coconut_lab.checks.engine import CheckFailed, Function, exercise, kind
from coconut_lab.checks.models import EOS, PAD, THOUGHT, columns_of, random_models, random_row

STATE = "output.last_hidden_state[:, -1]"
#: What learners take for a thought, in place of this state.
WRONG_VECTORS = {
    "your thought is the hidden state before the final normalisation layer. "
    "Use last_hidden_state, which comes after it.": (STATE, "language_model.before_norm[:, -1]"),
    "your thought comes from one layer too early, hidden_states[-2]. "
    "Use last_hidden_state (the same as hidden_states[-1]).": (
        STATE, "output.hidden_states[-2][:, -1]"
    ),
    "your thought is normalised twice. last_hidden_state comes after the final normalisation "
    "layer; feed it as it is.": (STATE, f"models.final_norm(language_model)({STATE})"),
    "your thought is the embedding of a word: the likeliest token, embedded again, as language "
    "mode does. Feed the hidden state itself; nothing is decoded.": (
        STATE, f"models.word_of(language_model, {STATE})"
    ),
    "your thought is a mixture of word embeddings, weighted with their probabilities. "
    "Feed the hidden state itself; nothing is decoded.": (
        STATE, f"models.mixture_of(language_model, {STATE})"
    ),
    "your thought is the mean over all columns. "
    "Use the hidden state of one column, the one right before the thought.": (
        STATE, "output.last_hidden_state.mean(1)"
    ),
}  # fmt: skip
NO_GRADIENT = (
    "the values are right, but they carry no gradient. "
    "Leave out torch.no_grad(), .data and .detach(): training needs the graph."
)
DETACHED = (
    "the values are right, but the graph is detached: no gradient flows through the thoughts. "
    "Leave out .detach(), .data and torch.no_grad()."
)
WRITTEN_INTO = (
    "the values are right, but back-propagation fails. Do not write into a tensor that an earlier "
    "pass has used: build a new one with torch.cat, or .clone() it first."
)


def without_gradient(name: str) -> tuple[str, str]:
    """The change that puts a function under no_grad."""
    return f"def {name}", f"@torch.no_grad()\ndef {name}"


# --- exercise 1 -----------------------------------------------------------------------------------


def bots() -> Iterator[tuple[Any, Tensor]]:
    """Rows that end in <bot>."""
    for model in random_models():
        yield model, torch.tensor([random_row(0, question=6, tail=0, seed=1)[:-1]])


def two_states(function: Function, model: Any, ids: Tensor) -> dict[str, Any]:
    thought, hidden = function(model, ids)
    return {"thought": thought, "hidden": hidden, "gradient": models.gradient(model, hidden)}


@exercise(
    cases=bots,
    observe=two_states,
    returns="thought, hidden",
    axes={"thought": "(1, d)", "hidden": "(1, d)"},
    shown=lambda *case: "",
    says="the thought and what follows it are right, and gradient flows through",
    mistakes={
        **WRONG_VECTORS,
        "your thought is off by one position: it is the hidden state before <bot>. "
        "Use the last column, the one of <bot>.": (
            STATE, STATE.replace("-1", "-2")
        ),
        "your thought is the input embedding of <bot>. "
        "Use the hidden state that comes out of the model there.": (STATE, "inputs[:, -1]"),
        "the thought is right, but what goes in is the embedding of a word: the likeliest token. "
        "Feed the thought itself; nothing is decoded.": (
            "inputs, thought[:, None]", "inputs, models.word_of(language_model, thought)[:, None]"
        ),
        "the thought is right, but it replaces <bot> in your second pass. "
        "Append it: the second pass is one column longer.": (
            "[inputs, thought[:, None]]", "[inputs[:, :-1], thought[:, None]]"
        ),
        "the thought is right, but it goes in before the question. Append it: the thought comes "
        "after <bot>.": (
            "[inputs, thought[:, None]]", "[thought[:, None], inputs]"
        ),
        "the thought is right, but your second pass sees it alone. "
        "Without a cache, the question has to go in again, before it.": (
            "[inputs, thought[:, None]]", "[thought[:, None]]"
        ),
        "the thought is right, but your second result is the hidden state at <bot> again. "
        "Take the last column of the second pass.": ("return thought, hidden",
                                                    "return thought, thought"),
        "your two results are swapped. Return the thought first, then the hidden state at the "
        "column where it was fed.": ("return thought, hidden", "return hidden, thought"),
        DETACHED: ("thought[:, None]", "thought[:, None].detach()"),
        NO_GRADIENT: without_gradient("feed_back"),
    },
)  # fmt: skip
def feed_back(language_model: Any, input_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Exercise 1: `(language_model, input_ids (1, t))` to the thought (1, d) and what follows it.

    The second result is the hidden state (1, d) at the column where the thought was fed.
    """
    backbone = language_model.base_model
    inputs = language_model.get_input_embeddings()(input_ids)  # (1, t, d)
    output = backbone(inputs_embeds=inputs, output_hidden_states=True)
    thought = output.last_hidden_state[:, -1]
    inputs = torch.cat([inputs, thought[:, None]], dim=1)
    hidden = backbone(inputs_embeds=inputs).last_hidden_state[:, -1]
    return thought, hidden


# --- exercise 2 -----------------------------------------------------------------------------------


def rows() -> Iterator[tuple[Any, Tensor, int]]:
    """Rows with 3, 1 and 0 thoughts."""
    for model in random_models():
        for count, question, tail in ((3, 6, 4), (1, 4, 2), (0, 5, 3)):
            yield model, torch.tensor([random_row(count, question, tail, seed=count)]), THOUGHT


def states_of_a_row(function: Function, model: Any, *rest: Any) -> dict[str, Any]:
    hidden, thoughts = function(model, *rest)
    return {"thoughts": thoughts, "hidden": hidden, "gradient": models.gradient(model, hidden)}


PASS = "backbone(inputs_embeds=inputs[:, :column]"
FEED = "[inputs[:, :column], fed, inputs[:, column + 1 :]]"


@exercise(
    cases=rows,
    observe=states_of_a_row,
    returns="hidden, thoughts",
    axes={"hidden": "(B, T, d)"},
    shown=lambda *case: "",
    says="rows with 3, 1 and 0 thoughts are right, and gradient flows through them",
    mistakes={
        **WRONG_VECTORS,
        "your thought is off by one position: it is the hidden state two columns before the "
        "placeholder. Use the column right before it.": (STATE, STATE.replace("-1", "-2")),
        "your thought is the hidden state at the placeholder itself, so one position too late. "
        "Use the column right before it.": (PASS, PASS.replace("column", "column + 1")),
        "all your thoughts come from the first pass, which does not know the earlier thoughts. "
        "Run a new pass for each thought.": (
            PASS, PASS.replace("inputs[", "language_model.get_input_embeddings()(input_ids)[")
        ),
        "your thoughts are all the first one: it is fed again and again. "
        "Take each thought from the pass that has seen the one before it.": (
            STATE, f"{STATE} if not thoughts else thoughts[0]"
        ),
        "your later passes still see the placeholder's own embedding: the thought is never put in "
        "its place.": (f"torch.cat({FEED}, dim=1)", "inputs"),
        "these are the placeholders' own embeddings, not thoughts: the thought is never put in "
        "its place.": (STATE, "inputs[:, column]"),
        "your thoughts go into the column after their placeholder. Replace the placeholder itself, "
        "column, by the hidden state of column - 1.": (
            FEED, FEED.replace("column + 1", "column + 2").replace(":column", ": column + 1")
        ),
        "your thoughts are put beside their placeholders, so that the row grows. Put each in the "
        "place of its placeholder.": (FEED, FEED.replace("column + 1", "column")),
        "the tokens after the thoughts are lost: the row ends with the thought that was put in. "
        "Keep inputs[:, column + 1 :] after it.": ("fed, inputs[:, column + 1 :]", "fed"),
        "the thoughts are right, but your hidden states are those of a pass before "
        "the last thought was in place. n thoughts take n + 1 passes.": (
            ("(1, T, d)", "(1, T, d)\n    hidden = backbone(inputs_embeds=inputs)"),
            ("output = backbone(", "hidden = backbone(inputs_embeds=inputs); output = backbone("),
            ("return backbone(inputs_embeds=inputs)", "return hidden"),
        ),
        "the thoughts are right, but your hidden states end before the last placeholder. One last "
        "pass takes the whole row: n thoughts take n + 1 passes.": (
            "return backbone(inputs_embeds=inputs)", "return output"
        ),
        DETACHED: ("fed = thoughts[-1]", "fed = thoughts[-1].detach()"),
        NO_GRADIENT: without_gradient("think_without_cache"),
        WRITTEN_INTO: (
            ("input_ids)  #", "input_ids).clone()  #"),
            (f"inputs = torch.cat({FEED}, dim=1)", "inputs[:, column] = thoughts[-1]"),
        ),
    },
)  # fmt: skip
def think_without_cache(
    language_model: Any, input_ids: Tensor, thought_id: int
) -> tuple[Tensor, list[Tensor]]:
    """Exercise 2: the n + 1 passes of one row, `(language_model, input_ids (1, T), thought_id)`.

    Returns hidden (1, T, d), the states of the last pass, and a list of n thoughts (1, d).
    """
    backbone, thoughts = language_model.base_model, []
    inputs = language_model.get_input_embeddings()(input_ids)  # (1, T, d)
    for column in columns_of(input_ids):
        output = backbone(inputs_embeds=inputs[:, :column], output_hidden_states=True)
        thoughts.append(output.last_hidden_state[:, -1])  # (1, d)
        fed = thoughts[-1][:, None]  # (1, 1, d)
        inputs = torch.cat([inputs[:, :column], fed, inputs[:, column + 1 :]], dim=1)
    return backbone(inputs_embeds=inputs).last_hidden_state, thoughts


# --- exercise 3 -----------------------------------------------------------------------------------


def padded_rows() -> Iterator[tuple[Any, ...]]:
    """Left-padded rows that share the columns of 3, 1 and 0 thoughts."""
    for model in random_models():
        for count in (3, 1, 0):
            yield model, *models.padded_batch(count).values(), THOUGHT


def states_of_a_batch(function: Function, model: Any, ids: Tensor, mask: Tensor, *rest: Any) -> Any:
    with models.counted(model) as passes:
        hidden, thoughts = function(model, ids, mask, *rest)
    if isinstance(hidden, Tensor) and hidden.shape[:2] == ids.shape:  # padding does not count
        hidden = hidden.where(mask.bool()[..., None], 0)
    gradient = models.gradient(model, hidden)
    return {"thoughts": thoughts, "hidden": hidden, "gradient": gradient, "_passes": passes}


def one_pass_fewer(got: dict[str, Any], want: dict[str, Any]) -> str | None:
    hint = "The last thought can travel with <eot> and everything after it."
    return models.too_much(got["_passes"], want["_passes"], hint)


MASK, POSITIONS = "attention_mask[:, :stop]", "position_ids[:, start:stop]"
CACHE = "past_key_values=cache,\n            use_cache=True"
MISSING_POSITIONS = (
    "position ids are missing{}. The library then counts columns from 0, padding included; "
    "pass position_ids[:, start:stop] in every pass."
)
ALONE = (
    "each of your passes sees only its own columns: the cache does not reach it. "
    "Pass the same past_key_values to every pass."
)


@exercise(
    cases=padded_rows,
    observe=states_of_a_batch,
    limits=one_pass_fewer,
    returns="hidden, thoughts",
    axes={"hidden": "(B, T, d)"},
    shown=lambda *case: "",
    says="padded rows are right, in n + 1 passes, each column computed once",
    mistakes={
        MISSING_POSITIONS.format(""): (POSITIONS, "None"),
        MISSING_POSITIONS.format(" in the cached passes (from the second pass on)"): (
            POSITIONS, f"{POSITIONS} if start == 0 else None"
        ),
        "your position ids start again at 0 in every pass. A cached pass goes on counting "
        "where the last one stopped: position_ids[:, start:stop].": (
            POSITIONS, "torch.arange(stop - start)[None]"
        ),
        "your position ids are cut from the front of the row, [:, :stop - start]. "
        "Take the columns of this pass: position_ids[:, start:stop].": (
            POSITIONS, "position_ids[:, : stop - start]"
        ),
        "your position ids are those of all columns so far. "
        "Take the columns of this pass: position_ids[:, start:stop].": (
            POSITIONS, "position_ids[:, :stop]"
        ),
        "your position ids are one short: they are those of the columns before. "
        "Take the columns of this pass: position_ids[:, start:stop].": (
            POSITIONS, "(position_ids[:, start:stop] - 1).clamp(min=0)"
        ),
        "padding is attended to: the attention mask never reaches the model. "
        "Pass attention_mask[:, :stop] in every pass.": (MASK, "None"),
        "padding is attended to from the second pass on: the attention mask is missing there. "
        "Pass attention_mask[:, :stop] in every pass.": (MASK, f"{MASK} if start == 0 else None"),
        "your attention mask is too short: it covers only the new columns. It has to cover "
        "the cached ones too: attention_mask[:, :stop].": (MASK, "attention_mask[:, start:stop]"),
        ALONE: ((CACHE, "use_cache=False"), (MASK, "attention_mask[:, start:stop]")),
        f"{ALONE} A new cache in every pass is an empty one.": (
            "past_key_values=cache", "past_key_values=DynamicCache(config=language_model.config)"
        ),
        **WRONG_VECTORS,
        "your thought is off by one position: it is the hidden state two columns before the "
        "placeholder. Use the column right before it.": (STATE, STATE.replace("-1", "-2")),
        "your thought is the hidden state at the placeholder itself, so one position too late. "
        "Use the column right before it.": ("*columns", "*(column + 1 for column in columns)"),
        "all your thoughts come from the first pass, which does not know the earlier thoughts. "
        "Run a new pass for each thought.": (
            ("[], [], None", "[], [], None; first = "
             "language_model.base_model(inputs_embeds=embeds, attention_mask=attention_mask, "
             "position_ids=position_ids)"),
            (STATE, "first.last_hidden_state[:, start - 1]"),
        ),
        "your thoughts are all the first one: it is fed again and again. "
        "Take each thought from the pass that has seen the one before it.": (
            STATE, "hidden[0][:, -1]"
        ),
        "your later passes still see the placeholder's own embedding: the thought is never put in "
        "its place.": ("inputs = torch.cat([fed, inputs[:, 1:]], dim=1)", "pass"),
        "your thoughts are put beside their placeholders, so that the row grows. Put each in the "
        "place of its placeholder.": ("inputs[:, 1:]", "inputs"),
        "the tokens after the thoughts are lost: a pass takes its thought and nothing else. The "
        "last one takes everything after it too.": ("[fed, inputs[:, 1:]]", "[fed]"),
        "your hidden states are those of the last pass only. Keep those of every pass, and join "
        "them with torch.cat along the columns.": ("torch.cat(hidden, dim=1)", "hidden[-1]"),
        "one column is missing from your hidden states. Is <eot> skipped? The last pass holds the "
        "last thought, <eot> and everything after it.": (
            "columns, hidden,", """without = input_ids[0] != models.EOT
    embeds, position_ids = embeds[:, without], position_ids[:, without]
    input_ids, attention_mask = input_ids[:, without], attention_mask[:, without]
    columns, hidden,"""
        ),
        DETACHED: ("fed = thoughts[-1]", "fed = thoughts[-1].detach()"),
        NO_GRADIENT: without_gradient("think_with_cache"),
    },
)  # fmt: skip
def think_with_cache(
    language_model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    position_ids: Tensor,
    thought_id: int,
) -> tuple[Tensor, list[Tensor]]:
    """Exercise 3: the n + 1 passes of a left-padded batch, with a cache.

    `(language_model, input_ids, attention_mask, position_ids, thought_id)`, tensors (B, T), to
    hidden (B, T, d) and a list of n thoughts (B, d).
    """
    cache = DynamicCache(config=language_model.config)
    embeds = language_model.get_input_embeddings()(input_ids)  # (B, T, d)
    columns, hidden, thoughts, output = columns_of(input_ids), [], [], None
    for start, stop in pairwise([0, *columns, input_ids.shape[1]]):
        inputs = embeds[:, start:stop]
        if output is not None:
            thoughts.append(output.last_hidden_state[:, -1])  # (B, d)
            fed = thoughts[-1][:, None]
            inputs = torch.cat([fed, inputs[:, 1:]], dim=1)
        output = language_model.base_model(
            inputs_embeds=inputs,
            attention_mask=attention_mask[:, :stop],
            position_ids=position_ids[:, start:stop],
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=True,
        )
        hidden.append(output.last_hidden_state)
    return torch.cat(hidden, dim=1), thoughts


# --- exercise 4 -----------------------------------------------------------------------------------


def unaligned() -> Iterator[tuple[list[list[int]], int, int]]:
    """Rows with different numbers of thoughts; padding may look like a real token."""
    shapes = ((3, 6, 2), (1, 3, 4), (2, 4, 1))  # thoughts, words of the question, tokens after it
    given = [[*random_row(*shape, seed), EOS] for seed, shape in enumerate(shapes)]
    none = [*random_row(0, 2, 1, seed=9), EOS]
    for batch, fill in ((given, PAD), (given, EOS), ([*given, none], PAD), ([none], PAD)):
        yield [list(row) for row in batch], THOUGHT, fill


def batch_of(function: Function, given: list[list[int]], *rest: int) -> dict[str, Any]:
    before = [list(row) for row in given]
    batch = function(given, *rest)
    if not isinstance(batch, dict):
        raise CheckFailed(f"align should return a dict, not {kind(batch)}.")
    found = {}
    for name in ("input_ids", "attention_mask", "position_ids"):
        if name in batch:
            if not isinstance(batch[name], Tensor) or batch[name].is_floating_point():
                text = f"{name} should be a tensor of int64, not {kind(batch[name])}."
                raise CheckFailed(f"align: {text}")
            found[name] = batch[name].long().tolist()  # a list is compared place by place
    return {**found, "whether the rows that were given stay as they were": given == before}


LEFTS = "[0 if first is None else latest - first for first in firsts]"
RETURNED = '"attention_mask": mask'
COUNTED = "(mask.cumsum(1) - 1) * mask"
APART = "the first thoughts do not share a column. "


@exercise(
    cases=unaligned,
    observe=batch_of,
    returns="a dict",
    says="thoughts share columns, padding is masked, positions count real tokens",
    mistakes={
        f"{APART}All padding is on the right; put some on the left, so that <bot>s meet.": (
            LEFTS, "[0] * len(rows)"
        ),
        f"{APART}All padding is on the left, so the rows end together, but thoughts need not.": (
            LEFTS, "[max(map(len, rows)) - len(row) for row in rows]"
        ),
        f"{APART}The last ones do. Shift each row by the column of its own first thought.": (
            "row.index(thought_id)", "len(row) - 1 - row[::-1].index(thought_id)"
        ),
        "a row without thoughts has padding on the left; it needs none there.": (
            "0 if first is None", "latest if first is None"
        ),
        "a row without thoughts has padding on the left, as if a thought came after its end; "
        "it needs none there.": ("in row else None", "in row else len(row)"),
        "the batch has more columns than it needs. It ends with the row that ends last.": (
            "max(left + len(row) for left, row in zip(lefts, rows, strict=True))",
            "max(lefts) + max(map(len, rows))",
        ),
        "a row is torn apart: its tokens should be in one piece. Padding goes before and after "
        "them, never between.": ("    firsts = [", """
    at = [r.index(thought_id) if thought_id in r else 0 for r in rows]
    pads = [[pad_id] * (max(at) - first) if first else [] for first in at]
    rows = [r[:first] + pad + r[first:] for r, first, pad in zip(rows, at, pads, strict=True)]
    firsts = ["""),
        "padding is filled with 0. Fill it with pad_id.": (
            "torch.full((len(rows), width), pad_id)", "torch.full((len(rows), width), 0)"
        ),
        "the attention mask is 1 everywhere, so padding is attended to. It is 0 at padding.": (
            RETURNED, '"attention_mask": torch.ones_like(mask)'
        ),
        "the attention mask is upside down: 1 is for real tokens, 0 for padding.": (
            RETURNED, '"attention_mask": 1 - mask'
        ),
        "the attention mask comes from input_ids != pad_id. Here padding and the end of sequence "
        "are the same token, as they are for GPT-2, so a real token is masked. Make the mask from "
        "the lengths.": (RETURNED, '"attention_mask": ids != pad_id'),
        "the positions count columns, padding included. Count real tokens only.": (
            COUNTED, "torch.arange(width).expand_as(ids)"
        ),
        "the positions count columns, padding included, and are 0 at padding. Count real tokens "
        "only.": (COUNTED, "torch.arange(width) * mask"),
        "the positions start at 1. The first real token of a row has position 0.": (
            COUNTED, "mask.cumsum(1) * mask"
        ),
        "a position is negative, at padding. Give padding position 0; an absolute position table "
        "has no entry below it.": (COUNTED, "mask.cumsum(1) - 1"),
        "the positions go on at padding: on the right it has that of the last real token. Give all "
        "padding position 0.": (COUNTED, "(mask.cumsum(1) - 1).clamp(min=0)"),
        "padding has position 1. Give it position 0.": (
            COUNTED, "(mask.cumsum(1) - 1).masked_fill(mask == 0, 1)"
        ),
        "you change the rows that you were given: they are longer afterwards. Build new lists, "
        "such as [pad_id] * left + row.": (
            "return {", "for row in rows: row.append(pad_id)\n    return {"
        ),
    },
)  # fmt: skip
def align(rows: list[list[int]], thought_id: int, pad_id: int) -> dict[str, Tensor]:
    """Exercise 4: rows with different numbers of thoughts in one batch.

    `(rows, thought_id, pad_id)`, the rows lists of ids, to a dict of `input_ids`, `attention_mask`
    and `position_ids`, each (B, T) int64.
    """
    firsts = [row.index(thought_id) if thought_id in row else None for row in rows]
    latest = max((first for first in firsts if first is not None), default=0)
    lefts = [0 if first is None else latest - first for first in firsts]
    width = max(left + len(row) for left, row in zip(lefts, rows, strict=True))
    ids = torch.full((len(rows), width), pad_id)  # (B, T)
    mask = torch.zeros_like(ids)
    for index, (left, row) in enumerate(zip(lefts, rows, strict=True)):
        ids[index, left : left + len(row)] = torch.tensor(row)
        mask[index, left : left + len(row)] = 1
    positions = (mask.cumsum(1) - 1) * mask
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


# --- exercise 5 -----------------------------------------------------------------------------------


def labelled_rows() -> Iterator[tuple[Any, Tensor, Tensor, int]]:
    """Rows with 3 thoughts and with 1, labelled after <eot>."""
    for model in random_models():
        for count in (3, 1):
            ids = torch.tensor([random_row(count, question=5, tail=4, seed=count)])
            labels = ids.clone()
            labels[:, : columns_of(ids)[-1] + 2] = -100
            yield model, ids, labels, THOUGHT


LOSS = "F.cross_entropy(logits[0, :-1], labels[0, 1:])"
NOTHING = (
    "the graph is detached, so there is nothing to differentiate{}. "
    "Leave out torch.no_grad(), .data and .detach()."
)


@exercise(
    cases=labelled_rows,
    observe=lambda function, *case: {"gradients": function(*case)},
    returns="gradients",
    shown=lambda *case: "",
    says="the gradient at every thought is right, through later thoughts too",
    mistakes={
        "your graph is detached between the thoughts: only the direct way to the loss is "
        "counted, not the way through the later thoughts. Differentiate by the tensors that "
        "you fed back, without .detach() or new leaves.": (
            "last_hidden_state[:, -1]", "last_hidden_state[:, -1].detach().requires_grad_()"
        ),
        "your loss is off by one position: it compares the logits at a column with the label "
        "of the same column. The logits at column t predict the token of column t + 1.": (
            LOSS, "F.cross_entropy(logits[0], labels[0])"
        ),
        "your loss is shifted the wrong way: it compares the logits at a column with the label of "
        "the column before. The logits at column t predict the token of column t + 1.": (
            LOSS, "F.cross_entropy(logits[0, 1:], labels[0, :-1])"
        ),
        "your loss counts every token. The labels mask the question, the markers and the "
        "thoughts with -100: use labels, not input_ids.": ("labels[0, 1:]", "input_ids[0, 1:]"),
        "your loss is a sum over the labelled tokens. The loss of a batch is their mean.": (
            LOSS, LOSS.replace("1:])", '1:], reduction="sum")')
        ),
        "your loss is divided by the number of all tokens. The mean is one over the labelled "
        "tokens.": (LOSS, LOSS.replace("1:])", '1:], reduction="none").mean()')),
        "your loss takes probabilities for logits: F.cross_entropy has the softmax in it.": (
            "logits[0, :-1]", "logits[0, :-1].softmax(-1)"
        ),
        "these are the thoughts themselves, not the gradient of the loss at them.": (
            "list(torch.autograd.grad(loss, thoughts))", "thoughts"
        ),
        "this is the gradient at the hidden states in the thoughts' columns, which come out of the "
        "last pass. Differentiate by the thoughts that went in.": (
            "return list(torch.autograd.grad(loss, thoughts))",
            "found = torch.autograd.grad(loss, hidden)[0]\n"
            "    return [found[:, column] for column in columns_of(input_ids)]",
        ),
        "there is no gradient in .grad: PyTorch keeps it at leaves only, and a thought is none. "
        "Call .retain_grad() on every thought before, or use torch.autograd.grad.": (
            "list(torch.autograd.grad(loss, thoughts))", "[None for _ in thoughts]"
        ),
        "autograd finds no way from the loss to your thoughts. The tensors that you differentiate "
        "by are not the ones that were fed back, or they were detached.": (
            "loss, thoughts", "loss, [thought.clone() for thought in thoughts]"
        ),
        NOTHING.format(""): ("last_hidden_state[:, -1]", "last_hidden_state[:, -1].detach()"),
        NOTHING.format(", not even the loss"): without_gradient("thought_gradients"),
    },
)  # fmt: skip
def thought_gradients(
    language_model: Any, input_ids: Tensor, labels: Tensor, thought_id: int
) -> list[Tensor]:
    """Exercise 5: the gradient of the loss at every thought.

    `(language_model, input_ids (1, T), labels (1, T), thought_id)` to a list of n gradients (1, d).
    """
    backbone, thoughts = language_model.base_model, []
    inputs = language_model.get_input_embeddings()(input_ids)  # (1, T, d)
    for column in columns_of(input_ids):
        thoughts.append(backbone(inputs_embeds=inputs[:, :column]).last_hidden_state[:, -1])
        fed = thoughts[-1][:, None]
        inputs = torch.cat([inputs[:, :column], fed, inputs[:, column + 1 :]], dim=1)
    hidden = backbone(inputs_embeds=inputs).last_hidden_state
    logits = language_model.lm_head(hidden)  # (1, T, V)
    loss = F.cross_entropy(logits[0, :-1], labels[0, 1:])
    return list(torch.autograd.grad(loss, thoughts))

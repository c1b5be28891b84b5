"""The exercises of 02 that think: a soft word, the n + 1 passes, answers on the way."""

from __future__ import annotations

from collections.abc import Iterator
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


WORD = "model.lm_head(state).softmax(-1) @ embed.weight"


@exercise(
    cases=rows_up_to_bot,
    observe=models.noting("word", "hidden", gradient=True),
    returns="word, hidden",
    axes={"word": "(1, d)", "hidden": "(1, d)"},
    says="the soft word and what follows it are right, and gradient flows through",
    mistakes={
        "you feed the hidden state itself. That is Coconut; a soft word is a mean of embeddings.": (
            WORD, "state"),
        "you feed the embedding of the likeliest word. That is language mode; a soft word has a "
        "share of every word.": (WORD, "models.word_of(model, state)"),
        "your weights are no probabilities. Take the softmax of the logits over the vocabulary, "
        "the last axis.": [
            (".softmax(-1)", ""), (".softmax(-1)", ".softmax(0)"),
            (".softmax(-1)", ".log_softmax(-1)")],
        "all words have the same weight. Weigh each by its probability.": (
            WORD, "embed.weight.mean(0, keepdim=True)"),
        "you mix rows of the head. What goes in is made of embeddings: "
        "get_input_embeddings().weight.": ("embed.weight", "model.lm_head.weight"),
        "the head reads another vector than the hidden state at <bot>: last_hidden_state[:, -1], "
        "which is normalised already.": [
            (STATE, STATE.replace("-1", "-2")), (STATE, "model.before_norm[:, -1]"),
            (STATE, "output.hidden_states[-2][:, -1]"), (STATE, "inputs[:, -1]"),
            (STATE, f"models.final_norm(model)({STATE})")],
        "the word is right, but it replaces <bot> in your second pass. Append it: the second pass "
        "is one column longer.": ("[inputs, ", "[inputs[:, :-1], "),
        "the word is right, but your second pass sees it alone. Without a cache, the question has "
        "to go in again, before it.": ("[inputs, ", "["),
        "the word is right, but your second result is the hidden state at <bot> again. Take the "
        "last column of the second pass.": ("return word, hidden", "return word, state"),
        "your two results are swapped. Return the soft word first.": (
            "return word, hidden", "return hidden, word"),
        "the values are right, but the graph is detached: no gradient flows through the word. "
        "Leave out .detach(), .data and torch.no_grad().": [
            ("word[:, None]", "word[:, None].detach()"), NO_GRAPH],
    },
)  # fmt: skip
def soft_word(model: Any, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Exercise 1 of 02: the mean embedding of the next word, fed back, and the state there."""
    embed = model.get_input_embeddings()
    inputs = embed(ids)  # (1, t, d)
    output = one_pass(model, inputs)
    state = output.last_hidden_state[:, -1]
    word = model.lm_head(state).softmax(-1) @ embed.weight  # (1, d)
    inputs = torch.cat([inputs, word[:, None]], dim=1)
    hidden = one_pass(model, inputs).last_hidden_state[:, -1]
    return word, hidden


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


def prompts_and_tails() -> Iterator[tuple[Any, Tensor, int, Tensor]]:
    for model in random_models():
        for count, question in ((3, 6), (1, 4), (0, 5)):
            row = random_row(0, question, 0, seed=count)[:-1]  # ends in <bot>
            yield model, torch.tensor([row]), count, torch.tensor([[models.EOT, 5 + count]])


def answers_of(function: Function, model: Any, ids: Tensor, count: int, tail: Tensor) -> Any:
    with torch.no_grad(), models.counted(model) as passes:
        answers = function(model, ids.clone(), count, tail.clone())
    return {"answers": answers, "_passes": passes}


ALONE = (
    "each of your passes sees only its own columns: the cache does not reach it. "
    "Pass the same past_key_values to every pass. A new cache in every pass is an empty one."
)
CROP = "cache.crop(-tail.shape[1])"


@exercise(
    cases=prompts_and_tails,
    observe=answers_of,
    limits=models.too_much,
    returns="answers",
    axes={"answers": "(n + 1, V)"},
    says="answers after 0 to 3 thoughts are right, and no column went in twice",
    mistakes={
        "what you read on the way stays in the cache, so the next thought has seen it. Take it "
        "back with cache.crop(-number), or read on a copy of the cache.": (CROP, "pass"),
        "you take back too few columns or too many. Left in the cache are the prompt and one "
        "column for each thought.": [
            (CROP, CROP.replace("]", "] - 1")), (CROP, CROP.replace("]", "] + 1"))],
        "you go on thinking from the state after the tail. The next thought is the state at <bot>, "
        "or at the thought before it.": ("hidden[:, None]", "look[:, None]"),
        "you read the answer at the first column of the tail. It is predicted at its last.": (
            "look = read.last_hidden_state[:, -1]", "look = read.last_hidden_state[:, 0]"),
        "the first answer comes before any thought: after <bot>, the tail goes in at once.": (
            "torch.cat(answers)", "torch.cat(answers)[1:]"),
        "you answer once too often, after n + 1 thoughts.": ("count + 1", "count + 2"),
        "the answers are in reverse order. Row 0 is that without a thought.": (
            "torch.cat(answers)", "torch.cat(answers).flip(0)"),
        "these are probabilities. Return the logits, what lm_head gives.": (
            "torch.cat(answers)", "torch.cat(answers).softmax(-1)"),
        ALONE: ("embed(tail), cache=cache", "embed(tail)"),
        **WRONG_VECTORS,
    },
)  # fmt: skip
def early_answers(model: Any, ids: Tensor, count: int, tail: Tensor) -> Tensor:
    """Exercise 3 of 02: the answer after each number of thoughts, from one cache."""
    embed, cache = model.get_input_embeddings(), DynamicCache(config=model.config)
    inputs, answers = embed(ids), []
    for _ in range(count + 1):
        output = one_pass(model, inputs, cache=cache)
        hidden = output.last_hidden_state[:, -1]
        read = one_pass(model, embed(tail), cache=cache)
        look = read.last_hidden_state[:, -1]
        answers.append(model.lm_head(look))
        cache.crop(-tail.shape[1])
        inputs = hidden[:, None]
    return torch.cat(answers)
